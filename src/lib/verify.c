/*
 * A verification: the credential out of the request, its digest, the table of this moment, the
 * decision. The digest comes first and its cache line is asked for at once, so that what else there
 * is to do is done while memory answers.
 */
#include <string.h>
#include <time.h>

#include "core/key.h"
#include "lib/bearer.h"
#include "lib/handle.h"
#include "lib/sized.h"
#include "stack/charge.h"
#include "stack/decide.h"
#include "stack/identity.h"
#include "stack/note.h"

/* Keys of a batch whose cache lines are asked for together: about as many as a core can wait for
 * at once, and their states take little of the stack. */
#define BATCH_STRIDE 16u

static enum catlatch_result read_scopes(const struct catlatch_request *request,
                                        struct stack_request *ret)
{
    if (request->scope_count > 0 && request->scopes == NULL)
        return CATLATCH_INVALID_REQUEST;
    for (size_t i = 0; i < request->scope_count; i++)
        if (request->scopes[i] == NULL)
            return CATLATCH_INVALID_REQUEST;
    ret->scopes = request->scopes;
    ret->scope_count = request->scope_count;
    return CATLATCH_VALID;
}

static enum catlatch_result read_credential(const struct catlatch_request *request,
                                            struct stack_request *ret)
{
    if (request->key != NULL) {
        ret->key = request->key;
        ret->key_len = request->key_len;
        return request->authorization == NULL ? CATLATCH_VALID : CATLATCH_INVALID_REQUEST;
    }
    if (request->authorization == NULL)
        return CATLATCH_MISSING;
    struct text token;
    enum catlatch_result result =
        bearer_token(request->authorization, request->authorization_len, &token);
    if (result == CATLATCH_VALID) {
        ret->key = token.bytes;
        ret->key_len = token.len;
    }
    return result;
}

static enum catlatch_result read_request(const struct catlatch_request *request,
                                         struct stack_request *ret)
{
    if (!sized_is_understood(request, request->size, SIZED_REQUEST, sizeof *request))
        return CATLATCH_INVALID_REQUEST;
    ret->address = request->address;
    ret->is_dry = false;
    enum catlatch_result result = read_scopes(request, ret);
    return result == CATLATCH_VALID ? read_credential(request, ret) : result;
}

/* What is known of one key on its way through: the answer already, or what to decide on. */
struct item {
    enum catlatch_result result; /* VALID: to be decided */
    struct stack_run run;
};

static void item_prepare(struct catlatch *handle, const struct catlatch_request *request,
                         struct item *item)
{
    struct stack_request asked;

    item->run.matched = false;
    item->result = read_request(request, &asked);
    if (item->result != CATLATCH_VALID)
        return;
    stack_prepare(handle->service, &asked, &item->run);
    if (item->run.call.digest != NULL)
        attach_prefetch(&handle->attach, &item->run.digest);
}

/* Decides, and counts it. */
static void item_settle(struct catlatch *handle, const struct table_view *view,
                        const struct usage_area *usage, struct item *item)
{
    if (item->result != CATLATCH_VALID)
        return;
    item->run.usage = usage;
    item->run.now_ns = handle->attach.now_ns;
    item->result = stack_decide(&item->run, view);
    if (usage != NULL)
        stack_note(&item->run, item->result, handle->record_address,
                   records_now_unix_s(&handle->records, handle->attach.now_ms));
}

/* Counts what came of a request, whether or not it was about a key. */
static enum catlatch_result note_outcome(const struct catlatch *handle, enum catlatch_result result)
{
    if (handle != NULL)
        line_note(&handle->records.line, result);
    return result;
}

/* The usage area of the table that is used now. */
static const struct usage_area *usage_of(struct catlatch *handle, const struct table_view *view)
{
    return view != NULL ? records_area(&handle->records, &handle->attach) : NULL;
}

/* What an outcome keeps to itself: the digest, and behind it the limit. */
#define LIMIT_AT DIGEST_WORDS
static_assert(sizeof(struct digest) == LIMIT_AT * sizeof(uint64_t) &&
                  sizeof(struct digest) + sizeof(struct stack_limit) <=
                      sizeof(((struct catlatch_outcome *)0)->opaque),
              "an outcome has room for both");

/* 0 too where it is too far off for anybody to wait for it. */
static uint32_t refill_of(const struct stack_charges *charges)
{
    struct stack_uses uses;

    return stack_uses_tell(charges, &uses) && uses.refill_unix_s <= UINT32_MAX
               ? (uint32_t)uses.refill_unix_s
               : 0;
}

