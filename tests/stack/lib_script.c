#include "lib_script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/result.h"

#define FILE_NAME "/t.ini"

struct record record;

static const char *const MODULES[] = {"script", "script_scopes", "script_blocks", "script_trace",
                                      "script_mute"};

static const char *built(void)
{
    const char *build = getenv("CATLATCH_BUILD");

    return build != NULL ? build : "build";
}

void script_copy(const char *from, const char *to, mode_t mode)
{
    char bytes[4096];
    size_t len;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");

    if (in == NULL || out == NULL)
        fail_msg("cannot copy %s to %s", from, to);
    while ((len = fread(bytes, 1, sizeof bytes, in)) > 0)
        assert_int_equal(fwrite(bytes, 1, len, out), len);
    assert_int_equal(fclose(in), 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(chmod(to, mode), 0);
}

void script_path(const struct script_world *world, const char *name, char ret_path[160])
{
    assert_in_range(snprintf(ret_path, 160, "%s/%s.so", world->modules, name), 1, 159);
}

void script_install(const struct script_world *world, const char *name)
{
    char from[4096], to[160];

    snprintf(from, sizeof from, "%s/tests/modules/%s.so", built(), name);
    script_path(world, name, to);
    unlink(to);
    script_copy(from, to, 0644);
}

void script_world_open(struct script_world *world)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(world->folder, sizeof world->folder, "%s/catlatch-stack-XXXXXX", base);
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->modules, sizeof world->modules, "%s/modules", world->folder);
    assert_int_equal(mkdir(world->modules, 0755), 0);
    assert_int_equal(chmod(world->modules, 0755), 0);
    for (size_t i = 0; i < sizeof MODULES / sizeof *MODULES; i++)
        script_install(world, MODULES[i]);
}

void script_world_close(struct script_world *world)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", world->folder);
    assert_int_equal(system(command), 0);
}

static void take_service(struct config *config, const char *name, unsigned line)
{
    struct config_service *services =
        reallocarray(config->services, config->service_count + 1, sizeof *services);

    assert_non_null(services);
    config->services = services;
    services[config->service_count] = (struct config_service){.file = FILE_NAME, .line = line};
    snprintf(services[config->service_count++].name, sizeof services->name, "%.*s",
             (int)strcspn(name, "]"), name);
}

static void take_rule(struct config *config, const char *text, size_t len, unsigned line)
{
    const char *equals = memmem(text, len, " = ", 3);

    assert_non_null(equals);
    assert_true(config->service_count > 0);
    struct config_service *service = &config->services[config->service_count - 1];
    service->rules = reallocarray(service->rules, service->rule_count + 1, sizeof *service->rules);
    assert_non_null(service->rules);
    service->rules[service->rule_count++] =
        (struct config_rule){.file = FILE_NAME,
                             .line = line,
                             .control = strndup(text, (size_t)(equals - text)),
                             .text = strndup(equals + 3, len - (size_t)(equals + 3 - text))};
}

struct config *script_config(const struct script_world *world, const char *text)
{
    struct config *config = calloc(1, sizeof *config);
    unsigned line = 1;

    assert_non_null(config);
    config->path = strdup(FILE_NAME);
    snprintf(config->module_dir, sizeof config->module_dir, "%s", world->modules);
    snprintf(config->run_dir, sizeof config->run_dir, "%s", world->folder);
    config->environments =
        (struct key_environments){.count = 2, .list = {{"live", "cc_live_"}, {"test", "cc_test_"}}};
    for (; *text != '\0'; line++) {
        size_t len = strcspn(text, "\n");
        if (text[0] == '[')
            take_service(config, text + 1, line);
        else if (len > 0)
            take_rule(config, text, len, line);
        text += len + (text[len] == '\n');
    }
    return config;
}

void script_config_free(struct config *config)
{
    for (size_t i = 0; i < config->service_count; i++) {
        for (size_t j = 0; j < config->services[i].rule_count; j++) {
            free(config->services[i].rules[j].control);
            free(config->services[i].rules[j].text);
        }
        free(config->services[i].rules);
    }
    free(config->services);
    free(config->path);
    free(config);
}

struct stack_service *script_open(const struct script_world *world, const char *text)
{
    struct config *config = script_config(world, text);
    struct stack_service *service = NULL;
    struct error error = {.text = ""};

    if (stack_open(config, "default", STACK_HOST_ANY, &service, &error) != 0)
        fail_msg("refused: %s", error.text);
    script_config_free(config);
    record_clear();
    return service;
}

void script_refused(const struct script_world *world, const char *text, int code,
                    const char *message)
{
    struct config *config = script_config(world, text);
    struct stack_service *const untouched = (struct stack_service *)(uintptr_t)16;
    struct stack_service *service = untouched;
    struct error error = {.text = ""};
    int began = 0;

    record_clear();
    int r = stack_open(config, "default", STACK_HOST_ANY, &service, &error);
    if (r == 0)
        fail_msg("opened, and should have been refused with \"%s\":\n%s", message, text);
    assert_string_equal(error.text, message);
    assert_int_equal(r, code);
    assert_int_equal(error.code, code);
    assert_ptr_equal(service, untouched);
    for (unsigned i = 0; i < record.count; i++)
        began += (record.calls[i].call == 'i') - (record.calls[i].call == 'x');
    assert_int_equal(began, 0);
    script_config_free(config);
}

enum catlatch_result script_ask_with(struct stack_service *service,
                                     const struct stack_request *request, struct stack_trace *trace)
{
    struct stack_run run;

    record_clear();
    stack_prepare(service, request, &run);
    if (trace != NULL)
        run.trace = trace;
    return stack_decide(&run, NULL);
}

enum catlatch_result script_ask(struct stack_service *service)
{
    return script_ask_with(service, &(struct stack_request){.key = "text", .key_len = 4}, NULL);
}

enum catlatch_result script_outcome(const struct script_world *world, const char *text)
{
    struct stack_service *service = script_open(world, text);
    enum catlatch_result result = script_ask(service);

    stack_close(service);
    return result;
}

const char *record_words(const char *calls)
{
    static char words[RECORD_MAX * 24];
    size_t len = 0;

    words[0] = '\0';
    for (unsigned i = 0; i < record.count; i++) {
        const struct record_call *call = &record.calls[i];
        if (strchr(calls, call->call) == NULL)
            continue;
        len += (size_t)snprintf(words + len, sizeof words - len, "%s%c%d", len > 0 ? " " : "",
                                call->call, call->line);
        if (call->call == 'f')
            len += (size_t)snprintf(words + len, sizeof words - len, "=%s",
                                    result_name((enum catlatch_result)call->value));
    }
    return words;
}

void record_clear(void)
{
    memset(&record, 0, sizeof record);
}
