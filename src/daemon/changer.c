#include "daemon/changer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/boot.h"
#include "daemon/growth.h"
#include "daemon/keys.h"

/* A start that could not mark the last published generation acknowledges nothing for this long.
 * Readers of a generation without a heartbeat look at the path within 3 s and once a second then
 * (src/lib/attach), so after 5 s none of them answers from it. */
#define ORPHAN_WAIT_MS 5000u

/* Operations that share one flush, and the claims after which a batch takes no more of them: both
 * bound how long the first of a batch waits for the last. */
#define BATCH_OPS_MAX 1024u
#define BATCH_CLAIMS_MAX 20000u

/* A new generation is begun when this much of the old one is used, so that changes rarely wait. */
#define GROW_AT_PERMILLE 875u

/* After a failure to make one, the next try comes no sooner than this. */
#define GROW_RETRY_MS 5000u

struct queue {
    struct op *first;
    struct op **last;
    uint64_t count;
};

struct changer {
    struct changer_options options;
    char *run_dir;
    uv_thread_t thread;
    uv_async_t async; /* the store thread has something for the loop */

    /* Under the lock. */
    uv_mutex_t lock;
    uv_cond_t wake;
    struct queue changes;
    struct queue reads;
    struct queue finished;
    struct generation *retired; /* to be unmapped by the loop, which may be looking at them */
    const struct config *fresh_config;
    bool made; /* the thread that makes a file is done */
    bool lost; /* run_dir/table is not ours any more */
    bool stopping;
    bool ended;
    bool has_warning, has_fatal;
    struct error warning, fatal;

    /* The loop's. */
    void (*configured)(void *context);
    void *configured_context;
    bool config_taken; /* under the lock */
    void (*stopped)(void *context);
    void *stopped_context;
    uv_work_t upkeep;
    bool upkeep_runs;

    /* The store thread's. */
    struct keys keys;
    struct growth growth;
    struct queue waiting;
    uint64_t no_growth_before_ms;
    struct error growth_error; /* of the last try */

    /* Shared. */
    _Atomic(struct generation *) current;
    _Atomic uint64_t waiting_count, batches, changed, growing;
};

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.last = &queue->first};
}

static void queue_add(struct queue *queue, struct op *op)
{
    op->next = NULL;
    *queue->last = op;
    queue->last = &op->next;
    queue->count++;
}

static struct op *queue_take(struct queue *queue)
{
    struct op *op = queue->first;
    if (op == NULL)
        return NULL;
    queue->first = op->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    queue->count--;
    op->next = NULL;
    return op;
}

/* All of `from`, in front of what `to` has. */
static void queue_put_back(struct queue *to, struct queue *from)
{
    if (from->first == NULL)
        return;
    *from->last = to->first;
    if (to->first == NULL)
        to->last = from->last;
    to->first = from->first;
    to->count += from->count;
    queue_init(from);
}

