#include "daemon/reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>

/* One page holds the replies to most read events. */
#define REPLY_SIZE_MIN ((size_t)4096)

void reply_init(struct reply *reply)
{
    *reply = (struct reply){.protocol = 2};
}

void reply_free(struct reply *reply)
{
    if (reply->bytes)
        OPENSSL_cleanse(reply->bytes, reply->len);
    free(reply->bytes);
    reply_init(reply);
}

void reply_cut(struct reply *reply, size_t len)
{
    if (reply->len > len)
        OPENSSL_cleanse(reply->bytes + len, reply->len - len);
    reply->len = len;
}

/* Not realloc, which leaves the old copy behind as it was. */
static bool grow(struct reply *reply, size_t needed)
{
    size_t size = reply->size ? reply->size : REPLY_SIZE_MIN;
    char *bytes;

    while (size < needed) {
        if (__builtin_mul_overflow(size, 2u, &size))
            return false;
    }
    bytes = malloc(size);
    if (!bytes)
        return false;
    if (reply->bytes) {
        memcpy(bytes, reply->bytes, reply->len);
        OPENSSL_cleanse(reply->bytes, reply->len);
        free(reply->bytes);
    }
    reply->bytes = bytes;
    reply->size = size;
    return true;
}

char *reply_room(struct reply *reply, size_t size)
{
    size_t needed;

    if (reply->failed)
        return NULL;
    if (__builtin_add_overflow(reply->len, size, &needed) ||
        (needed > reply->size && !grow(reply, needed))) {
        reply->failed = true;
        return NULL;
    }
    return reply->bytes + reply->len;
}

void reply_raw(struct reply *reply, const char *bytes, size_t len)
{
    char *room = reply_room(reply, len);

    if (!room)
        return;
    memcpy(room, bytes, len);
    reply->len += len;
}

size_t reply_digits(uint64_t value, char ret_digits[REPLY_DIGITS_MAX])
{
    char backwards[REPLY_DIGITS_MAX];
    size_t count = 0;

    if (value < 10) {
        ret_digits[0] = (char)('0' + value);
        return 1;
    }
    do {
        backwards[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < count; i++)
        ret_digits[i] = backwards[count - 1 - i];
    return count;
}

#define HEAD_MAX (1u + REPLY_DIGITS_MAX + 2u)

/* One type byte, a number, CRLF: the head of everything that has a length. Returns its size. */
static size_t put_head(char *room, char type, uint64_t value)
{
    room[0] = type;
    size_t len = 1 + reply_digits(value, room + 1);
    room[len++] = '\r';
    room[len++] = '\n';
    return len;
}

static void write_head(struct reply *reply, char type, uint64_t value)
{
    char *room = reply_room(reply, HEAD_MAX);

    if (room)
        reply->len += put_head(room, type, value);
}

void reply_map(struct reply *reply, size_t pairs)
{
    if (reply->protocol == 3)
        write_head(reply, '%', pairs);
    else
        write_head(reply, '*', 2 * (uint64_t)pairs);
}

void reply_array(struct reply *reply, size_t count)
{
    write_head(reply, '*', count);
}

void reply_push(struct reply *reply, size_t count)
{
    write_head(reply, reply->protocol == 3 ? '>' : '*', count);
}

void reply_bulk(struct reply *reply, const char *bytes, size_t len)
{
    size_t size;
    char *room = NULL;

    if (!__builtin_add_overflow(len, HEAD_MAX + 2u, &size))
        room = reply_room(reply, size);
    if (!room)
        return;
    size_t at = put_head(room, '$', len);
    if (len > 0)
        memcpy(room + at, bytes, len);
    at += len;
    room[at++] = '\r';
    room[at++] = '\n';
    reply->len += at;
}

void reply_text(struct reply *reply, struct text text)
{
    reply_bulk(reply, text.bytes, text.len);
}

void reply_word(struct reply *reply, const char *string)
{
    if (string)
        reply_bulk(reply, string, strlen(string));
    else
        reply_null(reply);
}

void reply_null(struct reply *reply)
{
    if (reply->protocol == 3)
        reply_literal(reply, "_\r\n");
    else
        reply_literal(reply, "$-1\r\n");
}

void reply_bool(struct reply *reply, bool value)
{
    if (reply->protocol == 3)
        reply_raw(reply, value ? "#t\r\n" : "#f\r\n", 4);
    else
        reply_integer(reply, value);
}

void reply_integer(struct reply *reply, int64_t value)
{
    if (value >= 0) {
        write_head(reply, ':', (uint64_t)value);
        return;
    }
    reply_literal(reply, ":-");
    char digits[REPLY_DIGITS_MAX];
    size_t len = reply_digits(0 - (uint64_t)value, digits);
    reply_raw(reply, digits, len);
    reply_literal(reply, "\r\n");
}

void reply_count(struct reply *reply, uint64_t value)
{
    write_head(reply, ':', value > INT64_MAX ? INT64_MAX : value);
}

void reply_simple(struct reply *reply, const char *string)
{
    reply_literal(reply, "+");
    reply_raw(reply, string, strlen(string));
    reply_literal(reply, "\r\n");
}

void reply_error(struct reply *reply, const char *word, const char *format, ...)
{
    char text[640]; /* struct error's text and what a caller puts around it; longer is cut */
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    for (char *c = text; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = ' ';
    }
    reply_literal(reply, "-");
    reply_raw(reply, word, strlen(word));
    reply_literal(reply, " ");
    reply_raw(reply, text, strlen(text));
    reply_literal(reply, "\r\n");
}
