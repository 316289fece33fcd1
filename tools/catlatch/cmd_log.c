/* log: the change log, as it was, as it goes on, and whether it is whole. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "core/digest.h"
#include "core/key.h"
#include "core/timespan.h"
#include "follow.h"
#include "meter.h"
#include "moment.h"
#include "output.h"
#include "value.h"

#define PAGE "1000"

/* "18446744073709551615:18446744073709551615" */
#define POSITION_SIZE 42

struct reading {
    struct call *call;
    struct session *session;
    bool json;
    bool follow;
    bool shows_uses;
    struct output_array array;
    char since[TIMESPAN_RFC3339_SIZE]; /* "": any */
    char until[TIMESPAN_RFC3339_SIZE];
    char actor[CATLATCH_ID_SIZE];
    char cursor[POSITION_SIZE]; /* "": the beginning */
    uint64_t left;              /* of --limit */
};

static bool is_position(const char *text)
{
    size_t epoch = strspn(text, "0123456789");
    size_t sequence = text[epoch] == ':' ? strspn(text + epoch + 1, "0123456789") : 0;

    return epoch > 0 && sequence > 0 && text[epoch + 1 + sequence] == '\0' &&
           strlen(text) < POSITION_SIZE;
}

static int actor_read(const char *text, char ret_text[CATLATCH_ID_SIZE], struct error *error)
{
    const struct passwd *user;
    uint64_t id;

    if (key_id_parse(text, strlen(text), &id) == 0 ||
        (strlen(text) < 11 && text[strspn(text, "0123456789")] == '\0')) {
        snprintf(ret_text, CATLATCH_ID_SIZE, "%s", text);
        return 0;
    }
    user = getpwnam(text);
    if (user == NULL)
        return error_set(error, CATLATCH_E_DATA,
                         "--actor: \"%.32s\" is no user of this host, no uid and no key's id",
                         text);
    snprintf(ret_text, CATLATCH_ID_SIZE, "%u", (unsigned)user->pw_uid);
    return 0;
}

static int limit_read(const char *text, uint64_t *ret_limit, struct error *error)
{
    char *end;
    unsigned long long limit = strtoull(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || limit == 0 || limit > 1000000000)
        return error_set(error, CATLATCH_E_DATA, "--limit takes a number from 1 to 1000000000");
    *ret_limit = limit;
    return 0;
}

static int reading_begin(struct call *call, struct reading *reading, struct error *error)
{
    const struct options *options = &call->options;
    const char *since = option_text(options, OPTION_SINCE);
    const char *until = option_text(options, OPTION_UNTIL);
    const char *actor = option_text(options, OPTION_ACTOR);
    const char *limit = option_text(options, OPTION_LIMIT);
    int code = 0;

    *reading = (struct reading){.call = call,
                                .session = call->session,
                                .json = option_given(options, OPTION_JSON),
                                .follow = option_given(options, OPTION_FOLLOW),
                                .shows_uses = option_given(options, OPTION_LOG_USES),
                                .left = UINT64_MAX};
    if (since != NULL && is_position(since))
        snprintf(reading->cursor, sizeof reading->cursor, "%s", since);
    else if (since != NULL)
        code = moment_past("--since", since, reading->since, error);
    if (code == 0 && until != NULL)
        code = moment_past("--until", until, reading->until, error);
    if (code == 0 && actor != NULL)
        code = actor_read(actor, reading->actor, error);
    if (code == 0 && limit != NULL)
        code = limit_read(limit, &reading->left, error);
    if (code == 0 && reading->shows_uses && !reading->follow)
        code = error_set(error, CATLATCH_E_ARGUMENT,
                         "--uses goes with --follow; `catlatch stats` shows what was");
    if (code == 0 && until != NULL && reading->follow)
        code = error_set(error, CATLATCH_E_ARGUMENT, "--follow has no end, so no --until");
    return code;
}

static const char *or_null(const char *text)
{
    return *text != '\0' ? text : NULL;
}

static int page_ask(struct reading *reading, json_t **ret_page, struct error *error)
{
    const struct options *options = &reading->call->options;
    struct session_words request = {0};
    int code = session_word(&request, "LOG", error);
    const struct {
        const char *word, *value;
    } pairs[] = {
        {"SINCE", or_null(reading->cursor)},
        {"SINCE", or_null(reading->since)},
        {"UNTIL", or_null(reading->until)},
        {"ID", option_text(options, OPTION_LOG_ID)},
        {"OWNER", option_text(options, OPTION_WITH_OWNER)},
        {"ACTOR", or_null(reading->actor)},
        {"KIND", option_text(options, OPTION_KIND)},
        {"LIMIT", PAGE},
    };

    for (size_t i = 0; code == 0 && i < sizeof pairs / sizeof *pairs; i++)
        code = session_pair(&request, pairs[i].word, pairs[i].value, error);
    if (code == 0)
        code = session_ask(reading->session, &request, ret_page, error);
    session_words_free(&request);
    if (code == 0)
        snprintf(reading->cursor, sizeof reading->cursor, "%s", value_text(*ret_page, "cursor"));
    return code;
}

