/* `doctor --user`: a child becomes the workers' user and does what the library would do. It leaves
 * its findings in a pipe, as JSON. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/config_principals.h"
#include "core/trust.h"
#include "doctor.h"

struct worker {
    char name[64];
    uid_t uid;
    gid_t gid;
};

static bool worker_find(const char *text, struct worker *ret)
{
    const struct passwd *user;
    uint32_t uid;

    user = principals_number(text, &uid) ? getpwuid(uid) : getpwnam(text);
    if (user == NULL)
        return false;
    snprintf(ret->name, sizeof ret->name, "%s", user->pw_name);
    ret->uid = user->pw_uid;
    ret->gid = user->pw_gid;
    return true;
}

static int worker_become(const struct worker *worker)
{
    if (geteuid() != 0)
        return 0; /* it is the caller */
    if (initgroups(worker->name, worker->gid) != 0 ||
        setresgid(worker->gid, worker->gid, worker->gid) != 0 ||
        setresuid(worker->uid, worker->uid, worker->uid) != 0)
        return errno;
    return 0;
}

static bool is_in_group(gid_t gid)
{
    int count = getgroups(0, NULL);
    gid_t *groups = count > 0 ? calloc((size_t)count, sizeof *groups) : NULL;
    bool found = getegid() == gid;

    if (groups != NULL && (count = getgroups(count, groups)) > 0)
        for (int i = 0; i < count; i++)
            found = found || groups[i] == gid;
    free(groups);
    return found;
}

/* The folder on the way to the path that cannot be entered. */
static void say_closed(struct doctor *doctor, const struct worker *worker, const char *path)
{
    char folder[PATH_MAX];
    struct stat st;

    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = folder; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        if (access(folder, X_OK) == 0)
            continue;
        mode_t mode = stat(folder, &st) == 0 ? st.st_mode & 07777 : 0;
        doctor_say(doctor, DOCTOR_PROBLEM, "%s cannot enter %s (mode %04o)", worker->name, folder,
                   (unsigned)mode);
        doctor_mend(doctor, "chmod o+x %s", folder);
        return;
    }
    doctor_say(doctor, DOCTOR_PROBLEM, "%s cannot reach %s", worker->name, path);
}

/* The table is there and may not be opened: mostly for want of a group. */
static void say_refused(struct doctor *doctor, const struct worker *worker, const char *path,
                        const struct stat *st)
{
    const char *group = doctor_group_name(st->st_gid);

    if ((st->st_mode & S_IRGRP) == 0 || is_in_group(st->st_gid)) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s may not read %s, which has mode %04o and group %s",
                   worker->name, path, (unsigned)(st->st_mode & 07777), group);
        doctor_mend(doctor, "chmod 640 %s", path);
    } else if (st->st_gid == 0) {
        doctor_say(
            doctor, DOCTOR_PROBLEM,
            "%s may not map %s, whose group is root: the daemon has no group for its workers",
            worker->name, path);
        doctor_mend(doctor,
                    "groupadd --system catlatch; write group = catlatch into [daemon] of %s; "
                    "systemctl restart catlatchd; adduser %s catlatch; restart the workers",
                    doctor->config->path, worker->name);
    } else {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s is not in the group %s, which may map %s",
                   worker->name, group, path);
        doctor_mend(doctor,
                    "adduser %s %s, and restart the workers: those that run keep the groups that "
                    "they began with; a container is begun with --group-add %u",
                    worker->name, group, (unsigned)st->st_gid);
    }
}

/* As in lib/attach.c. */
static struct trust worker_trust(const struct doctor *doctor)
{
    struct trust trust = trust_self();
    const char *name = doctor->config->user;
    const struct passwd *user;
    uint32_t uid;

    if (!principals_number(name, &uid)) {
        user = *name != '\0' ? getpwnam(name) : NULL;
        uid = user != NULL ? user->pw_uid : TRUST_OVERFLOW_UID;
    }
    if (uid != TRUST_OVERFLOW_UID)
        trust.uids[trust.count++] = uid;
    return trust;
}

