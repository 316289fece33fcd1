/* catlatch-keeper: holds the usage area that all workers share, so that it outlives the daemon. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "core/config.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/privilege.h"
#include "keeper/clients.h"
#include "keeper/detach.h"
#include "keeper/holding.h"
#include "keeper/place.h"
#include "keeper/processes.h"

/* How often it is looked whether the socket is still ours, however much there is to do. */
#define LOOK_MS 1000

/* Descriptors that were sent and not yet taken count against the limit of open files: as many as
 * uids with CLIENTS_UNTAKEN_MAX of them will hardly come together. PROCESS_LINES are open as well
 * when everybody is attached; where this many are not allowed, whoever comes then has no line. */
#define FILES 65536u

static const char usage[] =
    "Usage: catlatch-keeper [-c FILE] [--detach]\n"
    "\n"
    "Holds the memory in which all workers count how keys are used, so that it outlives catlatchd\n"
    "and can be had while that is down. It stays in the foreground and logs to stderr.\n"
    "\n"
    "  -c, --config FILE   the configuration; otherwise $CATLATCH_CONFIG, or\n"
    "                      " CATLATCH_SYSCONFDIR "/catlatch/catlatch.ini\n"
    "      --detach        go on in the background once it serves; the log stays on stderr\n"
    "      --version       say which version this is\n"
    "  -h, --help          say this\n"
    "\n"
    "SIGTERM and SIGINT end it, and so does the removal of its socket.\n"
    "Exit status: 0 after one of these, with --detach once it serves, or when another keeper\n"
    "serves run_dir already; 64 usage, 69 something else is in its place, 71 the system, 74 input\n"
    "or output, 77 permission, 78 configuration.\n";

enum { OPTION_VERSION = 256, OPTION_DETACH };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"detach", no_argument, NULL, OPTION_DETACH},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct keeper {
    struct holding holding;
    struct processes processes;
    struct place place;
    struct clients clients;
    int signals;
};

/* The signals that end it, as something to poll. The others must not: a terminal that goes away, or
 * a reader of stderr. */
static int open_signals(int *ret_signals, struct error *error)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    int fd = -1;
    if (sigprocmask(SIG_BLOCK, &ends, NULL) == 0 && signal(SIGHUP, SIG_IGN) != SIG_ERR &&
        signal(SIGPIPE, SIG_IGN) != SIG_ERR)
        fd = signalfd(-1, &ends, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return error_errno(error, errno, "cannot take signals");
    *ret_signals = fd;
    return 0;
}

static int settle(const char *config_path, char ret_run_dir[PATH_MAX], uint64_t *ret_files,
                  struct error *error)
{
    struct privilege privilege;
    struct config *config;
    int r = config_read(config_path, &config, error);

