/*
 * input.h - lines that come by standard input or from a file: ids and raw keys.
 */
#ifndef TOOL_INPUT_H
#define TOOL_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

/* The lines of an input that are not empty, without blanks and carriage returns at their ends. */
struct input {
    char *bytes; /* the lines, each with its NUL */
    size_t size; /* of bytes: what is cleansed in the end */
    struct input_line {
        size_t offset; /* of its text in bytes */
        size_t number; /* from 1, for messages */
    } * lines;
    size_t count;
};

/* Reads all of a file; path "-" is standard input. `what` is for messages: "keys", "ids". If it is
 * a terminal it isn't echoed when secret, and one line says what is waited for. Lines over max_len
 * bytes and NUL bytes are refused by their number, never repeated. Returns 0, E_DATA, E_MEMORY,
 * E_IO, E_NOT_FOUND or E_PERMISSION. Blocks. */
int input_read(const char *path, const char *what, bool secret, size_t max_len,
               struct input *ret_input, struct error *error);

const char *input_line(const struct input *input, size_t index);

/* Cleanses and frees. */
void input_free(struct input *input);

#endif
