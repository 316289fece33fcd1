#include "usage/passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Aligned as the kernel's headers in it must be. */
union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(PASSING_MAX * sizeof(int))];
};

int passing_send(int socket, const void *message, size_t size, const struct passing *passing,
                 int flags)
{
    union control control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = size};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};

    if (passing->count > 0) {
        size_t fds_size = passing->count * sizeof passing->fds[0];
        head.msg_control = control.bytes;
        head.msg_controllen = CMSG_SPACE(fds_size);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(fds_size);
        memcpy(CMSG_DATA(&control.header), passing->fds, fds_size);
    }
    return sendmsg(socket, &head, flags | MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

/* Every descriptor that came: they are open already, whatever is wrong with the message. */
static void take_descriptors(struct msghdr *head, struct passing *passing)
{
    for (struct cmsghdr *at = CMSG_FIRSTHDR(head); at != NULL; at = CMSG_NXTHDR(head, at)) {
        if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (at->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count && passing->count < PASSING_MAX; i++)
            memcpy(&passing->fds[passing->count++], CMSG_DATA(at) + i * sizeof(int), sizeof(int));
    }
}

ssize_t passing_receive(int socket, void *message, size_t size, unsigned most,
                        struct passing *ret_passing, int flags)
{
    union control control = {.bytes = {0}};
    struct iovec part = {.iov_base = message, .iov_len = size};
    struct msghdr head = {.msg_iov = &part, .msg_iovlen = 1};

    ret_passing->count = 0;
    if (most > 0) {
        head.msg_control = control.bytes;
        /* Not CMSG_SPACE: in its padding the kernel would put one more than is meant. */
        head.msg_controllen = CMSG_LEN(most * sizeof(int));
    }
    ssize_t len = recvmsg(socket, &head, flags | MSG_CMSG_CLOEXEC);
    if (len < 0)
        return len;
    take_descriptors(&head, ret_passing);
    /* A message of no bytes cannot be told from the end, so it is the end, and what came with it
     * goes. */
    if (len == 0)
        passing_close(ret_passing);
    int cut = MSG_TRUNC | (most > 0 ? MSG_CTRUNC : 0);
    if ((head.msg_flags & cut) != 0) {
        passing_close(ret_passing);
        errno = EBADMSG;
        return -1;
    }
    return len;
}

void passing_close(struct passing *passing)
{
    for (unsigned i = 0; i < passing->count; i++)
        close(passing->fds[i]);
    passing->count = 0;
}
