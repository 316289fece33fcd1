/* KEY.IMPORT and KEY.EXPORT: their words. A request brings up to two thousand keys, so texts are
 * not copied one by one: the operation has one copy of all its words. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/timespan.h"
#include "daemon/daemon.h"
#include "daemon/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What a page holds when LIMIT is not given. */
#define PAGE_DEFAULT 100u

/* More keys than anybody's table holds. */
#define EXPECTED_MAX UINT64_C(1000000000)

/* A request on its way into an operation. */
struct taking {
    struct call *call;
    struct op *op;
    const char *copy; /* of the request's bytes */
    size_t at;        /* the next word */
    struct op_import *key;
    uint64_t seen;       /* options of this key, by their places in the table */
    struct text *scopes; /* room for more of them, of all keys */
    struct record_pair *pairs;
    struct network *networks; /* NULL: no key has had one so far */
};

/* The word, in the operation's memory. */
static struct text own_word(const struct taking *taking, size_t i)
{
    struct text word = call_word(taking->call, i);

    word.bytes = taking->copy + (word.bytes - taking->call->request->bytes);
    return word;
}

/* Names the key by its number in the request. False, like call_refuse. */
static bool refuse_key(struct taking *taking, const char *format, ...) CATLATCH_PRINTF(2, 3);
static bool refuse_key(struct taking *taking, const char *format, ...)
{
    char text[256];
    va_list arguments;

    va_start(arguments, format);
    if (vsnprintf(text, sizeof text, format, arguments) < 0)
        text[0] = '\0';
    va_end(arguments);
    return call_refuse(taking->call, "INVALID", "record %zu: %s",
                       (size_t)(taking->key - taking->op->imports) + 1, text);
}

enum field_kind {
    FIELD_TEXT,
    FIELD_TIME,
    FIELD_ID,
    FIELD_STATE,
    FIELD_REASON,
    FIELD_BITS,
    FIELD_SCOPE,
    FIELD_META,
    FIELD_NETWORK,
    FIELD_RATE,
    FIELD_USES,
    FIELD_USES_LEFT,
    FIELD_RETIRES,
    FIELD_COUNT,
    FIELD_ADDRESS,
};

static const struct field {
    const char *word;
    size_t offset;
    enum field_kind kind;
    uint32_t max; /* bytes of a text */
} fields[] = {
    {"NAME", offsetof(struct op_import, name), FIELD_TEXT, RECORD_TEXT_MAX},
    {"OWNER", offsetof(struct op_import, owner), FIELD_TEXT, RECORD_TEXT_MAX},
    {"PREFIX", offsetof(struct op_import, prefix), FIELD_TEXT, KEY_SHOWN_LEN},
    {"ENV", offsetof(struct op_import, environment), FIELD_TEXT, CATLATCH_ENVIRONMENT_SIZE - 1},
    {"ID", offsetof(struct op_import, id), FIELD_ID, 0},
    {"CREATED", offsetof(struct op_import, created_unix_s), FIELD_TIME, 0},
    {"SCOPE", 0, FIELD_SCOPE, 0},
    {"META", 0, FIELD_META, 0},
    {"ALLOW", 0, FIELD_NETWORK, 0},
    {"RATE", 0, FIELD_RATE, 0},
    {"USES", 0, FIELD_USES, 0},
    {"USES_LEFT", 0, FIELD_USES_LEFT, 0},
    {"RETIRES", 0, FIELD_RETIRES, 0},
    {"EXPIRES", offsetof(struct op_import, expires_unix_s), FIELD_TIME, 0},
    {"LAST_USED", offsetof(struct op_import, used.last_unix_s), FIELD_TIME, 0},
    {"LAST_USED_FROM", offsetof(struct op_import, used), FIELD_ADDRESS, 0},
    {"USE_COUNT", offsetof(struct op_import, used.count), FIELD_COUNT, 0},
    {"LAST_REFUSED", offsetof(struct op_import, refused.last_unix_s), FIELD_TIME, 0},
    {"LAST_REFUSED_FROM", offsetof(struct op_import, refused), FIELD_ADDRESS, 0},
    {"REFUSED_COUNT", offsetof(struct op_import, refused.count), FIELD_COUNT, 0},
    {"NOT_BEFORE", offsetof(struct op_import, not_before_unix_s), FIELD_TIME, 0},
    {"STATE", 0, FIELD_STATE, 0},
    {"REVOKED", offsetof(struct op_import, revoked_unix_s), FIELD_TIME, 0},
    {"REASON", 0, FIELD_REASON, 0},
    {"REVOKE_COMMENT", offsetof(struct op_import, revoke_comment), FIELD_TEXT, RECORD_COMMENT_MAX},
    {"COMMENT", offsetof(struct op_import, comment), FIELD_TEXT, RECORD_COMMENT_MAX},
    {"ROTATED_FROM", offsetof(struct op_import, rotated_from), FIELD_ID, 0},
    {"ROTATED_TO", offsetof(struct op_import, rotated_to), FIELD_ID, 0},
    {"BITS", 0, FIELD_BITS, 0},
};

