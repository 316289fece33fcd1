#include "stack/host.h"

#include <string.h>

#include "stack/charge.h"
#include "stack/decide.h"
#include "stack/identity.h"

/* A call is the first member of its run. */
static const struct stack_run *run_of(const struct catlatch_call *call)
{
    return (const void *)call;
}

static bool has_record(const struct stack_run *run)
{
    return run->call.lookup == CATLATCH_LOOKUP_HIT;
}

static int key_is_fine(const struct catlatch_call *call)
{
    return (call->flags & CATLATCH_CALL_WELL_FORMED) != 0 ||
           key_is_well_formed(&run_of(call)->service->environments, call->key, call->key_len);
}

/* table's 1, 0 or E_DATA as a module sees it. */
static int told(int answer)
{
    return answer < 0 ? -1 : answer;
}

static int record_has_scope(const struct catlatch_call *call, const char *scope, size_t len)
{
    const struct stack_run *run = run_of(call);

    return has_record(run) ? told(table_has_scope(run->view, run->hit.slot, scope, len)) : -1;
}

static int record_allows(const struct catlatch_call *call, const uint8_t address[16])
{
    const struct stack_run *run = run_of(call);
    struct address caller;

    if (!has_record(run))
        return -1;
    memcpy(caller.bytes, address, sizeof caller.bytes);
    return told(table_allows(run->view, run->hit.slot, &caller));
}

static int record_identity(const struct catlatch_call *call, struct catlatch_identity *ret)
{
    const struct stack_run *run = run_of(call);

    return ret->size >= sizeof *ret && has_record(run) &&
                   stack_identity(run->view, &run->hit, ret) == 0
               ? 0
               : -1;
}

static int tell(const struct catlatch_call *call, const char *name, const char *value)
{
    const struct stack_run *run = run_of(call);

    return run->facts != NULL ? facts_put(run->facts, name, value) : -1;
}

static int step(const struct catlatch_call *call, unsigned index, struct catlatch_step *ret)
{
    const struct stack_run *run = run_of(call);

    if (run->trace == NULL || index >= run->service->count)
        return -1;
    stack_tell_step(run->service, run->trace, index, ret);
    return 0;
}

static const char *service(const struct catlatch_call *call)
{
    return run_of(call)->service->name;
}

const struct catlatch_host stack_host_functions = {
    .size = sizeof(struct catlatch_host),
    .key_is_well_formed = key_is_fine,
    .record_has_scope = record_has_scope,
    .record_allows = record_allows,
    .record_identity = record_identity,
    .tell = tell,
    .step = step,
    .service = service,
    .charge = stack_charge,
    .take_back = stack_take_back,
};
