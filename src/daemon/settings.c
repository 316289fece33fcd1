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
