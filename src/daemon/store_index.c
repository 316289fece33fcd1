#include "daemon/store_internal.h"

#include <errno.h>
#include <stdlib.h>

#define TAG_EXPIRY 'x'
#define TAG_REVOKED 'r'

/* Of the first part, and of all others. */
static const unsigned char tags[][2] = {
    [STORE_BY_OWNER] = {'o', 'O'},
    [STORE_BY_PREFIX] = {'p', 'P'},
    [STORE_BY_NAME] = {'n', 'N'},
};

size_t store_index_text_key(enum store_index index, uint32_t part, struct text value, uint64_t id,
                            unsigned char *ret_key)
{
    const uint32_t number = htobe32(part);
    size_t len = 0;

    ret_key[len++] = tags[index][part > 0];
    if (part > 0) {
        memcpy(ret_key + len, &number, sizeof number);
        len += sizeof number;
    }
    if (value.len > 0)
        memcpy(ret_key + len, value.bytes, value.len);
    len += value.len;
    ret_key[len++] = '\0';
    store_pack(id, ret_key + len);
    return len + sizeof id;
}

static size_t time_key(char tag, int64_t unix_s, uint64_t id, unsigned char *ret_key)
{
    ret_key[0] = (unsigned char)tag;
    store_pack((uint64_t)unix_s, ret_key + 1);
    store_pack(id, ret_key + 9);
    return 17;
}

size_t store_index_expiry_key(int64_t expires_unix_s, uint64_t id, unsigned char *ret_key)
{
    return time_key(TAG_EXPIRY, expires_unix_s, id, ret_key);
}

size_t store_index_revoked_key(int64_t revoked_unix_s, uint64_t id, unsigned char *ret_key)
{
    return time_key(TAG_REVOKED, revoked_unix_s, id, ret_key);
}

/* Doubles, so that filling costs a constant for each entry. */
static void *grow(void *array, size_t *io_room, size_t needed, size_t element)
{
    size_t room = *io_room < 1024 ? 1024 : *io_room;

    while (room < needed)
        if (__builtin_mul_overflow(room, 2, &room))
            return NULL;
    array = reallocarray(array, room, element);
    if (array != NULL)
        *io_room = room;
    return array;
}

static int batch_reserve(struct store_index_batch *batch, size_t len)
{
    if (batch->entry_count == batch->entry_room) {
        void *entries = grow(batch->entries, &batch->entry_room, batch->entry_count + 1,
                             sizeof *batch->entries);
        if (entries == NULL)
            return CATLATCH_E_MEMORY;
        batch->entries = entries;
    }
    if (batch->bytes_room - batch->bytes_used < len) {
        void *bytes = grow(batch->bytes, &batch->bytes_room, batch->bytes_used + len, 1);
        if (bytes == NULL)
            return CATLATCH_E_MEMORY;
        batch->bytes = bytes;
    }
    return 0;
}

static int batch_add(struct store_index_batch *batch, const unsigned char *key, size_t len,
                     bool present)
{
    if (batch_reserve(batch, len) != 0)
        return CATLATCH_E_MEMORY;
    batch->entries[batch->entry_count] = (struct store_index_entry){
        .offset = batch->bytes_used,
        .order = (uint32_t)batch->entry_count,
        .len = (uint16_t)len,
        .present = present,
    };
    batch->entry_count++;
    memcpy(batch->bytes + batch->bytes_used, key, len);
    batch->bytes_used += len;
    return 0;
}

static struct text indexed_text(const struct record *record, enum store_index index)
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

static int note_text(const struct store *store, struct store_index_batch *batch,
                     enum store_index index, const struct record *record, bool present)
{
    unsigned char key[STORE_INDEX_KEY_MAX];

    if (record == NULL)
        return 0;
    struct text value = indexed_text(record, index);
    if (value.len > RECORD_TEXT_MAX ||
        (value.len > 0 && memchr(value.bytes, '\0', value.len) != NULL))
        return CATLATCH_E_DATA;
    uint32_t part = store_part_of(store, record->id);
    return batch_add(batch, key, store_index_text_key(index, part, value, record->id, key),
                     present);
}

static int note_expiry(struct store_index_batch *batch, const struct record *record, bool present)
{
    unsigned char key[STORE_INDEX_KEY_MAX];

    if (record == NULL || record->expires_unix_s == 0)
        return 0;
    return batch_add(batch, key, store_index_expiry_key(record->expires_unix_s, record->id, key),
                     present);
}

