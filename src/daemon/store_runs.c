/* The sealed parts of the indexes: sorted runs of pairs, each an entry of index.db. */
#include <stdlib.h>

#include "daemon/store_internal.h"

#define HEAD_BYTES 6u /* of an entry's key: tag, part, index */
#define KEY_BYTES (HEAD_BYTES + sizeof(struct store_pair))

#define TAG_TEXT 'y'

struct run {
    unsigned char key[KEY_BYTES];
    size_t count;
    struct store_pair pairs[STORE_RUN_PAIRS + 1]; /* one more, until it is cut in two */
};

static void set_key(unsigned char key[KEY_BYTES], uint32_t part, enum store_index index,
                    const struct store_pair *last)
{
    const uint32_t number = htobe32(part);

    key[0] = TAG_TEXT;
    memcpy(key + 1, &number, sizeof number);
    key[5] = (unsigned char)index;
    memcpy(key + HEAD_BYTES, last, sizeof *last);
}

static struct store_pair highest_pair(void)
{
    struct store_pair pair;

    memset(&pair, 0xff, sizeof pair);
    return pair;
}

static int damaged(const struct store *store, struct error *error)
{
    return store_fail_entry(store, 0, error, "an entry of index.db");
}

/* Whether the pairs rise, and none lies above that of the key: searching rests on it. */
static bool rises(const struct run *run)
{
    for (size_t i = 1; i < run->count; i++)
        if (memcmp(&run->pairs[i - 1], &run->pairs[i], sizeof *run->pairs) >= 0)
            return false;
    return run->count > 0 &&
           memcmp(&run->pairs[run->count - 1], run->key + HEAD_BYTES, sizeof *run->pairs) <= 0;
}

/* Takes what a cursor returned. Returns 1; 0 if it is no run of the part, which has none from there
 * on; or E_DATA. */
static int take_run(const struct store *store, struct run *run, const DBT *key, const DBT *data,
                    const unsigned char head[HEAD_BYTES], struct error *error)
{
    if (key->size < HEAD_BYTES || memcmp(run->key, head, HEAD_BYTES) != 0)
        return 0;
    run->count = data->size / sizeof *run->pairs;
    if (key->size != KEY_BYTES || data->size % sizeof *run->pairs != 0 ||
        run->count > STORE_RUN_PAIRS || !rises(run))
        return damaged(store, error);
    return 1;
}

/* Reads a run, the next of the cursor or, with DB_SET_RANGE, the one in which run->key's pair
 * belongs. As take_run. */
static int read_run(struct store *store, DBC *cursor, uint32_t flag, struct run *run,
                    struct error *error)
{
    unsigned char head[HEAD_BYTES];
    DBT key = store_dbt_room(run->key, sizeof run->key);
    DBT data = store_dbt_room(run->pairs, sizeof run->pairs);

    memcpy(head, run->key, HEAD_BYTES);
    key.size = KEY_BYTES;
    int r = cursor->get(cursor, &key, &data, flag);
    if (r == DB_NOTFOUND)
        return 0;
    if (r == DB_BUFFER_SMALL)
        return damaged(store, error);
    if (r != 0)
        return store_fail(store, r, error, "read");
    return take_run(store, run, &key, &data, head, error);
}

