#include "stack/charge.h"

#include <time.h>

#include "stack/decide.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* A call is the first member of its run. */
static const struct stack_run *run_of(const struct catlatch_call *call)
{
    return (const void *)call;
}

/* What limits the key, and where that is counted. False: it cannot be told. */
static bool find_limits(const struct stack_run *run, struct stack_charge *charge)
{
    struct usage_limits *words =
        run->usage != NULL ? usage_limits_at(run->usage, run->has.block) : NULL;

    if (words == NULL || table_limits(run->view, run->hit.slot, run->hit.control, &charge->rules,
                                      &charge->count) != 0)
        return false;
    for (unsigned i = 0; i < charge->count; i++)
        charge->limits[i] = (struct limit){&charge->rules[i].rule, &words->rates[i]};
    return true;
}

static enum catlatch_result result_of(enum limit_verdict verdict)
{
    switch (verdict) {
    case LIMIT_GRANTED:
        return CATLATCH_VALID;
    case LIMIT_REFUSED:
        return CATLATCH_RATE_LIMITED;
    case LIMIT_BUSY:
        break;
    }
    return CATLATCH_UNAVAILABLE;
}

/* NULL: it cannot be told. */
static struct stack_charge *begin_charge(const struct stack_run *run)
{
    struct stack_charges *charges = run->service->charges;

    if (charges == NULL || charges->count == STACK_CHARGES_MAX)
        return NULL;
    struct stack_charge *charge = &charges->list[charges->count];
    if (!find_limits(run, charge))
        return NULL;
    charges->count++;
    limits_look(charge->limits, charge->count, &charge->charge);
    return charge;
}

enum catlatch_result stack_charge_plainly(struct stack_run *run, uint32_t cost_milli)
{
    struct stack_charge *charge = begin_charge(run);

    if (charge == NULL)
        return CATLATCH_UNAVAILABLE;
    uint64_t now_ns = clock_ns(); /* behind the look: limit.h */
    return result_of(limits_charge(charge->limits, &charge->charge, cost_milli, now_ns));
}

int stack_charge(const struct catlatch_call *call, const struct catlatch_charge *wanted)
{
    const struct stack_run *run = run_of(call);

    if (call->lookup != CATLATCH_LOOKUP_HIT || (run->hit.control & CONTROL_LIMITS) == 0)
        return CATLATCH_IGNORE;
    struct stack_charge *charge = begin_charge(run);
    if (charge == NULL)
        return CATLATCH_UNAVAILABLE;
    bool looks = (wanted->flags & CATLATCH_CHARGE_LOOK) != 0;
    uint64_t now_ns = clock_ns();
    return (int)result_of((looks ? limits_weigh : limits_charge)(charge->limits, &charge->charge,
                                                                 wanted->cost_milli, now_ns));
}

void stack_take_back(const struct catlatch_call *call)
{
    struct stack_charges *charges = run_of(call)->service->charges;

    if (charges == NULL || charges->count == 0)
        return;
    struct stack_charge *charge = &charges->list[--charges->count];
    limits_undo(charge->limits, &charge->charge);
}

void stack_limit_answer(const struct stack_limit *limit, struct limit_answer *ret)
{
    struct limit_rule rule = limit_rule_of(&limit->rate);

    limit_answer(&rule, limit->level_ns, (enum limit_verdict)limit->verdict, limit->cost_milli,
                 ret);
}

/* Of several limits some divisions tell which it is. */
static unsigned tightest_of(const struct stack_charge *charge)
{
    struct limit_answer answer;

    if (charge->count == 1)
        return 0;
    limits_answer(charge->limits, &charge->charge, &answer);
    return answer.tightest;
}

static void tell_one(const struct stack_charge *charge, struct stack_limit *ret)
{
    unsigned i = tightest_of(charge);

    *ret = (struct stack_limit){
        .rate = charge->rules[i].rate,
        .cost_milli = charge->charge.cost_milli,
        .level_ns = limits_level_ns(charge->limits, &charge->charge, i),
        .verdict = charge->charge.verdict,
    };
}

static uint64_t remaining_milli(const struct stack_limit *limit)
{
    struct limit_answer answer;

    stack_limit_answer(limit, &answer);
    return answer.remaining_milli;
}

void stack_limit_tell(const struct stack_charges *charges, struct stack_limit *ret)
{
    ret->rate.count = 0;
    if (charges == NULL || charges->count == 0)
        return;
    /* The line that was charged last is the one that refused, if any did. */
    tell_one(&charges->list[charges->count - 1], ret);
    for (unsigned i = 0; ret->verdict == LIMIT_GRANTED && i + 1 < charges->count; i++) {
        struct stack_limit other;
        tell_one(&charges->list[i], &other);
        if (remaining_milli(&other) < remaining_milli(ret))
            *ret = other;
    }
}
