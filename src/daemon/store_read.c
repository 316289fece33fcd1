#include "daemon/store_internal.h"

#include "core/key.h"

/* What the open transaction has not written yet is there for whoever reads. */
int store_settle(struct store *store, struct error *error)
{
    if (!store->txn_is_open || store->txn.keys.count == 0)
        return 0;
    return store_bulk_write(&store->txn, STORE_KEYS, &store->txn.keys, error);
}

int store_get(struct store *store, enum store_database database, const void *key, size_t key_len,
              void *buffer, size_t size, size_t *ret_len, struct error *error)
{
    DB *db = store->db[database];
    DBT key_dbt = store_dbt(key, key_len);
    DBT data = store_dbt_room(buffer, size);

    int r = store_check(store, error);
    if (r == 0 && database == STORE_KEYS)
        r = store_settle(store, error);
    if (r != 0)
        return r;
    /* Without locks a read sees what the open transaction wrote, and need not join it. */
    r = db->get(db, NULL, &key_dbt, &data, 0);
    if (r == DB_NOTFOUND)
        return CATLATCH_E_NOT_FOUND;
    if (r == DB_BUFFER_SMALL)
        return error_set(error, CATLATCH_E_DATA, "an entry in state_dir %s is too long",
                         store->directory);
    if (r != 0)
        return store_fail(store, r, error, "read");
    *ret_len = data.size;
    return 0;
}

int store_last(struct store *store, enum store_database database, void *ret_key, size_t key_len,
               struct error *error)
{
    DB *db = store->db[database];
    unsigned char bytes[STORE_KEY_MAX];
    DBT key = store_dbt_room(bytes, sizeof bytes);
    DBT data = {.flags = DB_DBT_USERMEM | DB_DBT_PARTIAL};
    DBC *cursor;

    int r = db->cursor(db, NULL, &cursor, 0);
    if (r != 0)
        return store_fail(store, r, error, "read");
    r = cursor->get(cursor, &key, &data, DB_LAST);
    cursor->close(cursor);
    if (r == DB_NOTFOUND)
        return CATLATCH_E_NOT_FOUND;
    if (r != 0)
        return store_fail(store, r, error, "read");
    if (key.size != key_len)
        return error_set(error, CATLATCH_E_DATA,
                         "the last entry of a database in state_dir %s is not ours; restore a "
                         "backup",
                         store->directory);
    memcpy(ret_key, bytes, key_len);
    return 0;
}

int store_fail_entry(const struct store *store, int code, struct error *error, const char *what)
{
    if (code == CATLATCH_E_VERSION)
        return error_set(error, code, "%s in state_dir %s was written by a newer catlatch; upgrade",
                         what, store->directory);
    return error_set(error, CATLATCH_E_DATA, "%s in state_dir %s is damaged; restore a backup",
                     what, store->directory);
}

int store_decode_key(const struct store *store, const DBT *key, const DBT *data,
                     struct record *ret_record, struct error *error)
{
    char text[CATLATCH_ID_SIZE];

    uint64_t id = key->size == sizeof id ? store_unpack(key->data) : 0;
    int r = record_decode(data->data, data->size, ret_record);
    if (r == 0 && ret_record->id == id)
        return 0;
    key_id_format(id, text);
    return store_fail_entry(store, r, error, text);
}

int store_read_key(struct store *store, uint64_t id, struct store_buffer *buffer,
                   struct record *ret_record, struct error *error)
{
    unsigned char key[8];
    size_t len = 0;

    store_pack(id, key);
    int r = store_get(store, STORE_KEYS, key, sizeof key, buffer->bytes, sizeof buffer->bytes, &len,
                      error);
    if (r != 0)
        return r;
    DBT key_dbt = store_dbt(key, sizeof key), data = store_dbt(buffer->bytes, len);
    return store_decode_key(store, &key_dbt, &data, ret_record, error);
}

int store_key(struct store *store, struct store_txn *txn, uint64_t id, struct store_buffer *buffer,
              struct record *ret_record, struct error *error)
{
    char text[CATLATCH_ID_SIZE];

    (void)txn; /* there is one at most, and every read joins it */
    int r = store_read_key(store, id, buffer, ret_record, error);
    if (r != CATLATCH_E_NOT_FOUND)
        return r;
    key_id_format(id, text);
    return error_set(error, r, "there is no key %s", text);
}

