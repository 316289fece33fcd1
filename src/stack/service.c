#include "stack/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "stack/charge.h"
#include "stack/lines.h"
#include "stack/registry.h"

static const char *const STOCK[] = {
    "format", "table", "socket", "environment", "scope", "address",
    "limit",  "file",  "audit",  "permit",      "deny",  "debug",
};

struct opening {
    const struct config *config;
    enum stack_host host;
    struct stack_service *service;
    struct catlatch_setup_environment environments[KEY_ENVIRONMENTS_MAX];
    struct error *error;
};

static bool is_stock(const char *name)
{
    for (size_t i = 0; i < sizeof STOCK / sizeof *STOCK; i++) {
        if (strcmp(STOCK[i], name) == 0)
            return true;
    }
    return false;
}

static int verify_nothing(void *instance, struct catlatch_call *call)
{
    (void)instance, (void)call;
    return CATLATCH_IGNORE;
}

/* The file of an unknown module is missing: a word for what was meant. */
static int unknown_module(const struct opening *opening, const char *name)
{
    const char *nearest = text_nearest(name, STOCK, sizeof STOCK / sizeof *STOCK);

    if (is_stock(name) || nearest == NULL)
        return error_set(opening->error, CATLATCH_E_CONFIG,
                         "unknown module \"%s\": there is no %s/%s.so", name,
                         opening->config->module_dir, name);
    return error_set(opening->error, CATLATCH_E_CONFIG,
                     "unknown module \"%s\" (there is no %s/%s.so); did you mean \"%s\"?", name,
                     opening->config->module_dir, name, nearest);
}

static int name_limit(const struct opening *opening, const struct catlatch_setup_limit *limit,
                      struct stack_step *step)
{
    struct stack_named named = {.places = {-1, -1, -1, -1}};
    struct error error;

    if (!is_stock(step->module->name)) /* the daemon, which gives it its place, loads no others */
        return error_set(opening->error, CATLATCH_E_CONFIG,
                         "%s names a limit, which modules of others cannot", step->module->name);
    if (named_limit_parse(limit->name, limit->rates, &named.limit, &error) != 0)
        return error_set(opening->error, CATLATCH_E_CONFIG, "%s: %s", step->module->name,
                         error.text);
    for (uint32_t i = 0; i < named.limit.rates.count; i++)
        named.rules[i] = (struct table_side_limit){
            .rate = named.limit.rates.list[i], .rule = limit_rule_of(&named.limit.rates.list[i])};
    step->named = malloc(sizeof *step->named);
    if (step->named == NULL)
        return error_set(opening->error, CATLATCH_E_MEMORY, "out of memory");
    *step->named = named;
    return 0;
}

static int instance_make(const struct opening *opening, const struct line *line,
                         struct stack_step *step)
{
    const struct catlatch_module *module = step->module;
    struct catlatch_setup_limit limit = {NULL, NULL};
    char message[384] = "";
    struct catlatch_setup setup = {
        .size = sizeof setup,
        .service = opening->service->name,
        .arguments = line->arguments,
        .argument_count = line->argument_count,
        .environments = opening->environments,
        .environment_count = opening->config->environments.count,
        .run_dir = opening->config->run_dir,
        .message = message,
        .message_size = sizeof message,
        .flags = &step->flags,
        .passes = &step->passes,
        .cost_milli = &step->cost_milli,
        .line = (uint32_t)(step - opening->service->steps) + 1,
        .limit = &limit,
    };

    if (module->init == NULL && line->argument_count > 0)
        return error_set(opening->error, CATLATCH_E_CONFIG, "\"%s\": %s takes no arguments",
                         line->arguments[0].name, line->module);
    int r = module->init != NULL ? module->init(&setup, &step->instance) : 0;
    if (r == 0 && limit.name != NULL) {
        r = name_limit(opening, &limit, step);
        if (r != 0 && module->fini != NULL)
            module->fini(step->instance);
        return r;
    }
    if (r == 0)
        return 0;
    message[sizeof message - 1] = '\0';
    return error_set(opening->error, r > 0 || r < CATLATCH_E_LIMIT ? CATLATCH_E_CONFIG : r,
                     "%s: %s", line->module, message[0] != '\0' ? message : "refused to start");
}

/* Whether this host runs what has these flags: a loop refuses what may block, the daemon leaves the
 * service to others. */
static int check_host(const struct opening *opening, struct stack_step *step, uint32_t flags)
{
    if (opening->host == STACK_HOST_ANY || (flags & CATLATCH_MAY_BLOCK) == 0)
        return 0;
    if (opening->host == STACK_HOST_DAEMON) {
        opening->service->elsewhere = true;
        step->module = NULL;
        return 0;
    }
    return error_set(opening->error, CATLATCH_E_CONFIG,
                     "%s may wait, and this program serves many from one loop; leave it out of the "
                     "services of such programs",
                     step->module->name);
}

