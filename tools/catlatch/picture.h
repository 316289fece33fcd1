/*
 * picture.h - what `top` shows of one moment: how much of each result, by each of the busiest keys
 * and owners, and by each process, in a second.
 */
#ifndef TOOL_PICTURE_H
#define TOOL_PICTURE_H

#include <jansson.h>

#include "session.h"

/* Keys and owners that are asked for: more than any screen has lines. */
#define PICTURE_TOP "100"

struct picture {
    double taken_s; /* CLOCK_MONOTONIC */
    json_t *stats;
    json_t *processes; /* NULL: nobody could tell */
    json_t *results;   /* rows: result, rate, total; the highest rate first */
    json_t *keys;      /* rows: id, name, owner, granted, refused (rates) */
    json_t *owners;    /* rows: owner, granted, refused (rates) */
    json_t *workers;   /* rows: pid, uid, handles, generation, stale, granted, refused (rates) */
};

/* `before`: the last one, which rates are by; all zeros: there was none, and rates are 0. Returns
 * 0, and the caller's *ret_picture, or what asking came to. */
int picture_take(struct session *session, const struct picture *before, struct picture *ret_picture,
                 struct error *error);
void picture_free(struct picture *picture);

double picture_clock_s(void);

#endif
