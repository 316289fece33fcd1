/*
 * session.h - what one connection is entitled to: its socket, its peer, and the key that it
 * authenticated with. Knows nothing of how bytes come and go. Loop thread.
 */
#ifndef DAEMON_SESSION_H
#define DAEMON_SESSION_H

#include "daemon/peer.h"
#include "daemon/store.h"
#include "stack/decide.h"

/* What clients may call themselves (CLIENT SETNAME, SETINFO): a name, not a text. */
#define SESSION_NAME_MAX 64u

struct session {
    uint64_t id;
    bool on_admin_socket;
    struct peer peer;             /* owned */
    enum config_right peer_right; /* on this socket; looked up again when [access] changes */
    unsigned protocol;            /* 2 or 3 */
    bool authenticated;           /* with key_digest, whose rights replace the peer's */
    struct digest key_digest;
    bool subscribed;           /* to changes: see daemon/subscription.h */
    struct store_position fed; /* how far it was told of them */
    bool quitting;             /* close once everything was answered */
    char name[SESSION_NAME_MAX + 1];
    char library[SESSION_NAME_MAX + 1];
    char library_version[SESSION_NAME_MAX + 1];
};

/* What the session may do at this instant. */
struct standing {
    enum config_right right;
    enum catlatch_result key_result; /* of the key that it authenticated with; otherwise VALID */
    uint64_t key_id;                 /* of that key; 0: none */
    bool confined;                   /* to `owner`: the key has the scope catlatch:own */
    char owner[CATLATCH_TEXT_SIZE];
};

/* Right of the session's peer on the session's socket: at most `verify` on the verify socket, and
 * there nothing for a gateway, whose AUTH would lead nowhere. */
void session_look_up(struct session *session, const struct config *config, uid_t daemon_uid);

/* Decided anew for every command, so that a key that is revoked, disabled or loses a scope takes
 * the rights of its connections with it. */
void session_standing(const struct session *session, const struct table_view *view,
                      struct standing *ret_standing);

/* What keys are verified with. */
struct verifier {
    struct stack_service *service;
    const struct table_view *view;
    const struct usage_area *usage; /* NULL: nothing is counted */
    enum config_address record_address;
};

/* AUTH. On the admin socket a valid key with one of the catlatch: scopes becomes the session's, and
 * one without is INSUFFICIENT_SCOPE; on the verify socket the service decides, it is counted, and
 * nothing changes.
 * A refused key leaves the session as it was. */
enum catlatch_result session_authenticate(struct session *session, const struct verifier *verifier,
                                          struct text key);

/* RESET: as when it was accepted. */
void session_reset(struct session *session);

#endif
