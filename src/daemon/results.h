/*
 * results.h - how often verifications had each result: numbers that go on over process segments,
 * restarts and the time in which no daemon ran.
 *
 * A process segment (usage/process.h) counts from 0 when a keeper makes it. What is known remembers
 * which segment it saw last and how far that had counted, so that it goes on by the difference, and
 * by all of it where the segment is another. What a segment says is hostile: as total.h has it for
 * keys, a count that goes back, or on by more than any host counts, adds nothing. Pure.
 */
#ifndef DAEMON_RESULTS_H
#define DAEMON_RESULTS_H

#include "usage/process.h"

/* The boot, and the segment's inode in it: while a segment is there, no other has that. */
#define RESULTS_SEGMENT_BYTES 24u
#define RESULTS_ENCODED_MAX 512u

/* Zeros: nothing was counted, and no segment was seen. */
struct results {
    unsigned char segment[RESULTS_SEGMENT_BYTES];
    uint64_t counts[PROCESS_RESULTS]; /* each at most INT64_MAX, for JSON's readers */
    uint64_t seen[PROCESS_RESULTS];   /* what of it the segment had counted */
};

/* What all processes together counted in a segment, at one moment. */
struct results_look {
    unsigned char segment[RESULTS_SEGMENT_BYTES];
    struct process_counts totals;
};

/* Goes on to what was seen; *ret_more is what that adds. True if it is anything. */
bool results_advance(struct results *io_results, const struct results_look *look,
                     uint64_t ret_more[PROCESS_RESULTS]);

/* Returns the length, at most RESULTS_ENCODED_MAX. */
size_t results_encode(const struct results *results, unsigned char ret_bytes[RESULTS_ENCODED_MAX]);

/* Returns 0, E_DATA or E_VERSION. */
int results_decode(const unsigned char *bytes, size_t len, struct results *ret_results);

#endif
