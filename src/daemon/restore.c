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
#include "daemon/difference.h"
#include "daemon/generation.h"
#include "daemon/store_build.h"

/* Of the comparison: a few milliseconds. */
#define SLICE 1024u

/* Changes of one transaction. */
#define TXN_CHANGES 2000u

#define CACHE_BYTES (UINT64_C(32) << 20)

struct environment_seen {
    char name[RECORD_TEXT_MAX + 1];
    char prefix[RECORD_TEXT_MAX + 1];
};

struct restore {
    struct restore_options options;
    int directory_fd;
    struct backup_tally backup;
    struct environment_seen environments[KEY_ENVIRONMENTS_MAX];
    size_t environment_count;
    struct store_build_digest *digests;
    size_t digest_count;
    uint64_t live; /* keys of the backup that it has not revoked */
    bool built, adopted, known;
    struct store *fresh;
    struct restore_counts counts;
    struct store_position position;

    /* Of the comparison under way. */
    uint64_t last_id;
    bool keys_done;
    char owner[RECORD_TEXT_MAX];
    uint32_t owner_len;
    uint64_t met; /* keys of the backup that the old store knows, and the backup has not revoked */

    /* Of the applying. */
    const struct actor *actor; /* NULL: only counts */
    int64_t now_unix_ms;
    struct store_txn *txn;
    size_t in_txn;
    struct store_buffer buffer;
    struct error *error;
};

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

static bool goes_on(void *context)
{
    const struct restore *restore = context;

    return restore->options.go_on == NULL || restore->options.go_on(restore->options.context);
}

static int check_goes_on(struct restore *restore, struct error *error)
{
    if (goes_on(restore))
        return 0;
    return error_set(error, CATLATCH_E_UNAVAILABLE, "the restore was given up");
}

/* The daemon does not start with keys of an environment that it does not know, nor under another
 * prefix. */
static int check_environment(struct restore *restore, const struct record *record,
                             struct error *error)
{
    for (size_t i = 0; i < restore->environment_count; i++)
        if (text_is(record->environment, restore->environments[i].name) &&
            text_is(record->environment_prefix, restore->environments[i].prefix))
            return 0;
    const struct key_environment *known = key_environment_named(
        restore->options.environments, record->environment.bytes, record->environment.len);
    if (known == NULL || !text_is(record->environment_prefix, known->prefix))
        return error_set(error, CATLATCH_E_DATA,
                         "the backup has keys of environment %.*s = %.*s, which the configuration "
                         "does not; add it to [environments]",
                         (int)record->environment.len, record->environment.bytes,
                         (int)record->environment_prefix.len, record->environment_prefix.bytes);
    if (restore->environment_count < KEY_ENVIRONMENTS_MAX) {
        struct environment_seen *seen = &restore->environments[restore->environment_count++];
        snprintf(seen->name, sizeof seen->name, "%s", known->name);
        snprintf(seen->prefix, sizeof seen->prefix, "%s", known->prefix);
    }
    return 0;
}

static int refuse_entry(int code, const char *what, struct error *error)
{
    if (code == CATLATCH_E_VERSION)
        return error_set(error, code, "%s in the backup was written by a newer catlatch", what);
    return error_set(error, CATLATCH_E_DATA, "%s in the backup is damaged", what);
}

static int take_key(struct restore *restore, struct store_build *build,
                    const struct backup_entry *entry, struct error *error)
{
    struct record record;

    int r = record_decode(entry->bytes, entry->len, &record);
    if (r != 0 || record.id == 0)
        return refuse_entry(r, "a key", error);
    if (!record.purged)
        r = check_environment(restore, &record, error);
    return r == 0 ? store_build_key(build, &record, error) : r;
}

static int take_owner(struct store_build *build, const struct backup_entry *entry,
                      struct error *error)
{
    struct record_owner owner;

    int r = record_owner_decode(entry->bytes, entry->len, &owner);
    if (r != 0)
        return refuse_entry(r, "an owner", error);
    return store_build_owner(build, &owner, error);
}

/* In order, and each following from the one before: a restored log is whole if the one in the
 * backup was. */
static int take_change(struct store_build *build, const struct backup_entry *entry,
                       struct change *last, struct error *error)
{
    struct change_room room;
    struct change change;

    int r = change_decode(entry->bytes, entry->len, &room, &change);
    if (r != 0)
        return refuse_entry(r, "a change", error);
    if (change.epoch < last->epoch ||
        (change.epoch == last->epoch && change.sequence <= last->sequence))
        return refuse_entry(0, "the order of changes", error);
    *last = change;
    return store_build_change(build, &change, entry->bytes, entry->len, error);
}

