/*
 * test_control.c - what each control makes of each result, whatever was said before; and which
 * rules are refused. What is expected is written down here after pam.conf(5) and Linux-PAM's
 * pam_dispatch.c: an impression (undecided, positive, negative) and a status.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/result.h"
#include "lib_script.h"

/* What was said before the line that is tried. */
enum { NOTHING, GOOD, BAD, ODD, BEFORES };
static const char *const BEFORE[BEFORES] = {
    [NOTHING] = "",
    [GOOD] = "required = script n=1 r=valid\n",
    [BAD] = "required = script n=1 r=revoked\n",
    [ODD] =
        "rule = [disabled=ok default=die] script n=1 r=disabled\n", /* positive, and no success */
};

/* What it says: each kind of value weighs differently. */
enum { YES, IGNORED, NO, NONSENSE, KINDS };

/* The outcome. THE is the value itself. */
enum outcome { DENIED, VALID, REVOKED, DISABLED, THE };

struct cell {
    enum outcome outcome;
    char next; /* a: the line behind it is run, s: that one is jumped over, e: it is the end */
};

#define BADLY                                         \
    {                                                 \
        {DENIED, 'a'}, {DENIED, 'a'}, {REVOKED, 'a'}, \
        {                                             \
            DENIED, 'a'                               \
        }                                             \
    }
#define LEFT_ALONE                                   \
    {                                                \
        {DENIED, 'a'}, {VALID, 'a'}, {REVOKED, 'a'}, \
        {                                            \
            DISABLED, 'a'                            \
        }                                            \
    }

/* [what it says][what was said before: NOTHING, GOOD, BAD, ODD] */
static const struct word {
    const char *control;
    struct cell cells[KINDS][BEFORES];
} WORDS[] = {
    {"required",
     {[YES] = {{VALID, 'a'}, {VALID, 'a'}, {REVOKED, 'a'}, {DISABLED, 'a'}},
      [IGNORED] = LEFT_ALONE,
      [NO] = {{THE, 'a'}, {THE, 'a'}, {REVOKED, 'a'}, {THE, 'a'}},
      [NONSENSE] = BADLY}},
    {"requisite",
     {[YES] = {{VALID, 'a'}, {VALID, 'a'}, {REVOKED, 'a'}, {DISABLED, 'a'}},
      [IGNORED] = LEFT_ALONE,
      [NO] = {{THE, 'e'}, {THE, 'e'}, {REVOKED, 'e'}, {THE, 'e'}},
      [NONSENSE] = BADLY}},
    {"sufficient",
     {[YES] = {{VALID, 'e'}, {VALID, 'e'}, {REVOKED, 'a'}, {DISABLED, 'e'}},
      [IGNORED] = LEFT_ALONE,
      [NO] = LEFT_ALONE,
      [NONSENSE] = BADLY}},
    {"optional",
     {[YES] = {{VALID, 'a'}, {VALID, 'a'}, {REVOKED, 'a'}, {DISABLED, 'a'}},
      [IGNORED] = LEFT_ALONE,
      [NO] = LEFT_ALONE,
      [NONSENSE] = BADLY}},
};

