#include "daemon/store_internal.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

static const char epoch_name[] = "epoch";
static const char key_count_name[] = "keys";
static const char generation_name[] = "generation";
static const char log_start_name[] = "log start";
static const char identity_name[] = "identity";
static const char backup_name[] = "backup";
static const char evidence_name[] = "usage";
static const char part_name[] = "part"; /* and its number: its first id */

#define GENERATION_BYTES 25u /* number, boot id, uncovered */
#define EVIDENCE_BYTES 16u   /* since, until */
#define LOG_START_BYTES (16u + DIGEST_BYTES)

static int meta_put(struct store *store, DB_TXN *txn, const char *name, const void *value,
                    size_t len, struct error *error)
{
    DB *db = store->db[STORE_META];
    DBT key = store_dbt(name, strlen(name));
    DBT data = store_dbt(value, len);

    int r = db->put(db, txn, &key, &data, 0);
    return r == 0 ? 0 : store_fail(store, r, error, "write");
}

/* Exactly len bytes. Returns 0, E_NOT_FOUND (without touching the error), ... */
static int meta_get(struct store *store, const char *name, void *value, size_t len,
                    struct error *error)
{
    size_t got = 0;

    int r = store_get(store, STORE_META, name, strlen(name), value, len, &got, error);
    if (r == 0 && got != len)
        r = error_set(error, CATLATCH_E_DATA,
                      "\"%s\" of meta.db in state_dir %s is damaged; restore a backup", name,
                      store->directory);
    return r;
}

static int meta_get_number(struct store *store, const char *name, uint64_t *ret_number,
                           struct error *error)
{
    unsigned char bytes[8];

    int r = meta_get(store, name, bytes, sizeof bytes, error);
    if (r == CATLATCH_E_NOT_FOUND)
        return error_set(error, CATLATCH_E_DATA,
                         "\"%s\" of meta.db in state_dir %s is missing; restore a backup", name,
                         store->directory);
    if (r == 0)
        *ret_number = store_unpack(bytes);
    return r;
}

static int meta_put_number(struct store *store, DB_TXN *txn, const char *name, uint64_t number,
                           struct error *error)
{
    unsigned char bytes[8];

    store_pack(number, bytes);
    return meta_put(store, txn, name, bytes, sizeof bytes, error);
}

int store_meta_put_key_count(struct store_txn *txn, struct error *error)
{
    return meta_put_number(txn->store, txn->txn, key_count_name, txn->key_count, error);
}

#define PART_NAME_SIZE (sizeof part_name + 10)

static void name_part(size_t number, char ret_name[PART_NAME_SIZE])
{
    snprintf(ret_name, PART_NAME_SIZE, "%s%010u", part_name, (unsigned)number);
}

int store_meta_put_last_part(struct store *store, DB_TXN *txn, struct error *error)
{
    char name[PART_NAME_SIZE];

    name_part(store->part_count, name);
    return meta_put_number(store, txn, name, store->part_ids[store->part_count - 1], error);
}

/* First ids rise, and the last part begins at most right behind all keys. */
static bool may_begin_at(const struct store *store, uint64_t id)
{
    uint64_t before = store->part_count > 0 ? store->part_ids[store->part_count - 1] : 0;

    return id > before && id <= store->highest_id + 1;
}

static int load_parts(struct store *store, struct error *error)
{
    char name[PART_NAME_SIZE];
    unsigned char bytes[8];

    for (;;) {
        name_part(store->part_count + 1, name);
        int r = meta_get(store, name, bytes, sizeof bytes, error);
        if (r != 0)
            return r == CATLATCH_E_NOT_FOUND ? 0 : r;
        if (!may_begin_at(store, store_unpack(bytes)))
            return error_set(error, CATLATCH_E_DATA,
                             "\"%s\" of meta.db in state_dir %s is damaged; restore a backup", name,
                             store->directory);
        r = store_part_add(store, store_unpack(bytes), error);
        if (r != 0)
            return r;
    }
}

static int end_flushed(struct store *store, DB_TXN *txn, int r, struct error *error)
{
    if (r != 0) {
        txn->abort(txn);
        return r;
    }
    r = txn->commit(txn, DB_TXN_NOSYNC);
    return r == 0 ? store_flush(store, error) : store_fail(store, r, error, "commit");
}

static int meta_put_identity(struct store *store, DB_TXN *txn, struct error *error)
{
    struct store_identity identity;

    if (getrandom(&identity, sizeof identity, 0) != (ssize_t)sizeof identity)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "no random numbers to be had");
    return meta_put(store, txn, identity_name, &identity, sizeof identity, error);
}

int store_identity(struct store *store, struct store_identity *ret, struct error *error)
{
    struct store_identity identity;

    int r = meta_get(store, identity_name, &identity, sizeof identity, error);
    if (r == CATLATCH_E_NOT_FOUND)
        return error_set(error, CATLATCH_E_DATA,
                         "\"identity\" of meta.db in state_dir %s is missing; restore a backup",
                         store->directory);
    if (r == 0)
        *ret = identity;
    return r;
}

