/* Which record of the usage area is a key's, and what is known of its use. */
#include "daemon/keys_internal.h"

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

/* What it has in the next generation already, it has. */
static void add_coming(const struct keys *keys, const struct digest *digest,
                       struct table_usage *io_usage)
{
    struct table_hit hit;

    if (io_usage->block == 0 && keys->coming != NULL &&
        table_find(keys->coming, digest, &hit) == TABLE_HIT)
        io_usage->block = table_usage(keys->coming, hit.slot).block;
}

bool keys_find_usage(const struct keys *keys, const struct digest *digest,
                     struct table_usage *ret_usage)
{
    const struct table_view *view = &keys->table->view;
    struct table_hit hit;

    if (table_find(view, digest, &hit) == TABLE_HIT)
        *ret_usage = table_usage(view, hit.slot);
    else if (!find_claimed(keys, digest, ret_usage))
        return false;
    add_coming(keys, digest, ret_usage);
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
    if (!keys_find_usage(keys, &entry->digest, &found)) {
        found.record = tally_take(tally, entry->id);
        ret->took_record = found.record != 0;
    }
    /* A key that is in the table without one gets it with the next generation. */
    bool named = ret->took_record && keys->config->named_limits.count > 0;
    if (found.block == 0 && record != NULL && (named || keys_has_limits(record))) {
        uint32_t before = tally_highest(tally);
        found.block = keys_take_block(tally, record);
        ret->took_block = tally_highest(tally) != before;
        /* Of a named limit it is unavailable, and the next generation tries again. */
        if (found.block == 0 && keys_has_limits(record) && tally_area(tally) != NULL) {
            keys_give_usage_back(keys, ret);
            return CATLATCH_E_FULL;
        }
    }
    ret->usage = found.record | (uint64_t)found.block << 32;
    keys_tell_refs(tally, keys->table);
    return 0;
}

bool keys_take_owner_block(struct keys *keys, struct owner_state *state)
{
    struct tally *tally = keys->sweeper.tally;

    if (tally_area(tally) == NULL)
        return true;
    if (state->rates.count > 0 && state->block == 0)
        state->block = tally_take_block(tally);
    /* Of a block too that a growth which came to nothing has given him. */
    keys_tell_refs(tally, keys->table);
    return state->rates.count == 0 || state->block != 0;
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

    if (keys->sweeper.tally != NULL && keys_find_usage(keys, &record->digest, &usage) &&
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

uint32_t keys_usage_ref(const struct keys *keys, const struct digest *digest)
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
                         keys_usage_ref(keys, &record->digest), keys->now_unix_ms / 1000, ret_total,
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

int keys_show_usage(const struct keys *keys, struct op_key *key, struct error *error)
{
    int r = keys_total(keys, &key->record, &key->total, error);

    return r != 0 ? r : keys_show_uses(keys, key, error);
}

void keys_settle_usage(const struct keys *keys, struct op *op)
{
    struct tally *tally = keys->sweeper.tally;

    for (size_t i = 0; i < op->key_count; i++) {
        struct op_key *key = &op->keys[i];
        uint32_t ref = keys_usage_ref(keys, &key->record.digest);
        sweeper_look_again(tally, ref, keys->now_unix_ms / 1000, &key->total);
        if (op->kind == OP_PURGE && ref != 0)
            tally_know(tally, ref, 0);
    }
}
