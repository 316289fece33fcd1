/*
 * Any words as KEY.IMPORT's, mostly such as it knows. What is refused is refused with one line that
 * repeats nothing of what was sent. What is taken is within all bounds, is the same when its words
 * are written anew, and those of its keys that the rules let through can be stored.
 */
#include <inttypes.h>

#include "core/key.h"
#include "core/timespan.h"
#include "input.h"
#include "lib_import.h"

/* Stands for what nobody must see again: the key of somebody else's service, as short as the
 * shortest text may be that is taken at all. */
#define SECRET "q7Zx9VbT2LmW"

/* And some behind them: more keys than a request may bring are no more than these. */
#define WORDS_MAX 9000u

/* Of all of them: a request has at most a MiB. */
#define BYTES_MAX (512u << 10)

struct words {
    char *bytes;
    size_t len, size, count;
};

static void put_bytes(struct words *words, const void *bytes, size_t len)
{
    if (words->size - words->len < len) {
        words->size = 2 * words->size + len;
        words->bytes = realloc(words->bytes, words->size);
        CHECK(words->bytes != NULL);
    }
    if (len > 0)
        memcpy(words->bytes + words->len, bytes, len);
    words->len += len;
}

static void put(struct words *words, const void *bytes, size_t len)
{
    char head[32];

    put_bytes(words, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", len));
    put_bytes(words, bytes, len);
    put_bytes(words, "\r\n", 2);
    words->count++;
}

static void put_string(struct words *words, const char *string)
{
    put(words, string, strlen(string));
}

static void put_text(struct words *words, const char *word, struct text text)
{
    if (text.len == 0)
        return;
    put_string(words, word);
    put(words, text.bytes, text.len);
}

/* Words of the input's choice. */

static const char *const names[] = {
    "KEY",
    "NAME",
    "OWNER",
    "PREFIX",
    "ENV",
    "ID",
    "CREATED",
    "SCOPE",
    "META",
    "EXPIRES",
    "LAST_USED",
    "NOT_BEFORE",
    "STATE",
    "REVOKED",
    "name",
    "REVOKE_COMMENT",
    "ROTATED_FROM",
    "ROTATED_TO",
    "BITS",
    "COMMENT",
    "REASON",
    "SUSPENDED",
    "LIMITED",
    "RATE",
    "AT",
    "ON_CONFLICT",
    "DRY_RUN",
    "FORCE",
    "EXPECT",
    "kEY",
    "USE_COUNT",
    "LAST_USED_FROM",
    "LAST_REFUSED",
    "LAST_REFUSED_FROM",
    "REFUSED_COUNT",
};
static const char *const values[] = {
    "",
    "n",
    "live",
    "test",
    "cc_live_AbCdEfG",
    "cc_test_AbCdEfG",
    "key_aaaaaaaaaaaab",
    "key_paaaaaaaaaaaa",
    "2027-01-31T12:00:00Z",
    "1970-01-01",
    "9999-12-31T23:59:59Z",
    "active",
    "disabled",
    "revoked",
    "leaked",
    "owner-left",
    "1",
    "111",
    "4096",
    "4097",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "192.0.2.1",
    "2001:db8:0:0::7",
    "catlatch:admin",
    "skip",
    "fail",
    "100/1m",
    "10/1s:3",
    "00000000000000000000000000000000000000000000000000000000000000ff",
    "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5",
    SECRET,
    KEY_EXAMPLE,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* About as long as texts may be. */
static void put_long(struct words *words, struct input *input)
{
    static const size_t bounds[] = {15, 23, 64, 255, 1024, 2047};
    char bytes[2048 + 2];
    size_t len = bounds[take(input) % COUNT(bounds)] - 1 + take(input) % 3;

    memset(bytes, 'l', sizeof bytes);
    bytes[0] = (char)take(input);
    put(words, bytes, len);
}

/* A key, whose check digits are right. */
static void put_key(struct words *words)
{
    char key[KEY_TEXT_MAX];

    memcpy(key, "cc_live_", 8);
    memset(key + 8, 'k', KEY_RANDOM_LEN);
    key_check_digits(key, 8 + KEY_RANDOM_LEN, key + 8 + KEY_RANDOM_LEN);
    put(words, key, sizeof key);
}

/* One of a few, or many at once that differ. */
static void put_many(struct words *words, struct input *input)
{
    unsigned count = take(input) % 40, pad = take(input) % 64, same = take(input);
    char text[72];

    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof text, "%0*u", (int)pad + 1, i == same ? 0 : i);
        put_string(words, same & 1 ? "SCOPE" : "META");
        put_string(words, text);
        if (!(same & 1))
            put_string(words, "v");
    }
}

