/*
 * What a backup says, read into a store by daemon/restore_build.c: the frames and the checksum are
 * always right, so that all is about what is in them. The input says which keys, owners, changes
 * and gone keys there are, and which of their bytes are others than they should be.
 *
 * The store is a model in here, in the place of daemon/store_build.h's: what arrives there is what
 * stood in the backup, within the bounds of a store, of environments that are configured, with
 * changes in order. A backup whose bytes are as they were made is taken if, and only if, what it
 * says may be.
 */
#include <endian.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/restore.h"
#include "daemon/store_build.h"
#include "input.h"
#include "lib_import.h"

/* More are more of the same. */
#define ENTRIES_MAX 64u

/* What the model's build says at its end, so that nobody looks for the store that it made. */
#define ALL_TAKEN CATLATCH_E_UNAVAILABLE

/* A sum of entries and their order. */
static uint64_t mix(uint64_t sum, unsigned type, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ at[i]) * UINT64_C(0x100000001b3);
    return (sum ^ type) * 31 + len;
}

/* The store. */

struct store_build {
    uint64_t sum;
    size_t writes;
    uint64_t last_epoch, last_sequence;
    uint64_t last_key;
    uint64_t epoch; /* when it was finished */
};

static struct {
    struct store_build build;
    unsigned begun, dropped, finished;
    size_t fails_at; /* this write has no room; 0: none */
} model;

static int write_down(struct store_build *build, unsigned type, const void *bytes, size_t len,
                      struct error *error)
{
    CHECK(build == &model.build && model.dropped + model.finished == 0);
    build->sum = mix(build->sum, type, bytes, len);
    if (++build->writes == model.fails_at)
        return error_set(error, CATLATCH_E_FULL, "no room");
    return 0;
}

int store_build_begin(const char *directory, struct store_build **ret_build, struct error *error)
{
    (void)directory;
    (void)error;
    model.begun++;
    model.build = (struct store_build){.sum = 0};
    *ret_build = &model.build;
    return 0;
}

int store_build_key(struct store_build *build, const struct record *record, struct error *error)
{
    static unsigned char bytes[RECORD_ENCODED_MAX];
    const struct key_environments *known = import_environments();
    size_t len = 0;

    CHECK(record_encode(record, bytes, sizeof bytes, &len) == 0);
    CHECK(record->id != 0);
    if (!record->purged && record->environment.len > 0) {
        const struct key_environment *environment =
            key_environment_named(known, record->environment.bytes, record->environment.len);
        CHECK(environment != NULL && text_is(record->environment_prefix, environment->prefix));
    }
    build->last_key = record->id;
    return write_down(build, BACKUP_KEY, bytes, len, error);
}

int store_build_usage(struct store_build *build, uint64_t id, const struct total *total,
                      struct error *error)
{
    unsigned char bytes[8 + TOTAL_ENCODED_MAX];

    CHECK(id == build->last_key && total->used.count <= INT64_MAX);
    CHECK(total->refused.count <= INT64_MAX && total->used.last_unix_s >= 0);
    id = htole64(id);
    memcpy(bytes, &id, sizeof id);
    return write_down(build, BACKUP_USAGE, bytes, 8 + total_encode(total, bytes + 8), error);
}

int store_build_gone(struct store_build *build, uint64_t id, struct error *error)
{
    id = htole64(id);
    return write_down(build, BACKUP_GONE, &id, sizeof id, error);
}

int store_build_owner(struct store_build *build, const struct record_owner *owner,
                      struct error *error)
{
    unsigned char bytes[512];
    size_t len = 0;

    CHECK(record_owner_encode(owner, bytes, sizeof bytes, &len) == 0);
    return write_down(build, BACKUP_OWNER, bytes, len, error);
}

int store_build_change(struct store_build *build, const struct change *change, const void *bytes,
                       size_t len, struct error *error)
{
    static unsigned char again[CHANGE_ENCODED_MAX];
    struct change copy = *change;
    size_t again_len = 0;

    CHECK(change->epoch > build->last_epoch ||
          (change->epoch == build->last_epoch && change->sequence > build->last_sequence));
    build->last_epoch = change->epoch;
    build->last_sequence = change->sequence;
    CHECK(change_encode(&copy, again, sizeof again, &again_len) == 0 && again_len == len);
    CHECK(memcmp(again, bytes, len - DIGEST_BYTES) == 0);
    return write_down(build, BACKUP_CHANGE, bytes, len, error);
}

void store_build_log_start(struct store_build *build, struct store_position at,
                           const struct digest *chain)
{
    (void)build;
    CHECK(at.epoch == 5 && at.sequence == 6 && chain->word[0] == 0);
}

