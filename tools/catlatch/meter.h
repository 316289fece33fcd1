/*
 * meter.h - what keys are used for while somebody follows: each second's uses and refusals.
 *
 * Of one key its counts are asked for, which are exact. Of all of them, or an owner's, the daemon
 * tells the 256 that were used most in each of its sweeps, and how many there were.
 */
#ifndef TOOL_METER_H
#define TOOL_METER_H

#include <jansson.h>
#include <stdbool.h>

#include "session.h"

/* How often to look: the daemon sweeps each second as long as somebody does. */
#define METER_LOOK_MS 500

struct meter {
    const char *admin_dir;
    const char *id;    /* NULL: of all keys; */
    const char *owner; /* NULL: whoever owns them */
    bool json;

    /* What was shown already. */
    bool begun;
    json_int_t round, granted, refused;
    int64_t due_ms; /* when the next look is, on CLOCK_MONOTONIC */
};

/* Prints what came since the last look, if another one is due; of the first look nothing. A
 * connection of its own each time, which nobody closes for being idle. Returns 0, or what asking
 * came to. */
int meter_look(struct meter *meter, struct error *error);

/* Until the next look, in ms. */
int meter_wait_ms(const struct meter *meter);

#endif
