#include <string.h>

#include "daemon/keys_internal.h"

/* Changes that one call looks at before it returns what it has: some tens of milliseconds. */
#define LOOK_MAX 20000u

/* Bytes of texts after which a page is full: every subscriber can have one, and a change alone can
 * take 90 KiB. */
#define PAGE_BYTES_MAX ((size_t)1 << 20)

struct looking {
    struct op *op;
    uint64_t shown;           /* by the table: no change behind it is told yet */
    struct store_position at; /* the last change that was looked at */
    bool held;                /* there are more */
    size_t looked_at;
    size_t bytes;
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

static int keep(struct looking *looking, const struct change *change)
{
    struct op *op = looking->op;
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
        looking->bytes += from->field.len + from->before.len + from->after.len;
    }
    looking->bytes += change->owner.len + change->detail.len;
    op->change_count++;
    return 0;
}

static int look_at(void *context, const struct change *change)
{
    struct looking *looking = context;
    struct op *op = looking->op;

    if (change->sequence > looking->shown) {
        looking->held = true;
        return 1;
    }
    looking->looked_at++;
    looking->at = (struct store_position){change->epoch, change->sequence};
    if (matches(op, change) && keep(looking, change) != 0)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading the change log");
    return op->change_count == op->limit || looking->bytes >= PAGE_BYTES_MAX;
}

static bool is_at_end(const struct keys *keys, struct store_position at)
{
    return at.epoch == store_epoch(keys->store) && at.sequence == store_sequence(keys->store);
}

static bool is_before(struct store_position a, struct store_position b)
{
    return a.epoch < b.epoch || (a.epoch == b.epoch && a.sequence < b.sequence);
}

/* What was removed on purpose is not missing, but whoever stands before it should know. */
static int check_start(const struct keys *keys, struct op *op, const char *advice)
{
    const struct store_position start = store_log_start(keys->store);

    if (op->after.epoch == 0 || !is_before(op->after, start))
        return 0;
    return error_set(&op->error, CATLATCH_E_CONFLICT,
                     "the log begins behind %llu:%llu: [audit] retain removed what was before "
                     "it%s",
                     (unsigned long long)start.epoch, (unsigned long long)start.sequence, advice);
}

/* Behind its end the log has nothing yet, and later something else than what the asker waits for.
 */
static int check_end(const struct keys *keys, struct op *op)
{
    const struct store_position end = {store_epoch(keys->store), store_sequence(keys->store)};

    if (!is_before(end, op->after))
        return 0;
    return error_set(&op->error, CATLATCH_E_CONFLICT,
                     "the log ends with %llu:%llu, before that place: the store was put back from "
                     "an older copy, so read all keys anew",
                     (unsigned long long)end.epoch, (unsigned long long)end.sequence);
}

int keys_log(struct keys *keys, struct op *op)
{
    struct store_position at = op->after;
    struct looking looking = {.op = op, .shown = keys_shown_sequence(keys), .at = at};

    if (check_start(keys, op, ", so read all keys anew") != 0 || check_end(keys, op) != 0)
        return op->error.code;
    if (op->limit == 0 || op->limit > OP_PAGE_MAX)
        op->limit = OP_PAGE_MAX;
    op->changes = op_alloc(op, op->limit * sizeof *op->changes);
    if (op->changes == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading the change log");
    int r = store_changes(keys->store, &at, LOOK_MAX, look_at, &looking, &op->error);
    op->at = looking.at;
    /* Nothing behind the cursor: it is the end, also where nothing was ever logged. */
    op->at_end = looking.looked_at == 0 || looking.held || is_at_end(keys, op->at);
    return r;
}

int keys_log_verify(struct keys *keys, struct op *op)
{
    size_t count = 0;

    if (check_start(keys, op, "") != 0)
        return op->error.code;
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
