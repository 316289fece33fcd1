/* host.h - what the stack answers its modules: the functions behind call->host. */
#ifndef STACK_HOST_H
#define STACK_HOST_H

#include "catlatch_module.h"

extern const struct catlatch_host stack_host_functions;

#endif
