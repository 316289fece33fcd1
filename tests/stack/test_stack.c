/*
 * test_stack.c - a service while it decides: settle, undo and finish, what modules tell and are
 * told, and that an outage is no denial.
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
#include "stack/facts.h"

static struct script_world world;

static const struct stack_request plain = {.key = "text", .key_len = 4};
static const struct stack_request dry = {.key = "text", .key_len = 4, .is_dry = true};

/* The outcome of the lines of [default] and the calls that it came from. */
static void expect(const char *lines, enum catlatch_result result, const char *calls)
{
    char text[4096];

    snprintf(text, sizeof text, "[default]\n%s", lines);
    struct stack_service *service = script_open(&world, text);
    enum catlatch_result decided = script_ask(service);
    if (decided != result || strcmp(record_words("vsuf"), calls) != 0)
        fail_msg("%s, and not %s; calls %s, and not %s; of\n%s", result_name(decided),
                 result_name(result), record_words("vsuf"), calls, text);
    assert_int_equal(record.dirty, 0);
    stack_close(service);
}

static void what_is_granted_is_settled_in_the_order_of_the_lines(void **state)
{
    (void)state;
    expect("required = script n=1\nrequired = script n=2\noptional = script n=3\n", CATLATCH_VALID,
           "v1 v2 v3 s1 s2 s3 f1=valid f2=valid f3=valid");
}

static void what_did_not_say_valid_or_did_not_run_is_not_settled(void **state)
{
    (void)state;
    expect("required = script n=1 r=ignore\n"
           "optional = script n=2 r=not_found\n"
           "optional = script n=3\n"
           "rule = [valid=1 default=die] script n=4\n"
           "required = script n=5\n"
           "sufficient = script n=6\n"
           "required = script n=7\n",
           CATLATCH_VALID,
           "v1 v2 v3 v4 v6 s3 s4 s6 f1=valid f2=valid f3=valid f4=valid f5=valid f6=valid "
           "f7=valid");
}

/* Whatever its action made of it: it said valid, and it ran. */
static void a_line_whose_valid_was_ignored_is_settled(void **state)
{
    (void)state;
    expect("rule = [valid=ignore default=die] script n=1\nrequired = script n=2\n", CATLATCH_VALID,
           "v1 v2 s1 s2 f1=valid f2=valid");
    expect("required = script n=1\nrule = [valid=reset default=die] script n=2\n"
           "required = script n=3\n",
           CATLATCH_VALID, "v1 v2 v3 s1 s2 s3 f1=valid f2=valid f3=valid");
}

static void lines_of_substacks_are_settled_in_their_places(void **state)
{
    (void)state;
    expect("required = script n=1\nsubstack = sub\nrequired = script n=4\n"
           "[sub]\nsufficient = script n=2\nrequired = script n=3\n",
           CATLATCH_VALID, "v1 v2 v4 s1 s2 s4 f1=valid f2=valid f3=valid f4=valid");
}

static void what_is_not_granted_is_not_settled(void **state)
{
    (void)state;
    expect("required = script n=1\nrequired = script n=2 r=expired\nrequired = script n=3\n",
           CATLATCH_EXPIRED, "v1 v2 v3 f1=expired f2=expired f3=expired");
    expect("required = script n=1\nrequisite = script n=2 r=unavailable\nrequired = script n=3\n",
           CATLATCH_UNAVAILABLE, "v1 v2 f1=unavailable f2=unavailable f3=unavailable");
    expect("required = script n=1\nrule = [valid=reset] script n=2\n", CATLATCH_DENIED,
           "v1 v2 f1=denied f2=denied");
    expect("rule = [ignore=ok] script n=1 r=ignore\nrequired = script n=2\n", CATLATCH_DENIED,
           "v1 v2 f1=denied f2=denied");
}

static void a_refusal_to_settle_takes_back_what_was_settled_in_reverse(void **state)
{
    (void)state;
    expect("required = script n=1\nrequired = script n=2\noptional = script n=3 r=ignore\n"
           "required = script n=4 settle=usage_exceeded\nrequired = script n=5\n",
           CATLATCH_USAGE_EXCEEDED,
           "v1 v2 v3 v4 v5 s1 s2 s4 u2 u1 f1=usage_exceeded f2=usage_exceeded f3=usage_exceeded "
           "f4=usage_exceeded f5=usage_exceeded");
    expect("required = script n=1 settle=rate_limited\nrequired = script n=2\n",
           CATLATCH_RATE_LIMITED, "v1 v2 s1 f1=rate_limited f2=rate_limited");
    expect("required = script n=1\nrequired = script n=2 settle=unavailable\n",
           CATLATCH_UNAVAILABLE, "v1 v2 s1 s2 u1 f1=unavailable f2=unavailable");
}

