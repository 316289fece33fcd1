#include "stack/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

#define DEFAULT_SERVICE "default"
#define BLANKS " \t"

/* What `default` is when nobody wrote it, as in etc/catlatch.ini. */
#define BUILT_IN(control, text)                                                 \
    {                                                                           \
        "(default)", 0, (char *)(uintptr_t)(control), (char *)(uintptr_t)(text) \
    }
static const struct config_rule default_rules[] = {
    BUILT_IN("requisite", "format"),
    BUILT_IN("required", "table"),
    BUILT_IN("required", "environment live"),
    BUILT_IN("required", "scope"),
    BUILT_IN("required", "address"),
    BUILT_IN("required", "limit"),
    BUILT_IN("optional", "audit"),
};
#define DEFAULT_RULES (sizeof default_rules / sizeof *default_rules)
#define DEFAULT_ENVIRONMENT_RULE 2u

/* The services that are being read, each within the one before. */
struct reading {
    const struct config *config;
    const char *open[STACK_LEVELS_MAX];
    unsigned depth;
    struct lines *lines;
    struct error *error;
};

static int blame(const struct reading *reading, const struct config_rule *rule, int code)
{
    if (rule->line == 0)
        error_prefix(reading->error, "%s: the built-in [service " DEFAULT_SERVICE "]",
                     reading->config->path);
    else
        error_prefix(reading->error, "%s:%u", rule->file, rule->line);
    return code;
}

static int no_memory(const struct reading *reading)
{
    return error_set(reading->error, CATLATCH_E_MEMORY, "out of memory");
}

/* NULL: the error is set. */
static struct line *add_line(struct reading *reading, const struct config_rule *rule,
                             unsigned level)
{
    struct lines *lines = reading->lines;

    if (lines->count == STACK_LINES_MAX) {
        error_set(reading->error, CATLATCH_E_CONFIG,
                  "the service has more than %u lines with those that it includes",
                  STACK_LINES_MAX);
        return NULL;
    }
    struct line *line = calloc(1, sizeof *line);
    if (line == NULL) {
        no_memory(reading);
        return NULL;
    }
    line->rule = rule;
    line->level = level;
    lines->list[lines->count++] = line;
    return line;
}

static int service_missing(const struct reading *reading, const char *name)
{
    const struct config *config = reading->config;
    char names[256] = DEFAULT_SERVICE;
    size_t len = strlen(names);

    for (size_t i = 0; i < config->service_count && len < sizeof names; i++) {
        const char *other = config->services[i].name;
        if (strcmp(other, DEFAULT_SERVICE) != 0)
            len += (size_t)snprintf(names + len, sizeof names - len, ", %s", other);
    }
    return error_set(reading->error, CATLATCH_E_NOT_FOUND, "no [service %s] in %s; there is %s%s",
                     name, config->path, names, len < sizeof names ? "" : " ...");
}

static int enter(struct reading *reading, const char *name)
{
    for (unsigned i = 0; i < reading->depth; i++) {
        if (strcmp(reading->open[i], name) == 0)
            return error_set(reading->error, CATLATCH_E_CONFIG,
                             "[service %s] would include itself; take this line out", name);
    }
    if (reading->depth == STACK_LEVELS_MAX)
        return error_set(reading->error, CATLATCH_E_CONFIG,
                         "services are included more than %u deep", STACK_LEVELS_MAX);
    reading->open[reading->depth++] = name;
    return 0;
}

static bool is_there(const struct config *config, const char *name)
{
    return strcmp(name, DEFAULT_SERVICE) == 0 || config_service(config, name) != NULL;
}

static int body_read(struct reading *reading, const char *name, unsigned level);

/* The name of a service and nothing else. */
static int check_included(struct reading *reading, const struct config_rule *rule)
{
    if (rule->text[0] == '\0' || strpbrk(rule->text, BLANKS) != NULL)
        return error_set(reading->error, CATLATCH_E_CONFIG,
                         "%s wants the name of one service: %s = NAME", rule->control,
                         rule->control);
    if (!is_there(reading->config, rule->text)) {
        service_missing(reading, rule->text);
        reading->error->code = CATLATCH_E_CONFIG; /* what is not found is not what was asked for */
        return CATLATCH_E_CONFIG;
    }
    return enter(reading, rule->text);
}

static int included_read(struct reading *reading, const struct config_rule *rule, unsigned level)
{
    bool is_substack = strcmp(rule->control, "substack") == 0;
    int r = check_included(reading, rule);

    if (r == 0 && is_substack) {
        struct line *marker = add_line(reading, rule, level);
        if (marker != NULL)
            marker->begins_substack = true;
        r = marker != NULL ? 0 : reading->error->code;
    }
    if (r != 0)
        return blame(reading, rule, r);
    r = body_read(reading, rule->text, level + is_substack);
    reading->depth--;
    return r;
}

