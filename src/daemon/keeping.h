/*
 * keeping.h - the daemon's care for catlatch-keeper, which passes the usage area on.
 *
 * Where systemd starts the daemon the keeper is a unit of its own. Elsewhere the daemon starts it,
 * from the folder that it lies in itself, and it goes on when the daemon ends. Thread: one at a
 * time.
 */
#ifndef DAEMON_KEEPING_H
#define DAEMON_KEEPING_H

#include <stdbool.h>

#include "core/error.h"
#include "daemon/tally.h"

struct keeping {
    char *config_path; /* the keeper's too */
    bool started;      /* by this process */
    int last_code;     /* of the last look: 0, or what was wrong and said */
};

/* Starts a keeper if none listens in run_dir and systemd is not there to do it. Blocks until
 * it serves, some ten milliseconds; for patience_ms where one is silent, or else as long as the one
 * that is started waits for its place, some five seconds. Returns 0, or E_UNAVAILABLE and why there
 * is none. */
int keeping_start(struct keeping *keeping, const char *run_dir, unsigned patience_ms,
                  struct error *error);

/* Sends away a keeper that this process started, for it could not start itself: what is in the area
 * is nothing, or what was stored before. */
void keeping_undo(const struct keeping *keeping, const char *run_dir);

/* Sees to it that there is a keeper and that it has the area. Returns true, and *ret_news, if there
 * is something to say that was not said with the last look: code 0, all is well again. */
bool keeping_look(struct keeping *keeping, struct tally *tally, const char *run_dir,
                  struct error *ret_news);

#endif
