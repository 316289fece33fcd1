#include "plugin/http/fields.h"

#include <stdio.h>
#include <string.h>

void fields_tell_rate(const struct answer *answer, fields_told told, void *context)
{
    char policy[ANSWER_RATE_SIZE], rate[ANSWER_RATE_SIZE];

    if (!answer_rate(answer, policy, rate))
        return;
    told(context, "RateLimit-Policy", policy);
    told(context, "RateLimit", rate);
}

static void tell_challenge(const struct answer *answer, const char *realm, const char *scopes,
                           fields_told told, void *context)
{
    char challenge[ANSWER_CHALLENGE_SIZE];

    if (answer_challenge(answer, realm, scopes, challenge) > 0)
        told(context, "WWW-Authenticate", challenge);
}

static void tell_retry(const struct answer *answer, fields_told told, void *context)
{
    char text[24];

    if (answer->retry_after_s == 0)
        return;
    snprintf(text, sizeof text, "%lu", answer->retry_after_s);
    told(context, "Retry-After", text);
}

static void tell_request_id(const char *id, size_t len, fields_told told, void *context)
{
    char text[ANSWER_REQUEST_ID_MAX + 1];

    if (id == NULL || !answer_request_id_is_sane(id, len))
        return;
    memcpy(text, id, len);
    text[len] = '\0';
    told(context, "X-Request-Id", text);
}

void fields_tell(const struct answer *answer, const char *realm, const char *scopes,
                 const char *request_id, size_t request_id_len, fields_told told, void *context)
{
    fields_tell_rate(answer, told, context);
    if (answer->result == CATLATCH_VALID)
        return;
    tell_challenge(answer, realm, scopes, told, context);
    tell_retry(answer, told, context);
    told(context, "Cache-Control", "no-store");
    tell_request_id(request_id, request_id_len, told, context);
}
