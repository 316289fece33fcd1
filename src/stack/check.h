/* check.h - are all services of a configuration good? For those who ask before they use it. */
#ifndef STACK_CHECK_H
#define STACK_CHECK_H

#include "core/config.h"
#include "core/error.h"

/* Opens every service with all of its modules, whatever host they are for, and closes it again: in
 * a child, so that a module which dies on the way is an error that names the service, and nothing
 * of it stays in this process. Returns 0 or the first error: E_CONFIG or what stack_open returns.
 * Thread: while no other runs (it forks). Blocks: on loading modules. */
int stack_check(const struct config *config, struct error *error);

#endif
