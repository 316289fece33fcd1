/* The key in a request's headers. */
#include "ngx_http_catlatch.h"

static const ngx_str_t authorization = ngx_string("authorization");

static const ngx_str_t *header_of(const ngx_http_catlatch_source_t *source)
{
    return source->kind == NGX_HTTP_CATLATCH_HEADER ? &source->header : &authorization;
}

static ngx_int_t is_called(const ngx_table_elt_t *header, const ngx_str_t *name)
{
    return header->key.len == name->len &&
           ngx_strncmp(header->lowcase_key, name->data, name->len) == 0;
}

static ngx_int_t has_scheme(const ngx_str_t *value, const char *scheme, size_t len)
{
    return value->len >= len && ngx_strncasecmp(value->data, (u_char *)scheme, len) == 0;
}

/* Authorization is for two sources, and for servers behind this one: its scheme tells. */
static ngx_int_t is_for(const ngx_http_catlatch_source_t *source, const ngx_str_t *value)
{
    switch (source->kind) {
    case NGX_HTTP_CATLATCH_BEARER:
        return has_scheme(value, "Bearer", sizeof "Bearer" - 1);
    case NGX_HTTP_CATLATCH_BASIC:
        return has_scheme(value, "Basic ", sizeof "Basic " - 1);
    case NGX_HTTP_CATLATCH_HEADER:
        break;
    }
    return 1;
}

/* A place in the list of headers. */
typedef struct {
    ngx_list_part_t *before, *part; /* before: NULL in the first */
    ngx_uint_t i;
} at_t;

static at_t first_header(ngx_http_request_t *r)
{
    return (at_t){.part = &r->headers_in.headers.part};
}

/* NULL: that was the last. */
static ngx_table_elt_t *header_at(at_t *at)
{
    while (at->i >= at->part->nelts) {
        if (at->part->next == NULL)
            return NULL;
        *at = (at_t){.before = at->part, .part = at->part->next};
    }
    return (ngx_table_elt_t *)at->part->elts + at->i;
}

ngx_int_t ngx_http_catlatch_has_header(ngx_http_request_t *r, const ngx_str_t *name)
{
    ngx_table_elt_t *header;

    for (at_t at = first_header(r); (header = header_at(&at)) != NULL; at.i++)
        if (is_called(header, name))
            return 1;
    return 0;
}

/* A header that comes twice is not one credential, whatever the second says. */
void ngx_http_catlatch_find_credential(ngx_http_request_t *r, const ngx_array_t *sources,
                                       ngx_http_catlatch_credential_t *ret)
{
    ngx_http_catlatch_source_t *source = sources->elts;
    ngx_table_elt_t *header;

    *ret = (ngx_http_catlatch_credential_t){.found = NGX_HTTP_CATLATCH_NONE};
    for (ngx_uint_t n = 0; n < sources->nelts; n++) {
        ngx_uint_t count = 0;
        for (at_t at = first_header(r); (header = header_at(&at)) != NULL; at.i++) {
            if (!is_called(header, header_of(&source[n])))
                continue;
            ngx_int_t is_ours = is_for(&source[n], &header->value);
            if (++count > 1 || (is_ours && ret->found != NGX_HTTP_CATLATCH_NONE)) {
                ret->found = NGX_HTTP_CATLATCH_SEVERAL;
                return;
            }
            if (!is_ours)
                continue;
            ret->found = NGX_HTTP_CATLATCH_ONE;
            ret->source = &source[n];
            ret->value = header->value;
        }
    }
}

/*
 * Takes the header at a place out of the list. Others stay where they are in memory, for
 * headers_in points to them; so the list goes on behind it in a part of its own. Nobody who walks
 * through it expects an empty part but the first, and who adds to it does so behind the last.
 */
static ngx_int_t remove_header(ngx_list_t *list, at_t *at)
{
    ngx_list_part_t *part = at->part, *rest;

    if (at->i + 1 < part->nelts) {
        rest = ngx_palloc(list->pool, sizeof *rest);
        if (rest == NULL)
            return NGX_ERROR;
        rest->elts = (ngx_table_elt_t *)part->elts + at->i + 1;
        rest->nelts = part->nelts - at->i - 1;
        rest->next = part->next;
        part->next = rest;
        if (list->last == part) {
            list->last = rest;
            list->nalloc = rest->nelts; /* it is full: what comes gets a part of its own */
        }
    }
    part->nelts = at->i;
    if (part->nelts > 0 || at->before == NULL)
        return NGX_OK;
    at->before->next = part->next;
    if (list->last == part) {
        list->last = at->before;
        list->nalloc = ngx_max(at->before->nelts, 1);
    }
    *at = (at_t){.part = at->before, .i = at->before->nelts}; /* the next one is behind it */
    return NGX_OK;
}

static ngx_int_t is_credential(const ngx_table_elt_t *header, const ngx_array_t *sources)
{
    ngx_http_catlatch_source_t *source = sources->elts;

    for (ngx_uint_t n = 0; n < sources->nelts; n++)
        if (is_called(header, header_of(&source[n])) && is_for(&source[n], &header->value))
            return 1;
    return 0;
}

ngx_int_t ngx_http_catlatch_strip(ngx_http_request_t *r, const ngx_array_t *sources)
{
    ngx_table_elt_t *header;

    for (at_t at = first_header(r); (header = header_at(&at)) != NULL;) {
        if (!is_credential(header, sources)) {
            at.i++;
            continue;
        }
        if (r->headers_in.authorization == header)
            r->headers_in.authorization = NULL;
        if (remove_header(&r->headers_in.headers, &at) != NGX_OK)
            return NGX_ERROR;
    }
    return NGX_OK;
}
