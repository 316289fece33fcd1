/*
 * retention.h - forgets what [policy] retain_revoked, [audit] retain and [history] say is old
 * enough, disables keys that were not used for as long as [policy] disable_unused_after says, and
 * ends those that were rotated on evidence (retiring.h), a little at a time, as long as the wall
 * clock can be believed. Store thread.
 */
#ifndef DAEMON_RETENTION_H
#define DAEMON_RETENTION_H

#include "core/clock.h"
#include "core/config.h"
#include "daemon/op.h"
#include "daemon/unused.h"

/* Keys that cannot be purged or disabled and are passed over. A store that has more of them is
 * damaged throughout: nothing more is done there. */
#define RETENTION_BAD_MAX 500u

struct retention {
    struct keys *keys;
    struct clock_watch clock;
    bool complained; /* that the clock jumped */
    size_t at_once;  /* keys that the next operation names at most */
    struct unused unused;
    uint64_t bad[RETENTION_BAD_MAX];
    size_t bad_count;
};

void retention_begin(struct retention *retention, struct keys *keys);

/* Somebody who may reload the configuration did so: the clock is as it should be. */
void retention_confirm(struct retention *retention);

/* Removes old changes, and makes the operation that purges old keys, the one that disables unused
 * ones, or the one that retires those that were rotated: *ret_op, to be submitted, told to
 * retention_heed and freed by the caller; NULL if there is none. *ret_more: call again soon.
 * Returns 0 or a negative code with the error. A clock that jumped is an error the first time. */
int retention_step(struct retention *retention, const struct config *config, struct op **ret_op,
                   bool *ret_more, struct error *error);

/* What came of the operation that the last step made. True: call retention_step again soon. What is
 * to be told is left in the error, whose code is 0 otherwise. A key that alone makes it fail is
 * told of once, and passed over from then on. Before the next step; any thread. */
bool retention_heed(struct retention *retention, const struct op *op, struct error *error);

#endif