int store_txn_put_epoch(struct store_txn *txn, struct error *error)
{
    return meta_put_number(txn->store, txn->txn, epoch_name, txn->epoch, error);
}

int store_renew_identity(struct store_txn *txn, struct error *error)
{
    int r = meta_put_identity(txn->store, txn->txn, error);

    txn->failed |= r != 0;
    return r;
}

static int begin_first_epoch(struct store *store, struct error *error)
{
    DB_TXN *txn;

    int r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    r = meta_put_number(store, txn, epoch_name, 1, error);
    if (r == 0)
        r = meta_put_number(store, txn, key_count_name, 0, error);
    if (r == 0)
        r = meta_put_identity(store, txn, error);
    return end_flushed(store, txn, r, error);
}

int store_put_meta(struct store *store, uint64_t epoch, uint64_t key_count,
                   const struct store_identity *identity, struct error *error)
{
    int r = meta_put_number(store, NULL, epoch_name, epoch, error);
    if (r == 0)
        r = meta_put_number(store, NULL, key_count_name, key_count, error);
    if (r == 0)
        r = meta_put(store, NULL, identity_name, identity, sizeof *identity, error);
    return r;
}

/* The chain goes on from the last change. */
static int load_chain(struct store *store, const void *key, size_t key_len, struct error *error)
{
    struct change_room room;
    struct change change;
    size_t len = 0;

    int r = store_get(store, STORE_CHANGES, key, key_len, store->txn.encoded,
                      sizeof store->txn.encoded, &len, error);
    if (r != 0)
        return r;
    r = change_decode(store->txn.encoded, len, &room, &change);
    if (r != 0)
        return store_fail_entry(store, r, error, "the last entry of the change log");
    store->chain = change.chain;
    store->last_change_ms = change.time_unix_ms;
    return 0;
}

static int load_sequence(struct store *store, struct error *error)
{
    unsigned char key[16];

    int r = store_last(store, STORE_CHANGES, key, sizeof key, error);
    if (r == CATLATCH_E_NOT_FOUND)
        return 0;
    if (r != 0)
        return r;
    if (store_unpack(key) != store->epoch)
        return error_set(error, CATLATCH_E_DATA,
                         "changes.db and meta.db in state_dir %s do not belong together; restore a "
                         "backup",
                         store->directory);
    store->sequence = store_unpack(key + 8);
    return load_chain(store, key, sizeof key, error);
}

int store_meta_put_log_start(struct store *store, DB_TXN *txn, const struct store_position *at,
                             const struct digest *chain, struct error *error)
{
    unsigned char bytes[LOG_START_BYTES];

    store_pack(at->epoch, bytes);
    store_pack(at->sequence, bytes + 8);
    memcpy(bytes + 16, chain, DIGEST_BYTES);
    return meta_put(store, txn, log_start_name, bytes, sizeof bytes, error);
}

static int load_log_start(struct store *store, struct error *error)
{
    unsigned char bytes[LOG_START_BYTES];

    int r = meta_get(store, log_start_name, bytes, sizeof bytes, error);
    if (r != 0)
        return r == CATLATCH_E_NOT_FOUND ? 0 : r;
    store->log_start = (struct store_position){store_unpack(bytes), store_unpack(bytes + 8)};
    memcpy(&store->log_start_chain, bytes + 16, DIGEST_BYTES);
    return 0;
}

static int load_last_id(struct store *store, struct error *error)
{
    unsigned char key[8];

    int r = store_last(store, STORE_KEYS, key, sizeof key, error);
    if (r == CATLATCH_E_NOT_FOUND)
        return 0;
    if (r == 0)
        store->last_id = store->highest_id = store_unpack(key);
    return r;
}

static int load_backup(struct store *store, struct error *error)
{
    unsigned char bytes[8];

    int r = meta_get(store, backup_name, bytes, sizeof bytes, error);
    if (r == 0)
        atomic_store(&store->backup_unix_s, (int64_t)store_unpack(bytes));
    return r == CATLATCH_E_NOT_FOUND ? 0 : r;
}

int store_meta_load(struct store *store, struct error *error)
{
    int r = load_last_id(store, error);
    if (r != 0)
        return r;
    if (store->is_new && store->last_id != 0)
        return error_set(error, CATLATCH_E_DATA,
                         "state_dir %s holds keys but no file \"format\"; restore a backup",
                         store->directory);
    if (store->is_new && (r = begin_first_epoch(store, error)) != 0)
        return r;
    uint64_t key_count = 0;
    r = meta_get_number(store, epoch_name, &store->epoch, error);
    if (r == 0)
        r = meta_get_number(store, key_count_name, &key_count, error);
    store->key_count = key_count;
    if (r == 0)
        r = load_log_start(store, error);
    if (r == 0)
        r = load_backup(store, error);
    if (r == 0)
        r = load_parts(store, error);
    if (r == 0)
        r = load_sequence(store, error);
    return r == 0 ? store_recent_load(store, error) : r;
}

