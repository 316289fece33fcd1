/* KEY.VERIFY: the one command whose speed counts. No allocation, no formatting, no copy of the
 * request; the words of the reply's frame are constants. */
#include <string.h>
#include <time.h>

#include "core/result.h"
#include "core/timespan.h"
#include "daemon/command.h"
#include "daemon/daemon.h"
#include "daemon/pairs.h"
#include "stack/charge.h"
#include "stack/note.h"

/* What the options behind the key say. */
struct verify_options {
    struct stack_service *service;
    const char *scopes[RECORD_SCOPES_MAX];
    size_t scope_count;
    const char *address;
    bool is_dry;
};

static bool take_service(struct call *call, struct text name, struct verify_options *options)
{
    const struct settings *settings = &call->daemon->settings;

    options->service = settings_service(settings, name);
    if (options->service)
        return true;
    return call_refuse(call, "INVALID",
                       "SERVICE is none of the %zu in %s; a section [service NAME] makes one",
                       settings->service_count, settings->config->path);
}

/* The scope stays in the request, where a NUL follows it; one inside would hide its tail. */
static bool take_scope(struct call *call, struct text scope, struct verify_options *options)
{
    if (!text_is_scope(scope.bytes, scope.len))
        return call_refuse(call, "INVALID",
                           "SCOPE is no scope: 1 to 64 printable ASCII characters without blank, "
                           "quote or backslash");
    if (options->scope_count == RECORD_SCOPES_MAX)
        return call_refuse(call, "INVALID", "SCOPE is given more than %u times", RECORD_SCOPES_MAX);
    options->scopes[options->scope_count++] = scope.bytes;
    return true;
}

/* As text, of which the service's `address` makes what it can. It stays in the request. */
static bool take_address(struct call *call, struct text address, struct verify_options *options)
{
    if (address.len == 0 || !text_is_printable_utf8(address.bytes, address.len))
        return call_refuse(call, "INVALID", "ADDRESS is no address");
    options->address = address.bytes;
    return true;
}

static bool parse_options(struct call *call, struct verify_options *options)
{
    static const struct {
        const char *word;
        bool (*take)(struct call *, struct text, struct verify_options *); /* NULL: no value */
    } OPTIONS[] = {
        {"SERVICE", take_service}, {"SCOPE", take_scope}, {"ADDRESS", take_address}, {"DRY", NULL}};

    for (size_t at = 2; at < call->request->count; at++) {
        struct text word = call_word(call, at);
        size_t i = 0;
        while (i < sizeof OPTIONS / sizeof *OPTIONS && !text_is_nocase(word, OPTIONS[i].word))
            i++;
        if (i == sizeof OPTIONS / sizeof *OPTIONS)
            return call_refuse(call, "INVALID",
                               "argument %zu of KEY.VERIFY is none of its options: SERVICE, SCOPE, "
                               "ADDRESS, DRY",
                               at);
        if (OPTIONS[i].take == NULL) {
            options->is_dry = true;
            continue;
        }
        if (at + 1 == call->request->count)
            return call_refuse(call, "INVALID", "%s wants 1 value behind it", OPTIONS[i].word);
        if (!OPTIONS[i].take(call, call_word(call, ++at), options))
            return false;
    }
    return true;
}

static void write_result(struct reply *reply, enum catlatch_result result, size_t pairs)
{
    reply_map(reply, pairs);
    reply_literal(reply, "$6\r\nresult\r\n");
    reply_word(reply, result_name(result));
}

static void answer_unmatched(struct reply *reply, enum catlatch_result result)
{
    write_result(reply, result, 1);
}

static void write_scopes(struct reply *reply, const char *scopes)
{
    size_t count = 1;

    for (const char *c = scopes; *c; c++)
        count += *c == ' ';
    reply_literal(reply, "$6\r\nscopes\r\n");
    reply_array(reply, count);
    while (*scopes) {
        size_t len = strcspn(scopes, " ");
        reply_bulk(reply, scopes, len);
        scopes += len + (scopes[len] == ' ');
    }
}

static void write_expiry(struct reply *reply, int64_t expires_unix_s)
{
    char time[TIMESPAN_RFC3339_SIZE];

    reply_literal(reply, "$10\r\nexpires_at\r\n");
    timespan_rfc3339(expires_unix_s, time);
    reply_word(reply, time);
}

/* What the table says of a key. */
struct verified {
    struct table_identity identity;
    char environment[CATLATCH_ENVIRONMENT_SIZE];
    char scopes[CATLATCH_SCOPES_SIZE];
};

/* The limit that is the tightest, if any applied. */
struct shown_limit {
    struct stack_limit limit;
    struct limit_answer answer;
    int64_t refill_unix_s; /* of uses that are spent; 0: never, or they are not */
};

static bool tells_retry(const struct shown_limit *shown)
{
    return shown->answer.retry_after_ms != 0 && shown->answer.retry_after_ms != LIMIT_NEVER;
}

