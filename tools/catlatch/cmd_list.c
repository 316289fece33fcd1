/* list and show. */
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
        .table = {stdout, output_key_columns, output_key_column_count, 0},
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
        code = output_record(stdout, key, error);
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