/* The same for an action of a rule that is given for the very value, and for a rule's default. */
static const struct action {
    const char *action;
    struct cell cells[NONSENSE][BEFORES];
} ACTIONS[] = {
    {"ok",
     {[YES] = {{VALID, 'a'}, {VALID, 'a'}, {REVOKED, 'a'}, {DISABLED, 'a'}},
      [IGNORED] = {{DENIED, 'a'}, {DENIED, 'a'}, {REVOKED, 'a'}, {DISABLED, 'a'}},
      [NO] = {{THE, 'a'}, {THE, 'a'}, {REVOKED, 'a'}, {DISABLED, 'a'}}}},
    {"done",
     {[YES] = {{VALID, 'e'}, {VALID, 'e'}, {REVOKED, 'a'}, {DISABLED, 'e'}},
      [IGNORED] = {{DENIED, 'e'}, {DENIED, 'e'}, {REVOKED, 'a'}, {DISABLED, 'e'}},
      [NO] = {{THE, 'e'}, {THE, 'e'}, {REVOKED, 'a'}, {DISABLED, 'e'}}}},
    {"bad",
     {[YES] = {{DENIED, 'a'}, {DENIED, 'a'}, {REVOKED, 'a'}, {DENIED, 'a'}},
      [IGNORED] = {{DENIED, 'a'}, {DENIED, 'a'}, {REVOKED, 'a'}, {DENIED, 'a'}},
      [NO] = {{THE, 'a'}, {THE, 'a'}, {REVOKED, 'a'}, {THE, 'a'}}}},
    {"die",
     {[YES] = {{DENIED, 'e'}, {DENIED, 'e'}, {REVOKED, 'e'}, {DENIED, 'e'}},
      [IGNORED] = {{DENIED, 'e'}, {DENIED, 'e'}, {REVOKED, 'e'}, {DENIED, 'e'}},
      [NO] = {{THE, 'e'}, {THE, 'e'}, {REVOKED, 'e'}, {THE, 'e'}}}},
    {"ignore", {[YES] = LEFT_ALONE, [IGNORED] = LEFT_ALONE, [NO] = LEFT_ALONE}},
    {"reset",
     {[YES] = {{DENIED, 'a'}, {DENIED, 'a'}, {DENIED, 'a'}, {DENIED, 'a'}},
      [IGNORED] = {{DENIED, 'a'}, {DENIED, 'a'}, {DENIED, 'a'}, {DENIED, 'a'}},
      [NO] = {{DENIED, 'a'}, {DENIED, 'a'}, {DENIED, 'a'}, {DENIED, 'a'}}}},
    {"1",
     {[YES] = {{DENIED, 's'}, {VALID, 's'}, {REVOKED, 's'}, {DISABLED, 's'}},
      [IGNORED] = {{DENIED, 's'}, {VALID, 's'}, {REVOKED, 's'}, {DISABLED, 's'}},
      [NO] = {{DENIED, 's'}, {VALID, 's'}, {REVOKED, 's'}, {DISABLED, 's'}}}},
    {"2",
     {[YES] = {{DENIED, 'e'}, {VALID, 'e'}, {REVOKED, 'e'}, {DISABLED, 'e'}},
      [IGNORED] = {{DENIED, 'e'}, {VALID, 'e'}, {REVOKED, 'e'}, {DISABLED, 'e'}},
      [NO] = {{DENIED, 'e'}, {VALID, 'e'}, {REVOKED, 'e'}, {DISABLED, 'e'}}}},
};

/* What a module can return: every result, ignore, and what is neither. */
static const int VALUES[] = {0,  1,  2,  3,   4,    5,   6,         7,        8,  9,
                             10, 11, 12, 13,  14,   15,  16,        17,       29, 30,
                             31, 32, -1, -12, 1000, 256, INT32_MAX, INT32_MIN};
#define VALUE_COUNT (sizeof VALUES / sizeof *VALUES)

static struct script_world world;

static int kind_of(int value)
{
    if (value == CATLATCH_VALID)
        return YES;
    if (value == CATLATCH_IGNORE)
        return IGNORED;
    return value >= 0 && value <= CATLATCH_UNAVAILABLE ? NO : NONSENSE;
}

/* An outage among what was said wins over every refusal: where we are stricter than PAM. */
static enum catlatch_result expected_result(enum outcome outcome, int value)
{
    static const enum catlatch_result RESULTS[] = {[DENIED] = CATLATCH_DENIED,
                                                   [VALID] = CATLATCH_VALID,
                                                   [REVOKED] = CATLATCH_REVOKED,
                                                   [DISABLED] = CATLATCH_DISABLED};
    if (outcome == VALID)
        return CATLATCH_VALID;
    if (value == CATLATCH_UNAVAILABLE)
        return CATLATCH_UNAVAILABLE;
    return outcome == THE ? (enum catlatch_result)value : RESULTS[outcome];
}