int store_build_finish(struct store_build *build, uint64_t epoch,
                       const struct store_identity *identity, bool (*go_on)(void *context),
                       void *context, struct store_build_digest **ret_digests, size_t *ret_count,
                       struct error *error)
{
    (void)ret_digests;
    (void)ret_count;
    CHECK(go_on(context) && identity->bytes[0] == 'i');
    CHECK(build->last_epoch == 0 || build->last_epoch == epoch);
    build->epoch = epoch;
    model.finished++;
    return error_set(error, ALL_TAKEN, "all was taken");
}

void store_build_drop(struct store_build *build)
{
    CHECK(build == &model.build);
    model.dropped++;
}

/* The backup. */

struct backup {
    int fd;
    struct backup_tally tally;
    uint64_t sum; /* of what a store is to get */
    bool good;    /* it is to be taken, */
    bool bent;    /* unless nobody can tell */
    bool older;   /* a key as an older version wrote it, which is written as this one does */
    uint64_t epoch, sequence;
};

static void put(struct backup *backup, const void *bytes, size_t len)
{
    struct error error;

    CHECK(backup_tally_add(&backup->tally, bytes, len, &error) == 0);
    CHECK(write(backup->fd, bytes, len) == (ssize_t)len);
}

/* Bends some of the bytes before they are put, if the input wants it. */
static void put_entry(struct backup *backup, enum backup_type type, const void *given, size_t len,
                      struct input *input)
{
    static unsigned char bytes[BACKUP_ENTRY_HEAD_BYTES + CHANGE_ENCODED_MAX];
    unsigned char *entry = bytes + BACKUP_ENTRY_HEAD_BYTES;
    unsigned bends = take(input);

    memcpy(entry, given, len);
    for (bends = bends < 200 ? 0 : bends % 5; bends > 0; bends--) {
        size_t at = take(input) % len;
        entry[at] = (unsigned char)take(input);
        if (at % 16 == 15)
            len -= len > 9;
        backup->bent |= type != BACKUP_GONE; /* any eight bytes are an id that may be gone */
    }
    backup->older |= type == BACKUP_KEY && entry[0] != RECORD_VERSION;
    backup->sum = mix(backup->sum, type, entry, len);
    backup_head_write(type, len, bytes);
    put(backup, bytes, BACKUP_ENTRY_HEAD_BYTES + len);
}

static void begin(struct backup *backup)
{
    struct backup_begin head = {.identity = "identity", .epoch = 5, .log_epoch = 5};
    unsigned char bytes[BACKUP_BEGIN_MAX];

    head.log_sequence = 6;
    CHECK(ftruncate(backup->fd, 0) == 0 && lseek(backup->fd, 0, SEEK_SET) == 0);
    backup_tally_start(&backup->tally);
    put(backup, bytes, backup_begin_write(&head, bytes));
}

static void end(struct backup *backup, bool bend)
{
    struct backup_position position = {.epoch = backup->epoch, .sequence = backup->sequence};
    unsigned char bytes[BACKUP_ENTRY_HEAD_BYTES + BACKUP_POSITION_BYTES];
    unsigned char trailer[BACKUP_TRAILER_BYTES];
    struct error error;

    if (position.epoch == 0)
        position.epoch = 5;
    else if (bend) {
        position.sequence++;
        backup->good = false;
    }
    backup_position_write(&position, bytes);
    put(backup, bytes, sizeof bytes);
    CHECK(backup_trailer(&backup->tally, trailer, &error) == 0);
    CHECK(write(backup->fd, trailer, sizeof trailer) == (ssize_t)sizeof trailer);
}

/* Behind its key, as it must be, and now and then another's. */
static void put_usage(struct backup *backup, uint64_t key_id, struct input *input)
{
    struct total total = {.area = "area", .ref = take(input)};
    unsigned flags = take(input);
    unsigned char bytes[8 + TOTAL_ENCODED_MAX];
    uint64_t id = htole64(key_id + (flags >= 250));

    if ((flags & 1) != 0)
        total.used = (struct total_event){.count = take(input), .seen = 3, .last_unix_s = 5};
    if ((flags & 2) != 0)
        total.refused = (struct total_event){
            .count = INT64_MAX, .last_unix_s = 7, .has_from = true, .from = {{1}}};
    backup->good &= flags < 250;
    memcpy(bytes, &id, sizeof id);
    put_entry(backup, BACKUP_USAGE, bytes, 8 + total_encode(&total, bytes + 8), input);
}

