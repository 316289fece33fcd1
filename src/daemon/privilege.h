/*
 * privilege.h - what the process does to its folders and to itself before it touches a key.
 *
 * Started as root with [daemon] user, it makes the folders and gives them to that user, then
 * becomes it for good. As an ordinary user it works wholly in folders of its own. Main thread,
 * before any other is started.
 */
#ifndef DAEMON_PRIVILEGE_H
#define DAEMON_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/config.h"

/* Who the daemon is to be. */
struct privilege {
    uid_t uid;
    gid_t gid;
    bool drop; /* we are root and are to be somebody else */
};

/* Looks up user and group. Returns 0, E_CONFIG (no such user or group), E_PERMISSION (not root, and
 * not the user that is configured) or E_IO. */
int privilege_resolve(const struct config *config, struct privilege *ret_privilege,
                      struct error *error);

/* Makes state_dir (0700), run_dir and admin_dir (0755) where they are missing, and gives them to
 * the daemon's user and group when root. What is there and not safe is refused with the way to mend
 * it. Returns 0, E_PERMISSION, E_NOT_FOUND (the parent is missing) or E_IO. */
int privilege_folders(const struct config *config, const struct privilege *privilege,
                      struct error *error);

/* The same for run_dir alone. */
int privilege_run_dir(const struct config *config, const struct privilege *privilege,
                      struct error *error);

/* Raises the limit of open descriptors to `files`, or as far as we may. Returns what it is now. */
uint64_t privilege_files(uint64_t files);

/* No core dumps, room for `files` descriptors (*ret_files says how many there are, perhaps fewer),
 * other groups, gid and uid given up. Returns 0 or a negative code; after a failure the process
 * must end. */
int privilege_drop(const struct privilege *privilege, uint64_t files, uint64_t *ret_files,
                   struct error *error);

#endif
