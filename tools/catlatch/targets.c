#include "targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "confirm.h"
#include "core/key.h"
#include "output.h"
#include "value.h"
#include "visit.h"

/* error_exit_status(E_NOT_FOUND), said by its meaning here: a selection that matches nothing. */
#define STATUS_NOTHING 1

bool target_is_revoked(const json_t *key)
{
    return strcmp(value_text(key, "state"), "revoked") == 0;
}

bool target_is_not_revoked(const json_t *key)
{
    return !target_is_revoked(key);
}

static int target_add(struct targets *targets, json_t *key, struct error *error)
{
    const char *id = value_text(key, "id");

    if (targets->count == targets->capacity) {
        size_t capacity = targets->capacity > 0 ? 2 * targets->capacity : 64;
        uint64_t *ids = reallocarray(targets->ids, capacity, sizeof *ids);
        if (ids == NULL)
            return error_set(error, CATLATCH_E_MEMORY, "out of memory");
        targets->ids = ids;
        targets->capacity = capacity;
    }
    if (key_id_parse(id, strlen(id), &targets->ids[targets->count]) != 0)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "the daemon sent a key without an id");
    if (targets->count < TARGETS_PREVIEW_MAX && json_array_append(targets->preview, key) != 0)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    targets->count++;
    return 0;
}

static int page_add(void *context, const json_t *keys, struct error *error)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < json_array_size(keys); i++)
        code = target_add(context, json_array_get(keys, i), error);
    return code;
}

struct dry_run {
    bool json;
    struct output_array array;
    struct output_table table;
    size_t count;
};

static int page_print(void *context, const json_t *keys, struct error *error)
{
    struct dry_run *run = context;

    run->count += json_array_size(keys);
    if (!run->json)
        return output_table(&run->table, keys, error);
    for (size_t i = 0; i < json_array_size(keys); i++)
        output_array_add(&run->array, json_array_get(keys, i));
    return 0;
}

static const char *plural(size_t count)
{
    return count == 1 ? "key" : "keys";
}

static int nothing_matches(const struct targets_plan *plan, const struct selection *selection)
{
    if (selection->omitted > 0)
        output_note("nothing to do: %zu %s matched, %s; nothing was changed", selection->omitted,
                    plural(selection->omitted), plan->omitted);
    else
        output_note("no key matches; nothing was changed");
    return STATUS_NOTHING;
}

static int targets_print(struct call *call, const struct targets_plan *plan,
                         struct selection *selection)
{
    struct dry_run run = {
        .json = option_given(&call->options, OPTION_JSON),
        .table = {.stream = stdout,
                  .columns = output_key_columns,
                  .column_count = output_key_column_count},
    };
    struct error error = {0};
    int code;

    code = selection_visit(selection, call->session, page_print, &run, &error);
    if (run.json && (code == 0 || run.count > 0))
        output_array_end(&run.array);
    if (code != 0)
        return output_error(&error);
    if (run.count == 0)
        return nothing_matches(plan, selection);
    output_note("dry run: %zu %s would be %s; nothing was changed", run.count, plural(run.count),
                plan->participle);
    return EX_OK;
}

static void preview_print(const struct targets *targets)
{
    struct output_table table = {
        .stream = stderr, .columns = output_key_columns, .column_count = output_key_column_count};

    (void)output_table(&table, targets->preview, NULL);
    if (targets->count > TARGETS_PREVIEW_MAX)
        fprintf(stderr, "... and %zu more (--dry-run lists all)\n",
                targets->count - TARGETS_PREVIEW_MAX);
}

static enum targets_answer ask_with_disable(const struct targets *targets)
{
    static const char *const answers[] = {"revoke", "disable", "no"};
    char question[256];

    snprintf(question, sizeof question,
             "Revoke %zu %s for ever? A revoked key can never be used again; a disabled one is "
             "refused as well and can be enabled.",
             targets->count, plural(targets->count));
    switch (confirm_ask(question, answers, 3)) {
    case 0:
        return TARGETS_GO;
    case 1:
        return TARGETS_DISABLE;
    default:
        return TARGETS_STOP;
    }
}

