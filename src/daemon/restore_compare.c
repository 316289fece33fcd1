#include <string.h>

#include "daemon/difference.h"
#include "daemon/restore_internal.h"

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
    if (after->not_before_unix_s < before->not_before_unix_s ||
        !record_networks_cover(before, after))
        return true;
    for (size_t i = 0; i < after->scope_count; i++)
        if (!has_scope(before, after->scopes[i]))
            return true;
    return record_rates_narrow(&after->rates, &before->rates) ||
           (before->allowance.uses != 0 &&
            (after->allowance.uses == 0 || after->allowance.uses > before->allowance.uses));
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

static int write_key(struct restore *restore, const struct record *before, struct record *record,
                     enum change_kind kind)
{
    struct difference_room room;
    int r = restore_next_txn(restore);
    if (r != 0)
        return r;
    struct change change = restore_change(restore, kind);
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
        after.retirement = (struct retirement){.unseen_s = 0};
    }
    after.disabled |= disables;
    counts->revoked += revokes;
    counts->disabled += disables && !revokes;
    counts->changing += !text_equal(old->owner, after.owner) || difference_any(old, &after);
    counts->widening += is_wider(old, &after);
    if (restore->actor == NULL)
        return 0;
    if (revokes || disables)
        r = write_key(restore, &before, &after, revokes ? CHANGE_REVOKED : CHANGE_DISABLED);
    if (r != 0 || !old->purged || before.purged)
        return r;
    struct record purged = record_purged(&after);
    r = write_key(restore, &after, &purged, CHANGE_PURGED);
    return r == 0 ? store_forget_total(restore->txn, purged.id, restore->error) : r;
}

static int compare_owner(void *context, const struct record_owner *old)
{
    struct restore *restore = context;
    struct record_owner owner = {.name = old->name, .created_unix_s = old->created_unix_s};

    memcpy(restore->owner, old->name.bytes, old->name.len);
    restore->owner_len = old->name.len;
    if (!old->suspended && old->rates.count == 0)
        return 0;
    struct error error = {.code = 0};
    int r = store_owner(restore->fresh, restore->txn, old->name, &restore->buffer, &owner, &error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND) {
        *restore->error = error;
        return r;
    }
    restore->counts.widening_owners +=
        r == 0 && record_rates_narrow(&owner.rates, &old->rates) ? 1 : 0;
    if (!old->suspended || owner.suspended)
        return 0;
    restore->counts.suspended++;
    if (restore->actor == NULL)
        return 0;
    owner.suspended = true;
    owner.suspended_unix_s = old->suspended_unix_s;
    r = restore_next_txn(restore);
    if (r != 0)
        return r;
    struct change change = restore_change(restore, CHANGE_OWNER_SUSPENDED);
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
        r = store_scan(old, last_id, RESTORE_SLICE, compare_key, restore, &restore->last_id,
                       restore->error);
        restore->keys_done = r == 0 && restore->last_id == last_id;
        *ret_done = false;
        return r;
    }
    memcpy(after, restore->owner, len);
    r = store_owners(old, (struct text){after, len}, RESTORE_SLICE, compare_owner, restore,
                     restore->error);
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