/* "root", or "uid 1234"; and whom they had logged in as, if somebody else. */
static void actor_print(const json_t *actor)
{
    json_int_t uid = json_integer_value(json_object_get(actor, "uid"));
    const json_t *login = json_object_get(actor, "login_uid");
    const struct passwd *user = getpwuid((uid_t)uid);

    if (user != NULL)
        printf(" by %s", user->pw_name);
    else
        printf(" by uid %" JSON_INTEGER_FORMAT, uid);
    if (json_is_integer(login) && json_integer_value(login) != uid) {
        user = getpwuid((uid_t)json_integer_value(login));
        if (user != NULL)
            printf(" (logged in as %s)", user->pw_name);
        else
            printf(" (logged in as uid %" JSON_INTEGER_FORMAT ")", json_integer_value(login));
    }
    printf(" pid %" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(actor, "pid")));
    if (*value_text(actor, "key_id") != '\0')
        printf(" with %s", value_text(actor, "key_id"));
}

static void fields_print(const json_t *fields)
{
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const json_t *field = json_array_get(fields, i);
        const char *before = value_text(field, "before"), *after = value_text(field, "after");
        printf("%s %s ", i > 0 ? "," : ":", value_text(field, "field"));
        if (*before != '\0') {
            output_quoted(before);
            fputs(" -> ", stdout);
        }
        if (*after != '\0')
            output_quoted(after);
        else
            fputs("none", stdout);
    }
}

static void change_print(const json_t *change)
{
    printf("%s %s %s", value_text(change, "time"), value_text(change, "sequence"),
           value_text(change, "change"));
    if (*value_text(change, "id") != '\0')
        printf(" %s", value_text(change, "id"));
    if (*value_text(change, "owner") != '\0') {
        fputs(" of ", stdout);
        output_word(value_text(change, "owner"));
    }
    actor_print(json_object_get(change, "actor"));
    fields_print(json_object_get(change, "fields"));
    if (*value_text(change, "comment") != '\0')
        printf(" (%s)", value_text(change, "comment"));
    putchar('\n');
}

static bool is_over(const struct reading *reading)
{
    return reading->left == 0 || (reading->follow && follow_is_over());
}

static void page_print(struct reading *reading, const json_t *page)
{
    const json_t *changes = json_object_get(page, "changes");

    for (size_t i = 0; i < json_array_size(changes) && !is_over(reading); i++, reading->left--) {
        const json_t *change = json_array_get(changes, i);
        if (!reading->json)
            change_print(change);
        else if (reading->follow)
            output_json(change); /* no array that never ends: an object a line */
        else
            output_array_add(&reading->array, change);
    }
}

/* Up to where the log ends at present. */
static int read_all(struct reading *reading, struct error *error)
{
    bool end = false;

    while (!end && !is_over(reading)) {
        json_t *page = NULL;
        int code = page_ask(reading, &page, error);
        if (code != 0)
            return code;
        page_print(reading, page);
        end = value_true(page, "end");
        json_decref(page);
    }
    return 0;
}

/* One connection tells when there is something to read, and each reading has one of its own, which
 * else might have been closed for being idle in between. */
static int follow_on(struct reading *reading, struct session *bell, struct error *error)
{
    const char *admin_dir = reading->call->config->admin_dir;
    int code = session_take_news(bell, error);

    if (code == 0)
        code = session_open(admin_dir, &reading->session, error);
    if (code == 0) {
        code = read_all(reading, error);
        session_close(reading->session);
    }
    return code;
}

/* What the changes are asked of, uses are: a key, an owner, or all. */
static int meter_begin(const struct reading *reading, struct meter *meter, struct error *error)
{
    const struct options *options = &reading->call->options;

    meter->id = option_text(options, OPTION_LOG_ID);
    meter->owner = option_text(options, OPTION_WITH_OWNER);
    meter->json = reading->json;
    meter->admin_dir = reading->call->config->admin_dir;
    return meter_look(meter, error);
}

static int follow(struct reading *reading, struct error *error)
{
    struct session *bell = NULL;
    struct meter meter = {.begun = false};
    int code = follow_begin(error);

    if (code == 0)
        code = session_open(reading->call->config->admin_dir, &bell, error);
    if (code == 0)
        code = session_subscribe(bell, error);
    if (code == 0 && reading->shows_uses)
        code = meter_begin(reading, &meter, error);
    if (code == 0)
        code = read_all(reading, error);
    /* What cannot be written though somebody reads is process_finish's to say. */
    while (code == 0 && output_flush() && !is_over(reading)) {
        if (reading->shows_uses)
            code = meter_look(&meter, error);
        if (code == 0 && session_has_news(bell))
            code = follow_on(reading, bell, error);
        else if (code == 0)
            (void)follow_pause(session_descriptor(bell),
                               reading->shows_uses ? meter_wait_ms(&meter) : -1);
    }
    session_close(bell);
    if (follow_is_over() && !output_flush())
        output_drop();
    return code;
}

