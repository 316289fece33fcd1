/*
 * lib_line.h - lines of an import of an input's choice: JSON, mostly of the fields that there are
 * with what belongs there, and now and then something else, raw keys among it.
 */
#ifndef FUZZ_LIB_LINE_H
#define FUZZ_LIB_LINE_H

#include <stdbool.h>

#include "core/key.h"
#include "input.h"

/* A key issued elsewhere. Whoever sees eight bytes of it sees too much. */
#define LINE_FOREIGN "q7Zx9VbT2LmWq8Yc3NdR"
#define LINE_FOREIGN_SEEN_MAX 7u

/* A key of ours, of environment live. What may be seen of it is KEY_SHOWN_LEN. */
const char *line_key(void);

struct line {
    char bytes[(size_t)32 << 10];
    size_t len;
    bool foreign_elsewhere; /* the foreign key stands where no key belongs, and may stay */
};

/* The line is empty before. */
void line_make(struct line *line, struct input *input);

#endif
