/* What is known of the use of each key, beside its record: it changes often, and no change of the
 * key tells of it. */
#include <stdio.h>

#include "core/key.h"
#include "daemon/store_internal.h"

static int decode(const struct store *store, uint64_t id, const void *bytes, size_t len,
                  struct total *ret_total, struct error *error)
{
    char text[CATLATCH_ID_SIZE], what[16 + CATLATCH_ID_SIZE];

    int r = total_decode(bytes, len, ret_total);
    if (r == 0)
        return 0;
    key_id_format(id, text);
    snprintf(what, sizeof what, "the usage of %s", text);
    return store_fail_entry(store, r, error, what);
}

int store_total(struct store *store, uint64_t id, struct total *ret_total, struct error *error)
{
    unsigned char key[8], bytes[TOTAL_ENCODED_MAX];
    size_t len = 0;

    store_pack(id, key);
    int r = store_get(store, STORE_USAGE, key, sizeof key, bytes, sizeof bytes, &len, error);
    return r == 0 ? decode(store, id, bytes, len, ret_total, error) : r;
}

static int visit_entry(const struct store *store, const DBT *key, const DBT *data,
                       store_total_visitor *visit, void *context, uint64_t *ret_last,
                       struct error *error)
{
    struct total total;

    if (key->size != 8)
        return store_fail_entry(store, CATLATCH_E_DATA, error, "the usage of a key");
    uint64_t id = store_unpack(key->data);
    int r = decode(store, id, data->data, data->size, &total, error);
    if (r != 0)
        return r;
    *ret_last = id;
    return visit(context, id, &total);
}

int store_totals(struct store *store, uint64_t after_id, size_t max, store_total_visitor *visit,
                 void *context, uint64_t *ret_last, struct error *error)
{
    unsigned char start[8];
    struct store_walk walk;
    DBT key, data;

    if (after_id == UINT64_MAX || max == 0)
        return 0;
    store_pack(after_id + 1, start);
    int r = store_walk_open(store, STORE_USAGE, start, sizeof start, max, &walk, error);
    if (r != 0)
        return r;
    while (max-- > 0 && (r = store_walk_next(&walk, &key, &data, error)) == 1) {
        r = visit_entry(store, &key, &data, visit, context, ret_last, error);
        if (r != 0)
            break;
    }
    store_walk_close(&walk);
    return r < 0 ? r : 0;
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
    const struct store_total put = {.id = id, .total = *total};

    int r = store_check(txn->store, error);
    if (r == 0)
        r = put_total(txn->store, txn->txn, &put, error);
    txn->failed |= r != 0;
    return r;
}

static int drop_total(struct store_txn *txn, uint64_t id, struct error *error)
{
    struct store *store = txn->store;
    unsigned char key[8];

    store_pack(id, key);
    DBT key_dbt = store_dbt(key, sizeof key);
    int r = store->db[STORE_USAGE]->del(store->db[STORE_USAGE], txn->txn, &key_dbt, 0);
    r = r == 0 || r == DB_NOTFOUND ? 0 : store_fail(store, r, error, "write");
    txn->failed |= r != 0;
    return r;
}

int store_forget_total(struct store_txn *txn, uint64_t id, struct error *error)
{
    struct total total = {.used = {.count = 0}};

    int r = store_total(txn->store, id, &total, error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND) {
        txn->failed = true;
        return r;
    }
    total_forget(&total);
    return total_is_empty(&total) ? drop_total(txn, id, error)
                                  : store_put_total(txn, id, &total, error);
}

int store_put_totals(struct store *store, const struct store_total *totals, size_t count,
                     const struct history_plan *plan, struct error *error)
{
    DB_TXN *txn;

    int r = store_check(store, error);
    if (r == 0)
        r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    for (size_t i = 0; i < count && r == 0; i++) {
        r = put_total(store, txn, &totals[i], error);
        if (r == 0 && plan != NULL)
            r = store_history_add(store, txn, plan, totals[i].id, &totals[i].more, error);
    }
    return store_env_commit(store, txn, r, error);
}
