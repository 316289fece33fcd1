/* table: the key is in the daemon's table, live, and its time is now. */
#include "catlatch_module.h"

static int verify(void *instance, struct catlatch_call *call)
{
    (void)instance;
    return call->record_state;
}

CATLATCH_MODULE(table, .flags = CATLATCH_NEEDS_TABLE,
                .passes = {.flags = CATLATCH_CALL_RECORD_VALID}, .verify = verify);
