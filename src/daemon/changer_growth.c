#include "daemon/changer_internal.h"

/* A new generation is begun when this much of the old one is used, so that changes rarely wait. */
#define GROW_AT_PERMILLE 875u

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

void changer_fail_waiting(struct changer *changer, const struct error *why)
{
    struct op_queue done;
    op_queue_init(&done);
    for (struct op *op; (op = op_queue_take(&changer->waiting)) != NULL; op_queue_add(&done, op)) {
        op->error = *why;
        error_prefix(&op->error, "nothing was changed; no room in the table, and no larger one");
        changer_stamp(changer, op);
    }
    atomic_store(&changer->waiting_count, 0);
    changer_finish(changer, &done);
}

/* Under the lock. What waited longest comes first again. */
void changer_put_back(struct changer *changer, struct op_queue *waiting)
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
    changer_put_back(changer, &changer->waiting);
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
    changer_fail_waiting(changer, error);
    error_prefix(error, "a new table could not be published");
    changer_warn(changer, error);
}

bool changer_growth_is_due(const struct changer *changer)
{
    return changer->waiting.first != NULL || changer_lacks_limits(changer) ||
           table_fill_permille(changer->keys.table) >= GROW_AT_PERMILLE ||
           changer->expected_keys > changer->keys.table->capacity / 1000 * GROW_AT_PERMILLE;
}

void changer_consider_growth(struct changer *changer, bool lost)
{
    struct error error = {0};
    /* Looked at again: the heartbeat can fall between a rename and what tells it. */
    bool due = (lost && !generation_is_in_place(changer_current(changer), changer->run_dir)) ||
               changer_growth_is_due(changer);
    if (!due || changer->growth.stage != GROWTH_IDLE)
        return;
    if (generation_now_ms() < changer->no_growth_before_ms) {
        changer_fail_waiting(changer, &changer->growth_error);
        return;
    }
    changer_plan_growth(changer);
    if (growth_begin(&changer->growth, &error) != 0)
        growth_failed(changer, &error);
    atomic_store(&changer->growing, changer->growth.stage != GROWTH_IDLE);
}

bool changer_step_growth(struct changer *changer)
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
