/*
 * processes.h - who is attached: the process segment (usage/process.h), the roll of who has which
 * line (usage/roll.h), and a descriptor for each such process, which tells when it ends.
 *
 * Both memories are in the service manager's store. A keeper that follows a killed one takes them
 * back and opens the processes of the roll anew: those that ended meanwhile are folded, the others
 * go on with the lines that they write, and no count is lost. The descriptors of processes are not
 * stored: thousands of them would each cost a message to the manager, for as much. Without a
 * manager a killed keeper's counts are lost as its area is; the daemon makes another area, and
 * whoever attaches to that has a line of the new segment.
 *
 * Where processes cannot be told from later ones of the same pid (before Linux 6.9) and one ended
 * between two keepers whose pid is another's by then, its line is free when that one ends. The same
 * where the process cannot be opened, for it is not of our pid namespace: never. What was counted
 * stays counted.
 *
 * The descriptors are watched by one epoll and not in the poll set: they are thousands, and ready
 * but once in their lives, and poll would look at each with every request.
 */
#ifndef KEEPER_PROCESSES_H
#define KEEPER_PROCESSES_H

#include <stdbool.h>
#include <sys/socket.h>

#include "core/error.h"
#include "keeper/passed.h"
#include "usage/keeper.h"
#include "usage/roll.h"

struct processes {
    int segment_fd, roll_fd; /* -1: not there yet */
    struct process_segment *segment;
    struct roll *roll;
    int highest;               /* number of a descriptor that a process may have */
    int ended;                 /* readable when somebody ended: processes_reap */
    int pidfds[PROCESS_LINES]; /* by line; -1: none */
    uint64_t silent_ms;        /* until then it is not said that somebody got no line */
};

/* What the manager kept goes into *ret_processes and out of `passed`, if it is all; otherwise it is
 * dropped and said in the log. */
void processes_inherit(struct processes *ret_processes, struct passed *passed);

/* Makes what is not there, and watches who is. `files`: how many descriptors the process may have;
 * CLIENTS_MAX and some are left for who asks. Returns 0, E_MEMORY or E_IO. */
int processes_start(struct processes *processes, uint64_t files, struct error *error);

/* Folds and frees the lines of those that ended. */
void processes_reap(struct processes *processes);

/* Gives the peer of this connection a line: *ret_entry is what it is told. */
void processes_attach(struct processes *processes, int socket, const struct ucred *peer,
                      struct keeper_process *ret_entry);

/* False: the line is not this peer's. */
bool processes_detach(struct processes *processes, int socket, const struct ucred *peer,
                      uint32_t line);

/* Takes a line back that its peer was not told of. 0 is allowed. */
void processes_release(struct processes *processes, uint32_t line);

/* Who has the lines from `from` on. Returns how many. */
unsigned processes_list(struct processes *processes, uint32_t from,
                        struct keeper_process ret_list[KEEPER_PAGE]);

#endif
