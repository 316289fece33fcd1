/* A module whose init kills the process. */
#include <signal.h>

#include "catlatch_module.h"

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    (void)setup, (void)ret_instance;
    return raise(SIGSEGV) == 0 ? CATLATCH_E_CONFIG : CATLATCH_E_IO;
}

static int verify(void *instance, struct catlatch_call *call)
{
    (void)instance, (void)call;
    return CATLATCH_VALID;
}

CATLATCH_MODULE(dies, .init = start, .verify = verify);
