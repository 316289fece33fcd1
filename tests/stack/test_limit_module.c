/* The module `limit`: its arguments, and what it does where the memory that limits are counted in
 * is missing. With that memory: system/test_limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/lib_latch.h"
#include "../unit/lib_service.h"
#include "../unit/lib_table.h"
#include "../unit/lib_usage.h"
#include "core/rate.h"
#include "lib_module.h"

/* Which limits the key has. */
enum limited { BY_NOTHING, BY_A_RATE, BY_USES };

/* Decides about a live key without any memory to count in. */
static enum catlatch_result ask(struct module_bench *bench, enum limited limited, const char *lines)
{
    char text[LATCH_KEY_LEN + 1];
    struct heap_table table;
    struct sample_key key;
    struct rates rates;

    heap_table_open(&table, 100, 200);
    latch_key_text(1, "cc_live_", text);
    sample_key_init(&key, 1);
    digest_of(text, LATCH_KEY_LEN, &key.entry.digest);
    assert_int_equal(rates_parse(text_of("10/1s"), &rates, NULL), 0);
    key.entry.rates = limited == BY_A_RATE ? &rates : NULL;
    key.entry.has_uses = limited == BY_USES;
    key.entry.well_formed = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    module_open_service(bench, lines);
    enum catlatch_result result = module_ask(bench, &table.writer.view, text);
    heap_table_close(&table);
    return result;
}

static void a_key_with_limits_is_an_outage_where_they_cannot_be_counted(void **state)
{
    const char *lines = "required = table\nrequired = limit\n";
    assert_int_equal(ask(*state, BY_A_RATE, lines), CATLATCH_UNAVAILABLE);
    assert_int_equal(ask(*state, BY_USES, lines), CATLATCH_UNAVAILABLE);
    assert_int_equal(ask(*state, BY_NOTHING, lines), CATLATCH_VALID);
    lines = "required = table\nrequired = limit on_missing=unavailable dry-run cost=2\n";
    assert_int_equal(ask(*state, BY_A_RATE, lines), CATLATCH_UNAVAILABLE);
}

static void it_passes_where_the_service_says_so(void **state)
{
    const char *lines = "required = table\nrequired = limit on_missing=pass\n";
    assert_int_equal(ask(*state, BY_A_RATE, lines), CATLATCH_VALID);
    assert_int_equal(ask(*state, BY_USES, lines), CATLATCH_VALID);
    assert_int_equal(ask(*state, BY_NOTHING, lines), CATLATCH_VALID);
}

/* Of a service of nothing but sure lines and this one the host charges by itself. */
static void what_the_host_charges_by_itself_passes_where_the_service_says_so(void **state)
{
    const char *lines = "requisite = format\nrequired = table\nrequired = scope\n"
                        "required = address\nrequired = limit on_missing=pass\n";
    assert_int_equal(ask(*state, BY_A_RATE, lines), CATLATCH_VALID);
    lines = "requisite = format\nrequired = table\nrequired = scope\n"
            "required = address\nrequired = limit\n";
    assert_int_equal(ask(*state, BY_A_RATE, lines), CATLATCH_UNAVAILABLE);
    lines = "requisite = format\nrequired = table\nrequired = scope\n"
            "required = address\nrequired = limit name=a rate=1/1s on_missing=pass\n";
    assert_int_equal(ask(*state, BY_NOTHING, lines), CATLATCH_VALID);
    lines = "requisite = format\nrequired = table\nrequired = scope\n"
            "required = address\nrequired = limit name=a rate=1/1s\n";
    assert_int_equal(ask(*state, BY_NOTHING, lines), CATLATCH_UNAVAILABLE);
}

static void a_look_answers_as_a_charge_does(void **state)
{
    struct module_bench *bench = *state;
    bench->is_dry = true;
    assert_int_equal(ask(bench, BY_A_RATE, "required = table\nrequired = limit\n"),
                     CATLATCH_UNAVAILABLE);
    assert_int_equal(ask(bench, BY_A_RATE, "required = table\nrequired = limit on_missing=pass\n"),
                     CATLATCH_VALID);
}

