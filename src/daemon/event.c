#include "daemon/event.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/key.h"
#include "daemon/pairs.h"

/* Numbers, and what is fixed. */
static void put(struct reply *json, const char *format, ...) CATLATCH_PRINTF(2, 3);
static void put(struct reply *json, const char *format, ...)
{
    char text[128];
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len > 0)
        reply_raw(json, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1);
}

/* Texts are UTF-8 without control characters, so two characters are all that RFC 8259 wants
 * escaped. Empty: null. */
static void put_text(struct reply *json, struct text text)
{
    if (text.len == 0) {
        put(json, "null");
        return;
    }
    put(json, "\"");
    for (uint32_t at = 0; at < text.len;) {
        uint32_t plain = at;
        while (plain < text.len && text.bytes[plain] != '"' && text.bytes[plain] != '\\')
            plain++;
        reply_raw(json, text.bytes + at, plain - at);
        if (plain < text.len)
            put(json, "\\%c", text.bytes[plain++]);
        at = plain;
    }
    put(json, "\"");
}

static void put_id(struct reply *json, uint64_t id)
{
    char text[CATLATCH_ID_SIZE];

    key_id_format(id, text);
    put_text(json, text_of(id != 0 ? text : NULL));
}

static void put_actor(struct reply *json, const struct actor *actor)
{
    put(json, "{\"uid\":%" PRIu32 ",\"login_uid\":", actor->uid);
    if (actor->login_uid != UINT32_MAX)
        put(json, "%" PRIu32, actor->login_uid);
    else
        put(json, "null");
    put(json, ",\"pid\":%" PRId32 ",\"key_id\":", actor->pid);
    put_id(json, actor->key_id);
    put(json, "}");
}

static void put_fields(struct reply *json, const struct change *change)
{
    put(json, "[");
    for (size_t i = 0; i < change->difference_count; i++) {
        const struct change_difference *difference = &change->differences[i];
        put(json, "%s{\"field\":", i > 0 ? "," : "");
        put_text(json, difference->field);
        put(json, ",\"before\":");
        put_text(json, difference->before);
        put(json, ",\"after\":");
        put_text(json, difference->after);
        put(json, "}");
    }
    put(json, "]");
}

static void put_change(struct reply *json, const struct change *change)
{
    char moment[PAIRS_MOMENT_SIZE];

    pairs_moment(change->time_unix_ms, moment);
    put(json, "{\"sequence\":\"%" PRIu64 ":%" PRIu64 "\",\"time\":\"%s\",\"change\":\"%s\"",
        change->epoch, change->sequence, moment, change_kind_name(change->kind));
    put(json, ",\"id\":");
    put_id(json, change->key_id);
    put(json, ",\"owner\":");
    put_text(json, change->owner);
    put(json, ",\"comment\":");
    put_text(json, change->detail);
    put(json, ",\"actor\":");
    put_actor(json, &change->actor);
    put(json, ",\"fields\":");
    put_fields(json, change);
    put(json, "}");
}

void event_write(struct reply *reply, const char *channel, const struct change *change)
{
    struct reply json;

    reply_init(&json);
    put_change(&json, change);
    reply_push(reply, 3);
    reply_word(reply, "message");
    reply_word(reply, channel);
    reply_bulk(reply, json.bytes, json.len);
    reply->failed |= json.failed;
    reply_free(&json);
}