/* The first of the run's pairs that is not below this one. */
static size_t place_of(const struct run *run, const struct store_pair *pair)
{
    size_t low = 0, high = run->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(&run->pairs[middle], pair, sizeof *pair) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* False: the run holds another text's pairs from there on, or max were found. */
static bool take_ids(const struct run *run, size_t from, const struct store_hash *hash,
                     uint64_t *ret_ids, size_t max, size_t *io_count)
{
    for (size_t i = from; i < run->count; i++) {
        if (*io_count == max || memcmp(&run->pairs[i].hash, hash, sizeof *hash) != 0)
            return false;
        ret_ids[(*io_count)++] = store_unpack(run->pairs[i].id);
    }
    return true;
}

int store_runs_find(struct store *store, uint32_t part, enum store_index index,
                    const struct store_hash *hash, uint64_t after_id, uint64_t *ret_ids, size_t max,
                    size_t *io_count, struct error *error)
{
    const struct store_pair from = store_pair_of(hash, after_id + 1);
    DB *db = store->db[STORE_INDEX];
    struct run run;
    DBC *cursor;

    int r = store_check(store, error);
    if (r != 0)
        return r;
    r = db->cursor(db, NULL, &cursor, 0);
    if (r != 0)
        return store_fail(store, r, error, "read");
    set_key(run.key, part, index, &from);
    r = read_run(store, cursor, DB_SET_RANGE, &run, error);
    if (r == 1 && take_ids(&run, place_of(&run, &from), hash, ret_ids, max, io_count))
        while ((r = read_run(store, cursor, DB_NEXT, &run, error)) == 1 &&
               take_ids(&run, 0, hash, ret_ids, max, io_count))
            continue;
    cursor->close(cursor);
    return r < 0 ? r : 0;
}

static int write_run(struct store_txn *txn, const struct run *run, struct error *error)
{
    DB *db = txn->store->db[STORE_INDEX];
    DBT key = store_dbt(run->key, KEY_BYTES);
    DBT data = store_dbt(run->pairs, run->count * sizeof *run->pairs);

    int r = db->put(db, txn->txn, &key, &data, 0);
    return r == 0 ? 0 : store_fail(txn->store, r, error, "write the indexes");
}

/* The first half under a key of its own. */
static int cut_run(struct store_txn *txn, struct run *run, struct error *error)
{
    struct run first = *run;

    first.count = run->count / 2;
    memcpy(first.key + HEAD_BYTES, &first.pairs[first.count - 1], sizeof *first.pairs);
    run->count -= first.count;
    memmove(run->pairs, run->pairs + first.count, run->count * sizeof *run->pairs);
    return write_run(txn, &first, error);
}

static int add_pair(struct store_txn *txn, struct run *run, const struct store_pair *pair,
                    struct error *error)
{
    size_t at = place_of(run, pair);

    if (at < run->count && memcmp(&run->pairs[at], pair, sizeof *pair) == 0)
        return 0;
    memmove(run->pairs + at + 1, run->pairs + at, (run->count - at) * sizeof *pair);
    run->pairs[at] = *pair;
    run->count++;
    int r = run->count > STORE_RUN_PAIRS ? cut_run(txn, run, error) : 0;
    return r == 0 ? write_run(txn, run, error) : r;
}

/* What belongs into a run that is gone goes into the next, or into a new last one. */
static int drop_run(struct store_txn *txn, const struct run *run, struct error *error)
{
    DB *db = txn->store->db[STORE_INDEX];
    DBT key = store_dbt(run->key, KEY_BYTES);

    int r = db->del(db, txn->txn, &key, 0);
    return r == 0 ? 0 : store_fail(txn->store, r, error, "write the indexes");
}

static int remove_pair(struct store_txn *txn, struct run *run, const struct store_pair *pair,
                       struct error *error)
{
    size_t at = place_of(run, pair);

    if (at == run->count || memcmp(&run->pairs[at], pair, sizeof *pair) != 0)
        return 0;
    if (--run->count == 0)
        return drop_run(txn, run, error);
    memmove(run->pairs + at, run->pairs + at + 1, (run->count - at) * sizeof *pair);
    return write_run(txn, run, error);
}

int store_runs_change(struct store_txn *txn, uint32_t part, const struct store_text_change *change,
                      struct error *error)
{
    const struct store_pair highest = highest_pair();
    struct store *store = txn->store;
    DB *db = store->db[STORE_INDEX];
    struct run run;
    DBC *cursor;

    int r = db->cursor(db, txn->txn, &cursor, 0);
    if (r != 0)
        return store_fail(store, r, error, "read");
    set_key(run.key, part, change->index, &change->pair);
    r = read_run(store, cursor, DB_SET_RANGE, &run, error);
    cursor->close(cursor);
    if (r < 0)
        return r;
    if (r == 0) { /* the part has none from there on */
        set_key(run.key, part, change->index, &highest);
        run.count = 0;
    }
    return change->present ? add_pair(txn, &run, &change->pair, error)
                           : remove_pair(txn, &run, &change->pair, error);
}

static int seal_index(struct store_txn *txn, uint32_t part, enum store_index index,
                      struct store_pair *pairs, struct error *error)
{
    const struct store_pair highest = highest_pair();
    size_t count = store_recent_pairs(&txn->store->recent, index, pairs);
    unsigned char key[KEY_BYTES];
    int r = 0;

    for (size_t at = 0, len; r == 0 && at < count; at += len) {
        len = count - at < STORE_RUN_PAIRS ? count - at : STORE_RUN_PAIRS;
        set_key(key, part, index, at + len == count ? &highest : &pairs[at + len - 1]);
        r = store_bulk_add(txn, STORE_INDEX, &txn->index_bulk, key, sizeof key, pairs + at,
                           len * sizeof *pairs, error);
    }
    return r;
}

int store_runs_seal(struct store_txn *txn, uint32_t part, struct error *error)
{
    struct store_pair *pairs = calloc(txn->store->recent.count + 1, sizeof *pairs);
    int r = 0;

    if (pairs == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for the indexes");
    for (unsigned i = 0; r == 0 && i < STORE_INDEXES; i++)
        r = seal_index(txn, part, (enum store_index)i, pairs, error);
    free(pairs);
    return r == 0 ? store_bulk_write(txn, STORE_INDEX, &txn->index_bulk, error) : r;
}
