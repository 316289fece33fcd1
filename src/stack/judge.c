#include "stack/judge.h"

#include <time.h>

/* A live key that nobody switched off: has its time come, and is it not over? */
static enum catlatch_result check_times(const struct table_view *view, const struct table_hit *hit)
{
    int64_t not_before_unix_s = 0, expires_unix_s = control_expires_unix_s(hit->control);
    bool has_not_before = (hit->control & CONTROL_NOT_BEFORE) != 0;
    struct timespec now;

    if (!has_not_before && expires_unix_s == 0)
        return CATLATCH_VALID;
    if (clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0 ||
        (has_not_before && table_not_before(view, hit->slot, &not_before_unix_s) != 0))
        return CATLATCH_UNAVAILABLE;
    if (has_not_before && now.tv_sec < not_before_unix_s)
        return CATLATCH_NOT_YET_VALID;
    return expires_unix_s != 0 && now.tv_sec >= expires_unix_s ? CATLATCH_EXPIRED : CATLATCH_VALID;
}

enum catlatch_result judge_in_full(const struct table_view *view, const struct table_hit *hit)
{
    unsigned state = control_state(hit->control);

    if (state == SLOT_REVOKED)
        return CATLATCH_REVOKED;
    if (state != SLOT_LIVE)
        return CATLATCH_UNAVAILABLE;
    if ((hit->control & (CONTROL_DISABLED | CONTROL_SUSPENDED)) != 0)
        return CATLATCH_DISABLED;
    return check_times(view, hit);
}

enum catlatch_result judge_digest(const struct table_view *view, const struct digest *digest,
                                  struct table_hit *ret_hit)
{
    if (view == NULL)
        return CATLATCH_UNAVAILABLE;
    switch (table_find(view, digest, ret_hit)) {
    case TABLE_HIT:
        return judge_record(view, ret_hit);
    case TABLE_MISS:
        return CATLATCH_NOT_FOUND;
    case TABLE_DAMAGED:
        break;
    }
    return CATLATCH_UNAVAILABLE;
}
