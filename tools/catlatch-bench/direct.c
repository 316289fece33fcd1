#include "direct.h"

#include <string.h>

#include "core/digest.h"
#include "keys.h"
#include "lib/sized.h"
#include "stack/judge.h"

int direct_open(struct direct *direct, const char *run_dir, struct error *error)
{
    *direct = (struct direct){.environments = {.count = 1, .list = {{"live", KEYS_PREFIX}}}};
    int r = attach_init(&direct->attach, run_dir, "", error);
    if (r == 0 && attach_refresh(&direct->attach, attach_clock_ms()) == NULL)
        r = error_set(error, CATLATCH_E_UNAVAILABLE, "no table in %s", run_dir);
    return r;
}

void direct_close(struct direct *direct)
{
    attach_end(&direct->attach);
}

static enum catlatch_result check_format(const struct direct *direct,
                                         const struct catlatch_request *request,
                                         const struct table_hit *hit)
{
    int is_fine = (hit->control & CONTROL_WELL_FORMED) != 0
                      ? key_has_known_prefix(&direct->environments, request->key, request->key_len)
                      : key_is_well_formed(&direct->environments, request->key, request->key_len);
    return is_fine ? CATLATCH_VALID : CATLATCH_MALFORMED;
}

static enum catlatch_result check_scopes(const struct table_view *view,
                                         const struct catlatch_request *request,
                                         const struct table_hit *hit)
{
    for (size_t i = 0; i < request->scope_count; i++) {
        int has = table_has_scope(view, hit->slot, request->scopes[i], strlen(request->scopes[i]));
        if (has != 1)
            return has < 0 ? CATLATCH_UNAVAILABLE : CATLATCH_INSUFFICIENT_SCOPE;
    }
    return CATLATCH_VALID;
}

static enum catlatch_result check(const struct direct *direct, const struct table_view *view,
                                  const struct catlatch_request *request,
                                  const struct digest *digest, struct table_hit *hit)
{
    enum catlatch_result result;

    switch (table_find(view, digest, hit)) {
    case TABLE_MISS:
        return CATLATCH_NOT_FOUND;
    case TABLE_DAMAGED:
        return CATLATCH_UNAVAILABLE;
    case TABLE_HIT:
        break;
    }
    if ((result = check_format(direct, request, hit)) != CATLATCH_VALID ||
        (result = judge_record(view, hit)) != CATLATCH_VALID)
        return result;
    int is_live = table_environment_is(view, control_environment(hit->control), "live");
    if (is_live != 1)
        return is_live < 0 ? CATLATCH_UNAVAILABLE : CATLATCH_WRONG_ENVIRONMENT;
    if ((result = check_scopes(view, request, hit)) != CATLATCH_VALID)
        return result;
    int allows = table_allows(view, hit->slot, NULL);
    return allows > 0    ? CATLATCH_VALID
           : allows == 0 ? CATLATCH_IP_NOT_ALLOWED
                         : CATLATCH_UNAVAILABLE;
}

enum catlatch_result direct_verify(struct direct *direct, const struct catlatch_request *request,
                                   struct catlatch_outcome *outcome)
{
    struct digest digest;
    struct table_hit hit;

    /* What a library has to make sure of, with a stack or without. */
    if (!sized_is_understood(request, request->size, SIZED_REQUEST, sizeof *request) ||
        !sized_is_sane(outcome->size, SIZED_OUTCOME) || request->key == NULL ||
        request->authorization != NULL || request->key_len > KEY_FOREIGN_MAX ||
        (request->scope_count > 0 && request->scopes == NULL))
        return CATLATCH_INVALID_REQUEST;
    digest_of(request->key, request->key_len, &digest);
    attach_prefetch(&direct->attach, &digest);
    const struct table_view *view = attach_view(&direct->attach);
    outcome->result =
        view != NULL ? check(direct, view, request, &digest, &hit) : CATLATCH_UNAVAILABLE;
    outcome->matched = outcome->result == CATLATCH_VALID;
    memset(outcome->opaque, 0, sizeof outcome->opaque);
    memcpy(outcome->opaque, digest.word, sizeof digest);
    return outcome->result;
}
