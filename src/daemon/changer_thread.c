#include <string.h>
#include <time.h>

#include "daemon/changer_internal.h"

/* Operations that share one flush, and the claims after which a batch takes no more of them: both
 * bound how long the first of a batch waits for the last. */
#define BATCH_OPS_MAX 1024u
#define BATCH_CLAIMS_MAX 20000u

/* Keys of imports that share one flush: what a revoke that comes meanwhile waits for, some 20 ms,
 * and for the flush of as many before them. One request may bring more by itself. */
#define IMPORT_KEYS_MAX 1000u

/* A new generation is begun when this much of the old one is used, so that changes rarely wait. */
#define GROW_AT_PERMILLE 875u

/* Tables that had no room for a change that waited first, each with more than the one before: what
 * is still refused then fails, for want of memory to count limits in, say. */
#define REFUSALS_MAX 10u

/* After a failure to make one, the next try comes no sooner than this. */
#define GROW_RETRY_MS 5000u

/* Keys that operations in line would add at most. */
static uint64_t keys_in_line(const struct op_queue *queue)
{
    uint64_t count = 0;
    for (const struct op *op = queue->first; op != NULL; op = op->next)
        count += op->import_count > 0 ? op->import_count : 1;
    return count;
}

/* What an import announced, with room for the generation not to be nearly full at its end. */
static uint64_t keys_expected(const struct changer *changer)
{
    uint64_t configured = changer->keys.config->expected_keys;
    uint64_t imported = changer->expected_keys + changer->expected_keys / 4;
    return imported > configured ? imported : configured;
}

void changer_plan_growth(struct changer *changer)
{
    const struct config *config = changer->keys.config;
    const struct op *first = changer->waiting.first;
    struct growth *growth = &changer->growth;
    growth->all_limited = config->named_limits.count > 0;
    growth->spare_limits =
        growth->previous != NULL ? table_spare_limits(growth->previous, &config->named_limits) : 0;
    growth_plan(growth, store_key_count(changer->options.store) + keys_in_line(&changer->waiting),
                keys_expected(changer), (uint64_t)config->max_stale_ms, changer->keys.table,
                first != NULL ? first->refusals : 0);
}

