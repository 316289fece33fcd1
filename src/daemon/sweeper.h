/*
 * sweeper.h - carries what the usage area and the process segment say into the store, in slices
 * between the changes: totals, and with them their history.
 *
 * A round begins each usage_flush_interval and looks at every record that was used since the last.
 * A slice is some hundred records, one transaction, about a millisecond of the store thread; no
 * slice is begun while anything else waits. Nothing is flushed for it until the round ends, and
 * then beside the store thread. Each round that comes to its end is noted, so that it can be told
 * for how long no use can have been missed (sweeper_evidence). The last slice is that of the
 * results of all processes. Store thread.
 */
#ifndef DAEMON_SWEEPER_H
#define DAEMON_SWEEPER_H

#include "daemon/busiest.h"
#include "daemon/census.h"
#include "daemon/store.h"
#include "daemon/tally.h"
#include "usage/sweep.h"

struct sweeper {
    struct store *store;
    struct tally *tally;
    struct census *census; /* NULL: nobody counts results */

    struct results results; /* as they are stored */

    bool active; /* a round is under way */
    bool swept;  /* the area was, and what is left are the results */
    bool wrote;  /* it wrote something */
    uint64_t begun_ms;
    int64_t begun_unix_s; /* 0: it is at its beginning */
    struct usage_cursor cursor;

    struct busiest found;     /* in the round that is under way, */
    struct busiest busiest;   /* and in the last that was, */
    uint64_t busiest_span_ms; /* which came so long after the one before it; 0: there was none */
    uint64_t span_ms;         /* of the round that is under way */
    uint64_t watched_ms;      /* when somebody asked for them last; 0: never */

    /* Since the start; any thread may look. */
    _Atomic uint64_t rounds;
    _Atomic uint64_t records;          /* that were taken over */
    _Atomic uint64_t unbelieved;       /* of them, with numbers that somebody wrote there */
    _Atomic uint64_t slice_longest_us; /* that one slice took: what a change waits for at most */
};

/* Between two rounds that count as one after the other: the longest interval, and an hour for a
 * daemon, or a keeper, that is stopped and started. What a host loses with its area is no more than
 * this. A clock that leaps makes a gap, too. */
#define SWEEPER_GAP_MAX_S INT64_C(7200)

/* From when on every use is known, until now: as the evidence says, with an area that lives. 0: it
 * is not known. */
int sweeper_evidence(struct store *store, const struct tally *tally, int64_t now_unix_s,
                     int64_t *ret_since_unix_s, struct error *error);

/* Reads what is stored of the results. Where nothing is, as in a new store, what was counted before
 * this moment is nobody's. Once, before all else. Returns 0 or an error. */
int sweeper_open(struct sweeper *sweeper, struct error *error);

/* Begins a round if none is under way and the interval has passed since the last one began. */
void sweeper_begin(struct sweeper *sweeper, uint64_t interval_ms, uint64_t now_ms);

/* The busiest keys of the last round, sorted, and the time that they are of. Whoever asks has a
 * round begin each second for a while, so that the next answer is of that. */
#define SWEEPER_WATCH_MS 5000u
#define SWEEPER_WATCHED_INTERVAL_MS 900u /* each heartbeat of a second, as timers go */
const struct busiest *sweeper_watch(struct sweeper *sweeper, uint64_t *ret_span_ms,
                                    uint64_t now_ms);

/* One slice of the round. Returns 0, also when none is under way, or why nothing was written, which
 * ends the round: what it did not reach is found by the next one. *ret_ended: the round came to its
 * end, and wrote something that a flush is due for. */
int sweeper_step(struct sweeper *sweeper, const struct history_plan *plan, bool *ret_ended,
                 struct error *error);

/* The results as of this moment, and what of them is not stored yet. */
void sweeper_results(const struct sweeper *sweeper, uint64_t ret_counts[PROCESS_RESULTS],
                     uint64_t ret_more[PROCESS_RESULTS]);

/* What is known of a key's use: the store's, with what the area says of its record. ref 0: it has
 * none; tally NULL: there is no area. Returns 0, or what store_total did but for E_NOT_FOUND. */
int sweeper_total(struct store *store, const struct tally *tally, uint64_t id, uint32_t ref,
                  int64_t now_unix_s, struct total *ret_total, struct error *error);

/* The same for a total that was known before: with what the area says by now. */
void sweeper_look_again(const struct tally *tally, uint32_t ref, int64_t now_unix_s,
                        struct total *io_total);

/* What a total has more than another, which came before it. */
struct history_entry sweeper_more(const struct total *before, const struct total *after);

#endif
