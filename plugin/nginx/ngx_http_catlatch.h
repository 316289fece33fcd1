/*
 * ngx_http_catlatch.h - API keys in nginx's workers: each request is verified in the access phase,
 * in the worker, by libcatlatch.
 *
 * Workers have one thread, which is what a handle is for. Everything here is of one worker, and
 * what a request has lives in its pool.
 */
#ifndef NGX_HTTP_CATLATCH_H
#define NGX_HTTP_CATLATCH_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "catlatch.h"
#include "plugin/http/answer.h"
#include "plugin/http/credential.h"
#include "plugin/http/scopes.h"

/* Where a directive stands. */
typedef struct {
    const u_char *file;
    ngx_uint_t line;
} ngx_http_catlatch_place_t;

/* One service of one configuration: what a handle is opened for. */
typedef struct {
    const char *config;              /* NULL: the one that the library was built with */
    const char *service;             /* NULL: "default" */
    ngx_http_catlatch_place_t place; /* that names it */
    struct catlatch *latch;          /* NULL: it could not be opened yet */
    time_t tried_s;                  /* when that was tried last */
} ngx_http_catlatch_target_t;

typedef struct {
    ngx_array_t targets;  /* of ngx_http_catlatch_target_t *, each once */
    ngx_event_t refresh;  /* of a worker */
    ngx_int_t request_id; /* index of the variable */
} ngx_http_catlatch_main_conf_t;

/* Where a key is looked for. */
typedef struct {
    enum { NGX_HTTP_CATLATCH_BEARER, NGX_HTTP_CATLATCH_BASIC, NGX_HTTP_CATLATCH_HEADER } kind;
    ngx_str_t header; /* its name in lower case */
} ngx_http_catlatch_source_t;

typedef struct {
    ngx_flag_t enable;
    ngx_flag_t hide_credentials;
    ngx_flag_t dry_run;
    ngx_flag_t checks_preflight;
    ngx_str_t config, service, realm;
    ngx_http_catlatch_place_t enable_place, config_place, service_place;
    struct scopes *scopes;              /* NULL: none are needed */
    const char *scope_text;             /* the same, separated by one space */
    ngx_array_t *sources;               /* of ngx_http_catlatch_source_t */
    ngx_http_catlatch_target_t *target; /* if enabled */
} ngx_http_catlatch_loc_conf_t;

/* What became of a request. An internal redirect takes contexts away, so it is found again by its
 * cleanup in the request's pool. */
typedef struct {
    ngx_http_catlatch_loc_conf_t *conf; /* that decided last; NULL: nothing is decided */
    struct catlatch_outcome outcome;
    struct answer answer;
    struct catlatch_identity *identity; /* NULL: nobody has asked yet */
    ngx_str_t body;          /* that the filter sends in the place of nginx's page; empty: none */
    unsigned is_refused : 1; /* and not let through by a dry run */
    unsigned is_sent : 1;
} ngx_http_catlatch_ctx_t;

/* A key in a request. */
typedef struct {
    enum { NGX_HTTP_CATLATCH_NONE, NGX_HTTP_CATLATCH_ONE, NGX_HTTP_CATLATCH_SEVERAL } found;
    ngx_http_catlatch_source_t *source; /* if one was found: by which */
    ngx_str_t value;                    /* of the header */
} ngx_http_catlatch_credential_t;

extern ngx_module_t ngx_http_catlatch_module;
extern ngx_module_t ngx_http_catlatch_filter_module;

/* ngx_http_catlatch_target.c */

/* The target of this location, the same for all that name the same. NULL: out of memory. */
ngx_http_catlatch_target_t *ngx_http_catlatch_target(ngx_conf_t *cf,
                                                     const ngx_http_catlatch_loc_conf_t *conf);
/* Opens each and closes it again. What is wrong is logged with the directive's place. */
ngx_int_t ngx_http_catlatch_try_targets(ngx_conf_t *cf, ngx_http_catlatch_main_conf_t *conf);
/* Its handle in this worker; NULL: it cannot be had. Then it is tried again once a second. */
struct catlatch *ngx_http_catlatch_latch(ngx_http_catlatch_target_t *target, ngx_log_t *log);
ngx_int_t ngx_http_catlatch_init_process(ngx_cycle_t *cycle);
void ngx_http_catlatch_exit_process(ngx_cycle_t *cycle);

/* ngx_http_catlatch_credential.c */

void ngx_http_catlatch_find_credential(ngx_http_request_t *r, const ngx_array_t *sources,
                                       ngx_http_catlatch_credential_t *ret);
/* Name in lower case. */
ngx_int_t ngx_http_catlatch_has_header(ngx_http_request_t *r, const ngx_str_t *name);
/* Takes every header away that a key is looked for in. */
ngx_int_t ngx_http_catlatch_strip(ngx_http_request_t *r, const ngx_array_t *sources);

/* ngx_http_catlatch_access.c */

ngx_int_t ngx_http_catlatch_access_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_catlatch_precontent_handler(ngx_http_request_t *r);
/* What became of the request, or of the one that this is a part of; NULL: nothing was decided. */
ngx_http_catlatch_ctx_t *ngx_http_catlatch_find_ctx(ngx_http_request_t *r);

/* ngx_http_catlatch_variables.c */

ngx_int_t ngx_http_catlatch_add_variables(ngx_conf_t *cf);
/* Whose key it was; NULL: that is not known. */
const struct catlatch_identity *ngx_http_catlatch_identity(ngx_http_request_t *r,
                                                           ngx_http_catlatch_ctx_t *ctx);

#endif
