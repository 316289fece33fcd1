/* What client libraries say before they get to the point. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/result.h"
#include "daemon/client.h"
#include "daemon/daemon.h"

static bool authenticate(struct call *call, struct text key)
{
    struct session *session = call->session;

    if (!session->on_admin_socket && session->peer_right < CONFIG_RIGHT_VERIFY)
        return call_refuse(call, "NOPERM", "AUTH needs the right verify");
    const struct verifier verifier = {.service = call->daemon->settings.services[0],
                                      .view = call->view,
                                      .usage = tally_area(call->daemon->tally),
                                      .record_address =
                                          call->daemon->settings.config->record_address};
    enum catlatch_result result = session_authenticate(session, &verifier, key);
    if (!session->on_admin_socket)
        census_note(call->daemon->census, result);
    if (result == CATLATCH_VALID)
        return true;
    if (result == CATLATCH_INSUFFICIENT_SCOPE && session->on_admin_socket)
        return call_refuse(call, "WRONGPASS",
                           "%s: the key has none of the scopes catlatch:read, catlatch:revoke, "
                           "catlatch:write, catlatch:admin",
                           result_name(result));
    return call_refuse(call, "WRONGPASS", "%s", result_name(result));
}

void handle_auth(struct call *call)
{
    if (authenticate(call, call_word(call, call->request->count - 1)))
        reply_simple(call->reply, "OK");
}

/* A name as CLIENT SETNAME takes it: no blanks, so that CLIENT LIST can be read. */
static bool take_name(struct call *call, struct text name, char ret_name[SESSION_NAME_MAX + 1])
{
    bool good = name.len <= SESSION_NAME_MAX;

    for (uint32_t i = 0; good && i < name.len; i++)
        good = name.bytes[i] > ' ' && name.bytes[i] <= '~';
    if (!good)
        return call_refuse(call, "ERR",
                           "a connection's name is at most %u printable characters without blanks",
                           SESSION_NAME_MAX);
    if (name.len > 0)
        memcpy(ret_name, name.bytes, name.len);
    ret_name[name.len] = '\0';
    return true;
}

/* What HELLO's words ask for; nothing of it is done before all of it was understood. */
struct hello {
    unsigned protocol;
    bool has_key;
    struct text key;
    bool has_name;
    char name[SESSION_NAME_MAX + 1];
};

static bool parse_hello(struct call *call, struct hello *hello)
{
    size_t count = call->request->count;

    if (count > 1) {
        struct text protocol = call_word(call, 1);
        if (!text_is(protocol, "2") && !text_is(protocol, "3"))
            return call_refuse(call, "NOPROTO", "unsupported protocol version: 2 and 3 are");
        hello->protocol = text_is(protocol, "3") ? 3 : 2;
    }
    for (size_t at = 2; at < count;) {
        if (text_is_nocase(call_word(call, at), "AUTH") && count - at > 2) {
            hello->has_key = true;
            hello->key = call_word(call, at + 2);
            at += 3;
        } else if (text_is_nocase(call_word(call, at), "SETNAME") && count - at > 1) {
            if (!take_name(call, call_word(call, at + 1), hello->name))
                return false;
            hello->has_name = true;
            at += 2;
        } else {
            return call_refuse(call, "ERR", "usage: HELLO %s", call->command->usage);
        }
    }
    return true;
}

void handle_hello(struct call *call)
{
    struct session *session = call->session;
    struct reply *reply = call->reply;
    struct hello hello = {.protocol = session->protocol};

    if (!parse_hello(call, &hello) || (hello.has_key && !authenticate(call, hello.key)))
        return;
    if (hello.has_name)
        memcpy(session->name, hello.name, sizeof session->name);
    session->protocol = hello.protocol;
    reply->protocol = hello.protocol;
    reply_map(reply, 7);
    reply_word(reply, "server");
    reply_word(reply, "catlatch");
    reply_word(reply, "version");
    reply_word(reply, CATLATCH_VERSION);
    reply_word(reply, "proto");
    reply_count(reply, hello.protocol);
    reply_word(reply, "id");
    reply_count(reply, session->id);
    reply_word(reply, "mode");
    reply_word(reply, "standalone");
    reply_word(reply, "role");
    reply_word(reply, "master");
    reply_word(reply, "modules");
    reply_array(reply, 0);
}

void handle_ping(struct call *call)
{
    if (call->session->subscribed && call->session->protocol == 2) {
        reply_array(call->reply, 2);
        reply_word(call->reply, "pong");
        reply_text(call->reply,
                   call->request->count == 2 ? call_word(call, 1) : (struct text){"", 0});
    } else if (call->request->count == 2)
        reply_text(call->reply, call_word(call, 1));
    else
        reply_simple(call->reply, "PONG");
}

