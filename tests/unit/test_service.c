/* test_service.c - stack/service.h: which lines of a [service NAME] are understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "stack/service.h"

#define RULES_MAX 8

/* A configuration with the services that a test writes into it, rules from line 11 on. */
struct fixture {
    struct config config;
    struct config_service services[2];
    struct config_rule rules[RULES_MAX];
};

static void fixture_begin(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->config.path = (char *)(uintptr_t) "/c.ini";
    fixture->config.environments =
        (struct key_environments){.count = 2, .list = {{"live", "cc_live_"}, {"test", "cc_test_"}}};
    fixture->config.services = fixture->services;
}

static void fixture_service(struct fixture *fixture, const char *name)
{
    struct config_service *service = &fixture->services[fixture->config.service_count++];

    strcpy(service->name, name);
    service->file = "/c.ini";
    service->line = 10;
}

/* lines: "control = text" each, NULL at the end; they become the service [service api]. */
static void fixture_lines(struct fixture *fixture, const char *const *lines)
{
    static char words[RULES_MAX][256];

    fixture_begin(fixture);
    fixture_service(fixture, "api");
    for (unsigned i = 0; lines[i] != NULL; i++) {
        char *equals;
        assert_in_range(i, 0, RULES_MAX - 1);
        assert_in_range(strlen(lines[i]), 1, sizeof words[i] - 1);
        strcpy(words[i], lines[i]);
        equals = strstr(words[i], " =");
        assert_non_null(equals);
        *equals = '\0';
        fixture->rules[i] =
            (struct config_rule){"/c.ini", 11 + i, words[i], equals + 2 + strspn(equals + 2, " ")};
        fixture->services[0].rule_count++;
    }
    fixture->services[0].rules = fixture->rules;
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct stack_service compiled(const char *const *lines)
{
    struct fixture fixture;
    struct stack_service service;
    struct error error = {.text = ""};

    fixture_lines(&fixture, lines);
    if (stack_service(&fixture.config, "api", &service, &error) != 0)
        fail_msg("refused: %s", error.text);
    assert_int_equal(stack_check_all(&fixture.config, &error), 0);
    return service;
}

static void expect_refused(const char *const *lines, const char *message)
{
    struct fixture fixture;
    struct stack_service service;
    struct stack_service before;
    struct error error = {.text = ""};

    memset(&service, 0x5a, sizeof service);
    memcpy(&before, &service, sizeof before);
    fixture_lines(&fixture, lines);
    assert_int_equal(stack_compile(&fixture.config, &fixture.services[0], &service, &error),
                     CATLATCH_E_CONFIG);
    assert_string_equal(error.text, message);
    assert_memory_equal(&service, &before, sizeof before);
    assert_int_equal(stack_check_all(&fixture.config, NULL), CATLATCH_E_CONFIG);
}

static void expect_controls(const struct stack_service *service, enum stack_control format,
                            enum stack_control table, enum stack_control environment,
                            enum stack_control scope)
{
    assert_int_equal(service->control[STACK_FORMAT], format);
    assert_int_equal(service->control[STACK_TABLE], table);
    assert_int_equal(service->control[STACK_ENVIRONMENT], environment);
    assert_int_equal(service->control[STACK_SCOPE], scope);
}

static void all_checks_compile_with_their_controls(void **state)
{
    struct stack_service service =
        compiled(LINES("requisite = format", "required = table",
                       "requisite = environment live test", "required = scope"));

    (void)state;
    assert_string_equal(service.name, "api");
    expect_controls(&service, STACK_REQUISITE, STACK_REQUIRED, STACK_REQUISITE, STACK_REQUIRED);
    assert_int_equal(service.allowed_count, 2);
    assert_string_equal(service.allowed[0], "live");
    assert_string_equal(service.allowed[1], "test");
    assert_int_equal(service.environments.count, 2);
    assert_string_equal(service.environments.list[1].prefix, "cc_test_");
}

static void the_table_alone_is_a_service(void **state)
{
    struct stack_service service = compiled(LINES("requisite = table"));

    (void)state;
    expect_controls(&service, STACK_ABSENT, STACK_REQUISITE, STACK_ABSENT, STACK_ABSENT);
}

static void an_empty_service_compiles_to_nothing_that_could_grant(void **state)
{
    struct stack_service service = compiled((const char *const[]){NULL});

    (void)state;
    expect_controls(&service, STACK_ABSENT, STACK_ABSENT, STACK_ABSENT, STACK_ABSENT);
}

static void default_that_nobody_wrote_is_format_table_scope(void **state)
{
    struct fixture fixture;
    struct stack_service service;

    (void)state;
    fixture_begin(&fixture);
    assert_int_equal(stack_service(&fixture.config, "default", &service, NULL), 0);
    assert_string_equal(service.name, "default");
    expect_controls(&service, STACK_REQUIRED, STACK_REQUIRED, STACK_ABSENT, STACK_REQUIRED);
    assert_int_equal(service.environments.count, 2);
}

static void default_that_was_written_is_taken_as_written(void **state)
{
    struct fixture fixture;
    struct stack_service service;

    (void)state;
    fixture_lines(&fixture, LINES("required = table"));
    strcpy(fixture.services[0].name, "default");
    assert_int_equal(stack_service(&fixture.config, "default", &service, NULL), 0);
    expect_controls(&service, STACK_ABSENT, STACK_REQUIRED, STACK_ABSENT, STACK_ABSENT);
}

static void a_service_that_is_not_there_is_named_with_those_that_are(void **state)
{
    struct fixture fixture;
    struct stack_service service;
    struct error error = {.text = ""};

    (void)state;
    fixture_begin(&fixture);
    fixture_service(&fixture, "api");
    fixture_service(&fixture, "default");
    assert_int_equal(stack_service(&fixture.config, "web", &service, &error), CATLATCH_E_NOT_FOUND);
    assert_string_equal(error.text, "no [service web] in /c.ini; there is default, api");
}

static void a_control_that_is_not_known_is_refused(void **state)
{
    (void)state;
    expect_refused(LINES("required = table", "requird = scope"),
                   "/c.ini:12: unknown control \"requird\" in [service api]; did you mean "
                   "\"required\"?");
    expect_refused(LINES("requisit = table"),
                   "/c.ini:11: unknown control \"requisit\" in [service api]; did you mean "
                   "\"requisite\"?");
    expect_refused(LINES("Required = table"),
                   "/c.ini:11: unknown control \"Required\" in [service api]; did you mean "
                   "\"required\"?");
}

static void controls_of_later_versions_are_refused(void **state)
{
    static const char *const LATER[] = {"sufficient", "optional", "include",
                                        "substack",   "rule",     "reveal"};

    (void)state;
    for (size_t i = 0; i < sizeof LATER / sizeof LATER[0]; i++) {
        char line[64];
        char message[256];
        snprintf(line, sizeof line, "%s = table", LATER[i]);
        snprintf(message, sizeof message,
                 "/c.ini:11: unknown control \"%s\" in [service api]; this version knows required "
                 "and requisite",
                 LATER[i]);
        expect_refused(LINES(line), message);
    }
}

static void a_module_that_is_not_known_is_refused(void **state)
{
    (void)state;
    expect_refused(LINES("required = tabel"), "/c.ini:11: unknown module \"tabel\" in [service "
                                              "api]; did you mean \"table\"?");
    expect_refused(LINES("required = "),
                   "/c.ini:11: no module behind \"required =\"; write required = MODULE");
}

static void modules_of_later_versions_are_refused(void **state)
{
    static const char *const LATER[] = {"socket", "address", "limit", "file",
                                        "audit",  "permit",  "deny",  "debug"};

    (void)state;
    for (size_t i = 0; i < sizeof LATER / sizeof LATER[0]; i++) {
        char line[64];
        char message[256];
        snprintf(line, sizeof line, "required = %s", LATER[i]);
        snprintf(message, sizeof message,
                 "/c.ini:12: unknown module \"%s\" in [service api]; this version knows format, "
                 "table, environment and scope",
                 LATER[i]);
        expect_refused(LINES("required = table", line), message);
    }
}

static void arguments_that_a_module_does_not_take_are_refused(void **state)
{
    (void)state;
    expect_refused(LINES("required = format foreign=allow", "required = table"),
                   "/c.ini:11: \"foreign=allow\": format takes no arguments");
    expect_refused(LINES("required = table live"), "/c.ini:11: \"live\": table takes no arguments");
    expect_refused(LINES("required = table", "required = scope read write"),
                   "/c.ini:12: \"read\": scope takes no arguments");
}

static void environments_that_are_not_configured_are_refused(void **state)
{
    (void)state;
    expect_refused(LINES("required = table", "required = environment"),
                   "/c.ini:12: environment needs the names of those that it lets pass");
    expect_refused(LINES("required = table", "required = environment live tset"),
                   "/c.ini:12: no environment \"tset\" in [environments]; did you mean \"test\"?");
    expect_refused(LINES("required = table", "required = environment staging"),
                   "/c.ini:12: no environment \"staging\" in [environments]; add it there");
    expect_refused(LINES("required = table", "required = environment live live"),
                   "/c.ini:12: environment names \"live\" twice; keep one");
}

static void a_module_twice_is_refused(void **state)
{
    (void)state;
    expect_refused(LINES("required = format", "required = table", "requisite = table"),
                   "/c.ini:13: \"table\" stands twice in [service api], first in line 12; keep "
                   "one");
    expect_refused(
        LINES("required = table", "required = environment live", "required = environment test"),
        "/c.ini:13: \"environment\" stands twice in [service api], first in line 12; "
        "keep one");
}

static void modules_out_of_order_are_refused(void **state)
{
    (void)state;
    expect_refused(LINES("required = table", "required = format"),
                   "/c.ini:12: \"format\" stands after \"table\" in [service api]; the order is "
                   "format, table, environment, scope");
    expect_refused(LINES("required = table", "required = scope", "required = environment live"),
                   "/c.ini:13: \"environment\" stands after \"scope\" in [service api]; the order "
                   "is format, table, environment, scope");
}

static void a_service_that_never_looks_the_key_up_is_refused(void **state)
{
    (void)state;
    expect_refused(LINES("required = format", "required = scope"),
                   "/c.ini:10: [service api] has no \"table\", so nothing looks the key up; add "
                   "\"required = table\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_checks_compile_with_their_controls),
        cmocka_unit_test(the_table_alone_is_a_service),
        cmocka_unit_test(an_empty_service_compiles_to_nothing_that_could_grant),
        cmocka_unit_test(default_that_nobody_wrote_is_format_table_scope),
        cmocka_unit_test(default_that_was_written_is_taken_as_written),
        cmocka_unit_test(a_service_that_is_not_there_is_named_with_those_that_are),
        cmocka_unit_test(a_control_that_is_not_known_is_refused),
        cmocka_unit_test(controls_of_later_versions_are_refused),
        cmocka_unit_test(a_module_that_is_not_known_is_refused),
        cmocka_unit_test(modules_of_later_versions_are_refused),
        cmocka_unit_test(arguments_that_a_module_does_not_take_are_refused),
        cmocka_unit_test(environments_that_are_not_configured_are_refused),
        cmocka_unit_test(a_module_twice_is_refused),
        cmocka_unit_test(modules_out_of_order_are_refused),
        cmocka_unit_test(a_service_that_never_looks_the_key_up_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
