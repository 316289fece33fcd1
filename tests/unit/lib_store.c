#include "lib_store.h"

#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/store_internal.h"

void store_folder_make(char ret_path[STORE_FOLDER_SIZE])
{
    snprintf(ret_path, STORE_FOLDER_SIZE, "/tmp/catlatch-store-XXXXXX");
    if (mkdtemp(ret_path) == NULL)
        err(99, "mkdtemp %s", ret_path);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

void store_folder_remove(const char *path)
{
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        err(99, "removing %s", path);
}

struct store *store_open_or_die(const char *folder)
{
    struct store_options options = {.directory = folder, .cache_size_bytes = 16 << 20};
    struct store *store = NULL;
    struct error error = {0};

    if (store_open(&options, &store, &error) != 0)
        errx(99, "store_open: %s", error.text);
    return store;
}

struct record store_sample(uint64_t id, const char *name, const char *owner)
{
    return (struct record){
        .id = id,
        .digest = {{id, ~id, id * 3, 1}},
        .created_unix_s = 1700000000,
        .name = text_of(name),
        .owner = text_of(owner),
        .prefix = text_of("cc_live_AbCdEfG"),
        .environment = text_of("live"),
        .environment_prefix = text_of("cc_live_"),
    };
}

int store_put_kind(struct store_txn *txn, const struct record *old, struct record *record,
                   enum change_kind kind, struct error *error)
{
    struct change change = {
        .time_unix_ms = 1700000000123,
        .kind = kind,
        .key_id = record->id,
        .owner = record->owner,
        .detail = text_of("test"),
    };
    return store_put(txn, old, record, &change, error);
}

void store_save(struct store *store, const struct record *old, struct record *record,
                enum change_kind kind)
{
    struct store_txn *txn;
    struct error error = {0};

    if (store_begin(store, &txn, &error) != 0 ||
        store_put_kind(txn, old, record, kind, &error) != 0 || store_commit(txn, &error) != 0 ||
        store_flush(store, &error) != 0)
        errx(99, "store_save: %s", error.text);
}

void store_fill(struct store *store, uint64_t count)
{
    struct store_txn *txn;
    struct error error = {0};

    if (store_begin(store, &txn, &error) != 0)
        errx(99, "store_fill: %s", error.text);
    for (uint64_t id = 1; id <= count; id++) {
        struct record record = store_sample(id * 10, "n", "acme");
        if (store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error) != 0)
            errx(99, "store_fill: %s", error.text);
    }
    if (store_commit(txn, &error) != 0)
        errx(99, "store_fill: %s", error.text);
}

struct seen_key {
    uint64_t id;
    uint64_t version;
    uint64_t last_change; /* that the log names */
    bool revoked;
    char owner[RECORD_TEXT_MAX + 1];
};

#define HEAD 6 /* of a run's key: tag, part, index */

/* An entry by time, or a pair of a text with its part and index in front. */
struct index_key {
    size_t len;
    unsigned char bytes[HEAD + sizeof(struct store_pair)];
};

struct look {
    struct store *store;
    struct seen_key *keys;
    size_t key_count;
    size_t key_room;
    struct index_key *expected, *index; /* as the keys would have it, and as it is */
    size_t expected_count, index_count, index_room;
    unsigned char run_key[HEAD + sizeof(struct store_pair)]; /* of the run that was seen last */
    uint64_t epoch, sequence;                                /* of the last change */
    uint64_t change_count;
    const char *wrong;
};

static void set_pair(struct index_key *key, uint32_t part, unsigned index,
                     const struct store_pair *pair)
{
    uint32_t number = htobe32(part);
    key->bytes[0] = 'y';
    memcpy(key->bytes + 1, &number, sizeof number);
    key->bytes[5] = (unsigned char)index;
    memcpy(key->bytes + HEAD, pair, sizeof *pair);
    key->len = HEAD + sizeof *pair;
}

static void expect_text(struct look *look, enum store_index index, struct text value, uint64_t id)
{
    struct store_hash hash = store_hash_of(value);
    struct store_pair pair = store_pair_of(&hash, id);
    set_pair(&look->expected[look->expected_count++], store_part_of(look->store, id), index, &pair);
}

static struct index_key *add_index(struct look *look)
{
    static struct index_key none;
    if (look->index_count < look->index_room)
        return &look->index[look->index_count++];
    look->wrong = "the indexes have more entries than the keys have texts and times";
    return &none;
}

