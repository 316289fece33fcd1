/* Rate limits and costs as text, and what is a rate at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/rate.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define YEAR_S 31622400u /* of 366 days */

/* Exactly its bytes on the heap, so that a sanitizer sees a read past them. */
static struct text exact_text(const char *string)
{
    size_t len = strlen(string);
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, string, len);
    return (struct text){copy, (uint32_t)len};
}

static void free_text(struct text text)
{
    free((void *)(uintptr_t)text.bytes);
}

static struct rate rate_of(const char *string)
{
    struct text text = exact_text(string);
    struct rate rate;
    struct error error = {0};
    if (rate_parse(text, &rate, &error) != 0)
        fail_msg("\"%s\" %s", string, error.text);
    free_text(text);
    return rate;
}

/* It is refused with words in which `says` stands, and nothing is written. */
static void assert_refused(const char *string, const char *says)
{
    struct text text = exact_text(string);
    struct rate rate = {1, 2, 3};
    struct error error = {0};
    int r = rate_parse(text, &rate, &error);
    if (r != CATLATCH_E_DATA || error.code != r)
        fail_msg("\"%s\" was not refused", string);
    if (strstr(error.text, says) == NULL)
        fail_msg("\"%s\" %s: \"%s\" is not among it", string, error.text, says);
    assert_true(rate.count == 1 && rate.period_s == 2 && rate.burst == 3);
    assert_int_equal(rate_parse(text, &rate, NULL), CATLATCH_E_DATA);
    free_text(text);
}

static void assert_rate(const char *given, uint32_t count, uint32_t period_s, uint32_t burst,
                        const char *shown)
{
    struct rate rate = rate_of(given), again;
    char text[RATE_TEXT_SIZE];
    if (rate.count != count || rate.period_s != period_s || rate.burst != burst)
        fail_msg("\"%s\" is %u/%us:%u", given, rate.count, rate.period_s, rate.burst);
    assert_true(rate_is_sane(&rate));
    assert_int_equal(rate_format(&rate, text), strlen(shown));
    assert_string_equal(text, shown);
    again = rate_of(text);
    assert_true(rate_equal(&rate, &again));
}

static void a_rate_is_a_count_a_period_and_a_burst_that_can_be_left_out(void **state)
{
    (void)state;
    assert_rate("100/1m", 100, 60, 100, "100/1m");
    assert_rate("10/1s:20", 10, 1, 20, "10/1s:20");
    assert_rate("5000/1h:500", 5000, 3600, 500, "5000/1h:500");
    assert_rate("10/1s:10", 10, 1, 10, "10/1s");
    assert_rate("1/1s", 1, 1, 1, "1/1s");
    assert_rate("1/1s:1", 1, 1, 1, "1/1s");
    assert_rate("1/1h:24", 1, 3600, 24, "1/1h:24");
}

static void every_rate_has_one_text(void **state)
{
    (void)state;
    assert_rate("7/60s", 7, 60, 7, "7/1m");
    assert_rate("7/1h30m", 7, 5400, 7, "7/90m");
    assert_rate("7/90s", 7, 90, 7, "7/90s");
    assert_rate("7/3600000ms", 7, 3600, 7, "7/1h");
    assert_rate("7/24h:9", 7, 86400, 9, "7/1d:9");
    assert_rate("7/7d", 7, 604800, 7, "7/1w");
    assert_rate("7/30d", 7, 2592000, 7, "7/30d");
    assert_rate("7/365d", 7, 31536000, 7, "7/1y");
    assert_rate("7/1y1d", 7, YEAR_S, 7, "7/366d");
    assert_rate("1000000000/8784h", 1000000000, YEAR_S, 1000000000, "1000000000/366d");
    assert_rate("1000000000/31536001s:999999999", 1000000000, 31536001, 999999999,
                "1000000000/31536001s:999999999");
}

static void what_is_no_rate_is_refused_with_the_way_out(void **state)
{
    static const char *const bad[] = {"", "/", "100", "100/", "/1m", ":", "/:", "100/:5", "1m:5"};
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_refused(bad[i], "COUNT/PERIOD as 100/1m");
}

static void a_count_is_1_to_a_thousand_millions(void **state)
{
    static const char *const bad[] = {"x/1m",  " 1/1m",  "1 /1m",  "-1/1m",   "+1/1m",   "01/1m",
                                      "00/1m", "1.5/1m", "1e3/1m", "0x10/1m", "1,000/1m"};
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_refused(bad[i], "before its slash, as in 100/1m");
    assert_refused("0/1m", "lets nothing through");
    assert_refused("0/1m", "disabling");
    assert_refused("1000000001/1d", "more than 1000000000");
    assert_refused("4294967297/1d", "more than 1000000000"); /* 1, were it cut to 32 bits */
    assert_refused("18446744073709551617/1d", "more than 1000000000");
    assert_refused("99999999999999999999999999999999/1d", "more than 1000000000");
}

