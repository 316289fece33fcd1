/*
 * retention.h - forgets what [policy] retain_revoked and [audit] retain say is old enough, a little
 * at a time, as long as the wall clock can be believed. Store thread.
 */
#ifndef DAEMON_RETENTION_H
#define DAEMON_RETENTION_H

#include "core/clock.h"
#include "core/config.h"
#include "daemon/op.h"

struct retention {
    struct store *store;
    struct clock_watch clock;
    bool complained; /* that the clock jumped */
};

void retention_begin(struct retention *retention, struct store *store);

/* Somebody who may reload the configuration did so: the clock is as it should be. */
void retention_confirm(struct retention *retention);

/* Removes old changes, and makes the operation that purges old keys: *ret_op, to be submitted and
 * freed by the caller; NULL if there is none. *ret_more: call again soon. Returns 0 or a negative
 * code with the error. A clock that jumped is an error the first time. */
int retention_step(struct retention *retention, const struct config *config, struct op **ret_op,
                   bool *ret_more, struct error *error);

#endif