int store_scan(struct store *store, uint64_t after_id, size_t max, store_key_visitor *visit,
               void *context, uint64_t *ret_last, struct error *error)
{
    unsigned char start[8];
    struct store_walk walk;
    struct record record;
    DBT key, data;

    if (after_id == UINT64_MAX || max == 0)
        return 0;
    store_pack(after_id + 1, start);
    int r = store_walk_open(store, STORE_KEYS, start, sizeof start, max, &walk, error);
    if (r != 0)
        return r;
    while (max-- > 0 && (r = store_walk_next(&walk, &key, &data, error)) == 1) {
        r = store_decode_key(store, &key, &data, &record, error);
        if (r != 0)
            break;
        *ret_last = record.id;
        r = visit(context, &record);
        if (r != 0)
            break;
    }
    store_walk_close(&walk);
    return r < 0 ? r : 0;
}

int store_find(struct store *store, enum store_index index, struct text value, uint64_t after_id,
               uint64_t *ret_ids, size_t max, size_t *ret_count, struct error *error)
{
    size_t count = 0;
    int r = 0;

    *ret_count = 0;
    if (value.len > RECORD_TEXT_MAX || after_id == UINT64_MAX)
        return 0;
    struct store_hash hash = store_hash_of(value);
    uint32_t part = store_part_of(store, after_id + 1);
    for (; r == 0 && count < max && part < store->part_count; part++)
        r = store_runs_find(store, part, index, &hash, after_id, ret_ids, max, &count, error);
    if (r != 0)
        return r;
    store_recent_find(&store->recent, index, &hash, after_id, ret_ids, max, &count);
    *ret_count = count;
    return 0;
}

/* Ids of an index by time, from a key on, as long as their time is before until_unix_s; the last of
 * them is at (*io_time, *io_id). */
static int find_by_time(struct store *store, const unsigned char *start, size_t len,
                        int64_t until_unix_s, int64_t *io_time, uint64_t *io_id, uint64_t *ret_ids,
                        size_t max, size_t *ret_count, struct error *error)
{
    struct store_walk walk;
    DBT key, data;
    size_t count = 0;

    int r = store_walk_open(store, STORE_INDEX, start, len, max, &walk, error);
    if (r != 0)
        return r;
    while (count < max && (r = store_walk_next(&walk, &key, &data, error)) == 1) {
        const unsigned char *bytes = key.data;
        if (key.size != len || bytes[0] != start[0] ||
            (int64_t)store_unpack(bytes + 1) >= until_unix_s)
            break;
        *io_time = (int64_t)store_unpack(bytes + 1);
        *io_id = store_unpack(bytes + 9);
        ret_ids[count++] = *io_id;
    }
    store_walk_close(&walk);
    *ret_count = r < 0 ? 0 : count;
    return r < 0 ? r : 0;
}

int store_expiring(struct store *store, int64_t until_unix_s, int64_t *io_expires, uint64_t *io_id,
                   uint64_t *ret_ids, size_t max, size_t *ret_count, struct error *error)
{
    unsigned char start[STORE_KEY_MAX];

    *ret_count = 0;
    if (*io_id == UINT64_MAX || max == 0)
        return 0;
    size_t len = store_index_expiry_key(*io_expires < 0 ? 0 : *io_expires, *io_id + 1, start);
    return find_by_time(store, start, len, until_unix_s, io_expires, io_id, ret_ids, max, ret_count,
                        error);
}

int store_revoked(struct store *store, int64_t until_unix_s, uint64_t *ret_ids, size_t max,
                  size_t *ret_count, struct error *error)
{
    unsigned char start[STORE_KEY_MAX];
    int64_t time = 0;
    uint64_t id = 0;

    *ret_count = 0;
    size_t len = store_index_revoked_key(0, 0, start);
    return find_by_time(store, start, len, until_unix_s, &time, &id, ret_ids, max, ret_count,
                        error);
}

int store_owners(struct store *store, struct text after, size_t max, store_owner_visitor *visit,
                 void *context, struct error *error)
{
    unsigned char start[RECORD_TEXT_MAX + 1] = {0};
    struct record_owner owner;
    struct store_walk walk;
    DBT key, data;

    if (after.len > RECORD_TEXT_MAX || max == 0)
        return 0;
    /* Names hold no NUL, so the name with one behind it comes right after the name. */
    if (after.len > 0)
        memcpy(start, after.bytes, after.len);
    int r = store_walk_open(store, STORE_OWNERS, start, after.len + 1, max, &walk, error);
    if (r != 0)
        return r;
    while (max-- > 0 && (r = store_walk_next(&walk, &key, &data, error)) == 1) {
        r = record_owner_decode(data.data, data.size, &owner);
        if (r != 0) {
            r = store_fail_entry(store, r, error, "an owner's record");
            break;
        }
        r = visit(context, &owner);
        if (r != 0)
            break;
    }
    store_walk_close(&walk);
    return r < 0 ? r : 0;
}
