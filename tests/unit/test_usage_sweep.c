/* Which references a sweep gives, and which marks it leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_table.h"
#include "lib_usage.h"
#include "usage/record.h"
#include "usage/sweep.h"

#define SEGMENTS 3u
#define WORDS (65536u / 64)

static struct usage_area area;
static uint32_t refs[65536];

static int set_up(void **state)
{
    (void)state;
    test_area_open(&area, SEGMENTS);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_area_close(&area);
    return 0;
}

static void note(uint32_t ref)
{
    usage_note_use(&area, ref, 1, NULL);
}

static bool is_marked(uint32_t ref)
{
    return (atomic_load(usage_mark_word(&area, ref)) & usage_mark_bit(ref)) != 0;
}

/* A whole round in slices: what it gave, in `refs`. Each slice but the last gives or passes
 * something, so a round is bounded. */
static size_t sweep_round(struct usage_cursor *at, size_t max_words, size_t max_refs)
{
    size_t total = 0, some;
    bool is_over = false;
    for (size_t slices = 0; !is_over; slices++) {
        uint32_t before = at->ref;
        is_over = usage_sweep(&area, at, max_words, refs + total, max_refs, &some);
        assert_true(some <= max_refs);
        assert_true(is_over ? at->ref == 0 : at->ref > before);
        total += some;
    }
    return total;
}

static void an_area_without_marks_is_one_round_of_nothing(void **state)
{
    (void)state;
    struct usage_cursor at = {0};
    size_t count = 77;
    assert_true(usage_sweep(&area, &at, SIZE_MAX, refs, 8, &count));
    assert_int_equal(count, 0);
    assert_int_equal(at.ref, 0);
}

static void an_area_without_segments_is_one_round_of_nothing(void **state)
{
    (void)state;
    struct usage_area none = {.segment_count = 0};
    struct usage_cursor at = {0};
    size_t count = 77;
    assert_true(usage_sweep(&none, &at, SIZE_MAX, refs, 8, &count));
    assert_int_equal(count, 0);
}

static void marked_references_are_given_once_and_in_order(void **state)
{
    (void)state;
    static const uint32_t noted[] = {1, 2, 63, 64, 127, 16383, 16384, 32767, 32768, 65535};
    const size_t noted_count = sizeof noted / sizeof *noted;
    for (size_t i = noted_count; i-- > 0;)
        note(noted[i]);
    struct usage_cursor at = {0};
    size_t count;
    assert_true(usage_sweep(&area, &at, WORDS, refs, 100, &count));
    assert_int_equal(count, noted_count);
    assert_memory_equal(refs, noted, sizeof noted);
    assert_true(usage_sweep(&area, &at, WORDS, refs, 100, &count));
    assert_int_equal(count, 0);
    note(127);
    assert_true(usage_sweep(&area, &at, WORDS, refs, 100, &count));
    assert_true(count == 1 && refs[0] == 127);
}

static void a_slice_looks_at_no_more_words_than_it_may(void **state)
{
    (void)state;
    struct usage_cursor at = {0};
    size_t count;
    note(1);
    note(64);
    note(128);
    assert_false(usage_sweep(&area, &at, 2, refs, 100, &count));
    assert_true(count == 2 && refs[0] == 1 && refs[1] == 64 && at.ref == 128 && is_marked(128));
    assert_false(usage_sweep(&area, &at, 1, refs, 100, &count));
    assert_true(count == 1 && refs[0] == 128 && at.ref == 192);
    assert_false(usage_sweep(&area, &at, WORDS - 4, refs, 100, &count));
    assert_true(usage_sweep(&area, &at, 1, refs, 100, &count));
}

static void what_does_not_fit_stays_marked(void **state)
{
    (void)state;
    struct usage_cursor at = {0};
    size_t count;
    for (uint32_t ref = 60; ref < 70; ref++)
        note(ref);
    assert_false(usage_sweep(&area, &at, WORDS, refs, 2, &count));
    assert_true(count == 2 && refs[0] == 60 && refs[1] == 61 && at.ref == 62);
    for (uint32_t ref = 50; ref < 80; ref++)
        assert_int_equal(is_marked(ref), ref >= 62 && ref < 70);
    note(60); /* behind the cursor: for the next round */
    assert_false(usage_sweep(&area, &at, WORDS, refs, 3, &count));
    assert_true(count == 3 && refs[0] == 62 && refs[2] == 64 && at.ref == 65 && is_marked(60));
    assert_true(usage_sweep(&area, &at, WORDS, refs, 6, &count));
    assert_true(count == 5 && refs[0] == 65 && refs[4] == 69);
    assert_true(usage_sweep(&area, &at, WORDS, refs, 6, &count));
    assert_true(count == 1 && refs[0] == 60);
    note(65534);
    note(65535); /* the very last one */
    assert_false(usage_sweep(&area, &at, WORDS, refs, 1, &count));
    assert_true(count == 1 && refs[0] == 65534 && at.ref == 65535);
    assert_true(usage_sweep(&area, &at, WORDS, refs, 1, &count));
    assert_true(count == 1 && refs[0] == 65535);
}