/* What an instance may do is known when it was made. */
static int instance_open(const struct opening *opening, const struct line *line,
                         struct stack_step *step)
{
    const struct catlatch_module *module = step->module;

    step->flags = module->flags;
    step->passes = module->passes;
    int r = instance_make(opening, line, step);
    if (r != 0)
        return r;
    r = check_host(opening, step, step->flags);
    if ((r != 0 || step->module == NULL) && module->fini != NULL)
        module->fini(step->instance);
    return r;
}

/* Of a module that this host must not run: the file is checked, and the service is elsewhere's. */
static int leave_out(const struct opening *opening, const char *name)
{
    opening->service->elsewhere = true;
    return registry_check(opening->config->module_dir, name, opening->error);
}

static int module_open(const struct opening *opening, const struct line *line,
                       struct stack_step *step)
{
    const char *folder = opening->config->module_dir;
    bool is_daemon = opening->host == STACK_HOST_DAEMON;
    int r = is_daemon && !is_stock(line->module)
                ? leave_out(opening, line->module)
                : registry_load(folder, line->module, &step->module, opening->error);

    if (r == CATLATCH_E_NOT_FOUND)
        return unknown_module(opening, line->module);
    if (r != 0 || step->module == NULL)
        return r;
    r = check_host(opening, step, step->module->flags);
    return r == 0 && step->module != NULL ? instance_open(opening, line, step) : r;
}

/* A line's share of the service's memory. */
static size_t state_room(const struct catlatch_module *module)
{
    return (module->state_size + 15u) & ~(size_t)15;
}

static void count_line(struct stack_service *service, unsigned number)
{
    struct stack_step *step = &service->steps[number];
    const struct catlatch_module *module = step->module;
    uint64_t bit = step->bit;

    step->verify = module->verify != NULL ? module->verify : verify_nothing;
    service->table_lines |= (module->flags & CATLATCH_NEEDS_TABLE) != 0 ? bit : 0;
    service->settle_lines |= module->settle != NULL ? bit : 0;
    service->finish_lines |= module->finish != NULL ? bit : 0;
    if (module->finish != NULL && (step->flags & CATLATCH_REFUSALS_ONLY) == 0)
        service->finish_granted_lines |= bit;
    service->takes_scopes |= (module->flags & CATLATCH_TAKES_SCOPES) != 0;
    service->state_size += state_room(module);
    service->needs_trace |= (step->flags & CATLATCH_NEEDS_TRACE) != 0;
    service->charge_lines += (module->flags & CATLATCH_CHARGES) != 0;
}

/* NULL: out of memory. */
static char *control_as_written(const struct line *line)
{
    const struct config_rule *rule = line->rule;
    char *text = NULL;

    if (strcmp(rule->control, "rule") == 0)
        return strndup(rule->text, strcspn(rule->text, "]") + 1);
    if (!line->begins_substack)
        return strdup(rule->control);
    return asprintf(&text, "%s %s", rule->control, rule->text) < 0 ? NULL : text;
}

static int step_open(const struct opening *opening, const struct line *line, unsigned number)
{
    struct stack_service *service = opening->service;
    struct stack_step *step = &service->steps[number];

    step->bit = UINT64_C(1) << number;
    step->level = (uint8_t)line->level;
    step->line = line->rule->line;
    memcpy(step->actions, line->control.actions, sizeof step->actions);
    step->is_optional = line->control.is_optional;
    step->control = control_as_written(line);
    step->file = strdup(line->rule->file);
    service->count = number + 1;
    service->all_lines |= step->bit;
    if (step->control == NULL || step->file == NULL)
        return error_set(opening->error, CATLATCH_E_MEMORY, "out of memory");
    if (line->begins_substack)
        return 0;
    int r = module_open(opening, line, step);
    if (r == 0 && step->module != NULL)
        count_line(service, number);
    return r;
}

/* The line that `skipped` units behind this one end before: a unit is a line of the same level with
 * what is in its substack. Returns how many units were missing. */
static int skip(const struct stack_service *service, unsigned from, int units, unsigned *ret_line)
{
    const struct stack_step *steps = service->steps;
    unsigned at = from, level = steps[from].level;

    while (units > 0 && at + 1 < service->count && steps[at + 1].level >= level) {
        do
            at++;
        while (at + 1 < service->count && steps[at + 1].level > level);
        units--;
    }
    *ret_line = at + 1;
    return units;
}

