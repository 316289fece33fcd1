/*
 * segment.h - whether a descriptor is memory that may be a segment of the area: nobody can take it
 * away from under who has it mapped (a memfd, sealed), and it is as large as it should be.
 */
#ifndef USAGE_SEGMENT_H
#define USAGE_SEGMENT_H

#include "core/error.h"

/* Checks the descriptor for segment k, which is below USAGE_SEGMENTS_MAX. Returns 0, or E_DATA with
 * a line that says what is wrong with it. Nothing is allocated. Thread: any. */
int usage_segment_check(int fd, unsigned k, struct error *error);

#endif
