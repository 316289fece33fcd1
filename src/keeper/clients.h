/*
 * clients.h - the keeper's connections: each brings one request, and is bounded in every way.
 *
 * CLIENTS_MAX at a time; a new one takes the place of the oldest. One whose request does not come
 * within KEEPER_PATIENCE_MS is closed, and so is one that cannot be answered at once.
 *
 * Descriptors that were sent and not yet received count against the sender's limit of open files,
 * whoever has the connection, and cannot be called back. So a client that asks and does not take
 * the answer could use up what the keeper and the daemon, which has the same uid, may send: an
 * answer is watched until it was taken, and a uid with CLIENTS_UNTAKEN_MAX of them waits. Other
 * uids do not wait for it. Processes of one uid could kill each other anyhow.
 */
#ifndef KEEPER_CLIENTS_H
#define KEEPER_CLIENTS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "keeper/holding.h"
#include "keeper/processes.h"

#define CLIENTS_MAX 64u
#define CLIENTS_UNTAKEN_MAX 32u

struct client {
    int fd;
    struct ucred peer;
    int64_t since_ms;
    bool answered; /* the descriptors are on their way */
    bool hung_up;  /* nothing more can come, but the answer is not seen to be taken */
    bool done;     /* to be closed */
};

struct clients {
    struct client list[CLIENTS_MAX]; /* in the order of their coming */
    unsigned count;
    struct holding *holding;
    struct processes *processes;
    uid_t uid;       /* the keeper's own, which may PUT and be told who is attached */
    int64_t rest_ms; /* no connection is accepted before; 0: now */
    bool rest_complained;
};

void clients_init(struct clients *clients, struct holding *holding, struct processes *processes);

/* What is to be waited for: fills in at most CLIENTS_MAX, returns how many. */
unsigned clients_watch(const struct clients *clients, struct pollfd *ret_fds);

/* When clients_serve is to be called at the latest; INT64_MAX: when something comes. */
int64_t clients_due_ms(const struct clients *clients, int64_t now_ms);

/* Answers those of clients_watch that ask, and closes those that are done or late. */
void clients_serve(struct clients *clients, const struct pollfd *fds, int64_t now_ms);

/* Takes connections and what they ask. Never blocks. */
void clients_accept(struct clients *clients, int listener, int64_t now_ms);

/* Whether connections are taken at this moment. */
bool clients_accepting(const struct clients *clients);

void clients_close(struct clients *clients);

#endif
