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
    bool ended;      /* of the input */
    uint64_t number; /* of the line that was returned last, from 1 */
    uint64_t read_bytes;
    uint64_t total_bytes; /* of a regular file; 0: unknown */
};

/* path "-" is standard input. Returns 0, E_MEMORY, E_PERMISSION or E_IO. */
int import_lines_open(const char *path, struct import_lines *ret_lines, struct error *error);

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
