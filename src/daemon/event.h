/* event.h - one change as a message of SUBSCRIBE: a push whose payload is JSON. */
#ifndef DAEMON_EVENT_H
#define DAEMON_EVENT_H

#include "daemon/change.h"
#include "daemon/reply.h"

/* Appends the message; the payload has the names and values of LOG's maps. */
void event_write(struct reply *reply, const char *channel, const struct change *change);

#endif
