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

    if (words == NULL || table_limits(run->view, run->hit.slot, run->hit.control, charge->rules,
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

int stack_charge(const struct catlatch_call *call, const struct catlatch_charge *wanted)
{
    const struct stack_run *run = run_of(call);
    struct stack_charges *charges = run->service->charges;
    bool looks = (wanted->flags & CATLATCH_CHARGE_LOOK) != 0;

    if (call->lookup != CATLATCH_LOOKUP_HIT || (run->hit.control & CONTROL_LIMITS) == 0)
        return CATLATCH_IGNORE;
    if (charges == NULL || charges->count == STACK_CHARGES_MAX)
        return CATLATCH_UNAVAILABLE;
    struct stack_charge *charge = &charges->list[charges->count];
    if (!find_limits(run, charge))
        return CATLATCH_UNAVAILABLE;
    charges->count++;
    limits_look(charge->limits, charge->count, &charge->charge);
    uint64_t now_ns = clock_ns(); /* behind the look: limit.h */
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

void stack_limit_answer(const struct stack_charges *charges, struct stack_limit_answer *ret)
{
    bool refused = false;

    ret->rate = NULL;
    for (unsigned i = 0; charges != NULL && i < charges->count && !refused; i++) {
        const struct stack_charge *charge = &charges->list[i];
        struct limit_answer answer;
        limits_answer(charge->limits, &charge->charge, &answer);
        if (answer.tightest >= charge->count)
            continue;
        refused = charge->charge.verdict == LIMIT_REFUSED;
        if (ret->rate != NULL && !refused && answer.remaining_milli >= ret->limit.remaining_milli)
            continue;
        ret->rate = &charge->rules[answer.tightest].rate;
        ret->limit = answer;
    }
}
