#include "daemon/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How many descriptors are meant for us; 0: none, or the variables are another process's. */
static long passed_count(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

    if (!pid || !count || strtol(pid, NULL, 10) != getpid())
        return 0;
    return strtol(count, NULL, 10);
}

static int option(int fd, int name)
{
    int value = -1;
    socklen_t size = sizeof value;

    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

static int socket_read(int fd, struct activation_socket *ret_socket, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    socklen_t size = sizeof address;
    size_t head = offsetof(struct sockaddr_un, sun_path);

    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return error_errno(error, errno, "cannot use descriptor %d of $LISTEN_FDS", fd);
    if (option(fd, SO_DOMAIN) != AF_UNIX || option(fd, SO_TYPE) != SOCK_STREAM ||
        option(fd, SO_ACCEPTCONN) != 1 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0 || size <= head ||
        address.sun_path[0] != '/')
        return error_set(error, CATLATCH_E_CONFIG,
                         "descriptor %d of $LISTEN_FDS is no listening unix stream socket with a "
                         "path; the socket unit may have ListenStream= lines of such alone",
                         fd);
    size_t most = size - head < sizeof address.sun_path ? size - head : sizeof address.sun_path;
    ret_socket->fd = fd;
    snprintf(ret_socket->path, sizeof ret_socket->path, "%.*s", (int)most, address.sun_path);
    return 0;
}

int activation_read(struct activation *ret_activation, struct error *error)
{
    long count = passed_count();
    int r = 0;

    *ret_activation = (struct activation){0};
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (count < 0 || count > ACTIVATION_MAX)
        return error_set(error, CATLATCH_E_CONFIG,
                         "$LISTEN_FDS passes %ld sockets and there are two to be had", count);
    for (int i = 0; i < count && r == 0; i++)
        r = socket_read(ACTIVATION_FIRST + i, &ret_activation->sockets[i], error);
    if (r == 0)
        ret_activation->count = (int)count;
    return r;
}

int activation_take(struct activation *activation, const char *path)
{
    for (int i = 0; i < activation->count; i++) {
        struct activation_socket *socket = &activation->sockets[i];
        if (socket->fd >= 0 && strcmp(socket->path, path) == 0) {
            int fd = socket->fd;
            socket->fd = -1;
            return fd;
        }
    }
    return -1;
}

int activation_check(const struct activation *activation, const char *const *wanted, int count,
                     struct error *error)
{
    char list[512] = "";
    size_t len = 0;

    for (int i = 0; i < count && len < sizeof list; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s%s", i > 0 ? " and " : "",
                                wanted[i]);
    for (int i = 0; i < activation->count; i++) {
        if (activation->sockets[i].fd >= 0)
            return error_set(error, CATLATCH_E_CONFIG,
                             "a socket %s was passed that the configuration does not name, or "
                             "twice; it names %s: make ListenStream= of the socket unit and "
                             "run_dir and admin_dir agree",
                             activation->sockets[i].path, list);
    }
    return 0;
}

bool activation_is_at(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct pollfd queue = {.fd = fd, .events = POLLIN};
    int own;

    if (strlen(path) >= sizeof address.sun_path)
        return false;
    own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (own < 0)
        return true; /* cannot be told; what was passed is what was meant */
    memcpy(address.sun_path, path, strlen(path) + 1);
    /* Who connected stands in the socket's queue at once; with a full queue it is EAGAIN. */
    bool reached =
        connect(own, (struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
    bool is_at = reached && poll(&queue, 1, 0) == 1 && (queue.revents & POLLIN) != 0;
    close(own);
    return is_at;
}

void activation_pass(const int *fds, int count)
{
    int high[ACTIVATION_MAX];
    char text[24];

    if (count == 0 || count > ACTIVATION_MAX)
        return;
    /* Out of the way first: one may stand where another belongs. */
    for (int i = 0; i < count; i++)
        high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, ACTIVATION_FIRST + ACTIVATION_MAX);
    for (int i = 0; i < count; i++)
        if (high[i] < 0 || dup2(high[i], ACTIVATION_FIRST + i) < 0)
            return; /* without them the next process listens anew, or says why it cannot */
    snprintf(text, sizeof text, "%ld", (long)getpid());
    setenv("LISTEN_PID", text, 1);
    snprintf(text, sizeof text, "%d", count);
    setenv("LISTEN_FDS", text, 1);
}
