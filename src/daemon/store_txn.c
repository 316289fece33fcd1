#include "daemon/store_internal.h"

#include <search.h>
#include <stdlib.h>

#include "core/key.h"

/* An owner that the transaction looked at. Its record is written at the commit, once, however many
 * of its keys changed. */
struct owner_entry {
    struct record_owner owner; /* name points to the bytes below */
    bool exists;
    bool dirty;
    char name[RECORD_TEXT_MAX];
};

static int no_memory(struct error *error)
{
    error_set(error, CATLATCH_E_MEMORY, "cannot change the store: out of memory");
    return CATLATCH_E_MEMORY;
}

int store_begin(struct store *store, struct store_txn **ret_txn, struct error *error)
{
    struct store_txn *txn = &store->txn;

    int r = store_check(store, error);
    if (r != 0)
        return r;
    r = store_env_begin(store, &txn->txn, error);
    if (r != 0)
        return r;
    txn->store = store;
    txn->epoch = store->epoch;
    txn->sequence = store->sequence;
    txn->chain = store->chain;
    txn->last_change_ms = store->last_change_ms;
    txn->key_count = store->key_count;
    txn->highest_id = store->highest_id;
    txn->owners = NULL;
    txn->failed = txn->begins_part = false;
    store_index_clear(&txn->index);
    store_bulk_clear(&txn->index_bulk);
    store_bulk_clear(&txn->keys);
    store_bulk_clear(&txn->changes);
    store->txn_is_open = true;
    *ret_txn = txn;
    return 0;
}

/* Whatever ended it, what was not committed never was: neither its part nor its keys. */
static void txn_end(struct store_txn *txn, bool committed)
{
    if (!committed) {
        txn->store->part_count -= txn->begins_part;
        txn->store->highest_id = txn->highest_id;
    }
    tdestroy(txn->owners, free);
    txn->owners = NULL;
    txn->txn = NULL;
    txn->store->txn_is_open = false;
}

void store_abort(struct store_txn *txn)
{
    if (txn == NULL)
        return;
    int r = txn->txn->abort(txn->txn);
    if (r != 0)
        store_fail(txn->store, r, NULL, "undo a transaction");
    txn_end(txn, false);
}

static int owner_compare(const void *left, const void *right)
{
    const struct owner_entry *a = left, *b = right;
    size_t common = a->owner.name.len < b->owner.name.len ? a->owner.name.len : b->owner.name.len;

    int order = memcmp(a->name, b->name, common);
    if (order != 0)
        return order;
    return a->owner.name.len < b->owner.name.len ? -1 : a->owner.name.len > b->owner.name.len;
}

static void owner_name(struct owner_entry *entry, struct text name)
{
    memcpy(entry->name, name.bytes, name.len);
    entry->owner.name = (struct text){entry->name, name.len};
}

/* What is stored about the owner; an entry that does not exist when there is nothing. */
static int owner_load(struct store *store, struct owner_entry *entry, struct error *error)
{
    unsigned char bytes[512];
    struct record_owner owner;
    size_t len = 0;

    int r = store_get(store, STORE_OWNERS, entry->name, entry->owner.name.len, bytes, sizeof bytes,
                      &len, error);
    if (r == CATLATCH_E_NOT_FOUND)
        return 0;
    if (r != 0)
        return r;
    r = record_owner_decode(bytes, len, &owner);
    if (r == 0 && text_equal(owner.name, entry->owner.name)) {
        owner.name = entry->owner.name;
        entry->owner = owner;
        entry->exists = true;
        return 0;
    }
    return error_set(error, r == CATLATCH_E_VERSION ? r : CATLATCH_E_DATA,
                     "the record of owner \"%.*s\" in state_dir %s is %s",
                     (int)entry->owner.name.len, entry->name, store->directory,
                     r == CATLATCH_E_VERSION ? "of a newer catlatch; upgrade"
                                             : "damaged; restore a backup");
}

static int owner_check_name(struct text name, struct error *error)
{
    if (name.len > 0 && name.len <= RECORD_TEXT_MAX && memchr(name.bytes, '\0', name.len) == NULL)
        return 0;
    return error_set(error, CATLATCH_E_DATA, "an owner's name has 1 to %u bytes and no NUL",
                     RECORD_TEXT_MAX);
}

