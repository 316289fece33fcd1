#include "stack/service.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

#define DEFAULT_SERVICE "default"

static const char *const CHECKS[STACK_CHECKS] = {
    [STACK_FORMAT] = "format",
    [STACK_TABLE] = "table",
    [STACK_ENVIRONMENT] = "environment",
    [STACK_SCOPE] = "scope",
};

static const char *const CONTROLS[] = {"required", "requisite"};

/* One service while it is being compiled. */
struct compilation {
    const struct config_rule *rule;
    const struct config_rule *rules[STACK_CHECKS]; /* by check: where it stands */
    enum stack_check last;                         /* the check before, if any */
    bool begun;
    struct stack_service *service;
    struct error *error;
};

CATLATCH_PRINTF(2, 3)
static int refuse(const struct compilation *compilation, const char *format, ...)
{
    char reason[384];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return error_set(compilation->error, CATLATCH_E_CONFIG, "%s:%u: %s", compilation->rule->file,
                     compilation->rule->line, reason);
}

static int refuse_word(const struct compilation *compilation, const char *noun, const char *word,
                       const char *const *known, size_t known_count, const char *list)
{
    const char *nearest = text_nearest(word, known, known_count);

    if (nearest != NULL)
        return refuse(compilation, "unknown %s \"%s\" in [service %s]; did you mean \"%s\"?", noun,
                      word, compilation->service->name, nearest);
    return refuse(compilation, "unknown %s \"%s\" in [service %s]; this version knows %s", noun,
                  word, compilation->service->name, list);
}

static int control_parse(const struct compilation *compilation, enum stack_control *ret_control)
{
    const char *control = compilation->rule->control;

    if (strcmp(control, "required") == 0)
        *ret_control = STACK_REQUIRED;
    else if (strcmp(control, "requisite") == 0)
        *ret_control = STACK_REQUISITE;
    else
        return refuse_word(compilation, "control", control, CONTROLS,
                           sizeof CONTROLS / sizeof CONTROLS[0], "required and requisite");
    return 0;
}

static int check_parse(const struct compilation *compilation, const char *module,
                       enum stack_check *ret_check)
{
    for (unsigned i = 0; i < STACK_CHECKS; i++) {
        if (strcmp(CHECKS[i], module) == 0) {
            *ret_check = (enum stack_check)i;
            return 0;
        }
    }
    return refuse_word(compilation, "module", module, CHECKS, STACK_CHECKS,
                       "format, table, environment and scope");
}

static int order_check(const struct compilation *compilation, enum stack_check check)
{
    const struct config_rule *earlier = compilation->rules[check];

    if (earlier != NULL)
        return refuse(compilation,
                      "\"%s\" stands twice in [service %s], first in line %u; keep one",
                      CHECKS[check], compilation->service->name, earlier->line);
    if (compilation->begun && check < compilation->last)
        return refuse(compilation,
                      "\"%s\" stands after \"%s\" in [service %s]; the order is format, table, "
                      "environment, scope",
                      CHECKS[check], CHECKS[compilation->last], compilation->service->name);
    return 0;
}

static bool environment_is_allowed(const struct stack_service *service, const char *name)
{
    for (size_t i = 0; i < service->allowed_count; i++) {
        if (strcmp(service->allowed[i], name) == 0)
            return true;
    }
    return false;
}

static int environment_refuse(const struct compilation *compilation, const char *name)
{
    const struct key_environments *environments = &compilation->service->environments;
    const char *names[KEY_ENVIRONMENTS_MAX];
    const char *nearest;

    for (size_t i = 0; i < environments->count; i++)
        names[i] = environments->list[i].name;
    nearest = text_nearest(name, names, environments->count);
    if (nearest != NULL)
        return refuse(compilation, "no environment \"%s\" in [environments]; did you mean \"%s\"?",
                      name, nearest);
    return refuse(compilation, "no environment \"%s\" in [environments]; add it there", name);
}

static int environment_allow(const struct compilation *compilation, const char *name)
{
    struct stack_service *service = compilation->service;
    const struct key_environment *environment =
        key_environment_named(&service->environments, name, strlen(name));

    if (environment == NULL)
        return environment_refuse(compilation, name);
    if (environment_is_allowed(service, name))
        return refuse(compilation, "environment names \"%s\" twice; keep one", name);
    memcpy(service->allowed[service->allowed_count++], environment->name, sizeof environment->name);
    return 0;
}

