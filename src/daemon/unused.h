/*
 * unused.h - finds the keys that were not used for as long as [policy] disable_unused_after says, a
 * little at a time.
 *
 * A key is found if it was active and could have been used for all of that time, and nothing is
 * known of a use. That nothing is known says something only if all would be: if there is a usage
 * area, and what it counts has been carried into the store without a gap for as long
 * (sweeper_evidence). Until then nothing is found: after the first start with this setting's
 * program, a restore, an outage of the daemon of hours, or a leap of the clock.
 *
 * Keys that were made, imported or enabled since, whose owner was resumed since or whose expiry,
 * once past, was set anew, have the whole time again. Store thread.
 */
#ifndef DAEMON_UNUSED_H
#define DAEMON_UNUSED_H

#include "daemon/keys.h"

/* From one pass through all keys to the next: what it looks for takes days. */
#define UNUSED_PASS_MS INT64_C(3600000)

/* All zeros: a pass is due. */
struct unused {
    bool passing;
    uint64_t after_id; /* keys up to this one were looked at */
    bool passed;       /* once; */
    int64_t passed_ms; /* when the last pass ended */
};

/* The next keys of the pass, at most `max`, that were not used since then; `skips` names those that
 * are passed over. `unused->passing` afterwards: there are more to look at. `boot_ms`: a clock that
 * only goes forward. Returns 0, or what the store said. */
int unused_find(struct unused *unused, struct keys *keys, int64_t since_unix_s, int64_t boot_ms,
                bool (*skips)(const void *context, uint64_t id), const void *context,
                uint64_t *ret_ids, size_t max, size_t *ret_count, struct error *error);

#endif
