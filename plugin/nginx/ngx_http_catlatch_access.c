/* The decision about a request, in the access phase. */
#include "ngx_http_catlatch.h"

/* What a request asks of the library, with the texts that it points to. */
typedef struct {
    struct catlatch_request request;
    char address[NGX_SOCKADDR_STRLEN + 1];
} asking_t;

static void forget(void *data)
{
    (void)data; /* the cleanup is there to be found */
}

/* An internal redirect has taken the context away, but not what cleans up after it. */
static ngx_http_catlatch_ctx_t *ctx_behind_redirect(ngx_http_request_t *r)
{
    for (ngx_pool_cleanup_t *cleanup = r->pool->cleanup; cleanup != NULL; cleanup = cleanup->next)
        if (cleanup->handler == forget)
            return cleanup->data;
    return NULL;
}

ngx_http_catlatch_ctx_t *ngx_http_catlatch_find_ctx(ngx_http_request_t *r)
{
    ngx_http_catlatch_ctx_t *ctx = ngx_http_get_module_ctx(r->main, ngx_http_catlatch_module);

    return ctx != NULL || !r->main->internal ? ctx : ctx_behind_redirect(r->main);
}

static ngx_http_catlatch_ctx_t *make_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_catlatch_ctx_t));

    if (cleanup == NULL)
        return NULL;
    ngx_memzero(cleanup->data, sizeof(ngx_http_catlatch_ctx_t));
    cleanup->handler = forget;
    ngx_http_set_ctx(r, cleanup->data, ngx_http_catlatch_module);
    return cleanup->data;
}

/* A browser asks without credentials whether it may send them. */
static ngx_int_t is_preflight(ngx_http_request_t *r)
{
    static const ngx_str_t origin = ngx_string("origin"),
                           method = ngx_string("access-control-request-method");

    return r->method == NGX_HTTP_OPTIONS && ngx_http_catlatch_has_header(r, &origin) &&
           ngx_http_catlatch_has_header(r, &method);
}

/* Of a unix socket there is none. */
static void read_address(ngx_http_request_t *r, asking_t *asking)
{
    const ngx_str_t *text = &r->connection->addr_text;

    if (r->connection->sockaddr->sa_family == AF_UNIX || text->len >= sizeof asking->address)
        return;
    ngx_cpystrn((u_char *)asking->address, text->data, text->len + 1);
    asking->request.address = asking->address;
}

static void prepare(ngx_http_request_t *r, const ngx_http_catlatch_loc_conf_t *conf,
                    asking_t *asking)
{
    ngx_memzero(&asking->request, sizeof asking->request);
    asking->request.size = sizeof asking->request;
    if (conf->scopes != NULL) {
        asking->request.scopes = conf->scopes->names;
        asking->request.scope_count = conf->scopes->count;
    }
    read_address(r, asking);
}

static enum catlatch_result verify_key(struct catlatch *latch, asking_t *asking,
                                       const ngx_str_t *key, struct catlatch_outcome *ret)
{
    asking->request.key = (const char *)key->data;
    asking->request.key_len = key->len;
    return catlatch_verify(latch, &asking->request, ret);
}

/* The key is the password or, where that is empty or no key, the user. A user that is one is not
 * left for $remote_user, which access logs have. */
static enum catlatch_result verify_basic(ngx_http_request_t *r, struct catlatch *latch,
                                         asking_t *asking, struct catlatch_outcome *ret)
{
    ngx_str_t user;

    if (ngx_http_auth_basic_user(r) != NGX_OK)
        return ret->result = CATLATCH_MALFORMED;
    if (r->headers_in.passwd.len > 0)
        verify_key(latch, asking, &r->headers_in.passwd, ret);
    if (r->headers_in.passwd.len > 0 && !credential_user_is_next(ret->result))
        return ret->result;
    user = r->headers_in.user;
    ngx_str_set(&r->headers_in.user, "");
    return verify_key(latch, asking, &user, ret);
}

