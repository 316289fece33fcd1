/*
 * file [PATH...] [deny=PATH...]: keys whose SHA-256 stands in a file, for when there is no daemon.
 *
 * PATH holds break-glass keys. One that stands there is `valid`, unless the table has a record of
 * it, whatever that says: then it is `denied`, so that no file can keep alive what was revoked.
 * Without a table (`file` is for that moment) nothing is known against it. One that does not stand
 * there is `not_found`: `sufficient` passes it on to the next line as it would an `ignore`, and a
 * service of `required = file` alone says what is the matter.
 *
 * deny=PATH holds keys to refuse while nothing can be revoked: `denied`, before all else. Where
 * there is no PATH the module has nothing to say of any other key: `ignore`.
 *
 * A file is 64 hex digits on a line; blank lines, and from '#' on, comments. It is believed as the
 * configuration is (core/trust.h), and read when the service is opened: a verification makes no
 * system call, so what changes in it counts for who opens the service anew.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/digest.h"
#include "core/trust.h"
#include "plugin/refuse.h"

/* Of a line's files together. Each process that opens the service has them in memory: 2 MiB. */
#define DIGESTS_MAX 65536u

/* Of one file: as many digests with comments as long as they are. */
#define FILE_BYTES_MAX (DIGESTS_MAX * 128u)

struct list {
    struct digest *digests; /* in order, once it is complete */
    size_t count;
    size_t capacity;
};

struct file {
    struct list granted;
    struct list denied;
    bool grants; /* there is a PATH */
};

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_BYTES);
}

static bool holds(const struct list *list, const uint64_t *digest)
{
    return list->count > 0 &&
           bsearch(digest, list->digests, list->count, sizeof *list->digests, compare) != NULL;
}

static int verify(void *instance, struct catlatch_call *call)
{
    const struct file *file = instance;

    if (call->digest == NULL)
        return file->grants ? CATLATCH_MALFORMED : CATLATCH_IGNORE;
    if (holds(&file->denied, call->digest))
        return CATLATCH_DENIED;
    if (!file->grants)
        return CATLATCH_IGNORE;
    if (!holds(&file->granted, call->digest))
        return CATLATCH_NOT_FOUND;
    return call->lookup == CATLATCH_LOOKUP_HIT ? CATLATCH_DENIED : CATLATCH_VALID;
}

static int list_add(const struct catlatch_setup *setup, struct list *list,
                    const struct digest *digest)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 16;
        struct digest *grown = reallocarray(list->digests, capacity, sizeof *grown);
        if (grown == NULL)
            return refuse_memory(setup);
        list->digests = grown;
        list->capacity = capacity;
    }
    list->digests[list->count++] = *digest;
    return 0;
}

/* A place in a file. */
struct place {
    const char *path;
    unsigned line;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The line itself is not shown: it might be a key. */
static int line_read(const struct catlatch_setup *setup, struct place place, const char *line,
                     size_t len, struct list *list)
{
    const char *comment = memchr(line, '#', len);
    struct digest digest;

    if (comment != NULL)
        len = (size_t)(comment - line);
    while (len > 0 && is_blank(line[len - 1]))
        len--;
    while (len > 0 && is_blank(line[0])) {
        line++;
        len--;
    }
    if (len == 0)
        return 0;
    if (digest_parse(line, len, &digest) != 0)
        return refuse(setup,
                      "%s:%u: not the SHA-256 of a key, which is 64 hex digits; a comment begins "
                      "with #",
                      place.path, place.line);
    if (list->count == DIGESTS_MAX)
        return refuse(setup, "%s:%u: more than %u digests", place.path, place.line, DIGESTS_MAX);
    return list_add(setup, list, &digest);
}

static int text_read(const struct catlatch_setup *setup, const char *path, const char *text,
                     size_t len, struct list *list)
{
    struct place place = {path, 0};
    int r = 0;

    while (r == 0 && len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line_len = end != NULL ? (size_t)(end - text) : len;
        size_t taken = line_len + (end != NULL);
        place.line++;
        r = line_read(setup, place, text, line_len, list);
        text += taken;
        len -= taken;
    }
    return r;
}

/* One byte more than is allowed tells that there are too many. */
static int descriptor_read(const struct catlatch_setup *setup, const char *path, int fd, char *text,
                           size_t *ret_len)
{
    size_t len = 0;
    ssize_t got = 1;

    while (got > 0 && len <= FILE_BYTES_MAX) {
        got = read(fd, text + len, FILE_BYTES_MAX + 1 - len);
        if (got < 0 && errno == EINTR)
            got = 1;
        else if (got < 0)
            return refuse(setup, "%s: %s", path, strerror(errno));
        else
            len += (size_t)got;
    }
    if (len > FILE_BYTES_MAX)
        return refuse(setup, "%s: longer than %u bytes", path, FILE_BYTES_MAX);
    *ret_len = len;
    return 0;
}

static int file_read(const struct catlatch_setup *setup, const char *path, struct list *list)
{
    const struct trust trust = trust_self();
    struct error error;
    size_t len = 0;
    int fd;

    if (path == NULL || path[0] != '/')
        return refuse(setup, "\"%s\": the path of a file is wanted, from / on",
                      path != NULL ? path : "deny");
    int r = trust_open(path, &trust, &fd, &error);
    if (r != 0) {
        refuse(setup, "%s", error.text);
        return r == CATLATCH_E_NOT_FOUND ? CATLATCH_E_CONFIG : r;
    }
    char *text = malloc(FILE_BYTES_MAX + 1);
    r = text != NULL ? descriptor_read(setup, path, fd, text, &len) : refuse_memory(setup);
    if (r == 0)
        r = text_read(setup, path, text, len, list);
    free(text);
    close(fd);
    return r;
}

static int argument_read(const struct catlatch_setup *setup,
                         const struct catlatch_argument *argument, struct file *file)
{
    if (strcmp(argument->name, "deny") == 0)
        return file_read(setup, argument->value, &file->denied);
    if (argument->value != NULL)
        return refuse(setup, "\"%s=\": there are the paths of files and deny=PATH", argument->name);
    file->grants = true;
    return file_read(setup, argument->name, &file->granted);
}

static void list_sort(struct list *list)
{
    if (list->count > 0)
        qsort(list->digests, list->count, sizeof *list->digests, compare);
}

static void finish_up(void *instance)
{
    struct file *file = instance;

    free(file->granted.digests);
    free(file->denied.digests);
    free(file);
}

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    struct file *file = calloc(1, sizeof *file);
    int r = 0;

    if (file == NULL)
        return refuse_memory(setup);
    if (setup->argument_count == 0)
        r = refuse(setup, "wants the path of a file with digests, or deny=PATH");
    for (size_t i = 0; r == 0 && i < setup->argument_count; i++)
        r = argument_read(setup, &setup->arguments[i], file);
    if (r != 0) {
        finish_up(file);
        return r;
    }
    list_sort(&file->granted);
    list_sort(&file->denied);
    *ret_instance = file;
    return 0;
}

CATLATCH_MODULE(file, .flags = CATLATCH_NEEDS_TABLE, .init = start, .verify = verify,
                .fini = finish_up);
