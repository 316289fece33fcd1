#include "daemon/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/boot.h"
#include "daemon/generation.h"
#include "daemon/restore_internal.h"

/* Changes of one transaction. */
#define TXN_CHANGES 2000u

int restore_new(const struct restore_options *options, struct restore **ret_restore,
                struct error *error)
{
    struct restore *restore = calloc(1, sizeof *restore);
    if (restore == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for a restore");
    restore->options = *options;
    restore->directory_fd = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (restore->directory_fd < 0) {
        int failed = errno;
        free(restore);
        return error_errno(error, failed, "cannot open state_dir %s", options->directory);
    }
    *ret_restore = restore;
    return 0;
}

void restore_free(struct restore *restore)
{
    if (restore == NULL)
        return;
    store_abort(restore->txn);
    store_close(restore->fresh);
    if (restore->built && !restore->adopted)
        store_place_drop(restore->directory_fd);
    close(restore->directory_fd);
    free(restore->digests);
    free(restore);
}

void restore_accept(struct restore *restore)
{
    restore->options.accept_resurrection = true;
}

void restore_beat(struct restore *restore, bool (*go_on)(void *context), void *context)
{
    restore->options.go_on = go_on;
    restore->options.context = context;
}

bool restore_is_known(const struct restore *restore)
{
    return restore->known;
}

const struct restore_counts *restore_counts(const struct restore *restore)
{
    return &restore->counts;
}

const struct backup_tally *restore_backup(const struct restore *restore)
{
    return &restore->backup;
}

struct store_position restore_position(const struct restore *restore)
{
    return restore->position;
}
bool restore_goes_on(void *context)
{
    const struct restore *restore = context;

    return restore->options.go_on == NULL || restore->options.go_on(restore->options.context);
}

int restore_check_goes_on(struct restore *restore, struct error *error)
{
    if (restore_goes_on(restore))
        return 0;
    return error_set(error, CATLATCH_E_UNAVAILABLE, "the restore was given up");
}
int restore_next_txn(struct restore *restore)
{
    struct error *error = restore->error;
    int r = 0;

    if (restore->txn != NULL && restore->in_txn >= TXN_CHANGES) {
        r = store_commit(restore->txn, error);
        restore->txn = NULL;
        if (r == 0)
            r = restore_check_goes_on(restore, error);
    }
    if (r == 0 && restore->txn == NULL) {
        restore->in_txn = 0;
        r = store_begin(restore->fresh, &restore->txn, error);
    }
    restore->in_txn++;
    return r;
}

struct change restore_change(const struct restore *restore, enum change_kind kind)
{
    return (struct change){
        .time_unix_ms = restore->now_unix_ms,
        .kind = kind,
        .actor = *restore->actor,
        .detail = text_of("as it was in the store that a restore replaced"),
    };
}

static void raise_position(struct store_position *io_highest, uint64_t epoch, uint64_t sequence)
{
    if (epoch > io_highest->epoch)
        io_highest->epoch = epoch;
    if (sequence > io_highest->sequence)
        io_highest->sequence = sequence;
}

/* Above everything that anybody was ever told of. */
static int find_highest(struct restore *restore, struct store *old, struct store_position *ret,
                        struct error *error)
{
    struct generation_found found = {.epoch = 0};
    uint64_t epoch = 0, sequence = 0;

