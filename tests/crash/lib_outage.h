/*
 * lib_outage.h - what tests of outages do to a table, and a worker process that must not notice.
 *
 * Failed cmocka assertions tell of whatever should not happen here.
 */
#ifndef TESTS_LIB_OUTAGE_H
#define TESTS_LIB_OUTAGE_H

#include <stdatomic.h>

#include "../system/lib_daemon.h"
#include "table/layout.h"

void in_folder(char ret_path[TRIAL_PATH_SIZE], const char *folder, const char *name);
bool exists(const char *folder, const char *name);

/* The table that run_dir names, writable; the caller unmaps it. */
struct table_header *map_table(const struct trial *trial, size_t *ret_size);

/* As if the daemon had been gone for so long. */
void age_heartbeat(const struct trial *trial, uint64_t age_ms);

void start_with_key(struct trial *trial, struct trial_key *ret_key);
void revoke_key(const struct trial *trial, const struct trial_key *key);

uint64_t generation_of(const struct trial *trial); /* as STATS tells */
void await_other_generation(const struct trial *trial, uint64_t generation);

/* A worker process that verifies one key without pause and counts its answers. */
struct worker {
    _Atomic uint64_t answers[CATLATCH_UNAVAILABLE + 1];
    _Atomic bool end;
    pid_t pid;
};

/* Returns when it has begun. end_worker frees. */
struct worker *start_worker(const struct trial *trial, const char *raw);

/* Returns as soon as the worker has answered `count` more times. */
void await_answers(struct worker *worker, uint64_t count);

/* It must end by itself, and never have given another answer than this. */
void end_worker(struct worker *worker, enum catlatch_result only);

#endif