int64_t changer_realtime_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void finish(struct changer *changer, struct op_queue *done)
{
    uv_mutex_lock(&changer->lock);
    for (struct op *op; (op = op_queue_take(done)) != NULL;)
        op_queue_add(&changer->finished, op);
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

static void stamp(struct changer *changer, struct op *op)
{
    op->generation = changer_current(changer)->number;
    if (op->error.code == 0 && op->sequence == 0) {
        op->epoch = store_epoch(changer->options.store);
        op->sequence = store_sequence(changer->options.store);
    }
    op->time_unix_ms = changer_realtime_ms();
}

/* The table shows what was published up to this change; whoever finishes it wakes the loop. */
static void tell_shown(struct changer *changer, uint64_t published)
{
    uint64_t shown = keys_shown_sequence(&changer->keys);
    atomic_store(&changer->shown, shown < published ? shown : published);
    uv_mutex_lock(&changer->lock);
    changer->news = true;
    uv_mutex_unlock(&changer->lock);
}

/* The first claims' commits, up to this place in the log, are on the disk: makes them seen. */
static int publish_batch(struct changer *changer, size_t claims, uint64_t epoch, uint64_t sequence,
                         struct error *error)
{
    keys_publish(&changer->keys, claims);
    table_set_sequence(changer->keys.table, sequence);
    tell_shown(changer, sequence);
    return store_set_published(changer->options.store, epoch, sequence, error);
}

/* Whether an update must not pass one that waits: the later of two that name the same key, or
 * owner, would be undone by the earlier. Everything else may pass: it needs no room, or does not
 * touch what an update touches. */
static bool waits_behind(const struct changer *changer, const struct op *op)
{
    if (op->kind != OP_UPDATE && op->kind != OP_OWNER_UPDATE)
        return false;
    for (const struct op *earlier = changer->waiting.first; earlier != NULL;
         earlier = earlier->next)
        if (earlier->kind == op->kind &&
            (op->kind == OP_UPDATE ? keys_share_id(earlier, op)
                                   : text_equal(earlier->owner, op->owner)))
            return true;
    return false;
}

/* A change of an owner comes after the one that is under way, and is not answered before it. */
static bool is_held(const struct changer *changer, const struct op *op)
{
    return op->owner.len > 0 && keys_is_spreading(&changer->keys, op->owner);
}

/* Where an operation has to wait before it can be run; NULL: it need not. */
static struct op_queue *queue_before(struct changer *changer, const struct op *op)
{
    return is_held(changer, op)        ? &changer->held
           : waits_behind(changer, op) ? &changer->waiting
                                       : NULL;
}

/* Where an operation goes that was run. */
static struct op_queue *queue_after(struct changer *changer, struct op *op, struct op_queue *done)
{
    if (op->error.code == 0)
        return op->spreads ? &changer->keys.spreading : done;
    if (!changer->keys.table_full || op->refusals >= REFUSALS_MAX)
        return done;
    /* The first that waits is also the first that a new table is asked for room. */
    op->refusals += changer->waiting.first == NULL;
    return &changer->waiting;
}

/* The wait of a start is over, or the generation that had lost its name was marked, before the
 * first change is acknowledged after it: the next start need not wait. */
static int tell_covered(struct changer *changer, struct error *error)
{
    struct generation *generation = changer_current(changer);
    struct store_generation recorded = {.number = generation->number};
    if (!changer->growth.uncovered || changer->growth.stage != GROWTH_IDLE)
        return 0;
    memcpy(recorded.boot_id, generation->writer.header->boot_id, sizeof recorded.boot_id);
    int r = store_set_generation(changer->options.store, &recorded, error);
    changer->growth.uncovered = r != 0;
    /* Without room the next start waits for nothing, and that is all. */
    return r == CATLATCH_E_FULL ? 0 : r;
}

/* Runs and commits a batch. What finds no room goes to `waiting`, what is held up to `held`, what
 * is to be shown bit by bit to `spreading`, the rest to `done`. */
static int commit_batch(struct changer *changer, struct op_queue *batch, struct op_queue *done,
                        uint64_t *ret_changed, struct error *error)
{
    struct store *store = changer->options.store;
    uint64_t changed = 0;
    changer->keys.now_unix_ms = changer_realtime_ms();
    changer->keys.coming = growth_view(&changer->growth);
    for (struct op *op; (op = op_queue_take(batch)) != NULL;) {
        keys_tidy(op);
        struct op_queue *before_it = queue_before(changer, op);
        if (before_it != NULL) {
            op_queue_add(before_it, op);
            continue;
        }
        keys_change(&changer->keys, op);
        if (store_is_broken(store)) {
            store_flush(store, error); /* says why */
            op_queue_add(done, op);
            return CATLATCH_E_IO;
        }
        changed += op->error.code == 0;
        op_queue_add(queue_after(changer, op, done), op);
    }
    atomic_store(&changer->waiting_count, changer->waiting.count);
    *ret_changed = changed;
    return 0;
}

/* Answers, for all that it rests on is seen. */
static void acknowledge(struct changer *changer, struct op_queue *done, uint64_t changed)
{
    changer->keys.now_unix_ms = changer_realtime_ms();
    for (struct op *op = done->first; op != NULL; op = op->next) {
        keys_settle_usage(&changer->keys, op);
        stamp(changer, op);
    }
    atomic_fetch_add(&changer->batches, 1);
    atomic_fetch_add(&changer->changed, changed);
    finish(changer, done);
}

static int run_batch(struct changer *changer, struct op_queue *batch, struct error *error)
{
    struct store *store = changer->options.store;
    uint64_t before = store_sequence(store), changed = 0;
    struct op_queue done;
    op_queue_init(&done);
    int r = commit_batch(changer, batch, &done, &changed, error);
    if (r == 0 && store_sequence(store) != before &&
        ((r = store_flush(store, error)) == 0 && (r = tell_covered(changer, error)) == 0))
        r = publish_batch(changer, changer->keys.claim_count, store_epoch(store),
                          store_sequence(store), error);
    if (r == 0)
        acknowledge(changer, &done, changed);
    return r; /* or nothing of it is acknowledged: the process ends */
}

/* Waits for the flush of the imports that are pending, publishes and answers them. Before anything
 * else than a further import is done: it may look at what they changed. */
static int settle(struct changer *changer, struct error *error)
{
    struct pending *pending = &changer->pending;
    int r = changer_end_usage_flush(changer, error);
    if (r != 0 || pending->done.first == NULL)
        return r;
    r = flusher_wait(&changer->flusher, error);
    if (r == 0)
        r = tell_covered(changer, error);
    if (r == 0)
        r = publish_batch(changer, pending->claims, pending->epoch, pending->sequence, error);
    if (r == 0)
        acknowledge(changer, &pending->done, pending->changed);
    return r;
}

/* Imports that follow imports: these run while what those changed is flushed. */
static int run_imports(struct changer *changer, struct op_queue *imports, struct error *error)
{
    struct store *store = changer->options.store;
    struct pending next = {.claims = 0};
    uint64_t before = store_sequence(store);
    op_queue_init(&next.done);
    int r = commit_batch(changer, imports, &next.done, &next.changed, error);
    if (r == 0)
        r = settle(changer, error);
    if (r != 0)
        return r;
    if (store_sequence(store) == before) {
        acknowledge(changer, &next.done, next.changed);
        return 0;
    }
    next.claims = changer->keys.claim_count;
    next.epoch = store_epoch(store);
    next.sequence = store_sequence(store);
    changer->pending = next;
    flusher_begin(&changer->flusher);
    return 0;
}

static void fail_waiting(struct changer *changer, const struct error *why)
{
    struct op_queue done;
    op_queue_init(&done);
    for (struct op *op; (op = op_queue_take(&changer->waiting)) != NULL; op_queue_add(&done, op)) {
        op->error = *why;
        error_prefix(&op->error, "nothing was changed; no room in the table, and no larger one");
        stamp(changer, op);
    }
    atomic_store(&changer->waiting_count, 0);
    finish(changer, &done);
}

/* Under the lock. What waited longest comes first again. */
static void put_back(struct changer *changer, struct op_queue *waiting)
{
    struct op_queue changes, imports;
    op_queue_init(&changes);
    op_queue_init(&imports);
    for (struct op *op; (op = op_queue_take(waiting)) != NULL;)
        op_queue_add(op->kind == OP_IMPORT ? &imports : &changes, op);
    op_queue_put_back(&changer->changes, &changes);
    op_queue_put_back(&changer->imports, &imports);
}

/* Readers go over to the new generation. Nothing changes meanwhile: this is the thread that
 * changes. The old one is marked before any change is published in the new one alone. */
static int switch_generation(struct changer *changer, struct error *error)
{
    struct generation *fresh = growth_take(&changer->growth), *old = changer_current(changer);
    changer_take_over_table(changer, &fresh->writer, &old->writer.view);
    table_set_sequence(&fresh->writer, store_sequence(changer->options.store));
    int r = generation_publish(fresh, changer->run_dir, error);
    if (r != 0) {
        generation_free(fresh, changer->run_dir);
        return r;
    }
    changer->keys.table = &fresh->writer;
    /* release: pairs with changer_current */
    atomic_store_explicit(&changer->current, fresh, memory_order_release);
    generation_retire(old, changer->run_dir);
    changer->growth.uncovered = changer->growth.recorded_uncovered;
    changer->growth.old = fresh;
    changer->growth.previous = &fresh->writer.view;
    uv_mutex_lock(&changer->lock);
    old->next = changer->retired;
    changer->retired = old;
    put_back(changer, &changer->waiting);
    uv_mutex_unlock(&changer->lock);
    atomic_store(&changer->waiting_count, 0);
    uv_async_send(&changer->async);
    return 0;
}

static void growth_failed(struct changer *changer, struct error *error)
{
    changer->no_growth_before_ms = generation_now_ms() + GROW_RETRY_MS;
    changer->growth_error = *error;
    changer->expected_keys = 0; /* what is needed may fit where what was announced does not */
    fail_waiting(changer, error);
    error_prefix(error, "a new table could not be published");
    changer_warn(changer, error);
}

static bool growth_is_due(const struct changer *changer)
{
    return changer->waiting.first != NULL || changer_lacks_limits(changer) ||
           table_fill_permille(changer->keys.table) >= GROW_AT_PERMILLE ||
           changer->expected_keys > changer->keys.table->capacity / 1000 * GROW_AT_PERMILLE;
}

/* Begins a new generation if one is due. */
static void consider_growth(struct changer *changer, bool lost)
{
    struct error error = {0};
    /* Looked at again: the heartbeat can fall between a rename and what tells it. */
    bool due = (lost && !generation_is_in_place(changer_current(changer), changer->run_dir)) ||
               growth_is_due(changer);
    if (!due || changer->growth.stage != GROWTH_IDLE)
        return;
    if (generation_now_ms() < changer->no_growth_before_ms) {
        fail_waiting(changer, &changer->growth_error);
        return;
    }
    changer_plan_growth(changer);
    if (growth_begin(&changer->growth, &error) != 0)
        growth_failed(changer, &error);
    atomic_store(&changer->growing, changer->growth.stage != GROWTH_IDLE);
}

/* True if the next step can be taken at once. */
static bool step_growth(struct changer *changer)
{
    struct error error = {0};
    if (changer->growth.stage != GROWTH_IDLE && changer_end_usage_flush(changer, &error) != 0) {
        changer_fail(changer, &error);
        return false;
    }
    enum growth_progress progress = growth_step(&changer->growth, &error);
    if (progress == GROWTH_READY && changer->growth.usage_error.code != 0)
        changer_warn(changer, &changer->growth.usage_error);
    if (progress == GROWTH_FAILED ||
        (progress == GROWTH_READY && switch_generation(changer, &error) != 0))
        growth_failed(changer, &error);
    atomic_store(&changer->growing, changer->growth.stage != GROWTH_IDLE);
    return progress == GROWTH_WORKING;
}

/* True if the next step can be taken at once. */
static bool step_spread(struct changer *changer)
{
    struct op_queue done;
    struct op *op = keys_spread(&changer->keys);
    if (op != NULL) {
        stamp(changer, op);
        tell_shown(changer, store_sequence(changer->options.store));
        op_queue_init(&done);
        op_queue_add(&done, op);
        finish(changer, &done);
        uv_mutex_lock(&changer->lock);
        put_back(changer, &changer->held);
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
    for (uint64_t steps = changed * 2 / GROWTH_SLICE; steps > 0 && step_growth(changer); steps--)
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
        int r = run_batch(changer, &part, error);
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
    stamp(changer, op);
    op_queue_add(&done, op);
    finish(changer, &done);
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
    fail_waiting(changer, &error);
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
           !growth_is_due(changer);
}

static int run_work(struct changer *changer, struct work *work, struct error *error)
{
    if (imports_alone(changer, work))
        return run_imports(changer, &work->imports, error);
    int r = settle(changer, error);
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
            (growth_is_due(changer) && settle(changer, &error) != 0)) {
            changer_fail(changer, &error);
            return;
        }
        if (work.read != NULL)
            run_read(changer, work.read);
        if (work.tend)
            tend(changer);
        consider_growth(changer, work.lost);
        busy = step_growth(changer);
        changer_tell_configured(changer);
        busy |= step_spread(changer);
        busy |= changer_step_sweep(changer, work.sweep);
        if (changer_uses_are_due(changer, work.sweep)) {
            if (settle(changer, &error) != 0) {
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
