#include "import_line.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/text.h"
#include "core/timespan.h"
#include "guard.h"
#include "json_arena.h"

#define TEXT_MAX 255u     /* name, owner */
#define COMMENT_MAX 1024u /* comments, metadata values */
#define LIST_MAX 32u      /* scopes, pairs of metadata */
#define SCOPES_MAX 2047u  /* bytes of all scopes, with a blank between them */
#define META_NAME_MAX 64u

/* In the order in which `export` writes them. */
enum field {
    FIELD_ID,
    FIELD_SHA256,
    FIELD_KEY,
    FIELD_NAME,
    FIELD_OWNER,
    FIELD_PREFIX,
    FIELD_ENVIRONMENT,
    FIELD_STATE,
    FIELD_DISABLED,
    FIELD_CREATED_AT,
    FIELD_LAST_USED_AT,
    FIELD_EXPIRES_AT,
    FIELD_NOT_BEFORE,
    FIELD_REVOKED_AT,
    FIELD_REVOKE_REASON,
    FIELD_REVOKE_COMMENT,
    FIELD_COMMENT,
    FIELD_SCOPES,
    FIELD_ALLOWED_NETWORKS,
    FIELD_METADATA,
    FIELD_ROTATED_FROM,
    FIELD_ROTATED_TO,
    FIELD_ASSUMED_BITS,
    FIELD_SUSPENDED_OWNER,
    FIELD_SUSPENDED_AT,
    FIELDS,
};

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
    [FIELD_EXPIRES_AT] = "expires_at",
    [FIELD_NOT_BEFORE] = "not_before",
    [FIELD_REVOKED_AT] = "revoked_at",
    [FIELD_REVOKE_REASON] = "revoke_reason",
    [FIELD_REVOKE_COMMENT] = "revoke_comment",
    [FIELD_COMMENT] = "comment",
    [FIELD_SCOPES] = "scopes",
    [FIELD_ALLOWED_NETWORKS] = "allowed_networks",
    [FIELD_METADATA] = "metadata",
    [FIELD_ROTATED_FROM] = "rotated_from",
    [FIELD_ROTATED_TO] = "rotated_to",
    [FIELD_ASSUMED_BITS] = "assumed_bits",
    [FIELD_SUSPENDED_OWNER] = "suspended_owner",
    [FIELD_SUSPENDED_AT] = "suspended_at",
};

struct reading {
    const struct import_rules *rules;
    const json_t *values[FIELDS]; /* NULL: not given, or null */
    struct import_line *line;
    struct error *error;
    struct text prefix; /* of the key, as it will be shown */
    const struct key_environment *environment;
    bool revoked;
    bool disabled;
};

static int refuse(struct reading *reading, enum field field, const char *what)
{
    return error_set(reading->error, CATLATCH_E_DATA, "%s %s", field_names[field], what);
}

static int put_bytes(struct reading *reading, const char *bytes, size_t len)
{
    struct import_line *line = reading->line;

    if (len > sizeof line->words - line->len)
        return error_set(reading->error, CATLATCH_E_DATA, "more text than a key can have");
    memcpy(line->words + line->len, bytes, len);
    line->len += len;
    return 0;
}

/* A bulk string. */
static int put_word(struct reading *reading, const char *bytes, size_t len)
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

static int put_pair(struct reading *reading, const char *word, const char *bytes, size_t len)
{
    int code = put_word(reading, word, strlen(word));

    return code != 0 ? code : put_word(reading, bytes, len);
}

