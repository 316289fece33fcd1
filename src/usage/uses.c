#include "usage/uses.h"

/* acquire: before the look at what is left; pairs with say() */
static bool has_more(const struct usage_limits *block)
{
    return atomic_load_explicit(&block->uses[USES_MORE], memory_order_acquire) != 0;
}

enum uses_verdict uses_charge(struct usage_limits *block, uint32_t cost_milli,
                              struct uses_charge *ret)
{
    bool more = has_more(block);
    uint64_t left = atomic_load_explicit(&block->uses[USES_LEFT], memory_order_relaxed);

    for (unsigned tries = 0; tries < USES_TRIES; tries++) {
        if (left < cost_milli)
            return more ? USES_WAITING : USES_SPENT;
        /* relaxed: the word is all that counts */
        if (atomic_compare_exchange_strong_explicit(&block->uses[USES_LEFT], &left,
                                                    left - cost_milli, memory_order_relaxed,
                                                    memory_order_relaxed)) {
            *ret = (struct uses_charge){left, left - cost_milli};
            return USES_GRANTED;
        }
    }
    return USES_WAITING;
}

enum uses_verdict uses_look(const struct usage_limits *block, uint32_t cost_milli)
{
    bool more = has_more(block);

    if (atomic_load_explicit(&block->uses[USES_LEFT], memory_order_relaxed) >= cost_milli)
        return USES_GRANTED;
    return more ? USES_WAITING : USES_SPENT;
}

void uses_undo(struct usage_limits *block, const struct uses_charge *charge)
{
    uint64_t after = charge->after;

    atomic_compare_exchange_strong_explicit(&block->uses[USES_LEFT], &after, charge->before,
                                            memory_order_relaxed, memory_order_relaxed);
}

/* Behind the gift. */
static void say(struct usage_limits *block, const struct uses_gift *gift)
{
    atomic_store_explicit(&block->uses[USES_REFILL], (uint64_t)gift->refill_unix_s,
                          memory_order_relaxed);
    atomic_store_explicit(&block->uses[USES_GIVEN], gift->given_milli, memory_order_relaxed);
    /* release: who sees that there is no more sees what was given; pairs with has_more() */
    atomic_store_explicit(&block->uses[USES_MORE], gift->more, memory_order_release);
}

void uses_give(struct usage_limits *block, const struct uses_gift *gift)
{
    atomic_fetch_add_explicit(&block->uses[USES_LEFT], gift->milli, memory_order_relaxed);
    say(block, gift);
}

void uses_reset(struct usage_limits *block, const struct uses_gift *gift)
{
    atomic_store_explicit(&block->uses[USES_LEFT], gift->milli, memory_order_relaxed);
    say(block, gift);
}