/* Before the service decides again. */
static void item_tell(const struct item *item, struct catlatch_outcome *outcome)
{
    struct stack_limit limit;

    outcome->result = item->result;
    outcome->matched = item->run.matched;
    memset(outcome->opaque, 0, sizeof outcome->opaque);
    if (!item->run.matched)
        return;
    memcpy(outcome->opaque, item->run.digest.word, sizeof item->run.digest);
    if (!stack_has_charged(item->run.service->charges))
        return;
    stack_limit_tell(item->run.service->charges, &limit);
    if (item->result == CATLATCH_USAGE_EXCEEDED)
        limit.refill_unix_s = refill_of(item->run.service->charges);
    memcpy(outcome->opaque + LIMIT_AT, &limit, sizeof limit);
}

/* Of uses that are spent. */
static int tell_refill(uint32_t refill_unix_s, struct catlatch_limit *ret)
{
    int64_t wait_s = (int64_t)refill_unix_s - time(NULL);

    ret->count = ret->period_s = ret->burst = ret->remaining = 0;
    ret->reset_ms = ret->retry_after_ms =
        refill_unix_s == 0 ? UINT64_MAX : (uint64_t)(wait_s > 0 ? wait_s : 0) * 1000;
    return 0;
}

LIB_EXPORT int catlatch_limit(const struct catlatch_outcome *outcome,
                              struct catlatch_limit *ret_limit)
{
    struct stack_limit limit;
    struct limit_answer answer;

    if (outcome == NULL || ret_limit == NULL || !sized_is_sane(outcome->size, SIZED_OUTCOME) ||
        !sized_is_sane(ret_limit->size, SIZED_LIMIT))
        return CATLATCH_E_ARGUMENT;
    memcpy(&limit, outcome->opaque + LIMIT_AT, sizeof limit);
    if (outcome->matched == 1 && outcome->result == CATLATCH_USAGE_EXCEEDED)
        return tell_refill(limit.refill_unix_s, ret_limit);
    if (outcome->matched != 1 || limit.rate.count == 0)
        return CATLATCH_E_NOT_FOUND;
    stack_limit_answer(&limit, &answer);
    ret_limit->count = limit.rate.count;
    ret_limit->period_s = limit.rate.period_s;
    ret_limit->burst = limit.rate.burst;
    ret_limit->remaining = answer.remaining;
    ret_limit->reset_ms = answer.reset_ms;
    ret_limit->retry_after_ms = answer.retry_after_ms;
    return 0;
}

LIB_EXPORT enum catlatch_result catlatch_verify(struct catlatch *handle,
                                                const struct catlatch_request *request,
                                                struct catlatch_outcome *ret_outcome)
{
    struct item item;

    if (request == NULL ||
        (ret_outcome != NULL && !sized_is_sane(ret_outcome->size, SIZED_OUTCOME)))
        return note_outcome(handle, CATLATCH_INVALID_REQUEST);
    if (handle == NULL) {
        item = (struct item){.result = CATLATCH_UNAVAILABLE};
    } else {
        item_prepare(handle, request, &item);
        item.run.facts = &handle->facts;
        handle->facts.count = handle->facts.used = 0;
        const struct table_view *view = attach_view(&handle->attach);
        item_settle(handle, view, usage_of(handle, view), &item);
        note_outcome(handle, item.result);
    }
    if (ret_outcome != NULL)
        item_tell(&item, ret_outcome);
    return item.result;
}

LIB_EXPORT enum catlatch_result catlatch_explain(
    struct catlatch *handle, const struct catlatch_request *request,
    struct catlatch_outcome *ret_outcome,
    void (*told)(void *context, const struct catlatch_step *step), void *context)
{
    struct item item;
    struct stack_trace trace;
    struct catlatch_step step = {.size = sizeof step};

    if (handle == NULL || request == NULL || told == NULL || ret_outcome == NULL ||
        !sized_is_sane(ret_outcome->size, SIZED_OUTCOME))
        return CATLATCH_INVALID_REQUEST;
    item_prepare(handle, request, &item);
    if (item.result == CATLATCH_VALID) {
        const struct table_view *view = attach_view(&handle->attach);
        item.run.usage = usage_of(handle, view);
        item.run.trace = &trace;
        item.run.call.flags |= CATLATCH_CALL_DRY;
        item.result = stack_decide(&item.run, view);
        for (unsigned i = 0; i < handle->service->count; i++) {
            stack_tell_step(handle->service, &trace, i, &step);
            told(context, &step);
        }
    }
    item_tell(&item, ret_outcome);
    return item.result;
}

/* Arrays whose elements may be longer or shorter than ours. */
struct batch {
    const char *requests;
    size_t request_size;
    char *outcomes;
    size_t outcome_size;
};

static const struct catlatch_request *batch_request(const struct batch *batch, size_t i)
{
    return (const void *)(batch->requests + i * batch->request_size);
}

static struct catlatch_outcome *batch_outcome(const struct batch *batch, size_t i)
{
    return (void *)(batch->outcomes + i * batch->outcome_size);
}

