/* event.h - one change as it is told: LOG's map, and a message of SUBSCRIBE, a push whose payload
 * is the same map as JSON. */
#ifndef DAEMON_EVENT_H
#define DAEMON_EVENT_H

#include "daemon/change.h"
#include "daemon/reply.h"

/* Appends the map. */
void event_map(struct reply *reply, const struct change *change);

/* Appends the message. */
void event_write(struct reply *reply, const char *channel, const struct change *change);

#endif
