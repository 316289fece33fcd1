#include "lib_keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_daemon.h"
#include "usage/area.h"

/* SO_PEERPIDFD, which headers have not yet. */
#define PEERPIDFD 77

static int bind_notify(const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/notify", folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(chmod(address.sun_path, 0666), 0);
    return fd;
}

void keeper_trial_open(struct keeper_trial *trial, const char *settings)
{
    *trial = (struct keeper_trial){.pidfd = -1, .notify = -1};
    strcpy(trial->folder, "/tmp/catlatch-keeper-XXXXXX");
    assert_non_null(mkdtemp(trial->folder));
    assert_int_equal(chmod(trial->folder, 0755), 0);
    snprintf(trial->run_dir, sizeof trial->run_dir, "%.40s/run", trial->folder);
    snprintf(trial->socket, sizeof trial->socket, "%.40s/run/usage.sock", trial->folder);
    snprintf(trial->config, sizeof trial->config, "%.40s/catlatch.ini", trial->folder);
    snprintf(trial->log, sizeof trial->log, "%.40s/log", trial->folder);
    FILE *file = fopen(trial->config, "we");
    assert_non_null(file);
    fprintf(file, "[daemon]\nrun_dir = %s\n%s", trial->run_dir, settings ? settings : "");
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(trial->config, 0644), 0);
    file = fopen(trial->log, "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    trial->notify = bind_notify(trial->folder);
}

void keeper_trial_close(struct keeper_trial *trial)
{
    if (trial->pid != 0) {
        kill(trial->pid, SIGKILL);
        waitpid(trial->pid, NULL, 0);
        close(trial->pidfd);
    }
    for (unsigned i = 0; i < trial->kept_count; i++)
        close(trial->kept[i].fd);
    close(trial->notify);
    trial_remove_tree(trial->folder);
}

/* What was kept, from 3 on, and the variables that say so. */
static void pass_kept(const struct keeper_trial *trial)
{
    char names[KEEPER_TRIAL_KEPT_MAX * 64] = "", number[24];
    int high[KEEPER_TRIAL_KEPT_MAX];
    size_t len = 0;

    /* Out of the way first: one may stand where another belongs. */
    for (unsigned i = 0; i < trial->kept_count; i++) {
        high[i] = fcntl(trial->kept[i].fd, F_DUPFD_CLOEXEC, 200);
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%.60s", i > 0 ? ":" : "",
                                trial->kept[i].name);
    }
    for (unsigned i = 0; i < trial->kept_count; i++)
        if (dup2(high[i], 3 + (int)i) < 0)
            _exit(126);
    snprintf(number, sizeof number, "%ld", (long)getpid());
    setenv("LISTEN_PID", number, 1);
    snprintf(number, sizeof number, "%u", trial->kept_count);
    setenv("LISTEN_FDS", number, 1);
    setenv("LISTEN_FDNAMES", names, 1);
}

/* The system knows the socket's option no more, in this process. */
static void grow_older(void)
{
    const uint32_t option = offsetof(struct seccomp_data, args[2]) +
                            (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(uint32_t) : 0);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsockopt, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, option),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PEERPIDFD, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(126);
}

static void become(const struct keeper_trial *trial)
{
    const struct rlimit files = {trial->files, trial->files};

    if (trial->files != 0 && setrlimit(RLIMIT_NOFILE, &files) != 0)
        _exit(126);
    if (trial->uid != 0 && (setresgid(trial->gid, trial->gid, trial->gid) != 0 ||
                            setresuid(trial->uid, trial->uid, trial->uid) != 0))
        _exit(126);
}

