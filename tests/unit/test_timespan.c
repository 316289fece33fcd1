#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "catlatch.h"
#include "core/timespan.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

/* -1 for what is refused, in which case the value must not have been touched. */
static int64_t ms_of(const char *text)
{
    int64_t ms = -4711;
    int code = timespan_parse_ms(text, strlen(text), &ms);

    if (code != 0) {
        assert_int_equal(code, CATLATCH_E_DATA);
        assert_true(ms == -4711);
        return -1;
    }
    return ms;
}

static int64_t time_of(const char *text)
{
    int64_t unix_s = -4711;
    int code = timespan_parse_time(text, strlen(text), NOW, &unix_s);

    if (code != 0) {
        assert_int_equal(code, CATLATCH_E_DATA);
        assert_true(unix_s == -4711);
        return -1;
    }
    return unix_s;
}

#define assert_ms(text, expected) assert_true(ms_of(text) == (expected))
#define assert_time(text, expected) assert_true(time_of(text) == (expected))

static void durations_are_numbers_with_units(void **state)
{
    (void)state;
    assert_ms("1ms", 1);
    assert_ms("250ms", 250);
    assert_ms("15s", 15 * 1000);
    assert_ms("15m", 15 * 60 * 1000);
    assert_ms("24h", 24 * 3600 * 1000);
    assert_ms("90d", 90 * DAY * 1000);
    assert_ms("2w", 14 * DAY * 1000);
    assert_ms("1y", 365 * DAY * 1000);
    assert_ms("0s", 0);
    assert_ms("0", 0);
    assert_ms("007d", 7 * DAY * 1000);
}

static void units_follow_each_other_from_large_to_small(void **state)
{
    (void)state;
    assert_ms("1h30m", 90 * 60 * 1000);
    assert_ms("1y2w3d4h5m6s7ms",
              (((365 + 14 + 3) * 24 + 4) * 3600 + 5 * 60 + 6) * INT64_C(1000) + 7);
    assert_ms("30m1h", -1);
    assert_ms("1h1h", -1);
    assert_ms("1ms1s", -1);
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const bad[] = {
        "",    " ",    "s",    "90",  "1",   "00",    "-1d",  "+1d",  "1.5h",
        "1h ", " 1h",  "1 h",  "1H",  "1D",  "1min",  "1msx", "1h30", "1hm",
        "h1",  "0x1s", "1e3s", "1mo", "1d,", "never", "now",  "1s\n", "\xD9\xA1s",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_ms(bad[i], -1);
    int64_t ms;
    assert_int_equal(timespan_parse_ms("1s\0", 3, &ms), CATLATCH_E_DATA);
    assert_int_equal(timespan_parse_ms("1s", 1, &ms), CATLATCH_E_DATA);
}

static void a_duration_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    assert_ms("9223372036854775807ms", INT64_MAX);
    assert_ms("9223372036854775808ms", -1);
    assert_ms("9223372036854775s807ms", INT64_MAX);
    assert_ms("9223372036854775s808ms", -1);
    assert_ms("9223372036854776s", -1);
    assert_ms("292471208y", 292471208 * (365 * DAY * 1000));
    assert_ms("292471209y", -1);
    assert_ms("99999999999999999999999999999d", -1);
}

static void times_are_rfc_3339(void **state)
{
    (void)state;
    assert_time("1970-01-01T00:00:00Z", 0);
    assert_time("2027-01-31T12:00:00Z", 1801396800);
    assert_time("2026-12-31T23:59:59Z", 1798761599);
    assert_time("2000-02-29T23:59:59Z", 951868799);
    assert_time("9999-12-31T23:59:59Z", TIMESPAN_UNIX_MAX);
    assert_time("2027-01-31t12:00:00z", 1801396800);
    assert_time("2027-01-31 12:00:00Z", 1801396800);
    assert_time("2027-01-31T12:00:00.999Z", 1801396800);
}

static void a_date_alone_is_its_midnight_in_utc(void **state)
{
    (void)state;
    assert_time("1972-02-29", 68169600);
    assert_time("2100-03-01", 4107542400);
    assert_time("1970-01-01", 0);
}