static void a_period_is_a_second_to_366_days(void **state)
{
    static const char *const bad[] = {"m",   "min", "1",  "60",  "s1",
                                      " 1m", "1m ", "1M", "-1m", "1.5h"};
    char text[40];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        snprintf(text, sizeof text, "100/%s", bad[i]);
        assert_refused(text, "a number and a unit, as 1s, 1m, 12h, 30d");
    }
    assert_refused("100/0", "not 1s to 366d");
    assert_refused("100/0s", "not 1s to 366d");
    assert_refused("100/999ms", "not 1s to 366d");
    assert_refused("100/366d1s", "not 1s to 366d");
    assert_refused("100/31622401s", "not 1s to 366d");
    assert_refused("100/4294967297s", "not 1s to 366d"); /* 1s, were it cut to 32 bits */
    assert_refused("100/9223372036854775s", "not 1s to 366d");
    assert_refused("100/9223372036854776s", "a number and a unit"); /* no duration at all */
    assert_refused("100/1500ms", "no whole seconds");
    assert_refused("100/1m/1h", "a number and a unit");
}

static void a_rate_is_a_million_in_a_second_at_most(void **state)
{
    (void)state;
    assert_rate("1000000/1s", 1000000, 1, 1000000, "1000000/1s");
    assert_rate("60000000/1m", 60000000, 60, 60000000, "60000000/1m");
    assert_rate("1000000000/1000s", 1000000000, 1000, 1000000000, "1000000000/1000s");
    assert_refused("1000001/1s", "more than 1000000 in a second");
    assert_refused("60000001/1m", "more than 1000000 in a second");
    assert_refused("1000000000/999s", "leave the limit out");
}

static void a_burst_comes_back_within_366_days(void **state)
{
    static const char *const bad[] = {"", "x", " 2", "2 ", "-1", "02", "1m", "2:3", "2/1s", "1.5"};
    char text[40];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        snprintf(text, sizeof text, "100/1m:%s", bad[i]);
        assert_refused(text, "1 to 52704000 behind its colon, as in 10/1s:20");
    }
    assert_refused("100/1m:0", "lets nothing through");
    assert_rate("1/1d:366", 1, 86400, 366, "1/1d:366");
    assert_refused("1/1d:367", "more than 366, which is all that comes back in 366d");
    assert_rate("1/366d", 1, YEAR_S, 1, "1/366d");
    assert_refused("1/366d:2", "more than 1,");
    assert_rate("7/366d:7", 7, YEAR_S, 7, "7/366d");
    assert_refused("7/366d:8", "more than 7,");
    assert_rate("2/3s:21081600", 2, 3, 21081600, "2/3s:21081600");
    assert_refused("2/3s:21081601", "more than 21081600,");
    assert_rate("1000/1s:1000000000", 1000, 1, 1000000000, "1000/1s:1000000000");
    assert_refused("1000/1s:1000000001", "more than 1000000000, which is the largest");
    assert_refused("1000/1s:4294967297", "more than 1000000000, which is the largest");
}

static void a_rate_from_elsewhere_is_sane_when_its_text_would_be_taken(void **state)
{
    static const uint32_t counts[] = {0,       1,       2,          7,          999999,
                                      1000000, 1000001, 1000000000, 1000000001, UINT32_MAX};
    static const uint32_t periods[] = {0,   1,    2,      60,         86400,
                                       999, 1000, YEAR_S, YEAR_S + 1, UINT32_MAX};
    static const uint32_t bursts[] = {0,   1,       2,          7,          366,
                                      367, 1000000, 1000000000, 1000000001, UINT32_MAX};
    unsigned sane = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(counts) * COUNT(periods) * COUNT(bursts); i++) {
        struct rate rate = {counts[i % 10], periods[i / 10 % 10], bursts[i / 100]}, again;
        char text[RATE_TEXT_SIZE];
        assert_true(rate_format(&rate, text) < RATE_TEXT_SIZE);
        int r = rate_parse(text_of(text), &again, NULL);
        if (rate_is_sane(&rate) != (r == 0))
            fail_msg("%s is %s", text, r == 0 ? "not sane" : "sane");
        assert_true(r != 0 || rate_equal(&rate, &again));
        sane += r == 0;
    }
    assert_true(sane > 50 && sane < 500);
}

