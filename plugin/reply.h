/*
 * reply.h - the daemon's answer to KEY.VERIFY, in RESP2 (src/daemon/PROTOCOL.md): a flat array of
 * names and values. Pure: nothing but the bytes that are there, no memory, no system call.
 *
 * What can come is bounded, and whatever else comes is BROKEN: of a stream that was misunderstood
 * once, nothing more can be believed. Names that are not known here are passed over, for a newer
 * daemon may tell more; a result that is not known is broken.
 */
#ifndef PLUGIN_REPLY_H
#define PLUGIN_REPLY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/result.h"
#include "core/text.h"

/* All scopes of a key and two names take 4 KiB with their frames; a newer daemon tells more. */
#define REPLY_BYTES_MAX 16384u
#define REPLY_PAIRS_MAX 64u
#define REPLY_ITEMS_MAX 64u /* of a list; a key has at most 32 scopes */
#define REPLY_LINE_MAX 1024u

enum reply_status {
    REPLY_MORE,    /* not whole yet */
    REPLY_WHOLE,   /* *ret_reply is set */
    REPLY_REFUSED, /* an error: the daemon could not or would not check the key */
    REPLY_BROKEN,
};

/* Texts lie in the bytes that were read, and are printable. bytes NULL: not told. */
struct reply {
    enum catlatch_result result;
    struct text id, name, owner, environment;
    struct text scopes[REPLY_ITEMS_MAX];
    size_t scope_count;
};

/* Where reading is. Once status is not WHOLE, nothing more is read. */
struct reply_reader {
    const char *at, *end;
    enum reply_status status;
};

static inline void reply_fail(struct reply_reader *reader, enum reply_status status)
{
    if (reader->status == REPLY_WHOLE)
        reader->status = status;
}

/* A line without its CR LF; empty when the status changed. */
static inline struct text reply_line(struct reply_reader *reader)
{
    size_t left = (size_t)(reader->end - reader->at);
    size_t most = left < REPLY_LINE_MAX ? left : REPLY_LINE_MAX;
    const char *feed = most > 0 ? memchr(reader->at, '\n', most) : NULL;

    if (feed == NULL)
        reply_fail(reader, left < REPLY_LINE_MAX ? REPLY_MORE : REPLY_BROKEN);
    else if (feed == reader->at || feed[-1] != '\r')
        reply_fail(reader, REPLY_BROKEN);
    if (feed == NULL || reader->status != REPLY_WHOLE)
        return (struct text){"", 0};
    struct text line = {reader->at, (uint32_t)(feed - reader->at - 1)};
    reader->at = feed + 1;
    return line;
}

/* The number behind the first byte of a line, 0 to max; -1 where null is allowed. */
static inline int32_t reply_count(struct reply_reader *reader, struct text line, uint32_t max,
                                  bool can_be_null)
{
    uint32_t count = 0;

    if (can_be_null && line.len == 3 && memcmp(line.bytes + 1, "-1", 2) == 0)
        return -1;
    if (line.len < 2 || line.len > 6)
        reply_fail(reader, REPLY_BROKEN);
    for (uint32_t i = 1; reader->status == REPLY_WHOLE && i < line.len; i++) {
        if (line.bytes[i] < '0' || line.bytes[i] > '9')
            reply_fail(reader, REPLY_BROKEN);
        count = count * 10 + (uint32_t)(line.bytes[i] - '0');
    }
    if (count > max)
        reply_fail(reader, REPLY_BROKEN);
    return reader->status == REPLY_WHOLE ? (int32_t)count : 0;
}

/* What stands behind the line of a bulk string. bytes NULL: null. */
static inline struct text reply_bulk_body(struct reply_reader *reader, struct text line)
{
    int32_t len = reply_count(reader, line, REPLY_BYTES_MAX, true);
    const char *bytes = reader->at;

    if (reader->status != REPLY_WHOLE || len < 0)
        return (struct text){NULL, 0};
    if (reader->end - bytes < len + 2) {
        reply_fail(reader, REPLY_MORE);
        return (struct text){NULL, 0};
    }
    if (memcmp(bytes + len, "\r\n", 2) != 0 || !text_is_printable_utf8(bytes, (size_t)len))
        reply_fail(reader, REPLY_BROKEN);
    reader->at += len + 2;
    return (struct text){bytes, (uint32_t)len};
}