    int r = store_read_published(restore->options.directory, &epoch, &sequence, error);
    if (r == 0)
        r = generation_look(restore->options.run_dir, 0, &found, error);
    if (r != 0)
        return r;
    *ret = (struct store_position){epoch, sequence};
    raise_position(ret, found.epoch, found.sequence);
    raise_position(ret, store_epoch(restore->fresh), store_sequence(restore->fresh));
    if (old != NULL)
        raise_position(ret, store_epoch(old), store_sequence(old));
    return 0;
}

/* The first change of the new epoch, and the one that explains it. */
static int begin_epoch(struct restore *restore, struct store *old, struct error *error)
{
    const struct backup_tally *backup = &restore->backup;
    struct change change = restore_change(restore, CHANGE_RESTORED);
    struct change_difference difference = {.field = text_of("position")};
    struct store_position highest;
    char detail[512], before[48] = "", after[48];

    int r = find_highest(restore, old, &highest, error);
    if (r == 0)
        r = restore_next_txn(restore);
    if (r != 0)
        return r;
    if (old != NULL)
        snprintf(before, sizeof before, "%" PRIu64 ":%" PRIu64, store_epoch(old),
                 store_sequence(old));
    snprintf(after, sizeof after, "%" PRIu64 ":%" PRIu64, backup->position.epoch,
             backup->position.sequence);
    snprintf(detail, sizeof detail, "a backup of %s%s", backup->begin.host,
             restore->known ? "" : "; what was taken away since may not all be known");
    difference.before = text_of(before);
    difference.after = text_of(after);
    change.detail = text_of(detail);
    change.differences = &difference;
    change.difference_count = 1;
    store_begin_epoch(restore->txn, highest.epoch + 1, highest.sequence);
    if (!restore->known)
        r = store_renew_identity(restore->txn, error);
    return r == 0 ? store_note(restore->txn, &change, error) : r;
}

/* Which generation may have readers is a fact of this host, not of the backup. */
static int carry_generation(struct restore *restore, struct store *old, struct error *error)
{
    struct store_generation generation = {.number = 1, .uncovered = true};
    int r = 0;

    if (old != NULL)
        r = store_generation(old, &generation, error);
    else if (boot_id_read(generation.boot_id) != 0)
        r = error_set(error, CATLATCH_E_IO, "/proc/sys/kernel/random/boot_id cannot be read");
    return r == 0 ? store_set_generation(restore->fresh, &generation, error) : r;
}

static int apply_old(struct restore *restore, struct store *old, struct error *error)
{
    bool done = false;
    int r = 0;

    restore->last_id = 0;
    restore->keys_done = false;
    while (r == 0 && !done) {
        r = restore_compare(restore, old, &done, error);
        if (r == 0)
            r = restore_check_goes_on(restore, error);
    }
    /* As far as it could tell. What failed was the old store, unless the new one is broken too. */
    if (r != 0 && old != NULL && store_is_broken(old) && !store_is_broken(restore->fresh) &&
        restore->options.accept_resurrection) {
        restore->counts.returning = restore->live - restore->met;
        restore->last_id = 0;
        return 0;
    }
    return r;
}

static int finish_fresh(struct restore *restore, struct error *error)
{
    int64_t time_s = restore->backup.begin.time_unix_ms / 1000;

    int r = store_set_backup_time(restore->fresh, time_s > 0 ? time_s : 1, error);
    if (r == 0)
        r = store_flush(restore->fresh, error);
    if (r == 0)
        r = store_checkpoint(restore->fresh, true, error);
    restore->position =
        (struct store_position){store_epoch(restore->fresh), store_sequence(restore->fresh)};
    return r == 0 ? store_sync_place(restore->fresh, error) : r;
}

int restore_apply(struct restore *restore, struct store *old, const struct actor *actor,
                  struct error *error)
{
    struct timespec now;
    bool old_is_damaged = false;

    int r = restore_check(restore, old, error);
    if (r != 0)
        return r;
    clock_gettime(CLOCK_REALTIME, &now);
    restore->now_unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    restore->actor = actor;
    restore->error = error;
    r = begin_epoch(restore, old, error);
    if (r == 0)
        r = apply_old(restore, old, error);
    if (r == 0 && restore->txn != NULL) {
        r = store_commit(restore->txn, error);
        restore->txn = NULL;
    }
    if (r == 0 && old != NULL && !store_is_broken(old))
        r = restore_usage(restore, old, error);
    old_is_damaged = old != NULL && store_is_broken(old);
    if (r == 0)
        r = carry_generation(restore, old_is_damaged ? NULL : old, error);
    if (r == 0)
        r = finish_fresh(restore, error);
    restore->actor = NULL;
    return r;
}

int restore_adopt(struct restore *restore, struct error *error)
{
    store_close(restore->fresh);
    restore->fresh = NULL;
    int r = store_place_adopt(restore->directory_fd, restore->options.directory, error);
    restore->adopted = r == 0;
    return r;
}