static void arguments_that_are_none_are_refused(void **state)
{
    static const char takes[] = "/c.ini:12: limit: takes name=NAME with rate=RATES, cost=COST, "
                                "on_missing=unavailable or pass, and dry-run";
    static const char missing[] = "/c.ini:12: limit: on_missing= is unavailable or pass";
    (void)state;
    service_is_refused("required = table\nrequired = limit 5\n", takes);
    service_is_refused("required = table\nrequired = limit cost\n", takes);
    service_is_refused("required = table\nrequired = limit dry-run=yes\n", takes);
    service_is_refused("required = table\nrequired = limit on_missing\n", takes);
    service_is_refused("required = table\nrequired = limit on_missing=\n", missing);
    service_is_refused("required = table\nrequired = limit on_missing=valid\n", missing);
}

/* Every key has it, so every key must be counted. */
static void a_named_limit_is_every_keys(void **state)
{
    struct module_bench *bench = *state;
    const char *lines = "required = table\nrequired = limit name=a rate=5/1s\n";
    assert_int_equal(ask(bench, BY_NOTHING, lines), CATLATCH_UNAVAILABLE);
    assert_int_equal(ask(bench, BY_A_RATE, lines), CATLATCH_UNAVAILABLE);
    bench->is_dry = true;
    assert_int_equal(ask(bench, BY_NOTHING, lines), CATLATCH_UNAVAILABLE);
    lines = "required = table\nrequired = limit name=a rate=5/1s on_missing=pass\n";
    assert_int_equal(ask(bench, BY_NOTHING, lines), CATLATCH_VALID);
    bench->is_dry = false;
    assert_int_equal(ask(bench, BY_NOTHING, lines), CATLATCH_VALID);
    assert_int_equal(ask(bench, BY_A_RATE, lines), CATLATCH_VALID);
}

/* Its place may be another one in the next table, and a service is not opened anew for that. */
static void a_named_limit_is_looked_up_in_each_generation(void **state)
{
    static const char *const before[] = {"a", "b"}, *const after[] = {"c", "b", "a"};
    struct module_bench *bench = *state;
    char text[LATCH_KEY_LEN + 1];
    struct heap_table tables[2];
    struct usage_area area;
    struct sample_key key;
    struct named_limit limit;
    struct rates own;
    test_area_open(&area, 1);
    latch_key_text(1, "cc_live_", text);
    sample_key_init(&key, 1);
    digest_of(text, LATCH_KEY_LEN, &key.entry.digest);
    assert_int_equal(rates_parse(text_of("1/366d"), &own, NULL), 0); /* which it leaves alone */
    key.entry.rates = &own;
    key.entry.well_formed = true;
    key.entry.usage = 1 | UINT64_C(2) << 32;
    for (unsigned t = 0; t < 2; t++) {
        heap_table_open(&tables[t], 100, 200);
        tables[t].writer.header->generation = 1 + t;
        assert_int_equal(heap_table_put(&tables[t], &key.entry), 0);
        for (unsigned i = 0; i < 2 + t; i++) {
            assert_int_equal(
                named_limit_parse(t == 0 ? before[i] : after[i], "2/366d", &limit, NULL), 0);
            assert_int_equal(table_name_limit(&tables[t].writer, limit.name, &limit.rates.list[0]),
                             0);
        }
    }
    module_open_service(bench, "requisite = format\nrequired = table\nrequired = scope\n"
                               "required = address\nrequired = limit name=a rate=2/366d\n");
    bench->usage = &area;
    struct usage_limits *words = usage_limits_at(&area, 2);
    assert_int_equal(module_ask(bench, &tables[0].writer.view, text), CATLATCH_VALID);
    assert_true(words->named[0] != 0 && words->named[2] == 0);
    assert_int_equal(module_ask(bench, &tables[1].writer.view, text), CATLATCH_VALID);
    assert_true(words->named[2] != 0 && words->named[1] == 0);
    assert_int_equal(module_ask(bench, &tables[1].writer.view, text), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, &tables[1].writer.view, text), CATLATCH_RATE_LIMITED);
    assert_int_equal(module_ask(bench, &tables[0].writer.view, text), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, &tables[0].writer.view, text), CATLATCH_RATE_LIMITED);
    bench->usage = NULL;
    for (unsigned t = 0; t < 2; t++)
        heap_table_close(&tables[t]);
    test_area_close(&area);
}

