/* The module `limit`: its arguments, and what it does where the memory that limits are counted in
 * is missing. With that memory: system/test_limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../unit/lib_latch.h"
#include "../unit/lib_service.h"
#include "../unit/lib_table.h"
#include "../unit/lib_usage.h"
#include "core/rate.h"
#include "lib_module.h"
#include "stack/charge.h"

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

/* A live key, and memory that its limits are counted in: its record is 1, its block 2. */
struct counted {
    char text[LATCH_KEY_LEN + 1];
    struct sample_key key;
    struct usage_area area;
    struct usage_limits *words;
};

static void count_key(struct counted *counted, struct module_bench *bench)
{
    test_area_open(&counted->area, 1);
    latch_key_text(1, "cc_live_", counted->text);
    sample_key_init(&counted->key, 1);
    digest_of(counted->text, LATCH_KEY_LEN, &counted->key.entry.digest);
    counted->key.entry.well_formed = true;
    counted->key.entry.usage = 1 | UINT64_C(2) << 32;
    counted->words = usage_limits_at(&counted->area, 2);
    bench->usage = &counted->area;
}

static void end_count(struct counted *counted, struct module_bench *bench)
{
    bench->usage = NULL;
    test_area_close(&counted->area);
}

static void show_key(const struct counted *counted, struct heap_table *table)
{
    heap_table_open(table, 100, 200);
    assert_int_equal(heap_table_put(table, &counted->key.entry), 0);
}

static struct rates rates_of(const char *text)
{
    struct rates rates;
    assert_int_equal(rates_parse(text_of(text), &rates, NULL), 0);
    return rates;
}

/* Its place may be another one in the next table, and a service is not opened anew for that. */
static void a_named_limit_is_looked_up_in_each_generation(void **state)
{
    static const char *const before[] = {"a", "b"}, *const after[] = {"c", "b", "a"};
    struct module_bench *bench = *state;
    struct heap_table tables[2];
    struct counted counted;
    struct named_limit limit;
    struct rates own = rates_of("1/366d"); /* which it leaves alone */
    count_key(&counted, bench);
    counted.key.entry.rates = &own;
    for (unsigned t = 0; t < 2; t++) {
        show_key(&counted, &tables[t]);
        tables[t].writer.header->generation = 1 + t;
        for (unsigned i = 0; i < 2 + t; i++) {
            assert_int_equal(
                named_limit_parse(t == 0 ? before[i] : after[i], "2/366d", &limit, NULL), 0);
            assert_int_equal(table_name_limit(&tables[t].writer, limit.name, &limit.rates.list[0]),
                             0);
        }
    }
    module_open_service(bench, "requisite = format\nrequired = table\nrequired = scope\n"
                               "required = address\nrequired = limit name=a rate=2/366d\n");
    struct usage_limits *words = counted.words;
    assert_int_equal(module_ask(bench, &tables[0].writer.view, counted.text), CATLATCH_VALID);
    assert_true(words->named[0] != 0 && words->named[2] == 0);
    assert_int_equal(module_ask(bench, &tables[1].writer.view, counted.text), CATLATCH_VALID);
    assert_true(words->named[2] != 0 && words->named[1] == 0);
    assert_int_equal(module_ask(bench, &tables[1].writer.view, counted.text), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, &tables[1].writer.view, counted.text),
                     CATLATCH_RATE_LIMITED);
    assert_int_equal(module_ask(bench, &tables[0].writer.view, counted.text), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, &tables[0].writer.view, counted.text),
                     CATLATCH_RATE_LIMITED);
    for (unsigned t = 0; t < 2; t++)
        heap_table_close(&tables[t]);
    end_count(&counted, bench);
}

/* Some of its rates may have been there for long, and the rest come with a reload. */
static void each_rate_of_a_named_limit_is_looked_up_until_all_are_there(void **state)
{
    struct module_bench *bench = *state;
    struct heap_table table;
    struct counted counted;
    struct named_limit limit;
    count_key(&counted, bench);
    show_key(&counted, &table);
    assert_int_equal(named_limit_parse("a", "10/1s,1000/1h", &limit, NULL), 0);
    assert_int_equal(table_name_limit(&table.writer, limit.name, &limit.rates.list[1]), 0);
    module_open_service(bench, "required = table\nrequired = limit name=a rate=10/1s,1000/1h\n");
    assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_UNAVAILABLE);
    assert_int_equal(table_name_limit(&table.writer, limit.name, &limit.rates.list[0]), 0);
    assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_VALID);
    heap_table_close(&table);
    end_count(&counted, bench);
}

/* Asks so often that all is granted and once more, by the way that the host charges by itself and
 * by the module. */
