/* environment NAME...: the key belongs to one of these environments. */
#include <stdlib.h>
#include <string.h>

#include "core/key.h"
#include "core/text.h"
#include "plugin/refuse.h"

/* By their places in the configuration. */
struct allowed {
    uint32_t places;
};
_Static_assert(KEY_ENVIRONMENTS_MAX <= 32, "a place is a bit");

static int unknown(const struct catlatch_setup *setup, const char *name)
{
    const char *names[KEY_ENVIRONMENTS_MAX], *nearest;
    size_t count = 0;

    for (; count < setup->environment_count && count < KEY_ENVIRONMENTS_MAX; count++)
        names[count] = setup->environments[count].name;
    nearest = text_nearest(name, names, count);
    if (nearest != NULL)
        return refuse(setup, "no environment \"%s\" in [environments]; did you mean \"%s\"?", name,
                      nearest);
    return refuse(setup, "no environment \"%s\" in [environments]; add it there", name);
}

static int allow(const struct catlatch_setup *setup, const struct catlatch_argument *argument,
                 struct allowed *allowed)
{
    size_t place = 0;

    if (argument->value != NULL)
        return refuse(setup, "\"%s=\": names of environments are wanted", argument->name);
    while (place < setup->environment_count &&
           strcmp(setup->environments[place].name, argument->name) != 0)
        place++;
    if (place == setup->environment_count)
        return unknown(setup, argument->name);
    if ((allowed->places >> place & 1) != 0)
        return refuse(setup, "names \"%s\" twice; keep one", argument->name);
    allowed->places |= UINT32_C(1) << place;
    return 0;
}

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    struct allowed *allowed = calloc(1, sizeof *allowed);
    int r = 0;

    if (allowed == NULL)
        return refuse_memory(setup);
    if (setup->argument_count == 0)
        r = refuse(setup, "wants the names of those that it lets pass");
    for (size_t i = 0; r == 0 && i < setup->argument_count; i++)
        r = allow(setup, &setup->arguments[i], allowed);
    if (r == 0) {
        *setup->passes = (struct catlatch_passes){.flags = CATLATCH_CALL_RECORD_VALID,
                                                  .environments = allowed->places};
        *ret_instance = allowed;
    } else
        free(allowed);
    return r;
}

static int verify(void *instance, struct catlatch_call *call)
{
    const struct allowed *allowed = instance;

    if (call->record_state != CATLATCH_VALID)
        return call->record_state;
    return call->environment >= 0 && (allowed->places >> call->environment & 1) != 0
               ? CATLATCH_VALID
               : CATLATCH_WRONG_ENVIRONMENT;
}

CATLATCH_MODULE(environment, .flags = CATLATCH_NEEDS_TABLE, .init = start, .verify = verify,
                .fini = free);
