/* What others on this server can know of a key, and what the logs say. */
#include "plugin/apache/mod_catlatch.h"

APLOG_USE_MODULE(catlatch);

static void set(request_rec *r, const char *name, const char *value)
{
    apr_table_set(r->subprocess_env, name, value != NULL ? value : "");
}

/* The id of refused keys too: for the log, that says which key was refused. All else only of
 * granted ones: whoever is told an owner takes the request for his. What is not known is empty, and
 * not absent, for mod_headers writes "(null)" then. */
void tell_environment(request_rec *r, const struct verdict *verdict)
{
    const struct catlatch_identity *identity = verdict->identity;
    const struct catlatch_identity *granted = verdict->result == CATLATCH_VALID ? identity : NULL;
    const char *result = catlatch_result_name(verdict->result);

    apr_table_setn(r->notes, "CATLATCH_RESULT", result);
    set(r, "CATLATCH_RESULT", result);
    set(r, "CATLATCH_KEY_ID", identity != NULL ? identity->key_id : NULL);
    set(r, "CATLATCH_OWNER", granted != NULL ? granted->owner : NULL);
    set(r, "CATLATCH_KEY_NAME", granted != NULL ? granted->name : NULL);
    set(r, "CATLATCH_ENVIRONMENT", granted != NULL ? granted->environment : NULL);
    set(r, "CATLATCH_SCOPES", granted != NULL ? granted->scopes : NULL);
}

void tell_log(request_rec *r, const struct verdict *verdict)
{
    const struct catlatch_identity *identity = verdict->identity;
    int level = verdict->result == CATLATCH_UNAVAILABLE ? APLOG_ERR : APLOG_INFO;

    ap_log_rerror(APLOG_MARK, level, 0, r, "catlatch: %s%s%s%s",
                  catlatch_result_name(verdict->result), identity != NULL ? ", " : "",
                  identity != NULL ? identity->key_id : "",
                  conf_of(r)->is_dry_run == 1 ? "; dry run" : "");
}

/* Logs tell of the request that was served in the end: a page about the error, say. */
int tell_before_log(request_rec *r)
{
    while (r->next != NULL)
        r = r->next;
    const struct verdict *verdict = verdict_about(r);
    if (verdict != NULL)
        tell_environment(r, verdict);
    return OK;
}
