#include <string.h>

#include "daemon/keys_internal.h"

/* Changes that one call looks at before it returns what it has: some tens of milliseconds. */
#define LOOK_MAX 20000u

struct looking {
    struct op *op;
    size_t looked_at;
};

static bool matches(const struct op *op, const struct change *change)
{
    const struct op_log_selection *wanted = &op->log_selection;
    const struct actor *actor = &change->actor;

    if ((op->confined_owner.len > 0 && !text_equal(op->confined_owner, change->owner)) ||
        (wanted->owner.len > 0 && !text_equal(wanted->owner, change->owner)))
        return false;
    return (wanted->since_unix_ms == 0 || change->time_unix_ms >= wanted->since_unix_ms) &&
           (wanted->until_unix_ms == 0 || change->time_unix_ms < wanted->until_unix_ms) &&
           (wanted->key_id == 0 || change->key_id == wanted->key_id) &&
           (!wanted->has_uid || actor->uid == wanted->uid || actor->login_uid == wanted->uid) &&
           (wanted->actor_key_id == 0 || actor->key_id == wanted->actor_key_id) &&
           (!wanted->has_kind || change->kind == wanted->kind);
}

static int keep(struct op *op, const struct change *change)
{
    struct change *kept = &op->changes[op->change_count];
    struct change_difference *differences =
        op_alloc(op, (change->difference_count + 1) * sizeof *differences);

    *kept = *change;
    kept->differences = differences;
    if (differences == NULL ||
        op_text(op, change->owner.bytes, change->owner.len, &kept->owner) != 0 ||
        op_text(op, change->detail.bytes, change->detail.len, &kept->detail) != 0)
        return CATLATCH_E_MEMORY;
    for (size_t i = 0; i < change->difference_count; i++) {
        const struct change_difference *from = &change->differences[i];
        if (op_text(op, from->field.bytes, from->field.len, &differences[i].field) != 0 ||
            op_text(op, from->before.bytes, from->before.len, &differences[i].before) != 0 ||
            op_text(op, from->after.bytes, from->after.len, &differences[i].after) != 0)
            return CATLATCH_E_MEMORY;
    }
    op->change_count++;
    return 0;
}

static int look_at(void *context, const struct change *change)
{
    struct looking *looking = context;
    struct op *op = looking->op;

    looking->looked_at++;
    if (matches(op, change) && keep(op, change) != 0)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading the change log");
    return op->change_count == op->limit;
}

static bool is_at_end(const struct keys *keys, struct store_position at)
{
    return at.epoch == store_epoch(keys->store) && at.sequence == store_sequence(keys->store);
}

int keys_log(struct keys *keys, struct op *op)
{
    struct looking looking = {.op = op};

    struct store_position start = store_log_start(keys->store);

    if (op->after.epoch != 0 &&
        (op->after.epoch < start.epoch ||
         (op->after.epoch == start.epoch && op->after.sequence < start.sequence)))
        return error_set(&op->error, CATLATCH_E_CONFLICT,
                         "the log begins behind %llu:%llu: [audit] retain removed what was before "
                         "it, so read all keys anew",
                         (unsigned long long)start.epoch, (unsigned long long)start.sequence);
    if (op->limit == 0 || op->limit > OP_PAGE_MAX)
        op->limit = OP_PAGE_MAX;
    op->changes = op_alloc(op, op->limit * sizeof *op->changes);
    if (op->changes == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading the change log");
    op->at = op->after;
    int r = store_changes(keys->store, &op->at, LOOK_MAX, look_at, &looking, &op->error);
    /* Nothing behind the cursor: it is the end, also where nothing was ever logged. */
    op->at_end = looking.looked_at == 0 || is_at_end(keys, op->at);
    return r;
}

int keys_log_verify(struct keys *keys, struct op *op)
{
    size_t count = 0;

    op->at = op->after;
    int r = store_changes_verify(keys->store, &op->at, &op->chain, LOOK_MAX, &count, &op->problem);
    op->verified = count;
    if (r != 0 && r != CATLATCH_E_DATA) {
        op->error = op->problem;
        return r;
    }
    if (r == 0 && count < LOOK_MAX) {
        op->at_end = true;
        if (store_sequence(keys->store) != 0 && !is_at_end(keys, op->at))
            error_set(&op->problem, CATLATCH_E_DATA,
                      "the last changes are missing: the log ends with %llu:%llu, and the store is "
                      "at %llu:%llu",
                      (unsigned long long)op->at.epoch, (unsigned long long)op->at.sequence,
                      (unsigned long long)store_epoch(keys->store),
                      (unsigned long long)store_sequence(keys->store));
    }
    return 0;
}
