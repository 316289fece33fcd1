/* What is noted of a key, and how it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib_table.h"
#include "lib_usage.h"
#include "usage/record.h"

#define NOW INT64_C(1790000000)

static const struct address here = {{[10] = 0xff, [11] = 0xff, 203, 0, 113, 9}};
static const struct address there = {{0x20, 0x01, 0x0d, 0xb8, [15] = 7}};
static struct usage_area area;

static int set_up(void **state)
{
    (void)state;
    test_area_open(&area, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_area_close(&area);
    return 0;
}

static struct usage_numbers numbers_at(uint32_t ref, int64_t now)
{
    struct usage_numbers numbers;
    memset(&numbers, 0xa5, sizeof numbers);
    assert_true(usage_read(&area, ref, now, &numbers));
    return numbers;
}

static void assert_event(const struct usage_event *event, int64_t last, uint64_t count,
                         const struct address *from)
{
    assert_int_equal(event->last_unix_s, last);
    assert_int_equal(event->count, count);
    assert_int_equal(event->has_from, from != NULL);
    if (from != NULL)
        assert_memory_equal(&event->from, from, sizeof *from);
}

static bool is_marked(uint32_t ref)
{
    return (atomic_load(usage_mark_word(&area, ref)) & usage_mark_bit(ref)) != 0;
}

static void a_record_of_nothing_says_so(void **state)
{
    (void)state;
    struct usage_numbers numbers = numbers_at(1, NOW);
    assert_event(&numbers.used, 0, 0, NULL);
    assert_event(&numbers.refused, 0, 0, NULL);
    assert_false(is_marked(1));
}

static void uses_and_refusals_are_each_their_own(void **state)
{
    (void)state;
    usage_note_use(&area, 5, NOW, &here);
    struct usage_numbers numbers = numbers_at(5, NOW);
    assert_event(&numbers.used, NOW, 1, &here);
    assert_event(&numbers.refused, 0, 0, NULL);
    usage_note_refusal(&area, 5, NOW + 1, &there);
    usage_note_refusal(&area, 5, NOW + 2, &there);
    numbers = numbers_at(5, NOW + 2);
    assert_event(&numbers.used, NOW, 1, &here);
    assert_event(&numbers.refused, NOW + 2, 2, &there);
}

/* In every segment, at its ends and between, and nowhere else. */
static void only_the_key_s_own_record_and_mark_change(void **state)
{
    (void)state;
    static const uint32_t refs[] = {1, 63, 64, 65, 16383, 16384, 16385, 32767, 32768, 65535};
    const size_t count = sizeof refs / sizeof *refs;
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n <= i; n++)
            (i % 2 ? usage_note_use : usage_note_refusal)(&area, refs[i], NOW, &here);
    }
    uint64_t uses = 0, refusals = 0, marks = 0;
    for (uint32_t ref = 1; ref <= usage_capacity(area.segment_count); ref++) {
        struct usage_numbers numbers = numbers_at(ref, NOW);
        uses += numbers.used.count;
        refusals += numbers.refused.count;
        marks += is_marked(ref);
    }
    assert_int_equal(refusals, 1 + 3 + 5 + 7 + 9);
    assert_int_equal(uses, 2 + 4 + 6 + 8 + 10);
    assert_int_equal(marks, count);
    for (size_t i = 0; i < count; i++) {
        struct usage_numbers numbers = numbers_at(refs[i], NOW);
        assert_int_equal(i % 2 ? numbers.used.count : numbers.refused.count, i + 1);
        assert_true(is_marked(refs[i]));
    }
}

static void time_and_address_are_stored_once_a_second(void **state)
{
    (void)state;
    usage_note_use(&area, 9, NOW, &here);
    usage_note_use(&area, 9, NOW, &there);
    usage_note_use(&area, 9, NOW, NULL);
    struct usage_numbers numbers = numbers_at(9, NOW);
    assert_event(&numbers.used, NOW, 3, &here);
    usage_note_use(&area, 9, NOW + 1, &there);
    numbers = numbers_at(9, NOW + 1);
    assert_event(&numbers.used, NOW + 1, 4, &there);
}

/* By what is on the line: someone else's bytes stay as they are. */
static void a_second_use_in_a_second_writes_nothing_but_the_count(void **state)
{
    (void)state;
    struct usage_record *record = usage_record_at(&area, 9);
    usage_note_use(&area, 9, NOW, &here);
    atomic_store(&record->used_from[0], 11);
    atomic_store(&record->used_from[1], 22);
    usage_note_use(&area, 9, NOW, &here);
    assert_int_equal(atomic_load(&record->used_from[0]), 11);
    assert_int_equal(atomic_load(&record->used_from[1]), 22);
    assert_int_equal(atomic_load(&record->used_count), 2);
}

static void an_address_that_is_not_told_clears_the_one_before(void **state)
{
    (void)state;
    usage_note_use(&area, 9, NOW, &there);
    usage_note_refusal(&area, 9, NOW, &there);
    usage_note_use(&area, 9, NOW + 1, NULL);
    struct usage_numbers numbers = numbers_at(9, NOW + 1);
    assert_event(&numbers.used, NOW + 1, 2, NULL);
    assert_event(&numbers.refused, NOW, 1, &there);
}

static void who_comes_late_takes_no_time_back(void **state)
{
    (void)state;
    usage_note_use(&area, 9, NOW, &here);
    for (unsigned late = 1; late <= USAGE_LATE_MAX_S; late++)
        usage_note_use(&area, 9, NOW - (int64_t)late, &there);
    struct usage_numbers numbers = numbers_at(9, NOW);
    assert_event(&numbers.used, NOW, 1 + USAGE_LATE_MAX_S, &here);
}

