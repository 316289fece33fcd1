#include "restore_offline.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define PROGRAM "catlatchd"

/* What the child says of itself when there is no catlatchd: as shells have it. */
#define EXIT_NO_PROGRAM 127

/* With [daemon] user catlatchd becomes that user by itself. Without, whoever owns state_dir is who
 * the daemon was started as. */
static bool become_owner(const struct call *call)
{
    struct stat status;

    if (geteuid() != 0 || call->config->user[0] != '\0' ||
        stat(call->config->state_dir, &status) != 0 || status.st_uid == 0)
        return true;
    return setgroups(0, NULL) == 0 && setresgid(status.st_gid, status.st_gid, status.st_gid) == 0 &&
           setresuid(status.st_uid, status.st_uid, status.st_uid) == 0;
}

/* Beside the tool, in the sbin of its prefix, or in PATH. */
static void run_program(char *const *argv)
{
    char self[PATH_MAX], path[PATH_MAX + 32];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);

    if (len > 0) {
        self[len] = '\0';
        const char *folder = dirname(self);
        snprintf(path, sizeof path, "%s/" PROGRAM, folder);
        execv(path, argv);
        snprintf(path, sizeof path, "%s/../sbin/" PROGRAM, folder);
        execv(path, argv);
    }
    execvp(PROGRAM, argv);
}

static _Noreturn void child(const struct call *call, int fd, int answers, bool dry_run,
                            bool accept_resurrection)
{
    const char *argv[8] = {PROGRAM, "-c", call_config_path(call), "--restore", "-"};
    size_t count = 5;

    if (dry_run)
        argv[count++] = "--dry-run";
    if (accept_resurrection)
        argv[count++] = "--accept-resurrection";
    if (lseek(fd, 0, SEEK_SET) != 0 || dup2(fd, STDIN_FILENO) < 0 ||
        dup2(answers, STDOUT_FILENO) < 0 || !become_owner(call))
        _exit(EX_OSERR);
    run_program((char *const *)(uintptr_t)argv);
    _exit(EXIT_NO_PROGRAM);
}

static int await(pid_t pid, int answers, int *ret_status, json_t **ret_summary, struct error *error)
{
    FILE *lines = fdopen(answers, "r");
    json_t *summary = lines != NULL ? json_loadf(lines, 0, NULL) : NULL;
    int status = 0;

    if (lines != NULL)
        fclose(lines);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    *ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
    *ret_summary = summary;
    if (*ret_status == EXIT_NO_PROGRAM)
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "the daemon is not running, and " PROGRAM
                         " is neither beside this program nor in PATH: start it");
    if (!WIFEXITED(status) || (*ret_status == EX_OK && summary == NULL))
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         PROGRAM " ended without saying what became of the restore");
    return 0;
}

int restore_offline(const struct call *call, int fd, bool dry_run, bool accept_resurrection,
                    int *ret_status, json_t **ret_summary, struct error *error)
{
    int answers[2];

    if (pipe2(answers, O_CLOEXEC) != 0)
        return error_errno(error, errno, "making a pipe");
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        child(call, fd, answers[1], dry_run, accept_resurrection);
    close(answers[1]);
    if (pid < 0) {
        int failed = errno;
        close(answers[0]);
        return error_errno(error, failed, "starting " PROGRAM);
    }
    return await(pid, answers[0], ret_status, ret_summary, error);
}
