/* verify: asks the daemon about one key, which comes on standard input. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "core/key.h"
#include "core/result.h"
#include "input.h"
#include "output.h"
#include "value.h"

static int verify_words(const struct options *options, const struct input *input,
                        struct session_words *request, struct error *error)
{
    const struct option_values *scopes = &options->values[OPTION_NEED_SCOPE];
    int code;

    if (input->count != 1)
        return error_set(error, CATLATCH_E_DATA,
                         input->count == 0 ? "no key came on standard input"
                                           : "one key is verified at a time; several lines came on "
                                             "standard input");
    code = session_pair(request, "KEY.VERIFY", input_line(input, 0), error);
    if (code == 0)
        code = session_pair(request, "SERVICE", option_text(options, OPTION_SERVICE), error);
    for (size_t i = 0; code == 0 && i < scopes->count; i++)
        code = session_pair(request, "SCOPE", scopes->list[i], error);
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

int cmd_verify(struct call *call)
{
    struct session_words request = {0};
    struct input input = {0};
    struct error error = {0};
    json_t *answer = NULL;
    int status;

    if (call_connect(call, &error) != 0 ||
        input_read("-", "keys", true, KEY_FOREIGN_MAX, &input, &error) != 0 ||
        verify_words(&call->options, &input, &request, &error) != 0 ||
        session_ask(call->session, &request, &answer, &error) != 0) {
        status = output_error(&error);
    } else {
        status = answer_status(answer);
        if (option_given(&call->options, OPTION_JSON))
            output_json(answer);
        else
            print_line(answer);
    }
    session_words_free(&request);
    input_free(&input);
    json_decref(answer);
    return status;
}
