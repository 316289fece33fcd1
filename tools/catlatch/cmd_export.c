/* export: every key as a line that `import` takes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "output.h"
#include "progress.h"
#include "value.h"

#define PAGE "1000"

/* In this order; what is null or empty is left out. */
static const char *const fields[] = {
    "id",          "sha256",     "name",          "owner",          "prefix",
    "environment", "state",      "created_at",    "last_used_at",   "expires_at",
    "not_before",  "revoked_at", "revoke_reason", "revoke_comment", "comment",
    "scopes",      "metadata",   "rotated_from",  "rotated_to",     "assumed_bits",
};

static bool is_empty(const json_t *value)
{
    return value == NULL || json_is_null(value) ||
           (json_is_integer(value) && json_integer_value(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static int line_write(const json_t *line, struct error *error)
{
    if (line == NULL || json_dumpf(line, stdout, JSON_COMPACT) != 0)
        return error_set(error, CATLATCH_E_IO, "writing to standard output");
    putchar('\n');
    return ferror(stdout) ? error_set(error, CATLATCH_E_IO, "writing to standard output") : 0;
}

/* What is stored: expired and not yet valid follow from the times. */
static void state_set(json_t *line, const json_t *key)
{
    bool revoked = strcmp(value_text(key, "state"), "revoked") == 0;
    bool disabled = value_true(key, "disabled");

    (void)json_object_set_new(line, "state",
                              json_string(revoked    ? "revoked"
                                          : disabled ? "disabled"
                                                     : "active"));
    if (revoked && disabled)
        (void)json_object_set_new(line, "disabled", json_true());
}

static int key_write(const json_t *key, struct error *error)
{
    json_t *line = json_object();
    int code;

    for (size_t i = 0; line != NULL && i < sizeof fields / sizeof *fields; i++) {
        json_t *value = json_object_get(key, fields[i]);
        if (strcmp(fields[i], "state") == 0)
            state_set(line, key);
        else if (!is_empty(value))
            (void)json_object_set(line, fields[i], value);
    }
    code = line_write(line, error);
    json_decref(line);
    return code;
}

static int owner_write(const json_t *owner, struct error *error)
{
    json_t *line;
    int code;

    if (!value_true(owner, "suspended"))
        return 0;
    line = json_pack("{sO sO}", "suspended_owner", json_object_get(owner, "owner"), "suspended_at",
                     json_object_get(owner, "suspended_at"));
    code = line_write(line, error);
    json_decref(line);
    return code;
}

/* Page by page, each entry to `write`. */
static int pages_write(struct session *session, const char *verb, const char *list,
                       int (*write)(const json_t *entry, struct error *error), struct error *error)
{
    char cursor[512] = "";
    struct progress progress;
    uint64_t count = 0;
    int code = 0;

    progress_begin("exporting", list, 0, &progress);
    do {
        struct session_words request = {0};
        json_t *page = NULL;
        code = session_pair(&request, verb, "LIMIT", error);
        if (code == 0)
            code = session_word(&request, PAGE, error);
        if (code == 0)
            code = session_pair(&request, "CURSOR", *cursor != '\0' ? cursor : NULL, error);
        if (code == 0)
            code = session_ask(session, &request, &page, error);
        session_words_free(&request);
        if (code != 0)
            break;
        const json_t *entries = json_object_get(page, list);
        for (size_t i = 0; code == 0 && i < json_array_size(entries); i++)
            code = write(json_array_get(entries, i), error);
        count += json_array_size(entries);
        progress_show(&progress, count);
        snprintf(cursor, sizeof cursor, "%s", value_text(page, "cursor"));
        json_decref(page);
    } while (code == 0 && *cursor != '\0');
    progress_end(&progress);
    return code;
}

/* Suspended owners first: their keys must not be accepted for a moment where they are imported. */
int cmd_export(struct call *call)
{
    struct error error = {0};
    int code = call_connect(call, &error);

    if (code == 0)
        code = pages_write(call->session, "OWNER.LIST", "owners", owner_write, &error);
    if (code == 0)
        code = pages_write(call->session, "KEY.EXPORT", "keys", key_write, &error);
    return code != 0 ? output_error(&error) : EX_OK;
}
