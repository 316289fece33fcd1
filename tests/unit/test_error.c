#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/error.h"
#include "core/result.h"

static void an_error_holds_code_and_text_and_returns_the_code(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(error_set(&error, CATLATCH_E_DATA, "line %d: %s", 7, "odd"), CATLATCH_E_DATA);
    assert_int_equal(error.code, CATLATCH_E_DATA);
    assert_string_equal(error.text, "line 7: odd");
}

static void a_caller_that_wants_no_text_still_gets_the_code(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, CATLATCH_E_FULL, "x"), CATLATCH_E_FULL);
    assert_int_equal(error_errno(NULL, ENOSPC, "x"), CATLATCH_E_FULL);
    assert_true(error_prefix(NULL, "x") < 0);
}

static void a_prefix_goes_before_the_text_and_keeps_the_code(void **state)
{
    struct error error = {0};

    (void)state;
    error_set(&error, CATLATCH_E_IO, "read failed");
    assert_int_equal(error_prefix(&error, "store %s", "a"), CATLATCH_E_IO);
    assert_string_equal(error.text, "store a: read failed");
}

static void an_error_can_quote_the_one_that_it_replaces(void **state)
{
    struct error error = {0};

    (void)state;
    error_set(&error, CATLATCH_E_IO, "inner");
    error_set(&error, CATLATCH_E_CONFIG, "outer (%s)", error.text);
    assert_string_equal(error.text, "outer (inner)");
    error_prefix(&error, "again %s", error.text);
    assert_string_equal(error.text, "again outer (inner): outer (inner)");
}

static void errno_gives_the_code_that_fits_and_its_words(void **state)
{
    static const struct {
        int errnum, code;
    } cases[] = {
        {EACCES, CATLATCH_E_PERMISSION},
        {EPERM, CATLATCH_E_PERMISSION},
        {ENOMEM, CATLATCH_E_MEMORY},
        {ENOSPC, CATLATCH_E_FULL},
        {EDQUOT, CATLATCH_E_FULL},
        {ENOENT, CATLATCH_E_NOT_FOUND},
        {EIO, CATLATCH_E_IO},
        {ELOOP, CATLATCH_E_IO},
    };
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(error_errno(&error, cases[i].errnum, "open %s", "f"), cases[i].code);
        assert_int_equal(error.code, cases[i].code);
    }
    error_errno(&error, ENOENT, "open %s", "f");
    assert_string_equal(error.text, "open f: No such file or directory");
}

static void control_characters_of_two_bytes_are_blanked_and_their_neighbours_are_not(void **state)
{
    struct error error = {0};

    (void)state;
    error_set(&error, CATLATCH_E_DATA,
              "\xC2\x9B"
              "31m red \xC2\x85 next \xC2\xA0 \xC3\x9B");
    assert_string_equal(error.text, "??31m red ?? next \xC2\xA0 \xC3\x9B");
}

