#include "daemon/difference.h"
#include "daemon/keys_internal.h"

/* An owner with no more keys than this has them shown with the batch, in some 20 ms of the store
 * thread. More are shown afterwards, in slices between which others have their turn. */
#define CLAIMED_MAX 2000u

/* Slots that one slice passes, in a few milliseconds. */
#define SPREAD_SLOTS 32768u

/* What the slot of one key shows of its owner. The key's record does not change: the owner's is the
 * truth. */
static int claim_owned(struct run *run, uint64_t id, enum table_purpose purpose)
{
    struct keys *keys = run->keys;
    struct record record;
    struct table_entry entry;
    int r = store_key(keys->store, run->txn, id, &keys->buffer, &record, &run->op->error);
    if (r != 0)
        return r;
    keys_entry(&record, owners_find(&keys->owners, record.owner), &entry);
    return keys_claim(keys, &entry, NULL, purpose, &run->op->error);
}

static int prepare_spread(struct run *run, const struct owner_state *state,
                          enum table_purpose purpose)
{
    struct keys *keys = run->keys;
    struct op *op = run->op;
    op->spreads = true;
    op->spread_slot = 0;
    op->spread_number = keys->table->view.generation;
    int r = table_owner_word(keys->table, &state->rates, state->block, purpose, &op->spread_word);
    keys->table_full |= r == CATLATCH_E_FULL;
    return r == 0 ? 0 : error_set(&op->error, r, "the table has no room");
}

/* In the slots of revoked keys too: the next daemon may find by them where his limits are counted.
 */
static int show_owner(struct run *run, struct text owner, const struct owner_state *state)
{
    bool narrows = (state->suspended && !run->before.suspended) ||
                   record_rates_narrow(&run->before.rates, &state->rates);
    enum table_purpose purpose = narrows ? TABLE_NARROWING : TABLE_ORDINARY;
    uint64_t ids[CLAIMED_MAX + 1];
    size_t count;
    int r = store_find(run->keys->store, STORE_BY_OWNER, owner, 0, ids, CLAIMED_MAX + 1, &count,
                       &run->op->error);
    if (r == 0 && count > CLAIMED_MAX)
        return prepare_spread(run, state, purpose);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = claim_owned(run, ids[i], purpose);
    return r;
}

struct op *keys_spread(struct keys *keys)
{
    struct op *op = keys->spreading.first;
    if (op == NULL)
        return NULL;
    const struct table_owner owner = {
        .name = op->owner, .suspended = op->owners[0].suspended, .limits_word = op->spread_word};
    /* A generation is filled from the store, and shows what was committed before the switch. */
    if (op->spread_number == keys->table->view.generation &&
        !table_show_owner(keys->table, &owner, &op->spread_slot, SPREAD_SLOTS))
        return NULL;
    return op_queue_take(&keys->spreading);
}

bool keys_is_spreading(const struct keys *keys, struct text owner)
{
    for (const struct op *op = keys->spreading.first; op != NULL; op = op->next)
        if (text_equal(op->owner, owner))
            return true;
    return false;
}

uint64_t keys_shown_sequence(const struct keys *keys)
{
    const struct op *first = keys->spreading.first;
    return first != NULL ? first->sequence - 1 : store_sequence(keys->store);
}

static int fetch_owner(struct run *run, struct record_owner *ret_owner)
{
    struct op *op = run->op;
    int r = CATLATCH_E_NOT_FOUND;
    if (op->confined_owner.len == 0 || text_equal(op->confined_owner, op->owner))
        r = store_owner(run->keys->store, run->txn, op->owner, &run->keys->buffer, ret_owner,
                        &op->error);
    if (r == CATLATCH_E_NOT_FOUND)
        return error_set(&op->error, r, "no key has this owner");
    return r;
}

static enum change_kind kind_of(const struct record_owner *old, const struct record_owner *fresh)
{
    return old->suspended == fresh->suspended ? CHANGE_OWNER_UPDATED
           : fresh->suspended                 ? CHANGE_OWNER_SUSPENDED
                                              : CHANGE_OWNER_RESUMED;
}

static int write_owner(struct run *run, const struct record_owner *old, struct record_owner *owner)
{
    struct op *op = run->op;
    struct difference_room room;
    struct change change = {
        .time_unix_ms = run->keys->now_unix_ms,
        .kind = kind_of(old, owner),
        .actor = op->actor,
        .owner = op->owner,
        .detail = op->comment,
    };
    difference_find_owner(old, owner, &room, &change);
    int r = store_put_owner(run->txn, owner, &change, &op->error);
    if (r == 0) {
        op->epoch = change.epoch;
        op->sequence = change.sequence;
    }
    return r;
}

