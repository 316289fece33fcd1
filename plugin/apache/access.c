/* Where httpd asks: who is it, may he, and what else is to be known of it. */
#include "plugin/apache/mod_catlatch.h"

#include <apr_strings.h>

/* A browser asks without credentials whether it may send them. */
static bool is_preflight(const request_rec *r)
{
    return r->method_number == M_OPTIONS && apr_table_get(r->headers_in, "Origin") != NULL &&
           apr_table_get(r->headers_in, "Access-Control-Request-Method") != NULL;
}

/* Who is let through without being known: httpd wants a user while it asks what `Require` says. */
static void be_nobody(request_rec *r)
{
    static char nobody[] = "";

    r->user = nobody;
}

static void remember(const request_rec *r, struct verdict *verdict)
{
    if (r->main == NULL)
        verdict->decision->told = verdict;
}

/* A subrequest that is refused leaves the key to its request. */
static int refuse(request_rec *r, struct verdict *verdict)
{
    verdict->is_refused = true;
    remember(r, verdict);
    r->user = NULL;
    refusal_add_fields(r, verdict);
    tell_environment(r, verdict);
    tell_log(r, verdict);
    if (r->main == NULL && conf_of(r)->hides_credentials == 1)
        credential_hide(r, conf_of(r)->sources);
    return (int)verdict->answer.status;
}

/* Nobody is what a key without an owner is, too: one that the service grants without the table. */
static void be_owner(request_rec *r, const struct verdict *verdict)
{
    static char type[] = "Bearer";

    be_nobody(r);
    if (verdict->identity != NULL)
        r->user = apr_pstrdup(r->pool, verdict->identity->owner);
    r->ap_auth_type = type;
}

int access_authenticate(request_rec *r)
{
    struct verdict *verdict;

    if (!is_for_us(r))
        return DECLINED;
    verdict = verdict_begin(r);
    verdict->is_preflight = conf_of(r)->passes_preflight == 1 && is_preflight(r);
    be_nobody(r);
    if (verdict->is_preflight)
        return OK;
    verdict_reach(r, verdict);
    if (verdict->result == CATLATCH_VALID)
        be_owner(r, verdict);
    else if (conf_of(r)->is_dry_run != 1)
        return refuse(r, verdict);
    return OK;
}

/* What all others say who are asked, mod_authz_core among them. */
static int ask_others(request_rec *r, struct verdict *verdict)
{
    verdict->is_asking = true;
    int status = ap_run_auth_checker(r);
    verdict->is_asking = false;
    return status;
}

/* A dry run may have been what lets it through. */
static int let_through(request_rec *r, struct verdict *verdict)
{
    remember(r, verdict);
    refusal_add_rate(r, &verdict->answer);
    if (verdict->result != CATLATCH_VALID) {
        tell_log(r, verdict);
        be_nobody(r);
    }
    if (r->user[0] == '\0')
        r->user = NULL; /* an empty name is somebody to those who are told it */
    return OK;
}

static bool is_let_through(request_rec *r, const struct verdict *verdict)
{
    return verdict->result == CATLATCH_VALID || conf_of(r)->is_dry_run == 1;
}

/* Whom httpd knows and does not let in is asked by it to try again, as somebody else: 401. What a
 * key may not do is forbidden. */
static bool is_denial(int status)
{
    return status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN;
}

int access_authorize(request_rec *r)
{
    struct verdict *verdict = is_for_us(r) ? verdict_of(r) : NULL;
    int status = OK;

    if (verdict == NULL || verdict->is_asking)
        return DECLINED;
    if (verdict->is_preflight) {
        r->user = NULL;
        return OK;
    }
    status = ask_others(r, verdict);
    if (status != OK && !is_denial(status))
        return status;
    if (verdict->result == CATLATCH_VALID && status != OK)
        verdict_deny(r, verdict);
    else if (verdict->result == CATLATCH_VALID && r->main == NULL)
        verdict_charge(r, verdict);
    else if (verdict->result == CATLATCH_VALID)
        verdict_may_lead(r, verdict);
    return is_let_through(r, verdict) ? let_through(r, verdict) : refuse(r, verdict);
}

/* Where somebody else let a request in, nobody has looked for a key, and it goes no further all the
 * same. */
int access_fixup(request_rec *r)
{
    const struct verdict *verdict = verdict_about(r);

    if (is_for_us(r) && conf_of(r)->hides_credentials == 1)
        credential_hide(r, conf_of(r)->sources);
    if (verdict != NULL)
        tell_environment(r, verdict);
    return verdict != NULL ? OK : DECLINED;
}

/* Who was led here is asked about as who comes. */
static struct verdict *find_unpaid(request_rec *r)
{
    struct verdict *verdict = verdict_of(r);

    if (verdict == NULL && is_for_us(r) && verdict_was_led(r)) {
        verdict = verdict_begin(r);
        verdict_reach(r, verdict);
        be_owner(r, verdict);
        return verdict;
    }
    return verdict != NULL && verdict->result == CATLATCH_VALID && !verdict->is_preflight &&
                   !verdict->decision->is_charged
               ? verdict
               : NULL;
}

/* Most subrequests are only to find out what would be: for a list of files, or a path's meaning.
 * One is charged when it is served, be it in the place of its request. */
int access_serve(request_rec *r)
{
    struct verdict *verdict = find_unpaid(r);

    if (verdict == NULL)
        return DECLINED;
    if (verdict->result == CATLATCH_VALID)
        verdict_charge(r, verdict);
    if (!is_let_through(r, verdict))
        return refuse(r, verdict);
    if (r->user == NULL)
        be_nobody(r);
    let_through(r, verdict);
    tell_environment(r, verdict);
    return DECLINED;
}
