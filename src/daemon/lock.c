#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_TEXT_SIZE 24 /* the digits of any pid, a newline, NUL */

/* Who says that it holds the lock; 0 when the file does not tell. */
static long holder_pid(int fd)
{
    char text[PID_TEXT_SIZE];

    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    long pid = strtol(text, NULL, 10);
    return pid > 0 ? pid : 0;
}

static int refuse_held(int fd, const struct lock_name *name, const char *directory,
                       struct error *error)
{
    long pid = holder_pid(fd);

    if (pid == 0)
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "%s %s is in use by another %s; stop it first", name->what, directory,
                         name->program);
    return error_set(error, CATLATCH_E_UNAVAILABLE, "%s %s is in use by %s, pid %ld; stop it first",
                     name->what, directory, name->program, pid);
}

static int write_pid(int fd)
{
    char text[PID_TEXT_SIZE];

    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0)
        return errno;
    ssize_t written = pwrite(fd, text, (size_t)len, 0);
    return written == len ? 0 : written < 0 ? errno : ENOSPC;
}

/* Mostly the daemon's user was changed after its first start. */
static int refuse_open(const char *what, const char *directory, struct error *error)
{
    if (errno != EACCES)
        return error_errno(error, errno, "cannot open the lock file of %s %s", what, directory);
    return error_set(error, CATLATCH_E_PERMISSION,
                     "cannot open the lock file of %s %s: Permission denied; it and all that it "
                     "holds must be uid %u's to write: chown -R %u %s",
                     what, directory, (unsigned)geteuid(), (unsigned)geteuid(), directory);
}

static int lock_open(const struct lock_name *name, const char *directory, int *ret_fd,
                     struct error *error)
{
    const char *what = name->what;
    int r = 0;
    struct stat info;
    int directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory_fd < 0)
        return error_errno(error, errno, "cannot open %s %s", what, directory);
    int fd = openat(directory_fd, name->file,
                    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) {
        r = refuse_open(what, directory, error);
        goto out;
    }
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(fd);
        r = error_set(error, CATLATCH_E_PERMISSION,
                      "cannot lock %s %s: %s/%s is not a regular file; remove it", what, directory,
                      directory, name->file);
        goto out;
    }
    *ret_fd = fd;
out:
    close(directory_fd);
    return r;
}

int lock_take_file(const struct lock_name *name, const char *directory, int *ret_fd,
                   struct error *error)
{
    const char *what = name->what;
    int fd = -1;

    int r = lock_open(name, directory, &fd, error);
    if (r != 0)
        return r;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            r = refuse_held(fd, name, directory, error);
        else
            r = error_errno(error, errno, "cannot lock %s %s", what, directory);
        close(fd);
        return r;
    }
    /* The pid is for people alone: a full disk must not keep the daemon from starting. */
    int failed = write_pid(fd);
    if (failed != 0 && failed != ENOSPC && failed != EDQUOT) {
        close(fd);
        return error_errno(error, failed, "cannot write the lock file of %s %s", what, directory);
    }
    *ret_fd = fd;
    return 0;
}

int lock_take_named(const char *what, const char *directory, int *ret_fd, struct error *error)
{
    const struct lock_name name = {.what = what, .file = "lock", .program = "catlatchd"};

    return lock_take_file(&name, directory, ret_fd, error);
}

int lock_take(const char *directory, int *ret_fd, struct error *error)
{
    return lock_take_named("state_dir", directory, ret_fd, error);
}

void lock_drop(int fd)
{
    if (fd >= 0)
        close(fd);
}
