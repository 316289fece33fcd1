/* A backup, chunk by chunk: first the log as it is, then keys and owners, then what the log tells
 * of meanwhile, with the keys and owners that it names, until there is nothing more. At that moment
 * all that was given out, later entries in place of earlier ones, is the store at one position. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/backup.h"
#include "daemon/keys_internal.h"

/* A few milliseconds of the thread that revokes keys. */
#define CHUNK_BYTES ((size_t)256 << 10)

/* What is looked at for one chunk: as many ordinary keys as it holds. */
#define LOOK_MAX 2048u

/* The same of keys, which are looked up in the table, the usage area and the store's usage too. */
#define LOOK_KEYS_MAX 1024u

/* A chunk is full when less than this is left of it: a change, and the key, with its usage, and the
 * owner that it names. */
#define ENTRIES_BYTES_MAX (CHANGE_ENCODED_MAX + 2 * RECORD_ENCODED_MAX + TOTAL_ENCODED_MAX + 64)

/* "o:", two numbers, and an owner's name in hex. */
#define CURSOR_SIZE (2 * RECORD_TEXT_MAX + 64)

enum phase { PHASE_LOG = 'l', PHASE_KEYS = 'k', PHASE_OWNERS = 'o', PHASE_CHANGES = 'c' };

struct chunk {
    struct keys *keys;
    struct op *op;
    unsigned char *bytes;
    size_t len;
    /* The cursor. */
    char phase;
    struct store_position at; /* of the log: what was given out */
    uint64_t last_id;
    char owner[RECORD_TEXT_MAX]; /* the last */
    uint32_t owner_len;
    bool stopped; /* for want of room */
};

static unsigned char *entry_room(struct chunk *chunk)
{
    return chunk->bytes + chunk->len + BACKUP_ENTRY_HEAD_BYTES;
}

static void entry_end(struct chunk *chunk, enum backup_type type, size_t len)
{
    backup_head_write(type, len, chunk->bytes + chunk->len);
    chunk->len += BACKUP_ENTRY_HEAD_BYTES + len;
}

static bool is_full(struct chunk *chunk)
{
    chunk->stopped = chunk->len >= CHUNK_BYTES;
    return chunk->stopped;
}

static int no_encoding(struct chunk *chunk)
{
    return error_set(&chunk->op->error, CATLATCH_E_DATA,
                     "a record of the store cannot be written to a backup");
}

static int put_key(struct chunk *chunk, const struct record *record)
{
    size_t len = 0;

    if (record_encode(record, entry_room(chunk), RECORD_ENCODED_MAX, &len) != 0)
        return no_encoding(chunk);
    entry_end(chunk, BACKUP_KEY, len);
    return 0;
}

/* What the area has counted and nobody swept yet is in it. Of a purged key there is what its
 * successors may still use, and nothing else. */
static int put_usage(struct chunk *chunk, const struct record *record)
{
    struct total total;
    unsigned char *bytes = entry_room(chunk);
    uint64_t id = htole64(record->id);

    int r = keys_counted(chunk->keys, record, &total, &chunk->op->error);
    if (r != 0)
        return r;
    if (record->purged)
        total_forget(&total);
    if (total_is_empty(&total))
        return 0;
    memcpy(bytes, &id, sizeof id);
    entry_end(chunk, BACKUP_USAGE, sizeof id + total_encode(&total, bytes + sizeof id));
    return 0;
}

static int put_key_and_usage(struct chunk *chunk, const struct record *record)
{
    int r = put_key(chunk, record);
    return r == 0 ? put_usage(chunk, record) : r;
}

static int put_owner(struct chunk *chunk, const struct record_owner *owner)
{
    size_t len = 0;

    if (record_owner_encode(owner, entry_room(chunk), RECORD_ENCODED_MAX, &len) != 0)
        return no_encoding(chunk);
    entry_end(chunk, BACKUP_OWNER, len);
    return 0;
}

static int take_logged(void *context, const struct change *change, const void *bytes, size_t len)
{
    struct chunk *chunk = context;

    (void)change;
    memcpy(entry_room(chunk), bytes, len);
    entry_end(chunk, BACKUP_CHANGE, len);
    return is_full(chunk);
}

static int take_key(void *context, const struct record *record)
{
    struct chunk *chunk = context;
    int r = put_key_and_usage(chunk, record);

    return r != 0 ? r : is_full(chunk);
}

static int take_owner(void *context, const struct record_owner *owner)
{
    struct chunk *chunk = context;

    memcpy(chunk->owner, owner->name.bytes, owner->name.len);
    chunk->owner_len = owner->name.len;
    int r = put_owner(chunk, owner);
    return r != 0 ? r : is_full(chunk);
}

