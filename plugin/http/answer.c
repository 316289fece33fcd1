#include "plugin/http/answer.h"

#include <stdio.h>
#include <string.h>

/* Who is told that a key could not be checked tries again: the daemon is started anew by then. */
#define OUTAGE_RETRY_S 5u

/* What a result says to those outside, beside its status. */
struct words {
    const char *title, *code, *detail;
    const char *error; /* of the challenge, "" for a bare one; NULL: there is no challenge */
};

static struct words words_of(enum catlatch_result result)
{
    switch (result) {
    case CATLATCH_INVALID_REQUEST:
        return (struct words){"Bad Request", "invalid_request",
                              "More than one credential was sent, or one that cannot be read",
                              "error=\"invalid_request\""};
    case CATLATCH_MISSING:
        return (struct words){"Unauthorized", "missing_credentials", "Missing authorization header",
                              ""};
    case CATLATCH_MALFORMED:
    case CATLATCH_NOT_FOUND:
    case CATLATCH_REVOKED:
    case CATLATCH_DISABLED:
    case CATLATCH_EXPIRED:
    case CATLATCH_NOT_YET_VALID:
    case CATLATCH_WRONG_ENVIRONMENT:
        return (struct words){"Unauthorized", "invalid_api_key", "Invalid API key",
                              "error=\"invalid_token\", error_description=\"Invalid API key\""};
    case CATLATCH_INSUFFICIENT_SCOPE:
        return (struct words){"Forbidden", "insufficient_scope",
                              "The API key lacks a scope that this needs",
                              "error=\"insufficient_scope\""};
    case CATLATCH_IP_NOT_ALLOWED:
        return (struct words){"Forbidden", "ip_not_allowed",
                              "The API key may not be used from this address", NULL};
    case CATLATCH_USAGE_EXCEEDED:
        return (struct words){"Forbidden", "usage_exceeded", "The API key's uses are spent", NULL};
    case CATLATCH_RATE_LIMITED:
        return (struct words){"Too Many Requests", "rate_limited", "Too many requests", NULL};
    case CATLATCH_UNAVAILABLE:
        return (struct words){"Service Unavailable", "verifier_unavailable",
                              "Your API key could not be checked; it was not rejected.", NULL};
    case CATLATCH_VALID:
        return (struct words){"OK", "valid", "The API key is valid", NULL};
    case CATLATCH_DENIED:
        break;
    }
    return (struct words){"Forbidden", "denied", "Access is denied", NULL};
}

/* Whole seconds, up: who waits so long is not early. 0: never. */
static unsigned long seconds_of(uint64_t ms)
{
    return ms == UINT64_MAX ? 0 : (unsigned long)(ms / 1000 + (ms % 1000 != 0));
}

void answer_init(struct answer *answer, const struct catlatch_outcome *outcome)
{
    *answer = (struct answer){.result = outcome->result,
                              .status = (unsigned)catlatch_result_http_status(outcome->result)};
    answer->limit.size = sizeof answer->limit;
    bool is_told = catlatch_limit(outcome, &answer->limit) == 0;
    if (outcome->result == CATLATCH_UNAVAILABLE)
        answer->retry_after_s = OUTAGE_RETRY_S;
    if (!is_told)
        return;
    answer->retry_after_s = seconds_of(answer->limit.retry_after_ms);
    if (outcome->result == CATLATCH_USAGE_EXCEEDED)
        answer->status = answer->retry_after_s != 0 ? 429 : 403;
    else
        answer->is_limited = true;
}

bool answer_realm_is_sane(const char *realm, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (realm[i] < ' ' || realm[i] > '~' || realm[i] == '"' || realm[i] == '\\')
            return false;
    return len > 0 && len <= ANSWER_REALM_MAX;
}

size_t answer_challenge(const struct answer *answer, const char *realm, const char *scopes,
                        char ret[ANSWER_CHALLENGE_SIZE])
{
    const char *error = words_of(answer->result).error;
    int len = 0;

    if (error == NULL)
        return 0;
    if (answer->result == CATLATCH_INSUFFICIENT_SCOPE && scopes != NULL)
        len = snprintf(ret, ANSWER_CHALLENGE_SIZE, "Bearer realm=\"%s\", %s, scope=\"%s\"", realm,
                       error, scopes);
    else
        len = snprintf(ret, ANSWER_CHALLENGE_SIZE, "Bearer realm=\"%s\"%s%s", realm,
                       error[0] != '\0' ? ", " : "", error);
    return len > 0 && (size_t)len < ANSWER_CHALLENGE_SIZE ? (size_t)len : 0;
}

bool answer_rate(const struct answer *answer, char ret_policy[ANSWER_RATE_SIZE],
                 char ret_rate[ANSWER_RATE_SIZE])
{
    const struct catlatch_limit *limit = &answer->limit;

    if (!answer->is_limited)
        return false;
    snprintf(ret_policy, ANSWER_RATE_SIZE, "\"key\";q=%u;w=%u", (unsigned)limit->count,
             (unsigned)limit->period_s);
    snprintf(ret_rate, ANSWER_RATE_SIZE, "\"key\";r=%u;t=%lu", (unsigned)limit->remaining,
             seconds_of(limit->reset_ms));
    return true;
}

/* A text that grows at its end, and that is cut nowhere: all that comes into it is bounded. */
struct writing {
    char *at, *end;
};

static void put(struct writing *writing, const char *text, size_t len)
{
    if (len > (size_t)(writing->end - writing->at))
        len = (size_t)(writing->end - writing->at);
    memcpy(writing->at, text, len);
    writing->at += len;
}

static void put_text(struct writing *writing, const char *text)
{
    put(writing, text, strlen(text));
}

/* Scopes are of characters that JSON takes as they are. */
static void put_scopes(struct writing *writing, const char *scopes)
{
    put_text(writing, ",\"required_scopes\":[");
    for (const char *at = scopes; *at != '\0';) {
        size_t len = strcspn(at, " ");
        put_text(writing, at == scopes ? "\"" : ",\"");
        put(writing, at, len);
        put_text(writing, "\"");
        at += len + (at[len] == ' ');
    }
    put_text(writing, "]");
}

bool answer_request_id_is_sane(const char *id, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (id[i] <= ' ' || id[i] > '~' || id[i] == '"' || id[i] == '\\')
            return false;
    return len > 0 && len <= ANSWER_REQUEST_ID_MAX;
}

size_t answer_body(const struct answer *answer, const char *scopes, const char *request_id,
                   size_t request_id_len, char ret[ANSWER_BODY_SIZE])
{
    struct words words = words_of(answer->result);
    struct writing writing = {ret, ret + ANSWER_BODY_SIZE - 1};
    char head[256];

    snprintf(head, sizeof head,
             "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"code\":\"%s\"",
             answer->status == 429 ? "Too Many Requests" : words.title, answer->status, words.code);
    put_text(&writing, head);
    put_text(&writing, ",\"detail\":\"");
    put_text(&writing, words.detail);
    put_text(&writing, "\"");
    if (answer->result == CATLATCH_INSUFFICIENT_SCOPE && scopes != NULL)
        put_scopes(&writing, scopes);
    if (request_id != NULL && answer_request_id_is_sane(request_id, request_id_len)) {
        put_text(&writing, ",\"request_id\":\"");
        put(&writing, request_id, request_id_len);
        put_text(&writing, "\"");
    }
    put_text(&writing, "}\n");
    *writing.at = '\0';
    return (size_t)(writing.at - ret);
}
