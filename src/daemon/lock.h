/*
 * lock.h - one daemon for each folder.
 *
 * Two processes that open the same store would both report success and lose commits, so whoever
 * uses a folder takes its `lock` first and holds it until the end. The lock belongs to the open
 * file: it goes with the last descriptor, however the process ends.
 */
#ifndef DAEMON_LOCK_H
#define DAEMON_LOCK_H

#include "core/error.h"

/*
 * Takes directory/lock without waiting, and leaves our pid in it for people. *ret_fd is close-on-
 * exec and the caller's; lock_drop gives it back. `what` names the folder's setting in messages
 * ("state_dir"). A process can hold a lock once: a second try is refused like any other's.
 * Returns 0, E_UNAVAILABLE (held; the line names the pid that holds it), E_PERMISSION, E_NOT_FOUND
 * or E_IO.
 */
int lock_take_named(const char *what, const char *directory, int *ret_fd, struct error *error);

/* The same for another file in a folder that has a daemon's lock already. */
struct lock_name {
    const char *what;    /* the folder's setting */
    const char *file;    /* in it */
    const char *program; /* that holds it, for messages */
};
int lock_take_file(const struct lock_name *name, const char *directory, int *ret_fd,
                   struct error *error);

/* For state_dir. */
int lock_take(const char *directory, int *ret_fd, struct error *error);

void lock_drop(int fd); /* -1 is allowed */

#endif
