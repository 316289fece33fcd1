#include "daemon/store_build.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/key.h"
#include "daemon/ballast.h"
#include "daemon/store_internal.h"

#define CACHE_BYTES (UINT64_C(64) << 20)

/* What must stay free for the store that serves meanwhile, beside its ballast. */
#define ROOM_BYTES (UINT64_C(8) << 20)

/* How often that is looked at. */
#define LOOK_EACH 4096u

struct owner_count {
    uint64_t keys;
    uint32_t len;
    char name[];
};

struct store_build {
    struct store *store;
    uint64_t writes;
    unsigned char encoded[RECORD_ENCODED_MAX];

    /* While it is finished. */
    void *owners; /* a tree of struct owner_count */
    struct owner_count *last_owner;
    struct store_build_digest *digests;
    size_t digest_count, digest_room;
    uint64_t key_count;
    bool (*go_on)(void *context);
    void *context;
    struct error *error;
};

int store_build_begin(const char *directory, struct store_build **ret_build, struct error *error)
{
    struct store_build *build = calloc(1, sizeof *build);
    if (build == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for a new store");
    int r = store_alloc(directory, &build->store, error);
    if (r == 0) {
        int failed = store_place_remove(build->store->directory_fd, STORE_PLACE_NEW);
        if (failed != 0 && failed != ENOENT)
            r = error_errno(error, failed, "cannot remove %s/%s", directory, STORE_PLACE_NEW);
    }
    if (r == 0) {
        build->store->is_new = true;
        r = store_open_place(build->store, STORE_PLACE_NEW, error);
    }
    if (r == 0)
        r = store_env_open_bare(build->store, CACHE_BYTES, error);
    if (r == 0)
        *ret_build = build;
    else
        store_build_drop(build);
    return r;
}

void store_build_drop(struct store_build *build)
{
    if (build == NULL)
        return;
    struct store *store = build->store;
    if (store != NULL) {
        atomic_store(&store->broken, true); /* nothing needs to be written any more */
        store_env_close(store);
        store_place_remove(store->directory_fd, STORE_PLACE_NEW);
        store_free(store);
    }
    tdestroy(build->owners, free);
    free(build->digests);
    free(build);
}

static int check_room(struct store_build *build, struct error *error)
{
    if (build->writes++ % LOOK_EACH != 0 ||
        ballast_free_bytes(build->store->directory_fd) >= ROOM_BYTES)
        return 0;
    return error_set(error, CATLATCH_E_FULL,
                     "the disk of state_dir %s has no room for a second store; make room",
                     build->store->directory);
}

static int put(struct store_build *build, enum store_database database, const void *key,
               size_t key_len, const void *bytes, size_t len, struct error *error)
{
    DB *db = build->store->db[database];
    DBT key_dbt = store_dbt(key, key_len), data = store_dbt(bytes, len);

    int r = check_room(build, error);
    if (r != 0)
        return r;
    r = db->put(db, NULL, &key_dbt, &data, 0);
    return r == 0 ? 0 : store_fail(build->store, r, error, "build a store");
}

static int drop(struct store_build *build, enum store_database database, uint64_t id,
                struct error *error)
{
    DB *db = build->store->db[database];
    unsigned char key[8] = {0};
    DBT key_dbt = store_dbt(key, sizeof key);

    store_pack(id, key);
    int r = db->del(db, NULL, &key_dbt, 0);
    return r == 0 || r == DB_NOTFOUND ? 0 : store_fail(build->store, r, error, "build a store");
}

int store_build_key(struct store_build *build, const struct record *record, struct error *error)
{
    unsigned char key[8];
    size_t len = 0;

    if (record_encode(record, build->encoded, sizeof build->encoded, &len) != 0)
        return error_set(error, CATLATCH_E_DATA, "a key's record is out of bounds");
    /* An earlier entry may have had it still. */
    int r = record->purged ? drop(build, STORE_USAGE, record->id, error) : 0;
    if (r != 0)
        return r;
    store_pack(record->id, key);
    return put(build, STORE_KEYS, key, sizeof key, build->encoded, len, error);
}

int store_build_usage(struct store_build *build, uint64_t id, const struct total *total,
                      struct error *error)
{
    unsigned char key[8], bytes[TOTAL_ENCODED_MAX];

    store_pack(id, key);
    return put(build, STORE_USAGE, key, sizeof key, bytes, total_encode(total, bytes), error);
}

int store_build_gone(struct store_build *build, uint64_t id, struct error *error)
{
    int r = drop(build, STORE_KEYS, id, error);
    return r == 0 ? drop(build, STORE_USAGE, id, error) : r;
}

static int put_owner(struct store_build *build, const struct record_owner *owner,
                     struct error *error)
{
    size_t len = 0;

    if (owner->name.len == 0 || owner->name.len > RECORD_TEXT_MAX ||
        record_owner_encode(owner, build->encoded, sizeof build->encoded, &len) != 0)
        return error_set(error, CATLATCH_E_DATA, "an owner's record is out of bounds");
    return put(build, STORE_OWNERS, owner->name.bytes, owner->name.len, build->encoded, len, error);
}

/* Counts come with the keys. */
int store_build_owner(struct store_build *build, const struct record_owner *owner,
                      struct error *error)
{
    struct record_owner uncounted = *owner;

    uncounted.key_count = 0;
    return put_owner(build, &uncounted, error);
}

int store_build_change(struct store_build *build, const struct change *change, const void *bytes,
                       size_t len, struct error *error)
{
    unsigned char key[16];

    store_pack(change->epoch, key);
    store_pack(change->sequence, key + 8);
    return put(build, STORE_CHANGES, key, sizeof key, bytes, len, error);
}

void store_build_log_start(struct store_build *build, struct store_position at,
                           const struct digest *chain)
{
    build->store->log_start = at;
    build->store->log_start_chain = *chain;
}

static int owner_compare(const void *left, const void *right)
{
    const struct owner_count *a = left, *b = right;
    uint32_t common = a->len < b->len ? a->len : b->len;

    int order = memcmp(a->name, b->name, common);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* Keys of one owner are often made one after the other. */
static struct owner_count *owner_of(struct store_build *build, struct text name)
{
    struct owner_count *last = build->last_owner;

    if (last != NULL && last->len == name.len && memcmp(last->name, name.bytes, name.len) == 0)
        return last;
    struct owner_count *fresh = calloc(1, sizeof *fresh + name.len);
    if (fresh == NULL)
        return NULL;
    fresh->len = name.len;
    memcpy(fresh->name, name.bytes, name.len);
    struct owner_count **found = tsearch(fresh, &build->owners, owner_compare);
    if (found == NULL || *found != fresh)
        free(fresh);
    build->last_owner = found == NULL ? NULL : *found;
    return build->last_owner;
}

static int keep_digest(struct store_build *build, const struct record *record)
{
    if (build->digest_count == build->digest_room) {
        size_t room = build->digest_room == 0 ? 1024 : 2 * build->digest_room;
        void *larger = reallocarray(build->digests, room, sizeof *build->digests);
        if (larger == NULL)
            return CATLATCH_E_MEMORY;
        build->digests = larger;
        build->digest_room = room;
    }
    build->digests[build->digest_count++] =
        (struct store_build_digest){record->digest.word[0], record->id};
    return 0;
}

static int write_batch(struct store_build *build)
{
    struct store *store = build->store;

    store->txn.store = store; /* what the index wants of a transaction: none */
    store->txn.txn = NULL;
    int r = check_room(build, build->error);
    if (r == 0)
        r = store_index_apply(&store->txn, build->error);
    if (r == 0)
        store_index_committed(&store->txn);
    store_index_clear(&store->txn.index);
    store->txn.begins_part = false;
    build->writes = 0; /* and before the next write the room is looked at again */
    return r;
}

/* Keys come by their ids: the next part begins behind this one, and the next batch is of it. */
static int end_batch(struct store_build *build, uint64_t id)
{
    int r = write_batch(build);
    if (r != 0 || !store_part_is_full(build->store))
        return r;
    r = store_part_add(build->store, id + 1, build->error);
    build->store->txn.begins_part = r == 0;
    return r == 0 ? store_meta_put_last_part(build->store, NULL, build->error) : r;
}

static int finish_key(void *context, const struct record *record)
{
    struct store_build *build = context;
    struct owner_count *owner = record->purged ? NULL : owner_of(build, record->owner);

    if ((owner == NULL && !record->purged) || keep_digest(build, record) != 0)
        return error_set(build->error, CATLATCH_E_MEMORY, "out of memory for a new store");
    if (owner != NULL)
        owner->keys += !record->revoked;
    int r = store_index_note(&build->store->txn.index, NULL, record, build->error);
    if (++build->key_count % LOOK_EACH != 0)
        return r;
    if (r == 0)
        r = end_batch(build, record->id);
    if (r == 0 && build->go_on != NULL && !build->go_on(build->context))
        r = error_set(build->error, CATLATCH_E_UNAVAILABLE, "given up");
    return r;
}

static int digest_compare(const void *left, const void *right)
{
    const struct store_build_digest *a = left, *b = right;

    if (a->word != b->word)
        return a->word < b->word ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

/* A table shows a digest once: with two the daemon could not start. Two of the 2^64 first words are
 * alike by chance once in a million stores of ten million keys. */
static int check_digests(struct store_build *build)
{
    char first[CATLATCH_ID_SIZE], second[CATLATCH_ID_SIZE];

    if (build->digest_count > 0)
        qsort(build->digests, build->digest_count, sizeof *build->digests, digest_compare);
    for (size_t i = 1; i < build->digest_count; i++) {
        const struct store_build_digest *pair = &build->digests[i - 1];
        if (pair[0].word != pair[1].word)
            continue;
        key_id_format(pair[0].id, first);
        key_id_format(pair[1].id, second);
        return error_set(build->error, CATLATCH_E_DATA, "%s and %s have the same digest", first,
                         second);
    }
    return 0;
}

struct owner_finish {
    struct store_build *build;
    int r;
};

/* An owner without a record is not how we write stores; the record is made up. */
static void finish_owner(const void *node, VISIT visit, void *context)
{
    const struct owner_count *count = *(struct owner_count *const *)node;
    struct owner_finish *finish = context;
    struct store_build *build = finish->build;
    struct record_owner owner;
    unsigned char bytes[512];
    size_t len = 0;

    if ((visit != postorder && visit != leaf) || finish->r != 0)
        return;
    finish->r = store_get(build->store, STORE_OWNERS, count->name, count->len, bytes, sizeof bytes,
                          &len, build->error);
    if (finish->r == CATLATCH_E_NOT_FOUND) {
        owner = (struct record_owner){.name = {count->name, count->len}, .version = 1};
        finish->r = 0;
    } else if (finish->r == 0 && record_owner_decode(bytes, len, &owner) != 0) {
        finish->r = error_set(build->error, CATLATCH_E_DATA, "an owner's record is damaged");
    }
    owner.key_count = count->keys;
    if (finish->r == 0)
        finish->r = put_owner(build, &owner, build->error);
}

static int sync_all(struct store_build *build)
{
    struct store *store = build->store;
    int r = 0;

    for (unsigned i = 0; r == 0 && i < STORE_DATABASES; i++)
        r = store->db[i]->sync(store->db[i], 0);
    if (r == 0 && fsync(store->place_fd) != 0)
        r = errno;
    return r == 0 ? 0 : store_fail(store, r, build->error, "build a store");
}

static int finish_all(struct store_build *build, uint64_t epoch,
                      const struct store_identity *identity)
{
    uint64_t last = 0;
    struct owner_finish finish = {.build = build};

    int r = store_scan(build->store, 0, SIZE_MAX, finish_key, build, &last, build->error);
    if (r == 0)
        r = write_batch(build);
    if (r == 0)
        r = check_digests(build);
    if (r != 0)
        return r;
    twalk_r(build->owners, finish_owner, &finish);
    r = finish.r;
    if (r == 0)
        r = store_put_meta(build->store, epoch, build->key_count, identity, build->error);
    if (r == 0 && build->store->log_start.epoch != 0)
        r = store_meta_put_log_start(build->store, NULL, &build->store->log_start,
                                     &build->store->log_start_chain, build->error);
    return r == 0 ? sync_all(build) : r;
}

int store_build_finish(struct store_build *build, uint64_t epoch,
                       const struct store_identity *identity, bool (*go_on)(void *context),
                       void *context, struct store_build_digest **ret_digests, size_t *ret_count,
                       struct error *error)
{
    build->go_on = go_on;
    build->context = context;
    build->error = error;
    int r = finish_all(build, epoch, identity);
    if (r != 0) {
        store_build_drop(build);
        return r;
    }
    *ret_digests = build->digests;
    *ret_count = build->digest_count;
    tdestroy(build->owners, free);
    store_free(build->store);
    free(build);
    return 0;
}
