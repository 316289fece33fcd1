/* update, disable, enable, revoke, purge: changes to the keys of a selection, answered by a
 * receipt. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "change.h"
#include "commands.h"
#include "core/text.h"
#include "core/timespan.h"
#include "moment.h"
#include "output.h"
#include "receipt.h"
#include "targets.h"
#include "value.h"

/* A change by its name on the wire, and as its receipt reads. */
struct deed {
    const char *request;
    const char *what;
    const char *when;
    bool refuses; /* then it is also said when somebody last got in */
};

static const struct deed deed_disable = {"KEY.DISABLE", "refused everywhere", "since", true};
static const struct deed deed_enable = {"KEY.ENABLE", "enabled", "at", false};
static const struct deed deed_revoke = {"KEY.REVOKE", "refused everywhere", "since", true};
static const struct deed deed_purge = {"KEY.PURGE", "purged", "at", false};
static const struct deed deed_update = {"KEY.UPDATE", "updated", "at", false};

static int deed_report(const struct call *call, const struct deed *deed, const json_t *receipt,
                       struct error *error)
{
    size_t total = json_array_size(json_object_get(receipt, "keys"));
    int code;

    if (option_given(&call->options, OPTION_JSON)) {
        output_json(receipt);
        return 0;
    }
    code = receipt_table(stdout, receipt, error);
    receipt_line(stdout, receipt, total, deed->what, deed->when);
    if (deed->refuses)
        receipt_last_used(stdout, json_object_get(receipt, "keys"));
    return code;
}

/* `enable` lifts the key's own flag alone; what is disabled still is so by its owner's. */
static void note_suspended(const json_t *receipt)
{
    const json_t *keys = json_object_get(receipt, "keys");
    size_t count = json_array_size(keys), refused = 0;

    for (size_t i = 0; i < count; i++)
        refused += strcmp(value_text(json_array_get(keys, i), "state"), "disabled") == 0;
    if (refused > 0)
        output_note("%zu of %zu %s still refused, until `catlatch owner resume`: the owner is "
                    "suspended",
                    refused, count, count == 1 ? "key is" : "keys are");
}

/* What was done is reported even if the rest failed. */
static int deed_do(struct call *call, const struct deed *deed, const struct targets *targets,
                   const struct session_words *extra)
{
    struct error error = {0}, unreported = {0};
    json_t *receipt = NULL;
    int status;

    (void)change_apply(call->session, deed->request, targets->ids, targets->count, extra, &receipt,
                       &error);
    if (receipt != NULL && deed_report(call, deed, receipt, &unreported) != 0)
        output_note("%s", unreported.text);
    if (receipt != NULL && deed == &deed_enable)
        note_suspended(receipt);
    status = error_exit_status(unreported.code);
    if (receipt != NULL && output_was_lost()) {
        receipt_line(stderr, receipt, json_array_size(json_object_get(receipt, "keys")), deed->what,
                     deed->when);
        status = EX_IOERR;
    }
    json_decref(receipt);
    return error.code != 0 ? output_error(&error) : status;
}

int cmd_disable(struct call *call)
{
    static const struct targets_plan plan = {.verb = "disable",
                                             .participle = "disabled",
                                             .omits = target_is_revoked,
                                             .omitted = "revoked already"};
    struct session_words extra = {0};
    struct targets targets = {0};
    struct error error = {0};
    int status = EX_OK;

    if (targets_settle(call, &plan, &targets, &status) == TARGETS_STOP)
        return status;
    if (session_pair(&extra, "COMMENT", option_text(&call->options, OPTION_BECAUSE), &error) != 0)
        status = output_error(&error);
    else
        status = deed_do(call, &deed_disable, &targets, &extra);
    session_words_free(&extra);
    targets_free(&targets);
    return status;
}

int cmd_enable(struct call *call)
{
    static const struct targets_plan plan = {.verb = "enable",
                                             .participle = "enabled",
                                             .omits = target_is_revoked,
                                             .omitted = "revoked already"};
    struct targets targets = {0};
    int status = EX_OK;

    if (targets_settle(call, &plan, &targets, &status) == TARGETS_STOP)
        return status;
    status = deed_do(call, &deed_enable, &targets, NULL);
    targets_free(&targets);
    return status;
}

int cmd_purge(struct call *call)
{
    static const struct targets_plan plan = {.verb = "purge",
                                             .participle =
                                                 "forgotten for ever, but for their digests",
                                             .omits = target_is_not_revoked,
                                             .omitted = "not revoked"};
    struct targets targets = {0};
    int status = EX_OK;

    if (targets_settle(call, &plan, &targets, &status) == TARGETS_STOP)
        return status;
    status = deed_do(call, &deed_purge, &targets, NULL);
    targets_free(&targets);
    return status;
}

static int reason_check(const char *reason)
{
    static const char *const reasons[] = {"leaked",     "compromised", "superseded",
                                          "owner-left", "unused",      "other"};
    const size_t count = sizeof reasons / sizeof *reasons;
    const char *nearest;

    for (size_t i = 0; i < count; i++)
        if (reason == NULL || strcmp(reason, reasons[i]) == 0)
            return EX_OK;
    nearest = text_nearest(reason, reasons, count);
    output_note("--reason is leaked, compromised, superseded, owner-left, unused or other%s%s%s",
                nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                nearest != NULL ? "?" : "");
    return EX_DATAERR;
}