void handle_echo(struct call *call)
{
    reply_text(call->reply, call_word(call, 1));
}

void handle_quit(struct call *call)
{
    call->session->quitting = true;
    reply_simple(call->reply, "OK");
}

void handle_reset(struct call *call)
{
    session_reset(call->session);
    call->reply->protocol = call->session->protocol;
    reply_simple(call->reply, "RESET");
}

void handle_select(struct call *call)
{
    if (text_is(call_word(call, 1), "0"))
        reply_simple(call->reply, "OK");
    else
        call_refuse(call, "ERR", "there is one database: 0");
}

/* One line of CLIENT LIST. */
static size_t describe(const struct client *client, char *ret_line, size_t size)
{
    const struct session *session = &client->session;
    uint64_t idle_ms = uv_now(client->pipe.loop) - client->active_ms;

    int len =
        snprintf(ret_line, size,
                 "id=%" PRIu64 " name=%s idle=%" PRIu64 " uid=%u pid=%ld socket=%s right=%s "
                 "authenticated=%d resp=%u inflight=%u unsent=%zu lib-name=%s lib-ver=%s\n",
                 session->id, session->name, idle_ms / 1000u, (unsigned)session->peer.uid,
                 (long)session->peer.pid, session->on_admin_socket ? "admin" : "verify",
                 peer_right_name(session->peer_right), session->authenticated, session->protocol,
                 client->flights, client->unsent, session->library, session->library_version);
    return len < 0 ? 0 : (size_t)len < size ? (size_t)len : size - 1;
}

/* A line holds its fixed words, nine numbers and three names. */
#define CLIENT_LINE_MAX 640u

static void client_info(struct call *call)
{
    char line[CLIENT_LINE_MAX];

    for (const struct client *c = call->daemon->server.clients; c; c = c->next) {
        if (&c->session == call->session) {
            reply_bulk(call->reply, line, describe(c, line, sizeof line));
            return;
        }
    }
    reply_null(call->reply);
}

/* The list tells of others, so it takes the right to read. */
static void client_list(struct call *call)
{
    char line[CLIENT_LINE_MAX];
    size_t size = 0;

    if (call->standing.right < CONFIG_RIGHT_READ || call->standing.confined) {
        call_refuse(call, "NOPERM", "CLIENT LIST needs the right read, over all owners");
        return;
    }
    for (const struct client *c = call->daemon->server.clients; c; c = c->next)
        size += describe(c, line, sizeof line);

    char head[REPLY_DIGITS_MAX];
    reply_literal(call->reply, "$");
    reply_raw(call->reply, head, reply_digits(size, head));
    reply_literal(call->reply, "\r\n");
    for (const struct client *c = call->daemon->server.clients; c; c = c->next)
        reply_raw(call->reply, line, describe(c, line, sizeof line));
    reply_literal(call->reply, "\r\n");
}

static void client_set_name(struct call *call, struct text name, char *ret_name)
{
    if (take_name(call, name, ret_name))
        reply_simple(call->reply, "OK");
}

static void client_set_info(struct call *call)
{
    struct text what = call_word(call, 2);

    if (text_is_nocase(what, "LIB-NAME"))
        client_set_name(call, call_word(call, 3), call->session->library);
    else if (text_is_nocase(what, "LIB-VER"))
        client_set_name(call, call_word(call, 3), call->session->library_version);
    else
        call_refuse(call, "ERR", "CLIENT SETINFO knows LIB-NAME and LIB-VER");
}

void handle_client(struct call *call)
{
    struct text word = call_word(call, 1);
    size_t count = call->request->count;

    if (text_is_nocase(word, "ID") && count == 2)
        reply_count(call->reply, call->session->id);
    else if (text_is_nocase(word, "GETNAME") && count == 2)
        reply_word(call->reply, call->session->name[0] ? call->session->name : NULL);
    else if (text_is_nocase(word, "SETNAME") && count == 3)
        client_set_name(call, call_word(call, 2), call->session->name);
    else if (text_is_nocase(word, "SETINFO") && count == 4)
        client_set_info(call);
    else if (text_is_nocase(word, "INFO") && count == 2)
        client_info(call);
    else if (text_is_nocase(word, "LIST") && count == 2)
        client_list(call);
    else if ((text_is_nocase(word, "NO-EVICT") || text_is_nocase(word, "NO-TOUCH")) && count == 3)
        reply_simple(call->reply, "OK");
    else
        call_refuse(call, "ERR", "usage: CLIENT %s", call->command->usage);
}
