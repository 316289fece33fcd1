#include "session.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "value.h"

/* The longest honest wait is for a table of many millions of keys to grow under a change. */
#define ANSWER_TIMEOUT_MS 120000

#define READ_SIZE 65536u

struct session {
    int fd;
    redisReader *reader;
    char path[sizeof((struct sockaddr_un *)NULL)->sun_path];
    char buffer[READ_SIZE];
};

static int connect_error(const char *path, int errnum, struct error *error)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "the daemon is not running: there is no socket %s; start catlatchd, or "
                         "name its configuration with -c",
                         path);
    case ECONNREFUSED:
        return error_set(error, CATLATCH_E_UNAVAILABLE,
                         "the daemon is not running: nobody listens on %s, which a daemon left "
                         "behind; start catlatchd",
                         path);
    case EACCES:
    case EPERM:
        return error_set(error, CATLATCH_E_PERMISSION,
                         "no permission to reach %s; run this as root or as a user whom [access] "
                         "of the configuration names",
                         path);
    default:
        return error_set(error, CATLATCH_E_UNAVAILABLE, "connecting to %s: %s", path,
                         strerror(errnum));
    }
}

static int socket_connect(struct session *session, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_MS / 1000};

    memcpy(address.sun_path, session->path, sizeof address.sun_path);
    session->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (session->fd < 0)
        return error_errno(error, errno, "making a socket");
    (void)setsockopt(session->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(session->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return connect_error(session->path, errno, error);
    return 0;
}

int session_open(const char *admin_dir, struct session **ret_session, struct error *error)
{
    struct session *session = calloc(1, sizeof *session);
    int code;

    if (session == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    session->fd = -1;
    session->reader = redisReaderCreate();
    if (session->reader == NULL) {
        code = error_set(error, CATLATCH_E_MEMORY, "out of memory");
    } else if (snprintf(session->path, sizeof session->path, "%s/catlatch.sock", admin_dir) >=
               (int)sizeof session->path) {
        code = error_set(error, CATLATCH_E_CONFIG,
                         "[daemon] admin_dir is too long for a socket's path: %s", admin_dir);
    } else {
        session->reader->maxbuf = 0; /* keeps its buffer, so that it can be cleansed */
        code = socket_connect(session, error);
    }
    if (code != 0) {
        session_close(session);
        return code;
    }
    *ret_session = session;
    return 0;
}

void session_close(struct session *session)
{
    if (session == NULL)
        return;
    if (session->fd >= 0)
        close(session->fd);
    if (session->reader != NULL)
        redisReaderFree(session->reader);
    OPENSSL_cleanse(session->buffer, sizeof session->buffer);
    free(session);
}

int session_word_n(struct session_words *request, const char *word, size_t len, struct error *error)
{
    if (request->count == request->capacity) {
        size_t capacity = request->capacity > 0 ? 2 * request->capacity : 16;
        const char **words = reallocarray(request->words, capacity, sizeof *words);
        size_t *lens;
        if (words != NULL)
            request->words = words;
        lens = reallocarray(request->lens, capacity, sizeof *lens);
        if (lens != NULL)
            request->lens = lens;
        if (words == NULL || lens == NULL)
            return error_set(error, CATLATCH_E_MEMORY, "out of memory");
        request->capacity = capacity;
    }
    request->words[request->count] = word;
    request->lens[request->count++] = len;
    return 0;
}

int session_word(struct session_words *request, const char *word, struct error *error)
{
    return session_word_n(request, word, strlen(word), error);
}

int session_pair(struct session_words *request, const char *name, const char *value,
                 struct error *error)
{
    int code = 0;

    if (value != NULL)
        code = session_word(request, name, error);
    if (value != NULL && code == 0)
        code = session_word(request, value, error);
    return code;
}

void session_words_free(struct session_words *request)
{
    free(request->words);
    free(request->lens);
    *request = (struct session_words){0};
}

static int went_away(const struct session *session, const char *why, struct error *error)
{
    return error_set(error, CATLATCH_E_UNAVAILABLE,
                     "the daemon at %s %s: whether it did what was asked is not known; see "
                     "`catlatch status` and `catlatch list`",
                     session->path, why);
}

int session_send_bytes(struct session *session, const char *bytes, size_t len, struct error *error)
{
    size_t sent = 0;

    (void)error;
    while (sent < len) {
        ssize_t n = send(session->fd, bytes + sent, len - sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        /* A daemon that hangs up may have said why: reading the reply will tell. */
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    return 0;
}

int session_send(struct session *session, const struct session_words *request, struct error *error)
{
    char *bytes = NULL;
    int code,
        len = redisFormatCommandArgv(&bytes, (int)request->count, request->words, request->lens);

    if (len < 0 || bytes == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    code = session_send_bytes(session, bytes, (size_t)len, error);
    OPENSSL_cleanse(bytes, (size_t)len);
    free(bytes);
    return code;
}

static int session_fill(struct session *session, int timeout_ms, struct error *error)
{
    struct pollfd ready = {.fd = session->fd, .events = POLLIN};
    ssize_t n;
    int polled;

    do
        polled = poll(&ready, 1, timeout_ms);
    while (polled < 0 && errno == EINTR);
    if (polled == 0)
        return went_away(session, "did not answer within two minutes", error);
    do
        n = read(session->fd, session->buffer, sizeof session->buffer);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return went_away(session, "closed the connection", error);
    if (redisReaderFeed(session->reader, session->buffer, (size_t)n) != REDIS_OK)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    return 0;
}

static int not_understood(const struct session *session, struct error *error)
{
    return error_set(error, CATLATCH_E_UNAVAILABLE,
                     "the answer from %s is not understood: is it a catlatchd of this version?",
                     session->path);
}

/* Maps the first word of an error reply to the code whose exit status PROTOCOL.md gives it. */
static int reply_error(const redisReply *reply, struct error *error)
{
    static const struct {
        const char *word;
        int code;
    } known[] = {
        {"ERR max number of clients", CATLATCH_E_UNAVAILABLE},
        {"ERR", CATLATCH_E_ARGUMENT},
        {"INVALID", CATLATCH_E_DATA},
        {"NOTFOUND", CATLATCH_E_NOT_FOUND},
        {"CONFLICT", CATLATCH_E_CONFLICT},
        {"NOPERM", CATLATCH_E_PERMISSION},
        {"NOAUTH", CATLATCH_E_PERMISSION},
        {"WRONGPASS", CATLATCH_E_PERMISSION},
        {"LIMIT", CATLATCH_E_DATA},
        {"FULL", CATLATCH_E_FULL},
        {"UNAVAILABLE", CATLATCH_E_UNAVAILABLE},
        {"CONFIG", CATLATCH_E_CONFIG},
    };
    const char *text = reply->str;
    size_t word_len = strcspn(text, " ");

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strncmp(text, known[i].word, strlen(known[i].word)) == 0)
            return error_set(error, known[i].code, "%s",
                             text[word_len] == ' ' ? text + word_len + 1 : text);
    return error_set(error, CATLATCH_E_UNAVAILABLE, "the daemon refused: %s", text);
}

/* Parses what is there: *ret_parsed is NULL while the reply isn't whole. What the parser has passed
 * stays in its buffer, before its position and behind its end, so it is cleansed there. */
static int reader_next(redisReader *reader, void **ret_parsed)
{
    size_t had = reader->len;
    int status = redisReaderGetReply(reader, ret_parsed);

    if (*ret_parsed != NULL) {
        OPENSSL_cleanse(reader->buf, reader->pos);
        OPENSSL_cleanse(reader->buf + reader->len, had - reader->len);
    }
    return status;
}

/* Never returns an error reply: that becomes the error. */
static int reply_await(struct session *session, int timeout_ms, redisReply **ret_reply,
                       struct error *error)
{
    void *parsed = NULL;
    redisReply *reply;
    int code;

    for (;;) {
        if (reader_next(session->reader, &parsed) != REDIS_OK)
            return not_understood(session, error);
        if (parsed != NULL)
            break;
        code = session_fill(session, timeout_ms, error);
        if (code != 0)
            return code;
    }
    reply = parsed;
    if (reply->type == REDIS_REPLY_ERROR) {
        code = reply_error(reply, error);
        value_free(reply);
        return code;
    }
    *ret_reply = reply;
    return 0;
}

static int reply_read(struct session *session, redisReply **ret_reply, struct error *error)
{
    return reply_await(session, ANSWER_TIMEOUT_MS, ret_reply, error);
}

int session_receive(struct session *session, json_t **ret_map, struct error *error)
{
    redisReply *reply = NULL;
    json_t *map;
    int code = reply_read(session, &reply, error);

    if (code != 0)
        return code;
    map = value_of_map(reply);
    value_free(reply);
    if (map == NULL)
        return not_understood(session, error);
    *ret_map = map;
    return 0;
}

int session_receive_ok(struct session *session, struct error *error)
{
    redisReply *reply = NULL;
    int code = reply_read(session, &reply, error);

    if (code == 0 && (reply->type != REDIS_REPLY_STATUS || strcmp(reply->str, "OK") != 0))
        code = not_understood(session, error);
    value_free(reply);
    return code;
}

/* Takes a confirmation or a message: either is an array of three. */
static int take_push(struct session *session, int timeout_ms, struct error *error)
{
    redisReply *reply = NULL;
    int code = reply_await(session, timeout_ms, &reply, error);

    if (code == 0 && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3))
        code = not_understood(session, error);
    value_free(reply);
    return code;
}

int session_subscribe(struct session *session, struct error *error)
{
    struct session_words request = {0};
    int code = session_pair(&request, "SUBSCRIBE", "changes", error);

    if (code == 0)
        code = session_send(session, &request, error);
    session_words_free(&request);
    return code != 0 ? code : take_push(session, ANSWER_TIMEOUT_MS, error);
}

bool session_has_news(const struct session *session)
{
    struct pollfd ready = {.fd = session->fd, .events = POLLIN};

    return session->reader->len > session->reader->pos || poll(&ready, 1, 0) > 0;
}

int session_descriptor(const struct session *session)
{
    return session->fd;
}

int session_take_news(struct session *session, struct error *error)
{
    int code = take_push(session, -1, error);

    while (code == 0 && session_has_news(session))
        code = take_push(session, -1, error);
    return code;
}

int session_ask(struct session *session, const struct session_words *request, json_t **ret_map,
                struct error *error)
{
    int code = session_send(session, request, error);

    return code != 0 ? code : session_receive(session, ret_map, error);
}

/* The member of a map that has this name, or NULL. */
static redisReply *member_of(const redisReply *reply, const char *name)
{
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
        return NULL;
    for (size_t i = 0; i + 1 < reply->elements; i += 2)
        if (reply->element[i]->type == REDIS_REPLY_STRING &&
            strcmp(reply->element[i]->str, name) == 0)
            return reply->element[i + 1];
    return NULL;
}

int session_ask_bytes(struct session *session, const struct session_words *request,
                      const char *name, void **ret_bytes, size_t *ret_len, json_t **ret_map,
                      struct error *error)
{
    redisReply *reply = NULL, *member;
    json_t *map = NULL;
    void *bytes = NULL;
    int code = session_send(session, request, error);

    if (code == 0)
        code = reply_read(session, &reply, error);
    if (code != 0)
        return code;
    member = member_of(reply, name);
    if (member != NULL && member->type == REDIS_REPLY_STRING &&
        (bytes = malloc((size_t)member->len + 1)) != NULL) {
        memcpy(bytes, member->str, (size_t)member->len);
        *ret_len = (size_t)member->len;
        member->type = REDIS_REPLY_NIL; /* not a text, for once */
        map = value_of_map(reply);
        member->type = REDIS_REPLY_STRING;
    }
    value_free(reply);
    if (map == NULL) {
        free(bytes);
        return not_understood(session, error);
    }
    *ret_bytes = bytes;
    *ret_map = map;
    return 0;
}
