/*
 * gcra.h - the arithmetic of a rate limit: what a cost moves its word by, and whether it may.
 * limit.h says what the word means. Pure.
 */
#ifndef USAGE_GCRA_H
#define USAGE_GCRA_H

#include <stdbool.h>

#include "core/rate.h"

#define GCRA_UNIT_MILLI 1000u

static inline bool gcra_is_affordable(const struct limit_rule *rule, uint32_t cost_milli)
{
    return cost_milli > 0 && cost_milli <= rule->burst_milli;
}

/* What an affordable cost moves the word by: its part of unit_ns, rounded up to a nanosecond, so
 * that any costs that add up to the burst need all of the tolerance. The first product is below
 * the tolerance; the second below 2^42. */
static inline uint64_t gcra_increment(const struct limit_rule *rule, uint32_t cost_milli)
{
    if (cost_milli == GCRA_UNIT_MILLI)
        return rule->unit_ns;
    return cost_milli * (rule->unit_ns / GCRA_UNIT_MILLI) +
           (cost_milli * (rule->unit_ns % GCRA_UNIT_MILLI) + GCRA_UNIT_MILLI - 1) / GCRA_UNIT_MILLI;
}

/* How much of the tolerance is used. A word that is further ahead uses all of it. */
static inline uint64_t gcra_level(const struct limit_rule *rule, uint64_t word, uint64_t now_ns)
{
    uint64_t ahead_ns = word > now_ns ? word - now_ns : 0;
    return ahead_ns < rule->tolerance_ns ? ahead_ns : rule->tolerance_ns;
}

static inline bool gcra_has_room(const struct limit_rule *rule, uint32_t cost_milli,
                                 uint64_t level_ns)
{
    return gcra_is_affordable(rule, cost_milli) &&
           level_ns + gcra_increment(rule, cost_milli) <= rule->tolerance_ns;
}

#endif
