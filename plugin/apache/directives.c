/* The directives, what they inherit, and the services that they name. */
#include "plugin/apache/mod_catlatch.h"

#include <apr_strings.h>
#include <http_protocol.h>

APLOG_USE_MODULE(catlatch);

#define MESSAGE_SIZE 512

/* While a configuration is read, which one thread does, and in children afterwards, what it names:
 * the reading has no other place that all of its directives can reach. */
static struct {
    apr_array_header_t *named;   /* of struct named * */
    apr_array_header_t *uses;    /* of struct named *, whose service is NULL */
    apr_array_header_t *targets; /* of struct target * */
} known;

int directives_begin(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog, (void)ptemp;
    known.named = apr_array_make(pconf, 4, sizeof(struct named *));
    known.uses = apr_array_make(pconf, 4, sizeof(struct named *));
    known.targets = apr_array_make(pconf, 4, sizeof(struct target *));
    return OK;
}

static struct place place_of(const cmd_parms *cmd)
{
    return (struct place){cmd->directive->filename, cmd->directive->line_num};
}

static struct named *note(apr_array_header_t *list, cmd_parms *cmd, const char *service)
{
    struct named *named = apr_pcalloc(cmd->pool, sizeof *named);

    *named = (struct named){.service = service, .server = cmd->server, .place = place_of(cmd)};
    APR_ARRAY_PUSH(list, struct named *) = named;
    return named;
}

/* A .htaccess is read while requests are served, by many threads. */
void directives_note_use(cmd_parms *cmd)
{
    if (ap_check_cmd_context(cmd, NOT_IN_HTACCESS) == NULL)
        note(known.uses, cmd, NULL);
}

static const char *set_config(cmd_parms *cmd, void *data, const char *path)
{
    struct server_conf *conf = ap_get_module_config(cmd->server->module_config, &catlatch_module);

    (void)data;
    conf->config = ap_server_root_relative(cmd->pool, path);
    conf->place = place_of(cmd);
    return conf->config != NULL ? NULL : "CatlatchConfig takes the path of a file";
}

static const char *set_service(cmd_parms *cmd, void *data, const char *name)
{
    struct dir_conf *conf = data;

    conf->service = note(known.named, cmd, name);
    return NULL;
}

static bool is_same_source(const struct source *a, const struct source *b)
{
    return a->kind == b->kind &&
           (a->kind != SOURCE_HEADER || ap_cstr_casecmp(a->header, b->header) == 0);
}

static const char *add_source(cmd_parms *cmd, struct dir_conf *conf, struct source source)
{
    if (conf->sources == NULL)
        conf->sources = apr_array_make(cmd->pool, 2, sizeof source);
    for (int i = 0; i < conf->sources->nelts; i++)
        if (is_same_source(&APR_ARRAY_IDX(conf->sources, i, struct source), &source))
            return "CatlatchSource names a source twice";
    APR_ARRAY_PUSH(conf->sources, struct source) = source;
    return NULL;
}

/* Each line names one more place that a key is looked for in. */
static const char *set_source(cmd_parms *cmd, void *data, const char *kind, const char *header)
{
    if (ap_cstr_casecmp(kind, "bearer") == 0 && header == NULL)
        return add_source(cmd, data, (struct source){.kind = SOURCE_BEARER});
    if (ap_cstr_casecmp(kind, "basic") == 0 && header == NULL)
        return add_source(cmd, data, (struct source){.kind = SOURCE_BASIC});
    if (ap_cstr_casecmp(kind, "header") != 0 || header == NULL || header[0] == '\0')
        return "CatlatchSource is bearer, basic or header NAME";
    if (ap_cstr_casecmp(header, "Authorization") == 0)
        return "CatlatchSource header Authorization is called bearer or basic";
    return add_source(cmd, data, (struct source){.kind = SOURCE_HEADER, .header = header});
}

static const char *set_preflight(cmd_parms *cmd, void *data, const char *word)
{
    struct dir_conf *conf = data;

    (void)cmd;
    conf->passes_preflight = ap_cstr_casecmp(word, "pass") == 0;
    return conf->passes_preflight || ap_cstr_casecmp(word, "check") == 0
               ? NULL
               : "CatlatchPreflight is check or pass";
}

/* Not in .htaccess: whoever may write one does not choose what decides about keys. */
#define ANYWHERE (RSRC_CONF | ACCESS_CONF)
#define OFFSET(member) ((void *)APR_OFFSETOF(struct dir_conf, member))

