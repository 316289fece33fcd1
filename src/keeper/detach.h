/*
 * detach.h - going on without the process that was called, once it can say that all is well: for
 * hosts without a service manager, where the daemon starts the keeper itself.
 *
 * What goes on is in a session of its own, no leader of it (so no terminal becomes its own), and a
 * child of init. Of the caller's descriptors it has stderr alone, for that is where the log goes
 * with or without --detach: there is no other place that is sure to be read where no service
 * manager is, and whoever starts it from a terminal or a pipe can redirect it.
 */
#ifndef KEEPER_DETACH_H
#define KEEPER_DETACH_H

#include <stdbool.h>

/*
 * Closes all descriptors but the first three, and forks. True in the process that goes on: stdin
 * and stdout are /dev/null, the service manager's variables are gone, and *ret_report is for
 * detach_tell. False in the one that was called, which returns when it is told: *ret_status is the
 * exit status, and whatever is to be said about it was said. Before any thread and any descriptor.
 */
bool detach_fork(int *ret_report, int *ret_status);

/* Tells the process that was called to exit with this status, once; *report is -1 then, which is
 * passed over. With 0 the working directory is left, so that it can be unmounted. */
void detach_tell(int *report, int status);

#endif
