/*
 * keeper.h - the protocol between catlatch-keeper, which holds the usage area and knows which
 * processes use it, and who wants to know: the daemon and every process that verifies keys.
 *
 * run_dir/usage.sock is a SOCK_SEQPACKET socket, so a message is never split or joined. Its mode is
 * 0660 and its group the table's: who may map the table may have the area, and nobody else. On a
 * connection goes one request, one answer, and the client closes. Native byte order: nothing leaves
 * the host.
 *
 *     request                          answer
 *     GET                              OK, area, count, and count descriptors
 *     PUT area, number (of a segment)  OK, area, count; or another status
 *         and the one descriptor
 *     ATTACH                           OK, area, count, and count + 1 descriptors; one entry
 *     DETACH number (of a line)        OK, area, count; or DENIED
 *     PROCESSES number (of a line)     OK, area, count, and one descriptor; count entries
 *
 * GET. No area: count 0, and `area` is zeros. Descriptor i is segment i.
 *
 * PUT is for root and the keeper's own uid. Segment 0 of another area replaces what the keeper has;
 * otherwise the segment must be the next one of the area that it has. Whoever did not get the
 * answer asks again: the same memory for a segment that the keeper has already is OK.
 *
 * A segment is a memfd, open for reading and writing, sealed against shrinking, growing and further
 * seals but not against writing, and as large as usage_segment_size says (segment.h). So is the
 * process segment (process.h), which the keeper makes: the last descriptor of ATTACH, the only one
 * of PROCESSES.
 *
 * ATTACH is GET and a line of the process segment, which is the peer's alone: its entry stands
 * behind the answer. Line 0: there is none for it, since too many are taken, by its uid or in all,
 * or the system has no descriptor for its process. Each ATTACH gives another line, for each handle
 * of a process has its own. The peer is the process that connected, and no other one that has its
 * pid afterwards (src/keeper/pidfd.h).
 *
 * A line is given back when its process ends, however it ends; or earlier, by DETACH of that same
 * process, which writes there no more then. What it counted goes to the past. DENIED: the line is
 * not this peer's. Where a process is forked the child is another process: it has no line of the
 * parent's to write or to give back, and attaches itself.
 *
 * PROCESSES is for root and the keeper's own uid. The entries are those with lines from `number`
 * on, in their order; a page that is not full, of KEEPER_PAGE, is the last, and the next one begins
 * behind its last line. Nobody is listed who ended before the request came.
 *
 * The keeper closes a connection without an answer when the request has another size or magic, does
 * not carry the descriptors that it should, or does not come within KEEPER_PATIENCE_MS; and, of too
 * many connections, the oldest. A request of another version is answered KEEPER_VERSION_UNKNOWN in
 * the keeper's own, so that a newer client can tell: the size of a request and of an answer without
 * entries, and the first two words, never change.
 */
#ifndef USAGE_KEEPER_H
#define USAGE_KEEPER_H

#include <assert.h>
#include <stdint.h>

#define KEEPER_SOCKET_NAME "usage.sock"
#define KEEPER_MAGIC UINT32_C(0x4b554c43) /* "CLUK" */
#define KEEPER_VERSION 2u

/* How long the keeper waits for a connection's request: who means it sends at once. */
#define KEEPER_PATIENCE_MS 1000

/* The name of an area: random, so that no two are taken for each other. Zeros name none. */
#define KEEPER_AREA_BYTES 16

/* Entries of an answer at most. So a message is three kilobytes, which the stack of a worker has to
 * spare, and a full process segment thirty-two of them. */
#define KEEPER_PAGE 128u

enum keeper_want {
    KEEPER_GET = 1,
    KEEPER_PUT = 2,
    KEEPER_ATTACH = 3,
    KEEPER_DETACH = 4,
    KEEPER_PROCESSES = 5,
};

enum keeper_status {
    KEEPER_OK = 0,
    KEEPER_DENIED = 1,          /* the peer's uid may not ask this, or the line is not its own */
    KEEPER_UNFIT = 2,           /* not a segment: its kind, seals or size, or an area of zeros */
    KEEPER_OUT_OF_ORDER = 3,    /* not the next segment of the area that the keeper has */
    KEEPER_VERSION_UNKNOWN = 4, /* the answer's version is the one that the keeper speaks */
    KEEPER_UNKNOWN = 5,         /* no such request */
};

struct keeper_request {
    uint32_t magic;
    uint32_t version;
    uint32_t want;   /* enum keeper_want */
    uint32_t number; /* of a segment or a line; else 0 */
    uint8_t area[KEEPER_AREA_BYTES];
};
static_assert(sizeof(struct keeper_request) == 32, "the same for every compiler");

struct keeper_answer {
    uint32_t magic;
    uint32_t version;
    uint32_t status; /* enum keeper_status */
    uint32_t count;  /* segments that the keeper has, at most USAGE_SEGMENTS_MAX; or entries */
    uint8_t area[KEEPER_AREA_BYTES];
};
static_assert(sizeof(struct keeper_answer) == 32, "the same for every compiler");

/* One handle of a process. */
struct keeper_process {
    uint32_t pid; /* as the keeper sees it; 0: it does not, from another container */
    uint32_t uid; /* 65534 also for whoever its user namespace does not know */
    uint32_t line;
    uint32_t zero;
    uint64_t attached_ms; /* CLOCK_MONOTONIC */
};
static_assert(sizeof(struct keeper_process) == 24, "the same for every compiler");

/* An answer with all the entries that there can be. */
struct keeper_message {
    struct keeper_answer answer;
    struct keeper_process entries[KEEPER_PAGE];
};

#endif
