/* What is stored of a key's use goes on over areas, and believes nothing that cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/total.h"

#define NOW INT64_C(1800000000)
#define REF 42u

static const unsigned char first_area[TOTAL_AREA_BYTES] = {1, 2, 3};
static const unsigned char second_area[TOTAL_AREA_BYTES] = {4, 5, 6};
static const struct address here = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1}};

static struct usage_numbers used(uint64_t count, int64_t last_unix_s)
{
    return (struct usage_numbers){.used = {.count = count, .last_unix_s = last_unix_s}};
}

static void counts_go_on_by_what_the_area_counted_since(void **state)
{
    struct total total = {.used = {.count = 0}};
    struct usage_numbers numbers = used(5, NOW);
    (void)state;
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
    assert_int_equal(total.used.count, 5);
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW)); /* nothing new */
    assert_int_equal(total.used.count, 5);
    numbers = used(12, NOW + 1);
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW + 1));
    assert_int_equal(total.used.count, 12);
    assert_int_equal(total.used.last_unix_s, NOW + 1);
    assert_int_equal(total.refused.count, 0);
}

static void another_area_begins_at_nothing(void **state)
{
    struct total total = {.used = {.count = 0}};
    struct usage_numbers numbers = used(100, NOW);
    (void)state;
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
    numbers = used(3, NOW + 5);
    assert_true(total_advance(&total, second_area, REF, &numbers, NOW + 5));
    assert_int_equal(total.used.count, 103);
    numbers = used(4, NOW + 6);
    assert_true(total_advance(&total, second_area, REF, &numbers, NOW + 6));
    assert_int_equal(total.used.count, 104);
}

/* A key that was gone for a while, with a restore of an earlier backup, has another record. */
static void another_record_of_the_area_begins_at_nothing_too(void **state)
{
    struct total total = {.used = {.count = 0}};
    struct usage_numbers numbers = used(100, NOW);
    (void)state;
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
    numbers = used(3, NOW + 5);
    assert_true(total_advance(&total, first_area, REF + 1, &numbers, NOW + 5));
    assert_int_equal(total.used.count, 103);
}

/* Nothing is known of what was counted in between, so the sum stays and goes on. */
static void a_count_that_went_back_or_leapt_changes_no_sum(void **state)
{
    static const uint64_t scribbled[] = {0, 99, UINT64_MAX, 100 + TOTAL_STEP_MAX + 1,
                                         UINT64_C(1) << 63};
    (void)state;
    for (size_t i = 0; i < sizeof scribbled / sizeof scribbled[0]; i++) {
        struct total total = {.used = {.count = 0}};
        struct usage_numbers numbers = used(100, NOW);
        assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
        numbers = used(scribbled[i], NOW);
        assert_false(total_advance(&total, first_area, REF, &numbers, NOW));
        assert_int_equal(total.used.count, 100);
        numbers.used.count++;
        if (scribbled[i] != UINT64_MAX) {
            assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
            assert_int_equal(total.used.count, 101);
        }
    }
}

static void a_sum_stays_below_what_json_can_say(void **state)
{
    struct total total = {.used = {.count = INT64_MAX - 1}};
    struct usage_numbers numbers = used(100, NOW);
    (void)state;
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
    assert_true(total.used.count == INT64_MAX);
}

static void the_later_of_two_times_stays_with_its_address(void **state)
{
    struct total total = {.used = {.last_unix_s = NOW, .has_from = true, .from = here}};
    struct usage_numbers numbers = used(1, NOW - 10);
    (void)state;
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
    assert_int_equal(total.used.last_unix_s, NOW);
    assert_true(total.used.has_from);
    numbers = used(2, NOW + 1);
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW + 1));
    assert_int_equal(total.used.last_unix_s, NOW + 1);
    assert_false(total.used.has_from); /* nobody told where that one came from */
    numbers.used.has_from = true;
    numbers.used.from = here;
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW + 1));
    assert_true(total.used.has_from); /* in the same second somebody did */
}

static void a_time_ahead_gives_way_after_the_clock_was_set_back(void **state)
{
    struct total total = {.used = {.last_unix_s = NOW + 365 * 86400}};
    struct usage_numbers numbers = used(1, NOW);
    (void)state;
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
    assert_int_equal(total.used.last_unix_s, NOW);
    numbers = used(1, 0); /* never told: what is known stays */
    assert_true(total_advance(&total, first_area, REF, &numbers, NOW));
    assert_int_equal(total.used.last_unix_s, NOW);
}

