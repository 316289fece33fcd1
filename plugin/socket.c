/*
 * socket [service=NAME] [path=PATH] [timeout=TIME]: asks the daemon, for processes that cannot map
 * its table: in containers and under chroot.
 *
 * It sends KEY.VERIFY with the key, the scopes and the address to run_dir/catlatch.sock, or to
 * PATH. The daemon's service NAME decides, or that of the same name as the one the line is in; the
 * result is the daemon's word for word. That service must be another than this one where both read
 * one file, for the daemon does not ask itself: modules that block are not for it.
 *
 * Whatever goes wrong is `unavailable`, and never a refusal: no daemon, no right to ask it, an
 * answer that is late or none. TIME (100ms) bounds all of a call. A recheck is `unavailable` too,
 * for without the key there is nothing to ask with. What the daemon tells of the key is handed on
 * as the facts key_id, owner, name, environment and scopes.
 *
 * The connection is kept from call to call. It is used only by the process that made it, and only
 * as long as the descriptor is still the one that was opened, for hosts fork, close and reuse what
 * they do not know. One that the daemon has closed meanwhile is made anew within the same call.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/key.h"
#include "core/timespan.h"
#include "core/trust.h"
#include "plugin/refuse.h"
#include "plugin/reply.h"

#define TIMEOUT_MS 100
#define TIMEOUT_MAX_MS 5000
#define SERVICE_MAX 64u   /* a name's length in the configuration */
#define SCOPES_MAX 32u    /* of one request: what the daemon takes */
#define ADDRESS_MAX 1024u /* an X-Forwarded-For of some twenty proxies */

/* The key, the service, and each scope and the address with their words and frames. */
#define REQUEST_MAX (KEY_FOREIGN_MAX + SERVICE_MAX + SCOPES_MAX * 96u + ADDRESS_MAX + 256u)

#define NS_PER_MS INT64_C(1000000)

/* An instance. What is beside the settings belongs to one call, or to the connection. */
struct asker {
    struct sockaddr_un address;
    char service[SERVICE_MAX + 1];
    int64_t timeout_ns;

    int fd;          /* -1: none */
    bool *made_here; /* by this process: in a page that a fork wipes */
    dev_t device;
    ino_t inode;

    int64_t deadline_ns; /* CLOCK_MONOTONIC */
    size_t request_len;
    char request[REQUEST_MAX];
    size_t reply_len;
    char reply[REPLY_BYTES_MAX];
};

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

/* Waits for events, for at most_ns. False when the deadline has passed. */
static bool wait_for(const struct asker *asker, short events, int64_t most_ns)
{
    struct pollfd fd = {.fd = events != 0 ? asker->fd : -1, .events = events};
    int64_t left_ns = asker->deadline_ns - now_ns();

    if (left_ns <= 0)
        return false;
    if (left_ns > most_ns)
        left_ns = most_ns;
    const struct timespec left = {left_ns / (1000 * NS_PER_MS), left_ns % (1000 * NS_PER_MS)};
    return ppoll(&fd, 1, &left, NULL) >= 0 || errno == EINTR;
}

static bool is_ours(const struct asker *asker)
{
    struct stat status;

    return asker->fd >= 0 && fstat(asker->fd, &status) == 0 && S_ISSOCK(status.st_mode) &&
           status.st_dev == asker->device && status.st_ino == asker->inode;
}

static void hang_up(struct asker *asker)
{
    if (is_ours(asker))
        close(asker->fd);
    asker->fd = -1;
}

