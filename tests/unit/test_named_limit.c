/* Limits that services name: their text, all of a configuration, and their places in the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/named_limit.h"
#include "lib_table.h"

static struct error error;

static struct named_limit limit_of(const char *name, const char *rates)
{
    struct named_limit limit;
    if (named_limit_parse(name, rates, &limit, &error) != 0)
        fail_msg("%s: %s", name, error.text);
    return limit;
}

static void a_name_is_a_word_and_has_rates(void **state)
{
    static const char *const wrong[][3] = {
        {"", "1/1s", "name= is 1 to 23"},
        {"Uploads", "1/1s", "name= is 1 to 23"},
        {"up loads", "1/1s", "name= is 1 to 23"},
        {"a23456789012345678901234", "1/1s", "name= is 1 to 23"},
        {"uploads", "", ""},
        {"uploads", "0/1s", ""},
        {"uploads", "1/1s,2/1s", ""},
        {"uploads", "1/1s,2/2s,3/3s,4/4s,5/5s", ""},
    };
    struct named_limit limit = {.name = "kept"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(named_limit_parse(wrong[i][0], wrong[i][1], &limit, &error),
                         CATLATCH_E_DATA);
        assert_non_null(strstr(error.text, wrong[i][2]));
        assert_string_equal(limit.name, "kept");
    }
    limit = limit_of("a2345678901234567890123", "10/1s,1000/1h:20");
    assert_int_equal(limit.rates.count, 2);
    assert_int_equal(limit.rates.list[1].burst, 20);
}

static int add(struct named_limits *limits, const char *name, const char *rates)
{
    struct named_limit limit = limit_of(name, rates);
    return named_limits_add(limits, &limit, &error);
}

static void one_name_is_one_limit_and_all_have_eight_rates(void **state)
{
    struct named_limits limits = {.count = 0};
    (void)state;
    assert_int_equal(add(&limits, "a", "1/1s,2/1m"), 0);
    assert_int_equal(add(&limits, "a", "2/60s,1/1s"), 0); /* the same, in other words */
    assert_int_equal(limits.count, 1);
    assert_int_equal(add(&limits, "a", "1/1s"), CATLATCH_E_DATA);
    assert_non_null(strstr(error.text, "rate=1/1s here and rate=1/1s,2/1m elsewhere"));
    assert_int_equal(add(&limits, "b", "1/1s,2/1m,3/1h"), 0);
    assert_int_equal(add(&limits, "c", "1/1s,2/1m,3/1h"), 0);
    assert_int_equal(add(&limits, "d", "1/1s"), CATLATCH_E_DATA);
    assert_non_null(strstr(error.text, "d is one too many"));
    assert_int_equal(add(&limits, "c", "1/1s,2/1m,3/1h"), 0);
    assert_int_equal(limits.count, 3);
}

static int name_all(struct heap_table *table, const char *name, const char *rates)
{
    struct named_limit limit = limit_of(name, rates);
    int r = 0;
    for (uint32_t i = 0; i < limit.rates.count && r == 0; i++)
        r = table_name_limit(&table->writer, limit.name, &limit.rates.list[i]);
    return r;
}

static int place(const struct heap_table *table, const char *name, const char *rate)
{
    struct named_limit limit = limit_of(name, rate);
    return table_named_limit(&table->writer.view, limit.name, &limit.rates.list[0]);
}

static void places_are_given_once_and_kept(void **state)
{
    struct heap_table table;
    (void)state;
    heap_table_open(&table, 10, 64);
    assert_int_equal(place(&table, "a", "1/1s"), -1);
    assert_int_equal(name_all(&table, "a", "1/1s,2/1m"), 0);
    assert_int_equal(name_all(&table, "b", "1/1s"), 0);
    assert_int_equal(name_all(&table, "a", "1/1s,2/1m"), 0);
    assert_int_equal(place(&table, "a", "1/1s"), 0);
    assert_int_equal(place(&table, "a", "2/1m"), 1);
    assert_int_equal(place(&table, "b", "1/1s"), 2);
    assert_int_equal(place(&table, "a", "3/1m"), -1);
    assert_int_equal(place(&table, "a", "2/1m:3"), -1);
    assert_int_equal(name_all(&table, "c", "1/1s,2/1m,3/1h,4/1d"), 0);
    assert_int_equal(name_all(&table, "d", "1/1s,2/1m"), CATLATCH_E_FULL);
    assert_int_equal(place(&table, "d", "1/1s"), 7);
    assert_int_equal(place(&table, "d", "2/1m"), -1);
    table.writer.header->limit_count = UINT64_MAX; /* damage leads nowhere */
    assert_int_equal(place(&table, "e", "2/1m"), -1);
    assert_int_equal(place(&table, "d", "1/1s"), 7);
    heap_table_close(&table);
}

