/*
 * area.h - the area as one process has it mapped, and where a reference leads in it.
 *
 * A reference is the number of a record; record 0 is nobody's, so that 0 can mean none. Segments
 * double, so that segment and place follow from the reference's highest bit, and a reference stays
 * what it was however much the area grows.
 *
 * Plain values of the process's own, filled in by whoever maps the segments, while nobody else uses
 * them. Everything here is wait-free.
 */
#ifndef USAGE_AREA_H
#define USAGE_AREA_H

#include <stdbool.h>
#include <stddef.h>

#include "usage/layout.h"

struct usage_area {
    unsigned char id[16];
    unsigned segment_count;                            /* at most USAGE_SEGMENTS_MAX */
    struct usage_record *segments[USAGE_SEGMENTS_MAX]; /* each usage_segment_size long */
};

/* The records of segment k, counted from 0; 0 when there can be no such segment. */
uint32_t usage_segment_records(unsigned k);

/* Its bytes: what layout.h says, in whole huge pages from one on. The first two are half as large
 * and stay so, for most hosts need no more than these. 0 when there can be no such segment. */
size_t usage_segment_size(unsigned k);

/* The records that so many segments have for keys, which is their highest reference. */
uint32_t usage_capacity(unsigned segment_count);

/* The fewest segments with that many records for keys. CATLATCH_E_FULL: no area has as many. */
int usage_segments_for(uint64_t record_count);

/* The segment of a reference: USAGE_SEGMENTS_MAX for one of 32 bits, which is none's. */
static inline unsigned usage_segment_of(uint32_t ref)
{
    unsigned highest = 31u - (unsigned)__builtin_clz(ref | (USAGE_FIRST_RECORDS - 1));
    return highest + 1 - USAGE_FIRST_BITS;
}

/* Its place there: each segment but the first begins at a power of two, its records' number. */
static inline uint32_t usage_index_of(uint32_t ref)
{
    uint32_t first = (USAGE_FIRST_RECORDS / 2 << usage_segment_of(ref)) & -USAGE_FIRST_RECORDS;
    return ref - first;
}

/* NULL when the area has no such record: 0, more than 31 bits, or of a segment that is not mapped
 * here. */
static inline struct usage_record *usage_record_at(const struct usage_area *area, uint32_t ref)
{
    unsigned k = usage_segment_of(ref);
    bool can_be = (int32_t)ref > 0; /* so k is below USAGE_SEGMENTS_MAX */
    return can_be && k < area->segment_count ? area->segments[k] + usage_index_of(ref) : NULL;
}

/* The block of limits of two records, this one and the next. NULL when the area has no such block:
 * the reference is nobody's, odd, or usage_record_at has none. */
static inline struct usage_limits *usage_limits_at(const struct usage_area *area, uint32_t ref)
{
    /* An even one's neighbour is in the same segment: see usage_limits in layout.h. */
    return ref % 2 == 0 ? (struct usage_limits *)usage_record_at(area, ref) : NULL;
}

/* The word with the mark of a record that the area has, and the mark in it. */
static inline _Atomic uint64_t *usage_mark_word(const struct usage_area *area, uint32_t ref)
{
    unsigned k = usage_segment_of(ref);
    uint32_t records = USAGE_FIRST_RECORDS << (k > 0 ? k - 1 : 0);
    void *marks = area->segments[k] + records;
    return (_Atomic uint64_t *)marks + usage_index_of(ref) / 64;
}

static inline uint64_t usage_mark_bit(uint32_t ref)
{
    return UINT64_C(1) << ref % 64;
}

#endif
