/* What web servers say of a verification. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "plugin/http/answer.h"
#include "plugin/http/fields.h"
#include "plugin/http/scopes.h"
#include "stack/charge.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static struct answer answer_of(enum catlatch_result result)
{
    struct catlatch_outcome outcome = {.size = sizeof outcome, .result = result};
    struct answer answer;
    memset(&answer, 0xa5, sizeof answer);
    answer_init(&answer, &outcome);
    return answer;
}

/* As the library leaves it behind for catlatch_limit. */
static struct answer limited_answer(enum catlatch_result result, struct stack_limit limit)
{
    struct catlatch_outcome outcome = {.size = sizeof outcome, .result = result, .matched = 1};
    struct answer answer;
    memcpy(outcome.opaque + 4, &limit, sizeof limit);
    answer_init(&answer, &outcome);
    return answer;
}

static json_t *body_of(const struct answer *answer, const char *scopes, const char *id, size_t len)
{
    char body[ANSWER_BODY_SIZE];
    memset(body, 0xa5, sizeof body);
    size_t size = answer_body(answer, scopes, id, len, body);
    assert_int_equal(size, strlen(body));
    assert_int_equal(body[size - 1], '\n');
    json_t *parsed = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(parsed);
    return parsed;
}

static const char *member(const json_t *body, const char *name)
{
    return json_string_value(json_object_get(body, name));
}

static void each_result_has_its_status_code_and_challenge(void **state)
{
    static const char invalid[] =
        "Bearer realm=\"api\", error=\"invalid_token\", error_description=\"Invalid API key\"";
    static const struct {
        enum catlatch_result result;
        unsigned status;
        const char *code, *challenge;
        unsigned long retry_s;
    } cases[] = {
        {CATLATCH_INVALID_REQUEST, 400, "invalid_request",
         "Bearer realm=\"api\", error=\"invalid_request\"", 0},
        {CATLATCH_MISSING, 401, "missing_credentials", "Bearer realm=\"api\"", 0},
        {CATLATCH_MALFORMED, 401, "invalid_api_key", invalid, 0},
        {CATLATCH_NOT_FOUND, 401, "invalid_api_key", invalid, 0},
        {CATLATCH_REVOKED, 401, "invalid_api_key", invalid, 0},
        {CATLATCH_DISABLED, 401, "invalid_api_key", invalid, 0},
        {CATLATCH_EXPIRED, 401, "invalid_api_key", invalid, 0},
        {CATLATCH_NOT_YET_VALID, 401, "invalid_api_key", invalid, 0},
        {CATLATCH_WRONG_ENVIRONMENT, 401, "invalid_api_key", invalid, 0},
        {CATLATCH_INSUFFICIENT_SCOPE, 403, "insufficient_scope",
         "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"a b\"", 0},
        {CATLATCH_IP_NOT_ALLOWED, 403, "ip_not_allowed", "", 0},
        {CATLATCH_DENIED, 403, "denied", "", 0},
        {CATLATCH_USAGE_EXCEEDED, 403, "usage_exceeded", "", 0},
        {CATLATCH_RATE_LIMITED, 429, "rate_limited", "", 0},
        {CATLATCH_UNAVAILABLE, 503, "verifier_unavailable", "", 5},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char challenge[ANSWER_CHALLENGE_SIZE] = "";
        struct answer answer = answer_of(cases[i].result);
        assert_int_equal(answer.status, cases[i].status);
        assert_int_equal(answer.retry_after_s, cases[i].retry_s);
        size_t len = answer_challenge(&answer, "api", "a b", challenge);
        assert_int_equal(len, strlen(cases[i].challenge));
        assert_memory_equal(challenge, cases[i].challenge, len);
        json_t *body = body_of(&answer, "a b", "abc", 3);
        assert_string_equal(member(body, "code"), cases[i].code);
        assert_string_equal(member(body, "type"), "about:blank");
        assert_string_equal(member(body, "request_id"), "abc");
        assert_int_equal(json_integer_value(json_object_get(body, "status")), cases[i].status);
        const json_t *scopes = json_object_get(body, "required_scopes");
        assert_int_equal(json_array_size(scopes),
                         cases[i].result == CATLATCH_INSUFFICIENT_SCOPE ? 2 : 0);
        json_decref(body);
    }
}

