#include "follow.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

static int enough = -1; /* can be read once a signal came */

static void on_signal(int number)
{
    const uint64_t one = 1;
    int errnum = errno;

    (void)number;
    if (write(enough, &one, sizeof one) < 0)
        errno = 0; /* it was full, so it can be read */
    errno = errnum;
}

/* What whoever started us has ignored stays ignored. Writes go on, so that lines stay whole. */
static int catch (int number)
{
    const struct sigaction caught = {.sa_handler = on_signal,
                                     .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    struct sigaction before;

    if (sigaction(number, NULL, &before) != 0)
        return -1;
    return before.sa_handler == SIG_IGN ? 0 : sigaction(number, &caught, NULL);
}

int follow_begin(struct error *error)
{
    enough = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (enough < 0 || catch (SIGINT) != 0 || catch (SIGTERM) != 0 || catch (SIGHUP) != 0)
        return error_errno(error, errno, "waiting for signals");
    return 0;
}

/* Nobody reads a pipe that has an error, nor a terminal or a socket that hung up. */
static bool look(int fd, int timeout_ms)
{
    struct pollfd watched[] = {
        {.fd = STDOUT_FILENO}, {.fd = enough, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int polled;

    do
        polled = poll(watched, sizeof watched / sizeof *watched, timeout_ms);
    while (polled < 0 && errno == EINTR);
    return (watched[0].revents & (POLLERR | POLLHUP)) != 0 || watched[1].revents != 0;
}

bool follow_is_over(void)
{
    return look(-1, 0);
}

bool follow_pause(int fd, int timeout_ms)
{
    return look(fd, timeout_ms);
}