static int take_gone(struct store_build *build, const struct backup_entry *entry,
                     struct error *error)
{
    uint64_t id;

    memcpy(&id, entry->bytes, sizeof id);
    return store_build_gone(build, le64toh(id), error);
}

static int take_entry(struct restore *restore, struct store_build *build,
                      const struct backup_entry *entry, struct change *last, struct error *error)
{
    switch (entry->type) {
    case BACKUP_KEY:
        return take_key(restore, build, entry, error);
    case BACKUP_OWNER:
        return take_owner(build, entry, error);
    case BACKUP_CHANGE:
        return take_change(build, entry, last, error);
    case BACKUP_GONE:
        return take_gone(build, entry, error);
    case BACKUP_BEGIN:
    case BACKUP_POSITION:
    case BACKUP_END:
        break;
    }
    return refuse_entry(0, "an entry", error);
}

static int read_entries(struct restore *restore, struct store_build *build, int fd,
                        struct error *error)
{
    struct backup_reader reader;
    struct backup_entry entry;
    struct change last = {.epoch = 0};
    uint64_t count = 0;

    int r = backup_reader_open(&reader, fd, error);
    while (r == 0 && (r = backup_next(&reader, &entry, error)) == 1) {
        r = take_entry(restore, build, &entry, &last, error);
        if (r == 0 && ++count % SLICE == 0)
            r = check_goes_on(restore, error);
    }
    restore->backup = reader.tally;
    backup_reader_close(&reader);
    const struct backup_position *position = &restore->backup.position;
    if (r == 0 && last.epoch != 0 &&
        (last.epoch != position->epoch || last.sequence != position->sequence))
        r = refuse_entry(0, "the position", error);
    return r;
}

static int count_live(void *context, const struct record *record)
{
    struct restore *restore = context;

    restore->live += !record->revoked;
    restore->counts.keys++;
    return 0;
}

static int open_fresh(struct restore *restore, struct error *error)
{
    struct store_options options = {.directory = restore->options.directory,
                                    .cache_size_bytes = CACHE_BYTES,
                                    .place = STORE_PLACE_NEW};
    uint64_t last = 0;

    int r = store_open(&options, &restore->fresh, error);
    if (r == 0)
        r = store_scan(restore->fresh, 0, SIZE_MAX, count_live, restore, &last, error);
    return r;
}

int restore_build(struct restore *restore, int fd, struct error *error)
{
    struct store_build *build = NULL;
    struct store_identity identity;

    int r = store_build_begin(restore->options.directory, &build, error);
    if (r != 0)
        return r;
    r = read_entries(restore, build, fd, error);
    if (r != 0) {
        store_build_drop(build);
        return r;
    }
    const struct backup_begin *begin = &restore->backup.begin;
    struct digest chain;
    memcpy(&chain, begin->log_chain, sizeof chain);
    store_build_log_start(build, (struct store_position){begin->log_epoch, begin->log_sequence},
                          &chain);
    memcpy(identity.bytes, begin->identity, sizeof identity.bytes);
    r = store_build_finish(build, restore->backup.position.epoch, &identity, goes_on, restore,
                           &restore->digests, &restore->digest_count, error);
    restore->built = r == 0;
    return r == 0 ? open_fresh(restore, error) : r;
}

static bool same_scopes(const struct record *a, const struct record *b)
{
    if (a->scope_count != b->scope_count)
        return false;
    for (size_t i = 0; i < a->scope_count; i++)
        if (!text_equal(a->scopes[i], b->scopes[i]))
            return false;
    return true;
}

static bool same_metadata(const struct record *a, const struct record *b)
{
    if (a->metadata_count != b->metadata_count)
        return false;
    for (size_t i = 0; i < a->metadata_count; i++)
        if (!text_equal(a->metadata[i].name, b->metadata[i].name) ||
            !text_equal(a->metadata[i].value, b->metadata[i].value))
            return false;
    return true;
}

/* In all but the version. */
static bool is_same(const struct record *a, const struct record *b)
{
    return a->disabled == b->disabled && a->revoked == b->revoked &&
           a->revoke_reason == b->revoke_reason && a->expires_unix_s == b->expires_unix_s &&
           a->not_before_unix_s == b->not_before_unix_s && a->rotated_from == b->rotated_from &&
           a->rotated_to == b->rotated_to && text_equal(a->name, b->name) &&
           text_equal(a->owner, b->owner) && text_equal(a->comment, b->comment) &&
           text_equal(a->revoke_comment, b->revoke_comment) && same_scopes(a, b) &&
           same_metadata(a, b);
}

static bool has_scope(const struct record *record, struct text scope)
{
    for (size_t i = 0; i < record->scope_count; i++)
        if (text_equal(record->scopes[i], scope))
            return true;
    return false;
}

