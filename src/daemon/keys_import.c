/* Keys that come from elsewhere. What the policy says of new keys does not hold for them: they were
 * issued already, and whoever imports them is an admin. */
#include <string.h>

#include "daemon/keys_internal.h"

/* Above it lies what store_new_id will not reach in two hundred years: an id there would leave no
 * room for new ones. */
#define ID_END (UINT64_C(1) << 63)

/* Below this, somebody who reads the table could find the key by trying. */
#define BITS_MIN 112u

static int refuse(struct run *run, const char *why)
{
    return error_set(&run->op->error, CATLATCH_E_DATA, "%s", why);
}

static int check_bits(struct run *run, uint32_t bits)
{
    if (bits == 0)
        return refuse(run, "its prefix is none of a key of ours: the key was issued elsewhere, and "
                           "BITS must say what entropy it has");
    if (bits < BITS_MIN && !run->op->forced)
        return error_set(&run->op->error, CATLATCH_E_DATA,
                         "a key of %u bits can be found by trying; under %u needs FORCE",
                         (unsigned)bits, BITS_MIN);
    return 0;
}

/* The environment, which is that of the prefix or, of a key issued elsewhere, the one that was
 * named, if any. */
static int set_environment(struct run *run, const struct op_import *given, struct record *record)
{
    const struct key_environments *all = &run->keys->config->environments;
    const struct key_environment *named = NULL, *own;
    if (given->environment.len > 0) {
        named = key_environment_named(all, given->environment.bytes, given->environment.len);
        if (named == NULL)
            return refuse(run, "its environment is none of [environments]");
    }
    own = key_environment_of(all, given->prefix.bytes, given->prefix.len);
    if (own != NULL && given->assumed_bits == 0 &&
        key_is_start(own, given->prefix.bytes, given->prefix.len)) {
        if (named != NULL && named != own)
            return refuse(run, "its prefix is another environment's");
        named = own;
    } else {
        int r = check_bits(run, given->assumed_bits);
        if (r != 0)
            return r;
    }
    record->assumed_bits = given->assumed_bits;
    if (named != NULL) {
        record->environment = text_of(named->name);
        record->environment_prefix = text_of(named->prefix);
    }
    return 0;
}

/* What is known of a key by its fields: the checks of a new key, on the same struct. */
static int check_fields(struct run *run, const struct op_import *given)
{
    struct op_fields fields;
    int r;
    fields.has = OP_HAS_NAME;
    fields.name = given->name;
    fields.owner = given->owner;
    fields.comment = given->comment;
    fields.scope_count = given->scope_count;
    fields.metadata_count = given->metadata_count;
    for (size_t i = 0; i < given->scope_count; i++)
        fields.scopes[i] = given->scopes[i];
    for (size_t i = 0; i < given->metadata_count; i++)
        fields.metadata[i] = given->metadata[i];
    if ((r = fields_check(run, &fields)) != 0 || (r = fields_check_scopes(run, &fields)) != 0 ||
        (r = fields_check_text(run, "the comment of its revoke", given->revoke_comment,
                               RECORD_COMMENT_MAX)) != 0)
        return r;
    return fields_check_text(run, "the prefix", given->prefix, KEY_SHOWN_LEN);
}

static void copy_fields(struct run *run, const struct op_import *given, struct record *record)
{
    record->digest = given->digest;
    record->id = given->id;
    record->disabled = given->disabled;
    record->revoked = given->revoked;
    record->revoke_reason = given->revoke_reason;
    record->created_unix_s = given->created_unix_s != 0 ? given->created_unix_s : run->now_unix_s;
    if (given->created_unix_s != 0) /* elsewhere */
        record->enabled_unix_s = run->now_unix_s;
    record->last_used_unix_s = given->used.last_unix_s;
    record->expires_unix_s = given->expires_unix_s;
    record->not_before_unix_s = given->not_before_unix_s;
    if (given->revoked)
        record->revoked_unix_s =
            given->revoked_unix_s != 0 ? given->revoked_unix_s : run->now_unix_s;
    record->rotated_from = given->rotated_from;
    record->rotated_to = given->rotated_to;
    record->name = given->name;
    record->owner = given->owner.len > 0 ? given->owner : text_of("default");
    record->prefix = given->prefix;
    record->comment = given->comment;
    record->revoke_comment = given->revoke_comment;
    record->scope_count = given->scope_count;
    for (size_t i = 0; i < given->scope_count; i++)
        record->scopes[i] = given->scopes[i];
    record->network_count = given->network_count;
    for (size_t i = 0; i < given->network_count; i++)
        record->networks[i] = given->networks[i];
    record->rates = given->rates;
    record->allowance = given->allowance;
    record->retirement = given->retirement;
    if (given->revoked)
        record->retirement = (struct retirement){.unseen_s = 0};
    else if (!retirement_is_none(&given->retirement) && !given->retirement.on_use)
        record->retirement.since_unix_s = run->now_unix_s;
    for (size_t i = 0; i < given->metadata_count; i++)
        if (given->metadata[i].value.len > 0)
            record->metadata[record->metadata_count++] = given->metadata[i];
}

