#include <stdlib.h>
#include <string.h>

#include "daemon/changer_internal.h"

/* How often it is looked for what is old enough to be forgotten. */
#define TEND_INTERVAL_MS 60000u

struct generation *changer_current(const struct changer *changer)
{
    /* acquire: pairs with the switch */
    return atomic_load_explicit(&changer->current, memory_order_acquire);
}

void changer_warn(struct changer *changer, const struct error *error)
{
    uv_mutex_lock(&changer->lock);
    changer->warning = *error;
    changer->has_warning = true;
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

void changer_fail(struct changer *changer, const struct error *error)
{
    uv_mutex_lock(&changer->lock);
    changer->fatal = *error;
    changer->has_fatal = true;
    uv_mutex_unlock(&changer->lock);
    uv_async_send(&changer->async);
}

static void wake(void *context)
{
    struct changer *changer = context;
    uv_mutex_lock(&changer->lock);
    changer->made = true;
    uv_cond_signal(&changer->wake);
    uv_mutex_unlock(&changer->lock);
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
    struct op_queue finished;
    uv_mutex_lock(&changer->lock);
    op_queue_init(&finished);
    op_queue_put_back(&finished, &changer->finished);
    bool taken = changer->config_taken, ended = changer->ended, news = changer->news;
    struct error config_error = changer->config_error;
    changer->config_taken = changer->news = false;
    uv_mutex_unlock(&changer->lock);

    free_retired(changer);
    tell_loop_errors(changer);
    for (struct op *op; (op = op_queue_take(&finished)) != NULL;)
        op->done(op);
    if (news && changer->options.published != NULL)
        changer->options.published(changer->options.context);
    if (taken && changer->configured != NULL)
        changer->configured(changer->configured_context, &config_error);
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
    op_queue_init(&changer->changes);
    op_queue_init(&changer->imports);
    op_queue_init(&changer->reads);
    op_queue_init(&changer->finished);
    op_queue_init(&changer->waiting);
    op_queue_init(&changer->pending.done);
    op_queue_init(&changer->held);
    op_queue_init(&changer->keys.spreading);
    changer->keys.store = options->store;
    changer->keys.config = options->config;
    changer->keys.sweeper = (struct sweeper){
        .store = options->store, .tally = options->tally, .census = options->census};
    changer->keys.uses = (struct uses){.store = options->store, .tally = options->tally};
    retention_begin(&changer->retention, &changer->keys);
    changer->growth = (struct growth){
        .store = options->store,
        .owners = &changer->keys.owners,
        .tally = options->tally,
        .uses = &changer->keys.uses,
        .retiring = &changer->keys.retiring,
        .run_dir = changer->run_dir,
        .wake = wake,
        .context = changer,
    };
    int r = init_sync(changer, error);
    if (r == 0)
        r = sweeper_open(&changer->keys.sweeper, error);
    if (r == 0)
        r = changer_start_table(changer, ret_wait_ms, error);
    if (r == 0)
        r = flusher_start(&changer->flusher, options->store, error);
    if (r == 0 && uv_thread_create(&changer->thread, changer_thread, changer) != 0)
        r = error_set(error, CATLATCH_E_MEMORY, "starting the store thread");
    if (r != 0)
        return r; /* the process ends: what was begun is the kernel's to take back */
    *ret_changer = changer;
    return 0;
}

void changer_submit(struct changer *changer, struct op *op)
{
    uv_mutex_lock(&changer->lock);
    op_queue_add(op->kind >= OP_LIST     ? &changer->reads
                 : op->kind == OP_IMPORT ? &changer->imports
                                         : &changer->changes,
                 op);
    uv_cond_signal(&changer->wake);
    uv_mutex_unlock(&changer->lock);
}

void changer_configure(struct changer *changer, const struct config *config,
                       void (*done)(void *context, const struct error *error), void *context)
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
    struct generation *generation = changer_current(changer);
    return generation != NULL ? &generation->writer.view : NULL;
}

static void keep_up(uv_work_t *work)
{
    struct changer *changer = work->data;
    struct error error = {0};
    if (store_checkpoint(changer->options.store, false, &error) != 0 ||
        store_lay_ballast(changer->options.store, &error) != 0) {
        if (store_is_broken(changer->options.store))
            changer_fail(changer, &error);
        else
            changer_warn(changer, &error);
    }
    if (changer->options.tend_usage != NULL)
        changer->options.tend_usage(changer->options.context);
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
    struct generation *generation = changer_current(changer);
    table_beat(generation->writer.header, generation_now_ms());
    bool tend = generation_now_ms() - changer->tended_ms >= TEND_INTERVAL_MS;
    if (tend)
        changer->tended_ms = generation_now_ms();
    uv_mutex_lock(&changer->lock);
    changer->tend |= tend;
    changer->sweep = true;
    uv_cond_signal(&changer->wake);
    uv_mutex_unlock(&changer->lock);
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

struct store_position changer_position(const struct changer *changer)
{
    return (struct store_position){
        .epoch = changer_current(changer)->writer.view.epoch,
        .sequence = atomic_load(&changer->shown),
    };
}

static void add_usage(const struct changer *changer, struct changer_status *status)
{
    const struct sweeper *sweeper = &changer->keys.sweeper;
    const struct usage_area *area = tally_area(sweeper->tally);

    if (area == NULL)
        return;
    status->usage_records = tally_highest(sweeper->tally);
    status->usage_capacity = usage_capacity(area->segment_count);
    status->usage_rounds = atomic_load(&sweeper->rounds);
    status->usage_swept = atomic_load(&sweeper->records);
    status->usage_unbelieved = atomic_load(&sweeper->unbelieved);
    status->usage_slice_longest_us = atomic_load(&sweeper->slice_longest_us);
}

static uint64_t beat_age_ms(const struct table_header *header)
{
    /* relaxed: it is told, and rests on nothing */
    uint64_t pulse = atomic_load_explicit(&header->pulse, memory_order_relaxed);
    uint64_t now_ms = generation_now_ms();

    return pulse < now_ms ? now_ms - pulse : 0;
}

void changer_status(struct changer *changer, struct changer_status *ret_status)
{
    struct store *store = changer->options.store;
    const struct generation *generation = changer_current(changer);
    const struct table_header *header = generation->writer.header;
    struct store_position position = changer_position(changer);
    *ret_status = (struct changer_status){
        .epoch = position.epoch,
        .sequence = position.sequence,
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
    ret_status->heartbeat_age_ms = beat_age_ms(header);
    add_usage(changer, ret_status);
    ret_status->fill_permille = (unsigned)(ret_status->slots_used * 1000 / ret_status->capacity);
    uv_mutex_lock(&changer->lock);
    ret_status->queued = changer->changes.count + changer->imports.count + changer->reads.count;
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
    generation_free(changer_current(changer), changer->run_dir);
    keys_free(&changer->keys);
    uv_cond_destroy(&changer->wake);
    uv_mutex_destroy(&changer->lock);
    free(changer->run_dir);
    free(changer);
}
