#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/key.h"
#include "lib/bearer.h"

/* The value lies in memory of exactly its length, so that a sanitizer sees any byte too many. */
static enum catlatch_result parse(const char *value, size_t len, char *ret_token)
{
    char *exact = malloc(len > 0 ? len : 1);
    struct text token = {0};
    assert_non_null(exact);
    memcpy(exact, value, len);
    enum catlatch_result result = bearer_token(exact, len, &token);
    ret_token[0] = '\0';
    if (result == CATLATCH_VALID) {
        memcpy(ret_token, token.bytes, token.len);
        ret_token[token.len] = '\0';
    }
    free(exact);
    return result;
}

static void assert_token(const char *value, const char *expected)
{
    char token[KEY_FOREIGN_MAX + 1];
    assert_int_equal(parse(value, strlen(value), token), CATLATCH_VALID);
    assert_string_equal(token, expected);
}

static void assert_refused(const char *value, size_t len, enum catlatch_result expected)
{
    char token[KEY_FOREIGN_MAX + 1];
    assert_int_equal(parse(value, len, token), expected);
}

static void the_scheme_is_taken_in_any_case_with_any_number_of_spaces(void **state)
{
    (void)state;
    assert_token("Bearer abc", "abc");
    assert_token("bearer abc", "abc");
    assert_token("BEARER   abc", "abc");
    assert_token("Bearer A-._~+/9==", "A-._~+/9==");
}

static void trailing_blanks_are_not_part_of_the_token(void **state)
{
    (void)state;
    assert_token("Bearer abc ", "abc");
    assert_token("Bearer abc \t ", "abc");
}

static void another_scheme_or_none_is_missing(void **state)
{
    static const char *const values[] = {"",         " ",       "\t",    "Basic abc",
                                         "Bear abc", "Bearerx", "Beare", "Bearer-x abc",
                                         "abc",      "Bearer2"};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_refused(values[i], strlen(values[i]), CATLATCH_MISSING);
    assert_refused("\0Bearer abc", 11, CATLATCH_MISSING);
}

static void a_bearer_credential_that_is_no_token_is_malformed(void **state)
{
    static const char *const values[] = {
        "Bearer",           "Bearer ",          "Bearer a b",   "Bearer a,b",  "Bearer a, Bearer b",
        "Bearer\tabc",      "Bearer \tabc",     "Bearer a\tb",  "Bearer =",    "Bearer a=b",
        "Bearer \"abc\"",   "Bearer a\xc3\xa9", "Bearer a\x7f", "Bearer a\nb", "Bearer,abc",
        "Bearer key=\"a\"",
    };
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_refused(values[i], strlen(values[i]), CATLATCH_MALFORMED);
    assert_refused("Bearer a\0b", 10, CATLATCH_MALFORMED);
    assert_refused("Bearer abc\0", 11, CATLATCH_MALFORMED);
    assert_refused("Bearer\0abc", 10, CATLATCH_MALFORMED);
}

static void the_longest_key_passes_and_one_byte_more_does_not(void **state)
{
    char value[7 + KEY_FOREIGN_MAX + 2], token[KEY_FOREIGN_MAX + 1];
    (void)state;
    memcpy(value, "Bearer ", 7);
    memset(value + 7, 'a', KEY_FOREIGN_MAX + 1);
    assert_int_equal(parse(value, 7 + KEY_FOREIGN_MAX, token), CATLATCH_VALID);
    assert_int_equal(strlen(token), KEY_FOREIGN_MAX);
    assert_refused(value, 7 + KEY_FOREIGN_MAX + 1, CATLATCH_MALFORMED);
}

static void every_byte_is_of_a_token_or_is_not(void **state)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-._~+/";
    char token[KEY_FOREIGN_MAX + 1];
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char value[] = {'B', 'e', 'a', 'r', 'e', 'r', ' ', 'x', (char)c, 'y'};
        bool fits = memchr(allowed, (int)c, sizeof allowed - 1) != NULL;
        assert_int_equal(parse(value, sizeof value, token),
                         fits ? CATLATCH_VALID : CATLATCH_MALFORMED);
    }
}

static void every_byte_behind_the_scheme_makes_it_another_or_does_not(void **state)
{
    static const char of_a_name[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                    "!#$%&'*+-.^_`|~";
    char token[KEY_FOREIGN_MAX + 1];
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        char value[] = {'B', 'e', 'a', 'r', 'e', 'r', (char)c, 'x'};
        enum catlatch_result expected = CATLATCH_MALFORMED;
        if (c == ' ')
            expected = CATLATCH_VALID;
        else if (memchr(of_a_name, (int)c, sizeof of_a_name - 1) != NULL)
            expected = CATLATCH_MISSING;
        assert_int_equal(parse(value, sizeof value, token), expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_of_a_token_or_is_not),
        cmocka_unit_test(every_byte_behind_the_scheme_makes_it_another_or_does_not),
        cmocka_unit_test(the_scheme_is_taken_in_any_case_with_any_number_of_spaces),
        cmocka_unit_test(trailing_blanks_are_not_part_of_the_token),
        cmocka_unit_test(another_scheme_or_none_is_missing),
        cmocka_unit_test(a_bearer_credential_that_is_no_token_is_malformed),
        cmocka_unit_test(the_longest_key_passes_and_one_byte_more_does_not),
    };
    return cmocka_run_group_tests_name("bearer", tests, NULL, NULL);
}
