#include "daemon/store_index.h"

#include <stdlib.h>

#include "daemon/store_internal.h"

#define TAG_EXPIRY 'x'
#define TAG_REVOKED 'r'
#define TIME_KEY_BYTES 17u

struct store_hash store_hash_of(struct text text)
{
    struct digest digest;
    struct store_hash hash;

    digest_of(text.bytes, text.len, &digest);
    memcpy(&hash, &digest, sizeof hash);
    return hash;
}

struct store_pair store_pair_of(const struct store_hash *hash, uint64_t id)
{
    struct store_pair pair = {.hash = *hash};

    store_pack(id, pair.id);
    return pair;
}

static size_t time_key(char tag, int64_t unix_s, uint64_t id, unsigned char *ret_key)
{
    ret_key[0] = (unsigned char)tag;
    store_pack((uint64_t)unix_s, ret_key + 1);
    store_pack(id, ret_key + 9);
    return TIME_KEY_BYTES;
}

size_t store_index_expiry_key(int64_t expires_unix_s, uint64_t id, unsigned char *ret_key)
{
    return time_key(TAG_EXPIRY, expires_unix_s, id, ret_key);
}

size_t store_index_revoked_key(int64_t revoked_unix_s, uint64_t id, unsigned char *ret_key)
{
    return time_key(TAG_REVOKED, revoked_unix_s, id, ret_key);
}

/* Room for one more. Doubles, so that filling costs a constant for each. */
static int make_room(void **io_array, size_t count, size_t *io_room, size_t element)
{
    size_t room = *io_room == 0 ? 1024 : 2 * *io_room;

    if (count < *io_room)
        return 0;
    void *array = reallocarray(*io_array, room, element);
    if (array == NULL)
        return CATLATCH_E_MEMORY;
    *io_array = array;
    *io_room = room;
    return 0;
}

static int note_time(struct store_index_batch *batch, char tag, int64_t unix_s, uint64_t id,
                     bool present)
{
    struct store_time_change change = {.order = (uint32_t)batch->time_count, .present = present};

    int r = make_room((void **)&batch->times, batch->time_count, &batch->time_room,
                      sizeof *batch->times);
    if (r != 0)
        return r;
    time_key(tag, unix_s, id, change.key);
    batch->times[batch->time_count++] = change;
    return 0;
}

struct text store_indexed_text(const struct record *record, enum store_index index)
{
    switch (index) {
    case STORE_BY_OWNER:
        return record->owner;
    case STORE_BY_PREFIX:
        return record->prefix;
    case STORE_BY_NAME:
        return record->name;
    }
    return (struct text){NULL, 0};
}

static int note_text(struct store_index_batch *batch, enum store_index index,
                     const struct record *record, bool present)
{
    if (record == NULL)
        return 0;
    struct text value = store_indexed_text(record, index);
    if (value.len > RECORD_TEXT_MAX ||
        (value.len > 0 && memchr(value.bytes, '\0', value.len) != NULL))
        return CATLATCH_E_DATA;
    int r = make_room((void **)&batch->texts, batch->text_count, &batch->text_room,
                      sizeof *batch->texts);
    if (r != 0)
        return r;
    struct store_hash hash = store_hash_of(value);
    batch->texts[batch->text_count++] = (struct store_text_change){
        .index = index, .present = present, .pair = store_pair_of(&hash, record->id)};
    return 0;
}

/* The times under which a key is found; 0 and -1: none. */
static int64_t expiry_of(const struct record *record)
{
    return record == NULL ? 0 : record->expires_unix_s;
}

static int64_t revoked_of(const struct record *record)
{
    return record == NULL || !record->revoked ? -1 : record->revoked_unix_s;
}

static bool text_is_same(const struct record *old, const struct record *new, enum store_index index)
{
    return old != NULL &&
           new != NULL &&text_equal(store_indexed_text(old, index), store_indexed_text(new, index));
}

/* A purged key is found by its digest alone. */
static const struct record *indexed(const struct record *record)
{
    return record != NULL && record->purged ? NULL : record;
}

static int note_times(struct store_index_batch *batch, const struct record *old,
                      const struct record *new)
{
    uint64_t id = old != NULL ? old->id : new != NULL ? new->id : 0;
    int64_t expired = expiry_of(old), expires = expiry_of(new);
    int64_t was_revoked = revoked_of(old), is_revoked = revoked_of(new);
    int r = 0;

    if (expired != expires && expired != 0)
        r = note_time(batch, TAG_EXPIRY, expired, id, false);
    if (r == 0 && expired != expires && expires != 0)
        r = note_time(batch, TAG_EXPIRY, expires, id, true);
    if (r == 0 && was_revoked != is_revoked && was_revoked >= 0)
        r = note_time(batch, TAG_REVOKED, was_revoked, id, false);
    if (r == 0 && was_revoked != is_revoked && is_revoked >= 0)
        r = note_time(batch, TAG_REVOKED, is_revoked, id, true);
    return r;
}

