/*
 * area.h - how large the area's segments are: see layout.h.
 */
#ifndef USAGE_AREA_H
#define USAGE_AREA_H

#include <stddef.h>

/* Bytes of segment k, which is below USAGE_SEGMENTS_MAX. */
size_t usage_segment_size(unsigned k);

#endif
