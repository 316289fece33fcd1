/* wrong_state: wants more than there can be. */
#include "catlatch_module.h"

CATLATCH_MODULE(wrong_state, .state_size = CATLATCH_STATE_MAX + 1);
