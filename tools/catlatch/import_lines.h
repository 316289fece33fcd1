/*
 * import_lines.h - the lines of a file or standard input, one at a time, in constant memory.
 */
#ifndef TOOL_IMPORT_LINES_H
#define TOOL_IMPORT_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

struct import_lines {
    const char *name; /* for messages */
    int fd;
    char *buffer;
    size_t size;
    size_t at;       /* of the next line */
    size_t end;      /* of what was read */
    size_t searched; /* of the next line: so much holds no newline */
    bool ended;      /* of the input */
    uint64_t number; /* of the line that was returned last, from 1 */
    uint64_t read_bytes;
    uint64_t total_bytes; /* of a regular file; 0: unknown */
};

/* path "-" is standard input. Returns 0, E_MEMORY, E_PERMISSION or E_IO. */
int import_lines_open(const char *path, struct import_lines *ret_lines, struct error *error);

/* What comes next of what was read already. */
enum import_next {
    IMPORT_NEXT_UNREAD, /* a line's end was not read yet */
    IMPORT_NEXT_LINE,
    IMPORT_NEXT_LONG, /* a line that is too long */
    IMPORT_NEXT_END,
};

/* Reads nothing. Not for the middle of a line that is too long. */
enum import_next import_lines_peek(struct import_lines *lines);

/* Whether reading would not wait, as far as can be told. */
bool import_lines_ready(const struct import_lines *lines);

/* Reads once, after IMPORT_NEXT_UNREAD; cleanses what lines were returned of the buffer. Returns 0
 * or E_IO. Blocks. */
int import_lines_fill(struct import_lines *lines, struct error *error);

/*
 * The next line without its end; *ret_text is NULL at the end of the input. It is valid until the
 * next call, which cleanses it. Returns 0, E_IO, or E_DATA for a line that is too long: that one
 * goes by in pieces, each of which `*ret_text` and `*ret_len` are, with *ret_more true while
 * another follows. Blocks.
 */
int import_lines_next(struct import_lines *lines, const char **ret_text, size_t *ret_len,
                      bool *ret_more, struct error *error);

void import_lines_close(struct import_lines *lines);

#endif