static void what_is_about_the_key_has_one_answer(void **state)
{
    static const enum catlatch_result results[] = {
        CATLATCH_NOT_FOUND, CATLATCH_REVOKED,       CATLATCH_DISABLED,
        CATLATCH_EXPIRED,   CATLATCH_NOT_YET_VALID, CATLATCH_WRONG_ENVIRONMENT};
    char first[ANSWER_BODY_SIZE], other[ANSWER_BODY_SIZE];
    struct answer answer = answer_of(CATLATCH_MALFORMED);
    size_t len = answer_body(&answer, NULL, NULL, 0, first);
    (void)state;
    for (size_t i = 0; i < COUNT(results); i++) {
        answer = answer_of(results[i]);
        assert_int_equal(answer_body(&answer, NULL, NULL, 0, other), len);
        assert_memory_equal(first, other, len);
    }
}

static void limits_are_told_in_whole_seconds_up(void **state)
{
    struct stack_limit limit = {
        .rate = {10, 60, 20}, .cost_milli = 1000, .level_ns = UINT64_C(6500000000), .verdict = 1};
    char policy[ANSWER_RATE_SIZE], rate[ANSWER_RATE_SIZE];
    (void)state;
    struct answer answer = limited_answer(CATLATCH_VALID, limit);
    assert_true(answer_rate(&answer, policy, rate));
    assert_string_equal(policy, "\"key\";q=10;w=60");
    assert_string_equal(rate, "\"key\";r=18;t=7");
    assert_int_equal(answer.retry_after_s, 0);
    limit.level_ns = UINT64_C(119000000000);
    limit.verdict = 0;
    answer = limited_answer(CATLATCH_RATE_LIMITED, limit);
    assert_int_equal(answer.retry_after_s, 5);
    assert_true(answer_rate(&answer, policy, rate));
    assert_string_equal(rate, "\"key\";r=0;t=119");
    answer = answer_of(CATLATCH_VALID);
    assert_false(answer_rate(&answer, policy, rate));
}

/* 429 where waiting helps, 403 where it does not. */
static void spent_uses_say_whether_there_will_be_more(void **state)
{
    struct stack_limit limit = {.refill_unix_s = (uint32_t)time(NULL) + 100};
    (void)state;
    struct answer answer = limited_answer(CATLATCH_USAGE_EXCEEDED, limit);
    assert_int_equal(answer.status, 429);
    assert_in_range(answer.retry_after_s, 1, 100);
    json_t *body = body_of(&answer, NULL, NULL, 0);
    assert_string_equal(member(body, "code"), "usage_exceeded");
    assert_string_equal(member(body, "title"), "Too Many Requests");
    json_decref(body);
    limit.refill_unix_s = 0;
    answer = limited_answer(CATLATCH_USAGE_EXCEEDED, limit);
    assert_int_equal(answer.status, 403);
    assert_int_equal(answer.retry_after_s, 0);
}

static void a_realm_can_be_quoted(void **state)
{
    static const char *const bad[] = {"", "a\"b", "a\\b", "a\nb", "caf\303\251", "\177"};
    char most[ANSWER_REALM_MAX + 1];
    (void)state;
    memset(most, 'x', sizeof most);
    assert_true(answer_realm_is_sane("Example API", 11));
    assert_true(answer_realm_is_sane(most, ANSWER_REALM_MAX));
    assert_false(answer_realm_is_sane(most, ANSWER_REALM_MAX + 1));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(answer_realm_is_sane(bad[i], strlen(bad[i])));
}

/* What servers pass on may be what clients sent. */
static void a_request_id_that_is_none_is_left_out(void **state)
{
    static const char *const bad[] = {"", "a b", "a\"", "a\\", "a\nb", "\303\251"};
    char most[ANSWER_REQUEST_ID_MAX + 1];
    struct answer answer = answer_of(CATLATCH_REVOKED);
    (void)state;
    memset(most, 'x', sizeof most);
    for (size_t i = 0; i < COUNT(bad) + 1; i++) {
        const char *id = i < COUNT(bad) ? bad[i] : most;
        size_t len = i < COUNT(bad) ? strlen(id) : sizeof most;
        json_t *body = body_of(&answer, NULL, id, len);
        assert_null(member(body, "request_id"));
        json_decref(body);
    }
}

