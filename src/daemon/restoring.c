#include "daemon/restoring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/ballast.h"
#include "daemon/daemon.h"
#include "daemon/log.h"
#include "daemon/notify.h"
#include "daemon/pairs.h"

/* More than any store that fits one host. */
#define SIZE_MAX_BYTES (UINT64_C(1) << 40)

/* What the spool leaves free beside the ballast's size. */
#define ROOM_BYTES (UINT64_C(8) << 20)

static const char *const state_names[] = {
    [RESTORING_NONE] = "none",           [RESTORING_RECEIVING] = "receiving",
    [RESTORING_CHECKING] = "checking",   [RESTORING_READY] = "ready",
    [RESTORING_COMMITTED] = "restoring", [RESTORING_DONE] = "done",
    [RESTORING_FAILED] = "failed",
};

void restoring_init(struct restoring *restoring)
{
    *restoring = (struct restoring){.spool = -1};
}

static void release(struct restoring *restoring)
{
    if (restoring->spool >= 0)
        close(restoring->spool);
    restoring->spool = -1;
    restore_free(restoring->restore);
    restoring->restore = NULL;
}

/* Whatever it was doing: nothing of it stays. A thread that works on it is waited for, elsewhere.
 */
static void give_up(struct restoring *restoring, const struct error *error)
{
    restoring->state = error != NULL ? RESTORING_FAILED : RESTORING_NONE;
    if (error != NULL)
        restoring->error = *error;
    atomic_store(&restoring->given_up, true);
    if (!restoring->busy)
        release(restoring);
}

static int check_turn(const struct restoring *restoring, uint64_t session_id,
                      enum restoring_state state, struct error *error)
{
    if (restoring->state == RESTORING_FAILED && restoring->session_id == session_id &&
        restoring->error.code != 0) {
        *error = restoring->error;
        return error->code;
    }
    if (restoring->state == state && restoring->session_id == session_id)
        return 0;
    return error_set(error, CATLATCH_E_CONFLICT,
                     "not now: a restore goes BEGIN, DATA until all was sent, CHECK, COMMIT on one "
                     "connection");
}

static int open_spool(const struct config *config, uint64_t size, int *ret_fd, struct error *error)
{
    char path[PATH_MAX + 16];

    int folder = open(config->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return error_errno(error, errno, "cannot open state_dir %s", config->state_dir);
    uint64_t room = ballast_free_bytes(folder);
    if (room < size + config->ballast_size_bytes + ROOM_BYTES) {
        close(folder);
        return error_set(error, CATLATCH_E_FULL,
                         "the disk of state_dir %s has no room for the backup; make room",
                         config->state_dir);
    }
    snprintf(path, sizeof path, "%s/restore.spool", config->state_dir);
    unlinkat(folder, "restore.spool", 0);
    int fd =
        openat(folder, "restore.spool", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int failed = fd < 0 ? errno : 0;
    if (failed == 0) {
        unlinkat(folder, "restore.spool", 0);
        failed = posix_fallocate(fd, 0, (off_t)size);
    }
    close(folder);
    if (failed != 0) {
        if (fd >= 0)
            close(fd);
        return error_errno(error, failed, "cannot spool the backup into %s", path);
    }
    *ret_fd = fd;
    return 0;
}

int restoring_begin(struct daemon *daemon, uint64_t session_id, const struct actor *actor,
                    uint64_t size, struct error *error)
{
    struct restoring *restoring = &daemon->restoring;
    unsigned char random[(RESTORING_ID_SIZE - 1) / 2];
    int fd = -1;

    if (restoring->busy || restoring->state == RESTORING_RECEIVING ||
        restoring->state == RESTORING_CHECKING || restoring->state == RESTORING_READY ||
        restoring->state == RESTORING_COMMITTED)
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "another restore is under way; try again when it has ended");
    if (size == 0 || size > SIZE_MAX_BYTES)
        return error_set(error, CATLATCH_E_DATA, "the size is that of no backup");
    if (RAND_bytes(random, sizeof random) != 1)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "no random numbers to be had");
    int r = open_spool(daemon->settings.config, size, &fd, error);
    if (r != 0)
        return r;
    restoring_init(restoring);
    restoring->state = RESTORING_RECEIVING;
    restoring->session_id = session_id;
    restoring->actor = *actor;
    restoring->spool = fd;
    restoring->size = size;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(restoring->id + 2 * i, 3, "%02x", random[i]);
    return 0;
}

