/* What `doctor` finds out by asking the daemon, and about its configuration. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "core/boot.h"
#include "core/config_principals.h"
#include "core/timespan.h"
#include "doctor.h"
#include "stack/check.h"
#include "value.h"

/* The daemon beats every two seconds at the slowest, and readers begin to look elsewhere after
 * three (lib/attach.h). */
#define HEARTBEAT_LATE_MS 3000u

/* Clocks are read one after the other. */
#define CLOCK_SLACK_S 5

/* Made every week, a backup is at most so old. */
#define BACKUP_OLD_S (INT64_C(8) * 86400)

void doctor_configuration(struct doctor *doctor)
{
    struct call *call = doctor->call;
    struct error error = {0};
    int code = call_configure(call, &error);

    if (code == 0)
        code = stack_check(call->config, &error);
    if (code == CATLATCH_E_ARGUMENT || code == CATLATCH_E_MEMORY) {
        doctor->code = code;
        doctor->error = error;
    } else if (code != 0) {
        doctor_say_error(doctor, DOCTOR_PROBLEM, &error, "correct that, then: catlatch configtest");
    } else {
        doctor->config = call->config;
        doctor_say(doctor, DOCTOR_OK, "%s is good and to be trusted (files read: %zu)",
                   call->config->path, call->config->file_count);
    }
}

/* Who the daemon is to be, as far as that is written and exists. */
static void accounts_expect(struct doctor *doctor)
{
    const struct config *config = doctor->config;
    const struct passwd *user = NULL;
    const struct group *group;
    uint32_t id;

    if (principals_number(config->user, &id)) {
        doctor->knows_uid = true;
        doctor->uid = id;
        user = getpwuid(id);
    } else if (config->user[0] != '\0' && (user = getpwnam(config->user)) != NULL) {
        doctor->knows_uid = true;
        doctor->uid = user->pw_uid;
    }
    if (user != NULL) {
        doctor->knows_gid = true;
        doctor->gid = user->pw_gid;
    }
    if (principals_number(config->group, &id)) {
        doctor->knows_gid = true;
        doctor->gid = id;
    } else if (config->group[0] != '\0' && (group = getgrnam(config->group)) != NULL) {
        doctor->knows_gid = true;
        doctor->gid = group->gr_gid;
    }
}

/* "there is no group "x" on this system" is mended by making it. */
static void account_missing(struct doctor *doctor, const struct error *error)
{
    const char *at = strstr(error->text, "there is no ");
    char kind[8], name[64];

    doctor_say_error(doctor, DOCTOR_PROBLEM, error, "correct the name in that line");
    if (at == NULL || sscanf(at, "there is no %7s \"%63[^\"]\"", kind, name) != 2)
        return;
    if (strcmp(kind, "group") == 0)
        doctor_mend(doctor, "groupadd --system %s; or take the name out of that line", name);
    else
        doctor_mend(doctor,
                    "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin %s; "
                    "or take the name out of that line",
                    name);
}

void doctor_accounts(struct doctor *doctor)
{
    struct config *full = NULL;
    struct error error = {0};
    int code = config_read(doctor->config->path, &full, &error);

    accounts_expect(doctor);
    if (code != 0) {
        account_missing(doctor, &error);
        return;
    }
    const struct config_principals *admin = &full->access[CONFIG_RIGHT_ADMIN];
    const struct config_principals *revoke = &full->access[CONFIG_RIGHT_REVOKE];
    if (admin->uid_count + admin->gid_count + revoke->uid_count + revoke->gid_count == 0) {
        doctor_say(doctor, DOCTOR_NOTE,
                   "[access] gives nobody the right to revoke but the daemon's own user");
        doctor_mend(doctor, "write admin = root @GROUP into [access] of %s", full->path);
    } else {
        doctor_say(doctor, DOCTOR_OK, "all users and groups that are named exist");
    }
    config_free(full);
}

/* The first number behind "Uid:" or "Gid:" is the real one, the second the effective. */
static bool status_number(const char *line, const char *name, unsigned *ret_effective)
{
    size_t len = strlen(name);

    return strncmp(line, name, len) == 0 && sscanf(line + len, "%*u %u", ret_effective) == 1;
}

