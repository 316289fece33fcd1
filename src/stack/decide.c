#include "stack/decide.h"

#include <string.h>
#include <time.h>

#define SCOPE_LEN_MAX 64u /* text_is_scope's bound */

void stack_prepare(const struct stack_service *service, const struct stack_request *request,
                   struct stack_state *ret_state)
{
    size_t longest =
        service->control[STACK_FORMAT] == STACK_REQUISITE ? KEY_TEXT_MAX : KEY_FOREIGN_MAX;
    ret_state->format = CATLATCH_VALID;
    ret_state->matched = false;
    ret_state->hashed = request->key_len <= longest;
    if (ret_state->hashed)
        digest_of(request->key, request->key_len, &ret_state->digest);
}

static enum catlatch_result check_format(const struct stack_service *service,
                                         const struct stack_request *request,
                                         struct stack_state *state)
{
    if (request->key == NULL)
        return CATLATCH_VALID;
    bool proven = state->found == TABLE_HIT && (state->hit.control & CONTROL_WELL_FORMED) != 0;
    const struct key_environments *known = &service->environments;
    if (!(proven ? key_has_known_prefix(known, request->key, request->key_len)
                 : key_is_well_formed(known, request->key, request->key_len)))
        state->format = CATLATCH_MALFORMED;
    return state->format;
}

/* A live key that nobody switched off: has its time come, and is it not over? */
static enum catlatch_result check_times(const struct table_view *view, const struct table_hit *hit)
{
    int64_t not_before_unix_s = 0, expires_unix_s = control_expires_unix_s(hit->control);
    bool has_not_before = (hit->control & CONTROL_NOT_BEFORE) != 0;
    struct timespec now;

    if (!has_not_before && expires_unix_s == 0)
        return CATLATCH_VALID;
    if (clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0 ||
        (has_not_before && table_not_before(view, hit->slot, &not_before_unix_s) != 0))
        return CATLATCH_UNAVAILABLE;
    if (has_not_before && now.tv_sec < not_before_unix_s)
        return CATLATCH_NOT_YET_VALID;
    return expires_unix_s != 0 && now.tv_sec >= expires_unix_s ? CATLATCH_EXPIRED : CATLATCH_VALID;
}

static enum catlatch_result check_state(const struct table_view *view, const struct table_hit *hit)
{
    unsigned state = control_state(hit->control);
    if (state == SLOT_REVOKED)
        return CATLATCH_REVOKED;
    if (state != SLOT_LIVE)
        return CATLATCH_UNAVAILABLE;
    if ((hit->control & (CONTROL_DISABLED | CONTROL_SUSPENDED)) != 0)
        return CATLATCH_DISABLED;
    return check_times(view, hit);
}

static enum catlatch_result check_table(const struct table_view *view, struct stack_state *state)
{
    if (view == NULL)
        return CATLATCH_UNAVAILABLE;
    if (!state->hashed)
        return CATLATCH_MALFORMED;
    switch (state->found) {
    case TABLE_MISS:
        return CATLATCH_NOT_FOUND;
    case TABLE_DAMAGED:
        return CATLATCH_UNAVAILABLE;
    case TABLE_HIT:
        break;
    }
    state->matched = true;
    return check_state(view, &state->hit);
}

static enum catlatch_result check_environment(const struct stack_service *service,
                                              const struct table_view *view,
                                              const struct stack_state *state)
{
    if (!state->matched)
        return CATLATCH_DENIED;
    unsigned number = control_environment(state->hit.control);
    for (size_t i = 0; i < service->allowed_count; i++) {
        int is = table_environment_is(view, number, service->allowed[i]);
        if (is != 0)
            return is > 0 ? CATLATCH_VALID : CATLATCH_UNAVAILABLE;
    }
    return CATLATCH_WRONG_ENVIRONMENT;
}

static enum catlatch_result check_scope(const struct table_view *view,
                                        const struct stack_request *request,
                                        const struct stack_state *state)
{
    if (!state->matched)
        return CATLATCH_DENIED;
    for (size_t i = 0; i < request->scope_count; i++) {
        const char *scope = request->scopes[i];
        size_t len = strnlen(scope, SCOPE_LEN_MAX + 1);
        int has = table_has_scope(view, state->hit.slot, scope, len);
        if (has < 0)
            return CATLATCH_UNAVAILABLE;
        if (has == 0)
            return text_is_scope(scope, len) ? CATLATCH_INSUFFICIENT_SCOPE
                                             : CATLATCH_INVALID_REQUEST;
    }
    return CATLATCH_VALID;
}

static enum catlatch_result run_check(enum stack_check check, const struct stack_service *service,
                                      const struct table_view *view,
                                      const struct stack_request *request,
                                      struct stack_state *state)
{
    switch (check) {
    case STACK_FORMAT:
        return check_format(service, request, state);
    case STACK_TABLE:
        return check_table(view, state);
    case STACK_ENVIRONMENT:
        return check_environment(service, view, state);
    case STACK_SCOPE:
        return check_scope(view, request, state);
    case STACK_CHECKS:
        break;
    }
    return CATLATCH_DENIED;
}

enum catlatch_result stack_decide(const struct stack_service *service,
                                  const struct table_view *view,
                                  const struct stack_request *request, struct stack_state *state)
{
    enum catlatch_result failure = CATLATCH_VALID;

    state->matched = false;
    state->found = TABLE_MISS;
    if (view != NULL && state->hashed)
        state->found = table_find(view, &state->digest, &state->hit);
    if (request->scope_count > 0 && service->control[STACK_SCOPE] == STACK_ABSENT)
        return CATLATCH_DENIED;
    for (unsigned check = 0; check < STACK_CHECKS; check++) {
        if (service->control[check] == STACK_ABSENT)
            continue;
        enum catlatch_result result =
            run_check((enum stack_check)check, service, view, request, state);
        if (result == CATLATCH_VALID)
            continue;
        /* Nothing that could run after it changes this answer. */
        if (result == CATLATCH_UNAVAILABLE)
            return CATLATCH_UNAVAILABLE;
        if (failure == CATLATCH_VALID)
            failure = result;
        if (service->control[check] == STACK_REQUISITE)
            break;
    }
    if (failure != CATLATCH_VALID)
        return failure;
    return state->matched ? CATLATCH_VALID : CATLATCH_DENIED;
}
