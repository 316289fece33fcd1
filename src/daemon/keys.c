#include "daemon/keys_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/difference.h"

void keys_entry(const struct record *record, const struct owner_state *owner,
                struct table_entry *ret_entry)
{
    *ret_entry = (struct table_entry){
        .digest = record->digest,
        .id = record->id,
        .name = record->name,
        .owner = record->owner,
        .prefix = record->prefix,
        .environment = record->environment,
        .environment_prefix = record->environment_prefix,
        .scopes = record->scopes,
        .scope_count = record->scope_count,
        .networks = record->networks,
        .network_count = record->network_count,
        .rates = &record->rates,
        .has_uses = record->allowance.uses != 0,
        .owner_rates = &owner->rates,
        .owner_block = owner->block,
        .expires_unix_s = record->expires_unix_s,
        .not_before_unix_s = record->not_before_unix_s,
        .well_formed = record_is_ours(record),
        .disabled = record->disabled,
        .suspended = owner->suspended,
        .revoked = record->revoked,
    };
}

static int keep_text(struct op *op, struct text *io_text)
{
    return op_text(op, io_text->bytes, io_text->len, io_text);
}

int keys_keep(struct op *op, const struct record *record, struct record *ret_record)
{
    struct record copy = *record;
    struct text *texts[] = {&copy.name,          &copy.owner,   &copy.prefix,
                            &copy.environment,   &copy.comment, &copy.environment_prefix,
                            &copy.revoke_comment};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (keep_text(op, texts[i]) != 0)
            return CATLATCH_E_MEMORY;
    for (size_t i = 0; i < copy.scope_count; i++)
        if (keep_text(op, &copy.scopes[i]) != 0)
            return CATLATCH_E_MEMORY;
    for (size_t i = 0; i < copy.metadata_count; i++)
        if (keep_text(op, &copy.metadata[i].name) != 0 ||
            keep_text(op, &copy.metadata[i].value) != 0)
            return CATLATCH_E_MEMORY;
    *ret_record = copy;
    return 0;
}

int keys_fetch(struct run *run, uint64_t id, struct record *ret_record)
{
    struct op *op = run->op;
    char text[CATLATCH_ID_SIZE];
    int r = store_key(run->keys->store, run->txn, id, &run->keys->buffer, ret_record, &op->error);
    if (r == 0 && (ret_record->purged || (op->confined_owner.len > 0 &&
                                          !text_equal(op->confined_owner, ret_record->owner))))
        r = CATLATCH_E_NOT_FOUND;
    if (r == CATLATCH_E_NOT_FOUND) {
        key_id_format(id, text);
        return error_set(&op->error, r, "no key has the id %s", text);
    }
    if (r == 0)
        ret_record->suspended = owners_find(&run->keys->owners, ret_record->owner)->suspended;
    return r;
}

static int keep_claim(struct keys *keys, const struct table_claim *claim,
                      const struct keys_usage *taken, struct error *error)
{
    if (keys->claim_count == keys->claim_room) {
        size_t room = keys->claim_room > 0 ? keys->claim_room * 2 : 64;
        struct keys_claim *larger = reallocarray(keys->claims, room, sizeof *larger);
        if (larger == NULL)
            return error_set(error, CATLATCH_E_MEMORY, "claiming room in the table");
        keys->claims = larger;
        keys->claim_room = room;
    }
    keys->claims[keys->claim_count++] = (struct keys_claim){*claim, *taken, NULL};
    return 0;
}

/* A change that takes something away may use the table's reserve. */
static enum table_purpose purpose_of(const struct record *old, const struct record *record)
{
    if (old == NULL)
        return TABLE_ORDINARY;
    if (record->not_before_unix_s > old->not_before_unix_s || !record_networks_cover(record, old) ||
        record_rates_narrow(&old->rates, &record->rates) ||
        (record->allowance.uses != 0 && !allowance_equal(&old->allowance, &record->allowance)) ||
        (record->expires_unix_s != 0 &&
         (old->expires_unix_s == 0 || record->expires_unix_s < old->expires_unix_s)))
        return TABLE_NARROWING;
    for (size_t i = 0; i < old->scope_count; i++) {
        bool kept = false;
        for (size_t j = 0; j < record->scope_count && !kept; j++)
            kept = text_equal(old->scopes[i], record->scopes[j]);
        if (!kept)
            return TABLE_NARROWING;
    }
    return TABLE_ORDINARY;
}

int keys_claim(struct keys *keys, const struct table_entry *entry, const struct record *record,
               enum table_purpose purpose, struct error *error)
{
    struct table_claim claim;
    struct table_entry own = *entry;
    struct keys_usage taken;
    int r = keys_take_usage(keys, entry, record, &taken);
    own.usage = taken.usage;
    if (r == 0)
        r = table_claim(keys->table, &own, purpose, &claim);
    if (r == CATLATCH_E_FULL)
        keys->table_full = true;
    if (r != 0) {
        keys_give_usage_back(keys, &taken);
        return error_set(error, r,
                         r == CATLATCH_E_FULL       ? "the table has no room"
                         : r == CATLATCH_E_CONFLICT ? "a key with this digest exists already"
                                                    : "the table cannot show this key");
    }
    r = keep_claim(keys, &claim, &taken, error);
    if (r != 0) {
        table_abandon(keys->table, &claim);
        keys_give_usage_back(keys, &taken);
    }
    return r;
}

