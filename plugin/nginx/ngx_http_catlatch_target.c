/* The handles of a worker, one for each service that a location asks. */
#include "ngx_http_catlatch.h"

#define TRIED_AGAIN_S 1

/* Idle workers let go of tables that were followed by others. */
#define REFRESH_MS 10000

#define MESSAGE_SIZE 512

static const char *text_or_null(const ngx_str_t *text)
{
    return text->len > 0 ? (const char *)text->data : NULL;
}

static ngx_int_t is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && ngx_strcmp(a, b) == 0);
}

static ngx_http_catlatch_place_t place_of(const ngx_http_catlatch_loc_conf_t *conf)
{
    if (conf->service_place.file != NULL)
        return conf->service_place;
    return conf->config_place.file != NULL ? conf->config_place : conf->enable_place;
}

/* Of a cycle that nothing uses any more. */
static void close_target(void *data)
{
    ngx_http_catlatch_target_t *target = data;

    catlatch_close(target->latch);
    target->latch = NULL;
}

ngx_http_catlatch_target_t *ngx_http_catlatch_target(ngx_conf_t *cf,
                                                     const ngx_http_catlatch_loc_conf_t *conf)
{
    ngx_http_catlatch_main_conf_t *mcf =
        ngx_http_conf_get_module_main_conf(cf, ngx_http_catlatch_module);
    ngx_http_catlatch_target_t **known = mcf->targets.elts, *target;
    const char *config = text_or_null(&conf->config), *service = text_or_null(&conf->service);

    for (ngx_uint_t i = 0; i < mcf->targets.nelts; i++)
        if (is_same(known[i]->config, config) && is_same(known[i]->service, service))
            return known[i];
    target = ngx_pcalloc(cf->pool, sizeof *target);
    known = ngx_array_push(&mcf->targets);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(cf->pool, 0);
    if (target == NULL || known == NULL || cleanup == NULL)
        return NULL;
    cleanup->handler = close_target;
    cleanup->data = target;
    target->config = config;
    target->service = service;
    target->place = place_of(conf);
    return *known = target;
}

static ngx_int_t open_target(const ngx_http_catlatch_target_t *target, struct catlatch **ret_latch,
                             char message[MESSAGE_SIZE])
{
    const struct catlatch_options options = {
        .size = sizeof options,
        .config_path = target->config,
        .service = target->service,
        .flags = CATLATCH_OPEN_NEVER_BLOCK,
    };

    message[0] = '\0';
    return catlatch_open(&options, ret_latch, message, MESSAGE_SIZE) == 0 ? NGX_OK : NGX_ERROR;
}

ngx_int_t ngx_http_catlatch_try_targets(ngx_conf_t *cf, ngx_http_catlatch_main_conf_t *conf)
{
    ngx_http_catlatch_target_t **targets = conf->targets.elts;
    struct catlatch *latch;
    char message[MESSAGE_SIZE];

    for (ngx_uint_t i = 0; i < conf->targets.nelts; i++) {
        if (open_target(targets[i], &latch, message) != NGX_OK) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "catlatch: %s; asked for in %s:%ui", message,
                          targets[i]->place.file, targets[i]->place.line);
            return NGX_ERROR;
        }
        catlatch_close(latch);
    }
    return NGX_OK;
}

struct catlatch *ngx_http_catlatch_latch(ngx_http_catlatch_target_t *target, ngx_log_t *log)
{
    char message[MESSAGE_SIZE];

    if (target->latch != NULL || ngx_time() - target->tried_s < TRIED_AGAIN_S)
        return target->latch;
    target->tried_s = ngx_time();
    if (open_target(target, &target->latch, message) != NGX_OK) {
        target->latch = NULL;
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "catlatch: %s; until that is mended requests for it are answered 503",
                      message);
    }
    return target->latch;
}

static void refresh(ngx_event_t *event)
{
    ngx_http_catlatch_main_conf_t *conf = event->data;
    ngx_http_catlatch_target_t **targets = conf->targets.elts;

    for (ngx_uint_t i = 0; i < conf->targets.nelts; i++) {
        struct catlatch *latch = ngx_http_catlatch_latch(targets[i], event->log);
        if (latch != NULL)
            catlatch_refresh(latch);
    }
    if (!ngx_exiting)
        ngx_add_timer(event, REFRESH_MS);
}

static ngx_http_catlatch_main_conf_t *conf_of(ngx_cycle_t *cycle)
{
    return ngx_get_conf(cycle->conf_ctx, ngx_http_module) != NULL
               ? ngx_http_cycle_get_module_main_conf(cycle, ngx_http_catlatch_module)
               : NULL;
}

/* A worker that cannot open a service lives: it may serve others. */
ngx_int_t ngx_http_catlatch_init_process(ngx_cycle_t *cycle)
{
    ngx_http_catlatch_main_conf_t *conf = conf_of(cycle);
    ngx_http_catlatch_target_t **targets;

    if (conf == NULL || conf->targets.nelts == 0 ||
        (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE))
        return NGX_OK;
    targets = conf->targets.elts;
    for (ngx_uint_t i = 0; i < conf->targets.nelts; i++)
        ngx_http_catlatch_latch(targets[i], cycle->log);
    conf->refresh.handler = refresh;
    conf->refresh.data = conf;
    conf->refresh.log = cycle->log;
    conf->refresh.cancelable = 1;
    ngx_add_timer(&conf->refresh, REFRESH_MS);
    return NGX_OK;
}

void ngx_http_catlatch_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_catlatch_main_conf_t *conf = conf_of(cycle);

    if (conf == NULL)
        return;
    ngx_http_catlatch_target_t **targets = conf->targets.elts;
    for (ngx_uint_t i = 0; i < conf->targets.nelts; i++)
        close_target(targets[i]);
}