static void every_control_but_optional_can_refuse_to_settle(void **state)
{
    static const char *const CONTROLS[] = {
        "required = ", "requisite = ", "sufficient = ", "rule = [valid=ok default=ignore] "};
    char lines[256];

    (void)state;
    for (size_t i = 0; i < sizeof CONTROLS / sizeof *CONTROLS; i++) {
        snprintf(lines, sizeof lines, "required = script n=1\n%sscript n=2 settle=rate_limited\n",
                 CONTROLS[i]);
        expect(lines, CATLATCH_RATE_LIMITED, "v1 v2 s1 s2 u1 f1=rate_limited f2=rate_limited");
    }
}

/* It settled nothing, so there is nothing of it to take back. */
static void an_optional_refusal_to_settle_changes_nothing(void **state)
{
    (void)state;
    expect("required = script n=1\noptional = script n=2 settle=rate_limited\n"
           "required = script n=3\n",
           CATLATCH_VALID, "v1 v2 v3 s1 s2 s3 f1=valid f2=valid f3=valid");
    expect("required = script n=1\noptional = script n=2 settle=unavailable\n"
           "required = script n=3 settle=usage_exceeded\n",
           CATLATCH_USAGE_EXCEEDED,
           "v1 v2 v3 s1 s2 s3 u1 f1=usage_exceeded f2=usage_exceeded f3=usage_exceeded");
    expect("required = script n=1\noptional = script n=2\n"
           "required = script n=3 settle=usage_exceeded\n",
           CATLATCH_USAGE_EXCEEDED,
           "v1 v2 v3 s1 s2 s3 u2 u1 f1=usage_exceeded f2=usage_exceeded f3=usage_exceeded");
}

static void nonsense_from_settle_is_denied_and_ignore_is_not(void **state)
{
    static const int NONSENSE[] = {16, 30, 32, -1, 1000, INT32_MIN, INT32_MAX};
    char lines[256];

    (void)state;
    for (size_t i = 0; i < sizeof NONSENSE / sizeof *NONSENSE; i++) {
        snprintf(lines, sizeof lines, "required = script n=1\nrequired = script n=2 settle=%d\n",
                 NONSENSE[i]);
        expect(lines, CATLATCH_DENIED, "v1 v2 s1 s2 u1 f1=denied f2=denied");
    }
    expect("required = script n=1 settle=ignore\nrequired = script n=2 settle=denied\n",
           CATLATCH_DENIED, "v1 v2 s1 s2 u1 f1=denied f2=denied");
    expect("required = script n=1 settle=ignore\n", CATLATCH_VALID, "v1 s1 f1=valid");
}

static void modules_without_these_calls_are_passed_over(void **state)
{
    (void)state;
    expect("required = script_mute\nrequired = script n=1\nrequired = script_mute\n"
           "required = script n=2 settle=revoked\n",
           CATLATCH_REVOKED, "v1 v2 s1 s2 u1 f1=revoked f2=revoked");
    expect("required = script_mute\n", CATLATCH_DENIED, "");
}

static void a_dry_run_settles_nothing(void **state)
{
    struct stack_service *service =
        script_open(&world, "[default]\nrequired = script n=1 settle=denied\n");

    (void)state;
    assert_int_equal(script_ask_with(service, &dry, NULL), CATLATCH_VALID);
    assert_string_equal(record_words("vsuf"), "v1 f1=valid");
    assert_int_equal(record.flags, CATLATCH_CALL_DRY | CATLATCH_CALL_NO_SCOPES);
    assert_int_equal(script_ask(service), CATLATCH_DENIED);
    assert_string_equal(record_words("vsuf"), "v1 s1 f1=denied");
    assert_int_equal(record.flags, CATLATCH_CALL_NO_SCOPES);
    stack_close(service);
}