static int json_problem(const json_error_t *problem, struct error *error)
{
    const char *what;

    switch (json_error_code(problem)) {
    case json_error_out_of_memory:
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    case json_error_invalid_utf8:
        what = "not UTF-8";
        break;
    case json_error_duplicate_key:
        what = "a field that stands there twice";
        break;
    case json_error_premature_end_of_input:
        what = "the line ends within the JSON";
        break;
    case json_error_end_of_input_expected:
        what = "something follows the JSON: one object a line";
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        what = "a NUL character";
        break;
    default:
        what = "not JSON";
        break;
    }
    return error_set(error, CATLATCH_E_DATA, "byte %d: %s", problem->position, what);
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
static int values_find(struct reading *reading, json_t *object)
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

/* *ret_text is empty when the field is not there. */
static int text_get(struct reading *reading, enum field field, size_t max, struct text *ret_text)
{
    const json_t *value = reading->values[field];
    size_t len;

    *ret_text = (struct text){NULL, 0};
    if (value == NULL)
        return 0;
    if (!json_is_string(value))
        return refuse(reading, field, "is no string");
    len = json_string_length(value);
    if (len > max)
        return error_set(reading->error, CATLATCH_E_DATA, "%s is %zu bytes long; at most %zu",
                         field_names[field], len, max);
    *ret_text = (struct text){json_string_value(value), (uint32_t)len};
    return 0;
}

static int text_check(struct reading *reading, const char *what, struct text text)
{
    if (!text_is_printable_utf8(text.bytes, text.len))
        return error_set(reading->error, CATLATCH_E_DATA, "%s has control characters", what);
    if (key_is_within(reading->rules->environments, text.bytes, text.len))
        return error_set(reading->error, CATLATCH_E_DATA,
                         "%s holds a whole key, and keys are never stored", what);
    return 0;
}

static int text_put(struct reading *reading, enum field field, const char *word, size_t max)
{
    struct text text;
    int code = text_get(reading, field, max, &text);

    if (code != 0 || text.len == 0)
        return code;
    code = text_check(reading, field_names[field], text);
    return code != 0 ? code : put_pair(reading, word, text.bytes, text.len);
}

/* *ret_unix_s is 0 when the field is not there. */
static int time_get(struct reading *reading, enum field field, int64_t *ret_unix_s)
{
    struct text text;
    int64_t unix_s = 0;
    int code = text_get(reading, field, 64, &text);

    *ret_unix_s = 0;
    if (code != 0 || reading->values[field] == NULL)
        return code;
    if (text.len < 5 || text.bytes[4] != '-' ||
        timespan_parse_time(text.bytes, text.len, 0, &unix_s) != 0)
        return refuse(reading, field, "is no time of RFC 3339, as 2027-01-31T12:00:00Z");
    *ret_unix_s = unix_s > 0 ? unix_s : 1; /* the daemon's 0 is no time at all */
    return 0;
}

static int time_put(struct reading *reading, enum field field, const char *word)
{
    char text[TIMESPAN_RFC3339_SIZE];
    int64_t unix_s;
    int code = time_get(reading, field, &unix_s);

    if (code != 0 || unix_s == 0)
        return code;
    timespan_rfc3339(unix_s, text);
    return put_pair(reading, word, text, strlen(text));
}

static int id_put(struct reading *reading, enum field field, const char *word, uint64_t *ret_id)
{
    struct text text;
    uint64_t id = 0;
    int code = text_get(reading, field, TEXT_MAX, &text);

    if (code != 0 || reading->values[field] == NULL)
        return code;
    if (key_id_parse(text.bytes, text.len, &id) != 0 || id >> 63 != 0)
        return refuse(reading, field, "is no id of a key, as catlatch makes them");
    if (ret_id != NULL)
        *ret_id = id;
    return put_pair(reading, word, text.bytes, text.len);
}

/* A raw key: its digest and, if it is one of ours, its start. */
static int key_get(struct reading *reading)
{
    const struct key_environments *environments = reading->rules->environments;
    struct text key;
    int code = text_get(reading, FIELD_KEY, KEY_FOREIGN_MAX, &key);

    if (code != 0)
        return code;
    if (key.len == 0)
        return refuse(reading, FIELD_KEY, "is empty");
    if (reading->values[FIELD_SHA256] != NULL)
        return refuse(reading, FIELD_KEY, "and sha256 are both given: one of them");
    digest_of(key.bytes, key.len, &reading->line->digest);
    reading->environment = key_environment_of(environments, key.bytes, key.len);
    if (reading->environment == NULL)
        return 0;
    if (text_is(key, KEY_EXAMPLE)) /* its check digits are none; but this says more */
        return refuse(reading, FIELD_KEY, "is the example key of the documentation");
    if (!key_is_well_formed(environments, key.bytes, key.len))
        return error_set(reading->error, CATLATCH_E_DATA,
                         "key begins as one of environment %s and has not its length, characters "
                         "or check digits",
                         reading->environment->name);
    reading->prefix = (struct text){key.bytes, KEY_SHOWN_LEN};
    return 0;
}

static int digest_get(struct reading *reading)
{
    struct digest example;
    struct text hex;
    int code = text_get(reading, FIELD_SHA256, SIZE_MAX, &hex);

    if (reading->values[FIELD_KEY] != NULL)
        return key_get(reading);
    if (code != 0)
        return code;
    if (reading->values[FIELD_SHA256] == NULL)
        return error_set(reading->error, CATLATCH_E_DATA,
                         "neither sha256 nor key: which key is it?");
    if (digest_parse(hex.bytes, hex.len, &reading->line->digest) != 0)
        return refuse(reading, FIELD_SHA256, "is not 64 hex digits");
    digest_of(KEY_EXAMPLE, strlen(KEY_EXAMPLE), &example);
    if (digest_equal(&reading->line->digest, &example))
        return refuse(reading, FIELD_SHA256, "is that of the documentation's example key");
    return 0;
}

/* The prefix that was given, which tells ours from foreign keys where no raw key does. */
static int prefix_get(struct reading *reading)
{
    const struct key_environments *environments = reading->rules->environments;
    struct text given;
    int code = text_get(reading, FIELD_PREFIX, KEY_SHOWN_LEN, &given);

    if (code == 0)
        code = text_check(reading, "prefix", given);
    if (code != 0)
        return code;
    if (reading->prefix.len > 0) {
        if (given.len > 0 && !text_equal(given, reading->prefix))
            return refuse(reading, FIELD_PREFIX, "is not the start of the key");
        return 0;
    }
    if (reading->values[FIELD_KEY] == NULL && reading->values[FIELD_ASSUMED_BITS] == NULL)
        reading->environment = key_environment_of(environments, given.bytes, given.len);
    if (reading->environment != NULL && !key_is_start(reading->environment, given.bytes, given.len))
        return error_set(reading->error, CATLATCH_E_DATA,
                         "prefix begins as one of environment %s and is not %u characters of a key",
                         reading->environment->name, KEY_SHOWN_LEN);
    reading->prefix = given;
    return 0;
}

static int environment_get(struct reading *reading)
{
    const struct key_environment *named;
    struct text given;
    int code = text_get(reading, FIELD_ENVIRONMENT, TEXT_MAX, &given);

    if (code != 0 || given.len == 0)
        return code;
    named = key_environment_named(reading->rules->environments, given.bytes, given.len);
    if (named == NULL)
        return refuse(reading, FIELD_ENVIRONMENT, "is none of the configuration's [environments]");
    if (!reading->line->foreign && named != reading->environment)
        return refuse(reading, FIELD_ENVIRONMENT, "is not that of the prefix");
    reading->environment = named;
    return 0;
}

static int bits_put(struct reading *reading)
{
    const json_t *value = reading->values[FIELD_ASSUMED_BITS];
    const struct import_rules *rules = reading->rules;
    json_int_t bits = rules->assumed_bits;
    char text[24];

    if (value != NULL && !reading->line->foreign)
        return refuse(reading, FIELD_ASSUMED_BITS, "is given for a key of ours");
    if (!reading->line->foreign)
        return 0;
    if (value != NULL && !json_is_integer(value))
        return refuse(reading, FIELD_ASSUMED_BITS, "is no integer");
    if (value != NULL)
        bits = json_integer_value(value);
    if (value == NULL && bits == 0)
        return error_set(reading->error, CATLATCH_E_DATA,
                         "not a key of ours by its %s: --assume-bits must say what entropy keys "
                         "issued elsewhere have",
                         reading->values[FIELD_KEY] != NULL ? "text" : "prefix");
    if (bits < 1 || bits > IMPORT_BITS_MAX)
        return error_set(reading->error, CATLATCH_E_DATA, "assumed_bits is not from 1 to %u",
                         IMPORT_BITS_MAX);
    if (bits < IMPORT_BITS_MIN && !rules->force)
        return error_set(reading->error, CATLATCH_E_DATA,
                         "a key of %d bits can be found by trying, by whoever reads the table; "
                         "under %u needs --force",
                         (int)bits, IMPORT_BITS_MIN);
    int len = snprintf(text, sizeof text, "%d", (int)bits);
    return put_pair(reading, "BITS", text, (size_t)len);
}

/* Which key, and whose. */
static int identity_put(struct reading *reading)
{
    char hex[2 * DIGEST_BYTES + 1];
    int code = digest_get(reading);

    if (code != 0)
        return code;
    digest_hex(&reading->line->digest, hex);
    if ((code = put_pair(reading, "KEY", hex, 2 * DIGEST_BYTES)) != 0 ||
        (code = id_put(reading, FIELD_ID, "ID", &reading->line->id)) != 0 ||
        (code = prefix_get(reading)) != 0)
        return code;
    reading->line->foreign = reading->environment == NULL;
    if ((code = environment_get(reading)) != 0 || (code = bits_put(reading)) != 0)
        return code;
    if (reading->prefix.len > 0)
        code = put_pair(reading, "PREFIX", reading->prefix.bytes, reading->prefix.len);
    if (code == 0 && reading->environment != NULL)
        code = put_pair(reading, "ENV", reading->environment->name,
                        strlen(reading->environment->name));
    return code;
}

/* `expired` and `not_yet_valid` follow from times; a line whose times say otherwise would make a
 * key that is refused there valid here. */
static int state_get(struct reading *reading)
{
    struct text state;
    int64_t expires, not_before, now = reading->rules->now_unix_s;
    const json_t *flag = reading->values[FIELD_DISABLED];
    int code = text_get(reading, FIELD_STATE, TEXT_MAX, &state);

    if (code != 0 || (code = time_get(reading, FIELD_EXPIRES_AT, &expires)) != 0 ||
        (code = time_get(reading, FIELD_NOT_BEFORE, &not_before)) != 0)
        return code;
    if (flag != NULL && !json_is_boolean(flag))
        return refuse(reading, FIELD_DISABLED, "is neither true nor false");
    reading->disabled = json_is_true(flag) || text_is(state, "disabled");
    reading->revoked =
        text_is(state, "revoked") || (state.len == 0 && reading->values[FIELD_REVOKED_AT] != NULL);
    if (reading->values[FIELD_STATE] == NULL || reading->disabled || reading->revoked ||
        text_is(state, "active"))
        return 0;
    if (text_is(state, "expired"))
        return expires != 0 && expires <= now
                   ? 0
                   : refuse(reading, FIELD_STATE, "is expired, and expires_at is not past");
    if (text_is(state, "not_yet_valid"))
        return not_before > now
                   ? 0
                   : refuse(reading, FIELD_STATE, "is not_yet_valid, and not_before is not ahead");
    return refuse(reading, FIELD_STATE,
                  "is none of active, disabled, revoked, expired, not_yet_valid");
}

static int reason_put(struct reading *reading)
{
    static const char *const known[] = {"leaked",     "compromised", "superseded",
                                        "owner-left", "unused",      "other"};
    struct text reason;
    int code = text_get(reading, FIELD_REVOKE_REASON, TEXT_MAX, &reason);

    if (code != 0 || reading->values[FIELD_REVOKE_REASON] == NULL)
        return code;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (text_is(reason, known[i]))
            return put_pair(reading, "REASON", known[i], strlen(known[i]));
    return refuse(reading, FIELD_REVOKE_REASON,
                  "is none of leaked, compromised, superseded, owner-left, unused, other");
}

static int state_put(struct reading *reading)
{
    int code = state_get(reading);

    if (code == 0 && reading->disabled)
        code = put_pair(reading, "STATE", "disabled", 8);
    if (code == 0 && reading->revoked)
        code = put_pair(reading, "STATE", "revoked", 7);
    for (int i = FIELD_REVOKED_AT; code == 0 && i <= FIELD_REVOKE_COMMENT; i++)
        if (reading->values[i] != NULL && !reading->revoked)
            code = refuse(reading, (enum field)i, "is given for a key that is not revoked");
    if (code == 0)
        code = time_put(reading, FIELD_REVOKED_AT, "REVOKED");
    if (code == 0)
        code = reason_put(reading);
    return code != 0 ? code
                     : text_put(reading, FIELD_REVOKE_COMMENT, "REVOKE_COMMENT", COMMENT_MAX);
}

static bool has_before(const json_t *list, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (json_equal(json_array_get(list, i), json_array_get(list, index)))
            return true;
    return false;
}

static int scopes_put(struct reading *reading)
{
    const json_t *list = reading->values[FIELD_SCOPES];
    size_t bytes = 0;
    int code = 0;

    if (list != NULL && !json_is_array(list))
        return refuse(reading, FIELD_SCOPES, "is no array of strings");
    if (json_array_size(list) > LIST_MAX)
        return refuse(reading, FIELD_SCOPES, "are more than 32");
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        const json_t *scope = json_array_get(list, i);
        const char *text = json_string_value(scope);
        size_t len = json_string_length(scope);
        if (text == NULL || !text_is_scope(text, len))
            return refuse(reading, FIELD_SCOPES,
                          "holds something else than 1 to 64 printable "
                          "ASCII characters but blank, \" and \\");
        if (has_before(list, i))
            return refuse(reading, FIELD_SCOPES, "names one twice");
        if ((bytes += len + 1) > SCOPES_MAX + 1)
            return refuse(reading, FIELD_SCOPES, "take more than 2047 bytes");
        code = text_check(reading, "scopes", (struct text){text, (uint32_t)len});
        if (code == 0)
            code = put_pair(reading, "SCOPE", text, len);
    }
    return code;
}

