/* trace.h - what became of each line of a service in one decision. */
#ifndef STACK_TRACE_H
#define STACK_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "catlatch.h"

#define STACK_LINES_MAX 64u /* of a service, with those that it includes */

struct stack_trace {
    struct stack_trace_line {
        bool ran;
        int result;
        int action;
        enum catlatch_result standing;
        int64_t elapsed_ns;
    } lines[STACK_LINES_MAX];
};

#endif
