/* history.h - what was counted in a stretch of time, as `stats` shows it: all pages of HISTORY. */
#ifndef TOOL_HISTORY_H
#define TOOL_HISTORY_H

#include "command.h"
#include "core/timespan.h"

struct history {
    const char *step;     /* what each of it is: "minute", "hour" or "day" */
    int64_t span_s;       /* how long that is */
    int64_t since_unix_s; /* when the first begins */
    size_t count;         /* of them, up to this moment */
    char since[TIMESPAN_RFC3339_SIZE];
    json_t *spans; /* those in which anything was counted, as the daemon tells; owned */
};

/* By --since and --step, or the last day by hours. Returns 0, E_DATA for what these do not take, or
 * what asking came to. */
int history_read(struct call *call, const char *id, struct history *ret_history,
                 struct error *error);
void history_free(struct history *history);

/* One number of each span, in order, with noughts where nothing was: `count` of them, the caller's
 * to free. `inside`: the map that has it, or NULL: the span itself. NULL: out of memory. */
uint64_t *history_numbers(const struct history *history, const char *inside, const char *name);

#endif
