/*
 * owners.h - what the keys of an owner have in common, in memory, filled from the store at the
 * start: whether he is suspended, and the limits of all of them together.
 *
 * The truth is the owner's record, written in one commit whatever number of keys it has; a key's
 * own record never says it. The table has it for each slot, from here. One thread.
 */
#ifndef DAEMON_OWNERS_H
#define DAEMON_OWNERS_H

#include "core/text.h"
#include "daemon/store.h"

struct owner_state {
    bool suspended;
    struct rates rates; /* none: no limits */
    uint32_t block;     /* in the usage area, where these are counted, or were; 0: none yet */
    uint64_t wanting;   /* the generation of the table that had no room for one; 0: none */
};

/* Only those that are like nobody else are kept. */
struct owners {
    void *root; /* of a tsearch(3) tree */
};

/* Reads all owners. Returns 0, E_MEMORY or what the store said. */
int owners_load(struct owners *owners, struct store *store, struct error *error);

/* What is known of the owner until the next call that changes him; zeros of most. */
const struct owner_state *owners_find(const struct owners *owners, struct text owner);

/* Returns 0, or E_MEMORY: never of an owner whose state was set before and not forgotten. */
int owners_set(struct owners *owners, struct text owner, const struct owner_state *state);

/* Forgets an owner who is like all others. */
void owners_forget_plain(struct owners *owners, struct text owner);

/* How many have limits, and no block for them. */
uint64_t owners_without_block(const struct owners *owners);

/* Blocks above this one are nobody's any more. */
void owners_forget_blocks(struct owners *owners, uint32_t highest);

void owners_clear(struct owners *owners);

#endif