static void put_value(struct words *words, struct input *input)
{
    unsigned choice = take(input), len;
    uint8_t bytes[32];

    switch (choice % 8) {
    case 0:
        len = choice / 8;
        take_bytes(input, bytes, len);
        put(words, bytes, len);
        break;
    case 1:
        put_long(words, input);
        break;
    case 2:
        put_key(words);
        break;
    default:
        put_string(words, values[take(input) % COUNT(values)]);
        break;
    }
}

/* The beginning of a key: every other one says no more than what makes it one of ours. */
static void put_start(struct words *words, struct input *input)
{
    char hex[2 * DIGEST_BYTES + 1];
    struct digest digest = {{take(input), 2, 3, 4}};

    digest_hex(&digest, hex);
    put_string(words, "KEY");
    put_string(words, hex);
    put_string(words, "NAME");
    put_string(words, "n");
    if (digest.word[0] % 2 == 0)
        put_text(words, "PREFIX", text_of("cc_live_AbCdEfG"));
}

static void put_choice(struct words *words, struct input *input)
{
    unsigned choice = take(input);

    if (choice < 128) {
        put_string(words, names[choice % COUNT(names)]);
        put_value(words, input);
    } else if (choice < 160) {
        put_start(words, input);
    } else if (choice < 176) {
        put_string(words, "PREFIX");
        put_string(words, choice & 1 ? "cc_live_AbCdEfG" : "sk_");
    } else if (choice < 192) {
        put_string(words, "BITS");
        put_string(words, choice & 1 ? "128" : "80");
    } else if (choice < 208) {
        put_many(words, input);
    } else if (choice < 224) {
        put_string(words, "META");
        put_value(words, input);
        put_value(words, input);
    } else if (choice < 232) {
        put_string(words, "STATE");
        put_string(words, "revoked");
        put_string(words, "REVOKE_COMMENT");
        put_value(words, input);
    } else if (choice < 240) {
        put_value(words, input);
    } else {
        put_string(words, names[take(input) % COUNT(names)]);
    }
}

/* Words of an operation. */

static void put_time(struct words *words, const char *word, int64_t unix_s)
{
    char text[TIMESPAN_RFC3339_SIZE];

    if (unix_s == 0)
        return;
    CHECK(unix_s > 0 && unix_s <= TIMESPAN_UNIX_MAX);
    timespan_rfc3339(unix_s, text);
    put_string(words, word);
    put_string(words, text);
}

static void put_id(struct words *words, const char *word, uint64_t id)
{
    char text[CATLATCH_ID_SIZE];

    if (id == 0)
        return;
    key_id_format(id, text);
    put_string(words, word);
    put_string(words, text);
}

static void put_flags(struct words *words, const struct op_import *key)
{
    char text[16];

    if (key->disabled) {
        put_string(words, "STATE");
        put_string(words, "disabled");
    }
    if (key->revoked) {
        put_string(words, "STATE");
        put_string(words, "revoked");
    }
    CHECK(key->revoke_reason < RECORD_REASON_COUNT);
    if (key->revoke_reason != RECORD_REASON_NONE)
        put_text(words, "REASON", text_of(record_reason_name(key->revoke_reason)));
    CHECK(key->assumed_bits <= RECORD_BITS_MAX);
    snprintf(text, sizeof text, "%u", (unsigned)key->assumed_bits);
    if (key->assumed_bits != 0)
        put_text(words, "BITS", text_of(text));
}

static void put_rates(struct words *words, const struct rates *rates)
{
    char text[RATE_TEXT_SIZE];

    CHECK(rates_are_sane(rates));
    for (uint32_t i = 0; i < rates->count; i++) {
        put_string(words, "RATE");
        put(words, text, rate_format(&rates->list[i], text));
    }
}

static void put_lists(struct words *words, const struct op_import *key)
{
    put_rates(words, &key->rates);
    CHECK(key->scope_count <= RECORD_SCOPES_MAX && key->metadata_count <= RECORD_METADATA_MAX);
    for (size_t i = 0; i < key->scope_count; i++)
        put_text(words, "SCOPE", key->scopes[i]);
    for (size_t i = 0; i < key->metadata_count; i++) {
        put_string(words, "META");
        put(words, key->metadata[i].name.bytes, key->metadata[i].name.len);
        put(words, key->metadata[i].value.bytes, key->metadata[i].value.len);
    }
}

