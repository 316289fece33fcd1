/*
 * fetch.h - the usage area from the keeper (keeper.h), for the library and the daemon.
 *
 * One connection, one request, one answer, in bounded time, from a keeper whose uid is believed.
 * Nothing is allocated, and no descriptor stays open but those that are returned. Unlike the rest
 * of src/usage this makes system calls. Thread: any. Fork: any. Blocks: for timeout_ms at most.
 */
#ifndef USAGE_FETCH_H
#define USAGE_FETCH_H

#include <stdint.h>

#include "core/error.h"
#include "core/trust.h"
#include "usage/keeper.h"
#include "usage/passing.h"

struct usage_fetched {
    uint8_t area[KEEPER_AREA_BYTES]; /* zeros where there are no segments */
    struct passing segments;         /* in their order; checked by usage_segment_check */
};

/*
 * Fetches the area that the keeper of this run_dir has: *ret_fetched is the caller's, who maps the
 * segments and calls usage_fetched_close. count 0: the keeper has none. On failure it is untouched.
 * Root and the uids of `trust` are believed; the uid that a user namespace shows for everybody
 * unknown never is. timeout_ms is for all of it, and at least 1.
 *
 * Returns 0; E_UNAVAILABLE (nobody listens, or no answer in time), E_PERMISSION (the socket cannot
 * be opened, or a foreign uid listens on it), E_DATA (what came is no area), E_VERSION (the keeper
 * speaks another version), E_CONFIG (the path is too long for a socket) or E_IO.
 */
int usage_fetch(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                struct usage_fetched *ret_fetched, struct error *error);

void usage_fetched_close(struct usage_fetched *fetched);

/*
 * Gives the keeper segment k of this area; fd stays the caller's. Segment 0 of an area that the
 * keeper does not have replaces the one that it has. After an error the call may be repeated: the
 * same memory again is no mistake.
 *
 * Returns 0; what usage_fetch does; E_PERMISSION also where the keeper does not take it from this
 * uid, E_DATA where it finds the descriptor unfit, E_CONFLICT where it is not the next segment.
 */
int usage_offer(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                const uint8_t area[KEEPER_AREA_BYTES], unsigned k, int fd, struct error *error);

#endif
