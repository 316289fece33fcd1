/* statistics.h - a clock, and medians of rounds. */
#ifndef BENCH_STATISTICS_H
#define BENCH_STATISTICS_H

#include <stdint.h>

#define ROUNDS_MAX 99u

uint64_t now_ns(void);

/* Of count values, at least one; sorts them. */
double median(double *values, unsigned count);

#endif