static void a_recheck_settles_nothing(void **state)
{
    struct stack_service *service =
        script_open(&world, "[default]\nrequired = script n=1 settle=denied\n");
    struct stack_request request = {.key = NULL};
    struct digest digest = {{1, 2, 3, 4}};
    struct stack_run run;

    (void)state;
    record_clear();
    stack_prepare_known(service, &request, &digest, &run);
    assert_int_equal(stack_decide(&run, NULL), CATLATCH_VALID);
    assert_string_equal(record_words("vsuf"), "v1 f1=valid");
    assert_int_equal(record.flags, CATLATCH_CALL_RECHECK | CATLATCH_CALL_DRY |
                                       CATLATCH_CALL_WELL_FORMED | CATLATCH_CALL_NO_SCOPES);
    stack_close(service);
}

/* script.h looks at each call whether its line's state is its own and was zero in the beginning. */
static void each_line_has_a_state_of_its_own_which_is_zero_in_the_beginning(void **state)
{
    struct stack_service *service =
        script_open(&world, "[default]\nrequired = script n=1\nrequired = script_mute\n"
                            "rule = [valid=1 default=die] script n=2\nrequired = script n=3\n"
                            "required = script n=4\nrequired = script_scopes n=5\n");

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(script_ask_with(service, i == 1 ? &dry : &plain, NULL), CATLATCH_VALID);
        assert_int_equal(record.dirty, 0);
        assert_string_equal(record_words("v"), "v1 v2 v4 v5");
    }
    stack_close(service);
}

static void two_services_of_one_module_share_nothing(void **state)
{
    struct stack_service *one = script_open(&world, "[default]\nrequired = script n=1\n");
    struct stack_service *two = script_open(&world, "[default]\nrequired = script n=2 r=revoked\n");

    (void)state;
    assert_int_equal(script_ask(one), CATLATCH_VALID);
    assert_int_equal(script_ask(two), CATLATCH_REVOKED);
    stack_close(two);
    assert_int_equal(script_ask(one), CATLATCH_VALID);
    stack_close(one);
}

static void every_instance_is_finished_once_when_the_service_closes(void **state)
{
    struct stack_service *service = script_open(
        &world, "[default]\nrequired = script n=1\ninclude = sub\nrequired = script n=3\n"
                "[sub]\nrequired = script n=2\n");

    (void)state;
    script_ask(service);
    stack_close(service);
    assert_string_equal(record_words("ix"), "x1 x2 x3");
    stack_close(NULL);
}

static enum catlatch_result ask_scope(const char *lines)
{
    const char *scope = "read";
    struct stack_request request = {
        .key = "text", .key_len = 4, .scopes = &scope, .scope_count = 1};
    char text[512];

    snprintf(text, sizeof text, "[default]\n%s", lines);
    struct stack_service *service = script_open(&world, text);
    enum catlatch_result result = script_ask_with(service, &request, NULL);
    stack_close(service);
    return result;
}

static void scopes_that_no_line_sees_to_are_denied(void **state)
{
    (void)state;
    assert_int_equal(ask_scope("required = script n=1\nsufficient = script n=2\n"),
                     CATLATCH_DENIED);
    assert_string_equal(record_words("vsuf"), "f1=denied f2=denied");
    assert_int_equal(ask_scope("required = script n=1\nrequired = script_scopes n=2\n"),
                     CATLATCH_VALID);
    assert_string_equal(record_words("vsuf"), "v1 v2 s1 s2 f1=valid f2=valid");
    assert_int_equal(ask_scope("required = script n=1\nsubstack = sub\n[sub]\n"
                               "required = script_scopes n=2 r=insufficient_scope\n"),
                     CATLATCH_INSUFFICIENT_SCOPE);
    assert_int_equal(ask_scope(""), CATLATCH_DENIED);
}

