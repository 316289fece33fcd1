/*
 * limit [name=NAME rate=RATES] [cost=COST] [on_missing=unavailable|pass] [dry-run]: the key's rate
 * limits, which all processes of the host share. A key without any is passed over.
 *
 * With a name it is a limit of the service instead, which every key has for itself: another line
 * charges the key's own. Services that name the same limit, with the same rates, share its count.
 *
 * It is charged last, when everything else has granted, so that what is refused for another reason
 * consumes nothing. Where the memory that limits are counted in cannot be had, a key with limits is
 * an outage, or passes with on_missing=pass. dry-run charges and refuses nobody; the fact
 * `rate_limited` tells who would have been.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/rate.h"
#include "plugin/refuse.h"

#define COST_OF_ONE 1000u

struct limiting {
    uint32_t cost_milli;
    uint32_t line; /* that names a limit; 0: it charges the key's own, and its owner's */
    bool passes_missing;
    bool is_dry;
};

static int read_cost(const struct catlatch_setup *setup, const char *value, uint32_t *ret_milli)
{
    struct error error = {.text = ""};

    if (rate_cost_parse(text_of(value), ret_milli, &error) == 0)
        return 0;
    return refuse(setup, "cost= \"%s\" %s", value, error.text);
}

static int read_missing(const struct catlatch_setup *setup, const char *value, bool *ret_passes)
{
    *ret_passes = strcmp(value, "pass") == 0;
    if (*ret_passes || strcmp(value, "unavailable") == 0)
        return 0;
    return refuse(setup, "on_missing= is unavailable or pass");
}

static int read_argument(const struct catlatch_setup *setup,
                         const struct catlatch_argument *argument, struct limiting *limiting)
{
    if (strcmp(argument->name, "cost") == 0 && argument->value != NULL)
        return read_cost(setup, argument->value, &limiting->cost_milli);
    if (strcmp(argument->name, "on_missing") == 0 && argument->value != NULL)
        return read_missing(setup, argument->value, &limiting->passes_missing);
    if (strcmp(argument->name, "dry-run") == 0 && argument->value == NULL) {
        limiting->is_dry = true;
        return 0;
    }
    if (strcmp(argument->name, "name") == 0 && argument->value != NULL) {
        setup->limit->name = argument->value;
        return 0;
    }
    if (strcmp(argument->name, "rate") == 0 && argument->value != NULL) {
        setup->limit->rates = argument->value;
        return 0;
    }
    return refuse(setup, "takes name=NAME with rate=RATES, cost=COST, on_missing=unavailable or "
                         "pass, and dry-run");
}

/* Of a limit that it names it is never certain without a look. */
static int take_name(const struct catlatch_setup *setup, struct limiting *limiting)
{
    if ((setup->limit->name == NULL) != (setup->limit->rates == NULL))
        return refuse(setup, "name= and rate= go together: what it is, and how much");
    if (setup->limit->name == NULL)
        return 0;
    limiting->line = setup->line;
    *setup->passes = (struct catlatch_passes){.flags = 0};
    return 0;
}

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    struct limiting *limiting = calloc(1, sizeof *limiting);
    int r = 0;

    if (limiting == NULL)
        return refuse_memory(setup);
    limiting->cost_milli = COST_OF_ONE;
    for (size_t i = 0; r == 0 && i < setup->argument_count; i++)
        r = read_argument(setup, &setup->arguments[i], limiting);
    if (r == 0)
        r = take_name(setup, limiting);
    if (r != 0) {
        free(limiting);
        return r;
    }
    *ret_instance = limiting;
    if (limiting->line == 0 && !limiting->is_dry && !limiting->passes_missing)
        *setup->cost_milli = limiting->cost_milli;
    return 0;
}

static int charge(const struct limiting *limiting, struct catlatch_call *call, uint32_t flags)
{
    const struct catlatch_charge wanted = {
        .size = sizeof wanted,
        .cost_milli = limiting->cost_milli,
        .flags = flags,
        .line = limiting->line,
    };
    int result = call->host->charge(call, &wanted);

    if (result == CATLATCH_UNAVAILABLE && limiting->passes_missing)
        return CATLATCH_VALID;
    if (result != CATLATCH_RATE_LIMITED || !limiting->is_dry)
        return result;
    call->host->tell(call, "rate_limited", "dry-run");
    return CATLATCH_VALID;
}

/* Whether it would be granted is asked where nothing will be settled; not of a connection that is
 * there already. */
static int verify(void *instance, struct catlatch_call *call)
{
    const struct limiting *limiting = instance;

    if (call->record_state != CATLATCH_VALID)
        return call->record_state;
    if (limiting->line == 0 && (call->flags & CATLATCH_CALL_NO_LIMITS) != 0)
        return CATLATCH_IGNORE;
    if ((call->flags & (CATLATCH_CALL_DRY | CATLATCH_CALL_RECHECK)) == CATLATCH_CALL_DRY)
        return charge(limiting, call, CATLATCH_CHARGE_LOOK);
    return CATLATCH_VALID;
}

static int settle(void *instance, struct catlatch_call *call)
{
    return charge(instance, call, 0);
}

static void undo(void *instance, struct catlatch_call *call)
{
    (void)instance;
    call->host->take_back(call);
}

CATLATCH_MODULE(limit, .flags = CATLATCH_NEEDS_TABLE | CATLATCH_CHARGES | CATLATCH_PASSES_SILENTLY,
                .passes = {.flags = CATLATCH_CALL_RECORD_VALID | CATLATCH_CALL_NO_LIMITS},
                .init = start, .verify = verify, .settle = settle, .undo = undo, .fini = free);
