/* judge.h - what a record says of its key at this moment, whatever a service demands. */
#ifndef STACK_JUDGE_H
#define STACK_JUDGE_H

#include "table/view.h"

/* VALID, or the first that applies of REVOKED, DISABLED, NOT_YET_VALID, EXPIRED; UNAVAILABLE where
 * the table is damaged. Reads the clock (coarse, vDSO) only for a key that has a time. */
enum catlatch_result judge_in_full(const struct table_view *view, const struct table_hit *hit);

/* The same, quick for a live key without times. */
static inline enum catlatch_result judge_record(const struct table_view *view,
                                                const struct table_hit *hit)
{
    const uint64_t asks =
        CONTROL_STATE_MASK | CONTROL_DISABLED | CONTROL_SUSPENDED | CONTROL_NOT_BEFORE;
    return (hit->control & asks) == SLOT_LIVE && control_expires_unix_s(hit->control) == 0
               ? CATLATCH_VALID
               : judge_in_full(view, hit);
}

/* The same for a digest; view NULL: UNAVAILABLE. *ret_hit is set unless the answer is NOT_FOUND or
 * UNAVAILABLE. */
enum catlatch_result judge_digest(const struct table_view *view, const struct digest *digest,
                                  struct table_hit *ret_hit);

#endif
