/*
 * reply.h - replies as they go out: RESP2 or RESP3 written at the end of a buffer that grows.
 *
 * Every writer appends one value. A map of n pairs is reply_map(n) and then 2n values; an array
 * likewise. Running out of memory is remembered (`failed`) rather than returned: half a reply must
 * never be sent, and the one place that sends looks there. Memory that held replies is cleansed
 * before it is given back, for a reply can hold a new key. Not thread-safe.
 */
#ifndef DAEMON_REPLY_H
#define DAEMON_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/error.h"
#include "core/text.h"

struct reply {
    char *bytes;
    size_t len;
    size_t size;
    unsigned protocol; /* 2 or 3: what the next value is written in */
    bool failed;
};

void reply_init(struct reply *reply);
void reply_free(struct reply *reply);

/* Cleanses and forgets everything after the first len bytes. */
void reply_cut(struct reply *reply, size_t len);

/* Room for size more bytes, or NULL; what was written there is counted by adding to reply->len. */
char *reply_room(struct reply *reply, size_t size);

void reply_map(struct reply *reply, size_t pairs);
void reply_array(struct reply *reply, size_t count);
void reply_push(struct reply *reply, size_t count); /* in RESP2 an array */
void reply_bulk(struct reply *reply, const char *bytes, size_t len);
void reply_text(struct reply *reply, struct text text);
void reply_word(struct reply *reply, const char *string); /* a bulk string; NULL: null */
void reply_null(struct reply *reply);
void reply_bool(struct reply *reply, bool value);
void reply_integer(struct reply *reply, int64_t value);
void reply_count(struct reply *reply, uint64_t value); /* as an integer, at most INT64_MAX */
void reply_simple(struct reply *reply, const char *string);

/* "-WORD text", one line: line breaks and control characters in the text become blanks. */
void reply_error(struct reply *reply, const char *word, const char *format, ...)
    CATLATCH_PRINTF(3, 4);

/* The bytes of a literal as they stand: for replies whose frame never changes. */
#define reply_literal(reply, literal) reply_raw((reply), (literal), sizeof(literal) - 1)
void reply_raw(struct reply *reply, const char *bytes, size_t len);

/* The digits of value, not terminated; returns how many. 20 is what 2^64 - 1 has. */
#define REPLY_DIGITS_MAX 20u
size_t reply_digits(uint64_t value, char ret_digits[REPLY_DIGITS_MAX]);

#endif
