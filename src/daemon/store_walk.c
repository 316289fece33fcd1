#include "daemon/store_internal.h"

#include <assert.h>
#include <stdlib.h>

/* What a walk fetches at once. The smaller holds any single entry, as Berkeley DB demands; beyond
 * the larger nothing is gained. */
#define FETCH_BYTES_MIN ((size_t)128 << 10)
#define FETCH_BYTES_MAX STORE_BLOCK_BYTES
static_assert(FETCH_BYTES_MIN > CHANGE_ENCODED_MAX + STORE_KEY_MAX + 64,
              "an entry fits the smallest buffer");

#define ENTRY_BYTES 256u /* of an ordinary key's record with what the fetch adds to it */

static size_t fetch_bytes(size_t expected)
{
    if (expected >= FETCH_BYTES_MAX / ENTRY_BYTES)
        return FETCH_BYTES_MAX;
    /* Berkeley DB takes multiples of 1 KiB. */
    size_t bytes = (expected * ENTRY_BYTES + 1023) / 1024 * 1024;
    return bytes < FETCH_BYTES_MIN ? FETCH_BYTES_MIN : bytes;
}

int store_walk_open(struct store *store, enum store_database database, const void *start,
                    size_t start_len, size_t expected, struct store_walk *ret_walk,
                    struct error *error)
{
    DB *db = store->db[database];
    DBC *cursor;

    int r = store_check(store, error);
    if (r == 0)
        r = store_settle(store, error);
    if (r != 0)
        return r;
    size_t size = fetch_bytes(expected);
    void *buffer = malloc(size);
    if (buffer == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "cannot read the store: out of memory");
    r = db->cursor(db, NULL, &cursor, 0);
    if (r != 0) {
        free(buffer);
        return store_fail(store, r, error, "read");
    }
    *ret_walk = (struct store_walk){
        .store = store,
        .cursor = cursor,
        .data = store_dbt_room(buffer, size),
        .start_len = (uint32_t)start_len,
        .flag = DB_SET_RANGE,
    };
    memcpy(ret_walk->start_key, start, start_len);
    return 0;
}

int store_walk_fetch(struct store_walk *walk, DBT *block, struct error *error)
{
    DBT key = store_dbt_room(walk->start_key, sizeof walk->start_key);
    key.size = walk->start_len;

    int r = walk->cursor->get(walk->cursor, &key, block, walk->flag | DB_MULTIPLE_KEY);
    if (r == DB_NOTFOUND)
        return 0;
    if (r != 0)
        return store_fail(walk->store, r, error, "read");
    walk->flag = DB_NEXT;
    return 1;
}

bool store_block_next(const DBT *block, void **io_next, DBT *ret_key, DBT *ret_data)
{
    void *key = NULL, *data = NULL;
    uint32_t key_len = 0, data_len = 0;

    DB_MULTIPLE_KEY_NEXT(*io_next, block, key, key_len, data, data_len);
    if (*io_next == NULL)
        return false;
    *ret_key = store_dbt(key, key_len);
    *ret_data = store_dbt(data, data_len);
    return true;
}

int store_walk_next(struct store_walk *walk, DBT *ret_key, DBT *ret_data, struct error *error)
{
    while (walk->next == NULL || !store_block_next(&walk->data, &walk->next, ret_key, ret_data)) {
        int r = store_walk_fetch(walk, &walk->data, error);
        if (r != 1)
            return r;
        DB_MULTIPLE_INIT(walk->next, &walk->data);
    }
    return 1;
}

void store_walk_close(struct store_walk *walk)
{
    walk->cursor->close(walk->cursor);
    free(walk->data.data);
}
