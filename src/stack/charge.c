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

/* Where the named limit stands in this table: the daemon gave it its places. */
static void find_places(const struct stack_run *run, struct stack_named *named)
{
    const struct table_header *header = run->view->header;
    const struct rates *rates = &named->limit.rates;
    bool all = true;

    for (uint32_t i = 0; i < rates->count; i++)
        all &= named->places[i] >= 0;
    if (all && named->generation == header->generation && named->epoch == header->epoch)
        return;
    named->generation = header->generation;
    named->epoch = header->epoch;
    for (uint32_t i = 0; i < rates->count; i++)
        named->places[i] =
            (signed char)table_named_limit(run->view, named->limit.name, &rates->list[i]);
}

static bool find_named(const struct stack_run *run, struct stack_named *named,
                       struct stack_charge *charge)
{
    find_places(run, named);
    charge->rules = (struct table_limits){.rates = named->rules, .count = named->limit.rates.count};
    for (unsigned i = 0; i < charge->rules.count; i++) {
        if (named->places[i] < 0)
            return false;
        charge->limits[i] =
            (struct limit){&named->rules[i].rule, &charge->words->named[named->places[i]]};
    }
    charge->count = charge->rules.count;
    return true;
}

static void add_rates(struct stack_charge *charge, const struct table_limits *rules,
                      struct usage_limits *words)
{
    for (unsigned i = 0; i < rules->count; i++)
        charge->limits[charge->count++] = (struct limit){&rules->rates[i].rule, &words->rates[i]};
}

static struct usage_limits *words_at(const struct stack_run *run, uint32_t block)
{
    return run->usage != NULL ? usage_limits_at(run->usage, block) : NULL;
}

/* Behind the own: what one of those refuses by the look does not come to words that many share. */
static bool add_owners(const struct stack_run *run, struct stack_charge *charge)
{
    struct usage_limits *words;
    uint32_t block;

    if (table_owner_limits(run->view, run->hit.slot, &charge->owners, &block) != 0)
        return false;
    /* Between his last change and its end the flag can be there without them. */
    if (charge->owners.count == 0)
        return true;
    words = words_at(run, block);
    if (words == NULL)
        return false;
    add_rates(charge, &charge->owners, words);
    return true;
}

static bool add_own(const struct stack_run *run, struct stack_charge *charge)
{
    if (charge->words == NULL ||
        table_limits(run->view, run->hit.slot, run->hit.control, &charge->rules) != 0)
        return false;
    add_rates(charge, &charge->rules, charge->words);
    return true;
}

/* What limits the key, and where that is counted; named NULL: its own limits, and its owner's.
 * False: it cannot be told. */
static bool find_limits(const struct stack_run *run, struct stack_named *named,
                        struct stack_charge *charge)
{
    charge->words = words_at(run, run->has.block);
    charge->rules = charge->owners = (struct table_limits){.count = 0};
    charge->count = 0;
    if (named != NULL)
        return charge->words != NULL && find_named(run, named, charge);
    return ((run->hit.control & CONTROL_LIMITS) == 0 || add_own(run, charge)) &&
           ((run->hit.control & CONTROL_OWNER_LIMITS) == 0 || add_owners(run, charge));
}

static enum catlatch_result result_of_limits(enum limit_verdict verdict)
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

static enum catlatch_result result_of_uses(enum uses_verdict verdict)
{
    switch (verdict) {
    case USES_GRANTED:
        return CATLATCH_VALID;
    case USES_SPENT:
        return CATLATCH_USAGE_EXCEEDED;
    case USES_WAITING:
        break;
    }
    return CATLATCH_UNAVAILABLE;
}

/* NULL: it cannot be told. */
static struct stack_charge *begin_charge(const struct stack_run *run, struct stack_named *named)
{
    struct stack_charges *charges = run->service->charges;

    if (charges == NULL || charges->count == STACK_CHARGES_MAX)
        return NULL;
    struct stack_charge *charge = &charges->list[charges->count];
    if (!find_limits(run, named, charge))
        return NULL;
    charges->count++;
    charge->uses_verdict = USES_GRANTED;
    charge->granted = false;
    limits_look(charge->limits, charge->count, &charge->charge);
    return charge;
}

/* A use is worth money where a rate is not: it is counted down last. */
static enum catlatch_result charge_uses(struct stack_charge *charge, uint32_t cost_milli)
{
    charge->uses_verdict = uses_charge(charge->words, cost_milli, &charge->uses);
    if (charge->uses_verdict != USES_GRANTED)
        limits_undo(charge->limits, &charge->charge);
    return result_of_uses(charge->uses_verdict);
}

static enum catlatch_result charge_line(const struct stack_run *run, struct stack_named *named,
                                        uint32_t cost_milli)
{
    struct stack_charge *charge = begin_charge(run, named);

    if (charge == NULL)
        return CATLATCH_UNAVAILABLE;
    uint64_t now_ns = clock_ns(); /* behind the look: limit.h */
    enum catlatch_result result =
        result_of_limits(limits_charge(charge->limits, &charge->charge, cost_milli, now_ns));
    if (result == CATLATCH_VALID && charge->rules.has_uses)
        result = charge_uses(charge, cost_milli);
    charge->granted = result == CATLATCH_VALID;
    return result;
}

