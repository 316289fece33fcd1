/*
 * subscription.h - SUBSCRIBE: change events for connections that asked for them.
 *
 * Each subscriber has its own place in the change log, and is sent what the log holds behind it: so
 * there is no queue that could overflow and no gap; who reads slowly is told later. What it may see
 * is decided anew each time, and who may see nothing any more is closed. Loop thread.
 */
#ifndef DAEMON_SUBSCRIPTION_H
#define DAEMON_SUBSCRIPTION_H

#include "daemon/client.h"

/* The only channel. */
#define SUBSCRIPTION_CHANNEL "changes"

/* Sends what is new, if the client has subscribed and takes its messages; may close it. */
void subscription_feed(struct client *client);

/* To every subscriber: something was published. */
void subscription_feed_all(struct server *server);

/* The client is going. */
void subscription_end(struct client *client);

#endif
