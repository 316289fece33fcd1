#include "daemon/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "usage/passing.h"

/* How long the manager has to take a descriptor: its queue is full when it is busy. */
#define STORE_WAIT_MS 500

/* False: there is no manager, or $NOTIFY_SOCKET is no address. */
static bool manager(struct sockaddr_un *ret_address, socklen_t *ret_size)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = name ? strlen(name) : 0;

    if (len < 2 || len >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@'))
        return false;
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    *ret_address = address;
    *ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return true;
}

static void notify(const char *state)
{
    struct sockaddr_un address;
    socklen_t size;

    if (!manager(&address, &size))
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, size);
    close(fd);
}

/* What must arrive: waits, bounded, for room in the manager's queue. */
static int notify_surely(const char *state, const struct passing *passing)
{
    const struct timeval patience = {.tv_usec = STORE_WAIT_MS * 1000};
    struct sockaddr_un address;
    socklen_t size;
    int r = 0;

    if (!manager(&address, &size))
        return 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (struct sockaddr *)&address, size) != 0 ||
        passing_send(fd, state, strlen(state), passing, 0) != 0)
        r = errno;
    close(fd);
    return r;
}

int notify_store(const char *name, int fd)
{
    const struct passing passing = {.count = 1, .fds = {fd}};
    char state[320];

    snprintf(state, sizeof state, "FDSTORE=1\nFDNAME=%s", name);
    return notify_surely(state, &passing);
}

int notify_forget(const char *name)
{
    const struct passing nothing = {.count = 0};
    char state[320];

    snprintf(state, sizeof state, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    return notify_surely(state, &nothing);
}

void notify_ready(void)
{
    notify("READY=1\nSTATUS=Running");
}

void notify_reloading(void)
{
    char state[64];
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t usec = (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, usec);
    notify(state);
}

void notify_stopping(void)
{
    notify("STOPPING=1\nSTATUS=Finishing what was asked");
}

void notify_status(const char *status)
{
    char state[640];

    snprintf(state, sizeof state, "STATUS=%s", status);
    notify(state);
}

void notify_watchdog(void)
{
    notify("WATCHDOG=1");
}

uint64_t notify_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (!usec || (pid && strtoll(pid, NULL, 10) != getpid()))
        return 0;
    return strtoull(usec, NULL, 10) / 1000u;
}
