/* What becomes of a key: looked at, asked about again, charged. */
#include "plugin/apache/mod_catlatch.h"

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <string.h>

#define DECISION_NAME "catlatch"

/* Where a request began: what is a part of it or goes on with it has the same key. */
static request_rec *origin_of(request_rec *r)
{
    while (r->main != NULL || r->prev != NULL)
        r = r->main != NULL ? r->main : r->prev;
    return r;
}

/* In the pool, for a redirect from within takes what is configured for a request away. */
static struct decision *find_decision(request_rec *r)
{
    void *decision = NULL;

    apr_pool_userdata_get(&decision, DECISION_NAME, origin_of(r)->pool);
    return decision;
}

static struct decision *find_or_make_decision(request_rec *r)
{
    apr_pool_t *pool = origin_of(r)->pool;
    struct decision *decision = find_decision(r);

    if (decision != NULL)
        return decision;
    decision = apr_pcalloc(pool, sizeof *decision);
    apr_pool_userdata_setn(decision, DECISION_NAME, NULL, pool);
    return decision;
}

struct verdict *verdict_of(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &catlatch_module);
}

const struct verdict *verdict_about(request_rec *r)
{
    const struct verdict *verdict = verdict_of(r);
    const struct decision *decision = verdict == NULL ? find_decision(r) : NULL;

    if (decision != NULL)
        verdict = decision->told;
    return verdict != NULL && !verdict->is_preflight ? verdict : NULL;
}

struct verdict *verdict_begin(request_rec *r)
{
    struct verdict *verdict = apr_pcalloc(r->pool, sizeof *verdict);

    verdict->decision = find_or_make_decision(r);
    ap_set_module_config(r->request_config, &catlatch_module, verdict);
    return verdict;
}

void verdict_may_lead(const request_rec *r, struct verdict *verdict)
{
    verdict->decision->leader = r->main;
    verdict->decision->leaders_conf = r->main->per_dir_config;
}

/* What is configured for a request changes by nothing else. */
bool verdict_was_led(request_rec *r)
{
    const struct decision *decision = find_decision(r);

    return decision != NULL && decision->leader == r && decision->leaders_conf != r->per_dir_config;
}

static void prepare(const request_rec *r, struct catlatch_request *request)
{
    memset(request, 0, sizeof *request);
    request->size = sizeof *request;
    request->address = r->useragent_ip;
}

static void no_step(void *context, const struct catlatch_step *step)
{
    (void)context, (void)step;
}

/* Decides, and settles nothing. */
static enum catlatch_result look(struct catlatch *latch, const struct catlatch_request *request,
                                 struct catlatch_outcome *ret)
{
    return catlatch_explain(latch, request, ret, no_step, NULL);
}

static void choose(struct catlatch_request *request, const char *key, size_t len)
{
    request->key = key;
    request->key_len = len;
}

/* Who is looked at for the first time says which of both is the key. */
static void choose_of_basic(struct catlatch *latch, struct decision *decision,
                            const struct credential_basic *basic, struct catlatch_request *request)
{
    if (decision->target == NULL) {
        decision->is_user = basic->password_len == 0;
        choose(request, basic->password, basic->password_len);
        if (!decision->is_user)
            decision->is_user = credential_user_is_next(look(latch, request, &decision->outcome));
    }
    if (decision->is_user)
        choose(request, basic->user, basic->user_len);
    else
        choose(request, basic->password, basic->password_len);
}

/* The key that was found, into the request. False: it cannot be read. */
static bool take_key(struct catlatch *latch, struct decision *decision,
                     struct credential_basic *basic, struct catlatch_request *request)
{
    const struct found *found = &decision->found;

    if (found->found == FOUND_NONE)
        return true;
    switch (found->source) {
    case SOURCE_BASIC:
        if (!credential_read_basic(found->value, strlen(found->value), basic))
            return false;
        choose_of_basic(latch, decision, basic, request);
        return true;
    case SOURCE_BEARER:
        request->authorization = found->value;
        request->authorization_len = strlen(found->value);
        return true;
    default:
        choose(request, found->value, strlen(found->value));
        return true;
    }
}

/* Only who is refused is verified here: that is what counts refusals, and it charges nobody, but
 * where the key is good by now. */
static void look_first(struct catlatch *latch, struct decision *decision,
                       struct catlatch_request *request)
{
    struct credential_basic basic;
    struct catlatch_outcome *outcome = &decision->outcome;

    if (!take_key(latch, decision, &basic, request)) {
        outcome->result = CATLATCH_MALFORMED;
    } else if (look(latch, request, outcome) != CATLATCH_VALID) {
        catlatch_verify(latch, request, outcome);
        decision->is_charged = outcome->result == CATLATCH_VALID;
    }
    OPENSSL_cleanse(&basic, sizeof basic);
}

static void decide(request_rec *r, struct catlatch *latch, const struct target *target,
                   struct verdict *verdict)
{
    struct decision *decision = verdict->decision;
    struct catlatch_request request;

    decision->outcome = (struct catlatch_outcome){.size = sizeof decision->outcome};
    decision->found = credential_find(r, conf_of(r)->sources);
    prepare(r, &request);
    if (decision->found.found == FOUND_SEVERAL)
        decision->outcome.result = CATLATCH_INVALID_REQUEST;
    else if (latch == NULL)
        decision->outcome.result = CATLATCH_UNAVAILABLE;
    else
        look_first(latch, decision, &request);
    decision->target = target;
    verdict->result = decision->outcome.result;
}