/* Jumps become the lines that they lead to. */
static int aim_jumps(const struct opening *opening, struct stack_step *step, unsigned number)
{
    unsigned target;

    for (unsigned value = 0; value < CONTROL_RESULTS; value++) {
        int units = step->actions[value];
        if (units < 0)
            continue;
        int missing = skip(opening->service, number, units, &target);
        if (missing > 0)
            return error_set(opening->error, CATLATCH_E_CONFIG,
                             "jumps over %d lines, and %d stand behind it in its stack", units,
                             units - missing);
        step->actions[value] = (int16_t)target;
    }
    skip(opening->service, number, (int)STACK_LINES_MAX, &target);
    step->end = (uint8_t)target;
    return 0;
}

static int make_memory(const struct opening *opening)
{
    struct stack_service *service = opening->service;
    char *at;

    if (service->needs_trace && (service->trace = calloc(1, sizeof *service->trace)) == NULL)
        return error_set(opening->error, CATLATCH_E_MEMORY, "out of memory");
    if (service->charge_lines > 0 &&
        (service->charges = calloc(1, sizeof *service->charges)) == NULL)
        return error_set(opening->error, CATLATCH_E_MEMORY, "out of memory");
    if (service->state_size == 0)
        return 0;
    at = service->state = calloc(1, service->state_size);
    if (at == NULL)
        return error_set(opening->error, CATLATCH_E_MEMORY, "out of memory");
    for (unsigned i = 0; i < service->count; i++) {
        service->steps[i].state = at;
        if (service->steps[i].module != NULL)
            at += state_room(service->steps[i].module);
    }
    return 0;
}

static int blame(const struct opening *opening, const struct line *line, int code)
{
    if (line->rule->line == 0)
        error_prefix(opening->error, "%s: the built-in [service default]", opening->config->path);
    else
        error_prefix(opening->error, "%s:%u", line->rule->file, line->rule->line);
    return code;
}

/* Whether the service would grant texts that nobody issued: some lines look at the form alone, and
 * no other line says anything. */
static bool grants_anything(const struct stack_service *service)
{
    bool found = false;

    for (unsigned i = 0; i < service->count; i++) {
        const struct catlatch_module *module = service->steps[i].module;
        if (module == NULL || module->verify == NULL)
            continue;
        if ((module->flags & CATLATCH_VOUCHES_NOT) == 0)
            return false;
        found = true;
    }
    return found && !service->elsewhere;
}

static bool is_plain(const struct stack_step *step)
{
    return step->verify != NULL && step->actions[CATLATCH_VALID] == ACTION_OK &&
           step->actions[CATLATCH_IGNORE] == ACTION_IGNORE;
}

/* The first lines that have calls of which they are certain, and of which calls they all are: of no
 * environment, where each names others. The lines with the bits `left_out` are passed over. */
static struct stack_certain find_certain(const struct stack_service *service, bool up_to_silent,
                                         uint64_t left_out)
{
    struct catlatch_passes all = {.flags = 0, .environments = UINT32_MAX};
    struct stack_step *step = service->steps;
    bool somewhere = false, says = false;
    uint64_t silent = 0;

    for (; step < service->steps + service->count && is_plain(step); step++) {
        const struct catlatch_passes *each = &step->passes;
        bool is_silent = (step->module->flags & CATLATCH_PASSES_SILENTLY) != 0;
        if ((step->bit & left_out) != 0 ||
            (step->verify == verify_nothing && step->module->settle == NULL))
            continue; /* it is sure to say nothing */
        if ((each->flags == 0 && each->environments == 0) || (is_silent && up_to_silent))
            break;
        says |= !is_silent;
        silent |= is_silent ? step->bit : 0;
        all.flags |= each->flags;
        somewhere |= each->environments != 0;
        all.environments &= each->environments != 0 ? each->environments : UINT32_MAX;
    }
    if (!says || (somewhere && all.environments == 0))
        step = service->steps;
    all.environments = somewhere ? all.environments : 0;
    return (struct stack_certain){all, step, silent};
}

/* Whether nothing is to be done of calls that these lines are sure of: they are all there are. */
static bool is_all(const struct stack_service *service, const struct stack_certain *certain,
                   uint64_t settled)
{
    return certain->end == service->steps + service->count && service->count > 0 &&
           service->table_lines != 0 && service->takes_scopes &&
           (service->settle_lines & ~settled) == 0 && service->finish_granted_lines == 0;
}

static void find_ways(struct stack_service *service)
{
    service->certain = find_certain(service, false, 0);
    service->certain_before = find_certain(service, true, 0);
    service->is_quick = is_all(service, &service->certain, service->certain.silent_lines);
    for (unsigned i = 0; i < service->count; i++) {
        const struct stack_step *step = &service->steps[i];
        if (step->cost_milli == 0 || !is_plain(step) || step->is_optional)
            continue;
        struct stack_certain others = find_certain(service, false, step->bit);
        if (others.silent_lines != 0 || !is_all(service, &others, step->bit))
            continue;
        service->certain_but_charge = others.passes;
        service->cost_milli = step->cost_milli;
    }
}

