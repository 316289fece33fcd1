/* What ends a key that was rotated: its text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/retirement.h"

static void what_is_written_is_shown_in_one_form(void **state)
{
    static const char *const cases[][2] = {
        {"unseen=24h", "unseen=1d"},
        {"unseen=90s", "unseen=90s"},
        {"on-use grace=7d", "on-use grace=1w"},
        {"grace=60m on-use", "on-use grace=1h"},
        {"on-use unseen=1h30m", "on-use unseen=90m"},
        {"on-use unseen=1d grace=2d", "on-use grace=2d unseen=1d"},
        {"unseen=100y", "unseen=100y"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct retirement retirement, again;
        char shown[RETIREMENT_TEXT_SIZE];
        assert_int_equal(retirement_parse(text_of(cases[i][0]), &retirement, NULL), 0);
        assert_true(retirement_is_sane(&retirement));
        assert_false(retirement_is_none(&retirement));
        assert_int_equal(retirement_format(&retirement, shown), strlen(cases[i][1]));
        assert_string_equal(shown, cases[i][1]);
        assert_int_equal(retirement_parse(text_of(shown), &again, NULL), 0);
        assert_int_equal(again.on_use, retirement.on_use);
        assert_int_equal(again.grace_s, retirement.grace_s);
        assert_int_equal(again.unseen_s, retirement.unseen_s);
        assert_int_equal(again.since_unix_s, 0);
    }
}

static void what_is_none_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        " ",
        "on-use",
        "grace=1d",
        "grace=1d unseen=1d",
        "unseen",
        "unseen=",
        "unseen=0",
        "unseen=1500ms",
        "unseen=101y",
        "unseen=-1s",
        "unseen=1d unseen=2d",
        "on-use on-use unseen=1d",
        "on-use grace=1d grace=1d",
        " unseen=1d",
        "unseen=1d ",
        "on-use  unseen=1d",
        "on-use unseen=1d soon",
        "on-use,unseen=1d",
        "unseen=99999999999999999999999999s",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct retirement retirement = {.grace_s = 77};
        struct error error;
        if (retirement_parse(text_of(cases[i]), &retirement, &error) != CATLATCH_E_DATA)
            fail_msg("\"%s\" was taken", cases[i]);
        assert_int_equal(retirement.grace_s, 77);
        assert_non_null(strstr(error.text, "unseen=24h"));
    }
}

static void what_contradicts_itself_is_not_sane(void **state)
{
    static const struct retirement sane[] = {
        {.unseen_s = 0},
        {.unseen_s = 5, .since_unix_s = 9},
        {.on_use = true, .grace_s = 1},
        {.on_use = true, .unseen_s = RETIREMENT_SPAN_MAX_S},
    };
    static const struct retirement mad[] = {
        {.on_use = true},
        {.grace_s = 1},
        {.grace_s = 1, .unseen_s = 1},
        {.since_unix_s = 1},
        {.on_use = true, .grace_s = 1, .since_unix_s = 1},
        {.unseen_s = -1},
        {.on_use = true, .grace_s = -1},
        {.unseen_s = RETIREMENT_SPAN_MAX_S + 1},
        {.on_use = true, .grace_s = RETIREMENT_SPAN_MAX_S + 1},
        {.unseen_s = 5, .since_unix_s = -1},
        {.unseen_s = 5, .since_unix_s = INT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof sane / sizeof sane[0]; i++)
        assert_true(retirement_is_sane(&sane[i]));
    for (size_t i = 0; i < sizeof mad / sizeof mad[0]; i++)
        assert_false(retirement_is_sane(&mad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_shown_in_one_form),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(what_contradicts_itself_is_not_sane),
    };
    return cmocka_run_group_tests_name("retirement", tests, NULL, NULL);
}
