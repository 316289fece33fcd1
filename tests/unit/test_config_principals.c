/* test_config_principals.c - users and groups in the configuration, and what they are granted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/config_principals.h"
#include "lib_config.h"

#define MISSING "no-such-name-catlatch"

static void users_and_groups_are_resolved_by_name_and_number(void **state)
{
    struct config *config = config_folder_read_text(
        *state, "[access]\nread = root, @root 4000000 @12 ,@13\nrevoke = ,\nadmin =\n");
    const struct config_principals *read = &config->access[CONFIG_RIGHT_READ];

    assert_int_equal(read->uid_count, 2);
    assert_int_equal(read->uids[0], 0);
    assert_int_equal(read->uids[1], 4000000);
    assert_int_equal(read->gid_count, 3);
    assert_int_equal(read->gids[0], 0);
    assert_int_equal(read->gids[1], 12);
    assert_int_equal(read->gids[2], 13);
    assert_int_equal(config->access[CONFIG_RIGHT_REVOKE].uid_count, 0);
    assert_int_equal(config->access[CONFIG_RIGHT_ADMIN].uid_count, 0);
    config_free(config);
}

static void each_right_is_written_under_its_own_name(void **state)
{
    struct config *config = config_folder_read_text(
        *state, "[access]\nverify = 2001\nread = 2002\nrevoke = 2003\nwrite = 2004\n"
                "admin = 2005\ngateway = 2006\n");

    assert_int_equal(config->access[CONFIG_RIGHT_VERIFY].uids[0], 2001);
    assert_int_equal(config->access[CONFIG_RIGHT_READ].uids[0], 2002);
    assert_int_equal(config->access[CONFIG_RIGHT_REVOKE].uids[0], 2003);
    assert_int_equal(config->access[CONFIG_RIGHT_WRITE].uids[0], 2004);
    assert_int_equal(config->access[CONFIG_RIGHT_ADMIN].uids[0], 2005);
    assert_int_equal(config->access[CONFIG_RIGHT_GATEWAY].uids[0], 2006);
    config_free(config);
}

static void accounts_that_were_written_and_do_not_exist_are_refused(void **state)
{
    config_folder_refuses(*state, "[access]\nread = root " MISSING "\n",
                          "@/catlatch.ini:2: read: there is no user \"" MISSING "\"");
    config_folder_refuses(*state, "[access]\nread = @" MISSING "\n",
                          "@/catlatch.ini:2: read: there is no group \"" MISSING "\"");
    config_folder_refuses(*state, "[daemon]\nuser = " MISSING "\n",
                          "@/catlatch.ini:2: there is no user \"" MISSING "\"");
    config_folder_refuses(*state, "[daemon]\ngroup = " MISSING "\n",
                          "@/catlatch.ini:2: there is no group \"" MISSING "\"");
    config_folder_refuses(*state, "[access]\nread = @\n",
                          "@/catlatch.ini:2: read: \"\" is no name");
    config_folder_refuses(*state, "[access]\nread = 4294967295\n",
                          "@/catlatch.ini:2: read: 4294967295 is no user's number");
    config_folder_refuses(*state, "[access]\nread = @99999999999999999999\n",
                          "@/catlatch.ini:2: read: 99999999999999999999 is no group's number");
}

static void accounts_of_defaults_that_do_not_exist_grant_nobody(void **state)
{
    struct config_principals principals = {.uid_count = 7};

    (void)state;
    assert_int_equal(
        principals_parse("root @" MISSING " " MISSING, ACCOUNTS_DEFAULT, &principals, NULL), 0);
    assert_int_equal(principals.uid_count, 1);
    assert_int_equal(principals.gid_count, 0);
}

static void what_everybody_unknown_in_a_container_is_cannot_be_granted_anything(void **state)
{
    config_folder_refuses(*state, "[access]\nverify = 65534\n",
                          "@/catlatch.ini:2: verify: the user \"65534\" is number 65534");
    config_folder_refuses(*state, "[access]\nadmin = root nobody\n",
                          "@/catlatch.ini:2: admin: the user \"nobody\" is number 65534");
    config_folder_refuses(*state, "[access]\nverify = @65534\n",
                          "@/catlatch.ini:2: verify: the group \"65534\" is number 65534");
    config_folder_refuses(*state, "[daemon]\nuser = nobody\n",
                          "@/catlatch.ini:2: the user \"nobody\" is number 65534");
}

static void a_right_takes_so_many_users_and_no_more(void **state)
{
    char text[256] = "[access]\nread =";
    struct config *config;

    for (int i = 0; i < CONFIG_PRINCIPALS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), " %d", 100 + i);
    config = config_folder_read_text(*state, text);
    assert_int_equal(config->access[CONFIG_RIGHT_READ].uid_count, CONFIG_PRINCIPALS_MAX);
    config_free(config);
    strcat(text, " 99");
    config_folder_refuses(*state, text, "@/catlatch.ini:2: read: more than 32 users");
}

static void a_process_that_serves_nobody_looks_no_account_up(void **state)
{
    const struct config_folder *folder = *state;
    struct config *config = CONFIG_UNTOUCHED;
    struct error error = {.text = ""};

    config_folder_write(folder, "catlatch.ini",
                        "[daemon]\nuser = " MISSING "\n[access]\nadmin = root @" MISSING "\n");
    assert_int_equal(config_read_without_accounts(folder->file, &config, &error), 0);
    assert_string_equal(config->user, MISSING);
    assert_int_equal(config->access[CONFIG_RIGHT_ADMIN].uid_count, 0);
    assert_int_equal(config->access[CONFIG_RIGHT_ADMIN].gid_count, 0);
    config_free(config);
}

static void root_and_no_other_user_is_admin_by_default(void **state)
{
    struct config *config = config_folder_read_text(*state, "");

    assert_int_equal(config->access[CONFIG_RIGHT_ADMIN].uid_count, 1);
    assert_int_equal(config->access[CONFIG_RIGHT_ADMIN].uids[0], 0);
    assert_int_equal(config->access[CONFIG_RIGHT_VERIFY].uid_count, 0);
    assert_int_equal(config->access[CONFIG_RIGHT_READ].gid_count, 0);
    assert_int_equal(config->access[CONFIG_RIGHT_WRITE].gid_count, 0);
    assert_int_equal(config->access[CONFIG_RIGHT_NONE].uid_count, 0);
    config_free(config);
}

#define IN_FOLDER(test) \
    cmocka_unit_test_setup_teardown(test, config_folder_make, config_folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(users_and_groups_are_resolved_by_name_and_number),
        IN_FOLDER(each_right_is_written_under_its_own_name),
        IN_FOLDER(accounts_that_were_written_and_do_not_exist_are_refused),
        cmocka_unit_test(accounts_of_defaults_that_do_not_exist_grant_nobody),
        IN_FOLDER(what_everybody_unknown_in_a_container_is_cannot_be_granted_anything),
        IN_FOLDER(a_right_takes_so_many_users_and_no_more),
        IN_FOLDER(a_process_that_serves_nobody_looks_no_account_up),
        IN_FOLDER(root_and_no_other_user_is_admin_by_default),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
