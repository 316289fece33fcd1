/*
 * lib_load.h - mixed changes over several connections at once, pipelined, and what must have come
 * of them: keys created, renamed with other scopes, disabled, enabled, revoked, rotated; owners
 * suspended and resumed.
 *
 * Each change goes first to the board as under way and, when its reply is there, as done. At most
 * one change of a key, and of an owner with all its keys, is under way at any time. When the daemon
 * dies meanwhile, load_settle asks the next one what became of those, and checks that everything
 * that was acknowledged is there and nothing is half done.
 */
#ifndef TESTS_LIB_LOAD_H
#define TESTS_LIB_LOAD_H

#include "lib_board.h"

#define LOAD_CONNECTIONS 3u
#define LOAD_WINDOW 16u /* requests under way on each connection */
#define LOAD_OWNERS 24u
#define LOAD_IDS (4 * BOARD_KEYS_MAX)

enum load_kind {
    LOAD_CREATE,
    LOAD_UPDATE,
    LOAD_DISABLE,
    LOAD_ENABLE,
    LOAD_REVOKE,
    LOAD_ROTATE,
    LOAD_SUSPEND,
    LOAD_RESUME,
    LOAD_KINDS,
};

struct load_op {
    enum load_kind kind;
    uint32_t key; /* its number on the board, or of a new key its label */
    uint32_t owner;
    uint32_t revision;
};

struct load_connection {
    redisContext *context;
    struct load_op ops[LOAD_WINDOW]; /* under way, a ring */
    unsigned first;
    unsigned count;
};

struct load_owner {
    bool suspended;
    bool busy;
    unsigned busy_keys; /* of its keys, that are changed */
    bool exists;
};

struct load {
    struct board *board;
    const struct trial *trial;
    uint64_t random;
    uint32_t labels;
    struct load_connection connections[LOAD_CONNECTIONS];
    struct load_owner owners[LOAD_OWNERS];
    uint64_t acknowledged[LOAD_KINDS];
    struct load_op open[LOAD_CONNECTIONS * LOAD_WINDOW]; /* whose reply never came */
    unsigned open_count;
    unsigned owner_count;     /* at most LOAD_OWNERS, as it is at first */
    unsigned create_share;    /* of 100 */
    uint32_t by_id[LOAD_IDS]; /* an open hash of numbers plus one; 0: free */
};

/* The board is the caller's. `random` decides which changes are made. */
void load_init(struct load *load, struct board *board, const struct trial *trial, uint64_t random);
void load_free(struct load *load);

void load_connect(struct load *load);

/* Makes changes until `end_ns` or until `count` were acknowledged; leaves some under way. A change
 * that the daemon refuses, or a connection that ends, is a failed assertion. */
void load_run(struct load *load, uint64_t end_ns, uint64_t count);

/* Waits for what is under way. */
void load_drain(struct load *load);

/* After the daemon was killed: takes the replies that it had still sent, and closes. */
void load_disconnect(struct load *load);

/* With a daemon that was started since: finds out what became of changes without a reply, compares
 * everything that there is with what was acknowledged, and what the library answers with both. */
void load_settle(struct load *load); /* lib_settle.c */

/* What both files share. */
uint32_t load_key_count(const struct load *load);
struct board_key *load_add_key(struct load *load, uint32_t label, uint32_t revision, uint32_t owner,
                               const char *id, const char *raw); /* raw NULL: not known */
uint32_t load_find_key(struct load *load, const char *id);       /* load_key_count: none */
void load_set_revision(struct board_key *key, uint32_t revision);
void load_settle_key(const struct load *load, struct board_key *key); /* to the board */

#endif
