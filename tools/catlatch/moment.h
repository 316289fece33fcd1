/* moment.h - times as options give them, made absolute for the daemon. */
#ifndef TOOL_MOMENT_H
#define TOOL_MOMENT_H

#include "core/error.h"
#include "core/timespan.h"

struct moment {
    char text[TIMESPAN_RFC3339_SIZE]; /* "": never, or at once */
};

/* what: the option or field, for the message. "never" and the empty text clear. Returns 0 or
 * E_DATA. */
int moment_read(const char *what, const char *text, struct moment *ret_moment, struct error *error);

/* A time, or a duration before now. Returns 0 or E_DATA. */
int moment_past(const char *what, const char *text, char ret_text[TIMESPAN_RFC3339_SIZE],
                struct error *error);

#endif
