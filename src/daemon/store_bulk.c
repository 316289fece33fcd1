#include <assert.h>
#include <stdlib.h>

#include "daemon/store_internal.h"

/* Some thousand ordinary entries, or a few of the largest; a multiple of four, as Berkeley DB
 * demands. */
#define BULK_BYTES ((size_t)512 << 10)
static_assert(BULK_BYTES > CHANGE_ENCODED_MAX + STORE_KEY_MAX + 64, "an entry fits");

void store_bulk_clear(struct store_bulk *bulk)
{
    bulk->count = 0;
    if (bulk->data.data != NULL)
        DB_MULTIPLE_WRITE_INIT(bulk->next, &bulk->data);
}

void store_bulk_free(struct store_bulk *bulk)
{
    free(bulk->data.data);
    *bulk = (struct store_bulk){.count = 0};
}

int store_bulk_write(struct store_txn *txn, enum store_database database, struct store_bulk *bulk,
                     struct error *error)
{
    DB *db = txn->store->db[database];
    DBT unused = {.data = NULL};

    if (bulk->count == 0)
        return 0;
    int r = db->put(db, txn->txn, &bulk->data, &unused, DB_MULTIPLE_KEY);
    store_bulk_clear(bulk);
    txn->failed |= r != 0; /* some may have been written, whoever wanted them to be */
    return r == 0 ? 0 : store_fail(txn->store, r, error, "write");
}

static int bulk_open(struct store_bulk *bulk, struct error *error)
{
    if (bulk->data.data != NULL)
        return 0;
    bulk->data = store_dbt_room(malloc(BULK_BYTES), BULK_BYTES);
    bulk->data.flags |= DB_DBT_BULK;
    if (bulk->data.data == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "cannot change the store: out of memory");
    store_bulk_clear(bulk);
    return 0;
}

/* False: there is no room for it. */
static bool bulk_put(struct store_bulk *bulk, const void *key, size_t key_len, const void *data,
                     size_t len)
{
    void *room_for_key, *room_for_data;

    assert(bulk->next != NULL); /* it was opened */
    DB_MULTIPLE_KEY_RESERVE_NEXT(bulk->next, &bulk->data, room_for_key, key_len, room_for_data,
                                 len);
    if (room_for_key == NULL || room_for_data == NULL)
        return false;
    memcpy(room_for_key, key, key_len);
    if (len > 0)
        memcpy(room_for_data, data, len);
    bulk->count++;
    return true;
}

int store_bulk_add(struct store_txn *txn, enum store_database database, struct store_bulk *bulk,
                   const void *key, size_t key_len, const void *data, size_t len,
                   struct error *error)
{
    int r = bulk_open(bulk, error);

    if (r != 0 || bulk_put(bulk, key, key_len, data, len))
        return r;
    r = store_bulk_write(txn, database, bulk, error);
    if (r == 0 && !bulk_put(bulk, key, key_len, data, len))
        return error_set(error, CATLATCH_E_DATA, "cannot change the store: an entry is too long");
    return r;
}