static void a_time_far_ahead_does_not_stay(void **state)
{
    (void)state;
    static const uint64_t times[] = {(uint64_t)NOW + USAGE_LATE_MAX_S + 1, INT64_MAX,
                                     (uint64_t)INT64_MAX + 1, UINT64_MAX - USAGE_LATE_MAX_S,
                                     UINT64_MAX};
    struct usage_record *record = usage_record_at(&area, 9);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        atomic_store(&record->used_unix_s, times[i]);
        usage_note_use(&area, 9, NOW, &here);
        assert_int_equal(atomic_load(&record->used_unix_s), NOW);
    }
}

static void whose_second_somebody_else_took_leaves_time_and_address(void **state)
{
    (void)state;
    struct usage_record *record = usage_record_at(&area, 9);
    struct usage_words words = {&record->used_unix_s, &record->used_count, record->used_from};
    usage_note_use(&area, 9, NOW, &here);
    usage_store_last(words, NOW - 1, NOW, &there); /* looked before that */
    struct usage_numbers numbers = numbers_at(9, NOW);
    assert_event(&numbers.used, NOW, 1, &here);
}

static void no_time_is_read_that_is_not_there_yet(void **state)
{
    (void)state;
    struct usage_record *record = usage_record_at(&area, 9);
    usage_note_use(&area, 9, NOW, &here);
    usage_note_refusal(&area, 9, NOW, &here);
    struct usage_numbers numbers = numbers_at(9, NOW - 3);
    assert_event(&numbers.used, NOW - 3, 1, &here);
    assert_event(&numbers.refused, NOW - 3, 1, &here);
    atomic_store(&record->used_unix_s, UINT64_MAX);
    atomic_store(&record->refused_unix_s, (uint64_t)INT64_MAX + 1);
    numbers = numbers_at(9, NOW);
    assert_event(&numbers.used, NOW, 1, &here);
    assert_event(&numbers.refused, NOW, 1, &here);
    numbers = numbers_at(9, -1);
    assert_event(&numbers.used, 0, 1, NULL);
}

static void a_mark_that_was_taken_is_set_again(void **state)
{
    (void)state;
    usage_note_use(&area, 9, NOW, NULL);
    usage_note_use(&area, 10, NOW, NULL);
    atomic_store(usage_mark_word(&area, 9), 0);
    usage_note_use(&area, 9, NOW, NULL);
    assert_true(is_marked(9) && !is_marked(10));
    atomic_store(usage_mark_word(&area, 9), 0);
    usage_note_refusal(&area, 9, NOW, NULL);
    assert_true(is_marked(9) && !is_marked(10));
}

static void what_the_area_does_not_have_is_passed_over(void **state)
{
    (void)state;
    static const uint32_t refs[] = {0, 65536, 1u << 30, 1u << 31, UINT32_MAX};
    struct usage_numbers before, numbers;
    memset(&before, 0xa5, sizeof before);
    memcpy(&numbers, &before, sizeof numbers);
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        usage_prefetch(&area, refs[i]);
        usage_note_use(&area, refs[i], NOW, &here);
        usage_note_refusal(&area, refs[i], NOW, &here);
        assert_false(usage_read(&area, refs[i], NOW, &numbers));
        assert_memory_equal(&numbers, &before, sizeof numbers);
    }
    for (unsigned k = 0; k < area.segment_count; k++) {
        const unsigned char *segment = (const unsigned char *)area.segments[k];
        for (size_t at = 0; at < usage_segment_size(k); at++)
            if (segment[at] != 0)
                fail_msg("byte %zu of segment %u was written", at, k);
    }
}

static void whatever_is_scribbled_can_be_read_and_noted(void **state)
{
    (void)state;
    uint64_t random = 1;
    test_area_scribble(&area, &random);
    for (unsigned i = 0; i < 500000; i++) {
        uint32_t ref = (uint32_t)(sample_random(&random) >> random % 48);
        int64_t now = (int64_t)(sample_random(&random) >> random % 64);
        bool is_there = ref != 0 && ref <= usage_capacity(area.segment_count);
        struct usage_numbers numbers;
        usage_note_use(&area, ref, now, i % 2 ? &here : NULL);
        usage_note_refusal(&area, ref, now, i % 2 ? &here : NULL);
        assert_int_equal(usage_read(&area, ref, now, &numbers), is_there);
        if (!is_there)
            continue;
        assert_true(numbers.used.last_unix_s >= 0 && numbers.refused.last_unix_s >= 0);
        assert_true(numbers.used.last_unix_s <= (now > 0 ? now : 0));
        assert_true(numbers.refused.last_unix_s <= (now > 0 ? now : 0));
        assert_true(is_marked(ref));
    }
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_record_of_nothing_says_so),
        EACH(uses_and_refusals_are_each_their_own),
        EACH(only_the_key_s_own_record_and_mark_change),
        EACH(time_and_address_are_stored_once_a_second),
        EACH(a_second_use_in_a_second_writes_nothing_but_the_count),
        EACH(an_address_that_is_not_told_clears_the_one_before),
        EACH(who_comes_late_takes_no_time_back),
        EACH(a_time_far_ahead_does_not_stay),
        EACH(whose_second_somebody_else_took_leaves_time_and_address),
        EACH(no_time_is_read_that_is_not_there_yet),
        EACH(a_mark_that_was_taken_is_set_again),
        EACH(what_the_area_does_not_have_is_passed_over),
        EACH(whatever_is_scribbled_can_be_read_and_noted),
    };
    return cmocka_run_group_tests_name("usage record", tests, NULL, NULL);
}
