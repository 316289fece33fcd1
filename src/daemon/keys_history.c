/* What was counted when: what is kept of it, and what a client sees. */
#include "daemon/keys_internal.h"

int64_t keys_history_kept_s(const struct config *config, enum history_level level)
{
    switch (level) {
    case HISTORY_DAYS:
        return config->history_days_s;
    case HISTORY_HOURS:
        return config->history_hours_s;
    case HISTORY_MINUTES:
        return config->history_minutes_s;
    case HISTORY_LEVELS:
        break;
    }
    return 0;
}

struct history_plan keys_history_plan(const struct config *config, int64_t now_unix_s)
{
    struct history_plan plan = {.now_unix_s = now_unix_s};

    for (unsigned i = 0; i < HISTORY_LEVELS; i++)
        plan.kept[i] = keys_history_kept_s(config, (enum history_level)i) != 0;
    return plan;
}

/* What was counted and not swept yet: it goes to the span of this moment. */
struct unswept {
    uint32_t bucket;
    struct history_entry entry;
    uint64_t results[PROCESS_RESULTS];
};

static int find_unswept(const struct keys *keys, const struct op *op, const struct record *record,
                        struct unswept *ret, struct error *error)
{
    struct total before = {.used = {.count = 0}}, now;
    uint64_t counts[PROCESS_RESULTS];

    ret->bucket = history_bucket(op->level, keys->now_unix_ms / 1000);
    if (op->id_count == 0) {
        sweeper_results(&keys->sweeper, counts, ret->results);
        return 0;
    }
    int r = store_total(keys->store, record->id, &before, error);
    if (r == 0 || r == CATLATCH_E_NOT_FOUND)
        r = keys_total(keys, record, &now, error);
    if (r == 0)
        ret->entry = sweeper_more(&before, &now);
    return r;
}

static bool is_empty(const struct op_span *span)
{
    uint64_t any = span->entry.granted | span->entry.refused;

    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        any |= span->results[i];
    return any == 0;
}

static int read_span(const struct keys *keys, const struct op *op, uint32_t bucket,
                     const struct unswept *unswept, struct op_span *ret_span, struct error *error)
{
    struct op_span span = {.begin_unix_s = history_begin_s(op->level, bucket)};
    int r = op->id_count > 0
                ? store_history(keys->store, op->level, bucket, op->ids[0], &span.entry, error)
                : store_history_results(keys->store, op->level, bucket, span.results, error);

    if (r == 0 && bucket == unswept->bucket) {
        span.entry.granted = history_add(span.entry.granted, unswept->entry.granted);
        span.entry.refused = history_add(span.entry.refused, unswept->entry.refused);
        for (unsigned i = 0; i < PROCESS_RESULTS; i++)
            span.results[i] = history_add(span.results[i], unswept->results[i]);
    }
    if (r == 0)
        *ret_span = span;
    return r;
}

/* Now is when it is looked, and not when it was asked: what was not swept yet belongs to the span
 * of this moment, which may have begun in between.
 *
 * And to what can be there, so that no page after page is looked at for nothing. What lies ahead
 * was counted before the clock was set back. */
static void bound_times(const struct keys *keys, struct op *op)
{
    int64_t now_unix_s = keys->now_unix_ms / 1000;
    int64_t reach_s = keys_history_kept_s(keys->config, op->level) + 2 * history_span_s(op->level);

    if (op->until_unix_s == 0)
        op->until_unix_s = now_unix_s + 1;
    if (op->since_unix_s < now_unix_s - reach_s)
        op->since_unix_s = now_unix_s - reach_s;
    if (op->until_unix_s > now_unix_s + reach_s)
        op->until_unix_s = now_unix_s + reach_s;
}

int keys_history(struct keys *keys, struct op *op)
{
    struct run run = {.keys = keys, .op = op, .now_unix_s = keys->now_unix_ms / 1000};

    bound_times(keys, op);
    struct unswept unswept = {.bucket = 0};
    struct record record = {.id = 0};
    uint32_t bucket = history_bucket(op->level, op->since_unix_s);

    int r = op->id_count > 0 ? keys_fetch(&run, op->ids[0], &record) : 0;
    if (r == 0)
        r = find_unswept(keys, op, &record, &unswept, &op->error);
    if (r != 0)
        return r;
    op->spans = op_alloc(op, OP_SPANS_MAX * sizeof *op->spans);
    if (op->spans == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading a history");
    for (unsigned i = 0; history_begin_s(op->level, bucket) < op->until_unix_s; i++, bucket++) {
        struct op_span *span = &op->spans[op->span_count];
        if (i == OP_SPANS_MAX) {
            op->next_unix_s = history_begin_s(op->level, bucket);
            return 0;
        }
        if ((r = read_span(keys, op, bucket, &unswept, span, &op->error)) != 0)
            return r;
        op->span_count += !is_empty(span);
    }
    return 0;
}
