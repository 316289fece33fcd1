#include "import_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_SIZE ((size_t)1 << 20)

/* Frames begin at multiples of this, so that they can be read where they lie. */
#define FRAME_ALIGN 8u

static int no_memory(struct error *error)
{
    return error_set(error, CATLATCH_E_MEMORY, "out of memory");
}

static uint64_t mix(uint64_t key)
{
    key *= UINT64_C(0x9e3779b97f4a7c15);
    return key ^ key >> 29;
}

/* The entry of the key, or the free one where it goes. A slot's place is where looking begins. */
static struct import_entry *set_find(const struct import_set *set, uint64_t key, uint64_t *io_at)
{
    while (set->entries[*io_at].key != 0 && set->entries[*io_at].key != key)
        *io_at = (*io_at + 1) & (set->size - 1);
    return &set->entries[*io_at];
}

static void set_put(struct import_set *set, uint64_t key, uint64_t value)
{
    uint64_t at = mix(key) & (set->size - 1);

    while (set->entries[at].key != 0)
        at = (at + 1) & (set->size - 1);
    set->entries[at] = (struct import_entry){key, value};
    set->count++;
}

static int set_reserve(struct import_set *set, struct error *error)
{
    struct import_set larger = {.size = set->size > 0 ? 2 * set->size : 1024};

    if (set->size > 0 && set->count < set->size / 4 * 3)
        return 0;
    larger.entries = calloc(larger.size, sizeof *larger.entries);
    if (larger.entries == NULL)
        return no_memory(error);
    for (uint64_t i = 0; i < set->size; i++)
        if (set->entries[i].key != 0)
            set_put(&larger, set->entries[i].key, set->entries[i].value);
    free(set->entries);
    *set = larger;
    return 0;
}

static int folder_fail(const char *folder, struct error *error)
{
    error_errno(error, errno, "making a temporary file in %s (TMPDIR names another)", folder);
    return error->code == CATLATCH_E_NOT_FOUND ? (error->code = CATLATCH_E_IO) : error->code;
}

/* O_TMPFILE where the file system has it. */
static int file_make(int *ret_fd, struct error *error)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    int fd;

    if (folder == NULL || *folder == '\0')
        folder = "/var/tmp";
    fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        if (snprintf(path, sizeof path, "%s/catlatch-import.XXXXXX", folder) >= (int)sizeof path)
            return error_set(error, CATLATCH_E_IO, "TMPDIR is too long");
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            (void)unlink(path);
    }
    *ret_fd = fd;
    return fd >= 0 ? 0 : folder_fail(folder, error);
}

int import_spool_open(struct import_spool *ret_spool, struct error *error)
{
    struct import_spool spool = {.buffer = malloc(BUFFER_SIZE)};
    int code;

    if (spool.buffer == NULL)
        return no_memory(error);
    code = file_make(&spool.fd, error);
    if (code != 0) {
        free(spool.buffer);
        return code;
    }
    *ret_spool = spool;
    return 0;
}

static int spool_fail(struct error *error)
{
    return error_errno(error, errno,
                       "writing the temporary file (some 300 bytes a key; TMPDIR says where)");
}

static int spool_flush(struct import_spool *spool, struct error *error)
{
    size_t done = 0;

    while (done < spool->used) {
        ssize_t n = write(spool->fd, spool->buffer + done, spool->used - done);
        if (n < 0 && errno != EINTR)
            return spool_fail(error);
        if (n > 0)
            done += (size_t)n;
    }
    spool->written += spool->used;
    spool->used = 0;
    return 0;
}

/* The frame at this place, without its words. */
static int frame_at(const struct import_spool *spool, uint64_t offset,
                    struct import_frame *ret_frame, struct error *error)
{
    if (offset >= spool->written) {
        memcpy(ret_frame, spool->buffer + (offset - spool->written), sizeof *ret_frame);
        return 0;
    }
    if (pread(spool->fd, ret_frame, sizeof *ret_frame, (off_t)offset) == sizeof *ret_frame)
        return 0;
    return error_set(error, CATLATCH_E_IO, "reading the temporary file");
}

/* Whether the digest stood in an earlier line: all that begin like it are looked at. */
static int digest_check(const struct import_spool *spool, const struct digest *digest, uint64_t key,
                        struct error *error)
{
    uint64_t at = mix(key) & (spool->digests.size - 1);
    struct import_frame frame;
    const struct import_entry *entry;

