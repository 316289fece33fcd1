/* difference.h - what tells two versions of a key apart, as the change log keeps it. */
#ifndef DAEMON_DIFFERENCE_H
#define DAEMON_DIFFERENCE_H

#include "core/timespan.h"
#include "daemon/change.h"

/* Room for texts that the records do not hold as such. */
struct difference_room {
    struct change_room found;
    char times[6][TIMESPAN_RFC3339_SIZE];
    char scopes[2][RECORD_SCOPES_BYTES_MAX + 1];
    char networks[2][NETWORKS_MAX * NETWORK_TEXT_SIZE];
    char rates[2][RATES_TEXT_SIZE];
    char allowances[2][ALLOWANCE_TEXT_SIZE];
    char retirements[2][RETIREMENT_TEXT_SIZE];
    char ids[4][CATLATCH_ID_SIZE];
    char bits[2][12];
    char metadata[2 * RECORD_METADATA_MAX][sizeof "metadata." + RECORD_METADATA_NAME_MAX];
};

/* Gives the change the fields that differ, in JSON's names; old NULL: all that the new key has.
 * They are in the room, their texts there and in the records. What is the same for every version of
 * a key (id, digest, owner, prefix, environment, time of issue) is not among them. */
void difference_find(const struct record *old, const struct record *fresh,
                     struct difference_room *room, struct change *change);

/* The same of two versions of an owner; whether he is suspended is a kind of change by itself. */
void difference_find_owner(const struct record_owner *old, const struct record_owner *fresh,
                           struct difference_room *room, struct change *change);

/* Whether there are any. */
bool difference_any(const struct record *old, const struct record *fresh);

#endif
