/*
 * Lines of an import, by the first byte of the input: the rest is the line, or says what is in a
 * line that is JSON and mostly has the fields that there are.
 *
 * What is refused is refused with one line that holds nothing of a raw key. What is taken holds no
 * raw key either, is taken by the daemon too, and is the same key again when the daemon's export of
 * it is read as a line: to the byte of what is stored, and of the export.
 */
#include <jansson.h>

#include "../../tools/catlatch/export_line.h"
#include "../../tools/catlatch/import_line.h"
#include "../../tools/catlatch/value.h"
#include "core/text.h"
#include "core/timespan.h"
#include "daemon/command.h"
#include "lib_import.h"
#include "lib_line.h"

static struct import_rules rules;
static struct json_arena arena;
static char words[2][IMPORT_WORDS_MAX];
static struct import_line read_line = {.words = words[0]}, read_again = {.words = words[1]};

/* Whether more than seen_max bytes of the key in a row are in the text. */
static bool shows(const char *text, size_t len, const char *key, size_t seen_max)
{
    for (size_t i = 0; i + seen_max < strlen(key); i++)
        if (memmem(text, len, key + i, seen_max + 1) != NULL)
            return true;
    return false;
}

/* Returns import_line_read's, in memory of exactly the line's size. */
static int read_exact(const char *text, size_t len, struct import_line *ret_line,
                      struct error *error)
{
    char *exact = exact_copy(text, len);
    int r = import_line_read(&rules, &arena, exact, len, ret_line, error);

    free(exact);
    CHECK(r == 0 || r == CATLATCH_E_DATA);
    return r;
}

static void check_refusal(const struct error *error)
{
    size_t len = strlen(error->text);

    CHECK(error->code == CATLATCH_E_DATA && len > 0);
    CHECK(text_is_printable_utf8(error->text, len));
    CHECK(!shows(error->text, len, line_key(), KEY_SHOWN_LEN));
    CHECK(!shows(error->text, len, LINE_FOREIGN, LINE_FOREIGN_SEEN_MAX));
}

static void check_words(const struct import_line *line, bool foreign_may_show)
{
    CHECK(line->len <= IMPORT_WORDS_MAX);
    CHECK(!key_is_within(rules.environments, line->words, line->len));
    CHECK(foreign_may_show || !shows(line->words, line->len, LINE_FOREIGN, LINE_FOREIGN_SEEN_MAX));
}

/* The daemon takes what the tool took. */
static struct op *send_line(const struct import_line *line)
{
    static const char force[] = "$5\r\nFORCE\r\n";
    static char request[sizeof force + IMPORT_WORDS_MAX];
    size_t force_len = rules.force ? sizeof force - 1 : 0;
    struct error error;

    memcpy(request, force, force_len);
    memcpy(request + force_len, line->words, line->len);
    struct op *op =
        import_request(request, force_len + line->len, line->word_count + rules.force, &error);
    if (op == NULL)
        fprintf(stderr, "the daemon refuses: %s\n", error.text);
    CHECK(op != NULL && op->import_count == !line->is_owner);
    return op;
}

static struct record record_of(struct op *op)
{
    struct record record;
    struct error error;

    if (import_record(op, 0, &record, &error) != 0) {
        fprintf(stderr, "the daemon refuses: %s\n", error.text);
        abort();
    }
    import_check_stored(&record);
    return record;
}

/* The first of the maps that KEY.EXPORT replies, as the tool has it. */
static json_t *exported(const struct reply *reply)
{
    redisReader *reader = redisReaderCreate();
    void *value = NULL;

    CHECK(reader != NULL && redisReaderFeed(reader, reply->bytes, reply->len) == REDIS_OK);
    CHECK(redisReaderGetReply(reader, &value) == REDIS_OK && value != NULL);
    json_t *page = value_of_map(value);
    json_t *key = json_array_get(json_object_get(page, "keys"), 0);
    CHECK(key != NULL);
    json_incref(key);
    json_decref(page);
    value_free(value);
    redisReaderFree(reader);
    return key;
}

/* A line for free(). */
static char *export_record(const struct record *record, const struct op *imported)
{
    const struct op_import *given = &imported->imports[0];
    struct op_key key = {.record = *record,
                         .total = {.used = given->used, .refused = given->refused}};
    const struct op op = {.keys = &key, .key_count = 1};
    const struct answer_place place = {.host = "h", .now_unix_s = IMPORT_NOW_UNIX_S};
    struct reply reply;

    reply_init(&reply);
    reply.protocol = 2;
    answer_exported(&op, &place, &reply);
    CHECK(!reply.failed);
    json_t *object = exported(&reply);
    json_t *line = export_line_of(object);
    char *text = json_dumps(line, JSON_COMPACT);
    CHECK(text != NULL);
    json_decref(line);
    json_decref(object);
    reply_free(&reply);
    return text;
}

/* The first second of 1970 is kept as the next, for 0 is no time. */
static int64_t time_of(const json_t *value)
{
    int64_t unix_s = 0;

    CHECK(timespan_parse_time(json_string_value(value), json_string_length(value), 0, &unix_s) ==
          0);
    return unix_s > 0 ? unix_s : 1;
}

/* It can be written in more than one way. */
static bool is_same_address(const json_t *given, const json_t *kept)
{
    struct address a, b;

    return address_parse(text_of(json_string_value(given)), &a) == 0 &&
           address_parse(text_of(json_string_value(kept)), &b) == 0 &&
           memcmp(&a, &b, sizeof a) == 0;
}

