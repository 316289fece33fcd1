/* unresolved: needs a function that is nowhere. */
#include "catlatch_module.h"

extern int catlatch_test_that_is_nowhere(void);

static int verify(void *instance, struct catlatch_call *call)
{
    (void)instance, (void)call;
    return catlatch_test_that_is_nowhere();
}

CATLATCH_MODULE(unresolved, .verify = verify);
