#include "daemon/ballast.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FILE_NAME "ballast"

/* What a ballast that was released becomes: empty, and the sign that outlives the process. A name
 * can be changed on a full disk, where none can be made. */
#define SPENT_NAME "ballast.spent"

uint64_t ballast_free_bytes(int directory_fd)
{
    struct statvfs info;
    uint64_t bytes;

    /* Some file systems tell nothing, and say so by having no blocks at all. */
    if (fstatvfs(directory_fd, &info) != 0 || info.f_blocks == 0)
        return UINT64_MAX;
    if (__builtin_mul_overflow((uint64_t)info.f_bavail, (uint64_t)info.f_frsize, &bytes))
        return UINT64_MAX;
    return bytes;
}

static bool has_room_to_spare(int directory_fd, uint64_t missing, uint64_t size_bytes)
{
    uint64_t wanted;

    return !__builtin_add_overflow(missing, size_bytes, &wanted) &&
           ballast_free_bytes(directory_fd) >= wanted;
}

/* Allocates, or shortens a file that was laid under another setting. */
static int file_fit(int fd, int directory_fd, uint64_t size_bytes)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return errno;
    uint64_t there = (uint64_t)info.st_size;
    if (there == size_bytes)
        return 0;
    if (there > size_bytes)
        return ftruncate(fd, (off_t)size_bytes) == 0 ? 0 : errno;
    if (!has_room_to_spare(directory_fd, size_bytes - there, size_bytes))
        return ENOSPC;
    return posix_fallocate(fd, 0, (off_t)size_bytes);
}

bool ballast_is_there(int directory_fd)
{
    struct stat info;

    return fstatat(directory_fd, FILE_NAME, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

uint64_t ballast_bytes(int directory_fd)
{
    struct stat info;

    if (fstatat(directory_fd, FILE_NAME, &info, AT_SYMLINK_NOFOLLOW) != 0 || info.st_size < 0)
        return 0;
    return (uint64_t)info.st_size;
}

int ballast_lay(int directory_fd, uint64_t size_bytes, struct error *error)
{
    if (size_bytes == 0 || size_bytes > INT64_MAX)
        return 0;
    if (!ballast_is_there(directory_fd) && !has_room_to_spare(directory_fd, size_bytes, size_bytes))
        return 0;
    int fd = openat(directory_fd, FILE_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, errno, "cannot lay the ballast file in state_dir");
    int r = file_fit(fd, directory_fd, size_bytes);
    close(fd);
    if (r == 0) {
        unlinkat(directory_fd, SPENT_NAME, 0);
        return 0;
    }
    unlinkat(directory_fd, FILE_NAME, 0);
    if (r == ENOSPC || r == EDQUOT)
        return 0;
    return error_errno(error, r, "cannot lay the ballast file in state_dir");
}

bool ballast_release(int directory_fd)
{
    struct stat info;

    /* If it was renamed before, it is emptied now at the latest. */
    bool renamed = renameat(directory_fd, FILE_NAME, directory_fd, SPENT_NAME) == 0;
    int fd = openat(directory_fd, SPENT_NAME, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return renamed && unlinkat(directory_fd, SPENT_NAME, 0) == 0;
    bool released = fstat(fd, &info) == 0 && info.st_size > 0 && ftruncate(fd, 0) == 0;
    close(fd);
    return released;
}

bool ballast_was_released(int directory_fd)
{
    struct stat info;

    return fstatat(directory_fd, SPENT_NAME, &info, AT_SYMLINK_NOFOLLOW) == 0;
}