static void put_event(struct words *words, const struct total_event *event, const char *at,
                      const char *from, const char *count)
{
    char text[NETWORK_TEXT_SIZE];

    CHECK(event->count <= INT64_MAX && event->seen == 0);
    put_time(words, at, event->last_unix_s);
    put_string(words, count);
    put(words, text, (size_t)snprintf(text, sizeof text, "%" PRIu64, event->count));
    if (event->has_from) {
        put_string(words, from);
        put(words, text, address_format(&event->from, text));
    }
}

static void put_import(struct words *words, const struct op_import *key)
{
    char hex[2 * DIGEST_BYTES + 1];

    digest_hex(&key->digest, hex);
    put_string(words, "KEY");
    put_string(words, hex);
    put_text(words, "NAME", key->name);
    put_text(words, "OWNER", key->owner);
    put_text(words, "PREFIX", key->prefix);
    put_text(words, "ENV", key->environment);
    put_text(words, "COMMENT", key->comment);
    put_text(words, "REVOKE_COMMENT", key->revoke_comment);
    put_time(words, "CREATED", key->created_unix_s);
    put_event(words, &key->used, "LAST_USED", "LAST_USED_FROM", "USE_COUNT");
    put_event(words, &key->refused, "LAST_REFUSED", "LAST_REFUSED_FROM", "REFUSED_COUNT");
    put_time(words, "EXPIRES", key->expires_unix_s);
    put_time(words, "NOT_BEFORE", key->not_before_unix_s);
    put_time(words, "REVOKED", key->revoked_unix_s);
    put_id(words, "ID", key->id);
    put_id(words, "ROTATED_FROM", key->rotated_from);
    put_id(words, "ROTATED_TO", key->rotated_to);
    put_flags(words, key);
    put_lists(words, key);
}

static void put_op(struct words *words, const struct op *op)
{
    char text[24];

    if (op->tries)
        put_string(words, "DRY_RUN");
    if (op->forced)
        put_string(words, "FORCE");
    put_string(words, "ON_CONFLICT");
    put_string(words, op->skips ? "skip" : "fail");
    snprintf(text, sizeof text, "%llu", (unsigned long long)op->expected);
    put_string(words, "EXPECT");
    put_string(words, text);
    put_text(words, (op->fields.has & OP_HAS_RATES) != 0 ? "LIMITED" : "SUSPENDED", op->owner);
    put_time(words, "AT", op->owner_since_unix_s);
    put_rates(words, &op->fields.rates);
    for (size_t i = 0; i < op->import_count; i++)
        put_import(words, &op->imports[i]);
}

static void check_silent(const struct error *error)
{
    CHECK(error->text[0] != '\0' && strstr(error->text, SECRET) == NULL);
    CHECK(strstr(error->text, "kkkkkkkk") == NULL && strstr(error->text, "llllllll") == NULL);
}

static void check_op(struct op *op)
{
    struct words once = {.len = 0}, twice = {.len = 0};
    struct record record;
    struct error error;

    CHECK(op->kind == OP_IMPORT && op->import_count <= OP_IMPORT_MAX);
    CHECK((op->owner.len > 0) == (op->import_count == 0));
    put_op(&once, op);
    struct op *again = import_request(once.bytes, once.len, once.count, &error);
    CHECK(again != NULL);
    put_op(&twice, again);
    CHECK(once.len == twice.len && memcmp(once.bytes, twice.bytes, once.len) == 0);
    op_free(again);
    for (size_t i = 0; i < op->import_count; i++)
        if (import_record(op, i, &record, &error) == 0)
            import_check_stored(&record);
        else
            check_silent(&error);
    free(once.bytes);
    free(twice.bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    struct words words = {.len = 0};
    struct error error;

    if (take(&input) % 4 != 0)
        put_start(&words, &input);
    while (input.left > 0 && words.count < WORDS_MAX && words.len < BYTES_MAX)
        put_choice(&words, &input);
    struct op *op = import_request(words.bytes, words.len, words.count, &error);
    if (op != NULL)
        check_op(op);
    else
        check_silent(&error);
    op_free(op);
    free(words.bytes);
    return 0;
}
