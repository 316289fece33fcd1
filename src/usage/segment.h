/*
 * segment.h - whether a descriptor is memory that may be a segment of the area or the process
 * segment: nobody can take it away from under who has it mapped (a memfd, sealed), and it is as
 * large as it should be.
 */
#ifndef USAGE_SEGMENT_H
#define USAGE_SEGMENT_H

#include <stddef.h>

#include "core/error.h"

/* Whether the descriptor is such memory, to be read and written, and has this size: 0, or E_DATA
 * with a line that says of `what` what is wrong with it. Nothing is allocated. Thread: any. */
int usage_memory_check(int fd, size_t size, const char *what, struct error *error);

/* The same for the process segment (process.h). */
int usage_process_check(int fd, struct error *error);

/* The same for segment k of the area, which is below USAGE_SEGMENTS_MAX. */
int usage_segment_check(int fd, unsigned k, struct error *error);

#endif