static bool is_repeated(const struct field *field)
{
    return field->kind == FIELD_SCOPE || field->kind == FIELD_META || field->kind == FIELD_STATE ||
           field->kind == FIELD_NETWORK || field->kind == FIELD_RATE;
}

static bool take_text(struct taking *taking, const struct field *field, struct text value)
{
    if (value.len > field->max)
        return refuse_key(taking, "%s is longer than %u bytes", field->word, field->max);
    if (!text_is_printable_utf8(value.bytes, value.len))
        return refuse_key(taking, "%s is not UTF-8 without control characters", field->word);
    *(struct text *)((char *)taking->key + field->offset) = value;
    return true;
}

static bool take_time(struct taking *taking, const struct field *field, struct text value)
{
    int64_t unix_s = 0;

    if (value.len > 0 && (value.len < 5 || value.bytes[4] != '-' ||
                          timespan_parse_time(value.bytes, value.len, 0, &unix_s) != 0))
        return refuse_key(taking, "%s is no time of RFC 3339, as 2027-01-31T12:00:00Z",
                          field->word);
    /* The epoch itself is 1, for 0 says that there is none. */
    *(int64_t *)((char *)taking->key + field->offset) = unix_s == 0 && value.len > 0 ? 1 : unix_s;
    return true;
}

static bool take_id(struct taking *taking, const struct field *field, struct text value)
{
    uint64_t *id = (uint64_t *)((char *)taking->key + field->offset);

    return key_id_parse(value.bytes, value.len, id) == 0 ||
           refuse_key(taking, "%s is no id of a key", field->word);
}

/* A revoked key can have been disabled before: STATE may be given twice. */
static bool take_state(struct taking *taking, struct text value)
{
    bool disabled = text_is(value, "disabled"), revoked = text_is(value, "revoked");

    if (!disabled && !revoked && !text_is(value, "active"))
        return refuse_key(taking, "STATE is none of active, disabled, revoked");
    taking->key->disabled |= disabled;
    taking->key->revoked |= revoked;
    return true;
}

static bool read_number(struct text value, uint64_t max, uint64_t *ret_number)
{
    uint64_t number = 0;

    for (uint32_t i = 0; i < value.len; i++) {
        if (value.bytes[i] < '0' || value.bytes[i] > '9' ||
            __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(value.bytes[i] - '0'), &number))
            return false;
    }
    *ret_number = number;
    return value.len > 0 && number <= max;
}

static bool take_count(struct taking *taking, const struct field *field, struct text value)
{
    return read_number(value, INT64_MAX, (uint64_t *)((char *)taking->key + field->offset)) ||
           refuse_key(taking, "%s is no number from 0 to 2^63 - 1", field->word);
}

static bool take_address(struct taking *taking, const struct field *field, struct text value)
{
    struct total_event *event = (struct total_event *)((char *)taking->key + field->offset);

    if (address_parse(value, &event->from) != 0)
        return refuse_key(taking, "%s is no address of IPv4 or IPv6", field->word);
    event->has_from = true;
    return true;
}

static bool take_bits(struct taking *taking, struct text value)
{
    uint64_t bits;

    if (!read_number(value, RECORD_BITS_MAX, &bits) || bits == 0)
        return refuse_key(taking, "BITS is no number from 1 to %u", RECORD_BITS_MAX);
    taking->key->assumed_bits = (uint32_t)bits;
    return true;
}

