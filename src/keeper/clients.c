#include "keeper/clients.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"

/* The kernel shows a uid that a user namespace does not map as this one: it is nobody's. */
#define OVERFLOW_UID ((uid_t)65534)

/* Connections in a row before those that are there are looked at again. */
#define ACCEPT_MAX 64

/* Without descriptors or memory for a connection, trying again at once would only spin. */
#define REST_MS 100

/* Nothing tells when an answer was taken by a client that does not close, or is thrown away with
 * one that did: so it is looked for. */
#define WATCH_MS 50

void clients_init(struct clients *clients, struct holding *holding, struct processes *processes)
{
    *clients = (struct clients){.holding = holding, .processes = processes, .uid = geteuid()};
}

/* May give memory, and be told of others. */
static bool is_trusted(const struct clients *clients, const struct client *client)
{
    uid_t uid = client->peer.uid;

    return (uid == 0 || uid == clients->uid) && uid != OVERFLOW_UID;
}

/* Until the client has received it, or it is gone with the client. */
static bool is_taken(const struct client *client)
{
    int unsent;

    return ioctl(client->fd, SIOCOUTQ, &unsent) != 0 || unsent == 0;
}

static unsigned count_untaken(const struct clients *clients, uid_t uid)
{
    unsigned count = 0;

    for (unsigned i = 0; i < clients->count; i++) {
        const struct client *client = &clients->list[i];
        count += client->answered && !client->done && client->peer.uid == uid;
    }
    return count;
}

static void answer_init(const struct clients *clients, struct keeper_answer *answer)
{
    *answer = (struct keeper_answer){.magic = KEEPER_MAGIC,
                                     .version = KEEPER_VERSION,
                                     .count = clients->holding->segments.count};
    memcpy(answer->area, clients->holding->area, sizeof answer->area);
}

static void send_answer(struct client *client, const void *message, size_t size,
                        const struct passing *passing)
{
    client->answered = passing_send(client->fd, message, size, passing, MSG_DONTWAIT) == 0;
    /* A few bytes may lie there for as long as the client likes; descriptors are watched. */
    client->done = !client->answered || passing->count == 0;
}

static void answer(const struct clients *clients, struct client *client, enum keeper_status status,
                   const struct passing *passing)
{
    struct keeper_answer answer;

    answer_init(clients, &answer);
    answer.status = status;
    send_answer(client, &answer, sizeof answer, passing);
}

/* Without descriptors. */
static void tell(const struct clients *clients, struct client *client, enum keeper_status status)
{
    const struct passing nothing = {.count = 0};

    answer(clients, client, status, &nothing);
}

static size_t message_size(unsigned entries)
{
    return sizeof(struct keeper_answer) + entries * sizeof(struct keeper_process);
}

static void answer_attach(const struct clients *clients, struct client *client)
{
    struct passing passing = clients->holding->segments;
    struct keeper_message message;

    passing.fds[passing.count++] = clients->processes->segment_fd;
    answer_init(clients, &message.answer);
    processes_attach(clients->processes, client->fd, &client->peer, &message.entries[0]);
    send_answer(client, &message, message_size(1), &passing);
    /* He does not know of his line; or he has gone, and it was another's by his pid: pidfd.h. */
    if (!client->answered)
        processes_release(clients->processes, message.entries[0].line);
}

static void answer_processes(const struct clients *clients, struct client *client, uint32_t from)
{
    const struct passing passing = {.count = 1, .fds = {clients->processes->segment_fd}};
    struct keeper_message message;

    answer_init(clients, &message.answer);
    message.answer.count = processes_list(clients->processes, from, message.entries);
    send_answer(client, &message, message_size(message.answer.count), &passing);
}

/* Leaves nothing in `passing` if the descriptor was taken over. */
static void answer_put(const struct clients *clients, struct client *client,
                       const struct keeper_request *request, struct passing *passing)
{
    if (!is_trusted(clients, client)) {
        tell(clients, client, KEEPER_DENIED);
        return;
    }
    passing->count = 0; /* taken over */
    tell(clients, client,
         holding_put(clients->holding, request->area, request->number, passing->fds[0]));
}

/* The descriptors that are left in `passing` are closed by the caller. */
static void answer_request(const struct clients *clients, struct client *client,
                           const struct keeper_request *request, struct passing *passing)
{
    bool is_put = request->want == KEEPER_PUT;
    struct processes *processes = clients->processes;

    if (request->version != KEEPER_VERSION)
        tell(clients, client, KEEPER_VERSION_UNKNOWN);
    else if (passing->count != (is_put && is_trusted(clients, client) ? 1 : 0))
        client->done = true;
    else if (is_put)
        answer_put(clients, client, request, passing);
    else if (request->want == KEEPER_GET)
        answer(clients, client, KEEPER_OK, &clients->holding->segments);
    else if (request->want == KEEPER_ATTACH)
        answer_attach(clients, client);
    else if (request->want == KEEPER_DETACH)
        tell(clients, client,
             processes_detach(processes, client->fd, &client->peer, request->number)
                 ? KEEPER_OK
                 : KEEPER_DENIED);
    else if (request->want != KEEPER_PROCESSES)
        tell(clients, client, KEEPER_UNKNOWN);
    else if (is_trusted(clients, client))
        answer_processes(clients, client, request->number);
    else
        tell(clients, client, KEEPER_DENIED);
}

