/*
 * keeper.h - the protocol between catlatch-keeper, which holds the usage area, and who wants it:
 * the daemon and every process that verifies keys.
 *
 * run_dir/usage.sock is a SOCK_SEQPACKET socket, so a message is never split or joined. Its mode is
 * 0660 and its group the table's: who may map the table may have the area, and nobody else. On a
 * connection goes one request, one answer, and the client closes. Native byte order: nothing leaves
 * the host.
 *
 *     request                                        answer
 *     GET                                            OK, area, count, and count descriptors
 *     PUT area, segment, and the one descriptor      OK, area, count; or another status
 *
 * GET. No area: count 0, and `area` is zeros. Descriptor i is segment i.
 *
 * PUT is for root and the keeper's own uid. Segment 0 of another area replaces what the keeper has;
 * otherwise the segment must be the next one of the area that it has. Whoever did not get the
 * answer asks again: the same memory for a segment that the keeper has already is OK.
 *
 * A segment is a memfd, open for reading and writing, sealed against shrinking, growing and further
 * seals but not against writing, and as large as usage_segment_size says (segment.h).
 *
 * The keeper closes a connection without an answer when the request has another size or magic, does
 * not carry the descriptors that it should, or does not come within KEEPER_PATIENCE_MS; and, of too
 * many connections, the oldest. A request of another version is answered KEEPER_VERSION_UNKNOWN in
 * the keeper's own, so that a newer client can tell: sizes and the first two words never change.
 */
#ifndef USAGE_KEEPER_H
#define USAGE_KEEPER_H

#include <assert.h>
#include <stdint.h>

#define KEEPER_SOCKET_NAME "usage.sock"
#define KEEPER_MAGIC UINT32_C(0x4b554c43) /* "CLUK" */
#define KEEPER_VERSION 1u

/* How long the keeper waits for a connection's request: who means it sends at once. */
#define KEEPER_PATIENCE_MS 1000

/* The name of an area: random, so that no two are taken for each other. Zeros name none. */
#define KEEPER_AREA_BYTES 16

enum keeper_want {
    KEEPER_GET = 1,
    KEEPER_PUT = 2,
};

enum keeper_status {
    KEEPER_OK = 0,
    KEEPER_DENIED = 1,          /* the peer's uid may not PUT */
    KEEPER_UNFIT = 2,           /* not a segment: its kind, seals or size, or an area of zeros */
    KEEPER_OUT_OF_ORDER = 3,    /* not the next segment of the area that the keeper has */
    KEEPER_VERSION_UNKNOWN = 4, /* the answer's version is the one that the keeper speaks */
    KEEPER_UNKNOWN = 5,         /* no such request */
};

struct keeper_request {
    uint32_t magic;
    uint32_t version;
    uint32_t want; /* enum keeper_want */
    uint32_t segment;
    uint8_t area[KEEPER_AREA_BYTES];
};
static_assert(sizeof(struct keeper_request) == 32, "the same for every compiler");

struct keeper_answer {
    uint32_t magic;
    uint32_t version;
    uint32_t status; /* enum keeper_status */
    uint32_t count;  /* segments that the keeper has, at most USAGE_SEGMENTS_MAX */
    uint8_t area[KEEPER_AREA_BYTES];
};
static_assert(sizeof(struct keeper_answer) == 32, "the same for every compiler");

#endif
