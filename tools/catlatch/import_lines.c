#include "import_lines.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
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

/* Reads behind what is there, which goes to the buffer's start. */
static int fill(struct import_lines *lines, struct error *error)
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
    size_t looked_at = 0, len;
    char *newline = NULL, *text;
    bool continues = *ret_more;

    for (;;) {
        text = lines->buffer + lines->at;
        len = lines->end - lines->at;
        newline = memchr(text + looked_at, '\n', len - looked_at);
        if (newline != NULL || len > IMPORT_LINE_MAX || lines->ended)
            break;
        looked_at = len;
        int code = fill(lines, error);
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
