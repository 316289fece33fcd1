/* refuses code=NUMBER [message=WORD | long | lines]: its init returns that, and says that. */
#include <stdlib.h>
#include <string.h>

#include "catlatch_module.h"

static void say(const struct catlatch_setup *setup, const struct catlatch_argument *argument)
{
    if (strcmp(argument->name, "message") == 0)
        strncpy(setup->message, argument->value, setup->message_size - 1);
    else if (strcmp(argument->name, "long") == 0)
        memset(setup->message, 'a', setup->message_size); /* nor terminated */
    else if (strcmp(argument->name, "lines") == 0)
        strcpy(setup->message, "one\ntwo");
}

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    int code = 0;

    (void)ret_instance;
    for (size_t i = 0; i < setup->argument_count; i++) {
        if (strcmp(setup->arguments[i].name, "code") == 0)
            code = atoi(setup->arguments[i].value);
        else
            say(setup, &setup->arguments[i]);
    }
    return code;
}

static void stop(void *instance)
{
    (void)instance;
    abort(); /* an init that refused left nothing to be finished */
}

CATLATCH_MODULE(refuses, .init = start, .fini = stop);