int restoring_data(struct daemon *daemon, uint64_t session_id, struct text bytes,
                   struct error *error)
{
    struct restoring *restoring = &daemon->restoring;

    int r = check_turn(restoring, session_id, RESTORING_RECEIVING, error);
    if (r != 0)
        return r;
    if (bytes.len > restoring->size - restoring->received) {
        r = error_set(error, CATLATCH_E_DATA, "the backup is longer than BEGIN said");
        give_up(restoring, error);
        return r;
    }
    for (uint32_t done = 0; done < bytes.len;) {
        ssize_t written = pwrite(restoring->spool, bytes.bytes + done, bytes.len - done,
                                 (off_t)(restoring->received + done));
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            r = error_errno(error, written < 0 ? errno : ENOSPC, "cannot spool the backup");
            give_up(restoring, error);
            return r;
        }
        done += (uint32_t)written;
    }
    restoring->received += bytes.len;
    return 0;
}

static bool goes_on(void *context)
{
    struct restoring *restoring = context;

    return !atomic_load(&restoring->given_up);
}

static void build(uv_work_t *work)
{
    struct daemon *daemon = work->data;
    struct restoring *restoring = &daemon->restoring;

    restoring->error.code = 0;
    if (restore_build(restoring->restore, restoring->spool, &restoring->error) != 0 &&
        restoring->error.code == 0)
        restoring->error.code = CATLATCH_E_IO;
}

static void compare(struct daemon *daemon);

static void on_compared(struct op *op)
{
    struct daemon *daemon = op->context;
    struct restoring *restoring = &daemon->restoring;
    struct error error = op->error;
    bool done = op->at_end;

    op_free(op);
    restoring->busy = false;
    if (atomic_load(&restoring->given_up) || daemon->stopping)
        give_up(restoring, NULL);
    else if (error.code != 0)
        give_up(restoring, &error);
    else if (!done)
        compare(daemon);
    else
        restoring->state = RESTORING_READY;
}

static void compare(struct daemon *daemon)
{
    struct restoring *restoring = &daemon->restoring;
    struct op *op = op_new(OP_RESTORE_COMPARE);
    struct error error;

    if (op == NULL) {
        error_set(&error, CATLATCH_E_MEMORY, "out of memory for a restore");
        give_up(restoring, &error);
        return;
    }
    op->restore = restoring->restore;
    op->done = on_compared;
    op->context = daemon;
    restoring->busy = true;
    changer_submit(daemon->changer, op);
}

static void on_built(uv_work_t *work, int status)
{
    struct daemon *daemon = work->data;
    struct restoring *restoring = &daemon->restoring;

    (void)status;
    restoring->busy = false;
    if (atomic_load(&restoring->given_up) || daemon->stopping)
        give_up(restoring, NULL);
    else if (restoring->error.code != 0)
        give_up(restoring, &restoring->error);
    else
        compare(daemon);
}

int restoring_check(struct daemon *daemon, uint64_t session_id, struct error *error)
{
    struct restoring *restoring = &daemon->restoring;
    const struct config *config = daemon->settings.config;
    struct restore_options options = {.directory = config->state_dir,
                                      .run_dir = config->run_dir,
                                      .environments = &config->environments,
                                      .go_on = goes_on,
                                      .context = restoring};

    int r = check_turn(restoring, session_id, RESTORING_RECEIVING, error);
    if (r == 0 && restoring->received != restoring->size)
        r = error_set(error, CATLATCH_E_CONFLICT,
                      "%" PRIu64 " of the %" PRIu64 " bytes that BEGIN told of were sent",
                      restoring->received, restoring->size);
    if (r == 0)
        r = restore_new(&options, &restoring->restore, error);
    if (r != 0)
        return r;
    restoring->state = RESTORING_CHECKING;
    restoring->work.data = daemon;
    restoring->busy = uv_queue_work(&daemon->loop, &restoring->work, build, on_built) == 0;
    if (restoring->busy)
        return 0;
    r = error_set(error, CATLATCH_E_UNAVAILABLE, "no thread to check the backup with");
    give_up(restoring, error);
    return r;
}

