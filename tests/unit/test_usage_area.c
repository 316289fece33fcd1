/* Where segments, records and marks lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "core/error.h"
#include "core/huge.h"
#include "usage/area.h"

/* All segments there can be, as addresses: nothing is ever written to these. */
static struct usage_area area;

static int reserve_area(void **state)
{
    (void)state;
    area = (struct usage_area){.segment_count = USAGE_SEGMENTS_MAX};
    for (unsigned k = 0; k < USAGE_SEGMENTS_MAX; k++) {
        void *segment = mmap(NULL, usage_segment_size(k), PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (segment == MAP_FAILED)
            return -1;
        area.segments[k] = segment;
    }
    return 0;
}

static int release_area(void **state)
{
    (void)state;
    for (unsigned k = 0; k < USAGE_SEGMENTS_MAX; k++)
        munmap(area.segments[k], usage_segment_size(k));
    return 0;
}

static uint64_t first_of(unsigned k)
{
    return k == 0 ? 0 : (uint64_t)USAGE_FIRST_RECORDS << (k - 1);
}

static void each_segment_has_as_many_records_as_all_before_it(void **state)
{
    (void)state;
    uint64_t sum = 0;
    for (unsigned k = 0; k < USAGE_SEGMENTS_MAX; k++) {
        assert_int_equal(usage_segment_records(k), k == 0 ? 16384 : sum);
        sum += usage_segment_records(k);
        assert_int_equal(usage_capacity(k + 1), sum - 1); /* but for nobody's */
    }
    assert_int_equal(sum, UINT64_C(1) << 31);
    assert_int_equal(usage_capacity(0), 0);
    assert_int_equal(usage_capacity(USAGE_SEGMENTS_MAX + 1), usage_capacity(USAGE_SEGMENTS_MAX));
}

static void a_segment_has_room_for_records_and_marks_in_whole_pages(void **state)
{
    (void)state;
    for (unsigned k = 0; k < USAGE_SEGMENTS_MAX; k++) {
        size_t records = usage_segment_records(k), size = usage_segment_size(k);
        size_t needed = records * 64 + records / 8;
        size_t page = needed < HUGE_PAGE ? 4096 : HUGE_PAGE;
        assert_int_equal(size % page, 0);
        assert_true(size >= needed && size - needed < page && size < 2 * needed);
    }
    assert_int_equal(usage_segment_size(0), (1 << 20) + 4096);
    assert_int_equal(usage_segment_size(1), (1 << 20) + 4096);
    assert_int_equal(usage_segment_size(2), 4 << 20);
    assert_int_equal(usage_segment_size(3), 6 << 20);
}

static void there_is_no_segment_beyond_the_last(void **state)
{
    (void)state;
    assert_int_equal(usage_segment_records(USAGE_SEGMENTS_MAX), 0);
    assert_int_equal(usage_segment_size(USAGE_SEGMENTS_MAX), 0);
    assert_int_equal(usage_segment_size(UINT32_MAX), 0);
}

static void the_fewest_segments_that_have_room_are_found_at_each_border(void **state)
{
    (void)state;
    assert_int_equal(usage_segments_for(0), 0);
    assert_int_equal(usage_segments_for(1), 1);
    for (unsigned n = 1; n <= USAGE_SEGMENTS_MAX; n++) {
        uint64_t capacity = usage_capacity(n);
        assert_int_equal(usage_segments_for(capacity - 1), n);
        assert_int_equal(usage_segments_for(capacity), n);
        if (n < USAGE_SEGMENTS_MAX)
            assert_int_equal(usage_segments_for(capacity + 1), n + 1);
    }
    assert_int_equal(usage_segments_for(10000000), 11);
    assert_int_equal(usage_segments_for(UINT64_C(1) << 31), CATLATCH_E_FULL);
    assert_int_equal(usage_segments_for((UINT64_C(1) << 32) + 1), CATLATCH_E_FULL);
    assert_int_equal(usage_segments_for(UINT64_MAX), CATLATCH_E_FULL);
}

static void assert_at(uint64_t ref, unsigned k, uint64_t index)
{
    uint32_t number = (uint32_t)ref;
    char *segment = (char *)area.segments[k];
    assert_int_equal(usage_segment_of(number), k);
    assert_int_equal(usage_index_of(number), index);
    assert_ptr_equal(usage_record_at(&area, number), segment + index * 64);
    char *mark = (char *)usage_mark_word(&area, number);
    assert_ptr_equal(mark, segment + (size_t)usage_segment_records(k) * 64 + index / 64 * 8);
    assert_true(mark + 8 <= segment + usage_segment_size(k));
    assert_int_equal(usage_mark_bit(number), UINT64_C(1) << index % 64);
}

static void a_reference_leads_to_its_place_around_each_border(void **state)
{
    (void)state;
    for (unsigned k = 0; k < USAGE_SEGMENTS_MAX; k++) {
        uint64_t first = first_of(k), count = usage_segment_records(k);
        for (uint64_t i = 0; i < 130; i++) {
            if (first + i > 0)
                assert_at(first + i, k, i);
            assert_at(first + count / 2 - i, k, count / 2 - i);
            assert_at(first + count - 1 - i, k, count - 1 - i);
        }
    }
}

static void what_the_area_does_not_have_is_no_record(void **state)
{
    (void)state;
    assert_null(usage_record_at(&area, 0));
    assert_null(usage_record_at(&area, UINT32_C(1) << 31));
    assert_null(usage_record_at(&area, (UINT32_C(1) << 31) + 1));
    assert_null(usage_record_at(&area, UINT32_MAX));
    struct usage_area part = area;
    for (part.segment_count = 0; part.segment_count <= USAGE_SEGMENTS_MAX; part.segment_count++) {
        uint32_t capacity = usage_capacity(part.segment_count);
        assert_int_equal(usage_record_at(&part, capacity) != NULL, part.segment_count > 0);
        assert_null(usage_record_at(&part, capacity + 1));
    }
}

static void two_records_from_an_even_one_on_are_a_block_of_limits(void **state)
{
    (void)state;
    for (unsigned k = 0; k < USAGE_SEGMENTS_MAX; k++) {
        uint64_t first = first_of(k), count = usage_segment_records(k);
        char *segment = (char *)area.segments[k];
        for (uint64_t i = 0; i < 130; i++) {
            uint64_t index = i < 65 ? i : count - 130 + i;
            char *block = (char *)usage_limits_at(&area, (uint32_t)(first + index));
            bool is_block = index % 2 == 0 && first + index != 0;
            assert_ptr_equal(block, is_block ? segment + index * 64 : NULL);
            if (block != NULL)
                assert_ptr_equal(block + sizeof(struct usage_limits),
                                 (char *)usage_record_at(&area, (uint32_t)(first + index + 1)) +
                                     64);
        }
    }
}

static void what_the_area_does_not_have_is_no_block_of_limits(void **state)
{
    static const uint32_t refs[] = {0, 1, 3, 1u << 31, (1u << 31) + 2, UINT32_MAX, UINT32_MAX - 1};
    (void)state;
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++)
        assert_null(usage_limits_at(&area, refs[i]));
    struct usage_area part = area;
    for (part.segment_count = 0; part.segment_count <= USAGE_SEGMENTS_MAX; part.segment_count++) {
        uint32_t capacity = usage_capacity(part.segment_count);
        assert_int_equal(usage_limits_at(&part, capacity - 1) != NULL, part.segment_count > 0);
        assert_null(usage_limits_at(&part, capacity));
        assert_null(usage_limits_at(&part, capacity + 1));
        assert_null(usage_limits_at(&part, capacity + 3));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_segment_has_as_many_records_as_all_before_it),
        cmocka_unit_test(a_segment_has_room_for_records_and_marks_in_whole_pages),
        cmocka_unit_test(there_is_no_segment_beyond_the_last),
        cmocka_unit_test(the_fewest_segments_that_have_room_are_found_at_each_border),
        cmocka_unit_test(a_reference_leads_to_its_place_around_each_border),
        cmocka_unit_test(what_the_area_does_not_have_is_no_record),
        cmocka_unit_test(two_records_from_an_even_one_on_are_a_block_of_limits),
        cmocka_unit_test(what_the_area_does_not_have_is_no_block_of_limits),
    };
    return cmocka_run_group_tests_name("usage area", tests, reserve_area, release_area);
}
