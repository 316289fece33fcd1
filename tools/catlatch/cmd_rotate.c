/*
 * rotate: new keys for old ones. Without grace it is two commits with the delivery of the new keys
 * between them, so that at every instant one of the two works and is in its owner's hands.
 */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "change.h"
#include "commands.h"
#include "core/key.h"
#include "core/timespan.h"
#include "delivery.h"
#include "output.h"
#include "receipt.h"
#include "targets.h"
#include "value.h"

#define GRACE_DEFAULT "24h"

struct rotation {
    struct call *call;
    const char *grace;  /* as the daemon is asked; "keep" when there is none; NULL: not said */
    const char *unseen; /* NULL: however long the old key is not used */
    bool on_use;
    bool immediate;
    bool json;
    const json_t *old; /* the first of the keys, as they were before */
    struct delivery delivery;
    json_t *receipt;    /* of the new keys, without those that failed */
    json_t *superseded; /* of the old ones, when immediate */
};

static bool cannot_rotate(const json_t *key)
{
    return target_is_revoked(key) || strcmp(value_text(key, "state"), "expired") == 0 ||
           *value_text(key, "rotated_to") != '\0';
}

static int evidence_read(const struct options *options, struct rotation *rotation,
                         struct error *error)
{
    int64_t span_ms = 1;

    rotation->on_use = option_given(options, OPTION_ON_USE);
    rotation->unseen = option_text(options, OPTION_UNTIL_UNSEEN);
    if (rotation->unseen != NULL &&
        timespan_parse_ms(rotation->unseen, strlen(rotation->unseen), &span_ms) != 0)
        span_ms = 0;
    if (span_ms > 0)
        return 0;
    return error_set(error, CATLATCH_E_DATA, "--until-unseen takes a duration, such as 24h or 7d");
}

static int grace_read(const struct options *options, struct rotation *rotation, struct error *error)
{
    const char *text = option_text(options, OPTION_GRACE);
    int64_t span_ms = 0;

    if (text == NULL && rotation->unseen != NULL)
        return 0;
    rotation->grace = text != NULL ? text : GRACE_DEFAULT;
    if (timespan_parse_ms(rotation->grace, strlen(rotation->grace), &span_ms) != 0)
        return error_set(error, CATLATCH_E_DATA,
                         "--grace takes a duration, such as 24h or 7d, or 0");
    rotation->immediate = span_ms == 0;
    if (!rotation->immediate)
        return 0;
    rotation->grace = "keep";
    if (rotation->unseen == NULL && !rotation->on_use)
        return 0;
    return error_set(error, CATLATCH_E_DATA,
                     "--grace 0 revokes the old key at once: there is nothing left for "
                     "--until-unseen and --activate-on-use to wait for");
}

/* The new keys exist and nobody has them: names them all, for that is all that is left to do. */
static int undelivered(const struct rotation *rotation, const json_t *receipt, struct error *error)
{
    const json_t *keys = json_object_get(receipt, "keys");

    if (rotation->immediate || rotation->unseen != NULL || rotation->on_use)
        error_prefix(error, "the new keys were made but not delivered; the old ones still work");
    else
        error_prefix(error,
                     "the new keys were made but not delivered; the old ones work for "
                     "another %s at most",
                     rotation->grace);
    (void)output_error(error);
    output_note("revoke these new keys, which nobody has (catlatch revoke --ids-from), and rotate "
                "the ones that they replace anew:");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        fprintf(stderr, "%s replaces %s\n", value_text(key, "id"), value_text(key, "old_id"));
    }
    return EX_IOERR;
}

/* The document is ended by stdout_finish: the key in it must be out before the old one is revoked,
 * and the receipt of that is part of the document. */
static void stdout_json(const json_t *receipt)
{
    char *text = json_dumps(receipt, JSON_COMPACT);
    size_t len = text != NULL ? strlen(text) : 0;

    if (len > 0)
        printf("%.*s", (int)(len - 1), text);
    if (text != NULL)
        OPENSSL_cleanse(text, len);
    free(text);
}

static void stdout_finish(const struct rotation *rotation)
{
    char *text =
        rotation->superseded != NULL ? json_dumps(rotation->superseded, JSON_COMPACT) : NULL;

    printf(",\"superseded\":%s}\n", text != NULL ? text : "null");
    free(text);
}

static int deliver(struct rotation *rotation, const json_t *receipt, struct error *error)
{
    const json_t *keys = json_object_get(receipt, "keys");

    if (rotation->delivery.path != NULL)
        return delivery_write(&rotation->delivery, keys, error);
    if (rotation->json)
        stdout_json(receipt);
    else
        printf("%s\n", value_text(json_array_get(keys, 0), "key"));
    return delivery_flush(error);
}

