/*
 * pidfd.h - descriptors of processes, which stay that process's whoever gets its pid afterwards.
 */
#ifndef KEEPER_PIDFD_H
#define KEEPER_PIDFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The process that connected the socket, if it still runs; -1: it does not, or the system has no
 * descriptor. `pid` is what SO_PEERCRED says. Close-on-exec, and the caller's.
 *
 * Linux 6.5 and newer give the descriptor of exactly this process (SO_PEERPIDFD). Before, it is
 * opened by its pid, which could be another process's by now. Then who connected has ended, and his
 * connection with him: the answer finds nobody, so whatever was done for it is to be taken back
 * (clients.c). Only where somebody else has the connection open too, a child of a fork in its
 * midst, this goes unseen: a process has a line then that does not use it, until it ends.
 */
int pidfd_of_peer(int socket, pid_t pid);

/* By its pid: -1 with errno ESRCH: there is no such process. */
int pidfd_open_pid(pid_t pid);

/* A number that no other process has before the next boot (Linux 6.9 and newer), or 0. */
uint64_t pidfd_identity(int pidfd);

bool pidfd_has_ended(int pidfd);

#endif
