/* wrong_name: calls itself otherwise. */
#include "catlatch_module.h"

CATLATCH_MODULE(another_name, .flags = 0);