static size_t limit_pairs(const struct shown_limit *shown)
{
    size_t refill = shown->refill_unix_s != 0;

    return refill + (shown->limit.rate.count == 0 ? 0 : 3 + (size_t)tells_retry(shown));
}

static void write_limit(struct reply *reply, const struct shown_limit *shown)
{
    char text[RATE_TEXT_SIZE];

    if (shown->refill_unix_s != 0)
        pair_time(reply, "refills_at", shown->refill_unix_s);
    if (shown->limit.rate.count == 0)
        return;
    reply_word(reply, "rate");
    reply_bulk(reply, text, rate_format(&shown->limit.rate, text));
    pair_count(reply, "remaining", shown->answer.remaining);
    pair_count(reply, "reset_ms", shown->answer.reset_ms);
    if (tells_retry(shown))
        pair_count(reply, "retry_after_ms", shown->answer.retry_after_ms);
}

/* What is not there is left out: a client's time goes with the number of values, and most keys have
 * neither scopes nor an end. */
static void answer_matched(struct reply *reply, enum catlatch_result result,
                           const struct table_hit *hit, const struct verified *key,
                           const struct shown_limit *limit)
{
    char id[CATLATCH_ID_SIZE];
    int64_t expires_unix_s = control_expires_unix_s(hit->control);
    bool has_environment = key->environment[0] != '\0', has_scopes = key->scopes[0] != '\0',
         expires = expires_unix_s != 0;

    key_id_format(hit->id, id);
    write_result(reply, result,
                 4 + (size_t)has_environment + has_scopes + expires + limit_pairs(limit));
    reply_literal(reply, "$2\r\nid\r\n");
    reply_bulk(reply, id, CATLATCH_ID_SIZE - 1);
    reply_literal(reply, "$4\r\nname\r\n");
    reply_word(reply, key->identity.name[0] ? key->identity.name : NULL); /* it was purged */
    reply_literal(reply, "$5\r\nowner\r\n");
    reply_word(reply, key->identity.owner[0] ? key->identity.owner : NULL);
    if (has_environment) {
        reply_literal(reply, "$11\r\nenvironment\r\n");
        reply_word(reply, key->environment);
    }
    if (has_scopes)
        write_scopes(reply, key->scopes);
    if (expires)
        write_expiry(reply, expires_unix_s);
    write_limit(reply, limit);
}

static void find_limit(const struct stack_charges *charges, enum catlatch_result result,
                       struct shown_limit *ret)
{
    struct stack_uses uses;

    stack_limit_tell(charges, &ret->limit);
    if (ret->limit.rate.count != 0)
        stack_limit_answer(&ret->limit, &ret->answer);
    ret->refill_unix_s = 0;
    if (result == CATLATCH_USAGE_EXCEEDED && stack_uses_tell(charges, &uses))
        ret->refill_unix_s = uses.refill_unix_s;
}

static bool read_key(const struct table_view *view, const struct table_hit *hit,
                     struct verified *ret_key)
{
    return table_identity(view, hit->slot, &ret_key->identity) == 0 &&
           table_scopes(view, hit->slot, ret_key->scopes) == 0 &&
           table_environment(view, control_environment(hit->control), ret_key->environment) == 0;
}

static void note_outcome(struct call *call, const struct stack_run *run,
                         enum catlatch_result result)
{
    stack_note(run, result, call->daemon->settings.config->record_address, time(NULL));
    census_note(call->daemon->census, result);
}

void handle_key_verify(struct call *call)
{
    struct verify_options options = {.service = call->daemon->settings.services[0]};
    struct text key = call_word(call, 1);
    struct stack_run run;
    struct verified verified;
    struct shown_limit limit;

    if (!parse_options(call, &options))
        return;
    call->daemon->verified++;
    if (key.len == 0) {
        if (!options.is_dry)
            census_note(call->daemon->census, CATLATCH_MISSING);
        answer_unmatched(call->reply, CATLATCH_MISSING);
        return;
    }

    struct stack_request request = {.key = key.bytes,
                                    .key_len = key.len,
                                    .scopes = options.scopes,
                                    .scope_count = options.scope_count,
                                    .address = options.address,
                                    .is_dry = options.is_dry};
    stack_prepare(options.service, &request, &run);
    run.usage = tally_area(call->daemon->tally);
    enum catlatch_result result = stack_decide(&run, call->view);
    if (!options.is_dry)
        note_outcome(call, &run, result);
    find_limit(options.service->charges, result, &limit);
    if (!run.matched)
        answer_unmatched(call->reply, result);
    else if (!read_key(call->view, &run.hit, &verified))
        answer_unmatched(call->reply, CATLATCH_UNAVAILABLE);
    else if (call->standing.confined && strcmp(call->standing.owner, verified.identity.owner) != 0)
        answer_unmatched(call->reply, CATLATCH_NOT_FOUND);
    else
        answer_matched(call->reply, result, &run.hit, &verified, &limit);
}