/* Whether `after` is accepted where `before` is not. */
static bool is_wider(const struct record *before, const struct record *after)
{
    if (after->revoked || after->disabled)
        return false;
    if (before->expires_unix_s != 0 &&
        (after->expires_unix_s == 0 || after->expires_unix_s > before->expires_unix_s))
        return true;
    if (after->not_before_unix_s < before->not_before_unix_s)
        return true;
    for (size_t i = 0; i < after->scope_count; i++)
        if (!has_scope(before, after->scopes[i]))
            return true;
    return false;
}

/* E_NOT_FOUND is no error here, and leaves none. */
static int read_fresh(struct restore *restore, uint64_t id, struct record *ret_record)
{
    struct error error = {.code = 0};

    int r = store_key(restore->fresh, restore->txn, id, &restore->buffer, ret_record, &error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        *restore->error = error;
    return r;
}

/* The key of the new store that the old one's is: by id, or by its digest where the two stores are
 * not of one history. E_NOT_FOUND: none. */
static int find_fresh(struct restore *restore, const struct record *old, struct record *ret_record)
{
    int r = read_fresh(restore, old->id, ret_record);
    if (r == 0 && digest_equal(&ret_record->digest, &old->digest))
        return 0;
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    size_t low = 0, high = restore->digest_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (restore->digests[middle].word < old->digest.word[0])
            low = middle + 1;
        else
            high = middle;
    }
    if (low == restore->digest_count || restore->digests[low].word != old->digest.word[0])
        return CATLATCH_E_NOT_FOUND;
    r = read_fresh(restore, restore->digests[low].id, ret_record);
    if (r == 0 && !digest_equal(&ret_record->digest, &old->digest))
        r = CATLATCH_E_NOT_FOUND;
    return r;
}

static int next_txn(struct restore *restore)
{
    struct error *error = restore->error;
    int r = 0;

    if (restore->txn != NULL && restore->in_txn >= TXN_CHANGES) {
        r = store_commit(restore->txn, error);
        restore->txn = NULL;
        if (r == 0)
            r = check_goes_on(restore, error);
    }
    if (r == 0 && restore->txn == NULL) {
        restore->in_txn = 0;
        r = store_begin(restore->fresh, &restore->txn, error);
    }
    restore->in_txn++;
    return r;
}

static struct change change_of(const struct restore *restore, enum change_kind kind)
{
    return (struct change){
        .time_unix_ms = restore->now_unix_ms,
        .kind = kind,
        .actor = *restore->actor,
        .detail = text_of("as it was in the store that a restore replaced"),
    };
}

static int write_key(struct restore *restore, const struct record *before, struct record *record,
                     enum change_kind kind)
{
    struct difference_room room;
    int r = next_txn(restore);
    if (r != 0)
        return r;
    struct change change = change_of(restore, kind);
    change.key_id = record->id;
    change.owner = record->purged && before != NULL ? before->owner : record->owner;
    if (!record->purged) /* what it was shall be forgotten */
        difference_find(before, record, &room, &change);
    return store_put(restore->txn, before, record, &change, restore->error);
}

/* A key that only the old store has. Its digest must never be accepted again, and stays its. */
static int keep_revoked(struct restore *restore, const struct record *old)
{
    struct record record = *old, other;

    restore->counts.kept++;
    if (restore->actor == NULL)
        return 0;
    int r = read_fresh(restore, old->id, &other);
    if (r == 0)
        record.id = store_new_id(restore->fresh); /* two histories, one id */
    else if (r != CATLATCH_E_NOT_FOUND)
        return r;
    return write_key(restore, NULL, &record, CHANGE_REVOKED);
}

static int compare_key(void *context, const struct record *old)
{
    struct restore *restore = context;
    struct restore_counts *counts = &restore->counts;
    struct record before, after;

    int r = find_fresh(restore, old, &before);
    if (r == CATLATCH_E_NOT_FOUND) {
        if (old->revoked)
            return keep_revoked(restore, old);
        counts->vanishing++;
        return 0;
    }
    if (r != 0)
        return r;
    restore->met += !before.revoked;
    after = before;
    bool revokes = old->revoked && !before.revoked;
    bool disables = old->disabled && !before.disabled && !before.revoked;
    if (revokes) {
        after.revoked = true;
        after.revoke_reason = old->revoke_reason;
        after.revoked_unix_s = old->revoked_unix_s;
        after.revoke_comment = old->revoke_comment;
    }
    after.disabled |= disables;
    counts->revoked += revokes;
    counts->disabled += disables && !revokes;
    counts->changing += !is_same(old, &after);
    counts->widening += is_wider(old, &after);
    if (restore->actor == NULL)
        return 0;
    if (revokes || disables)
        r = write_key(restore, &before, &after, revokes ? CHANGE_REVOKED : CHANGE_DISABLED);
    if (r != 0 || !old->purged || before.purged)
        return r;
    struct record purged = record_purged(&after);
    return write_key(restore, &after, &purged, CHANGE_PURGED);
}

