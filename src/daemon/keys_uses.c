/* What is left of a key's uses: what it begins with, is given and shows. */
#include <stdlib.h>

#include "daemon/keys_internal.h"

int keys_show_uses(const struct keys *keys, struct op_key *key, struct error *error)
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
    keys_find_usage(keys, &record->digest, &usage);
    key->uses_left = uses_left_milli(&keys->uses, &total, usage.block) / USES_MILLI;
    return 0;
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