static int network_put(struct reading *reading, const json_t *value, size_t number,
                       struct network *ret_network)
{
    struct text text = {json_string_value(value), (uint32_t)json_string_length(value)};
    char shown[NETWORK_TEXT_SIZE];
    struct error error;

    if (text.bytes == NULL)
        return refuse(reading, FIELD_ALLOWED_NETWORKS, "is no array of strings");
    if (network_parse(text, ret_network, &error) != 0)
        return error_set(reading->error, CATLATCH_E_DATA, "allowed_networks: number %zu %s", number,
                         error.text);
    return put_pair(reading, "ALLOW", shown, network_format(ret_network, shown));
}

/* What is there is never taken for nothing, which would let the key in from everywhere. */
static int networks_put(struct reading *reading)
{
    const json_t *list = reading->values[FIELD_ALLOWED_NETWORKS];
    struct network networks[NETWORKS_MAX];
    int code = 0;

    if (list != NULL && !json_is_array(list))
        return refuse(reading, FIELD_ALLOWED_NETWORKS, "is no array of strings");
    if (json_array_size(list) > NETWORKS_MAX)
        return refuse(reading, FIELD_ALLOWED_NETWORKS, "are more than 32");
    for (size_t i = 0; code == 0 && i < json_array_size(list); i++) {
        code = network_put(reading, json_array_get(list, i), i + 1, &networks[i]);
        for (size_t j = 0; code == 0 && j < i; j++)
            if (network_equal(&networks[j], &networks[i]))
                return refuse(reading, FIELD_ALLOWED_NETWORKS, "names one twice");
    }
    return code;
}

