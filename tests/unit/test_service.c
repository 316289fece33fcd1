/* test_service.c - stack/service.h: which lines of a [service NAME] are understood, and which
 * service is meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib_modules.h"
#include "lib_service.h"

static void expect_line(const struct stack_service *service, unsigned number, const char *control,
                        const char *module)
{
    assert_in_range(number, 0, service->count - 1);
    assert_string_equal(service->steps[number].control, control);
    assert_string_equal(service->steps[number].module->name, module);
}

static void lines_are_opened_in_their_order(void **state)
{
    struct stack_service *service =
        service_of("requisite = format\nrequired = table\nrequisite = environment live test\n"
                   "rule = [valid=done default=die] scope any\n");

    (void)state;
    assert_string_equal(service->name, "api");
    assert_int_equal(service->count, 4);
    expect_line(service, 0, "requisite", "format");
    expect_line(service, 1, "required", "table");
    expect_line(service, 2, "requisite", "environment");
    expect_line(service, 3, "[valid=done default=die]", "scope");
    assert_int_equal(service->steps[3].line, 14);
    assert_string_equal(service->steps[3].file, "/c.ini");
    stack_close(service);
}

static void an_empty_service_opens(void **state)
{
    struct stack_service *service = service_of("");

    (void)state;
    assert_int_equal(service->count, 0);
    stack_close(service);
}

static void included_lines_stand_where_they_are_included(void **state)
{
    struct service_config world;
    struct stack_service *service;

    (void)state;
    service_config(&world, "requisite = format\ninclude = default\nrequired = scope\n",
                   "required = table\n");
    assert_int_equal(stack_open(&world.config, "api", STACK_HOST_ANY, &service, NULL), 0);
    assert_int_equal(service->count, 3);
    expect_line(service, 1, "required", "table");
    assert_int_equal(service->steps[1].level, 0);
    stack_close(service);
}

static void a_substack_is_a_level_deeper(void **state)
{
    struct service_config world;
    struct stack_service *service;

    (void)state;
    service_config(&world, "substack = default\nrequired = scope\n", "required = table\n");
    assert_int_equal(stack_open(&world.config, "api", STACK_HOST_ANY, &service, NULL), 0);
    assert_int_equal(service->count, 3);
    assert_null(service->steps[0].module);
    assert_string_equal(service->steps[0].control, "substack default");
    assert_int_equal(service->steps[1].level, 1);
    assert_int_equal(service->steps[2].level, 0);
    stack_close(service);
}

static void default_that_nobody_wrote_demands_a_live_key_of_the_live_environment(void **state)
{
    struct service_config world;
    struct stack_service *service;

    (void)state;
    service_config(&world, NULL, NULL);
    assert_int_equal(stack_open(&world.config, "default", STACK_HOST_ANY, &service, NULL), 0);
    assert_string_equal(service->name, "default");
    expect_line(service, 0, "requisite", "format");
    expect_line(service, 1, "required", "table");
    expect_line(service, 2, "required", "environment");
    expect_line(service, 3, "required", "scope");
    expect_line(service, 4, "required", "address");
    expect_line(service, 5, "required", "limit");
    expect_line(service, 6, "optional", "audit");
    stack_close(service);
    strcpy(world.config.environments.list[0].name, "prod");
    assert_int_equal(stack_open(&world.config, "default", STACK_HOST_ANY, &service, NULL), 0);
    expect_line(service, 2, "required", "scope"); /* there is no `live` that could be demanded */
    stack_close(service);
}

static void default_that_was_written_is_taken_as_written(void **state)
{
    struct service_config world;
    struct stack_service *service;

    (void)state;
    service_config(&world, NULL, "required = table\n");
    assert_int_equal(stack_open(&world.config, "default", STACK_HOST_ANY, &service, NULL), 0);
    assert_int_equal(service->count, 1);
    expect_line(service, 0, "required", "table");
    stack_close(service);
}

static void a_service_that_is_not_there_is_named_with_those_that_are(void **state)
{
    struct service_config world;
    struct stack_service *service;
    struct error error;

    (void)state;
    service_config(&world, "required = table\n", NULL);
    assert_int_equal(stack_open(&world.config, "web", STACK_HOST_ANY, &service, &error),
                     CATLATCH_E_NOT_FOUND);
    assert_string_equal(error.text, "no [service web] in /c.ini; there is default, api");
}