static bool take_scope(struct taking *taking, struct text value)
{
    struct op_import *key = taking->key;

    if (!text_is_scope(value.bytes, value.len))
        return refuse_key(taking, "SCOPE is no scope: 1 to 64 printable ASCII characters without "
                                  "blank, quote or backslash");
    if (key->scope_count == RECORD_SCOPES_MAX)
        return refuse_key(taking, "a key has at most %u scopes", RECORD_SCOPES_MAX);
    if (key->scope_count++ == 0)
        key->scopes = taking->scopes;
    *taking->scopes++ = value;
    return true;
}

static bool take_meta(struct taking *taking, struct text name, struct text value)
{
    struct op_import *key = taking->key;

    if (key->metadata_count == RECORD_METADATA_MAX)
        return refuse_key(taking, "a key has at most %u metadata values", RECORD_METADATA_MAX);
    if (key->metadata_count++ == 0)
        key->metadata = taking->pairs;
    *taking->pairs++ = (struct record_pair){name, value};
    return true;
}

/* Most imports have none: room is made when the first is seen, for as many as the words left over
 * can tell of. */
static bool take_network(struct taking *taking, struct text value)
{
    struct op_import *key = taking->key;
    struct network network;
    struct error error;

    if (network_parse(value, &network, &error) != 0)
        return refuse_key(taking, "ALLOW %s", error.text);
    for (size_t i = 0; i < key->network_count; i++)
        if (network_equal(&key->networks[i], &network))
            return refuse_key(taking, "ALLOW names a network twice");
    if (key->network_count == NETWORKS_MAX)
        return refuse_key(taking, "a key has at most %u networks", NETWORKS_MAX);
    if (!taking->networks)
        taking->networks =
            op_alloc(taking->op, (taking->call->request->count - taking->at) / 2 * sizeof network);
    if (!taking->networks)
        return call_refuse(taking->call, "UNAVAILABLE", "out of memory; nothing was changed");
    if (key->network_count++ == 0)
        key->networks = taking->networks;
    *taking->networks++ = network;
    return true;
}

static bool take_rate(struct taking *taking, struct text value)
{
    struct rate rate;
    struct error error;

    return (rate_parse(value, &rate, &error) == 0 &&
            rates_add(&taking->key->rates, &rate, &error) == 0) ||
           refuse_key(taking, "RATE %s", error.text);
}

static bool take_uses(struct taking *taking, struct text value)
{
    struct error error;

    return allowance_parse(value, &taking->key->allowance, &error) == 0 ||
           refuse_key(taking, "USES %s", error.text);
}

static bool take_uses_left(struct taking *taking, struct text value)
{
    uint64_t left = 0;

    for (uint32_t i = 0; i < value.len && left <= ALLOWANCE_USES_MAX; i++) {
        char c = value.bytes[i];
        left = c >= '0' && c <= '9' ? 10 * left + (uint64_t)(c - '0') : UINT64_MAX;
    }
    taking->key->has_uses_left = true;
    taking->key->uses_left = left;
    return (value.len > 0 && left <= ALLOWANCE_USES_MAX) ||
           refuse_key(taking, "USES_LEFT is no number of uses");
}

static bool take_retires(struct taking *taking, struct text value)
{
    struct error error;

    return retirement_parse(value, &taking->key->retirement, &error) == 0 ||
           refuse_key(taking, "RETIRES %s", error.text);
}

static bool take_value(struct taking *taking, const struct field *field)
{
    struct text value = own_word(taking, taking->at + 1);

    switch (field->kind) {
    case FIELD_TEXT:
        return take_text(taking, field, value);
    case FIELD_TIME:
        return take_time(taking, field, value);
    case FIELD_ID:
        return take_id(taking, field, value);
    case FIELD_STATE:
        return take_state(taking, value);
    case FIELD_REASON:
        return record_reason_parse(value, &taking->key->revoke_reason) == 0 ||
               refuse_key(taking, "REASON is none that KEY.REVOKE knows");
    case FIELD_BITS:
        return take_bits(taking, value);
    case FIELD_SCOPE:
        return take_scope(taking, value);
    case FIELD_META:
        return take_meta(taking, value, own_word(taking, taking->at + 2));
    case FIELD_NETWORK:
        return take_network(taking, value);
    case FIELD_RATE:
        return take_rate(taking, value);
    case FIELD_USES:
        return take_uses(taking, value);
    case FIELD_USES_LEFT:
        return take_uses_left(taking, value);
    case FIELD_RETIRES:
        return take_retires(taking, value);
    case FIELD_COUNT:
        return take_count(taking, field, value);
    case FIELD_ADDRESS:
        return take_address(taking, field, value);
    }
    return false;
}

