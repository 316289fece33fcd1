/* What a client is told: header fields, and the body in the place of nginx's own page. */
#include "ngx_http_catlatch.h"
#include "plugin/http/fields.h"

static ngx_http_output_header_filter_pt next_header_filter;
static ngx_http_output_body_filter_pt next_body_filter;

/* Fields on their way into a response. */
typedef struct {
    ngx_http_request_t *r;
    ngx_int_t rc; /* NGX_ERROR: memory was out for one */
} adding_t;

static ngx_int_t fill_header(ngx_http_request_t *r, ngx_table_elt_t *header, const char *name,
                             const char *value)
{
    size_t len = ngx_strlen(value);
    u_char *copy = ngx_pnalloc(r->pool, len);

    if (copy == NULL)
        return NGX_ERROR;
    ngx_memcpy(copy, value, len);
    ngx_str_t key = {ngx_strlen(name), (u_char *)name};
    *header = (ngx_table_elt_t){.hash = 1, .key = key, .value = {len, copy}};
    return NGX_OK;
}

static void add_header(void *context, const char *name, const char *value)
{
    adding_t *adding = context;
    ngx_table_elt_t *header =
        adding->rc == NGX_OK ? ngx_list_push(&adding->r->headers_out.headers) : NULL;

    if (header == NULL) {
        adding->rc = NGX_ERROR;
        return;
    }
    header->hash = 0; /* which is not sent, should there be no memory for its value */
    adding->rc = fill_header(adding->r, header, name, value);
}

static ngx_int_t add_rate(ngx_http_request_t *r, const struct answer *answer)
{
    adding_t adding = {r, NGX_OK};

    fields_tell_rate(answer, add_header, &adding);
    return adding.rc;
}

static ngx_http_variable_value_t *request_id_of(ngx_http_request_t *r)
{
    ngx_http_catlatch_main_conf_t *conf =
        ngx_http_get_module_main_conf(r, ngx_http_catlatch_module);
    ngx_http_variable_value_t *value =
        ngx_http_get_indexed_variable(r, (ngx_uint_t)conf->request_id);

    return value != NULL && !value->not_found ? value : NULL;
}

static ngx_int_t add_refusal(ngx_http_request_t *r, const ngx_http_catlatch_ctx_t *ctx)
{
    ngx_http_variable_value_t *id = request_id_of(r);
    adding_t adding = {r, NGX_OK};

    fields_tell(&ctx->answer, (const char *)ctx->conf->realm.data, ctx->conf->scope_text,
                id != NULL ? (const char *)id->data : NULL, id != NULL ? id->len : 0, add_header,
                &adding);
    return adding.rc;
}

/* Whether nginx is about to send a page of its own because the request was refused in the access
 * phase. A page of the site's comes by a redirect, which takes the context away; one about what
 * went wrong later comes from another phase. */
static ngx_int_t is_builtin_page(ngx_http_request_t *r)
{
    ngx_http_core_main_conf_t *cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    ngx_http_phase_handler_pt checker = cmcf->phase_engine.handlers[r->phase_handler].checker;

    return ngx_http_get_module_ctx(r, ngx_http_catlatch_module) != NULL &&
           (checker == ngx_http_core_access_phase || checker == ngx_http_core_post_access_phase);
}

static ngx_int_t write_body(ngx_http_request_t *r, ngx_http_catlatch_ctx_t *ctx)
{
    ngx_http_variable_value_t *id = request_id_of(r);
    char body[ANSWER_BODY_SIZE];
    size_t len =
        answer_body(&ctx->answer, ctx->conf->scope_text, id != NULL ? (const char *)id->data : NULL,
                    id != NULL ? id->len : 0, body);

    ctx->body.data = ngx_pnalloc(r->pool, len);
    if (ctx->body.data == NULL)
        return NGX_ERROR;
    ngx_memcpy(ctx->body.data, body, len);
    ctx->body.len = len;
    return NGX_OK;
}

static void describe_body(ngx_http_request_t *r, const ngx_http_catlatch_ctx_t *ctx)
{
    r->headers_out.content_length_n = (off_t)ctx->body.len;
    ngx_str_set(&r->headers_out.content_type, ANSWER_BODY_TYPE);
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_null(&r->headers_out.charset);
}

static ngx_int_t is_refusal(ngx_http_request_t *r, const ngx_http_catlatch_ctx_t *ctx)
{
    return ctx->is_refused && r->err_status == ctx->answer.status &&
           r->headers_out.status == ctx->answer.status;
}

static ngx_int_t header_filter(ngx_http_request_t *r)
{
    ngx_http_catlatch_ctx_t *ctx = r == r->main ? ngx_http_catlatch_find_ctx(r) : NULL;

    if (ctx == NULL || ctx->conf == NULL || ctx->body.len > 0)
        return next_header_filter(r);
    if (is_refusal(r, ctx)) {
        if (add_refusal(r, ctx) != NGX_OK)
            return NGX_ERROR;
        if (is_builtin_page(r)) {
            if (write_body(r, ctx) != NGX_OK)
                return NGX_ERROR;
            describe_body(r, ctx);
        }
    } else if (!ctx->is_refused && add_rate(r, &ctx->answer) != NGX_OK) {
        return NGX_ERROR;
    }
    return next_header_filter(r);
}

/* What nginx would have sent goes nowhere. */
static void drop(ngx_chain_t *in)
{
    for (; in != NULL; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
    }
}

static ngx_int_t body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_catlatch_ctx_t *ctx =
        r == r->main ? ngx_http_get_module_ctx(r, ngx_http_catlatch_module) : NULL;
    ngx_chain_t out = {.next = NULL};

    if (ctx == NULL || ctx->body.len == 0 || in == NULL)
        return next_body_filter(r, in);
    drop(in);
    if (ctx->is_sent)
        return next_body_filter(r, NULL);
    ctx->is_sent = 1;
    out.buf = ngx_calloc_buf(r->pool);
    if (out.buf == NULL)
        return NGX_ERROR;
    out.buf->pos = out.buf->start = ctx->body.data;
    out.buf->last = out.buf->end = ctx->body.data + ctx->body.len;
    out.buf->memory = 1;
    out.buf->last_buf = 1;
    out.buf->last_in_chain = 1;
    return next_body_filter(r, &out);
}

static ngx_int_t init_filters(ngx_conf_t *cf)
{
    (void)cf;
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
    return NGX_OK;
}

static ngx_http_module_t filter_module = {
    .postconfiguration = init_filters,
};

ngx_module_t ngx_http_catlatch_filter_module = {
    NGX_MODULE_V1,
    .ctx = &filter_module,
    .type = NGX_HTTP_MODULE,
};