static void daemon_who(struct doctor *doctor, bool *ret_is_root)
{
    char path[64], line[256];
    unsigned id;
    FILE *stream;

    snprintf(path, sizeof path, "/proc/%ld/status", (long)doctor->pid);
    stream = fopen(path, "re");
    if (stream == NULL)
        return; /* another pid namespace, or hidepid */
    while (fgets(line, sizeof line, stream) != NULL) {
        if (status_number(line, "Uid:", &id)) {
            if (doctor->knows_uid && doctor->uid != id) {
                doctor_say(doctor, DOCTOR_PROBLEM,
                           "the daemon runs as uid %u, and [daemon] user says %s", id,
                           doctor->config->user);
                doctor_mend(doctor, "systemctl restart catlatchd");
            }
            doctor->knows_uid = true;
            doctor->uid = id;
            *ret_is_root = id == 0;
        } else if (status_number(line, "Gid:", &id)) {
            doctor->knows_gid = true;
            doctor->gid = id;
        }
    }
    fclose(stream);
}

static int stats_ask(struct doctor *doctor, struct error *error)
{
    struct session_words request = {0};
    int code = session_open(doctor->config->admin_dir, &doctor->call->session, error);

    if (code == 0)
        code = session_word(&request, "STATS", error);
    if (code == 0)
        code = session_ask(doctor->call->session, &request, &doctor->stats, error);
    session_words_free(&request);
    return code;
}

static void daemon_look(struct doctor *doctor)
{
    const char *version = value_text(doctor->stats, "version");
    bool is_root = false;

    doctor->pid = (pid_t)doctor_stat(doctor, "pid");
    daemon_who(doctor, &is_root);
    if (strcmp(version, CATLATCH_VERSION) != 0) {
        doctor_say(doctor, DOCTOR_WARNING, "catlatchd is version %s, and this tool is %s", version,
                   CATLATCH_VERSION);
        doctor_mend(doctor, "systemctl restart catlatchd");
    }
    if (is_root) {
        doctor_say(doctor, DOCTOR_WARNING,
                   "the daemon (pid %ld) runs as root: it needs no right of root's",
                   (long)doctor->pid);
        doctor_mend(doctor,
                    "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin "
                    "catlatch; write user = catlatch into [daemon] of %s; chown -R catlatch: %s; "
                    "systemctl restart catlatchd",
                    doctor->config->path, doctor->config->state_dir);
    }
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "catlatchd %s, pid %ld, user %s, answers on %s/catlatch.sock",
                   version, (long)doctor->pid,
                   doctor->knows_uid ? doctor_user_name(doctor->uid) : "(not to be seen)",
                   doctor->config->admin_dir);
}

/* Asked first, for a session waits two minutes for its answer. */
static bool daemon_hangs(const struct doctor *doctor)
{
    char path[PATH_MAX], line[256];

    return snprintf(path, sizeof path, "%s/catlatch.sock", doctor->config->admin_dir) <
               (int)sizeof path &&
           doctor_ping(path, line, sizeof line) == ETIMEDOUT;
}

void doctor_daemon(struct doctor *doctor)
{
    struct error error = {0};

    if (daemon_hangs(doctor)) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "the daemon takes connections on %s/catlatch.sock and answers none",
                   doctor->config->admin_dir);
        doctor_mend(doctor, "systemctl restart catlatchd; what it said: journalctl -u catlatchd");
        return;
    }
    int code = stats_ask(doctor, &error);
    if (code == 0)
        daemon_look(doctor);
    else if (code == CATLATCH_E_PERMISSION)
        doctor_say(doctor, DOCTOR_SKIPPED, "%s", error.text);
    else
        doctor_say_error(doctor, DOCTOR_PROBLEM, &error,
                         "systemctl start catlatchd; why it ended: journalctl -u catlatchd");
}

void doctor_verify_socket(struct doctor *doctor)
{
    char path[PATH_MAX], line[256] = "";

    if (!doctor_run_path(doctor, "catlatch.sock", path))
        return;
    int errnum = doctor_ping(path, line, sizeof line);
    if (errnum == EACCES) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s cannot be reached by this user: %s", path,
                   strerror(errnum));
        doctor_mend(doctor, "chmod 755 %s; chmod 666 %s", doctor->config->run_dir, path);
    } else if (errnum != 0) {
        doctor_say(doctor, DOCTOR_PROBLEM, "nobody answers on %s: %s", path, strerror(errnum));
        doctor_mend(doctor, "systemctl restart catlatchd");
    } else {
        doctor_say(doctor, DOCTOR_OK, "%s answers", path);
    }
}

