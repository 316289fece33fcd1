/* script_trace: as script, and its finish copies what the host says of each line. */
#include "script.h"

static void copy(char to[RECORD_WORD_SIZE], const char *text)
{
    snprintf(to, RECORD_WORD_SIZE, "%s", text != NULL ? text : "-");
}

static void finish(void *instance, struct catlatch_call *call, enum catlatch_result result)
{
    struct catlatch_step step = {.size = sizeof step};
    unsigned at = 0;

    script_finish(instance, call, result);
    for (; at < RECORD_STEPS_MAX && call->host->step(call, at, &step) == 0; at++) {
        struct record_step *copied = &record.steps[at];
        copy(copied->module, step.module);
        copy(copied->control, step.control);
        copy(copied->result, step.result);
        copy(copied->action, step.action);
        copied->standing = (int)step.standing;
        copied->line = step.line;
        copied->level = step.level;
        copied->took_time = step.elapsed_ns >= 0;
    }
    record.step_count = at;
}

CATLATCH_MODULE(script_trace, SCRIPT_CALLS, .finish = finish, .flags = CATLATCH_NEEDS_TRACE);
