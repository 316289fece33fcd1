/* scope [all|any]: the key has every scope that the request names (all, as without a word), or at
 * least one of them. A request that names none passes. */
#include <stdbool.h>
#include <string.h>

#include "core/text.h"
#include "plugin/refuse.h"

#define SCOPE_LEN_MAX 64u /* text_is_scope's bound */

/* What an instance points to when any one will do. */
static char any;

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    const struct catlatch_argument *argument = &setup->arguments[0];

    if (setup->argument_count == 0)
        return 0;
    if (setup->argument_count > 1 || argument->value != NULL ||
        (strcmp(argument->name, "any") != 0 && strcmp(argument->name, "all") != 0))
        return refuse(setup, "takes one word: all or any");
    *ret_instance = strcmp(argument->name, "any") == 0 ? &any : NULL;
    return 0;
}

/* VALID, INSUFFICIENT_SCOPE, INVALID_REQUEST or UNAVAILABLE. */
static int ask(const struct catlatch_call *call, const char *scope)
{
    size_t len = strnlen(scope, SCOPE_LEN_MAX + 1);
    int has = call->host->record_has_scope(call, scope, len);

    if (has != 0)
        return has > 0 ? CATLATCH_VALID : CATLATCH_UNAVAILABLE;
    return text_is_scope(scope, len) ? CATLATCH_INSUFFICIENT_SCOPE : CATLATCH_INVALID_REQUEST;
}

static __attribute__((noinline)) int ask_all(const void *instance, const struct catlatch_call *call)
{
    int result = CATLATCH_VALID;

    for (size_t i = 0; i < call->scope_count; i++) {
        result = ask(call, call->scopes[i]);
        bool goes_on =
            instance == &any ? result == CATLATCH_INSUFFICIENT_SCOPE : result == CATLATCH_VALID;
        if (!goes_on)
            return result;
    }
    return result;
}

static int verify(void *instance, struct catlatch_call *call)
{
    if (call->record_state != CATLATCH_VALID || call->scope_count == 0)
        return call->record_state;
    return ask_all(instance, call);
}

CATLATCH_MODULE(scope, .flags = CATLATCH_NEEDS_TABLE | CATLATCH_TAKES_SCOPES,
                .passes = {.flags = CATLATCH_CALL_RECORD_VALID | CATLATCH_CALL_NO_SCOPES},
                .init = start, .verify = verify);
