/* Which record of the usage area is a key's, and what is known of its use. */
#include "daemon/keys_internal.h"

/* A key that an earlier claim shows, which readers do not see yet. */
static bool find_claimed(const struct keys *keys, const struct digest *digest, uint32_t *ret_ref)
{
    for (size_t i = keys->claim_count; i > 0; i--) {
        const struct table_claim *claim = &keys->claims[i - 1];
        if (table_slot_has(&keys->table->slots[claim->slot], digest)) {
            *ret_ref = (uint32_t)claim->usage;
            return true;
        }
    }
    return false;
}

bool keys_take_ref(struct keys *keys, const struct table_entry *entry, uint32_t *ret_ref)
{
    const struct table_view *view = &keys->table->view;
    struct table_hit hit;

    *ret_ref = 0;
    if (keys->sweeper.tally == NULL)
        return false;
    if (table_find(view, &entry->digest, &hit) == TABLE_HIT) {
        *ret_ref = (uint32_t)table_usage(view, hit.slot);
        return false;
    }
    if (find_claimed(keys, &entry->digest, ret_ref))
        return false;
    *ret_ref = tally_take(keys->sweeper.tally, entry->id);
    keys_tell_refs(keys->sweeper.tally, keys->table);
    return *ret_ref != 0;
}

void keys_tell_refs(const struct tally *tally, struct table_writer *table)
{
    /* relaxed: what reads it is a daemon that comes after this one */
    if (tally != NULL)
        atomic_store_explicit(&table->header->usage_refs, tally_highest(tally),
                              memory_order_relaxed);
}

int keys_total(const struct keys *keys, const struct record *record, struct total *ret_total,
               struct error *error)
{
    const struct table_view *view = &keys->table->view;
    int64_t now_unix_s = keys->now_unix_ms / 1000;
    struct table_hit hit;
    uint32_t ref = 0;

    if (table_find(view, &record->digest, &hit) == TABLE_HIT)
        ref = (uint32_t)table_usage(view, hit.slot);
    int r = sweeper_total(keys->store, keys->sweeper.tally, record->id, ref, now_unix_s, ret_total,
                          error);
    /* An import told of it. */
    if (r == 0 && ret_total->used.last_unix_s < record->last_used_unix_s) {
        ret_total->used.last_unix_s = record->last_used_unix_s;
        ret_total->used.has_from = false;
    }
    return r;
}
