/* progress.h - one line on stderr that says how far something is, if somebody watches. */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"

struct progress {
    const char *what;
    bool shown; /* somebody watches */
    int64_t next_ms;
    unsigned width; /* of what stands there */
};

/* quiet: shows nothing, whoever watches. */
void progress_begin(struct progress *progress, const char *what, bool quiet);

/* Cheap: most calls show nothing. */
void progress_show(struct progress *progress, const char *format, ...) CATLATCH_PRINTF(2, 3);

/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