static void slices_of_any_size_give_what_one_round_gives(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 63, 64, 65, 1000, 65536};
    const size_t size_count = sizeof sizes / sizeof *sizes;
    uint64_t random = 5;
    for (size_t i = 0; i < size_count * size_count; i++) {
        static bool noted[65536];
        struct usage_cursor at = {0};
        size_t expected = 0;
        memset(noted, 0, sizeof noted);
        for (unsigned n = 0; n < 3000; n++) {
            uint32_t ref = 1 + (uint32_t)(sample_random(&random) >> random % 20) % 65535;
            expected += !noted[ref];
            noted[ref] = true;
            note(ref);
        }
        size_t count = sweep_round(&at, sizes[i / size_count], sizes[i % size_count]);
        assert_int_equal(count, expected);
        for (size_t n = 0; n < count; n++)
            assert_true(noted[refs[n]] && (n == 0 || refs[n] > refs[n - 1]));
    }
}

static void a_round_goes_on_into_a_segment_that_came_meanwhile(void **state)
{
    (void)state;
    struct usage_cursor at = {0};
    size_t count;
    note(65535);
    assert_false(usage_sweep(&area, &at, WORDS - 1, refs, 100, &count));
    test_area_grow(&area);
    note(65536);
    note(131071);
    assert_true(usage_sweep(&area, &at, SIZE_MAX, refs, 100, &count));
    assert_true(count == 3 && refs[0] == 65535 && refs[1] == 65536 && refs[2] == 131071);
}

static void a_segment_that_is_not_mapped_here_is_not_swept(void **state)
{
    (void)state;
    struct usage_cursor at = {0};
    size_t count;
    note(16383);
    note(16384);
    area.segment_count = 1;
    assert_true(usage_sweep(&area, &at, SIZE_MAX, refs, 100, &count));
    assert_true(count == 1 && refs[0] == 16383);
    area.segment_count = SEGMENTS;
    assert_true(is_marked(16384));
    at.ref = 40000; /* of a larger one */
    area.segment_count = 2;
    assert_true(usage_sweep(&area, &at, SIZE_MAX, refs, 100, &count));
    assert_true(count == 0 && at.ref == 0);
    area.segment_count = SEGMENTS;
}

static void nobody_s_record_is_never_given(void **state)
{
    (void)state;
    struct usage_cursor at = {0};
    size_t count;
    atomic_store(usage_mark_word(&area, 1), UINT64_MAX);
    assert_true(usage_sweep(&area, &at, WORDS, refs, 100, &count));
    assert_int_equal(count, 63);
    for (uint32_t i = 0; i < 63; i++)
        assert_int_equal(refs[i], i + 1);
}

static void sweeping_leaves_records_alone(void **state)
{
    (void)state;
    static const struct address from = {{1, 2, 3}};
    struct usage_cursor at = {0};
    struct usage_record before;
    size_t count;
    usage_note_use(&area, 3, 1790000000, &from);
    usage_note_refusal(&area, 3, 1790000001, &from);
    memcpy(&before, usage_record_at(&area, 3), sizeof before);
    assert_true(usage_sweep(&area, &at, WORDS, refs, 100, &count));
    assert_int_equal(count, 1);
    assert_memory_equal(&before, usage_record_at(&area, 3), sizeof before);
}

static void whatever_is_scribbled_gives_references_of_the_area(void **state)
{
    (void)state;
    uint64_t random = 9;
    for (unsigned round = 0; round < 20; round++) {
        struct usage_cursor at = {(uint32_t)(sample_random(&random) >> random % 40)};
        size_t max_refs = 1 + sample_random(&random) % 200, total = 0, count = 0;
        uint32_t last = 0;
        bool is_over = false;
        test_area_scribble(&area, &random);
        if (at.ref > usage_capacity(SEGMENTS))
            at.ref = 0;
        while (!is_over) {
            is_over =
                usage_sweep(&area, &at, 1 + sample_random(&random) % 100, refs, max_refs, &count);
            assert_true(count <= max_refs);
            for (size_t i = 0; i < count; i++, last = refs[i - 1])
                assert_true(refs[i] > last && refs[i] <= usage_capacity(SEGMENTS));
            total += count;
            assert_true(total < usage_capacity(SEGMENTS));
        }
        assert_true(total > 0);
    }
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(an_area_without_marks_is_one_round_of_nothing),
        EACH(an_area_without_segments_is_one_round_of_nothing),
        EACH(marked_references_are_given_once_and_in_order),
        EACH(a_slice_looks_at_no_more_words_than_it_may),
        EACH(what_does_not_fit_stays_marked),
        EACH(slices_of_any_size_give_what_one_round_gives),
        EACH(a_round_goes_on_into_a_segment_that_came_meanwhile),
        EACH(a_segment_that_is_not_mapped_here_is_not_swept),
        EACH(nobody_s_record_is_never_given),
        EACH(sweeping_leaves_records_alone),
        EACH(whatever_is_scribbled_gives_references_of_the_area),
    };
    return cmocka_run_group_tests_name("usage sweep", tests, NULL, NULL);
}