static int owner_get(struct store_txn *txn, struct text name, struct owner_entry **ret_entry,
                     struct error *error)
{
    int r = owner_check_name(name, error);
    if (r != 0)
        return r;
    struct owner_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return no_memory(error);
    owner_name(entry, name);
    struct owner_entry **found = tfind(entry, &txn->owners, owner_compare);
    if (found != NULL) {
        free(entry);
        *ret_entry = *found;
        return 0;
    }
    r = owner_load(txn->store, entry, error);
    if (r == 0 && tsearch(entry, &txn->owners, owner_compare) == NULL)
        r = no_memory(error);
    if (r != 0) {
        free(entry);
        return r;
    }
    *ret_entry = entry;
    return 0;
}

static bool key_counts(const struct record *record)
{
    return record != NULL && !record->revoked;
}

static int owner_count(struct store_txn *txn, const struct record *old, const struct record *new,
                       const struct change *change, struct error *error)
{
    struct owner_entry *entry = NULL;

    if (new->purged) /* it did not count any more */
        return 0;
    int r = owner_get(txn, new->owner, &entry, error);
    if (r != 0)
        return r;
    if (!entry->exists) {
        entry->owner.created_unix_s = change->time_unix_ms / 1000;
        entry->owner.version = change->sequence;
        entry->exists = true;
        entry->dirty = true;
    }
    if (key_counts(old) == key_counts(new))
        return 0;
    if (key_counts(old) && entry->owner.key_count == 0)
        return error_set(error, CATLATCH_E_DATA,
                         "the key count of owner \"%.*s\" in state_dir %s is wrong; restore a "
                         "backup",
                         (int)new->owner.len, new->owner.bytes, txn->store->directory);
    entry->owner.key_count += key_counts(new) ? 1 : UINT64_MAX;
    entry->dirty = true;
    return 0;
}

int store_owner(struct store *store, struct store_txn *txn, struct text name,
                struct store_buffer *buffer, struct record_owner *ret_owner, struct error *error)
{
    struct owner_entry fresh = {.exists = false}, *entry = &fresh;

    (void)txn; /* there is one at most, and every read joins it */
    int r = owner_check_name(name, error);
    if (r != 0)
        return r;
    if (store->txn_is_open) {
        r = owner_get(&store->txn, name, &entry, error);
    } else {
        owner_name(&fresh, name);
        r = owner_load(store, &fresh, error);
    }
    if (r != 0)
        return r;
    if (!entry->exists)
        return error_set(error, CATLATCH_E_NOT_FOUND, "there is no owner \"%.*s\"", (int)name.len,
                         name.bytes);
    memcpy(buffer->bytes, entry->name, entry->owner.name.len);
    *ret_owner = entry->owner;
    ret_owner->name.bytes = (const char *)buffer->bytes;
    return 0;
}

/* What was encoded. `flags` are Berkeley DB's; E_CONFLICT, without touching the error: with
 * DB_NOOVERWRITE there is such an entry. */
static int txn_write(struct store_txn *txn, enum store_database database, const void *key,
                     size_t key_len, size_t len, uint32_t flags, struct error *error)
{
    DB *db = txn->store->db[database];
    DBT key_dbt = store_dbt(key, key_len);
    DBT data = store_dbt(txn->encoded, len);

    int r = db->put(db, txn->txn, &key_dbt, &data, flags);
    if (r == DB_KEYEXIST)
        return CATLATCH_E_CONFLICT;
    return r == 0 ? 0 : store_fail(txn->store, r, error, "write");
}

/* Takes the next place in the log: sequence and chain value are the transaction's. */
static int write_change(struct store_txn *txn, struct change *change, struct error *error)
{
    unsigned char key[16];
    size_t len = 0;

    change->chain = txn->chain;
    int r = change_encode(change, txn->encoded, sizeof txn->encoded, &len);
    if (r != 0)
        return error_set(error, r, "cannot store the change: a text of it is too long");
    store_pack(change->epoch, key);
    store_pack(change->sequence, key + 8);
    r = store_bulk_add(txn, STORE_CHANGES, &txn->changes, key, sizeof key, txn->encoded, len,
                       error);
    if (r == 0) {
        txn->chain = change->chain;
        txn->last_change_ms = change->time_unix_ms;
    }
    return r;
}

static int write_key(struct store_txn *txn, const struct record *record, uint32_t flags,
                     struct error *error)
{
    unsigned char key[8];
    size_t len = 0;

    int r = record_encode(record, txn->encoded, sizeof txn->encoded, &len);
    if (r != 0)
        return error_set(error, r, "cannot store the key: a field of it is out of bounds");
    store_pack(record->id, key);
    return txn_write(txn, STORE_KEYS, key, sizeof key, len, flags, error);
}

