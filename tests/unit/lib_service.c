#include "lib_service.h"
#include "stack/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_modules.h"

static void add_service(struct service_config *world, const char *name, const char *lines,
                        unsigned first_line)
{
    size_t index = world->config.service_count++;
    struct config_service *service = &world->services[index];
    char *text = world->text[index], *rest = NULL;

    strcpy(service->name, name);
    service->file = "/c.ini";
    service->line = first_line - 1;
    service->rules = world->rules[index];
    assert_true(strlen(lines) < sizeof world->text[index]);
    strcpy(text, lines);
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strstr(line, " =");
        assert_non_null(equals);
        assert_in_range(service->rule_count, 0, SERVICE_RULES_MAX - 1);
        *equals = '\0';
        service->rules[service->rule_count] =
            (struct config_rule){"/c.ini", first_line + (unsigned)service->rule_count, line,
                                 equals + 2 + strspn(equals + 2, " ")};
        service->rule_count++;
    }
}

void service_config(struct service_config *world, const char *api, const char *fallback)
{
    memset(world, 0, sizeof *world);
    world->config.path = (char *)(uintptr_t) "/c.ini";
    snprintf(world->config.module_dir, sizeof world->config.module_dir, "%s", test_modules());
    world->config.environments =
        (struct key_environments){.count = 2, .list = {{"live", "cc_live_"}, {"test", "cc_test_"}}};
    world->config.services = world->services;
    if (api != NULL)
        add_service(world, "api", api, 11);
    if (fallback != NULL)
        add_service(world, "default", fallback, 101);
}

struct stack_service *service_of(const char *lines)
{
    struct service_config *world = test_malloc(sizeof *world);
    struct stack_service *service = NULL;
    struct error error = {.text = ""};

    service_config(world, lines, NULL);
    if (stack_open(&world->config, "api", STACK_HOST_ANY, &service, &error) != 0)
        fail_msg("refused: %s", error.text);
    test_free(world);
    return service;
}

void service_is_refused(const char *lines, const char *message)
{
    struct service_config *world = test_malloc(sizeof *world);
    struct stack_service *const untouched = (struct stack_service *)(uintptr_t)16;
    struct stack_service *service = untouched;
    struct error error = {.text = ""};

    service_config(world, lines, NULL);
    assert_int_equal(stack_open(&world->config, "api", STACK_HOST_ANY, &service, &error),
                     CATLATCH_E_CONFIG);
    assert_string_equal(error.text, message);
    assert_ptr_equal(service, untouched);
    assert_int_equal(stack_check(&world->config, NULL), CATLATCH_E_CONFIG);
    test_free(world);
}
