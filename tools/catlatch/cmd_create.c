/* create: the one command that shows a key which it did not get from its caller. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "commands.h"
#include "core/address.h"
#include "core/allowance.h"
#include "core/rate.h"
#include "moment.h"
#include "output.h"
#include "value.h"

struct moments {
    struct moment expires, not_before;
};

static int times_words(const struct options *options, struct moments *moments,
                       struct session_words *request, struct error *error)
{
    const char *expires = option_text(options, OPTION_EXPIRES);
    const char *not_before = option_text(options, OPTION_NOT_BEFORE);
    int code = 0;

    if (expires != NULL) {
        code = moment_read("--expires", expires, &moments->expires, error);
        if (code == 0)
            code = session_pair(request, "EXPIRES", moments->expires.text, error);
    }
    if (not_before != NULL && code == 0) {
        code = moment_read("--not-before", not_before, &moments->not_before, error);
        if (code == 0)
            code = session_pair(request, "NOT_BEFORE", moments->not_before.text, error);
    }
    return code;
}

static int network_words(const struct options *options, struct session_words *request,
                         struct error *error)
{
    const struct option_values *networks = &options->values[OPTION_ALLOW];
    int code = 0;

    for (size_t i = 0; code == 0 && i < networks->count; i++) {
        struct network network;
        if (network_parse(text_of(networks->list[i]), &network, error) != 0)
            return error_set(error, CATLATCH_E_DATA, "--allow %s", error->text);
        code = session_pair(request, "ALLOW", networks->list[i], error);
    }
    return code;
}

static int rate_words(const struct options *options, struct session_words *request,
                      struct error *error)
{
    const struct option_values *values = &options->values[OPTION_RATE];
    int code = 0;

    for (size_t i = 0; code == 0 && i < values->count; i++) {
        struct rates rates;
        if (rates_parse(text_of(values->list[i]), &rates, error) != 0)
            return error_set(error, CATLATCH_E_DATA, "--rate: %s", error->text);
        code = session_pair(request, "RATE", values->list[i], error);
    }
    return code;
}

static int uses_words(const struct options *options, struct session_words *request,
                      struct error *error)
{
    struct allowance allowance;

    if (!option_given(options, OPTION_USES))
        return 0;
    if (allowance_parse(text_of(option_text(options, OPTION_USES)), &allowance, error) != 0)
        return error_set(error, CATLATCH_E_DATA, "--uses %s", error->text);
    return session_pair(request, "USES", option_text(options, OPTION_USES), error);
}

static int list_words(const struct options *options, struct session_words *request,
                      struct error *error)
{
    const struct option_values *scopes = &options->values[OPTION_SCOPE];
    const struct option_values *pairs = &options->values[OPTION_META];
    int code = network_words(options, request, error);

    if (code == 0)
        code = rate_words(options, request, error);
    if (code == 0)
        code = uses_words(options, request, error);

    for (size_t i = 0; code == 0 && i < scopes->count; i++) {
        /* As a list it would be one scope that nothing asks for, and `update` could not set it. */
        if (strchr(scopes->list[i], ',') != NULL)
            return error_set(error, CATLATCH_E_DATA,
                             "--scope takes one scope: repeat the option for several");
        code = session_pair(request, "SCOPE", scopes->list[i], error);
    }
    for (size_t i = 0; code == 0 && i < pairs->count; i++) {
        const char *pair = pairs->list[i], *equals = strchr(pair, '=');
        if (equals == NULL || equals == pair)
            return error_set(error, CATLATCH_E_DATA, "--meta takes a name and a value: K=V");
        code = session_word(request, "META", error);
        if (code == 0)
            code = session_word_n(request, pair, (size_t)(equals - pair), error);
        if (code == 0)
            code = session_word(request, equals + 1, error);
    }
    return code;
}

static int create_words(const struct options *options, struct moments *moments,
                        struct session_words *request, struct error *error)
{
    int code;

    if (!option_given(options, OPTION_NAME))
        return error_set(error, CATLATCH_E_ARGUMENT, "create needs a --name for the key");
    code = session_word(request, "KEY.CREATE", error);
    if (code == 0)
        code = session_pair(request, "NAME", option_text(options, OPTION_NAME), error);
    if (code == 0)
        code = session_pair(request, "OWNER", option_text(options, OPTION_OWNER), error);
    if (code == 0)
        code = session_pair(request, "ENV", option_text(options, OPTION_ENV), error);
    if (code == 0)
        code = session_pair(request, "COMMENT", option_text(options, OPTION_COMMENT), error);
    if (code == 0)
        code = times_words(options, moments, request, error);
    return code != 0 ? code : list_words(options, request, error);
}

static void print_json(const json_t *key)
{
    json_t *ordered =
        json_pack("{sOsO}", "id", json_object_get(key, "id"), "key", json_object_get(key, "key"));

    if (ordered != NULL && json_object_update_missing(ordered, (json_t *)key) == 0)
        output_json(ordered);
    json_decref(ordered);
}

static void print_note(const json_t *key)
{
    const char *expires = value_text(key, "expires_at");

    output_note("created %s (%s) for owner %s in %s, %s%s; the key above is shown this once and "
                "kept nowhere: copy it now",
                value_text(key, "id"), value_text(key, "name"), value_text(key, "owner"),
                value_text(key, "environment"),
                *expires != '\0' ? "valid until " : "without an expiry", expires);
}

static int create_show(const struct options *options, const json_t *key)
{
    bool arrived;
    int errnum;

    if (option_given(options, OPTION_JSON))
        print_json(key);
    else
        printf("%s\n", value_text(key, "key"));
    arrived = output_flush();
    errnum = errno;
    if (!arrived) {
        output_note("key %s exists but could not be shown (%s): nobody has it; revoke it with "
                    "`catlatch revoke %s` and create another",
                    value_text(key, "id"), output_why(errnum), value_text(key, "id"));
        return EX_IOERR;
    }
    if (!option_given(options, OPTION_QUIET) && !option_given(options, OPTION_JSON))
        print_note(key);
    if (value_true(key, "owner_suspended"))
        output_note("owner %s is suspended: the key is refused until `catlatch owner resume`",
                    value_text(key, "owner"));
    return EX_OK;
}

int cmd_create(struct call *call)
{
    struct session_words request = {0};
    struct moments moments;
    struct error error = {0};
    json_t *key = NULL;
    int status;

    if (create_words(&call->options, &moments, &request, &error) != 0 ||
        call_connect(call, &error) != 0 || session_ask(call->session, &request, &key, &error) != 0)
        status = output_error(&error);
    else
        status = create_show(&call->options, key);
    session_words_free(&request);
    json_decref(key);
    return status;
}