/* Over every two controls and what the other line says: it is granted, or it is an outage. */
static void an_outage_is_never_a_denial(void **state)
{
    static const char *const CONTROLS[] = {
        "required = ",
        "requisite = ",
        "sufficient = ",
        "optional = ",
        "rule = [default=ok] ",
        "rule = [default=done] ",
        "rule = [default=bad] ",
        "rule = [default=die] ",
        "rule = [default=ignore] ",
        "rule = [default=reset] ",
        "rule = [default=1] ",
        "rule = [] ",
    };
    static const char *const OTHERS[] = {"valid", "ignore", "denied", "revoked", "77"};
    const size_t count = sizeof CONTROLS / sizeof *CONTROLS;
    const size_t cases = count * count * (sizeof OTHERS / sizeof *OTHERS) * 2;
    unsigned granted = 0, outages = 0;
    char text[512];

    (void)state;
    for (size_t i = 0; i < cases; i++) {
        const char *first = CONTROLS[i / 2 % count], *second = CONTROLS[i / 2 / count % count];
        const char *other = OTHERS[i / 2 / count / count];
        snprintf(text, sizeof text,
                 "[default]\n%sscript n=1 r=%s\n%sscript n=2 r=%s\noptional = script n=3\n"
                 "requisite = script n=4 r=ignore\n",
                 first, i % 2 == 0 ? "unavailable" : other, second,
                 i % 2 == 0 ? other : "unavailable");
        enum catlatch_result result = script_outcome(&world, text);
        bool ran = strstr(record_words("v"), i % 2 == 0 ? "v1" : "v2") != NULL;
        if (!ran)
            continue;
        if (result != CATLATCH_VALID && result != CATLATCH_UNAVAILABLE)
            fail_msg("%s of\n%s", result_name(result), text);
        granted += result == CATLATCH_VALID;
        outages += result == CATLATCH_UNAVAILABLE;
    }
    assert_true(granted > 100 && outages > 100);
}

static void a_settle_that_refuses_after_an_outage_is_an_outage(void **state)
{
    (void)state;
    expect("optional = script n=1 r=unavailable\nrequired = script n=2 settle=rate_limited\n",
           CATLATCH_UNAVAILABLE, "v1 v2 s2 f1=unavailable f2=unavailable");
}

static enum catlatch_result ask_facts(const char *text, struct stack_facts *facts)
{
    struct stack_service *service = script_open(&world, text);
    struct stack_run run;

    record_clear();
    stack_prepare(service, &plain, &run);
    run.facts = facts;
    enum catlatch_result result = stack_decide(&run, NULL);
    stack_close(service);
    return result;
}

static void what_modules_tell_is_kept_by_name_and_the_last_word_counts(void **state)
{
    struct stack_facts facts = {0};

    (void)state;
    assert_int_equal(ask_facts("[default]\n"
                               "required = script tell=limit/10 tell=left/9 tell=empty/\n"
                               "required = script tell=limit/2000 tell=left/8\n",
                               &facts),
                     CATLATCH_VALID);
    assert_int_equal(record.told, 0);
    assert_string_equal(facts_get(&facts, "limit"), "2000");
    assert_string_equal(facts_get(&facts, "left"), "8");
    assert_string_equal(facts_get(&facts, "empty"), "");
    assert_null(facts_get(&facts, "lef"));
    assert_null(facts_get(&facts, "2000"));
    assert_null(facts_get(&facts, ""));
    assert_int_equal(facts.count, 3);
}

static void nobody_is_told_where_nobody_listens(void **state)
{
    (void)state;
    assert_int_equal(ask_facts("[default]\nrequired = script tell=limit/10\n", NULL),
                     CATLATCH_VALID);
    assert_int_equal(record.told, -1);
}

static void there_is_room_for_sixteen_facts(void **state)
{
    struct stack_facts facts = {0};
    char name[16];

    (void)state;
    for (unsigned i = 0; i < STACK_FACTS_MAX; i++) {
        snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(facts_put(&facts, name, name), 0);
    }
    assert_int_equal(facts_put(&facts, "another", "x"), -1);
    assert_null(facts_get(&facts, "another"));
    assert_int_equal(facts_put(&facts, "n7", "longer than it was"), 0);
    for (unsigned i = 0; i < STACK_FACTS_MAX; i++) {
        snprintf(name, sizeof name, "n%u", i);
        assert_string_equal(facts_get(&facts, name), i == 7 ? "longer than it was" : name);
    }
}

static void there_is_room_for_as_many_bytes_as_is_said(void **state)
{
    struct stack_facts facts = {0};
    char value[STACK_FACTS_BYTES + 8];

    (void)state;
    memset(value, 'v', sizeof value);
    value[STACK_FACTS_BYTES - 3] = '\0'; /* "ab" and it, each with its NUL: one more than fits */
    assert_int_equal(facts_put(&facts, "ab", value), -1);
    assert_null(facts_get(&facts, "ab"));
    assert_int_equal(facts.used, 0);
    value[STACK_FACTS_BYTES - 4] = '\0';
    assert_int_equal(facts_put(&facts, "ab", value), 0);
    assert_string_equal(facts_get(&facts, "ab"), value);
    assert_int_equal(facts_put(&facts, "b", ""), -1);
    value[STACK_FACTS_BYTES - 4] = 'v';
    value[sizeof value - 1] = '\0';
    assert_int_equal(facts_put(&facts, "ab", value), -1); /* the old one stays */
    assert_int_equal(strlen(facts_get(&facts, "ab")), STACK_FACTS_BYTES - 4);
}

