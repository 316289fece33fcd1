/*
 * census.h - the processes that verify keys, as catlatch-keeper tells of them, and what they all
 * counted together. The daemon is one of them: it has a line for what it verifies itself.
 *
 * Which segment there is can change while somebody reads one: none is unmapped before the end.
 * Nothing that stands in it is believed further than results.h says.
 */
#ifndef DAEMON_CENSUS_H
#define DAEMON_CENSUS_H

#include <uv.h>

#include "daemon/op.h"
#include "daemon/results.h"

struct census;

/* Looks for the keeper once, for patience_ms at most; that there is none is no failure. Returns 0
 * or E_MEMORY. */
int census_open(const char *run_dir, unsigned patience_ms, struct census **ret_census,
                struct error *error);
void census_free(struct census *census); /* NULL is allowed. Blocks for a moment at most */

/* Attaches to the segment that the keeper has now. A thread of the loop's pool, one at a time; may
 * block for some 100 ms. */
void census_tend(struct census *census);

/* The daemon's own line. Loop thread. */
void census_note(const struct census *census, enum catlatch_result result);
void census_note_generation(const struct census *census, uint64_t generation);

/* What was counted up to now. False: there is no segment, or no quiet moment to read it in, and
 * then what was known goes on being so. Any thread; up to a few milliseconds. NULL is allowed. */
bool census_look(const struct census *census, struct results_look *ret_look);

/* What is stored of it, for census_results. Store thread. */
void census_know(struct census *census, const struct results *results);

/* How often each result was, as of this moment or a tenth of a second ago. NULL: never. Loop
 * thread. */
void census_results(struct census *census, uint64_t ret_counts[PROCESS_RESULTS]);

/* Carries OP_PROCESSES out, in the loop's pool, one after the other. Loop thread. */
void census_submit(struct census *census, uv_loop_t *loop, struct op *op);

#endif