/* rest is what strtok_r has left behind the module's name. */
static int arguments_parse(const struct compilation *compilation, enum stack_check check,
                           char *rest)
{
    char *word;
    int r = 0;

    while (r == 0 && (word = strtok_r(NULL, " ", &rest)) != NULL) {
        if (check != STACK_ENVIRONMENT)
            return refuse(compilation, "\"%s\": %s takes no arguments", word, CHECKS[check]);
        r = environment_allow(compilation, word);
    }
    if (r == 0 && check == STACK_ENVIRONMENT && compilation->service->allowed_count == 0)
        return refuse(compilation, "environment needs the names of those that it lets pass");
    return r;
}

static int module_compile(struct compilation *compilation, enum stack_control control, char *text)
{
    char *rest = NULL;
    const char *module = strtok_r(text, " ", &rest);
    enum stack_check check = STACK_FORMAT;
    int r;

    if (module == NULL)
        return refuse(compilation, "no module behind \"%s =\"; write %s = MODULE",
                      compilation->rule->control, compilation->rule->control);
    r = check_parse(compilation, module, &check);
    if (r == 0)
        r = order_check(compilation, check);
    if (r == 0)
        r = arguments_parse(compilation, check, rest);
    if (r != 0)
        return r;
    compilation->rules[check] = compilation->rule;
    compilation->last = check;
    compilation->begun = true;
    compilation->service->control[check] = control;
    return 0;
}

static int rule_compile(struct compilation *compilation, const struct config_rule *rule)
{
    enum stack_control control = STACK_ABSENT;
    char *text;
    int r;

    compilation->rule = rule;
    r = control_parse(compilation, &control);
    if (r != 0)
        return r;
    text = strdup(rule->text);
    if (text == NULL)
        return error_set(compilation->error, CATLATCH_E_MEMORY, "out of memory");
    r = module_compile(compilation, control, text);
    free(text);
    return r;
}

int stack_compile(const struct config *config, const struct config_service *service,
                  struct stack_service *ret_service, struct error *error)
{
    struct stack_service compiled = {.environments = config->environments};
    struct compilation compilation = {.service = &compiled, .error = error};

    memcpy(compiled.name, service->name, sizeof compiled.name);
    for (size_t i = 0; i < service->rule_count; i++) {
        int r = rule_compile(&compilation, &service->rules[i]);
        if (r != 0)
            return r;
    }
    if (service->rule_count > 0 && compiled.control[STACK_TABLE] == STACK_ABSENT)
        return error_set(error, CATLATCH_E_CONFIG,
                         "%s:%u: [service %s] has no \"table\", so nothing looks the key up; add "
                         "\"required = table\"",
                         service->file, service->line, service->name);
    *ret_service = compiled;
    return 0;
}

/* What `default` is when nobody wrote it. */
static void default_compile(const struct config *config, struct stack_service *ret_service)
{
    *ret_service = (struct stack_service){.name = DEFAULT_SERVICE,
                                          .control = {[STACK_FORMAT] = STACK_REQUIRED,
                                                      [STACK_TABLE] = STACK_REQUIRED,
                                                      [STACK_SCOPE] = STACK_REQUIRED},
                                          .environments = config->environments};
}

static int service_missing(const struct config *config, const char *name, struct error *error)
{
    char names[256] = DEFAULT_SERVICE;
    size_t len = strlen(names);

    for (size_t i = 0; i < config->service_count && len < sizeof names; i++) {
        const char *other = config->services[i].name;
        if (strcmp(other, DEFAULT_SERVICE) != 0)
            len += (size_t)snprintf(names + len, sizeof names - len, ", %s", other);
    }
    return error_set(error, CATLATCH_E_NOT_FOUND, "no [service %s] in %s; there is %s%s", name,
                     config->path, names, len < sizeof names ? "" : " ...");
}

int stack_service(const struct config *config, const char *name, struct stack_service *ret_service,
                  struct error *error)
{
    const struct config_service *service = config_service(config, name);

    if (service != NULL)
        return stack_compile(config, service, ret_service, error);
    if (strcmp(name, DEFAULT_SERVICE) != 0)
        return service_missing(config, name, error);
    default_compile(config, ret_service);
    return 0;
}

int stack_check_all(const struct config *config, struct error *error)
{
    for (size_t i = 0; i < config->service_count; i++) {
        struct stack_service compiled;
        int r = stack_compile(config, &config->services[i], &compiled, error);
        if (r != 0)
            return r;
    }
    return 0;
}
