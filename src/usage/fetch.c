#include "usage/fetch.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "usage/process.h"
#include "usage/segment.h"

/* A keeper that has too many connections drops the oldest, which then tries again. More often than
 * this it is no accident. */
#define TRIES_MAX 16

/* One exchange with the keeper. */
struct exchange {
    struct sockaddr_un address;
    const struct trust *trust;
    int64_t end_ms;
    struct keeper_request request;
    struct passing sent;
    struct keeper_message message;
    size_t len;              /* of it */
    struct passing received; /* at most `most` */
    unsigned most;
    struct error *error;
};

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int exchange_init(struct exchange *exchange, const char *run_dir, unsigned timeout_ms,
                         enum keeper_want want)
{
    char *path = exchange->address.sun_path;
    size_t room = sizeof exchange->address.sun_path;

    int len = snprintf(path, room, "%s/" KEEPER_SOCKET_NAME, run_dir);
    if (len < 0 || (size_t)len >= room)
        return error_set(exchange->error, CATLATCH_E_CONFIG,
                         "%s/" KEEPER_SOCKET_NAME
                         ": a socket's path has at most %zu bytes; choose a shorter run_dir",
                         run_dir, room - 1);
    exchange->address.sun_family = AF_UNIX;
    exchange->end_ms = clock_ms() + timeout_ms;
    exchange->request.magic = KEEPER_MAGIC;
    exchange->request.version = KEEPER_VERSION;
    exchange->request.want = want;
    return 0;
}

/* What is left of the time, and at least so much, is how long the socket's next call may wait.
 * False: nothing is. */
static bool set_patience(const struct exchange *exchange, int fd, int64_t least_ms)
{
    int64_t until_end_ms = exchange->end_ms - clock_ms();
    int64_t left_ms = until_end_ms > least_ms ? until_end_ms : least_ms;
    struct timeval left = {.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000};

    return left_ms > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof left) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &left, sizeof left) == 0;
}

static int fail_silent(const struct exchange *exchange)
{
    return error_set(exchange->error, CATLATCH_E_UNAVAILABLE,
                     "%s: the usage keeper does not answer in time", exchange->address.sun_path);
}

static int fail_connect(const struct exchange *exchange, int errnum)
{
    const char *path = exchange->address.sun_path;

    if (errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR)
        return fail_silent(exchange);
    if (errnum == ENOENT || errnum == ECONNREFUSED)
        return error_set(exchange->error, CATLATCH_E_UNAVAILABLE,
                         "%s: no usage keeper listens; start catlatch-keeper", path);
    return error_errno(exchange->error, errnum, "%s: cannot connect to the usage keeper", path);
}

/* A full queue of connections is waited for: connect(2) on a unix socket minds SO_SNDTIMEO. It is
 * tried once however late it is, as the sending is: who was held up on the way must still have
 * said what nobody says again, as that its line is free. */
static int connect_bounded(const struct exchange *exchange, int fd)
{
    int64_t least_ms = 1;
    int r = -1;

    errno = EAGAIN;
    while (r < 0 && set_patience(exchange, fd, least_ms)) {
        least_ms = 0;
        r = connect(fd, (const struct sockaddr *)&exchange->address, sizeof exchange->address);
        if (r < 0 && errno != EINTR)
            break;
    }
    return r == 0 ? 0 : fail_connect(exchange, errno);
}

static bool is_believed(const struct trust *trust, uid_t uid)
{
    bool believed = uid == 0;

    for (unsigned i = 0; i < trust->count && i < TRUST_UIDS_MAX; i++)
        believed = believed || trust->uids[i] == uid;
    return believed && uid != TRUST_OVERFLOW_UID;
}

static int check_peer(const struct exchange *exchange, int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return error_errno(exchange->error, errno, "%s: cannot learn who listens",
                           exchange->address.sun_path);
    if (is_believed(exchange->trust, peer.uid))
        return 0;
    return error_set(exchange->error, CATLATCH_E_PERMISSION,
                     "%s: uid %u listens, who is neither root nor the daemon's user",
                     exchange->address.sun_path, (unsigned)peer.uid);
}

