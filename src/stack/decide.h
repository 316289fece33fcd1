/*
 * decide.h - the decision about one key: the lines of a service run in their order, and their
 * results combined as Linux-PAM does. Pure reading and wait-free, but for what modules do.
 *
 * Two halves, so that a caller can hash its keys and ask for their cache lines before it looks at
 * the first: stack_prepare touches no table, stack_decide does. It looks the digest up before any
 * line runs: a text that has the digest of a slot is the very text that the slot was written for,
 * so what the slot knows of its form need not be found out again.
 *
 * The rules, where they are stricter than PAM's:
 * - a value that is no result counts as a failure, `denied`;
 * - whatever is not granted is UNAVAILABLE if any line that ran was: an outage is not a denial;
 * - a request that names scopes, and a service in which no line sees to them: denied.
 */
#ifndef STACK_DECIDE_H
#define STACK_DECIDE_H

#include "core/digest.h"
#include "stack/facts.h"
#include "stack/service.h"
#include "table/view.h"
#include "usage/area.h"

struct stack_request {
    const char *key; /* NULL: decide about a digest (recheck) */
    size_t key_len;
    const char *const *scopes; /* NUL-terminated */
    size_t scope_count;
    const char *address; /* NUL-terminated; NULL: not known */
    bool is_dry;         /* nothing is to be settled */
};

/* One decision on its way. `call` comes first: it is what modules see and hand back to the host.
 * The caller may set usage, its clock, facts and trace before it decides. */
struct stack_run {
    struct catlatch_call call;
    struct stack_service *service;
    const struct table_view *view;
    struct stack_facts *facts;      /* NULL: nobody listens */
    struct stack_trace *trace;      /* NULL: nobody looks */
    const struct usage_area *usage; /* where workers count; NULL: nothing is counted */
    uint64_t now_ns; /* CLOCK_MONOTONIC_COARSE, read for this decision; 0: it was not */
    struct digest digest;
    struct table_hit hit;   /* if call.lookup is a hit */
    struct table_usage has; /* in the usage area, of the key that was found */
    bool matched;           /* it is, and a line that decides by the record ran */
};

/* Hashes the text unless it is longer than any key (KEY_FOREIGN_MAX). Sets up *ret_run, facts and
 * trace (the service's own, if any) included. */
void stack_prepare(struct stack_service *service, const struct stack_request *request,
                   struct stack_run *ret_run);

/* The same for a key whose digest is known: request->key is NULL. */
void stack_prepare_known(struct stack_service *service, const struct stack_request *request,
                         const struct digest *digest, struct stack_run *ret_run);

/* view NULL: there is no table to be had. Valid until the request goes or the service runs again.
 */
enum catlatch_result stack_decide(struct stack_run *run, const struct table_view *view);

/* Line `index` of the service and what the trace says of it. */
void stack_tell_step(const struct stack_service *service, const struct stack_trace *trace,
                     unsigned index, struct catlatch_step *ret);

#endif
