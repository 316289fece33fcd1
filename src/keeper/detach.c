#include "keeper/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/log.h"

static bool fail(const char *what, int *ret_status)
{
    log_line(LOG_ERR, "cannot %s: %s", what, strerror(errno));
    *ret_status = EX_OSERR;
    return false;
}

/* In the one in between, so that the last is init's child and leads no session. */
static void fork_again(void)
{
    int status;
    bool failed = setsid() < 0;
    pid_t pid = failed ? -1 : fork();

    if (pid == 0)
        return;
    if (pid < 0)
        fail("detach", &status);
    /* _exit: what the caller has not written of its own is not written twice. */
    _exit(pid > 0 ? EX_OK : EX_OSERR);
}

static void leave_caller(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null >= 0) {
        (void)dup2(null, STDIN_FILENO);
        (void)dup2(null, STDOUT_FILENO);
        close(null);
    }
    unsetenv("NOTIFY_SOCKET");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

/* Without a byte it ended before it could tell. */
static int hear(int report)
{
    unsigned char status;
    ssize_t len;

    while ((len = read(report, &status, 1)) < 0 && errno == EINTR)
        ;
    if (len == 1)
        return status;
    log_line(LOG_ERR, "the detached process ended before it was ready");
    return EX_OSERR;
}

/* Numbers below 3 that the caller closed would become the socket's, and the log would go there. */
static void fill_standard(void)
{
    int fd;

    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    closefrom(STDERR_FILENO + 1);
}

bool detach_fork(int *ret_report, int *ret_status)
{
    int pipes[2];

    fill_standard();
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return fail("make a pipe", ret_status);
    pid_t pid = fork();
    if (pid < 0)
        return fail("fork", ret_status);
    if (pid == 0) {
        close(pipes[0]);
        fork_again();
        leave_caller();
        *ret_report = pipes[1];
        return true;
    }
    close(pipes[1]);
    (void)waitpid(pid, NULL, 0);
    *ret_status = hear(pipes[0]);
    return false;
}

void detach_tell(int *report, int status)
{
    unsigned char byte = (unsigned char)status;

    if (*report < 0)
        return;
    if (status == EX_OK && chdir("/") != 0)
        log_line(LOG_WARNING, "cannot go to /: %s", strerror(errno));
    /* Nobody to tell is no reason to end: it was asked for. */
    if (write(*report, &byte, 1) != 1)
        log_line(LOG_WARNING, "who started this did not wait until it was ready");
    close(*report);
    *report = -1;
}