    while ((entry = set_find(&spool->digests, key, &at))->key != 0) {
        int code = frame_at(spool, entry->value - 1, &frame, error);
        if (code != 0)
            return code;
        if (digest_equal(&frame.digest, digest))
            return error_set(error, CATLATCH_E_DATA, "the key of line %" PRIu64 " again",
                             frame.line);
        at = (at + 1) & (spool->digests.size - 1);
    }
    return 0;
}

static int double_check(struct import_spool *spool, const struct import_line *line, uint64_t key,
                        struct error *error)
{
    uint64_t at;
    int code = set_reserve(&spool->digests, error);

    if (code == 0 && line->id != 0)
        code = set_reserve(&spool->ids, error);
    if (code == 0)
        code = digest_check(spool, &line->digest, key, error);
    if (code != 0 || line->id == 0)
        return code;
    at = mix(line->id) & (spool->ids.size - 1);
    if (set_find(&spool->ids, line->id, &at)->key != 0)
        return error_set(error, CATLATCH_E_DATA, "the id of line %" PRIu64 " again",
                         spool->ids.entries[at].value);
    return 0;
}

int import_spool_add(struct import_spool *spool, const struct import_line *line, uint64_t number,
                     struct error *error)
{
    struct import_frame frame = {
        .line = number,
        .word_count = (uint32_t)line->word_count,
        .len = (uint32_t)line->len,
        .digest = line->digest,
        .is_owner = line->is_owner,
    };
    size_t room = (sizeof frame + line->len + FRAME_ALIGN - 1) / FRAME_ALIGN * FRAME_ALIGN;
    uint64_t key = line->digest.word[0] != 0 ? line->digest.word[0] : 1;
    int code = 0;

    if (!line->is_owner)
        code = double_check(spool, line, key, error);
    if (code == 0 && room > BUFFER_SIZE - spool->used)
        code = spool_flush(spool, error);
    if (code != 0)
        return code;
    if (!line->is_owner) {
        set_put(&spool->digests, key, spool->written + spool->used + 1);
        if (line->id != 0)
            set_put(&spool->ids, line->id, number);
    }
    memcpy(spool->buffer + spool->used, &frame, sizeof frame);
    memcpy(spool->buffer + spool->used + sizeof frame, line->words, line->len);
    memset(spool->buffer + spool->used + sizeof frame + line->len, 0,
           room - sizeof frame - line->len);
    spool->used += room;
    spool->key_count += !line->is_owner;
    spool->owner_count += line->is_owner;
    return 0;
}

int import_spool_end(struct import_spool *spool, struct error *error)
{
    free(spool->digests.entries);
    free(spool->ids.entries);
    spool->digests = spool->ids = (struct import_set){.entries = NULL};
    return spool_flush(spool, error);
}

void import_spool_close(struct import_spool *spool)
{
    free(spool->digests.entries);
    free(spool->ids.entries);
    free(spool->buffer);
    if (spool->fd > STDERR_FILENO)
        close(spool->fd);
    *spool = (struct import_spool){.fd = -1};
}

int import_reader_open(const struct import_spool *spool, struct import_reader *ret_reader,
                       struct error *error)
{
    *ret_reader = (struct import_reader){.spool = spool, .buffer = malloc(BUFFER_SIZE)};
    return ret_reader->buffer != NULL ? 0 : no_memory(error);
}

/* True when the next frame lies whole in the buffer. */
static bool has_frame(const struct import_reader *reader, size_t *ret_room)
{
    const struct import_frame *frame = (const void *)(reader->buffer + reader->at);

    if (reader->end - reader->at < sizeof *frame)
        return false;
    *ret_room = (sizeof *frame + frame->len + FRAME_ALIGN - 1) / FRAME_ALIGN * FRAME_ALIGN;
    return reader->end - reader->at >= *ret_room;
}

int import_reader_next(struct import_reader *reader, const struct import_frame **ret_frame,
                       struct error *error)
{
    size_t room;
    ssize_t n;

    *ret_frame = NULL;
    if (reader->offset == reader->spool->written)
        return 0;
    if (!has_frame(reader, &room)) {
        do
            n = pread(reader->spool->fd, reader->buffer, BUFFER_SIZE, (off_t)reader->offset);
        while (n < 0 && errno == EINTR);
        reader->at = 0;
        reader->end = n > 0 ? (size_t)n : 0;
        if (!has_frame(reader, &room))
            return error_set(error, CATLATCH_E_IO, "reading the temporary file");
    }
    *ret_frame = (const void *)(reader->buffer + reader->at);
    reader->at += room;
    reader->offset += room;
    return 0;
}

void import_reader_close(struct import_reader *reader)
{
    free(reader->buffer);
    reader->buffer = NULL;
}