int restoring_commit(struct daemon *daemon, uint64_t session_id, bool accept_resurrection,
                     struct error *error)
{
    struct restoring *restoring = &daemon->restoring;

    int r = check_turn(restoring, session_id, RESTORING_READY, error);
    if (r != 0)
        return r;
    if (daemon->stopping)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "the daemon is stopping");
    if (daemon->reloading)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "a reload is under way; try again");
    if (!restore_is_known(restoring->restore) && !accept_resurrection)
        return error_set(error, CATLATCH_E_CONFLICT, RESTORE_UNKNOWN_TEXT);
    if (accept_resurrection)
        restore_accept(restoring->restore);
    restoring->state = RESTORING_COMMITTED;
    log_line(LOG_NOTICE,
             "a backup of %s is taking the place of the store (asked by uid %" PRIu32 ")",
             restore_backup(restoring->restore)->begin.host, restoring->actor.uid);
    daemon_stop_soon(daemon);
    return 0;
}

int restoring_abort(struct daemon *daemon, uint64_t session_id, struct error *error)
{
    struct restoring *restoring = &daemon->restoring;

    if (restoring->session_id != session_id || restoring->state == RESTORING_NONE ||
        restoring->state >= RESTORING_COMMITTED)
        return error_set(error, CATLATCH_E_CONFLICT, "there is no restore of this connection");
    give_up(restoring, NULL);
    return 0;
}

void restoring_leave(struct daemon *daemon, uint64_t session_id)
{
    struct restoring *restoring = &daemon->restoring;

    if (restoring->session_id == session_id && restoring->state > RESTORING_NONE &&
        restoring->state < RESTORING_COMMITTED)
        give_up(restoring, NULL);
}

void restoring_stop(struct daemon *daemon)
{
    if (daemon->restoring.state < RESTORING_COMMITTED)
        restoring_leave(daemon, daemon->restoring.session_id);
}

void restoring_tell(const struct daemon *daemon, struct reply *reply)
{
    const struct restoring *restoring = &daemon->restoring;
    const struct restore *restore = restoring->restore;
    bool ready = restoring->state == RESTORING_READY || restoring->state == RESTORING_COMMITTED;
    bool told = ready || restoring->state == RESTORING_DONE;
    const struct restore_counts *counts = ready ? restore_counts(restore) : &restoring->counts;
    const struct backup_tally *backup = ready ? restore_backup(restore) : NULL;

    reply_map(reply, told ? 20 : 5);
    pair_word(reply, "id", restoring->id[0] != '\0' ? restoring->id : NULL);
    pair_word(reply, "state", state_names[restoring->state]);
    pair_word(reply, "error", restoring->state == RESTORING_FAILED ? restoring->error.text : NULL);
    pair_count(reply, "received", restoring->received);
    pair_count(reply, "size", restoring->size);
    if (!told)
        return;
    pair_word(reply, "backup_host", ready ? backup->begin.host : NULL);
    reply_word(reply, "backup_time");
    if (ready) {
        char moment[PAIRS_MOMENT_SIZE];
        pairs_moment(backup->position.time_unix_ms, moment);
        reply_word(reply, moment);
        pair_position(reply, "backup_sequence", backup->position.epoch, backup->position.sequence);
    } else {
        reply_null(reply);
        pair_word(reply, "backup_sequence", NULL);
    }
    pair_bool(reply, "known", ready ? restore_is_known(restore) : restoring->known);
    pair_count(reply, "keys", counts->keys);
    pair_count(reply, "returning", counts->returning);
    pair_count(reply, "vanishing", counts->vanishing);
    pair_count(reply, "changing", counts->changing);
    pair_count(reply, "widening", counts->widening);
    pair_count(reply, "revoked_again", counts->revoked);
    pair_count(reply, "disabled_again", counts->disabled);
    pair_count(reply, "owners_suspended_again", counts->suspended);
    pair_count(reply, "kept_revoked", counts->kept);
    pair_count(reply, "owners_widening", counts->widening_owners);
    if (restoring->state == RESTORING_DONE)
        pair_position(reply, "sequence", restoring->position.epoch, restoring->position.sequence);
    else
        pair_word(reply, "sequence", NULL);
}

