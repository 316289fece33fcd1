#include "daemon/settings.h"

#include <stdlib.h>
#include <string.h>

static int open_service(struct settings *settings, const char *name, struct error *error)
{
    return stack_open(settings->config, name, STACK_HOST_DAEMON,
                      &settings->services[settings->service_count], error);
}

static int open_services(struct settings *settings, struct error *error)
{
    const struct config *config = settings->config;

    settings->services = calloc(config->service_count + 1, sizeof *settings->services);
    if (!settings->services)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for the services");
    int r = open_service(settings, "default", error);
    settings->service_count += r == 0;
    for (size_t i = 0; r == 0 && i < config->service_count; i++) {
        if (strcmp(config->services[i].name, "default") == 0)
            continue;
        r = open_service(settings, config->services[i].name, error);
        settings->service_count += r == 0;
    }
    return r;
}

/* Those of services that the daemon does not run itself among them. */
static int gather_limits(struct settings *settings, struct error *error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < settings->service_count; i++)
        r = stack_gather_limits(settings->services[i], &settings->config->named_limits, error);
    return r;
}

int settings_read(const char *path, struct settings *ret_settings, struct error *error)
{
    struct settings settings = {0};

    int r = config_read(path, &settings.config, error);
    if (r == 0)
        r = open_services(&settings, error);
    if (r == 0)
        r = gather_limits(&settings, error);
    if (r == 0)
        *ret_settings = settings;
    else
        settings_free(&settings);
    return r;
}

void settings_free(struct settings *settings)
{
    for (size_t i = 0; i < settings->service_count; i++)
        stack_close(settings->services[i]);
    free(settings->services);
    config_free(settings->config);
    *settings = (struct settings){0};
}

struct stack_service *settings_service(const struct settings *settings, struct text name)
{
    for (size_t i = 0; i < settings->service_count; i++) {
        if (text_is(name, settings->services[i]->name))
            return settings->services[i];
    }
    return NULL;
}

/* Whether the configuration knows this environment, with the same prefix. */
static bool knows(const struct config *config, const struct table_environment *environment)
{
    const struct key_environment *found =
        key_environment_named(&config->environments, environment->name,
                              strnlen(environment->name, sizeof environment->name));

    return found && strncmp(found->prefix, environment->prefix, sizeof environment->prefix) == 0;
}

int settings_check_environments(const struct config *config, const struct table_view *view,
                                struct error *error)
{
    /* acquire: pairs with the writer's release when it has written an entry */
    uint64_t count = atomic_load_explicit(&view->header->environment_count, memory_order_acquire);
    for (uint64_t i = 0; i < count && i < KEY_ENVIRONMENTS_MAX; i++) {
        const struct table_environment *environment = &view->header->environments[i];
        if (!knows(config, environment))
            return error_set(error, CATLATCH_E_CONFIG,
                             "%s: environment %.*s = %.*s is in use and can be neither removed nor "
                             "changed",
                             config->path, (int)sizeof environment->name, environment->name,
                             (int)sizeof environment->prefix, environment->prefix);
    }
    return 0;
}