static const char *expected_calls(char next, bool has_before)
{
    switch (next) {
    case 'a':
        return has_before ? "v1 v2 v3 v4" : "v2 v3 v4";
    case 's':
        return has_before ? "v1 v2 v4" : "v2 v4";
    default:
        return has_before ? "v1 v2" : "v2";
    }
}

static const char *name_of(int value)
{
    return value == CATLATCH_IGNORE ? "ignore" : result_name((enum catlatch_result)value);
}

/* `line` ends in its module, script; it says the value after what was said before. */
static void try_line(const char *line, int value, int before, struct cell expected)
{
    char text[1024];
    struct stack_trace trace;
    struct stack_request request = {.key = "text", .key_len = 4};

    snprintf(text, sizeof text,
             "[default]\n%s%s n=2 r=%d\noptional = script n=3 r=ignore\n"
             "optional = script n=4 r=ignore\n",
             BEFORE[before], line, value);
    struct stack_service *service = script_open(&world, text);
    for (int traced = 0; traced < 2; traced++) {
        enum catlatch_result result = script_ask_with(service, &request, traced ? &trace : NULL);
        enum catlatch_result wanted = expected_result(expected.outcome, value);
        const char *calls = expected_calls(expected.next, before != NOTHING);
        if (result != wanted || strcmp(record_words("v"), calls) != 0)
            fail_msg("%s and not %s, calls %s and not %s, of%s\n%s", result_name(result),
                     result_name(wanted), record_words("v"), calls, traced ? " the traced" : "",
                     text);
    }
    stack_close(service);
}

static void each_control_weighs_each_result_as_pam_does(void **state)
{
    char line[64];

    (void)state;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        snprintf(line, sizeof line, "%s = script", WORDS[i].control);
        for (size_t v = 0; v < VALUE_COUNT; v++) {
            for (int before = 0; before < BEFORES; before++)
                try_line(line, VALUES[v], before, WORDS[i].cells[kind_of(VALUES[v])][before]);
        }
    }
}

static void each_action_does_with_each_result_what_pam_does(void **state)
{
    static const struct cell NONSENSICAL[BEFORES] = BADLY;
    char line[96];

    (void)state;
    for (size_t i = 0; i < sizeof ACTIONS / sizeof *ACTIONS; i++) {
        for (size_t v = 0; v < VALUE_COUNT; v++) {
            int kind = kind_of(VALUES[v]);
            const struct cell *cells = kind == NONSENSE ? NONSENSICAL : ACTIONS[i].cells[kind];
            /* nonsense has no name, and no default covers it */
            for (int before = 0; before < BEFORES; before++) {
                if (kind != NONSENSE) {
                    snprintf(line, sizeof line, "rule = [%s=%s default=%s] script",
                             name_of(VALUES[v]), ACTIONS[i].action, i == 3 ? "ok" : "die");
                    try_line(line, VALUES[v], before, cells[before]);
                }
                snprintf(line, sizeof line, "rule = [default=%s] script", ACTIONS[i].action);
                try_line(line, VALUES[v], before, cells[before]);
            }
        }
    }
}

static void a_default_is_of_what_was_not_named_wherever_it_stands(void **state)
{
    const struct cell named[BEFORES] = LEFT_ALONE, others[BEFORES] = {{THE, 'e'}};

    (void)state;
    try_line("rule = [default=die expired=ignore] script", CATLATCH_EXPIRED, GOOD, named[GOOD]);
    try_line("rule = [expired=ignore default=die] script", CATLATCH_EXPIRED, GOOD, named[GOOD]);
    try_line("rule = [default=die expired=ignore] script", CATLATCH_REVOKED, NOTHING, others[0]);
    try_line("rule = [default=die expired=ignore] script", CATLATCH_IGNORE, NOTHING,
             (struct cell){DENIED, 'e'});
}

