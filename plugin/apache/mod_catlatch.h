/*
 * mod_catlatch.h - API keys in Apache's children: each request is verified in the child that serves
 * it, by libcatlatch, under every MPM.
 *
 * What is of a configuration lives in its pool, what is of a request in the request's. Handles are
 * a child's own, and lent to one thread at a time (target.c).
 *
 * A key is decided about in two steps. Authentication only looks: whose key is it, and would it
 * pass? Then Apache asks what `Require` says, and only who has passed that too is charged. So a
 * request that is denied for another reason consumes nothing.
 */
#ifndef MOD_CATLATCH_H
#define MOD_CATLATCH_H

#include <stdbool.h>

#include <httpd.h>

#include <apr_tables.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <http_request.h>

#include "catlatch.h"
#include "plugin/http/answer.h"
#include "plugin/http/credential.h"

/* Where a directive stands. */
struct place {
    const char *file; /* NULL: nowhere */
    int line;
};

/* One service of one configuration: what handles are opened for. */
struct target {
    const char *config;  /* NULL: the one that the library was built with */
    const char *service; /* NULL: "default" */
    struct place place;  /* that asks for it; of none that nothing is known to ask for */
    struct shelf *shelf; /* of a child */
};

/* A handle that somebody has. */
struct held {
    struct catlatch *latch;
    struct held *next;
    unsigned round; /* of refreshing */
};

/* Where a key is looked for. */
struct source {
    enum { SOURCE_BEARER, SOURCE_BASIC, SOURCE_HEADER } kind;
    const char *header; /* its name */
};

struct server_conf {
    const char *config; /* NULL: as in struct target */
    struct place place;
    struct target *target; /* its service `default` */
};

/* A service that a directive names, of the configuration of the server that it stands in. */
struct named {
    const char *service;
    const server_rec *server;
    struct place place;
    struct target *target;
};

/* Of three: -1 is not said here. */
struct dir_conf {
    struct named *service;       /* NULL: the server's default */
    apr_array_header_t *sources; /* of struct source; NULL: bearer alone */
    int hides_credentials;
    int is_dry_run;
    int passes_preflight;
};

/* A key in a request. */
struct found {
    enum { FOUND_NONE, FOUND_ONE, FOUND_SEVERAL } found;
    int source; /* a kind of struct source, if one was found */
    const char *value;
};

/* What is known of the key of a request, of its subrequests and of what internal redirects make of
 * it: whatever asks first, it is charged once. */
struct decision {
    const struct target *target; /* that decided; NULL: nobody has */
    struct found found;
    bool is_user; /* of Basic it was the user */
    struct catlatch_outcome outcome;
    bool is_charged;
    const request_rec *leader;            /* whose subrequest was granted last; NULL: nobody's */
    const ap_conf_vector_t *leaders_conf; /* what was configured for it then */
    const struct verdict *told;           /* on the request itself, the last one; NULL: none */
};

/* What is said of one request, be it a subrequest. */
struct verdict {
    struct decision *decision;
    enum catlatch_result result;
    struct answer answer;
    const struct catlatch_identity *identity; /* NULL: it is not known whose key it is */
    const char *missing;                      /* scopes that it lacks; NULL: that is not why */
    bool is_refused;                          /* and not let through by a dry run */
    bool is_preflight;                        /* nobody looks for a key */
    bool is_asking;                           /* what others say */
};

extern module AP_MODULE_DECLARE_DATA catlatch_module;

/* directives.c */

extern const command_rec directives[];
void *directives_make_dir(apr_pool_t *pool, char *path);
void *directives_merge_dir(apr_pool_t *pool, void *above, void *below);
void *directives_make_server(apr_pool_t *pool, server_rec *server);
void *directives_merge_server(apr_pool_t *pool, void *above, void *below);
int directives_begin(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);
/* That here keys are asked for: then the default service of this server is one that is needed. */
void directives_note_use(cmd_parms *cmd);
/* Finds each service that was named, and opens each once. What is wrong is logged with its place.
 */
int directives_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *server);

void directives_begin_child(apr_pool_t *pchild, server_rec *server);

const struct dir_conf *conf_of(const request_rec *r);
struct target *target_of(const request_rec *r);
/* Whether keys are what this request is authenticated by. */
bool is_for_us(request_rec *r);

/* target.c */

/* The target of these, the same for all that name the same. */
struct target *target_make(apr_pool_t *pconf, apr_array_header_t *targets, const char *config,
                           const char *service);
/* Whether it can be opened; if not, a line in `message`. */
bool target_try(const struct target *target, char *message, size_t message_size);
/* What each child does before it serves. */
void target_begin_child(apr_pool_t *pchild, const server_rec *server, apr_array_header_t *targets);
/* A handle for the calling thread; NULL: it cannot be had. Then it is tried again once a second. */
struct held *target_take(const struct target *target, const server_rec *server);
void target_give_back(const struct target *target, struct held *held);

/* credential.c */

struct found credential_find(request_rec *r, const apr_array_header_t *sources);
/* Takes away every field that a key is looked for in, and what was made of it. */
void credential_hide(request_rec *r, const apr_array_header_t *sources);

/* verdict.c */

/* On this very request; NULL: none. */
struct verdict *verdict_of(const request_rec *r);
/* On it, or else on the one that it is a part or the continuation of. */
const struct verdict *verdict_about(request_rec *r);
struct verdict *verdict_begin(request_rec *r);
/* Looks at the key, or asks again about one that was looked at for the same request before. */
void verdict_reach(request_rec *r, struct verdict *verdict);
/* httpd can go on with a granted subrequest in the place of the request, and asks no more then. */
void verdict_may_lead(const request_rec *r, struct verdict *verdict);
bool verdict_was_led(request_rec *r);
/* Charges who was granted, once. */
void verdict_charge(request_rec *r, struct verdict *verdict);
/* Whoever was granted lacks what `Require` demands. */
void verdict_deny(request_rec *r, struct verdict *verdict);

/* access.c */

int access_authenticate(request_rec *r);
int access_authorize(request_rec *r);
int access_fixup(request_rec *r);
int access_serve(request_rec *r);

/* require.c */

void require_register(apr_pool_t *pool);

/* refusal.c */

void refusal_add_rate(request_rec *r, const struct answer *answer);
void refusal_add_fields(request_rec *r, const struct verdict *verdict);
void refusal_insert_filter(request_rec *r);
void refusal_register(void);

/* tell.c */

/* The environment, and a note for logs. */
void tell_environment(request_rec *r, const struct verdict *verdict);
void tell_log(request_rec *r, const struct verdict *verdict);
int tell_before_log(request_rec *r);

#endif
