/*
 * rivals.h - what two processes do in the time of one, each on a key of its own or both on the same
 * one.
 */
#ifndef BENCH_RIVALS_H
#define BENCH_RIVALS_H

#include <stdbool.h>

/* Does it once; `is_other`: the second of two keys is meant. Memory that both write is shared. */
typedef void rivals_work(void *context, bool is_other);

/* What both are at. If there are such: the second process begins with `begin`, and the first calls
 * `beat` every few hundred microseconds. */
struct rivals {
    const char *what;
    rivals_work *work;
    void (*begin)(void *context);
    void (*beat)(void *context);
    void *context;
};

/* Prints millions a second that both make together on two keys and on one, medians of so many
 * alternating rounds, and what they keep. */
void rivals_measure(const struct rivals *rivals, unsigned rounds);

#endif
