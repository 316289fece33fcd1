#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/crc32.h"
#include "core/key.h"
#include "core/keygen.h"

#define BODY "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
#define LIVE_KEY "cc_live_" BODY "0YCLTR" /* check digits by another implementation */
#define TEST_KEY "cc_test_" BODY "1XxOx0"

static const struct key_environments environments = {
    .count = 3,
    .list = {{"live", "cc_live_"}, {"test", "cc_test_"}, {"short", "ab_"}},
};

static int well_formed(const char *text)
{
    return key_is_well_formed(&environments, text, strlen(text));
}

static void crc32_is_zlibs(void **state)
{
    static const struct {
        const char *text;
        uint32_t crc;
    } cases[] = {
        {"123456789", 0xcbf43926},
        {"", 0},
        {"a", 0xe8b7be43},
        {"abc", 0x352441c2},
        {"message digest", 0x20159d7f},
        {KEY_ALPHABET, 0xd6213adc},
        {"The quick brown fox jumps over the lazy dog", 0x414fa339},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(crc32_update(0, cases[i].text, strlen(cases[i].text)), cases[i].crc);
}

/* One bit at a time, straight from the definition. */
static uint32_t crc32_by_bits(uint32_t crc, const unsigned char *bytes, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320 : crc >> 1;
    }
    return ~crc;
}

static void crc32_is_right_at_every_length_and_alignment(void **state)
{
    unsigned char bytes[4096];
    uint32_t noise = 1;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        noise = noise * 1664525 + 1013904223;
        bytes[i] = (unsigned char)(noise >> 24);
    }
    for (size_t start = 0; start < 9; start++)
        for (size_t len = 0; len < 100; len++)
            assert_int_equal(crc32_update(0, bytes + start, len),
                             crc32_by_bits(0, bytes + start, len));
    assert_int_equal(crc32_update(0, bytes, sizeof bytes), crc32_by_bits(0, bytes, sizeof bytes));
}

static void crc32_can_be_fed_in_pieces(void **state)
{
    const char *text = LIVE_KEY;
    size_t len = strlen(text);
    uint32_t whole = crc32_update(0, text, len);

    (void)state;
    for (size_t cut = 0; cut <= len; cut++)
        assert_int_equal(crc32_update(crc32_update(0, text, cut), text + cut, len - cut), whole);
}