static void a_long_text_is_cut_and_terminated(void **state)
{
    char longer[2000];
    struct error error;

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    error_set(&error, CATLATCH_E_DATA, "%s", longer);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    error_prefix(&error, "%s", longer);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    error_errno(&error, EIO, "%s", longer);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

static void a_cut_never_splits_a_character(void **state)
{
    char longer[700];
    struct error error;

    (void)state;
    for (size_t lead = 0; lead < 4; lead++) {
        memset(longer, 'x', sizeof longer);
        for (size_t i = 500 + lead; i + 4 < 600; i += 4)
            memcpy(longer + i, "\xF0\x9F\x94\x91", 4);
        longer[600] = '\0';
        error_set(&error, CATLATCH_E_DATA, "%s", longer);
        size_t len = strlen(error.text);
        assert_in_range(len, sizeof error.text - 6, sizeof error.text - 1);
        assert_int_equal((len - 500 - lead) % 4, 0);
    }
}

static void what_an_error_quotes_cannot_break_the_line_or_the_terminal(void **state)
{
    struct error error;

    (void)state;
    error_set(&error, CATLATCH_E_DATA, "name \"%s\"", "a\nb\x1B[2Jc\x7F\t");
    assert_string_equal(error.text, "name \"a?b?[2Jc??\"");
}

static void exit_statuses_are_those_of_the_manual(void **state)
{
    static const struct {
        int code, status;
    } cases[] = {
        {0, 0},
        {CATLATCH_E_NOT_FOUND, 1},
        {CATLATCH_E_CONFLICT, 1},
        {CATLATCH_E_ARGUMENT, 64},
        {CATLATCH_E_DATA, 65},
        {CATLATCH_E_VERSION, 65},
        {CATLATCH_E_LIMIT, 65},
        {CATLATCH_E_UNAVAILABLE, 69},
        {CATLATCH_E_MEMORY, 71},
        {CATLATCH_E_IO, 74},
        {CATLATCH_E_FULL, 74},
        {CATLATCH_E_PERMISSION, 77},
        {CATLATCH_E_CONFIG, 78},
        {-999, 70},
        {1, 70},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(error_exit_status(cases[i].code), cases[i].status);
}

static void every_code_has_words_of_its_own(void **state)
{
    (void)state;
    for (int a = CATLATCH_E_LIMIT; a <= 0; a++) {
        assert_string_not_equal(error_meaning(a), error_meaning(-999));
        for (int b = a + 1; b <= 0; b++)
            assert_string_not_equal(error_meaning(a), error_meaning(b));
    }
}

static void results_have_the_names_and_statuses_of_the_manual(void **state)
{
    static const struct {
        enum catlatch_result result;
        const char *name;
        int status;
    } cases[] = {
        {CATLATCH_DENIED, "denied", 403},
        {CATLATCH_VALID, "valid", 200},
        {CATLATCH_INVALID_REQUEST, "invalid_request", 400},
        {CATLATCH_MISSING, "missing", 401},
        {CATLATCH_MALFORMED, "malformed", 401},
        {CATLATCH_NOT_FOUND, "not_found", 401},
        {CATLATCH_REVOKED, "revoked", 401},
        {CATLATCH_DISABLED, "disabled", 401},
        {CATLATCH_EXPIRED, "expired", 401},
        {CATLATCH_NOT_YET_VALID, "not_yet_valid", 401},
        {CATLATCH_WRONG_ENVIRONMENT, "wrong_environment", 401},
        {CATLATCH_INSUFFICIENT_SCOPE, "insufficient_scope", 403},
        {CATLATCH_IP_NOT_ALLOWED, "ip_not_allowed", 403},
        {CATLATCH_USAGE_EXCEEDED, "usage_exceeded", 403},
        {CATLATCH_RATE_LIMITED, "rate_limited", 429},
        {CATLATCH_UNAVAILABLE, "unavailable", 503},
    };

    (void)state;
    assert_int_equal(sizeof cases / sizeof cases[0], CATLATCH_UNAVAILABLE + 1);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(cases[i].result, i);
        assert_string_equal(result_name(cases[i].result), cases[i].name);
        assert_int_equal(result_http_status(cases[i].result), cases[i].status);
    }
}

static void a_number_that_is_no_result_is_a_denial(void **state)
{
    (void)state;
    assert_string_equal(result_name((enum catlatch_result)99), "denied");
    assert_int_equal(result_http_status((enum catlatch_result)99), 403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_holds_code_and_text_and_returns_the_code),
        cmocka_unit_test(a_caller_that_wants_no_text_still_gets_the_code),
        cmocka_unit_test(a_prefix_goes_before_the_text_and_keeps_the_code),
        cmocka_unit_test(an_error_can_quote_the_one_that_it_replaces),
        cmocka_unit_test(errno_gives_the_code_that_fits_and_its_words),
        cmocka_unit_test(control_characters_of_two_bytes_are_blanked_and_their_neighbours_are_not),
        cmocka_unit_test(a_long_text_is_cut_and_terminated),
        cmocka_unit_test(a_cut_never_splits_a_character),
        cmocka_unit_test(what_an_error_quotes_cannot_break_the_line_or_the_terminal),
        cmocka_unit_test(exit_statuses_are_those_of_the_manual),
        cmocka_unit_test(every_code_has_words_of_its_own),
        cmocka_unit_test(results_have_the_names_and_statuses_of_the_manual),
        cmocka_unit_test(a_number_that_is_no_result_is_a_denial),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
