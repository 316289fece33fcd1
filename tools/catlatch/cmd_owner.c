/* owner list, show, suspend, resume, update. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "core/rate.h"
#include "output.h"
#include "value.h"

static const struct output_column columns[] = {
    {"OWNER", "owner", 12, OUTPUT_WRAPS},        {"KEYS", "keys", 6, OUTPUT_FIXED},
    {"SUSPENDED", "suspended", 9, OUTPUT_FIXED}, {"SINCE", "suspended_at", 16, OUTPUT_FIXED},
    {"RATES", "rates", 8, OUTPUT_WRAPS},         {"CREATED", "created_at", 16, OUTPUT_SPARE},
};

/* Asks for one page of owners; *io_cursor is NULL at first and again after the last page. */
static int owners_ask(struct session *session, char **io_cursor, json_t **ret_map,
                      struct error *error)
{
    struct session_words request = {0};
    const char *next;
    int code = session_word(&request, "OWNER.LIST", error);

    if (code == 0)
        code = session_pair(&request, "CURSOR", *io_cursor, error);
    if (code == 0)
        code = session_ask(session, &request, ret_map, error);
    session_words_free(&request);
    free(*io_cursor);
    *io_cursor = NULL;
    next = code == 0 ? json_string_value(json_object_get(*ret_map, "cursor")) : NULL;
    if (next != NULL && (*io_cursor = strdup(next)) == NULL)
        code = error_set(error, CATLATCH_E_MEMORY, "out of memory");
    return code;
}

static int owners_print(struct session *session, bool json, struct error *error)
{
    struct output_table table = {
        .stream = stdout, .columns = columns, .column_count = sizeof columns / sizeof *columns};
    struct output_array array = {0};
    char *cursor = NULL;
    int code;

    do {
        json_t *map = NULL, *owners;
        code = owners_ask(session, &cursor, &map, error);
        owners = json_object_get(map, "owners");
        if (code == 0 && !json)
            code = output_table(&table, owners, error);
        for (size_t i = 0; json && i < json_array_size(owners); i++)
            output_array_add(&array, json_array_get(owners, i));
        json_decref(map);
    } while (code == 0 && cursor != NULL);
    if (json && (code == 0 || array.count > 0))
        output_array_end(&array);
    free(cursor);
    return code;
}

int cmd_owner_list(struct call *call)
{
    struct error error = {0};

    if (call_connect(call, &error) != 0 ||
        owners_print(call->session, option_given(&call->options, OPTION_JSON), &error) != 0)
        return output_error(&error);
    return EX_OK;
}

/* Sends `verb OWNER [SET rate rates] [COMMENT c]`; the caller owns the map. */
static int owner_ask(struct call *call, const char *verb, const char *rates, json_t **ret_map,
                     struct error *error)
{
    struct session_words request = {0};
    int code = call_connect(call, error);

    if (code == 0)
        code = session_pair(&request, verb, call->options.operands[0], error);
    if (code == 0 && rates != NULL)
        code = session_pair(&request, "SET", "rate", error);
    if (code == 0 && rates != NULL)
        code = session_word(&request, rates, error);
    if (code == 0)
        code =
            session_pair(&request, "COMMENT", option_text(&call->options, OPTION_BECAUSE), error);
    if (code == 0)
        code = session_ask(call->session, &request, ret_map, error);
    session_words_free(&request);
    return code;
}

int cmd_owner_show(struct call *call)
{
    struct error error = {0};
    json_t *owner = NULL;
    int code = owner_ask(call, "OWNER.GET", NULL, &owner, &error);

    if (code == 0 && option_given(&call->options, OPTION_JSON))
        output_json(owner);
    else if (code == 0)
        code = output_record(stdout, owner, &error);
    json_decref(owner);
    return code != 0 ? output_error(&error) : EX_OK;
}

/* "owner acme: 2 keys changed, all refused everywhere on HOST since TIME (sequence S, ...)" */
static void owner_line(FILE *stream, const json_t *owner, const char *what)
{
    json_int_t count = json_integer_value(json_object_get(owner, "count"));
    json_int_t keys = json_integer_value(json_object_get(owner, "keys"));

    fprintf(stream,
            "owner %s: %" JSON_INTEGER_FORMAT
            " %s changed, %s on %s since %s (sequence %s, generation %" JSON_INTEGER_FORMAT ")%s\n",
            value_text(owner, "owner"), count, count == 1 ? "key" : "keys", what,
            value_text(owner, "host"), value_text(owner, "time"), value_text(owner, "sequence"),
            json_integer_value(json_object_get(owner, "generation")),
            count == 0 && keys > 0 ? "; it was so already" : "");
}

static int owner_change(struct call *call, const char *verb, const char *rates, const char *what)
{
    struct error error = {0};
    json_t *owner = NULL;
    int code = owner_ask(call, verb, rates, &owner, &error);
    int status = EX_OK;

    if (code == 0 && option_given(&call->options, OPTION_JSON))
        output_json(owner);
    else if (code == 0)
        owner_line(stdout, owner, what);
    if (code == 0 && output_was_lost()) {
        owner_line(stderr, owner, what);
        status = EX_IOERR;
    }
    json_decref(owner);
    return code != 0 ? output_error(&error) : status;
}

int cmd_owner_suspend(struct call *call)
{
    return owner_change(call, "OWNER.SUSPEND", NULL, "all refused everywhere");
}

int cmd_owner_resume(struct call *call)
{
    return owner_change(call, "OWNER.RESUME", NULL, "no longer suspended");
}

/* --set rate=RATES, and nothing else. */
static int rates_set(const struct options *options, const char **ret_rates, struct error *error)
{
    const char *set = option_text(options, OPTION_SET);
    struct error why;
    struct rates rates;

    if (set == NULL)
        return error_set(error, CATLATCH_E_ARGUMENT,
                         "owner update needs what to change: --set rate=100/1m");
    if (options->values[OPTION_SET].count > 1)
        return error_set(error, CATLATCH_E_ARGUMENT,
                         "--set is given twice; several rates are one list: rate=10/1s,1000/1h");
    if (strncmp(set, "rate=", 5) != 0)
        return error_set(error, CATLATCH_E_ARGUMENT,
                         "--set of an owner takes rate=RATES and nothing else");
    *ret_rates = set + 5;
    if (set[5] != '\0' && rates_parse(text_of(set + 5), &rates, &why) != 0)
        return error_set(error, CATLATCH_E_DATA, "--set rate: %s", why.text);
    return 0;
}

int cmd_owner_update(struct call *call)
{
    struct error error = {0};
    const char *rates = "";

    if (rates_set(&call->options, &rates, &error) != 0)
        return output_error(&error);
    return owner_change(call, "OWNER.UPDATE", rates,
                        rates[0] != '\0' ? "limited together" : "no longer limited together");
}
