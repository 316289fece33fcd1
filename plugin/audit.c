/*
 * audit [to=journal|syslog[:SOCKET]|file:PATH] [all] [rate=N/PERIOD]: a record of each decision
 * that did not grant, with `all` of each.
 *
 * It works in finish and never changes a result. A record goes out as one datagram that waits for
 * nobody: in the journal's own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) to
 * /run/systemd/journal/socket, or as a line of syslog's to /dev/log. No descriptor stays open, for
 * hosts close and reuse what they do not know: each record has a socket of its own, which costs a
 * microsecond or two. Who is not there is not looked for again for a second.
 *
 * A file is appended to, one write for each record; that may wait for a disk, so such a line is one
 * that may block. The file has to be there and is opened for each record: it can be rotated.
 *
 * At most N records in PERIOD go out (100/s), for each handle; of the key there is never more than
 * what is shown of it anyway. What did not go out is counted, and the next record says the count.
 *
 * Not told are dry runs (`catlatch verify --explain`), which are nobody's access; rechecks are.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/key.h"
#include "core/result.h"
#include "core/text.h"
#include "core/timespan.h"
#include "core/trust.h"
#include "plugin/refuse.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define SYSLOG_SOCKET "/dev/log"

/* What syslog calls authpriv, and severities; RFC 5424 section 6.2.1. */
#define FACILITY 10
enum { SEVERITY_WARNING = 4, SEVERITY_NOTICE = 5, SEVERITY_INFO = 6 };

#define NS_PER_MS INT64_C(1000000)
#define ABSENT_NS (1000 * NS_PER_MS)
#define RATE_MAX 1000000

/* All texts of a record in full, quotes and backslashes doubled, and twice: in the journal's
 * MESSAGE and in its fields. */
#define RECORD_MAX 4096u

/* Of an X-Forwarded-For the end counts: the nearer, the less can it be made up. */
#define ADDRESS_MAX 128u

struct sink;

struct audit {
    const struct sink *sink;
    struct sockaddr_un address; /* of a socket */
    char *file;                 /* its path; NULL: a socket */
    bool all;
    int64_t gap_ns;    /* between records at the full rate */
    int64_t period_ns; /* as many records as fit can come at once */
    struct key_environments ours;

    /* CLOCK_MONOTONIC_COARSE */
    int64_t due_ns;    /* when the next record would be due at the full rate */
    int64_t absent_ns; /* nobody is looked for before */
    uint64_t dropped;  /* since the last record that went out */
};

/* Texts are printable; an empty one is not known. */
struct record {
    enum catlatch_result result;
    const char *service;
    char key_id[CATLATCH_ID_SIZE];
    char prefix[CATLATCH_PREFIX_SIZE];
    char owner[CATLATCH_TEXT_SIZE];
    char address[ADDRESS_MAX + 4];
    uint64_t dropped;
    bool is_recheck;
};

struct out {
    char bytes[RECORD_MAX];
    size_t len;
};

struct sink {
    const char *name;
    const char *path; /* NULL: none unless it is named */
    void (*write)(const struct record *record, struct out *out);
    bool is_file;
};

__attribute__((format(printf, 2, 3))) static void put(struct out *out, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int len = vsnprintf(out->bytes + out->len, sizeof out->bytes - out->len, format, arguments);
    va_end(arguments);
    if (len > 0)
        out->len += (size_t)len;
    if (out->len > sizeof out->bytes - 1)
        out->len = sizeof out->bytes - 1;
}

