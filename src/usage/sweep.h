/*
 * sweep.h - finds the records that were written since they were swept last.
 *
 * The daemon sweeps in slices, as its loop must not wait, and reads each record that it was given
 * afterwards (usage_read): what was noted before a mark was taken is seen then, and what is noted
 * later sets the mark again. Marks can be scribbled as everything else: a sweep's work is bounded
 * by the area's size, not by what stands there.
 */
#ifndef USAGE_SWEEP_H
#define USAGE_SWEEP_H

#include "usage/area.h"

/* Where a round of slices goes on; all zero: at its beginning. It outlives growth of the area. */
struct usage_cursor {
    uint32_t ref;
};

/*
 * Takes the marks away that it finds in the next max_words words and puts their references, at most
 * max_refs, into ret_refs, in rising order: each at least 1 and at most usage_capacity() of the
 * area's segments. What does not fit stays marked and is where the next slice begins. Returns true
 * when the round is over: every mark was looked at since its beginning, and io_at is at the
 * beginning of another. Wait-free; both maxima are at least 1.
 */
bool usage_sweep(const struct usage_area *area, struct usage_cursor *io_at, size_t max_words,
                 uint32_t *ret_refs, size_t max_refs, size_t *ret_count);

#endif
