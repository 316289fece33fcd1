/*
 * trust.h - may what a path names be believed?
 *
 * A file is believed when it is owned by root or by one named user (usually the effective one),
 * and neither its group nor others can write it, and when the same holds for every folder above
 * it. A folder that others can write is safe when it is sticky, owned by root, and the entry below
 * it is owned by root or that user; as the path's own end it is not believed. Symbolic links are
 * followed and every step is checked; a relative path is taken from the working directory, whose
 * own parents are checked too.
 *
 * TRUST_OVERFLOW_UID says nothing about who owns a file, so no list of those to be believed should
 * hold it: trust_self leaves it out. Thread: any. Fork: any. Blocks: on the file system.
 */
#ifndef CORE_TRUST_H
#define CORE_TRUST_H

#include <sys/types.h>

#include "core/error.h"

/* Up to this many uids besides root can be believed: the effective user and the daemon's. */
#define TRUST_UIDS_MAX 2

/* The kernel shows every uid that a user namespace does not map as this one. */
#define TRUST_OVERFLOW_UID ((uid_t)65534)

struct trust {
    uid_t uids[TRUST_UIDS_MAX];
    unsigned count;
};

/* Root and the effective user; root alone where the effective user is TRUST_OVERFLOW_UID. */
struct trust trust_self(void);

/* Checks the path and all of its parents. Returns 0, E_PERMISSION with a line that says which
 * component is unsafe, why, and how to mend it, E_NOT_FOUND or E_IO. */
int trust_path(const char *path, const struct trust *trust, struct error *error);

/* Opens for reading, O_CLOEXEC, checks path and parents, and that what was opened is what was
 * checked (device and inode). Regular files only. Returns 0 and the descriptor. */
int trust_open(const char *path, const struct trust *trust, int *ret_fd, struct error *error);

#endif
