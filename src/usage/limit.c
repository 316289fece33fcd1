#include "usage/limit.h"

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

static_assert(NS_PER_S / RATE_PER_SECOND_MAX >= GCRA_UNIT_MILLI,
              "a thousandth of a unit is a nanosecond");
/* Rounding up makes a burst at most one nanosecond a unit longer. */
static_assert(RATE_PERIOD_MAX_S * NS_PER_S + RATE_COUNT_MAX < UINT64_C(1) << 55,
              "a tolerance, an increment and the clock add up in 64 bits");

static inline uint64_t bounded(uint64_t now_ns)
{
    return now_ns < LIMIT_CLOCK_MAX_NS ? now_ns : LIMIT_CLOCK_MAX_NS;
}

void limits_look(const struct limit *limits, unsigned count, struct limit_charge *ret)
{
    ret->verdict = LIMIT_REFUSED;
    ret->count = count;
    ret->charged = 0;
    ret->forgone = 0;
    for (unsigned i = 0; i < count; i++)
        /* acquire: before the clock is read; pairs with charge_one() and heal() */
        ret->seen[i] = atomic_load_explicit(limits[i].word, memory_order_acquire);
}

enum limit_verdict limits_weigh(const struct limit *limits, struct limit_charge *charge,
                                uint32_t cost_milli, uint64_t now_ns)
{
    charge->cost_milli = cost_milli;
    charge->now_ns = bounded(now_ns);
    charge->verdict = LIMIT_GRANTED;
    for (unsigned i = 0; i < charge->count; i++) {
        uint64_t level_ns = gcra_level(limits[i].rule, charge->seen[i], charge->now_ns);
        if (!gcra_has_room(limits[i].rule, cost_milli, level_ns))
            charge->verdict = LIMIT_REFUSED;
    }
    return charge->verdict;
}

/* Sets words that the look saw too far ahead back to where they may be; see limit.h. */
static void heal(const struct limit *limits, const struct limit_charge *charge)
{
    for (unsigned i = 0; i < charge->count; i++) {
        uint64_t seen = charge->seen[i], most = charge->now_ns + limits[i].rule->tolerance_ns;
        if (seen > most)
            /* release: after the clock was read; pairs with limits_look(). If it is another by now,
             * it is not the one that was seen too far ahead. */
            atomic_compare_exchange_strong_explicit(limits[i].word, &seen, most,
                                                    memory_order_release, memory_order_relaxed);
    }
}

/* Begins with the word as the look saw it. A later one is not set back if it is too far ahead: its
 * writer may have read the clock after us. */
static enum limit_verdict charge_one(const struct limit *limit, const struct limit_charge *charge,
                                     uint64_t *io_seen, uint64_t *ret_wrote)
{
    const struct limit_rule *rule = limit->rule;

    for (unsigned tries = 0; tries < LIMIT_TRIES; tries++) {
        uint64_t level_ns = gcra_level(rule, *io_seen, charge->now_ns);
        if (!gcra_has_room(rule, charge->cost_milli, level_ns))
            return LIMIT_REFUSED;
        *ret_wrote = charge->now_ns + level_ns + gcra_increment(rule, charge->cost_milli);
        /* release: after the clock was read; pairs with limits_look() */
        if (atomic_compare_exchange_strong_explicit(limit->word, io_seen, *ret_wrote,
                                                    memory_order_release, memory_order_relaxed))
            return LIMIT_GRANTED;
    }
    return LIMIT_BUSY;
}

/* The last first: the way they came. */
static void give_back(const struct limit *limits, struct limit_charge *charge)
{
    while (charge->charged > 0) {
        unsigned i = --charge->charged;
        uint64_t wrote = charge->wrote[i];
        /* Relaxed: it says nothing of a clock that the words before it do not. */
        if (!atomic_compare_exchange_strong_explicit(limits[i].word, &wrote, charge->seen[i],
                                                     memory_order_relaxed, memory_order_relaxed))
            charge->forgone++;
    }
}

/* Of one limit there is nothing to weigh first: it is charged, or not. */
static enum limit_verdict charge_alone(const struct limit *limit, struct limit_charge *charge)
{
    uint64_t looked = charge->seen[0];