static void assert_round_trip(const struct total *total)
{
    unsigned char bytes[TOTAL_ENCODED_MAX];
    struct total again;
    size_t len = total_encode(total, bytes);

    assert_in_range(len, 1, TOTAL_ENCODED_MAX);
    assert_int_equal(total_decode(bytes, len, &again), 0);
    assert_memory_equal(again.area, total->area, sizeof again.area);
    assert_int_equal(again.ref, total->ref);
    assert_true(again.used.count == total->used.count && again.used.seen == total->used.seen);
    assert_int_equal(again.used.last_unix_s, total->used.last_unix_s);
    assert_int_equal(again.used.has_from, total->used.has_from);
    assert_memory_equal(&again.used.from, &total->used.from, sizeof again.used.from);
    assert_true(again.refused.count == total->refused.count &&
                again.refused.seen == total->refused.seen);
    assert_int_equal(again.refused.last_unix_s, total->refused.last_unix_s);
    assert_int_equal(again.refused.has_from, total->refused.has_from);
    assert_memory_equal(&again.refused.from, &total->refused.from, sizeof again.refused.from);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_not_equal(total_decode(bytes, cut, &again), 0);
    bytes[0]++;
    assert_int_equal(total_decode(bytes, len, &again), CATLATCH_E_VERSION);
}

static void every_total_is_read_as_it_was_written(void **state)
{
    struct total total = {.area = {9}, .ref = REF};
    (void)state;
    for (unsigned has = 0; has < 16; has++) {
        total.used = (struct total_event){.count = 0};
        total.refused = (struct total_event){.count = 0};
        if ((has & 1) != 0)
            total.used = (struct total_event){
                .count = 7, .seen = 3, .last_unix_s = NOW, .has_from = (has & 4) != 0};
        if ((has & 2) != 0)
            total.refused = (struct total_event){.count = INT64_MAX,
                                                 .seen = UINT64_MAX,
                                                 .last_unix_s = 1,
                                                 .has_from = (has & 8) != 0};
        if (total.used.has_from)
            total.used.from = here;
        if (total.refused.has_from)
            total.refused.from = here;
        assert_round_trip(&total);
    }
}

static void foreign_bytes_are_refused(void **state)
{
    unsigned char bytes[TOTAL_ENCODED_MAX] = {0};
    struct total total = {.used = {.count = 1}}, again;
    (void)state;
    assert_int_equal(total_decode(bytes, sizeof bytes, &again), CATLATCH_E_DATA);
    size_t len = total_encode(&total, bytes);
    bytes[1] |= 32; /* a part that nobody knows */
    assert_int_equal(total_decode(bytes, len, &again), CATLATCH_E_DATA);
    bytes[1] &= 31;
    bytes[2 + TOTAL_AREA_BYTES + 4 + 7] = 0x80; /* a count beyond INT64_MAX */
    assert_int_equal(total_decode(bytes, len, &again), CATLATCH_E_DATA);
    memset(bytes + 2 + TOTAL_AREA_BYTES + 4, 0, 24); /* uses that were none */
    assert_int_equal(total_decode(bytes, len, &again), CATLATCH_E_DATA);
    total.used.count = 0;
    len = total_encode(&total, bytes);
    assert_int_equal(total_decode(bytes, len, &again), 0);
    bytes[1] = 4; /* an address of no use */
    assert_int_equal(total_decode(bytes, len, &again), CATLATCH_E_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_go_on_by_what_the_area_counted_since),
        cmocka_unit_test(another_area_begins_at_nothing),
        cmocka_unit_test(another_record_of_the_area_begins_at_nothing_too),
        cmocka_unit_test(a_count_that_went_back_or_leapt_changes_no_sum),
        cmocka_unit_test(a_sum_stays_below_what_json_can_say),
        cmocka_unit_test(the_later_of_two_times_stays_with_its_address),
        cmocka_unit_test(a_time_ahead_gives_way_after_the_clock_was_set_back),
        cmocka_unit_test(every_total_is_read_as_it_was_written),
        cmocka_unit_test(foreign_bytes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