/* Metadata without a value is none. */
static void check_metadata_kept(json_t *given, const json_t *kept)
{
    const char *name;
    json_t *value;
    size_t count = 0;

    json_object_foreach(given, name, value)
    {
        if (json_string_length(value) == 0)
            continue;
        CHECK(json_equal(value, json_object_get(kept, name)));
        count++;
    }
    CHECK(count == json_object_size(kept));
}

static bool is_one_of(const char *name, const char *const *names)
{
    while (*names != NULL && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

static void check_field_kept(const char *name, json_t *given, const json_t *exported_line)
{
    static const char *const texts[] = {
        "id",      "name",          "owner",          "prefix",        "environment",
        "comment", "revoke_reason", "revoke_comment", "rotated_from",  "rotated_to",
        "scopes",  "assumed_bits",  "use_count",      "refused_count", NULL};
    static const char *const times[] = {"created_at", "last_used_at", "last_refused_at",
                                        "expires_at", "not_before",   "revoked_at",
                                        NULL};
    static const char *const addresses[] = {"last_used_from", "last_refused_from", NULL};
    json_t *kept = json_object_get(exported_line, name);
    bool is_empty = json_is_null(given) ||
                    (json_is_string(given) && json_string_length(given) == 0) ||
                    (json_is_integer(given) && json_integer_value(given) == 0) ||
                    (json_is_array(given) && json_array_size(given) == 0);

    if (strcmp(name, "metadata") == 0 && !is_empty)
        check_metadata_kept(given, kept);
    else if (is_one_of(name, times) && !is_empty)
        CHECK(time_of(given) == time_of(kept));
    else if (is_one_of(name, addresses))
        CHECK(is_empty || is_same_address(given, kept));
    else if (is_one_of(name, texts))
        CHECK(is_empty || json_equal(given, kept));
}

/* A revoked key can have been disabled before; expired and not yet valid follow from times. */
static void check_state_kept(const json_t *given, const json_t *kept)
{
    const char *said = value_text(given, "state"), *state = value_text(kept, "state");
    bool was_disabled = value_true(given, "disabled") || strcmp(said, "disabled") == 0;
    bool was_revoked = strcmp(said, "revoked") == 0 ||
                       (*said == '\0' && json_is_string(json_object_get(given, "revoked_at")));

    CHECK((strcmp(state, "revoked") == 0) == was_revoked);
    CHECK((strcmp(state, "disabled") == 0 || value_true(kept, "disabled")) == was_disabled);
}

/* Everything that the line said of the key is in the export. */
static void check_kept(const char *text, size_t len, const char *exported_text)
{
    json_t *given = json_loadb(text, len, 0, NULL);
    json_t *kept = json_loads(exported_text, 0, NULL);
    const char *name;
    json_t *value;

    CHECK(given != NULL && kept != NULL);
    json_object_foreach(given, name, value)
    {
        check_field_kept(name, value, kept);
    }
    check_state_kept(given, kept);
    json_decref(given);
    json_decref(kept);
}

/* But for when it came: a line without created_at is of this moment. */
static void check_same_record(const struct record *first, const struct record *second)
{
    static unsigned char bytes[2][RECORD_ENCODED_MAX];
    size_t len[2] = {0, 0};
    struct record a = *first, b = *second;

    a.enabled_unix_s = b.enabled_unix_s = 0;
    CHECK(record_encode(&a, bytes[0], sizeof bytes[0], &len[0]) == 0);
    CHECK(record_encode(&b, bytes[1], sizeof bytes[1], &len[1]) == 0);
    CHECK(len[0] == len[1] && memcmp(bytes[0], bytes[1], len[0]) == 0);
}

static void go_around(const char *given, size_t len, const struct import_line *line)
{
    struct op *op = send_line(line), *again;
    struct error error;

    if (line->is_owner) {
        CHECK(op->owner.len > 0);
        op_free(op);
        return;
    }
    struct record record = record_of(op);
    CHECK(digest_equal(&record.digest, &line->digest));
    CHECK(line->id == 0 || record.id == line->id);
    CHECK(line->foreign == (record.assumed_bits != 0));
    char *text = export_record(&record, op);
    if (read_exact(text, strlen(text), &read_again, &error) != 0) {
        fprintf(stderr, "%s: %s\n", text, error.text);
        abort();
    }
    check_kept(given, len, text);
    CHECK(read_again.foreign == line->foreign);
    again = send_line(&read_again);
    struct record record_again = record_of(again);
    check_same_record(&record, &record_again);
    char *text_again = export_record(&record_again, again);
    CHECK(strcmp(text, text_again) == 0);
    free(text);
    free(text_again);
    op_free(op);
    op_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct line line;
    struct input input = {data, size};
    struct error error = {.code = 0};
    unsigned way = take(&input);
    const char *text = line.bytes;
    int r;

    rules.environments = import_environments();
    rules.now_unix_s = IMPORT_NOW_UNIX_S;
    rules.force = way & 2;
    rules.assumed_bits = way & 4 ? 128 : 0;
    line.len = 0;
    if (way & 1) {
        line.foreign_elsewhere =
            shows((const char *)data, size, LINE_FOREIGN, LINE_FOREIGN_SEEN_MAX);
        line_make(&line, &input);
    } else {
        line.foreign_elsewhere = true;
        line.len = input.left;
        text = (const char *)input.at;
    }
    r = read_exact(text, line.len, &read_line, &error);
    if (r != 0) {
        check_refusal(&error);
        return 0;
    }
    check_words(&read_line, line.foreign_elsewhere);
    go_around(text, line.len, &read_line);
    return 0;
}
