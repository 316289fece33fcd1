/*
 * catlatch.h - verify API keys in this process, without a query, a socket or a lock.
 *
 * A daemon (catlatchd) owns the keys and publishes a complete hash table of their SHA-256 digests
 * in shared memory. This library maps that table read-only and answers from it: whose key is this,
 * and may it pass? A key that was revoked is refused by every process on the host from before the
 * revoke call returns.
 *
 *     struct catlatch *latch;
 *     char message[256];
 *     struct catlatch_options options = {.size = sizeof options};
 *     if (catlatch_open(&options, &latch, message, sizeof message) != 0)
 *         errx(1, "%s", message);
 *
 *     struct catlatch_request request = {.size = sizeof request, .key = key, .key_len = len};
 *     struct catlatch_outcome outcome = {.size = sizeof outcome};
 *     if (catlatch_verify(latch, &request, &outcome) == CATLATCH_VALID)
 *         ...
 *
 * Threads. A handle is used by one thread at a time; give each thread its own. There are no
 * globals, no thread-local data, no signal handlers, no logging; the environment is not read.
 * Fork. A handle may be used on both sides of a fork, each side with its copy. No descriptor stays
 * open between calls.
 * Structs begin with their size, set by the caller to sizeof, so that they can grow: the library
 * reads and writes no further than the size that it was told. What a newer program asks of an older
 * library in members that this does not know is refused, not passed over.
 */
#ifndef CATLATCH_H
#define CATLATCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What a verification says. Three families that are never mixed: granted (VALID), an outage
 * (UNAVAILABLE: the key was not rejected, it could not be checked; HTTP 503), and everything else,
 * which is a refusal with its reason. The numbers are part of the ABI. Zero is a refusal, so that
 * a forgotten initialisation never grants.
 */
enum catlatch_result {
    CATLATCH_DENIED = 0,         /* by rule, or by an empty service */
    CATLATCH_VALID = 1,          /* granted */
    CATLATCH_INVALID_REQUEST,    /* two credentials at once, or a request that makes no sense */
    CATLATCH_MISSING,            /* no credential was sent */
    CATLATCH_MALFORMED,          /* not a key of ours: prefix, length, alphabet or check digits */
    CATLATCH_NOT_FOUND,          /* no such key */
    CATLATCH_REVOKED,            /* final */
    CATLATCH_DISABLED,           /* the key or its owner is switched off */
    CATLATCH_EXPIRED,            /* past expires_at */
    CATLATCH_NOT_YET_VALID,      /* before not_before */
    CATLATCH_WRONG_ENVIRONMENT,  /* a test key on a live service, say */
    CATLATCH_INSUFFICIENT_SCOPE, /* the key lacks a scope that was asked for */
    CATLATCH_IP_NOT_ALLOWED,     /* the key's networks do not hold the caller */
    CATLATCH_USAGE_EXCEEDED,     /* the key's paid uses are spent */
    CATLATCH_RATE_LIMITED,       /* too many in too short a time */
    CATLATCH_UNAVAILABLE,        /* could not be checked: an outage, not a denial */
};

/* Errors of calls that can fail otherwise. Zero is success. */
enum catlatch_error {
    CATLATCH_E_MEMORY = -1,      /* out of memory */
    CATLATCH_E_ARGUMENT = -2,    /* the call makes no sense: NULL, a size too small, ... */
    CATLATCH_E_CONFIG = -3,      /* the configuration is not acceptable */
    CATLATCH_E_PERMISSION = -4,  /* not allowed, or unsafe owner or mode */
    CATLATCH_E_IO = -5,          /* a file or socket failed */
    CATLATCH_E_DATA = -6,        /* input or stored data is not what it should be */
    CATLATCH_E_NOT_FOUND = -7,   /* no such thing */
    CATLATCH_E_CONFLICT = -8,    /* it changed meanwhile, or its state forbids this */
    CATLATCH_E_UNAVAILABLE = -9, /* cannot be had at present */
    CATLATCH_E_FULL = -10,       /* no room: disk or table */
    CATLATCH_E_VERSION = -11,    /* written by a newer version */
    CATLATCH_E_LIMIT = -12,      /* a policy's bound would be passed */
};

/* Bounds of the texts below, including the terminating NUL. */
enum {
    CATLATCH_ID_SIZE = 18,          /* "key_" and 13 base32 digits */
    CATLATCH_TEXT_SIZE = 256,       /* names and owners */
    CATLATCH_PREFIX_SIZE = 16,      /* the shown start of a key */
    CATLATCH_ENVIRONMENT_SIZE = 24, /* an environment's name */
    CATLATCH_SCOPES_SIZE = 2048,    /* all scopes of a key, separated by one space */
};

