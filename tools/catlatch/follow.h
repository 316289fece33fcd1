/*
 * follow.h - for how long what has no end goes on: until whoever reads stdout has gone, or until
 * SIGINT, SIGTERM or SIGHUP says that it is enough.
 */
#ifndef TOOL_FOLLOW_H
#define TOOL_FOLLOW_H

#include <stdbool.h>

#include "core/error.h"

/* From here on the first of these signals ends the following, and a second one the process. Once.
 * Returns 0 or E_IO. */
int follow_begin(struct error *error);

/* Whether it is over. Does not block. */
bool follow_is_over(void);

/* Waits until the descriptor can be read, for timeout_ms at most (-1: without end), and for nothing
 * when it is over. fd -1: for the time alone. True: it is over. */
bool follow_pause(int fd, int timeout_ms);

#endif
