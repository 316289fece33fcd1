#include "keeper/passed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/notify.h"

/* The first descriptor that a service manager passes. */
#define PASSED_FIRST 3

static unsigned passed_count(void)
{
    const char *pid = getenv("LISTEN_PID"), *text = getenv("LISTEN_FDS");

    if (pid == NULL || text == NULL || strtol(pid, NULL, 10) != getpid())
        return 0;
    long count = strtol(text, NULL, 10);
    if (count >= 0 && count <= (long)PASSED_MAX)
        return (unsigned)count;
    log_line(LOG_WARNING, "$LISTEN_FDS passes %s descriptors, which are none of ours", text);
    return 0;
}

void passed_take(struct passed *ret_passed)
{
    char *rest = getenv("LISTEN_FDNAMES"); /* with a ':' between each two; cut up here */

    ret_passed->count = passed_count();
    for (unsigned i = 0; i < ret_passed->count; i++) {
        int fd = PASSED_FIRST + (int)i;
        ret_passed->list[i].name = rest != NULL ? strsep(&rest, ":") : "";
        ret_passed->list[i].fd = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? fd : -1;
    }
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

void passed_drop(struct passed *passed, unsigned i)
{
    const char *name = passed->list[i].name;

    if (passed->list[i].fd >= 0)
        close(passed->list[i].fd);
    passed->list[i].fd = -1;
    if (name[0] == '\0')
        return; /* without a name it cannot be asked for */
    int failed = notify_forget(name);
    if (failed != 0)
        log_line(LOG_WARNING, "the service manager does not forget %s: %s", name, strerror(failed));
}