/* One line of a service and what became of it: for catlatch_explain, and for modules. */
struct catlatch_step {
    size_t size;
    const char *module;  /* NULL: a substack begins here */
    const char *control; /* as written: "required", "[valid=ok default=die]", "substack NAME" */
    const char *result;  /* what the module said: "valid", "ignore", ...; NULL: it did not run */
    const char *action;  /* what that did: "ok", "done", "bad", "die", "ignore", "reset", "jump" */
    enum catlatch_result standing; /* what the outcome would be if this were the last line */
    const char *file;              /* where it is written; the built-in service is "(default)" */
    unsigned line;
    unsigned level;     /* how many substacks deep */
    int64_t elapsed_ns; /* in the module's verify */
};

struct catlatch; /* a handle: one service of one configuration */

struct catlatch_options {
    size_t size;
    const char *config_path; /* NULL: the compiled-in <sysconfdir>/catlatch/catlatch.ini */
    const char *service;     /* NULL: "default" */
    uint64_t flags;          /* CATLATCH_OPEN_... */
};

enum {
    /* Refuse a service with a module that may wait, and let a refresh wait as little as a
     * verification does: for hosts that serve many from one loop. */
    CATLATCH_OPEN_NEVER_BLOCK = 1 << 0,
};

/*
 * Exactly one of key and authorization is given, or neither (the result is MISSING).
 * Both at once is INVALID_REQUEST. Neither needs a terminating NUL; nothing of them is kept.
 */
struct catlatch_request {
    size_t size;
    const char *key;           /* the raw key */
    size_t key_len;            /* bytes */
    const char *authorization; /* the value of an HTTP Authorization header: "Bearer cc_live_..." */
    size_t authorization_len;  /* bytes */
    const char *const *scopes; /* scopes that the key must have, all of them; NUL-terminated */
    size_t scope_count;
    /* Where the request came from, NUL-terminated, or NULL: the peer's IPv4 or IPv6 address. Behind
     * proxies: the value of X-Forwarded-For, a comma, and the peer's address; which of them count
     * is what the service's `address trust=` says. */
    const char *address;
};

/* What verify found. `opaque` is for catlatch_identity, catlatch_recheck and catlatch_limit. */
struct catlatch_outcome {
    size_t size;
    enum catlatch_result result;
    uint32_t matched; /* 1: the digest was found, so catlatch_identity will know whose key it is */
    uint64_t opaque[8];
};

/* Of the rate limit that is the tightest: the one that refuses, or has the least left. */
struct catlatch_limit {
    size_t size;
    uint32_t count;          /* so many */
    uint32_t period_s;       /* in so many seconds, */
    uint32_t burst;          /* and so many at once */
    uint32_t remaining;      /* whole requests that it would let pass now */
    uint64_t reset_ms;       /* until its burst is whole again */
    uint64_t retry_after_ms; /* RATE_LIMITED: when the next one can pass; UINT64_MAX: never, for one
                                costs more than the burst. 0 otherwise */
};

/* Whose key it is. Copies: nothing here points into shared memory. Times are Unix seconds. */
struct catlatch_identity {
    size_t size;
    char key_id[CATLATCH_ID_SIZE];
    char prefix[CATLATCH_PREFIX_SIZE];
    char environment[CATLATCH_ENVIRONMENT_SIZE];
    char owner[CATLATCH_TEXT_SIZE];
    char name[CATLATCH_TEXT_SIZE];
    char scopes[CATLATCH_SCOPES_SIZE]; /* separated by one space, as in RFC 6749 section 3.3 */
    int64_t expires_unix_s;            /* 0: never */
    int64_t not_before_unix_s;         /* 0: at once */
};

/*
 * Opens a service of a configuration and attaches to the daemon's table. A table that is not there
 * yet is no error: verifications answer UNAVAILABLE and look again, at most once a second.
 * Service and environments are as the configuration had them at that moment: to take a changed one,
 * open anew and close the old handle.
 * On failure *ret_handle is untouched and, if message is not NULL, one line without a newline that
 * says what, where and why was written to it (cut at message_size, always terminated).
 * Returns 0, E_MEMORY, E_ARGUMENT, E_CONFIG, E_PERMISSION, E_IO or E_NOT_FOUND (no such service, or
 * no configuration at that path).
 * Thread: any. Fork: any. Blocks: on reading files, and for a keeper that does not answer: five
 * seconds at most.
 */
