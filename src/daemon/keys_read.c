#include <fnmatch.h>
#include <string.h>

#include "daemon/keys_internal.h"
#include "daemon/restore.h"

/* What a look at a key's use costs, in keys whose records are looked at: their table slots and
 * usage lie anywhere. */
#define USE_COST 10u

/* A LIST while it runs. */
struct listing {
    struct keys *keys;
    struct op *op;
    int64_t now_unix_s;
    size_t looked_at; /* keys; one whose use was looked at counts more */
    uint64_t last_id;
    int64_t last_expires_unix_s;
    bool by_expiry;
    bool more; /* stopped before the end */
};

static bool glob_matches(struct text glob, struct text name)
{
    char pattern[RECORD_TEXT_MAX + 1], subject[RECORD_TEXT_MAX + 1];
    if (glob.len > RECORD_TEXT_MAX || name.len > RECORD_TEXT_MAX)
        return false;
    memcpy(pattern, glob.bytes, glob.len);
    pattern[glob.len] = '\0';
    memcpy(subject, name.bytes, name.len);
    subject[name.len] = '\0';
    return fnmatch(pattern, subject, 0) == 0;
}

static bool has_pair(const struct record *record, const struct record_pair *wanted)
{
    for (size_t i = 0; i < record->metadata_count; i++)
        if (text_equal(record->metadata[i].name, wanted->name))
            return text_equal(record->metadata[i].value, wanted->value);
    return false;
}

static bool matches(const struct listing *listing, const struct record *record)
{
    const struct op_selection *wanted = &listing->op->selection;
    struct text confined = listing->op->confined_owner;
    int64_t until = wanted->expiring_before_unix_s;
    if ((confined.len > 0 && !text_equal(confined, record->owner)) ||
        (wanted->owner.len > 0 && !text_equal(wanted->owner, record->owner)) ||
        (wanted->prefix.len > 0 && !text_equal(wanted->prefix, record->prefix)) ||
        (wanted->environment.len > 0 && !text_equal(wanted->environment, record->environment)) ||
        (wanted->name_glob.len > 0 && !glob_matches(wanted->name_glob, record->name)) ||
        (wanted->has_digest && !digest_equal(&wanted->digest, &record->digest)) ||
        (wanted->created_before_unix_s != 0 &&
         record->created_unix_s >= wanted->created_before_unix_s) ||
        (wanted->revoked_before_unix_s != 0 &&
         (!record->revoked || record->revoked_unix_s >= wanted->revoked_before_unix_s)))
        return false;
    if (until != 0 &&
        (record->revoked || record->expires_unix_s == 0 ||
         record->expires_unix_s <= listing->now_unix_s || record->expires_unix_s >= until))
        return false;
    if (wanted->has_state && record_state(record, listing->now_unix_s) != wanted->state)
        return false;
    for (size_t i = 0; i < wanted->metadata_count; i++)
        if (!has_pair(record, &wanted->metadata[i]))
            return false;
    return true;
}

/* What costs most, of those that match otherwise. */
static int match_use(struct listing *listing, const struct record *record, bool *ret_matches)
{
    struct op *op = listing->op;
    int64_t since = op->selection.unused_since_unix_s;

    *ret_matches = true;
    if (since == 0)
        return 0;
    listing->looked_at += USE_COST;
    return keys_is_unused(listing->keys, record, since, ret_matches, &op->error);
}

static int take(struct listing *listing, const struct record *record)
{
    struct op *op = listing->op;
    struct op_key *key = &op->keys[op->key_count];

    if (keys_keep(op, record, &key->record) != 0)
        return error_set(&op->error, CATLATCH_E_MEMORY, "listing keys");
    int r = keys_show_usage(listing->keys, key, &op->error);
    op->key_count += r == 0;
    return r;
}

/* Takes one key into the page if it matches. Returns 1 when the page is full. */
static int look_at(void *context, const struct record *stored)
{
    struct listing *listing = context;
    struct op *op = listing->op;
    struct record record = *stored;
    if (op->key_count == op->limit || listing->looked_at >= OP_SCAN_MAX) {
        listing->more = true;
        return 1;
    }
    listing->looked_at++;
    listing->last_id = record.id;
    if (record.purged)
        return 0;
    listing->last_expires_unix_s = record.expires_unix_s;
    record.suspended = owners_find(&listing->keys->owners, record.owner)->suspended;
    if (!matches(listing, &record))
        return 0;
    bool matches_use;
    int r = match_use(listing, &record, &matches_use);
    return r != 0 || !matches_use ? r : take(listing, &record);
}

