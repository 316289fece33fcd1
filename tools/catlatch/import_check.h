/*
 * import_check.h - the lines of an import, checked, one at a time and in their order: two threads
 * check them, of which the caller's is one, in a few blocks of memory.
 *
 * Nothing but time tells it from one thread. What was read is checked and given out before anything
 * is waited for, and what comes first in the input is told of first, be it a bad line or that
 * reading failed.
 */
#ifndef TOOL_IMPORT_CHECK_H
#define TOOL_IMPORT_CHECK_H

#include "import_block.h"

struct import_check;

/* rules and lines stay the caller's, and there until it is closed. Returns 0 or E_MEMORY. */
int import_check_open(const struct import_rules *rules, struct import_lines *lines,
                      struct import_check **ret_check, struct error *error);

/*
 * The next line that is not blank; *ret_checked is NULL at the end of the input, and else valid
 * until the next call. Returns 0; E_DATA and what is wrong with the line, of which *ret_checked
 * tells too, and another call gives the next (after the rest of it: `more`); or E_MEMORY or E_IO,
 * and no line. The second thread is started when there is something for it to do; where it cannot
 * be, it goes without. Blocks.
 */
int import_check_next(struct import_check *check, const struct import_checked **ret_checked,
                      struct error *error);

/* Ends the thread. Everything that held input is cleansed. NULL is let be. */
void import_check_close(struct import_check *check);

#endif
