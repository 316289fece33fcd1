/* debug: prints the trace of each decision on the host's standard error: a line for each line of
 * the service, and the outcome. For trying a service out, for whoever writes there may have to
 * wait. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "catlatch_module.h"
#include "core/result.h"

#define TRACE_MAX 8192u

static int append(char *text, size_t len, const struct catlatch_step *step)
{
    if (step->module == NULL)
        return snprintf(text + len, TRACE_MAX - len, "catlatch: %*s%s\n", (int)step->level * 2, "",
                        step->control);
    if (step->action == NULL)
        return snprintf(text + len, TRACE_MAX - len, "catlatch: %*s%s %s: not run\n",
                        (int)step->level * 2, "", step->control, step->module);
    return snprintf(text + len, TRACE_MAX - len,
                    "catlatch: %*s%s %s: %s, %s, so far %s, %" PRId64 " ns\n", (int)step->level * 2,
                    "", step->control, step->module, step->result, step->action,
                    result_name(step->standing), step->elapsed_ns);
}

static void finish(void *instance, struct catlatch_call *call, enum catlatch_result result)
{
    struct catlatch_step step = {.size = sizeof step};
    char text[TRACE_MAX];
    size_t len = 0;

    (void)instance;
    for (unsigned i = 0; len < sizeof text && call->host->step(call, i, &step) == 0; i++)
        len += (size_t)append(text, len, &step);
    if (len < sizeof text)
        len += (size_t)snprintf(text + len, sizeof text - len, "catlatch: service %s: %s\n",
                                call->host->service(call), result_name(result));
    if (len > sizeof text)
        len = sizeof text;
    if (write(STDERR_FILENO, text, len) < 0)
        return; /* nobody is there to be told */
}

CATLATCH_MODULE(debug, .flags = CATLATCH_MAY_BLOCK | CATLATCH_NEEDS_TRACE, .finish = finish);
