/* The fields of a line, and words made of them. */
#include "import_field.h"

#include <string.h>

#include "core/timespan.h"
#include "guard.h"

static const char *const field_names[FIELDS] = {
    [FIELD_ID] = "id",
    [FIELD_SHA256] = "sha256",
    [FIELD_KEY] = "key",
    [FIELD_NAME] = "name",
    [FIELD_OWNER] = "owner",
    [FIELD_PREFIX] = "prefix",
    [FIELD_ENVIRONMENT] = "environment",
    [FIELD_STATE] = "state",
    [FIELD_DISABLED] = "disabled",
    [FIELD_CREATED_AT] = "created_at",
    [FIELD_LAST_USED_AT] = "last_used_at",
    [FIELD_LAST_USED_FROM] = "last_used_from",
    [FIELD_USE_COUNT] = "use_count",
    [FIELD_LAST_REFUSED_AT] = "last_refused_at",
    [FIELD_LAST_REFUSED_FROM] = "last_refused_from",
    [FIELD_REFUSED_COUNT] = "refused_count",
    [FIELD_EXPIRES_AT] = "expires_at",
    [FIELD_NOT_BEFORE] = "not_before",
    [FIELD_REVOKED_AT] = "revoked_at",
    [FIELD_REVOKE_REASON] = "revoke_reason",
    [FIELD_REVOKE_COMMENT] = "revoke_comment",
    [FIELD_COMMENT] = "comment",
    [FIELD_SCOPES] = "scopes",
    [FIELD_ALLOWED_NETWORKS] = "allowed_networks",
    [FIELD_RATES] = "rates",
    [FIELD_USES] = "uses",
    [FIELD_USES_REMAINING] = "uses_remaining",
    [FIELD_METADATA] = "metadata",
    [FIELD_ROTATED_FROM] = "rotated_from",
    [FIELD_ROTATED_TO] = "rotated_to",
    [FIELD_RETIRES] = "retires",
    [FIELD_ASSUMED_BITS] = "assumed_bits",
    [FIELD_SUSPENDED_OWNER] = "suspended_owner",
    [FIELD_SUSPENDED_AT] = "suspended_at",
    [FIELD_LIMITED_OWNER] = "limited_owner",
};

int field_refuse(struct reading *reading, enum field field, const char *what)
{
    return error_set(reading->error, CATLATCH_E_DATA, "%s %s", field_names[field], what);
}

static int put_bytes(struct reading *reading, const char *bytes, size_t len)
{
    struct import_line *line = reading->line;

    if (len > IMPORT_WORDS_MAX - line->len)
        return error_set(reading->error, CATLATCH_E_DATA, "more text than a key can have");
    memcpy(line->words + line->len, bytes, len);
    line->len += len;
    return 0;
}

int field_put_word(struct reading *reading, const char *bytes, size_t len)
{
    char digits[24], *at = digits + sizeof digits;
    size_t left = len;
    int code;

    *--at = '\n';
    *--at = '\r';
    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    *--at = '$';
    code = put_bytes(reading, at, (size_t)(digits + sizeof digits - at));
    if (code == 0)
        code = put_bytes(reading, bytes, len);
    reading->line->word_count++;
    return code != 0 ? code : put_bytes(reading, "\r\n", 2);
}

int field_put_pair(struct reading *reading, const char *word, const char *bytes, size_t len)
{
    int code = field_put_word(reading, word, strlen(word));

    return code != 0 ? code : field_put_word(reading, bytes, len);
}

/* Repeated only when it is nearly the name of a field, and so no key that somebody took for one. */
static int unknown_field(struct reading *reading, const char *name, size_t number)
{
    const char *nearest = text_nearest(name, field_names, FIELDS);
    char typed[GUARD_ECHO_SIZE];

    if (nearest == NULL)
        return error_set(reading->error, CATLATCH_E_DATA,
                         "field %zu of the line is unknown; catlatch import --help lists all",
                         number);
    guard_echo(name, typed);
    return error_set(reading->error, CATLATCH_E_DATA, "unknown field \"%s\"; did you mean \"%s\"?",
                     typed, nearest);
}

