/* Reading the configuration again: all of it takes effect at one moment, or none. */
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/notify.h"

static void finish(struct daemon *daemon, const struct error *error)
{
    daemon_reloaded *reloaded = daemon->reloaded;

    daemon->reloading = false;
    daemon->reloaded = NULL;
    if (error->code == 0)
        log_line(LOG_NOTICE, "configuration read again from %s", daemon->settings.config->path);
    else
        log_line(LOG_ERR, "%s; nothing was changed", error->text);
    if (daemon->open)
        notify_ready();
    if (reloaded)
        reloaded(daemon->reloaded_context, error);
    if (daemon->reload_again && !daemon->stopping) {
        daemon->reload_again = false;
        daemon_reload(daemon, NULL, NULL);
    }
}

/* The store thread has let go of the old configuration, or refused the new one. */
static void on_configured(void *context, const struct error *error)
{
    struct daemon *daemon = context;

    if (error->code != 0) {
        settings_free(&daemon->fresh);
        finish(daemon, error);
        return;
    }
    settings_free(&daemon->settings);
    daemon->settings = daemon->fresh;
    daemon->fresh = (struct settings){0};
    daemon_bound_clients(daemon);
    server_look_up(&daemon->server);
    daemon_start_heartbeat(daemon);
    finish(daemon, error);
}

void daemon_reload(struct daemon *daemon, daemon_reloaded *reloaded, void *context)
{
    struct error error = {.code = 0};

    if (daemon->reloading || daemon->stopping) {
        daemon->reload_again |= !reloaded;
        error_set(&error, CATLATCH_E_UNAVAILABLE, "%s",
                  daemon->stopping ? "the daemon is stopping"
                                   : "another reload is under way; try again");
        if (reloaded)
            reloaded(context, &error);
        return;
    }
    daemon->reloading = true;
    daemon->reloaded = reloaded;
    daemon->reloaded_context = context;
    notify_reloading();
    const struct config *running = daemon->settings.config;
    int r = settings_read(running->path, &daemon->fresh, &error);
    if (r == 0)
        r = config_reload_check(running, daemon->fresh.config, &error);
    if (r == 0) {
        changer_configure(daemon->changer, daemon->fresh.config, on_configured, daemon);
        return;
    }
    /* A file that is gone or not to be trusted is a bad one; no key, and no right, is missing. */
    if (error.code == CATLATCH_E_NOT_FOUND || error.code == CATLATCH_E_PERMISSION)
        error.code = CATLATCH_E_CONFIG;
    settings_free(&daemon->fresh);
    finish(daemon, &error);
}