static void a_fact_that_is_replaced_gives_its_room_back(void **state)
{
    struct stack_facts facts = {0};
    char value[801];

    (void)state;
    value[800] = '\0';
    for (unsigned i = 0; i < 1000; i++) {
        memset(value, 'a' + (int)(i % 26), 800);
        value[799 - i % 7] = '\0';
        assert_int_equal(facts_put(&facts, i % 2 == 0 ? "even" : "odd", value), 0);
        assert_string_equal(facts_get(&facts, i % 2 == 0 ? "even" : "odd"), value);
        if (i > 0)
            assert_int_equal(facts_get(&facts, i % 2 == 0 ? "odd" : "even")[0],
                             'a' + (int)((i - 1) % 26));
    }
    assert_int_equal(facts.count, 2);
}

static void expect_step(unsigned at, const char *words, int standing)
{
    const struct record_step *step = &record.steps[at];
    char told[5 * RECORD_WORD_SIZE];

    snprintf(told, sizeof told, "%s | %s | %s | %s | %u:%u", step->control, step->module,
             step->result, step->action, step->line, step->level);
    assert_string_equal(told, words);
    assert_int_equal(step->standing, standing);
    assert_true(step->took_time);
}

static void the_trace_tells_what_became_of_each_line(void **state)
{
    static const char TEXT[] = "[default]\n"
                               "required = script n=1\n"
                               "substack = sub\n"
                               "rule = [valid=1 default=die] script n=4\n"
                               "required = script n=5\n"
                               "optional = script n=6 settle=rate_limited\n"
                               "optional = script n=7 r=99\n"
                               "required = script_trace n=8 r=ignore\n"
                               "[sub]\n"
                               "optional = script n=2 r=not_found\n"
                               "rule = [valid=done expired=bad] script n=3\n"
                               "rule = [default=reset] script n=4\n";
    struct stack_service *service = script_open(&world, TEXT);

    (void)state;
    assert_int_equal(script_ask(service), CATLATCH_DENIED);
    assert_int_equal(record.step_count, 10);
    expect_step(0, "required | script | valid | ok | 2:0", CATLATCH_VALID);
    expect_step(1, "substack sub | - | - | - | 3:0", CATLATCH_DENIED);
    expect_step(2, "optional | script | not_found | ignore | 10:1", CATLATCH_VALID);
    expect_step(3, "[valid=done expired=bad] | script | valid | done | 11:1", CATLATCH_VALID);
    expect_step(4, "[default=reset] | script | - | - | 12:1", CATLATCH_DENIED);
    expect_step(5, "[valid=1 default=die] | script | valid | jump | 4:0", CATLATCH_VALID);
    expect_step(6, "required | script | - | - | 5:0", CATLATCH_DENIED);
    expect_step(7, "optional | script | valid | ok | 6:0", CATLATCH_VALID);
    expect_step(8, "optional | script | nonsense | bad | 7:0", CATLATCH_DENIED);
    expect_step(9, "required | script_trace | ignore | ignore | 8:0", CATLATCH_DENIED);
    stack_close(service);
}

static void the_trace_has_the_refusal_of_an_optional_settle(void **state)
{
    struct stack_service *service =
        script_open(&world, "[default]\noptional = script n=1 settle=rate_limited\n"
                            "required = script_trace n=2\n");

    (void)state;
    assert_int_equal(script_ask(service), CATLATCH_VALID);
    expect_step(0, "optional | script | rate_limited | ok | 2:0", CATLATCH_VALID);
    expect_step(1, "required | script_trace | valid | ok | 3:0", CATLATCH_VALID);
    stack_close(service);
}

/* "What the outcome would be if this were the last line": an outage is none that is denied. */
static void the_trace_stands_as_the_outcome_would(void **state)
{
    struct stack_service *service =
        script_open(&world, "[default]\noptional = script n=1 r=unavailable\n"
                            "required = script n=2 r=not_found\n"
                            "rule = [valid=reset] script n=3\n"
                            "required = script_trace n=4\n");

    (void)state;
    assert_int_equal(script_ask(service), CATLATCH_VALID);
    assert_int_equal(record.steps[0].standing, CATLATCH_UNAVAILABLE);
    assert_int_equal(record.steps[1].standing, CATLATCH_UNAVAILABLE);
    assert_int_equal(record.steps[2].standing, CATLATCH_UNAVAILABLE);
    assert_int_equal(record.steps[3].standing, CATLATCH_VALID);
    stack_close(service);
}

