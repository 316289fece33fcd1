/* usage.h - what it costs a worker to note a use and to charge a limit, and the daemon to find what
 * was noted. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stddef.h>

/* Prints it for an area with so many keys: medians of `rounds`. Ends the program on an error. */
void usage_measure(size_t key_count, unsigned rounds);

#endif
