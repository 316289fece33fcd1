#include "import_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "import_line.h"

/* A line and its newline fit, and a read is large. */
#define BUFFER_SIZE ((size_t)1 << 20)

int import_lines_open(const char *path, struct import_lines *ret_lines, struct error *error)
{
    bool is_stdin = strcmp(path, "-") == 0;
    struct import_lines lines = {.name = is_stdin ? "standard input" : path, .size = BUFFER_SIZE};
    struct stat status;
    int code;

    lines.fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (lines.fd < 0 || fstat(lines.fd, &status) != 0) {
        code = error_errno(error, errno, "reading %s", lines.name);
        /* No such key is another matter than no such file. */
        return code == CATLATCH_E_NOT_FOUND ? (error->code = CATLATCH_E_IO) : code;
    }
    if (S_ISREG(status.st_mode))
        lines.total_bytes = (uint64_t)status.st_size;
    lines.buffer = malloc(lines.size);
    *ret_lines = lines;
    return lines.buffer != NULL ? 0 : error_set(error, CATLATCH_E_MEMORY, "out of memory");
}

/* NULL when none was read, or none of the first len bytes is one. */
static char *newline_find(struct import_lines *lines, size_t len)
{
    char *text = lines->buffer + lines->at;
    char *newline = NULL;

    if (lines->searched < len)
        newline = memchr(text + lines->searched, '\n', len - lines->searched);
    lines->searched = newline != NULL ? (size_t)(newline - text) : len;
    return newline;
}

enum import_next import_lines_peek(struct import_lines *lines)
{
    size_t len = lines->end - lines->at;

    if (newline_find(lines, len > IMPORT_LINE_MAX ? IMPORT_LINE_MAX + 1 : len) != NULL)
        return IMPORT_NEXT_LINE;
    if (len > IMPORT_LINE_MAX)
        return IMPORT_NEXT_LONG;
    if (!lines->ended)
        return IMPORT_NEXT_UNREAD;
    return len > 0 ? IMPORT_NEXT_LINE : IMPORT_NEXT_END;
}

bool import_lines_ready(const struct import_lines *lines)
{
    struct pollfd input = {.fd = lines->fd, .events = POLLIN};

    return poll(&input, 1, 0) > 0;
}

/* Behind what is there, which goes to the buffer's start. */
int import_lines_fill(struct import_lines *lines, struct error *error)
{
    ssize_t n;

    if (lines->at > 0) {
        memmove(lines->buffer, lines->buffer + lines->at, lines->end - lines->at);
        OPENSSL_cleanse(lines->buffer + lines->end - lines->at, lines->at);
        lines->end -= lines->at;
        lines->at = 0;
    }
    do
        n = read(lines->fd, lines->buffer + lines->end, lines->size - lines->end);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        error_errno(error, errno, "reading %s", lines->name);
        return error->code = CATLATCH_E_IO;
    }
    lines->ended = n == 0;
    lines->end += (size_t)n;
    lines->read_bytes += (uint64_t)n;
    return 0;
}

int import_lines_next(struct import_lines *lines, const char **ret_text, size_t *ret_len,
                      bool *ret_more, struct error *error)
{
    size_t len;
    char *newline, *text;
    bool continues = *ret_more;

    for (;;) {
        text = lines->buffer + lines->at;
        len = lines->end - lines->at;
        newline = newline_find(lines, len);
        if (newline != NULL || len > IMPORT_LINE_MAX || lines->ended)
            break;
        int code = import_lines_fill(lines, error);
        if (code != 0)
            return code;
    }
    if (newline != NULL)
        len = (size_t)(newline - text);
    if (!continues)
        lines->number++;
    *ret_text = len > 0 || newline != NULL ? text : NULL;
    *ret_len = len;
    *ret_more = newline == NULL && !lines->ended;
    lines->at += len + (newline != NULL);
    lines->searched = 0;
    if (len <= IMPORT_LINE_MAX && !continues)
        return 0;
    return error_set(error, CATLATCH_E_DATA, "longer than %zu bytes, which no key is",
                     IMPORT_LINE_MAX);
}

void import_lines_close(struct import_lines *lines)
{
    if (lines->buffer != NULL)
        OPENSSL_cleanse(lines->buffer, lines->size);
    free(lines->buffer);
    if (lines->fd > STDIN_FILENO)
        close(lines->fd);
    *lines = (struct import_lines){.fd = -1};
}
