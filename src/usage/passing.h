/*
 * passing.h - one message with descriptors (SCM_RIGHTS of unix(7)) on a socket that keeps messages
 * apart. Nothing is allocated; no descriptor is lost. Thread: any. Fork: any. Blocks: as the socket
 * does, and not with MSG_DONTWAIT.
 */
#ifndef USAGE_PASSING_H
#define USAGE_PASSING_H

#include <sys/types.h>

#include "usage/layout.h"

/* An area's segments at most, and the process segment. */
#define PASSING_MAX (USAGE_SEGMENTS_MAX + 1u)

struct passing {
    unsigned count;
    int fds[PASSING_MAX];
};

/* Sends the message with the descriptors, which stay the caller's. Never SIGPIPE. Returns 0, or -1
 * with errno. */
int passing_send(int socket, const void *message, size_t size, const struct passing *passing,
                 int flags);

/*
 * Receives a message and at most `most` descriptors, which are the caller's and close-on-exec; with
 * 0 the kernel throws away what came, unopened. Returns the message's length, 0 at the end of the
 * connection, or -1 with errno: EBADMSG for a message or descriptors beyond what fits, none of
 * which is kept then. *ret_passing is set in every case.
 */
ssize_t passing_receive(int socket, void *message, size_t size, unsigned most,
                        struct passing *ret_passing, int flags);

/* Closes them all. */
void passing_close(struct passing *passing);

#endif