static void what_is_not_named_in_a_rule_without_default_is_bad(void **state)
{
    static const struct cell BAD_ONES[KINDS][BEFORES] = {
        [YES] = BADLY,
        [IGNORED] = BADLY,
        [NO] = {{THE, 'a'}, {THE, 'a'}, {REVOKED, 'a'}, {THE, 'a'}},
        [NONSENSE] = BADLY,
    };

    (void)state;
    for (size_t v = 0; v < VALUE_COUNT; v++) {
        for (int before = 0; before < BEFORES; before++) {
            struct cell cell = BAD_ONES[kind_of(VALUES[v])][before];
            try_line("rule = [] script", VALUES[v], before, cell);
            if (VALUES[v] != CATLATCH_RATE_LIMITED)
                try_line("rule = [rate_limited=ignore] script", VALUES[v], before, cell);
        }
    }
}

static void a_rule_may_have_blanks_and_tabs_or_none_before_its_module(void **state)
{
    (void)state;
    try_line("rule = [ \tvalid=ok\t default=die ]\t script", CATLATCH_VALID, NOTHING,
             (struct cell){VALID, 'a'});
    try_line("rule = [valid=ok default=die]script", CATLATCH_VALID, NOTHING,
             (struct cell){VALID, 'a'});
}

#define ACTIONS_ARE \
    "there are ok, done, bad, die, ignore, reset, and a number of lines to jump over"
#define A_RULE_IS "a rule is [RESULT=ACTION ...] MODULE, as rule = [valid=ok default=die] table"

static void a_rule_that_cannot_be_read_is_refused(void **state)
{
    static const struct {
        const char *line, *message;
    } RULES[] = {
        {"rule = [expird=ok] script", "\"expird\" is no result; did you mean \"expired\"?"},
        {"rule = [Valid=ok] script", "\"Valid\" is no result; did you mean \"valid\"?"},
        {"rule = [ignor=ok] script", "\"ignor\" is no result; did you mean \"ignore\"?"},
        {"rule = [defalt=ok] script", "\"defalt\" is no result; did you mean \"default\"?"},
        {"rule = [nonsense=ok] script", "\"nonsense\" is no result, nor ignore or default"},
        {"rule = [16=ok] script", "\"16\" is no result, nor ignore or default"},
        {"rule = [=ok] script", "\"\" is no result, nor ignore or default"},
        {"rule = [success=ok] script", "\"success\" is no result, nor ignore or default"},
        {"rule = [valid] script", "\"valid\" is no RESULT=ACTION"},
        {"rule = [valid = ok] script", "\"valid\" is no RESULT=ACTION"},
        {"rule = [valid=] script", "unknown action \"\"; " ACTIONS_ARE},
        {"rule = [valid=OK] script", "unknown action \"OK\"; " ACTIONS_ARE},
        {"rule = [valid=okay] script", "unknown action \"okay\"; " ACTIONS_ARE},
        {"rule = [valid=ok=done] script", "unknown action \"ok=done\"; " ACTIONS_ARE},
        {"rule = [valid=ok,expired=die] script", "unknown action \"ok,expired=die\"; " ACTIONS_ARE},
        {"rule = [valid=-1] script", "unknown action \"-1\"; " ACTIONS_ARE},
        {"rule = [valid=+1] script", "unknown action \"+1\"; " ACTIONS_ARE},
        {"rule = [valid=nonsense] script", "unknown action \"nonsense\"; " ACTIONS_ARE},
        {"rule = [valid=ok expired=bad valid=ok] script", "\"valid\" is given twice"},
        {"rule = [ignore=ok ignore=bad] script", "\"ignore\" is given twice"},
        {"rule = [default=ok default=ok] script", "\"default\" is given twice"},
        {"rule = [valid=0] script", "a jump of \"0\" lines is not from 1 to 63"},
        {"rule = [valid=00] script", "a jump of \"00\" lines is not from 1 to 63"},
        {"rule = [valid=64] script", "a jump of \"64\" lines is not from 1 to 63"},
        {"rule = [valid=1x] script", "a jump of \"1x\" lines is not from 1 to 63"},
        {"rule = [valid=18446744073709551617] script",
         "a jump of \"18446744073709551617\" lines is not from 1 to 63"},
        {"rule = [valid=1] script", "jumps over 1 lines, and 0 stand behind it in its stack"},
        {"rule = [default=63] script", "jumps over 63 lines, and 0 stand behind it in its stack"},
        {"rule = [valid=ok default=die script", A_RULE_IS},
        {"rule = script", A_RULE_IS},
        {"rule = valid=ok] script", A_RULE_IS},
        {"rule = (valid=ok) script", A_RULE_IS},
        {"rule = [valid=ok]", "no module behind \"rule =\"; write rule = MODULE"},
        {"rule = [valid=ok] \t", "no module behind \"rule =\"; write rule = MODULE"},
    };
    char text[256], message[512];

    (void)state;
    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++) {
        snprintf(text, sizeof text, "[default]\nrequired = script\n%s\n", RULES[i].line);
        snprintf(message, sizeof message, "/t.ini:3: %s", RULES[i].message);
        script_refused(&world, text, CATLATCH_E_CONFIG, message);
    }
}