/* At most BATCH_STRIDE keys. */
static size_t verify_some(struct catlatch *handle, const struct table_view *view,
                          const struct batch *batch, size_t first, size_t count)
{
    struct item items[BATCH_STRIDE];
    const struct usage_area *usage = usage_of(handle, view);
    size_t granted = 0;

    for (size_t i = 0; i < count; i++) {
        const struct catlatch_request *request = batch_request(batch, first + i);
        if (request->size == batch->request_size)
            item_prepare(handle, request, &items[i]);
        else
            items[i] = (struct item){.result = CATLATCH_INVALID_REQUEST};
    }
    for (size_t i = 0; i < count; i++) {
        item_settle(handle, view, usage, &items[i]);
        note_outcome(handle, items[i].result);
        item_tell(&items[i], batch_outcome(batch, first + i));
        granted += items[i].result == CATLATCH_VALID;
    }
    return granted;
}

static size_t refuse_all(const struct catlatch *handle, const struct batch *batch, size_t count,
                         enum catlatch_result result)
{
    const struct item refused = {.result = result};
    for (size_t i = 0; i < count; i++) {
        note_outcome(handle, result);
        item_tell(&refused, batch_outcome(batch, i));
    }
    return 0;
}

LIB_EXPORT size_t catlatch_verify_batch(struct catlatch *handle,
                                        const struct catlatch_request *requests,
                                        struct catlatch_outcome *ret_outcomes, size_t count)
{
    if (ret_outcomes == NULL || count == 0 || !sized_is_sane(ret_outcomes->size, SIZED_OUTCOME))
        return 0;
    struct batch batch = {
        .requests = (const char *)requests,
        .outcomes = (char *)ret_outcomes,
        .outcome_size = ret_outcomes->size,
    };
    if (requests == NULL || !sized_is_sane(requests->size, SIZED_REQUEST))
        return refuse_all(handle, &batch, count, CATLATCH_INVALID_REQUEST);
    if (handle == NULL)
        return refuse_all(handle, &batch, count, CATLATCH_UNAVAILABLE);
    batch.request_size = requests->size;

    size_t granted = 0;
    for (size_t first = 0; first < count; first += BATCH_STRIDE) {
        size_t some = count - first < BATCH_STRIDE ? count - first : BATCH_STRIDE;
        /* Anew for each stride: a long batch must not outlive the table that it began with. */
        granted += verify_some(handle, attach_view(&handle->attach), &batch, first, some);
    }
    return granted;
}

/* The digest that an outcome found. False if it found none. */
static bool known_digest(const struct catlatch_outcome *known, struct digest *ret_digest)
{
    if (known == NULL || !sized_is_sane(known->size, SIZED_OUTCOME) || known->matched != 1)
        return false;
    memcpy(ret_digest->word, known->opaque, sizeof *ret_digest);
    return true;
}

/* What is asked of a key that the caller does not have at hand. */
static enum catlatch_result read_recheck(const struct catlatch_request *request,
                                         struct stack_request *ret)
{
    if (request == NULL)
        return CATLATCH_VALID;
    return read_request(request, ret) == CATLATCH_MISSING ? CATLATCH_VALID
                                                          : CATLATCH_INVALID_REQUEST;
}

LIB_EXPORT enum catlatch_result catlatch_recheck(struct catlatch *handle,
                                                 const struct catlatch_outcome *known,
                                                 const struct catlatch_request *request)
{
    struct stack_request asked = {0};
    struct stack_run run;
    struct digest digest;

    enum catlatch_result result = read_recheck(request, &asked);
    if (result != CATLATCH_VALID)
        return result;
    if (!known_digest(known, &digest))
        return CATLATCH_MISSING;
    if (handle == NULL)
        return CATLATCH_UNAVAILABLE;
    stack_prepare_known(handle->service, &asked, &digest, &run);
    return stack_decide(&run, attach_view(&handle->attach));
}

static int find_identity(const struct table_view *view, const struct digest *digest,
                         struct catlatch_identity *ret)
{
    struct table_hit hit;

    switch (table_find(view, digest, &hit)) {
    case TABLE_MISS:
        return CATLATCH_E_NOT_FOUND;
    case TABLE_DAMAGED:
        return CATLATCH_E_UNAVAILABLE;
    case TABLE_HIT:
        break;
    }
    return stack_identity(view, &hit, ret);
}

LIB_EXPORT int catlatch_identity(struct catlatch *handle, const struct catlatch_outcome *outcome,
                                 struct catlatch_identity *ret_identity)
{
    struct catlatch_identity identity = {0};
    struct digest digest;

    if (handle == NULL || ret_identity == NULL || !known_digest(outcome, &digest) ||
        !sized_is_sane(ret_identity->size, SIZED_IDENTITY))
        return CATLATCH_E_ARGUMENT;
    const struct table_view *view = attach_view(&handle->attach);
    if (view == NULL)
        return CATLATCH_E_UNAVAILABLE;
    int r = find_identity(view, &digest, &identity);
    if (r != 0)
        return r;
    identity.size = ret_identity->size;
    *ret_identity = identity;
    return 0;
}