static int note_revoked(struct store_index_batch *batch, const struct record *record, bool present)
{
    unsigned char key[STORE_INDEX_KEY_MAX];

    if (record == NULL || !record->revoked)
        return 0;
    return batch_add(batch, key, store_index_revoked_key(record->revoked_unix_s, record->id, key),
                     present);
}

static bool text_is_same(const struct record *old, const struct record *new, enum store_index index)
{
    return old != NULL &&
           new != NULL &&text_equal(indexed_text(old, index), indexed_text(new, index));
}

static bool expiry_is_same(const struct record *old, const struct record *new)
{
    return old != NULL && new != NULL && old->expires_unix_s == new->expires_unix_s;
}

static bool revoked_is_same(const struct record *old, const struct record *new)
{
    return old != NULL && new != NULL && old->revoked == new->revoked &&
           old->revoked_unix_s == new->revoked_unix_s;
}

/* A purged key is found by its digest alone. */
static const struct record *indexed(const struct record *record)
{
    return record != NULL && record->purged ? NULL : record;
}

int store_index_note(const struct store *store, struct store_index_batch *batch,
                     const struct record *old, const struct record *new, struct error *error)
{
    int r = 0;

    old = indexed(old);
    new = indexed(new);
    for (enum store_index i = STORE_BY_OWNER; r == 0 && i <= STORE_BY_NAME; i++)
        if (!text_is_same(old, new, i)) {
            r = note_text(store, batch, i, old, false);
            if (r == 0)
                r = note_text(store, batch, i, new, true);
        }
    if (r == 0 && !expiry_is_same(old, new)) {
        r = note_expiry(batch, old, false);
        if (r == 0)
            r = note_expiry(batch, new, true);
    }
    if (r == 0 && !revoked_is_same(old, new)) {
        r = note_revoked(batch, old, false);
        if (r == 0)
            r = note_revoked(batch, new, true);
    }
    if (r == CATLATCH_E_DATA)
        return error_set(error, r, "cannot store the key: a text of it holds a NUL or is too long");
    if (r != 0)
        return error_set(error, r, "cannot store the key: out of memory");
    return 0;
}

/* By key; of the same key the later last. */
static int entry_compare(const void *left, const void *right, void *context)
{
    const struct store_index_entry *a = left, *b = right;
    const unsigned char *bytes = context;
    size_t common = a->len < b->len ? a->len : b->len;

    int order = memcmp(bytes + a->offset, bytes + b->offset, common);
    if (order != 0)
        return order;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

/* Whether the entry was there does not matter: what a transaction adds and removes again never was.
 */
static int entry_remove(struct store_txn *txn, DBT *key)
{
    DB *db = txn->store->db[STORE_INDEX];

    int r = db->del(db, txn->txn, key, 0);
    return r == DB_NOTFOUND ? 0 : r;
}

/* Additions are written together, in order with what is removed between them. */
static int entry_apply(struct store_txn *txn, const struct store_index_entry *entry,
                       struct error *error)
{
    DBT key = store_dbt(txn->index.bytes + entry->offset, entry->len);

    if (entry->present)
        return store_bulk_add(txn, STORE_INDEX, &txn->index_bulk, key.data, key.size, NULL, 0,
                              error);
    int r = store_bulk_write(txn, STORE_INDEX, &txn->index_bulk, error);
    if (r != 0)
        return r;
    r = entry_remove(txn, &key);
    return r == 0 ? 0 : store_fail(txn->store, r, error, "write the indexes");
}

int store_index_apply(struct store_txn *txn, struct error *error)
{
    struct store_index_batch *batch = &txn->index;
    int r = 0;

    if (batch->entry_count == 0)
        return 0;
    qsort_r(batch->entries, batch->entry_count, sizeof *batch->entries, entry_compare,
            batch->bytes);
    for (size_t i = 0; r == 0 && i < batch->entry_count; i++)
        r = entry_apply(txn, &batch->entries[i], error);
    return r == 0 ? store_bulk_write(txn, STORE_INDEX, &txn->index_bulk, error) : r;
}

void store_index_free(struct store_index_batch *batch)
{
    free(batch->entries);
    free(batch->bytes);
    *batch = (struct store_index_batch){.entries = NULL};
}