static int old_ids(const json_t *receipt, uint64_t *ids, size_t count, struct error *error)
{
    const json_t *keys = json_object_get(receipt, "keys");

    for (size_t i = 0; i < count; i++) {
        const char *text = value_text(json_array_get(keys, i), "old_id");
        if (key_id_parse(text, strlen(text), &ids[i]) != 0)
            return error_set(error, CATLATCH_E_UNAVAILABLE, "the daemon's receipt names no old_id");
    }
    return 0;
}

/* The second commit. */
static int supersede(struct rotation *rotation, const json_t *receipt, struct error *error)
{
    size_t count = json_array_size(json_object_get(receipt, "keys"));
    uint64_t *ids = calloc(count + 1, sizeof *ids);
    struct session_words extra = {0};
    json_t *revoked = NULL;
    int code = ids == NULL ? error_set(error, CATLATCH_E_MEMORY, "out of memory")
                           : old_ids(receipt, ids, count, error);

    if (code == 0)
        code = session_pair(&extra, "REASON", "superseded", error);
    if (code == 0)
        code = change_apply(rotation->call->session, "KEY.REVOKE", ids, count, &extra, &revoked,
                            error);
    if (code == 0)
        code = receipt_join(&rotation->superseded, revoked, error);
    if (code != 0)
        error_prefix(error, "the new keys were delivered, but the old ones are not revoked yet and "
                            "both work: revoke them with --reason superseded");
    session_words_free(&extra);
    free(ids);
    return code;
}

static int rotation_words(const struct rotation *rotation, struct session_words *words,
                          struct error *error)
{
    int code = 0;

    if (rotation->grace != NULL)
        code = session_pair(words, "GRACE", rotation->grace, error);
    if (code == 0 && rotation->unseen != NULL)
        code = session_pair(words, "UNTIL_UNSEEN", rotation->unseen, error);
    if (code == 0 && rotation->on_use)
        code = session_word(words, "ON_USE", error);
    return code;
}

/* Rotates one chunk. Returns the exit status; has printed any error. */
static int rotate_chunk(struct rotation *rotation, const uint64_t *ids, size_t count)
{
    struct session_words extra = {0};
    struct error error = {0};
    json_t *receipt = NULL;
    int status = EX_OK;

    if (rotation_words(rotation, &extra, &error) != 0 ||
        change_chunk(rotation->call->session, "KEY.ROTATE", ids, count, &extra, &receipt, &error) !=
            0)
        status = output_error(&error);
    else if (deliver(rotation, receipt, &error) != 0)
        status = undelivered(rotation, receipt, &error);
    else {
        if (rotation->immediate && supersede(rotation, receipt, &error) != 0)
            status = output_error(&error);
        if (receipt_join(&rotation->receipt, receipt, &error) != 0)
            status = output_error(&error);
        receipt = NULL;
    }
    session_words_free(&extra);
    json_decref(receipt);
    return status;
}

/* With --output the keys are in the file and nowhere else. */
static void keys_hide(const json_t *receipt)
{
    const json_t *keys = json_object_get(receipt, "keys");

    for (size_t i = 0; i < json_array_size(keys); i++)
        (void)json_object_del(json_array_get(keys, i), "key");
}

static void report_json(struct rotation *rotation)
{
    if (rotation->delivery.path == NULL) {
        stdout_finish(rotation);
        return;
    }
    keys_hide(rotation->receipt);
    if (rotation->superseded != NULL)
        (void)json_object_set(rotation->receipt, "superseded", rotation->superseded);
    output_json(rotation->receipt);
}

/* Who still uses what was replaced is who has to be given the new key. */
static void old_used(const json_t *keys)
{
    fputs("catlatch: old: ", stderr);
    receipt_last_used(stderr, keys);
}

/* What ends the old keys. */
static void report_end(const struct rotation *rotation, const char *until, size_t count)
{
    const char *keys = count == 1 ? "the old key is" : "the old keys are";
    char evidence[128] = "", at_most[64] = "";

    if (rotation->on_use && rotation->unseen != NULL && rotation->grace != NULL)
        snprintf(evidence, sizeof evidence,
                 "%.24s after the first use of its successor, or not used for %.24s from then on",
                 rotation->grace, rotation->unseen);
    else if (rotation->on_use && rotation->unseen != NULL)
        snprintf(evidence, sizeof evidence,
                 "not used for %.24s, counted from the first use of its successor",
                 rotation->unseen);
    else if (rotation->on_use)
        snprintf(evidence, sizeof evidence, "%.24s after the first use of its successor",
                 rotation->grace);
    else if (rotation->unseen != NULL)
        snprintf(evidence, sizeof evidence, "not used for %.24s", rotation->unseen);
    if (evidence[0] == '\0') {
        output_note("%s valid until %s%s", keys, *until != '\0' ? until : "they expire",
                    count == 1 ? "" : " at most");
        return;
    }
    if (*until != '\0')
        snprintf(at_most, sizeof at_most, ", and until %.24s at most", until);
    output_note("%s valid until %s%s", keys, evidence, at_most);
}

