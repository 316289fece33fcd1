/*
 * client.h - one connection: bytes in, requests in order, replies in the same order, bytes out.
 *
 * Requests are handled where they lie in the server's buffer; only what is not whole yet, or must
 * wait, is kept in the connection's own. Operations for the store thread are in flight beside each
 * other; a request that may not run beside them waits, and with it everything behind it. Reading
 * stops while something waits, while too much is in flight, and while too many replies were not
 * taken. Loop thread.
 */
#ifndef DAEMON_CLIENT_H
#define DAEMON_CLIENT_H

#include "daemon/command.h"
#include "daemon/server.h"

/* PROTOCOL.md states these limits. */
#define CLIENT_UNSENT_MAX ((size_t)4 * 1024 * 1024)
#define CLIENT_FLIGHTS_MAX 1024u
#define CLIENT_FLIGHT_KEYS_MAX ((size_t)4096)

/* A peer that is turned away should be able to send its request and read why: if it were closed at
 * once, many clients would see a broken pipe instead. */
#define CLIENT_REFUSAL_MS 1000u

struct feed;
struct flight; /* a command whose answer comes later */

struct client {
    uv_pipe_t pipe;
    struct server *server;
    struct client *next;
    struct client *previous;
    struct session session;
    struct resp_parser parser;
    char *input; /* not handled yet; NULL: nothing */
    size_t input_at;
    size_t input_len;  /* its end */
    size_t input_size; /* 0: the server's buffer, lent for one read event */
    struct flight *first;
    struct flight *last;
    unsigned flights;
    size_t flying_keys;        /* that those in flight are about */
    enum command_class flying; /* of those in flight */
    size_t unsent;             /* bytes of replies that the kernel has not taken */
    uint64_t active_ms;        /* when something last came or went */
    struct feed *feed;         /* what is being read for its subscription, or NULL */
    const char *refusal;       /* the error that answers whatever it says; NULL: it is welcome */
    bool reading;
    bool serving;   /* inside of the loop over its requests */
    bool waiting;   /* what stands at input_at cannot be handled yet */
    bool ended;     /* nothing more will be read */
    bool finishing; /* nothing more will be handled; close once everything is sent */
    bool closing;
};

/* Takes the next connection from the listener. A peer that has no right, or for which there is no
 * room, is told so when it says something, or soon, and closed. */
void client_accept(struct listener *listener);

/* Closes if nothing came or went for timeout_ms (0: any time) and nothing is in flight. Peers that
 * are not welcome have CLIENT_REFUSAL_MS. */
void client_check_idle(struct client *client, uint64_t now_ms, uint64_t timeout_ms);

/* Looks its peer's right up again. */
void client_look_up(struct client *client);

/* No requests but those that were sent already; closes when all of them were answered. */
void client_drain(struct client *client);

/* Whatever happened: answers that are due, requests that can go on, one write, and what is next. */
void client_continue(struct client *client);

/* Closes now; operations in flight go on, their answers are dropped. */
void client_close(struct client *client);

#endif