static int fail_shape(const struct exchange *exchange)
{
    return error_set(exchange->error, CATLATCH_E_DATA, "%s: what answers is no usage keeper",
                     exchange->address.sun_path);
}

/* Entries that the answer has to be followed by. */
static size_t entries_due(const struct exchange *exchange)
{
    const struct keeper_answer *answer = &exchange->message.answer;

    if (answer->status != KEEPER_OK)
        return 0;
    if (exchange->request.want == KEEPER_ATTACH)
        return 1;
    return exchange->request.want == KEEPER_PROCESSES ? answer->count : 0;
}

static int check_answer(const struct exchange *exchange)
{
    const struct keeper_answer *answer = &exchange->message.answer;

    if (exchange->len < sizeof *answer || answer->magic != KEEPER_MAGIC)
        return fail_shape(exchange);
    if (answer->version == KEEPER_VERSION) {
        size_t size = sizeof *answer + entries_due(exchange) * sizeof(struct keeper_process);
        return exchange->len == size ? 0 : fail_shape(exchange);
    }
    return error_set(exchange->error, CATLATCH_E_VERSION,
                     "%s: the usage keeper speaks version %u and this is version %u; restart it",
                     exchange->address.sun_path, answer->version, KEEPER_VERSION);
}

/* The connection went before the answer came: dropped, or the keeper ended. */
static bool is_dropped(ssize_t len, int errnum)
{
    return len == 0 || (len < 0 && (errnum == ECONNRESET || errnum == EPIPE));
}

static int fail_answer(const struct exchange *exchange, int errnum)
{
    if (errnum == EBADMSG)
        return fail_shape(exchange);
    if (errnum == EAGAIN || errnum == EWOULDBLOCK || errnum == EINTR)
        return fail_silent(exchange);
    return error_errno(exchange->error, errnum, "%s: the usage keeper failed",
                       exchange->address.sun_path);
}

/* What passing_receive returns; time that ran out is EAGAIN, or EINTR. */
static ssize_t receive_bounded(struct exchange *exchange, int fd)
{
    ssize_t len = -1;

    errno = EAGAIN;
    while (len < 0 && set_patience(exchange, fd, 0)) {
        len = passing_receive(fd, &exchange->message, sizeof exchange->message, exchange->most,
                              &exchange->received, 0);
        if (len < 0 && errno != EINTR)
            break;
    }
    return len;
}

/* *ret_dropped: the keeper closed the connection without an answer. */
static int ask(struct exchange *exchange, int fd, bool *ret_dropped)
{
    /* Nothing was sent here yet, so there is room for one. */
    ssize_t len = passing_send(fd, &exchange->request, sizeof exchange->request, &exchange->sent,
                               MSG_DONTWAIT);

    if (len == 0) {
        len = receive_bounded(exchange, fd);
        exchange->len = len > 0 ? (size_t)len : 0;
        if (len > 0)
            return check_answer(exchange);
    }
    *ret_dropped = is_dropped(len, errno);
    if (*ret_dropped)
        return error_set(exchange->error, CATLATCH_E_UNAVAILABLE,
                         "%s: the usage keeper closes the connection without an answer",
                         exchange->address.sun_path);
    return fail_answer(exchange, errno);
}

static int exchange_once(struct exchange *exchange, bool *ret_dropped)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_errno(exchange->error, errno, "cannot make a socket");
    int r = connect_bounded(exchange, fd);
    if (r == 0)
        r = check_peer(exchange, fd);
    if (r == 0)
        r = ask(exchange, fd, ret_dropped);
    close(fd);
    return r;
}

/* After a failure no descriptor is left in `received`. */
static int exchange_run(struct exchange *exchange)
{
    bool dropped = true;
    int r = CATLATCH_E_UNAVAILABLE;

    for (int i = 0; i < TRIES_MAX && dropped; i++) {
        dropped = false;
        r = exchange_once(exchange, &dropped);
    }
    if (r != 0)
        passing_close(&exchange->received);
    return r;
}

