#include "daemon/keys_internal.h"

#include <string.h>

#include "daemon/difference.h"

static int refuse_revoked(struct run *run, const struct record *record)
{
    char id[CATLATCH_ID_SIZE];
    key_id_format(record->id, id);
    return error_set(&run->op->error, CATLATCH_E_CONFLICT,
                     "%s is revoked, and that is final; nothing was changed", id);
}

int keys_disable(struct run *run, uint64_t id)
{
    struct record old, fresh;
    int r = keys_fetch(run, id, &old);
    if (r != 0)
        return r;
    bool applies = !old.revoked && !old.disabled;
    /* It may have been used since it was found. */
    if (applies && run->op->unused_since_unix_s != 0)
        r = keys_is_idle(run->keys, &old, run->op->unused_since_unix_s, &applies, &run->op->error);
    if (r != 0)
        return r;
    if (!applies)
        return keys_result(run, &old, false, NULL);
    fresh = old;
    fresh.disabled = true;
    r = keys_write(run, &old, &fresh, CHANGE_DISABLED);
    return r != 0 ? r : keys_result(run, &fresh, true, NULL);
}

int keys_enable(struct run *run, uint64_t id)
{
    struct record old, fresh;
    int r = keys_fetch(run, id, &old);
    if (r != 0)
        return r;
    if (old.revoked)
        return refuse_revoked(run, &old);
    if (!old.disabled)
        return keys_result(run, &old, false, NULL);
    if ((r = fields_check_admin(run, &old)) != 0)
        return r;
    fresh = old;
    fresh.disabled = false;
    fresh.enabled_unix_s = run->now_unix_s;
    r = keys_write(run, &old, &fresh, CHANGE_ENABLED);
    return r != 0 ? r : keys_result(run, &fresh, true, NULL);
}

int keys_revoke(struct run *run, uint64_t id)
{
    struct record old, fresh;
    int r = keys_fetch(run, id, &old);
    if (r != 0)
        return r;
    if (old.revoked)
        return keys_result(run, &old, false, NULL);
    fresh = old;
    fresh.revoked = true;
    fresh.revoked_unix_s = run->now_unix_s;
    fresh.revoke_reason = run->op->reason;
    fresh.revoke_comment = run->op->comment;
    fresh.retirement = (struct retirement){.unseen_s = 0};
    r = keys_write(run, &old, &fresh, CHANGE_REVOKED);
    return r != 0 ? r : keys_result(run, &fresh, true, NULL);
}

/* What was found may have changed since: it is looked at again. */
int keys_retire(struct run *run, uint64_t id)
{
    struct record old, fresh;
    bool due;
    int r = keys_fetch(run, id, &old);
    if (r == 0)
        r = retiring_judge(run->keys, &old, &due, &fresh, &run->op->error);
    if (r != 0)
        return r;
    if (!due)
        return keys_result(run, &old, false, NULL);
    r = keys_write(run, &old, &fresh, CHANGE_UPDATED);
    return r != 0 ? r : keys_result(run, &fresh, true, NULL);
}

/* The log keeps that it was purged, and whose it was; not what it was. */
int keys_purge(struct run *run, uint64_t id)
{
    struct record old, fresh;
    char text[CATLATCH_ID_SIZE];
    int r = keys_fetch(run, id, &old);
    if (r != 0)
        return r;
    key_id_format(id, text);
    if (!old.revoked)
        return error_set(&run->op->error, CATLATCH_E_CONFLICT,
                         "%s is not revoked, and only revoked keys can be purged; nothing was "
                         "changed",
                         text);
    if ((r = fields_check_admin(run, &old)) != 0)
        return r;
    fresh = record_purged(&old);
    r = keys_write(run, &old, &fresh, CHANGE_PURGED);
    if (r == 0)
        r = store_forget_total(run->txn, id, &run->op->error);
    return r != 0 ? r : keys_result(run, &old, true, NULL);
}

