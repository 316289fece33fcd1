/*
 * notify.h - tells the service manager how the daemon is doing: sd_notify(3)'s protocol, one
 * datagram to the socket that $NOTIFY_SOCKET names (a path, or "@name" for an abstract one).
 *
 * Without $NOTIFY_SOCKET everything here does nothing. Never blocks; a lost datagram is not an
 * error, for nothing that we do depends on it. Only what is given to the manager to keep is waited
 * for, half a second. Loop thread.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void); /* with MONOTONIC_USEC, which Type=notify-reload wants */
void notify_stopping(void);
void notify_status(const char *status); /* one line for `systemctl status` */
void notify_watchdog(void);

/* Gives the manager a descriptor to keep for the next start of this service (its descriptor store),
 * or takes one out of it by its name, which has none of ':' and control characters and at most 255
 * bytes. Returns 0, also where there is no manager, or errno. */
int notify_store(const char *name, int fd);
int notify_forget(const char *name);

/* How often the manager expects notify_watchdog at the latest ($WATCHDOG_USEC, if it is meant for
 * this process); 0: it does not. */
uint64_t notify_watchdog_ms(void);

#endif