static int pair_put(struct reading *reading, const char *name, const json_t *value)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    struct text text = {json_string_value(value), (uint32_t)json_string_length(value)};
    size_t name_len = strlen(name);
    int code;

    if (name_len == 0 || name_len > META_NAME_MAX || name[strspn(name, allowed)] != '\0')
        return refuse(reading, FIELD_METADATA,
                      "has a name that is not 1 to 64 of A-Z a-z 0-9 _ . -");
    if (text.bytes == NULL)
        return refuse(reading, FIELD_METADATA, "has a value that is no string");
    if (json_string_length(value) > COMMENT_MAX)
        return refuse(reading, FIELD_METADATA, "has a value of more than 1024 bytes");
    if ((code = text_check(reading, "metadata", text)) != 0 ||
        (code = text_check(reading, "metadata", text_of(name))) != 0 || text.len == 0)
        return code;
    if ((code = put_word(reading, "META", 4)) != 0 ||
        (code = put_word(reading, name, name_len)) != 0)
        return code;
    return put_word(reading, text.bytes, text.len);
}

static int metadata_put(struct reading *reading)
{
    json_t *object = (json_t *)(uintptr_t)reading->values[FIELD_METADATA], *value;
    const char *name;
    int code;

    if (object != NULL && !json_is_object(object))
        return refuse(reading, FIELD_METADATA, "is no object of strings");
    if (json_object_size(object) > LIST_MAX)
        return refuse(reading, FIELD_METADATA, "has more than 32 values");
    json_object_foreach(object, name, value)
    {
        code = pair_put(reading, name, value);
        if (code != 0)
            return code;
    }
    return 0;
}

