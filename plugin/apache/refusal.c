/* What a client is told: header fields, and the body in the place of httpd's own page. */
#include "plugin/apache/mod_catlatch.h"

#include <http_protocol.h>
#include <mod_core.h>
#include <string.h>
#include <util_filter.h>

#include "plugin/http/fields.h"

#define FILTER_NAME "CATLATCH_ANSWER"

/* Without one that can be quoted. */
#define REALM_DEFAULT "api"

static const char *realm_of(request_rec *r)
{
    const char *name = ap_auth_name(r);

    return name != NULL && answer_realm_is_sane(name, strlen(name)) ? name : REALM_DEFAULT;
}

/* That of mod_unique_id, where it is loaded; else what %L is in logs. */
static const char *request_id_of(request_rec *r)
{
    const char *id = apr_table_get(r->subprocess_env, "UNIQUE_ID");

    if (id != NULL)
        return id;
    if (r->log_id == NULL)
        ap_run_generate_log_id(r->connection, r, &r->log_id);
    return r->log_id;
}

/* They go with every page about the refusal, the site's own too. */
static void add_field(void *context, const char *name, const char *value)
{
    request_rec *r = context;

    apr_table_set(r->err_headers_out, name, value);
}

void refusal_add_rate(request_rec *r, const struct answer *answer)
{
    fields_tell_rate(answer, add_field, r);
}

void refusal_add_fields(request_rec *r, const struct verdict *verdict)
{
    const char *id = request_id_of(r);

    fields_tell(&verdict->answer, realm_of(r), verdict->missing, id, id != NULL ? strlen(id) : 0,
                add_field, r);
}

/* Whether httpd is about to send a page of its own. One of the site's is a text, or comes by a
 * redirect; where that came to nothing, there is a next request. */
static bool is_builtin_page(request_rec *r)
{
    const char *own = ap_response_code_string(r, ap_index_of_response(r->status));

    return own == NULL || (own[0] != '"' && r->next != NULL);
}

/* httpd puts filters for what it says of an error in here, when it begins to. */
void refusal_insert_filter(request_rec *r)
{
    const struct verdict *verdict = verdict_of(r);

    if (verdict != NULL && verdict->is_refused && r->status == (int)verdict->answer.status &&
        is_builtin_page(r))
        ap_add_output_filter(FILTER_NAME, NULL, r, r->connection);
}

static apr_bucket_brigade *body_of(ap_filter_t *f)
{
    char body[ANSWER_BODY_SIZE];
    request_rec *r = f->r;
    const struct verdict *verdict = verdict_of(r);
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *brigade = apr_brigade_create(r->pool, alloc);
    const char *id = request_id_of(r);
    size_t len =
        answer_body(&verdict->answer, verdict->missing, id, id != NULL ? strlen(id) : 0, body);

    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_heap_create(body, len, NULL, alloc));
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(alloc));
    ap_set_content_type(r, ANSWER_BODY_TYPE);
    ap_set_content_length(r, (apr_off_t)len);
    return brigade;
}

/* What httpd would have sent goes nowhere. */
static apr_status_t answer_filter(ap_filter_t *f, apr_bucket_brigade *brigade)
{
    bool is_sent = f->ctx != NULL;

    apr_brigade_cleanup(brigade);
    if (is_sent)
        return APR_SUCCESS;
    f->ctx = f;
    return ap_pass_brigade(f->next, body_of(f));
}

void refusal_register(void)
{
    ap_register_output_filter(FILTER_NAME, answer_filter, NULL, AP_FTYPE_RESOURCE);
}