static enum targets_answer ask(const struct targets_plan *plan, const struct targets *targets)
{
    static const char *const answers[] = {"yes", "no"};
    char question[128];

    if (plan->final)
        return ask_with_disable(targets);
    snprintf(question, sizeof question, "%c%s %zu %s?", plan->verb[0] - 'a' + 'A', plan->verb + 1,
             targets->count, plural(targets->count));
    return confirm_ask(question, answers, 2) == 0 ? TARGETS_GO : TARGETS_STOP;
}

/* Whether stdin was used up for ids or keys, so that it says nothing about who is there. */
static bool stdin_is_input(const struct options *options)
{
    const char *ids_from = option_text(options, OPTION_IDS_FROM);

    return option_given(options, OPTION_KEY_STDIN) ||
           (ids_from != NULL && strcmp(ids_from, "-") == 0);
}

static enum targets_answer agree(struct call *call, const struct targets_plan *plan,
                                 const struct targets *targets, int *ret_status)
{
    enum targets_answer answer;

    if (option_given(&call->options, OPTION_YES))
        return TARGETS_GO;
    if (!confirm_is_possible(stdin_is_input(&call->options))) {
        if (targets->count == 1)
            return TARGETS_GO;
        *ret_status = output_usage("%zu keys would be %s: say --yes, or see them with --dry-run; "
                                   "nothing was changed",
                                   targets->count, plan->participle);
        return TARGETS_STOP;
    }
    if (targets->count == 1 && !plan->final)
        return TARGETS_GO;
    preview_print(targets);
    answer = ask(plan, targets);
    if (answer == TARGETS_STOP) {
        output_note("nothing was changed");
        *ret_status = STATUS_NOTHING;
    }
    return answer;
}

static enum targets_answer targets_find(struct call *call, const struct targets_plan *plan,
                                        struct selection *selection, struct targets *targets,
                                        int *ret_status)
{
    struct error error = {0};

    if (option_given(&call->options, OPTION_DRY_RUN)) {
        *ret_status = targets_print(call, plan, selection);
        return TARGETS_STOP;
    }
    targets->preview = json_array();
    if (selection_visit(selection, call->session, page_add, targets, &error) != 0) {
        *ret_status = output_error(&error);
        return TARGETS_STOP;
    }
    if (targets->count == 0) {
        *ret_status = nothing_matches(plan, selection);
        return TARGETS_STOP;
    }
    if (selection->omitted > 0)
        output_note("%zu matching %s left out: %s", selection->omitted,
                    selection->omitted == 1 ? "key is" : "keys are", plan->omitted);
    return agree(call, plan, targets, ret_status);
}

enum targets_answer targets_settle(struct call *call, const struct targets_plan *plan,
                                   struct targets *ret_targets, int *ret_status)
{
    struct selection selection = {.options = &call->options};
    struct targets targets = {0};
    struct error error = {0};
    enum targets_answer answer = TARGETS_STOP;
    bool open = call->options.operand_count == 0 && selection_is_open(&selection);

    if (open)
        *ret_status = output_usage("%s needs ids or an option that selects keys: catlatch %s "
                                   "--help",
                                   plan->verb, plan->verb);
    else if (call_connect(call, &error) != 0 ||
             selection_read(&call->options, &selection, &error) != 0)
        *ret_status = output_error(&error);
    else {
        selection.omits = selection.by_key && plan->omits_no_raw_keys ? NULL : plan->omits;
        answer = targets_find(call, plan, &selection, &targets, ret_status);
    }
    selection_free(&selection);
    if (answer == TARGETS_STOP)
        targets_free(&targets);
    else
        *ret_targets = targets;
    return answer;
}

void targets_free(struct targets *targets)
{
    free(targets->ids);
    json_decref(targets->preview);
    *targets = (struct targets){0};
}