static int unknown_control(const struct reading *reading, const char *word)
{
    static const char *const WORDS[] = {"required", "requisite", "sufficient", "optional",
                                        "include",  "substack",  "rule"};
    const char *nearest = text_nearest(word, WORDS, sizeof WORDS / sizeof *WORDS);

    if (nearest != NULL)
        return error_set(reading->error, CATLATCH_E_CONFIG,
                         "unknown control \"%s\"; did you mean \"%s\"?", word, nearest);
    return error_set(reading->error, CATLATCH_E_CONFIG,
                     "unknown control \"%s\"; there are required, requisite, sufficient, optional, "
                     "include, substack and rule = [RESULT=ACTION ...]",
                     word);
}

/* The control, and where the module begins behind it. */
static int control_read(const struct reading *reading, struct line *line, char **ret_rest)
{
    const char *word = line->rule->control;
    char *close;

    *ret_rest = line->text;
    if (control_of_word(word, &line->control))
        return 0;
    if (strcmp(word, "rule") != 0)
        return unknown_control(reading, word);
    if (line->text[0] != '[' || (close = strchr(line->text, ']')) == NULL)
        return error_set(reading->error, CATLATCH_E_CONFIG,
                         "a rule is [RESULT=ACTION ...] MODULE, as rule = [valid=ok default=die] "
                         "table");
    *close = '\0';
    *ret_rest = close + 1;
    return control_of_rule(line->text + 1, &line->control, reading->error);
}

static int module_read(const struct reading *reading, struct line *line, char *text)
{
    char *rest = NULL;

    line->module = strtok_r(text, BLANKS, &rest);
    if (line->module == NULL)
        return error_set(reading->error, CATLATCH_E_CONFIG,
                         "no module behind \"%s =\"; write %s = MODULE", line->rule->control,
                         line->rule->control);
    for (char *word = strtok_r(NULL, BLANKS, &rest); word != NULL;
         word = strtok_r(NULL, BLANKS, &rest)) {
        char *equals = strchr(word, '=');
        if (line->argument_count == LINE_ARGUMENTS_MAX)
            return error_set(reading->error, CATLATCH_E_CONFIG, "%s has more than %u arguments",
                             line->module, LINE_ARGUMENTS_MAX);
        if (equals != NULL)
            *equals = '\0';
        line->arguments[line->argument_count++] =
            (struct catlatch_argument){word, equals != NULL ? equals + 1 : NULL};
    }
    return 0;
}

static int rule_read(struct reading *reading, const struct config_rule *rule, unsigned level)
{
    char *rest = NULL;

    if (strcmp(rule->control, "include") == 0 || strcmp(rule->control, "substack") == 0)
        return included_read(reading, rule, level);
    struct line *line = add_line(reading, rule, level);
    if (line == NULL)
        return blame(reading, rule, reading->error->code);
    line->text = strdup(rule->text);
    int r = line->text != NULL ? 0 : no_memory(reading);
    if (r == 0)
        r = control_read(reading, line, &rest);
    if (r == 0)
        r = module_read(reading, line, rest);
    return r != 0 ? blame(reading, rule, r) : 0;
}

static int default_read(struct reading *reading, unsigned level)
{
    const struct key_environments *environments = &reading->config->environments;
    bool has_live = key_environment_named(environments, "live", strlen("live")) != NULL;
    int r = 0;

    for (size_t i = 0; r == 0 && i < DEFAULT_RULES; i++) {
        if (i != DEFAULT_ENVIRONMENT_RULE || has_live)
            r = rule_read(reading, &default_rules[i], level);
    }
    return r;
}

static int body_read(struct reading *reading, const char *name, unsigned level)
{
    const struct config_service *service = config_service(reading->config, name);
    int r = 0;

    if (service == NULL)
        return default_read(reading, level);
    for (size_t i = 0; r == 0 && i < service->rule_count; i++)
        r = rule_read(reading, &service->rules[i], level);
    return r;
}

int lines_read(const struct config *config, const char *service, struct lines *ret_lines,
               struct error *error)
{
    struct error ignored = {.code = 0};
    struct reading reading = {
        .config = config, .lines = ret_lines, .error = error != NULL ? error : &ignored};

    *ret_lines = (struct lines){0};
    if (!is_there(config, service))
        return service_missing(&reading, service);
    enter(&reading, service);
    int r = body_read(&reading, service, 0);
    if (r != 0)
        lines_free(ret_lines);
    return r;
}

void lines_free(struct lines *lines)
{
    for (unsigned i = 0; i < lines->count; i++) {
        free(lines->list[i]->text);
        free(lines->list[i]);
    }
    lines->count = 0;
}
