#include "daemon/growth_usage.h"

#include <string.h>

#include "daemon/keys.h"

/* Keys of an owner that are looked up at most. */
#define OWNED_MAX 256u

void growth_reserve_usage(struct growth *growth)
{
    struct table_params *params = &growth->params;
    uint64_t keys = table_keys_max(params), have = tally_highest(growth->tally);
    uint64_t stored = store_key_count(growth->store);

    growth->usage_error = (struct error){0};
    if (growth->all_limited) {
        tally_expect_blocks(growth->tally);
        have /= 3; /* a record each, and a block of two */
    }
    have = have < stored ? have : stored;
    tally_reserve(growth->tally,
                  (keys > have ? keys - have : 0) + TALLY_REFS_WITH_BLOCK * growth->owner_blocks,
                  &growth->usage_error);
    const struct usage_area *area = tally_area(growth->tally);
    if (area == NULL)
        return;
    memcpy(params->usage_area, area->id, sizeof params->usage_area);
    params->usage_segments = area->segment_count;
}

static bool usage_in(const struct table_view *view, const struct digest *digest,
                     struct table_usage *ret_usage)
{
    struct table_hit hit;

    if (view == NULL || table_find(view, digest, &hit) != TABLE_HIT)
        return false;
    *ret_usage = table_usage(view, hit.slot);
    return true;
}

/* Who charges the old limit meanwhile leaves a little for the new one to begin with. */
static void clear_limits(const struct growth *growth, uint32_t block)
{
    const struct usage_area *area = tally_area(growth->tally);
    struct usage_limits *words = area != NULL ? usage_limits_at(area, block) : NULL;

    if (growth->spare_limits == 0 || words == NULL)
        return;
    for (unsigned i = 0; i < NAMED_RATES_MAX; i++)
        if ((growth->spare_limits >> i & 1) != 0)
            atomic_store_explicit(&words->named[i], 0, memory_order_relaxed);
}

/* What readers have had until now, or an earlier step gave it. */
uint64_t growth_take_usage(struct growth *growth, const struct record *record)
{
    struct table_usage usage = {0};

    if (growth->tally == NULL || record->purged) /* of which nothing is kept but its digest */
        return 0;
    struct table_usage filled = {0};
    if (!usage_in(growth->previous, &record->digest, &usage))
        usage_in(&growth->fresh->writer.view, &record->digest, &usage);
    else if (usage.block == 0 && growth->all_limited &&
             usage_in(&growth->fresh->writer.view, &record->digest, &filled))
        usage.block = filled.block; /* that an earlier step gave it */
    if (usage.record == 0)
        usage.record = tally_take(growth->tally, record->id);
    else
        tally_know(growth->tally, usage.record, record->id);
    if (usage.block != 0)
        keys_know_block(growth->tally, record, usage.block);
    else if (growth->all_limited || keys_has_limits(record))
        usage.block = keys_take_block(growth->tally, record);
    clear_limits(growth, usage.block);
    if (growth->uses != NULL && growth->old == NULL && record->allowance.uses != 0 &&
        !record->revoked)
        uses_know(growth->uses, keys_limit_group(record), &record->allowance,
                  record->created_unix_s, usage.block);
    return usage.record | (uint64_t)usage.block << 32;
}

/* The block that the table shows for the owner of this key; 0: none, or the key is not there, or
 * another's: after a restore the table can be of another history. */
static uint32_t owner_block_in(const struct table_view *view, const struct record *record)
{
    struct table_identity identity;
    struct table_limits limits;
    struct table_hit hit;
    uint32_t block;

    return table_find(view, &record->digest, &hit) == TABLE_HIT &&
                   table_identity(view, hit.slot, &identity) == 0 &&
                   text_is(record->owner, identity.owner) &&
                   table_owner_limits(view, hit.slot, &limits, &block) == 0
               ? block
               : 0;
}

/* Any key of his says it that readers have had until now; this one may have come since, and the
 * first of the others hardly did. */
static uint32_t known_block(struct growth *growth, const struct record *record)
{
    uint64_t ids[OWNED_MAX];
    struct store_buffer buffer;
    struct record other;
    size_t count = 0;

    if (growth->previous == NULL)
        return 0;
    uint32_t block = owner_block_in(growth->previous, record);
    if (block == 0 && store_find(growth->store, STORE_BY_OWNER, record->owner, 0, ids, OWNED_MAX,
                                 &count, NULL) != 0)
        return 0;
    for (size_t i = 0; i < count && block == 0; i++)
        if (store_key(growth->store, NULL, ids[i], &buffer, &other, NULL) == 0)
            block = owner_block_in(growth->previous, &other);
    /* Nobody else gets it, whatever its table's header says. */
    if (block != 0)
        tally_know(growth->tally, block + 1, 0);
    return block;
}

const struct owner_state *growth_owner(struct growth *growth, const struct record *record)
{
    const struct owner_state *known = owners_find(growth->owners, record->owner);
    struct owner_state state = *known;

    /* Once for each table: what was not found or had for one key is not for his others. */
    if (state.rates.count == 0 || state.block != 0 || tally_area(growth->tally) == NULL ||
        state.wanting == growth->params.generation)
        return known;
    if (growth->old == NULL) /* later all blocks are known */
        state.block = known_block(growth, record);
    if (state.block == 0)
        state.block = tally_take_block(growth->tally);
    if (state.block == 0)
        state.wanting = growth->params.generation;
    owners_set(growth->owners, record->owner, &state); /* who is there: it cannot fail */
    return owners_find(growth->owners, record->owner);
}

void growth_rewind_usage(struct growth *growth)
{
    tally_rewind(growth->tally, growth->refs_before);
    owners_forget_blocks(growth->owners, growth->refs_before);
}
