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
 * opened by its pid, which could be another process's by now. So the connection is looked at
 * afterwards: who connected has it open until he closes it or ends, so while it is up, and nobody
 * else was given it, the pid was his. Where somebody was (a fork between, which the library does
 * not do: its sockets are not inherited through exec, nor does it return with one), the line is a
 * process's that does not use it, until that ends.
 */
int pidfd_of_peer(int socket, pid_t pid);

/* By its pid: -1 with errno ESRCH: there is no such process. */
int pidfd_open_pid(pid_t pid);

/* A number that no other process has before the next boot (Linux 6.9 and newer), or 0. */
uint64_t pidfd_identity(int pidfd);

bool pidfd_has_ended(int pidfd);

#endif
