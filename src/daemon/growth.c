#include "daemon/growth_usage.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/keys.h"

/* Small tables double, so that many keys created one by one cost few generations; from here on a
 * quarter is added, so that a table of a million keys stays under 200 MiB. */
#define DOUBLING_BELOW 131072u

void growth_plan(struct growth *growth, uint64_t key_count, uint64_t expected_keys,
                 uint64_t max_stale_ms, const struct table_writer *old, unsigned refusals)
{
    uint64_t capacity = key_count + (key_count < DOUBLING_BELOW ? key_count : key_count / 4);
    uint64_t side = TABLE_SIDE_BYTES_PER_KEY;
    /* Texts that a change shared, which then found no room for all its keys, lie there too: with an
     * import into a small table they are nearly all that does. */
    if (old != NULL && old->slots_used > 0) {
        uint64_t keys = old->slots_used > key_count ? old->slots_used : key_count;
        uint64_t seen = old->side_used / keys;
        seen += seen / 8;
        side = seen > side ? seen : side;
    }
    /* What keys take on average says nothing of a change that gives many of them longer texts: one
     * that a table of that size refused would be refused by every further one. */
    for (; refusals > 1 && side < TABLE_SIDE_BYTES_PER_KEY_MAX; refusals--)
        side *= 2;
    if (side > TABLE_SIDE_BYTES_PER_KEY_MAX)
        side = TABLE_SIDE_BYTES_PER_KEY_MAX;
    growth->params = (struct table_params){
        .generation = 0,
        .epoch = store_epoch(growth->store),
        .capacity = capacity > expected_keys ? capacity : expected_keys,
        .side_bytes_per_key = side,
        .max_stale_ms = max_stale_ms,
    };
}

static void make(void *context)
{
    struct growth *growth = context;
    if (growth->tally != NULL)
        growth_reserve_usage(growth);
    growth->made_result =
        generation_make(growth->run_dir, &growth->params, &growth->fresh, &growth->made_error);
    /* release: pairs with growth_step */
    atomic_store_explicit(&growth->made, true, memory_order_release);
    growth->wake(growth->context);
}

int growth_begin(struct growth *growth, struct error *error)
{
    growth->params.generation = ++growth->highest;
    growth->refs_before = growth->tally != NULL ? tally_highest(growth->tally) : 0;
    growth->owner_blocks = growth->tally != NULL ? owners_without_block(growth->owners) : 0;
    growth->fresh = NULL;
    growth->owner_len = 0;
    growth->too_small = false;
    atomic_store_explicit(&growth->made, false, memory_order_relaxed);
    if (uv_thread_create(&growth->maker, make, growth) != 0)
        return error_set(error, CATLATCH_E_MEMORY, "no thread to make a new table with");
    growth->stage = GROWTH_MAKING;
    return 0;
}

static int publish_record(struct growth *growth, const struct record *record)
{
    struct table_entry entry;
    struct table_claim claim;
    keys_entry(record, growth_owner(growth, record), &entry);
    entry.usage = growth_take_usage(growth, record);
    /* Nobody reads this table yet, and nothing of it was promised: the reserve is for later. */
    int r = table_claim(&growth->fresh->writer, &entry, TABLE_ORDINARY, &claim);
    if (r == 0 && growth->retiring != NULL && growth->old == NULL &&
        !retirement_is_none(&record->retirement))
        r = retiring_know(growth->retiring, record->id);
    if (r == 0)
        table_publish(&growth->fresh->writer, &claim);
    growth->too_small |= r == CATLATCH_E_FULL;
    return r;
}

/* A key that was taken over before. If it was renamed and then revoked meanwhile, the table would
 * keep the old texts, for a revoke changes none: so the texts come first. */
static int renew_record(struct growth *growth, const struct record *record)
{
    struct record before = *record;
    if (record->revoked) {
        before.revoked = false;
        int r = publish_record(growth, &before);
        if (r != 0 && r != CATLATCH_E_CONFLICT) /* that it is revoked here already */
            return r;
    }
    return publish_record(growth, record);
}

