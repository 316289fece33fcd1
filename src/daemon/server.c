#include "daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/activation.h"
#include "daemon/client.h"
#include "daemon/daemon.h"
#include "daemon/log.h"

/* Connections that wait for the loop: as many as Redis lets wait. */
#define BACKLOG 511

/* How often idle connections are looked for. */
#define TICK_MS 1000u

/* The kernel's bound; libuv would cut a longer path without a word. */
static int check_length(const char *path, struct error *error)
{
    size_t most = sizeof((struct sockaddr_un *)0)->sun_path - 1;

    if (strlen(path) <= most)
        return 0;
    return error_set(error, CATLATCH_E_CONFIG,
                     "%s: a socket's path has at most %zu bytes; choose a shorter run_dir or "
                     "admin_dir",
                     path, most);
}

/* Whether somebody takes connections there. Never blocks. */
static bool somebody_listens(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return true;
    memcpy(address.sun_path, path, strlen(path) + 1);
    int r = connect(fd, (struct sockaddr *)&address, sizeof address);
    bool nobody = r != 0 && errno == ECONNREFUSED;
    close(fd);
    return !nobody;
}

/* A socket that a killed daemon left behind. run_dir is locked, so there it can be nobody else's;
 * admin_dir can have been given to another daemon too, so it is asked. */
static int remove_stale(const char *path, struct error *error)
{
    struct stat status;

    if (lstat(path, &status) != 0)
        return errno == ENOENT ? 0 : error_errno(error, errno, "cannot look at %s", path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, CATLATCH_E_CONFIG,
                         "%s is in the way and no socket; move it elsewhere", path);
    if (somebody_listens(path))
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "another process answers on %s; stop it, or choose another folder", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_errno(error, errno, "cannot remove the stale socket %s", path);
    return 0;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *listener = stream->data;

    if (status < 0)
        log_line(LOG_WARNING, "cannot accept a connection on %s: %s", listener->path,
                 uv_strerror(status));
    else
        client_accept(listener);
}

static int listener_bind(struct listener *listener, struct error *error)
{
    int r = uv_pipe_bind(&listener->pipe, listener->path);

    if (r == 0)
        r = uv_listen((uv_stream_t *)&listener->pipe, BACKLOG, on_connection);
    if (r != 0)
        return error_errno(error, -r, "cannot listen on %s", listener->path);
    if (chmod(listener->path, 0666) != 0)
        return error_errno(error, errno, "cannot open %s to others", listener->path);
    return 0;
}

/* Takes up a socket that was passed at the start. Its mode is the service manager's doing, and its
 * file may be its too. */
static int listener_inherit(struct listener *listener, struct error *error)
{
    struct stat status;

    if (listener->passed < 0)
        listener->passed = fcntl(listener->inherited, F_DUPFD_CLOEXEC, ACTIVATION_FIRST);
    int r = uv_pipe_open(&listener->pipe, listener->inherited);

    if (r == 0) {
        listener->inherited = -1;
        r = uv_listen((uv_stream_t *)&listener->pipe, BACKLOG, on_connection);
    }
    if (r != 0)
        return error_errno(error, -r, "cannot listen on the socket %s that was passed",
                           listener->path);
    if (stat(listener->path, &status) == 0 && (status.st_mode & 0666) != 0666 &&
        chmod(listener->path, 0666) != 0)
        log_line(LOG_WARNING, "%s has mode %03o, so some may not connect: SocketMode=0666",
                 listener->path, (unsigned)(status.st_mode & 0777));
    return 0;
}

/* A socket that was passed and that nobody can reach is none: its file was removed, and perhaps
 * made anew by a daemon before us (listener_mend). */
static void listener_weigh(struct listener *listener)
{
    if (listener->inherited < 0 || activation_is_at(listener->inherited, listener->path))
        return;
    log_line(LOG_WARNING,
             "%s is not the socket that was passed; listening anew (restarting the socket unit "
             "while the daemon is stopped mends it)",
             listener->path);
    close(listener->inherited);
    listener->inherited = -1;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;

    listener->closed = true;
}

static void listener_close(struct listener *listener)
{
    if (listener->closed || uv_is_closing((uv_handle_t *)&listener->pipe))
        return;
    listener->waiting = false;
    uv_close((uv_handle_t *)&listener->pipe, on_listener_closed);
}

static int listener_open(struct listener *listener, struct error *error)
{
    int r = check_length(listener->path, error);

    listener_weigh(listener);
    if (r == 0 && listener->inherited < 0)
        r = remove_stale(listener->path, error);
    if (r != 0)
        return r;
    r = uv_pipe_init(&listener->server->daemon->loop, &listener->pipe, 0);
    if (r != 0)
        return error_errno(error, -r, "cannot make a socket");
    listener->pipe.data = listener;
    listener->closed = false;
    if (listener->inherited >= 0)
        r = listener_inherit(listener, error);
    else
        r = listener_bind(listener, error);
    if (r != 0)
        listener_close(listener);
    return r;
}

