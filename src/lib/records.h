/*
 * records.h - the usage area in this process: where it counts what it grants and refuses.
 *
 * The table says which area its references lead into, and how many segments of it they need. What
 * is mapped is fetched from catlatch-keeper (usage/fetch.h), which passes it on while the daemon is
 * down too. Without it keys are verified and nothing is counted; it is asked for again, at most
 * once in RECORDS_LOOK_MS, and no longer than RECORDS_PATIENCE_MS where a request waits. With it
 * comes this handle's line (line.h).
 *
 * Nothing is allocated, and no descriptor stays open. One thread at a time; both sides of a fork.
 */
#ifndef LIB_RECORDS_H
#define LIB_RECORDS_H

#include "lib/attach.h"
#include "lib/line.h"
#include "usage/area.h"

#define RECORDS_LOOK_MS 1000u

/* A keeper answers in some 50 us. Whoever refreshes in an event loop waits as a request does. */
#define RECORDS_PATIENCE_MS 20u
#define RECORDS_PATIENCE_REFRESH_MS 500u
#define RECORDS_PATIENCE_OPEN_MS 5000u /* what is not counted from the start on is missed */

struct records {
    struct usage_area area; /* what is mapped */
    uint64_t generation;    /* of the table that was asked for; 0: of none */
    bool whole;             /* it has all that this table needs */
    bool fits;              /* it is the area of this table */
    uint64_t clocked_ms; /* when the two clocks were last compared, on the one of attach.h; and */
    int64_t ahead_ms;    /* how far the wall clock was ahead of it */
    uint64_t looked_ms;  /* when the keeper was last asked for it; 0: never */
    struct line line;
};

/* Of zeros. Returns 0 or E_MEMORY. */
int records_init(struct records *records, struct error *error);

/* Unmaps, and gives the line back, for which it may wait RECORDS_PATIENCE_MS. */
void records_end(struct records *records, const struct attach *attach);

/* records_area in full. patience_ms: how long to wait for the keeper. now: ask it at once, even if
 * it was asked a moment ago. */
const struct usage_area *records_follow(struct records *records, const struct attach *attach,
                                        unsigned patience_ms, bool now);

/* The time of the wall, by the clock that attach_view read: once a second both are read. A wall
 * clock that is set is followed within that second. */
int64_t records_compare_clocks(struct records *records, uint64_t now_ms);

static inline int64_t records_now_unix_s(struct records *records, uint64_t now_ms)
{
    int64_t ahead_ms = __builtin_expect(now_ms - records->clocked_ms < 1000, 1)
                           ? records->ahead_ms
                           : records_compare_clocks(records, now_ms);
    return ((int64_t)now_ms + ahead_ms) / 1000;
}

/* The area that the attached table's references lead into; NULL: it is not to be had. Valid until
 * the next call. */
static inline const struct usage_area *records_area(struct records *records,
                                                    const struct attach *attach)
{
    if (__builtin_expect(records->whole && records->generation == attach->view.generation &&
                             records->line.own->settled,
                         1))
        return records->fits ? &records->area : NULL;
    return records_follow(records, attach, RECORDS_PATIENCE_MS, false);
}

#endif
