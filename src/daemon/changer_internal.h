/*
 * changer_internal.h - what the changer's own files share; nobody else includes it.
 *
 * changer.c is the event loop's side, changer_thread.c the store thread and what it does when,
 * changer_batch.c how changes are made, flushed, shown and answered, changer_growth.c how one table
 * follows another, changer_usage.c what becomes of the use of keys, changer_config.c what it all
 * goes by, flusher.c the one that flushes for it, changer_start.c what comes before: the first
 * table, and what becomes of older ones.
 */
#ifndef DAEMON_CHANGER_INTERNAL_H
#define DAEMON_CHANGER_INTERNAL_H

#include "daemon/changer.h"
#include "daemon/flusher.h"
#include "daemon/growth.h"
#include "daemon/keys.h"
#include "daemon/op_queue.h"
#include "daemon/retention.h"

/* Imports that are committed, and are being flushed while the next ones run. */
struct pending {
    struct op_queue done; /* empty: there is nothing */
    size_t claims;        /* theirs, the first of all that are to be published */
    uint64_t epoch, sequence;
    uint64_t changed;
};

struct changer {
    struct changer_options options;
    char *run_dir;
    uv_thread_t thread;
    uv_async_t async; /* the store thread has something for the loop */

    /* Under the lock. */
    uv_mutex_t lock;
    uv_cond_t wake;
    struct op_queue changes;
    struct op_queue imports; /* changes that others pass */
    struct op_queue reads;
    struct op_queue finished;
    struct generation *retired; /* to be unmapped by the loop, which may be looking at them */
    const struct config *fresh_config;
    bool news;         /* something was published */
    bool made;         /* the thread that makes a file is done */
    bool lost;         /* run_dir/table is not ours any more */
    bool tend;         /* it is time to look for what is old */
    bool sweep;        /* it is time to look whether usage is to be swept */
    bool purging;      /* an operation that purges what is old is on its way */
    bool purging_more; /* it is not all that is old */
    bool stopping;
    bool ended;
    bool has_warning, has_fatal;
    struct error warning, fatal;

    /* The loop's. */
    uint64_t tended_ms; /* when it last asked the thread to tend */
    void (*configured)(void *context, const struct error *error);
    void *configured_context;
    bool config_taken;         /* under the lock, or refused: */
    struct error config_error; /* likewise */
    void (*stopped)(void *context);
    void *stopped_context;
    uv_work_t upkeep;
    bool upkeep_runs;

    /* The store thread's. */
    struct keys keys;
    struct growth growth;
    struct table_view previous; /* an earlier daemon's table, while the first one is filled */
    struct retention retention;
    struct op_queue waiting; /* for room in the table */
    struct op_queue held;    /* until the owner's switch that is under way is shown */
    struct flusher flusher;
    struct pending pending;
    uint64_t told_unbelieved; /* records of usage that the log told of */
    bool gives_uses;          /* not all keys with an allowance were looked at yet */
    bool flushes_usage;       /* the flusher is at it for nobody who waits */
    bool config_waits;        /* to be told of, once keys can be held to it */
    bool all_limited;         /* every key of the generation has a block for named limits, */
    bool all_placed;          /* and each of these has its place */
    uint64_t expected_keys;   /* as many as imports said that there will be */
    uint64_t no_growth_before_ms;
    struct error growth_error; /* of the last try */

    /* Shared. */
    _Atomic(struct generation *) current;
    _Atomic uint64_t shown; /* the last change that the table shows wholly */
    _Atomic uint64_t waiting_count, batches, changed, growing;
};
/* The generation that readers use; NULL before the first. Any thread. */
struct generation *changer_current(const struct changer *changer);

/* Leave an error for the loop to tell: one for the log, or the one that ends the process. Any
 * thread. */
void changer_warn(struct changer *changer, const struct error *error);
void changer_fail(struct changer *changer, const struct error *error);

/* changer_growth.c, on the store thread. What the next generation should hold, by the store and the
 * configuration of now. */
void changer_plan_growth(struct changer *changer);
bool changer_growth_is_due(const struct changer *changer);
/* Begins a new generation if one is due. lost: the table's name may not be ours any more. */
void changer_consider_growth(struct changer *changer, bool lost);
/* True if the next step can be taken at once. */
bool changer_step_growth(struct changer *changer);
/* What waits for room fails, and is told this. */
void changer_fail_waiting(struct changer *changer, const struct error *why);
/* Under the lock: all of the queue is to be done again, before what was submitted later. */
void changer_put_back(struct changer *changer, struct op_queue *waiting);

/* changer_batch.c, on the store thread. Makes the changes of a batch, flushes, shows and answers
 * them. Returns 0, or what ends the process: then nothing of it is acknowledged. */
int changer_run_batch(struct changer *changer, struct op_queue *batch, struct error *error);
/* The same for imports that follow imports: these run while what those changed is flushed. */
int changer_run_imports(struct changer *changer, struct op_queue *imports, struct error *error);
/* Waits for the flush of the imports that are pending, shows and answers them. Before anything else
 * than a further import is done: it may look at what they changed. */
int changer_settle(struct changer *changer, struct error *error);
/* The table shows what was published up to this change; whoever finishes it wakes the loop. */
void changer_tell_shown(struct changer *changer, uint64_t published);
/* Now, on the wall's clock. Any thread. */
int64_t changer_realtime_ms(void);
/* Says of an operation by what and when it was done. */
void changer_stamp(struct changer *changer, struct op *op);
/* Hands operations to the loop, to be answered. */
void changer_finish(struct changer *changer, struct op_queue *done);

/* changer_config.c, on the store thread, or before it runs. Before a generation is published: what
 * of the configuration stands in the table itself, and where the one before it has named limits;
 * NULL: there was none. */
void changer_take_over_table(struct changer *changer, struct table_writer *fresh,
                             const struct table_view *from);

/* Under the lock: a fresh configuration, if there is one. */
void changer_take_config(struct changer *changer);

/* Whether the services name limits that keys of this generation cannot be held to. */
bool changer_lacks_limits(const struct changer *changer);

/* A configuration is in force when every key can be held to the limits that it names; or when that
 * was tried, and there is no room for it. */
void changer_tell_configured(struct changer *changer);

/* Builds and publishes the first generation, marks and unlinks older ones. On the caller's thread,
 * before the store thread runs. See changer_start. */
int changer_start_table(struct changer *changer, uint64_t *ret_wait_ms, struct error *error);

/* changer_usage.c, on the store thread. Usage goes into the store while nothing else is to be done,
 * and is flushed beside this thread. due: it is time to look whether a sweep is to begin. True if
 * the next slice can be taken at once. */
bool changer_step_sweep(struct changer *changer, bool due);

/* All of it, before the daemon ends: whoever stops everything loses nothing, the keeper with its
 * memory included. */
void changer_sweep_all(struct changer *changer);

/* There is one flush at a time: before another is begun, this waits for the one of a sweep. Returns
 * 0, or what ends the process. */
int changer_end_usage_flush(struct changer *changer, struct error *error);

/* Blocks of prepaid uses get more before they are used up. No flush may be under way. True if not
 * all keys were looked at. */
bool changer_uses_are_due(const struct changer *changer, bool due);
bool changer_step_uses(struct changer *changer);

/* The store thread: runs until the changer is stopped or the store fails. */
void changer_thread(void *changer);

#endif