int cmd_revoke(struct call *call)
{
    static const struct targets_plan plan = {.verb = "revoke",
                                             .participle = "revoked for ever",
                                             .omits = target_is_revoked,
                                             .omitted = "revoked already",
                                             .omits_no_raw_keys = true,
                                             .final = true};
    const char *reason = option_text(&call->options, OPTION_REASON);
    struct session_words extra = {0};
    struct targets targets = {0};
    struct error error = {0};
    int status = reason_check(reason);
    enum targets_answer answer;

    if (status != EX_OK)
        return status;
    answer = targets_settle(call, &plan, &targets, &status);
    if (answer == TARGETS_STOP)
        return status;
    if ((answer == TARGETS_GO && session_pair(&extra, "REASON", reason, &error) != 0) ||
        session_pair(&extra, "COMMENT", option_text(&call->options, OPTION_BECAUSE), &error) != 0)
        status = output_error(&error);
    else
        status =
            deed_do(call, answer == TARGETS_GO ? &deed_revoke : &deed_disable, &targets, &extra);
    session_words_free(&extra);
    targets_free(&targets);
    return status;
}

static const char *const set_fields[] = {"name",   "expires", "not_before", "comment",
                                         "scopes", "allow",   "rate",       "uses"};
#define SET_FIELDS (sizeof set_fields / sizeof set_fields[0])

static int field_unknown(const char *field, size_t len, struct error *error)
{
    char name[64] = "";
    const char *nearest;

    if (len < sizeof name)
        memcpy(name, field, len);
    if (strcmp(name, "owner") == 0 || strcmp(name, "environment") == 0 || strcmp(name, "env") == 0)
        return error_set(error, CATLATCH_E_ARGUMENT,
                         "the %s of a key never changes: create a new key and revoke this one",
                         name);
    nearest = text_nearest(name, set_fields, SET_FIELDS);
    if (nearest != NULL)
        return error_set(error, CATLATCH_E_ARGUMENT, "--set knows no such field; did you mean %s?",
                         nearest);
    return error_set(
        error, CATLATCH_E_ARGUMENT,
        "--set takes FIELD=VALUE: name, expires, not_before, comment, scopes, allow, rate, uses or "
        "meta.K");
}

/* Which of the known fields the text before '=' is; NULL: none. */
static const char *field_known(const char *text, size_t len)
{
    for (size_t i = 0; i < SET_FIELDS; i++)
        if (strlen(set_fields[i]) == len && memcmp(set_fields[i], text, len) == 0)
            return set_fields[i];
    return len > 5 && memcmp(text, "meta.", 5) == 0 ? "meta" : NULL;
}

/* One --set; times are made absolute in `moment`, which must stay until the request is sent. */
static int set_word(const char *text, struct moment *moment, struct session_words *extra,
                    struct error *error)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    const char *field = equals != NULL ? field_known(text, len) : NULL;
    const char *value;
    int code = 0;

    if (field == NULL && equals == NULL && field_known(text, len) != NULL)
        return error_set(error, CATLATCH_E_ARGUMENT, "--set %.*s needs a value: --set %.*s=VALUE",
                         (int)len, text, (int)len, text);
    if (field == NULL)
        return field_unknown(text, len, error);
    value = equals + 1;
    if (strcmp(field, "expires") == 0 || strcmp(field, "not_before") == 0) {
        code = moment_read(field, value, moment, error);
        value = moment->text;
    }
    if (code == 0)
        code = session_word(extra, "SET", error);
    if (code == 0)
        code = session_word_n(extra, text, len, error);
    return code != 0 ? code : session_word(extra, value, error);
}

static int set_words(const struct options *options, struct moment *moments,
                     struct session_words *extra, struct error *error)
{
    const struct option_values *sets = &options->values[OPTION_SET];
    int code = 0;

    if (sets->count == 0)
        return error_set(error, CATLATCH_E_ARGUMENT,
                         "update needs what to change: --set FIELD=VALUE");
    for (size_t i = 0; code == 0 && i < sets->count; i++)
        code = set_word(sets->list[i], &moments[i], extra, error);
    return code;
}

int cmd_update(struct call *call)
{
    static const struct targets_plan plan = {.verb = "update",
                                             .participle = "updated",
                                             .omits = target_is_revoked,
                                             .omitted = "revoked already"};
    size_t set_count = call->options.values[OPTION_SET].count;
    struct moment *moments = calloc(set_count + 1, sizeof *moments);
    struct session_words extra = {0};
    struct targets targets = {0};
    struct error error = {0};
    int status = EX_OK;

    if (moments == NULL)
        error_set(&error, CATLATCH_E_MEMORY, "out of memory");
    else
        (void)set_words(&call->options, moments, &extra, &error);
    if (error.code != 0)
        status = output_error(&error);
    else if (targets_settle(call, &plan, &targets, &status) != TARGETS_STOP)
        status = deed_do(call, &deed_update, &targets, &extra);
    session_words_free(&extra);
    targets_free(&targets);
    free(moments);
    return status;
}
