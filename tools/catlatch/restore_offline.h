/* restore_offline.h - a restore while no daemon runs: catlatchd does it, as the daemon's user. */
#ifndef TOOL_RESTORE_OFFLINE_H
#define TOOL_RESTORE_OFFLINE_H

#include <jansson.h>

#include "command.h"

/* Runs `catlatchd --restore -` with the descriptor as its standard input, from its beginning.
 * *ret_status is its exit status; where that is 0, *ret_summary what it printed. It has said what
 * was wrong otherwise. Returns 0, or a negative code when it cannot be run. */
int restore_offline(const struct call *call, int fd, bool dry_run, bool accept_resurrection,
                    int *ret_status, json_t **ret_summary, struct error *error);

#endif
