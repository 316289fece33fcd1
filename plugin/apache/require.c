/* What `Require` can demand of a key. Before somebody is known nothing is denied for good: httpd
 * asks for the key then, and again. */
#include "plugin/apache/mod_catlatch.h"

#include <ap_provider.h>
#include <apr_strings.h>
#include <mod_auth.h>
#include <string.h>

#include "core/text.h"

/* Of a line: what it names. */
struct names {
    apr_array_header_t *list; /* of const char * */
    const char *text;         /* the same, separated by one space */
};

static struct names *read_names(cmd_parms *cmd, const char *line)
{
    struct names *names = apr_pcalloc(cmd->pool, sizeof *names);
    const char *name;

    names->list = apr_array_make(cmd->pool, 4, sizeof(const char *));
    while (*(name = ap_getword_conf(cmd->pool, &line)) != '\0')
        APR_ARRAY_PUSH(names->list, const char *) = name;
    names->text = apr_array_pstrcat(cmd->pool, names->list, ' ');
    directives_note_use(cmd);
    return names;
}

static const char *name_at(const struct names *names, int i)
{
    return APR_ARRAY_IDX(names->list, i, const char *);
}

static const char *read_no_names(cmd_parms *cmd, const char *line, const void **ret)
{
    const struct names *names = read_names(cmd, line);

    *ret = names;
    return names->list->nelts == 0 ? NULL : "valid-key takes nothing: Require valid-key";
}

static const char *read_scopes(cmd_parms *cmd, const char *line, const void **ret)
{
    const struct names *names = read_names(cmd, line);

    *ret = names;
    for (int i = 0; i < names->list->nelts; i++)
        if (!text_is_scope(name_at(names, i), strlen(name_at(names, i))))
            return "key-scope takes scopes: each 1 to 64 visible ASCII characters, no quotes, no "
                   "backslashes";
    if (strlen(names->text) >= CATLATCH_SCOPES_SIZE)
        return "key-scope takes 2047 bytes of scopes in all";
    return names->list->nelts > 0 ? NULL : "key-scope takes scopes, all of which the key must have";
}

static const char *read_owners(cmd_parms *cmd, const char *line, const void **ret)
{
    const struct names *names = read_names(cmd, line);

    *ret = names;
    return names->list->nelts > 0 ? NULL : "key-owner takes owners, of whom the key must be one's";
}

static bool has_scope(const char *held, const char *scope)
{
    size_t len = strlen(scope);

    for (const char *at = held; *at != '\0';) {
        size_t here = strcspn(at, " ");
        if (here == len && memcmp(at, scope, len) == 0)
            return true;
        at += here + (at[here] == ' ');
    }
    return false;
}

/* Of a key whose owner and scopes nobody knows none holds. */
static bool has_scopes(const struct catlatch_identity *identity, const struct names *names)
{
    for (int i = 0; i < names->list->nelts; i++)
        if (identity == NULL || !has_scope(identity->scopes, name_at(names, i)))
            return false;
    return true;
}

static bool is_owned(const struct catlatch_identity *identity, const struct names *names)
{
    for (int i = 0; i < names->list->nelts; i++)
        if (identity != NULL && strcmp(identity->owner, name_at(names, i)) == 0)
            return true;
    return false;
}

static authz_status status_of(bool is_granted)
{
    return is_granted ? AUTHZ_GRANTED : AUTHZ_DENIED;
}

static authz_status check_key(request_rec *r, const char *line, const void *parsed)
{
    const struct verdict *verdict = verdict_of(r);

    (void)line, (void)parsed;
    if (verdict == NULL)
        return AUTHZ_DENIED_NO_USER;
    return status_of(verdict->result == CATLATCH_VALID);
}

/* The first line that was not met since one was is what is told: of several that would each do it
 * is one. */
static authz_status check_scopes(request_rec *r, const char *line, const void *parsed)
{
    struct verdict *verdict = verdict_of(r);
    const struct names *names = parsed;

    (void)line;
    if (verdict == NULL)
        return AUTHZ_DENIED_NO_USER;
    if (verdict->result != CATLATCH_VALID)
        return AUTHZ_DENIED;
    bool is_granted = has_scopes(verdict->identity, names);
    if (is_granted)
        verdict->missing = NULL;
    else if (verdict->missing == NULL)
        verdict->missing = names->text;
    return status_of(is_granted);
}

static authz_status check_owner(request_rec *r, const char *line, const void *parsed)
{
    const struct verdict *verdict = verdict_of(r);

    (void)line;
    if (verdict == NULL)
        return AUTHZ_DENIED_NO_USER;
    return status_of(verdict->result == CATLATCH_VALID && is_owned(verdict->identity, parsed));
}

static const authz_provider valid_key = {check_key, read_no_names};
static const authz_provider key_scope = {check_scopes, read_scopes};
static const authz_provider key_owner = {check_owner, read_owners};

static void add(apr_pool_t *pool, const char *name, const authz_provider *provider)
{
    ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, name, AUTHZ_PROVIDER_VERSION, provider,
                              AP_AUTH_INTERNAL_PER_CONF);
}

void require_register(apr_pool_t *pool)
{
    add(pool, "valid-key", &valid_key);
    add(pool, "key-scope", &key_scope);
    add(pool, "key-owner", &key_owner);
}