static void prefixes_are_3_to_8_of_their_alphabet_and_end_in_an_underscore(void **state)
{
    static const char *const good[] = {"cc_live_", "ab_", "a0_", "___", "x_y_"};
    static const char *const bad[] = {"",         "_",    "a_",       "abc",  "cc_lives_",
                                      "cc_Live_", "a-_",  "cc_live",  "ab _", "\xC3\xA4_",
                                      "ab_\n",    "a\n_", "cc_live_x"};

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(key_prefix_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(key_prefix_is_valid(bad[i]));
}

static void the_environment_is_the_one_whose_prefix_starts_the_text(void **state)
{
    (void)state;
    assert_string_equal(key_environment_of(&environments, LIVE_KEY, 50)->name, "live");
    assert_string_equal(key_environment_of(&environments, TEST_KEY, 50)->name, "test");
    assert_string_equal(key_environment_of(&environments, "ab_", 3)->name, "short");
    assert_null(key_environment_of(&environments, "cc_live_", 7));
    assert_null(key_environment_of(&environments, "cc_prod_", 8));
    assert_null(key_environment_of(&environments, "", 0));
}

static void an_environment_is_found_by_its_whole_name(void **state)
{
    (void)state;
    assert_ptr_equal(key_environment_named(&environments, "test", 4), &environments.list[1]);
    assert_ptr_equal(key_environment_named(&environments, "tests", 4), &environments.list[1]);
    assert_null(key_environment_named(&environments, "tes", 3));
    assert_null(key_environment_named(&environments, "tests", 5));
    assert_null(key_environment_named(&environments, "", 0));
}

static void check_digits_are_those_that_another_implementation_computes(void **state)
{
    static const struct {
        const char *checked, *digits;
    } cases[] = {
        {"cc_live_" BODY, "0YCLTR"},
        {"cc_test_" BODY, "1XxOx0"},
        {"ab_000000000000000000000000000000000000", "15X3s2"},
        {"cc_live_000000000000000000000000000000000082", "003pJX"},
        {"cc_live_000000000000000000000000000000000238", "00kDGm"},
    };
    char digits[KEY_CHECK_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        key_check_digits(cases[i].checked, strlen(cases[i].checked), digits);
        assert_memory_equal(digits, cases[i].digits, KEY_CHECK_LEN);
    }
}

static void good_keys_are_well_formed(void **state)
{
    (void)state;
    assert_true(well_formed(LIVE_KEY));
    assert_true(well_formed(TEST_KEY));
    assert_true(well_formed("ab_00000000000000000000000000000000000015X3s2"));
    assert_true(well_formed("cc_live_000000000000000000000000000000000082003pJX"));
}

static void every_substitution_of_one_byte_is_refused(void **state)
{
    char text[] = LIVE_KEY;

    (void)state;
    for (size_t at = 0; at < strlen(LIVE_KEY); at++) {
        for (int byte = 0; byte < 256; byte++) {
            text[at] = (char)byte;
            assert_int_equal(key_is_well_formed(&environments, text, strlen(LIVE_KEY)),
                             text[at] == LIVE_KEY[at]);
        }
        text[at] = LIVE_KEY[at];
    }
}

static void neighbours_swapped_are_refused(void **state)
{
    (void)state;
    for (size_t at = 0; at + 1 < strlen(LIVE_KEY); at++) {
        char text[] = LIVE_KEY;
        text[at] = LIVE_KEY[at + 1];
        text[at + 1] = LIVE_KEY[at];
        assert_int_equal(well_formed(text), text[at] == text[at + 1]);
    }
}

/* Each byte in each place of the body with a check that fits: only the alphabet can refuse it. */
static void what_is_not_base62_is_refused_even_with_a_right_check(void **state)
{
    char text[] = LIVE_KEY;

    (void)state;
    for (size_t at = strlen("cc_live_"); at < 44; at++) {
        for (int byte = 0; byte < 256; byte++) {
            text[at] = (char)byte;
            key_check_digits(text, 44, text + 44);
            int base62 = byte < 128 && isalnum(byte);
            assert_int_equal(key_is_well_formed(&environments, text, 50), base62 != 0);
        }
        text[at] = LIVE_KEY[at];
    }
}

/* The check digits say the CRC, or the CRC and 2^32: only one spelling is a key. */
static void a_check_past_32_bits_is_refused(void **state)
{
    char text[] = LIVE_KEY;
    uint64_t value = (UINT64_C(1) << 32) + crc32_update(0, text, 44);

    (void)state;
    for (size_t i = 50; i-- > 44; value /= 62)
        text[i] = KEY_ALPHABET[value % 62];
    assert_int_equal(value, 0);
    assert_false(well_formed(text));
}

static void a_key_of_another_environment_is_refused_whatever_its_check(void **state)
{
    (void)state;
    assert_false(well_formed("cc_test_" BODY "0YCLTR"));
    assert_false(well_formed("cc_prod_" BODY "0YCLTR"));

    char text[] = "cc_prod_" BODY "......";
    key_check_digits(text, 44, text + 44);
    assert_false(well_formed(text));

    static const struct key_environments none = {.count = 0};
    assert_false(key_is_well_formed(&none, LIVE_KEY, 50));
}

/* A right check behind a body that is too short or too long for its prefix. */
static void a_body_of_another_length_is_refused_even_with_a_right_check(void **state)
{
    char text[128];

    (void)state;
    for (size_t e = 0; e < environments.count; e++) {
        size_t prefix_len = strlen(environments.list[e].prefix);
        for (size_t body_len = 0; body_len < 100; body_len++) {
            memcpy(text, environments.list[e].prefix, prefix_len);
            memset(text + prefix_len, 'x', body_len);
            key_check_digits(text, prefix_len + body_len, text + prefix_len + body_len);
            assert_int_equal(
                key_is_well_formed(&environments, text, prefix_len + body_len + KEY_CHECK_LEN),
                body_len == KEY_RANDOM_LEN);
        }
    }
}

static void a_truncated_or_extended_key_is_refused_and_nothing_past_its_end_is_read(void **state)
{
    (void)state;
    for (size_t len = 0; len < strlen(LIVE_KEY) + 3; len++) {
        char *text = malloc(len == 0 ? 1 : len); /* as it is, so that ASan sees the end */
        assert_non_null(text);
        memcpy(text, LIVE_KEY "ab", len);
        assert_int_equal(key_is_well_formed(&environments, text, len), len == strlen(LIVE_KEY));
        free(text);
    }
    assert_false(key_is_well_formed(&environments, LIVE_KEY, SIZE_MAX));
}

/* "cc_" begins the prefix "cc_live_", and the check is right. */
static void the_start_of_a_prefix_is_no_prefix(void **state)
{
    char text[] = "cc_" BODY "......";

    (void)state;
    key_check_digits(text, 39, text + 39);
    assert_false(well_formed(text));
}

/* What lies behind a prefix's end is nobody's business. */
static void a_short_prefix_is_compared_up_to_its_end_only(void **state)
{
    struct key_environments one = {.count = 1, .list = {{"short", "ab_"}}};

    (void)state;
    memcpy(one.list[0].prefix + 4, "\xFFjunk", 5);
    assert_true(key_is_well_formed(&one, "ab_00000000000000000000000000000000000015X3s2", 45));
    assert_false(key_is_well_formed(&one, LIVE_KEY, 50));
}

static unsigned digit_value(char digit)
{
    return (unsigned)(strchr(KEY_ALPHABET, digit) - KEY_ALPHABET);
}

static void the_example_key_has_the_shape_of_a_key_and_is_none(void **state)
{
    char digits[KEY_CHECK_LEN];

    (void)state;
    assert_int_equal(strlen(KEY_EXAMPLE), 50);
    assert_int_equal(strspn(&KEY_EXAMPLE[8], KEY_ALPHABET), 42);
    assert_false(well_formed(KEY_EXAMPLE));
    key_check_digits(KEY_EXAMPLE, 44, digits);
    assert_memory_not_equal(digits, &KEY_EXAMPLE[44], KEY_CHECK_LEN);
}

/* Six digits of base62 reach beyond 32 bits from "4gfFC4" on; the example's begin with 'S'. */
static void no_text_has_the_check_digits_of_the_example(void **state)
{
    char digits[KEY_CHECK_LEN], text[KEY_TEXT_MAX + 1];
    uint64_t value = 0;

    (void)state;
    for (size_t i = 44; i < 50; i++)
        value = 62 * value + digit_value(KEY_EXAMPLE[i]);
    assert_true(value > UINT32_MAX);
    for (size_t len = 0; len <= 44; len++) {
        key_check_digits(KEY_EXAMPLE, len, digits);
        assert_true(digit_value(digits[0]) <= 4);
    }
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(keygen_text("cc_live_", text), 0);
        assert_true(digit_value(text[44]) <= 4);
    }
}

