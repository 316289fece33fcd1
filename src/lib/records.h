/*
 * records.h - the usage area in this process: where it counts what it grants and refuses.
 *
 * The table says which area its references lead into, and how many segments of it they need. What
 * is mapped is fetched from catlatch-keeper (usage/fetch.h), which passes it on while the daemon is
 * down too. Without it keys are verified and nothing is counted; it is asked for again, at most
 * once in RECORDS_LOOK_MS, and no longer than RECORDS_PATIENCE_MS where a request waits.
 *
 * Nothing is allocated, and no descriptor stays open. One thread at a time; both sides of a fork.
 */
#ifndef LIB_RECORDS_H
#define LIB_RECORDS_H

#include "lib/attach.h"
#include "usage/area.h"

#define RECORDS_LOOK_MS 1000u

/* A keeper answers in some 50 us. */
#define RECORDS_PATIENCE_MS 20u
#define RECORDS_PATIENCE_REFRESH_MS 500u

struct records {
    struct usage_area area; /* what is mapped */
    uint64_t generation;    /* of the table that was asked for; 0: of none */
    bool whole;             /* it has all that this table needs */
    bool fits;              /* it is the area of this table */
    uint64_t looked_ms;     /* when the keeper was last asked; 0: never */
};

/* Unmaps. */
void records_end(struct records *records);

/* records_area in full. patience_ms: how long to wait for the keeper. now: ask it at once, even if
 * it was asked a moment ago. */
const struct usage_area *records_follow(struct records *records, const struct attach *attach,
                                        unsigned patience_ms, bool now);

/* The area that the attached table's references lead into; NULL: it is not to be had. Valid until
 * the next call. */
static inline const struct usage_area *records_area(struct records *records,
                                                    const struct attach *attach)
{
    if (__builtin_expect(records->whole && records->generation == attach->view.generation, 1))
        return records->fits ? &records->area : NULL;
    return records_follow(records, attach, RECORDS_PATIENCE_MS, false);
}

#endif
