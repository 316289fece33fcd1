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
#include "usage/uses.h"

/* Lines of one service that charge, for one key: its own limits with its owner's, and each that can
 * be named. */
#define STACK_CHARGES_MAX (1u + NAMED_RATES_MAX)

/* What one line charged, or found. */
struct stack_charge {
    struct usage_limits *words; /* the key's */
    struct table_limits rules;  /* the key's own, or those of the limit that the line names */
    struct table_limits owners; /* and of its own, those of all its owner's keys */
    struct limit limits[2 * RATES_MAX]; /* of these in turn, and of their words */
    unsigned count;
    struct limit_charge charge;
    struct uses_charge uses; /* that were counted down, if it has any */
    enum uses_verdict uses_verdict;
    bool granted; /* and not taken back */
};

/* Of one limit: what its answer is made from, for who asks later. */
struct stack_limit {
    struct rate rate; /* count 0: no limit applied */
    uint32_t cost_milli;
    uint64_t level_ns;
    uint32_t verdict;       /* enum limit_verdict */
    uint32_t refill_unix_s; /* of uses that are spent: when there will be more; 0: never */
};

struct stack_charges {
    struct stack_limit sole; /* where one limit was charged and granted, and nothing else was */
    unsigned count;
    struct stack_charge list[STACK_CHARGES_MAX];
};

/* What a line would have the host charge of a call with limits, where that is all that it does. */
struct stack_run;
enum catlatch_result stack_charge_plainly(const struct stack_run *run, uint32_t cost_milli);

/* host->charge and host->take_back: see catlatch_module.h. */
int stack_charge(const struct catlatch_call *call, const struct catlatch_charge *wanted);
void stack_take_back(const struct catlatch_call *call);

/* Forgets what was charged before. */
static inline void stack_charges_reset(struct stack_charges *charges)
{
    charges->count = 0;
    charges->sole.rate.count = 0;
}

/* Whether the last decision came to a limit, or to prepaid uses. */
static inline bool stack_has_charged(const struct stack_charges *charges)
{
    return charges != NULL && (charges->count != 0 || charges->sole.rate.count != 0);
}

/* Of the limit that is the tightest of those of the last decision. */
void stack_limit_tell(const struct stack_charges *charges, struct stack_limit *ret);
void stack_limit_answer(const struct stack_limit *limit, struct limit_answer *ret);

/* What the last decision saw of prepaid uses: left in this host's block, which may be less than is
 * left in all. False: the key has none. */
struct stack_uses {
    uint64_t left;
    int64_t refill_unix_s; /* when there will be as many again; 0: never */
};
bool stack_uses_tell(const struct stack_charges *charges, struct stack_uses *ret);

#endif
