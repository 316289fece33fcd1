/*
 * Fuzzes the reading of backups in three ways, by the first byte of the input:
 *   0  the rest is the file;
 *   1  the rest says what is in a file whose frames, counts and checksum are right unless it says
 *      otherwise: so it is known whether the file keeps to backup.h's rules, and is to be taken;
 *   2  a good backup with bytes changed, cut off or added, which must not be taken.
 * Whatever is taken is the same when it is written anew, and is read in pieces as it is whole. The
 * second byte is the size of the pieces.
 */
#include <endian.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/backup.h"
#include "core/text.h"
#include "input.h"

#define BEGIN_FIXED 88u /* bytes of BEGIN before its two names */
#define BEGIN_EPOCH 24u /* where its epoch is */
#define VERSION_AT 8u   /* behind the magic */

/* Each piece is a packet; a socket holds some hundreds. */
#define PIECES_MAX 32u
#define PIECES_BYTES_MAX (64u << 10)

struct file {
    unsigned char *bytes;
    size_t len, size;
};

static void put(struct file *file, const void *bytes, size_t len)
{
    if (file->size - file->len < len) {
        file->size = 2 * file->size + len;
        file->bytes = realloc(file->bytes, file->size);
        CHECK(file->bytes != NULL);
    }
    if (len > 0)
        memcpy(file->bytes + file->len, bytes, len);
    file->len += len;
}

static void put_entry(struct file *file, unsigned type, const void *bytes, size_t len)
{
    unsigned char head[BACKUP_ENTRY_HEAD_BYTES];

    backup_head_write((enum backup_type)type, len, head);
    put(file, head, sizeof head);
    put(file, bytes, len);
}

static void put_begin(struct file *file, const struct backup_begin *begin)
{
    unsigned char bytes[BACKUP_BEGIN_MAX];

    put(file, bytes, backup_begin_write(begin, bytes));
}

static void put_position(struct file *file, const struct backup_position *position)
{
    unsigned char bytes[BACKUP_ENTRY_HEAD_BYTES + BACKUP_POSITION_BYTES];

    backup_position_write(position, bytes);
    put(file, bytes, sizeof bytes);
}

static void put_trailer(struct file *file)
{
    unsigned char bytes[BACKUP_TRAILER_BYTES];
    struct backup_tally tally;
    struct error error;
    unsigned char *exact = exact_copy(file->bytes, file->len);

    backup_tally_start(&tally);
    CHECK(backup_tally_add(&tally, exact, file->len, &error) == 0);
    CHECK(backup_trailer(&tally, bytes, &error) == 0);
    put(file, bytes, sizeof bytes);
    free(exact);
}

/* What reading came to. */
struct outcome {
    int code;
    uint64_t entries, bytes; /* of what was handed out */
    char text[sizeof((struct error *)NULL)->text];
};

static void check_refusal(const struct error *error, int code)
{
    CHECK(code == CATLATCH_E_DATA || code == CATLATCH_E_VERSION);
    CHECK(error->code == code && error->text[0] != '\0');
    CHECK(text_is_printable_utf8(error->text, strlen(error->text)));
}

/* The reader's buffer is kept: getting another each time would cost more than all the rest. */
static struct backup_reader open_again(int fd)
{
    static struct backup_reader opened;
    struct backup_reader reader = {.fd = fd};
    struct error error;

    CHECK(opened.buffer != NULL || backup_reader_open(&opened, fd, &error) == 0);
    reader.buffer = opened.buffer;
    backup_tally_start(&reader.tally);
    return reader;
}

/* As it was: we write the newest alone. */
static void set_version(struct file *file, uint32_t version)
{
    version = htole32(version);
    memcpy(file->bytes + VERSION_AT, &version, sizeof version);
}

/* Reads it all, and writes it anew. */
static struct outcome read_backup(int fd, struct file *again)
{
    struct backup_reader reader = open_again(fd);
    struct backup_entry entry;
    struct error error = {.code = 0};
    struct outcome outcome = {.entries = 0};
    uint64_t others = 0;

