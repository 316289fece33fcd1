/* A key in header fields, as web servers find it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/http/credential.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void the_scheme_tells_whose_it_is(void **state)
{
    static const struct {
        const char *value;
        enum credential_scheme scheme;
    } cases[] = {
        {"", CREDENTIAL_OTHER},
        {"Bearer", CREDENTIAL_BEARER},
        {"Bearer a", CREDENTIAL_BEARER},
        {"bEARER a", CREDENTIAL_BEARER},
        {"Basic YTpi", CREDENTIAL_BASIC},
        {"basic YTpi", CREDENTIAL_BASIC},
        {"Basic", CREDENTIAL_OTHER},
        {"Basically a", CREDENTIAL_OTHER},
        {"a", CREDENTIAL_OTHER},
        {"Digest a=\"b\", c=d", CREDENTIAL_OTHER},
        {"Digest a=\"b, Bearer c\", d=e", CREDENTIAL_OTHER},
        {"Digest a=\"b\\\", Bearer c\", d=e", CREDENTIAL_OTHER},
        {"Bearer a, Bearer a", CREDENTIAL_SEVERAL},
        {"Bearer a,", CREDENTIAL_SEVERAL},
        {"Basic YTpi, Digest a=b", CREDENTIAL_SEVERAL},
        {", Bearer a", CREDENTIAL_SEVERAL},
        {",,Basic YTpi", CREDENTIAL_SEVERAL},
        {"Digest a=\"b\", c=d,\tbearer a", CREDENTIAL_SEVERAL},
        {"Digest a=\"b", CREDENTIAL_OTHER},
        {"Digest a=\"b\\", CREDENTIAL_OTHER},
        {",", CREDENTIAL_OTHER},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (credential_scheme(cases[i].value, strlen(cases[i].value)) != cases[i].scheme)
            fail_msg("%s", cases[i].value);
}

static void only_what_is_counted_is_read(void **state)
{
    (void)state;
    assert_int_equal(credential_scheme("Bearer a, Bearer b", 8), CREDENTIAL_BEARER);
    assert_int_equal(credential_scheme("Bearer", 5), CREDENTIAL_OTHER);
    assert_false(credential_is_list("a,b", 1));
    assert_true(credential_is_list("a,b", 2));
}

static void basic_has_a_user_and_a_password(void **state)
{
    static const struct {
        const char *value, *user, *password;
    } cases[] = {
        {"Basic YTpi", "a", "b"},
        {"Basic   YTpi ", "a", "b"},
        {"Basic Og==", "", ""},
        {"Basic YTo=", "a", ""},
        {"Basic OmI=", "", "b"},
        {"Basic YTpiOmM=", "a", "b:c"},
        {"Basic YWFhOmJiYg==", "aaa", "bbb"},
    };
    struct credential_basic basic;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        memset(&basic, 0xa5, sizeof basic);
        assert_true(credential_read_basic(cases[i].value, strlen(cases[i].value), &basic));
        assert_string_equal(basic.user, cases[i].user);
        assert_string_equal(basic.password, cases[i].password);
        assert_int_equal(basic.user_len, strlen(cases[i].user));
        assert_int_equal(basic.password_len, strlen(cases[i].password));
    }
}

static void what_basic_cannot_be_is_not_read(void **state)
{
    static const char *const cases[] = {
        "Basic ",          "Basic",          "Basic YQ==",   "Basic !!!!",
        "Basic YTpi=",     "Basic YTp",      "Basic ====",   "Basic YT=i",
        "Basic YTpi YTpi", "Basic Y=Tpi===", "Basic YTpi\n", "Basic =Tpi",
    };
    struct credential_basic basic;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        if (credential_read_basic(cases[i], strlen(cases[i]), &basic))
            fail_msg("%s", cases[i]);
}

static void what_is_longer_than_any_key_is_not_read(void **state)
{
    char value[sizeof "Basic " + 2 * CREDENTIAL_BASIC_SIZE] = "Basic ";
    struct credential_basic basic;
    (void)state;
    for (size_t len = 4; len < 2 * CREDENTIAL_BASIC_SIZE; len += 4) {
        memcpy(value + strlen("Basic ") + len - 4, "YTph", 4);
        bool is_read = credential_read_basic(value, strlen("Basic ") + len, &basic);
        assert_int_equal(is_read, len / 4 * 3 < CREDENTIAL_BASIC_SIZE);
        if (is_read)
            assert_int_equal(basic.user_len + basic.password_len + 1, len / 4 * 3);
    }
}

static void the_user_is_the_key_where_the_password_is_none(void **state)
{
    (void)state;
    assert_true(credential_user_is_next(CATLATCH_MALFORMED));
    assert_true(credential_user_is_next(CATLATCH_NOT_FOUND));
    assert_false(credential_user_is_next(CATLATCH_VALID));
    assert_false(credential_user_is_next(CATLATCH_REVOKED));
    assert_false(credential_user_is_next(CATLATCH_UNAVAILABLE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scheme_tells_whose_it_is),
        cmocka_unit_test(only_what_is_counted_is_read),
        cmocka_unit_test(basic_has_a_user_and_a_password),
        cmocka_unit_test(what_basic_cannot_be_is_not_read),
        cmocka_unit_test(what_is_longer_than_any_key_is_not_read),
        cmocka_unit_test(the_user_is_the_key_where_the_password_is_none),
    };
    return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}
