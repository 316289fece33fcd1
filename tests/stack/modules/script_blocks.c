/* script_blocks: as script, and says that it may wait. */
#include "script.h"

CATLATCH_MODULE(script_blocks, SCRIPT_CALLS, .finish = script_finish, .flags = CATLATCH_MAY_BLOCK);
