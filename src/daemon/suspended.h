/*
 * suspended.h - which owners are suspended: a set in memory, filled from the store at the start.
 *
 * The truth is the owner's record, written in one commit whatever number of keys it has; a key's
 * own record never says it. The table has a flag in each slot, set from here. One thread.
 */
#ifndef DAEMON_SUSPENDED_H
#define DAEMON_SUSPENDED_H

#include "core/text.h"
#include "daemon/store.h"

struct suspended {
    void *root; /* of a tsearch(3) tree */
};

/* Reads all owners. Returns 0, E_MEMORY or what the store said. */
int suspended_load(struct suspended *set, struct store *store, struct error *error);

bool suspended_has(const struct suspended *set, struct text owner);
int suspended_add(struct suspended *set, struct text owner); /* 0 or E_MEMORY */
void suspended_remove(struct suspended *set, struct text owner);
void suspended_clear(struct suspended *set);

#endif
