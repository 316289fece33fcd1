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
    struct session *session; /* that it asks, the caller's */
    const char *id;          /* NULL: of all keys; */
    const char *owner;       /* NULL: whoever owns them */
    bool json;

    /* What was shown already. */
    bool begun;
    json_int_t round, granted, refused;
};

/* Prints what came since the last look; of the first look nothing. Returns 0, or what asking came
 * to. */
int meter_look(struct meter *meter, struct error *error);

#endif