const command_rec directives[] = {
    AP_INIT_TAKE1("CatlatchConfig", set_config, NULL, RSRC_CONF,
                  "the configuration that services are of, a path"),
    AP_INIT_TAKE1("CatlatchService", set_service, NULL, ANYWHERE, "the service that decides"),
    AP_INIT_TAKE12("CatlatchSource", set_source, NULL, ANYWHERE,
                   "where the key is: bearer, basic or header NAME"),
    AP_INIT_FLAG("CatlatchHideCredentials", ap_set_flag_slot, OFFSET(hides_credentials), ANYWHERE,
                 "whether keys go no further"),
    AP_INIT_FLAG("CatlatchDryRun", ap_set_flag_slot, OFFSET(is_dry_run), ANYWHERE,
                 "whether everybody is let through, and only logged"),
    AP_INIT_TAKE1("CatlatchPreflight", set_preflight, NULL, ANYWHERE,
                  "what becomes of a CORS preflight: check or pass"),
    {0},
};

void *directives_make_dir(apr_pool_t *pool, char *path)
{
    struct dir_conf *conf = apr_pcalloc(pool, sizeof *conf);

    (void)path;
    conf->hides_credentials = conf->is_dry_run = conf->passes_preflight = -1;
    return conf;
}

static int merge(int above, int below)
{
    return below >= 0 ? below : above;
}

void *directives_merge_dir(apr_pool_t *pool, void *above, void *below)
{
    const struct dir_conf *outer = above, *inner = below;
    struct dir_conf *conf = apr_pmemdup(pool, inner, sizeof *conf);

    if (conf->service == NULL)
        conf->service = outer->service;
    if (conf->sources == NULL)
        conf->sources = outer->sources;
    conf->hides_credentials = merge(outer->hides_credentials, inner->hides_credentials);
    conf->is_dry_run = merge(outer->is_dry_run, inner->is_dry_run);
    conf->passes_preflight = merge(outer->passes_preflight, inner->passes_preflight);
    return conf;
}

void *directives_make_server(apr_pool_t *pool, server_rec *server)
{
    (void)server;
    return apr_pcalloc(pool, sizeof(struct server_conf));
}

void *directives_merge_server(apr_pool_t *pool, void *above, void *below)
{
    const struct server_conf *outer = above, *inner = below;

    return apr_pmemdup(pool, inner->config != NULL ? inner : outer, sizeof *inner);
}

static struct server_conf *server_conf_of(const server_rec *server)
{
    return ap_get_module_config(server->module_config, &catlatch_module);
}

/* The target that a directive asks for. It is the first that does so whose place is told. */
static struct target *find_target(apr_pool_t *pconf, const struct named *named)
{
    const struct server_conf *conf = server_conf_of(named->server);
    struct target *target = target_make(pconf, known.targets, conf->config, named->service);

    if (target->place.file == NULL)
        target->place = named->place;
    return target;
}

static void find_targets(apr_pool_t *pconf, const server_rec *server)
{
    for (int i = 0; i < known.named->nelts; i++) {
        struct named *named = APR_ARRAY_IDX(known.named, i, struct named *);
        named->target = find_target(pconf, named);
    }
    for (int i = 0; i < known.uses->nelts; i++)
        find_target(pconf, APR_ARRAY_IDX(known.uses, i, struct named *));
    for (; server != NULL; server = server->next) {
        struct server_conf *conf = server_conf_of(server);
        conf->target = target_make(pconf, known.targets, conf->config, NULL);
        if (conf->target->place.file == NULL)
            conf->target->place = conf->place;
    }
}

/* What a service says is known when its configuration has been read: `apachectl configtest` reads
 * it too. Of a module that is loaded and not used, nothing is. */
int directives_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *server)
{
    char message[MESSAGE_SIZE];

    (void)plog, (void)ptemp;
    find_targets(pconf, server);
    for (int i = 0; i < known.targets->nelts; i++) {
        const struct target *target = APR_ARRAY_IDX(known.targets, i, struct target *);
        if (target->place.file == NULL || target_try(target, message, sizeof message))
            continue;
        ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, server,
                     "catlatch: %s; asked for in %s:%d", message, target->place.file,
                     target->place.line);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}

void directives_begin_child(apr_pool_t *pchild, server_rec *server)
{
    target_begin_child(pchild, server, known.targets);
}

const struct dir_conf *conf_of(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &catlatch_module);
}

struct target *target_of(const request_rec *r)
{
    const struct dir_conf *conf = conf_of(r);

    return conf->service != NULL ? conf->service->target : server_conf_of(r->server)->target;
}

bool is_for_us(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type != NULL &&
           (ap_cstr_casecmp(type, "Catlatch") == 0 || ap_cstr_casecmp(type, "Bearer") == 0);
}
