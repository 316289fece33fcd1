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
    static const char takes[] = "/c.ini:12: limit: takes cost=COST, on_missing=unavailable or "
                                "pass, and dry-run";
    static const char missing[] = "/c.ini:12: limit: on_missing= is unavailable or pass";
    (void)state;
    service_is_refused("required = table\nrequired = limit 5\n", takes);
    service_is_refused("required = table\nrequired = limit cost\n", takes);
    service_is_refused("required = table\nrequired = limit dry-run=yes\n", takes);
    service_is_refused("required = table\nrequired = limit on_missing\n", takes);
    service_is_refused("required = table\nrequired = limit on_missing=\n", missing);
    service_is_refused("required = table\nrequired = limit on_missing=valid\n", missing);
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
        TEST(a_look_answers_as_a_charge_does),
        TEST(arguments_that_are_none_are_refused),
        TEST(costs_that_cannot_be_counted_are_refused),
    };
    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
