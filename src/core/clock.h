/*
 * clock.h - whether the wall clock can be believed.
 *
 * What is removed because it is old must not be removed because the clock is wrong: so the wall
 * clock is held against one that only goes forward (CLOCK_BOOTTIME, which counts sleep too), and
 * against the last time that was written down. Pure.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* A jump by more than that is told from a clock that is being set right. */
#define CLOCK_JUMP_MS INT64_C(3600000)

struct clock_watch {
    int64_t offset_ms; /* of the wall clock from the other, when it was last believed */
    bool jumped;       /* since then */
};

/* Believes the wall clock as it is. */
void clock_confirm(struct clock_watch *watch, int64_t wall_ms, int64_t boot_ms);

/* Begins, believing it unless it is an hour behind last_known_ms, a time that has been (0: none).
 */
void clock_begin(struct clock_watch *watch, int64_t wall_ms, int64_t boot_ms,
                 int64_t last_known_ms);

/* True as long as it did not jump, by one leap or by several. */
bool clock_is_believed(struct clock_watch *watch, int64_t wall_ms, int64_t boot_ms);

#endif
