/* The flag that an owner's keys share, in passing through all slots: with many keys that costs a
 * tenth of finding each by its digest. */
#include <string.h>

#include "table/writer.h"

/* Whether the owner's record at this reference names the owner. Most of an owner's keys share one,
 * so the last that did is remembered. */
static bool names_owner(const struct table_writer *writer, uint32_t ref, struct text owner,
                        uint32_t *io_known)
{
    const unsigned char *record = writer->side + (uint64_t)ref * 8;
    if (ref == *io_known)
        return true;
    if (record[0] != owner.len || memcmp(record + 1, owner.bytes, owner.len) != 0)
        return false;
    *io_known = ref;
    return true;
}

static uint32_t owner_ref_of(const struct table_writer *writer, const struct table_slot *slot)
{
    uint32_t ref = atomic_load_explicit(&slot->identity_ref, memory_order_relaxed);
    struct table_side_identity fixed;
    memcpy(&fixed, writer->side + (uint64_t)ref * 8, sizeof fixed);
    return fixed.owner_ref;
}

bool table_suspend(struct table_writer *writer, struct text owner, bool suspended,
                   uint64_t *io_slot, uint64_t max)
{
    uint64_t count = writer->view.slot_count, at = *io_slot < count ? *io_slot : count;
    uint64_t end = count - at > max ? at + max : count;
    uint32_t known = 0;
    for (; at < end; at++) {
        struct table_slot *slot = &writer->slots[at];
        uint64_t control = atomic_load_explicit(&slot->control, memory_order_relaxed);
        uint64_t wanted = suspended ? control | CONTROL_SUSPENDED : control & ~CONTROL_SUSPENDED;
        if (control_state(control) == SLOT_LIVE && wanted != control &&
            names_owner(writer, owner_ref_of(writer, slot), owner, &known))
            /* release: pairs with the acquire in table_find */
            atomic_store_explicit(&slot->control, wanted, memory_order_release);
    }
    *io_slot = end;
    return end == count;
}
