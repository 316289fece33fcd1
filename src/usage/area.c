#include "usage/area.h"

#include "core/error.h"
#include "core/huge.h"

#define SMALL_PAGE 4096u

static_assert(USAGE_FIRST_BITS + USAGE_SEGMENTS_MAX == 32, "references have 31 bits");
static_assert(USAGE_FIRST_RECORDS % 64 == 0, "no word of marks lies across two segments");
static_assert(USAGE_FIRST_RECORDS % 2 == 0, "no block of limits lies across two segments");

uint32_t usage_segment_records(unsigned k)
{
    if (k >= USAGE_SEGMENTS_MAX)
        return 0;
    return k == 0 ? USAGE_FIRST_RECORDS : USAGE_FIRST_RECORDS << (k - 1);
}

size_t usage_segment_size(unsigned k)
{
    size_t records = usage_segment_records(k);
    size_t size = records * sizeof(struct usage_record) + records / 64 * sizeof(uint64_t);
    size_t page = size < HUGE_PAGE ? SMALL_PAGE : HUGE_PAGE;
    return (size + page - 1) / page * page;
}

uint32_t usage_capacity(unsigned segment_count)
{
    if (segment_count == 0)
        return 0;
    unsigned count = segment_count < USAGE_SEGMENTS_MAX ? segment_count : USAGE_SEGMENTS_MAX;
    return (USAGE_FIRST_RECORDS << (count - 1)) - 1;
}

int usage_segments_for(uint64_t record_count)
{
    if (record_count == 0)
        return 0;
    if (record_count > usage_capacity(USAGE_SEGMENTS_MAX))
        return CATLATCH_E_FULL;
    return (int)usage_segment_of((uint32_t)record_count) + 1;
}
