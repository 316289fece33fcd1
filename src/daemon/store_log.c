#include "daemon/store_internal.h"

#include <inttypes.h>

#define POSITION_BYTES 16u

static void position_pack(uint64_t epoch, uint64_t sequence, unsigned char bytes[POSITION_BYTES])
{
    store_pack(epoch, bytes);
    store_pack(sequence, bytes + 8);
}

static int open_behind(struct store *store, const struct store_position *at, size_t max,
                       struct store_walk *ret_walk, struct error *error)
{
    unsigned char start[POSITION_BYTES];

    position_pack(at->epoch, at->sequence + 1, start);
    return store_walk_open(store, STORE_CHANGES, start, sizeof start, max, ret_walk, error);
}

static int take_change(const struct store *store, const DBT *key, const DBT *data,
                       struct change_room *room, struct change *ret_change, struct error *error)
{
    unsigned char own[POSITION_BYTES];

    int r = change_decode(data->data, data->size, room, ret_change);
    if (r == 0) {
        position_pack(ret_change->epoch, ret_change->sequence, own);
        if (key->size == sizeof own && memcmp(key->data, own, sizeof own) == 0)
            return 0;
    }
    return store_fail_entry(store, r, error, "an entry of the change log");
}

int store_change_entries(struct store *store, struct store_position *io_at, size_t max,
                         store_entry_visitor *visit, void *context, struct error *error)
{
    struct store_walk walk;
    struct change_room room;
    struct change change;
    DBT key, data;

    if (io_at->sequence == UINT64_MAX || max == 0)
        return 0;
    int r = open_behind(store, io_at, max, &walk, error);
    if (r != 0)
        return r;
    while (max-- > 0 && (r = store_walk_next(&walk, &key, &data, error)) == 1) {
        r = take_change(store, &key, &data, &room, &change, error);
        if (r != 0)
            break;
        *io_at = (struct store_position){change.epoch, change.sequence};
        r = visit(context, &change, data.data, data.size);
        if (r != 0)
            break;
    }
    store_walk_close(&walk);
    return r < 0 ? r : 0;
}

struct plain_visit {
    store_change_visitor *visit;
    void *context;
};

static int visit_plainly(void *context, const struct change *change, const void *bytes, size_t len)
{
    const struct plain_visit *plain = context;

    (void)bytes;
    (void)len;
    return plain->visit(plain->context, change);
}

int store_changes(struct store *store, struct store_position *io_at, size_t max,
                  store_change_visitor *visit, void *context, struct error *error)
{
    struct plain_visit plain = {visit, context};

    return store_change_entries(store, io_at, max, visit_plainly, &plain, error);
}

struct store_position store_log_start(const struct store *store)
{
    return store->log_start;
}

struct digest store_log_start_chain(const struct store *store)
{
    return store->log_start_chain;
}

int64_t store_last_change_ms(const struct store *store)
{
    return store->last_change_ms;
}

/* The change that comes next: the following of its epoch, or the first of a later one. */
static bool is_next(const struct store_position *at, const struct change *change)
{
    return change->epoch == at->epoch ? change->sequence == at->sequence + 1
                                      : change->epoch > at->epoch;
}

static int verify_change(const DBT *data, const struct change *change,
                         const struct store_position *at, const struct digest *chain,
                         struct error *error)
{
    bool first = at->epoch == 0; /* nothing was ever removed: it follows from zeros */

    if (first ? change->sequence != 1 : !is_next(at, change))
        return error_set(error, CATLATCH_E_DATA,
                         "changes are missing between %" PRIu64 ":%" PRIu64 " and %" PRIu64
                         ":%" PRIu64,
                         at->epoch, at->sequence, change->epoch, change->sequence);
    if (!change_follows(data->data, data->size, chain))
        return error_set(error, CATLATCH_E_DATA,
                         "change %" PRIu64 ":%" PRIu64 " is not what was logged: it, or what "
                         "stood before it, was altered",
                         change->epoch, change->sequence);
    return 0;
}