static void the_next_table_has_them_where_they_were_and_room_for_what_is_named(void **state)
{
    struct heap_table before, after;
    struct named_limits named = {.count = 0};
    (void)state;
    heap_table_open(&before, 10, 64);
    assert_int_equal(name_all(&before, "a", "1/1s,2/1m"), 0);
    assert_int_equal(name_all(&before, "b", "1/1s"), 0);
    assert_int_equal(name_all(&before, "c", "1/1s"), 0);

    heap_table_open(&after, 10, 64); /* old workers may name the others still */
    assert_int_equal(add(&named, "c", "1/1s"), 0);
    assert_int_equal(table_spare_limits(&before.writer.view, &named), 0);
    table_keep_limits(&after.writer, &before.writer.view, 0);
    assert_int_equal(place(&after, "a", "2/1m"), 1);
    assert_int_equal(place(&after, "b", "1/1s"), 2);
    assert_int_equal(place(&after, "c", "1/1s"), 3);
    heap_table_close(&after);

    heap_table_open(&after, 10, 64);
    assert_int_equal(add(&named, "d", "1/1s,2/1m,3/1h,4/1d"), 0);
    assert_int_equal(add(&named, "e", "1/1s"), 0);
    atomic_store(&after.writer.header->pulse, TABLE_PULSE_FILLING);
    unsigned spare = table_spare_limits(&before.writer.view, &named);
    assert_int_equal(spare, 7);
    table_keep_limits(&after.writer, &before.writer.view, spare);
    assert_int_equal(place(&after, "a", "2/1m"), -1);
    assert_int_equal(place(&after, "b", "1/1s"), -1);
    assert_int_equal(place(&after, "c", "1/1s"), 3);
    assert_int_equal(name_all(&after, "d", "1/1s,2/1m,3/1h,4/1d"), 0);
    assert_int_equal(place(&after, "d", "1/1s"), 0);
    assert_int_equal(place(&after, "d", "3/1h"), 2);
    assert_int_equal(place(&after, "d", "4/1d"), 4);
    assert_int_equal(name_all(&after, "e", "1/1s"), 0);
    assert_int_equal(place(&after, "e", "1/1s"), 5);
    heap_table_close(&after);
    heap_table_close(&before);
}

/* A reader compares what may be written just then. */
static void what_was_left_out_is_taken_before_anybody_reads_alone(void **state)
{
    struct heap_table before, after;
    struct named_limits named = {.count = 0};
    (void)state;
    heap_table_open(&before, 10, 64);
    assert_int_equal(name_all(&before, "a", "1/1s,2/1m,3/1h,4/1d"), 0);
    assert_int_equal(name_all(&before, "b", "1/1s,2/1m,3/1h"), 0);
    heap_table_open(&after, 10, 64);
    assert_int_equal(add(&named, "b", "1/1s,2/1m,3/1h"), 0);
    assert_int_equal(add(&named, "c", "1/1s,2/1m"), 0);
    table_keep_limits(&after.writer, &before.writer.view,
                      table_spare_limits(&before.writer.view, &named));
    atomic_store(&after.writer.header->pulse, 5);
    assert_int_equal(name_all(&after, "c", "1/1s,2/1m"), CATLATCH_E_FULL);
    assert_int_equal(place(&after, "c", "1/1s"), 7);
    heap_table_close(&after);
    heap_table_close(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_is_a_word_and_has_rates),
        cmocka_unit_test(one_name_is_one_limit_and_all_have_eight_rates),
        cmocka_unit_test(places_are_given_once_and_kept),
        cmocka_unit_test(the_next_table_has_them_where_they_were_and_room_for_what_is_named),
        cmocka_unit_test(what_was_left_out_is_taken_before_anybody_reads_alone),
    };
    return cmocka_run_group_tests_name("named limits", tests, NULL, NULL);
}
