/*
 * peer.h - who is at the other end of a socket, and what the configuration lets them do.
 *
 * The kernel vouches for it: SO_PEERCRED for uid and pid, SO_PEERGROUPS for every group (the
 * credentials carry the primary one alone). What cannot be asked is denied.
 */
#ifndef DAEMON_PEER_H
#define DAEMON_PEER_H

#include <stdint.h>
#include <sys/types.h>

#include "core/config.h"
#include "daemon/change.h"

/* The kernel shows a uid that a user namespace does not map as this one: it is nobody's. */
#define PEER_OVERFLOW_UID ((uid_t)65534)

struct peer {
    uid_t uid;
    gid_t gid;
    pid_t pid;
    uint32_t login_uid; /* who logged in, before sudo; UINT32_MAX: not known. For the log alone */
    gid_t *groups;      /* owned */
    size_t group_count;
};

/* Asks about the process that connected. Returns 0, E_MEMORY or E_IO; ret_peer is peer_free's. */
int peer_of(int fd, struct peer *ret_peer, struct error *error);
void peer_free(struct peer *peer);

/* This process, for what it does by itself. */
struct actor peer_self(void);

/* The highest right that [access] gives to the peer's uid or one of its groups; the daemon's own
 * uid is admin. CONFIG_RIGHT_NONE for PEER_OVERFLOW_UID, whatever the configuration says. */
enum config_right peer_right(const struct peer *peer, const struct config *config,
                             uid_t daemon_uid);

/* "verify", ... as [access] has them; "nothing" for CONFIG_RIGHT_NONE. */
const char *peer_right_name(enum config_right right);

#endif
