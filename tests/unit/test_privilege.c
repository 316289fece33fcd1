/* test_privilege.c - whom the daemon is to become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/privilege.h"

#define UNNAMED "4242424"

static int resolve(const char *user, const char *group, struct privilege *ret, struct error *error)
{
    struct config config = {.path = NULL};

    strcpy(config.user, user);
    strcpy(config.group, group);
    return privilege_resolve(&config, ret, error);
}

static void skip_unless_root(void)
{
    if (geteuid() != 0) {
        print_message("# skipped: only root becomes somebody else\n");
        skip();
    }
}

static void a_user_and_a_group_can_be_numbers(void **state)
{
    struct privilege privilege = {0};

    (void)state;
    skip_unless_root();
    assert_int_equal(resolve(UNNAMED, "4343434", &privilege, NULL), 0);
    assert_int_equal(privilege.uid, 4242424);
    assert_int_equal(privilege.gid, 4343434);
    assert_true(privilege.drop);
}

static void a_number_with_a_name_has_that_names_group(void **state)
{
    struct privilege by_name = {0}, by_number = {0};

    (void)state;
    skip_unless_root();
    assert_int_equal(resolve("daemon", "", &by_name, NULL), 0);
    assert_int_equal(resolve("1", "", &by_number, NULL), 0);
    assert_int_equal(by_number.uid, by_name.uid);
    assert_int_equal(by_number.gid, by_name.gid);
}

static void a_number_without_a_name_does_not_keep_roots_group(void **state)
{
    struct privilege privilege = {0};
    struct error error = {0};

    (void)state;
    skip_unless_root();
    assert_int_equal(resolve(UNNAMED, "", &privilege, &error), CATLATCH_E_CONFIG);
    assert_non_null(strstr(error.text, "set [daemon] group"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_and_a_group_can_be_numbers),
        cmocka_unit_test(a_number_with_a_name_has_that_names_group),
        cmocka_unit_test(a_number_without_a_name_does_not_keep_roots_group),
    };
    return cmocka_run_group_tests_name("privilege", tests, NULL, NULL);
}
