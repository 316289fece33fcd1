/*
 * process.h - the process segment: what each worker process counts for itself, and how it is read.
 *
 * One more sealed memfd beside the area, made by the keeper: PROCESS_LINES lines, of which line 0
 * is the past, the counts of all that ended, and every other one belongs to one handle of one
 * process, or to nobody. Who has which line stands where no worker can write, in the keeper's roll
 * (roll.h). Every process that may verify has the segment mapped for writing, so nothing in it is
 * believed: who reads bounds what it says.
 *
 * A line has one writer, which therefore needs no locked instruction: it loads, adds and stores. So
 * a child must not write the line of the process that it was forked from; it attaches anew.
 *
 * When a process ends the keeper folds its line into the past, and nobody must count it twice
 * meanwhile, or not at all. The past's `sequence` is odd while that goes on, and another one
 * afterwards. Everything a fold writes is stored with release behind the odd sequence, and whoever
 * reads loads with acquire between two looks at the sequence: what it read of a fold shows it the
 * odd one, at the latest with the second look. (No fences, which race detectors do not know.)
 */
#ifndef USAGE_PROCESS_H
#define USAGE_PROCESS_H

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "catlatch.h"

/* Handles, not processes: each thread of a host has its own. A line costs 256 bytes here and a
 * descriptor in the keeper, of which an ordinary user may have about as many as this where nobody
 * allowed more. The largest pools that we know of have some hundreds of processes, and one user
 * gets up to half of this. */
#define PROCESS_LINES 4096u

/* One for each enum catlatch_result, and some more: it may grow. */
#define PROCESS_RESULTS 24u
static_assert(CATLATCH_UNAVAILABLE < PROCESS_RESULTS, "every result has its count");

/* No host counts this far: a century of ten million a second. Sums of two stay sums. */
#define PROCESS_COUNT_MAX (UINT64_C(1) << 56)

struct process_line {
    _Atomic uint64_t results[PROCESS_RESULTS]; /* by enum catlatch_result */
    _Atomic uint64_t generation;               /* of the table that is used; 0: none yet */
    _Atomic uint64_t attached_ms;              /* CLOCK_MONOTONIC; the keeper's */
    _Atomic uint64_t sequence;                 /* line 0's: odd while a line is folded */
    uint64_t reserved[5];                      /* zeros */
};
static_assert(sizeof(struct process_line) == 256, "whole cache lines, so that none is shared");

struct process_segment {
    struct process_line lines[PROCESS_LINES];
};

/* Plain counts, each at most PROCESS_COUNT_MAX. */
struct process_counts {
    uint64_t results[PROCESS_RESULTS];
};

/* NULL where there is none: 0 is nobody's. */
static inline struct process_line *process_line_at(struct process_segment *segment, uint32_t line)
{
    return line > 0 && line < PROCESS_LINES ? &segment->lines[line] : NULL;
}

/* Counts one outcome in the caller's own line, NULL: it has none. Wait-free. Thread: the one that
 * uses the handle. Fork: not in the child. */
static inline void process_note(struct process_line *line, enum catlatch_result result)
{
    if (line == NULL || (unsigned)result >= PROCESS_RESULTS)
        return;
    /* relaxed: a line has one writer, and its counts are told apart from nothing else */
    uint64_t count = atomic_load_explicit(&line->results[result], memory_order_relaxed);
    atomic_store_explicit(&line->results[result], count + 1, memory_order_relaxed);
}

/* Says which generation of the table the caller uses from now on. */
static inline void process_note_generation(struct process_line *line, uint64_t generation)
{
    if (line != NULL)
        atomic_store_explicit(&line->generation, generation, memory_order_relaxed);
}

/* The sum, at most PROCESS_COUNT_MAX, of two that are no more. */
static inline uint64_t process_add(uint64_t a, uint64_t b)
{
    return a + b < PROCESS_COUNT_MAX ? a + b : PROCESS_COUNT_MAX;
}

/* What stands in one line now, with each count bounded. */
void process_read_line(const struct process_line *line, struct process_counts *ret_counts);

/*
 * What all processes counted, those that ended among them. Reads the whole segment, a megabyte, and
 * again if a line was folded meanwhile, PROCESS_TRIES_MAX times.
 *
 * False, and *ret_totals is untouched: there was no quiet moment. Many processes end at once, the
 * keeper was killed in the midst of a fold and is not back, or somebody scribbles: what was read
 * last goes on being what is known. Who asks the keeper first (usage_processes) finds the past
 * rewritten, whatever was scribbled on it.
 */
#define PROCESS_TRIES_MAX 16u
bool process_read_totals(const struct process_segment *segment, struct process_counts *ret_totals);

#endif