/* The key as it is now, which may be later than the change: then a later one names it again. */
static int take_named_key(struct chunk *chunk, uint64_t id)
{
    struct record record;
    struct keys *keys = chunk->keys;
    struct error *error = &chunk->op->error;

    int r = store_key(keys->store, NULL, id, &keys->buffer, &record, error);
    if (r == 0)
        return put_key_and_usage(chunk, &record);
    if (r != CATLATCH_E_NOT_FOUND)
        return r;
    *error = (struct error){0};
    id = htole64(id);
    memcpy(entry_room(chunk), &id, sizeof id);
    entry_end(chunk, BACKUP_GONE, sizeof id);
    return 0;
}

static int take_named_owner(struct chunk *chunk, struct text name)
{
    struct record_owner owner;
    struct keys *keys = chunk->keys;
    struct error *error = &chunk->op->error;

    int r = store_owner(keys->store, NULL, name, &keys->buffer, &owner, error);
    if (r == CATLATCH_E_NOT_FOUND) {
        *error = (struct error){0};
        return 0;
    }
    return r == 0 ? put_owner(chunk, &owner) : r;
}

static int take_change(void *context, const struct change *change, const void *bytes, size_t len)
{
    struct chunk *chunk = context;
    int r = 0;

    (void)take_logged(chunk, change, bytes, len);
    if (change->key_id != 0)
        r = take_named_key(chunk, change->key_id);
    if (r == 0 && change->owner.len > 0)
        r = take_named_owner(chunk, change->owner);
    return r != 0 ? r : is_full(chunk);
}

static void begin(struct chunk *chunk)
{
    struct store *store = chunk->keys->store;
    struct store_identity identity;
    struct backup_begin begin = {
        .time_unix_ms = chunk->keys->now_unix_ms,
        .epoch = store_epoch(store),
        .sequence = store_sequence(store),
        .version = CATLATCH_VERSION,
    };

    if (store_identity(store, &identity, &chunk->op->error) != 0)
        return;
    memcpy(begin.identity, identity.bytes, sizeof begin.identity);
    struct store_position start = store_log_start(store);
    struct digest chain = store_log_start_chain(store);
    begin.log_epoch = start.epoch;
    begin.log_sequence = start.sequence;
    memcpy(begin.log_chain, &chain, sizeof begin.log_chain);
    if (gethostname(begin.host, sizeof begin.host - 1) != 0)
        begin.host[0] = '\0';
    chunk->len = backup_begin_write(&begin, chunk->bytes);
}

static bool is_at_end(const struct chunk *chunk)
{
    const struct store *store = chunk->keys->store;

    return chunk->at.epoch == store_epoch(store) && chunk->at.sequence == store_sequence(store);
}

static void end(struct chunk *chunk)
{
    const struct store *store = chunk->keys->store;
    struct backup_position position = {
        .epoch = store_epoch(store),
        .sequence = store_sequence(store),
        .time_unix_ms = chunk->keys->now_unix_ms,
    };

    backup_position_write(&position, chunk->bytes + chunk->len);
    chunk->len += BACKUP_ENTRY_HEAD_BYTES + BACKUP_POSITION_BYTES;
    chunk->op->at_end = true;
}

/* One walk; what comes to its end goes on with the next phase. */
static int step(struct chunk *chunk)
{
    struct store *store = chunk->keys->store;
    struct error *error = &chunk->op->error;
    uint64_t last_id = chunk->last_id;
    uint32_t owner_len = chunk->owner_len;
    struct store_position at = chunk->at;
    char owner[RECORD_TEXT_MAX];
    int r = 0;

    memcpy(owner, chunk->owner, owner_len);
    switch ((enum phase)chunk->phase) {
    case PHASE_LOG:
        r = store_change_entries(store, &chunk->at, LOOK_MAX, take_logged, chunk, error);
        if (r == 0 && at.epoch == chunk->at.epoch && at.sequence == chunk->at.sequence)
            chunk->phase = PHASE_KEYS;
        break;
    case PHASE_KEYS:
        r = store_scan(store, last_id, LOOK_KEYS_MAX, take_key, chunk, &chunk->last_id, error);
        if (r == 0 && chunk->last_id == last_id)
            chunk->phase = PHASE_OWNERS;
        break;
    case PHASE_OWNERS:
        r = store_owners(store, (struct text){owner, owner_len}, LOOK_MAX, take_owner, chunk,
                         error);
        if (r == 0 && owner_len == chunk->owner_len && memcmp(owner, chunk->owner, owner_len) == 0)
            chunk->phase = PHASE_CHANGES;
        break;
    case PHASE_CHANGES:
        r = store_change_entries(store, &chunk->at, LOOK_MAX, take_change, chunk, error);
        if (r == 0 && (is_at_end(chunk) || store_sequence(store) == 0))
            end(chunk);
        break;
    }
    return r;
}

