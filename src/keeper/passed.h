/*
 * passed.h - the descriptors that the service manager kept and passes at the start (sd_listen_fds).
 */
#ifndef KEEPER_PASSED_H
#define KEEPER_PASSED_H

/* More is none of ours: the unit allows this many in the store (FileDescriptorStoreMax=). */
#define PASSED_MAX 64u

struct passed {
    unsigned count;
    struct {
        const char *name; /* "" where none was passed; stays */
        int fd;           /* -1: it was not open, or is taken */
    } list[PASSED_MAX];
};

/* Takes all of them, close-on-exec, out of the environment. Before anything is opened: what was
 * passed has numbers of its own. */
void passed_take(struct passed *ret_passed);

/* Closes number i, if it was not taken, and has the manager forget it. */
void passed_drop(struct passed *passed, unsigned i);

#endif
