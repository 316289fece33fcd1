/*
 * limit_model.h - a rate limit as a sum, for what tests a limit: exact in 128 bits, one process, no
 * words that wrap, and nothing that is cleverer than it must be. For fuzzers too, so without
 * cmocka.
 */
#ifndef TESTS_LIMIT_MODEL_H
#define TESTS_LIMIT_MODEL_H

#include <stdbool.h>

#include "core/rate.h"

typedef __int128 wide;

struct limit_model {
    wide unit, tolerance;
    wide burst_milli;
    wide full_at; /* when the whole burst is there again */
};

static inline struct limit_model model_of(const struct rate *rate)
{
    wide period = (wide)rate->period_s * 1000000000;
    struct limit_model model = {.unit = period / rate->count,
                                .burst_milli = (wide)rate->burst * 1000};
    if (model.unit * rate->count < period)
        model.unit++;
    model.tolerance = model.unit * rate->burst;
    return model;
}

/* -1: more than there ever is, or nothing. */
static inline wide model_needs(const struct limit_model *model, uint32_t cost_milli)
{
    wide thousandths = model->unit * cost_milli;
    if (cost_milli == 0 || cost_milli > model->burst_milli)
        return -1;
    return thousandths / 1000 + (thousandths % 1000 != 0);
}

static inline wide model_clock(uint64_t now_ns)
{
    return now_ns > INT64_MAX ? (wide)INT64_MAX : (wide)now_ns;
}

/* What is used at this time: 0 to the tolerance. */
static inline wide model_level(const struct limit_model *model, uint64_t now_ns)
{
    wide level = model->full_at - model_clock(now_ns);
    if (level < 0)
        return 0;
    return level > model->tolerance ? model->tolerance : level;
}

/* How long it must still be waited for so much; -1: for ever. */
static inline wide model_wait(const struct limit_model *model, uint64_t now_ns, uint32_t cost_milli)
{
    wide needs = model_needs(model, cost_milli);
    if (needs < 0)
        return -1;
    wide over = model_level(model, now_ns) + needs - model->tolerance;
    return over > 0 ? over : 0;
}

/* What is too far ahead is brought back by whoever looks at it. */
static inline void model_look(struct limit_model *model, uint64_t now_ns)
{
    if (model->full_at > model_clock(now_ns) + model->tolerance)
        model->full_at = model_clock(now_ns) + model->tolerance;
}

static inline void model_take(struct limit_model *model, uint64_t now_ns, uint32_t cost_milli)
{
    model->full_at =
        model_clock(now_ns) + model_level(model, now_ns) + model_needs(model, cost_milli);
}

static inline uint64_t model_ms(wide ns)
{
    return (uint64_t)(ns / 1000000 + (ns % 1000000 != 0));
}

/* The most thousandths that would be granted at once, found as one finds a word in a book. */
static inline uint64_t model_remaining(const struct limit_model *model, uint64_t now_ns)
{
    wide room = model->tolerance - model_level(model, now_ns), low = 0, high = model->burst_milli;
    while (low < high) {
        wide middle = (low + high + 1) / 2, thousandths = middle * model->unit;
        if (thousandths / 1000 + (thousandths % 1000 != 0) <= room)
            low = middle;
        else
            high = middle - 1;
    }
    return (uint64_t)low;
}

/* Any sane rate, by 128 random bits: all sizes alike. */
static inline struct rate model_rate(uint64_t random, uint64_t more)
{
    struct rate rate;
    rate.period_s = 1 + (uint32_t)(random % RATE_PERIOD_MAX_S) % (1u << (random >> 32) % 26);
    if (rate.period_s > RATE_PERIOD_MAX_S)
        rate.period_s = RATE_PERIOD_MAX_S;
    uint64_t most = (uint64_t)rate.period_s * RATE_PER_SECOND_MAX;
    if (most > RATE_COUNT_MAX)
        most = RATE_COUNT_MAX;
    rate.count = 1 + (uint32_t)((more & 0xffffffff) % most) % (1u << (random >> 40) % 31);
    uint32_t burst_max = rate_burst_max(rate.count, rate.period_s);
    rate.burst = 1 + (uint32_t)((more >> 32) % burst_max) % (1u << (random >> 48) % 31);
    return rate;
}

#endif