static void put_key(struct backup *backup, struct input *input)
{
    static const char *const environments[][2] = {
        {"live", "cc_live_"}, {"test", "cc_test_"}, {"", ""},
        {"live", "cc_test_"}, {"prod", "cc_live_"}, {"prod", "xx_"},
    };
    struct record record = {.id = 1 + take(input), .name = text_of("n"), .owner = text_of("o")};
    unsigned flags = take(input), environment = take(input) % 16 % 6;
    unsigned char bytes[1024];
    size_t len = 0;

    record.disabled = flags & 1;
    record.revoked = flags & 2;
    record.purged = (flags & 6) == 6;
    record.revoke_reason = flags & 2 ? RECORD_REASON_LEAKED : RECORD_REASON_NONE;
    record.environment = text_of(environments[environment][0]);
    record.environment_prefix = text_of(environments[environment][1]);
    record.scope_count = flags >> 4 & 1;
    record.scopes[0] = text_of("read");
    record.metadata_count = flags >> 5 & 1;
    record.metadata[0] = (struct record_pair){text_of("k"), text_of("v")};
    backup->good &= environment < 3 || record.purged;
    CHECK(record_encode(&record, bytes, sizeof bytes, &len) == 0);
    put_entry(backup, BACKUP_KEY, bytes, len, input);
    if ((flags & 0x40) != 0)
        put_usage(backup, record.id, input);
}

static void put_owner(struct backup *backup, struct input *input)
{
    struct record_owner owner = {.name = text_of("owner"), .suspended = take(input) & 1};
    unsigned char bytes[256];
    size_t len = 0;

    CHECK(record_owner_encode(&owner, bytes, sizeof bytes, &len) == 0);
    put_entry(backup, BACKUP_OWNER, bytes, len, input);
}

static void put_change(struct backup *backup, struct input *input)
{
    struct change_difference difference = {text_of("name"), text_of("a"), text_of("b")};
    struct change change = {.kind = (enum change_kind)(CHANGE_CREATED + take(input) % 11),
                            .owner = text_of("o"),
                            .difference_count = 1,
                            .differences = &difference};
    uint64_t epoch = backup->epoch, sequence = backup->sequence;
    unsigned step = take(input);
    unsigned char bytes[512];
    size_t len = 0;

    change.epoch = epoch + (step % 8 == 1) - (step % 8 == 2 && epoch > 0);
    change.epoch += change.epoch == 0;
    change.sequence = sequence + (step < 248) - (step >= 252 && sequence > 0);
    backup->good &= change.epoch > epoch || (change.epoch == epoch && change.sequence > sequence);
    backup->epoch = change.epoch;
    backup->sequence = change.sequence;
    CHECK(change_encode(&change, bytes, sizeof bytes, &len) == 0);
    put_entry(backup, BACKUP_CHANGE, bytes, len, input);
}

static void put_gone(struct backup *backup, struct input *input)
{
    unsigned char id[BACKUP_GONE_BYTES];

    take_bytes(input, id, sizeof id);
    put_entry(backup, BACKUP_GONE, id, sizeof id, input);
}

static int restore_from(int fd, struct error *error)
{
    const struct restore_options options = {
        .directory = "/", .run_dir = "/", .environments = import_environments()};
    struct restore *restore = NULL;

    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(restore_new(&options, &restore, error) == 0);
    int r = restore_build(restore, fd, error);
    restore_free(restore);
    return r;
}

static void check_outcome(const struct backup *backup, int r, const struct error *error)
{
    bool full = model.fails_at != 0 && model.build.writes >= model.fails_at;

    CHECK(model.begun == 1 && model.dropped + model.finished == 1);
    CHECK(model.finished == (r == ALL_TAKEN));
    CHECK(r == ALL_TAKEN || r == CATLATCH_E_DATA || r == CATLATCH_E_VERSION ||
          (r == CATLATCH_E_FULL && full));
    CHECK(r == error->code && error->text[0] != '\0');
    CHECK(full || backup->bent || (r == ALL_TAKEN) == backup->good);
    if (r == ALL_TAKEN)
        CHECK((backup->older || model.build.sum == backup->sum) && model.build.epoch != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct input input = {data, size};
    struct error error = {.code = 0};
    struct backup backup = {.good = true};
    unsigned full = take(&input), bend = take(&input);

    if (fd < 0)
        fd = memfd_create("backup", MFD_CLOEXEC);
    CHECK(fd >= 0);
    backup.fd = fd;
    memset(&model, 0, sizeof model);
    model.fails_at = full < 224 ? 0 : full - 223;
    begin(&backup);
    for (unsigned i = 0; i < ENTRIES_MAX && input.left > 0; i++) {
        static void (*const puts[])(struct backup *, struct input *) = {put_key, put_owner,
                                                                        put_change, put_gone};
        puts[take(&input) % 4](&backup, &input);
    }
    end(&backup, bend >= 200);
    check_outcome(&backup, restore_from(fd, &error), &error);
    return 0;
}
