/* verify: asks the daemon about one key, which comes on standard input; or the library, line by
 * line. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "core/key.h"
#include "core/result.h"
#include "explain.h"
#include "input.h"
#include "output.h"
#include "value.h"

static int check_input(const struct input *input, struct error *error)
{
    if (input->count == 1)
        return 0;
    return error_set(error, CATLATCH_E_DATA,
                     input->count == 0 ? "no key came on standard input"
                                       : "one key is verified at a time; several lines came on "
                                         "standard input");
}

static int verify_words(const struct options *options, const struct input *input,
                        struct session_words *request, struct error *error)
{
    const struct option_values *scopes = &options->values[OPTION_NEED_SCOPE];
    int code;

    code = session_pair(request, "KEY.VERIFY", input_line(input, 0), error);
    if (code == 0)
        code = session_pair(request, "SERVICE", option_text(options, OPTION_SERVICE), error);
    for (size_t i = 0; code == 0 && i < scopes->count; i++)
        code = session_pair(request, "SCOPE", scopes->list[i], error);
    if (code == 0)
        code = session_pair(request, "ADDRESS", option_text(options, OPTION_ADDRESS), error);
    if (code == 0)
        code = session_word(request, "DRY", error);
    return code;
}

static void print_line(const json_t *answer)
{
    const json_t *scopes = json_object_get(answer, "scopes");

    printf("%s", value_text(answer, "result"));
    if (*value_text(answer, "id") != '\0' && *value_text(answer, "owner") == '\0')
        printf(": %s, which was purged", value_text(answer, "id"));
    else if (*value_text(answer, "id") != '\0')
        printf(": %s (%s) of owner %s in %s", value_text(answer, "id"), value_text(answer, "name"),
               value_text(answer, "owner"), value_text(answer, "environment"));
    for (size_t i = 0; i < json_array_size(scopes); i++)
        printf("%s%s", i == 0 ? ", scopes " : " ", json_string_value(json_array_get(scopes, i)));
    if (*value_text(answer, "expires_at") != '\0')
        printf(", until %s", value_text(answer, "expires_at"));
    putchar('\n');
}

static int answer_status(const json_t *answer)
{
    const char *result = value_text(answer, "result");

    if (strcmp(result, result_name(CATLATCH_VALID)) == 0)
        return EX_OK;
    if (strcmp(result, result_name(CATLATCH_UNAVAILABLE)) == 0)
        return EX_UNAVAILABLE;
    return 1;
}

/* By the daemon. */
static int ask(struct call *call, const struct input *input, json_t **ret_answer,
               struct error *error)
{
    struct session_words request = {0};
    int code = verify_words(&call->options, input, &request, error);
    if (code == 0)
        code = session_ask(call->session, &request, ret_answer, error);
    session_words_free(&request);
    return code;
}

/* By the library, in this process. */
static int explain(struct call *call, const struct input *input, json_t **ret_answer,
                   struct error *error)
{
    const struct options *options = &call->options;
    const struct option_values *scopes = &options->values[OPTION_NEED_SCOPE];
    const char *service = option_text(options, OPTION_SERVICE);
    struct catlatch_request request = {
        .size = sizeof request,
        .key = input_line(input, 0),
        .key_len = strlen(input_line(input, 0)),
        .scopes = (const char *const *)scopes->list,
        .scope_count = scopes->count,
        .address = option_text(options, OPTION_ADDRESS),
    };

    return explain_ask(call_config_path(call), service != NULL ? service : "default", &request,
                       ret_answer, error);
}

static int print_answer(const struct call *call, const json_t *answer, bool is_explained,
                        struct error *error)
{
    int code = 0;

    if (option_given(&call->options, OPTION_JSON)) {
        output_json(answer);
        return 0;
    }
    if (is_explained)
        code = explain_print(answer, error);
    else
        print_line(answer);
    return code;
}

int cmd_verify(struct call *call)
{
    bool is_explained = option_given(&call->options, OPTION_EXPLAIN);
    struct input input = {0};
    struct error error = {0};
    json_t *answer = NULL;

    /* Whether there is a daemon is said before a key is asked for. */
    int code = is_explained ? 0 : call_connect(call, &error);
    if (code == 0)
        code = input_read("-", "keys", true, KEY_FOREIGN_MAX, &input, &error);
    if (code == 0)
        code = check_input(&input, &error);
    if (code == 0)
        code = is_explained ? explain(call, &input, &answer, &error)
                            : ask(call, &input, &answer, &error);
    if (code == 0)
        code = print_answer(call, answer, is_explained, &error);
    int status = code == 0 ? answer_status(answer) : output_error(&error);
    input_free(&input);
    json_decref(answer);
    return status;
}
