/* list and show. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "output.h"
#include "value.h"
#include "visit.h"

struct listing {
    bool json;
    struct output_array array;
    struct output_table table;
    size_t count;
};

static int page_list(void *context, const json_t *keys, struct error *error)
{
    struct listing *listing = context;

    listing->count += json_array_size(keys);
    if (!listing->json)
        return output_table(&listing->table, keys, error);
    for (size_t i = 0; i < json_array_size(keys); i++)
        output_array_add(&listing->array, json_array_get(keys, i));
    return 0;
}

static int list_print(struct call *call, struct selection *selection, struct error *error)
{
    struct listing listing = {
        .json = option_given(&call->options, OPTION_JSON),
        .table = {.stream = stdout,
                  .columns = output_key_columns,
                  .column_count = output_key_column_count},
    };
    int code = selection_visit(selection, call->session, page_list, &listing, error);

    if (listing.json && (code == 0 || listing.count > 0))
        output_array_end(&listing.array);
    if (code == 0 && listing.count == 0 && !selection_is_open(selection))
        code = error_set(error, CATLATCH_E_NOT_FOUND, "no key matches");
    return code;
}

int cmd_list(struct call *call)
{
    struct selection selection = {0};
    struct error error = {0};
    int status = EX_OK;

    if (call_connect(call, &error) != 0 ||
        selection_read(&call->options, &selection, &error) != 0 ||
        list_print(call, &selection, &error) != 0)
        status = output_error(&error);
    selection_free(&selection);
    return status;
}

/* One kind of event as people read it: "TIME from ADDRESS, N times". NULL: out of memory. */
static json_t *event_text(const json_t *key, const char *at, const char *from, const char *count)
{
    json_int_t times = json_integer_value(json_object_get(key, count));
    const char *when = value_text(key, at), *where = value_text(key, from);
    char how_often[48] = "";

    if (*when == '\0' && times == 0)
        return json_string("never");
    if (times == 1)
        snprintf(how_often, sizeof how_often, ", once");
    else if (times > 1)
        snprintf(how_often, sizeof how_often, ", %" JSON_INTEGER_FORMAT " times", times);
    return json_sprintf("%s%s%s%s", *when != '\0' ? when : "at a time that was not noted",
                        *where != '\0' ? " from " : "", where, how_often);
}

/* Whether `last_used` and `last_refused` tell of it. */
static bool is_of_use(const char *field)
{
    return strncmp(field, "last_used_", 10) == 0 || strncmp(field, "last_refused_", 13) == 0 ||
           strcmp(field, "use_count") == 0 || strcmp(field, "refused_count") == 0;
}

/* The key with what is known of its use in one or two lines. NULL: out of memory. */
static json_t *key_text(const json_t *key)
{
    json_t *text = json_object();
    const char *field;
    json_t *value;
    int failed = 0;

    json_object_foreach((json_t *)(uintptr_t)key, field, value)
    {
        if (strcmp(field, "last_used_at") == 0)
            failed |= json_object_set_new(text, "last_used",
                                          event_text(key, field, "last_used_from", "use_count"));
        else if (strcmp(field, "last_refused_at") == 0 &&
                 json_integer_value(json_object_get(key, "refused_count")) > 0)
            failed |= json_object_set_new(
                text, "last_refused", event_text(key, field, "last_refused_from", "refused_count"));
        else if (!is_of_use(field))
            failed |= json_object_set(text, field, value);
    }
    if (failed == 0)
        return text;
    json_decref(text);
    return NULL;
}

static int key_print(const json_t *key, struct error *error)
{
    json_t *text = key_text(key);
    int code = text != NULL ? output_record(stdout, text, error)
                            : error_set(error, CATLATCH_E_MEMORY, "out of memory");

    json_decref(text);
    return code;
}

static int show_print(struct call *call, struct error *error)
{
    struct session_words request = {0};
    json_t *key = NULL;
    int code = session_pair(&request, "KEY.GET", call->options.operands[0], error);

    if (code == 0)
        code = session_ask(call->session, &request, &key, error);
    if (code == 0 && option_given(&call->options, OPTION_JSON))
        output_json(key);
    else if (code == 0)
        code = key_print(key, error);
    session_words_free(&request);
    json_decref(key);
    return code;
}

int cmd_show(struct call *call)
{
    struct selection selection = {0};
    struct error error = {0};
    int status = EX_OK;

    /* The selection is read for the check of the id alone. */
    if (call_connect(call, &error) != 0 ||
        selection_read(&call->options, &selection, &error) != 0 || show_print(call, &error) != 0)
        status = output_error(&error);
    selection_free(&selection);
    return status;
}
