/* wrong_abi: of a later ABI. */
#include "catlatch_module.h"

__attribute__((visibility("default"))) extern const struct catlatch_module catlatch_module;
const struct catlatch_module catlatch_module = {
    .abi = CATLATCH_MODULE_ABI + 1, .size = sizeof(struct catlatch_module), .name = "wrong_abi"};