static int key_put(struct reading *reading)
{
    int code = identity_put(reading);

    if (code != 0)
        return code;
    if (reading->values[FIELD_SUSPENDED_AT] != NULL)
        return refuse(reading, FIELD_SUSPENDED_AT, "goes with suspended_owner alone");
    if (reading->values[FIELD_NAME] == NULL)
        return error_set(reading->error, CATLATCH_E_DATA, "no name: a key needs one");
    if (json_string_length(reading->values[FIELD_NAME]) == 0 &&
        json_is_string(reading->values[FIELD_NAME]))
        return refuse(reading, FIELD_NAME, "is empty");
    if (json_is_string(reading->values[FIELD_OWNER]) &&
        json_string_length(reading->values[FIELD_OWNER]) == 0)
        return refuse(reading, FIELD_OWNER, "is empty");
    if ((code = text_put(reading, FIELD_NAME, "NAME", TEXT_MAX)) != 0 ||
        (code = text_put(reading, FIELD_OWNER, "OWNER", TEXT_MAX)) != 0 ||
        (code = time_put(reading, FIELD_CREATED_AT, "CREATED")) != 0 ||
        (code = time_put(reading, FIELD_LAST_USED_AT, "LAST_USED")) != 0 ||
        (code = time_put(reading, FIELD_EXPIRES_AT, "EXPIRES")) != 0 ||
        (code = time_put(reading, FIELD_NOT_BEFORE, "NOT_BEFORE")) != 0 ||
        (code = state_put(reading)) != 0 ||
        (code = text_put(reading, FIELD_COMMENT, "COMMENT", COMMENT_MAX)) != 0 ||
        (code = scopes_put(reading)) != 0 || (code = networks_put(reading)) != 0 ||
        (code = metadata_put(reading)) != 0 ||
        (code = id_put(reading, FIELD_ROTATED_FROM, "ROTATED_FROM", NULL)) != 0)
        return code;
    return id_put(reading, FIELD_ROTATED_TO, "ROTATED_TO", NULL);
}

