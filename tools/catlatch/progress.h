/* progress.h - a bar on stderr, where that is a terminal; elsewhere nothing. */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what; /* "checking" */
    const char *unit; /* "keys" */
    uint64_t total;   /* 0: unknown */
    bool shown;       /* on a terminal */
    uint64_t began_ms, drawn_ms;
    bool drawn;
};

void progress_begin(const char *what, const char *unit, uint64_t total,
                    struct progress *ret_progress);

/* Draws it anew, a few times a second at most. */
void progress_show(struct progress *progress, uint64_t done);

/* Takes it away again. */
void progress_end(struct progress *progress);

#endif