static uint64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void doctor_heartbeat(struct doctor *doctor)
{
    const struct table_header *header = doctor->table.view.header;
    /* acquire: pairs with table_supersede */
    uint64_t pulse = atomic_load_explicit(&header->pulse, memory_order_acquire);
    uint64_t max_stale_ms = atomic_load_explicit(&header->max_stale_ms, memory_order_relaxed);
    uint64_t now_ms = monotonic_ms(), age_ms = now_ms > pulse ? now_ms - pulse : 0;
    bool late = age_ms > HEARTBEAT_LATE_MS;

    if (pulse == TABLE_PULSE_SUPERSEDED) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "the table in run_dir is marked as superseded: workers answer unavailable");
        doctor_mend(doctor, "systemctl restart catlatchd");
    } else if (late && max_stale_ms != 0 && age_ms > max_stale_ms) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "the last heartbeat is %" PRIu64 " s old, over max_stale: workers answer "
                   "unavailable",
                   age_ms / 1000);
        doctor_mend(doctor, "systemctl restart catlatchd");
    } else if (late) {
        doctor_say(doctor, doctor->stats != NULL ? DOCTOR_PROBLEM : DOCTOR_WARNING,
                   "the last heartbeat is %" PRIu64
                   " s old: workers go on with this table, and nothing can be revoked",
                   age_ms / 1000);
        doctor_mend(doctor, "systemctl restart catlatchd");
    } else {
        doctor_say(doctor, DOCTOR_OK, "the last heartbeat is %" PRIu64 " ms old", age_ms);
    }
}

/* When the last change was made; 0: none, or it is not to be had. */
static int64_t last_change_unix_s(struct doctor *doctor)
{
    json_int_t epoch = doctor_stat(doctor, "epoch"), sequence = doctor_stat(doctor, "sequence");
    struct session_words request = {0};
    struct error error = {0};
    json_t *page = NULL;
    char since[48];
    int64_t unix_s = 0;

    if (doctor->stats == NULL || sequence == 0)
        return 0;
    snprintf(since, sizeof since, "%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT, epoch,
             sequence - 1);
    if (session_word(&request, "LOG", &error) == 0 &&
        session_pair(&request, "SINCE", since, &error) == 0 &&
        session_pair(&request, "LIMIT", "1", &error) == 0 &&
        session_ask(doctor->call->session, &request, &page, &error) == 0) {
        const char *text = value_text(json_array_get(json_object_get(page, "changes"), 0), "time");
        if (timespan_parse_time(text, strlen(text), 0, &unix_s) != 0)
            unix_s = 0;
    }
    json_decref(page);
    session_words_free(&request);
    return unix_s;
}

static void clock_behind(struct doctor *doctor, const char *what, int64_t unix_s)
{
    char text[TIMESPAN_RFC3339_SIZE];

    timespan_rfc3339(unix_s, text);
    doctor_say(doctor, DOCTOR_PROBLEM,
               "the clock is behind: %s at %s, which is yet to come; keys expire too late", what,
               text);
    doctor_mend(doctor, "set the clock: timedatectl set-ntp true (or chronyc makestep)");
}

void doctor_clock(struct doctor *doctor)
{
    int64_t now = (int64_t)time(NULL), changed = last_change_unix_s(doctor);
    struct timex state = {.modes = 0};

    if (doctor->table.mapped &&
        (int64_t)doctor->table.view.header->created_unix_s > now + CLOCK_SLACK_S)
        clock_behind(doctor, "the table was made",
                     (int64_t)doctor->table.view.header->created_unix_s);
    if (changed > now + CLOCK_SLACK_S)
        clock_behind(doctor, "the last key was changed", changed);
    if (doctor_is_clean(doctor) && adjtimex(&state) >= 0 && (state.status & STA_UNSYNC) != 0) {
        doctor_say(doctor, DOCTOR_NOTE,
                   "the kernel's clock is not kept in time by NTP; expiry goes by it");
        doctor_mend(doctor, "timedatectl set-ntp true, unless something else sets the clock");
    } else if (doctor_is_clean(doctor)) {
        doctor_say(doctor, DOCTOR_OK, "not behind the table or the last change");
    }
}

void doctor_backup(struct doctor *doctor)
{
    const char *text = value_text(doctor->stats, "last_backup_at");
    int64_t now = (int64_t)time(NULL), made;

    if (*text == '\0' || timespan_parse_time(text, strlen(text), now, &made) != 0) {
        doctor_say(doctor, DOCTOR_WARNING, "no backup was ever made through this daemon");
        doctor_mend(doctor, "catlatch backup FILE");
    } else if (now - made > BACKUP_OLD_S) {
        doctor_say(doctor, DOCTOR_WARNING, "the last backup is of %s, %" PRId64 " days ago", text,
                   (now - made) / 86400);
        doctor_mend(doctor, "catlatch backup FILE");
    } else {
        doctor_say(doctor, DOCTOR_OK, "the last one is of %s", text);
    }
}