static void as_many_scopes_as_there_can_be_are_all_told(void **state)
{
    char scopes[CATLATCH_SCOPES_SIZE], challenge[ANSWER_CHALLENGE_SIZE];
    struct answer answer = answer_of(CATLATCH_INSUFFICIENT_SCOPE);
    (void)state;
    for (size_t i = 0; i + 1 < sizeof scopes; i++)
        scopes[i] = i % 2 == 0 ? 'a' : ' ';
    scopes[sizeof scopes - 1] = '\0';
    json_t *body = body_of(&answer, scopes, "0123456789abcdef0123456789abcdef", 32);
    assert_int_equal(json_array_size(json_object_get(body, "required_scopes")), 1024);
    assert_non_null(member(body, "request_id"));
    json_decref(body);
    size_t len = answer_challenge(&answer, "api", scopes, challenge);
    assert_true(len > sizeof scopes);
    assert_int_equal(challenge[len - 1], '"');
}

static void note_field(void *context, const char *name, const char *value)
{
    char *text = context;
    strcat(strcat(strcat(strcat(text, name), ": "), value), "\n");
}

static const char *fields_of(const struct answer *answer, const char *id)
{
    static char text[2 * ANSWER_CHALLENGE_SIZE];
    text[0] = '\0';
    fields_tell(answer, "api", "a b", id, id != NULL ? strlen(id) : 0, note_field, text);
    return text;
}

static void a_refusal_has_its_fields_and_a_grant_its_rates_alone(void **state)
{
    struct stack_limit limit = {.rate = {5, 60, 5}, .cost_milli = 1000};
    struct answer granted = limited_answer(CATLATCH_VALID, limit);
    struct answer lacking = answer_of(CATLATCH_INSUFFICIENT_SCOPE);
    struct answer outage = answer_of(CATLATCH_UNAVAILABLE);
    char too_long[ANSWER_REQUEST_ID_MAX + 2];
    (void)state;
    memset(too_long, 'i', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    assert_string_equal(fields_of(&lacking, "7f"),
                        "WWW-Authenticate: Bearer realm=\"api\", error=\"insufficient_scope\", "
                        "scope=\"a b\"\nCache-Control: no-store\nX-Request-Id: 7f\n");
    assert_string_equal(fields_of(&outage, "7\r\nf: 1"),
                        "Retry-After: 5\nCache-Control: no-store\n");
    assert_string_equal(fields_of(&outage, NULL), fields_of(&outage, ""));
    assert_non_null(strstr(fields_of(&outage, too_long + 1), too_long + 1));
    assert_string_equal(fields_of(&outage, NULL), fields_of(&outage, too_long));
    assert_true(strncmp(fields_of(&granted, "7f"), "RateLimit-Policy: ", 18) == 0);
    assert_null(strstr(fields_of(&granted, "7f"), "X-Request-Id"));
    granted = answer_of(CATLATCH_VALID);
    assert_string_equal(fields_of(&granted, "7f"), "");
}

static void scopes_are_gathered_as_far_as_a_key_can_have_them(void **state)
{
    static const char *const bad[] = {
        "",         " ",
        "a b",      "a\"",
        "a\\",      "a\n",
        "\xc3\xa4", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefg"};
    struct scopes scopes;
    char text[CATLATCH_SCOPES_SIZE];
    (void)state;
    scopes_init(&scopes);
    assert_int_equal(scopes_join(&scopes, text), 0);
    assert_string_equal(text, "");
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(scopes_add(&scopes, bad[i], strlen(bad[i])));
    assert_false(scopes_add(&scopes, "a\0b", 3));
    assert_true(scopes_add(&scopes, "read:all", 4));
    assert_true(scopes_add(&scopes, "write", 5));
    assert_int_equal(scopes_join(&scopes, text), 10);
    assert_string_equal(text, "read write");
    assert_string_equal(scopes.names[0], "read");
    assert_string_equal(scopes.names[1], "write");
    scopes_init(&scopes);
    while (scopes_add(&scopes, "a", 1))
        ;
    assert_int_equal(scopes.count, SCOPES_COUNT_MAX);
    assert_int_equal(scopes_join(&scopes, text), CATLATCH_SCOPES_SIZE - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_result_has_its_status_code_and_challenge),
        cmocka_unit_test(what_is_about_the_key_has_one_answer),
        cmocka_unit_test(limits_are_told_in_whole_seconds_up),
        cmocka_unit_test(spent_uses_say_whether_there_will_be_more),
        cmocka_unit_test(a_realm_can_be_quoted),
        cmocka_unit_test(a_request_id_that_is_none_is_left_out),
        cmocka_unit_test(as_many_scopes_as_there_can_be_are_all_told),
        cmocka_unit_test(a_refusal_has_its_fields_and_a_grant_its_rates_alone),
        cmocka_unit_test(scopes_are_gathered_as_far_as_a_key_can_have_them),
    };
    return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
