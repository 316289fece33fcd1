/*
 * changer.h - the store thread: the only one that changes keys.
 *
 * It takes the operations that wait, runs each in its own transaction (room in the table is claimed
 * before the commit), flushes once for all of them, publishes them in order, and then answers:
 * reserve -> commit -> publish -> reply. While an import is flushed, and nothing else waits, the
 * next one is run. Changes go before reads. An operation that finds no room in the table waits, off
 * the thread, for the next generation; others pass it. So they do with the suspension of an owner
 * of many keys, which is published bit by bit between them, and answered at the end.
 */
#ifndef DAEMON_CHANGER_H
#define DAEMON_CHANGER_H

#include <uv.h>

#include "core/config.h"
#include "daemon/op.h"
#include "daemon/store.h"
#include "table/view.h"

struct changer;

struct changer_options {
    uv_loop_t *loop; /* where `done` is called */
    const struct config *config;
    struct store *store;
    const char *run_dir;
    struct tally *tally;   /* the caller's, for longer than the changer; NULL: no use is counted */
    struct census *census; /* likewise; NULL: no results are counted */
    bool accept_older;
    void (*fatal)(void *context, const struct error *error); /* in the loop: the process must end */
    void (*warn)(void *context, const struct error *error);  /* in the loop: for the log */
    void (*published)(void *context);  /* in the loop: changes can be read in the log */
    void (*tend_usage)(void *context); /* in a thread of the loop's pool, with each heartbeat: may
                                          block for a while */
    void *context;
};

/* Builds the first generation, publishes it, marks and unlinks older ones. *ret_wait_ms says how
 * long the caller must not acknowledge anything (0, or 5000: a table that we could not mark may
 * still be in use). The thread runs when this returns 0. */
int changer_start(const struct changer_options *options, struct changer **ret_changer,
                  uint64_t *ret_wait_ms, struct error *error);

/* Hands an operation over; op->done is called later, exactly once. Loop thread. */
void changer_submit(struct changer *changer, struct op *op);

/* Swaps policies and environments, or refuses the configuration because it lacks an environment
 * that is in use: only between changes can that be said. Loop thread; when `done` was called, the
 * old configuration, or the one that was refused, may be freed. */
void changer_configure(struct changer *changer, const struct config *config,
                       void (*done)(void *context, const struct error *error), void *context);

/* The table as it is now, for KEY.VERIFY: valid until the loop runs its next callback. Loop
 * thread. NULL only before the first generation. */
const struct table_view *changer_view(struct changer *changer);

/* Beats the heart of the table, looks whether run_dir still holds it (and builds a new generation
 * if not), and starts upkeep (checkpoints, ballast) when due. Loop thread, from a timer. */
void changer_beat(struct changer *changer);

/* The last change that the table shows wholly, with all that came before it. Waits for nothing.
 * Loop thread. */
struct store_position changer_position(const struct changer *changer);

struct changer_status {
    uint64_t heartbeat_age_ms; /* how long ago the table's heart beat */
    uint64_t epoch;
    uint64_t sequence;
    uint64_t generation;
    uint64_t key_count;
    uint64_t slot_count;
    uint64_t slots_used;
    uint64_t capacity;
    uint64_t table_bytes;
    unsigned fill_permille;
    bool growing;
    uint64_t waiting;                /* operations that wait for room */
    uint64_t queued;                 /* operations that wait for the thread */
    uint64_t batches;                /* flushes since the start */
    uint64_t changes;                /* operations that changed something since the start */
    uint64_t usage_records;          /* that keys have in the usage area, */
    uint64_t usage_capacity;         /* of so many */
    uint64_t usage_rounds;           /* sweeps since the start, */
    uint64_t usage_swept;            /* records that they took over, */
    uint64_t usage_unbelieved;       /* and of them, with numbers that no worker counted */
    uint64_t usage_slice_longest_us; /* what the longest piece of a sweep took */
};
void changer_status(struct changer *changer, struct changer_status *ret_status);

/* Finishes what was submitted, then ends the thread; `stopped` is called in the loop. The table
 * stays: workers go on verifying. */
void changer_stop(struct changer *changer, void (*stopped)(void *context), void *context);
void changer_free(struct changer *changer); /* after `stopped`; NULL is allowed */

#endif
