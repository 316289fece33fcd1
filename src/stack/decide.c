#include "stack/decide.h"

#include <string.h>
#include <time.h>

#include "core/prefetch.h"
#include "core/result.h"
#include "stack/charge.h"
#include "stack/host.h"
#include "stack/judge.h"
#include "usage/record.h"

#define NS_PER_S INT64_C(1000000000)

static void prepare(struct stack_service *service, const struct stack_request *request,
                    struct stack_run *run)
{
    run->call.size = sizeof run->call;
    run->call.host = &stack_host_functions;
    run->call.key = request->key;
    run->call.key_len = request->key_len;
    run->call.digest = run->digest.word;
    run->call.scopes = request->scopes;
    run->call.scope_count = request->scope_count;
    run->call.address = request->address;
    run->call.lookup = CATLATCH_LOOKUP_MISS;
    run->call.record_state = CATLATCH_NOT_FOUND;
    run->call.environment = -1;
    run->call.flags = (request->is_dry ? CATLATCH_CALL_DRY : 0u) |
                      (request->scope_count == 0 ? CATLATCH_CALL_NO_SCOPES : 0u);
    run->service = service;
    run->view = NULL;
    run->facts = NULL;
    run->trace = service->trace;
    run->matched = false;
    run->usage = NULL;
    run->now_ns = 0;
    run->has = (struct table_usage){0};
}

void stack_prepare(struct stack_service *service, const struct stack_request *request,
                   struct stack_run *ret_run)
{
    prepare(service, request, ret_run);
    if (request->key_len <= KEY_FOREIGN_MAX)
        digest_of(request->key, request->key_len, &ret_run->digest);
    else
        ret_run->call.digest = NULL;
}

void stack_prepare_known(struct stack_service *service, const struct stack_request *request,
                         const struct digest *digest, struct stack_run *ret_run)
{
    prepare(service, request, ret_run);
    ret_run->digest = *digest;
    ret_run->call.flags |= CATLATCH_CALL_RECHECK | CATLATCH_CALL_DRY | CATLATCH_CALL_WELL_FORMED;
}

/* The configuration's environment that the table's entry `number` is; -1: none, -2: damage. */
static int find_environment(const struct stack_run *run, unsigned number)
{
    char name[CATLATCH_ENVIRONMENT_SIZE];

    if (number == TABLE_ENVIRONMENT_NONE)
        return -1;
    if (table_environment(run->view, number, name) != 0)
        return -2;
    const struct key_environments *known = &run->service->environments;
    const struct key_environment *found = key_environment_named(known, name, strlen(name));
    return found != NULL ? (int)(found - known->list) : -1;
}

/* Remembered for each generation, whose entries are written once. */
static int environment_of(struct stack_run *run)
{
    struct stack_places *places = &run->service->places;
    unsigned number = control_environment(run->hit.control);

    if (places->generation != run->view->generation || places->epoch != run->view->epoch) {
        *places =
            (struct stack_places){.generation = run->view->generation, .epoch = run->view->epoch};
        memset(places->known, STACK_PLACE_UNKNOWN, sizeof places->known);
    }
    if (number >= KEY_ENVIRONMENTS_MAX || places->known[number] == STACK_PLACE_UNKNOWN) {
        int found = find_environment(run, number);
        if (number >= KEY_ENVIRONMENTS_MAX || found == -2)
            return found;
        places->known[number] = (signed char)found;
    }
    return places->known[number];
}

/* Both are far from what is looked at until then. */
static void prefetch_limits(const struct stack_run *run)
{
    struct usage_limits *words =
        run->usage != NULL ? usage_limits_at(run->usage, run->has.block) : NULL;

    table_prefetch_limits(run->view, run->hit.slot);
    if (words != NULL)
        prefetch_for_write(words);
}

static void take_record(struct stack_run *run)
{
    struct catlatch_call *call = &run->call;
    const struct key_environments *known = &run->service->environments;

    call->lookup = CATLATCH_LOOKUP_HIT;
    run->has = table_usage(run->view, run->hit.slot);
    if (run->usage != NULL)
        usage_prefetch(run->usage, run->has.record);
    call->record_state = (int)judge_record(run->view, &run->hit);
    call->environment = environment_of(run);
    if (call->environment == -2) {
        call->lookup = CATLATCH_LOOKUP_UNAVAILABLE;
        call->record_state = CATLATCH_UNAVAILABLE;
        return;
    }
    if (call->record_state == CATLATCH_VALID)
        call->flags |= CATLATCH_CALL_RECORD_VALID;
    if ((run->hit.control & CONTROL_NETWORKS) == 0)
        call->flags |= CATLATCH_CALL_NO_NETWORKS;
    if ((run->hit.control & CONTROL_LIMITS) != 0)
        prefetch_limits(run);
    else if ((run->hit.control & CONTROL_OWNER_LIMITS) == 0)
        call->flags |= CATLATCH_CALL_NO_LIMITS;
    if ((run->hit.control & CONTROL_WELL_FORMED) != 0 && call->key != NULL &&
        key_has_known_prefix(known, call->key, call->key_len))
        call->flags |= CATLATCH_CALL_WELL_FORMED;
}