static int log_print(struct call *call, struct error *error)
{
    struct reading reading;
    int code = reading_begin(call, &reading, error);

    if (code != 0)
        return code;
    code = reading.follow ? follow(&reading, error) : read_all(&reading, error);
    if (reading.json && !reading.follow && (code == 0 || reading.array.count > 0))
        output_array_end(&reading.array);
    return code;
}

struct chain {
    char cursor[POSITION_SIZE]; /* "": the beginning */
    char value[2 * DIGEST_BYTES + 1];
    uint64_t count;
    bool end;
};

static int chain_step(struct session *session, struct chain *chain, struct error *error)
{
    struct session_words request = {0};
    json_t *page = NULL;
    int code = session_word(&request, "LOG.VERIFY", error);

    if (code == 0)
        code = session_pair(&request, "SINCE", or_null(chain->cursor), error);
    if (code == 0 && *chain->cursor != '\0')
        code = session_pair(&request, "CHAIN", chain->value, error);
    if (code == 0)
        code = session_ask(session, &request, &page, error);
    session_words_free(&request);
    if (code != 0)
        return code;
    snprintf(chain->cursor, sizeof chain->cursor, "%s", value_text(page, "cursor"));
    snprintf(chain->value, sizeof chain->value, "%s", value_text(page, "chain"));
    chain->count += (uint64_t)json_integer_value(json_object_get(page, "count"));
    chain->end = value_true(page, "end");
    if (*value_text(page, "problem") != '\0')
        code = error_set(error, CATLATCH_E_DATA, "the log is not whole: %s",
                         value_text(page, "problem"));
    json_decref(page);
    return code;
}

static int head_read(const char *text, struct chain *head, struct error *error)
{
    const char *slash = strchr(text, '/');
    size_t len = slash != NULL ? (size_t)(slash - text) : 0;

    if (len > 0 && len < sizeof head->cursor)
        memcpy(head->cursor, text, len);
    if (slash == NULL || !is_position(head->cursor) || strlen(slash + 1) != 2 * DIGEST_BYTES)
        return error_set(error, CATLATCH_E_DATA,
                         "--head takes what `catlatch log --verify` printed: SEQUENCE/HASH");
    memcpy(head->value, slash + 1, sizeof head->value);
    return 0;
}

/* What was noted earlier is in the chain if the record behind it follows from it, or if it is the
 * last one itself. */
static int head_check(struct session *session, struct chain *head, const struct chain *whole,
                      struct error *error)
{
    if (strcmp(head->cursor, whole->cursor) != 0)
        return chain_step(session, head, error);
    if (strcasecmp(head->value, whole->value) == 0)
        return 0;
    return error_set(error, CATLATCH_E_DATA,
                     "the log is not whole: change %s, or one before it, was altered since the "
                     "head was noted",
                     whole->cursor);
}

static void chain_print(const struct call *call, const struct chain *chain)
{
    if (option_given(&call->options, OPTION_JSON)) {
        json_t *answer = json_pack("{sb sI ss ss}", "whole", 1, "records", (json_int_t)chain->count,
                                   "sequence", chain->cursor, "chain", chain->value);
        output_json(answer);
        json_decref(answer);
    } else if (chain->count == 0 && strcmp(chain->cursor, "0:0") == 0) {
        puts("the log is empty");
    } else {
        printf("whole: %" PRIu64 " records, up to %s/%s\n", chain->count, chain->cursor,
               chain->value);
    }
}

static int log_verify(struct call *call, struct error *error)
{
    const char *noted = option_text(&call->options, OPTION_HEAD);
    struct chain whole = {.count = 0}, head = {.count = 0};
    int code = 0;

    if (noted != NULL)
        code = head_read(noted, &head, error);
    while (code == 0 && !whole.end)
        code = chain_step(call->session, &whole, error);
    if (code == 0 && noted != NULL)
        code = head_check(call->session, &head, &whole, error);
    if (code == 0)
        chain_print(call, &whole);
    return code;
}

int cmd_log(struct call *call)
{
    struct error error = {0};
    bool verify = option_given(&call->options, OPTION_VERIFY);
    int code = 0;

    if (option_given(&call->options, OPTION_HEAD) && !verify)
        return output_usage("--head goes with --verify");
    code = call_connect(call, &error);
    if (code == 0)
        code = verify ? log_verify(call, &error) : log_print(call, &error);
    return code != 0 ? output_error(&error) : EX_OK;
}