#define LAST_COUNTS                                                                                \
    "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 \
    " %" PRIu64 " %" PRIu64

/* Two lines: id, code, position, known and counts; and what the error says. */
static int write_last(const struct restoring *restoring, const char *state_dir)
{
    char path[PATH_MAX + 32], fresh[PATH_MAX + 32];
    const struct restore_counts *counts = &restoring->counts;

    snprintf(path, sizeof path, "%s/restore.last", state_dir);
    snprintf(fresh, sizeof fresh, "%s/restore.last.new", state_dir);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int written = dprintf(
        fd, "%s %d %" PRIu64 " %" PRIu64 " %d " LAST_COUNTS "\n%s\n", restoring->id,
        restoring->error.code, restoring->position.epoch, restoring->position.sequence,
        restoring->known, counts->keys, counts->returning, counts->vanishing, counts->changing,
        counts->widening, counts->revoked, counts->disabled, counts->suspended, counts->kept,
        counts->widening_owners, restoring->error.code != 0 ? restoring->error.text : "");
    int failed = written < 0 ? ENOSPC : fsync(fd) != 0 ? errno : 0;
    close(fd);
    if (failed == 0 && rename(fresh, path) != 0)
        failed = errno;
    if (failed != 0)
        unlink(fresh);
    return failed;
}

void restoring_load(struct daemon *daemon)
{
    struct restoring *restoring = &daemon->restoring;
    struct restoring last;
    char path[PATH_MAX + 32], text[512] = "";
    int known = 0;

    restoring_init(&last);
    struct restore_counts *counts = &last.counts;
    snprintf(path, sizeof path, "%s/restore.last", daemon->settings.config->state_dir);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    int fields =
        fscanf(file,
               "%32s %d %" SCNu64 " %" SCNu64 " %d %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %511[^\n]",
               last.id, &last.error.code, &last.position.epoch, &last.position.sequence, &known,
               &counts->keys, &counts->returning, &counts->vanishing, &counts->changing,
               &counts->widening, &counts->revoked, &counts->disabled, &counts->suspended,
               &counts->kept, &counts->widening_owners, text);
    fclose(file);
    if (fields < 15)
        return;
    last.known = known != 0;
    last.state = last.error.code == 0 ? RESTORING_DONE : RESTORING_FAILED;
    if (last.error.code != 0)
        error_set(&last.error, last.error.code, "%s", text);
    else if (store_epoch(daemon->store) < last.position.epoch) {
        last.state = RESTORING_FAILED;
        error_set(&last.error, CATLATCH_E_UNAVAILABLE, "the restore was interrupted");
    }
    *restoring = last;
}

static bool beat(void *context)
{
    (void)context;
    notify_watchdog();
    return true;
}

void restoring_apply(struct daemon *daemon)
{
    struct restoring *restoring = &daemon->restoring;
    struct restore *restore = restoring->restore;
    const char *state_dir = daemon->settings.config->state_dir;

    restoring->error = (struct error){.code = 0};
    restore_beat(restore, beat, NULL);
    int r = restore_apply(restore, daemon->store, &restoring->actor, &restoring->error);
    restoring->counts = *restore_counts(restore);
    restoring->position = restore_position(restore);
    restoring->known = restore_is_known(restore);
    if (r == 0) {
        int failed = write_last(restoring, state_dir);
        if (failed != 0)
            r = error_errno(&restoring->error, failed, "cannot write %s/restore.last", state_dir);
    }
    if (r == 0)
        r = restore_adopt(restore, &restoring->error);
    if (r != 0) {
        restoring->error.code = r;
        log_line(LOG_ERR, "the restore failed, and the store is as it was: %s",
                 restoring->error.text);
        int failed = write_last(restoring, state_dir);
        if (failed != 0)
            log_line(LOG_ERR, "cannot write %s/restore.last: %s", state_dir, strerror(failed));
    } else {
        log_line(LOG_NOTICE, "restored: the store is at %" PRIu64 ":%" PRIu64,
                 restoring->position.epoch, restoring->position.sequence);
    }
    release(restoring);
}
