/* export: every key as a line that `import` takes. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "export_line.h"
#include "output.h"
#include "progress.h"
#include "value.h"

#define PAGE "1000"

static int line_write(const json_t *line, struct error *error)
{
    if (line == NULL || json_dumpf(line, stdout, JSON_COMPACT) != 0)
        return error_set(error, CATLATCH_E_IO, "writing to standard output");
    putchar('\n');
    return ferror(stdout) ? error_set(error, CATLATCH_E_IO, "writing to standard output") : 0;
}

static int key_write(const json_t *key, struct error *error)
{
    json_t *line = export_line_of(key);
    int code = line_write(line, error);

    json_decref(line);
    return code;
}

/* What is told of the owner under the first name, and more of it under the second. */
static int owner_line(const json_t *owner, const char *name, const char *more, struct error *error)
{
    json_t *line = json_pack("{sO sO}", name, json_object_get(owner, "owner"), more,
                             json_object_get(owner, more));
    int code = line_write(line, error);

    json_decref(line);
    return code;
}

static int owner_write(const json_t *owner, struct error *error)
{
    int code = 0;

    if (value_true(owner, "suspended"))
        code = owner_line(owner, "suspended_owner", "suspended_at", error);
    if (code == 0 && json_array_size(json_object_get(owner, "rates")) > 0)
        code = owner_line(owner, "limited_owner", "rates", error);
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

/* Owners first: what they are refused must not pass for a moment where they are imported. */
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