void keys_abandon_newest(struct keys *keys)
{
    const struct keys_claim *claim = &keys->claims[--keys->claim_count];
    table_abandon(keys->table, &claim->claim);
    keys_give_usage_back(keys, &claim->taken);
    free(claim->gift);
}

/* An owner can have had limits before he had keys, or while there was no memory for them. */
static const struct owner_state *owner_of(struct keys *keys, const struct record *record)
{
    const struct owner_state *known = owners_find(&keys->owners, record->owner);
    struct owner_state state = *known;
    if (state.rates.count == 0 || state.block != 0)
        return known;
    keys_take_owner_block(keys, &state);
    owners_set(&keys->owners, record->owner, &state); /* who is there: it cannot fail */
    return owners_find(&keys->owners, record->owner);
}

int keys_write(struct run *run, const struct record *old, struct record *record,
               enum change_kind kind)
{
    struct op *op = run->op;
    struct change change;
    struct difference_room room;
    struct table_entry entry;
    change.time_unix_ms = run->keys->now_unix_ms;
    change.kind = kind;
    change.key_id = record->id;
    change.actor = op->actor;
    change.owner = old != NULL ? old->owner : record->owner;
    change.detail = kind == CHANGE_REVOKED ? text_of(NULL) : op->comment; /* that is a property */
    difference_find(kind == CHANGE_PURGED ? record : old, record, &room, &change);
    keys_entry(record, owner_of(run->keys, record), &entry);
    /* A purged key's slot stays as it is until the next generation: it is refused already. */
    int r = kind == CHANGE_PURGED
                ? 0
                : keys_claim(run->keys, &entry, record, purpose_of(old, record), &op->error);
    if (r != 0)
        return r;
    if ((r = store_put(run->txn, old, record, &change, &op->error)) != 0)
        return r;
    if (!retirement_is_none(&record->retirement) &&
        (old == NULL || retirement_is_none(&old->retirement)) &&
        retiring_know(&run->keys->retiring, record->id) != 0)
        return error_set(&op->error, CATLATCH_E_MEMORY, "remembering what retires the key");
    if (kind != CHANGE_PURGED && (r = keys_begin_uses(run, old, record)) != 0)
        return r;
    op->epoch = change.epoch;
    op->sequence = change.sequence;
    return 0;
}

