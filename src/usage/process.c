#include "usage/process.h"

void process_read_line(const struct process_line *line, struct process_counts *ret_counts)
{
    for (unsigned i = 0; i < PROCESS_RESULTS; i++) {
        /* acquire: pairs with the stores of a fold, see process.h */
        uint64_t count = atomic_load_explicit(&line->results[i], memory_order_acquire);
        ret_counts->results[i] = count < PROCESS_COUNT_MAX ? count : PROCESS_COUNT_MAX;
    }
}

static void add_line(const struct process_line *line, struct process_counts *totals)
{
    struct process_counts counts;

    process_read_line(line, &counts);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        totals->results[i] = process_add(totals->results[i], counts.results[i]);
}

/* With an odd sequence it reads for nothing: that is its way to give a fold the time that it takes,
 * for it cannot sleep here. */
static bool read_once(const struct process_segment *segment, struct process_counts *ret_totals)
{
    const _Atomic uint64_t *sequence = &segment->lines[0].sequence;
    struct process_counts totals = {{0}};

    /* acquire: pairs with the even sequence behind a fold */
    uint64_t before = atomic_load_explicit(sequence, memory_order_acquire);
    for (unsigned i = 0; i < PROCESS_LINES; i++)
        add_line(&segment->lines[i], &totals);
    /* relaxed: the acquiring loads stay before it */
    uint64_t after = atomic_load_explicit(sequence, memory_order_relaxed);
    if (before % 2 != 0 || before != after)
        return false;
    *ret_totals = totals;
    return true;
}

bool process_read_totals(const struct process_segment *segment, struct process_counts *ret_totals)
{
    for (unsigned i = 0; i < PROCESS_TRIES_MAX; i++)
        if (read_once(segment, ret_totals))
            return true;
    return false;
}