static void controls_that_are_not_known_are_refused(void **state)
{
    (void)state;
    service_is_refused("required = table\nrequierd = scope\n",
                       "/c.ini:12: unknown control \"requierd\"; did you mean \"required\"?");
    service_is_refused("xyz = table\n",
                       "/c.ini:11: unknown control \"xyz\"; there are required, requisite, "
                       "sufficient, optional, include, substack and rule = [RESULT=ACTION ...]");
    service_is_refused("required =\n",
                       "/c.ini:11: no module behind \"required =\"; write required = MODULE");
}

static void modules_that_are_not_there_are_refused_whatever_the_control(void **state)
{
    char expected[4352];

    (void)state;
    snprintf(expected, sizeof expected,
             "/c.ini:11: unknown module \"tabel\" (there is no %s/tabel.so); did you mean "
             "\"table\"?",
             test_modules());
    service_is_refused("optional = tabel\n", expected);
    snprintf(expected, sizeof expected, "/c.ini:11: unknown module \"zzz\": there is no %s/zzz.so",
             test_modules());
    service_is_refused("required = zzz\n", expected);
}

static void arguments_that_a_module_does_not_take_are_refused(void **state)
{
    (void)state;
    service_is_refused("required = table now\n", "/c.ini:11: \"now\": table takes no arguments");
    service_is_refused("required = format foreign=deny\n",
                       "/c.ini:11: format: the one argument that there is is foreign=allow");
    service_is_refused("required = scope some\n", "/c.ini:11: scope: takes one word: all or any");
    service_is_refused("required = environment\n",
                       "/c.ini:11: environment: wants the names of those that it lets pass");
    service_is_refused("required = environment live live\n",
                       "/c.ini:11: environment: names \"live\" twice; keep one");
    service_is_refused("required = environment liev\n",
                       "/c.ini:11: environment: no environment \"liev\" in [environments]; did you "
                       "mean \"live\"?");
    service_is_refused("required = environment staging\n",
                       "/c.ini:11: environment: no environment \"staging\" in [environments]; add "
                       "it there");
}

static void mentions_are_found_in_included_services_too(void **state)
{
    struct service_config world;

    (void)state;
    service_config(&world, "include = default\nrequired = table\n",
                   "required = format foreign=allow\n");
    assert_true(stack_mentions(&world.config, "api", "format", NULL));
    assert_false(stack_mentions(&world.config, "api", "format", "foreign=allow"));
    assert_true(stack_mentions(&world.config, "api", "table", "foreign=allow"));
    assert_false(stack_mentions(&world.config, "api", "scope", NULL));
    assert_false(stack_mentions(&world.config, "web", "format", NULL));
}

static void a_host_that_must_not_wait_refuses_modules_that_may(void **state)
{
    struct service_config world;
    struct stack_service *service;
    struct error error;

    (void)state;
    service_config(&world, "required = table\noptional = debug\n", NULL);
    assert_int_equal(stack_open(&world.config, "api", STACK_HOST_LOOP, &service, &error),
                     CATLATCH_E_CONFIG);
    assert_string_equal(error.text,
                        "/c.ini:12: debug may wait, and this program serves many from one loop; "
                        "leave it out of the services of such programs");
    assert_int_equal(stack_open(&world.config, "api", STACK_HOST_DAEMON, &service, NULL), 0);
    assert_true(service->elsewhere);
    stack_close(service);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_opened_in_their_order),
        cmocka_unit_test(an_empty_service_opens),
        cmocka_unit_test(included_lines_stand_where_they_are_included),
        cmocka_unit_test(a_substack_is_a_level_deeper),
        cmocka_unit_test(default_that_nobody_wrote_demands_a_live_key_of_the_live_environment),
        cmocka_unit_test(default_that_was_written_is_taken_as_written),
        cmocka_unit_test(a_service_that_is_not_there_is_named_with_those_that_are),
        cmocka_unit_test(controls_that_are_not_known_are_refused),
        cmocka_unit_test(modules_that_are_not_there_are_refused_whatever_the_control),
        cmocka_unit_test(arguments_that_a_module_does_not_take_are_refused),
        cmocka_unit_test(mentions_are_found_in_included_services_too),
        cmocka_unit_test(a_host_that_must_not_wait_refuses_modules_that_may),
    };
    return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
