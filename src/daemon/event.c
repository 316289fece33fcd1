#include "daemon/event.h"

#include <stdlib.h>

#include "daemon/pairs.h"

static void actor_map(struct reply *reply, const struct actor *actor)
{
    reply_map(reply, 4);
    pair_count(reply, "uid", actor->uid);
    reply_word(reply, "login_uid");
    if (actor->login_uid != UINT32_MAX)
        reply_count(reply, actor->login_uid);
    else
        reply_null(reply);
    reply_word(reply, "pid");
    reply_integer(reply, actor->pid);
    pair_id(reply, "key_id", actor->key_id);
}

void event_map(struct reply *reply, const struct change *change)
{
    reply_map(reply, 8);
    pair_position(reply, "sequence", change->epoch, change->sequence);
    pair_moment(reply, "time", change->time_unix_ms);
    pair_word(reply, "change", change_kind_name(change->kind));
    pair_id(reply, "id", change->key_id);
    pair_text(reply, "owner", change->owner);
    pair_text(reply, "comment", change->detail);
    reply_word(reply, "actor");
    actor_map(reply, &change->actor);
    reply_word(reply, "fields");
    reply_array(reply, change->difference_count);
    for (size_t i = 0; i < change->difference_count; i++) {
        reply_map(reply, 3);
        pair_text(reply, "field", change->differences[i].field);
        pair_text(reply, "before", change->differences[i].before);
        pair_text(reply, "after", change->differences[i].after);
    }
}

/* Texts are UTF-8 without control characters, so two characters are all that RFC 8259 wants
 * escaped. */
static void put_string(struct reply *json, const char *bytes, size_t len)
{
    reply_literal(json, "\"");
    for (size_t at = 0; at < len;) {
        size_t plain = at;
        while (plain < len && bytes[plain] != '"' && bytes[plain] != '\\')
            plain++;
        reply_raw(json, bytes + at, plain - at);
        if (plain < len) {
            reply_literal(json, "\\");
            reply_raw(json, bytes + plain++, 1);
        }
        at = plain;
    }
    reply_literal(json, "\"");
}

static const char *put_value(struct reply *json, const char *value);

/* A map or an array of so many, the first of which stands at `value`. */
static const char *put_all(struct reply *json, bool map, long long count, const char *value)
{
    reply_raw(json, map ? "{" : "[", 1);
    for (long long i = 0; i < count; i++) {
        if (i > 0)
            reply_literal(json, ",");
        value = put_value(json, value);
        if (map) {
            reply_literal(json, ":");
            value = put_value(json, value);
        }
    }
    reply_raw(json, map ? "}" : "]", 1);
    return value;
}

/* Writes a value of event_map's, which is in RESP3, as JSON. Returns where the next one begins. */
static const char *put_value(struct reply *json, const char *value)
{
    char type = *value++, *end;

    if (type == '_') {
        reply_literal(json, "null");
        return value + 2;
    }
    long long number = strtoll(value, &end, 10);
    const char *next = end + 2;
    if (type == ':') {
        reply_raw(json, value, (size_t)(end - value));
        return next;
    }
    if (type == '$') {
        put_string(json, next, (size_t)number);
        return next + number + 2;
    }
    return put_all(json, type == '%', number, next);
}

void event_write(struct reply *reply, const char *channel, const struct change *change)
{
    struct reply map, json;

    reply_init(&map);
    reply_init(&json);
    map.protocol = 3;
    event_map(&map, change);
    if (!map.failed)
        put_value(&json, map.bytes);
    reply_push(reply, 3);
    reply_word(reply, "message");
    reply_word(reply, channel);
    reply_bulk(reply, json.bytes, json.len);
    reply->failed |= map.failed || json.failed;
    reply_free(&map);
    reply_free(&json);
}
