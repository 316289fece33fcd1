#include "daemon/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crc32.h"

/* Two copies, written in turn, a block apart, so that a torn write leaves the other. A copy is
 * count(8) epoch(8) sequence(8) crc32(4); one of zeros was never written. */
#define COPY_BYTES 28u
#define COPY_DISTANCE ((off_t)4096)
#define COPIES 2

struct copy {
    uint64_t count; /* rises with each write */
    uint64_t epoch;
    uint64_t sequence;
};

enum copy_state { COPY_NONE, COPY_VALID, COPY_DAMAGED };

static void copy_pack(const struct copy *copy, unsigned char bytes[COPY_BYTES])
{
    struct bytes_writer writer = {.at = bytes, .left = COPY_BYTES};

    bytes_put_u64(&writer, copy->count);
    bytes_put_u64(&writer, copy->epoch);
    bytes_put_u64(&writer, copy->sequence);
    bytes_put_u32(&writer, crc32_update(0, bytes, COPY_BYTES - 4));
}

static enum copy_state copy_unpack(const unsigned char bytes[COPY_BYTES], struct copy *ret_copy)
{
    static const unsigned char zeros[COPY_BYTES];
    struct bytes_reader reader = {.at = bytes, .left = COPY_BYTES};
    struct copy copy = {0};

    if (memcmp(bytes, zeros, COPY_BYTES) == 0)
        return COPY_NONE;
    copy.count = bytes_take_u64(&reader);
    copy.epoch = bytes_take_u64(&reader);
    copy.sequence = bytes_take_u64(&reader);
    if (bytes_take_u32(&reader) != crc32_update(0, bytes, COPY_BYTES - 4))
        return COPY_DAMAGED;
    *ret_copy = copy;
    return COPY_VALID;
}

/* The newer of those that are whole. */
static int published_load(int fd, const char *directory, struct copy *ret_copy, struct error *error)
{
    struct copy newest = {0}, copy = {0};
    bool damaged = false;

    for (off_t i = 0; i < COPIES; i++) {
        unsigned char bytes[COPY_BYTES] = {0};
        if (pread(fd, bytes, sizeof bytes, i * COPY_DISTANCE) < 0)
            return error_errno(error, errno, "cannot read %s/published", directory);
        enum copy_state state = copy_unpack(bytes, &copy);
        damaged |= state == COPY_DAMAGED;
        if (state == COPY_VALID && copy.count > newest.count)
            newest = copy;
    }
    if (damaged && newest.count == 0)
        return error_set(error, CATLATCH_E_DATA,
                         "%s/published is damaged; if this state_dir is surely not an older copy, "
                         "remove that file",
                         directory);
    *ret_copy = newest;
    return 0;
}

/* Its blocks are there from the beginning: later writes need no room. */
static int published_create(int directory_fd, int fd)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return errno;
    if (info.st_size == COPIES * COPY_DISTANCE)
        return 0;
    int r = posix_fallocate(fd, 0, COPIES * COPY_DISTANCE);
    if (r != 0)
        return r;
    return fsync(fd) == 0 && fsync(directory_fd) == 0 ? 0 : errno;
}

int store_published_open(struct store *store, struct error *error)
{
    struct copy newest = {0};

    int fd =
        openat(store->directory_fd, "published", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, errno, "cannot open %s/published", store->directory);
    store->published_fd = fd;
    int r = published_create(store->directory_fd, fd);
    if (r != 0)
        return error_errno(error, r, "cannot write %s/published", store->directory);
    r = published_load(fd, store->directory, &newest, error);
    if (r == 0)
        store->published_count = newest.count;
    return r;
}

int store_read_published(const char *directory, uint64_t *ret_epoch, uint64_t *ret_sequence,
                         struct error *error)
{
    char path[PATH_MAX];
    struct copy newest = {0};

    if (snprintf(path, sizeof path, "%s/published", directory) >= (int)sizeof path)
        return error_set(error, CATLATCH_E_DATA, "state_dir %s: the path is too long", directory);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return error_errno(error, errno, "cannot open %s", path);
    int r = fd < 0 ? 0 : published_load(fd, directory, &newest, error);
    if (fd >= 0)
        close(fd);
    if (r != 0)
        return r;
    *ret_epoch = newest.epoch;
    *ret_sequence = newest.sequence;
    return 0;
}

int store_published(struct store *store, uint64_t *ret_epoch, uint64_t *ret_sequence,
                    struct error *error)
{
    struct copy newest = {0};

    int r = published_load(store->published_fd, store->directory, &newest, error);
    if (r != 0)
        return r;
    *ret_epoch = newest.epoch;
    *ret_sequence = newest.sequence;
    return 0;
}

int store_set_published(struct store *store, uint64_t epoch, uint64_t sequence, struct error *error)
{
    struct copy copy = {.count = store->published_count + 1, .epoch = epoch, .sequence = sequence};
    unsigned char bytes[COPY_BYTES];

    copy_pack(&copy, bytes);
    ssize_t written = pwrite(store->published_fd, bytes, sizeof bytes,
                             (off_t)(copy.count % COPIES) * COPY_DISTANCE);
    if (written != (ssize_t)sizeof bytes)
        return error_errno(error, written < 0 ? errno : ENOSPC, "cannot write %s/published",
                           store->directory);
    store->published_count = copy.count;
    return 0;
}
