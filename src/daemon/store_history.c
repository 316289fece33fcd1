/* Totals with what they grew by in each span of time, and how it is forgotten. Nothing of it is
 * flushed by itself: what a crash takes, the area and the process segment still have. */
#include "daemon/store_internal.h"

/* Of the results' totals, beside the history: sorts behind all of it. */
static const unsigned char results_key[] = {'t'};

/* What is stored, in bytes; *ret_len 0: nothing, or nothing that is ours. */
static int read_entry(struct store *store, const unsigned char key[HISTORY_KEY_BYTES],
                      unsigned char bytes[HISTORY_ENCODED_MAX], size_t *ret_len,
                      struct error *error)
{
    int r = store_get(store, STORE_HISTORY, key, HISTORY_KEY_BYTES, bytes, HISTORY_ENCODED_MAX,
                      ret_len, error);
    if (r == CATLATCH_E_NOT_FOUND)
        *ret_len = 0;
    return r == CATLATCH_E_NOT_FOUND ? 0 : r;
}

static int write_entry(struct store *store, DB_TXN *txn, const void *key, size_t key_len,
                       const unsigned char *bytes, size_t len, struct error *error)
{
    DB *db = store->db[STORE_HISTORY];
    DBT key_dbt = store_dbt(key, key_len), data = store_dbt(bytes, len);
    int r = db->put(db, txn, &key_dbt, &data, 0);

    return r == 0 ? 0 : store_fail(store, r, error, "write");
}

int store_history(struct store *store, enum history_level level, uint32_t bucket, uint64_t id,
                  struct history_entry *ret_entry, struct error *error)
{
    unsigned char key[HISTORY_KEY_BYTES], bytes[HISTORY_ENCODED_MAX];
    size_t len = 0;

    history_key(level, bucket, id, key);
    int r = read_entry(store, key, bytes, &len, error);
    /* An entry that says nothing is none: no sweep stops for it. */
    if (r == 0 && history_decode(bytes, len, ret_entry) != 0)
        *ret_entry = (struct history_entry){0};
    return r;
}

int store_history_results(struct store *store, enum history_level level, uint32_t bucket,
                          uint64_t ret_counts[PROCESS_RESULTS], struct error *error)
{
    unsigned char key[HISTORY_KEY_BYTES], bytes[HISTORY_ENCODED_MAX];
    size_t len = 0;

    history_key(level, bucket, HISTORY_RESULTS, key);
    int r = read_entry(store, key, bytes, &len, error);
    if (r == 0 && history_decode_results(bytes, len, ret_counts) != 0)
        memset(ret_counts, 0, PROCESS_RESULTS * sizeof *ret_counts);
    return r;
}

static int add_entry(struct store *store, DB_TXN *txn, enum history_level level,
                     const struct history_plan *plan, uint64_t id, const struct history_entry *more,
                     struct error *error)
{
    unsigned char key[HISTORY_KEY_BYTES], bytes[HISTORY_ENCODED_MAX];
    uint32_t bucket = history_bucket(level, plan->now_unix_s);
    struct history_entry entry;

    int r = store_history(store, level, bucket, id, &entry, error);
    if (r != 0)
        return r;
    entry.granted = history_add(entry.granted, more->granted);
    entry.refused = history_add(entry.refused, more->refused);
    history_key(level, bucket, id, key);
    return write_entry(store, txn, key, sizeof key, bytes, history_encode(&entry, bytes), error);
}

int store_history_add(struct store *store, DB_TXN *txn, const struct history_plan *plan,
                      uint64_t id, const struct history_entry *more, struct error *error)
{
    int r = 0;

    if (more->granted == 0 && more->refused == 0)
        return 0;
    for (unsigned level = 0; level < HISTORY_LEVELS && r == 0; level++)
        if (plan->kept[level])
            r = add_entry(store, txn, (enum history_level)level, plan, id, more, error);
    return r;
}