int store_generation(struct store *store, struct store_generation *ret, struct error *error)
{
    unsigned char bytes[GENERATION_BYTES];

    int r = meta_get(store, generation_name, bytes, sizeof bytes, error);
    if (r == CATLATCH_E_NOT_FOUND) {
        *ret = (struct store_generation){.number = 0};
        return 0;
    }
    if (r != 0)
        return r;
    ret->number = store_unpack(bytes);
    memcpy(ret->boot_id, bytes + 8, sizeof ret->boot_id);
    ret->uncovered = bytes[24] != 0;
    return 0;
}

int store_set_generation(struct store *store, const struct store_generation *generation,
                         struct error *error)
{
    unsigned char bytes[GENERATION_BYTES];
    DB_TXN *txn;

    int r = store_check(store, error);
    if (r != 0)
        return r;
    /* Without it no table can be published, and without a table nothing can be revoked. */
    r = store_check_room(store, error);
    if (r == CATLATCH_E_FULL && store_release_ballast(store))
        r = store_check_room(store, error);
    if (r != 0)
        return r;
    store_pack(generation->number, bytes);
    memcpy(bytes + 8, generation->boot_id, sizeof generation->boot_id);
    bytes[24] = generation->uncovered;
    r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    r = meta_put(store, txn, generation_name, bytes, sizeof bytes, error);
    return end_flushed(store, txn, r, error);
}

int store_evidence(struct store *store, struct store_evidence *ret, struct error *error)
{
    unsigned char bytes[EVIDENCE_BYTES];

    *ret = (struct store_evidence){.since_unix_s = 0};
    int r = meta_get(store, evidence_name, bytes, sizeof bytes, error);
    if (r == 0)
        *ret =
            (struct store_evidence){(int64_t)store_unpack(bytes), (int64_t)store_unpack(bytes + 8)};
    return r == CATLATCH_E_NOT_FOUND ? 0 : r;
}

int store_set_evidence(struct store *store, const struct store_evidence *evidence,
                       struct error *error)
{
    unsigned char bytes[EVIDENCE_BYTES];
    DB_TXN *txn;

    int r = store_check(store, error);
    if (r == 0)
        r = store_check_room(store, error);
    if (r == 0)
        r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    store_pack((uint64_t)evidence->since_unix_s, bytes);
    store_pack((uint64_t)evidence->until_unix_s, bytes + 8);
    r = meta_put(store, txn, evidence_name, bytes, sizeof bytes, error);
    if (r != 0) {
        txn->abort(txn);
        return r;
    }
    r = txn->commit(txn, DB_TXN_NOSYNC);
    return r == 0 ? 0 : store_fail(store, r, error, "commit");
}

int64_t store_backup_time(const struct store *store)
{
    return atomic_load(&store->backup_unix_s);
}

int store_set_backup_time(struct store *store, int64_t unix_s, struct error *error)
{
    DB_TXN *txn;

    int r = store_check(store, error);
    if (r == 0)
        r = store_check_room(store, error);
    if (r != 0)
        return r;
    r = store_env_begin(store, &txn, error);
    if (r != 0)
        return r;
    r = meta_put_number(store, txn, backup_name, (uint64_t)unix_s, error);
    r = end_flushed(store, txn, r, error);
    if (r == 0)
        atomic_store(&store->backup_unix_s, unix_s);
    return r;
}

/* Fetched for many ids at once: a system call for each would cost more than the rest of it. What
 * was used is wiped, so that the memory tells nothing of how far apart earlier ids were drawn. */
static uint32_t draw(struct store *store, const struct timespec *now)
{
    if (store->dice_left == 0) {
        if (getrandom(store->dice, sizeof store->dice, GRND_NONBLOCK) !=
            (ssize_t)sizeof store->dice)
            return (uint32_t)now->tv_nsec;
        store->dice_left = STORE_DICE;
    }
    uint32_t drawn = store->dice[--store->dice_left];
    OPENSSL_cleanse(&store->dice[store->dice_left], sizeof drawn);
    return drawn;
}

/* Milliseconds and 20 random bits: ids rise, so that new keys append, and do not tell how many keys
 * were issued. A clock that was put back only makes the steps small. */
uint64_t store_new_id(struct store *store)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    uint32_t random = draw(store, &now);
    uint64_t milliseconds = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    uint64_t id = milliseconds << 20 | (random & 0xFFFFF);
    if (id <= store->last_id)
        id = store->last_id + 1 + (random & 0x3FF);
    store->last_id = id;
    return id;
}