static void ids_have_one_text(void **state)
{
    static const struct {
        uint64_t id;
        const char *text;
    } cases[] = {
        {1, "key_aaaaaaaaaaaab"},
        {31, "key_aaaaaaaaaaaa7"},
        {32, "key_aaaaaaaaaaaba"},
        {UINT64_C(0x0123456789abcdef), "key_aci2fm6e2xtpp"},
        {UINT64_C(1) << 63, "key_iaaaaaaaaaaaa"},
        {UINT64_MAX, "key_p777777777777"},
    };
    char text[CATLATCH_ID_SIZE];
    uint64_t id;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        key_id_format(cases[i].id, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(key_id_parse(text, strlen(text), &id), 0);
        assert_true(id == cases[i].id);
    }
}

static void only_the_text_that_format_makes_is_an_id(void **state)
{
    static const char *const bad[] = {
        "",
        "key_",
        "key_aaaaaaaaaaaaa", /* nought is no id */
        "key_qaaaaaaaaaaaa", /* 65 bits */
        "key_7aaaaaaaaaaaa", /* as well */
        "key_aaaaaaaaaaaaB", /* one spelling only */
        "KEY_aaaaaaaaaaaab",
        "key_aaaaaaaaaaaab ",
        " key_aaaaaaaaaaab",
        "key_aaaaaaaaaaab",
        "key_aaaaaaaaaaaaab",
        "key_aaaaaaaaaaaa1",
        "key_aaaaaaaaaaaa8",
        "key_aaaaaaaaaaaa=",
        "kex_aaaaaaaaaaaab",
    };
    uint64_t id = 4711;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(key_id_parse(bad[i], strlen(bad[i]), &id), CATLATCH_E_DATA);
    assert_int_equal(key_id_parse("key_aaaaaaaaaaaa\0", 17, &id), CATLATCH_E_DATA);
    assert_true(id == 4711);
}

static void new_keys_are_well_formed_and_all_different(void **state)
{
    char first[KEY_TEXT_MAX + 1], text[KEY_TEXT_MAX + 1];

    (void)state;
    assert_int_equal(keygen_text("cc_test_", first), 0);
    assert_int_equal(strlen(first), KEY_TEXT_MAX);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(keygen_text("cc_test_", text), 0);
        assert_true(well_formed(text));
        assert_string_not_equal(text, first);
    }
    assert_int_equal(keygen_text("ab_", text), 0);
    assert_int_equal(strlen(text), 45);
    assert_true(well_formed(text));
}