/* Before a new key: a part begins behind all keys if the last one is full of what was committed. So
 * it is the first new key of a transaction that begins one, if any, and what is sealed was
 * committed before. */
static int begin_part(struct store_txn *txn, struct error *error)
{
    if (txn->begins_part || !store_part_is_full(txn->store))
        return 0;
    int r = store_part_add(txn->store, txn->store->highest_id + 1, error);
    txn->begins_part = r == 0;
    return r;
}

/* Writing a new key tells whether its id is free, without a look at it before. Behind all others it
 * is, and keys that come in order are written together. E_CONFLICT: it is not. */
static int write_new_key(struct store_txn *txn, const struct record *record, struct error *error)
{
    struct store *store = txn->store;
    unsigned char key[8];
    size_t len = 0;

    int r = begin_part(txn, error);
    if (r != 0)
        return r;
    if (record->id <= store->highest_id) {
        r = store_settle(store, error); /* or one that is written at the end is not seen */
        return r == 0 ? write_key(txn, record, DB_NOOVERWRITE, error) : r;
    }
    r = record_encode(record, txn->encoded, sizeof txn->encoded, &len);
    if (r != 0)
        return error_set(error, r, "cannot store the key: a field of it is out of bounds");
    store_pack(record->id, key);
    r = store_bulk_add(txn, STORE_KEYS, &txn->keys, key, sizeof key, txn->encoded, len, error);
    if (r == 0)
        store->highest_id = record->id;
    return r;
}

static int conflict(uint64_t id, struct error *error, const char *why)
{
    char text[CATLATCH_ID_SIZE];

    key_id_format(id, text);
    return error_set(error, CATLATCH_E_CONFLICT, "cannot change %s: %s", text, why);
}

/* Compares with what is stored, which is what counts are taken from. */
static int compare(struct store_txn *txn, const struct record *old, const struct record *record,
                   struct record *ret_stored, struct error *error)
{
    int r = store_read_key(txn->store, record->id, &txn->stored, ret_stored, error);
    if (r == CATLATCH_E_NOT_FOUND)
        return conflict(record->id, error, "it is not there");
    if (r != 0)
        return r;
    if (ret_stored->version != old->version)
        return conflict(record->id, error, "it changed meanwhile; try again");
    if (ret_stored->revoked && !record->revoked)
        return conflict(record->id, error, "it is revoked, which is final");
    if (ret_stored->purged || (record->purged && !ret_stored->revoked))
        return conflict(record->id, error, "revoked keys can be purged, once");
    if ((!record->purged && !text_equal(ret_stored->owner, record->owner)) ||
        !digest_equal(&ret_stored->digest, &record->digest))
        return conflict(record->id, error, "its owner and its digest never change");
    return 0;
}

/* `stored` NULL: the key is new, and was written. */
static int put_all(struct store_txn *txn, const struct record *stored, const struct record *record,
                   struct change *change, struct error *error)
{
    int r = store_index_note(&txn->index, stored, record, error);
    if (r == 0)
        r = owner_count(txn, stored, record, change, error);
    if (r == 0 && stored != NULL)
        r = write_key(txn, record, 0, error);
    if (r == 0)
        r = write_change(txn, change, error);
    return r;
}

int store_put(struct store_txn *txn, const struct record *old, struct record *record,
              struct change *change, struct error *error)
{
    struct record stored, next = *record;
    struct change told = *change;
    int r;

    told.epoch = txn->epoch;
    told.sequence = txn->sequence + 1;
    next.version = told.sequence;
    if (old != NULL)
        r = compare(txn, old, record, &stored, error);
    else if ((r = write_new_key(txn, &next, error)) == CATLATCH_E_CONFLICT)
        conflict(record->id, error, "its id is taken");
    if (r == CATLATCH_E_CONFLICT)
        return r;
    if (r == 0)
        r = put_all(txn, old != NULL ? &stored : NULL, &next, &told, error);
    if (r != 0) {
        txn->failed = true;
        return r;
    }
    txn->sequence = told.sequence;
    txn->key_count += old != NULL ? 0 : 1;
    if (record->id > txn->store->last_id)
        txn->store->last_id = record->id;
    record->version = next.version;
    change->epoch = told.epoch;
    change->sequence = told.sequence;
    return 0;
}

int store_put_owner(struct store_txn *txn, struct record_owner *owner, struct change *change,
                    struct error *error)
{
    struct owner_entry *entry = NULL;
    struct change told = *change;