/*
 * What was refused once stays refused; what was granted is asked about again, and not charged: an
 * answer from behind can have sent it here, long after, and the key may be revoked since. A service
 * that grants without a key of the table cannot be asked about one again: only the same one can go
 * on.
 */
static void decide_again(const request_rec *r, struct catlatch *latch, const struct target *target,
                         struct verdict *verdict)
{
    const struct decision *decision = verdict->decision;
    const struct verdict *told = decision->told;
    struct catlatch_request request;

    verdict->result = decision->outcome.result;
    if (verdict->result == CATLATCH_VALID && told != NULL && told->is_refused) {
        verdict->result = told->result;
        verdict->missing = told->missing;
    }
    if (verdict->result != CATLATCH_VALID)
        return;
    prepare(r, &request);
    if (!decision->outcome.matched)
        verdict->result = decision->target == target ? CATLATCH_VALID : CATLATCH_DENIED;
    else if (latch == NULL)
        verdict->result = CATLATCH_UNAVAILABLE;
    else
        verdict->result = catlatch_recheck(latch, &decision->outcome, &request);
}

/* A copy of what the table says now. Without one nobody is granted: it is not known who. */
static void identify(const request_rec *r, struct catlatch *latch, struct verdict *verdict)
{
    struct catlatch_identity *identity;

    if (latch == NULL || !verdict->decision->outcome.matched)
        return;
    identity = apr_palloc(r->pool, sizeof *identity);
    identity->size = sizeof *identity;
    if (catlatch_identity(latch, &verdict->decision->outcome, identity) == 0)
        verdict->identity = identity;
    else if (verdict->result == CATLATCH_VALID)
        verdict->result = CATLATCH_UNAVAILABLE;
}

/* The decision's outcome tells of limits, but not where something else was decided since. */
static void make_answer(struct verdict *verdict)
{
    const struct catlatch_outcome *known = &verdict->decision->outcome;
    struct catlatch_outcome outcome = {.size = sizeof outcome, .result = verdict->result};

    answer_init(&verdict->answer, verdict->result == known->result ? known : &outcome);
}

void verdict_reach(request_rec *r, struct verdict *verdict)
{
    const struct target *target = target_of(r);
    struct held *held = target_take(target, r->server);
    struct catlatch *latch = held != NULL ? held->latch : NULL;

    if (verdict->decision->target == NULL)
        decide(r, latch, target, verdict);
    else
        decide_again(r, latch, target, verdict);
    identify(r, latch, verdict);
    target_give_back(target, held);
    make_answer(verdict);
}

/* Verifies what was looked at before, and so charges it. */
static void charge(struct catlatch *latch, const request_rec *r, struct decision *decision)
{
    struct credential_basic basic;
    struct catlatch_request request;

    prepare(r, &request);
    if (latch == NULL)
        decision->outcome.result = CATLATCH_UNAVAILABLE;
    else if (take_key(latch, decision, &basic, &request))
        catlatch_verify(latch, &request, &decision->outcome);
    else
        decision->outcome.result = CATLATCH_MALFORMED;
    OPENSSL_cleanse(&basic, sizeof basic);
    decision->is_charged = decision->outcome.result == CATLATCH_VALID;
}

void verdict_charge(request_rec *r, struct verdict *verdict)
{
    const struct target *target = target_of(r);

    if (verdict->decision->is_charged)
        return;
    struct held *held = target_take(target, r->server);
    charge(held != NULL ? held->latch : NULL, r, verdict->decision);
    target_give_back(target, held);
    verdict->result = verdict->decision->outcome.result;
    make_answer(verdict);
}

static const char *const *split(apr_pool_t *pool, const char *scopes, size_t *ret_count)
{
    apr_array_header_t *list = apr_array_make(pool, 4, sizeof(const char *));
    const char *scope;

    while (*(scope = ap_getword_white(pool, &scopes)) != '\0')
        APR_ARRAY_PUSH(list, const char *) = scope;
    *ret_count = (size_t)list->nelts;
    return (const char *const *)list->elts;
}

/* Counts the refusal where the service itself refuses for these scopes. One that does not look at
 * scopes would grant, and charge. */
static void count_missing(request_rec *r, struct catlatch *latch, const struct verdict *verdict)
{
    struct credential_basic basic;
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct catlatch_request request;

    prepare(r, &request);
    request.scopes = split(r->pool, verdict->missing, &request.scope_count);
    if (take_key(latch, verdict->decision, &basic, &request) &&
        look(latch, &request, &outcome) == CATLATCH_INSUFFICIENT_SCOPE)
        catlatch_verify(latch, &request, &outcome);
    OPENSSL_cleanse(&basic, sizeof basic);
}

void verdict_deny(request_rec *r, struct verdict *verdict)
{
    const struct target *target = target_of(r);

    verdict->result = verdict->missing != NULL ? CATLATCH_INSUFFICIENT_SCOPE : CATLATCH_DENIED;
    make_answer(verdict);
    if (verdict->missing == NULL || verdict->decision->is_charged)
        return;
    struct held *held = target_take(target, r->server);
    if (held != NULL)
        count_missing(r, held->latch, verdict);
    target_give_back(target, held);
}