int store_index_note(struct store_index_batch *batch, const struct record *old,
                     const struct record *new, struct error *error)
{
    int r = 0;

    old = indexed(old);
    new = indexed(new);
    for (enum store_index i = STORE_BY_OWNER; r == 0 && i <= STORE_BY_NAME; i++)
        if (!text_is_same(old, new, i)) {
            r = note_text(batch, i, old, false);
            if (r == 0)
                r = note_text(batch, i, new, true);
        }
    if (r == 0)
        r = note_times(batch, old, new);
    if (r == CATLATCH_E_DATA)
        return error_set(error, r, "cannot store the key: a text of it holds a NUL or is too long");
    if (r != 0)
        return error_set(error, r, "cannot store the key: out of memory");
    return 0;
}

/* By key; of the same key the later last. */
static int time_compare(const void *left, const void *right)
{
    const struct store_time_change *a = left, *b = right;

    int order = memcmp(a->key, b->key, sizeof a->key);
    return order != 0 ? order : (a->order > b->order) - (a->order < b->order);
}

/* Whether the entry was there does not matter: what a transaction adds and removes again never was.
 */
static int remove_time(struct store_txn *txn, const struct store_time_change *change,
                       struct error *error)
{
    DB *db = txn->store->db[STORE_INDEX];
    DBT key = store_dbt(change->key, sizeof change->key);

    int r = db->del(db, txn->txn, &key, 0);
    return r == 0 || r == DB_NOTFOUND ? 0 : store_fail(txn->store, r, error, "write the indexes");
}

/* In order, because entries written in order touch each page once; of all that was noted of an
 * entry, the last. */
static int apply_times(struct store_txn *txn, struct error *error)
{
    struct store_index_batch *batch = &txn->index;
    int r = 0;

    if (batch->time_count > 0)
        qsort(batch->times, batch->time_count, sizeof *batch->times, time_compare);
    for (size_t i = 0; r == 0 && i < batch->time_count; i++) {
        const struct store_time_change *change = &batch->times[i];
        if (i + 1 < batch->time_count &&
            memcmp(change->key, change[1].key, sizeof change->key) == 0)
            continue;
        r = change->present ? store_bulk_add(txn, STORE_INDEX, &txn->index_bulk, change->key,
                                             sizeof change->key, NULL, 0, error)
                            : remove_time(txn, change, error);
    }
    return r == 0 ? store_bulk_write(txn, STORE_INDEX, &txn->index_bulk, error) : r;
}

static uint32_t part_of(const struct store *store, const struct store_text_change *change)
{
    return store_part_of(store, store_unpack(change->pair.id));
}

int store_index_apply(struct store_txn *txn, struct error *error)
{
    struct store *store = txn->store;
    struct store_index_batch *batch = &txn->index;
    size_t recent = 0;
    int r = 0;

    if (txn->begins_part)
        r = store_runs_seal(txn, (uint32_t)store->part_count - 1, error);
    for (size_t i = 0; r == 0 && i < batch->text_count; i++) {
        const struct store_text_change *change = &batch->texts[i];
        uint32_t part = part_of(store, change);
        if (part == store->part_count)
            recent++;
        else
            r = store_runs_change(txn, part, change, error);
    }
    if (r == 0 && store_recent_reserve(&store->recent, recent) != 0)
        r = error_set(error, CATLATCH_E_MEMORY, "out of memory for the indexes");
    return r == 0 ? apply_times(txn, error) : r;
}

void store_index_committed(struct store_txn *txn)
{
    struct store *store = txn->store;
    struct store_index_batch *batch = &txn->index;

    if (txn->begins_part)
        store->recent.count = 0;
    for (size_t i = 0; i < batch->text_count; i++) {
        const struct store_text_change *change = &batch->texts[i];
        if (part_of(store, change) == store->part_count)
            store_recent_set(&store->recent, store_unpack(change->pair.id), change->index,
                             change->present ? &change->pair.hash : NULL);
    }
}

void store_index_clear(struct store_index_batch *batch)
{
    batch->text_count = batch->time_count = 0;
}

void store_index_free(struct store_index_batch *batch)
{
    free(batch->texts);
    free(batch->times);
    *batch = (struct store_index_batch){.texts = NULL};
}