    int r = owner_get(txn, owner->name, &entry, error);
    if (r != 0)
        return r;
    if (owner->version != (entry->exists ? entry->owner.version : 0))
        return error_set(error, CATLATCH_E_CONFLICT,
                         "cannot change owner \"%.*s\": it changed meanwhile; try again",
                         (int)owner->name.len, owner->name.bytes);
    told.epoch = txn->epoch;
    told.sequence = txn->sequence + 1;
    r = write_change(txn, &told, error);
    if (r != 0) {
        txn->failed = true;
        return r;
    }
    txn->sequence = told.sequence;
    owner->version = told.sequence;
    owner->key_count = entry->owner.key_count;
    struct text name = entry->owner.name;
    entry->owner = *owner;
    entry->owner.name = name;
    entry->exists = true;
    entry->dirty = true;
    change->epoch = told.epoch;
    change->sequence = told.sequence;
    return 0;
}

void store_begin_epoch(struct store_txn *txn, uint64_t epoch, uint64_t sequence)
{
    txn->epoch = epoch;
    if (sequence > txn->sequence)
        txn->sequence = sequence;
}

int store_note(struct store_txn *txn, struct change *change, struct error *error)
{
    change->epoch = txn->epoch;
    change->sequence = txn->sequence + 1;
    int r = write_change(txn, change, error);
    if (r != 0) {
        txn->failed = true;
        return r;
    }
    txn->sequence = change->sequence;
    return 0;
}

struct owner_writer {
    struct store_txn *txn;
    struct error *error;
    int r;
};

static void write_owner(const void *node, VISIT visit, void *context)
{
    const struct owner_entry *entry = *(struct owner_entry *const *)node;
    struct owner_writer *writer = context;
    struct store_txn *txn = writer->txn;
    size_t len = 0;

    if ((visit != postorder && visit != leaf) || writer->r != 0 || !entry->dirty)
        return;
    writer->r = record_owner_encode(&entry->owner, txn->encoded, sizeof txn->encoded, &len);
    if (writer->r != 0)
        error_set(writer->error, writer->r, "cannot store owner \"%.*s\": a field is out of bounds",
                  (int)entry->owner.name.len, entry->name);
    else
        writer->r =
            txn_write(txn, STORE_OWNERS, entry->name, entry->owner.name.len, len, 0, writer->error);
}

static int write_owners(struct store_txn *txn, struct error *error)
{
    struct owner_writer writer = {.txn = txn, .error = error};

    twalk_r(txn->owners, write_owner, &writer);
    return writer.r;
}

/* Everything that the commit needs; what fails here can still be undone. */
static int prepare(struct store_txn *txn, struct error *error)
{
    if (txn->failed)
        return error_set(error, CATLATCH_E_CONFLICT,
                         "cannot commit to state_dir %s: a write before it failed",
                         txn->store->directory);
    int r = store_bulk_write(txn, STORE_KEYS, &txn->keys, error);
    if (r == 0)
        r = store_bulk_write(txn, STORE_CHANGES, &txn->changes, error);
    if (r == 0)
        r = store_index_apply(txn, error);
    if (r == 0)
        r = write_owners(txn, error);
    if (r == 0 && txn->key_count != txn->store->key_count)
        r = store_meta_put_key_count(txn, error);
    if (r == 0 && txn->begins_part)
        r = store_meta_put_last_part(txn->store, txn->txn, error);
    if (r == 0 && txn->epoch != txn->store->epoch)
        r = store_txn_put_epoch(txn, error);
    if (r == 0)
        r = store_check_room(txn->store, error);
    return r == 0 ? store_check(txn->store, error) : r;
}

int store_commit(struct store_txn *txn, struct error *error)
{
    struct store *store = txn->store;

    if (txn->sequence == store->sequence && !txn->failed) {
        store_abort(txn);
        return store_check(store, error);
    }
    int r = prepare(txn, error);
    if (r != 0) {
        store_abort(txn);
        return r;
    }
    r = txn->txn->commit(txn->txn, DB_TXN_NOSYNC);
    if (r == 0) {
        store->epoch = txn->epoch;
        store->sequence = txn->sequence;
        store->chain = txn->chain;
        store->last_change_ms = txn->last_change_ms;
        store->key_count = txn->key_count;
        store_index_committed(txn);
    } else {
        r = store_fail(store, r, error, "commit");
    }
    txn_end(txn, r == 0);
    return r;
}