static void rates_differ_if_anything_does(void **state)
{
    struct rate rate = {10, 60, 20}, others[] = {{11, 60, 20}, {10, 61, 20}, {10, 60, 21}};
    (void)state;
    assert_true(rate_equal(&rate, &rate));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(rate_equal(&rate, &others[i]));
}

static void assert_rates(const char *given, const char *shown)
{
    struct text text = exact_text(given);
    struct rates rates, again;
    struct error error = {0};
    char buffer[RATES_TEXT_SIZE];
    if (rates_parse(text, &rates, &error) != 0)
        fail_msg("%s", error.text);
    free_text(text);
    assert_true(rates_are_sane(&rates));
    assert_int_equal(rates_format(&rates, buffer), strlen(shown));
    assert_string_equal(buffer, shown);
    assert_int_equal(rates_parse(text_of(buffer), &again, NULL), 0);
    assert_true(rates_equal(&rates, &again));
}

static void assert_rates_refused(const char *given, const char *says)
{
    struct text text = exact_text(given);
    struct rates rates = {.count = 77};
    struct error error = {0};
    if (rates_parse(text, &rates, &error) != CATLATCH_E_DATA || error.code != CATLATCH_E_DATA)
        fail_msg("\"%s\" was not refused", given);
    if (strstr(error.text, says) == NULL)
        fail_msg("%s: \"%s\" is not among it", error.text, says);
    assert_int_equal(rates.count, 77);
    assert_int_equal(rates_parse(text, &rates, NULL), CATLATCH_E_DATA);
    free_text(text);
}

static void several_rates_are_put_in_the_order_of_their_periods(void **state)
{
    (void)state;
    assert_rates("10/1s", "10/1s");
    assert_rates("10/1s,1000/1h", "10/1s,1000/1h");
    assert_rates("1000/60m,10/1s:20", "10/1s:20,1000/1h");
    assert_rates("1/1y,2/1d,3/1h,4/1m", "4/1m,3/1h,2/1d,1/1y");
    assert_rates("3/1h,1/1y,4/1m,2/1d", "4/1m,3/1h,2/1d,1/1y");
    assert_rates("1000000000/31536001s:999999999,1000000000/31536002s:999999999,"
                 "1000000000/31536003s:999999999,1000000000/31536004s:999999999",
                 "1000000000/31536001s:999999999,1000000000/31536002s:999999999,"
                 "1000000000/31536003s:999999999,1000000000/31536004s:999999999");
}

static void which_of_several_is_wrong_is_told(void **state)
{
    (void)state;
    assert_rates_refused("", "rate 1, \"\", is no rate");
    assert_rates_refused(",", "rate 1, \"\", is no rate");
    assert_rates_refused("10/1s,", "rate 2, \"\", is no rate");
    assert_rates_refused(",10/1s", "rate 1, \"\", is no rate");
    assert_rates_refused("10/1s,,5/1m", "rate 2, \"\", is no rate");
    assert_rates_refused("10/1s, 5/1m", "rate 2, \" 5/1m\", has no number");
    assert_rates_refused("10/1s;5/1m", "rate 1 has no period");
    assert_rates_refused("10/1s,0/1m", "rate 2, \"0/1m\", lets nothing through");
    assert_rates_refused("10/1m,7/1h,20/60s", "rate 3, \"20/60s\", has the period of 10/1m; keep");
    assert_rates_refused("10/1m,10/1m", "rate 2, \"10/1m\", has the period of 10/1m");
    assert_rates_refused("1/1s,2/2s,3/3s,4/4s,5/5s", "rate 5, \"5/5s\", is one too many");
    assert_rates_refused("1/1s,2/2s,3/3s,4/4s,4/4s", "has the period of 4/4s");
    assert_rates_refused("1/1s,2/aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeee",
                         "rate 2 has no period");
    assert_rates_refused("1/1s,2/\n", "rate 2 has no period");
    assert_int_equal(rates_parse((struct text){NULL, 0}, &(struct rates){0}, NULL),
                     CATLATCH_E_DATA);
}

