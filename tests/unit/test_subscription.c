/* When the log is read for a subscriber, and what it is told. The store thread and the connection
 * are this program's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/daemon.h"
#include "daemon/subscription.h"

static struct world {
    struct daemon daemon;
    struct stack_service service, *services[1];
    struct client clients[3];
    struct store_position shown;
    unsigned asked;     /* how far the table is */
    struct op *asks[3]; /* for a part of the log */
    size_t ask_count;
    unsigned closed;
} world;

struct store_position changer_position(const struct changer *changer)
{
    (void)changer;
    world.asked++;
    return world.shown;
}

/* It takes the lock for which the store thread would wait. */
void changer_status(struct changer *changer, struct changer_status *ret_status)
{
    (void)changer;
    (void)ret_status;
    fail_msg("the whole status was asked for");
}

const struct table_view *changer_view(struct changer *changer)
{
    (void)changer;
    return NULL;
}

void changer_submit(struct changer *changer, struct op *op)
{
    (void)changer;
    assert_int_equal(op->kind, OP_LOG);
    assert_true(world.ask_count < 3);
    world.asks[world.ask_count++] = op;
}

void client_continue(struct client *client)
{
    subscription_feed(client); /* as it does once everything is sent */
}

void client_close(struct client *client)
{
    subscription_end(client);
    client->closing = true;
    world.closed++;
}

static int set_up(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    world.services[0] = &world.service;
    world.daemon.settings.services = world.services;
    world.daemon.server.daemon = &world.daemon;
    world.shown = (struct store_position){1, 7};
    reply_init(&world.daemon.server.output);
    for (unsigned i = 0; i < 3; i++) {
        struct client *client = &world.clients[i];
        client->server = &world.daemon.server;
        client->next = i < 2 ? &world.clients[i + 1] : NULL;
        client->session.peer_right = CONFIG_RIGHT_READ;
        client->session.protocol = 2;
        client->session.subscribed = true;
        client->session.fed = world.shown;
    }
    world.daemon.server.clients = &world.clients[0];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reply_free(&world.daemon.server.output);
    return 0;
}

/* The store thread has read up to there, and found `count` changes. */
static void answer(struct op *op, uint64_t sequence, size_t count)
{
    static struct change changes[2] = {{.epoch = 1, .kind = CHANGE_CREATED},
                                       {.epoch = 1, .kind = CHANGE_REVOKED}};
    op->at = (struct store_position){1, sequence};
    op->changes = changes;
    op->change_count = count;
    op->done(op);
}

static void a_publish_costs_each_subscriber_one_look_at_the_sequence(void **state)
{
    (void)state;
    subscription_feed_all(&world.daemon.server);
    assert_int_equal(world.asked, 3);
    assert_int_equal(world.ask_count, 0); /* nobody is behind */
    world.clients[1].session.subscribed = false;
    world.shown.sequence++;
    subscription_feed_all(&world.daemon.server);
    assert_int_equal(world.asked, 5);
    assert_int_equal(world.ask_count, 2);
    answer(world.asks[0], 8, 1);
    answer(world.asks[1], 8, 1);
    assert_int_equal(world.ask_count, 2);
    assert_int_equal(world.clients[0].session.fed.sequence, 8);
}

static void a_subscriber_is_told_until_it_is_no_longer_behind(void **state)
{
    (void)state;
    world.shown.sequence = 9;
    subscription_feed(&world.clients[0]);
    subscription_feed(&world.clients[0]); /* what is under way is enough */
    assert_int_equal(world.ask_count, 1);
    assert_int_equal(world.asks[0]->after.sequence, 7);
    answer(world.asks[0], 8, 1);
    assert_int_equal(world.ask_count, 2);
    assert_int_equal(world.asks[1]->after.sequence, 8);
    answer(world.asks[1], 9, 1);
    assert_int_equal(world.ask_count, 2);
}

static void what_was_read_for_one_who_is_gone_is_told_to_nobody(void **state)
{
    (void)state;
    world.shown.sequence = 9;
    subscription_feed(&world.clients[0]);
    client_close(&world.clients[0]);
    answer(world.asks[0], 9, 2);
    assert_int_equal(world.daemon.server.output.len, 0);
}

static void one_whose_right_was_taken_away_is_closed(void **state)
{
    (void)state;
    world.shown.sequence = 9;
    subscription_feed(&world.clients[0]);
    world.clients[0].session.peer_right = CONFIG_RIGHT_VERIFY;
    answer(world.asks[0], 9, 2);
    assert_int_equal(world.closed, 1);
    assert_int_equal(world.daemon.server.output.len, 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_publish_costs_each_subscriber_one_look_at_the_sequence),
        EACH(a_subscriber_is_told_until_it_is_no_longer_behind),
        EACH(what_was_read_for_one_who_is_gone_is_told_to_nobody),
        EACH(one_whose_right_was_taken_away_is_closed),
    };
    return cmocka_run_group_tests_name("subscription", tests, NULL, NULL);
}
