#include "daemon/settings.h"

#include <stdlib.h>
#include <string.h>

static int compile_services(struct settings *settings, struct error *error)
{
    const struct config *config = settings->config;

    settings->services = calloc(config->service_count + 1, sizeof *settings->services);
    if (!settings->services)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for the services");
    int r = stack_service(config, "default", &settings->services[0], error);
    settings->service_count = 1;
    for (size_t i = 0; r == 0 && i < config->service_count; i++) {
        if (strcmp(config->services[i].name, "default") != 0)
            r = stack_compile(config, &config->services[i],
                              &settings->services[settings->service_count++], error);
    }
    return r;
}

int settings_read(const char *path, struct settings *ret_settings, struct error *error)
{
    struct settings settings = {0};

    int r = config_read(path, &settings.config, error);
    if (r == 0)
        r = compile_services(&settings, error);
    if (r == 0)
        *ret_settings = settings;
    else
        settings_free(&settings);
    return r;
}

void settings_free(struct settings *settings)
{
    config_free(settings->config);
    free(settings->services);
    *settings = (struct settings){0};
}

const struct stack_service *settings_service(const struct settings *settings, struct text name)
{
    for (size_t i = 0; i < settings->service_count; i++) {
        if (text_is(name, settings->services[i].name))
            return &settings->services[i];
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
