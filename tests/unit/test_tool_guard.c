#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../tools/catlatch/guard.h"

#define KEY "cc_live_0123456789abcdefghijklmnopqrstuvwxyz012345"

static void a_whole_key_is_seen_wherever_it_stands(void **state)
{
    static const char *const texts[] = {
        KEY,         "--prefix=" KEY,   "see " KEY ", please",
        "(" KEY ")", "x=1 y=" KEY "\n", "zz_0123456789abcdefghijklmnopqrstuvwxyz012345",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(guard_holds_key(texts[i], NULL));
}

static void what_resembles_a_key_is_let_pass(void **state)
{
    static const char *const texts[] = {
        "",
        "key_aaaaaaaaaaaab",
        "cc_live_AbCdEfG",
        "abc_0123456789abcdef0123456789abcdef01234567",
        "0123456789abcdefghijklmnopqrstuvwxyz01234567890abc",
        "UP_live_0123456789abcdefghijklmnopqrstuvwxyz012345",
        "cc_live_0123456789abcdefghijklmnopqrstuvwxyz0123456",
        "cc_live_0123456789abcdefghijklmnopqrstuvwxyz_12345",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_false(guard_holds_key(texts[i], NULL));
}

static void a_part_of_a_key_of_ours_is_seen_beyond_what_lists_show(void **state)
{
    const struct key_environments environments = {1, {{"live", "cc_live_"}}};
    (void)state;
    assert_true(guard_holds_key("cc_live_0123456789abcdefg", &environments));
    assert_true(
        guard_holds_key("a,cc_live_0123456789abcdefghijklmnopqrstuvwxyz0123456789", &environments));
    assert_false(guard_holds_key("cc_live_0123456789abcdef", &environments));
    assert_false(guard_holds_key("cc_test_0123456789abcdefg", &environments));
}

static void arguments_are_refused_by_number_without_their_text(void **state)
{
    char program[] = "catlatch", verb[] = "revoke", key[] = KEY;
    char *argv[] = {program, verb, key};
    struct error error = {0};
    (void)state;
    assert_int_equal(guard_arguments(2, argv, NULL, &error), 0);
    assert_int_equal(guard_arguments(3, argv, NULL, &error), CATLATCH_E_ARGUMENT);
    assert_non_null(strstr(error.text, "argument 2"));
    assert_null(strstr(error.text, "0123456789"));
}

static void an_echo_is_short_and_printable(void **state)
{
    char echo[GUARD_ECHO_SIZE];
    (void)state;
    guard_echo("lsit", echo);
    assert_string_equal(echo, "lsit");
    guard_echo("a\x1b[2J\nb", echo);
    assert_string_equal(echo, "a?[2J?b");
    guard_echo(KEY, echo);
    assert_string_equal(echo, "cc_live_0123456789ab...");
    guard_echo("suspended_owner\xC3\xA4\xC3\xB6\xC3\xBC", echo); /* the cut is within the last */
    assert_string_equal(echo, "suspended_owner\xC3\xA4\xC3\xB6...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_key_is_seen_wherever_it_stands),
        cmocka_unit_test(what_resembles_a_key_is_let_pass),
        cmocka_unit_test(a_part_of_a_key_of_ours_is_seen_beyond_what_lists_show),
        cmocka_unit_test(arguments_are_refused_by_number_without_their_text),
        cmocka_unit_test(an_echo_is_short_and_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