/* Fields mostly come in the same order, so the next one is looked for behind the last. */
int field_find_all(struct reading *reading, json_t *object)
{
    const char *name;
    json_t *value;
    size_t next = 0, number = 0;

    json_object_foreach(object, name, value)
    {
        size_t tried = 0;
        number++;
        while (tried < FIELDS && strcmp(name, field_names[next]) != 0) {
            next = (next + 1) % FIELDS;
            tried++;
        }
        if (tried == FIELDS)
            return unknown_field(reading, name, number);
        reading->values[next] = json_is_null(value) ? NULL : value;
    }
    return 0;
}

int field_get_text(struct reading *reading, enum field field, size_t max, struct text *ret_text)
{
    const json_t *value = reading->values[field];
    size_t len;

    *ret_text = (struct text){NULL, 0};
    if (value == NULL)
        return 0;
    if (!json_is_string(value))
        return field_refuse(reading, field, "is no string");
    len = json_string_length(value);
    if (len > max)
        return error_set(reading->error, CATLATCH_E_DATA, "%s is %zu bytes long; at most %zu",
                         field_names[field], len, max);
    *ret_text = (struct text){json_string_value(value), (uint32_t)len};
    return 0;
}

int field_check_text(struct reading *reading, const char *what, struct text text)
{
    if (!text_is_printable_utf8(text.bytes, text.len))
        return error_set(reading->error, CATLATCH_E_DATA, "%s has control characters", what);
    if (key_is_within(reading->rules->environments, text.bytes, text.len))
        return error_set(reading->error, CATLATCH_E_DATA,
                         "%s holds a whole key, and keys are never stored", what);
    return 0;
}

int field_put_text(struct reading *reading, enum field field, const char *word, size_t max)
{
    struct text text;
    int code = field_get_text(reading, field, max, &text);

    if (code != 0 || text.len == 0)
        return code;
    code = field_check_text(reading, field_names[field], text);
    return code != 0 ? code : field_put_pair(reading, word, text.bytes, text.len);
}

int field_get_time(struct reading *reading, enum field field, int64_t *ret_unix_s)
{
    struct text text;
    int64_t unix_s = 0;
    int code = field_get_text(reading, field, 64, &text);

    *ret_unix_s = 0;
    if (code != 0 || reading->values[field] == NULL)
        return code;
    if (text.len < 5 || text.bytes[4] != '-' ||
        timespan_parse_time(text.bytes, text.len, 0, &unix_s) != 0)
        return field_refuse(reading, field, "is no time of RFC 3339, as 2027-01-31T12:00:00Z");
    *ret_unix_s = unix_s > 0 ? unix_s : 1; /* the daemon's 0 is no time at all */
    return 0;
}

int field_put_time(struct reading *reading, enum field field, const char *word)
{
    char text[TIMESPAN_RFC3339_SIZE];
    int64_t unix_s;
    int code = field_get_time(reading, field, &unix_s);

    if (code != 0 || unix_s == 0)
        return code;
    timespan_rfc3339(unix_s, text);
    return field_put_pair(reading, word, text, strlen(text));
}

int field_put_id(struct reading *reading, enum field field, const char *word, uint64_t *ret_id)
{
    struct text text;
    uint64_t id = 0;
    int code = field_get_text(reading, field, FIELD_TEXT_MAX, &text);

    if (code != 0 || text.bytes == NULL)
        return code;
    if (key_id_parse(text.bytes, text.len, &id) != 0 || id >> 63 != 0)
        return field_refuse(reading, field, "is no id of a key, as catlatch makes them");
    if (ret_id != NULL)
        *ret_id = id;
    return field_put_pair(reading, word, text.bytes, text.len);
}
