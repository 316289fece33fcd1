/*
 * answer.h - what an HTTP server says of a verification, the same in every server: status, header
 * fields and body (RFC 6750, RFC 9457, draft-ietf-httpapi-ratelimit-headers).
 *
 * Every refusal that is about the key itself has one answer, so that nobody learns from it whether
 * a key was ever there. Pure, but for the caller's memory; any thread.
 */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "catlatch.h"

/* Of a realm. It is quoted as it is, so it has no quotes, backslashes or control characters. */
#define ANSWER_REALM_MAX 128u

/* With the terminating NUL. */
#define ANSWER_CHALLENGE_SIZE (ANSWER_REALM_MAX + CATLATCH_SCOPES_SIZE + 128u)
#define ANSWER_BODY_SIZE (2u * CATLATCH_SCOPES_SIZE + 512u)
#define ANSWER_RATE_SIZE 64u
#define ANSWER_REQUEST_ID_MAX 64u

/* Of the body. */
#define ANSWER_BODY_TYPE "application/problem+json"

struct answer {
    enum catlatch_result result;
    unsigned status;             /* of HTTP */
    bool is_limited;             /* a rate limit applied: `limit` is set */
    struct catlatch_limit limit; /* the tightest */
    unsigned long retry_after_s; /* 0: there is nothing to wait for */
};

/* What there is to say of an outcome. */
void answer_init(struct answer *answer, const struct catlatch_outcome *outcome);

/* A realm that can be quoted: 1 to ANSWER_REALM_MAX of visible ASCII and spaces, no quotes, no
 * backslashes. */
bool answer_realm_is_sane(const char *realm, size_t len);

/* What can be told as a request's id: 1 to ANSWER_REQUEST_ID_MAX of visible ASCII, no quotes, no
 * backslashes. */
bool answer_request_id_is_sane(const char *id, size_t len);

/* The value of WWW-Authenticate. `scopes`: those that the request needs, separated by one space;
 * NULL: none. Returns its length; 0: this answer has no challenge. */
size_t answer_challenge(const struct answer *answer, const char *realm, const char *scopes,
                        char ret[ANSWER_CHALLENGE_SIZE]);

/* The values of RateLimit-Policy and RateLimit. False: no limit applied. */
bool answer_rate(const struct answer *answer, char ret_policy[ANSWER_RATE_SIZE],
                 char ret_rate[ANSWER_RATE_SIZE]);

/* The body, of ANSWER_BODY_TYPE. A request_id that is NULL or not sane is not in it. Returns
 * its length. */
size_t answer_body(const struct answer *answer, const char *scopes, const char *request_id,
                   size_t request_id_len, char ret[ANSWER_BODY_SIZE]);

#endif
