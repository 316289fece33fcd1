/*
 * growth_usage.h - what keys and owners have in the usage area, carried from the table that readers
 * have to the next one. As growth.h has it, by the store thread but for the first.
 */
#ifndef DAEMON_GROWTH_USAGE_H
#define DAEMON_GROWTH_USAGE_H

#include "daemon/growth.h"

/* Room in the usage area for every key that the table can take, before it is there. */
void growth_reserve_usage(struct growth *growth);

/* What the key has there, or gets now, as a table_entry says it. */
uint64_t growth_take_usage(struct growth *growth, const struct record *record);

/* What the key's owner is; with limits, he has a block for them, or gets it now. */
const struct owner_state *growth_owner(struct growth *growth, const struct record *record);

/* Of a start that begins anew: nobody saw what was given out since the table was begun. */
void growth_rewind_usage(struct growth *growth);

#endif
