#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "../../tools/catlatch/select.h"
#include "core/key.h"
#include "core/timespan.h"

static const char *option_value; /* what one_option's list points to */

/* A selection by one option. */
static struct options one_option(enum option_id option, const char *value)
{
    struct options options = {0};

    option_value = value;
    options.values[option] = (struct option_values){&option_value, 1};
    return options;
}

static json_t *sample_key(void)
{
    return json_loads("{\"id\": \"key_aaaaaaaaaaaab\", \"name\": \"nightly build\","
                      " \"owner\": \"acme\", \"prefix\": \"cc_live_AbCdEfG\","
                      " \"environment\": \"live\", \"state\": \"active\","
                      " \"created_at\": \"2026-01-31T02:14:07Z\", \"expires_at\": null,"
                      " \"metadata\": {\"team\": \"core\"}}",
                      0, NULL);
}

static bool matches(enum option_id option, const char *value, const json_t *key)
{
    struct options options = one_option(option, value);
    struct selection selection = {0};
    struct error error = {0};
    bool is_match;

    assert_int_equal(selection_read(&options, &selection, &error), 0);
    assert_false(selection_is_open(&selection));
    is_match = selection_matches(&selection, key);
    selection_free(&selection);
    return is_match;
}

static void each_condition_takes_its_own_and_refuses_others(void **state)
{
    static const struct {
        enum option_id option;
        const char *yes, *no;
    } cases[] = {
        {OPTION_WITH_OWNER, "acme", "acm"},
        {OPTION_WITH_PREFIX, "cc_live_AbCdEfG", "cc_live_AbCdEf"},
        {OPTION_WITH_ENV, "live", "test"},
        {OPTION_WITH_STATE, "active", "revoked"},
        {OPTION_WITH_NAME, "night*", "night"},
        {OPTION_WITH_NAME, "nightly?build", "Night*"},
        {OPTION_WITH_META, "team=core", "team=cor"},
        {OPTION_WITH_META, "team=core", "tea=core"},
        {OPTION_CREATED_BEFORE, "2026-01-31T02:14:08Z", "2026-01-31T02:14:07Z"},
        {OPTION_CREATED_BEFORE, "2026-01-31T03:14:08+01:00", "2026-01-31T03:14:07+01:00"},
    };
    json_t *key = sample_key();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(matches(cases[i].option, cases[i].yes, key));
        assert_false(matches(cases[i].option, cases[i].no, key));
    }
    json_decref(key);
}

static json_t *key_expiring_in(int64_t seconds, const char *key_state)
{
    json_t *key = sample_key();
    char text[TIMESPAN_RFC3339_SIZE];

    timespan_rfc3339((int64_t)time(NULL) + seconds, text);
    json_object_set_new(key, "expires_at", json_string(text));
    json_object_set_new(key, "state", json_string(key_state));
    return key;
}

static void expiring_keys_are_live_ones_that_will_end_in_time(void **state)
{
    static const struct {
        int64_t in_s;
        const char *key_state;
        bool is_match;
    } cases[] = {
        {86400, "active", true},      {86400, "disabled", true}, {86400, "revoked", false},
        {8 * 86400, "active", false}, {-60, "expired", false},
    };
    json_t *never = sample_key();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *key = key_expiring_in(cases[i].in_s, cases[i].key_state);
        assert_int_equal(matches(OPTION_EXPIRING_WITHIN, "7d", key), cases[i].is_match);
        json_decref(key);
    }
    assert_false(matches(OPTION_EXPIRING_WITHIN, "7d", never));
    json_decref(never);
}

static void set_time_ago(json_t *key, const char *field, int64_t seconds)
{
    char text[TIMESPAN_RFC3339_SIZE];

    timespan_rfc3339((int64_t)time(NULL) - seconds, text);
    json_object_set_new(key, field, json_string(text));
}

static void unused_keys_were_neither_used_nor_made_for_so_long(void **state)
{
    static const struct {
        int64_t created_s, used_s; /* ago; 0: never */
        bool is_match;
    } cases[] = {
        {91 * 86400, 0, true},
        {89 * 86400, 0, false},
        {91 * 86400, 91 * 86400, true},
        {900 * 86400, 89 * 86400, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *key = sample_key();
        set_time_ago(key, "created_at", cases[i].created_s);
        json_object_set_new(key, "last_used_at", json_null());
        if (cases[i].used_s != 0)
            set_time_ago(key, "last_used_at", cases[i].used_s);
        assert_int_equal(matches(OPTION_UNUSED_FOR, "90d", key), cases[i].is_match);
        json_decref(key);
    }
}

static void ids_are_taken_once_and_in_order(void **state)
{
    const char *const operands[] = {"key_aaaaaaaaaaaad", "key_aaaaaaaaaaaab", "key_aaaaaaaaaaaad"};
    struct options options = {.operands = operands, .operand_count = 3};
    struct selection selection = {0};
    struct error error = {0};
    json_t *key = sample_key();
    (void)state;
    assert_int_equal(selection_read(&options, &selection, &error), 0);
    assert_int_equal(selection.id_count, 2);
    assert_true(selection.ids[0] < selection.ids[1]);
    assert_false(selection_is_open(&selection));
    assert_true(selection_matches(&selection, key));
    json_object_set_new(key, "id", json_string("key_aaaaaaaaaaaac"));
    assert_false(selection_matches(&selection, key));
    json_decref(key);
    selection_free(&selection);
}

static void nothing_given_is_open_and_takes_all(void **state)
{
    struct options options = {0};
    struct selection selection = {0};
    struct error error = {0};
    json_t *key = sample_key();
    (void)state;
    assert_int_equal(selection_read(&options, &selection, &error), 0);
    assert_true(selection_is_open(&selection));
    assert_true(selection_matches(&selection, key));
    json_decref(key);
    selection_free(&selection);
}

static void values_that_are_none_are_refused(void **state)
{
    static const struct {
        enum option_id option;
        const char *value;
    } cases[] = {
        {OPTION_WITH_STATE, "gone"},
        {OPTION_WITH_META, "team"},
        {OPTION_WITH_META, "=core"},
        {OPTION_CREATED_BEFORE, "yesterday"},
        {OPTION_EXPIRING_WITHIN, "7"},
        {OPTION_UNUSED_FOR, "0"},
        {OPTION_UNUSED_FOR, "2026-01-01"},
        {OPTION_LIMIT, "0"},
        {OPTION_LIMIT, "+1"},
        {OPTION_LIMIT, "99999999999999999999999"},
        {OPTION_LIMIT, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct options options = one_option(cases[i].option, cases[i].value);
        struct selection selection = {0};
        struct error error = {0};
        assert_int_equal(selection_read(&options, &selection, &error), CATLATCH_E_DATA);
        assert_true(strlen(error.text) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_condition_takes_its_own_and_refuses_others),
        cmocka_unit_test(expiring_keys_are_live_ones_that_will_end_in_time),
        cmocka_unit_test(unused_keys_were_neither_used_nor_made_for_so_long),
        cmocka_unit_test(ids_are_taken_once_and_in_order),
        cmocka_unit_test(nothing_given_is_open_and_takes_all),
        cmocka_unit_test(values_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