static void assert_granted(struct module_bench *bench, const struct heap_table *table,
                           const char *text, unsigned times, const char *line)
{
    char lines[160];
    snprintf(lines, sizeof lines,
             "requisite = format\nrequired = table\nrequired = scope\nrequired = address\n%s\n",
             line);
    module_open_service(bench, lines);
    for (unsigned i = 0; i < times; i++)
        assert_int_equal(module_ask(bench, &table->writer.view, text), CATLATCH_VALID);
    bench->is_dry = true;
    assert_int_equal(module_ask(bench, &table->writer.view, text), CATLATCH_RATE_LIMITED);
    bench->is_dry = false;
    assert_int_equal(module_ask(bench, &table->writer.view, text), CATLATCH_RATE_LIMITED);
}

/* A table that shows it, with what its owner is limited to, counted in that block. */
static void show_key_of(struct counted *counted, const struct rates *owners, uint32_t block,
                        struct heap_table *table)
{
    counted->key.entry.owner_rates = owners;
    counted->key.entry.owner_block = block;
    show_key(counted, table);
}

/* Where the key has no limits, no block of its own is needed. */
static void a_key_is_held_to_the_limits_of_its_owner(void **state)
{
    static const char *const charging[] = {"required = limit", "required = limit on_missing=pass"};
    struct module_bench *bench = *state;
    struct rates owners = rates_of("1000/365d,3/366d");
    for (unsigned i = 0; i < sizeof charging / sizeof *charging; i++) {
        struct heap_table table;
        struct counted counted;
        count_key(&counted, bench);
        counted.key.entry.usage = 1;
        show_key_of(&counted, &owners, 4, &table);
        assert_granted(bench, &table, counted.text, 3, charging[i]);
        assert_int_equal(counted.words->rates[1], 0);
        assert_true(usage_limits_at(&counted.area, 4)->rates[1] != 0);
        heap_table_close(&table);
        end_count(&counted, bench);
    }
}

/* Either can be the one that refuses, and what it refuses the other does not count. */
static void own_limits_and_the_owners_are_charged_together(void **state)
{
    static const char *const own[] = {"2/366d", "9/366d"}, *const owners[] = {"9/366d", "2/366d"};
    struct module_bench *bench = *state;
    for (unsigned i = 0; i < 2; i++) {
        struct rates wide = rates_of(own[i]), narrow = rates_of(owners[i]);
        struct heap_table table;
        struct counted counted;
        count_key(&counted, bench);
        counted.key.entry.rates = &wide;
        show_key_of(&counted, &narrow, 4, &table);
        assert_granted(bench, &table, counted.text, 2, "required = limit");
        struct usage_limits *his = usage_limits_at(&counted.area, 4);
        uint64_t of_key = counted.words->rates[0], of_owner = his->rates[0];
        module_ask(bench, &table.writer.view, counted.text);
        assert_true(counted.words->rates[0] == of_key && his->rates[0] == of_owner);
        /* A cost is charged to both. */
        module_open_service(bench, "required = table\nrequired = limit cost=7\n");
        (i == 0 ? counted.words : his)->rates[0] = 0;
        assert_int_equal(module_ask(bench, &table.writer.view, counted.text),
                         CATLATCH_RATE_LIMITED);
        heap_table_close(&table);
        end_count(&counted, bench);
    }
}

static void limits_of_an_owner_that_cannot_be_counted_are_an_outage(void **state)
{
    static const uint32_t nowhere[] = {0, 5, 1u << 30};
    struct module_bench *bench = *state;
    struct rates owners = rates_of("10/1s");
    for (unsigned i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        struct heap_table table;
        struct counted counted;
        count_key(&counted, bench);
        show_key_of(&counted, &owners, nowhere[i], &table);
        module_open_service(bench, "required = table\nrequired = limit\n");
        assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_UNAVAILABLE);
        module_open_service(bench, "required = table\nrequired = limit on_missing=pass\n");
        assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_VALID);
        heap_table_close(&table);
        end_count(&counted, bench);
    }
}

/* A clock of five seconds ago, so that what is charged by it shows. */
static uint64_t old_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return ((uint64_t)now.tv_sec - 5) * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* Lines that are sure of any call, and one that charges what the host knows. */
static void open_quick_service(struct module_bench *bench)
{
    module_open_service(bench, "requisite = format\nrequired = table\nrequired = scope\n"
                               "required = address\nrequired = limit\n");
}

static void assert_told(const struct module_bench *bench, uint32_t count, uint64_t level_ns,
                        enum limit_verdict verdict)
{
    struct stack_limit told;
    memset(&told, 0xa5, sizeof told);
    stack_limit_tell(bench->service->charges, &told);
    assert_int_equal(told.rate.count, count);
    if (count == 0)
        return;
    assert_int_equal(told.rate.period_s, 3600);
    assert_int_equal(told.cost_milli, 1000);
    assert_true(told.level_ns == level_ns);
    assert_int_equal(told.verdict, verdict);
}