static void offsets_count_eastwards(void **state)
{
    (void)state;
    assert_time("2027-01-31T12:00:00+00:00", 1801396800);
    assert_time("2027-01-31T12:00:00-00:00", 1801396800);
    assert_time("2027-01-31T14:00:00+02:00", 1801396800);
    assert_time("2027-01-31T17:30:00+05:30", 1801396800);
    assert_time("2027-01-31T08:30:00-03:30", 1801396800);
    assert_time("1970-01-01T01:00:00+01:00", 0);
    assert_time("1969-12-31T23:00:00-01:00", 0);
}

static void a_time_outside_of_1970_to_9999_is_refused(void **state)
{
    (void)state;
    assert_time("1969-12-31T23:59:59Z", -1);
    assert_time("1970-01-01T00:00:00+00:01", -1);
    assert_time("9999-12-31T23:59:59-00:01", -1);
    assert_time("1968-12-31", -1);
    assert_time("0000-01-01", -1);
    assert_time("9000y", -1);
    assert_time("292471208y", -1);
}

static void every_day_of_the_calendar_and_no_other_is_taken(void **state)
{
    char text[40];

    (void)state;
    for (int year = 1970; year <= 2401; year++) {
        for (int month = 0; month <= 13; month++) {
            for (int day = 0; day <= 32; day++) {
                struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
                time_t unix_s = timegm(&tm);
                int real = tm.tm_year == year - 1900 && tm.tm_mon == month - 1 && tm.tm_mday == day;
                snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
                assert_time(text, real ? unix_s : -1);
            }
        }
    }
}

/* RFC 3339 section 5.6: time-secfrac is "." and any number of digits. */
static void a_fraction_of_any_length_is_dropped(void **state)
{
    (void)state;
    assert_time("2027-01-31T12:00:00.5Z", 1801396800);
    assert_time("2027-01-31T12:00:00.99999999999999999999999999Z", 1801396800);
}

static void what_is_no_time_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        "10",
        "Now",
        "nowhere",
        "never",
        "tomorrow",
        "1500ms",
        "-1d",
        "2027",
        "2027-01",
        "2027-1-31",
        "27-01-31",
        "2027/01/31",
        "2027-01-31T",
        "2027-01-31Z",
        "2027-01-31T12:00Z",
        "2027-01-31T12:00:00",
        "2027-01-31T12:00:00.Z",
        "2027-01-31T12:00:00,5Z",
        "2027-01-31T24:00:00Z",
        "2027-01-31T12:60:00Z",
        "2016-12-31T23:59:60Z", /* a leap second: no Unix time names it */
        "2027-01-31T12:00:00+24:00",
        "2027-01-31T12:00:00+01:60",
        "2027-01-31T12:00:00+0100",
        "2027-01-31T12:00:00+01",
        "2027-01-31T12:00:00+01:00Z",
        "2027-01-31T12:00:00Z ",
        " 2027-01-31T12:00:00Z",
        "2027-01-31T12:00:00UTC",
        "2027-01-31_12:00:00Z",
        "+2027-01-31",
        "20270-01-31",
        "2027-01-3a",
        "1801396800",
    };
    int64_t unix_s;

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_time(bad[i], -1);
    assert_int_equal(timespan_parse_time("2027-01-31\0", 11, NOW, &unix_s), CATLATCH_E_DATA);
    assert_int_equal(timespan_parse_time("2027-01-31T12:00:00.5\0", 22, NOW, &unix_s),
                     CATLATCH_E_DATA);
    assert_int_equal(timespan_parse_time(NULL, 0, NOW, &unix_s), CATLATCH_E_DATA);
}

/* The text goes on, but not within its length. */
static void a_text_is_read_up_to_its_length(void **state)
{
    const char *text = "2027-01-31T12:00:00Z";
    int64_t unix_s;

    (void)state;
    for (size_t len = 0; len < strlen(text); len++)
        assert_int_equal(timespan_parse_time(text, len, NOW, &unix_s) == 0, len == 10);
    assert_int_equal(timespan_parse_time(text, strlen(text), NOW, &unix_s), 0);
}

