/*
 * restoring.h - a restore through the running daemon: RESTORE BEGIN, DATA, CHECK, COMMIT.
 *
 * The backup is spooled into state_dir (in a file without a name: it goes with the process),
 * checked and built on a thread of its own while the daemon serves, and compared in slices on the
 * store's. COMMIT ends the daemon as SIGTERM does; when nothing changes the store any more the
 * restore is applied, and the process begins anew by exec, on the new store or, if that failed, on
 * the old one. Workers go on verifying all the while. state_dir/restore.last tells the next process
 * how it went.
 *
 * One restore at a time, of the connection that began it; when that goes, so does the restore,
 * unless it was committed. Loop thread.
 */
#ifndef DAEMON_RESTORING_H
#define DAEMON_RESTORING_H

#include <uv.h>

#include "daemon/reply.h"
#include "daemon/restore.h"

struct daemon;

enum restoring_state {
    RESTORING_NONE,
    RESTORING_RECEIVING,
    RESTORING_CHECKING,
    RESTORING_READY,     /* checked, and compared */
    RESTORING_COMMITTED, /* the daemon is about to begin anew */
    RESTORING_DONE,
    RESTORING_FAILED,
};

#define RESTORING_ID_SIZE 33

struct restoring {
    enum restoring_state state;
    char id[RESTORING_ID_SIZE];
    uint64_t session_id; /* whose it is */
    struct actor actor;
    int spool;
    uint64_t size, received; /* bytes */
    struct restore *restore;
    uv_work_t work;
    bool busy; /* a thread works on it */
    _Atomic bool given_up;
    struct error error; /* of CHECKING, or of the last restore */
    /* Of the last restore. */
    struct restore_counts counts;
    struct store_position position;
    bool known;
};

void restoring_init(struct restoring *restoring);

/* After a start: how the last one went. */
void restoring_load(struct daemon *daemon);

/* Each returns 0 or a negative code, E_CONFLICT when it is not its turn. */
int restoring_begin(struct daemon *daemon, uint64_t session_id, const struct actor *actor,
                    uint64_t size, struct error *error);
int restoring_data(struct daemon *daemon, uint64_t session_id, struct text bytes,
                   struct error *error);
int restoring_check(struct daemon *daemon, uint64_t session_id, struct error *error);
int restoring_commit(struct daemon *daemon, uint64_t session_id, bool accept_resurrection,
                     struct error *error);
int restoring_abort(struct daemon *daemon, uint64_t session_id, struct error *error);

/* The map of RESTORE STATUS. */
void restoring_tell(const struct daemon *daemon, struct reply *reply);

/* The connection is going; the daemon is stopping. */
void restoring_leave(struct daemon *daemon, uint64_t session_id);
void restoring_stop(struct daemon *daemon);

/* After the loop has ended, if it was committed: applies it to daemon->store, and remembers how
 * that went. */
void restoring_apply(struct daemon *daemon);

#endif
