/* script_mute: has an init and nothing else. */
#include "catlatch_module.h"
#include "tests/stack/record.h"

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    (void)setup, (void)ret_instance;
    record_add('m', 0, 0);
    return 0;
}

CATLATCH_MODULE(script_mute, .init = start);