    if (r != 0)
        return r;
    r = privilege_resolve(config, &privilege, error);
    if (r == 0)
        r = privilege_run_dir(config, &privilege, error);
    if (r == 0)
        r = privilege_drop(&privilege, FILES, ret_files, error);
    memcpy(ret_run_dir, config->run_dir, PATH_MAX);
    config_free(config);
    return r;
}

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_ms(const struct keeper *keeper, int64_t looked_ms)
{
    int64_t now_ms = clock_ms(), due_ms = clients_due_ms(&keeper->clients, now_ms);

    if (looked_ms + LOOK_MS < due_ms)
        due_ms = looked_ms + LOOK_MS;
    return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

/* Until a signal comes, or the socket is somebody else's. */
static void serve(struct keeper *keeper)
{
    struct pollfd fds[3 + CLIENTS_MAX] = {{.fd = keeper->signals, .events = POLLIN},
                                          {.events = POLLIN},
                                          {.fd = keeper->processes.ended, .events = POLLIN}};
    int64_t looked_ms = clock_ms();

    for (;;) {
        unsigned count = clients_watch(&keeper->clients, fds + 3);
        fds[1].fd = clients_accepting(&keeper->clients) ? keeper->place.listener : -1;
        if (poll(fds, 3 + count, wait_ms(keeper, looked_ms)) < 0 && errno != EINTR) {
            log_line(LOG_ERR, "cannot wait for connections: %s", strerror(errno));
            return;
        }
        int64_t now_ms = clock_ms();
        if ((fds[0].revents & POLLIN) != 0) {
            log_line(LOG_NOTICE, "stopping");
            return;
        }
        if ((fds[2].revents & POLLIN) != 0)
            processes_reap(&keeper->processes);
        clients_serve(&keeper->clients, fds + 3, now_ms);
        if ((fds[1].revents & POLLIN) != 0)
            clients_accept(&keeper->clients, keeper->place.listener, now_ms);
        if (now_ms - looked_ms < LOOK_MS)
            continue;
        looked_ms = now_ms;
        if (!place_is_ours(&keeper->place)) {
            log_line(LOG_NOTICE, "%s was removed or replaced; stopping", keeper->place.path);
            return;
        }
    }
}

/* *ret_taken false: another keeper serves this run_dir. */
static int start(struct keeper *keeper, const char *config_path, bool *ret_taken,
                 struct error *error)
{
    char run_dir[PATH_MAX];
    uint64_t files = 0;
    int r = settle(config_path, run_dir, &files, error);

    if (r == 0)
        r = open_signals(&keeper->signals, error);
    if (r == 0)
        r = place_take(&keeper->place, run_dir, ret_taken, error);
    if (r == 0 && !*ret_taken)
        log_line(LOG_NOTICE, "another keeper serves %s already; nothing to do", run_dir);
    if (r != 0 || !*ret_taken)
        return r;
    r = processes_start(&keeper->processes, files, error);
    if (r != 0)
        place_leave(&keeper->place);
    return r;
}

/* `report`: who waits for it to be ready, -1: nobody. */
static int run(const char *config_path, int *report)
{
    static struct keeper keeper;
    struct passed passed;
    struct error error;
    bool taken = false;

    umask(0027);
    passed_take(&passed);
    processes_inherit(&keeper.processes, &passed);
    holding_inherit(&keeper.holding, &passed);
    if (start(&keeper, config_path, &taken, &error) != 0) {
        log_line(LOG_ERR, "%s", error.text);
        notify_status(error.text);
        /* What the configuration names and is not there is the configuration's fault. */
        return error.code == CATLATCH_E_NOT_FOUND ? EX_CONFIG : error_exit_status(error.code);
    }
    if (!taken)
        return EX_OK;
    clients_init(&keeper.clients, &keeper.holding, &keeper.processes);
    log_line(LOG_NOTICE, "serving: %s", keeper.place.path);
    notify_ready();
    detach_tell(report, EX_OK);
    serve(&keeper);
    notify_stopping();
    clients_close(&keeper.clients);
    place_leave(&keeper.place);
    return EX_OK;
}

static int start_running(const char *config_path, bool detaches)
{
    int report = -1, status;

    log_name("catlatch-keeper");
    log_start();
    if (detaches && !detach_fork(&report, &status))
        return status;
    status = run(config_path, &report);
    detach_tell(&report, status);
    return status;
}

static const char *config_path_of(const char *given)
{
    const char *environment = getenv("CATLATCH_CONFIG");

    if (given)
        return given;
    return environment && environment[0] ? environment : config_default_path();
}

int main(int argc, char **argv)
{
    const char *config_path = NULL;
    bool detaches = false;
    int option;

    while ((option = getopt_long(argc, argv, "c:h", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            config_path = optarg;
            break;
        case OPTION_DETACH:
            detaches = true;
            break;
        case OPTION_VERSION:
            puts("catlatch-keeper " CATLATCH_VERSION);
            return EX_OK;
        case 'h':
            fputs(usage, stdout);
            return EX_OK;
        default:
            fputs("catlatch-keeper: see catlatch-keeper --help\n", stderr);
            return EX_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "catlatch-keeper: unexpected argument %s; see catlatch-keeper --help\n",
                argv[optind]);
        return EX_USAGE;
    }
    return start_running(config_path_of(config_path), detaches);
}
