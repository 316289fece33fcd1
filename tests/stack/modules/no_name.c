/* no_name: without one. */
#include "catlatch_module.h"

__attribute__((visibility("default"))) extern const struct catlatch_module catlatch_module;
const struct catlatch_module catlatch_module = {.abi = CATLATCH_MODULE_ABI,
                                                .size = sizeof(struct catlatch_module)};
