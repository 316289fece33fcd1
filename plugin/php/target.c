/* The handles of a process, which outlive its requests. */
#include "php_catlatch.h"

#include <time.h>
#include <zend_exceptions.h>

#define REFRESH_S 10

#define MESSAGE_SIZE 512

static time_t now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return now.tv_sec;
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static struct catlatch *open_latch(const char *config, const char *service)
{
    const struct catlatch_options options = {
        .size = sizeof options,
        .config_path = text_or_null(config),
        .service = text_or_null(service),
    };
    struct catlatch *latch = NULL;
    char message[MESSAGE_SIZE] = "";
    int error = catlatch_open(&options, &latch, message, sizeof message);

    if (error != 0)
        zend_throw_exception(php_catlatch_exception_ce,
                             message[0] != '\0' ? message : catlatch_strerror(error), error);
    return latch;
}

struct target *php_catlatch_target(const char *service)
{
    const char *config = CATLATCH_G(config) != NULL ? CATLATCH_G(config) : "";
    struct target *target = CATLATCH_G(targets);

    if (service == NULL)
        service = CATLATCH_G(service) != NULL ? CATLATCH_G(service) : "";
    for (; target != NULL; target = target->next)
        if (strcmp(target->config, config) == 0 && strcmp(target->service, service) == 0)
            return target;
    struct catlatch *latch = open_latch(config, service);
    if (latch == NULL)
        return NULL;
    target = pemalloc(sizeof *target, 1);
    target->config = pestrdup(config, 1);
    target->service = pestrdup(service, 1);
    target->latch = latch;
    target->next = CATLATCH_G(targets);
    CATLATCH_G(targets) = target;
    return target;
}

void php_catlatch_refresh(void)
{
    if (CATLATCH_G(targets) == NULL)
        return;
    time_t now = now_s();
    if (now - CATLATCH_G(refreshed_s) < REFRESH_S)
        return;
    CATLATCH_G(refreshed_s) = now;
    for (struct target *target = CATLATCH_G(targets); target != NULL; target = target->next)
        catlatch_refresh(target->latch);
}

void php_catlatch_close_targets(zend_catlatch_globals *globals)
{
    while (globals->targets != NULL) {
        struct target *target = globals->targets;
        globals->targets = target->next;
        catlatch_close(target->latch);
        pefree(target->config, 1);
        pefree(target->service, 1);
        pefree(target, 1);
    }
}
