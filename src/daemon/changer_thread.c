#include "daemon/changer_internal.h"

/* Operations that share one flush, and the claims after which a batch takes no more of them: both
 * bound how long the first of a batch waits for the last. */
#define BATCH_OPS_MAX 1024u
#define BATCH_CLAIMS_MAX 20000u

/* Keys of imports that share one flush: what a revoke that comes meanwhile waits for, some 20 ms,
 * and for the flush of as many before them. One request may bring more by itself. */
#define IMPORT_KEYS_MAX 1000u

/* True if the next step can be taken at once. */
static bool step_spread(struct changer *changer)
{
    struct op_queue done;
    struct op *op = keys_spread(&changer->keys);
    if (op != NULL) {
        changer_stamp(changer, op);
        changer_tell_shown(changer, store_sequence(changer->options.store));
        op_queue_init(&done);
        op_queue_add(&done, op);
        changer_finish(changer, &done);
        uv_mutex_lock(&changer->lock);
        changer_put_back(changer, &changer->held);
        uv_mutex_unlock(&changer->lock);
    }
    return changer->keys.spreading.first != NULL;
}

/* What the thread found to do. */
struct work {
    struct op_queue batch;
    struct op_queue imports;
    struct op *read;
    bool lost;
    bool tend;
    bool sweep;
    bool stop;
};

/* Few, for a revoke that is sent now waits for them. */
static void take_imports(struct changer *changer, struct op_queue *imports)
{
    size_t keys = 0;
    while (changer->imports.first != NULL &&
           (keys == 0 || keys + changer->imports.first->import_count <= IMPORT_KEYS_MAX)) {
        struct op *op = op_queue_take(&changer->imports);
        keys += op->import_count > 0 ? op->import_count : 1;
        changer->expected_keys = store_key_count(changer->options.store) + op->expected;
        op_queue_add(imports, op);
    }
}

/* Takes over what waits; sleeps when there is nothing and `busy` is false. */
static void take_work(struct changer *changer, struct work *work, bool busy)
{
    op_queue_init(&work->batch);
    op_queue_init(&work->imports);
    uv_mutex_lock(&changer->lock);
    while (!busy && changer->changes.first == NULL && changer->reads.first == NULL &&
           changer->imports.first == NULL && !changer->stopping && !changer->made &&
           !changer->lost && !changer->tend && !changer->sweep && changer->fresh_config == NULL)
        uv_cond_wait(&changer->wake, &changer->lock);
    while (work->batch.count < BATCH_OPS_MAX && changer->changes.first != NULL)
        op_queue_add(&work->batch, op_queue_take(&changer->changes));
    take_imports(changer, &work->imports);
    work->read = op_queue_take(&changer->reads);
    work->lost = changer->lost;
    work->tend = changer->tend;
    work->sweep = changer->sweep;
    work->stop = changer->stopping && work->batch.first == NULL && work->imports.first == NULL &&
                 work->read == NULL && changer->keys.spreading.first == NULL;
    changer->lost = changer->made = changer->tend = changer->sweep = false;
    changer_take_config(changer);
    uv_mutex_unlock(&changer->lock);
}

/* A growth that takes over less than is changed meanwhile would never come to its end, and what
 * waits for room would wait for as long as others change keys in bulk. Between batches only: when
 * it switches, what waited goes before all that was submitted later. */
static void keep_pace(struct changer *changer, uint64_t changed)
{
    for (uint64_t steps = changed * 2 / GROWTH_SLICE; steps > 0 && changer_step_growth(changer);
         steps--)
        continue;
}

/* A batch in parts, so that no operation waits for more than BATCH_CLAIMS_MAX others' slots. */
static int run_changes(struct changer *changer, struct op_queue *batch, struct error *error)
{
    uint64_t before = store_sequence(changer->options.store);
    while (batch->first != NULL) {
        struct op_queue part;
        size_t keys = 0;
        op_queue_init(&part);
        do {
            keys += batch->first->id_count;
            op_queue_add(&part, op_queue_take(batch));
        } while (batch->first != NULL && keys + batch->first->id_count <= BATCH_CLAIMS_MAX);
        int r = changer_run_batch(changer, &part, error);
        if (r != 0)
            return r;
    }
    keep_pace(changer, store_sequence(changer->options.store) - before);
    return 0;
}

static void run_read(struct changer *changer, struct op *op)
{
    struct op_queue done;
    op_queue_init(&done);
    changer->keys.now_unix_ms = changer_realtime_ms();
    keys_read(&changer->keys, op);
    changer_stamp(changer, op);
    op_queue_add(&done, op);
    changer_finish(changer, &done);
}