int keys_result(struct run *run, const struct record *record, bool changed, struct op_key **ret_key)
{
    struct op *op = run->op;
    struct op_key *key = &op->keys[op->key_count];
    *key = (struct op_key){.changed = changed};
    if (keys_keep(op, record, &key->record) != 0)
        return error_set(&op->error, CATLATCH_E_MEMORY, "answering");
    int r = keys_show_usage(run->keys, key, &op->error);
    if (r != 0)
        return r;
    op->key_count++;
    if (ret_key != NULL)
        *ret_key = key;
    return 0;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void keys_tidy(struct op *op)
{
    size_t kept = 0;
    if (op->id_count == 0)
        return;
    qsort(op->ids, op->id_count, sizeof *op->ids, compare_ids);
    for (size_t i = 0; i < op->id_count; i++)
        if (i == 0 || op->ids[i] != op->ids[i - 1])
            op->ids[kept++] = op->ids[i];
    op->id_count = kept;
}

bool keys_share_id(const struct op *a, const struct op *b)
{
    for (size_t i = 0, j = 0; i < a->id_count && j < b->id_count;) {
        if (a->ids[i] == b->ids[j])
            return true;
        if (a->ids[i] < b->ids[j])
            i++;
        else
            j++;
    }
    return false;
}

typedef int key_change(struct run *run, uint64_t id);

static int each_key(struct run *run, key_change *change)
{
    struct op *op = run->op;
    if (op->id_count == 0 || op->id_count > OP_IDS_MAX)
        return error_set(&op->error, CATLATCH_E_DATA, "%zu ids; one change takes 1 to %u",
                         op->id_count, OP_IDS_MAX);
    for (size_t i = 0; i < op->id_count; i++) {
        int r = change(run, op->ids[i]);
        if (r != 0)
            return r;
    }
    return 0;
}

static int dispatch(struct run *run)
{
    int r = fields_check_comment(run);

    if (r != 0)
        return r;
    switch (run->op->kind) {
    case OP_CREATE:
        return keys_create(run);
    case OP_UPDATE:
        return each_key(run, keys_update);
    case OP_DISABLE:
        return each_key(run, keys_disable);
    case OP_ENABLE:
        return each_key(run, keys_enable);
    case OP_REVOKE:
        return each_key(run, keys_revoke);
    case OP_ROTATE:
        return each_key(run, keys_rotate);
    case OP_RETIRE:
        return each_key(run, keys_retire);
    case OP_PURGE:
        return each_key(run, keys_purge);
    case OP_OWNER_SUSPEND:
    case OP_OWNER_RESUME:
    case OP_OWNER_UPDATE:
        return keys_owner_change(run);
    case OP_IMPORT:
        return run->op->owner.len > 0 ? keys_owner_import(run) : keys_import(run);
    case OP_LIST:
    case OP_GET:
    case OP_OWNER_LIST:
    case OP_OWNER_GET:
    case OP_LOG:
    case OP_LOG_VERIFY:
    case OP_TABLE_CHECK:
    case OP_BACKUP_DONE:
    case OP_BACKUP:
    case OP_RESTORE_COMPARE:
    case OP_HISTORY:
    case OP_BUSIEST:
    case OP_PROCESSES:
        break;
    }
    return error_set(&run->op->error, CATLATCH_E_ARGUMENT, "not a change");
}

/* Room for the results, made before anything is changed. */
static int make_room(struct run *run)
{
    struct op *op = run->op;
    op->keys = op_alloc(op, (op->id_count + 1) * sizeof *op->keys);
    if (op->keys == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "changing keys");
    return 0;
}

/* The key that an operation was asked for with may have been revoked while it waited. */
static int check_actor(struct run *run)
{
    struct record record;
    struct op *op = run->op;
    if (op->actor.key_id == 0)
        return 0;
    int r = store_key(run->keys->store, run->txn, op->actor.key_id, &run->keys->buffer, &record,
                      &op->error);
    if (r != 0)
        return r;
    record.suspended = owners_find(&run->keys->owners, record.owner)->suspended;
    if (record_state(&record, run->now_unix_s) == STATE_ACTIVE)
        return 0;
    return error_set(&op->error, CATLATCH_E_PERMISSION,
                     "the key that asked for this is %s; nothing was changed",
                     record_state_name(record_state(&record, run->now_unix_s)));
}

static int run_once(struct keys *keys, struct op *op)
{
    struct run run = {.keys = keys, .op = op, .now_unix_s = keys->now_unix_ms / 1000};
    size_t claims_before = keys->claim_count;
    /* It may have run before, and found no room. */
    op->error = (struct error){0};
    op->key_count = op->owner_count = 0;
    op->epoch = op->sequence = 0;
    op->owner_changed = op->spreads = false;

    int r = make_room(&run);
    if (r == 0)
        r = store_begin(keys->store, &run.txn, &op->error);
    if (r != 0)
        return r;
    r = check_actor(&run);
    if (r == 0)
        r = dispatch(&run);
    if (r == 0)
        r = store_commit(run.txn, &op->error);
    else
        store_abort(run.txn);
    keys_owner_changed(&run, r == 0);
    if (r != 0)
        while (keys->claim_count > claims_before)
            keys_abandon_newest(keys);
    return r;
}

/* Somebody asks for it: what is done for a key's age can wait for room. */
static bool takes_away(const struct op *op)
{
    return op->kind == OP_REVOKE || op->kind == OP_OWNER_SUSPEND ||
           (op->kind == OP_DISABLE && op->unused_since_unix_s == 0);
}

void keys_change(struct keys *keys, struct op *op)
{
    keys->table_full = false;
    if (!takes_away(op) && store_ballast_is_spent(keys->store)) {
        error_set(&op->error, CATLATCH_E_FULL,
                  "the disk of state_dir is full: until there is room, keys can be revoked and "
                  "disabled and owners suspended, and nothing else");
        return;
    }
    if (op->kind == OP_BACKUP_DONE) {
        keys_backup_done(keys, op);
        return;
    }
    int r = run_once(keys, op);
    /* What takes something away must not fail for want of disk: that is what the ballast is for. */
    if (r == CATLATCH_E_FULL && !keys->table_full && takes_away(op) &&
        store_release_ballast(keys->store))
        r = run_once(keys, op);
    if (r != 0) {
        op->error.code = r;
        op->key_count = 0;
    }
}

void keys_publish(struct keys *keys, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        keys_give_uses(keys, &keys->claims[i]);
        table_publish(keys->table, &keys->claims[i].claim);
    }
    keys->claim_count -= count;
    if (keys->claim_count > 0)
        memmove(keys->claims, keys->claims + count, keys->claim_count * sizeof *keys->claims);
}

void keys_free(struct keys *keys)
{
    for (size_t i = 0; i < keys->claim_count; i++)
        free(keys->claims[i].gift);
    free(keys->claims);
    uses_free(&keys->uses);
    retiring_free(&keys->retiring);
    owners_clear(&keys->owners);
    *keys = (struct keys){0};
}
