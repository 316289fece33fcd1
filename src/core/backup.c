#include "core/backup.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/text.h"

/* As PNG's: a transfer that strips the eighth bit or changes ends of lines breaks it. */
static const unsigned char magic[8] = {0x89, 'C', 'L', 'B', '\r', '\n', 0x1A, '\n'};

/* Holds the largest entry, and enough small ones that reading is cheap. */
#define BUFFER_BYTES ((size_t)1 << 20)

#define BEGIN_FIXED_BYTES (BACKUP_IDENTITY_BYTES + 72u)

static unsigned char *put_u16(unsigned char *at, size_t value)
{
    uint16_t little = htole16((uint16_t)value);
    memcpy(at, &little, sizeof little);
    return at + sizeof little;
}

static unsigned char *put_u32(unsigned char *at, size_t value)
{
    uint32_t little = htole32((uint32_t)value);
    memcpy(at, &little, sizeof little);
    return at + sizeof little;
}

static unsigned char *put_u64(unsigned char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
    return at + sizeof value;
}

static unsigned char *put_name(unsigned char *at, const char *name)
{
    size_t len = strnlen(name, BACKUP_NAME_MAX);
    at = put_u16(at, len);
    memcpy(at, name, len);
    return at + len;
}

static size_t get_u16(const unsigned char *at)
{
    uint16_t little;
    memcpy(&little, at, sizeof little);
    return le16toh(little);
}

static uint32_t get_u32(const unsigned char *at)
{
    uint32_t little;
    memcpy(&little, at, sizeof little);
    return le32toh(little);
}

static uint64_t get_u64(const unsigned char *at)
{
    uint64_t little;
    memcpy(&little, at, sizeof little);
    return le64toh(little);
}

void backup_head_write(enum backup_type type, size_t len,
                       unsigned char ret[BACKUP_ENTRY_HEAD_BYTES])
{
    ret[0] = (unsigned char)type;
    put_u32(ret + 1, len);
}

size_t backup_begin_write(const struct backup_begin *begin, unsigned char ret[BACKUP_BEGIN_MAX])
{
    unsigned char *entry = ret + BACKUP_HEAD_BYTES, *at = entry + BACKUP_ENTRY_HEAD_BYTES;

    memcpy(ret, magic, sizeof magic);
    put_u32(ret + sizeof magic, BACKUP_VERSION);
    memcpy(at, begin->identity, BACKUP_IDENTITY_BYTES);
    at = put_u64(at + BACKUP_IDENTITY_BYTES, (uint64_t)begin->time_unix_ms);
    at = put_u64(at, begin->epoch);
    at = put_u64(at, begin->sequence);
    at = put_u64(at, begin->log_epoch);
    at = put_u64(at, begin->log_sequence);
    memcpy(at, begin->log_chain, sizeof begin->log_chain);
    at += sizeof begin->log_chain;
    at = put_name(at, begin->host);
    at = put_name(at, begin->version);
    backup_head_write(BACKUP_BEGIN, (size_t)(at - entry) - BACKUP_ENTRY_HEAD_BYTES, entry);
    return (size_t)(at - ret);
}

void backup_position_write(const struct backup_position *position,
                           unsigned char ret[BACKUP_ENTRY_HEAD_BYTES + BACKUP_POSITION_BYTES])
{
    unsigned char *at = ret + BACKUP_ENTRY_HEAD_BYTES;

    backup_head_write(BACKUP_POSITION, BACKUP_POSITION_BYTES, ret);
    at = put_u64(at, position->epoch);
    at = put_u64(at, position->sequence);
    put_u64(at, (uint64_t)position->time_unix_ms);
}

void backup_tally_start(struct backup_tally *tally)
{
    *tally = (struct backup_tally){.begun = false};
    SHA256_Init(&tally->hash);
}

static int damaged(struct error *error)
{
    return error_set(error, CATLATCH_E_DATA, "the backup is damaged");
}

static int check_head(const unsigned char *bytes, size_t len, uint32_t *ret_version,
                      struct error *error)
{
    if (len < BACKUP_HEAD_BYTES || memcmp(bytes, magic, sizeof magic) != 0)
        return error_set(error, CATLATCH_E_DATA, "this is no backup of catlatch");
    uint32_t version = get_u32(bytes + sizeof magic);
    *ret_version = version;
    if (version == BACKUP_VERSION || version == BACKUP_VERSION_1)
        return 0;
    return error_set(error, version > BACKUP_VERSION ? CATLATCH_E_VERSION : CATLATCH_E_DATA,
                     version > BACKUP_VERSION
                         ? "the backup was made by a newer catlatch (backup format %u, this one "
                           "knows %u)"
                         : "the backup is damaged (backup format %u; this one knows %u)",
                     version, BACKUP_VERSION);
}

