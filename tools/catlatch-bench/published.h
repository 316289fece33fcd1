/*
 * published.h - a table as the daemon publishes it, in a folder of its own with a configuration, so
 * that the library is measured through its public door.
 */
#ifndef BENCH_PUBLISHED_H
#define BENCH_PUBLISHED_H

#include <stdbool.h>

#include "core/error.h"
#include "keys.h"

struct published;

/* What its keys have: a record of use, and a rate limit that never refuses, which needs one. */
struct published_kind {
    bool counted, limited;
};

/* In /dev/shm if it can be written, otherwise in /tmp. Returns 0 or a negative code. */
int published_make(const struct keys *keys, const char *modules, struct published_kind kind,
                   struct published **ret_published, struct error *error);

/* Gives a handle on a counted one the usage area, as catlatch-keeper would. The area stays ours:
 * the handle is closed before this is freed. */
struct catlatch;
void published_count(const struct published *published, struct catlatch *latch);
void published_uncount(struct catlatch *latch);

/* Takes the folder away once it has been opened, so that nothing stays behind however the program
 * ends. Readers keep what they have mapped for as long as the heart beats. */
void published_hide(struct published *published);

void published_free(struct published *published); /* NULL is allowed */

const char *published_config(const struct published *published);
const char *published_run_dir(const struct published *published);

/* The heartbeat: readers look for the file again when it is older than three seconds. */
void published_beat(struct published *published);

#endif