/* Bytes that nobody asked for would be taken for the answer. */
static bool is_quiet(const struct asker *asker)
{
    char byte;

    return recv(asker->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Whether nobody but the daemon (whoever it is that owns the folder, mapped here or not) and root
 * could have put the socket there. */
static int check_folder(const struct asker *asker, struct error *error)
{
    char folder[sizeof asker->address.sun_path];
    struct trust trust = trust_self();
    struct stat status;

    strcpy(folder, asker->address.sun_path);
    char *slash = strrchr(folder, '/');
    slash[slash == folder] = '\0';
    if (stat(folder, &status) != 0)
        return error_errno(error, errno, "%s", folder);
    trust.uids[trust.count++] = status.st_uid;
    return trust_path(folder, &trust, error);
}

/* EAGAIN: as many wait already as the daemon lets wait. */
static bool connect_by_deadline(const struct asker *asker)
{
    while (connect(asker->fd, (const struct sockaddr *)&asker->address, sizeof asker->address)) {
        if (errno == EISCONN)
            return true;
        if ((errno != EAGAIN && errno != EINTR) || !wait_for(asker, 0, NS_PER_MS))
            return false;
    }
    return true;
}

static bool connect_to_daemon(struct asker *asker)
{
    struct stat status;

    if (check_folder(asker, NULL) != 0)
        return false;
    asker->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (asker->fd < 0)
        return false;
    if (fstat(asker->fd, &status) != 0) {
        close(asker->fd);
        asker->fd = -1;
        return false;
    }
    *asker->made_here = true;
    asker->device = status.st_dev;
    asker->inode = status.st_ino;
    if (connect_by_deadline(asker))
        return true;
    hang_up(asker);
    return false;
}

enum exchange {
    EXCHANGE_DONE,
    EXCHANGE_STALE, /* the other end is gone, and said nothing */
    EXCHANGE_FAILED,
};

static enum exchange ended(int errnum)
{
    return errnum == EPIPE || errnum == ECONNRESET ? EXCHANGE_STALE : EXCHANGE_FAILED;
}

static enum exchange send_request(const struct asker *asker)
{
    size_t sent = 0;

    while (sent < asker->request_len) {
        ssize_t n = send(asker->fd, asker->request + sent, asker->request_len - sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            sent += (size_t)n;
        else if (errno != EAGAIN && errno != EINTR)
            return ended(errno);
        else if (!wait_for(asker, POLLOUT, asker->timeout_ns))
            return EXCHANGE_FAILED;
    }
    return EXCHANGE_DONE;
}

static enum exchange receive_reply(struct asker *asker, struct reply *ret_reply)
{
    enum reply_status status = REPLY_MORE;

    asker->reply_len = 0;
    while (status == REPLY_MORE) {
        if (!wait_for(asker, POLLIN, asker->timeout_ns))
            return EXCHANGE_FAILED;
        ssize_t n = recv(asker->fd, asker->reply + asker->reply_len,
                         sizeof asker->reply - asker->reply_len, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (n <= 0)
            return asker->reply_len == 0 ? ended(n == 0 ? ECONNRESET : errno) : EXCHANGE_FAILED;
        asker->reply_len += (size_t)n;
        status = reply_read(asker->reply, asker->reply_len, ret_reply);
    }
    return status == REPLY_WHOLE ? EXCHANGE_DONE : EXCHANGE_FAILED;
}

/* Of a connection that failed nothing is kept: an answer that came late would be the next key's. */
static enum exchange ask_once(struct asker *asker, struct reply *ret_reply)
{
    enum exchange exchange = send_request(asker);

    if (exchange == EXCHANGE_DONE)
        exchange = receive_reply(asker, ret_reply);
    if (exchange != EXCHANGE_DONE)
        hang_up(asker);
    return exchange;
}

static bool ask(struct asker *asker, struct reply *ret_reply)
{
    asker->deadline_ns = now_ns() + asker->timeout_ns;
    if (asker->fd >= 0 && *asker->made_here && is_ours(asker) && is_quiet(asker)) {
        enum exchange exchange = ask_once(asker, ret_reply);
        if (exchange != EXCHANGE_STALE)
            return exchange == EXCHANGE_DONE;
    }
    hang_up(asker);
    return connect_to_daemon(asker) && ask_once(asker, ret_reply) == EXCHANGE_DONE;
}

static void put(struct asker *asker, const char *bytes, size_t len)
{
    int head = snprintf(asker->request + asker->request_len,
                        sizeof asker->request - asker->request_len, "$%zu\r\n", len);

    asker->request_len += (size_t)head;
    memcpy(asker->request + asker->request_len, bytes, len);
    memcpy(asker->request + asker->request_len + len, "\r\n", 2);
    asker->request_len += len + 2;
}

static void put_option(struct asker *asker, const char *name, const char *value)
{
    put(asker, name, strlen(name));
    put(asker, value, strlen(value));
}

/* VALID, or why the daemon need not be asked: it would answer with an error, which is an outage. */
static enum catlatch_result check_request(const struct catlatch_call *call)
{
    if (call->key == NULL)
        return CATLATCH_UNAVAILABLE;
    if (call->key_len > KEY_FOREIGN_MAX)
        return CATLATCH_MALFORMED;
    if (call->scope_count > SCOPES_MAX)
        return CATLATCH_INVALID_REQUEST;
    for (size_t i = 0; i < call->scope_count; i++) {
        if (!text_is_scope(call->scopes[i], strlen(call->scopes[i])))
            return CATLATCH_INVALID_REQUEST;
    }
    size_t address_len = call->address != NULL ? strlen(call->address) : 0;
    return address_len <= ADDRESS_MAX &&
                   (address_len == 0 || text_is_printable_utf8(call->address, address_len))
               ? CATLATCH_VALID
               : CATLATCH_INVALID_REQUEST;
}

static void write_request(struct asker *asker, const struct catlatch_call *call)
{
    bool has_address = call->address != NULL && call->address[0] != '\0';
    size_t words = 4 + 2 * call->scope_count + 2 * (size_t)has_address;

    asker->request_len = (size_t)snprintf(asker->request, sizeof asker->request, "*%zu\r\n", words);
    put(asker, "KEY.VERIFY", 10);
    put(asker, call->key, call->key_len);
    put_option(asker, "SERVICE", asker->service);
    for (size_t i = 0; i < call->scope_count; i++)
        put_option(asker, "SCOPE", call->scopes[i]);
    if (has_address)
        put_option(asker, "ADDRESS", call->address);
}

static void tell_text(const struct catlatch_call *call, const char *name, struct text text)
{
    char value[CATLATCH_TEXT_SIZE];

    if (text.bytes == NULL || text.len >= sizeof value)
        return;
    memcpy(value, text.bytes, text.len);
    value[text.len] = '\0';
    call->host->tell(call, name, value);
}

/* Separated by one space; all or none of them. */
static void tell_scopes(const struct catlatch_call *call, const struct reply *reply)
{
    char value[CATLATCH_SCOPES_SIZE];
    size_t len = 0;

    for (size_t i = 0; i < reply->scope_count; i++) {
        const struct text *scope = &reply->scopes[i];
        if (scope->bytes == NULL || len + 1 + scope->len >= sizeof value)
            return;
        if (i > 0)
            value[len++] = ' ';
        memcpy(value + len, scope->bytes, scope->len);
        len += scope->len;
    }
    value[len] = '\0';
    if (len > 0)
        call->host->tell(call, "scopes", value);
}

static enum catlatch_result hear(const struct catlatch_call *call, const struct reply *reply)
{
    tell_text(call, "key_id", reply->id);
    tell_text(call, "owner", reply->owner);
    tell_text(call, "name", reply->name);
    tell_text(call, "environment", reply->environment);
    tell_scopes(call, reply);
    return reply->result;
}

/* errno is the host's. */
static int verify(void *instance, struct catlatch_call *call)
{
    struct asker *asker = instance;
    struct reply reply;
    int saved = errno;
    enum catlatch_result result = check_request(call);

    if (result != CATLATCH_VALID)
        return (int)result;
    write_request(asker, call);
    result = ask(asker, &reply) ? hear(call, &reply) : CATLATCH_UNAVAILABLE;
    OPENSSL_cleanse(asker->request, asker->request_len);
    errno = saved;
    return (int)result;
}

static int take_path(const struct catlatch_setup *setup, const char *folder, const char *name,
                     struct asker *asker)
{
    int len =
        snprintf(asker->address.sun_path, sizeof asker->address.sun_path, "%s%s", folder, name);
    struct error error;

    if (folder[0] != '/')
        return refuse(setup, "\"path=%s\": the path of a socket is wanted, from / on", folder);
    if (len < 0 || (size_t)len >= sizeof asker->address.sun_path)
        return refuse(setup, "%s%s: longer than the %zu bytes of a socket's path", folder, name,
                      sizeof asker->address.sun_path - 1);
    asker->address.sun_family = AF_UNIX;
    int r = check_folder(asker, &error);
    if (r == 0 || r == CATLATCH_E_NOT_FOUND)
        return 0; /* the daemon has yet to make it */
    refuse(setup, "%s", error.text);
    return r;
}

static int take_service(const struct catlatch_setup *setup, const char *name, struct asker *asker)
{
    size_t len = strlen(name);

    if (len == 0 || len > SERVICE_MAX)
        return refuse(setup, "\"service=%s\": a name of 1 to %u bytes is wanted", name,
                      SERVICE_MAX);
    memcpy(asker->service, name, len + 1);
    return 0;
}

static int take_timeout(const struct catlatch_setup *setup, const char *value, struct asker *asker)
{
    int64_t timeout_ms = 0;

    if (timespan_parse_ms(value, strlen(value), &timeout_ms) != 0 || timeout_ms < 1 ||
        timeout_ms > TIMEOUT_MAX_MS)
        return refuse(setup, "\"timeout=%s\": 1ms to %ds is wanted", value, TIMEOUT_MAX_MS / 1000);
    asker->timeout_ns = timeout_ms * NS_PER_MS;
    return 0;
}

static int take_argument(const struct catlatch_setup *setup,
                         const struct catlatch_argument *argument, struct asker *asker)
{
    if (argument->value != NULL && strcmp(argument->name, "service") == 0)
        return take_service(setup, argument->value, asker);
    if (argument->value != NULL && strcmp(argument->name, "path") == 0)
        return take_path(setup, argument->value, "", asker);
    if (argument->value != NULL && strcmp(argument->name, "timeout") == 0)
        return take_timeout(setup, argument->value, asker);
    return refuse(setup, "\"%s%s\": there are service=NAME, path=PATH and timeout=TIME",
                  argument->name, argument->value != NULL ? "=" : "");
}

/* A pid would tell too, but it comes again: after a wrap, and in another namespace. */
static int watch_forks(const struct catlatch_setup *setup, struct asker *asker)
{
    void *page = mmap(NULL, sizeof *asker->made_here, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return refuse_memory(setup);
    asker->made_here = page;
    if (madvise(page, sizeof *asker->made_here, MADV_WIPEONFORK) != 0)
        return refuse(setup, "the system does not tell of forks: %s", strerror(errno));
    return 0;
}

static void forget(void *instance)
{
    struct asker *asker = instance;

    hang_up(asker);
    if (asker->made_here != NULL)
        munmap(asker->made_here, sizeof *asker->made_here);
    free(asker);
}

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    struct asker *asker = calloc(1, sizeof *asker);

    if (asker == NULL)
        return refuse_memory(setup);
    asker->fd = -1;
    asker->timeout_ns = TIMEOUT_MS * NS_PER_MS;
    int r = watch_forks(setup, asker);
    if (r == 0)
        r = take_service(setup, setup->service, asker);
    for (size_t i = 0; r == 0 && i < setup->argument_count; i++)
        r = take_argument(setup, &setup->arguments[i], asker);
    if (r == 0 && asker->address.sun_family != AF_UNIX)
        r = take_path(setup, setup->run_dir, "/catlatch.sock", asker);
    if (r == 0)
        *ret_instance = asker;
    else
        forget(asker);
    return r;
}

CATLATCH_MODULE(socket, .flags = CATLATCH_MAY_BLOCK | CATLATCH_TAKES_SCOPES, .init = start,
                .verify = verify, .fini = forget);
