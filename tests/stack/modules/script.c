/* script: see script.h. */
#include "script.h"

CATLATCH_MODULE(script, SCRIPT_CALLS, .finish = script_finish);
