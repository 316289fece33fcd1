/*
 * decide.h - the decision about one key: pure reading, wait-free.
 *
 * Two halves, so that a caller can hash its keys and ask for their cache lines before it looks at
 * the first: stack_prepare touches no table, stack_decide does.
 *
 * The second half looks the digest up before any check runs. A text that has the digest of a slot
 * is the very text that the slot was written for, so what the slot knows of its form need not be
 * found out again: `format` costs a live key of ours no more than a look at its prefix.
 */
#ifndef STACK_DECIDE_H
#define STACK_DECIDE_H

#include "core/digest.h"
#include "stack/service.h"
#include "table/view.h"

struct stack_request {
    const char *key; /* NULL: decide about `digest` as it stands (recheck) */
    size_t key_len;
    const char *const *scopes; /* NUL-terminated */
    size_t scope_count;
};

struct stack_state {
    struct digest digest;
    bool hashed;                 /* the digest is set */
    enum catlatch_result format; /* what `format` said; VALID when it is absent or did not run */
    enum table_found found;      /* what the table says of the digest */
    struct table_hit hit;        /* if that is a hit */
    bool matched;                /* it is, and `table` ran: the caller may hear of it */
};

/* Hashes the text if the service could look it up: with `requisite = format` nothing is hashed that
 * is longer than a key of ours, otherwise nothing longer than KEY_FOREIGN_MAX. Sets *ret_state. A
 * request without a key has no need of it: its caller sets digest and hashed. */
void stack_prepare(const struct stack_service *service, const struct stack_request *request,
                   struct stack_state *ret_state);

/* What *state must hold: stack_prepare's work. Fills in the rest.
 * view NULL: there is no table to be had, so `table` is unavailable. The clock is read (coarse,
 * vDSO) only when the key has an expiry or a not-before. A request that names scopes to a service
 * without `scope` is denied: nothing would check them. */
enum catlatch_result stack_decide(const struct stack_service *service,
                                  const struct table_view *view,
                                  const struct stack_request *request, struct stack_state *state);

#endif
