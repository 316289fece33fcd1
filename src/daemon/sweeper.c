#include "daemon/sweeper.h"

#include <string.h>

/* Records of one transaction, and words of marks that are looked at for them: a millisecond. */
#define SLICE_RECORDS 64u
#define SLICE_WORDS 16384u

const struct busiest *sweeper_watch(struct sweeper *sweeper, uint64_t *ret_span_ms, uint64_t now_ms)
{
    sweeper->watched_ms = now_ms;
    *ret_span_ms = sweeper->busiest_span_ms;
    return &sweeper->busiest;
}

static bool is_watched(const struct sweeper *sweeper, uint64_t now_ms)
{
    return sweeper->watched_ms != 0 && now_ms - sweeper->watched_ms < SWEEPER_WATCH_MS;
}

void sweeper_begin(struct sweeper *sweeper, uint64_t interval_ms, uint64_t now_ms)
{
    if (is_watched(sweeper, now_ms) && interval_ms > SWEEPER_WATCHED_INTERVAL_MS)
        interval_ms = SWEEPER_WATCHED_INTERVAL_MS;
    if (sweeper->active || tally_area(sweeper->tally) == NULL ||
        now_ms - sweeper->begun_ms < interval_ms)
        return;
    sweeper->active = true;
    sweeper->wrote = sweeper->swept = false;
    sweeper->span_ms = sweeper->begun_ms != 0 ? now_ms - sweeper->begun_ms : 0;
    sweeper->begun_ms = now_ms;
    sweeper->begun_unix_s = 0;
    busiest_clear(&sweeper->found);
    sweeper->found.round = ++sweeper->rounds;
}

/* False: some of what the area says is not believed. */
static bool add_area(const struct tally *tally, uint32_t ref, int64_t now_unix_s,
                     struct total *io_total)
{
    const struct usage_area *area = tally_area(tally);
    struct usage_numbers numbers;

    return area == NULL || !usage_read(area, ref, now_unix_s, &numbers) ||
           total_advance(io_total, area->id, ref, &numbers, now_unix_s);
}

/* What was counted up to now is nobody's, and is stored as that: all that follows is the store's,
 * whatever becomes of this process. */
static int begin_results(struct sweeper *sweeper, struct error *error)
{
    const struct history_plan nowhere = {.kept = {false}};
    uint64_t none[PROCESS_RESULTS] = {0}, more[PROCESS_RESULTS];
    struct results_look look;

    if (census_look(sweeper->census, &look))
        results_advance(&sweeper->results, &look, more);
    memset(sweeper->results.counts, 0, sizeof sweeper->results.counts);
    int r = store_put_results(sweeper->store, &sweeper->results, none, &nowhere, error);
    if (r == 0)
        r = store_flush(sweeper->store, error);
    return r == CATLATCH_E_FULL ? 0 : r; /* the next sweep stores it */
}

int sweeper_open(struct sweeper *sweeper, struct error *error)
{
    if (sweeper->census == NULL)
        return 0;
    int r = store_results(sweeper->store, &sweeper->results, error);
    if (r == CATLATCH_E_NOT_FOUND)
        r = begin_results(sweeper, error);
    if (r == 0)
        census_know(sweeper->census, &sweeper->results);
    return r;
}

void sweeper_results(const struct sweeper *sweeper, uint64_t ret_counts[PROCESS_RESULTS],
                     uint64_t ret_more[PROCESS_RESULTS])
{
    struct results results = sweeper->results;
    struct results_look look;

    memset(ret_more, 0, PROCESS_RESULTS * sizeof *ret_more);
    if (census_look(sweeper->census, &look))
        results_advance(&results, &look, ret_more);
    memcpy(ret_counts, results.counts, sizeof results.counts);
}

struct history_entry sweeper_more(const struct total *before, const struct total *after)
{
    return (struct history_entry){.granted = after->used.count - before->used.count,
                                  .refused = after->refused.count - before->refused.count};
}

/* Returns 1 if some of what the area says is not believed, 0, or an error. */
static int advance(struct store *store, const struct tally *tally, uint64_t id, uint32_t ref,
                   int64_t now_unix_s, struct total *ret_before, struct total *ret_total,
                   struct error *error)
{
    struct total total = {.used = {.count = 0}};

