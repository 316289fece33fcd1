/*
 * session.h - one connection to the daemon's admin socket, as src/daemon/PROTOCOL.md has it.
 *
 * Replies are read by hiredis. What was sent and received is cleansed, for raw keys pass through.
 */
#ifndef TOOL_SESSION_H
#define TOOL_SESSION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct session;

/* Connects to admin_dir/catlatch.sock. Returns 0, E_UNAVAILABLE (no daemon; the line says which of
 * no socket and a stale one), E_PERMISSION, E_MEMORY or E_IO. Blocks on connecting. */
int session_open(const char *admin_dir, struct session **ret_session, struct error *error);

void session_close(struct session *session); /* NULL is allowed */

/* A request's words; not terminated, owned by the caller. */
struct session_words {
    const char **words;
    size_t *lens; /* bytes */
    size_t count, capacity;
};

/* Adds a word; the bytes must stay until the request is sent. Returns 0 or E_MEMORY. */
int session_word(struct session_words *request, const char *word, struct error *error);
int session_word_n(struct session_words *request, const char *word, size_t len,
                   struct error *error);
/* Adds a name and its value, or nothing if the value is NULL. */
int session_pair(struct session_words *request, const char *name, const char *value,
                 struct error *error);
void session_words_free(struct session_words *request);

/* Sends one request. Several may be sent before their replies are read, as long as they are few: at
 * most SESSION_WINDOW, for the daemon waits for its replies to be taken. */
#define SESSION_WINDOW 256u
int session_send(struct session *session, const struct session_words *request, struct error *error);

/* The same for a request that is framed already. */
int session_send_bytes(struct session *session, const char *bytes, size_t len, struct error *error);

/* Reads one reply, a map. An error reply becomes the code whose exit status PROTOCOL.md gives it,
 * with the daemon's words behind the first as text. E_UNAVAILABLE if the daemon went away or said
 * nothing for two minutes: then it is not known whether the request was carried out. */
int session_receive(struct session *session, json_t **ret_map, struct error *error);

/* The same for a reply that is a plain +OK. */
int session_receive_ok(struct session *session, struct error *error);

/* Subscribes to changes; and takes what told of some, for which it waits as long as it takes. After
 * the first call the session is good for the second alone. */
int session_subscribe(struct session *session, struct error *error);
int session_take_news(struct session *session, struct error *error);

/* Whether there is something to be taken; and the descriptor that can be read when there is next.
 */
bool session_has_news(const struct session *session);
int session_descriptor(const struct session *session);

/* Sends a request and reads its reply. */
int session_ask(struct session *session, const struct session_words *request, json_t **ret_map,
                struct error *error);

/* The same for a map with one member that is bytes, and no text: they are not in *ret_map, and the
 * caller's to free. */
int session_ask_bytes(struct session *session, const struct session_words *request,
                      const char *name, void **ret_bytes, size_t *ret_len, json_t **ret_map,
                      struct error *error);

#endif