static int add_results(struct store *store, DB_TXN *txn, enum history_level level,
                       const struct history_plan *plan, const uint64_t more[PROCESS_RESULTS],
                       struct error *error)
{
    unsigned char key[HISTORY_KEY_BYTES], bytes[HISTORY_ENCODED_MAX];
    uint32_t bucket = history_bucket(level, plan->now_unix_s);
    uint64_t counts[PROCESS_RESULTS];

    int r = store_history_results(store, level, bucket, counts, error);
    if (r != 0)
        return r;
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        counts[i] = history_add(counts[i], more[i]);
    history_key(level, bucket, HISTORY_RESULTS, key);
    return write_entry(store, txn, key, sizeof key, bytes, history_encode_results(counts, bytes),
                       error);
}

static int put_results(struct store *store, DB_TXN *txn, const struct results *results,
                       const uint64_t more[PROCESS_RESULTS], const struct history_plan *plan,
                       struct error *error)
{
    unsigned char bytes[RESULTS_ENCODED_MAX];

    int r = write_entry(store, txn, results_key, sizeof results_key, bytes,
                        results_encode(results, bytes), error);
    for (unsigned level = 0; level < HISTORY_LEVELS && r == 0; level++)
        if (plan->kept[level])
            r = add_results(store, txn, (enum history_level)level, plan, more, error);
    return r;
}

int store_put_results(struct store *store, const struct results *results,
                      const uint64_t more[PROCESS_RESULTS], const struct history_plan *plan,
                      struct error *error)
{
    DB_TXN *txn;

    int r = store_check(store, error);
    if (r == 0)
        r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    r = put_results(store, txn, results, more, plan, error);
    return store_env_commit(store, txn, r, error);
}

int store_results(struct store *store, struct results *ret_results, struct error *error)
{
    unsigned char bytes[RESULTS_ENCODED_MAX];
    size_t len = 0;

    int r = store_get(store, STORE_HISTORY, results_key, sizeof results_key, bytes, sizeof bytes,
                      &len, error);
    if (r != 0)
        return r;
    r = results_decode(bytes, len, ret_results);
    return r == 0 ? 0 : store_fail_entry(store, r, error, "how often each result was");
}

/* Whether the entry at the cursor is to go. */
static bool is_old(const DBT *key, enum history_level level, uint32_t before)
{
    enum history_level its_level;
    uint32_t bucket;
    uint64_t id;

    return history_key_parse(key->data, key->size, &its_level, &bucket, &id) &&
           its_level == level && bucket < before;
}

static int remove_old(DBC *cursor, enum history_level level, uint32_t before, size_t max,
                      size_t *ret_count)
{
    unsigned char bytes[HISTORY_KEY_BYTES] = {0};
    DBT key = store_dbt_room(bytes, sizeof bytes),
        data = {.flags = DB_DBT_USERMEM | DB_DBT_PARTIAL};
    int r;

    history_key(level, 0, 0, bytes);
    key.size = sizeof bytes;
    for (r = cursor->get(cursor, &key, &data, DB_SET_RANGE);
         r == 0 && *ret_count < max && is_old(&key, level, before);
         r = cursor->get(cursor, &key, &data, DB_NEXT)) {
        if ((r = cursor->del(cursor, 0)) != 0)
            return r;
        (*ret_count)++;
    }
    return r == DB_NOTFOUND ? 0 : r;
}

int store_prune_history(struct store *store, enum history_level level, uint32_t before, size_t max,
                        size_t *ret_count, struct error *error)
{
    DB *db = store->db[STORE_HISTORY];
    DB_TXN *txn;
    DBC *cursor;
    size_t count = 0;

    int r = store_check(store, error);
    if (r == 0)
        r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    int failed = db->cursor(db, txn, &cursor, 0);
    if (failed == 0) {
        failed = remove_old(cursor, level, before, max, &count);
        int closed = cursor->close(cursor);
        failed = failed != 0 ? failed : closed;
    }
    if (failed != 0)
        r = store_fail(store, failed, error, "remove what is old");
    r = store_env_commit(store, txn, r, error);
    if (r == 0)
        *ret_count = count;
    return r;
}