/* Only who may PUT gets to give us descriptors. */
static void serve(const struct clients *clients, struct client *client)
{
    struct keeper_request request;
    struct passing passing;
    unsigned most = is_trusted(clients, client) ? 1 : 0;
    ssize_t len =
        passing_receive(client->fd, &request, sizeof request, most, &passing, MSG_DONTWAIT);

    if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (len == (ssize_t)sizeof request && request.magic == KEEPER_MAGIC)
        answer_request(clients, client, &request, &passing);
    else
        client->done = true;
    passing_close(&passing);
}

static bool may_ask(const struct clients *clients, const struct client *client)
{
    return !client->answered && count_untaken(clients, client->peer.uid) < CLIENTS_UNTAKEN_MAX;
}

unsigned clients_watch(const struct clients *clients, struct pollfd *ret_fds)
{
    for (unsigned i = 0; i < clients->count; i++) {
        const struct client *client = &clients->list[i];
        ret_fds[i] = (struct pollfd){.fd = client->hung_up ? -1 : client->fd,
                                     .events = may_ask(clients, client) ? POLLIN : 0};
    }
    return clients->count;
}

int64_t clients_due_ms(const struct clients *clients, int64_t now_ms)
{
    int64_t due_ms = clients->rest_ms > 0 ? clients->rest_ms : INT64_MAX;

    for (unsigned i = 0; i < clients->count; i++) {
        const struct client *client = &clients->list[i];
        int64_t end_ms =
            client->answered ? now_ms + WATCH_MS : client->since_ms + KEEPER_PATIENCE_MS;
        if (end_ms < due_ms)
            due_ms = end_ms;
    }
    return due_ms;
}

static void look_after(const struct clients *clients, struct client *client, short events,
                       int64_t now_ms)
{
    if ((events & POLLIN) != 0 && may_ask(clients, client))
        serve(clients, client);
    if (client->done)
        return;
    if (client->answered) {
        client->done = is_taken(client);
        client->hung_up = client->hung_up || (events & (POLLHUP | POLLERR)) != 0;
    } else {
        client->done =
            (events & (POLLHUP | POLLERR)) != 0 || now_ms - client->since_ms >= KEEPER_PATIENCE_MS;
    }
}

/* The others keep their order. */
static void remove_done(struct clients *clients)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < clients->count; i++) {
        if (clients->list[i].done)
            close(clients->list[i].fd);
        else
            clients->list[kept++] = clients->list[i];
    }
    clients->count = kept;
}

void clients_serve(struct clients *clients, const struct pollfd *fds, int64_t now_ms)
{
    for (unsigned i = 0; i < clients->count; i++)
        look_after(clients, &clients->list[i], fds[i].revents, now_ms);
    if (now_ms >= clients->rest_ms)
        clients->rest_ms = 0;
    remove_done(clients);
}

/* The oldest, but the one of an untaken answer last: that would be forgotten, not called back. */
static void drop_oldest(struct clients *clients)
{
    unsigned oldest = 0;

    while (oldest < clients->count && clients->list[oldest].answered)
        oldest++;
    if (clients->count == 0)
        return;
    clients->list[oldest < clients->count ? oldest : 0].done = true;
    remove_done(clients);
}

static void add(struct clients *clients, int fd, int64_t now_ms)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        close(fd);
        return;
    }
    if (clients->count == CLIENTS_MAX)
        drop_oldest(clients);
    struct client *client = &clients->list[clients->count++];
    *client = (struct client){.fd = fd, .peer = peer, .since_ms = now_ms};
    /* Who asked before we looked is answered however many come behind. */
    if (may_ask(clients, client))
        serve(clients, client);
    remove_done(clients);
}

static void rest(struct clients *clients, int64_t now_ms)
{
    if (!clients->rest_complained)
        log_line(LOG_WARNING, "cannot accept a connection: %s; trying again", strerror(errno));
    clients->rest_complained = true;
    clients->rest_ms = now_ms + REST_MS;
    drop_oldest(clients);
}

void clients_accept(struct clients *clients, int listener, int64_t now_ms)
{
    for (int i = 0; i < ACCEPT_MAX; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR && errno != ECONNABORTED)
                rest(clients, now_ms);
            return;
        }
        clients->rest_complained = false;
        add(clients, fd, now_ms);
    }
}

bool clients_accepting(const struct clients *clients)
{
    return clients->rest_ms == 0;
}

void clients_close(struct clients *clients)
{
    for (unsigned i = 0; i < clients->count; i++)
        clients->list[i].done = true;
    remove_done(clients);
}