int keys_import_record(struct run *run, const struct op_import *given, struct record *record)
{
    struct digest example;
    int r;
    digest_of(KEY_EXAMPLE, strlen(KEY_EXAMPLE), &example);
    if (digest_equal(&given->digest, &example))
        return refuse(run, "it is the example key of the documentation, which everybody knows");
    if (given->id >= ID_END)
        return refuse(run, "its id is none that a catlatchd made");
    if (!given->revoked && (given->revoked_unix_s != 0 || given->revoke_comment.len > 0 ||
                            given->revoke_reason != RECORD_REASON_NONE))
        return refuse(run, "when and why it was revoked is told of a key that is not revoked");
    if (!retirement_is_none(&given->retirement) && given->rotated_to == 0)
        return refuse(run, "what retires it is told of a key that has no successor");
    if ((given->used.has_from && given->used.last_unix_s == 0) ||
        (given->refused.has_from && given->refused.last_unix_s == 0))
        return refuse(run, "where it was used or refused from is told without the time");
    if ((r = check_fields(run, given)) != 0)
        return r;
    copy_fields(run, given, record);
    return set_environment(run, given, record);
}

/* The key is there already, under this id or another one. */
static int pass_over(struct run *run, uint64_t id)
{
    char text[CATLATCH_ID_SIZE];
    if (run->op->skips) {
        run->op->error = (struct error){0}; /* how it was found out */
        run->op->skipped_count++;
        return 0;
    }
    key_id_format(id, text);
    return error_set(&run->op->error, CATLATCH_E_CONFLICT, "the key is there already, as %s", text);
}

/* Something has this id. Is it the key itself, or another one? */
static int compare_stored(struct run *run, const struct op_import *given)
{
    struct record stored;
    char text[CATLATCH_ID_SIZE];
    int r = store_key(run->keys->store, run->txn, given->id, &run->keys->buffer, &stored,
                      &run->op->error);
    if (r != 0)
        return r;
    if (digest_equal(&stored.digest, &given->digest))
        return pass_over(run, given->id);
    key_id_format(given->id, text);
    return error_set(&run->op->error, CATLATCH_E_CONFLICT, "its id, %s, is another key's", text);
}

/* E_NOT_FOUND: it can be imported. */
static int look_up(struct run *run, const struct op_import *given)
{
    struct table_hit hit;
    if (table_find(&run->keys->table->view, &given->digest, &hit) == TABLE_HIT)
        return pass_over(run, hit.id);
    if (given->id == 0)
        return CATLATCH_E_NOT_FOUND;
    return compare_stored(run, given);
}

static void count_imported(struct run *run, const struct record *record)
{
    run->op->imported_count++;
    run->op->suspended_count += owners_find(&run->keys->owners, record->owner)->suspended;
}

/* When it was last used stands in its record, too. What is counted from now on comes on top. */
static int write_total(struct run *run, const struct op_import *given, uint64_t id)
{
    struct total total = {.used = {.count = 0}};
    bool is_known = given->used.count > 0 || given->used.has_from || given->refused.count > 0 ||
                    given->refused.last_unix_s != 0;

    if (!is_known)
        return 0;
    /* What is left of its uses may be there already. */
    int r = store_total(run->keys->store, id, &total, &run->op->error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    total.used = given->used;
    total.refused = given->refused;
    return store_put_total(run->txn, id, &total, &run->op->error);
}

static int write_record(struct run *run, const struct op_import *given, struct record *record)
{
    struct keys *keys = run->keys;
    struct table_hit hit;
    size_t claims = keys->claim_count;
    if (table_find(&keys->table->view, &given->digest, &hit) == TABLE_HIT)
        return pass_over(run, hit.id);
    if (record->id == 0)
        record->id = store_new_id(keys->store);
    run->uses_left = given->has_uses_left ? &given->uses_left : NULL;
    int r = keys_write(run, NULL, record, CHANGE_IMPORTED);
    run->uses_left = NULL;
    if (r == 0) {
        count_imported(run, record);
        return write_total(run, given, record->id);
    }
    if (r != CATLATCH_E_CONFLICT)
        return r;
    /* The claim is a newer key's, in this batch; or it was made, and then the id was not free. */
    if (keys->claim_count == claims)
        return run->op->skips ? pass_over(run, record->id) : r;
    keys_abandon_newest(keys);
    return compare_stored(run, given);
}

static int import_one(struct run *run, const struct op_import *given)
{
    struct record record = {0};
    int r = keys_import_record(run, given, &record);
    if (r != 0)
        return r;
    if (!run->op->tries)
        return write_record(run, given, &record);
    if ((r = look_up(run, given)) != CATLATCH_E_NOT_FOUND)
        return r;
    run->op->error = (struct error){0};
    count_imported(run, &record);
    return 0;
}

int keys_import(struct run *run)
{
    struct op *op = run->op;
    op->imported_count = op->skipped_count = op->suspended_count = 0;
    for (size_t i = 0; i < op->import_count; i++) {
        int r = import_one(run, &op->imports[i]);
        if (r == 0)
            continue;
        error_prefix(&op->error, "record %zu", i + 1);
        return r;
    }
    return 0;
}
