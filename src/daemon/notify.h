/*
 * notify.h - tells the service manager how the daemon is doing: sd_notify(3)'s protocol, one
 * datagram to the socket that $NOTIFY_SOCKET names (a path, or "@name" for an abstract one).
 *
 * Without $NOTIFY_SOCKET everything here does nothing. Never blocks; a lost datagram is not an
 * error, for nothing that we do depends on it. Loop thread.
 */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

void notify_ready(void);
void notify_reloading(void); /* with MONOTONIC_USEC, which Type=notify-reload wants */
void notify_stopping(void);
void notify_status(const char *status); /* one line for `systemctl status` */
void notify_watchdog(void);

/* How often the manager expects notify_watchdog at the latest ($WATCHDOG_USEC, if it is meant for
 * this process); 0: it does not. */
uint64_t notify_watchdog_ms(void);

#endif
