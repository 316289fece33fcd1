/* format [foreign=allow]: the text is a well-formed key of one of the configured environments:
 * prefix, length, alphabet and check digits. With foreign=allow a text that does not begin as one
 * of ours passes too, for keys that were issued elsewhere. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/key.h"
#include "plugin/refuse.h"

/* Of foreign=allow; without it there is no instance. */
struct format {
    struct key_environments ours;
};

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    if (setup->argument_count == 0)
        return 0;
    const struct catlatch_argument *argument = &setup->arguments[0];
    if (setup->argument_count > 1 || strcmp(argument->name, "foreign") != 0 ||
        argument->value == NULL || strcmp(argument->value, "allow") != 0)
        return refuse(setup, "the one argument that there is is foreign=allow");
    struct format *format = calloc(1, sizeof *format);
    if (format == NULL)
        return refuse_memory(setup);
    for (size_t i = 0; i < setup->environment_count && i < KEY_ENVIRONMENTS_MAX; i++) {
        struct key_environment *each = &format->ours.list[format->ours.count++];
        strncpy(each->prefix, setup->environments[i].prefix, sizeof each->prefix - 1);
    }
    *ret_instance = format;
    return 0;
}

static int verify(void *instance, struct catlatch_call *call)
{
    const struct format *format = instance;

    if (call->host->key_is_well_formed(call))
        return CATLATCH_VALID;
    return format != NULL && key_environment_of(&format->ours, call->key, call->key_len) == NULL
               ? CATLATCH_VALID
               : CATLATCH_MALFORMED;
}

CATLATCH_MODULE(format, .flags = CATLATCH_VOUCHES_NOT,
                .passes = {.flags = CATLATCH_CALL_WELL_FORMED}, .init = start, .verify = verify,
                .fini = free);
