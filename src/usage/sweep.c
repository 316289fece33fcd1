#include "usage/sweep.h"

/* The lowest `count` bits that are set. */
static uint64_t lowest_bits(uint64_t bits, size_t count)
{
    uint64_t rest = bits;
    for (size_t i = 0; i < count && rest != 0; i++)
        rest &= rest - 1;
    return bits ^ rest;
}

static size_t list_bits(uint64_t bits, uint32_t first_ref, uint32_t *ret_refs)
{
    size_t count = 0;
    for (; bits != 0; bits &= bits - 1)
        ret_refs[count++] = first_ref + (uint32_t)__builtin_ctzll(bits);
    return count;
}

/* Takes at most `room` marks of one word away, from `ref` on. Returns those that it took, and says
 * where what did not fit begins: at the next word if nothing is left. */
static uint64_t take_marks(_Atomic uint64_t *word, uint32_t ref, size_t room, uint32_t *ret_next)
{
    /* Nobody's record 0 has a mark only if it was scribbled. Relaxed: what is set later is for the
     * next round. */
    uint64_t wanted = -usage_mark_bit(ref > 0 ? ref : 1);
    uint64_t set = atomic_load_explicit(word, memory_order_relaxed) & wanted;
    uint64_t taken = lowest_bits(set, room);

    *ret_next =
        taken == set ? (ref | 63) + 1 : ref / 64 * 64 + (uint32_t)__builtin_ctzll(set ^ taken);
    if (taken == 0)
        return 0;
    /* seq_cst: pairs with usage_note's addition and look; see record.h. A mark that another sweep
     * took meanwhile is the other's. */
    return taken & atomic_fetch_and_explicit(word, ~taken, memory_order_seq_cst);
}

bool usage_sweep(const struct usage_area *area, struct usage_cursor *io_at, size_t max_words,
                 uint32_t *ret_refs, size_t max_refs, size_t *ret_count)
{
    uint32_t ref = io_at->ref, last = usage_capacity(area->segment_count);
    size_t count = 0;

    for (; ref <= last && last > 0 && max_words > 0 && count < max_refs; max_words--) {
        uint32_t first = ref / 64 * 64;
        uint64_t taken = take_marks(usage_mark_word(area, ref), ref, max_refs - count, &ref);
        count += list_bits(taken, first, ret_refs + count);
    }
    *ret_count = count;
    bool is_over = ref > last || last == 0;
    io_at->ref = is_over ? 0 : ref;
    return is_over;
}
