#include "daemon/keys_internal.h"

#include <openssl/crypto.h>
#include <string.h>

#include "core/keygen.h"
#include "core/timespan.h"

static const struct key_environment *environment_for(struct run *run)
{
    const struct key_environments *all = &run->keys->config->environments;
    const struct op_fields *fields = &run->op->fields;
    if ((fields->has & OP_HAS_ENVIRONMENT) != 0) {
        const struct key_environment *named =
            key_environment_named(all, fields->environment.bytes, fields->environment.len);
        if (named == NULL)
            error_set(&run->op->error, CATLATCH_E_DATA,
                      "no environment is called \"%.*s\"; see [environments]",
                      (int)fields->environment.len, fields->environment.bytes);
        return named;
    }
    const struct key_environment *live = key_environment_named(all, "live", 4);
    return live != NULL ? live : &all->list[0];
}

/* Whether the owner has room for one more key. A rotation leaves the old key for its grace, so it
 * may double what an owner has; but not more, or chained rotations would know no bound. */
static int check_room_for_key(struct run *run, struct text owner, uint64_t bound)
{
    struct record_owner known;
    struct store_buffer buffer; /* the run's own holds a key that is being rotated */
    struct error *error = &run->op->error, ignored;
    uint64_t max = run->keys->config->max_keys_per_owner;
    if (max == 0)
        return 0;
    int r = store_owner(run->keys->store, run->txn, owner, &buffer, &known, &ignored);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND) {
        *error = ignored;
        return r;
    }
    if (r == CATLATCH_E_NOT_FOUND || known.key_count < bound)
        return 0;
    return error_set(error, CATLATCH_E_LIMIT,
                     "the owner has %llu keys, and [policy] max_keys_per_owner is %llu; revoke one "
                     "first",
                     (unsigned long long)known.key_count, (unsigned long long)max);
}

/* The owner that the key is to have, and whether it may have one more. */
static int check_owner(struct run *run, struct text *ret_owner)
{
    struct op *op = run->op;
    const struct op_fields *fields = &op->fields;
    struct text owner = (fields->has & OP_HAS_OWNER) != 0 ? fields->owner
                        : op->confined_owner.len > 0      ? op->confined_owner
                                                          : text_of("default");
    if (op->confined_owner.len > 0 && !text_equal(owner, op->confined_owner))
        return error_set(&op->error, CATLATCH_E_PERMISSION,
                         "this key acts for its own owner alone");
    int r = check_room_for_key(run, owner, run->keys->config->max_keys_per_owner);
    if (r != 0)
        return r;
    *ret_owner = owner;
    return 0;
}

/* Makes a key's text and fits it into the record. The text is the operation's. */
static int issue(struct run *run, const struct key_environment *environment, struct record *record,
                 const char **ret_raw)
{
    char *raw = op_alloc(run->op, KEY_TEXT_MAX + 1);
    if (raw == NULL)
        return error_set(&run->op->error, CATLATCH_E_MEMORY, "making a key");
    if (keygen_text(environment->prefix, raw) != 0)
        return error_set(&run->op->error, CATLATCH_E_UNAVAILABLE,
                         "the random number generator failed");
    digest_of(raw, strlen(raw), &record->digest);
    record->prefix = (struct text){raw, KEY_SHOWN_LEN};
    record->environment = text_of(environment->name);
    record->environment_prefix = text_of(environment->prefix);
    record->id = store_new_id(run->keys->store);
    record->created_unix_s = run->now_unix_s;
    *ret_raw = raw;
    return 0;
}

static int finish_issue(struct run *run, const struct record *record, const char *raw)
{
    struct op_key *result;
    int r = keys_result(run, record, true, &result);
    if (r == 0) {
        result->raw = raw;
        result->raw_len = strlen(raw);
    }
    return r;
}

static void apply_fields(const struct op_fields *fields, struct record *record)
{
    record->name = fields->name;
    record->comment = fields->comment;
    record->expires_unix_s = fields->expires_unix_s;
    record->not_before_unix_s = fields->not_before_unix_s;
    record->scope_count = fields->scope_count;
    memcpy(record->scopes, fields->scopes, sizeof record->scopes);
    record->network_count = fields->network_count;
    memcpy(record->networks, fields->networks, sizeof record->networks);
    record->rates = fields->rates;
    record->allowance = fields->allowance;
    for (size_t i = 0; i < fields->metadata_count; i++)
        if (fields->metadata[i].value.len > 0)
            record->metadata[record->metadata_count++] = fields->metadata[i];
}

