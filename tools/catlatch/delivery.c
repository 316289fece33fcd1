#include "delivery.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "value.h"

/* A line has a key, two ids, and two texts of 255 bytes that JSON can stretch. */
#define LINE_ROOM 1024u

static int folder_open(const char *path)
{
    char *copy = strdup(path);
    int fd = copy != NULL ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    free(copy);
    return fd;
}

/* Room that is kept but not counted as the file's size; file systems that cannot are none the
 * worse. */
static int room_keep(int fd, size_t count)
{
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)(count * LINE_ROOM)) == 0)
        return 0;
    return errno == ENOSPC || errno == EDQUOT ? errno : 0;
}

int delivery_open(const char *path, size_t count, struct delivery *ret_delivery,
                  struct error *error)
{
    struct delivery delivery = {.path = path, .fd = -1, .folder_fd = -1};
    int errnum, code;

    if (path != NULL) {
        delivery.folder_fd = folder_open(path);
        if (delivery.folder_fd >= 0)
            delivery.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        errnum = delivery.fd < 0 ? errno : room_keep(delivery.fd, count);
        if (errnum != 0) {
            delivery_close(&delivery);
            code = error_errno(error, errnum, "making %s for the new keys (nothing was changed)",
                               path);
            /* No such key is another matter than no such folder. */
            return code == CATLATCH_E_NOT_FOUND ? (error->code = CATLATCH_E_IO) : code;
        }
    }
    *ret_delivery = delivery;
    return 0;
}

static int bytes_write(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* One key as a line of JSON; the caller frees it by line_free. */
static char *key_line(const json_t *key)
{
    static const char *const fields[] = {"id",    "old_id", "key",    "name",
                                         "owner", "state",  "prefix", "old_expires_at"};
    json_t *object = json_object();
    char *text = NULL, *line = NULL;

    for (size_t i = 0; object != NULL && i < sizeof fields / sizeof *fields; i++)
        (void)json_object_set(object, fields[i], json_object_get(key, fields[i]));
    if (object != NULL)
        text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    size_t len = text != NULL ? strlen(text) : 0;
    /* Not asprintf, which grows what it writes to and leaves shorter copies behind. */
    if (text != NULL && (line = malloc(len + 2)) != NULL) {
        memcpy(line, text, len);
        memcpy(line + len, "\n", 2);
    }
    if (text != NULL)
        OPENSSL_cleanse(text, len);
    free(text);
    return line;
}

int delivery_write(struct delivery *delivery, const json_t *keys, struct error *error)
{
    int errnum = 0;

    for (size_t i = 0; errnum == 0 && i < json_array_size(keys); i++) {
        char *line = key_line(json_array_get(keys, i));
        if (line == NULL)
            errnum = ENOMEM;
        else
            errnum = bytes_write(delivery->fd, line, strlen(line));
        if (line != NULL)
            OPENSSL_cleanse(line, strlen(line));
        free(line);
        delivery->used = true;
    }
    if (errnum == 0 && (fsync(delivery->fd) != 0 || fsync(delivery->folder_fd) != 0))
        errnum = errno;
    return errnum != 0 ? error_errno(error, errnum, "writing %s", delivery->path) : 0;
}

int delivery_flush(struct error *error)
{
    struct stat status;

    if (!output_flush())
        return error_errno(error, errno, "writing to standard output");
    if (fstat(STDOUT_FILENO, &status) == 0 && S_ISREG(status.st_mode) && fsync(STDOUT_FILENO) != 0)
        return error_errno(error, errno, "writing standard output to disk");
    return 0;
}

void delivery_close(struct delivery *delivery)
{
    struct stat status;

    if (delivery->fd >= 0) {
        /* Gives back the room that was kept and not needed. */
        if (fstat(delivery->fd, &status) == 0)
            (void)!ftruncate(delivery->fd, status.st_size);
        close(delivery->fd);
        if (!delivery->used)
            (void)unlink(delivery->path);
    }
    if (delivery->folder_fd >= 0)
        close(delivery->folder_fd);
    *delivery = (struct delivery){.fd = -1, .folder_fd = -1};
}
