/*
 * The directives, and where they apply.
 *
 *     load_module modules/ngx_http_catlatch_module.so;
 *     location /api/ {
 *         catlatch on;
 *         catlatch_scope read;
 *         catlatch_hide_credentials on;
 *         proxy_set_header X-Owner $catlatch_owner;
 *         proxy_pass http://127.0.0.1:8000;
 *     }
 */
#include "ngx_http_catlatch.h"

static ngx_http_catlatch_place_t place_of(ngx_conf_t *cf)
{
    return (ngx_http_catlatch_place_t){cf->conf_file->file.name.data, cf->conf_file->line};
}

static char *set_enable(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_catlatch_loc_conf_t *conf = data;

    conf->enable_place = place_of(cf);
    return ngx_conf_set_flag_slot(cf, cmd, conf);
}

static char *set_config(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_catlatch_loc_conf_t *conf = data;
    char *r = ngx_conf_set_str_slot(cf, cmd, conf);

    conf->config_place = place_of(cf);
    if (r == NGX_CONF_OK && ngx_conf_full_name(cf->cycle, &conf->config, 1) != NGX_OK)
        return NGX_CONF_ERROR;
    return r;
}

static char *set_service(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_catlatch_loc_conf_t *conf = data;

    conf->service_place = place_of(cf);
    return ngx_conf_set_str_slot(cf, cmd, conf);
}

static char *set_realm(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_catlatch_loc_conf_t *conf = data;
    char *r = ngx_conf_set_str_slot(cf, cmd, conf);

    if (r == NGX_CONF_OK && !answer_realm_is_sane((const char *)conf->realm.data, conf->realm.len))
        return "is 1 to 128 visible ASCII characters and spaces, no quotes and no backslashes";
    return r;
}

static char *set_scope(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_catlatch_loc_conf_t *conf = data;
    const ngx_str_t *words = cf->args->elts;
    char *text = ngx_pnalloc(cf->pool, CATLATCH_SCOPES_SIZE);

    (void)cmd;
    if (conf->scopes != NULL)
        return "is duplicate";
    conf->scopes = ngx_palloc(cf->pool, sizeof *conf->scopes);
    if (conf->scopes == NULL || text == NULL)
        return NGX_CONF_ERROR;
    scopes_init(conf->scopes);
    for (ngx_uint_t i = 1; i < cf->args->nelts; i++)
        if (!scopes_add(conf->scopes, (const char *)words[i].data, words[i].len))
            return "takes scopes: each 1 to 64 visible ASCII characters, no quotes, no "
                   "backslashes, 2047 bytes in all";
    scopes_join(conf->scopes, text);
    conf->scope_text = text;
    return NGX_CONF_OK;
}

static ngx_int_t read_source(const ngx_array_t *args, ngx_http_catlatch_source_t *ret)
{
    const ngx_str_t *words = args->elts;
    ngx_uint_t count = args->nelts - 1;

    *ret = (ngx_http_catlatch_source_t){.kind = NGX_HTTP_CATLATCH_BEARER};
    if (count == 1 && ngx_strcmp(words[1].data, "bearer") == 0)
        return NGX_OK;
    if (count == 1 && ngx_strcmp(words[1].data, "basic") == 0) {
        ret->kind = NGX_HTTP_CATLATCH_BASIC;
        return NGX_OK;
    }
    if (count != 2 || ngx_strcmp(words[1].data, "header") != 0 || words[2].len == 0)
        return NGX_ERROR;
    ret->kind = NGX_HTTP_CATLATCH_HEADER;
    ret->header = words[2];
    ngx_strlow(ret->header.data, ret->header.data, ret->header.len);
    return NGX_OK;
}