static int64_t realtime_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void tell_warning(struct changer *changer, const struct error *error)
{
    uv_mutex_lock(&changer->lock);
    changer->warning = *error;
    changer->has_warning = true;
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

static void tell_fatal(struct changer *changer, const struct error *error)
{
    uv_mutex_lock(&changer->lock);
    changer->fatal = *error;
    changer->has_fatal = true;
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

static void finish(struct changer *changer, struct queue *done)
{
    uv_mutex_lock(&changer->lock);
    for (struct op *op; (op = queue_take(done)) != NULL;)
        queue_add(&changer->finished, op);
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

static struct generation *current(struct changer *changer)
{
    /* acquire: pairs with the switch */
    return atomic_load_explicit(&changer->current, memory_order_acquire);
}

static void stamp(struct changer *changer, struct op *op)
{
    op->generation = current(changer)->number;
    if (op->error.code == 0 && op->sequence == 0) {
        op->epoch = store_epoch(changer->options.store);
        op->sequence = store_sequence(changer->options.store);
    }
    op->time_unix_ms = realtime_ms();
}

/* What of the configuration stands in the table itself. */
static void configure_table(struct changer *changer, struct table_writer *table)
{
    atomic_store_explicit(&table->header->max_stale_ms,
                          (uint64_t)changer->keys.config->max_stale_ms, memory_order_relaxed);
}

/* Commits are on the disk: makes them seen. */
static int publish_batch(struct changer *changer, struct error *error)
{
    struct store *store = changer->options.store;
    keys_publish(&changer->keys);
    table_set_sequence(changer->keys.table, store_sequence(store));
    return store_set_published(store, store_epoch(store), store_sequence(store), error);
}

/* Whether an update must not pass one that waits: the later of two that name the same key would be
 * undone by the earlier. Everything else may pass: it needs no room, or does not touch what an
 * update touches. */
static bool waits_behind(const struct changer *changer, const struct op *op)
{
    if (op->kind != OP_UPDATE)
        return false;
    for (const struct op *earlier = changer->waiting.first; earlier != NULL;
         earlier = earlier->next)
        if (earlier->kind == OP_UPDATE && keys_share_id(earlier, op))
            return true;
    return false;
}

/* The wait of a start is over, or the generation that had lost its name was marked, before the
 * first change is acknowledged after it: the next start need not wait. */
static int tell_covered(struct changer *changer, struct error *error)
{
    struct generation *generation = current(changer);
    struct store_generation recorded = {.number = generation->number};
    if (!changer->growth.uncovered || changer->growth.stage != GROWTH_IDLE)
        return 0;
    memcpy(recorded.boot_id, generation->writer.header->boot_id, sizeof recorded.boot_id);
    int r = store_set_generation(changer->options.store, &recorded, error);
    changer->growth.uncovered = r != 0;
    /* Without room the next start waits for nothing, and that is all. */
    return r == CATLATCH_E_FULL ? 0 : r;
}

/* Runs a batch. What finds no room goes to `waiting`, the rest to `done`. */
static int run_batch(struct changer *changer, struct queue *batch, struct queue *done,
                     struct error *error)
{
    struct store *store = changer->options.store;
    uint64_t before = store_sequence(store), changed = 0;
    int r;
    changer->keys.now_unix_ms = realtime_ms();
    for (struct op *op; (op = queue_take(batch)) != NULL;) {
        keys_tidy(op);
        if (waits_behind(changer, op)) {
            queue_add(&changer->waiting, op);
            continue;
        }
        keys_change(&changer->keys, op);
        if (store_is_broken(store)) {
            store_flush(store, error); /* says why */
            queue_add(done, op);
            return CATLATCH_E_IO;
        }
        changed += op->error.code == 0;
        queue_add(op->error.code != 0 && changer->keys.table_full ? &changer->waiting : done, op);
    }
    if (store_sequence(store) != before &&
        ((r = store_flush(store, error)) != 0 || (r = tell_covered(changer, error)) != 0 ||
         (r = publish_batch(changer, error)) != 0))
        return r;
    for (struct op *op = done->first; op != NULL; op = op->next)
        stamp(changer, op);
    atomic_fetch_add(&changer->batches, 1);
    atomic_fetch_add(&changer->changed, changed);
    atomic_store(&changer->waiting_count, changer->waiting.count);
    return 0;
}

static void fail_waiting(struct changer *changer, const struct error *why)
{
    struct queue done;
    queue_init(&done);
    for (struct op *op; (op = queue_take(&changer->waiting)) != NULL; queue_add(&done, op)) {
        op->error = *why;
        error_prefix(&op->error, "nothing was changed; no room in the table, and no larger one");
        stamp(changer, op);
    }
    atomic_store(&changer->waiting_count, 0);
    finish(changer, &done);
}

/* Readers go over to the new generation. Nothing changes meanwhile: this is the thread that
 * changes. The old one is marked before any change is published in the new one alone. */
static int switch_generation(struct changer *changer, struct error *error)
{
    struct generation *fresh = growth_take(&changer->growth), *old = current(changer);
    configure_table(changer, &fresh->writer); /* it may have changed since the plan */
    table_set_sequence(&fresh->writer, store_sequence(changer->options.store));
    int r = generation_publish(fresh, changer->run_dir, error);
    if (r != 0) {
        generation_free(fresh, changer->run_dir);
        return r;
    }
    changer->keys.table = &fresh->writer;
    /* release: pairs with current() */
    atomic_store_explicit(&changer->current, fresh, memory_order_release);
    generation_retire(old, changer->run_dir);
    changer->growth.uncovered = changer->growth.recorded_uncovered;
    changer->growth.old = fresh;
    uv_mutex_lock(&changer->lock);
    old->next = changer->retired;
    changer->retired = old;
    queue_put_back(&changer->changes, &changer->waiting);
    uv_mutex_unlock(&changer->lock);
    atomic_store(&changer->waiting_count, 0);
    uv_async_send(&changer->async);
    return 0;
}

static void growth_failed(struct changer *changer, struct error *error)
{
    changer->no_growth_before_ms = generation_now_ms() + GROW_RETRY_MS;
    changer->growth_error = *error;
    fail_waiting(changer, error);
    error_prefix(error, "a new table could not be published");
    tell_warning(changer, error);
}

static void plan_growth(struct changer *changer)
{
    const struct config *config = changer->keys.config;
    growth_plan(&changer->growth, store_key_count(changer->options.store) + changer->waiting.count,
                config->expected_keys, (uint64_t)config->max_stale_ms, changer->keys.table);
}

/* Begins a new generation if one is due. */
static void consider_growth(struct changer *changer, bool lost)
{
    struct error error = {0};
    /* Looked at again: the heartbeat can fall between a rename and what tells it. */
    bool due = (lost && !generation_is_in_place(current(changer), changer->run_dir)) ||
               changer->waiting.first != NULL ||
               table_fill_permille(changer->keys.table) >= GROW_AT_PERMILLE;
    if (!due || changer->growth.stage != GROWTH_IDLE)
        return;
    if (generation_now_ms() < changer->no_growth_before_ms) {
        fail_waiting(changer, &changer->growth_error);
        return;
    }
    plan_growth(changer);
    if (growth_begin(&changer->growth, &error) != 0)
        growth_failed(changer, &error);
    atomic_store(&changer->growing, changer->growth.stage != GROWTH_IDLE);
}

/* True if the next step can be taken at once. */
static bool step_growth(struct changer *changer)
{
    struct error error = {0};
    enum growth_progress progress = growth_step(&changer->growth, &error);
    if (progress == GROWTH_FAILED ||
        (progress == GROWTH_READY && switch_generation(changer, &error) != 0))
        growth_failed(changer, &error);
    atomic_store(&changer->growing, changer->growth.stage != GROWTH_IDLE);
    return progress == GROWTH_WORKING;
}

/* What the thread found to do. */
struct work {
    struct queue batch;
    struct op *read;
    bool lost;
    bool stop;
};

/* Takes over what waits; sleeps when there is nothing and `busy` is false. */
static void take_work(struct changer *changer, struct work *work, bool busy)
{
    queue_init(&work->batch);
    uv_mutex_lock(&changer->lock);
    while (!busy && changer->changes.first == NULL && changer->reads.first == NULL &&
           !changer->stopping && !changer->made && !changer->lost && changer->fresh_config == NULL)
        uv_cond_wait(&changer->wake, &changer->lock);
    while (work->batch.count < BATCH_OPS_MAX && changer->changes.first != NULL)
        queue_add(&work->batch, queue_take(&changer->changes));
    work->read = queue_take(&changer->reads);
    work->lost = changer->lost;
    work->stop = changer->stopping && work->batch.first == NULL && work->read == NULL;
    changer->lost = changer->made = false;
    if (changer->fresh_config != NULL) {
        changer->keys.config = changer->fresh_config;
        changer->fresh_config = NULL;
        changer->config_taken = true;
        uv_async_send(&changer->async);
    }
    uv_mutex_unlock(&changer->lock);
}

/* A batch in parts, so that no operation waits for more than BATCH_CLAIMS_MAX others' slots. */
static int run_changes(struct changer *changer, struct queue *batch, struct error *error)
{
    while (batch->first != NULL) {
        struct queue part, done;
        size_t keys = 0;
        queue_init(&part);
        queue_init(&done);
        do {
            keys += batch->first->id_count;
            queue_add(&part, queue_take(batch));
        } while (batch->first != NULL && keys + batch->first->id_count <= BATCH_CLAIMS_MAX);
        int r = run_batch(changer, &part, &done, error);
        if (r != 0)
            return r; /* nothing of it is acknowledged: the process ends */
        finish(changer, &done);
    }
    return 0;
}

static void run_read(struct changer *changer, struct op *op)
{
    struct queue done;
    queue_init(&done);
    changer->keys.now_unix_ms = realtime_ms();
    keys_read(&changer->keys, op);
    stamp(changer, op);
    queue_add(&done, op);
    finish(changer, &done);
}

/* A store that panicked while it was read must be recovered by another process too. */
static bool check_store(struct changer *changer)
{
    struct error error = {0};
    if (!store_is_broken(changer->options.store))
        return false;
    store_flush(changer->options.store, &error); /* says why not */
    tell_fatal(changer, &error);
    return true;
}

static void end_thread(struct changer *changer)
{
    struct error error;
    error_set(&error, CATLATCH_E_UNAVAILABLE, "the daemon is stopping");
    fail_waiting(changer, &error);
    growth_cancel(&changer->growth);
    uv_mutex_lock(&changer->lock);
    changer->ended = true;
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

static void store_thread(void *context)
{
    struct changer *changer = context;
    struct error error = {0};
    bool busy = false;
    for (;;) {
        struct work work;
        const struct config *before = changer->keys.config;
        take_work(changer, &work, busy);
        if (changer->keys.config != before)
            configure_table(changer, changer->keys.table);
        if (work.stop)
            break;
        if (run_changes(changer, &work.batch, &error) != 0) {
            tell_fatal(changer, &error);
            return;
        }
        if (work.read != NULL)
            run_read(changer, work.read);
        consider_growth(changer, work.lost);
        busy = step_growth(changer);
        if (check_store(changer))
            return;
    }
    end_thread(changer);
}

/* A store that is older than what was published was put back from elsewhere: publishing it would
 * bring revoked keys back to life. */
static int check_age(struct changer *changer, const struct generation_found *found,
                     struct error *error)
{
    struct store *store = changer->options.store;
    uint64_t epoch, sequence, own_epoch = store_epoch(store), own = store_sequence(store);
    int r = store_published(store, &epoch, &sequence, error);
    if (r != 0)
        return r;
    if (found->epoch > epoch || (found->epoch == epoch && found->sequence > sequence)) {
        epoch = found->epoch;
        sequence = found->sequence;
    }
    if (own_epoch > epoch || (own_epoch == epoch && own >= sequence) ||
        changer->options.accept_older)
        return 0;
    return error_set(error, CATLATCH_E_CONFLICT,
                     "the store ends with change %" PRIu64 ":%" PRIu64 ", and a table was "
                     "published with %" PRIu64 ":%" PRIu64 ": it was put back from an older copy, "
                     "in which revoked keys may live; start with --accept-older to use it",
                     own_epoch, own, epoch, sequence);
}

static void wake(void *context)
{
    struct changer *changer = context;
    uv_mutex_lock(&changer->lock);
    changer->made = true;
    uv_cond_signal(&changer->wake);
    uv_mutex_unlock(&changer->lock);
}

static void sleep_until_made(struct changer *changer)
{
    uv_mutex_lock(&changer->lock);
    while (!changer->made)
        uv_cond_wait(&changer->wake, &changer->lock);
    changer->made = false;
    uv_mutex_unlock(&changer->lock);
}

/* Fills and publishes the first generation of this process, on the caller's thread. */
static int build_first(struct changer *changer, struct error *error)
{
    enum growth_progress progress;
    int r;
    plan_growth(changer);
    if ((r = growth_begin(&changer->growth, error)) != 0)
        return r;
    while ((progress = growth_step(&changer->growth, error)) != GROWTH_READY) {
        if (progress == GROWTH_FAILED)
            return error->code;
        if (progress == GROWTH_WAITING)
            sleep_until_made(changer);
    }
    struct generation *first = growth_take(&changer->growth);
    table_set_sequence(&first->writer, store_sequence(changer->options.store));
    if ((r = generation_publish(first, changer->run_dir, error)) != 0) {
        generation_free(first, changer->run_dir);
        return r;
    }
    changer->keys.table = &first->writer;
    atomic_store_explicit(&changer->current, first, memory_order_release);
    changer->growth.old = first;
    return 0;
}

/* Whether a generation that may have readers cannot be found and marked: the one that was recorded
 * last is not there, so run_dir was emptied since, or an earlier start knew of one already. */
static int look_for_orphans(struct changer *changer, struct generation_found *ret_found,
                            struct store_generation *ret_recorded, struct error *error)
{
    uint8_t boot_id[BOOT_ID_BYTES];
    int r = store_generation(changer->options.store, ret_recorded, error);
    if (r == 0)
        r = generation_look(changer->run_dir, ret_recorded->number, ret_found, error);
    if (r != 0)
        return r;
    bool same_boot =
        boot_id_read(boot_id) != 0 || memcmp(boot_id, ret_recorded->boot_id, sizeof boot_id) == 0;
    changer->growth.uncovered = ret_recorded->number != 0 && same_boot &&
                                (ret_recorded->uncovered || !ret_found->has_expected);
    return 0;
}

static int start_table(struct changer *changer, uint64_t *ret_wait_ms, struct error *error)
{
    struct generation_found found;
    struct store_generation recorded;
    struct store *store = changer->options.store;
    bool marked;
    int r;
    if ((r = look_for_orphans(changer, &found, &recorded, error)) != 0 ||
        (r = check_age(changer, &found, error)) != 0 ||
        (r = suspended_load(&changer->keys.suspended, store, error)) != 0)
        return r;
    changer->growth.highest = recorded.number > found.highest ? recorded.number : found.highest;
    if ((r = build_first(changer, error)) != 0 ||
        (r = generation_mark_others(changer->run_dir, current(changer)->number, recorded.number,
                                    &marked, error)) != 0)
        return r;
    changer->growth.uncovered |= found.has_expected && !marked;
    *ret_wait_ms = changer->growth.uncovered ? ORPHAN_WAIT_MS : 0;
    return store_set_published(store, store_epoch(store), store_sequence(store), error);
}

static void free_retired(struct changer *changer)
{
    uv_mutex_lock(&changer->lock);
    struct generation *retired = changer->retired;
    changer->retired = NULL;
    uv_mutex_unlock(&changer->lock);
    while (retired != NULL) {
        struct generation *next = retired->next;
        generation_free(retired, changer->run_dir);
        retired = next;
    }
}

static void tell_loop_errors(struct changer *changer)
{
    struct error warning, fatal;
    uv_mutex_lock(&changer->lock);
    bool warns = changer->has_warning, dies = changer->has_fatal;
    warning = changer->warning;
    fatal = changer->fatal;
    changer->has_warning = changer->has_fatal = false;
    uv_mutex_unlock(&changer->lock);
    if (warns && changer->options.warn != NULL)
        changer->options.warn(changer->options.context, &warning);
    if (dies)
        changer->options.fatal(changer->options.context, &fatal);
}

static void closed(uv_handle_t *handle)
{
    struct changer *changer = handle->data;
    uv_thread_join(&changer->thread);
    free_retired(changer);
    changer->stopped(changer->stopped_context);
}

static void on_async(uv_async_t *async)
{
    struct changer *changer = async->data;
    struct queue finished;
    uv_mutex_lock(&changer->lock);
    queue_init(&finished);
    queue_put_back(&finished, &changer->finished);
    bool taken = changer->config_taken, ended = changer->ended;
    changer->config_taken = false;
    uv_mutex_unlock(&changer->lock);

    free_retired(changer);
    tell_loop_errors(changer);
    for (struct op *op; (op = queue_take(&finished)) != NULL;)
        op->done(op);
    if (taken && changer->configured != NULL)
        changer->configured(changer->configured_context);
    if (ended && !changer->upkeep_runs && !uv_is_closing((uv_handle_t *)async))
        uv_close((uv_handle_t *)async, closed);
}

static int init_sync(struct changer *changer, struct error *error)
{
    if (uv_mutex_init(&changer->lock) != 0 || uv_cond_init(&changer->wake) != 0 ||
        uv_async_init(changer->options.loop, &changer->async, on_async) != 0)
        return error_set(error, CATLATCH_E_MEMORY, "starting the store thread");
    changer->async.data = changer;
    return 0;
}

int changer_start(const struct changer_options *options, struct changer **ret_changer,
                  uint64_t *ret_wait_ms, struct error *error)
{
    struct changer *changer = calloc(1, sizeof *changer);
    if (changer == NULL || (changer->run_dir = strdup(options->run_dir)) == NULL) {
        free(changer);
        return error_set(error, CATLATCH_E_MEMORY, "starting the store thread");
    }
    changer->options = *options;
    queue_init(&changer->changes);
    queue_init(&changer->reads);
    queue_init(&changer->finished);
    queue_init(&changer->waiting);
    changer->keys.store = options->store;
    changer->keys.config = options->config;
    changer->growth = (struct growth){
        .store = options->store,
        .suspended = &changer->keys.suspended,
        .run_dir = changer->run_dir,
        .wake = wake,
        .context = changer,
    };
    int r = init_sync(changer, error);
    if (r == 0)
        r = start_table(changer, ret_wait_ms, error);
    if (r == 0 && uv_thread_create(&changer->thread, store_thread, changer) != 0)
        r = error_set(error, CATLATCH_E_MEMORY, "starting the store thread");
    if (r != 0)
        return r; /* the process ends: what was begun is the kernel's to take back */
    *ret_changer = changer;
    return 0;
}

void changer_submit(struct changer *changer, struct op *op)
{
    uv_mutex_lock(&changer->lock);
    queue_add(op->kind >= OP_LIST ? &changer->reads : &changer->changes, op);
    uv_cond_signal(&changer->wake);
    uv_mutex_unlock(&changer->lock);
}

void changer_configure(struct changer *changer, const struct config *config,
                       void (*done)(void *context), void *context)
{
    changer->configured = done;
    changer->configured_context = context;
    uv_mutex_lock(&changer->lock);
    changer->fresh_config = config;
    uv_cond_signal(&changer->wake);
    uv_mutex_unlock(&changer->lock);
}

const struct table_view *changer_view(struct changer *changer)
{
    struct generation *generation = current(changer);
    return generation != NULL ? &generation->writer.view : NULL;
}

static void keep_up(uv_work_t *work)
{
    struct changer *changer = work->data;
    struct error error = {0};
    if (store_checkpoint(changer->options.store, false, &error) != 0 ||
        store_lay_ballast(changer->options.store, &error) != 0) {
        if (store_is_broken(changer->options.store))
            tell_fatal(changer, &error);
        else
            tell_warning(changer, &error);
    }
}

static void kept_up(uv_work_t *work, int status)
{
    struct changer *changer = work->data;
    (void)status;
    changer->upkeep_runs = false;
    uv_async_send(&changer->async); /* somebody may wait for it to stop */
}

void changer_beat(struct changer *changer)
{
    struct generation *generation = current(changer);
    table_beat(generation->writer.header, generation_now_ms());
    if (!generation_is_in_place(generation, changer->run_dir)) {
        uv_mutex_lock(&changer->lock);
        changer->lost = true;
        uv_cond_signal(&changer->wake);
        uv_mutex_unlock(&changer->lock);
    }
    if (!changer->upkeep_runs && changer->stopped == NULL) {
        changer->upkeep.data = changer;
        changer->upkeep_runs =
            uv_queue_work(changer->options.loop, &changer->upkeep, keep_up, kept_up) == 0;
    }
}

void changer_status(struct changer *changer, struct changer_status *ret_status)
{
    struct store *store = changer->options.store;
    const struct generation *generation = current(changer);
    const struct table_header *header = generation->writer.header;
    *ret_status = (struct changer_status){
        .epoch = generation->writer.view.epoch,
        .sequence = atomic_load_explicit(&header->sequence, memory_order_acquire),
        .generation = generation->number,
        .key_count = store_key_count(store),
        .slot_count = generation->writer.view.slot_count,
        .slots_used = atomic_load_explicit(&header->slots_used, memory_order_relaxed),
        .capacity = generation->writer.capacity,
        .table_bytes = generation->size,
        .growing = atomic_load(&changer->growing) != 0,
        .waiting = atomic_load(&changer->waiting_count),
        .batches = atomic_load(&changer->batches),
        .changes = atomic_load(&changer->changed),
    };
    ret_status->fill_permille = (unsigned)(ret_status->slots_used * 1000 / ret_status->capacity);
    uv_mutex_lock(&changer->lock);
    ret_status->queued = changer->changes.count + changer->reads.count;
    uv_mutex_unlock(&changer->lock);
}

void changer_stop(struct changer *changer, void (*stopped)(void *context), void *context)
{
    changer->stopped = stopped;
    changer->stopped_context = context;
    uv_mutex_lock(&changer->lock);
    changer->stopping = true;
    uv_cond_signal(&changer->wake);
    uv_mutex_unlock(&changer->lock);
}

void changer_free(struct changer *changer)
{
    if (changer == NULL)
        return;
    generation_free(current(changer), changer->run_dir);
    keys_free(&changer->keys);
    uv_cond_destroy(&changer->wake);
    uv_mutex_destroy(&changer->lock);
    free(changer->run_dir);
    free(changer);
}