/* The pairs named replace those of the same name; an empty value takes one away. */
static int merge_metadata(struct run *run, const struct op_fields *fields, struct record *record)
{
    for (size_t i = 0; i < fields->metadata_count; i++) {
        const struct record_pair *pair = &fields->metadata[i];
        size_t at = 0;
        while (at < record->metadata_count && !text_equal(record->metadata[at].name, pair->name))
            at++;
        if (pair->value.len == 0) {
            if (at < record->metadata_count)
                memmove(&record->metadata[at], &record->metadata[at + 1],
                        (--record->metadata_count - at) * sizeof *pair);
            continue;
        }
        if (at == RECORD_METADATA_MAX)
            return error_set(&run->op->error, CATLATCH_E_DATA, "more than %u pairs of metadata",
                             RECORD_METADATA_MAX);
        record->metadata[at] = *pair;
        if (at == record->metadata_count)
            record->metadata_count++;
    }
    return 0;
}

static int update_fields(struct run *run, const struct record *old, struct record *fresh)
{
    const struct op_fields *fields = &run->op->fields;
    int r;
    if ((fields->has & OP_HAS_NAME) != 0)
        fresh->name = fields->name;
    if ((fields->has & OP_HAS_COMMENT) != 0)
        fresh->comment = fields->comment;
    if ((fields->has & OP_HAS_EXPIRES) != 0) { /* whoever says when it ends has decided */
        fresh->expires_unix_s = fields->expires_unix_s;
        fresh->retirement = (struct retirement){.unseen_s = 0};
    }
    if ((fields->has & OP_HAS_NOT_BEFORE) != 0)
        fresh->not_before_unix_s = fields->not_before_unix_s;
    if ((fields->has & OP_HAS_SCOPES) != 0) {
        if ((r = fields_check_scopes(run, fields)) != 0)
            return r;
        fresh->scope_count = fields->scope_count;
        memcpy(fresh->scopes, fields->scopes, sizeof fresh->scopes);
    }
    if ((fields->has & OP_HAS_NETWORKS) != 0) {
        fresh->network_count = fields->network_count;
        memcpy(fresh->networks, fields->networks, sizeof fresh->networks);
    }
    if ((fields->has & OP_HAS_RATES) != 0)
        fresh->rates = fields->rates;
    if ((fields->has & OP_HAS_ALLOWANCE) != 0)
        fresh->allowance = fields->allowance;
    if ((fields->has & OP_HAS_METADATA) != 0 && (r = merge_metadata(run, fields, fresh)) != 0)
        return r;
    /* A key that ends sooner is no new grant, whatever the policy has become meanwhile. */
    bool sooner = fresh->expires_unix_s != 0 &&
                  (old->expires_unix_s == 0 || fresh->expires_unix_s <= old->expires_unix_s);
    bool expires_now = fresh->expires_unix_s != 0 && fresh->expires_unix_s <= run->now_unix_s;
    if ((fields->has & (OP_HAS_EXPIRES | OP_HAS_NOT_BEFORE)) == 0 || expires_now ||
        (sooner && (fields->has & OP_HAS_NOT_BEFORE) == 0))
        return 0;
    return fields_check_expiry(run, fresh->expires_unix_s, fresh->not_before_unix_s);
}

int keys_update(struct run *run, uint64_t id)
{
    struct record old, fresh;
    int r = keys_fetch(run, id, &old);
    if (r != 0)
        return r;
    if (old.revoked)
        return refuse_revoked(run, &old);
    if ((r = fields_check(run, &run->op->fields)) != 0 || (r = fields_check_admin(run, &old)) != 0)
        return r;
    fresh = old;
    if ((r = update_fields(run, &old, &fresh)) != 0)
        return r;
    if (!difference_any(&old, &fresh))
        return keys_result(run, &old, false, NULL);
    if (record_state(&old, run->now_unix_s) == STATE_EXPIRED &&
        record_state(&fresh, run->now_unix_s) != STATE_EXPIRED)
        fresh.enabled_unix_s = run->now_unix_s;
    r = keys_write(run, &old, &fresh, CHANGE_UPDATED);
    return r != 0 ? r : keys_result(run, &fresh, true, NULL);
}