static void a_trace_is_of_one_decision(void **state)
{
    const char *scope = "read";
    struct stack_request scoped = {.key = "text", .key_len = 4, .scopes = &scope, .scope_count = 1};
    struct stack_service *service =
        script_open(&world, "[default]\nrequired = script n=1\nrequired = script_trace n=2\n");

    (void)state;
    assert_int_equal(script_ask(service), CATLATCH_VALID);
    expect_step(0, "required | script | valid | ok | 2:0", CATLATCH_VALID);
    assert_int_equal(script_ask_with(service, &scoped, NULL), CATLATCH_DENIED);
    expect_step(0, "required | script | - | - | 2:0", CATLATCH_DENIED);
    stack_close(service);
}

static void a_step_is_told_no_further_than_its_size(void **state)
{
    struct stack_service *service = script_open(&world, "[default]\nrequired = script n=1\n");
    struct stack_trace trace;
    struct catlatch_step step;

    (void)state;
    script_ask_with(service, &plain, &trace);
    memset(&step, 0x5a, sizeof step);
    step.size = offsetof(struct catlatch_step, result);
    stack_tell_step(service, &trace, 0, &step);
    assert_int_equal(step.size, offsetof(struct catlatch_step, result));
    assert_string_equal(step.module, "script");
    assert_string_equal(step.control, "required");
    assert_int_equal(((unsigned char *)&step.result)[0], 0x5a);
    stack_close(service);
}

static void modules_are_told_the_name_of_the_service(void **state)
{
    struct stack_service *service = script_open(&world, "[default]\ninclude = sub\n"
                                                        "[sub]\nrequired = script n=1\n");

    (void)state;
    script_ask(service);
    assert_string_equal(record.service, "default");
    stack_close(service);
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
        cmocka_unit_test(what_is_granted_is_settled_in_the_order_of_the_lines),
        cmocka_unit_test(what_did_not_say_valid_or_did_not_run_is_not_settled),
        cmocka_unit_test(a_line_whose_valid_was_ignored_is_settled),
        cmocka_unit_test(lines_of_substacks_are_settled_in_their_places),
        cmocka_unit_test(what_is_not_granted_is_not_settled),
        cmocka_unit_test(a_refusal_to_settle_takes_back_what_was_settled_in_reverse),
        cmocka_unit_test(every_control_but_optional_can_refuse_to_settle),
        cmocka_unit_test(an_optional_refusal_to_settle_changes_nothing),
        cmocka_unit_test(nonsense_from_settle_is_denied_and_ignore_is_not),
        cmocka_unit_test(modules_without_these_calls_are_passed_over),
        cmocka_unit_test(a_dry_run_settles_nothing),
        cmocka_unit_test(a_recheck_settles_nothing),
        cmocka_unit_test(each_line_has_a_state_of_its_own_which_is_zero_in_the_beginning),
        cmocka_unit_test(two_services_of_one_module_share_nothing),
        cmocka_unit_test(every_instance_is_finished_once_when_the_service_closes),
        cmocka_unit_test(scopes_that_no_line_sees_to_are_denied),
        cmocka_unit_test(an_outage_is_never_a_denial),
        cmocka_unit_test(a_settle_that_refuses_after_an_outage_is_an_outage),
        cmocka_unit_test(what_modules_tell_is_kept_by_name_and_the_last_word_counts),
        cmocka_unit_test(nobody_is_told_where_nobody_listens),
        cmocka_unit_test(there_is_room_for_sixteen_facts),
        cmocka_unit_test(there_is_room_for_as_many_bytes_as_is_said),
        cmocka_unit_test(a_fact_that_is_replaced_gives_its_room_back),
        cmocka_unit_test(the_trace_tells_what_became_of_each_line),
        cmocka_unit_test(the_trace_has_the_refusal_of_an_optional_settle),
        cmocka_unit_test(the_trace_stands_as_the_outcome_would),
        cmocka_unit_test(a_trace_is_of_one_decision),
        cmocka_unit_test(a_step_is_told_no_further_than_its_size),
        cmocka_unit_test(modules_are_told_the_name_of_the_service),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