static enum catlatch_result verify(ngx_http_request_t *r, ngx_http_catlatch_loc_conf_t *conf,
                                   asking_t *asking, struct catlatch_outcome *ret)
{
    struct catlatch *latch = ngx_http_catlatch_latch(conf->target, r->connection->log);
    ngx_http_catlatch_credential_t credential;

    *ret = (struct catlatch_outcome){.size = sizeof *ret};
    ngx_http_catlatch_find_credential(r, conf->sources, &credential);
    if (credential.found == NGX_HTTP_CATLATCH_SEVERAL)
        return ret->result = CATLATCH_INVALID_REQUEST;
    if (latch == NULL)
        return ret->result = CATLATCH_UNAVAILABLE;
    if (credential.found == NGX_HTTP_CATLATCH_NONE)
        return catlatch_verify(latch, &asking->request, ret);
    switch (credential.source->kind) {
    case NGX_HTTP_CATLATCH_BASIC:
        return verify_basic(r, latch, asking, ret);
    case NGX_HTTP_CATLATCH_BEARER:
        asking->request.authorization = (const char *)credential.value.data;
        asking->request.authorization_len = credential.value.len;
        return catlatch_verify(latch, &asking->request, ret);
    case NGX_HTTP_CATLATCH_HEADER:
        break;
    }
    return verify_key(latch, asking, &credential.value, ret);
}

/*
 * A request that an internal redirect brought here again. What was refused once stays refused; what
 * was granted is asked again for what this location needs, and not charged: an answer from behind
 * can have sent it here, long after, and the key may be revoked since. A service that grants
 * without a key of the table cannot be asked about one again: only the same one can go on.
 */
static enum catlatch_result decide_again(ngx_http_request_t *r,
                                         const ngx_http_catlatch_loc_conf_t *conf,
                                         const ngx_http_catlatch_ctx_t *ctx, asking_t *asking)
{
    struct catlatch *latch;

    if (ctx->outcome.result != CATLATCH_VALID)
        return ctx->outcome.result;
    if (!ctx->outcome.matched)
        return conf->target == ctx->conf->target && conf->scopes == ctx->conf->scopes
                   ? CATLATCH_VALID
                   : CATLATCH_DENIED;
    latch = ngx_http_catlatch_latch(conf->target, r->connection->log);
    if (latch == NULL)
        return CATLATCH_UNAVAILABLE;
    return catlatch_recheck(latch, &ctx->outcome, &asking->request);
}

static void decide(ngx_http_request_t *r, ngx_http_catlatch_loc_conf_t *conf,
                   ngx_http_catlatch_ctx_t *ctx)
{
    asking_t asking;

    prepare(r, conf, &asking);
    if (ctx->conf == NULL) {
        verify(r, conf, &asking, &ctx->outcome);
        answer_init(&ctx->answer, &ctx->outcome);
    } else {
        enum catlatch_result result = decide_again(r, conf, ctx, &asking);
        if (result != ctx->outcome.result) {
            ctx->outcome.result = result;
            answer_init(&ctx->answer, &ctx->outcome);
        }
    }
    ctx->conf = conf;
}

static void log_refusal(ngx_http_request_t *r, ngx_http_catlatch_ctx_t *ctx)
{
    enum catlatch_result result = ctx->outcome.result;
    ngx_uint_t level = result == CATLATCH_UNAVAILABLE ? NGX_LOG_ERR : NGX_LOG_INFO;
    const struct catlatch_identity *identity =
        ctx->outcome.matched ? ngx_http_catlatch_identity(r, ctx) : NULL;

    ngx_log_error(level, r->connection->log, 0, "catlatch: %s%s%s%s", catlatch_result_name(result),
                  identity != NULL ? ", " : "", identity != NULL ? identity->key_id : "",
                  ctx->conf->dry_run ? "; dry run" : "");
}

ngx_int_t ngx_http_catlatch_access_handler(ngx_http_request_t *r)
{
    ngx_http_catlatch_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_catlatch_module);
    ngx_http_catlatch_ctx_t *ctx;

    if (!conf->enable)
        return NGX_DECLINED;
    if (!conf->checks_preflight && is_preflight(r))
        return NGX_OK;
    ctx = ngx_http_catlatch_find_ctx(r);
    if (ctx == NULL && (ctx = make_ctx(r)) == NULL)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    ngx_http_set_ctx(r, ctx, ngx_http_catlatch_module);
    decide(r, conf, ctx);
    if (conf->hide_credentials && ngx_http_catlatch_strip(r, conf->sources) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    ctx->is_refused = 0;
    if (ctx->outcome.result == CATLATCH_VALID)
        return NGX_OK;
    log_refusal(r, ctx);
    if (conf->dry_run)
        return NGX_DECLINED;
    ctx->is_refused = 1;
    return (ngx_int_t)ctx->answer.status;
}

/* Where `satisfy any` was satisfied by somebody else nobody has looked for a key, and it goes no
 * further all the same. */
ngx_int_t ngx_http_catlatch_precontent_handler(ngx_http_request_t *r)
{
    ngx_http_catlatch_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_catlatch_module);

    if (conf->enable && conf->hide_credentials && r == r->main &&
        ngx_http_catlatch_strip(r, conf->sources) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    return NGX_DECLINED;
}
