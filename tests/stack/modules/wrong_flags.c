/* wrong_flags: has one that nobody knows. */
#include "catlatch_module.h"

CATLATCH_MODULE(wrong_flags, .flags = 1u << 31);
