/* Which record of the usage area is a key's, and what is known of its use. */
#include <stdlib.h>

#include "daemon/keys_internal.h"

#include <string.h>

/* A key that an earlier claim shows, which readers do not see yet. */
static bool find_claimed(const struct keys *keys, const struct digest *digest,
                         struct table_usage *ret_usage)
{
    for (size_t i = keys->claim_count; i > 0; i--) {
        const struct table_claim *claim = &keys->claims[i - 1].claim;
        if (table_slot_has(&keys->table->slots[claim->slot], digest)) {
            *ret_usage =
                (struct table_usage){(uint32_t)claim->usage, (uint32_t)(claim->usage >> 32)};
            return true;
        }
    }
    return false;
}

/* What the key has in the usage area, published or claimed. */
static bool find_usage(const struct keys *keys, const struct digest *digest,
                       struct table_usage *ret_usage)
{
    const struct table_view *view = &keys->table->view;
    struct table_hit hit;

    if (table_find(view, digest, &hit) != TABLE_HIT)
        return find_claimed(keys, digest, ret_usage);
    *ret_usage = table_usage(view, hit.slot);
    return true;
}

uint64_t keys_limit_group(const struct record *record)
{
    return record->limit_group != 0 ? record->limit_group : record->id;
}

bool keys_has_limits(const struct record *record)
{
    return record->rates.count > 0 || record->allowance.uses > 0;
}

static bool shares_limits(const struct record *record)
{
    return record->limit_group != 0 || record->rotated_to != 0;
}

void keys_know_block(struct tally *tally, const struct record *record, uint32_t block)
{
    if (shares_limits(record))
        tally_know_group(tally, keys_limit_group(record), block);
}

uint32_t keys_take_block(struct tally *tally, const struct record *record)
{
    bool shares = shares_limits(record);
    uint32_t block = shares ? tally_group_block(tally, keys_limit_group(record)) : 0;

    if (block == 0)
        block = tally_take_block(tally);
    if (block != 0)
        keys_know_block(tally, record, block);
    return block;
}

int keys_take_usage(struct keys *keys, const struct table_entry *entry, const struct record *record,
                    struct keys_usage *ret)
{
    struct tally *tally = keys->sweeper.tally;
    struct table_usage found = {0};

    *ret = (struct keys_usage){.usage = 0};
    if (tally == NULL)
        return 0;
    if (!find_usage(keys, &entry->digest, &found)) {
        found.record = tally_take(tally, entry->id);
        ret->took_record = found.record != 0;
    }
    if (found.block == 0 && record != NULL && keys_has_limits(record)) {
        uint32_t before = tally_highest(tally);
        found.block = keys_take_block(tally, record);
        ret->took_block = tally_highest(tally) != before;
        if (found.block == 0 && tally_area(tally) != NULL) {
            keys_give_usage_back(keys, ret);
            return CATLATCH_E_FULL;
        }
    }
    ret->usage = found.record | (uint64_t)found.block << 32;
    keys_tell_refs(tally, keys->table);
    return 0;
}

void keys_give_usage_back(struct keys *keys, const struct keys_usage *taken)
{
    if (taken->took_block)
        tally_give_block_back(keys->sweeper.tally, (uint32_t)(taken->usage >> 32));
    if (taken->took_record)
        tally_give_back(keys->sweeper.tally, (uint32_t)taken->usage);
}

void keys_know_group(struct keys *keys, const struct record *record)
{
    struct table_usage usage = {0};

    if (keys->sweeper.tally != NULL && find_usage(keys, &record->digest, &usage) &&
        usage.block != 0)
        tally_know_group(keys->sweeper.tally, keys_limit_group(record), usage.block);
}

void keys_tell_refs(const struct tally *tally, struct table_writer *table)
{
    /* relaxed: what reads it is a daemon that comes after this one */
    if (tally != NULL)
        atomic_store_explicit(&table->header->usage_refs, tally_highest(tally),
                              memory_order_relaxed);
}

/* 0: none that readers see. */
static uint32_t shown_ref(const struct keys *keys, const struct digest *digest)
{
    struct table_hit hit;

    if (tally_area(keys->sweeper.tally) == NULL ||
        table_find(&keys->table->view, digest, &hit) != TABLE_HIT)
        return 0;
    return table_usage(&keys->table->view, hit.slot).record;
}

int keys_counted(const struct keys *keys, const struct record *record, struct total *ret_total,
                 struct error *error)
{
    return sweeper_total(keys->store, keys->sweeper.tally, record->id,
                         shown_ref(keys, &record->digest), keys->now_unix_ms / 1000, ret_total,
                         error);
}

int keys_total(const struct keys *keys, const struct record *record, struct total *ret_total,
               struct error *error)
{
    int r = keys_counted(keys, record, ret_total, error);
    if (r == 0 && ret_total->used.last_unix_s < record->last_used_unix_s) {
        ret_total->used.last_unix_s = record->last_used_unix_s;
        ret_total->used.has_from = false;
    }
    return r;
}

