/*
 * output.h - everything that the tool prints: results on stdout, notes and errors on stderr, each
 * one line after "catlatch: ".
 */
#ifndef TOOL_OUTPUT_H
#define TOOL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/error.h"

void output_note(const char *format, ...) CATLATCH_PRINTF(1, 2);

/* Prints the error and returns the exit status that goes with it. */
int output_error(const struct error *error);

/* Prints a usage error and returns 64. */
int output_usage(const char *format, ...) CATLATCH_PRINTF(1, 2);

/* Flushes stdout. False when anything printed so far did not arrive, with errno set. */
bool output_flush(void);

/* Nobody reads stdout any more, and nobody need: what did not arrive was not to, nor what is
 * printed from here on. */
void output_drop(void);

/* For a change that was made: when stdout did not take the answer, true, and the beginning of a
 * line on stderr that the caller ends with what was done. The exit status is then 74. */
bool output_was_lost(void);

/* strerror's text for an errno of a write. */
const char *output_why(int errnum);

/* Whether the stream is a terminal that takes colours, and NO_COLOR is not set. */
bool output_has_colour(FILE *stream);

/* A text in quotes on stdout; and in quotes only if it could be taken for more than one word. */
void output_quoted(const char *text);
void output_word(const char *text);

/* One JSON document and a newline on stdout, keys in the order in which they were set. */
void output_json(const json_t *value);

/* A JSON array that is printed while it comes in. Begins as {0}; nothing is printed before the
 * first value or the end. */
struct output_array {
    size_t count;
};
void output_array_add(struct output_array *array, const json_t *value);
void output_array_end(const struct output_array *array);

/* A column of a table of JSON objects. */
struct output_column {
    const char *title;
    const char *field;
    unsigned min_width; /* so that the pages of a long list line up */
    enum output_column_kind {
        OUTPUT_FIXED,
        OUTPUT_WRAPS,      /* goes on in a line below where the terminal is too narrow */
        OUTPUT_SPARE,      /* left out where the terminal is too narrow for every column, */
        OUTPUT_SPARE_NEXT, /* and this one where it is too narrow even so */
    } kind;
};

struct output_table {
    FILE *stream;
    const struct output_column *columns;
    size_t column_count;
    size_t printed; /* rows so far; the titles stand before the first */
    /* What the first rows left room for; output_table's own. */
    bool short_times, cramped;
    unsigned spared;
};

/* Prints rows (an array of objects), as wide as the stream's terminal allows. Called again, it goes
 * on below without titles. In colour only if the stream is a terminal and NO_COLOR is not set.
 * Returns 0 or E_MEMORY. */
int output_table(struct output_table *table, const json_t *rows, struct error *error);

/* Names on the left, values on the right: each field of the object in turn. Returns as above. */
int output_record(FILE *stream, json_t *object, struct error *error);

/* The columns of a key, as `list` has them. */
extern const struct output_column output_key_columns[];
extern const size_t output_key_column_count;

#endif
