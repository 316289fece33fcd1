/*
 * fetch.h - the usage area and a line of the process segment from the keeper (keeper.h), for the
 * library and the daemon; and who has lines, for the daemon.
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

/* What a handle has of the keeper. */
struct usage_attached {
    struct usage_fetched fetched;
    int processes; /* the process segment; checked by usage_process_check */
    uint32_t line; /* ours in it; 0: there was none, and then nothing is counted */
};

/*
 * usage_fetch, and a line of the process segment for this handle alone. *ret_attached is the
 * caller's, who maps the segments and calls usage_attached_close: that closes descriptors, and the
 * line stays ours until usage_detach or the end of this process.
 *
 * When: as the area is mapped, and again when the table names another area. A keeper that lost
 * the area (it was killed, and no service manager kept anything) has another process segment as
 * well, and what is noted in the old one is no more than lost. While the area stays, through
 * restarts of the daemon and of a keeper that a manager restarts, the line stays.
 *
 * Errors are usage_fetch's. After one the keeper may have kept a line for us, for as long as this
 * process lives.
 *
 * Fork: the child has the parent's line mapped and must not write there; it attaches itself. (What
 * says which line it is may lie in a page that MADV_WIPEONFORK empties in a child.) An exec'd
 * program has the line no more, and nobody else gets it until that ends: detach first.
 */
int usage_attach(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                 struct usage_attached *ret_attached, struct error *error);

void usage_attached_close(struct usage_attached *attached);

/*
 * Gives the line back. What was counted there is the past's now, and another process may have the
 * line at once, so nothing may be written there any more from the call on, whatever it returns.
 *
 * Returns 0; E_PERMISSION also where the line is not this process's (but its parent's, say); or
 * what usage_fetch does, and then the line may stay ours until this process ends.
 */
int usage_detach(const char *run_dir, const struct trust *trust, unsigned timeout_ms, uint32_t line,
                 struct error *error);

/* Some of the processes that are attached. */
struct usage_processes {
    int segment;   /* the process segment; checked by usage_process_check */
    uint32_t next; /* where the next page begins; 0: this was the last */
    unsigned count;
    struct keeper_process list[KEEPER_PAGE]; /* by line, rising */
};

/*
 * Lists handles of processes, those with lines from `from` on: 0, then `next`, until that is 0
 * again. *ret_processes is the caller's, who calls usage_processes_close on each page. A process
 * that had ended before the call is not listed, and its counts are the past's; one that attaches or
 * ends between two pages may be missed, and none is listed twice.
 *
 * Returns 0; what usage_fetch does; E_PERMISSION also where the keeper does not tell this uid.
 */
int usage_processes(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                    uint32_t from, struct usage_processes *ret_processes, struct error *error);

void usage_processes_close(struct usage_processes *processes);

#endif