static int fill_one(void *context, const struct record *record)
{
    return publish_record(context, record);
}

static void fetch_slot(void *context, const struct digest *digest)
{
    const struct growth *growth = context;
    table_prefetch(&growth->fresh->writer.view, digest);
    if (growth->previous != NULL)
        table_prefetch(growth->previous, digest);
}

/* At a start, when nobody else wants the store: all that it holds, as fast as can be. */
static int fill_first(struct growth *growth, bool *ret_done, struct error *error)
{
    const struct store_visitor visitor = {fetch_slot, fill_one, growth};
    *ret_done = true;
    return store_snapshot(growth->store, &visitor, error);
}

static int fill(struct growth *growth, bool *ret_done, struct error *error)
{
    uint64_t last = growth->last_id;
    int r = store_scan(growth->store, last, GROWTH_SLICE, fill_one, growth, &last, error);
    *ret_done = r == 0 && last == growth->last_id;
    growth->last_id = last;
    return r;
}

/* What a slice of the change log names. An owner's change ends the slice: it can stand for any
 * number of keys, which have slices of their own. */
struct slice {
    struct growth *growth;
    uint64_t ids[GROWTH_SLICE];
    size_t count;
};

static int note_change(void *context, const struct change *change)
{
    struct slice *slice = context;
    struct growth *growth = slice->growth;
    if (change->key_id != 0) {
        slice->ids[slice->count++] = change->key_id;
        return 0;
    }
    if (change->owner.len > sizeof growth->owner)
        return CATLATCH_E_DATA;
    memcpy(growth->owner, change->owner.bytes, change->owner.len);
    growth->owner_len = change->owner.len;
    growth->owner_after_id = 0;
    return 1;
}

static int renew(struct growth *growth, const uint64_t *ids, size_t count, struct error *error)
{
    struct store_buffer buffer;
    struct record record;
    for (size_t i = 0; i < count; i++) {
        int r = store_key(growth->store, NULL, ids[i], &buffer, &record, error);
        if (r != 0 || (r = renew_record(growth, &record)) != 0)
            return r;
    }
    return 0;
}

/* One slice of the keys of the owner that is being taken over again. */
static int renew_owner(struct growth *growth, struct error *error)
{
    uint64_t ids[GROWTH_SLICE];
    size_t count;
    struct text owner = {growth->owner, growth->owner_len};
    int r = store_find(growth->store, STORE_BY_OWNER, owner, growth->owner_after_id, ids,
                       GROWTH_SLICE, &count, error);
    if (r == 0)
        r = renew(growth, ids, count, error);
    if (r != 0)
        return r;
    if (count == GROWTH_SLICE)
        growth->owner_after_id = ids[count - 1];
    else
        growth->owner_len = 0;
    return 0;
}

static int renew_changed(struct growth *growth, bool *ret_done, struct error *error)
{
    struct slice slice = {.growth = growth};
    struct store_position before = growth->at;
    int r = store_changes(growth->store, &growth->at, GROWTH_SLICE, note_change, &slice, error);
    if (r == 0)
        r = renew(growth, slice.ids, slice.count, error);
    *ret_done = r == 0 && growth->at.sequence == before.sequence;
    return r;
}

static int catch_up(struct growth *growth, bool *ret_done, struct error *error)
{
    if (growth->owner_len > 0)
        return renew_owner(growth, error);
    return renew_changed(growth, ret_done, error);
}

const struct table_view *growth_view(const struct growth *growth)
{
    bool is_filled = growth->stage == GROWTH_FILLING || growth->stage == GROWTH_CATCHING_UP;
    return is_filled ? &growth->fresh->writer.view : NULL;
}

static void drop(struct growth *growth)
{
    generation_free(growth->fresh, growth->run_dir);
    growth->fresh = NULL;
    growth->stage = GROWTH_IDLE;
}

