/*
 * limit.h - a rate limit that all processes of the host share: whether a request may pass, and what
 * is left.
 *
 * GCRA, the generic cell rate algorithm (ITU-T I.371), in its form of virtual scheduling. A limit
 * is one word of usage_limits: the time (ns of the clock) at which it has its whole burst again,
 * and in the past if it has. A unit costs unit_ns, the period divided by the count, and moves the
 * word so far into the future, from now on if it lay in the past. It may lie burst * unit_ns ahead,
 * the tolerance, and what would move it further is refused and does not move it. So in any span of
 * time at most burst + span / unit_ns units pass, whoever comes in what order.
 *
 * A request:
 *
 *     struct limit_charge charge;
 *     limits_look(limits, count, &charge);
 *     uint64_t now_ns = ...;                   the clock, read after the look
 *     switch (limits_charge(limits, &charge, cost_milli, now_ns)) { ... }
 *     limits_undo(limits, &charge);            if it is refused elsewhere after all
 *     limits_answer(limits, &charge, &answer); if somebody wants to know
 *
 * The clock is CLOCK_MONOTONIC or its coarse form: the same for everybody who charges a word, for
 * one that ran ahead of the others' would fill their limits. Why it is read after the look: nobody
 * writes a word further ahead of the time that it read than the tolerance, and reads that time
 * before it writes. So a word that is further ahead of a time read later was written by none of
 * us; it is set back to where it may be. With an older time an honest word could look like that,
 * and setting it back would give away what others have charged.
 *
 * What somebody scribbles on a word throttles this limit or un-limits it, and does nothing else:
 *  in the past          its whole burst is there again;
 *  within the tolerance  as if so much of the burst had been used, or had not;
 *  further ahead        refused, and by the first charge that looks at it set back to the
 *                       tolerance, as if the whole burst had been used just now. So it heals as
 *                       time passes, the longer the more often somebody scribbles.
 * The same holds for a word that was another rule's, as when a rate changed. But processes that
 * hold different rules for one word undo each other's: the narrower sets back what is legal by the
 * wider one, which then counts nothing beyond it.
 *
 * Order. That a limit is exact rests on the one word and its compare-and-swaps alone, which are in
 * one order however relaxed they are. What is more than relaxed pairs as said above: whoever sees a
 * word (acquire) reads a clock no earlier than the one which that word's writer had read (release).
 * All writes but scribbles are read-modify-writes, and so continue the release sequences before
 * them: who sees a give-back, which is relaxed, sees the charges behind it. A scribble releases
 * nothing, and needs not.
 *
 * Everything is wait-free: at most LIMIT_TRIES compare-and-swaps for each limit. A worker that is
 * killed in between has charged what it has charged; with several limits that can be some of them.
 */
#ifndef USAGE_LIMIT_H
#define USAGE_LIMIT_H

#include "usage/gcra.h"
#include "usage/layout.h"

/* Charged together, at most: a key's own and its owner's are eight. */
#define LIMITS_MAX 12u
static_assert(LIMITS_MAX >= 2 * RATES_MAX, "a key's own and its owner's");

/* Each that is lost is another's success. After its burst a limit passes a million units a second
 * at most: one unit in the time that some ten tries take. So 64 in a row are lost only where tens
 * of processors take a large burst apart, and longer than those few microseconds nobody should be
 * kept. */
#define LIMIT_TRIES 64u

/* Later times are taken as this: a clock of ours counts from the start, and in 63 bits. So nothing
 * that is added to it overflows. */
#define LIMIT_CLOCK_MAX_NS ((uint64_t)INT64_MAX)

/* No two that are charged together have one word. */
struct limit {
    const struct limit_rule *rule;
    _Atomic uint64_t *word;
};

enum limit_verdict {
    LIMIT_REFUSED = 0, /* some limit has less left than this costs; nothing was charged */
    LIMIT_GRANTED = 1, /* every limit was charged */
    /* Others were at a word all the time: whether it has as much left was not found out. This is an
     * outage, never a refusal; nothing was charged. */
    LIMIT_BUSY = 2,
};

/* One request: what became of it at each limit. The caller's, which gives it back with the same
 * limits to undo or to ask. */