static void run(const struct keeper_trial *trial)
{
    const char *build = getenv("CATLATCH_BUILD");
    char program[PATH_MAX], notify[KEEPER_TRIAL_PATH + 8];

    snprintf(program, sizeof program, "%s/catlatch-keeper", build != NULL ? build : "build");
    snprintf(notify, sizeof notify, "%s/notify", trial->folder);
    int log = open(trial->log, O_WRONLY | O_APPEND | O_CLOEXEC);
    /* By its descriptor, for a user who cannot enter the folder of the build. */
    int fd = open(program, O_PATH | O_CLOEXEC);
    const char *const words[] = {program, "-c", trial->config, trial->detaches ? "--detach" : NULL,
                                 NULL};
    if (log < 0 || fd < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(126);
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 300);
    unsetenv("JOURNAL_STREAM");
    setenv("NOTIFY_SOCKET", notify, 1);
    if (trial->kept_count > 0)
        pass_kept(trial);
    become(trial);
    if (trial->older)
        grow_older();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fexecve(fd, (char *const *)(uintptr_t)words, environ);
    dprintf(STDERR_FILENO, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

void keeper_trial_launch(struct keeper_trial *trial)
{
    assert_int_equal(trial->pid, 0);
    if (trial->uid != 0 && mkdir(trial->run_dir, 0755) == 0)
        assert_int_equal(chown(trial->run_dir, trial->uid, trial->gid), 0);
    trial->ready = false;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run(trial);
    trial->pid = pid;
    trial->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    assert_true(trial->pidfd >= 0);
}

static void show_log(const struct keeper_trial *trial)
{
    char line[1024];
    FILE *file = fopen(trial->log, "re");

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        fputs(line, stderr);
    if (file != NULL)
        fclose(file);
}

/* It says that it is ready on a socket that it closes then. A connection that it closes shows that
 * its loop runs, and is none of its descriptors any more. */
static void await_loop(const struct keeper_trial *trial)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char byte = 0;

    memcpy(address.sun_path, trial->socket, sizeof address.sun_path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, &byte, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

void keeper_trial_start(struct keeper_trial *trial)
{
    struct pollfd fds[2];

    keeper_trial_launch(trial);
    fds[0] = (struct pollfd){.fd = trial->notify, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = trial->pidfd, .events = POLLIN};
    while (!trial->ready) {
        int r = poll(fds, 2, KEEPER_TRIAL_PATIENCE_MS);
        keeper_trial_listen(trial);
        if (r == 1 && fds[0].revents != 0)
            continue;
        if (!trial->ready) {
            show_log(trial);
            fail_msg("catlatch-keeper did not become ready; what it said is above");
        }
    }
    await_loop(trial);
}

void keeper_trial_start_with_users(struct keeper_trial *trial)
{
    char settings[128];

    snprintf(settings, sizeof settings, "user = %d\ngroup = %d\n", KEEPER_TRIAL_UID,
             KEEPER_TRIAL_WORKERS_GID);
    keeper_trial_open(trial, settings);
    if (geteuid() != 0)
        return;
    keeper_trial_start(trial);
    trial->uid = KEEPER_TRIAL_UID; /* whom clients believe */
}

void keeper_trial_skip_unless_root(void)
{
    if (geteuid() != 0) {
        print_message("# skipped: only root becomes somebody else\n");
        skip();
    }
}

static int await_status(struct keeper_trial *trial)
{
    struct pollfd fd = {.fd = trial->pidfd, .events = POLLIN};
    int status;

    if (poll(&fd, 1, KEEPER_TRIAL_PATIENCE_MS) != 1) {
        show_log(trial);
        fail_msg("catlatch-keeper did not end; what it said is above");
    }
    assert_int_equal(waitpid(trial->pid, &status, 0), trial->pid);
    close(trial->pidfd);
    trial->pid = 0;
    trial->pidfd = -1;
    return status;
}

int keeper_trial_await_end(struct keeper_trial *trial)
{
    int status = await_status(trial);

    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void keeper_trial_kill(struct keeper_trial *trial)
{
    assert_int_equal(kill(trial->pid, SIGKILL), 0);
    assert_true(WIFSIGNALED(await_status(trial)));
    keeper_trial_listen(trial);
}

void keeper_trial_keep(struct keeper_trial *trial, const char *name, int fd)
{
    assert_true(trial->kept_count < KEEPER_TRIAL_KEPT_MAX);
    struct keeper_kept *kept = &trial->kept[trial->kept_count++];
    snprintf(kept->name, sizeof kept->name, "%s", name);
    kept->fd = fd;
}

static void forget(struct keeper_trial *trial, const char *name)
{
    for (unsigned i = 0; i < trial->kept_count; i++) {
        if (strcmp(trial->kept[i].name, name) != 0)
            continue;
        close(trial->kept[i].fd);
        trial->kept[i--] = trial->kept[--trial->kept_count];
    }
}

void keeper_trial_lose(struct keeper_trial *trial, const char *start)
{
    for (unsigned i = 0; i < trial->kept_count; i++) {
        if (strncmp(trial->kept[i].name, start, strlen(start)) != 0)
            continue;
        close(trial->kept[i].fd);
        trial->kept[i--] = trial->kept[--trial->kept_count];
    }
}

static void obey(struct keeper_trial *trial, char *text, const struct passing *passing)
{
    const char *name = strstr(text, "FDNAME=");
    char *rest = text, *line;
    bool stores = false, forgets = false;

    name = name != NULL ? name + strlen("FDNAME=") : "stored";
    while ((line = strsep(&rest, "\n")) != NULL) {
        trial->ready = trial->ready || strcmp(line, "READY=1") == 0;
        stores = stores || strcmp(line, "FDSTORE=1") == 0;
        forgets = forgets || strcmp(line, "FDSTOREREMOVE=1") == 0;
    }
    assert_int_equal(passing->count, stores ? 1 : 0);
    if (stores)
        keeper_trial_keep(trial, name, passing->fds[0]);
    if (forgets)
        forget(trial, name);
}

void keeper_trial_listen(struct keeper_trial *trial)
{
    struct passing passing;
    char text[1024];
    ssize_t len;

    while ((len = passing_receive(trial->notify, text, sizeof text - 1, PASSING_MAX, &passing,
                                  MSG_DONTWAIT)) > 0) {
        text[len] = '\0';
        obey(trial, text, &passing);
    }
}

bool keeper_trial_said(const struct keeper_trial *trial, const char *text)
{
    char line[2048];
    bool found = false;
    FILE *file = fopen(trial->log, "re");

    assert_non_null(file);
    while (!found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, text) != NULL;
    fclose(file);
    return found;
}

unsigned keeper_trial_descriptors(const struct keeper_trial *trial)
{
    char path[64];
    struct stat status;
    unsigned count = 0;

    snprintf(path, sizeof path, "/proc/%ld/fd", (long)trial->pid);
    /* Linux 6.2 and newer tell the number to everybody. */
    if (stat(path, &status) == 0 && status.st_size > 0)
        return (unsigned)status.st_size;
    DIR *folder = opendir(path);
    if (folder == NULL && errno == EACCES) {
        print_message("# skipped: only root sees the descriptors of a process without dumps\n");
        skip();
    }
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 2; /* "." and ".." */
}

void keeper_trial_await_descriptors(const struct keeper_trial *trial, unsigned count)
{
    unsigned seen = 0;

    for (int i = 0; i < KEEPER_TRIAL_PATIENCE_MS; i++) {
        seen = keeper_trial_descriptors(trial);
        if (seen == count)
            return;
        poll(NULL, 0, 1); /* nothing tells when; the loop only leaves the processor to others */
    }
    fail_msg("the keeper has %u descriptors open and not %u", seen, count);
}

int keeper_trial_segment(unsigned k)
{
    int fd = memfd_create("usage", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)usage_segment_size(k)), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
    return fd;
}

void keeper_trial_area(uint8_t byte, uint8_t ret_area[KEEPER_AREA_BYTES])
{
    memset(ret_area, byte, KEEPER_AREA_BYTES);
}