static int show_uses(const struct keys *keys, struct op_key *key, struct error *error)
{
    const struct record *record = &key->record;
    uint64_t group = keys_limit_group(record);
    struct table_usage usage = {0};
    struct total total = key->total;
    int r = 0;

    if (record->allowance.uses == 0 || record->purged)
        return 0;
    if (group != record->id)
        r = store_total(keys->store, group, &total, error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    find_usage(keys, &record->digest, &usage);
    key->uses_left = uses_left_milli(&keys->uses, &total, usage.block) / USES_MILLI;
    return 0;
}

int keys_show_usage(const struct keys *keys, struct op_key *key, struct error *error)
{
    int r = keys_total(keys, &key->record, &key->total, error);

    return r != 0 ? r : show_uses(keys, key, error);
}

/* A successor goes on with what there is. */
static bool begins(const struct record *old, const struct record *record)
{
    return old == NULL ? record->allowance.uses != 0 && record->limit_group == 0
                       : !allowance_equal(&old->allowance, &record->allowance);
}

int keys_begin_uses(struct run *run, const struct record *old, const struct record *record)
{
    struct keys *keys = run->keys;
    uint64_t group = keys_limit_group(record);
    struct total total = {.used = {.count = 0}};

    if (!begins(old, record))
        return 0;
    struct keys_gift *gift = calloc(1, sizeof *gift);
    if (gift == NULL)
        return error_set(&run->op->error, CATLATCH_E_MEMORY, "changing a key's uses");
    keys->claims[keys->claim_count - 1].gift = gift;
    *gift = (struct keys_gift){
        .group = group, .created_unix_s = record->created_unix_s, .allowance = record->allowance};
    int r = store_total(keys->store, group, &total, &run->op->error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    uint64_t left = run->uses_left != NULL ? *run->uses_left : record->allowance.uses;
    uses_begin(&keys->uses, record, left * USES_MILLI, run->now_unix_s, &total, &gift->gift);
    return store_put_total(run->txn, group, &total, &run->op->error);
}

void keys_give_uses(struct keys *keys, struct keys_claim *claim)
{
    const struct usage_area *area = tally_area(keys->sweeper.tally);
    struct keys_gift *gift = claim->gift;
    uint32_t block = (uint32_t)(claim->claim.usage >> 32);
    struct usage_limits *words = area != NULL ? usage_limits_at(area, block) : NULL;

    if (gift == NULL)
        return;
    if (words != NULL && gift->allowance.uses != 0)
        uses_reset(words, &gift->gift);
    /* Without memory for it the block is not filled again before a restart. */
    uses_know(&keys->uses, gift->group, &gift->allowance, gift->created_unix_s, block);
    free(gift);
    claim->gift = NULL;
}

/* What needs no look at the store. */
static bool was_seen_after(const struct keys *keys, const struct record *record,
                           int64_t since_unix_s)
{
    struct total live = {.used = {.count = 0}};

    if (record->created_unix_s > since_unix_s || record->last_used_unix_s > since_unix_s)
        return true;
    sweeper_look_again(keys->sweeper.tally, shown_ref(keys, &record->digest),
                       keys->now_unix_ms / 1000, &live);
    return live.used.last_unix_s > since_unix_s;
}

int keys_is_unused(const struct keys *keys, const struct record *record, int64_t since_unix_s,
                   bool *ret_unused, struct error *error)
{
    struct total total;

    *ret_unused = false;
    if (was_seen_after(keys, record, since_unix_s))
        return 0;
    int r = keys_total(keys, record, &total, error);
    *ret_unused = r == 0 && total.used.last_unix_s <= since_unix_s;
    return r;
}

/* Keys of an owner who was suspended until lately could not be used. */
static int was_resumed_after(struct keys *keys, struct text name, int64_t since_unix_s,
                             bool *ret_resumed, struct error *error)
{
    struct store_buffer buffer; /* of its own: the record's texts may lie in that of `keys` */
    struct record_owner owner = {.suspended_unix_s = 0};

    int r = store_owner(keys->store, NULL, name, &buffer, &owner, error);
    *ret_resumed = owner.suspended_unix_s > since_unix_s;
    return r == CATLATCH_E_NOT_FOUND ? 0 : r;
}

int keys_is_idle(struct keys *keys, const struct record *record, int64_t since_unix_s,
                 bool *ret_idle, struct error *error)
{
    bool resumed = false;

    *ret_idle = false;
    if (record_state(record, keys->now_unix_ms / 1000) != STATE_ACTIVE ||
        record->enabled_unix_s > since_unix_s || record->not_before_unix_s > since_unix_s)
        return 0;
    int r = keys_is_unused(keys, record, since_unix_s, ret_idle, error);
    if (r == 0 && *ret_idle)
        r = was_resumed_after(keys, record->owner, since_unix_s, &resumed, error);
    *ret_idle &= r == 0 && !resumed;
    return r;
}

void keys_settle_usage(const struct keys *keys, struct op *op)
{
    struct tally *tally = keys->sweeper.tally;

    for (size_t i = 0; i < op->key_count; i++) {
        struct op_key *key = &op->keys[i];
        uint32_t ref = shown_ref(keys, &key->record.digest);
        sweeper_look_again(tally, ref, keys->now_unix_ms / 1000, &key->total);
        if (op->kind == OP_PURGE && ref != 0)
            tally_know(tally, ref, 0);
    }
}

int64_t keys_history_kept_s(const struct config *config, enum history_level level)
{
    switch (level) {
    case HISTORY_DAYS:
        return config->history_days_s;
    case HISTORY_HOURS:
        return config->history_hours_s;
    case HISTORY_MINUTES:
        return config->history_minutes_s;
    case HISTORY_LEVELS:
        break;
    }
    return 0;
}

struct history_plan keys_history_plan(const struct config *config, int64_t now_unix_s)
{
    struct history_plan plan = {.now_unix_s = now_unix_s};

    for (unsigned i = 0; i < HISTORY_LEVELS; i++)
        plan.kept[i] = keys_history_kept_s(config, (enum history_level)i) != 0;
    return plan;
}

/* What was counted and not swept yet: it goes to the span of this moment. */
struct unswept {
    uint32_t bucket;
    struct history_entry entry;
    uint64_t results[PROCESS_RESULTS];
};

static int find_unswept(const struct keys *keys, const struct op *op, const struct record *record,
                        struct unswept *ret, struct error *error)
{
    struct total before = {.used = {.count = 0}}, now;
    uint64_t counts[PROCESS_RESULTS];

    ret->bucket = history_bucket(op->level, keys->now_unix_ms / 1000);
    if (op->id_count == 0) {
        sweeper_results(&keys->sweeper, counts, ret->results);
        return 0;
    }
    int r = store_total(keys->store, record->id, &before, error);
    if (r == 0 || r == CATLATCH_E_NOT_FOUND)
        r = keys_total(keys, record, &now, error);
    if (r == 0)
        ret->entry = sweeper_more(&before, &now);
    return r;
}

static bool is_empty(const struct op_span *span)
{
    uint64_t any = span->entry.granted | span->entry.refused;

    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        any |= span->results[i];
    return any == 0;
}

static int read_span(const struct keys *keys, const struct op *op, uint32_t bucket,
                     const struct unswept *unswept, struct op_span *ret_span, struct error *error)
{
    struct op_span span = {.begin_unix_s = history_begin_s(op->level, bucket)};
    int r = op->id_count > 0
                ? store_history(keys->store, op->level, bucket, op->ids[0], &span.entry, error)
                : store_history_results(keys->store, op->level, bucket, span.results, error);

    if (r == 0 && bucket == unswept->bucket) {
        span.entry.granted = history_add(span.entry.granted, unswept->entry.granted);
        span.entry.refused = history_add(span.entry.refused, unswept->entry.refused);
        for (unsigned i = 0; i < PROCESS_RESULTS; i++)
            span.results[i] = history_add(span.results[i], unswept->results[i]);
    }
    if (r == 0)
        *ret_span = span;
    return r;
}

/* To what can be there, so that no page after page is looked at for nothing. What lies ahead was
 * counted before the clock was set back. */
static void bound_times(const struct keys *keys, struct op *op)
{
    int64_t now_unix_s = keys->now_unix_ms / 1000;
    int64_t reach_s = keys_history_kept_s(keys->config, op->level) + 2 * history_span_s(op->level);

    if (op->since_unix_s < now_unix_s - reach_s)
        op->since_unix_s = now_unix_s - reach_s;
    if (op->until_unix_s > now_unix_s + reach_s)
        op->until_unix_s = now_unix_s + reach_s;
}

int keys_history(struct keys *keys, struct op *op)
{
    struct run run = {.keys = keys, .op = op, .now_unix_s = keys->now_unix_ms / 1000};

    bound_times(keys, op);
    struct unswept unswept = {.bucket = 0};
    struct record record = {.id = 0};
    uint32_t bucket = history_bucket(op->level, op->since_unix_s);

    int r = op->id_count > 0 ? keys_fetch(&run, op->ids[0], &record) : 0;
    if (r == 0)
        r = find_unswept(keys, op, &record, &unswept, &op->error);
    if (r != 0)
        return r;
    op->spans = op_alloc(op, OP_SPANS_MAX * sizeof *op->spans);
    if (op->spans == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "reading a history");
    for (unsigned i = 0; history_begin_s(op->level, bucket) < op->until_unix_s; i++, bucket++) {
        struct op_span *span = &op->spans[op->span_count];
        if (i == OP_SPANS_MAX) {
            op->next_unix_s = history_begin_s(op->level, bucket);
            return 0;
        }
        if ((r = read_span(keys, op, bucket, &unswept, span, &op->error)) != 0)
            return r;
        op->span_count += !is_empty(span);
    }
    return 0;
}
