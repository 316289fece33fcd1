/* deny: refuses, as `denied`. */
#include "catlatch_module.h"

static int verify(void *instance, struct catlatch_call *call)
{
    (void)instance, (void)call;
    return CATLATCH_DENIED;
}

CATLATCH_MODULE(deny, .verify = verify);