int keys_create(struct run *run)
{
    struct op *op = run->op;
    const struct op_fields *fields = &op->fields;
    struct record record = {0};
    const char *raw = "";
    int r;

    if ((fields->has & OP_HAS_NAME) == 0)
        return error_set(&op->error, CATLATCH_E_DATA, "a key needs a name");
    if ((r = fields_check(run, fields)) != 0 || (r = fields_check_scopes(run, fields)) != 0)
        return r;
    const struct key_environment *environment = environment_for(run);
    if (environment == NULL)
        return op->error.code;
    apply_fields(fields, &record);
    int64_t default_expiry_s = run->keys->config->default_expiry_s;
    if ((fields->has & OP_HAS_EXPIRES) == 0 && default_expiry_s != 0)
        record.expires_unix_s = run->now_unix_s + default_expiry_s;
    if (record.expires_unix_s != 0 && record.expires_unix_s <= run->now_unix_s)
        return error_set(&op->error, CATLATCH_E_DATA, "the key would have expired already");
    if ((r = fields_check_expiry(run, record.expires_unix_s, record.not_before_unix_s)) != 0 ||
        (r = check_owner(run, &record.owner)) != 0 ||
        (r = issue(run, environment, &record, &raw)) != 0)
        return r;
    record.suspended = owners_find(&run->keys->owners, record.owner)->suspended;
    if ((r = keys_write(run, NULL, &record, CHANGE_CREATED)) != 0)
        return r;
    return finish_issue(run, &record, raw);
}

static int check_rotatable(struct run *run, const struct record *old)
{
    struct error *error = &run->op->error;
    char id[CATLATCH_ID_SIZE], other[CATLATCH_ID_SIZE];
    key_id_format(old->id, id);
    if (old->revoked)
        return error_set(error, CATLATCH_E_CONFLICT, "%s is revoked, and that is final", id);
    if (old->expires_unix_s != 0 && old->expires_unix_s <= run->now_unix_s)
        return error_set(error, CATLATCH_E_CONFLICT,
                         "%s has expired, and its successor would have too; update its expiry "
                         "first or create a new key",
                         id);
    if (old->rotated_to != 0) {
        key_id_format(old->rotated_to, other);
        return error_set(error, CATLATCH_E_CONFLICT, "%s was rotated to %s; rotate that one", id,
                         other);
    }
    /* The successor is a new grant until the same time, and the policy may be younger than the key.
     */
    int r = fields_check_expiry(run, old->expires_unix_s, 0);
    if (r == 0)
        r = check_room_for_key(run, old->owner, 2 * run->keys->config->max_keys_per_owner);
    return r != 0 ? r : fields_check_admin(run, old);
}

int keys_rotate(struct run *run, uint64_t id)
{
    struct op *op = run->op;
    struct record old, fresh;
    const char *raw = "";
    char text[CATLATCH_ID_SIZE];
    int r;

    if ((r = keys_fetch(run, id, &old)) != 0 || (r = check_rotatable(run, &old)) != 0)
        return r;
    const struct key_environment *environment = key_environment_named(
        &run->keys->config->environments, old.environment.bytes, old.environment.len);
    key_id_format(id, text);
    if (environment == NULL)
        return error_set(&op->error, CATLATCH_E_CONFLICT,
                         "%s belongs to no environment that is configured", text);
    fresh = old;
    if ((r = issue(run, environment, &fresh, &raw)) != 0)
        return r;
    fresh.version = 0;
    fresh.rotated_from = id;
    fresh.limit_group = old.limit_group != 0 ? old.limit_group : old.id;
    fresh.last_used_unix_s = fresh.enabled_unix_s = 0;
    fresh.assumed_bits = 0;
    keys_know_group(run->keys, &old);
    if ((r = keys_write(run, NULL, &fresh, CHANGE_ROTATED)) != 0)
        return r;

    struct record retired = old;
    retired.rotated_to = fresh.id;
    if (op->grace_s > TIMESPAN_UNIX_MAX - run->now_unix_s)
        return error_set(&op->error, CATLATCH_E_DATA, "the grace reaches beyond the year 9999");
    int64_t until = run->now_unix_s + op->grace_s;
    if (op->grace_s != OP_GRACE_KEEP && (old.expires_unix_s == 0 || old.expires_unix_s > until))
        retired.expires_unix_s = until;
    retired.retirement = op->retirement;
    if (!retirement_is_none(&op->retirement) && !op->retirement.on_use)
        retired.retirement.since_unix_s = run->now_unix_s;
    if ((r = keys_write(run, &old, &retired, CHANGE_UPDATED)) != 0)
        return r;
    /* What the caller shows of the old key, in the new key's place in the results. */
    if ((r = finish_issue(run, &fresh, raw)) == 0)
        op->keys[op->key_count - 1].old_expires_unix_s = retired.expires_unix_s;
    return r;
}
