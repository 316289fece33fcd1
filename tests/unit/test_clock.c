#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/clock.h"

#define HOUR INT64_C(3600000)

static void a_clock_that_goes_on_is_believed(void **state)
{
    struct clock_watch watch;
    (void)state;
    clock_begin(&watch, 1000 * HOUR, HOUR, 999 * HOUR);
    assert_true(clock_is_believed(&watch, 1000 * HOUR, HOUR));
    assert_true(clock_is_believed(&watch, 2000 * HOUR, 1001 * HOUR));
    assert_true(clock_is_believed(&watch, 2001 * HOUR, 1001 * HOUR)); /* set right by an hour */
}

static void a_jump_is_remembered_until_somebody_confirms_the_clock(void **state)
{
    struct clock_watch watch;
    (void)state;
    clock_begin(&watch, 1000 * HOUR, HOUR, 0);
    assert_false(clock_is_believed(&watch, 1001 * HOUR + 1, HOUR));
    assert_false(clock_is_believed(&watch, 1000 * HOUR, HOUR));
    clock_confirm(&watch, 1001 * HOUR, HOUR);
    assert_true(clock_is_believed(&watch, 1001 * HOUR, HOUR));
    assert_false(clock_is_believed(&watch, 1000 * HOUR - 1, HOUR));
}

static void many_small_jumps_are_a_large_one(void **state)
{
    struct clock_watch watch;
    (void)state;
    clock_begin(&watch, 1000 * HOUR, 0, 0);
    assert_true(clock_is_believed(&watch, 1000 * HOUR + HOUR / 2, 0));
    assert_true(clock_is_believed(&watch, 1001 * HOUR, 0));
    assert_false(clock_is_believed(&watch, 1001 * HOUR + HOUR / 2, 0));
}

static void a_start_before_a_time_that_has_been_is_not_believed(void **state)
{
    struct clock_watch watch;
    (void)state;
    clock_begin(&watch, 1000 * HOUR, 0, 1001 * HOUR);
    assert_true(clock_is_believed(&watch, 1000 * HOUR, 0));
    clock_begin(&watch, 1000 * HOUR, 0, 1001 * HOUR + 1);
    assert_false(clock_is_believed(&watch, 1000 * HOUR, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_goes_on_is_believed),
        cmocka_unit_test(a_jump_is_remembered_until_somebody_confirms_the_clock),
        cmocka_unit_test(many_small_jumps_are_a_large_one),
        cmocka_unit_test(a_start_before_a_time_that_has_been_is_not_believed),
    };
    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
