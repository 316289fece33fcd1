/* What the rest of the configuration can know of a key. */
#include "ngx_http_catlatch.h"

/* A copy of what the table says now; the key may be gone from it meanwhile. */
static const struct catlatch_identity *read_identity(ngx_http_request_t *r,
                                                     const ngx_http_catlatch_ctx_t *ctx)
{
    struct catlatch *latch = ctx->conf->target->latch;
    struct catlatch_identity *identity = ngx_palloc(r->main->pool, sizeof *identity);

    if (latch == NULL || identity == NULL)
        return NULL;
    identity->size = sizeof *identity;
    return catlatch_identity(latch, &ctx->outcome, identity) == 0 ? identity : NULL;
}

const struct catlatch_identity *ngx_http_catlatch_identity(ngx_http_request_t *r,
                                                           ngx_http_catlatch_ctx_t *ctx)
{
    if (ctx->identity == NULL && ctx->outcome.matched)
        ctx->identity = (struct catlatch_identity *)read_identity(r, ctx);
    return ctx->identity;
}

static ngx_int_t set_value(ngx_http_variable_value_t *v, const char *text)
{
    if (text == NULL || text[0] == '\0') {
        v->not_found = 1;
        return NGX_OK;
    }
    v->len = (unsigned)ngx_strlen(text) & 0x0fffffff;
    v->data = (u_char *)text;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    return NGX_OK;
}

static ngx_int_t get_result(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    const ngx_http_catlatch_ctx_t *ctx = ngx_http_catlatch_find_ctx(r);

    (void)data;
    return set_value(v, ctx != NULL && ctx->conf != NULL ? catlatch_result_name(ctx->outcome.result)
                                                         : NULL);
}

/* Known of refused keys too, by whose digest it was found: for the log, that says which key was
 * refused. */
static ngx_int_t get_key_id(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_catlatch_ctx_t *ctx = ngx_http_catlatch_find_ctx(r);
    const struct catlatch_identity *identity =
        ctx != NULL && ctx->conf != NULL ? ngx_http_catlatch_identity(r, ctx) : NULL;

    (void)data;
    return set_value(v, identity != NULL ? identity->key_id : NULL);
}

/* Only of granted keys: whoever is told an owner takes the request for his. */
static ngx_int_t get_text(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_catlatch_ctx_t *ctx = ngx_http_catlatch_find_ctx(r);
    const struct catlatch_identity *identity = NULL;

    if (ctx != NULL && ctx->conf != NULL && ctx->outcome.result == CATLATCH_VALID)
        identity = ngx_http_catlatch_identity(r, ctx);
    return set_value(v, identity != NULL ? (const char *)identity + data : NULL);
}

static const ngx_http_variable_t variables[] = {
    {ngx_string("catlatch_result"), NULL, get_result, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("catlatch_key_id"), NULL, get_key_id, 0, NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("catlatch_owner"), NULL, get_text, offsetof(struct catlatch_identity, owner),
     NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("catlatch_key_name"), NULL, get_text, offsetof(struct catlatch_identity, name),
     NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("catlatch_environment"), NULL, get_text,
     offsetof(struct catlatch_identity, environment), NGX_HTTP_VAR_NOCACHEABLE, 0},
    {ngx_string("catlatch_scopes"), NULL, get_text, offsetof(struct catlatch_identity, scopes),
     NGX_HTTP_VAR_NOCACHEABLE, 0},
};

ngx_int_t ngx_http_catlatch_add_variables(ngx_conf_t *cf)
{
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        ngx_str_t name = variables[i].name;
        ngx_http_variable_t *added = ngx_http_add_variable(cf, &name, variables[i].flags);
        if (added == NULL)
            return NGX_ERROR;
        added->get_handler = variables[i].get_handler;
        added->data = variables[i].data;
    }
    return NGX_OK;
}