/* Each line names one more place that a key is looked for in. */
static char *set_source(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_catlatch_loc_conf_t *conf = data;
    ngx_http_catlatch_source_t source, *known;

    (void)cmd;
    if (read_source(cf->args, &source) != NGX_OK)
        return "is bearer, basic or header NAME";
    if (source.kind == NGX_HTTP_CATLATCH_HEADER &&
        ngx_strcmp(source.header.data, "authorization") == 0)
        return "header authorization is called bearer or basic";
    if (conf->sources == NULL)
        conf->sources = ngx_array_create(cf->pool, 2, sizeof source);
    if (conf->sources == NULL)
        return NGX_CONF_ERROR;
    known = conf->sources->elts;
    for (ngx_uint_t i = 0; i < conf->sources->nelts; i++)
        if (known[i].kind == source.kind &&
            (source.kind != NGX_HTTP_CATLATCH_HEADER ||
             ngx_strcmp(known[i].header.data, source.header.data) == 0))
            return "is duplicate";
    known = ngx_array_push(conf->sources);
    if (known == NULL)
        return NGX_CONF_ERROR;
    *known = source;
    return NGX_CONF_OK;
}

static char *set_preflight(ngx_conf_t *cf, ngx_command_t *cmd, void *data)
{
    ngx_http_catlatch_loc_conf_t *conf = data;
    const ngx_str_t *words = cf->args->elts;

    (void)cmd;
    if (conf->checks_preflight != NGX_CONF_UNSET)
        return "is duplicate";
    if (ngx_strcmp(words[1].data, "check") != 0 && ngx_strcmp(words[1].data, "pass") != 0)
        return "is check or pass";
    conf->checks_preflight = words[1].data[0] == 'c';
    return NGX_CONF_OK;
}

#define ANYWHERE (NGX_HTTP_MAIN_CONF | NGX_HTTP_SRV_CONF | NGX_HTTP_LOC_CONF | NGX_HTTP_LMT_CONF)
#define OFFSET(member) offsetof(ngx_http_catlatch_loc_conf_t, member)

static ngx_command_t commands[] = {
    {ngx_string("catlatch"), ANYWHERE | NGX_CONF_FLAG, set_enable, NGX_HTTP_LOC_CONF_OFFSET,
     OFFSET(enable), NULL},
    {ngx_string("catlatch_config"), ANYWHERE | NGX_CONF_TAKE1, set_config, NGX_HTTP_LOC_CONF_OFFSET,
     OFFSET(config), NULL},
    {ngx_string("catlatch_service"), ANYWHERE | NGX_CONF_TAKE1, set_service,
     NGX_HTTP_LOC_CONF_OFFSET, OFFSET(service), NULL},
    {ngx_string("catlatch_scope"), ANYWHERE | NGX_CONF_1MORE, set_scope, NGX_HTTP_LOC_CONF_OFFSET,
     0, NULL},
    {ngx_string("catlatch_realm"), ANYWHERE | NGX_CONF_TAKE1, set_realm, NGX_HTTP_LOC_CONF_OFFSET,
     OFFSET(realm), NULL},
    {ngx_string("catlatch_source"), ANYWHERE | NGX_CONF_TAKE12, set_source,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    {ngx_string("catlatch_hide_credentials"), ANYWHERE | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_LOC_CONF_OFFSET, OFFSET(hide_credentials), NULL},
    {ngx_string("catlatch_dry_run"), ANYWHERE | NGX_CONF_FLAG, ngx_conf_set_flag_slot,
     NGX_HTTP_LOC_CONF_OFFSET, OFFSET(dry_run), NULL},
    {ngx_string("catlatch_preflight"), ANYWHERE | NGX_CONF_TAKE1, set_preflight,
     NGX_HTTP_LOC_CONF_OFFSET, 0, NULL},
    ngx_null_command,
};

static void *create_main_conf(ngx_conf_t *cf)
{
    ngx_http_catlatch_main_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);

    if (conf == NULL ||
        ngx_array_init(&conf->targets, cf->pool, 4, sizeof(ngx_http_catlatch_target_t *)) != NGX_OK)
        return NULL;
    return conf;
}

static void *create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_catlatch_loc_conf_t *conf = ngx_pcalloc(cf->pool, sizeof *conf);

    if (conf == NULL)
        return NULL;
    conf->enable = conf->hide_credentials = conf->dry_run = conf->checks_preflight = NGX_CONF_UNSET;
    return conf;
}

