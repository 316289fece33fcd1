#include "daemon/flight.h"

#include <stdlib.h>
#include <time.h>

#include "daemon/daemon.h"

struct flight {
    struct flight *next;
    struct client *client; /* NULL: it is gone; nobody wants the answer */
    const struct command *command;
    struct op *op;      /* owned once it is done; NULL: RELOAD */
    size_t keys;        /* see op_keys */
    struct error error; /* of RELOAD */
    bool done;
};

static void flight_free(struct flight *flight)
{
    op_free(flight->op);
    free(flight);
}

void flight_leave_all(struct client *client)
{
    while (client->first) {
        struct flight *flight = client->first;
        client->first = flight->next;
        flight->client = NULL;
        if (flight->done)
            flight_free(flight);
    }
    client->last = NULL;
    client->flights = 0;
    client->flying_keys = 0;
}

bool flight_is_due(const struct client *client)
{
    return client->first && client->first->done;
}

void flight_land(struct client *client)
{
    struct server *server = client->server;
    struct answer_place place = {.host = server->daemon->host, .now_unix_s = time(NULL)};

    while (flight_is_due(client)) {
        struct flight *flight = client->first;
        server->output.protocol = client->session.protocol;
        if (flight->op)
            command_finish(flight->command, flight->op, &place, &server->output);
        else if (flight->error.code != 0)
            command_error(&server->output, &flight->error);
        else
            reply_simple(&server->output, "OK");
        client->first = flight->next;
        if (!client->first)
            client->last = NULL;
        client->flights--;
        client->flying_keys -= flight->keys;
        flight_free(flight);
    }
}

static void flight_done(struct flight *flight)
{
    struct client *client = flight->client;

    flight->done = true;
    if (!client) {
        flight_free(flight);
        return;
    }
    client->active_ms = uv_now(client->pipe.loop);
    if (!client->serving && client->first == flight)
        client_continue(client);
}

static void on_op_done(struct op *op)
{
    flight_done(op->context);
}

static void on_reloaded(void *context, const struct error *error)
{
    struct flight *flight = context;

    flight->error = *error;
    flight_done(flight);
}

/* How many keys the answer may tell of: what an operation in flight costs in memory. */
static size_t op_keys(const struct op *op)
{
    size_t keys = op ? op->limit + op->id_count + op->import_count : 0;

    return keys > 0 ? keys : 1;
}

void flight_launch(struct client *client, const struct call *call)
{
    struct flight *flight = calloc(1, sizeof *flight);

    if (!flight) {
        op_free(call->op);
        client_close(client);
        return;
    }
    flight->client = client;
    flight->command = call->command;
    flight->op = call->op;
    if (client->last)
        client->last->next = flight;
    else
        client->first = flight;
    client->last = flight;
    client->flights++;
    flight->keys = op_keys(call->op);
    client->flying_keys += flight->keys;
    client->flying = call->command->class;
    if (!call->op) {
        daemon_reload(call->daemon, on_reloaded, flight);
        return;
    }
    call->op->done = on_op_done;
    call->op->context = flight;
    if (call->op->kind == OP_PROCESSES)
        census_submit(call->daemon->census, &call->daemon->loop, call->op);
    else
        changer_submit(call->daemon->changer, call->op);
}

bool flight_may_run(const struct client *client, enum command_class class)
{
    if (client->flights == 0)
        return true;
    return class == client->flying &&
           (class == COMMAND_CHANGE || class == COMMAND_READ || class == COMMAND_IMPORT);
}

bool flight_may_launch(const struct client *client, const struct op *op)
{
    return client->flights == 0 || client->flying_keys + op_keys(op) <= CLIENT_FLIGHT_KEYS_MAX;
}