static bool is_trusted(const struct trust *trust, uid_t uid)
{
    for (unsigned i = 0; i < trust->count; i++)
        if (trust->uids[i] == uid)
            return true;
    return uid == 0;
}

static void say_unmapped(struct doctor *doctor, const char *path)
{
    doctor_say(doctor, DOCTOR_PROBLEM,
               "%s belongs to user %u: this user namespace does not map its owner, so whose table "
               "it is cannot be told, and no process here believes it",
               path, (unsigned)TRUST_OVERFLOW_UID);
    doctor_mend(doctor, "verify by the module `socket` (man catlatch-modules), or begin the "
                        "container without a user namespace");
}

static void say_distrusted(struct doctor *doctor, const struct worker *worker, const char *path,
                           uid_t owner)
{
    doctor_say(doctor, DOCTOR_PROBLEM,
               "%s belongs to %s, and processes of %s believe the table of root and of [daemon] "
               "user alone, which is %s",
               path, doctor_user_name(owner), worker->name,
               doctor->config->user[0] != '\0' ? doctor->config->user : "not set");
    doctor_mend(doctor, "write user = %s into [daemon] of %s; systemctl restart catlatchd",
                doctor_user_name(owner), doctor->config->path);
}

static void map_try(struct doctor *doctor, const struct worker *worker, int fd, const char *path)
{
    struct table_view view;
    struct error error = {0};
    struct stat st;

    if (fstat(fd, &st) != 0 || st.st_size < (off_t)TABLE_PAGE) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s is no table", path);
        return;
    }
    void *base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s cannot map %s: %s", worker->name, path,
                   strerror(errno));
        return;
    }
    if (table_view_init(&view, base, (size_t)st.st_size, &error) != 0)
        doctor_say(doctor, DOCTOR_PROBLEM, "%s: %s", path, error.text);
    munmap(base, (size_t)st.st_size);
}

static void table_try(struct doctor *doctor, const struct worker *worker)
{
    struct trust trust = worker_trust(doctor);
    char path[PATH_MAX];
    struct stat st;

    if (!doctor_run_path(doctor, "table", path))
        return;
    if (lstat(path, &st) != 0) {
        if (errno == EACCES)
            say_closed(doctor, worker, path);
        else
            doctor_say(doctor, DOCTOR_PROBLEM, "%s: %s", path, strerror(errno));
        return;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == EACCES)
        say_refused(doctor, worker, path, &st);
    else if (fd < 0)
        doctor_say(doctor, DOCTOR_PROBLEM, "%s: %s", path, strerror(errno));
    else if (st.st_uid == TRUST_OVERFLOW_UID)
        say_unmapped(doctor, path);
    else if (!is_trusted(&trust, st.st_uid))
        say_distrusted(doctor, worker, path, st.st_uid);
    else
        map_try(doctor, worker, fd, path);
    if (fd >= 0)
        close(fd);
}

static void run_dir_try(struct doctor *doctor)
{
    struct trust trust = worker_trust(doctor);
    struct error error = {0};

    if (trust_path(doctor->config->run_dir, &trust, &error) == CATLATCH_E_PERMISSION &&
        strstr(error.text, "Permission denied") == NULL && doctor_is_clean(doctor))
        doctor_say_error(doctor, DOCTOR_PROBLEM, &error, NULL);
}

static void config_try(struct doctor *doctor, const struct worker *worker)
{
    struct config *own = NULL;
    struct error error = {0};

    if (config_read_without_accounts(doctor->config->path, &own, &error) != 0) {
        error_prefix(&error, "%s cannot take the configuration", worker->name);
        doctor_say_error(doctor, DOCTOR_PROBLEM, &error,
                         "let it read the file and enter the folders above: chmod o+r FILE, chmod "
                         "o+x FOLDER");
    }
    config_free(own);
}

