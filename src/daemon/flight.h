/*
 * flight.h - commands of one connection whose answers come later: operations of the store thread,
 * and RELOAD. Their answers leave in the order of their requests. Loop thread.
 */
#ifndef DAEMON_FLIGHT_H
#define DAEMON_FLIGHT_H

#include "daemon/client.h"

/* Whether a command of this class may run beside those in flight. */
bool flight_may_run(const struct client *client, enum command_class class);

/* Whether the operation fits beside them. One may always fly alone, however many keys it is about.
 */
bool flight_may_launch(const struct client *client, const struct op *op);

/* Sends off what the call left; takes over call->op. Closes the client when there is no memory. */
void flight_launch(struct client *client, const struct call *call);

/* Whether the first of them is done. */
bool flight_is_due(const struct client *client);

/* Answers those that are done, in the order of their requests: one waits for those before it. */
void flight_land(struct client *client);

/* The client is going: operations go on, and nobody wants their answers. */
void flight_leave_all(struct client *client);

#endif