/* Descriptors, as the answer says: the area's segments, and `others` more. */
static int check_count(const struct exchange *exchange, unsigned others)
{
    static const uint8_t none[KEEPER_AREA_BYTES];
    const struct keeper_answer *answer = &exchange->message.answer;
    bool named = memcmp(answer->area, none, sizeof none) != 0;

    if (answer->status != KEEPER_OK || answer->count > USAGE_SEGMENTS_MAX ||
        answer->count + others != exchange->received.count || named != (answer->count > 0))
        return fail_shape(exchange);
    return 0;
}

/* Segments are there or are not, and all of them are memory that cannot be taken away. */
static int check_segments(const struct exchange *exchange, unsigned others)
{
    int r = check_count(exchange, others);

    for (unsigned i = 0; i < exchange->message.answer.count && r == 0; i++)
        if ((r = usage_segment_check(exchange->received.fds[i], i, exchange->error)) != 0)
            error_prefix(exchange->error, "%s", exchange->address.sun_path);
    return r;
}

/* The last descriptor that came. */
static int check_processes(const struct exchange *exchange)
{
    int r =
        usage_process_check(exchange->received.fds[exchange->received.count - 1], exchange->error);

    if (r != 0)
        error_prefix(exchange->error, "%s", exchange->address.sun_path);
    return r;
}

static void take_fetched(const struct exchange *exchange, struct usage_fetched *ret_fetched)
{
    memcpy(ret_fetched->area, exchange->message.answer.area, sizeof ret_fetched->area);
    ret_fetched->segments = exchange->received;
    ret_fetched->segments.count = exchange->message.answer.count;
}

int usage_fetch(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                struct usage_fetched *ret_fetched, struct error *error)
{
    struct exchange exchange = {.trust = trust, .error = error, .most = USAGE_SEGMENTS_MAX};
    int r = exchange_init(&exchange, run_dir, timeout_ms, KEEPER_GET);

    if (r == 0)
        r = exchange_run(&exchange);
    if (r == 0 && (r = check_segments(&exchange, 0)) != 0)
        passing_close(&exchange.received);
    if (r == 0)
        take_fetched(&exchange, ret_fetched);
    return r;
}

void usage_fetched_close(struct usage_fetched *fetched)
{
    passing_close(&fetched->segments);
}

static int check_attached(const struct exchange *exchange)
{
    int r = check_segments(exchange, 1);

    if (r == 0)
        r = check_processes(exchange);
    if (r == 0 && exchange->message.entries[0].line >= PROCESS_LINES)
        r = fail_shape(exchange);
    return r;
}

int usage_attach(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                 struct usage_attached *ret_attached, struct error *error)
{
    struct exchange exchange = {.trust = trust, .error = error, .most = PASSING_MAX};
    int r = exchange_init(&exchange, run_dir, timeout_ms, KEEPER_ATTACH);

    if (r == 0)
        r = exchange_run(&exchange);
    if (r == 0 && (r = check_attached(&exchange)) != 0)
        passing_close(&exchange.received);
    if (r != 0)
        return r;
    take_fetched(&exchange, &ret_attached->fetched);
    ret_attached->processes = exchange.received.fds[exchange.received.count - 1];
    ret_attached->line = exchange.message.entries[0].line;
    return 0;
}

void usage_attached_close(struct usage_attached *attached)
{
    usage_fetched_close(&attached->fetched);
    close(attached->processes);
    attached->processes = -1;
}

int usage_detach(const char *run_dir, const struct trust *trust, unsigned timeout_ms, uint32_t line,
                 struct error *error)
{
    struct exchange exchange = {.trust = trust, .error = error};
    int r = exchange_init(&exchange, run_dir, timeout_ms, KEEPER_DETACH);