static inline struct text reply_bulk(struct reply_reader *reader)
{
    struct text line = reply_line(reader);

    if (reader->status == REPLY_WHOLE && (line.len == 0 || line.bytes[0] != '$'))
        reply_fail(reader, REPLY_BROKEN);
    return reply_bulk_body(reader, line);
}

/* A value: a text, a list of texts, or a number. */
struct reply_value {
    struct text text;
    bool is_list;
    struct text items[REPLY_ITEMS_MAX];
    size_t count;
};

static inline void reply_value(struct reply_reader *reader, struct reply_value *ret)
{
    struct text line = reply_line(reader);
    char type = line.len > 0 ? line.bytes[0] : '\0';

    ret->text = (struct text){NULL, 0};
    ret->is_list = type == '*';
    ret->count = 0;
    if (reader->status != REPLY_WHOLE || type == ':')
        return;
    if (type == '$') {
        ret->text = reply_bulk_body(reader, line);
    } else if (type == '*') {
        int32_t count = reply_count(reader, line, REPLY_ITEMS_MAX, true);
        for (int32_t i = 0; reader->status == REPLY_WHOLE && i < count; i++)
            ret->items[ret->count++] = reply_bulk(reader);
    } else {
        reply_fail(reader, REPLY_BROKEN);
    }
}

static inline bool reply_result(struct text name, enum catlatch_result *ret_result)
{
    for (int result = CATLATCH_DENIED; result <= CATLATCH_UNAVAILABLE; result++) {
        if (text_is(name, result_name((enum catlatch_result)result))) {
            *ret_result = (enum catlatch_result)result;
            return true;
        }
    }
    return false;
}

/* Keeps one pair. A name that comes twice is broken: which of them counts? */
static inline void reply_keep(struct reply_reader *reader, struct text name,
                              const struct reply_value *value, struct reply *reply, bool *decided)
{
    const struct {
        const char *name;
        struct text *text;
    } TEXTS[] = {{"id", &reply->id},
                 {"name", &reply->name},
                 {"owner", &reply->owner},
                 {"environment", &reply->environment}};

    if (text_is(name, "result")) {
        if (*decided || !reply_result(value->text, &reply->result))
            reply_fail(reader, REPLY_BROKEN);
        *decided = true;
    } else if (text_is(name, "scopes")) {
        if (reply->scope_count > 0)
            reply_fail(reader, REPLY_BROKEN);
        memcpy(reply->scopes, value->items, value->count * sizeof *value->items);
        reply->scope_count = value->count;
    }
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        if (!text_is(name, TEXTS[i].name))
            continue;
        if (TEXTS[i].text->bytes != NULL)
            reply_fail(reader, REPLY_BROKEN);
        *TEXTS[i].text = value->text;
    }
}

static inline enum reply_status reply_map(struct reply_reader *reader, struct text line,
                                          struct reply *reply)
{
    int32_t count = reply_count(reader, line, 2 * REPLY_PAIRS_MAX, false);
    bool decided = false;

    if (count % 2 != 0)
        reply_fail(reader, REPLY_BROKEN);
    for (int32_t i = 0; reader->status == REPLY_WHOLE && i < count; i += 2) {
        struct reply_value value;
        struct text name = reply_bulk(reader);
        reply_value(reader, &value);
        if (reader->status == REPLY_WHOLE)
            reply_keep(reader, name, &value, reply, &decided);
    }
    if (!decided)
        reply_fail(reader, REPLY_BROKEN);
    return reader->status;
}

/* What the bytes are. Nothing may stand behind the answer: one was asked for. */
static inline enum reply_status reply_read(const char *bytes, size_t len, struct reply *ret_reply)
{
    struct reply_reader reader = {bytes, bytes + len, REPLY_WHOLE};
    struct text line = reply_line(&reader);

    *ret_reply = (struct reply){.result = CATLATCH_DENIED};
    if (reader.status == REPLY_WHOLE) {
        if (line.len > 0 && line.bytes[0] == '-')
            reader.status = REPLY_REFUSED;
        else if (line.len > 0 && line.bytes[0] == '*')
            reply_map(&reader, line, ret_reply);
        else
            reader.status = REPLY_BROKEN;
    }
    if (reader.status == REPLY_WHOLE && reader.at != reader.end)
        reader.status = REPLY_BROKEN;
    return reader.status == REPLY_MORE && len >= REPLY_BYTES_MAX ? REPLY_BROKEN : reader.status;
}

#endif