static void put_quoted(struct out *out, const char *name, const char *text)
{
    if (*text == '\0')
        return;
    put(out, " %s=\"", name);
    for (; *text != '\0'; text++)
        put(out, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    put(out, "\"");
}

static void put_message(struct out *out, const struct record *record)
{
    put(out, "%s service=%s", result_name(record->result), record->service);
    if (record->key_id[0] != '\0')
        put(out, " key_id=%s", record->key_id);
    put_quoted(out, "prefix", record->prefix);
    put_quoted(out, "owner", record->owner);
    put_quoted(out, "address", record->address);
    if (record->is_recheck)
        put(out, " recheck=yes");
    if (record->dropped > 0)
        put(out, " dropped=%llu", (unsigned long long)record->dropped);
}

static int severity_of(enum catlatch_result result)
{
    if (result == CATLATCH_VALID)
        return SEVERITY_INFO;
    return result == CATLATCH_UNAVAILABLE ? SEVERITY_WARNING : SEVERITY_NOTICE;
}

static void put_field(struct out *out, const char *name, const char *value)
{
    if (*value != '\0')
        put(out, "%s=%s\n", name, value);
}

static void write_journal(const struct record *record, struct out *out)
{
    put(out, "MESSAGE=");
    put_message(out, record);
    put(out, "\nPRIORITY=%d\nSYSLOG_FACILITY=%d\nSYSLOG_IDENTIFIER=catlatch\n",
        severity_of(record->result), FACILITY);
    put_field(out, "CATLATCH_RESULT", result_name(record->result));
    put_field(out, "CATLATCH_SERVICE", record->service);
    put_field(out, "CATLATCH_KEY_ID", record->key_id);
    put_field(out, "CATLATCH_OWNER", record->owner);
    put_field(out, "CATLATCH_PREFIX", record->prefix);
    put_field(out, "CATLATCH_ADDRESS", record->address);
    put_field(out, "CATLATCH_RECHECK", record->is_recheck ? "1" : "");
    if (record->dropped > 0)
        put(out, "CATLATCH_DROPPED=%llu\n", (unsigned long long)record->dropped);
}

/* RFC 3164 without a time, for which its section 4.3.2 has the receiver take its own: a local one
 * would want the time zone's files and the environment. */
static void write_syslog(const struct record *record, struct out *out)
{
    put(out, "<%d>catlatch[%ld]: ", FACILITY * 8 + severity_of(record->result), (long)getpid());
    put_message(out, record);
}

static void write_file(const struct record *record, struct out *out)
{
    char time[TIMESPAN_RFC3339_SIZE];
    struct timespec now = {0};

    clock_gettime(CLOCK_REALTIME, &now);
    timespan_rfc3339(now.tv_sec, time);
    put(out, "%s catlatch[%ld]: ", time, (long)getpid());
    put_message(out, record);
    put(out, "\n");
}

static const struct sink SINKS[] = {
    {"journal", JOURNAL_SOCKET, write_journal, false},
    {"syslog", SYSLOG_SOCKET, write_syslog, false},
    {"file", NULL, write_file, true},
};
#define SINK_COUNT (sizeof SINKS / sizeof *SINKS)

/* What would break a line, or pretend to be another field, becomes '?'. */
static void copy_clean(char *ret, size_t size, const char *text, size_t len)
{
    if (len >= size)
        len = size - 1;
    memcpy(ret, text, len);
    ret[len] = '\0';
    if (text_is_printable_utf8(ret, len))
        return;
    for (; *ret != '\0'; ret++) {
        if (*ret < ' ' || *ret > '~')
            *ret = '?';
    }
}

static void take_address(struct record *record, const char *address)
{
    size_t len = strlen(address);

    if (len <= ADDRESS_MAX) {
        copy_clean(record->address, sizeof record->address, address, len);
        return;
    }
    strcpy(record->address, "...");
    copy_clean(record->address + 3, sizeof record->address - 3, address + len - ADDRESS_MAX,
               ADDRESS_MAX);
}

/* Of a text without a record nothing is shown that might be the whole of a secret: what begins as
 * a key of ours does, and goes on. */
static void take_prefix(const struct audit *audit, const struct catlatch_call *call,
                        struct record *record)
{
    if (call->key == NULL || call->key_len < KEY_TEXT_MAX - KEY_PREFIX_MAX + KEY_PREFIX_MIN)
        return;
    const struct key_environment *environment =
        key_environment_of(&audit->ours, call->key, call->key_len);
    if (environment != NULL && key_is_start(environment, call->key, KEY_SHOWN_LEN))
        memcpy(record->prefix, call->key, KEY_SHOWN_LEN);
}

static void take_identity(const struct audit *audit, const struct catlatch_call *call,
                          struct record *record)
{
    struct catlatch_identity identity = {.size = sizeof identity};

    if (call->lookup != CATLATCH_LOOKUP_HIT || call->host->record_identity(call, &identity) != 0) {
        take_prefix(audit, call, record);
        return;
    }
    copy_clean(record->key_id, sizeof record->key_id, identity.key_id, strlen(identity.key_id));
    copy_clean(record->prefix, sizeof record->prefix, identity.prefix, strlen(identity.prefix));
    copy_clean(record->owner, sizeof record->owner, identity.owner, strlen(identity.owner));
}

/* One write, or one datagram. Returns 0 or errno. */
static int deliver_to_file(const struct audit *audit, const struct out *out)
{
    /* O_NONBLOCK: should it have become a FIFO, opening it must not hang. */
    int fd =
        open(audit->file, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    struct stat status;
    int r = 0;

    if (fd < 0)
        return errno;
    if (fstat(fd, &status) != 0)
        r = errno;
    else if (!S_ISREG(status.st_mode))
        r = ENOENT;
    else if (write(fd, out->bytes, out->len) != (ssize_t)out->len)
        r = ENOSPC;
    close(fd);
    return r;
}

static int deliver_to_socket(const struct audit *audit, const struct out *out)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int r = 0;

    if (fd < 0)
        return errno;
    if (sendto(fd, out->bytes, out->len, MSG_DONTWAIT | MSG_NOSIGNAL,
               (const struct sockaddr *)&audit->address, sizeof audit->address) < 0)
        r = errno;
    close(fd);
    return r;
}

/* One more now, by GCRA? */
static bool take_turn(struct audit *audit, int64_t now_ns)
{
    int64_t due_ns = audit->due_ns > now_ns ? audit->due_ns : now_ns;

    if (due_ns + audit->gap_ns - now_ns > audit->period_ns)
        return false;
    audit->due_ns = due_ns + audit->gap_ns;
    return true;
}

static bool is_told(const struct audit *audit, const struct catlatch_call *call,
                    enum catlatch_result result)
{
    if (result == CATLATCH_VALID && !audit->all)
        return false;
    return (call->flags & (CATLATCH_CALL_DRY | CATLATCH_CALL_RECHECK)) != CATLATCH_CALL_DRY;
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

static int tell(const struct audit *audit, const struct catlatch_call *call,
                enum catlatch_result result)
{
    struct record record = {.result = result,
                            .service = call->host->service(call),
                            .dropped = audit->dropped,
                            .is_recheck = (call->flags & CATLATCH_CALL_RECHECK) != 0};
    struct out out = {.len = 0};

    take_identity(audit, call, &record);
    if (call->address != NULL)
        take_address(&record, call->address);
    audit->sink->write(&record, &out);
    return audit->sink->is_file ? deliver_to_file(audit, &out) : deliver_to_socket(audit, &out);
}

/* errno is the host's. */
static void finish(void *instance, struct catlatch_call *call, enum catlatch_result result)
{
    struct audit *audit = instance;
    int saved = errno;

    if (!is_told(audit, call, result))
        return;
    int64_t at_ns = now_ns();
    if (at_ns < audit->absent_ns || !take_turn(audit, at_ns)) {
        audit->dropped++;
        return;
    }
    int r = tell(audit, call, result);
    audit->dropped = r == 0 ? 0 : audit->dropped + 1;
    if (r != 0 && r != EAGAIN && r != ENOBUFS)
        audit->absent_ns = at_ns + ABSENT_NS;
    errno = saved;
}

/* The folder must be one in which nobody else can put another thing in the file's place. */
static int take_file(const struct catlatch_setup *setup, const char *path, struct audit *audit)
{
    const struct trust trust = trust_self();
    struct error error;
    struct stat status;

    audit->file = strdup(path);
    if (audit->file == NULL)
        return refuse_memory(setup);
    char *slash = strrchr(audit->file, '/');
    *slash = '\0';
    int r = trust_path(slash == audit->file ? "/" : audit->file, &trust, &error);
    *slash = '/';
    if (r != 0) {
        refuse(setup, "%s", error.text);
        return r == CATLATCH_E_NOT_FOUND ? CATLATCH_E_CONFIG : r;
    }
    if (lstat(path, &status) != 0)
        return refuse(setup, "%s: %s; make it, so that whoever verifies keys can write it", path,
                      strerror(errno));
    if (!S_ISREG(status.st_mode))
        return refuse(setup, "%s: not a regular file", path);
    *setup->flags |= CATLATCH_MAY_BLOCK;
    return 0;
}

static int take_socket(const struct catlatch_setup *setup, const char *path, struct audit *audit)
{
    if (strlen(path) >= sizeof audit->address.sun_path)
        return refuse(setup, "%s: longer than the %zu bytes of a socket's path", path,
                      sizeof audit->address.sun_path - 1);
    audit->address.sun_family = AF_UNIX;
    strcpy(audit->address.sun_path, path);
    return 0;
}

static int take_sink(const struct catlatch_setup *setup, const char *value, struct audit *audit)
{
    size_t len = strcspn(value, ":"), i = 0;
    const char *path = value[len] == ':' ? value + len + 1 : NULL;

    while (i < SINK_COUNT &&
           (strlen(SINKS[i].name) != len || memcmp(SINKS[i].name, value, len) != 0))
        i++;
    if (i == SINK_COUNT)
        return refuse(setup, "\"to=%s\": there are journal, syslog and file:PATH", value);
    audit->sink = &SINKS[i];
    if (path == NULL)
        path = audit->sink->path;
    if (path == NULL || path[0] != '/')
        return refuse(setup, "\"to=%s\": a path is wanted, from / on", value);
    return audit->sink->is_file ? take_file(setup, path, audit) : take_socket(setup, path, audit);
}

/* "100/s", "6000/1m": a unit alone is one of it. */
static int take_rate(const struct catlatch_setup *setup, const char *value, struct audit *audit)
{
    char period[16], *end;
    long count = strtol(value, &end, 10);
    int64_t period_ms = 0;
    bool is_right = *value >= '0' && *value <= '9' && *end == '/' && strlen(end) < sizeof period;

    if (is_right) {
        int len = snprintf(period, sizeof period, "%s%s", end[1] >= '0' && end[1] <= '9' ? "" : "1",
                           end + 1);
        is_right = timespan_parse_ms(period, (size_t)len, &period_ms) == 0;
    }
    if (!is_right || count < 1 || count > RATE_MAX || period_ms < 1 || period_ms > 86400000)
        return refuse(
            setup,
            "\"rate=%s\": a number from 1 to %d and a period of up to a day are wanted, as "
            "100/s or 6000/1m",
            value, RATE_MAX);
    audit->period_ns = period_ms * NS_PER_MS;
    audit->gap_ns = audit->period_ns / count;
    return 0;
}

static int take_argument(const struct catlatch_setup *setup,
                         const struct catlatch_argument *argument, struct audit *audit)
{
    if (argument->value == NULL && strcmp(argument->name, "all") == 0) {
        audit->all = true;
        return 0;
    }
    if (argument->value != NULL && strcmp(argument->name, "to") == 0)
        return audit->sink == NULL ? take_sink(setup, argument->value, audit)
                                   : refuse(setup, "has \"to=\" twice; write another line");
    if (argument->value != NULL && strcmp(argument->name, "rate") == 0)
        return take_rate(setup, argument->value, audit);
    return refuse(setup, "\"%s%s\": there are to=journal|syslog|file:PATH, all and rate=N/PERIOD",
                  argument->name, argument->value != NULL ? "=" : "");
}

static void forget(void *instance)
{
    struct audit *audit = instance;

    free(audit->file);
    free(audit);
}

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    struct audit *audit = calloc(1, sizeof *audit);

    if (audit == NULL)
        return refuse_memory(setup);
    int r = take_rate(setup, "100/s", audit);
    for (size_t i = 0; r == 0 && i < setup->argument_count; i++)
        r = take_argument(setup, &setup->arguments[i], audit);
    if (r == 0 && audit->sink == NULL)
        r = take_sink(setup, "journal", audit);
    for (size_t i = 0; i < setup->environment_count && i < KEY_ENVIRONMENTS_MAX; i++) {
        struct key_environment *each = &audit->ours.list[audit->ours.count++];
        strncpy(each->prefix, setup->environments[i].prefix, sizeof each->prefix - 1);
    }
    if (audit->all)
        *setup->flags &= ~(uint32_t)CATLATCH_REFUSALS_ONLY;
    if (r == 0)
        *ret_instance = audit;
    else
        forget(audit);
    return r;
}

CATLATCH_MODULE(audit, .flags = CATLATCH_REFUSALS_ONLY, .init = start, .finish = finish,
                .fini = forget);