int store_changes_verify(struct store *store, struct store_position *io_at, struct digest *io_chain,
                         size_t max, size_t *ret_count, struct error *error)
{
    struct store_walk walk;
    struct change_room room;
    struct change change;
    size_t count = 0;
    DBT key, data;

    *ret_count = 0;
    if (io_at->sequence == UINT64_MAX)
        return 0;
    if (io_at->epoch == 0) {
        *io_at = store->log_start;
        *io_chain = store->log_start_chain;
    }
    int r = open_behind(store, io_at, max, &walk, error);
    if (r != 0)
        return r;
    while (count < max && (r = store_walk_next(&walk, &key, &data, error)) == 1) {
        r = take_change(store, &key, &data, &room, &change, error);
        if (r == 0)
            r = verify_change(&data, &change, io_at, io_chain, error);
        if (r != 0)
            break;
        *io_at = (struct store_position){change.epoch, change.sequence};
        *io_chain = change.chain;
        count++;
    }
    store_walk_close(&walk);
    *ret_count = count;
    return r < 0 ? r : 0;
}

/* The changes that go, and what is left of them. */
struct pruning {
    struct store_position at;
    struct digest chain;
    size_t count;
};

static int find_old(struct store *store, int64_t until_unix_ms, size_t max, struct pruning *pruning,
                    struct error *error)
{
    const struct store_position beginning = {0, 0};
    struct store_walk walk;
    struct change_room room;
    struct change change;
    DBT key, data;

    int r = open_behind(store, &beginning, max, &walk, error);
    if (r != 0)
        return r;
    while (pruning->count < max && (r = store_walk_next(&walk, &key, &data, error)) == 1) {
        r = take_change(store, &key, &data, &room, &change, error);
        if (r != 0 || change.time_unix_ms >= until_unix_ms ||
            (change.epoch == store->epoch && change.sequence == store->sequence))
            break;
        pruning->at = (struct store_position){change.epoch, change.sequence};
        pruning->chain = change.chain;
        pruning->count++;
    }
    store_walk_close(&walk);
    return r < 0 ? r : 0;
}

static int delete_first(struct store *store, DB_TXN *txn, size_t count, struct error *error)
{
    unsigned char bytes[POSITION_BYTES];
    DBT key = store_dbt_room(bytes, sizeof bytes);
    DBT data = {.flags = DB_DBT_USERMEM | DB_DBT_PARTIAL};
    DB *db = store->db[STORE_CHANGES];
    DBC *cursor;

    int r = db->cursor(db, txn, &cursor, 0);
    if (r != 0)
        return store_fail(store, r, error, "remove old changes");
    for (size_t i = 0; r == 0 && i < count; i++) {
        r = cursor->get(cursor, &key, &data, DB_FIRST);
        if (r == 0)
            r = cursor->del(cursor, 0);
    }
    int closed = cursor->close(cursor);
    r = r == 0 ? closed : r;
    return r == 0 ? 0 : store_fail(store, r, error, "remove old changes");
}

int store_prune(struct store *store, int64_t until_unix_ms, size_t max, size_t *ret_count,
                struct error *error)
{
    struct pruning pruning = {.count = 0};
    DB_TXN *txn;

    *ret_count = 0;
    int r = find_old(store, until_unix_ms, max, &pruning, error);
    if (r != 0 || pruning.count == 0)
        return r;
    r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    r = delete_first(store, txn, pruning.count, error);
    if (r == 0)
        r = store_meta_put_log_start(store, txn, &pruning.at, &pruning.chain, error);
    if (r == 0)
        r = store_check_room(store, error);
    if (r != 0) {
        txn->abort(txn);
        return r;
    }
    r = txn->commit(txn, DB_TXN_NOSYNC);
    if (r != 0)
        return store_fail(store, r, error, "commit");
    store->log_start = pruning.at;
    store->log_start_chain = pruning.chain;
    *ret_count = pruning.count;
    return 0;
}
