#include "daemon/keys_internal.h"

/* An owner with no more keys than this has them shown with the batch, in some 20 ms of the store
 * thread. More are shown afterwards, in slices between which others have their turn. */
#define CLAIMED_MAX 2000u

/* Slots that one slice passes, in a few milliseconds. */
#define SPREAD_SLOTS 32768u

/* The flag in one key's slot. The key's record does not change: the owner's is the truth. */
static int claim_flag(struct run *run, uint64_t id, bool suspended)
{
    struct keys *keys = run->keys;
    struct record record;
    struct table_entry entry;
    int r = store_key(keys->store, run->txn, id, &keys->buffer, &record, &run->op->error);
    if (r != 0 || record.revoked)
        return r;
    keys_entry(&record, suspended, &entry);
    return keys_claim(keys, &entry, NULL, TABLE_NARROWING, &run->op->error);
}

static int claim_flags(struct run *run, struct text owner, bool suspended)
{
    uint64_t ids[CLAIMED_MAX + 1];
    size_t count;
    int r = store_find(run->keys->store, STORE_BY_OWNER, owner, 0, ids, CLAIMED_MAX + 1, &count,
                       &run->op->error);
    run->op->spreads = r == 0 && count > CLAIMED_MAX;
    for (size_t i = 0; r == 0 && !run->op->spreads && i < count; i++)
        r = claim_flag(run, ids[i], suspended);
    return r;
}

struct op *keys_spread(struct keys *keys)
{
    struct op *op = keys->spreading.first;
    uint64_t number = keys->table->view.generation;
    if (op == NULL)
        return NULL;
    if (op->spread_number == 0)
        op->spread_number = number;
    /* A generation is filled from the store, and shows what was committed before the switch. */
    if (op->spread_number == number &&
        !table_suspend(keys->table, op->owner, op->owners[0].suspended, &op->spread_slot,
                       SPREAD_SLOTS))
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

static int write_owner(struct run *run, struct record_owner *owner, bool suspend)
{
    struct op *op = run->op;
    struct change change = {
        .time_unix_ms = run->keys->now_unix_ms,
        .kind = suspend ? CHANGE_OWNER_SUSPENDED : CHANGE_OWNER_RESUMED,
        .actor = op->actor,
        .owner = op->owner,
        .detail = op->comment,
    };
    owner->suspended = suspend;
    owner->suspended_unix_s = !suspend                      ? run->now_unix_s
                              : op->owner_since_unix_s != 0 ? op->owner_since_unix_s
                                                            : run->now_unix_s;
    int r = store_put_owner(run->txn, owner, &change, &op->error);
    if (r == 0) {
        op->epoch = change.epoch;
        op->sequence = change.sequence;
    }
    return r;
}

static int switch_owner(struct run *run, struct record_owner owner, bool suspend)
{
    struct op *op = run->op;
    int r;
    op->owners = op_alloc(op, sizeof *op->owners);
    if (op->owners == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "answering");
    owner.name = op->owner; /* the buffer that it points into is used for keys next */
    if (owner.suspended != suspend) {
        if ((r = write_owner(run, &owner, suspend)) != 0)
            return r;
        if (suspend) {
            if (suspended_add(&run->keys->suspended, op->owner) != 0)
                return error_set(&op->error, CATLATCH_E_MEMORY, "suspending an owner");
            run->suspended = op->owner;
        } else {
            run->resumed = op->owner;
        }
        op->owner_changed = true;
        if ((r = claim_flags(run, op->owner, suspend)) != 0)
            return r;
    }
    op->owners[0] = owner;
    op->owner_count = 1;
    return 0;
}

int keys_owner_switch(struct run *run, bool suspend)
{
    struct record_owner owner = {.version = 0};
    int r = fetch_owner(run, &owner);
    return r != 0 ? r : switch_owner(run, owner, suspend);
}

int keys_owner_import(struct run *run)
{
    struct op *op = run->op;
    struct record_owner owner = {.version = 0};
    int r = fields_check_text(run, "the owner", op->owner, RECORD_TEXT_MAX);
    if (r != 0)
        return r;
    r = fetch_owner(run, &owner);
    if (r == CATLATCH_E_NOT_FOUND) {
        op->error = (struct error){0};
        owner = (struct record_owner){.created_unix_s = run->now_unix_s};
        r = 0;
    }
    return r != 0 || op->tries ? r : switch_owner(run, owner, true);
}

void keys_owner_switched(struct run *run, bool committed)
{
    if (committed && run->resumed.len > 0)
        suspended_remove(&run->keys->suspended, run->resumed);
    if (!committed && run->suspended.len > 0)
        suspended_remove(&run->keys->suspended, run->suspended);
}