static void one_rate_is_charged_by_the_clock_that_the_caller_read(void **state)
{
    struct module_bench *bench = *state;
    struct heap_table table;
    struct counted counted;
    struct rates own = rates_of("2/1h");
    uint64_t unit_ns = UINT64_C(1800000000000);
    count_key(&counted, bench);
    counted.key.entry.rates = &own;
    show_key(&counted, &table);
    open_quick_service(bench);
    _Atomic uint64_t *word = &counted.words->rates[0];
    bench->now_ns = old_clock_ns();
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_VALID);
        assert_true(atomic_load(word) == bench->now_ns + i * unit_ns);
        assert_told(bench, 2, i * unit_ns, LIMIT_GRANTED);
    }
    /* What it finds no room for is found out by a later one. */
    assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_RATE_LIMITED);
    assert_true(atomic_load(word) == bench->now_ns + 2 * unit_ns);
    assert_true(bench->service->charges->count == 1);
    /* A word that nobody can have written is set back by that one, too. */
    atomic_store(word, UINT64_MAX);
    assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_RATE_LIMITED);
    assert_true(atomic_load(word) >= bench->now_ns + 2 * unit_ns + UINT64_C(5000000000));
    assert_true(atomic_load(word) < UINT64_MAX);
    assert_told(bench, 2, 2 * unit_ns, LIMIT_REFUSED);
    /* Without a clock one is read. */
    atomic_store(word, 0);
    bench->now_ns = 0;
    uint64_t now_ns = old_clock_ns() + UINT64_C(5000000000);
    assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_VALID);
    assert_true(atomic_load(word) >= now_ns + unit_ns);
    assert_told(bench, 2, unit_ns, LIMIT_GRANTED);
    heap_table_close(&table);
    end_count(&counted, bench);
}

/* What is told is of the decision that was made last. */
static void a_key_without_limits_is_told_none_of_the_one_before(void **state)
{
    struct module_bench *bench = *state;
    struct heap_table limited, free;
    struct counted counted;
    struct rates own = rates_of("2/1h");
    count_key(&counted, bench);
    show_key(&counted, &free);
    counted.key.entry.rates = &own;
    show_key(&counted, &limited);
    open_quick_service(bench);
    bench->now_ns = old_clock_ns();
    assert_int_equal(module_ask(bench, &limited.writer.view, counted.text), CATLATCH_VALID);
    assert_told(bench, 2, UINT64_C(1800000000000), LIMIT_GRANTED);
    assert_int_equal(module_ask(bench, &free.writer.view, counted.text), CATLATCH_VALID);
    assert_told(bench, 0, 0, LIMIT_GRANTED);
    heap_table_close(&limited);
    heap_table_close(&free);
    end_count(&counted, bench);
}

/* Whatever else limits the key is charged too, with a clock or without. */
static void more_than_one_rate_is_charged_with_it(void **state)
{
    static const char *const own[] = {"9/1h,2/366d", "9/1h", "9/1h"};
    struct module_bench *bench = *state;
    struct rates owners = rates_of("2/366d");
    for (unsigned i = 0; i < 3; i++) {
        struct rates rates = rates_of(own[i]);
        struct heap_table table;
        struct counted counted;
        count_key(&counted, bench);
        counted.key.entry.rates = &rates;
        counted.key.entry.has_uses = i == 1;
        counted.words->uses[USES_LEFT] = 2 * USES_MILLI;
        show_key_of(&counted, i == 2 ? &owners : NULL, i == 2 ? 4 : 0, &table);
        open_quick_service(bench);
        bench->now_ns = old_clock_ns();
        for (unsigned n = 0; n < 2; n++)
            assert_int_equal(module_ask(bench, &table.writer.view, counted.text), CATLATCH_VALID);
        assert_int_equal(module_ask(bench, &table.writer.view, counted.text),
                         i == 1 ? CATLATCH_USAGE_EXCEEDED : CATLATCH_RATE_LIMITED);
        assert_int_equal(atomic_load(&counted.words->uses[USES_LEFT]), i == 1 ? 0 : 2 * USES_MILLI);
        heap_table_close(&table);
        end_count(&counted, bench);
    }
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
        TEST(a_key_is_held_to_the_limits_of_its_owner),
        TEST(own_limits_and_the_owners_are_charged_together),
        TEST(limits_of_an_owner_that_cannot_be_counted_are_an_outage),
        TEST(one_rate_is_charged_by_the_clock_that_the_caller_read),
        TEST(a_key_without_limits_is_told_none_of_the_one_before),
        TEST(more_than_one_rate_is_charged_with_it),
        TEST(names_and_rates_that_are_none_are_refused),
        TEST(a_service_charges_in_nine_lines_at_most),
    };
    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
