#include "daemon/daemon.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/lock.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/patience.h"
#include "daemon/peer.h"
#include "daemon/privilege.h"
#include "daemon/subscription.h"
#include "stack/check.h"

/* Descriptors besides connections: Berkeley DB's files, locks, sockets, the loop's own. */
#define FILES_OWN 64u

/* How long clients have at the end to take their answers. */
#define DRAIN_MS 5000u

/* A file or folder that the configuration names and that is not there is the configuration's fault;
 * so is a configuration that is not there itself. A store and a table that contradict each other
 * are bad data. */
static int exit_status(const struct error *error)
{
    if (error->code == CATLATCH_E_NOT_FOUND)
        return EX_CONFIG;
    return error->code == CATLATCH_E_CONFLICT ? EX_DATAERR : error_exit_status(error->code);
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_handles(struct daemon *daemon)
{
    server_close(&daemon->server);
    close_handle((uv_handle_t *)&daemon->hangup);
    close_handle((uv_handle_t *)&daemon->terminate);
    close_handle((uv_handle_t *)&daemon->interrupt);
    close_handle((uv_handle_t *)&daemon->heartbeat);
    close_handle((uv_handle_t *)&daemon->watchdog);
    close_handle((uv_handle_t *)&daemon->opening);
    close_handle((uv_handle_t *)&daemon->deadline);
}

static void on_changer_stopped(void *context)
{
    struct daemon *daemon = context;

    close_handles(daemon);
}

static void on_drained(struct daemon *daemon)
{
    changer_stop(daemon->changer, on_changer_stopped, daemon);
}

static void on_deadline(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;

    log_line(LOG_WARNING, "some clients did not take their answers; closing");
    server_hurry(&daemon->server);
}

static void stop(struct daemon *daemon)
{
    daemon->stopping = true;
    restoring_stop(daemon);
    if (daemon->restoring.state == RESTORING_COMMITTED)
        notify_reloading();
    else
        notify_stopping();
    log_line(LOG_NOTICE, "stopping");
    if (uv_timer_start(&daemon->deadline, on_deadline, DRAIN_MS, 0) != 0)
        server_hurry(&daemon->server);
    server_drain(&daemon->server, on_drained);
}

static void on_stop(uv_signal_t *signal, int number)
{
    struct daemon *daemon = signal->data;

    (void)number;
    daemon->told_to_stop = true;
    if (daemon->stopping)
        server_hurry(&daemon->server);
    else
        stop(daemon);
}

static void on_stop_soon(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;

    if (!daemon->stopping)
        stop(daemon);
}

/* That timer has done its work when there is somebody who could ask. */
void daemon_stop_soon(struct daemon *daemon)
{
    if (uv_timer_start(&daemon->opening, on_stop_soon, 0, 0) != 0)
        server_hurry(&daemon->server);
}

/* From the store thread, by way of the loop: memory and disk may differ, and only a new start puts
 * that right. */
static void on_fatal(void *context, const struct error *error)
{
    (void)context;
    log_line(LOG_ERR, "%s", error->text);
    notify_status(error->text);
    _exit(EX_IOERR);
}

static void on_warning(void *context, const struct error *error)
{
    (void)context;
    log_line(LOG_WARNING, "%s", error->text);
}

/* The daemon uses every table that it publishes. */
static void note_generation(struct daemon *daemon)
{
    census_note_generation(daemon->census, changer_view(daemon->changer)->generation);
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;

    changer_beat(daemon->changer);
    note_generation(daemon);
    if (daemon->open)
        server_mend(&daemon->server);
}

void daemon_start_heartbeat(struct daemon *daemon)
{
    uint64_t interval_ms = (uint64_t)daemon->settings.config->heartbeat_interval_ms;
    int r = uv_timer_start(&daemon->heartbeat, on_heartbeat, interval_ms, interval_ms);

    if (r != 0)
        log_line(LOG_ERR, "cannot start the heartbeat: %s", uv_strerror(r));
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    notify_watchdog();
}

static void on_hangup(uv_signal_t *signal, int number)
{
    (void)number;
    daemon_reload(signal->data, NULL, NULL);
}

static int open_sockets(struct daemon *daemon, struct error *error)
{
    struct changer_status status;
    int r = server_open(&daemon->server, error);

    if (r != 0)
        return r;
    daemon->open = true;
    changer_status(daemon->changer, &status);
    notify_ready();
    log_line(LOG_NOTICE, "ready: %" PRIu64 " keys, sockets in %s and %s", status.key_count,
             daemon->settings.config->run_dir, daemon->settings.config->admin_dir);
    return 0;
}

static void on_opening(uv_timer_t *timer)
{
    struct daemon *daemon = timer->data;
    struct error error;

    if (daemon->stopping || open_sockets(daemon, &error) == 0)
        return;
    log_line(LOG_ERR, "%s", error.text);
    daemon->status = exit_status(&error);
    on_stop(&daemon->terminate, SIGTERM);
}

/* Everything that the loop calls, none of it running yet. */
static int init_loop(struct daemon *daemon, struct error *error)
{
    uv_timer_t *const timers[] = {&daemon->heartbeat, &daemon->watchdog, &daemon->opening,
                                  &daemon->deadline};
    uv_signal_t *const signals[] = {&daemon->hangup, &daemon->terminate, &daemon->interrupt};
    int r = uv_loop_init(&daemon->loop);

    if (r != 0)
        return error_errno(error, -r, "cannot make an event loop");
    daemon->started_ms = uv_now(&daemon->loop);
    for (size_t i = 0; i < sizeof timers / sizeof timers[0] && r == 0; i++) {
        r = uv_timer_init(&daemon->loop, timers[i]);
        timers[i]->data = daemon;
    }
    for (size_t i = 0; i < sizeof signals / sizeof signals[0] && r == 0; i++) {
        r = uv_signal_init(&daemon->loop, signals[i]);
        signals[i]->data = daemon;
    }
    if (r != 0)
        return error_errno(error, -r, "cannot prepare the event loop");
    return server_init(&daemon->server, daemon, error);
}

static int start_handles(struct daemon *daemon, uint64_t wait_ms, struct error *error)
{
    uint64_t watchdog_ms = notify_watchdog_ms() / 2;
    int r = uv_signal_start(&daemon->hangup, on_hangup, SIGHUP);

    if (r == 0)
        r = uv_signal_start(&daemon->terminate, on_stop, SIGTERM);
    if (r == 0)
        r = uv_signal_start(&daemon->interrupt, on_stop, SIGINT);
    if (r == 0 && watchdog_ms > 0)
        r = uv_timer_start(&daemon->watchdog, on_watchdog, watchdog_ms, watchdog_ms);
    /* The loop's clock stands still since before the recovery and the filling. */
    uv_update_time(&daemon->loop);
    if (r == 0 && wait_ms > 0)
        r = uv_timer_start(&daemon->opening, on_opening, wait_ms, 0);
    if (r != 0)
        return error_errno(error, -r, "cannot start signals and timers");
    daemon_start_heartbeat(daemon);
    if (wait_ms == 0)
        return open_sockets(daemon, error);
    log_line(LOG_NOTICE, "waiting %" PRIu64 " s: an earlier table may still be in use",
             wait_ms / 1000);
    notify_status("Waiting until no earlier table can be in use");
    return 0;
}

static void on_published(void *context)
{
    struct daemon *daemon = context;

    subscription_feed_all(&daemon->server);
}

/* In a thread of the loop's pool. */
static void tend_usage(void *context)
{
    struct daemon *daemon = context;
    struct error news;

    census_tend(daemon->census);
    if (!keeping_look(&daemon->keeping, daemon->tally, daemon->run_dir, &news))
        return;
    if (news.code != 0)
        log_line(LOG_WARNING, "workers that start now cannot count uses: %s", news.text);
    else
        log_line(LOG_NOTICE, "the usage keeper has what workers count in");
}

/* Without it keys are verified all the same. */
/* What the keeper has: uses that are not stored yet, and who is attached. One that was silent when
 * it was waited for is not waited for again. */
static int open_usage(struct daemon *daemon, struct error *error)
{
    const struct config *config = daemon->settings.config;
    unsigned patience_ms = PATIENCE_START_MS;
    struct error why = {0};

    daemon->run_dir = strdup(config->run_dir);
    daemon->keeping.config_path = strdup(config->path);
    if (daemon->run_dir == NULL || daemon->keeping.config_path == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    daemon->keeping.last_code = keeping_start(&daemon->keeping, daemon->run_dir, patience_ms, &why);
    if (daemon->keeping.last_code != 0) {
        log_line(LOG_WARNING, "workers cannot count uses: %s", why.text);
        patience_ms = PATIENCE_MS;
    }
    int r = tally_open(daemon->run_dir, patience_ms, &daemon->tally, &why, error);
    return r == 0 ? census_open(daemon->run_dir, patience_ms, &daemon->census, error) : r;
}

static int start_store(struct daemon *daemon, uint64_t *ret_wait_ms, struct error *error)
{
    const struct config *config = daemon->settings.config;
    struct store_options store = {.directory = config->state_dir,
                                  .cache_size_bytes = config->cache_size_bytes,
                                  .ballast_size_bytes = config->ballast_size_bytes,
                                  .checkpoint_interval_ms = config->checkpoint_interval_ms};
    struct changer_options changer = {.loop = &daemon->loop,
                                      .config = config,
                                      .run_dir = config->run_dir,
                                      .accept_older = daemon->options.accept_older,
                                      .fatal = on_fatal,
                                      .published = on_published,
                                      .tend_usage = tend_usage,
                                      .warn = on_warning,
                                      .context = daemon};

    int r = open_usage(daemon, error);
    if (r == 0)
        r = store_open(&store, &daemon->store, error);
    if (r != 0)
        return r;
    changer.store = daemon->store;
    changer.tally = daemon->tally;
    changer.census = daemon->census;
    r = changer_start(&changer, &daemon->changer, ret_wait_ms, error);
    if (r == 0)
        note_generation(daemon);
    if (r == 0)
        r = settings_check_environments(config, changer_view(daemon->changer), error);
    if (r == 0)
        restoring_load(daemon);
    return r;
}

/* One daemon for each state_dir and run_dir: before anything in them is touched. */
static int take_locks(struct daemon *daemon, struct error *error)
{
    const struct config *config = daemon->settings.config;
    int r = lock_take(config->state_dir, &daemon->state_lock, error);

    if (r == 0)
        r = lock_take_named("run_dir", config->run_dir, &daemon->run_lock, error);
    return r;
}

static uint64_t files_besides_clients(void)
{
    return SERVER_RESERVED_CLIENTS + SERVER_REFUSED_MAX + FILES_OWN;
}

/* Fewer clients rather than none who can still revoke: without a descriptor nobody gets in. */
static void bound_clients(struct daemon *daemon, uint64_t have)
{
    uint64_t wanted = daemon->settings.config->max_clients, besides = files_besides_clients();

    daemon->client_bound = wanted;
    if (have >= wanted + besides)
        return;
    daemon->client_bound = have > besides ? have - besides : 0;
    log_line(LOG_WARNING,
             "only %" PRIu64 " open files are allowed, and max_clients = %" PRIu64 " wants %" PRIu64
             ": raise the limit (LimitNOFILE=); until then %" PRIu64 " clients are taken",
             have, wanted, wanted + besides, daemon->client_bound);
}

void daemon_bound_clients(struct daemon *daemon)
{
    bound_clients(daemon,
                  privilege_files(daemon->settings.config->max_clients + files_besides_clients()));
}

static int settle_privileges(struct daemon *daemon, struct error *error)
{
    const struct config *config = daemon->settings.config;
    uint64_t files = config->max_clients + files_besides_clients(), have;
    struct privilege privilege;

    int r = privilege_resolve(config, &privilege, error);
    if (r == 0)
        r = privilege_folders(config, &privilege, error);
    if (r == 0)
        r = privilege_drop(&privilege, files, &have, error);
    if (r != 0)
        return r;
    daemon->uid = geteuid();
    if (daemon->uid == 0)
        log_line(LOG_WARNING,
                 "running as root: set [daemon] user in %s, so that workers and daemon "
                 "differ and nobody needs root",
                 config->path);
    if (daemon->uid == PEER_OVERFLOW_UID)
        log_line(LOG_WARNING,
                 "running as uid 65534, which is whoever is unknown in a user namespace and has no "
                 "right on the sockets: start it as a user of its own");
    bound_clients(daemon, have);
    return 0;
}

static int start(struct daemon *daemon, struct error *error)
{
    uint64_t wait_ms = 0;
    int r = settings_read(daemon->options.config_path, &daemon->settings, error);

    if (r == 0)
        r = settle_privileges(daemon, error);
    if (r == 0)
        r = take_locks(daemon, error);
    if (r == 0)
        r = init_loop(daemon, error);
    if (r == 0)
        r = start_store(daemon, &wait_ms, error);
    if (r == 0)
        r = start_handles(daemon, wait_ms, error);
    return r;
}

static void free_all(struct daemon *daemon)
{
    changer_free(daemon->changer);
    census_free(daemon->census);
    tally_free(daemon->tally);
    free(daemon->run_dir);
    free(daemon->keeping.config_path);
    store_close(daemon->store);
    server_free(&daemon->server);
    settings_free(&daemon->settings);
    settings_free(&daemon->fresh);
    lock_drop(daemon->run_lock);
    lock_drop(daemon->state_lock);
}

/* The ordinary start does all that a new store needs. The program is the one that runs, even if
 * another was installed meanwhile. */
static int begin_anew(const struct daemon *daemon)
{
    server_pass_on(&daemon->server);
    notify_watchdog();
    (void)signal(SIGPIPE, SIG_DFL);
    execv("/proc/self/exe", daemon->options.argv);
    log_line(LOG_ERR, "cannot start anew: %s", strerror(errno));
    return EX_OSERR;
}

int daemon_run(const struct daemon_options *options)
{
    static struct daemon daemon = {.state_lock = -1, .run_lock = -1};
    struct error error;

    daemon.options = *options;
    restoring_init(&daemon.restoring);
    log_start();
    /* Nothing that we make is for others, unless its own mode is set. */
    umask(0027);
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
        gethostname(daemon.host, sizeof daemon.host - 1) != 0) {
        log_line(LOG_ERR, "cannot start: %s", strerror(errno));
        return EX_OSERR;
    }
    if (start(&daemon, &error) != 0) {
        log_line(LOG_ERR, "%s", error.text);
        notify_status(error.text);
        if (daemon.run_dir != NULL)
            keeping_undo(&daemon.keeping, daemon.run_dir);
        /* The store thread may run: ending the process is the one way that needs no loop. What was
         * committed is on the disk, and nobody was answered yet. */
        _exit(exit_status(&error));
    }
    uv_run(&daemon.loop, UV_RUN_DEFAULT);
    int r = uv_loop_close(&daemon.loop);
    if (r != 0)
        log_line(LOG_WARNING, "the event loop ended with work left: %s", uv_strerror(r));
    bool anew = daemon.restoring.state == RESTORING_COMMITTED;
    if (anew)
        restoring_apply(&daemon);
    free_all(&daemon);
    return anew && !daemon.told_to_stop ? begin_anew(&daemon) : daemon.status;
}

int daemon_test(const char *config_path)
{
    struct settings settings = {0};
    struct error error;

    if (settings_read(config_path, &settings, &error) != 0 ||
        stack_check(settings.config, &error) != 0) {
        fprintf(stderr, "catlatchd: %s\n", error.text);
        settings_free(&settings);
        return exit_status(&error);
    }
    printf("%s: good\n", settings.config->path);
    settings_free(&settings);
    return EX_OK;
}
