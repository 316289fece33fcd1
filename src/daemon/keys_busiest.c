/* USAGE.TOP: whose the busiest keys are. */
#include "daemon/generation.h"
#include "daemon/keys_internal.h"

/* The key's record, if there still is one. */
static int read_busy(struct run *run, const struct busiest_key *key, struct op_busy *ret_busy,
                     bool *ret_found)
{
    struct op *op = run->op;
    struct record record;
    struct total total = {.used = {.count = 0}};

    int r = keys_fetch(run, key->id, &record);
    if (r == 0)
        r = keys_total(run->keys, &record, &total, &op->error);
    *ret_found = r == 0;
    if (r != 0) {
        op->error.code = 0; /* it was purged, or cannot be read: the others are told */
        return 0;
    }
    *ret_busy = (struct op_busy){
        .id = key->id, .more = key->more, .used = total.used, .refused = total.refused};
    if (op_text(op, record.name.bytes, record.name.len, &ret_busy->name) != 0 ||
        op_text(op, record.owner.bytes, record.owner.len, &ret_busy->owner) != 0)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading the busiest keys");
    return 0;
}

static void add_to_owner(struct op *op, const struct op_busy *key)
{
    size_t i = 0;

    while (i < op->busy_owner_count && !text_equal(op->busy_owners[i].owner, key->owner))
        i++;
    struct op_busy *owner = &op->busy_owners[i];
    if (i == op->busy_owner_count) {
        *owner = (struct op_busy){.owner = key->owner};
        op->busy_owner_count++;
    }
    owner->more.granted = history_add(owner->more.granted, key->more.granted);
    owner->more.refused = history_add(owner->more.refused, key->more.refused);
}

static uint64_t weight(const struct op_busy *busy)
{
    return history_add(busy->more.granted, busy->more.refused);
}

/* The most first. They come nearly so, and are few. */
static void sort_owners(struct op *op)
{
    for (size_t i = 1; i < op->busy_owner_count; i++)
        for (size_t j = i; j > 0 && weight(&op->busy_owners[j]) > weight(&op->busy_owners[j - 1]);
             j--) {
            struct op_busy kept = op->busy_owners[j];
            op->busy_owners[j] = op->busy_owners[j - 1];
            op->busy_owners[j - 1] = kept;
        }
}

int keys_busiest(struct keys *keys, struct op *op)
{
    struct run run = {.keys = keys, .op = op, .now_unix_s = keys->now_unix_ms / 1000};
    const struct busiest *busiest =
        sweeper_watch(&keys->sweeper, &op->busy_span_ms, generation_now_ms());
    int r = 0;

    op->busy_round = busiest->round;
    op->busy_total = busiest->total;
    op->busy = op_alloc(op, BUSIEST_MAX * sizeof *op->busy);
    op->busy_owners = op_alloc(op, BUSIEST_MAX * sizeof *op->busy_owners);
    if (op->busy == NULL || op->busy_owners == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading the busiest keys");
    for (size_t i = 0; i < busiest->count && r == 0; i++) {
        struct op_busy *busy = &op->busy[op->busy_count];
        bool found;
        r = read_busy(&run, &busiest->keys[i], busy, &found);
        if (r != 0 || !found)
            continue;
        op->busy_count++;
        add_to_owner(op, busy);
    }
    sort_owners(op);
    return r;
}