/* Once more: nobody saw what its slots refer to, and at a start nobody else takes any. */
static enum growth_progress begin_again(struct growth *growth, struct error *error)
{
    drop(growth);
    if (growth->old == NULL && growth->tally != NULL)
        growth_rewind_usage(growth);
    return growth_begin(growth, error) == 0 ? GROWTH_WAITING : GROWTH_FAILED;
}

/* The table was too small for what the store holds: with twice of what ran out. */
static enum growth_progress begin_larger(struct growth *growth, struct error *error)
{
    const struct table_writer *writer = &growth->fresh->writer;
    if (writer->slots_used >= writer->capacity)
        growth->params.capacity *= 2;
    else
        growth->params.side_bytes_per_key *= 2;
    return begin_again(growth, error);
}

/* The area that a start makes anew has room for records alone, until it is known that there are
 * limits. */
static bool wants_blocks(struct growth *growth)
{
    bool wants = growth->old == NULL && !growth->begun_again && growth->tally != NULL &&
                 tally_has_refused(growth->tally);
    growth->begun_again |= wants;
    return wants;
}

static enum growth_progress step_failed(struct growth *growth, int r, struct error *error)
{
    if (growth->too_small)
        return begin_larger(growth, error);
    drop(growth);
    if (error->code == 0)
        error_set(error, r, "a new table cannot be filled from the store");
    return GROWTH_FAILED;
}

static enum growth_progress take_made(struct growth *growth, struct error *error)
{
    /* acquire: pairs with make */
    if (!atomic_load_explicit(&growth->made, memory_order_acquire))
        return GROWTH_WAITING;
    uv_thread_join(&growth->maker);
    if (growth->made_result != 0) {
        *error = growth->made_error;
        growth->stage = GROWTH_IDLE;
        return GROWTH_FAILED;
    }
    growth->stage = GROWTH_FILLING;
    growth->last_id = 0;
    growth->at = (struct store_position){store_epoch(growth->store), store_sequence(growth->store)};
    return GROWTH_WORKING;
}

/* Before the rename, the store knows the number, and whether every generation that may have readers
 * has a name by which the next start could mark it: that is what tells it to wait, or not to. */
static int record_generation(struct growth *growth, struct error *error)
{
    struct store_generation recorded = {
        .number = growth->fresh->number,
        .uncovered = growth->uncovered ||
                     (growth->old != NULL && !generation_is_named(growth->old, growth->run_dir)),
    };
    memcpy(recorded.boot_id, growth->fresh->writer.header->boot_id, sizeof recorded.boot_id);
    growth->recorded_uncovered = recorded.uncovered;
    return store_set_generation(growth->store, &recorded, error);
}

enum growth_progress growth_step(struct growth *growth, struct error *error)
{
    bool done = false;
    int r = 0;
    error->code = 0;
    switch (growth->stage) {
    case GROWTH_IDLE:
        return GROWTH_WAITING;
    case GROWTH_MAKING:
        return take_made(growth, error);
    case GROWTH_FILLING:
        r = growth->old == NULL ? fill_first(growth, &done, error) : fill(growth, &done, error);
        if (r == 0 && done && wants_blocks(growth))
            return begin_again(growth, error);
        if (r == 0 && done && (r = record_generation(growth, error)) == 0)
            growth->stage = GROWTH_CATCHING_UP;
        break;
    case GROWTH_CATCHING_UP:
        r = catch_up(growth, &done, error);
        if (r == 0 && done)
            return GROWTH_READY;
        break;
    }
    return r == 0 ? GROWTH_WORKING : step_failed(growth, r, error);
}

struct generation *growth_take(struct growth *growth)
{
    struct generation *fresh = growth->fresh;
    keys_tell_refs(growth->tally, &fresh->writer);
    growth->fresh = NULL;
    growth->stage = GROWTH_IDLE;
    return fresh;
}

void growth_cancel(struct growth *growth)
{
    if (growth->stage == GROWTH_MAKING) {
        uv_thread_join(&growth->maker);
        if (growth->made_result != 0)
            growth->fresh = NULL;
    }
    drop(growth);
}