static int compare_owner(void *context, const struct record_owner *old)
{
    struct restore *restore = context;
    struct record_owner owner = {.name = old->name, .created_unix_s = old->created_unix_s};

    memcpy(restore->owner, old->name.bytes, old->name.len);
    restore->owner_len = old->name.len;
    if (!old->suspended)
        return 0;
    struct error error = {.code = 0};
    int r = store_owner(restore->fresh, restore->txn, old->name, &restore->buffer, &owner, &error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        *restore->error = error;
    if ((r != 0 && r != CATLATCH_E_NOT_FOUND) || (r == 0 && owner.suspended))
        return r;
    restore->counts.suspended++;
    if (restore->actor == NULL)
        return 0;
    owner.suspended = true;
    owner.suspended_unix_s = old->suspended_unix_s;
    r = next_txn(restore);
    if (r != 0)
        return r;
    struct change change = change_of(restore, CHANGE_OWNER_SUSPENDED);
    change.owner = old->name;
    return store_put_owner(restore->txn, &owner, &change, restore->error);
}

static void begin_comparison(struct restore *restore)
{
    restore->counts = (struct restore_counts){.keys = restore->counts.keys};
    restore->last_id = 0;
    restore->keys_done = false;
    restore->owner_len = 0;
    restore->met = 0;
}

static int look_whether_known(struct restore *restore, struct store *old, struct error *error)
{
    const struct backup_position *position = &restore->backup.position;
    struct store_identity identity;

    restore->known = false;
    if (old == NULL)
        return 0;
    int r = store_identity(old, &identity, error);
    if (r != 0)
        return r;
    restore->known =
        memcmp(identity.bytes, restore->backup.begin.identity, sizeof identity.bytes) == 0 &&
        (store_epoch(old) > position->epoch ||
         (store_epoch(old) == position->epoch && store_sequence(old) >= position->sequence));
    return 0;
}

static int compare_slice(struct restore *restore, struct store *old, bool *ret_done)
{
    char after[RECORD_TEXT_MAX];
    uint64_t last_id = restore->last_id;
    uint32_t len = restore->owner_len;
    int r;

    if (!restore->keys_done) {
        r = store_scan(old, last_id, SLICE, compare_key, restore, &restore->last_id,
                       restore->error);
        restore->keys_done = r == 0 && restore->last_id == last_id;
        *ret_done = false;
        return r;
    }
    memcpy(after, restore->owner, len);
    r = store_owners(old, (struct text){after, len}, SLICE, compare_owner, restore, restore->error);
    *ret_done = r == 0 && len == restore->owner_len && memcmp(after, restore->owner, len) == 0;
    return r;
}

int restore_compare(struct restore *restore, struct store *old, bool *ret_done, struct error *error)
{
    bool done = old == NULL;
    int r = 0;

    restore->error = error;
    if (restore->last_id == 0 && !restore->keys_done) {
        begin_comparison(restore);
        r = look_whether_known(restore, old, error);
    }
    if (r == 0 && !done)
        r = compare_slice(restore, old, &done);
    if (r != 0)
        return r;
    if (done) {
        restore->counts.returning = restore->live - restore->met;
        restore->last_id = 0;
        restore->keys_done = false;
    }
    *ret_done = done;
    return 0;
}

int restore_check(struct restore *restore, struct store *old, struct error *error)
{
    int r = look_whether_known(restore, old, error);
    if (r != 0 || restore->known || restore->options.accept_resurrection)
        return r;
    if (old == NULL)
        return error_set(error, CATLATCH_E_CONFLICT,
                         "there is no store that could tell which keys were revoked since the "
                         "backup, and they would come back to life; --accept-resurrection restores "
                         "nevertheless");
    return error_set(error, CATLATCH_E_CONFLICT, RESTORE_UNKNOWN_TEXT);
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
    struct change change = change_of(restore, CHANGE_RESTORED);
    struct change_difference difference = {.field = text_of("position")};
    struct store_position highest;
    char detail[512], before[48] = "", after[48];

    int r = find_highest(restore, old, &highest, error);
    if (r == 0)
        r = next_txn(restore);
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
            r = check_goes_on(restore, error);
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
    old_is_damaged = old != NULL && store_is_broken(old);
    if (r == 0 && restore->txn != NULL) {
        r = store_commit(restore->txn, error);
        restore->txn = NULL;
    }
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
