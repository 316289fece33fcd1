/* text.h - counted strings, and what text of ours may look like. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* A view of bytes that somebody else owns; not terminated. */
struct text {
    const char *bytes;
    uint32_t len;
};

struct text text_of(const char *string); /* NULL gives the empty text */
int text_equal(struct text a, struct text b);
int text_is(struct text a, const char *string);
int text_is_nocase(struct text a, const char *string); /* ASCII */

/* Valid UTF-8 (no surrogates, no overlong forms, at most U+10FFFF) without control characters
 * (C0, DEL, C1). */
int text_is_printable_utf8(const char *bytes, size_t len);

/* A scope-token of RFC 6749 section 3.3: 1 to 64 of '!' '#'-'[' ']'-'~'. */
int text_is_scope(const char *bytes, size_t len);

/* 0 to 15 of a hex digit of either case; -1 of anything else. */
int text_hex_value(char c);

/* The nearest of count words by Damerau-Levenshtein distance, or NULL if none is near enough to
 * have been meant (distance at most 2, or a third of the word's length). */
const char *text_nearest(const char *word, const char *const *words, size_t count);

#endif
