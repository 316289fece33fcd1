#include "daemon/keys_internal.h"

#include <inttypes.h>

/* Ids are taken from the index in pages of this many. */
#define IDS_PAGE 1024u

/* A page of an owner's keys, in rising order, on their way into the table. */
struct flagging {
    struct run *run;
    const uint64_t *ids;
    size_t count;
    size_t done;
    bool suspended;
};

/* The flag in one key's slot. The key's record does not change: the owner's is the truth. */
static int claim_flag(const struct flagging *flagging, const struct record *record)
{
    struct table_entry entry;
    if (record->revoked)
        return 0;
    keys_entry(record, flagging->suspended, &entry);
    return keys_claim(flagging->run->keys, &entry, TABLE_NARROWING, &flagging->run->op->error);
}

static int claim_if_next(void *context, const struct record *record)
{
    struct flagging *flagging = context;
    if (record->id != flagging->ids[flagging->done])
        return 0;
    int r = claim_flag(flagging, record);
    flagging->done += r == 0;
    return r != 0 ? r : flagging->done == flagging->count;
}

/* Keys that were issued one after the other lie one after the other, and are read in passing, ten
 * times as fast as one by one: so up to four keys are looked at for each that is wanted. */
static int claim_in_passing(struct flagging *flagging)
{
    struct run *run = flagging->run;
    uint64_t last;
    return store_scan(run->keys->store, flagging->ids[0] - 1, 4 * flagging->count, claim_if_next,
                      flagging, &last, &run->op->error);
}

static int claim_one_by_one(struct flagging *flagging)
{
    struct keys *keys = flagging->run->keys;
    struct record record;
    for (; flagging->done < flagging->count; flagging->done++) {
        int r = store_key(keys->store, flagging->run->txn, flagging->ids[flagging->done],
                          &keys->buffer, &record, &flagging->run->op->error);
        if (r != 0 || (r = claim_flag(flagging, &record)) != 0)
            return r;
    }
    return 0;
}

static int claim_flags(struct run *run, struct text owner, bool suspended)
{
    uint64_t ids[IDS_PAGE], after = 0;
    size_t count;
    do {
        int r = store_find(run->keys->store, STORE_BY_OWNER, owner, after, ids, IDS_PAGE, &count,
                           &run->op->error);
        struct flagging flagging = {.run = run, .ids = ids, .count = count, .suspended = suspended};
        if (r == 0 && count > 0)
            r = claim_in_passing(&flagging);
        if (r == 0)
            r = claim_one_by_one(&flagging);
        if (r != 0)
            return r;
        if (count > 0)
            after = ids[count - 1];
    } while (count == IDS_PAGE);
    return 0;
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
    owner->suspended_unix_s = !suspend                      ? 0
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
