#include "daemon/subscription.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/event.h"

/* Changes that are read from the store at once. */
#define FEED_MAX 100u

/* What is being read for one subscriber. */
struct feed {
    struct client *client; /* NULL: it is gone */
};

static void look_up_standing(const struct client *client, struct standing *ret_standing)
{
    const struct daemon *daemon = client->server->daemon;

    session_standing(&client->session, changer_view(daemon->changer), ret_standing);
}

/* Whether what was read is still what the subscriber is to be told: it may have gone on to another
 * place, or by AUTH to other rights, or lost them, while the log was read. */
static bool is_wanted(const struct client *client, const struct op *op)
{
    const struct session *session = &client->session;
    struct standing standing;

    if (!session->subscribed || session->fed.epoch != op->after.epoch ||
        session->fed.sequence != op->after.sequence)
        return false;
    look_up_standing(client, &standing);
    return standing.right >= CONFIG_RIGHT_READ &&
           text_is(op->confined_owner, standing.confined ? standing.owner : "");
}

static void on_fed(struct op *op)
{
    struct feed *feed = op->context;
    struct client *client = feed->client;

    free(feed);
    if (!client) {
        op_free(op);
        return;
    }
    client->feed = NULL;
    if (!is_wanted(client, op)) {
        op_free(op);
        client_continue(client); /* reads anew, if there is anything to be told */
        return;
    }
    /* The log cannot be read, or the daemon stops: the subscriber must not think that all is well.
     */
    if (op->error.code != 0) {
        op_free(op);
        client_close(client);
        return;
    }
    struct reply *output = &client->server->output;
    output->protocol = client->session.protocol;
    for (size_t i = 0; i < op->change_count; i++)
        event_write(output, SUBSCRIPTION_CHANNEL, &op->changes[i]);
    client->session.fed = op->at;
    op_free(op);
    client_continue(client);
}

static struct op *make_op(struct client *client, const struct standing *standing)
{
    struct op *op = op_new(OP_LOG);

    if (!op)
        return NULL;
    op->limit = FEED_MAX;
    op->after = client->session.fed;
    if (standing->confined &&
        op_text(op, standing->owner, strlen(standing->owner), &op->confined_owner) != 0) {
        op_free(op);
        return NULL;
    }
    return op;
}

static bool is_behind(const struct client *client)
{
    struct store_position fed = client->session.fed;
    struct store_position shown = changer_position(client->server->daemon->changer);

    return fed.epoch != shown.epoch || fed.sequence < shown.sequence;
}

void subscription_feed(struct client *client)
{
    struct standing standing;

    if (!client->session.subscribed || client->feed || client->closing || client->finishing ||
        client->unsent > 0 || !is_behind(client))
        return;
    look_up_standing(client, &standing);
    struct op *op = standing.right >= CONFIG_RIGHT_READ ? make_op(client, &standing) : NULL;
    struct feed *feed = op ? malloc(sizeof *feed) : NULL;
    if (!feed) {
        op_free(op);
        client_close(client);
        return;
    }
    feed->client = client;
    client->feed = feed;
    op->done = on_fed;
    op->context = feed;
    changer_submit(client->server->daemon->changer, op);
}

void subscription_feed_all(struct server *server)
{
    for (struct client *client = server->clients, *next; client; client = next) {
        next = client->next;
        subscription_feed(client);
    }
}

void subscription_end(struct client *client)
{
    if (client->feed)
        client->feed->client = NULL;
    client->feed = NULL;
}