static void a_control_that_is_none_is_refused(void **state)
{
    static const struct {
        const char *line, *message;
    } LINES[] = {
        {"requird = script", "unknown control \"requird\"; did you mean \"required\"?"},
        {"Required = script", "unknown control \"Required\"; did you mean \"required\"?"},
        {"suficient = script", "unknown control \"suficient\"; did you mean \"sufficient\"?"},
        {"rules = [valid=ok] script", "unknown control \"rules\"; did you mean \"rule\"?"},
        {"includes = default", "unknown control \"includes\"; did you mean \"include\"?"},
        {"sometimes = script",
         "unknown control \"sometimes\"; there are required, requisite, sufficient, optional, "
         "include, substack and rule = [RESULT=ACTION ...]"},
        {"required =  ", "no module behind \"required =\"; write required = MODULE"},
    };
    char text[256], message[512];

    (void)state;
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        snprintf(text, sizeof text, "[default]\n\n%s\n", LINES[i].line);
        snprintf(message, sizeof message, "/t.ini:3: %s", LINES[i].message);
        script_refused(&world, text, CATLATCH_E_CONFIG, message);
    }
}

static void actions_are_called_by_their_names(void **state)
{
    (void)state;
    assert_string_equal(control_action_name(ACTION_OK), "ok");
    assert_string_equal(control_action_name(ACTION_DONE), "done");
    assert_string_equal(control_action_name(ACTION_BAD), "bad");
    assert_string_equal(control_action_name(ACTION_DIE), "die");
    assert_string_equal(control_action_name(ACTION_IGNORE), "ignore");
    assert_string_equal(control_action_name(ACTION_RESET), "reset");
    assert_string_equal(control_action_name(ACTION_NONSENSE), "bad");
    assert_string_equal(control_action_name(0), "jump");
    assert_string_equal(control_action_name(64), "jump");
}

static void control_of_rule_leaves_what_it_refuses_alone(void **state)
{
    struct control control, before;
    char text[] = "valid=ok expired=wrong";

    (void)state;
    memset(&control, 0x5a, sizeof control);
    before = control;
    assert_int_equal(control_of_rule(text, &control, NULL), CATLATCH_E_CONFIG);
    assert_memory_equal(&control, &before, sizeof control);
    assert_false(control_of_word("rule", &control));
    assert_memory_equal(&control, &before, sizeof control);
}

static int open_world(void **state)
{
    (void)state;
    script_world_open(&world);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    script_world_close(&world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_control_weighs_each_result_as_pam_does),
        cmocka_unit_test(each_action_does_with_each_result_what_pam_does),
        cmocka_unit_test(a_default_is_of_what_was_not_named_wherever_it_stands),
        cmocka_unit_test(what_is_not_named_in_a_rule_without_default_is_bad),
        cmocka_unit_test(a_rule_may_have_blanks_and_tabs_or_none_before_its_module),
        cmocka_unit_test(a_rule_that_cannot_be_read_is_refused),
        cmocka_unit_test(a_control_that_is_none_is_refused),
        cmocka_unit_test(actions_are_called_by_their_names),
        cmocka_unit_test(control_of_rule_leaves_what_it_refuses_alone),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
