#include "daemon/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <openssl/crypto.h>

#include "daemon/daemon.h"
#include "daemon/flight.h"
#include "daemon/log.h"
#include "daemon/subscription.h"

/* The output buffer is given back above this, so that one long list does not hold memory for ever.
 */
#define OUTPUT_KEPT_MAX ((size_t)1024 * 1024)

/* What is still to be sent after the kernel took what it would. */
struct rest {
    uv_write_t request;
    struct client *client;
    size_t len;
    char bytes[];
};

static void input_drop(struct client *client)
{
    if (client->input && client->input_size > 0) {
        OPENSSL_cleanse(client->input, client->input_len);
        free(client->input);
    }
    client->input = NULL;
    client->input_at = client->input_len = client->input_size = 0;
}

static void client_free(struct client *client)
{
    input_drop(client);
    resp_free(&client->parser);
    peer_free(&client->session.peer);
    free(client);
}

static void on_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;

    server_forget(client->server, client);
    client_free(client);
}

/* For one that never made it into the server's list. */
static void on_dismissed(uv_handle_t *handle)
{
    client_free(handle->data);
}

void client_close(struct client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    flight_leave_all(client);
    subscription_end(client);
    restoring_leave(client->server->daemon, client->session.id);
    uv_close((uv_handle_t *)&client->pipe, on_closed);
}

static void on_written(uv_write_t *request, int status)
{
    struct rest *rest = request->data;
    struct client *client = rest->client;

    client->unsent -= rest->len;
    OPENSSL_cleanse(rest->bytes, rest->len);
    free(rest);
    if (client->closing)
        return;
    if (status < 0) {
        client_close(client);
        return;
    }
    client->active_ms = uv_now(client->pipe.loop);
    client_continue(client);
}

static bool send_later(struct client *client, const char *bytes, size_t len)
{
    struct rest *rest = malloc(sizeof *rest + len);

    if (!rest)
        return false;
    rest->request.data = rest;
    rest->client = client;
    rest->len = len;
    memcpy(rest->bytes, bytes, len);
    uv_buf_t buffer = uv_buf_init(rest->bytes, (unsigned)len);
    if (uv_write(&rest->request, (uv_stream_t *)&client->pipe, &buffer, 1, on_written) != 0) {
        OPENSSL_cleanse(rest->bytes, len);
        free(rest);
        return false;
    }
    client->unsent += len;
    return true;
}

/* uv_buf_t counts in unsigned: larger replies go in parts. */
#define SEND_MAX ((size_t)1 << 30)

static bool send_all(struct client *client, const struct reply *output)
{
    size_t first = output->len < SEND_MAX ? output->len : SEND_MAX, at = 0;
    uv_buf_t buffer = uv_buf_init(output->bytes, (unsigned)first);

    if (output->failed)
        return false;
    int sent = uv_try_write((uv_stream_t *)&client->pipe, &buffer, 1);
    if (sent < 0 && sent != UV_EAGAIN)
        return false;
    if (sent > 0)
        at = (size_t)sent;
    while (at < output->len) {
        size_t len = output->len - at < SEND_MAX ? output->len - at : SEND_MAX;
        if (!send_later(client, output->bytes + at, len))
            return false;
        at += len;
    }
    return true;
}

/* One write for all replies since the last one. */
static void client_flush(struct client *client)
{
    struct reply *output = &client->server->output;

    if ((output->len > 0 || output->failed) && !client->closing && !send_all(client, output))
        client_close(client);
    if (output->failed || output->size > OUTPUT_KEPT_MAX)
        reply_free(output);
    else
        reply_cut(output, 0);
}

/* False: not yet. */
static bool serve_request(struct client *client, const struct resp_request *request)
{
    struct server *server = client->server;
    struct daemon *daemon = server->daemon;
    size_t before = server->output.len;
    struct call call;

    call.command = command_find(resp_argument(request, 0));
    if (!flight_may_run(client, call.command ? call.command->class : COMMAND_LOOP))
        return false;
    call.daemon = daemon;
    call.view = changer_view(daemon->changer);
    call.session = &client->session;
    call.request = request;
    call.reply = &server->output;
    call.op = NULL;
    call.reload = false;
    call.reply->protocol = client->session.protocol;
    command_call(&call);
    if (call.op && !flight_may_launch(client, call.op)) {
        op_free(call.op);
        return false;
    }
    if (call.op || call.reload) {
        flight_launch(client, &call);
    } else if (client->flights > 0) {
        reply_cut(&server->output, before); /* an error ahead of its turn */
        return false;
    }
    daemon->commands++;
    client->finishing = client->session.quitting;
    return true;
}