static const struct field *find_field(struct text word)
{
    for (size_t i = 0; i < COUNT(fields); i++)
        if (text_is(word, fields[i].word))
            return &fields[i];
    for (size_t i = 0; i < COUNT(fields); i++)
        if (text_is_nocase(word, fields[i].word))
            return &fields[i];
    return NULL;
}

static bool take_field(struct taking *taking)
{
    const struct field *field = find_field(call_word(taking->call, taking->at));
    size_t words = taking->call->request->count, values;

    if (!field)
        return refuse_key(taking, "argument %zu is none of a key's options", taking->at);
    uint64_t bit = UINT64_C(1) << (field - fields);
    if ((taking->seen & bit) != 0 && !is_repeated(field))
        return refuse_key(taking, "%s is given twice", field->word);
    taking->seen |= bit;
    values = field->kind == FIELD_META ? 2 : 1;
    if (words - taking->at - 1 < values)
        return refuse_key(taking, "%s wants %zu value%s behind it", field->word, values,
                          values == 1 ? "" : "s");
    if (!take_value(taking, field))
        return false;
    taking->at += 1 + values;
    return true;
}

static bool take_key(struct taking *taking)
{
    struct call *call = taking->call;
    size_t words = call->request->count;
    struct text value;

    if (taking->op->import_count == OP_IMPORT_MAX)
        return call_refuse(call, "INVALID", "more than %u keys in one %s; send them in parts",
                           OP_IMPORT_MAX, call->command->name);
    taking->key = &taking->op->imports[taking->op->import_count++];
    taking->seen = 0;
    if (words - taking->at < 2)
        return refuse_key(taking, "KEY wants the SHA-256 of the key behind it");
    value = call_word(call, taking->at + 1);
    if (digest_parse(value.bytes, value.len, &taking->key->digest) != 0)
        return refuse_key(taking, "KEY is not 64 hex digits, the SHA-256 of the key");
    taking->at += 2;
    while (taking->at < words && !text_is_nocase(call_word(call, taking->at), "KEY"))
        if (!take_field(taking))
            return false;
    return true;
}

/* Room for as many as the words can tell of. */
static bool make_room(struct taking *taking)
{
    const struct resp_request *request = taking->call->request;
    size_t left = request->count - taking->at, keys = 0;
    struct op *op = taking->op;
    struct text copy;

    for (size_t i = taking->at; i < request->count && keys < OP_IMPORT_MAX; i++)
        keys += text_is_nocase(call_word(taking->call, i), "KEY") ? 1 : 0;
    op->imports = op_alloc(op, (keys + 1) * sizeof *op->imports);
    taking->scopes = op_alloc(op, (left / 2 + 1) * sizeof *taking->scopes);
    taking->pairs = op_alloc(op, (left / 3 + 1) * sizeof *taking->pairs);
    if (!op->imports || !taking->scopes || !taking->pairs ||
        op_text(op, request->bytes, request->size, &copy) != 0)
        return call_refuse(taking->call, "UNAVAILABLE", "out of memory; nothing was changed");
    taking->copy = copy.bytes;
    return true;
}

static bool take_keys(struct taking *taking)
{
    size_t words = taking->call->request->count;

    if (taking->at == words)
        return call_refuse(taking->call, "INVALID", "KEY is missing: nothing to import");
    if (!make_room(taking))
        return false;
    while (taking->at < words)
        if (!take_key(taking))
            return false;
    return true;
}

/* LIMITED owner, RATE rate for each, at least one, and nothing else. */
static bool take_limited(struct taking *taking)
{
    static const struct option options[] = {{"RATE", 1, true, options_rate}};
    struct call *call = taking->call;

    if (call->request->count - taking->at < 2)
        return call_refuse(call, "INVALID", "LIMITED wants an owner");
    return options_text(call, taking->op, "LIMITED", call_word(call, taking->at + 1), 1,
                        RECORD_TEXT_MAX, &taking->op->owner) &&
           options_parse(call, taking->op, taking->at + 2, options, COUNT(options)) &&
           ((taking->op->fields.has & OP_HAS_RATES) != 0 ||
            call_refuse(call, "INVALID", "LIMITED wants RATE: what limits the owner"));
}

