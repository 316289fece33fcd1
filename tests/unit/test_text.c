#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/text.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void texts_compare_by_length_and_bytes(void **state)
{
    (void)state;
    assert_true(text_equal(text_of("abc"), text_of("abc")));
    assert_false(text_equal(text_of("abc"), text_of("abcd")));
    assert_false(text_equal(text_of("abc"), text_of("abd")));
    assert_true(text_equal(text_of(NULL), text_of("")));
    assert_true(text_is((struct text){"abcdef", 3}, "abc"));
    assert_false(text_is((struct text){"abc\0d", 5}, "abc"));
}

static void case_of_ascii_can_be_left_out_of_account_but_no_more(void **state)
{
    (void)state;
    assert_true(text_is_nocase(text_of("BeArEr"), "bEaReR"));
    assert_false(text_is_nocase(text_of("bearer"), "bearers"));
    assert_false(text_is_nocase(text_of("@["), "`{"));
    assert_false(text_is_nocase(text_of("\xC3\x84"), "\xC3\xA4"));
}

static void printable_utf8_is_taken(void **state)
{
    static const char *const good[] = {
        "",
        "CashCat's API ~",
        "\xC2\xA0",
        "Gr\xC3\xBC\xC3\x9Fungen",
        "\xDF\xBF",
        "\xE0\xA0\x80",
        "\xED\x9F\xBF",
        "\xEE\x80\x80",
        "\xEF\xBF\xBF",
        "\xF0\x90\x80\x80",
        "\xF4\x8F\xBF\xBF",
        "\xF0\x9F\x94\x91",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(text_is_printable_utf8(good[i], strlen(good[i])));
}

static void broken_utf8_is_refused(void **state)
{
    static const char *const bad[] = {
        "\x80",             /* continuation alone */
        "a\xBF",            /* behind ASCII as well */
        "\xC0\x80",         /* overlong NUL */
        "\xC1\xBF",         /* overlong, two bytes */
        "\xE0\x9F\xBF",     /* overlong, three */
        "\xF0\x8F\xBF\xBF", /* overlong, four */
        "\xED\xA0\x80",     /* first surrogate */
        "\xED\xBF\xBF",     /* last surrogate */
        "\xF4\x90\x80\x80", /* past U+10FFFF */
        "\xF5\x80\x80\x80", /* never a lead byte */
        "\xFF",             /* nor this */
        "\xC3",             /* cut */
        "\xE2\x82",         /* cut */
        "\xF0\x9F\x94",     /* cut */
        "\xC3\x28",         /* no continuation */
        "\xE2\x28\xA1",     /* no continuation second */
        "\xE2\x82\x28",     /* no continuation third */
        "\xF0\x9F\x94\x28", /* no continuation fourth */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(text_is_printable_utf8(bad[i], strlen(bad[i])));
}

static void control_characters_are_refused(void **state)
{
    char c1[2] = {'\xC2', 0};

    (void)state;
    for (char c = 0; c < 0x20; c++)
        assert_false(text_is_printable_utf8(&c, 1));
    assert_false(text_is_printable_utf8("\x7F", 1));
    for (int i = 0x80; i < 0xC0; i++) {
        c1[1] = (char)i;
        assert_int_equal(text_is_printable_utf8(c1, 2), i >= 0xA0);
    }
}

/* The byte behind the length would complete the character; it must not be looked at. */
static void text_ends_where_its_length_says(void **state)
{
    (void)state;
    assert_false(text_is_printable_utf8("\xC3\xBC", 1));
    assert_true(text_is_printable_utf8("a\n", 1));
}

static void scopes_are_tokens_of_rfc_6749(void **state)
{
    char longest[66];

    (void)state;
    for (int c = 0; c < 256; c++) {
        char byte = (char)c;
        int token = c == 0x21 || (c >= 0x23 && c <= 0x5B) || (c >= 0x5D && c <= 0x7E);
        assert_int_equal(text_is_scope(&byte, 1), token);
    }
    memset(longest, 'a', sizeof longest);
    assert_true(text_is_scope(longest, 64));
    assert_false(text_is_scope(longest, 65));
    assert_false(text_is_scope("", 0));
    assert_true(text_is_scope("catlatch:read", 13));
    assert_false(text_is_scope("a b", 3));
}

static const char *const keys[] = {
    "state_dir", "run_dir", "admin_dir", "default_expiry", "max_expiry", "max_keys_per_owner",
};

static const char *nearest(const char *word)
{
    return text_nearest(word, keys, COUNT(keys));
}

static void a_mistyped_word_finds_the_one_that_was_meant(void **state)
{
    (void)state;
    assert_string_equal(nearest("state_dir"), "state_dir");
    assert_string_equal(nearest("sate_dir"), "state_dir");
    assert_string_equal(nearest("statee_dir"), "state_dir");
    assert_string_equal(nearest("stste_dir"), "state_dir");
    assert_string_equal(nearest("max_expriy"), "max_expiry");
    assert_string_equal(nearest("State_Dir"), "state_dir");
    assert_string_equal(nearest("max_key_per_owners"), "max_keys_per_owner");
    assert_string_equal(nearest("rn_dri"), "run_dir");
}

static void the_nearest_is_found_wherever_it_stands(void **state)
{
    static const char *const words[] = {"run_dip", "run_dirs", "rum_dip"};

    (void)state;
    assert_string_equal(text_nearest("run_dirz", words, 3), "run_dirs");
    assert_string_equal(text_nearest("rum_dipp", words, 3), "rum_dip");
    assert_string_equal(text_nearest("run_dipp", words, 3), "run_dip");
}

static void two_neighbours_swapped_are_one_mistake(void **state)
{
    static const char *const words[] = {"abXd", "abcd"}; /* one substitution against one swap */
    static const char *const swap[] = {"acYY", "ba"};

    (void)state;
    assert_string_equal(text_nearest("abdc", words, 2), "abcd");
    assert_string_equal(text_nearest("ab", swap, 2), "ba");
}

static void a_word_that_was_not_meant_is_not_offered(void **state)
{
    static const char *const no[] = {"no"};

    (void)state;
    assert_null(nearest("colour"));
    assert_null(nearest("e"));
    assert_null(nearest(""));
    assert_null(text_nearest("me", no, 1));
    assert_null(text_nearest("state_dir", keys, 0));
}

static void a_longer_word_may_differ_more(void **state)
{
    static const char *const words[] = {"heartbeat_interval"};

    (void)state;
    assert_string_equal(text_nearest("hartbeet_intrval_s", words, 1), "heartbeat_interval");
    assert_null(text_nearest("haXXbeeX_XXtrXXl", words, 1));
}

static void words_of_any_length_do_no_harm(void **state)
{
    char word[300];
    const char *const words[] = {word, "state_dir"};

    (void)state;
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_null(text_nearest(word, words, 2));
    assert_string_equal(text_nearest("state_dirr", words, 2), "state_dir");
    word[63] = '\0';
    assert_ptr_equal(text_nearest(word, words, 2), word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_compare_by_length_and_bytes),
        cmocka_unit_test(case_of_ascii_can_be_left_out_of_account_but_no_more),
        cmocka_unit_test(printable_utf8_is_taken),
        cmocka_unit_test(broken_utf8_is_refused),
        cmocka_unit_test(control_characters_are_refused),
        cmocka_unit_test(text_ends_where_its_length_says),
        cmocka_unit_test(scopes_are_tokens_of_rfc_6749),
        cmocka_unit_test(a_mistyped_word_finds_the_one_that_was_meant),
        cmocka_unit_test(the_nearest_is_found_wherever_it_stands),
        cmocka_unit_test(two_neighbours_swapped_are_one_mistake),
        cmocka_unit_test(a_word_that_was_not_meant_is_not_offered),
        cmocka_unit_test(a_longer_word_may_differ_more),
        cmocka_unit_test(words_of_any_length_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