static int look_at_id(struct listing *listing, uint64_t id)
{
    struct record record;
    struct keys *keys = listing->keys;
    int r = store_key(keys->store, NULL, id, &keys->buffer, &record, &listing->op->error);
    return r != 0 ? r : look_at(listing, &record);
}

/* One more than a page is asked for, so that the end is seen with the page that reaches it. */
#define IDS_MAX (OP_PAGE_MAX + 1)

static int look_at_ids(struct listing *listing, const uint64_t *ids, size_t count)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++)
        r = look_at_id(listing, ids[i]);
    if (r == 0 && count == IDS_MAX)
        listing->more = true;
    return r < 0 ? r : 0;
}

static int list_by_index(struct listing *listing, enum store_index index, struct text value)
{
    struct op *op = listing->op;
    uint64_t ids[IDS_MAX];
    size_t count;
    int r = store_find(listing->keys->store, index, value, op->after_id, ids, IDS_MAX, &count,
                       &op->error);
    return r != 0 ? r : look_at_ids(listing, ids, count);
}

/* By rising expiry. The cursor holds the place itself, for the key that was there may have been
 * given more time since, and what lies between its two places would be passed over. */
static int list_expiring(struct listing *listing)
{
    struct op *op = listing->op;
    int64_t expires = listing->now_unix_s;
    uint64_t id = op->after_id;
    uint64_t ids[IDS_MAX];
    size_t count;
    if (id != 0) {
        if (op->after_expires_unix_s == 0)
            return error_set(&op->error, CATLATCH_E_DATA,
                             "the cursor is of another list than this one by expiry");
        expires = op->after_expires_unix_s;
    }
    listing->by_expiry = true;
    int r = store_expiring(listing->keys->store, op->selection.expiring_before_unix_s, &expires,
                           &id, ids, IDS_MAX, &count, &op->error);
    return r != 0 ? r : look_at_ids(listing, ids, count);
}

static int list_by_digest(struct listing *listing)
{
    struct op *op = listing->op;
    struct table_hit hit;
    if (op->after_id != 0 ||
        table_find(&listing->keys->table->view, &op->selection.digest, &hit) != TABLE_HIT)
        return 0;
    return look_at_ids(listing, &hit.id, 1);
}

static int list_all(struct listing *listing)
{
    uint64_t last = listing->op->after_id;
    return store_scan(listing->keys->store, last, OP_SCAN_MAX + 1, look_at, listing, &last,
                      &listing->op->error);
}

static bool is_glob(struct text text)
{
    for (uint32_t i = 0; i < text.len; i++)
        if (strchr("*?[\\", text.bytes[i]) != NULL)
            return true;
    return false;
}

/* Matching takes time to the power of the stars, and the thread that matches revokes keys. */
#define STARS_MAX 4u

static bool has_too_many_stars(struct text glob)
{
    unsigned stars = 0;
    for (uint32_t i = 0; i < glob.len; i++)
        stars += glob.bytes[i] == '*' && (i == 0 || glob.bytes[i - 1] != '*');
    return stars > STARS_MAX;
}

/* The narrowest way in; `matches` checks every condition again. */
static int list(struct keys *keys, struct op *op)
{
    const struct op_selection *wanted = &op->selection;
    struct listing listing = {.keys = keys, .op = op, .now_unix_s = keys->now_unix_ms / 1000};
    struct text owner = op->confined_owner.len > 0 ? op->confined_owner : wanted->owner;
    int r;
    if (has_too_many_stars(wanted->name_glob))
        return error_set(&op->error, CATLATCH_E_DATA, "a name pattern takes at most %u stars",
                         STARS_MAX);
    if (op->limit == 0 || op->limit > OP_PAGE_MAX)
        op->limit = OP_PAGE_MAX;
    op->keys = op_alloc(op, op->limit * sizeof *op->keys);
    if (op->keys == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "listing keys");
    if (wanted->has_digest)
        r = list_by_digest(&listing);
    else if (wanted->prefix.len > 0)
        r = list_by_index(&listing, STORE_BY_PREFIX, wanted->prefix);
    else if (wanted->name_glob.len > 0 && !is_glob(wanted->name_glob))
        r = list_by_index(&listing, STORE_BY_NAME, wanted->name_glob);
    else if (owner.len > 0)
        r = list_by_index(&listing, STORE_BY_OWNER, owner);
    else if (wanted->expiring_before_unix_s != 0)
        r = list_expiring(&listing);
    else
        r = list_all(&listing);
    op->next_id = r == 0 && listing.more ? listing.last_id : 0;
    op->next_expires_unix_s =
        op->next_id != 0 && listing.by_expiry ? listing.last_expires_unix_s : 0;
    return r;
}