/* In the loop: what nobody asked for is told to nobody, unless it failed. The thread leaves
 * `retention` alone as long as it purges, but for what it does under the lock. */
static void tended(struct op *op)
{
    struct changer *changer = op->context;
    struct error error;
    uv_mutex_lock(&changer->lock);
    bool again = retention_heed(&changer->retention, op, &error);
    changer->purging = false;
    changer->tend |= again && (changer->purging_more || op->error.code != 0);
    uv_cond_signal(&changer->wake);
    uv_mutex_unlock(&changer->lock);
    if (error.code != 0)
        changer_warn(changer, &error);
    op_free(op);
}

/* Nothing is begun while the last purge is on its way, which would name the same keys, nor when the
 * daemon is to stop, which would wait for it. */
static bool may_tend(struct changer *changer)
{
    uv_mutex_lock(&changer->lock);
    bool may = !changer->purging && !changer->stopping;
    uv_mutex_unlock(&changer->lock);
    return may && changer->growth.stage == GROWTH_IDLE; /* which needs the log as it is */
}

/* Forgets a little of what is old; the operation goes the way of all others. */
static void tend(struct changer *changer)
{
    struct error error = {0};
    struct op *op;
    bool more;
    if (!may_tend(changer))
        return;
    if (retention_step(&changer->retention, changer->keys.config, &op, &more, &error) != 0) {
        changer_warn(changer, &error);
        return;
    }
    uv_mutex_lock(&changer->lock);
    if (op != NULL) {
        op->done = tended;
        op->context = changer;
        op_queue_add(&changer->changes, op);
        changer->purging = true;
        changer->purging_more = more;
    }
    changer->tend |= more && op == NULL;
    uv_mutex_unlock(&changer->lock);
}

/* A store that panicked while it was read must be recovered by another process too. */
static bool check_store(struct changer *changer)
{
    struct error error = {0};
    if (!store_is_broken(changer->options.store))
        return false;
    store_flush(changer->options.store, &error); /* says why not */
    changer_fail(changer, &error);
    return true;
}

static void end_thread(struct changer *changer)
{
    struct error error;
    error_set(&error, CATLATCH_E_UNAVAILABLE, "the daemon is stopping");
    changer_fail_waiting(changer, &error);
    growth_cancel(&changer->growth);
    changer_sweep_all(changer);
    flusher_stop(&changer->flusher);
    uv_mutex_lock(&changer->lock);
    changer->config_taken |= changer->config_waits;
    changer->ended = true;
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

static bool has_owner(const struct op_queue *imports)
{
    for (const struct op *op = imports->first; op != NULL; op = op->next)
        if (op->owner.len > 0)
            return true;
    return false;
}

/* There are further imports of keys and nothing else. A growth reads what was changed, and a change
 * of an owner is shown, between batches, when no claim waits. */
static bool imports_alone(const struct changer *changer, const struct work *work)
{
    return work->imports.first != NULL && !has_owner(&work->imports) && work->batch.first == NULL &&
           work->read == NULL && !work->tend && !work->lost &&
           changer->keys.spreading.first == NULL && changer->growth.stage == GROWTH_IDLE &&
           !changer_growth_is_due(changer);
}

static int run_work(struct changer *changer, struct work *work, struct error *error)
{
    if (imports_alone(changer, work))
        return changer_run_imports(changer, &work->imports, error);
    int r = changer_settle(changer, error);
    if (r == 0)
        r = run_changes(changer, &work->batch, error);
    return r == 0 ? run_changes(changer, &work->imports, error) : r;
}

void changer_thread(void *context)
{
    struct changer *changer = context;
    struct error error = {0};
    bool busy = false;
    for (;;) {
        struct work work;
        take_work(changer, &work, busy || changer->pending.done.first != NULL);
        if (work.stop && changer->pending.done.first == NULL)
            break;
        if (run_work(changer, &work, &error) != 0 ||
            (changer_growth_is_due(changer) && changer_settle(changer, &error) != 0)) {
            changer_fail(changer, &error);
            return;
        }
        if (work.read != NULL)
            run_read(changer, work.read);
        if (work.tend)
            tend(changer);
        changer_consider_growth(changer, work.lost);
        busy = changer_step_growth(changer);
        changer_tell_configured(changer);
        busy |= step_spread(changer);
        busy |= changer_step_sweep(changer, work.sweep);
        if (changer_uses_are_due(changer, work.sweep)) {
            if (changer_settle(changer, &error) != 0) {
                changer_fail(changer, &error);
                return;
            }
            busy |= changer_step_uses(changer);
        }
        if (check_store(changer))
            return;
    }
    if (changer_end_usage_flush(changer, &error) != 0) {
        changer_fail(changer, &error);
        return;
    }
    end_thread(changer);
}