static bool from_hex(const char *hex, struct chunk *chunk)
{
    unsigned value;

    for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        if (chunk->owner_len == sizeof chunk->owner || sscanf(hex, "%2x", &value) != 1)
            return false;
        chunk->owner[chunk->owner_len++] = (char)value;
    }
    return hex[0] == '\0';
}

/* "<phase>:<epoch>:<sequence>:<what>", what: the last id, or the last owner in hex. */
static int cursor_read(struct chunk *chunk)
{
    struct op *op = chunk->op;
    char text[CURSOR_SIZE], what[CURSOR_SIZE] = "";
    int fields = 0;

    chunk->phase = PHASE_LOG;
    if (op->cursor.len == 0)
        return 0;
    if (op->cursor.len < sizeof text) {
        memcpy(text, op->cursor.bytes, op->cursor.len);
        text[op->cursor.len] = '\0';
        fields = sscanf(text, "%c:%" SCNu64 ":%" SCNu64 ":%573s", &chunk->phase, &chunk->at.epoch,
                        &chunk->at.sequence, what);
    }
    if (fields < 3 || strchr("lkoc", chunk->phase) == NULL ||
        (chunk->phase == PHASE_KEYS && sscanf(what, "%" SCNu64, &chunk->last_id) != 1) ||
        (chunk->phase == PHASE_OWNERS && !from_hex(what, chunk)))
        return error_set(&op->error, CATLATCH_E_DATA, "CURSOR is none that BACKUP returned");
    return 0;
}

/* What was removed from the log before it was given out would be missing in the middle of it. */
static int check_pruned(const struct chunk *chunk)
{
    struct store_position start = store_log_start(chunk->keys->store);

    if (chunk->at.epoch > start.epoch ||
        (chunk->at.epoch == start.epoch && chunk->at.sequence >= start.sequence))
        return 0;
    return error_set(&chunk->op->error, CATLATCH_E_UNAVAILABLE,
                     "old changes were removed from the log meanwhile; begin the backup again");
}

static int cursor_write(const struct chunk *chunk)
{
    char text[CURSOR_SIZE];
    int len = snprintf(text, sizeof text, "%c:%" PRIu64 ":%" PRIu64 ":", chunk->phase,
                       chunk->at.epoch, chunk->at.sequence);

    if (chunk->phase == PHASE_KEYS)
        len += snprintf(text + len, sizeof text - (size_t)len, "%" PRIu64, chunk->last_id);
    for (uint32_t i = 0; chunk->phase == PHASE_OWNERS && i < chunk->owner_len; i++)
        len +=
            snprintf(text + len, sizeof text - (size_t)len, "%02x", (unsigned char)chunk->owner[i]);
    return op_text(chunk->op, text, (size_t)len, &chunk->op->next_cursor);
}

int keys_backup(struct keys *keys, struct op *op)
{
    struct chunk chunk = {.keys = keys, .op = op};
    int r = cursor_read(&chunk);

    if (r != 0)
        return r;
    chunk.bytes = op_alloc(op, CHUNK_BYTES + ENTRIES_BYTES_MAX);
    if (chunk.bytes == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "out of memory for a backup");
    if (op->cursor.len == 0)
        begin(&chunk);
    else
        check_pruned(&chunk);
    r = op->error.code;
    if (r == 0)
        r = step(&chunk);
    if (r == 0 && !op->at_end && cursor_write(&chunk) != 0)
        r = error_set(&op->error, CATLATCH_E_MEMORY, "out of memory for a backup");
    op->data = (struct text){(const char *)chunk.bytes, (uint32_t)chunk.len};
    return r;
}

void keys_backup_done(struct keys *keys, struct op *op)
{
    struct store *store = keys->store;

    op->error = (struct error){0};
    if (op->after.epoch != store_epoch(store) || op->after.sequence > store_sequence(store)) {
        error_set(&op->error, CATLATCH_E_DATA,
                  "the position is none that a BACKUP of this store ended at");
        return;
    }
    int r = store_set_backup_time(store, keys->now_unix_ms / 1000, &op->error);
    if (r != 0)
        op->error.code = r;
}