/* SUSPENDED owner [AT time], and nothing else. */
static bool take_suspended(struct taking *taking)
{
    struct call *call = taking->call;
    size_t left = call->request->count - taking->at;

    if ((left != 2 && left != 4) ||
        (left == 4 && !text_is_nocase(call_word(call, taking->at + 2), "AT")))
        return call_refuse(call, "INVALID",
                           "SUSPENDED wants an owner, perhaps AT and a time "
                           "behind it, and nothing else");
    return options_text(call, taking->op, "SUSPENDED", call_word(call, taking->at + 1), 1,
                        RECORD_TEXT_MAX, &taking->op->owner) &&
           (left == 2 || options_time(call, "AT", call_word(call, taking->at + 3),
                                      &taking->op->owner_since_unix_s));
}

static bool take_conflict(struct taking *taking)
{
    struct text value = call_word(taking->call, taking->at + 1);

    taking->op->skips = text_is_nocase(value, "skip");
    return taking->op->skips || text_is_nocase(value, "fail") ||
           call_refuse(taking->call, "INVALID", "ON_CONFLICT is neither fail nor skip");
}

/* One of the options of all keys. False: refused; *ret_words 0: it is none. */
static bool take_option(struct taking *taking, size_t *ret_words)
{
    struct call *call = taking->call;
    struct text word = call_word(call, taking->at);
    bool has_value = call->request->count - taking->at > 1, good = true;

    *ret_words = 1;
    if (text_is_nocase(word, "DRY_RUN")) {
        taking->op->tries = true;
    } else if (text_is_nocase(word, "FORCE")) {
        taking->op->forced = true;
    } else if (text_is_nocase(word, "ON_CONFLICT") && has_value) {
        *ret_words = 2;
        good = take_conflict(taking);
    } else if (text_is_nocase(word, "EXPECT") && has_value) {
        *ret_words = 2;
        good = read_number(call_word(call, taking->at + 1), EXPECTED_MAX, &taking->op->expected) ||
               call_refuse(call, "INVALID", "EXPECT is no number of keys");
    } else {
        *ret_words = 0;
    }
    return good;
}

static bool take_all(struct taking *taking)
{
    struct call *call = taking->call;
    size_t words;

    while (taking->at < call->request->count) {
        if (!take_option(taking, &words))
            return false;
        if (words == 0)
            break;
        taking->at += words;
    }
    if (taking->at < call->request->count &&
        text_is_nocase(call_word(call, taking->at), "SUSPENDED"))
        return take_suspended(taking);
    if (taking->at < call->request->count && text_is_nocase(call_word(call, taking->at), "LIMITED"))
        return take_limited(taking);
    if (taking->at < call->request->count && !text_is_nocase(call_word(call, taking->at), "KEY"))
        return call_refuse(call, "INVALID",
                           "argument %zu of %s is none of its options: ON_CONFLICT, DRY_RUN, "
                           "FORCE, EXPECT, SUSPENDED, LIMITED, KEY",
                           taking->at, call->command->name);
    return take_keys(taking);
}

void handle_key_import(struct call *call)
{
    struct taking taking = {.call = call, .op = call_op(call, OP_IMPORT), .at = 1};

    if (taking.op)
        call_leave(call, taking.op, take_all(&taking));
}

static bool take_cursor(struct call *call, struct op *op, const char *word,
                        const struct text *values)
{
    return key_id_parse(values[0].bytes, values[0].len, &op->after_id) == 0 ||
           call_refuse(call, "INVALID", "%s is none that KEY.EXPORT returned", word);
}

void handle_key_export(struct call *call)
{
    static const struct option options[] = {{"CURSOR", 1, false, take_cursor},
                                            {"LIMIT", 1, false, options_limit}};
    struct op *op = call_op(call, OP_LIST);

    if (!op)
        return;
    op->limit = PAGE_DEFAULT;
    call_leave(call, op, options_parse(call, op, 1, options, COUNT(options)));
}
