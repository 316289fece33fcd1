/*
 * activation.h - listening sockets that the service manager made before it started the daemon:
 * sd_listen_fds(3)'s protocol, $LISTEN_PID, $LISTEN_FDS and $LISTEN_FDNAMES.
 *
 * The manager keeps its own copies, so who connects while the daemon restarts waits in the queue
 * instead of being refused. A socket is known by the path that it is bound to, as the two of the
 * configuration are. Without $LISTEN_FDS there are none. Main thread, before any other is started.
 */
#ifndef DAEMON_ACTIVATION_H
#define DAEMON_ACTIVATION_H

#include <stdbool.h>
#include <sys/un.h>

#include "core/error.h"

/* There are two sockets to be had; more than a few are somebody else's. */
#define ACTIVATION_MAX 8

struct activation_socket {
    int fd; /* -1: taken */
    char path[sizeof((struct sockaddr_un *)0)->sun_path + 1];
};

struct activation {
    struct activation_socket sockets[ACTIVATION_MAX];
    int count;
};

/* Takes what was passed to this process out of the environment, which no child is to see, and sets
 * close-on-exec. Returns 0, or E_CONFIG for what is no listening unix stream socket with a path. */
int activation_read(struct activation *ret_activation, struct error *error);

/* The descriptor that is bound to this path, the caller's from now on; -1: there is none. */
int activation_take(struct activation *activation, const char *path);

/* Whether every socket was taken: 0, or E_CONFIG with a line that names one that was not, and the
 * paths that were wanted. */
int activation_check(const struct activation *activation, const char *const *wanted, int count,
                     struct error *error);

/* The first descriptor that a service manager passes. */
#define ACTIVATION_FIRST 3

/* Passes these on to the program that this process is about to become. What they displace is
 * closed: nothing but the exec may follow. */
void activation_pass(const int *fds, int count);

/* Whether who connects to the path reaches this listening socket: its file may have been removed,
 * or another socket's be in its place. Never blocks. */
bool activation_is_at(int fd, const char *path);

#endif
