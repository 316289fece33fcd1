/*
 * retiring.h - ends keys that were rotated with UNTIL_UNSEEN or ON_USE when what is seen of their
 * use says so (core/retirement.h).
 *
 * Which keys these are is known: a start finds them with all others, a rotation adds its own. The
 * set holds ids alone, also of keys that are none of them any more, which the next look forgets.
 *
 * That a key was not used says something only where all uses would be known, as with unused.h. That
 * its successor was used is a fact whenever it is seen. Where that was rotated in its turn before
 * anybody used it, the first use of any of its successors counts. Store thread.
 */
#ifndef DAEMON_RETIRING_H
#define DAEMON_RETIRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/record.h"

struct keys;

struct retiring {
    uint64_t *ids; /* in no order; now and then one twice */
    size_t count, room;
    size_t next; /* the first that this pass has not looked at */
    bool passing;
};

/* The key may have a retirement. Returns 0 or E_MEMORY. */
int retiring_know(struct retiring *retiring, uint64_t id);
void retiring_free(struct retiring *retiring);

/* The next keys of a pass, at most `max`, with whom something is to be done; `skips` names those
 * that are passed over. `retiring->passing` afterwards: there are more to look at.
 * keys->now_unix_ms is now. Returns 0, or what the store said. */
int retiring_find(struct retiring *retiring, struct keys *keys,
                  bool (*skips)(const void *context, uint64_t id), const void *context,
                  uint64_t *ret_ids, size_t max, size_t *ret_count, struct error *error);

/* What the key is to be now: *ret_due, and *ret_fresh if it is. record's texts stay where they are.
 */
int retiring_judge(struct keys *keys, const struct record *record, bool *ret_due,
                   struct record *ret_fresh, struct error *error);

#endif
