/*
 * charge.h - the limits of the key that was found, charged for one verification.
 *
 * Rules stand in the table, words in the usage area. What was charged is remembered in the service
 * until its next decision, so that it can be taken back, and told. Wait-free.
 */
#ifndef STACK_CHARGE_H
#define STACK_CHARGE_H

#include "catlatch_module.h"
#include "table/view.h"
#include "usage/limit.h"

/* Of one service: what its lines charge of one key. */
#define STACK_CHARGES_MAX 4u

/* What one line charged, or found. */
struct stack_charge {
    const struct table_side_limit *rules; /* in the table */
    struct limit limits[RATES_MAX];       /* of these, and of their words */
    unsigned count;
    struct limit_charge charge;
};

struct stack_charges {
    unsigned count;
    struct stack_charge list[STACK_CHARGES_MAX];
};

/* What a line would have the host charge of a call with limits, where that is all that it does. */
struct stack_run;
enum catlatch_result stack_charge_plainly(struct stack_run *run, uint32_t cost_milli);

/* host->charge and host->take_back: see catlatch_module.h. */
int stack_charge(const struct catlatch_call *call, const struct catlatch_charge *wanted);
void stack_take_back(const struct catlatch_call *call);

/* Of the limit that is the tightest of those of the last decision: what its answer is made from,
 * for who asks later. */
struct stack_limit {
    struct rate rate; /* count 0: no limit applied */
    uint32_t cost_milli;
    uint64_t level_ns;
    uint32_t verdict; /* enum limit_verdict */
    uint32_t zero;
};
void stack_limit_tell(const struct stack_charges *charges, struct stack_limit *ret);
void stack_limit_answer(const struct stack_limit *limit, struct limit_answer *ret);

#endif