static int get(struct keys *keys, struct op *op)
{
    struct run run = {.keys = keys, .op = op, .now_unix_s = keys->now_unix_ms / 1000};
    struct record record;
    op->keys = op_alloc(op, sizeof *op->keys);
    if (op->keys == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading a key");
    if (op->id_count != 1)
        return error_set(&op->error, CATLATCH_E_ARGUMENT, "one id is needed");
    int r = keys_fetch(&run, op->ids[0], &record);
    return r != 0 ? r : keys_result(&run, &record, false, NULL);
}

static int keep_owner(struct op *op, const struct record_owner *owner)
{
    struct record_owner *kept = &op->owners[op->owner_count];
    *kept = *owner;
    if (op_text(op, owner->name.bytes, owner->name.len, &kept->name) != 0)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading owners");
    op->owner_count++;
    return 0;
}

static int list_owner(void *context, const struct record_owner *owner)
{
    struct op *op = context;
    if (op->owner_count == op->limit) {
        op->next_owner = op->owners[op->owner_count - 1].name;
        return 1;
    }
    return keep_owner(op, owner);
}

static int owner_get(struct keys *keys, struct op *op)
{
    struct record_owner owner;
    op->owners = op_alloc(op, sizeof *op->owners);
    if (op->owners == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading an owner");
    int r = CATLATCH_E_NOT_FOUND;
    if (op->confined_owner.len == 0 || text_equal(op->confined_owner, op->owner))
        r = store_owner(keys->store, NULL, op->owner, &keys->buffer, &owner, &op->error);
    if (r == CATLATCH_E_NOT_FOUND)
        return error_set(&op->error, r, "no key has this owner");
    return r != 0 ? r : keep_owner(op, &owner);
}

static int owner_list(struct keys *keys, struct op *op)
{
    if (op->confined_owner.len > 0) {
        op->owner = op->confined_owner;
        return owner_get(keys, op);
    }
    if (op->limit == 0 || op->limit > OP_PAGE_MAX)
        op->limit = OP_PAGE_MAX;
    op->owners = op_alloc(op, op->limit * sizeof *op->owners);
    if (op->owners == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "listing owners");
    return store_owners(keys->store, op->after_owner, op->limit + 1, list_owner, op, &op->error);
}

void keys_read(struct keys *keys, struct op *op)
{
    int r = 0;
    switch (op->kind) {
    case OP_LIST:
        r = list(keys, op);
        break;
    case OP_GET:
        r = get(keys, op);
        break;
    case OP_OWNER_LIST:
        r = owner_list(keys, op);
        break;
    case OP_OWNER_GET:
        r = owner_get(keys, op);
        break;
    case OP_LOG:
        r = keys_log(keys, op);
        break;
    case OP_LOG_VERIFY:
        r = keys_log_verify(keys, op);
        break;
    case OP_TABLE_CHECK:
        r = keys_check(keys, op);
        break;
    case OP_HISTORY:
        r = keys_history(keys, op);
        break;
    case OP_BUSIEST:
        r = keys_busiest(keys, op);
        break;
    case OP_BACKUP:
        r = keys_backup(keys, op);
        break;
    case OP_RESTORE_COMPARE:
        r = restore_compare(op->restore, keys->store, &op->at_end, &op->error);
        break;
    case OP_PROCESSES:
    case OP_BACKUP_DONE:
    case OP_CREATE:
    case OP_UPDATE:
    case OP_DISABLE:
    case OP_ENABLE:
    case OP_REVOKE:
    case OP_ROTATE:
    case OP_RETIRE:
    case OP_OWNER_SUSPEND:
    case OP_OWNER_RESUME:
    case OP_OWNER_UPDATE:
    case OP_PURGE:
    case OP_IMPORT:
        r = error_set(&op->error, CATLATCH_E_ARGUMENT, "not a read");
        break;
    }
    if (r < 0)
        op->error.code = r;
}
