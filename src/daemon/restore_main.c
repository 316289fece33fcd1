/* catlatchd --restore: for when no daemon runs. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/lock.h"
#include "daemon/pairs.h"
#include "daemon/peer.h"
#include "daemon/privilege.h"

#define FILES 256u

struct offline {
    const struct daemon_options *options;
    int fd;
    int state_lock, run_lock;
    struct settings settings;
    struct store *old;      /* NULL: none can be read, */
    struct error old_error; /* and why; code 0: there is none */
    struct restore *restore;
};

/* Before any right is given up: a backup is mostly root's alone. */
static int open_backup(struct offline *offline, struct error *error)
{
    const char *path = offline->options->restore_path;

    offline->fd = STDIN_FILENO;
    if (strcmp(path, "-") == 0)
        return 0;
    offline->fd = open(path, O_RDONLY | O_CLOEXEC);
    return offline->fd >= 0 ? 0 : error_errno(error, errno, "%s", path);
}

/* As a start does it. */
static int take_over(struct offline *offline, struct error *error)
{
    const struct config *config = offline->settings.config;
    struct privilege privilege;
    uint64_t files;

    int r = privilege_resolve(config, &privilege, error);
    if (r == 0)
        r = privilege_folders(config, &privilege, error);
    if (r == 0)
        r = privilege_drop(&privilege, FILES, &files, error);
    if (r == 0)
        r = lock_take(config->state_dir, &offline->state_lock, error);
    if (r == 0)
        r = lock_take_named("run_dir", config->run_dir, &offline->run_lock, error);
    return r;
}

/* What cannot be read tells nothing; what could be read by another program is not thrown away. */
static int open_old(struct offline *offline, struct error *error)
{
    const struct config *config = offline->settings.config;
    struct store_options options = {.directory = config->state_dir,
                                    .cache_size_bytes = config->cache_size_bytes,
                                    .ballast_size_bytes = config->ballast_size_bytes};
    bool exists = false;

    int r = store_exists(config->state_dir, &exists, &offline->old_error);
    if (r == 0 && exists)
        r = store_open(&options, &offline->old, &offline->old_error);
    if (r == 0 || r == CATLATCH_E_DATA || r == CATLATCH_E_IO)
        return 0;
    *error = offline->old_error;
    return r;
}

static int compare(struct offline *offline, struct error *error)
{
    bool done = false;
    int r = 0;

    while (r == 0 && !done)
        r = restore_compare(offline->restore, offline->old, &done, error);
    if (r == 0 || offline->old == NULL || !store_is_broken(offline->old))
        return r;
    /* It was opened, and yet it is damaged: what it tells is not all. */
    offline->old_error = *error;
    return 0;
}

static void print_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

static void print_summary(const struct offline *offline, bool restored)
{
    const struct backup_tally *backup = restore_backup(offline->restore);
    const struct restore_counts *counts = restore_counts(offline->restore);
    struct store_position position = restore_position(offline->restore);
    char moment[PAIRS_MOMENT_SIZE];

    pairs_moment(backup->position.time_unix_ms, moment);
    printf("{\"state\":\"%s\",\"backup_host\":", restored ? "done" : "ready");
    print_text(backup->begin.host);
    printf(",\"backup_time\":\"%s\",\"backup_sequence\":\"%" PRIu64 ":%" PRIu64 "\"", moment,
           backup->position.epoch, backup->position.sequence);
    printf(",\"known\":%s,\"store_error\":",
           restore_is_known(offline->restore) && offline->old_error.code == 0 ? "true" : "false");
    if (offline->old_error.code != 0)
        print_text(offline->old_error.text);
    else
        fputs("null", stdout);
    printf(",\"keys\":%" PRIu64 ",\"returning\":%" PRIu64 ",\"vanishing\":%" PRIu64
           ",\"changing\":%" PRIu64 ",\"widening\":%" PRIu64 ",\"revoked_again\":%" PRIu64
           ",\"disabled_again\":%" PRIu64 ",\"owners_suspended_again\":%" PRIu64
           ",\"kept_revoked\":%" PRIu64 ",\"owners_widening\":%" PRIu64,
           counts->keys, counts->returning, counts->vanishing, counts->changing, counts->widening,
           counts->revoked, counts->disabled, counts->suspended, counts->kept,
           counts->widening_owners);
    if (restored)
        printf(",\"sequence\":\"%" PRIu64 ":%" PRIu64 "\"", position.epoch, position.sequence);
    puts("}");
}

static int replace(struct offline *offline, struct error *error)
{
    struct actor actor = peer_self();

    if (offline->old_error.code != 0 && !offline->options->accept_resurrection)
        return error_set(
            error, CATLATCH_E_CONFLICT,
            "%s. So nobody can tell which keys were revoked since the backup, and they "
            "would come back to life; --accept-resurrection restores nevertheless",
            offline->old_error.text);
    int r = restore_apply(offline->restore, offline->old, &actor, error);
    return r == 0 ? restore_adopt(offline->restore, error) : r;
}

static int run(struct offline *offline, struct error *error)
{
    const struct daemon_options *options = offline->options;
    int r = open_backup(offline, error);

    if (r == 0)
        r = settings_read(options->config_path, &offline->settings, error);
    if (r == 0)
        r = take_over(offline, error);
    if (r != 0)
        return r;
    struct restore_options restore = {
        .directory = offline->settings.config->state_dir,
        .run_dir = offline->settings.config->run_dir,
        .environments = &offline->settings.config->environments,
        .accept_resurrection = options->accept_resurrection,
    };
    r = restore_new(&restore, &offline->restore, error);
    if (r == 0)
        r = restore_build(offline->restore, offline->fd, error);
    if (r == 0)
        r = open_old(offline, error);
    if (r == 0)
        r = compare(offline, error);
    if (r == 0 && !options->restore_dry_run)
        r = replace(offline, error);
    if (r == 0)
        print_summary(offline, !options->restore_dry_run);
    return r;
}

int daemon_restore(const struct daemon_options *options)
{
    struct offline offline = {.options = options, .fd = -1, .state_lock = -1, .run_lock = -1};
    struct error error = {.code = 0};

    umask(0027);
    (void)signal(SIGPIPE, SIG_IGN);
    int r = run(&offline, &error);
    restore_free(offline.restore);
    store_close(offline.old);
    settings_free(&offline.settings);
    if (r == 0)
        return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
    fprintf(stderr, "catlatchd: %s\n", error.text);
    return r == CATLATCH_E_NOT_FOUND ? EX_NOINPUT : error_exit_status(r);
}