int catlatch_open(const struct catlatch_options *options, struct catlatch **ret_handle,
                  char *message, size_t message_size);

/*
 * Decides about one key. ret_outcome may be NULL when only the result matters.
 * Wait-free: no lock, no allocation, no system call but a bounded re-attach when the daemon has
 * published a new table and, when the daemon's heartbeat is stale, one look at the path a second.
 * Thread: one at a time for each handle. Fork: safe. Blocks: never.
 */
enum catlatch_result catlatch_verify(struct catlatch *handle,
                                     const struct catlatch_request *request,
                                     struct catlatch_outcome *ret_outcome);

/*
 * Decides about `count` keys, in order, faster than one by one. Both arrays have `count` elements
 * whose `size` members are set; all requests have the same size, and so have all outcomes.
 * Returns the number of keys granted. Thread, Fork, Blocks: as catlatch_verify.
 */
size_t catlatch_verify_batch(struct catlatch *handle, const struct catlatch_request *requests,
                             struct catlatch_outcome *ret_outcomes, size_t count);

/*
 * Asks again about a key that was verified before, without the key: for holders of long
 * connections. `request` carries the scopes that are still needed, the address if it matters, and
 * no credential; NULL is none of them. Answers MISSING for an outcome that matched no key. Thread,
 * Fork, Blocks: as catlatch_verify.
 */
enum catlatch_result catlatch_recheck(struct catlatch *handle, const struct catlatch_outcome *known,
                                      const struct catlatch_request *request);

/*
 * The strings that belong to an outcome whose `matched` is 1, granted or not.
 * Returns 0, E_ARGUMENT, E_NOT_FOUND (the key is gone from the table) or E_UNAVAILABLE.
 * Thread, Fork, Blocks: as catlatch_verify.
 */
int catlatch_identity(struct catlatch *handle, const struct catlatch_outcome *outcome,
                      struct catlatch_identity *ret_identity);

/*
 * What an outcome tells of the key's rate limits, as of its moment; of USAGE_EXCEEDED, when there
 * will be more, as reset_ms and retry_after_ms, and zeros. Returns 0, E_NOT_FOUND (no limit
 * applied) or E_ARGUMENT. Thread: any. Fork: safe. Blocks: never.
 */
int catlatch_limit(const struct catlatch_outcome *outcome, struct catlatch_limit *ret_limit);

/*
 * Does off the request path what verify would do on it: re-attaches if there is a newer table, and
 * lets go of an older one. Call it from a timer in workers that can be idle for long.
 * Returns 0, or E_UNAVAILABLE when there is no table to be had.
 * Thread: one at a time for each handle. Fork: safe. Blocks: on opening and mapping one file, and
 * for a keeper that does not answer: half a second at most, 20 ms with CATLATCH_OPEN_NEVER_BLOCK.
 */
int catlatch_refresh(struct catlatch *handle);

/*
 * What a module of the service told about the handle's last catlatch_verify, by the fact's name;
 * NULL: nothing. Valid until the next call with the handle. Thread, Fork, Blocks: as
 * catlatch_verify.
 */
const char *catlatch_fact(const struct catlatch *handle, const char *name);

/*
 * Decides as catlatch_verify does, and tells `told` of each line of the service that it has, in
 * order, whether it ran or not. Nothing is settled: no use is counted. For people and tests.
 * Thread, Fork, Blocks: as catlatch_verify.
 */
enum catlatch_result catlatch_explain(struct catlatch *handle,
                                      const struct catlatch_request *request,
                                      struct catlatch_outcome *ret_outcome,
                                      void (*told)(void *context, const struct catlatch_step *step),
                                      void *context);

/* Frees the handle; NULL is allowed. Thread: the last user. Fork: safe. Blocks: for 20 ms at most,
 * on telling catlatch-keeper. */
void catlatch_close(struct catlatch *handle);

/* "valid", "not_found", ... : the words used everywhere. Never NULL; static. Thread: any. */
const char *catlatch_result_name(enum catlatch_result result);

/* The HTTP status that goes with a result: 200, 400, 401, 403, 429 or 503. Thread: any. */
int catlatch_result_http_status(enum catlatch_result result);

/* What a negative enum catlatch_error means, in words. Never NULL; static. Thread: any. */
const char *catlatch_strerror(int error);

#ifdef __cplusplus
}
#endif
#endif
