#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "daemon/restore_internal.h"

#define CACHE_BYTES (UINT64_C(32) << 20)

/* The daemon does not start with keys of an environment that it does not know, nor under another
 * prefix. A key issued elsewhere may have none. */
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

/* Of what was read, what the next entry must follow. */
struct place {
    struct change change;
    uint64_t key_id; /* of the key whose usage may follow */
};

static int take_key(struct restore *restore, struct store_build *build,
                    const struct backup_entry *entry, struct place *last, struct error *error)
{
    struct record record;

    int r = record_decode(entry->bytes, entry->len, &record);
    if (r != 0 || record.id == 0)
        return refuse_entry(r, "a key", error);
    last->key_id = record.id;
    if (!record.purged && record.environment.len > 0)
        r = check_environment(restore, &record, error);
    return r == 0 ? store_build_key(build, &record, error) : r;
}

/* It goes on from there: by what the area that it saw, if that still lives, counted since. */
static int take_usage(struct store_build *build, const struct backup_entry *entry,
                      const struct place *last, struct error *error)
{
    struct total total;
    uint64_t id;

    memcpy(&id, entry->bytes, sizeof id);
    int r = total_decode(entry->bytes + sizeof id, entry->len - sizeof id, &total);
    if (r != 0 || le64toh(id) != last->key_id)
        return refuse_entry(r, "the use of a key", error);
    return store_build_usage(build, last->key_id, &total, error);
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
                       struct place *place, struct error *error)
{
    struct change_room room;
    const struct change *last = &place->change;
    struct change change;

    int r = change_decode(entry->bytes, entry->len, &room, &change);
    if (r != 0)
        return refuse_entry(r, "a change", error);
    if (change.epoch < last->epoch ||
        (change.epoch == last->epoch && change.sequence <= last->sequence))
        return refuse_entry(0, "the order of changes", error);
    place->change = change;
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
                      const struct backup_entry *entry, struct place *last, struct error *error)
{
    switch (entry->type) {
    case BACKUP_KEY:
        return take_key(restore, build, entry, last, error);
    case BACKUP_USAGE:
        return take_usage(build, entry, last, error);
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
    struct place last = {.key_id = 0};
    uint64_t count = 0;

    int r = backup_reader_open(&reader, fd, error);
    while (r == 0 && (r = backup_next(&reader, &entry, error)) == 1) {
        r = take_entry(restore, build, &entry, &last, error);
        if (r == 0 && ++count % RESTORE_SLICE == 0)
            r = restore_check_goes_on(restore, error);
    }
    restore->backup = reader.tally;
    backup_reader_close(&reader);
    const struct backup_position *position = &restore->backup.position;
    if (r == 0 && last.change.epoch != 0 &&
        (last.change.epoch != position->epoch || last.change.sequence != position->sequence))
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
    r = store_build_finish(build, restore->backup.position.epoch, &identity, restore_goes_on,
                           restore, &restore->digests, &restore->digest_count, error);
    restore->built = r == 0;
    return r == 0 ? open_fresh(restore, error) : r;
}