/* What the table says of the key, before any line runs. */
static void look_up(struct stack_run *run)
{
    enum table_found found = TABLE_DAMAGED;

    if (run->view != NULL)
        found =
            run->call.digest != NULL ? table_find(run->view, &run->digest, &run->hit) : TABLE_MISS;
    switch (found) {
    case TABLE_HIT:
        take_record(run);
        break;
    case TABLE_DAMAGED:
        run->call.lookup = CATLATCH_LOOKUP_UNAVAILABLE;
        run->call.record_state = CATLATCH_UNAVAILABLE;
        break;
    case TABLE_MISS:
        run->call.record_state = run->call.digest != NULL ? CATLATCH_NOT_FOUND : CATLATCH_MALFORMED;
        break;
    }
}

/* What the lines that ran say together: Linux-PAM's impression and status. */
struct standing {
    enum { UNDECIDED, POSITIVE, NEGATIVE } impression;
    unsigned status; /* a result or CATLATCH_IGNORE */
};

static const struct standing nothing_said = {UNDECIDED, CATLATCH_DENIED};

static enum catlatch_result result_of(struct standing standing)
{
    if (standing.status == CATLATCH_IGNORE ||
        (standing.status == CATLATCH_VALID && standing.impression != POSITIVE))
        return CATLATCH_DENIED;
    return (enum catlatch_result)standing.status;
}

static bool is_open(struct standing standing)
{
    return standing.impression == UNDECIDED ||
           (standing.impression == POSITIVE && standing.status == CATLATCH_VALID);
}

static void fail(struct standing *standing, unsigned result)
{
    if (standing->impression == NEGATIVE)
        return;
    standing->impression = NEGATIVE;
    standing->status = result == CATLATCH_IGNORE ? CATLATCH_DENIED : result;
}

/* The dispatch while it goes on. */
struct dispatch {
    struct standing standing;
    struct standing entered[STACK_LEVELS_MAX + 1]; /* what stood when a substack began */
    uint64_t ran;
    uint64_t valid;
    unsigned at;  /* the line that comes next */
    bool asked;   /* already: */
    int answered; /* what it said */
    bool outage;
};

/* If no line came behind: what is not granted is an outage where any line met one. */
static enum catlatch_result outcome_of(const struct dispatch *dispatch)
{
    enum catlatch_result result = result_of(dispatch->standing);

    return result != CATLATCH_VALID && dispatch->outage ? CATLATCH_UNAVAILABLE : result;
}

/* Weighs one result. Returns the line that comes next. Comparisons, the likely ones first: they
 * are foreseen, where the jump of a switch is not. */
