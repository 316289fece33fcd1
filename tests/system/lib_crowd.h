/*
 * lib_crowd.h - worker processes that verify the keys of a trial all the time, and remember of each
 * how often it was granted, refused, or could not be told.
 *
 * cmocka's headers come first. A failed assertion in the parent ends the test; a worker that cannot
 * go on ends with a status.
 */
#ifndef TESTS_LIB_CROWD_H
#define TESTS_LIB_CROWD_H

#include <stdatomic.h>

#include "lib_daemon.h"

#define CROWD_KEYS_MAX 24u
#define CROWD_WORKERS_MAX 8u

/* Each worker's on lines of its own, so that they do not wait for each other here. */
struct crowd_counts {
    _Alignas(64) _Atomic uint64_t granted[CROWD_KEYS_MAX];
    _Atomic uint64_t refused[CROWD_KEYS_MAX];
    _Atomic uint64_t unavailable;
    _Atomic uint64_t verified;
};

struct crowd_shared {
    _Atomic bool end;
    struct crowd_counts workers[CROWD_WORKERS_MAX];
};

struct crowd {
    struct trial *trial;
    unsigned key_count;
    struct trial_key keys[CROWD_KEYS_MAX];
    struct crowd_shared *shared;
    pid_t workers[CROWD_WORKERS_MAX]; /* 0: none */
};

void crowd_open(struct crowd *crowd, struct trial *trial);
void crowd_close(struct crowd *crowd); /* kills those that are left */

/* Keys "k0", "k1", ... of owner "o". */
void crowd_create(struct crowd *crowd, unsigned count);

void crowd_start(struct crowd *crowd, unsigned number);
void crowd_kill(struct crowd *crowd, unsigned number);

/* Until the worker has verified so many more. */
void crowd_await(const struct crowd *crowd, unsigned number, uint64_t more);

/* Each must end well. */
void crowd_end(struct crowd *crowd);

uint64_t crowd_granted(const struct crowd *crowd, unsigned key);
uint64_t crowd_refused(const struct crowd *crowd, unsigned key);

/* A number of KEY.GET's. */
uint64_t crowd_number(redisContext *admin, const struct trial_key *key, const char *member);

#endif
