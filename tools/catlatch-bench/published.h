/*
 * published.h - a table as the daemon publishes it, in a folder of its own with a configuration, so
 * that the library is measured through its public door.
 */
#ifndef BENCH_PUBLISHED_H
#define BENCH_PUBLISHED_H

#include "keys.h"

#include "core/error.h"

struct published;

/* In /dev/shm if it can be written, otherwise in /tmp. Returns 0 or a negative code. */
int published_make(const struct keys *keys, const char *modules, struct published **ret_published,
                   struct error *error);

/* Takes the folder away once it has been opened, so that nothing stays behind however the program
 * ends. Readers keep what they have mapped for as long as the heart beats. */
void published_hide(struct published *published);

void published_free(struct published *published); /* NULL is allowed */

const char *published_config(const struct published *published);
const char *published_run_dir(const struct published *published);

/* The heartbeat: readers look for the file again when it is older than three seconds. */
void published_beat(struct published *published);

#endif