static const unsigned char *take_name(const unsigned char *at, const unsigned char *end,
                                      char ret_name[BACKUP_NAME_MAX + 1])
{
    if (at == NULL || end - at < 2)
        return NULL;
    size_t len = get_u16(at);
    at += 2;
    if (len > BACKUP_NAME_MAX || len > (size_t)(end - at) ||
        !text_is_printable_utf8((const char *)at, len))
        return NULL;
    memcpy(ret_name, at, len);
    ret_name[len] = '\0';
    return at + len;
}

static bool take_begin(struct backup_begin *begin, const unsigned char *at, size_t len)
{
    const unsigned char *end = at + len;

    if (len < BEGIN_FIXED_BYTES)
        return false;
    memcpy(begin->identity, at, BACKUP_IDENTITY_BYTES);
    at += BACKUP_IDENTITY_BYTES;
    begin->time_unix_ms = (int64_t)get_u64(at);
    begin->epoch = get_u64(at + 8);
    begin->sequence = get_u64(at + 16);
    begin->log_epoch = get_u64(at + 24);
    begin->log_sequence = get_u64(at + 32);
    memcpy(begin->log_chain, at + 40, sizeof begin->log_chain);
    at = take_name(at + 72, end, begin->host);
    return take_name(at, end, begin->version) == end && begin->epoch > 0;
}

static bool take_position(struct backup_position *position, const unsigned char *at, size_t len)
{
    if (len != BACKUP_POSITION_BYTES)
        return false;
    position->epoch = get_u64(at);
    position->sequence = get_u64(at + 8);
    position->time_unix_ms = (int64_t)get_u64(at + 16);
    return position->epoch > 0;
}

/* One entry: BEGIN is the first, POSITION the last. */
static bool take_entry(struct backup_tally *tally, unsigned type, const unsigned char *bytes,
                       size_t len)
{
    bool after_key = tally->after_key;

    if (tally->position.epoch != 0 || tally->begun == (type == BACKUP_BEGIN))
        return false;
    tally->after_key = type == BACKUP_KEY;
    switch (type) {
    case BACKUP_BEGIN:
        tally->begun = take_begin(&tally->begin, bytes, len);
        return tally->begun;
    case BACKUP_KEY:
        tally->keys++;
        return true;
    case BACKUP_USAGE:
        return after_key && tally->version > BACKUP_VERSION_1 && len > BACKUP_USAGE_ID_BYTES;
    case BACKUP_OWNER:
        tally->owners++;
        return true;
    case BACKUP_CHANGE:
        tally->changes++;
        return true;
    case BACKUP_GONE:
        return len == BACKUP_GONE_BYTES;
    case BACKUP_POSITION:
        return take_position(&tally->position, bytes, len);
    default:
        return false;
    }
}

int backup_tally_add(struct backup_tally *tally, const void *bytes, size_t len, struct error *error)
{
    const unsigned char *at = bytes, *end = at + len;

    if (tally->bytes == 0) {
        int r = check_head(at, len, &tally->version, error);
        if (r != 0)
            return r;
        at += BACKUP_HEAD_BYTES;
    }
    while (at < end) {
        if ((size_t)(end - at) < BACKUP_ENTRY_HEAD_BYTES)
            return damaged(error);
        unsigned type = at[0];
        size_t entry_len = get_u32(at + 1);
        at += BACKUP_ENTRY_HEAD_BYTES;
        if (entry_len > BACKUP_ENTRY_MAX || entry_len > (size_t)(end - at) ||
            !take_entry(tally, type, at, entry_len))
            return damaged(error);
        at += entry_len;
    }
    SHA256_Update(&tally->hash, bytes, len);
    tally->bytes += len;
    return 0;
}

int backup_trailer(struct backup_tally *tally, unsigned char ret[BACKUP_TRAILER_BYTES],
                   struct error *error)
{
    unsigned char *at = ret + BACKUP_ENTRY_HEAD_BYTES;

