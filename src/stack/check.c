#include "stack/check.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stack/service.h"

/* What the child tells, whole in one write: less than PIPE_BUF. */
struct report {
    struct error error; /* code 0: this service is good; the text is then its name */
};
_Static_assert(sizeof(struct report) <= 4096, "a report is one write");

static void tell(int fd, const struct report *report)
{
    if (write(fd, report, sizeof *report) != (ssize_t)sizeof *report)
        _exit(1);
}

/* What a handler of the process does about a fault is not for the child. */
static void fault_plainly(void)
{
    static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS};

    for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++)
        signal(SIGNALS[i], SIG_DFL);
}

/* Names each service before it is opened, so that the parent knows where the child died. */
static void check_in_child(const struct config *config, int fd)
{
    struct named_limits limits = {.count = 0};

    fault_plainly();
    for (size_t i = 0; i <= config->service_count; i++) {
        const char *name = i == 0 ? "default" : config->services[i - 1].name;
        struct stack_service *service = NULL;
        struct report report = {.error = {.code = 0}};
        error_set(&report.error, 0, "%s", name);
        tell(fd, &report);
        if (stack_open(config, name, STACK_HOST_ANY, &service, &report.error) != 0 ||
            stack_gather_limits(service, &limits, &report.error) != 0) {
            tell(fd, &report);
            _exit(0);
        }
        stack_close(service);
    }
    _exit(0);
}

/* The last report, if any. */
static void read_reports(int fd, struct report *ret_last)
{
    struct report report;
    ssize_t len;

    while ((len = read(fd, &report, sizeof report)) != 0) {
        if (len == (ssize_t)sizeof report)
            *ret_last = report;
        else if (len > 0 || errno != EINTR)
            return;
    }
}

static int judge(const struct report *last, int status, struct error *error)
{
    if (last->error.code != 0) {
        *error = last->error;
        return error->code;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return error_set(error, CATLATCH_E_CONFIG,
                     "a module of [service %s] ended the process that tried it out (%s)",
                     last->error.text[0] != '\0' ? last->error.text : "default",
                     WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "by exiting");
}

int stack_check(const struct config *config, struct error *error)
{
    struct report last = {.error = {.code = 0}};
    struct error unheard;
    int ends[2], status;

    if (pipe(ends) != 0)
        return error_errno(error, errno, "trying the services out");
    pid_t pid = fork();
    if (pid < 0) {
        int r = error_errno(error, errno, "trying the services out");
        close(ends[0]);
        close(ends[1]);
        return r;
    }
    if (pid == 0) {
        close(ends[0]);
        check_in_child(config, ends[1]);
    }
    close(ends[1]);
    read_reports(ends[0], &last);
    close(ends[0]);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return judge(&last, status, error != NULL ? error : &unheard);
}
