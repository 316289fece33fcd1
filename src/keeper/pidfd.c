#include "keeper/pidfd.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Newer than the headers that we build with. Some processors have other numbers for it, and do
 * without. */
#if !defined(SO_PEERPIDFD) && !defined(__hppa__) && !defined(__sparc__)
#define SO_PEERPIDFD 77
#endif

/* Where descriptors of processes have inodes of their own. */
#define PIDFS_MAGIC 0x50494446

int pidfd_open_pid(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0); /* close-on-exec by nature */

    /* A thread of another process has the number now. */
    if (fd < 0 && (errno == EINVAL || errno == ENOENT))
        errno = ESRCH;
    return fd;
}

static int open_exact(int socket, pid_t pid)
{
#ifdef SO_PEERPIDFD
    int fd;
    socklen_t size = sizeof fd;

    if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0)
        return fd;
    if (errno != ENOPROTOOPT)
        return -1;
#endif
    return pidfd_open_pid(pid);
}

int pidfd_of_peer(int socket, pid_t pid)
{
    int fd = open_exact(socket, pid);

    if (fd < 0 || !pidfd_has_ended(fd))
        return fd;
    close(fd);
    return -1;
}

uint64_t pidfd_identity(int pidfd)
{
    struct statfs system;
    struct stat status;

    if (fstatfs(pidfd, &system) != 0 || system.f_type != PIDFS_MAGIC || fstat(pidfd, &status) != 0)
        return 0;
    return status.st_ino;
}

bool pidfd_has_ended(int pidfd)
{
    struct pollfd look = {.fd = pidfd, .events = POLLIN};

    return poll(&look, 1, 0) != 0;
}