static int owner_put(struct reading *reading)
{
    int code;

    reading->line->is_owner = true;
    for (int i = 0; i < FIELDS; i++)
        if (reading->values[i] != NULL && i != FIELD_SUSPENDED_OWNER && i != FIELD_SUSPENDED_AT)
            return refuse(reading, FIELD_SUSPENDED_OWNER, "goes with suspended_at alone");
    if (json_string_length(reading->values[FIELD_SUSPENDED_OWNER]) == 0 &&
        json_is_string(reading->values[FIELD_SUSPENDED_OWNER]))
        return refuse(reading, FIELD_SUSPENDED_OWNER, "is empty");
    code = text_put(reading, FIELD_SUSPENDED_OWNER, "SUSPENDED", TEXT_MAX);
    return code != 0 ? code : time_put(reading, FIELD_SUSPENDED_AT, "AT");
}

static int object_read(struct reading *reading, json_t *object)
{
    int code;

    if (!json_is_object(object))
        return error_set(reading->error, CATLATCH_E_DATA,
                         "no JSON object: one {\"sha256\": ..., \"name\": ...} a line");
    code = values_find(reading, object);
    if (code != 0)
        return code;
    return reading->values[FIELD_SUSPENDED_OWNER] != NULL ? owner_put(reading) : key_put(reading);
}

static int json_read(struct reading *reading, const char *text, size_t len)
{
    json_error_t problem;
    json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    int code;

    if (object == NULL)
        return json_problem(&problem, reading->error);
    code = object_read(reading, object);
    json_decref(object);
    return code;
}

int import_line_read(const struct import_rules *rules, const char *text, size_t len,
                     struct import_line *ret_line, struct error *error)
{
    struct reading reading = {.rules = rules, .line = ret_line, .error = error};
    int code;

    ret_line->is_owner = ret_line->foreign = false;
    ret_line->id = 0;
    ret_line->word_count = ret_line->len = 0;
    json_arena_begin();
    code = json_read(&reading, text, len);
    json_arena_end();
    return code;
}