    exchange.request.number = line;
    if (r == 0)
        r = exchange_run(&exchange);
    if (r != 0 || exchange.message.answer.status == KEEPER_OK)
        return r;
    if (exchange.message.answer.status != KEEPER_DENIED)
        return fail_shape(&exchange);
    return error_set(error, CATLATCH_E_PERMISSION,
                     "%s: the usage keeper has given line %u to no handle of this process",
                     exchange.address.sun_path, line);
}

/* Lines rise from the one that was asked for. */
static int check_list(const struct exchange *exchange)
{
    uint32_t least = exchange->request.number;

    for (unsigned i = 0; i < exchange->message.answer.count; i++) {
        uint32_t line = exchange->message.entries[i].line;
        if (line < least || line == 0 || line >= PROCESS_LINES)
            return fail_shape(exchange);
        least = line + 1;
    }
    return 0;
}

static int check_page(const struct exchange *exchange)
{
    if (exchange->message.answer.status == KEEPER_DENIED)
        return error_set(exchange->error, CATLATCH_E_PERMISSION,
                         "%s: the usage keeper tells its own uid and root alone who is attached",
                         exchange->address.sun_path);
    if (exchange->message.answer.status != KEEPER_OK || exchange->received.count != 1)
        return fail_shape(exchange);
    int r = check_processes(exchange);
    return r == 0 ? check_list(exchange) : r;
}

int usage_processes(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                    uint32_t from, struct usage_processes *ret_processes, struct error *error)
{
    struct exchange exchange = {.trust = trust, .error = error, .most = 1};
    int r = exchange_init(&exchange, run_dir, timeout_ms, KEEPER_PROCESSES);

    exchange.request.number = from;
    if (r == 0)
        r = exchange_run(&exchange);
    if (r == 0 && (r = check_page(&exchange)) != 0)
        passing_close(&exchange.received);
    if (r != 0)
        return r;
    unsigned count = exchange.message.answer.count;
    memcpy(ret_processes->list, exchange.message.entries, count * sizeof ret_processes->list[0]);
    ret_processes->count = count;
    ret_processes->segment = exchange.received.fds[0];
    uint32_t next = count < KEEPER_PAGE ? 0 : ret_processes->list[count - 1].line + 1;
    ret_processes->next = next < PROCESS_LINES ? next : 0;
    return 0;
}

void usage_processes_close(struct usage_processes *processes)
{
    close(processes->segment);
    processes->segment = -1;
}

static int refuse_offer(const struct exchange *exchange)
{
    const char *path = exchange->address.sun_path;
    unsigned k = exchange->request.number;

    switch ((enum keeper_status)exchange->message.answer.status) {
    case KEEPER_OK:
        return 0;
    case KEEPER_DENIED:
        return error_set(exchange->error, CATLATCH_E_PERMISSION,
                         "%s: the usage keeper takes segments from its own uid and root alone",
                         path);
    case KEEPER_UNFIT:
        return error_set(exchange->error, CATLATCH_E_DATA,
                         "%s: the usage keeper finds segment %u unfit: its seals or its size", path,
                         k);
    case KEEPER_OUT_OF_ORDER:
        return error_set(exchange->error, CATLATCH_E_CONFLICT,
                         "%s: segment %u is not the next one of the area that the keeper has (%u "
                         "of them)",
                         path, k, exchange->message.answer.count);
    case KEEPER_VERSION_UNKNOWN:
    case KEEPER_UNKNOWN:
        break;
    }
    return fail_shape(exchange);
}

int usage_offer(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                const uint8_t area[KEEPER_AREA_BYTES], unsigned k, int fd, struct error *error)
{
    struct exchange exchange = {.trust = trust, .error = error, .sent = {1, {fd}}};
    int r = exchange_init(&exchange, run_dir, timeout_ms, KEEPER_PUT);

    exchange.request.number = k;
    memcpy(exchange.request.area, area, sizeof exchange.request.area);
    if (r == 0)
        r = exchange_run(&exchange);
    return r == 0 ? refuse_offer(&exchange) : r;
}
