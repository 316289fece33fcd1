#include "lib_usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "lib_table.h"

#define GUARD 4096u

void test_area_open(struct usage_area *area, unsigned segment_count)
{
    *area = (struct usage_area){.id = "test"};
    while (area->segment_count < segment_count)
        test_area_grow(area);
}

void test_area_grow(struct usage_area *area)
{
    assert_true(area->segment_count < USAGE_SEGMENTS_MAX);
    size_t size = usage_segment_size(area->segment_count);
    char *room =
        mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(room, MAP_FAILED);
    assert_int_equal(mprotect(room + GUARD, size, PROT_READ | PROT_WRITE), 0);
    void *segment = room + GUARD;
    area->segments[area->segment_count++] = segment;
}

void test_area_close(struct usage_area *area)
{
    while (area->segment_count > 0) {
        unsigned k = --area->segment_count;
        munmap((char *)area->segments[k] - GUARD, usage_segment_size(k) + 2 * GUARD);
    }
}

void test_area_scribble(struct usage_area *area, uint64_t *random)
{
    for (unsigned k = 0; k < area->segment_count; k++) {
        char *segment = (char *)area->segments[k];
        for (size_t at = 0; at < usage_segment_size(k); at += 8) {
            uint64_t word = sample_random(random);
            memcpy(segment + at, &word, sizeof word);
        }
    }
}