/* What his keys are claimed with from here on. */
static int set_state(struct run *run, const struct record_owner *owner)
{
    struct keys *keys = run->keys;
    struct op *op = run->op;
    struct owner_state state = *owners_find(&keys->owners, op->owner);
    run->owner = op->owner;
    run->before = state;
    state.suspended = owner->suspended;
    state.rates = owner->rates;
    bool has_room = keys_take_owner_block(keys, &state);
    run->before.block = state.block; /* which is his from now on */
    /* To suspend him, or to resume, needs none. */
    if (!has_room && !rates_equal(&owner->rates, &run->before.rates)) {
        keys->table_full = true;
        return error_set(&op->error, CATLATCH_E_FULL, "no room to count the owner's limits in");
    }
    if (owners_set(&keys->owners, op->owner, &state) != 0)
        return error_set(&op->error, CATLATCH_E_MEMORY, "changing an owner");
    return 0;
}

/* `owner` is what he shall be; names are the operation's, for the buffer that the record came in is
 * used for keys next. */
static int put_owner(struct run *run, const struct record_owner *old, struct record_owner *owner)
{
    struct op *op = run->op;
    op->owners = op_alloc(op, sizeof *op->owners);
    if (op->owners == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "answering");
    op->owner_changed =
        owner->suspended != old->suspended || !rates_equal(&owner->rates, &old->rates);
    int r = 0;
    if (op->owner_changed && (r = write_owner(run, old, owner)) == 0 &&
        (r = set_state(run, owner)) == 0)
        r = show_owner(run, op->owner, owners_find(&run->keys->owners, op->owner));
    op->owners[0] = *owner;
    op->owner_count = 1;
    return r;
}

static void switch_owner(const struct run *run, struct record_owner *owner, bool suspend)
{
    if (owner->suspended == suspend)
        return;
    owner->suspended = suspend;
    owner->suspended_unix_s =
        suspend && run->op->owner_since_unix_s != 0 ? run->op->owner_since_unix_s : run->now_unix_s;
}

int keys_owner_change(struct run *run)
{
    struct record_owner old = {.version = 0}, owner;
    /* What an owner is held to is not for his own keys to say. */
    if (run->op->kind == OP_OWNER_UPDATE && run->op->confined_owner.len > 0)
        return error_set(&run->op->error, CATLATCH_E_PERMISSION,
                         "a key that acts for its owner alone does not change his limits");
    int r = fetch_owner(run, &old);
    if (r != 0)
        return r;
    old.name = run->op->owner;
    owner = old;
    if (run->op->kind == OP_OWNER_UPDATE)
        owner.rates = run->op->fields.rates;
    else
        switch_owner(run, &owner, run->op->kind == OP_OWNER_SUSPEND);
    return put_owner(run, &old, &owner);
}

int keys_owner_import(struct run *run)
{
    struct op *op = run->op;
    struct record_owner old = {.version = 0}, owner;
    int r = fields_check_text(run, "the owner", op->owner, RECORD_TEXT_MAX);
    if (r != 0)
        return r;
    r = fetch_owner(run, &old);
    if (r == CATLATCH_E_NOT_FOUND) {
        op->error = (struct error){0};
        old = (struct record_owner){.created_unix_s = run->now_unix_s};
        r = 0;
    }
    if (r != 0)
        return r;
    old.name = op->owner;
    owner = old;
    if ((op->fields.has & OP_HAS_RATES) == 0)
        switch_owner(run, &owner, true);
    else if (old.rates.count == 0)
        owner.rates = op->fields.rates;
    else if (!op->skips && !rates_equal(&old.rates, &op->fields.rates))
        return error_set(&op->error, CATLATCH_E_CONFLICT, "the owner has other limits already");
    return op->tries ? 0 : put_owner(run, &old, &owner);
}

void keys_owner_changed(struct run *run, bool committed)
{
    if (run->owner.len == 0)
        return;
    /* What cannot be set was not set before either. */
    if (!committed)
        owners_set(&run->keys->owners, run->owner, &run->before);
    owners_forget_plain(&run->keys->owners, run->owner);
}