static unsigned weigh(struct dispatch *dispatch, const struct stack_step *step, unsigned at,
                      int action, unsigned result)
{
    if (action == ACTION_OK || action == ACTION_DONE) {
        if (is_open(dispatch->standing))
            dispatch->standing = (struct standing){POSITIVE, result};
        return action == ACTION_DONE && dispatch->standing.impression == POSITIVE ? step->end
                                                                                  : at + 1;
    }
    if (action == ACTION_IGNORE)
        return at + 1;
    if (action == ACTION_RESET) {
        dispatch->standing = dispatch->entered[step->level];
        return at + 1;
    }
    if (action >= 0)
        return (unsigned)action;
    fail(&dispatch->standing, action == ACTION_NONSENSE ? CATLATCH_DENIED : result);
    return action == ACTION_DIE ? step->end : at + 1;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static unsigned call_verify(struct stack_run *run, const struct stack_step *step, unsigned at)
{
    run->call.state = step->state;
    if (run->trace == NULL)
        return (unsigned)step->verify(step->instance, &run->call);
    int64_t begun_ns = now_ns();
    int result = step->verify(step->instance, &run->call);
    run->trace->lines[at] =
        (struct stack_trace_line){.ran = true, .result = result, .elapsed_ns = now_ns() - begun_ns};
    return (unsigned)result;
}

/* Weighs the lines from dispatch->at on. */
static void dispatch_lines(struct stack_run *run, struct dispatch *dispatch)
{
    const struct stack_service *service = run->service;
    unsigned at = dispatch->at;

    while (at < service->count) {
        const struct stack_step *step = &service->steps[at];
        unsigned line = at;
        if (step->verify == NULL) {
            dispatch->entered[step->level + 1] = dispatch->standing;
            at++;
            continue;
        }
        unsigned result =
            dispatch->asked ? (unsigned)dispatch->answered : call_verify(run, step, at);
        dispatch->asked = false;
        int action = result < CONTROL_RESULTS ? step->actions[result] : ACTION_NONSENSE;
        dispatch->ran |= step->bit;
        dispatch->valid |= result == CATLATCH_VALID ? step->bit : 0;
        dispatch->outage |= result == CATLATCH_UNAVAILABLE;
        at = weigh(dispatch, step, at, action, result);
        if (run->trace != NULL) {
            run->trace->lines[line].action = action;
            run->trace->lines[line].standing = outcome_of(dispatch);
        }
    }
}

/* What a settle returned, as a result that refuses or VALID. */
static enum catlatch_result settled(int result)
{
    if (result == CATLATCH_IGNORE)
        return CATLATCH_VALID;
    return result >= 0 && result <= CATLATCH_UNAVAILABLE ? (enum catlatch_result)result
                                                         : CATLATCH_DENIED;
}

static void undo_lines(struct stack_run *run, uint64_t lines)
{
    while (lines != 0) {
        unsigned at = 63u - (unsigned)__builtin_clzll(lines);
        const struct stack_step *step = &run->service->steps[at];
        lines &= ~(UINT64_C(1) << at);
        run->call.state = step->state;
        if (step->module->undo != NULL)
            step->module->undo(step->instance, &run->call);
    }
}

/* Of a granted outcome. The first refusal takes it back. */
static enum catlatch_result settle_lines(struct stack_run *run, uint64_t lines)
{
    uint64_t done = 0;

    for (; lines != 0; lines &= lines - 1) {
        unsigned at = (unsigned)__builtin_ctzll(lines);
        const struct stack_step *step = &run->service->steps[at];
        run->call.state = step->state;
        enum catlatch_result result = settled(step->module->settle(step->instance, &run->call));
        if (result == CATLATCH_VALID) {
            done |= UINT64_C(1) << at;
        } else if (!step->is_optional) {
            undo_lines(run, done);
            return result;
        } else if (run->trace != NULL) {
            run->trace->lines[at].result = (int)result;
        }
    }
    return CATLATCH_VALID;
}

static void finish_lines(struct stack_run *run, uint64_t lines, enum catlatch_result result)
{
    for (; lines != 0; lines &= lines - 1) {
        const struct stack_step *step = &run->service->steps[__builtin_ctzll(lines)];
        run->call.state = step->state;
        step->module->finish(step->instance, &run->call, result);
    }
}

/* From this step on, behind which `ignored` of those before it said nothing and the others `valid`.
 * asked: it said `result` already. */
static __attribute__((noinline)) enum catlatch_result run_weighed(struct stack_run *run,
                                                                  struct dispatch *dispatch,
                                                                  const struct stack_step *step,
                                                                  uint64_t ignored, bool asked,
                                                                  int result)
{
    dispatch->at = (unsigned)(step - run->service->steps);
    dispatch->ran = (UINT64_C(1) << dispatch->at) - 1;
    dispatch->valid = dispatch->ran & ~ignored;
    dispatch->asked = asked;
    dispatch->answered = result;
    dispatch->entered[0] = nothing_said;
    dispatch->standing =
        dispatch->valid != 0 ? (struct standing){POSITIVE, CATLATCH_VALID} : nothing_said;
    dispatch_lines(run, dispatch);
    return outcome_of(dispatch);
}

/* Whether the lines are sure of this call. */
static bool is_certain(const struct catlatch_passes *passes, const struct catlatch_call *call)
{
    uint32_t environments = passes->environments;

    return (call->flags & passes->flags) == passes->flags &&
           (environments == 0 ||
            (call->environment >= 0 && (environments >> call->environment & 1) != 0));
}

/* The lines that need not be asked; NULL: there are none. */
static const struct stack_certain *find_certain(const struct stack_run *run)
{
    const struct stack_service *service = run->service;

    if (run->trace != NULL)
        return NULL;
    if (is_certain(&service->certain.passes, &run->call))
        return &service->certain;
    return is_certain(&service->certain_before.passes, &run->call) ? &service->certain_before
                                                                   : NULL;
}

/* The usual way of a key that is granted, in which no line needs weighing: each says `valid`, which
 * is `ok` to it, or nothing. Where a line says something else, or one comes that is not so plain,
 * the weighing goes on from there. */
static enum catlatch_result run_lines(struct stack_run *run, struct dispatch *dispatch)
{
    const struct stack_service *service = run->service;
    const struct stack_step *step = service->steps;
    const struct stack_step *end = run->trace == NULL ? service->plain_end : step;
    uint64_t ignored = 0;
    int result = CATLATCH_VALID;

    dispatch->outage = false;
    const struct stack_certain *certain = find_certain(run);
    if (certain != NULL) {
        step = certain->end; /* each said `valid`, or nothing, without being asked */
        ignored = certain->silent_lines;
    }
    for (; step < end; step++) {
        run->call.state = step->state;
        result = step->verify(step->instance, &run->call);
        if (result == CATLATCH_IGNORE)
            ignored |= step->bit;
        else if (result != CATLATCH_VALID)
            break;
    }
    if (step < service->steps + service->count)
        return run_weighed(run, dispatch, step, ignored, step < end, result);
    dispatch->ran = service->all_lines;
    dispatch->valid = service->all_lines & ~ignored;
    return dispatch->valid != 0 ? CATLATCH_VALID : CATLATCH_DENIED;
}

static enum catlatch_result decide(struct stack_run *run)
{
    struct dispatch dispatch;
    enum catlatch_result result = run_lines(run, &dispatch);

    run->matched =
        run->call.lookup == CATLATCH_LOOKUP_HIT && (dispatch.ran & run->service->table_lines) != 0;
    uint64_t settling = dispatch.valid & run->service->settle_lines;
    if (result != CATLATCH_VALID || settling == 0 || (run->call.flags & CATLATCH_CALL_DRY) != 0)
        return result;
    result = settle_lines(run, settling);
    return result != CATLATCH_VALID && dispatch.outage ? CATLATCH_UNAVAILABLE : result;
}

static __attribute__((noinline)) enum catlatch_result decide_in_full(struct stack_run *run)
{
    const struct stack_service *service = run->service;

    if (service->state_size > 0)
        memset(service->state, 0, service->state_size);
    if (run->trace != NULL)
        memset(run->trace, 0, sizeof *run->trace);
    enum catlatch_result result =
        run->call.scope_count > 0 && !service->takes_scopes ? CATLATCH_DENIED : decide(run);
    finish_lines(run,
                 result == CATLATCH_VALID ? service->finish_granted_lines : service->finish_lines,
                 result);
    return result;
}

/* All lines but one are sure of the call, and that one charges. */
static enum catlatch_result charge_alone(struct stack_run *run)
{
    const struct stack_service *service = run->service;
    enum catlatch_result result = stack_charge_plainly(run, service->cost_milli);

    if (result != CATLATCH_VALID) {
        if (service->state_size > 0)
            memset(service->state, 0, service->state_size);
        finish_lines(run, service->finish_lines, result);
    }
    return result;
}

enum catlatch_result stack_decide(struct stack_run *run, const struct table_view *view)
{
    const struct stack_service *service = run->service;

    run->view = view;
    if (service->elsewhere)
        return CATLATCH_UNAVAILABLE;
    if (service->charges != NULL)
        stack_charges_reset(service->charges);
    if (service->table_lines != 0)
        look_up(run);
    if (run->trace == NULL) {
        if (service->is_quick && is_certain(&service->certain.passes, &run->call)) {
            run->matched = run->call.lookup == CATLATCH_LOOKUP_HIT;
            return CATLATCH_VALID;
        }
        if (service->cost_milli != 0 &&
            (run->call.flags & (CATLATCH_CALL_DRY | CATLATCH_CALL_NO_LIMITS)) == 0 &&
            is_certain(&service->certain_but_charge, &run->call)) {
            run->matched = run->call.lookup == CATLATCH_LOOKUP_HIT;
            return charge_alone(run);
        }
    }
    return decide_in_full(run);
}

static const char *said(int result)
{
    if (result == CATLATCH_IGNORE)
        return "ignore";
    return result >= 0 && result <= CATLATCH_UNAVAILABLE ? result_name((enum catlatch_result)result)
                                                         : "nonsense";
}

void stack_tell_step(const struct stack_service *service, const struct stack_trace *trace,
                     unsigned index, struct catlatch_step *ret)
{
    const struct stack_step *step = &service->steps[index];
    const struct stack_trace_line *line = &trace->lines[index];
    struct catlatch_step told = {
        .size = sizeof told,
        .module = step->module != NULL ? step->module->name : NULL,
        .control = step->control,
        .action = line->ran ? control_action_name(line->action) : NULL,
        .file = step->file,
        .line = step->line,
        .level = step->level,
        .result = line->ran ? said(line->result) : NULL,
        .standing = line->standing,
        .elapsed_ns = line->elapsed_ns,
    };
    size_t size = ret->size < sizeof told ? ret->size : sizeof told;

    told.size = ret->size;
    memcpy(ret, &told, size);
}