/* Whose group is missing gets the right with it, as [access] has it by default. */
static void socket_try(struct doctor *doctor, const struct worker *worker, bool maps)
{
    char path[PATH_MAX], line[256] = "";

    if (!doctor_run_path(doctor, "catlatch.sock", path))
        return;
    int errnum = doctor_ping(path, line, sizeof line);
    if (errnum == EACCES) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s cannot connect to %s: %s", worker->name, path,
                   strerror(errnum));
        doctor_mend(doctor, "chmod 666 %s", path);
    } else if (errnum == 0 && strncmp(line, "-NOPERM", 7) == 0 && maps) {
        doctor_say(doctor, DOCTOR_NOTE,
                   "%s may not verify by the socket: what uses the library needs no right there",
                   worker->name);
        doctor_mend(doctor, "write %s, or a group of it, behind verify in [access] of %s",
                    worker->name, doctor->config->path);
    } /* that nobody answers is `verify_socket`'s to say */
}

static void worker_look(struct doctor *doctor, const struct worker *worker)
{
    int errnum = worker_become(worker);

    if (errnum != 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "becoming %s: %s", worker->name, strerror(errnum));
        return;
    }
    if (doctor->knows_uid && doctor->uid == worker->uid) {
        doctor_say(doctor, DOCTOR_WARNING,
                   "%s is the daemon's user too: its processes could write the table and the store",
                   worker->name);
        doctor_mend(doctor, "give the daemon a user of its own: [daemon] user in %s",
                    doctor->config->path);
    }
    config_try(doctor, worker);
    table_try(doctor, worker);
    run_dir_try(doctor);
    bool maps = doctor_is_clean(doctor);
    if (maps)
        doctor_say(doctor, DOCTOR_OK, "%s reads the configuration and maps the table",
                   worker->name);
    socket_try(doctor, worker, maps);
}

/* The child's whole life. */
static void worker_child(struct doctor *doctor, const struct worker *worker, int fd)
{
    doctor->findings = json_array();
    if (doctor->findings == NULL)
        _exit(1);
    worker_look(doctor, worker);
    _exit(json_dumpfd(doctor->findings, fd, 0) == 0 && !doctor->out_of_memory ? 0 : 1);
}

static void worker_run(struct doctor *doctor, const struct worker *worker)
{
    json_t *findings = NULL;
    int ends[2], status = 0;

    (void)fflush(NULL);
    if (pipe2(ends, O_CLOEXEC) != 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "making a pipe: %s", strerror(errno));
        return;
    }
    pid_t pid = fork();
    if (pid == 0)
        worker_child(doctor, worker, ends[1]);
    close(ends[1]);
    if (pid > 0) {
        findings = json_loadfd(ends[0], 0, NULL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    close(ends[0]);
    if (!json_is_array(findings) || status != 0)
        doctor_say(doctor, DOCTOR_SKIPPED, "the look as %s failed (status %#x)", worker->name,
                   (unsigned)status);
    else if (json_array_extend(doctor->findings, findings) != 0)
        doctor->out_of_memory = true;
    json_decref(findings);
}

void doctor_worker(struct doctor *doctor)
{
    const char *text = option_text(&doctor->call->options, OPTION_AS_USER);
    struct worker worker;

    if (text == NULL) {
        doctor_say(doctor, DOCTOR_SKIPPED,
                   "--user NAME, as www-data, looks at all of this as the workers' user");
    } else if (!worker_find(text, &worker)) {
        doctor->code = error_set(&doctor->error, CATLATCH_E_DATA,
                                 "--user: there is no user \"%.32s\" on this host", text);
    } else if (geteuid() != 0 && geteuid() != worker.uid) {
        doctor_say(doctor, DOCTOR_SKIPPED, "only root can become %s: run this as root",
                   worker.name);
    } else {
        worker_run(doctor, &worker);
    }
}