static int steps_open(const struct opening *opening, const struct lines *lines)
{
    struct stack_service *service = opening->service;
    int r = 0;

    service->steps = calloc(lines->count + 1, sizeof *service->steps);
    if (service->steps == NULL)
        return error_set(opening->error, CATLATCH_E_MEMORY, "out of memory");
    for (unsigned i = 0; i < lines->count; i++) {
        if ((r = step_open(opening, lines->list[i], i)) != 0)
            return blame(opening, lines->list[i], r);
    }
    for (unsigned i = 0; i < lines->count; i++) {
        if ((r = aim_jumps(opening, &service->steps[i], i)) != 0)
            return blame(opening, lines->list[i], r);
    }
    if (service->charge_lines > STACK_CHARGES_MAX)
        return error_set(opening->error, CATLATCH_E_CONFIG,
                         "%s: [service %s] has %u lines that charge limits; %u are the most",
                         lines->list[0]->rule->file, service->name, service->charge_lines,
                         STACK_CHARGES_MAX);
    if (grants_anything(service))
        return error_set(opening->error, CATLATCH_E_CONFIG,
                         "%s: [service %s] looks no key up, so it would grant any that is well "
                         "formed; add \"required = table\"",
                         lines->list[0]->rule->file, service->name);
    find_ways(service);
    service->plain_end = service->steps;
    while (service->plain_end < service->steps + service->count && is_plain(service->plain_end))
        service->plain_end++;
    return make_memory(opening);
}

static int service_open(const struct config *config, const struct lines *lines, const char *name,
                        enum stack_host host, struct stack_service *service, struct error *error)
{
    struct opening opening = {.config = config, .host = host, .service = service, .error = error};

    snprintf(service->name, sizeof service->name, "%s", name);
    service->environments = config->environments;
    memset(service->places.known, STACK_PLACE_UNKNOWN, sizeof service->places.known);
    for (size_t i = 0; i < config->environments.count; i++)
        opening.environments[i] = (struct catlatch_setup_environment){
            config->environments.list[i].name, config->environments.list[i].prefix};
    return steps_open(&opening, lines);
}

int stack_open(const struct config *config, const char *name, enum stack_host host,
               struct stack_service **ret_service, struct error *error)
{
    struct lines lines;
    int r = lines_read(config, name, &lines, error);

    if (r != 0)
        return r;
    struct stack_service *service = calloc(1, sizeof *service);
    if (service == NULL)
        r = error_set(error, CATLATCH_E_MEMORY, "out of memory for a service");
    else
        r = service_open(config, &lines, name, host, service, error);
    lines_free(&lines);
    if (r == 0)
        *ret_service = service;
    else
        stack_close(service);
    return r;
}

int stack_gather_limits(const struct stack_service *service, struct named_limits *io_limits,
                        struct error *error)
{
    struct error why;

    for (unsigned i = 0; i < service->count; i++) {
        const struct stack_step *step = &service->steps[i];
        if (step->named != NULL && named_limits_add(io_limits, &step->named->limit, &why) != 0)
            return error_set(error, CATLATCH_E_CONFIG, "%s:%u: %s", step->file, step->line,
                             why.text);
    }
    return 0;
}

void stack_close(struct stack_service *service)
{
    if (service == NULL)
        return;
    for (unsigned i = 0; i < service->count; i++) {
        struct stack_step *step = &service->steps[i];
        if (step->verify != NULL && step->module->fini != NULL)
            step->module->fini(step->instance);
        free(step->named);
        free(step->control);
        free(step->file);
    }
    free(service->steps);
    free(service->state);
    free(service->trace);
    free(service->charges);
    free(service);
}

static bool has_argument(const struct line *line, const char *argument)
{
    size_t len = strcspn(argument, "=");

    for (size_t i = 0; i < line->argument_count; i++) {
        const struct catlatch_argument *each = &line->arguments[i];
        if (strncmp(each->name, argument, len) == 0 && each->name[len] == '\0' &&
            (argument[len] == '\0' ||
             (each->value != NULL && strcmp(each->value, argument + len + 1) == 0)))
            return true;
    }
    return false;
}

bool stack_mentions(const struct config *config, const char *name, const char *module,
                    const char *without_argument)
{
    struct lines lines;
    bool found = false;

    if (lines_read(config, name, &lines, NULL) != 0)
        return false;
    for (unsigned i = 0; i < lines.count && !found; i++)
        found = !lines.list[i]->begins_substack && strcmp(lines.list[i]->module, module) == 0 &&
                (without_argument == NULL || !has_argument(lines.list[i], without_argument));
    lines_free(&lines);
    return found;
}