static void now_and_durations_from_now_are_times(void **state)
{
    int64_t unix_s;

    (void)state;
    assert_time("now", NOW);
    assert_time("90d", NOW + 90 * DAY);
    assert_time("1h30m", NOW + 5400);
    assert_time("0s", NOW);
    assert_time("2s1000ms", NOW + 3);
    assert_int_equal(timespan_parse_time("1s", 2, INT64_MAX, &unix_s), CATLATCH_E_DATA);
    assert_int_equal(timespan_parse_time("1s", 2, TIMESPAN_UNIX_MAX, &unix_s), CATLATCH_E_DATA);
    assert_int_equal(timespan_parse_time("now", 3, -1, &unix_s), CATLATCH_E_DATA);
}

static void assert_written(int64_t unix_s, const char *expected)
{
    char text[TIMESPAN_RFC3339_SIZE];

    timespan_rfc3339(unix_s, text);
    assert_string_equal(text, expected);
}

static void times_are_written_in_utc(void **state)
{
    (void)state;
    assert_written(0, "1970-01-01T00:00:00Z");
    assert_written(86399, "1970-01-01T23:59:59Z");
    assert_written(951782400, "2000-02-29T00:00:00Z");
    assert_written(951868800, "2000-03-01T00:00:00Z");
    assert_written(1798761599, "2026-12-31T23:59:59Z");
    assert_written(1801396800, "2027-01-31T12:00:00Z");
    assert_written(4107542400, "2100-03-01T00:00:00Z");
    assert_written(TIMESPAN_UNIX_MAX, "9999-12-31T23:59:59Z");
}

static void what_cannot_be_written_is_clamped(void **state)
{
    (void)state;
    assert_written(-1, "1970-01-01T00:00:00Z");
    assert_written(INT64_MIN, "1970-01-01T00:00:00Z");
    assert_written(TIMESPAN_UNIX_MAX + 1, "9999-12-31T23:59:59Z");
    assert_written(INT64_MAX, "9999-12-31T23:59:59Z");
}

/* Steps of a bit under 40 hours meet every day's neighbourhood and every time of the day. */
static void what_is_written_reads_back_from_1970_to_9999(void **state)
{
    char text[TIMESPAN_RFC3339_SIZE], libc[64];

    (void)state;
    for (int64_t unix_s = 0; unix_s <= TIMESPAN_UNIX_MAX; unix_s += 142857) {
        struct tm tm;
        time_t seconds = unix_s;
        timespan_rfc3339(unix_s, text);
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_int_equal(strftime(libc, sizeof libc, "%Y-%m-%dT%H:%M:%SZ", &tm), 20);
        assert_string_equal(text, libc);
        assert_time(text, unix_s);
    }
}

static void durations_are_written_in_the_largest_unit_that_they_are_whole_in(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {1, "1ms"},           {1500, "1500ms"},       {1000, "1s"},
        {60000, "1m"},        {90000, "90s"},         {5400000, "90m"},
        {DAY * 1000, "1d"},   {DAY * 7000, "1w"},     {DAY * 30000, "30d"},
        {DAY * 365000, "1y"}, {DAY * 366000, "366d"}, {0, "0s"},
        {-1, "0s"},           {INT64_MIN, "0s"},      {INT64_MAX, "9223372036854775807ms"},
    };
    char text[TIMESPAN_MS_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(timespan_format_ms(cases[i].ms, text), strlen(cases[i].text));
        assert_string_equal(text, cases[i].text);
        assert_ms(text, cases[i].ms < 0 ? 0 : cases[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_numbers_with_units),
        cmocka_unit_test(units_follow_each_other_from_large_to_small),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(a_duration_that_does_not_fit_is_refused),
        cmocka_unit_test(durations_are_written_in_the_largest_unit_that_they_are_whole_in),
        cmocka_unit_test(times_are_rfc_3339),
        cmocka_unit_test(a_date_alone_is_its_midnight_in_utc),
        cmocka_unit_test(offsets_count_eastwards),
        cmocka_unit_test(a_time_outside_of_1970_to_9999_is_refused),
        cmocka_unit_test(every_day_of_the_calendar_and_no_other_is_taken),
        cmocka_unit_test(a_fraction_of_any_length_is_dropped),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(a_text_is_read_up_to_its_length),
        cmocka_unit_test(now_and_durations_from_now_are_times),
        cmocka_unit_test(times_are_written_in_utc),
        cmocka_unit_test(what_cannot_be_written_is_clamped),
        cmocka_unit_test(what_is_written_reads_back_from_1970_to_9999),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
