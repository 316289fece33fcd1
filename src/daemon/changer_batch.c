#include <string.h>
#include <time.h>

#include "daemon/changer_internal.h"

/* Tables that had no room for a change that waited first, each with more than the one before: what
 * is still refused then fails, for want of memory to count limits in, say. */
#define REFUSALS_MAX 10u

int64_t changer_realtime_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void changer_finish(struct changer *changer, struct op_queue *done)
{
    uv_mutex_lock(&changer->lock);
    for (struct op *op; (op = op_queue_take(done)) != NULL;)
        op_queue_add(&changer->finished, op);
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

void changer_stamp(struct changer *changer, struct op *op)
{
    op->generation = changer_current(changer)->number;
    if (op->error.code == 0 && op->sequence == 0) {
        op->epoch = store_epoch(changer->options.store);
        op->sequence = store_sequence(changer->options.store);
    }
    op->time_unix_ms = changer_realtime_ms();
}

void changer_tell_shown(struct changer *changer, uint64_t published)
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
    changer_tell_shown(changer, sequence);
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
        changer_stamp(changer, op);
    }
    atomic_fetch_add(&changer->batches, 1);
    atomic_fetch_add(&changer->changed, changed);
    changer_finish(changer, done);
}

int changer_run_batch(struct changer *changer, struct op_queue *batch, struct error *error)
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

int changer_settle(struct changer *changer, struct error *error)
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

int changer_run_imports(struct changer *changer, struct op_queue *imports, struct error *error)
{
    struct store *store = changer->options.store;
    struct pending next = {.claims = 0};
    uint64_t before = store_sequence(store);
    op_queue_init(&next.done);
    int r = commit_batch(changer, imports, &next.done, &next.changed, error);
    if (r == 0)
        r = changer_settle(changer, error);
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
