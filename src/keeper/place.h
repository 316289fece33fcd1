/*
 * place.h - the keeper's place in run_dir: `usage.lock`, which one keeper at a time has, and the
 * listening socket `usage.sock`.
 */
#ifndef KEEPER_PLACE_H
#define KEEPER_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

#include "core/error.h"

struct place {
    char path[sizeof((struct sockaddr_un *)0)->sun_path]; /* of the socket */
    int lock;
    int listener; /* close-on-exec, non-blocking */
    dev_t device; /* of the socket's file */
    ino_t inode;
};

/*
 * Takes the place. A socket that nobody listens on any more is replaced, by a rename, so that
 * nobody finds one that does not answer. *ret_taken false: another keeper has the place and
 * answers, so there is nothing to do. Waits some seconds for one that has the lock and does not
 * answer yet.
 *
 * Returns 0, E_UNAVAILABLE (a process that does not answer is there), E_CONFIG (the path is too
 * long, or something in the way is no socket), E_PERMISSION or E_IO.
 */
int place_take(struct place *ret_place, const char *run_dir, bool *ret_taken, struct error *error);

/* Whether the path is still our socket's: not removed, not another's. */
bool place_is_ours(const struct place *place);

/* Removes the socket if it is still ours; the lock's file stays. */
void place_leave(struct place *place);

#endif