static int listener_name(struct listener *listener, const char *folder, struct error *error)
{
    int len = snprintf(listener->path, sizeof listener->path, "%s/catlatch.sock", folder);

    if (len < 0 || (size_t)len >= sizeof listener->path)
        return error_set(error, CATLATCH_E_CONFIG, "%s: the path is too long", folder);
    return 0;
}

/* Names the two sockets and takes those that were passed: before anything slow, so that a socket
 * unit and a configuration that contradict each other are told at once. */
static int listeners_prepare(struct server *server, struct error *error)
{
    const struct config *config = server->daemon->settings.config;
    const char *const paths[] = {server->listeners[0].path, server->listeners[1].path};
    struct activation passed;
    int r = activation_read(&passed, error);

    for (int i = 0; i < 2 && r == 0; i++) {
        struct listener *listener = &server->listeners[i];
        r = listener_name(listener, listener->is_admin ? config->admin_dir : config->run_dir,
                          error);
        if (r == 0)
            listener->inherited = activation_take(&passed, listener->path);
    }
    return r == 0 ? activation_check(&passed, paths, 2, error) : r;
}

int server_open(struct server *server, struct error *error)
{
    int r = 0;

    for (int i = 0; i < 2 && r == 0; i++)
        r = listener_open(&server->listeners[i], error);
    return r;
}

static void listener_mend(struct listener *listener)
{
    struct stat status;
    struct error error;

    if (!listener->closed) {
        if (lstat(listener->path, &status) == 0 || errno != ENOENT)
            return;
        log_line(LOG_WARNING, "%s was removed; listening anew", listener->path);
        listener_close(listener);
        return;
    }
    if (listener_open(listener, &error) == 0)
        listener->complained = false;
    else if (!listener->complained) {
        listener->complained = true;
        log_line(LOG_ERR, "%s; trying again until it works", error.text);
    }
}

void server_mend(struct server *server)
{
    if (server->draining)
        return;
    for (int i = 0; i < 2; i++)
        listener_mend(&server->listeners[i]);
}

static void on_tick(uv_timer_t *timer)
{
    struct server *server = timer->data;
    int64_t timeout_ms = server->daemon->settings.config->idle_timeout_ms;
    struct client *next;

    for (int i = 0; i < 2; i++) {
        if (server->listeners[i].waiting)
            client_accept(&server->listeners[i]);
    }
    for (struct client *client = server->clients; client; client = next) {
        next = client->next;
        client_check_idle(client, uv_now(timer->loop), (uint64_t)timeout_ms);
    }
}

void server_look_up(struct server *server)
{
    for (struct client *client = server->clients, *next; client; client = next) {
        next = client->next;
        client_look_up(client);
    }
}

void server_forget(struct server *server, struct client *client)
{
    if (client->previous)
        client->previous->next = client->next;
    else
        server->clients = client->next;
    if (client->next)
        client->next->previous = client->previous;
    server->client_count--;
    server->refused_count -= client->refusal != NULL;
    if (server->draining && server->client_count == 0)
        server->drained(server->daemon);
}

int server_init(struct server *server, struct daemon *daemon, struct error *error)
{
    *server = (struct server){.daemon = daemon};
    server->listeners[1].is_admin = true;
    for (int i = 0; i < 2; i++) {
        server->listeners[i].server = server;
        server->listeners[i].closed = true;
        server->listeners[i].inherited = server->listeners[i].passed = -1;
    }
    reply_init(&server->output);
    server->input = malloc(SERVER_INPUT_BYTES);
    if (!server->input)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for the sockets' buffer");
    int r = listeners_prepare(server, error);
    if (r != 0)
        return r;
    r = uv_timer_init(&daemon->loop, &server->idle_timer);
    if (r == 0) {
        server->idle_timer.data = server;
        r = uv_timer_start(&server->idle_timer, on_tick, TICK_MS, TICK_MS);
    }
    return r == 0 ? 0 : error_errno(error, -r, "cannot start a timer");
}

void server_drain(struct server *server, void (*drained)(struct daemon *daemon))
{
    server->draining = true;
    server->drained = drained;
    for (int i = 0; i < 2; i++)
        listener_close(&server->listeners[i]);
    if (server->client_count == 0) {
        drained(server->daemon);
        return;
    }
    for (struct client *client = server->clients, *next; client; client = next) {
        next = client->next;
        client_drain(client);
    }
}

void server_hurry(struct server *server)
{
    for (struct client *client = server->clients, *next; client; client = next) {
        next = client->next;
        client_close(client);
    }
}

void server_close(struct server *server)
{
    for (int i = 0; i < 2; i++)
        listener_close(&server->listeners[i]);
    if (!uv_is_closing((uv_handle_t *)&server->idle_timer))
        uv_close((uv_handle_t *)&server->idle_timer, NULL);
}

void server_pass_on(const struct server *server)
{
    int fds[2], count = 0;

    for (int i = 0; i < 2; i++)
        if (server->listeners[i].passed >= 0)
            fds[count++] = server->listeners[i].passed;
    activation_pass(fds, count);
}

void server_free(struct server *server)
{
    free(server->input);
    reply_free(&server->output);
}
