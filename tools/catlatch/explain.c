#include "explain.h"

#include <stdio.h>

#include "output.h"
#include "value.h"

struct telling {
    json_t *lines;
    bool failed;
};

static void tell_line(void *context, const struct catlatch_step *step)
{
    struct telling *telling = context;
    const char *so_far = step->result != NULL ? catlatch_result_name(step->standing) : NULL;
    json_t *line = json_pack("{ss si si ss ss? ss? ss? ss? sI}", "file", step->file, "line",
                             (int)step->line, "level", (int)step->level, "control", step->control,
                             "module", step->module, "result", step->result, "action", step->action,
                             "so_far", so_far, "took_ns", (json_int_t)step->elapsed_ns);

    telling->failed |= json_array_append_new(telling->lines, line) != 0;
}

static int decide(struct catlatch *latch, const char *service,
                  const struct catlatch_request *request, json_t **ret_answer, struct error *error)
{
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct catlatch_identity identity = {.size = sizeof identity};
    struct telling telling = {.lines = json_array()};
    const char *id = NULL;

    enum catlatch_result result = catlatch_explain(latch, request, &outcome, tell_line, &telling);
    if (outcome.matched == 1 && catlatch_identity(latch, &outcome, &identity) == 0)
        id = identity.key_id;
    json_t *answer = json_pack("{ss ss ss? so}", "service", service, "result",
                               catlatch_result_name(result), "id", id, "lines", telling.lines);
    if (answer == NULL || telling.failed) {
        json_decref(answer);
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    }
    *ret_answer = answer;
    return 0;
}

int explain_ask(const char *config_path, const char *service,
                const struct catlatch_request *request, json_t **ret_answer, struct error *error)
{
    struct catlatch_options options = {
        .size = sizeof options, .config_path = config_path, .service = service};
    struct catlatch *latch = NULL;
    char message[sizeof error->text] = "";

    int code = catlatch_open(&options, &latch, message, sizeof message);
    if (code != 0)
        return error_set(error, code, "%s", message);
    code = decide(latch, service, request, ret_answer, error);
    catlatch_close(latch);
    return code;
}

/* A line as the table has it: substacks stand to the right, and what did not run has no result. */
static json_t *row_of(const json_t *line)
{
    char module[128], took[32] = "";
    int level = (int)json_integer_value(json_object_get(line, "level"));
    bool ran = json_is_string(json_object_get(line, "result"));
    bool is_line = json_is_string(json_object_get(line, "module"));

    snprintf(module, sizeof module, "%*s%s", 2 * level, "", value_text(line, "module"));
    if (ran)
        snprintf(took, sizeof took, "%lld ns",
                 (long long)json_integer_value(json_object_get(line, "took_ns")));
    return json_pack(
        "{ss ss ss ss ss ss}", "control", value_text(line, "control"), "module", module, "result",
        ran       ? value_text(line, "result")
        : is_line ? "not run"
                  : "",
        "action", value_text(line, "action"), "so_far", value_text(line, "so_far"), "took", took);
}

int explain_print(const json_t *answer, struct error *error)
{
    static const struct output_column COLUMNS[] = {
        {"CONTROL", "control", 0, OUTPUT_FIXED}, {"MODULE", "module", 0, OUTPUT_FIXED},
        {"RESULT", "result", 0, OUTPUT_FIXED},   {"ACTION", "action", 0, OUTPUT_FIXED},
        {"SO FAR", "so_far", 0, OUTPUT_FIXED},   {"TOOK", "took", 0, OUTPUT_FIXED},
    };
    struct output_table table = {
        .stream = stdout, .columns = COLUMNS, .column_count = sizeof COLUMNS / sizeof *COLUMNS};
    const json_t *lines = json_object_get(answer, "lines");
    json_t *rows = json_array();
    bool failed = rows == NULL;

    for (size_t i = 0; i < json_array_size(lines) && !failed; i++)
        failed = json_array_append_new(rows, row_of(json_array_get(lines, i))) != 0;
    int code = failed ? error_set(error, CATLATCH_E_MEMORY, "out of memory")
                      : output_table(&table, rows, error);
    json_decref(rows);
    if (code == 0)
        printf("%s by service %s%s%s\n", value_text(answer, "result"),
               value_text(answer, "service"), *value_text(answer, "id") != '\0' ? ": " : "",
               value_text(answer, "id"));
    return code;
}
