/* The module `address`: whose address counts, and what it lets pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/lib_latch.h"
#include "../unit/lib_service.h"
#include "../unit/lib_table.h"
#include "core/address.h"
#include "stack/decide.h"

struct fixture {
    struct heap_table table;
    char text[LATCH_KEY_LEN + 1];
    struct sample_key key;
    struct network networks[2];
};

static struct network network_of(const char *text)
{
    struct network network;
    struct error error;
    assert_int_equal(network_parse(text_of(text), &network, &error), 0);
    return network;
}

/* A live key that may be used from 192.0.2.0/24 and 2001:db8:1::/48. */
static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    heap_table_open(&fixture->table, 100, 200);
    latch_key_text(1, "cc_live_", fixture->text);
    sample_key_init(&fixture->key, 1);
    digest_of(fixture->text, LATCH_KEY_LEN, &fixture->key.entry.digest);
    fixture->networks[0] = network_of("192.0.2.0/24");
    fixture->networks[1] = network_of("2001:db8:1::/48");
    fixture->key.entry.networks = fixture->networks;
    fixture->key.entry.network_count = 2;
    assert_int_equal(heap_table_put(&fixture->table, &fixture->key.entry), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    heap_table_close(&fixture->table);
    free(fixture);
    return 0;
}

static enum catlatch_result ask(struct fixture *fixture, const char *line, const char *address)
{
    struct stack_service *service = service_of(line);
    struct stack_request request = {
        .key = fixture->text, .key_len = LATCH_KEY_LEN, .address = address};
    struct stack_run run;
    stack_prepare(service, &request, &run);
    enum catlatch_result result = stack_decide(&run, &fixture->table.writer.view);
    stack_close(service);
    return result;
}

struct address_case {
    const char *address;
    enum catlatch_result result;
};

static void expect_all(struct fixture *fixture, const char *line, const struct address_case *cases)
{
    for (; cases->result != CATLATCH_DENIED; cases++) {
        if (ask(fixture, line, cases->address) != cases->result)
            fail_msg("%s with \"%s\" is not %d", line, cases->address, cases->result);
    }
}

#define YES CATLATCH_VALID
#define NO CATLATCH_IP_NOT_ALLOWED
#define END                   \
    {                         \
        NULL, CATLATCH_DENIED \
    }

static void the_peer_counts_and_nobody_else_where_nobody_is_trusted(void **state)
{
    static const struct address_case cases[] = {
        {"192.0.2.7", YES},
        {"192.0.3.7", NO},
        {"::ffff:192.0.2.7", YES},
        {"2001:db8:1::5", YES},
        {"2001:db8:2::5", NO},
        {NULL, NO},
        {"", NO},
        {"unknown", NO},
        {"192.0.2.7:443", NO},
        {"192.0.2.7 x", NO},
        {" 192.0.2.7\t", YES},
        {"192.0.2.7, 198.51.100.1", NO},
        {"198.51.100.1, 192.0.2.7", YES},
        {"192.0.2.7,", NO},
        END,
    };
    expect_all(*state, "required = address\n", cases);
}

static void what_trusted_proxies_tell_counts(void **state)
{
    static const struct address_case cases[] = {
        {"192.0.2.7, 10.0.0.1", YES},
        {"192.0.2.7,10.0.0.1,10.2.0.1", YES},
        {"192.0.2.7, 198.51.100.1, 10.0.0.1", NO},
        {"198.51.100.1, 192.0.2.7, 10.0.0.1", YES}, /* what the client wrote is not looked at */
        {"nonsense, 192.0.2.7, 10.0.0.1", YES},
        {"192.0.2.7, nonsense, 10.0.0.1", NO},
        {"192.0.2.7, , 10.0.0.1", NO},
        {"192.0.2.7, 2001:db8:9::1", YES},
        {"192.0.2.7, 2001:db8:a::1", NO},
        {"192.0.2.7", YES},
        {"10.0.0.1", NO}, /* the proxy itself */
        {"10.1.1.1, 10.0.0.1", NO},
        END,
    };
    expect_all(*state, "required = address trust=10.0.0.0/8,2001:db8:9::/48\n", cases);
    expect_all(*state, "required = address trust=10.0.0.0/8 trust=2001:db8:9::/48\n", cases);
}

static void a_key_without_networks_passes_from_everywhere(void **state)
{
    struct fixture *fixture = *state;
    fixture->key.entry.network_count = 0;
    assert_int_equal(heap_table_put(&fixture->table, &fixture->key.entry), 0);
    assert_int_equal(ask(fixture, "required = address\n", NULL), CATLATCH_VALID);
    assert_int_equal(ask(fixture, "required = address\n", "nonsense"), CATLATCH_VALID);
}

static void a_key_that_is_not_live_is_refused_as_such(void **state)
{
    struct fixture *fixture = *state;
    fixture->key.entry.disabled = true;
    assert_int_equal(heap_table_put(&fixture->table, &fixture->key.entry), 0);
    assert_int_equal(ask(fixture, "required = address\n", "192.0.2.7"), CATLATCH_DISABLED);
    fixture->text[20] ^= 1;
    assert_int_equal(ask(fixture, "required = address\n", "192.0.2.7"), CATLATCH_NOT_FOUND);
}

static void networks_that_the_table_lost_are_an_outage(void **state)
{
    struct fixture *fixture = *state;
    struct table_hit hit;
    assert_int_equal(table_find(&fixture->table.writer.view, &fixture->key.entry.digest, &hit),
                     TABLE_HIT);
    atomic_store(&fixture->table.writer.slots[hit.slot].identity_ref, UINT32_MAX);
    assert_int_equal(ask(fixture, "required = address\n", "192.0.2.7"), CATLATCH_UNAVAILABLE);
}

static void arguments_that_are_no_networks_are_refused(void **state)
{
    (void)state;
    service_is_refused("required = address proxy=10.0.0.1\n",
                       "/c.ini:11: address: the one argument that there is is trust=NETWORK,...");
    service_is_refused("required = address trust\n",
                       "/c.ini:11: address: the one argument that there is is trust=NETWORK,...");
    stack_close(service_of("required = address trust=::/0,0.0.0.0/0\n"));
}

static void bits_behind_a_prefix_are_refused_with_the_network_that_was_meant(void **state)
{
    struct service_config world;
    struct stack_service *service;
    struct error error;
    (void)state;
    service_config(&world, "required = address trust=10.0.0.1/8\n", NULL);
    assert_int_equal(stack_open(&world.config, "api", STACK_HOST_ANY, &service, &error),
                     CATLATCH_E_CONFIG);
    assert_non_null(strstr(error.text, "/c.ini:11: address: trust= \"10.0.0.1/8\" "));
    assert_non_null(strstr(error.text, "10.0.0.0/8"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_peer_counts_and_nobody_else_where_nobody_is_trusted),
        TEST(what_trusted_proxies_tell_counts),
        TEST(a_key_without_networks_passes_from_everywhere),
        TEST(a_key_that_is_not_live_is_refused_as_such),
        TEST(networks_that_the_table_lost_are_an_outage),
        TEST(arguments_that_are_no_networks_are_refused),
        TEST(bits_behind_a_prefix_are_refused_with_the_network_that_was_meant),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
