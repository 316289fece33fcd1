#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../tools/catlatch/command.h"
#include "../../tools/catlatch/options.h"

#define ALLOWED (OPTIONS_GLOBAL | OPTIONS_SELECT | OPTION_BIT(OPTION_YES))

/* Parses up to 7 words behind the program's name. */
static int parse(const char *const *words, bool stop, struct options *options, struct error *error)
{
    static char copies[8][64];
    static char *argv[9];
    int argc = 1;

    *options = (struct options){0};
    *error = (struct error){0};
    strcpy(copies[0], "catlatch");
    argv[0] = copies[0];
    for (; words[argc - 1] != NULL; argc++) {
        strcpy(copies[argc], words[argc - 1]);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    return options_read(argc, argv, ALLOWED, stop, options, error);
}

#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

static void options_and_operands_mix(void **state)
{
    struct options options;
    struct error error;
    (void)state;
    assert_int_equal(
        parse(WORDS("key_a", "--owner", "acme", "key_b", "-y", "--meta=a=1", "--meta=b="), false,
              &options, &error),
        0);
    assert_string_equal(option_text(&options, OPTION_WITH_OWNER), "acme");
    assert_true(option_given(&options, OPTION_YES));
    assert_false(option_given(&options, OPTION_JSON));
    assert_null(option_text(&options, OPTION_WITH_ENV));
    assert_int_equal(options.values[OPTION_WITH_META].count, 2);
    assert_string_equal(options.values[OPTION_WITH_META].list[1], "b=");
    assert_int_equal(options.operand_count, 2);
    assert_string_equal(options.operands[1], "key_b");
    options_free(&options);
}

static void reading_can_stop_at_the_first_operand(void **state)
{
    struct options options;
    struct error error;
    (void)state;
    assert_int_equal(parse(WORDS("--json", "list", "--frob"), true, &options, &error), 0);
    assert_int_equal(options.operand_count, 2);
    options_free(&options);
    assert_int_equal(parse(WORDS("--", "--json"), false, &options, &error), 0);
    assert_false(option_given(&options, OPTION_JSON));
    assert_int_equal(options.operand_count, 1);
    options_free(&options);
}

static void errors_name_the_option_and_the_nearest(void **state)
{
    static const struct {
        const char *words[3];
        const char *text;
    } cases[] = {
        {{"--onwer", "x", NULL}, "did you mean --owner?"},
        {{"--owner", NULL}, "--owner needs its OWNER"},
        {{"-c", NULL}, "--config needs its FILE"},
        {{"--yes=1", NULL}, "--yes takes no value"},
        {{"--owner=a", "--owner=b", NULL}, "--owner is given twice"},
        {{"-x", NULL}, "unknown option \"-x\""},
        {{"--grace", "1h", NULL}, "unknown option \"--grace\""},
        {{"--qqqqqqqqqqqq", NULL}, "--help lists them"},
    };
    struct options options;
    struct error error;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(parse(cases[i].words, false, &options, &error), CATLATCH_E_ARGUMENT);
        if (strstr(error.text, cases[i].text) == NULL)
            fail_msg("\"%s\" is not in \"%s\"", cases[i].text, error.text);
        options_free(&options);
    }
}

/* One spelling with two meanings would be ambiguous within one command. */
static void no_command_takes_two_options_of_one_spelling(void **state)
{
    (void)state;
    for (size_t c = 0; c < command_list_len; c++) {
        uint64_t allowed = command_list[c].options | OPTIONS_GLOBAL;
        for (int a = 0; a < OPTION_COUNT; a++)
            for (int b = 0; b < a; b++) {
                const struct option_spec *left = option_spec((enum option_id)a);
                const struct option_spec *right = option_spec((enum option_id)b);
                if ((allowed & OPTION_BIT(a)) == 0 || (allowed & OPTION_BIT(b)) == 0)
                    continue;
                assert_string_not_equal(left->name, right->name);
                assert_false(left->letter != '\0' && left->letter == right->letter);
            }
    }
}

static void every_option_belongs_to_a_command_and_has_its_words(void **state)
{
    uint64_t used = OPTIONS_GLOBAL;
    (void)state;
    for (size_t c = 0; c < command_list_len; c++)
        used |= command_list[c].options;
    for (int i = 0; i < OPTION_COUNT; i++) {
        assert_true((used & OPTION_BIT(i)) != 0);
        assert_non_null(option_spec((enum option_id)i)->summary);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_operands_mix),
        cmocka_unit_test(reading_can_stop_at_the_first_operand),
        cmocka_unit_test(errors_name_the_option_and_the_nearest),
        cmocka_unit_test(no_command_takes_two_options_of_one_spelling),
        cmocka_unit_test(every_option_belongs_to_a_command_and_has_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
