/*
 * daemon.h - catlatchd as a whole: what its parts share, its start and its end.
 *
 * One thread runs the event loop and everything in here; the store thread is changer.h's.
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <limits.h>

#include "daemon/census.h"
#include "daemon/changer.h"
#include "daemon/keeping.h"
#include "daemon/restoring.h"
#include "daemon/server.h"
#include "daemon/settings.h"
#include "daemon/store.h"

struct daemon_options {
    const char *config_path;
    bool accept_older;        /* publish a store that is older than the last table */
    char **argv;              /* of the process: to begin anew */
    const char *restore_path; /* --restore: a file, or "-" for standard input */
    bool restore_dry_run;
    bool accept_resurrection;
};

typedef void daemon_reloaded(void *context, const struct error *error); /* code 0: done */

struct daemon {
    struct daemon_options options;
    uv_loop_t loop;
    struct settings settings;
    struct store *store;
    struct tally *tally;
    struct census *census;
    char *run_dir;          /* as the configuration had it at the start, which does not change */
    struct keeping keeping; /* while the daemon runs: of the thread that keeps things up */
    struct changer *changer;
    struct server server;
    int state_lock;
    int run_lock;
    uid_t uid;
    char host[HOST_NAME_MAX + 1];
    uint64_t started_ms; /* uv_now */

    uv_signal_t hangup;
    uv_signal_t terminate;
    uv_signal_t interrupt;
    uv_timer_t heartbeat;
    uv_timer_t watchdog;
    uv_timer_t opening;  /* until anything may be acknowledged */
    uv_timer_t deadline; /* of draining */
    bool open;
    bool stopping;
    bool told_to_stop; /* by a signal */
    int status;        /* of the process, when it ends in order */

    struct settings fresh; /* what a reload under way is bringing in */
    bool reloading;
    bool reload_again; /* a SIGHUP came meanwhile */
    daemon_reloaded *reloaded;
    void *reloaded_context;

    struct restoring restoring;

    uint64_t client_bound; /* max_clients, unless too few files may be open for that */
    uint64_t verified;     /* KEY.VERIFY answered */
    uint64_t commands;
};

/* From the configuration to the last connection. Returns the exit status: 0, or sysexits'. */
int daemon_run(const struct daemon_options *options);

/* --restore: puts a backup in the place of the store of a daemon that does not run, and says in one
 * line of JSON what became of it. Returns the exit status. */
int daemon_restore(const struct daemon_options *options);

/* Ends the daemon as SIGTERM does, when whoever calls this has returned to the loop. */
void daemon_stop_soon(struct daemon *daemon);

/* -t: reads the configuration and says whether it is good. Returns the exit status. */
int daemon_test(const char *config_path);

/* Reads the configuration again; `reloaded` (NULL: nobody asks) is called in the loop, perhaps
 * before this returns. A configuration with any error changes nothing. */
void daemon_reload(struct daemon *daemon, daemon_reloaded *reloaded, void *context);

/* For reload.c: max_clients, or as many of them as the limit of open files leaves room for. */
void daemon_bound_clients(struct daemon *daemon);

/* For reload.c: beats at the interval that is configured. */
void daemon_start_heartbeat(struct daemon *daemon);

#endif