    if (tally->position.epoch == 0)
        return damaged(error);
    backup_head_write(BACKUP_END, BACKUP_END_BYTES, ret);
    at = put_u64(at, tally->keys);
    at = put_u64(at, tally->owners);
    at = put_u64(at, tally->changes);
    SHA256_Update(&tally->hash, ret, (size_t)(at - ret));
    SHA256_Final(at, &tally->hash);
    tally->bytes += BACKUP_TRAILER_BYTES;
    return 0;
}

int backup_reader_open(struct backup_reader *reader, int fd, struct error *error)
{
    *reader = (struct backup_reader){.fd = fd, .buffer = malloc(BUFFER_BYTES)};
    backup_tally_start(&reader->tally);
    if (reader->buffer == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for reading a backup");
    return 0;
}

void backup_reader_close(struct backup_reader *reader)
{
    free(reader->buffer);
    reader->buffer = NULL;
}

/* Sees to it that `wanted` bytes are there. False: the file has fewer. */
static int fill(struct backup_reader *reader, size_t wanted, bool *ret_there, struct error *error)
{
    if (reader->end - reader->at < wanted && reader->at > 0) {
        memmove(reader->buffer, reader->buffer + reader->at, reader->end - reader->at);
        reader->end -= reader->at;
        reader->at = 0;
    }
    while (reader->end - reader->at < wanted && !reader->ended) {
        ssize_t got = read(reader->fd, reader->buffer + reader->end, BUFFER_BYTES - reader->end);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set(error, CATLATCH_E_IO, "the backup cannot be read: %s",
                             strerror(errno));
        reader->ended = got == 0;
        reader->end += (size_t)got;
    }
    *ret_there = reader->end - reader->at >= wanted;
    return 0;
}

static int cut_short(struct error *error)
{
    return error_set(error, CATLATCH_E_DATA, "the backup is cut short");
}

static int check_end(struct backup_reader *reader, const unsigned char *entry, size_t len,
                     struct error *error)
{
    unsigned char own[BACKUP_TRAILER_BYTES];
    bool more = false;

    if (backup_trailer(&reader->tally, own, error) != 0 || len != BACKUP_END_BYTES ||
        memcmp(entry, own, sizeof own) != 0)
        return damaged(error);
    reader->at += sizeof own;
    int r = fill(reader, 1, &more, error);
    if (r != 0)
        return r;
    return more ? error_set(error, CATLATCH_E_DATA, "the backup has something behind its end") : 0;
}

/* The head goes with the first entry, so that the tally sees whole ones. */
static int first_head(struct backup_reader *reader, size_t *ret_before, struct error *error)
{
    bool there = false;

    *ret_before = 0;
    if (reader->tally.bytes > 0)
        return 0;
    int r = fill(reader, BACKUP_HEAD_BYTES, &there, error);
    if (r == 0)
        r = check_head(reader->buffer + reader->at, reader->end - reader->at,
                       &reader->tally.version, error);
    *ret_before = BACKUP_HEAD_BYTES;
    return r;
}

int backup_next(struct backup_reader *reader, struct backup_entry *ret_entry, struct error *error)
{
    bool there = false;
    size_t before;

    for (;;) {
        int r = first_head(reader, &before, error);
        if (r == 0)
            r = fill(reader, before + BACKUP_ENTRY_HEAD_BYTES, &there, error);
        if (r != 0)
            return r;
        if (!there)
            return cut_short(error);
        const unsigned char *head = reader->buffer + reader->at + before;
        size_t len = get_u32(head + 1);
        if (len > BACKUP_ENTRY_MAX)
            return damaged(error);
        r = fill(reader, before + BACKUP_ENTRY_HEAD_BYTES + len, &there, error);
        if (r != 0)
            return r;
        if (!there)
            return cut_short(error);
        head = reader->buffer + reader->at + before;
        unsigned type = head[0];
        if (type == BACKUP_END)
            return check_end(reader, head, len, error);
        r = backup_tally_add(&reader->tally, reader->buffer + reader->at,
                             before + BACKUP_ENTRY_HEAD_BYTES + len, error);
        if (r != 0)
            return r;
        reader->at += before + BACKUP_ENTRY_HEAD_BYTES + len;
        if (type == BACKUP_BEGIN || type == BACKUP_POSITION)
            continue;
        *ret_entry = (struct backup_entry){
            .type = (enum backup_type)type,
            .bytes = head + BACKUP_ENTRY_HEAD_BYTES,
            .len = len,
        };
        return 1;
    }
}