static bool has_room(const struct client *client)
{
    return client->flights < CLIENT_FLIGHTS_MAX &&
           client->unsent + client->server->output.len <= CLIENT_UNSENT_MAX;
}

static void refuse(struct client *client)
{
    reply_raw(&client->server->output, client->refusal, strlen(client->refusal));
    client->finishing = true;
}

/* The next request, if it is whole and its turn. False: nothing more can be done at present. */
static bool serve_next(struct client *client)
{
    struct resp_request request;

    if (client->closing || client->finishing || client->input_at == client->input_len)
        return false;
    if (client->refusal) {
        refuse(client);
        return false;
    }
    client->waiting = !has_room(client);
    if (client->waiting)
        return false;
    switch (resp_parse(&client->parser, client->input + client->input_at,
                       client->input_len - client->input_at, &request)) {
    case RESP_MORE:
        return false;
    case RESP_INVALID:
        client->waiting = client->flights > 0;
        if (client->waiting)
            return false;
        reply_error(&client->server->output, "ERR", "%s", client->parser.problem);
        client->finishing = true;
        return false;
    case RESP_REQUEST:
        break;
    }
    client->waiting = request.count > 0 && !serve_request(client, &request);
    if (client->waiting)
        return false;
    client->input_at += request.size;
    resp_next(&client->parser);
    return true;
}

/* Makes what was not handled the connection's own, with room for more. */
static bool input_own(struct client *client)
{
    size_t len = client->input_len - client->input_at, size = len + SERVER_INPUT_BYTES;
    char *input = malloc(size);

    if (!input)
        return false;
    if (len > 0)
        memcpy(input, client->input + client->input_at, len);
    input_drop(client);
    client->input = input;
    client->input_len = len;
    client->input_size = size;
    return true;
}

/* After a read event: what was handled is forgotten, what was lent is given back clean. */
static void input_settle(struct client *client)
{
    struct server *server = client->server;
    bool lent = client->input == server->input;
    size_t lent_len = client->input_len;

    if (client->input_at == client->input_len || client->finishing || client->closing)
        input_drop(client);
    else if (lent && !input_own(client))
        client_close(client);
    if (lent) {
        OPENSSL_cleanse(server->input, lent_len);
        if (client->input == server->input)
            input_drop(client);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buffer)
{
    struct client *client = handle->data;
    struct server *server = client->server;

    (void)suggested;
    if (!client->input) {
        *ret_buffer = uv_buf_init(server->input, SERVER_INPUT_BYTES);
        return;
    }
    if (client->input_len == client->input_size && !input_own(client)) {
        *ret_buffer = uv_buf_init(NULL, 0); /* libuv reports UV_ENOBUFS */
        return;
    }
    *ret_buffer = uv_buf_init(client->input + client->input_len,
                              (unsigned)(client->input_size - client->input_len));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buffer)
{
    struct client *client = stream->data;

    if (len == 0)
        return;
    if (len < 0) {
        if (len != UV_EOF) {
            client_close(client);
            return;
        }
        client->ended = true;
    } else {
        client->active_ms = uv_now(stream->loop);
        if (!client->input)
            client->input = buffer->base;
        client->input_len += (size_t)len;
    }
    client_continue(client);
}

static void update_reading(struct client *client)
{
    bool want = !client->closing && !client->ended && !client->finishing && !client->waiting;
    int r = 0;

    if (want == client->reading || client->closing)
        return;
    client->reading = want;
    if (want)
        r = uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read);
    else
        r = uv_read_stop((uv_stream_t *)&client->pipe);
    if (r < 0)
        client_close(client);
}