struct limit_charge {
    enum limit_verdict verdict;
    unsigned count;   /* of limits */
    unsigned charged; /* so many of the first have been and can be given back */
    unsigned forgone; /* so many charges could not be given back */
    uint32_t cost_milli;
    uint64_t now_ns;
    uint64_t seen[LIMITS_MAX]; /* the words before; only `count` of each are set */
    uint64_t wrote[LIMITS_MAX];
};

/* Reads the words of `count` limits, LIMITS_MAX at most. Then the clock is read. */
void limits_look(const struct limit *limits, unsigned count, struct limit_charge *ret);

/*
 * Charges each of the limits that were looked at, or none of them. cost_milli is 1 to the least
 * burst of them, in thousandths of a unit; what costs nothing or more is refused for ever. No
 * limits grant.
 *
 * All are judged by what the look saw before any is charged. So what is refused charges nothing,
 * and writes nothing but words that are too far ahead. If somebody else charged meanwhile, so that
 * a later one refuses or is busy, the earlier ones get theirs back as limits_undo does it.
 */
enum limit_verdict limits_charge(const struct limit *limits, struct limit_charge *charge,
                                 uint32_t cost_milli, uint64_t now_ns);

/*
 * The whole of it for one limit, where that is granted at once: one try, by a clock that was read
 * before the look and counts in 63 bits. *ret_level_ns: how much of its tolerance is used then.
 * False: nothing was charged and nothing is known; who asked goes the long way.
 *
 * The older clock does no harm here: whoever finds too little room by it only looks again, and what
 * it writes is ahead of its clock by the tolerance at most.
 */
static inline bool limit_charge_once(const struct limit_rule *rule, _Atomic uint64_t *word,
                                     uint32_t cost_milli, uint64_t now_ns, uint64_t *ret_level_ns)
{
    uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
    uint64_t level_ns = gcra_level(rule, seen, now_ns);

    if (!gcra_has_room(rule, cost_milli, level_ns))
        return false;
    *ret_level_ns = level_ns + gcra_increment(rule, cost_milli);
    /* release: after the clock was read; pairs with limits_look() */
    return atomic_compare_exchange_strong_explicit(word, &seen, now_ns + *ret_level_ns,
                                                   memory_order_release, memory_order_relaxed);
}

/* What limits_charge would say, by what the look saw. Nothing is written. */
enum limit_verdict limits_weigh(const struct limit *limits, struct limit_charge *charge,
                                uint32_t cost_milli, uint64_t now_ns);

/*
 * Takes a charge that was granted back. Each word goes from what was written to what was seen, by
 * one compare-and-swap: if somebody has charged it since, it stays as it is, and this cost is
 * forgone. Nobody ever gets more for it. Once is enough: again, and of what was not granted, it
 * does nothing. Returns how many charges were forgone.
 */
unsigned limits_undo(const struct limit *limits, struct limit_charge *charge);

#define LIMIT_NEVER UINT64_MAX

/* About the limit that is the tightest: of those that refuse, the one that does so for longest;
 * otherwise the one that has the least left, and of these the one that takes longest to recover. */
struct limit_answer {
    unsigned tightest;        /* its index; LIMITS_MAX if there are no limits, and zeros below */
    uint32_t remaining;       /* whole units that it would grant at once */
    uint64_t remaining_milli; /* the most that it would grant as one cost */
    uint64_t reset_ms;        /* until it has its whole burst again, if nobody charges */
    /* 0 when it was granted. Otherwise rounded up, so that by the same clock it is granted then, if
     * nobody else charges; LIMIT_NEVER if it costs more than a burst has. */
    uint64_t retry_after_ms;
};

/* As the limits are after a charge, or were when it was refused, busy or undone; after limits_weigh
 * as the look saw them. Some divisions for each limit, so only for who asks. */
void limits_answer(const struct limit *limits, const struct limit_charge *charge,
                   struct limit_answer *ret);

/* The same of one limit, for who keeps no more of it than its level: how much of its tolerance is
 * used, in ns, as limits_answer would see it. `tightest` is 0. */
uint64_t limits_level_ns(const struct limit *limits, const struct limit_charge *charge, unsigned i);
void limit_answer(const struct limit_rule *rule, uint64_t level_ns, enum limit_verdict verdict,
                  uint32_t cost_milli, struct limit_answer *ret);

#endif
