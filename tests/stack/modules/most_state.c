/* most_state: wants as much as there can be. */
#include "catlatch_module.h"

CATLATCH_MODULE(most_state, .state_size = CATLATCH_STATE_MAX);
