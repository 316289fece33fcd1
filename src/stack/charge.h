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
    struct table_side_limit rules[RATES_MAX];
    struct limit limits[RATES_MAX]; /* of these, and of their words */
    unsigned count;
    struct limit_charge charge;
};

struct stack_charges {
    unsigned count;
    struct stack_charge list[STACK_CHARGES_MAX];
};

/* host->charge and host->take_back: see catlatch_module.h. */
int stack_charge(const struct catlatch_call *call, const struct catlatch_charge *wanted);
void stack_take_back(const struct catlatch_call *call);

/* Of the limits of the last decision that was charged, or of the one that refused it. */
struct stack_limit_answer {
    const struct rate *rate; /* the tightest; NULL: no limit applied, and nothing below is set */
    struct limit_answer limit;
};
void stack_limit_answer(const struct stack_charges *charges, struct stack_limit_answer *ret);

#endif
