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

#include "usage/segment.h"

/* The kernel shows a uid that a user namespace does not map as this one: it is nobody's. */
#define OVERFLOW_UID ((uid_t)65534)

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
    struct keeper_answer answer;
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

static int exchange_init(struct exchange *exchange, const char *run_dir, unsigned timeout_ms)
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
    return 0;
}

/* What is left of the time is how long the socket's next call may wait. False: nothing is. */
static bool set_patience(const struct exchange *exchange, int fd)
{
    int64_t left_ms = exchange->end_ms - clock_ms();
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

/* A full queue of connections is waited for: connect(2) on a unix socket minds SO_SNDTIMEO. */
static int connect_bounded(const struct exchange *exchange, int fd)
{
    int r = -1;

    errno = EAGAIN;
    while (r < 0 && set_patience(exchange, fd)) {
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
    return believed && uid != OVERFLOW_UID;
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

static int check_answer(const struct exchange *exchange, ssize_t len)
{
    const struct keeper_answer *answer = &exchange->answer;

    if (len != (ssize_t)sizeof *answer || answer->magic != KEEPER_MAGIC)
        return fail_shape(exchange);
    if (answer->version == KEEPER_VERSION)
        return 0;
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

/* Both return what passing.h's do; time that ran out is EAGAIN, or EINTR. */
static ssize_t send_bounded(const struct exchange *exchange, int fd)
{
    int r = -1;

    errno = EAGAIN;
    while (r < 0 && set_patience(exchange, fd)) {
        r = passing_send(fd, &exchange->request, sizeof exchange->request, &exchange->sent, 0);
        if (r < 0 && errno != EINTR)
            break;
    }
    return r;
}

static ssize_t receive_bounded(struct exchange *exchange, int fd)
{
    ssize_t len = -1;

    errno = EAGAIN;
    while (len < 0 && set_patience(exchange, fd)) {
        len = passing_receive(fd, &exchange->answer, sizeof exchange->answer, exchange->most,
                              &exchange->received, 0);
        if (len < 0 && errno != EINTR)
            break;
    }
    return len;
}

/* *ret_dropped: the keeper closed the connection without an answer. */
static int ask(struct exchange *exchange, int fd, bool *ret_dropped)
{
    ssize_t len = send_bounded(exchange, fd);

    if (len == 0) {
        len = receive_bounded(exchange, fd);
        if (len > 0)
            return check_answer(exchange, len);
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

/* Segments are there or are not, and all of them are memory that cannot be taken away. */
static int check_segments(const struct exchange *exchange)
{
    static const uint8_t none[KEEPER_AREA_BYTES];
    const struct keeper_answer *answer = &exchange->answer;
    bool named = memcmp(answer->area, none, sizeof none) != 0;
    int r = 0;

    if (answer->status != KEEPER_OK || answer->count != exchange->received.count ||
        named != (answer->count > 0))
        return fail_shape(exchange);
    for (unsigned i = 0; i < answer->count && r == 0; i++)
        r = usage_segment_check(exchange->received.fds[i], i, exchange->error);
    return r == 0 ? 0 : (error_prefix(exchange->error, "%s", exchange->address.sun_path), r);
}

int usage_fetch(const char *run_dir, const struct trust *trust, unsigned timeout_ms,
                struct usage_fetched *ret_fetched, struct error *error)
{
    struct exchange exchange = {.trust = trust, .error = error, .most = USAGE_SEGMENTS_MAX};
    int r = exchange_init(&exchange, run_dir, timeout_ms);

    exchange.request.want = KEEPER_GET;
    if (r == 0)
        r = exchange_run(&exchange);
    if (r == 0 && (r = check_segments(&exchange)) != 0)
        passing_close(&exchange.received);
    if (r != 0)
        return r;
    memcpy(ret_fetched->area, exchange.answer.area, sizeof ret_fetched->area);
    ret_fetched->segments = exchange.received;
    return 0;
}

void usage_fetched_close(struct usage_fetched *fetched)
{
    passing_close(&fetched->segments);
}

static int refuse_offer(const struct exchange *exchange)
{
    const char *path = exchange->address.sun_path;
    unsigned k = exchange->request.segment;

    switch ((enum keeper_status)exchange->answer.status) {
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
                         path, k, exchange->answer.count);
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
    int r = exchange_init(&exchange, run_dir, timeout_ms);

    exchange.request.want = KEEPER_PUT;
    exchange.request.segment = k;
    memcpy(exchange.request.area, area, sizeof exchange.request.area);
    if (r == 0)
        r = exchange_run(&exchange);
    return r == 0 ? refuse_offer(&exchange) : r;
}
