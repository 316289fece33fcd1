/*
 * import_block.h - some lines of an import, copied out of the input so that a thread can check them
 * while the next are read, and what became of each.
 */
#ifndef TOOL_IMPORT_BLOCK_H
#define TOOL_IMPORT_BLOCK_H

#include "import_line.h"
#include "import_lines.h"

/* Some three hundred ordinary lines: a millisecond or two of checking, beside which waking a thread
 * is nothing, and at the end of the input no thread waits long for the other's last one. */
#define IMPORT_BLOCK_TEXT ((size_t)64 << 10)
#define IMPORT_BLOCK_LINES 512u

/* The words of a block mostly take as much room as its text. */
#define IMPORT_BLOCK_WORDS ((size_t)96 << 10)

struct import_checked {
    uint64_t number; /* of the line in the input, from 1 */
    const char *text;
    size_t len;
    bool more; /* it is too long: import_lines_next gives the rest */
    int code;  /* of import_line_read */
    struct import_line line;
};

/* Empty when it is all zero. */
struct import_block {
    size_t line_count;
    size_t checked; /* of the lines: so many, from the first, and */
    size_t given;   /* so many of these were given out */
    size_t text_len;
    size_t words_len;
    struct error error; /* of the line that was checked last */
    struct import_checked lines[IMPORT_BLOCK_LINES];
    /* A line is only begun when it fits, however long it is; the same goes for words. */
    char text[IMPORT_BLOCK_TEXT + IMPORT_LINE_MAX];
    char words[IMPORT_BLOCK_WORDS + IMPORT_WORDS_MAX];
};

/*
 * Puts the lines that come next into an empty block, but blank ones, until it is full or something
 * else than a line comes, or the input would have to be waited for. With `waits` the first line is
 * waited for. Returns 0, or E_IO behind what was filled in.
 */
int import_block_fill(struct import_block *block, struct import_lines *lines, bool waits,
                      struct error *error);

/* Checks lines until one is refused or the room for words is used up; all that were checked before
 * were given out. Thread: any, each with its arena. */
void import_block_check(struct import_block *block, const struct import_rules *rules,
                        struct json_arena *arena);

/* The next line, checked now where import_block_check stopped before it; NULL behind the last. It
 * is valid until the next call; block->error is the line's where its code is not 0. */
const struct import_checked *import_block_next(struct import_block *block,
                                               const struct import_rules *rules,
                                               struct json_arena *arena);

/* Cleanses what the lines left. */
void import_block_clear(struct import_block *block);

#endif
