/*
 * growth.h - how a new generation of the table comes to be while the old one serves.
 *
 * A stage machine that the store thread steps between batches, each step a few milliseconds long,
 * but at a start, when nobody waits and one step fills it: the file is made by a thread of its own,
 * filled from a snapshot of the store in slices, and then catches up with the changes made
 * meanwhile from the change log. When a step finds nothing left to catch up with, nothing can have
 * changed since, and the caller switches. The old generation takes every change until then.
 */
#ifndef DAEMON_GROWTH_H
#define DAEMON_GROWTH_H

#include <uv.h>

#include "daemon/generation.h"
#include "daemon/owners.h"
#include "daemon/retiring.h"
#include "daemon/store.h"
#include "daemon/tally.h"
#include "daemon/uses.h"

/* Keys or changes that one step takes over: a few milliseconds of work. */
#define GROWTH_SLICE 2048u

enum growth_stage { GROWTH_IDLE, GROWTH_MAKING, GROWTH_FILLING, GROWTH_CATCHING_UP };

struct growth {
    struct store *store;
    struct owners *owners;
    struct tally *tally; /* NULL: no use is counted */
    struct uses *uses;   /* NULL likewise */
    struct retiring *retiring;
    const char *run_dir;
    void (*wake)(void *context); /* the making thread calls it when it is done */
    void *context;

    enum growth_stage stage;
    struct table_params params;
    bool all_limited;      /* services name limits, so every key gets a block for them */
    unsigned spare_limits; /* of those, places that will be others' and begin anew */
    struct generation *fresh;
    uint64_t last_id;            /* filling: the last key that was taken over */
    struct store_position at;    /* catching up: the last change that was */
    uint64_t highest;            /* the highest generation number that was ever tried */
    char owner[RECORD_TEXT_MAX]; /* catching up: whose keys are being taken over again */
    uint32_t owner_len;          /* 0: nobody's */
    uint64_t owner_after_id;
    bool too_small; /* the last step failed because the fresh table has no room */

    /* The caller's: what readers use until the switch, NULL at a start; and whether a generation
     * before that may still have readers although nobody can mark it. */
    const struct generation *old;
    const struct table_view *previous; /* where keys have their references; NULL: nowhere */
    bool uncovered;
    bool recorded_uncovered; /* what the store was told for `fresh` */

    uv_thread_t maker;
    _Atomic bool made;
    int made_result;
    struct error made_error;
    uint32_t refs_before;     /* the highest reference when it was begun */
    uint64_t owner_blocks;    /* that owners with limits still want */
    bool begun_again;         /* a start had blocks for too few */
    struct error usage_error; /* why there is less room in the usage area; code 0: there is not */
};

enum growth_progress {
    GROWTH_WORKING, /* call again, now */
    GROWTH_WAITING, /* the file is being made; `wake` will be called */
    GROWTH_READY,   /* growth->fresh shows all that the store holds: switch */
    GROWTH_FAILED,  /* error says why; the stage is IDLE again */
};

/* What the next generation should hold: key_count with the keys that wait for room. old NULL: there
 * is none. refusals: how many tables the change that waits first has found too small. */
void growth_plan(struct growth *growth, uint64_t key_count, uint64_t expected_keys,
                 uint64_t max_stale_ms, const struct table_writer *old, unsigned refusals);

/* Starts making the planned generation. Returns 0 or E_MEMORY. */
int growth_begin(struct growth *growth, struct error *error);

/* What is being filled, where keys have what will be theirs; NULL: nothing is. */
const struct table_view *growth_view(const struct growth *growth);

/* Goes on a little. A table that turns out too small is started again, larger. */
enum growth_progress growth_step(struct growth *growth, struct error *error);

/* Hands over the finished generation: the stage is IDLE again. */
struct generation *growth_take(struct growth *growth);

/* Gives up whatever is under way; waits for the making thread. */
void growth_cancel(struct growth *growth);

#endif
