/*
 * doctor.h - `doctor`: checks that look at an installation, and what they found.
 *
 * Each check is a function that leaves findings; those before it leave what they learnt. The table
 * of checks is in cmd_doctor.c, the checks in doctor_*.c by what they look at: none changes
 * anything.
 */
#ifndef TOOL_DOCTOR_H
#define TOOL_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "command.h"
#include "table/view.h"

enum doctor_result {
    DOCTOR_OK,
    DOCTOR_NOTE,    /* worth knowing; nothing to mend */
    DOCTOR_WARNING, /* works, but not as it should, or not for long */
    DOCTOR_PROBLEM, /* something does not work, or is not safe */
    DOCTOR_SKIPPED, /* could not be looked at, and why */
    DOCTOR_RESULTS,
};

/* The table that run_dir names, as it was when the check `table` looked. */
struct doctor_table {
    bool there; /* `file` is set */
    struct stat file;
    unsigned major, minor; /* of its device, as maps show it */
    bool mapped;           /* `view` is set: it is whole, and of this layout */
    struct table_view view;
};

struct doctor {
    struct call *call;
    const char *check;           /* the one that runs */
    json_t *findings;            /* {check, result, text, mend} */
    bool out_of_memory;          /* a finding was lost */
    int code;                    /* the run cannot go on: an argument was refused */
    struct error error;          /* likewise */
    const struct config *config; /* NULL: it is not good */
    json_t *stats;               /* the daemon's counters; NULL: it did not tell */
    pid_t pid;                   /* of the daemon; 0: not known */
    bool knows_uid, knows_gid;
    uid_t uid; /* the daemon's, as it runs or as it is configured */
    gid_t gid; /* who may map the table, likewise */
    struct doctor_table table;
    bool knows_confined; /* `keys` saw every key: */
    uint64_t confined;   /* so many, not revoked, are confined to networks */
};

/* Adds a finding of the check that runs. */
void doctor_say(struct doctor *doctor, enum doctor_result result, const char *format, ...)
    CATLATCH_PRINTF(3, 4);

/* Says how the last finding is mended. */
void doctor_mend(struct doctor *doctor, const char *format, ...) CATLATCH_PRINTF(2, 3);

/* A finding from an error; what stands behind its last "; run " is how to mend it, or else `mend`
 * (may be NULL). */
void doctor_say_error(struct doctor *doctor, enum doctor_result result, const struct error *error,
                      const char *mend);

/* Whether the check that runs has found nothing yet. */
bool doctor_is_clean(const struct doctor *doctor);

/* Counters of the daemon. */
json_int_t doctor_stat(const struct doctor *doctor, const char *name);

/* "catlatch", or the number where it has no name. Static: until the next call of the same. */
const char *doctor_user_name(uid_t uid);
const char *doctor_group_name(gid_t gid);

/* run_dir/name. False if that is too long. */
bool doctor_run_path(const struct doctor *doctor, const char *name, char ret_path[PATH_MAX]);

/* Connects to a socket, sends PING, and reads the first line of the answer ("+PONG", "-NOPERM …").
 * Returns 0 or an errno; ETIMEDOUT after five seconds. */
int doctor_ping(const char *path, char *ret_line, size_t size);

/* doctor_daemon.c */
void doctor_configuration(struct doctor *doctor);
void doctor_accounts(struct doctor *doctor);
void doctor_daemon(struct doctor *doctor);
void doctor_verify_socket(struct doctor *doctor);
void doctor_heartbeat(struct doctor *doctor);
void doctor_clock(struct doctor *doctor);
void doctor_backup(struct doctor *doctor);

/* doctor_folders.c */
void doctor_run_dir(struct doctor *doctor);
void doctor_admin_dir(struct doctor *doctor);
void doctor_state_dir(struct doctor *doctor);
void doctor_disk(struct doctor *doctor);
void doctor_room(struct doctor *doctor);

/* doctor_table.c */
void doctor_table(struct doctor *doctor);
void doctor_generations(struct doctor *doctor);
void doctor_keys(struct doctor *doctor);

/* doctor_services.c */
void doctor_services(struct doctor *doctor);

/* doctor_processes.c */
void doctor_processes(struct doctor *doctor);
void doctor_mounts(struct doctor *doctor);

/* doctor_worker.c */
void doctor_worker(struct doctor *doctor);

#endif
