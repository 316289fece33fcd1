#include "core/result.h"

const char *result_name(enum catlatch_result result)
{
    switch (result) {
    case CATLATCH_DENIED:
        return "denied";
    case CATLATCH_VALID:
        return "valid";
    case CATLATCH_INVALID_REQUEST:
        return "invalid_request";
    case CATLATCH_MISSING:
        return "missing";
    case CATLATCH_MALFORMED:
        return "malformed";
    case CATLATCH_NOT_FOUND:
        return "not_found";
    case CATLATCH_REVOKED:
        return "revoked";
    case CATLATCH_DISABLED:
        return "disabled";
    case CATLATCH_EXPIRED:
        return "expired";
    case CATLATCH_NOT_YET_VALID:
        return "not_yet_valid";
    case CATLATCH_WRONG_ENVIRONMENT:
        return "wrong_environment";
    case CATLATCH_INSUFFICIENT_SCOPE:
        return "insufficient_scope";
    case CATLATCH_IP_NOT_ALLOWED:
        return "ip_not_allowed";
    case CATLATCH_USAGE_EXCEEDED:
        return "usage_exceeded";
    case CATLATCH_RATE_LIMITED:
        return "rate_limited";
    case CATLATCH_UNAVAILABLE:
        return "unavailable";
    }
    return "denied";
}

int result_http_status(enum catlatch_result result)
{
    switch (result) {
    case CATLATCH_VALID:
        return 200;
    case CATLATCH_INVALID_REQUEST:
        return 400;
    case CATLATCH_MISSING:
    case CATLATCH_MALFORMED:
    case CATLATCH_NOT_FOUND:
    case CATLATCH_REVOKED:
    case CATLATCH_DISABLED:
    case CATLATCH_EXPIRED:
    case CATLATCH_NOT_YET_VALID:
    case CATLATCH_WRONG_ENVIRONMENT:
        return 401;
    case CATLATCH_DENIED:
    case CATLATCH_INSUFFICIENT_SCOPE:
    case CATLATCH_IP_NOT_ALLOWED:
    case CATLATCH_USAGE_EXCEEDED:
        return 403;
    case CATLATCH_RATE_LIMITED:
        return 429;
    case CATLATCH_UNAVAILABLE:
        return 503;
    }
    return 403;
}