    int r = store_total(store, id, &total, error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    *ret_before = total;
    bool believed = add_area(tally, ref, now_unix_s, &total);
    *ret_total = total;
    return !believed;
}

int sweeper_total(struct store *store, const struct tally *tally, uint64_t id, uint32_t ref,
                  int64_t now_unix_s, struct total *ret_total, struct error *error)
{
    struct total before;
    int r = advance(store, tally, id, ref, now_unix_s, &before, ret_total, error);
    return r < 0 ? r : 0;
}

void sweeper_look_again(const struct tally *tally, uint32_t ref, int64_t now_unix_s,
                        struct total *io_total)
{
    (void)add_area(tally, ref, now_unix_s, io_total);
}

static int take_over(struct sweeper *sweeper, const uint32_t *refs, size_t count,
                     const struct history_plan *plan, struct error *error)
{
    struct store_total totals[SLICE_RECORDS];
    struct total before = {.used = {.count = 0}};
    size_t known = 0;

    for (size_t i = 0; i < count; i++) {
        struct store_total *next = &totals[known];
        *next = (struct store_total){.id = tally_owner(sweeper->tally, refs[i])};
        if (next->id == 0)
            continue; /* a mark that somebody wrote there */
        int r = advance(sweeper->store, sweeper->tally, next->id, refs[i], plan->now_unix_s,
                        &before, &next->total, error);
        if (r < 0)
            return r;
        next->more = sweeper_more(&before, &next->total);
        sweeper->unbelieved += r > 0;
        known++;
    }
    if (known == 0)
        return 0;
    int r = store_put_totals(sweeper->store, totals, known, plan, error);
    if (r != 0)
        return r;
    for (size_t i = 0; i < known; i++)
        busiest_add(&sweeper->found, totals[i].id, &totals[i].more);
    sweeper->records += known;
    sweeper->wrote = true;
    return 0;
}

/* What all processes counted since it was stored last. */
static int take_results(struct sweeper *sweeper, const struct history_plan *plan,
                        struct error *error)
{
    struct results results = sweeper->results;
    uint64_t more[PROCESS_RESULTS];
    struct results_look look;

    if (!census_look(sweeper->census, &look))
        return 0;
    if (!results_advance(&results, &look, more) &&
        memcmp(&results, &sweeper->results, sizeof results) == 0)
        return 0;
    int r = store_put_results(sweeper->store, &results, more, plan, error);
    if (r != 0)
        return r;
    sweeper->results = results;
    sweeper->wrote = true;
    census_know(sweeper->census, &results);
    return 0;
}

/* What could not be written is to be found by the next round. */
static void mark_again(const struct sweeper *sweeper, const uint32_t *refs, size_t count)
{
    const struct usage_area *area = tally_area(sweeper->tally);
    for (size_t i = 0; i < count; i++)
        /* relaxed: whatever the record says then is read with it */
        atomic_fetch_or_explicit(usage_mark_word(area, refs[i]), usage_mark_bit(refs[i]),
                                 memory_order_relaxed);
}

static bool is_gap(int64_t until_unix_s, int64_t now_unix_s)
{
    int64_t gap_s = now_unix_s - until_unix_s;

    return until_unix_s == 0 || gap_s > SWEEPER_GAP_MAX_S || gap_s < -SWEEPER_GAP_MAX_S;
}

int sweeper_evidence(struct store *store, const struct tally *tally, int64_t now_unix_s,
                     int64_t *ret_since_unix_s, struct error *error)
{
    struct store_evidence evidence;

    *ret_since_unix_s = 0;
    if (tally_area(tally) == NULL)
        return 0;
    int r = store_evidence(store, &evidence, error);
    if (r == 0 && !is_gap(evidence.until_unix_s, now_unix_s))
        *ret_since_unix_s = evidence.since_unix_s;
    return r;
}

/* All that the area had counted when the round began is stored now. */
static int note_round(const struct sweeper *sweeper, struct error *error)
{
    struct store_evidence evidence;

    if (!tally_is_offered(sweeper->tally))
        return 0; /* who starts now has nowhere to count: a gap, if it lasts */
    int r = store_evidence(sweeper->store, &evidence, error);
    if (r != 0)
        return r;
    if (is_gap(evidence.until_unix_s, sweeper->begun_unix_s))
        evidence.since_unix_s = sweeper->begun_unix_s;
    evidence.until_unix_s = sweeper->begun_unix_s;
    r = store_set_evidence(sweeper->store, &evidence, error);
    return r == CATLATCH_E_FULL ? 0 : r; /* a gap, if it lasts */
}

/* True: the area's end was come to. */
static bool sweep_area(struct sweeper *sweeper, const struct history_plan *plan, int *ret_r,
                       struct error *error)
{
    uint32_t refs[SLICE_RECORDS];
    size_t count = 0;

    bool over = usage_sweep(tally_area(sweeper->tally), &sweeper->cursor, SLICE_WORDS, refs,
                            SLICE_RECORDS, &count);
    *ret_r = take_over(sweeper, refs, count, plan, error);
    if (*ret_r != 0) {
        mark_again(sweeper, refs, count);
        sweeper->cursor = (struct usage_cursor){0};
    }
    if (over && *ret_r == 0)
        *ret_r = note_round(sweeper, error);
    return over;
}

static void show_busiest(struct sweeper *sweeper)
{
    sweeper->busiest = sweeper->found;
    sweeper->busiest_span_ms = sweeper->span_ms;
    busiest_sort(&sweeper->busiest);
}

int sweeper_step(struct sweeper *sweeper, const struct history_plan *plan, bool *ret_ended,
                 struct error *error)
{
    int r = 0;

    *ret_ended = false;
    if (!sweeper->active)
        return 0;
    if (sweeper->begun_unix_s == 0)
        sweeper->begun_unix_s = plan->now_unix_s;
    bool over = sweeper->swept;
    if (over) {
        show_busiest(sweeper);
        r = take_results(sweeper, plan, error);
    } else
        sweeper->swept = sweep_area(sweeper, plan, &r, error);
    sweeper->active = !over && r == 0;
    *ret_ended = over && sweeper->wrote && r == 0;
    return r;
}