static int see_key(void *context, const struct record *record)
{
    struct look *look = context;

    if (look->key_count == look->key_room) {
        look->wrong = "there are more keys than the store counts";
        return 1;
    }
    struct seen_key *key = &look->keys[look->key_count++];
    *key = (struct seen_key){.id = record->id, .version = record->version};
    key->revoked = record->revoked;
    memcpy(key->owner, record->owner.bytes, record->owner.len);
    if (record->purged)
        return 0;
    if (record->revoked) {
        struct index_key *revoked = &look->expected[look->expected_count++];
        revoked->len = store_index_revoked_key(record->revoked_unix_s, record->id, revoked->bytes);
    }
    expect_text(look, STORE_BY_OWNER, record->owner, record->id);
    expect_text(look, STORE_BY_PREFIX, record->prefix, record->id);
    expect_text(look, STORE_BY_NAME, record->name, record->id);
    if (record->expires_unix_s != 0) {
        struct index_key *expiry = &look->expected[look->expected_count++];
        expiry->len = store_index_expiry_key(record->expires_unix_s, record->id, expiry->bytes);
    }
    return 0;
}

static struct seen_key *seen(struct look *look, uint64_t id)
{
    size_t low = 0, high = look->key_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (look->keys[middle].id == id)
            return &look->keys[middle];
        if (look->keys[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int see_change(void *context, const struct change *change)
{
    struct look *look = context;

    bool follows = change->epoch == look->epoch
                       ? change->sequence == look->sequence + 1
                       : change->epoch > look->epoch && change->sequence > look->sequence;
    if (!follows)
        look->wrong = "the change log has a gap";
    look->change_count++;
    look->epoch = change->epoch;
    look->sequence = change->sequence;
    if (change->key_id == 0)
        return look->wrong != NULL;
    struct seen_key *key = seen(look, change->key_id);
    if (key == NULL)
        look->wrong = "the change log tells of a key that is not there";
    else
        key->last_change = change->sequence;
    return look->wrong != NULL;
}

static int see_owner(void *context, const struct record_owner *owner)
{
    struct look *look = context;
    uint64_t count = 0;

    for (size_t i = 0; i < look->key_count; i++) {
        struct seen_key *key = &look->keys[i];
        if (!text_is(owner->name, key->owner))
            continue;
        count += !key->revoked;
        key->owner[0] = '\0'; /* it was found */
    }
    if (count != owner->key_count)
        look->wrong = "an owner's key count is wrong";
    return look->wrong != NULL;
}

static int index_compare(const void *left, const void *right)
{
    const struct index_key *a = left, *b = right;
    int order = memcmp(a->bytes, b->bytes, a->len < b->len ? a->len : b->len);
    return order != 0 ? order : a->len < b->len ? -1 : a->len > b->len;
}

/* Is of a sealed part, rises, and all of it lies above the key before and not above its own. */
static void look_at_run(struct look *look, const DBT *key, const DBT *data)
{
    const unsigned char *head = key->data;
    struct store_pair pair, before = {.id = {0}};
    uint32_t part;
    size_t count = data->size / sizeof pair;

    if (key->size != sizeof look->run_key || data->size % sizeof pair != 0 || count == 0 ||
        count > STORE_RUN_PAIRS) {
        look->wrong = "the index has an entry that is no run";
        return;
    }
    memcpy(&part, head + 1, sizeof part);
    if (be32toh(part) >= look->store->part_count)
        look->wrong = "the index has a run of a part that is not sealed";
    if (memcmp(head, look->run_key, HEAD) == 0)
        memcpy(&before, look->run_key + HEAD, sizeof before);
    for (size_t i = 0; i < count; i++, before = pair) {
        memcpy(&pair, (const unsigned char *)data->data + i * sizeof pair, sizeof pair);
        if (memcmp(&before, &pair, sizeof pair) >= 0)
            look->wrong = "the runs of the index do not rise";
        set_pair(add_index(look), be32toh(part), head[5], &pair);
    }
    if (memcmp(head + HEAD, &pair, sizeof pair) < 0)
        look->wrong = "a run of the index holds what belongs into the next";
    memcpy(look->run_key, head, sizeof look->run_key);
}

static void look_at_stored_index(struct look *look, struct error *error)
{
    struct store_walk walk;
    DBT key, data;

    if (store_walk_open(look->store, STORE_INDEX, "", 1, 1000, &walk, error) != 0)
        errx(99, "%s", error->text);
    while (look->wrong == NULL && store_walk_next(&walk, &key, &data, error) == 1) {
        if (*(char *)key.data == 'y') {
            look_at_run(look, &key, &data);
            continue;
        }
        struct index_key *entry = add_index(look);
        entry->len = key.size < sizeof entry->bytes ? key.size : sizeof entry->bytes;
        memcpy(entry->bytes, key.data, entry->len);
    }
    store_walk_close(&walk);
}

static void look_at_recent_index(struct look *look)
{
    const struct store_recent *recent = &look->store->recent;
    struct store_pair *pairs = calloc(recent->count + 1, sizeof *pairs);

    if (pairs == NULL)
        errx(99, "out of memory");
    for (unsigned i = 0; i < STORE_INDEXES; i++) {
        size_t count = store_recent_pairs(recent, (enum store_index)i, pairs);
        for (size_t n = 0; n < count; n++)
            set_pair(add_index(look), (uint32_t)look->store->part_count, i, &pairs[n]);
    }
    free(pairs);
}

static void look_at_index(struct look *look, struct error *error)
{
    look_at_stored_index(look, error);
    look_at_recent_index(look);
    qsort(look->expected, look->expected_count, sizeof *look->expected, index_compare);
    qsort(look->index, look->index_count, sizeof *look->index, index_compare);
    if (look->wrong == NULL && look->index_count < look->expected_count)
        look->wrong = "an index entry is missing";
    for (size_t i = 0; look->wrong == NULL && i < look->index_count; i++)
        if (i >= look->expected_count || index_compare(&look->index[i], &look->expected[i]) != 0)
            look->wrong = "the indexes and the keys disagree";
}

static void look_at_log(struct look *look, struct error *error)
{
    struct store_position at = {0, 0}, walked = {0, 0};
    uint64_t removed = store_log_start(look->store).sequence;
    struct digest chain = {{0}};
    size_t count = 0;

    look->sequence = removed;
    if (store_changes(look->store, &at, SIZE_MAX, see_change, look, error) != 0)
        look->wrong = "the change log cannot be read";
    if (look->wrong == NULL &&
        (store_changes_verify(look->store, &walked, &chain, SIZE_MAX, &count, error) != 0 ||
         count != look->change_count))
        look->wrong = "the change log's chain is broken";
    if (look->wrong == NULL && look->sequence != store_sequence(look->store))
        look->wrong = "the change log does not end with the store's sequence";
    for (size_t i = 0; look->wrong == NULL && i < look->key_count; i++)
        if (look->keys[i].version > removed && look->keys[i].last_change != look->keys[i].version)
            look->wrong = "a key's version is not its last change";
}

static void look_at_owners(struct look *look, struct error *error)
{
    if (store_owners(look->store, text_of(""), SIZE_MAX, see_owner, look, error) != 0)
        look->wrong = "the owners cannot be read";
    for (size_t i = 0; look->wrong == NULL && i < look->key_count; i++)
        if (look->keys[i].owner[0] != '\0')
            look->wrong = "a key's owner has no record";
}

const char *store_disagrees(struct store *store)
{
    struct look look = {.store = store, .key_room = store_key_count(store)};
    struct error error = {0};
    uint64_t last = 0;

    look.keys = calloc(look.key_room + 1, sizeof *look.keys);
    look.index_room = 5 * look.key_room + 5;
    look.expected = calloc(look.index_room, sizeof *look.expected);
    look.index = calloc(look.index_room, sizeof *look.index);
    if (look.keys == NULL || look.expected == NULL || look.index == NULL)
        errx(99, "out of memory");
    if (store_scan(store, 0, SIZE_MAX, see_key, &look, &last, &error) != 0)
        look.wrong = "the keys cannot be read";
    if (look.wrong == NULL && look.key_count != look.key_room)
        look.wrong = "there are fewer keys than the store counts";
    if (look.wrong == NULL)
        look_at_index(&look, &error);
    if (look.wrong == NULL)
        look_at_log(&look, &error);
    if (look.wrong == NULL)
        look_at_owners(&look, &error);
    free(look.keys);
    free(look.expected);
    free(look.index);
    return look.wrong;
}
