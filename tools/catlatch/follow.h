/*
 * follow.h - for how long what has no end goes on: until whoever reads stdout has gone, or until
 * SIGINT or SIGTERM says that it is enough.
 */
#ifndef TOOL_FOLLOW_H
#define TOOL_FOLLOW_H

#include <stdbool.h>

#include "core/error.h"

/* From here on the first SIGINT or SIGTERM ends the following, and a second one the process. Once.
 * Returns 0 or E_IO. */
int follow_begin(struct error *error);

/* Whether it is over. Does not block. */
bool follow_is_over(void);

/* Waits until the descriptor can be read, and for nothing when it is over. */
void follow_wait(int fd);

#endif