/* One rate of the key's own is all that most limits are. If it has room and nobody else is at it,
 * that is soon done. False: nothing was charged, and nothing is known. */
static bool charge_sole(const struct stack_run *run, uint32_t cost_milli, struct stack_limit *ret)
{
    struct usage_limits *words = words_at(run, run->has.block);
    const struct table_side_limit *limit =
        table_sole_limit(run->view, run->hit.slot, run->hit.control);

    if (words == NULL || limit == NULL ||
        !limit_charge_once(&limit->rule, &words->rates[0], cost_milli, run->now_ns, &ret->level_ns))
        return false;
    ret->rate = limit->rate;
    ret->cost_milli = cost_milli;
    ret->verdict = LIMIT_GRANTED;
    return true;
}

enum catlatch_result stack_charge_plainly(const struct stack_run *run, uint32_t cost_milli)
{
    if (run->now_ns != 0 && charge_sole(run, cost_milli, &run->service->charges->sole))
        return CATLATCH_VALID;
    return charge_line(run, NULL, cost_milli);
}

static enum catlatch_result look(const struct stack_run *run, struct stack_named *named,
                                 uint32_t cost_milli)
{
    struct stack_charge *charge = begin_charge(run, named);

    if (charge == NULL)
        return CATLATCH_UNAVAILABLE;
    enum catlatch_result result =
        result_of_limits(limits_weigh(charge->limits, &charge->charge, cost_milli, clock_ns()));
    if (result != CATLATCH_VALID || !charge->rules.has_uses)
        return result;
    charge->uses_verdict = uses_look(charge->words, cost_milli);
    return result_of_uses(charge->uses_verdict);
}

int stack_charge(const struct catlatch_call *call, const struct catlatch_charge *wanted)
{
    const struct stack_run *run = run_of(call);
    uint32_t line = wanted->size >= sizeof *wanted ? wanted->line : 0;
    struct stack_named *named = NULL;

    if (line > 0) {
        named = line <= run->service->count ? run->service->steps[line - 1].named : NULL;
        if (named == NULL)
            return CATLATCH_UNAVAILABLE;
    }
    if (call->lookup != CATLATCH_LOOKUP_HIT ||
        (named == NULL && (run->hit.control & (CONTROL_LIMITS | CONTROL_OWNER_LIMITS)) == 0))
        return CATLATCH_IGNORE;
    return (int)((wanted->flags & CATLATCH_CHARGE_LOOK) != 0
                     ? look(run, named, wanted->cost_milli)
                     : charge_line(run, named, wanted->cost_milli));
}

/* The last line that was granted: one that refused has nothing to give back, and is the reason. */
void stack_take_back(const struct catlatch_call *call)
{
    struct stack_charges *charges = run_of(call)->service->charges;

    for (unsigned i = charges != NULL ? charges->count : 0; i > 0; i--) {
        struct stack_charge *charge = &charges->list[i - 1];
        if (!charge->granted)
            continue;
        charge->granted = false;
        limits_undo(charge->limits, &charge->charge);
        if (charge->rules.has_uses)
            uses_undo(charge->words, &charge->uses);
        return;
    }
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
    *ret = (struct stack_limit){.rate.count = 0};
    if (charge->count == 0)
        return;
    unsigned i = tightest_of(charge), own = charge->rules.count;
    *ret = (struct stack_limit){
        .rate = i < own ? charge->rules.rates[i].rate : charge->owners.rates[i - own].rate,
        .cost_milli = charge->charge.cost_milli,
        .level_ns = limits_level_ns(charge->limits, &charge->charge, i),
        .verdict = charge->charge.verdict,
    };
}

static uint64_t remaining_milli(const struct stack_limit *limit)
{
    struct limit_answer answer;

    if (limit->rate.count == 0)
        return UINT64_MAX;
    stack_limit_answer(limit, &answer);
    return answer.remaining_milli;
}

void stack_limit_tell(const struct stack_charges *charges, struct stack_limit *ret)
{
    ret->rate.count = 0;
    if (!stack_has_charged(charges))
        return;
    if (charges->sole.rate.count != 0) {
        *ret = charges->sole;
        return;
    }
    /* The line that was charged last is the one that refused, if any did. */
    tell_one(&charges->list[charges->count - 1], ret);
    bool refused = ret->rate.count != 0 && ret->verdict == LIMIT_REFUSED;
    for (unsigned i = 0; !refused && i + 1 < charges->count; i++) {
        struct stack_limit other;
        tell_one(&charges->list[i], &other);
        if (remaining_milli(&other) < remaining_milli(ret))
            *ret = other;
    }
}

bool stack_uses_tell(const struct stack_charges *charges, struct stack_uses *ret)
{
    for (unsigned i = charges != NULL ? charges->count : 0; i > 0; i--) {
        const struct stack_charge *charge = &charges->list[i - 1];
        if (!charge->rules.has_uses)
            continue;
        uint64_t refill =
            atomic_load_explicit(&charge->words->uses[USES_REFILL], memory_order_relaxed);
        *ret = (struct stack_uses){
            .left = atomic_load_explicit(&charge->words->uses[USES_LEFT], memory_order_relaxed) /
                    USES_MILLI,
            .refill_unix_s = refill <= INT64_MAX ? (int64_t)refill : 0,
        };
        return true;
    }
    return false;
}