    charge->verdict = charge_one(limit, charge, &charge->seen[0], &charge->wrote[0]);
    charge->charged = charge->verdict == LIMIT_GRANTED;
    if (charge->verdict == LIMIT_REFUSED && charge->seen[0] == looked)
        heal(limit, charge);
    return charge->verdict;
}

enum limit_verdict limits_charge(const struct limit *limits, struct limit_charge *charge,
                                 uint32_t cost_milli, uint64_t now_ns)
{
    if (charge->count == 1) {
        charge->cost_milli = cost_milli;
        charge->now_ns = bounded(now_ns);
        return charge_alone(limits, charge);
    }
    if (limits_weigh(limits, charge, cost_milli, now_ns) != LIMIT_GRANTED) {
        heal(limits, charge);
        return charge->verdict;
    }
    charge->charged = 0; /* a second charge without a look is a mistake, but not one to crash by */
    for (unsigned i = 0; i < charge->count; i++) {
        charge->verdict = charge_one(&limits[i], charge, &charge->seen[i], &charge->wrote[i]);
        if (charge->verdict != LIMIT_GRANTED) {
            give_back(limits, charge);
            break;
        }
        charge->charged++;
    }
    return charge->verdict;
}

unsigned limits_undo(const struct limit *limits, struct limit_charge *charge)
{
    give_back(limits, charge);
    return charge->forgone;
}

static uint64_t ms_of(uint64_t ns)
{
    return (ns + NS_PER_MS - 1) / NS_PER_MS;
}

/* How long this limit alone refuses the cost. */
static uint64_t wait_ms(const struct limit_rule *rule, uint32_t cost_milli, uint64_t level_ns)
{
    if (!gcra_is_affordable(rule, cost_milli))
        return LIMIT_NEVER;
    if (gcra_has_room(rule, cost_milli, level_ns))
        return 0;
    return ms_of(level_ns + gcra_increment(rule, cost_milli) - rule->tolerance_ns);
}

/* The most that fits behind this level: its increment, rounded up, is at most the room. */
static uint64_t remaining_milli_of(const struct limit_rule *rule, uint64_t level_ns)
{
    uint64_t room_ns = rule->tolerance_ns - level_ns;
    if (rule->unit_ns == 0)
        return 0;
    return (uint64_t)((unsigned __int128)room_ns * GCRA_UNIT_MILLI / rule->unit_ns);
}

uint64_t limits_level_ns(const struct limit *limits, const struct limit_charge *charge, unsigned i)
{
    uint64_t word = i < charge->charged ? charge->wrote[i] : charge->seen[i];

    return gcra_level(limits[i].rule, word, charge->now_ns);
}

void limit_answer(const struct limit_rule *rule, uint64_t level_ns, enum limit_verdict verdict,
                  uint32_t cost_milli, struct limit_answer *ret)
{
    *ret = (struct limit_answer){.remaining_milli = remaining_milli_of(rule, level_ns),
                                 .reset_ms = ms_of(level_ns)};
    ret->remaining = (uint32_t)(ret->remaining_milli / GCRA_UNIT_MILLI);
    if (verdict != LIMIT_GRANTED)
        ret->retry_after_ms = wait_ms(rule, cost_milli, level_ns);
}

static bool is_tighter(const struct limit_answer *a, const struct limit_answer *b)
{
    if (a->retry_after_ms != b->retry_after_ms)
        return a->retry_after_ms > b->retry_after_ms;
    if (a->remaining_milli != b->remaining_milli)
        return a->remaining_milli < b->remaining_milli;
    return a->reset_ms > b->reset_ms;
}

void limits_answer(const struct limit *limits, const struct limit_charge *charge,
                   struct limit_answer *ret)
{
    struct limit_answer tightest = {.tightest = LIMITS_MAX};

    for (unsigned i = 0; i < charge->count; i++) {
        struct limit_answer answer;
        limit_answer(limits[i].rule, limits_level_ns(limits, charge, i), charge->verdict,
                     charge->cost_milli, &answer);
        answer.tightest = i;
        if (i == 0 || is_tighter(&answer, &tightest))
            tightest = answer;
    }
    *ret = tightest;
}