static void report_text(const struct rotation *rotation)
{
    const json_t *keys = json_object_get(rotation->receipt, "keys");
    const json_t *first = json_array_get(keys, 0);
    size_t count = json_array_size(keys);
    const char *until = value_text(first, "old_expires_at");

    if (rotation->delivery.path != NULL)
        output_note("%zu new %s written to %s; this is the only copy", count,
                    count == 1 ? "key" : "keys", rotation->delivery.path);
    else
        output_note("%s replaces %s; the key above is shown this once and kept nowhere: copy it "
                    "now",
                    value_text(first, "id"), value_text(first, "old_id"));
    if (rotation->superseded != NULL) {
        size_t old = json_array_size(json_object_get(rotation->superseded, "keys"));
        fputs("catlatch: old: ", stderr);
        receipt_line(stderr, rotation->superseded, old, "refused everywhere", "since");
        old_used(json_object_get(rotation->superseded, "keys"));
    } else if (!rotation->immediate) {
        report_end(rotation, until, count);
        if (json_array_size(rotation->old) == count)
            old_used(rotation->old);
    }
}

/* A successor is refused where its predecessor was. */
static void report_refused(const struct rotation *rotation)
{
    const json_t *keys = json_object_get(rotation->receipt, "keys");
    size_t count = json_array_size(keys), suspended = 0, disabled = 0;

    for (size_t i = 0; i < count; i++) {
        const json_t *key = json_array_get(keys, i);
        if (value_true(key, "owner_suspended"))
            suspended++;
        else
            disabled += strcmp(value_text(key, "state"), "disabled") == 0;
    }
    if (suspended > 0)
        output_note("%zu of %zu new %s refused until `catlatch owner resume`: the owner is "
                    "suspended",
                    suspended, count, count == 1 ? "key is" : "keys are");
    if (disabled > 0)
        output_note("%zu of %zu new %s refused until `catlatch enable`: what it replaces was "
                    "disabled",
                    disabled, count, count == 1 ? "key is" : "keys are");
}

static int rotate_all(struct rotation *rotation, const struct targets *targets)
{
    int status = EX_OK;

    for (size_t done = 0; status == EX_OK && done < targets->count;) {
        size_t left = targets->count - done;
        size_t chunk = left < CHANGE_CHUNK_MAX ? left : CHANGE_CHUNK_MAX;
        status = rotate_chunk(rotation, targets->ids + done, chunk);
        if (status == EX_OK)
            done += chunk;
        else if (done > 0)
            output_note("%zu of %zu keys were rotated before that", done, targets->count);
    }
    if (rotation->receipt != NULL && rotation->json)
        report_json(rotation);
    else if (rotation->receipt != NULL)
        report_text(rotation);
    report_refused(rotation);
    return status;
}

static int rotate_targets(struct rotation *rotation, const struct targets *targets)
{
    const char *path = option_text(&rotation->call->options, OPTION_OUTPUT);
    struct error error = {0};
    int status;

    if (path == NULL && targets->count > 1)
        return output_usage("several new keys need a file to go to: --output FILE; nothing was "
                            "changed");
    if (delivery_open(path, targets->count, &rotation->delivery, &error) != 0)
        return output_error(&error);
    rotation->old = targets->preview;
    status = rotate_all(rotation, targets);
    delivery_close(&rotation->delivery);
    json_decref(rotation->receipt);
    json_decref(rotation->superseded);
    return status;
}

int cmd_rotate(struct call *call)
{
    static const struct targets_plan plan = {.verb = "rotate",
                                             .participle = "rotated",
                                             .omits = cannot_rotate,
                                             .omitted = "revoked, expired or rotated already"};
    struct rotation rotation = {.call = call, .json = option_given(&call->options, OPTION_JSON)};
    struct targets targets = {0};
    struct error error = {0};
    int status = EX_OK;

    if (evidence_read(&call->options, &rotation, &error) != 0 ||
        grace_read(&call->options, &rotation, &error) != 0)
        return output_error(&error);
    if (targets_settle(call, &plan, &targets, &status) == TARGETS_STOP)
        return status;
    status = rotate_targets(&rotation, &targets);
    targets_free(&targets);
    return status;
}
