/*
 * server.h - the two listening sockets and the connections that came in through them.
 *
 * run_dir/catlatch.sock grants `verify` at most, admin_dir/catlatch.sock the rest. Both sockets are
 * 0666: who may do what is decided by the peer's credentials, which the kernel vouches for, and a
 * peer without any right is turned away with one line that says so. A socket that the service
 * manager passed (activation.h) is taken as it is; otherwise it is made here. Loop thread.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include <limits.h>
#include <stdbool.h>
#include <uv.h>

#include "core/error.h"
#include "daemon/reply.h"

struct client;
struct daemon;
struct server;

/* Beyond [daemon] max_clients, for peers with more than `verify`: however many workers hang on,
 * somebody can still revoke. */
#define SERVER_RESERVED_CLIENTS 32u

/* Peers that are being told that they are not welcome; more are closed without a word. */
#define SERVER_REFUSED_MAX 32u

/* What one read event takes in at most. */
#define SERVER_INPUT_BYTES 65536u

struct listener {
    uv_pipe_t pipe;
    struct server *server;
    bool is_admin;
    bool closed;     /* the handle is not in use */
    bool waiting;    /* a connection could not be taken yet: no memory */
    bool complained; /* that it cannot be opened anew */
    int passed;      /* another descriptor of it, for a process that begins anew; or -1 */
    int inherited;   /* the socket that the service manager passed, until it is open; or -1 */
    char path[PATH_MAX];
};

/* The loop serves one connection at a time, so one buffer each for what comes in and what goes out
 * does for all of them: an idle connection holds neither, and a request costs no allocation. */
struct server {
    struct daemon *daemon;
    struct listener listeners[2];
    uv_timer_t idle_timer;
    struct client *clients; /* newest first */
    uint64_t client_count;  /* with those that are being turned away, */
    uint64_t refused_count; /* of which there are so many */
    uint64_t last_id;
    bool draining;
    void (*drained)(struct daemon *daemon);
    char *input; /* SERVER_INPUT_BYTES */
    struct reply output;
};

/* Both return 0 or a negative code; the second wants the first's folders to exist and be ours. */
int server_init(struct server *server, struct daemon *daemon, struct error *error);
int server_open(struct server *server, struct error *error);

/* Opens sockets anew whose files somebody took away. */
void server_mend(struct server *server);

/* After a reload: every peer's right is looked up again, and who has none left is sent away. */
void server_look_up(struct server *server);

/* Stops accepting, lets every connection finish what it asked for until now, then calls drained.
 * server_hurry gives up on those that do not take their answers. */
void server_drain(struct server *server, void (*drained)(struct daemon *daemon));
void server_hurry(struct server *server);

/* For client.c: a connection is gone. */
void server_forget(struct server *server, struct client *client);

/* Closes timer and sockets; memory goes with server_free, after the loop has ended. */
void server_close(struct server *server);

/* Before an exec of ourselves, after the loop has ended: sockets that the service manager passed
 * are passed on, as it did it. */
void server_pass_on(const struct server *server);
void server_free(struct server *server);

#endif
