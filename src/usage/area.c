#include "usage/area.h"

#include "usage/layout.h"

#define PAGE 4096u

size_t usage_segment_size(unsigned k)
{
    size_t records = k == 0 ? USAGE_FIRST_RECORDS : (size_t)USAGE_FIRST_RECORDS << (k - 1);
    size_t bytes = records * sizeof(struct usage_record) + records / 8;

    return (bytes + PAGE - 1) / PAGE * PAGE;
}
