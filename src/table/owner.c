/* What an owner's keys share, in passing through all slots: with many keys that costs a tenth of
 * finding each by its digest. */
#include <string.h>

#include "table/side.h"

int table_owner_word(struct table_writer *writer, const struct rates *rates, uint32_t block,
                     enum table_purpose purpose, uint64_t *ret_word)
{
    unsigned char record[SIDE_LIMITS_RECORD_MAX];
    uint32_t ref = 0;
    if (rates != NULL && rates->count > 0) {
        if (!rates_are_sane(rates))
            return CATLATCH_E_DATA;
        ref = side_intern(writer, record, side_limits(rates, record), purpose);
        if (ref == 0)
            return CATLATCH_E_FULL;
    }
    *ret_word = ref | (uint64_t)block << 32;
    return 0;
}

static bool names_owner(const struct table_writer *writer, uint32_t ref, struct text owner)
{
    const unsigned char *record = writer->side + (uint64_t)ref * 8;
    return record[0] == owner.len && memcmp(record + 1, owner.bytes, owner.len) == 0;
}

static void store_word(struct table_writer *writer, uint32_t ref, uint64_t word)
{
    _Atomic uint64_t *at = side_owner_word(writer, ref);
    /* release: pairs with the acquire in table_owner_limits; the rates were written before */
    if (atomic_load_explicit(at, memory_order_relaxed) != word)
        atomic_store_explicit(at, word, memory_order_release);
}

void table_store_owner_word(struct table_writer *writer, const struct table_slot *slot,
                            uint64_t word)
{
    store_word(writer, side_owner_of(writer, slot), word);
}

/* Whether the slot is one of the owner's. Most of his keys share one record, which has its word
 * once: so the last that was his is remembered. */
static bool is_owned(struct table_writer *writer, const struct table_slot *slot,
                     const struct table_owner *owner, uint32_t *io_known)
{
    uint32_t ref = side_owner_of(writer, slot);
    if (ref == *io_known)
        return true;
    if (!names_owner(writer, ref, owner->name))
        return false;
    store_word(writer, ref, owner->limits_word);
    *io_known = ref;
    return true;
}

static uint64_t owner_flags(const struct table_owner *owner)
{
    return (owner->suspended ? CONTROL_SUSPENDED : 0) |
           ((uint32_t)owner->limits_word != 0 ? CONTROL_OWNER_LIMITS : 0);
}

bool table_show_owner(struct table_writer *writer, const struct table_owner *owner,
                      uint64_t *io_slot, uint64_t max)
{
    const uint64_t flags = owner_flags(owner);
    uint64_t count = writer->view.slot_count, at = *io_slot < count ? *io_slot : count;
    uint64_t end = count - at > max ? at + max : count;
    uint32_t known = 0;
    for (; at < end; at++) {
        struct table_slot *slot = &writer->slots[at];
        uint64_t control = atomic_load_explicit(&slot->control, memory_order_relaxed);
        unsigned slot_state = control_state(control);
        /* Revoked keys have the owner's record, where the next daemon finds his block. */
        if ((slot_state != SLOT_LIVE && slot_state != SLOT_REVOKED) ||
            !is_owned(writer, slot, owner, &known))
            continue;
        uint64_t wanted = (control & ~CONTROL_OWNER_FLAGS) | flags;
        if (slot_state == SLOT_LIVE && wanted != control)
            /* release: pairs with the acquire in table_find */
            atomic_store_explicit(&slot->control, wanted, memory_order_release);
    }
    *io_slot = end;
    return end == count;
}