/* Some of its rates may have been there for long, and the rest come with a reload. */
static void each_rate_of_a_named_limit_is_looked_up_until_all_are_there(void **state)
{
    struct module_bench *bench = *state;
    char text[LATCH_KEY_LEN + 1];
    struct heap_table table;
    struct usage_area area;
    struct sample_key key;
    struct named_limit limit;
    test_area_open(&area, 1);
    latch_key_text(1, "cc_live_", text);
    sample_key_init(&key, 1);
    digest_of(text, LATCH_KEY_LEN, &key.entry.digest);
    key.entry.usage = 1 | UINT64_C(2) << 32;
    heap_table_open(&table, 100, 200);
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_int_equal(named_limit_parse("a", "10/1s,1000/1h", &limit, NULL), 0);
    assert_int_equal(table_name_limit(&table.writer, limit.name, &limit.rates.list[1]), 0);
    module_open_service(bench, "required = table\nrequired = limit name=a rate=10/1s,1000/1h\n");
    bench->usage = &area;
    assert_int_equal(module_ask(bench, &table.writer.view, text), CATLATCH_UNAVAILABLE);
    assert_int_equal(table_name_limit(&table.writer, limit.name, &limit.rates.list[0]), 0);
    assert_int_equal(module_ask(bench, &table.writer.view, text), CATLATCH_VALID);
    bench->usage = NULL;
    heap_table_close(&table);
    test_area_close(&area);
}

static void names_and_rates_that_are_none_are_refused(void **state)
{
    static const char together[] = "/c.ini:12: limit: name= and rate= go together: what it is, and "
                                   "how much";
    (void)state;
    service_is_refused("required = table\nrequired = limit name=a\n", together);
    service_is_refused("required = table\nrequired = limit rate=1/1s\n", together);
    service_is_refused("required = table\nrequired = limit name=A rate=1/1s\n",
                       "/c.ini:12: limit: name= is 1 to 23 of a-z, 0-9, _ and -");
    service_is_refused("required = table\nrequired = limit name= rate=1/1s\n",
                       "/c.ini:12: limit: name= is 1 to 23 of a-z, 0-9, _ and -");
    service_is_refused(
        "required = table\nrequired = limit name=a rate=0/1s\n",
        "/c.ini:12: limit: rate 1, \"0/1s\", lets nothing through; the count is 1 to "
        "1000000000, and what stops a key is disabling it");
    service_is_refused("required = table\nrequired = limit name=a rate=1/1s,2/1s\n",
                       "/c.ini:12: limit: rate 2, \"2/1s\", has the period of 1/1s; keep the one "
                       "that is meant");
}

static void a_service_charges_in_nine_lines_at_most(void **state)
{
    char lines[1024] = "required = table\nrequired = limit\n", *end = lines + strlen(lines);
    (void)state;
    for (unsigned i = 0; i < 8; i++)
        end += sprintf(end, "required = limit name=n%u rate=1/1s\n", i);
    stack_close(service_of(lines));
    sprintf(end, "required = limit dry-run\n");
    service_is_refused(lines,
                       "/c.ini: [service api] has 10 lines that charge limits; 9 are the most");
}

static void costs_that_cannot_be_counted_are_refused(void **state)
{
    static const char *const costs[] = {"0",   "0.000", "-1",  "1000.001", "0.0001",
                                        "1e3", "1,5",   ".5.", "",         "99999999999999999999"};
    struct service_config world;
    struct stack_service *service;
    struct error error;
    char lines[96];
    (void)state;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        snprintf(lines, sizeof lines, "required = table\nrequired = limit cost=%s\n", costs[i]);
        service_config(&world, lines, NULL);
        assert_int_equal(stack_open(&world.config, "api", STACK_HOST_ANY, &service, &error),
                         CATLATCH_E_CONFIG);
        if (strstr(error.text, "/c.ini:12: limit: cost= \"") == NULL)
            fail_msg("cost=%s: %s", costs[i], error.text);
    }
    stack_close(service_of("required = table\nrequired = limit cost=0.001\n"));
    stack_close(service_of("required = table\nrequired = limit cost=1000\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, module_bench_make, module_bench_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_with_limits_is_an_outage_where_they_cannot_be_counted),
        TEST(it_passes_where_the_service_says_so),
        TEST(what_the_host_charges_by_itself_passes_where_the_service_says_so),
        TEST(a_look_answers_as_a_charge_does),
        TEST(arguments_that_are_none_are_refused),
        TEST(costs_that_cannot_be_counted_are_refused),
        TEST(a_named_limit_is_every_keys),
        TEST(a_named_limit_is_looked_up_in_each_generation),
        TEST(each_rate_of_a_named_limit_is_looked_up_until_all_are_there),
        TEST(names_and_rates_that_are_none_are_refused),
        TEST(a_service_charges_in_nine_lines_at_most),
    };
    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
