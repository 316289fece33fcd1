/* Prepaid uses: their text, and when there are as many again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "core/allowance.h"

static void what_is_written_is_shown_in_one_form(void **state)
{
    static const char *const cases[][2] = {
        {"1", "1"},
        {"1000", "1000"},
        {"007", "7"},
        {"1000000000000", "1000000000000"},
        {"1000/daily", "1000/daily"},
        {"1000/MONTHLY", "1000/monthly"},
        {"50/7d", "50/1w"},
        {"50/24h", "50/1d"},
        {"50/3600s", "50/1h"},
        {"50/366d", "50/366d"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct allowance allowance, again;
        char shown[ALLOWANCE_TEXT_SIZE];
        assert_int_equal(allowance_parse(text_of(cases[i][0]), &allowance, NULL), 0);
        assert_true(allowance_is_sane(&allowance));
        assert_int_equal(allowance_format(&allowance, shown), strlen(cases[i][1]));
        assert_string_equal(shown, cases[i][1]);
        assert_int_equal(allowance_parse(text_of(shown), &again, NULL), 0);
        assert_true(allowance_equal(&allowance, &again));
    }
}

static void what_is_no_allowance_is_refused(void **state)
{
    static const char *const cases[] = {
        "",       "0",         "-1",       "1.5",     "1000000000001", "99999999999999999999",
        "1000/",  "/daily",    "10/59m",   "10/367d", "10/weekly",     "10/1h500ms",
        "10/day", "10/daily ", "10/1d/1d", "x",
    };
    struct allowance allowance = {.uses = 77};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error error = {0};
        assert_int_equal(allowance_parse(text_of(cases[i]), &allowance, &error), CATLATCH_E_DATA);
        assert_true(strlen(error.text) > 10);
        assert_int_equal(allowance.uses, 77);
    }
}

static void what_comes_from_elsewhere_is_kept_in_bounds(void **state)
{
    static const struct allowance sane[] = {
        {0, ALLOWANCE_ONCE, 0},
        {1, ALLOWANCE_ONCE, 0},
        {ALLOWANCE_USES_MAX, ALLOWANCE_INTERVAL, ALLOWANCE_INTERVAL_MAX_S},
        {5, ALLOWANCE_DAILY, 0},
    };
    static const struct allowance insane[] = {
        {0, ALLOWANCE_DAILY, 0},       {0, ALLOWANCE_ONCE, 1},
        {5, ALLOWANCE_DAILY, 1},       {5, ALLOWANCE_INTERVAL, 0},
        {5, ALLOWANCE_INTERVAL, 3599}, {5, ALLOWANCE_INTERVAL + 1, 0},
        {5, ALLOWANCE_ONCE, 3600},     {ALLOWANCE_USES_MAX + 1, ALLOWANCE_ONCE, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof sane / sizeof sane[0]; i++)
        assert_true(allowance_is_sane(&sane[i]));
    for (size_t i = 0; i < sizeof insane / sizeof insane[0]; i++)
        assert_false(allowance_is_sane(&insane[i]));
}

static int64_t at(int year, int month, int day, int hour)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour};
    return timegm(&tm);
}

static void assert_period(const char *text, int64_t anchor, int64_t now, int64_t begun,
                          int64_t next)
{
    struct allowance allowance;
    assert_int_equal(allowance_parse(text_of(text), &allowance, NULL), 0);
    struct allowance_period period = allowance_period(&allowance, anchor, now);
    assert_int_equal(period.begun_unix_s, begun);
    assert_int_equal(period.next_unix_s, next);
}

static void periods_begin_where_they_should(void **state)
{
    (void)state;
    assert_period("5", at(2026, 1, 1, 0), at(2026, 11, 26, 6), 0, 0);
    assert_period("5/daily", 0, at(2026, 11, 26, 6), at(2026, 11, 26, 0), at(2026, 11, 27, 0));
    assert_period("5/daily", 0, at(2026, 11, 26, 0), at(2026, 11, 26, 0), at(2026, 11, 27, 0));
    assert_period("5/monthly", 0, at(2026, 11, 30, 23), at(2026, 11, 1, 0), at(2026, 12, 1, 0));
    assert_period("5/monthly", 0, at(2026, 12, 31, 23), at(2026, 12, 1, 0), at(2027, 1, 1, 0));
    assert_period("5/monthly", 0, at(2028, 2, 29, 1), at(2028, 2, 1, 0), at(2028, 3, 1, 0));
    assert_period("5/7d", at(2026, 11, 1, 5), at(2026, 11, 20, 6), at(2026, 11, 15, 5),
                  at(2026, 11, 22, 5));
    assert_period("5/7d", at(2026, 11, 1, 5), at(2026, 11, 15, 5), at(2026, 11, 15, 5),
                  at(2026, 11, 22, 5));
    /* A clock behind the key's birth is in a period, too. */
    assert_period("5/1d", at(2026, 11, 10, 5), at(2026, 11, 8, 6), at(2026, 11, 8, 5),
                  at(2026, 11, 9, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_shown_in_one_form),
        cmocka_unit_test(what_is_no_allowance_is_refused),
        cmocka_unit_test(what_comes_from_elsewhere_is_kept_in_bounds),
        cmocka_unit_test(periods_begin_where_they_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
