/* What is known of the use of each key, beside its record: it changes often, and no change of the
 * key tells of it. */
#include "core/key.h"
#include "daemon/store_internal.h"

int store_total(struct store *store, uint64_t id, struct total *ret_total, struct error *error)
{
    unsigned char key[8], bytes[TOTAL_ENCODED_MAX];
    char what[13 + CATLATCH_ID_SIZE];
    size_t len = 0;

    store_pack(id, key);
    int r = store_get(store, STORE_USAGE, key, sizeof key, bytes, sizeof bytes, &len, error);
    if (r != 0)
        return r;
    r = total_decode(bytes, len, ret_total);
    if (r == 0)
        return 0;
    memcpy(what, "the usage of ", 13);
    key_id_format(id, what + 13);
    return store_fail_entry(store, r, error, what);
}

static int put_total(struct store *store, DB_TXN *txn, const struct store_total *total,
                     struct error *error)
{
    unsigned char key[8], bytes[TOTAL_ENCODED_MAX];
    DB *db = store->db[STORE_USAGE];

    store_pack(total->id, key);
    DBT key_dbt = store_dbt(key, sizeof key);
    DBT data = store_dbt(bytes, total_encode(&total->total, bytes));
    int r = db->put(db, txn, &key_dbt, &data, 0);
    return r == 0 ? 0 : store_fail(store, r, error, "write");
}

int store_put_total(struct store_txn *txn, uint64_t id, const struct total *total,
                    struct error *error)
{
    const struct store_total wanted = {id, *total};
    int r = put_total(txn->store, txn->txn, &wanted, error);

    txn->failed |= r != 0;
    return r;
}

int store_put_totals(struct store *store, const struct store_total *totals, size_t count,
                     struct error *error)
{
    DB_TXN *txn;

    int r = store_check(store, error);
    if (r == 0)
        r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    for (size_t i = 0; i < count && r == 0; i++)
        r = put_total(store, txn, &totals[i], error);
    if (r == 0)
        r = store_check_room(store, error);
    if (r != 0) {
        txn->abort(txn);
        return r;
    }
    r = txn->commit(txn, DB_TXN_NOSYNC);
    return r == 0 ? 0 : store_fail(store, r, error, "commit");
}
