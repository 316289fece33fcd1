#include "daemon/keeping.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/patience.h"
#include "usage/fetch.h"

#define KEEPER_NAME "catlatch-keeper"

extern char **environ;

/* Beside the program that runs. */
static int find_keeper(char ret_path[PATH_MAX], struct error *error)
{
    ssize_t len = readlink("/proc/self/exe", ret_path, PATH_MAX - 1);
    if (len < 0)
        return error_errno(error, errno, "/proc/self/exe cannot be read");
    ret_path[len] = '\0';
    char *slash = strrchr(ret_path, '/');
    size_t room = slash != NULL ? (size_t)(ret_path + PATH_MAX - slash - 1) : 0;
    if (room < sizeof KEEPER_NAME)
        return error_set(error, CATLATCH_E_UNAVAILABLE, KEEPER_NAME " is nowhere");
    memcpy(slash + 1, KEEPER_NAME, sizeof KEEPER_NAME);
    return 0;
}

/* The threads that work for the loop take no signals; the keeper does. Returns 0 or an errno. */
static int spawn(const char *path, char *const argv[], pid_t *ret_pid)
{
    posix_spawnattr_t attributes;
    sigset_t none;

    sigemptyset(&none);
    int failed = posix_spawnattr_init(&attributes);
    if (failed != 0)
        return failed;
    failed = posix_spawnattr_setsigmask(&attributes, &none);
    if (failed == 0)
        failed = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (failed == 0)
        failed = posix_spawn(ret_pid, path, NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    return failed;
}

/* It says itself, in the log, what keeps it from serving. */
static int run_keeper(const char *path, const char *config_path, struct error *error)
{
    char *const argv[] = {(char *)(uintptr_t)path, (char *)(uintptr_t) "--detach",
                          (char *)(uintptr_t) "--config", (char *)(uintptr_t)config_path, NULL};
    pid_t pid;
    int status;

    int failed = spawn(path, argv, &pid);
    if (failed != 0)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "%s cannot be started: %s", path,
                         strerror(failed));
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_errno(error, errno, "waiting for %s", path);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return error_set(error, CATLATCH_E_UNAVAILABLE, "%s did not start", path);
}

/* systemd says to the process that it starts, and not to what that starts, that it did
 * (systemd.exec(5)). */
static bool is_managed(void)
{
    const char *pid = getenv("SYSTEMD_EXEC_PID");

    return pid != NULL && strtol(pid, NULL, 10) == (long)getpid();
}

int keeping_start(struct keeping *keeping, const char *run_dir, unsigned patience_ms,
                  struct error *error)
{
    char path[PATH_MAX];
    struct trust trust = trust_self();
    struct usage_fetched fetched;
    bool starts_it = !is_managed();

    int r = usage_fetch(run_dir, &trust, starts_it ? PATIENCE_MS : patience_ms, &fetched, error);
    if (r == 0)
        usage_fetched_close(&fetched);
    if (r != CATLATCH_E_UNAVAILABLE || !starts_it)
        return r;
    r = find_keeper(path, error);
    if (r == 0)
        r = run_keeper(path, keeping->config_path, error);
    keeping->started |= r == 0;
    return r;
}

/* It ends when its socket is gone. */
void keeping_undo(const struct keeping *keeping, const char *run_dir)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/" KEEPER_SOCKET_NAME, run_dir);

    if (keeping->started && len > 0 && (size_t)len < sizeof path)
        unlink(path);
}

bool keeping_look(struct keeping *keeping, struct tally *tally, const char *run_dir,
                  struct error *ret_news)
{
    struct error error = {0};

    int r = tally_tend(tally, &error);
    if (r == CATLATCH_E_UNAVAILABLE && keeping_start(keeping, run_dir, PATIENCE_MS, &error) == 0)
        r = tally_tend(tally, &error);
    bool news = r != keeping->last_code;
    keeping->last_code = r;
    if (r == 0)
        error = (struct error){0};
    *ret_news = error;
    return news;
}