static char *merge_sources(ngx_conf_t *cf, ngx_http_catlatch_loc_conf_t *conf, ngx_array_t *above)
{
    ngx_http_catlatch_source_t *bearer;

    if (conf->sources != NULL || (conf->sources = above) != NULL)
        return NGX_CONF_OK;
    conf->sources = ngx_array_create(cf->pool, 1, sizeof *bearer);
    if (conf->sources == NULL || (bearer = ngx_array_push(conf->sources)) == NULL)
        return NGX_CONF_ERROR;
    *bearer = (ngx_http_catlatch_source_t){.kind = NGX_HTTP_CATLATCH_BEARER};
    return NGX_CONF_OK;
}

static void merge_text(ngx_str_t *text, ngx_http_catlatch_place_t *place, const ngx_str_t *above,
                       const ngx_http_catlatch_place_t *place_above)
{
    if (text->data != NULL)
        return;
    *text = *above;
    *place = *place_above;
}

static char *merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_catlatch_loc_conf_t *above = parent, *conf = child;

    if (conf->enable == NGX_CONF_UNSET)
        conf->enable_place = above->enable_place;
    ngx_conf_merge_value(conf->enable, above->enable, 0);
    ngx_conf_merge_value(conf->hide_credentials, above->hide_credentials, 0);
    ngx_conf_merge_value(conf->dry_run, above->dry_run, 0);
    ngx_conf_merge_value(conf->checks_preflight, above->checks_preflight, 1);
    merge_text(&conf->config, &conf->config_place, &above->config, &above->config_place);
    merge_text(&conf->service, &conf->service_place, &above->service, &above->service_place);
    ngx_conf_merge_str_value(conf->realm, above->realm, "api");
    if (conf->scopes == NULL) {
        conf->scopes = above->scopes;
        conf->scope_text = above->scope_text;
    }
    if (merge_sources(cf, conf, above->sources) != NGX_CONF_OK)
        return NGX_CONF_ERROR;
    if (!conf->enable)
        return NGX_CONF_OK;
    conf->target = ngx_http_catlatch_target(cf, conf);
    return conf->target != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}

static ngx_int_t add_handler(ngx_http_core_main_conf_t *cmcf, ngx_http_phases phase,
                             ngx_http_handler_pt handler)
{
    ngx_http_handler_pt *added = ngx_array_push(&cmcf->phases[phase].handlers);

    if (added == NULL)
        return NGX_ERROR;
    *added = handler;
    return NGX_OK;
}

/* What a service says is known when its configuration has been read: `nginx -t` reads it too. */
static ngx_int_t init(ngx_conf_t *cf)
{
    static ngx_str_t request_id = ngx_string("request_id");
    ngx_http_core_main_conf_t *cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);
    ngx_http_catlatch_main_conf_t *conf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_catlatch_module);

    conf->request_id = ngx_http_get_variable_index(cf, &request_id);
    if (conf->request_id == NGX_ERROR ||
        add_handler(cmcf, NGX_HTTP_ACCESS_PHASE, ngx_http_catlatch_access_handler) != NGX_OK ||
        add_handler(cmcf, NGX_HTTP_PRECONTENT_PHASE, ngx_http_catlatch_precontent_handler) !=
            NGX_OK)
        return NGX_ERROR;
    return ngx_http_catlatch_try_targets(cf, conf);
}

static ngx_http_module_t http_module = {
    .preconfiguration = ngx_http_catlatch_add_variables,
    .postconfiguration = init,
    .create_main_conf = create_main_conf,
    .create_loc_conf = create_loc_conf,
    .merge_loc_conf = merge_loc_conf,
};

ngx_module_t ngx_http_catlatch_module = {
    NGX_MODULE_V1,
    .ctx = &http_module,
    .commands = commands,
    .type = NGX_HTTP_MODULE,
    .init_process = ngx_http_catlatch_init_process,
    .exit_process = ngx_http_catlatch_exit_process,
};