static void rates_from_elsewhere_are_in_order_and_few(void **state)
{
    struct rates rates = {2, {{4, 60, 4}, {3, 3600, 3}}}, other = rates;
    char text[RATES_TEXT_SIZE];
    (void)state;
    assert_true(rates_are_sane(&rates));
    assert_true(rates_equal(&rates, &other));
    other.list[1].period_s = 60;
    assert_false(rates_are_sane(&other));
    assert_false(rates_equal(&rates, &other));
    other.list[1].period_s = 59;
    assert_false(rates_are_sane(&other));
    other.list[1].period_s = 0;
    assert_false(rates_are_sane(&other));
    other = rates;
    other.count = 1;
    assert_true(rates_are_sane(&other));
    assert_false(rates_equal(&rates, &other));
    other.count = RATES_MAX + 1;
    assert_false(rates_are_sane(&other));
    other.count = UINT32_MAX;
    assert_false(rates_are_sane(&other));
    other.count = 0;
    assert_true(rates_are_sane(&other));
    assert_int_equal(rates_format(&other, text), 0);
    assert_string_equal(text, "");
}

static uint32_t cost_of(const char *string)
{
    struct text text = exact_text(string);
    struct error error = {0};
    uint32_t milli = 4711;
    int r = rate_cost_parse(text, &milli, &error);
    assert_int_equal(error.code, r);
    assert_true(r == 0 || (r == CATLATCH_E_DATA && milli == 4711 && error.text[0] != '\0'));
    free_text(text);
    return r == 0 ? milli : 0;
}

static void a_cost_is_a_thousandth_to_a_thousand_units(void **state)
{
    static const char *const bad[] = {"",           "0",      "0.0", "0.000", ".5",       "1.",
                                      "1.0000",     "0.0005", "-1",  "+1",    "01",       "00.5",
                                      "1,5",        "1e3",    " 1",  "1 ",    "1.5 ",     "1. 5",
                                      "1.-5",       "1.5.5",  "x",   "1001",  "1000.001", "4294968",
                                      "4294967297", "0x1",    "1/1", "."};
    (void)state;
    assert_int_equal(cost_of("1"), 1000);
    assert_int_equal(cost_of("0.5"), 500);
    assert_int_equal(cost_of("2.25"), 2250);
    assert_int_equal(cost_of("0.001"), 1);
    assert_int_equal(cost_of("0.01"), 10);
    assert_int_equal(cost_of("1.500"), 1500);
    assert_int_equal(cost_of("20.0"), 20000);
    assert_int_equal(cost_of("999.999"), 999999);
    assert_int_equal(cost_of("1000"), RATE_COST_MILLI_MAX);
    assert_int_equal(cost_of("1000.000"), RATE_COST_MILLI_MAX);
    for (size_t i = 0; i < COUNT(bad); i++)
        if (cost_of(bad[i]) != 0)
            fail_msg("\"%s\" was taken as %u", bad[i], cost_of(bad[i]));
}

static void every_cost_reads_back(void **state)
{
    char text[RATE_COST_TEXT_SIZE];
    (void)state;
    for (uint32_t milli = 1; milli <= RATE_COST_MILLI_MAX; milli++) {
        uint32_t again;
        size_t len = rate_cost_format(milli, text);
        if (len != strlen(text) || rate_cost_parse(text_of(text), &again, NULL) != 0 ||
            again != milli)
            fail_msg("%u was written as %s", milli, text);
    }
    assert_int_equal(rate_cost_format(2250, text), 4);
    assert_string_equal(text, "2.25");
    rate_cost_format(1000000, text);
    assert_string_equal(text, "1000");
    rate_cost_format(500, text);
    assert_string_equal(text, "0.5");
    assert_int_equal(rate_cost_format(UINT32_MAX, text), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_a_count_a_period_and_a_burst_that_can_be_left_out),
        cmocka_unit_test(every_rate_has_one_text),
        cmocka_unit_test(what_is_no_rate_is_refused_with_the_way_out),
        cmocka_unit_test(a_count_is_1_to_a_thousand_millions),
        cmocka_unit_test(a_period_is_a_second_to_366_days),
        cmocka_unit_test(a_rate_is_a_million_in_a_second_at_most),
        cmocka_unit_test(a_burst_comes_back_within_366_days),
        cmocka_unit_test(a_rate_from_elsewhere_is_sane_when_its_text_would_be_taken),
        cmocka_unit_test(rates_differ_if_anything_does),
        cmocka_unit_test(several_rates_are_put_in_the_order_of_their_periods),
        cmocka_unit_test(which_of_several_is_wrong_is_told),
        cmocka_unit_test(rates_from_elsewhere_are_in_order_and_few),
        cmocka_unit_test(a_cost_is_a_thousandth_to_a_thousand_units),
        cmocka_unit_test(every_cost_reads_back),
    };
    return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