    while ((outcome.code = backup_next(&reader, &entry, &error)) == 1) {
        CHECK(entry.len <= BACKUP_ENTRY_MAX);
        if (outcome.entries++ == 0) {
            put_begin(again, &reader.tally.begin);
            set_version(again, reader.tally.version);
        }
        put_entry(again, entry.type, entry.bytes, entry.len);
        others += entry.type == BACKUP_GONE || entry.type == BACKUP_USAGE;
        outcome.bytes += entry.len;
    }
    if (outcome.code == 0) {
        if (outcome.entries == 0) {
            put_begin(again, &reader.tally.begin);
            set_version(again, reader.tally.version);
        }
        put_position(again, &reader.tally.position);
        put_trailer(again);
        CHECK(reader.tally.keys + reader.tally.owners + reader.tally.changes + others ==
              outcome.entries);
        CHECK(reader.tally.bytes == again->len);
    } else {
        check_refusal(&error, outcome.code);
        strcpy(outcome.text, error.text);
    }
    return outcome;
}

static struct outcome read_whole(const struct file *file, struct file *again)
{
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("backup", MFD_CLOEXEC);
    CHECK(fd >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    CHECK(pwrite(fd, file->bytes, file->len, 0) == (ssize_t)file->len);
    return read_backup(fd, again);
}

/* A packet is what one read gives. */
static struct outcome read_pieces(const struct file *file, size_t piece, struct file *again)
{
    struct outcome outcome;
    int pair[2];