/* 180,000 digits: 2,903 of each are expected, with a standard deviation of 53. Eight of those is
 * chance once in 10^13; folding 256 onto 62 would give 3,516 of each of the first eight digits. */
static void the_digits_of_new_keys_are_without_bias(void **state)
{
    unsigned seen[256] = {0};
    char text[KEY_TEXT_MAX + 1];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(keygen_text("cc_live_", text), 0);
        for (size_t at = 8; at < 44; at++)
            seen[(unsigned char)text[at]]++;
    }
    for (const char *digit = KEY_ALPHABET; *digit != '\0'; digit++)
        assert_in_range(seen[(unsigned char)*digit], 2903 - 8 * 53, 2903 + 8 * 53);
}

static void no_key_is_made_with_a_prefix_that_is_none(void **state)
{
    char text[KEY_TEXT_MAX + 1] = "untouched";

    (void)state;
    assert_int_equal(keygen_text("", text), CATLATCH_E_ARGUMENT);
    assert_int_equal(keygen_text("far_too_long_", text), CATLATCH_E_ARGUMENT);
    assert_int_equal(keygen_text("CC_", text), CATLATCH_E_ARGUMENT);
    assert_string_equal(text, "untouched");
}

/* Deep enough that the thread's end does not write over what is left there. */
static void *make_one(void *text)
{
    volatile char deep[64 * 1024];

    deep[0] = 1;
    return keygen_text("cc_live_", text) == 0 && deep[0] == 1 ? text : NULL;
}

/* A thread on a stack of ours, so that what it leaves there can be searched. */
static void making_a_key_leaves_no_trace_of_it(void **state)
{
    size_t size = 256 * 1024;
    void *stack =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    char text[KEY_TEXT_MAX + 1];
    pthread_attr_t attributes;
    pthread_t thread;
    void *made;

    (void)state;
    assert_ptr_not_equal(stack, MAP_FAILED);
    assert_int_equal(pthread_attr_init(&attributes), 0);
    assert_int_equal(pthread_attr_setstack(&attributes, stack, size), 0);
    assert_int_equal(pthread_create(&thread, &attributes, make_one, text), 0);
    assert_int_equal(pthread_join(thread, &made), 0);
    assert_non_null(made);
    assert_null(memmem(stack, size, text + 8, 8));
    assert_null(memmem(stack, size, text + 36, 8));
    pthread_attr_destroy(&attributes);
    munmap(stack, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32_is_zlibs),
        cmocka_unit_test(crc32_is_right_at_every_length_and_alignment),
        cmocka_unit_test(crc32_can_be_fed_in_pieces),
        cmocka_unit_test(prefixes_are_3_to_8_of_their_alphabet_and_end_in_an_underscore),
        cmocka_unit_test(the_environment_is_the_one_whose_prefix_starts_the_text),
        cmocka_unit_test(an_environment_is_found_by_its_whole_name),
        cmocka_unit_test(check_digits_are_those_that_another_implementation_computes),
        cmocka_unit_test(good_keys_are_well_formed),
        cmocka_unit_test(every_substitution_of_one_byte_is_refused),
        cmocka_unit_test(neighbours_swapped_are_refused),
        cmocka_unit_test(what_is_not_base62_is_refused_even_with_a_right_check),
        cmocka_unit_test(a_check_past_32_bits_is_refused),
        cmocka_unit_test(a_key_of_another_environment_is_refused_whatever_its_check),
        cmocka_unit_test(a_body_of_another_length_is_refused_even_with_a_right_check),
        cmocka_unit_test(a_truncated_or_extended_key_is_refused_and_nothing_past_its_end_is_read),
        cmocka_unit_test(the_start_of_a_prefix_is_no_prefix),
        cmocka_unit_test(a_short_prefix_is_compared_up_to_its_end_only),
        cmocka_unit_test(the_example_key_has_the_shape_of_a_key_and_is_none),
        cmocka_unit_test(no_text_has_the_check_digits_of_the_example),
        cmocka_unit_test(ids_have_one_text),
        cmocka_unit_test(only_the_text_that_format_makes_is_an_id),
        cmocka_unit_test(new_keys_are_well_formed_and_all_different),
        cmocka_unit_test(the_digits_of_new_keys_are_without_bias),
        cmocka_unit_test(no_key_is_made_with_a_prefix_that_is_none),
        cmocka_unit_test(making_a_key_leaves_no_trace_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
