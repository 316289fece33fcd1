/* script_scopes: as script, and sees to scopes. */
#include "script.h"

CATLATCH_MODULE(script_scopes, SCRIPT_CALLS, .finish = script_finish,
                .flags = CATLATCH_TAKES_SCOPES);