void client_continue(struct client *client)
{
    client->serving = true;
    do {
        flight_land(client);
        while (serve_next(client))
            ;
    } while (flight_is_due(client));
    client->serving = false;
    input_settle(client);
    client_flush(client);
    update_reading(client);
    if (client->flights == 0 && client->unsent == 0 &&
        (client->finishing || (client->ended && !client->waiting)))
        client_close(client);
    else
        subscription_feed(client);
}

static bool is_full(const struct server *server, const struct client *client)
{
    uint64_t bound = server->daemon->client_bound;

    if (client->session.peer_right > CONFIG_RIGHT_VERIFY)
        bound += SERVER_RESERVED_CLIENTS;
    return server->client_count - server->refused_count >= bound;
}

static bool know_peer(struct client *client)
{
    struct daemon *daemon = client->server->daemon;
    struct error error;
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)&client->pipe, &fd) != 0)
        return false;
    if (peer_of(fd, &client->session.peer, &error) != 0) {
        log_line(LOG_WARNING, "a connection was refused: %s", error.text);
        return false;
    }
    session_look_up(&client->session, daemon->settings.config, daemon->uid);
    return true;
}

static void enlist(struct client *client)
{
    struct server *server = client->server;

    client->session.id = ++server->last_id;
    client->next = server->clients;
    if (server->clients)
        server->clients->previous = client;
    server->clients = client;
    server->client_count++;
    server->refused_count += client->refusal != NULL;
}

/* Why the peer is not welcome; NULL: it is. */
static const char *find_refusal(const struct client *client)
{
    if (client->session.peer.uid == PEER_OVERFLOW_UID)
        return "-NOPERM your user has no right on this socket: uid 65534 is whoever is unknown in "
               "a "
               "user namespace, and never has one\r\n";
    if (client->session.peer_right == CONFIG_RIGHT_NONE)
        return "-NOPERM your user has no right on this socket: see [access] in the daemon's "
               "configuration\r\n";
    if (is_full(client->server, client))
        return "-ERR max number of clients reached: see max_clients in [daemon]\r\n";
    return NULL;
}

void client_accept(struct listener *listener)
{
    struct server *server = listener->server;
    struct client *client = calloc(1, sizeof *client);

    listener->waiting = !client;
    if (!client)
        return;
    client->server = server;
    client->session.protocol = 2;
    client->session.on_admin_socket = listener->is_admin;
    client->active_ms = uv_now(&server->daemon->loop);
    resp_init(&client->parser);
    if (uv_pipe_init(&server->daemon->loop, &client->pipe, 0) != 0) {
        listener->waiting = true;
        client_free(client);
        return;
    }
    client->pipe.data = client;
    bool known = uv_accept((uv_stream_t *)&listener->pipe, (uv_stream_t *)&client->pipe) == 0 &&
                 know_peer(client);
    client->refusal = known ? find_refusal(client) : NULL;
    if (!known || (client->refusal && server->refused_count == SERVER_REFUSED_MAX)) {
        uv_close((uv_handle_t *)&client->pipe, on_dismissed);
        return;
    }
    enlist(client);
    update_reading(client);
}

void client_check_idle(struct client *client, uint64_t now_ms, uint64_t timeout_ms)
{
    uint64_t idle_ms = now_ms - client->active_ms;

    if (client->refusal && !client->finishing && idle_ms > CLIENT_REFUSAL_MS) {
        refuse(client);
        client_continue(client);
    } else if (client->flights == 0 &&
               ((timeout_ms > 0 && !client->session.subscribed && idle_ms > timeout_ms) ||
                (client->refusal && idle_ms > 2 * CLIENT_REFUSAL_MS))) {
        client_close(client);
    }
}

void client_look_up(struct client *client)
{
    const struct daemon *daemon = client->server->daemon;

    session_look_up(&client->session, daemon->settings.config, daemon->uid);
    if (client->session.peer_right == CONFIG_RIGHT_NONE && !client->refusal)
        client_close(client);
}

/* What was sent before lies in the socket still; behind it the kernel now shows the end. */
void client_drain(struct client *client)
{
    uv_os_fd_t fd;

    if (uv_fileno((uv_handle_t *)&client->pipe, &fd) != 0 || shutdown(fd, SHUT_RD) != 0)
        client->ended = true;
    client_continue(client);
}
