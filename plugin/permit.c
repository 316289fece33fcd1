/* permit: passes. A service of nothing else grants every text. */
#include "catlatch_module.h"

static int verify(void *instance, struct catlatch_call *call)
{
    (void)instance, (void)call;
    return CATLATCH_VALID;
}

CATLATCH_MODULE(permit, .verify = verify);