    if (piece < file->len / PIECES_MAX + 1)
        piece = file->len / PIECES_MAX + 1;
    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    for (size_t at = 0; at < file->len; at += piece) {
        size_t len = file->len - at < piece ? file->len - at : piece;
        CHECK(send(pair[0], file->bytes + at, len, MSG_DONTWAIT) == (ssize_t)len);
    }
    close(pair[0]);
    outcome = read_backup(pair[1], again);
    close(pair[1]);
    return outcome;
}

static int tally_exact(struct backup_tally *tally, const unsigned char *bytes, size_t len)
{
    unsigned char *exact = exact_copy(bytes, len);
    struct error error = {.code = 0};
    int r = backup_tally_add(tally, exact, len, &error);

    if (r != 0)
        check_refusal(&error, r);
    free(exact);
    return r;
}

/* How far the entry goes that begins here, behind `before` bytes of the file's head; as far as
 * there is something, if that is less. */
static size_t entry_end(const struct file *file, size_t at, size_t before, size_t end)
{
    uint32_t len;

    if (end - at < before + BACKUP_ENTRY_HEAD_BYTES)
        return end;
    memcpy(&len, file->bytes + at + before + 1, sizeof len);
    len = le32toh(len);
    at += before + BACKUP_ENTRY_HEAD_BYTES;
    return len < end - at ? at + len : end;
}

/* All but the trailer, at once and entry by entry, as those who write backups add it. */
static void tally_each_way(const struct file *file, bool taken)
{
    size_t len = file->len > BACKUP_TRAILER_BYTES ? file->len - BACKUP_TRAILER_BYTES : file->len;
    size_t before = BACKUP_HEAD_BYTES;
    struct backup_tally at_once, by_entry;
    int r = 0;

    backup_tally_start(&at_once);
    backup_tally_start(&by_entry);
    for (size_t at = 0, next; at < len && r == 0; at = next, before = 0) {
        next = entry_end(file, at, before, len);
        r = tally_exact(&by_entry, file->bytes + at, next - at);
    }
    CHECK(len == 0 || tally_exact(&at_once, file->bytes, len) == r);
    CHECK(r == 0 || !taken);
}

/* Returns what the whole file came to. */
static int read_each_way(const struct file *file, size_t piece)
{
    struct file again = {.len = 0}, once_more = {.len = 0};
    struct outcome whole = read_whole(file, &again);

    if (whole.code == 0)
        CHECK(again.len == file->len && memcmp(again.bytes, file->bytes, file->len) == 0);
    if (file->len <= PIECES_BYTES_MAX) {
        struct outcome pieces = read_pieces(file, piece, &once_more);
        CHECK(pieces.code == whole.code && strcmp(pieces.text, whole.text) == 0);
        CHECK(pieces.entries == whole.entries && pieces.bytes == whole.bytes);
        CHECK(once_more.len == again.len &&
              (again.len == 0 || memcmp(once_more.bytes, again.bytes, again.len) == 0));
    }
    tally_each_way(file, whole.code == 0);
    free(again.bytes);
    free(once_more.bytes);
    return whole.code;
}

static void fuzz_bytes(struct input input, size_t piece)
{
    struct file file = {.len = 0};

    put(&file, input.at, input.left);
    read_each_way(&file, piece);
    free(file.bytes);
}

/* Files with frames and checksums of their own. */

struct plan {
    struct file file;
    bool good; /* keeps to all rules so far */
    bool begun, placed, after_key, old;
    uint64_t keys, owners, changes;
};

static void note_entry(struct plan *plan, unsigned type, size_t len, bool sound)
{
    plan->good &=
        sound && len <= BACKUP_ENTRY_MAX && !plan->placed && plan->begun == (type != BACKUP_BEGIN);
    plan->good &= type != BACKUP_USAGE || (plan->after_key && !plan->old);
    plan->after_key = type == BACKUP_KEY;
    plan->begun |= type == BACKUP_BEGIN;
    plan->placed |= type == BACKUP_POSITION;
    plan->keys += type == BACKUP_KEY;
    plan->owners += type == BACKUP_OWNER;
    plan->changes += type == BACKUP_CHANGE;
}

static void plan_head(struct plan *plan, struct input *input)
{
    struct backup_begin begin = {.epoch = 1};
    unsigned char bytes[BACKUP_BEGIN_MAX];
    unsigned bend = take(input);

    backup_begin_write(&begin, bytes);
    if (bend % 16 == 1)
        bytes[bend / 16 % BACKUP_HEAD_BYTES] ^= 0x80;
    plan->old = bend % 16 == 2;
    if (plan->old)
        bytes[VERSION_AT] = BACKUP_VERSION_1;
    plan->good = bend % 16 != 1;
    put(&plan->file, bytes, BACKUP_HEAD_BYTES);
}

static void plan_begin(struct plan *plan, struct input *input)
{
    unsigned char bytes[BEGIN_FIXED + 2 * (2 + UINT8_MAX) + 1];
    size_t len = BEGIN_FIXED;
    uint64_t epoch = take(input);
    unsigned bend = take(input) % 16;
    bool sound = epoch > 0;

    memset(bytes, 0xA5, sizeof bytes);
    epoch = htole64(epoch);
    memcpy(bytes + BEGIN_EPOCH, &epoch, sizeof epoch);
    for (unsigned i = 0; i < 2; i++) {
        unsigned name_len = take(input);
        bytes[len] = (unsigned char)name_len;
        bytes[len + 1] = bend == 1 + i;
        sound &= bend != 1 + i;
        len += 2;
        memset(bytes + len, 'n', name_len);
        take_bytes(input, bytes + len, name_len < 4 ? name_len : 4);
        sound &= text_is_printable_utf8((char *)bytes + len, name_len) != 0;
        len += name_len;
    }
    if (bend == 3 || bend == 4)
        len += bend == 3 ? 1 : (size_t)-1;
    note_entry(plan, BACKUP_BEGIN, len, sound && bend != 3 && bend != 4);
    put_entry(&plan->file, BACKUP_BEGIN, bytes, len);
}

static void plan_position(struct plan *plan, struct input *input)
{
    unsigned char bytes[BACKUP_POSITION_BYTES + 1] = {0};
    unsigned bend = take(input) % 8;
    size_t len = BACKUP_POSITION_BYTES + (bend == 1) - (bend == 2);

    bytes[0] = (unsigned char)take(input);
    note_entry(plan, BACKUP_POSITION, len, len == BACKUP_POSITION_BYTES && bytes[0] != 0);
    put_entry(&plan->file, BACKUP_POSITION, bytes, len);
}

#define KINDS 7u

/* KEY, USAGE, OWNER, CHANGE, GONE, what looks like an end, or nothing that there is. Few are large.
 */
static void plan_entry(struct plan *plan, struct input *input, unsigned what)
{
    static const unsigned char types[KINDS] = {
        BACKUP_KEY, BACKUP_USAGE, BACKUP_OWNER, BACKUP_CHANGE, BACKUP_GONE, BACKUP_END, 'X',
    };
    unsigned type = types[what % KINDS];
    size_t len = type == BACKUP_GONE ? BACKUP_GONE_BYTES : take(input);

    if (what / KINDS == 1)
        len = type == BACKUP_GONE ? take(input) : BACKUP_ENTRY_MAX - 128 + len;
    unsigned char *bytes = malloc(len + 1);
    CHECK(bytes != NULL);
    memset(bytes, 0x5A, len + 1);
    take_bytes(input, bytes, len < 8 ? len : 8);
    note_entry(plan, type, len,
               type != BACKUP_END && type != 'X' &&
                   (type != BACKUP_GONE || len == BACKUP_GONE_BYTES) &&
                   (type != BACKUP_USAGE || len > BACKUP_USAGE_ID_BYTES));
    put_entry(&plan->file, type, bytes, len);
    free(bytes);
}

static void plan_end(struct plan *plan, struct input *input)
{
    unsigned bend = take(input) % 16;
    uint64_t counts[] = {htole64(plan->keys), htole64(plan->owners), htole64(plan->changes)};
    unsigned char end[BACKUP_END_BYTES];
    SHA256_CTX hash;

    if (bend >= 1 && bend <= 3)
        counts[bend - 1] ^= htole64(1 + take(input));
    memcpy(end, counts, sizeof counts);
    put_entry(&plan->file, BACKUP_END, end, sizeof counts);
    plan->file.bytes[plan->file.len - sizeof counts - 4] = BACKUP_END_BYTES;
    SHA256_Init(&hash);
    SHA256_Update(&hash, plan->file.bytes, plan->file.len);
    SHA256_Final(end, &hash);
    end[0] ^= bend == 4;
    put(&plan->file, end, SHA256_DIGEST_LENGTH - (bend == 5));
    if (bend == 6)
        put(&plan->file, "", 1);
    plan->good &= plan->begun && plan->placed && (bend == 0 || bend > 6);
}

static void fuzz_frames(struct input input, size_t piece)
{
    struct plan plan = {.good = true};
    unsigned large = 0;

    plan_head(&plan, &input);
    while (input.left > 0 && !plan.placed) {
        unsigned what = take(&input) % (2 * KINDS + 4);
        if (what >= KINDS && what < 2 * KINDS && ++large > 6)
            what -= KINDS;
        if (what < 2 * KINDS)
            plan_entry(&plan, &input, what);
        else if (what < 2 * KINDS + 2)
            plan_begin(&plan, &input);
        else
            plan_position(&plan, &input);
    }
    if (take(&input) % 16 == 1)
        plan_entry(&plan, &input, 0);
    plan_end(&plan, &input);
    CHECK((read_each_way(&plan.file, piece) == 0) == plan.good);
    free(plan.file.bytes);
}

/* A good backup with damage done to it. */

static void make_good(struct file *file, unsigned entries)
{
    static const unsigned char types[] = {BACKUP_KEY, BACKUP_USAGE, BACKUP_OWNER, BACKUP_CHANGE,
                                          BACKUP_GONE};
    struct backup_begin begin = {.epoch = 3, .host = "a", .version = "1"};
    struct backup_position position = {.epoch = 3, .sequence = 9};

    put_begin(file, &begin);
    for (unsigned i = 0; i < entries; i++)
        put_entry(file, types[i % sizeof types], "entry....",
                  BACKUP_GONE_BYTES + (types[i % sizeof types] == BACKUP_USAGE));
    put_position(file, &position);
    put_trailer(file);
}

static void fuzz_damage(struct input input, size_t piece)
{
    struct file good = {.len = 0}, bad = {.len = 0};

    make_good(&good, take(&input) % 8);
    put(&bad, good.bytes, good.len);
    switch (take(&input) % 4) {
    case 0:
        bad.len -= take(&input) % (bad.len + 1);
        break;
    case 1:
        put(&bad, input.at, input.left);
        break;
    default:
        while (input.left > 0) {
            size_t at = take(&input);
            at = (at << 8 | take(&input)) % bad.len;
            bad.bytes[at] ^= (unsigned char)(1u << take(&input) % 8);
        }
        break;
    }
    bool same = bad.len == good.len && memcmp(bad.bytes, good.bytes, good.len) == 0;
    CHECK((read_each_way(&bad, piece) == 0) == same);
    free(good.bytes);
    free(bad.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct input input = {data + 2, size - 2};
    size_t piece = 1u + data[1];

    if (data[0] % 3 == 0)
        fuzz_bytes(input, piece);
    else if (data[0] % 3 == 1)
        fuzz_frames(input, piece);
    else
        fuzz_damage(input, piece);
    return 0;
}
