/* The decision: which answer comes out of which service, table and key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "lib_latch.h"
#include "lib_service.h"
#include "lib_table.h"
#include "stack/decide.h"

#define DAY INT64_C(86400)

struct fixture {
    struct heap_table table;
    struct stack_service *service; /* format, table, scope; all required */
    char text[LATCH_KEY_LEN + 1];
    struct sample_key key; /* live, in environment "live", scopes read and write */
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    heap_table_open(&fixture->table, 100, 200);
    fixture->service = service_of("required = format\nrequired = table\nrequired = scope\n");
    latch_key_text(1, "cc_live_", fixture->text);
    sample_key_init(&fixture->key, 1);
    digest_of(fixture->text, LATCH_KEY_LEN, &fixture->key.entry.digest);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    heap_table_close(&fixture->table);
    stack_close(fixture->service);
    free(fixture);
    return 0;
}

static void put(struct fixture *fixture)
{
    assert_int_equal(heap_table_put(&fixture->table, &fixture->key.entry), 0);
}

static enum catlatch_result ask(struct fixture *fixture, const struct table_view *view,
                                const char *text, size_t len, const char *scope)
{
    struct stack_request request = {
        .key = text, .key_len = len, .scopes = &scope, .scope_count = scope != NULL};
    struct stack_run run;
    stack_prepare(fixture->service, &request, &run);
    return stack_decide(&run, view);
}

static enum catlatch_result ask_key(struct fixture *fixture)
{
    return ask(fixture, &fixture->table.writer.view, fixture->text, LATCH_KEY_LEN, NULL);
}

static enum catlatch_result ask_scope(struct fixture *fixture, const char *scope)
{
    return ask(fixture, &fixture->table.writer.view, fixture->text, LATCH_KEY_LEN, scope);
}

static enum catlatch_result ask_text(struct fixture *fixture, const char *text)
{
    return ask(fixture, &fixture->table.writer.view, text, strlen(text), NULL);
}

static void set_lines(struct fixture *fixture, const char *lines)
{
    stack_close(fixture->service);
    fixture->service = service_of(lines);
}

static void a_live_key_is_valid(void **state)
{
    struct fixture *fixture = *state;
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
}

static void an_unknown_key_is_not_found(void **state)
{
    assert_int_equal(ask_key(*state), CATLATCH_NOT_FOUND);
}

static void a_text_of_another_form_is_malformed_whatever_the_table_says(void **state)
{
    struct fixture *fixture = *state;
    digest_of("hello", 5, &fixture->key.entry.digest);
    put(fixture);
    assert_int_equal(ask_text(fixture, "hello"), CATLATCH_MALFORMED);
    set_lines(fixture, "requisite = format\nrequired = table\n");
    assert_int_equal(ask_text(fixture, "hello"), CATLATCH_MALFORMED);
    set_lines(fixture, "required = table\n");
    assert_int_equal(ask_text(fixture, "hello"), CATLATCH_VALID);
}

/* Each text beside the same with its last check digit changed, both in the table. */
static void format_is_of_the_text_alone_for_a_key_not_known_to_be_well_formed(void **state)
{
    struct fixture *fixture = *state;
    struct sample_key typo;
    char text[LATCH_KEY_LEN + 1];
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
    memcpy(text, fixture->text, sizeof text);
    text[LATCH_KEY_LEN - 1] = text[LATCH_KEY_LEN - 1] == '0' ? '1' : '0';
    sample_key_init(&typo, 2);
    digest_of(text, LATCH_KEY_LEN, &typo.entry.digest);
    assert_int_equal(heap_table_put(&fixture->table, &typo.entry), 0);
    assert_int_equal(ask_text(fixture, text), CATLATCH_MALFORMED);
    typo.entry.well_formed = true; /* the table's word for it */
    assert_int_equal(heap_table_put(&fixture->table, &typo.entry), 0);
    assert_int_equal(ask_text(fixture, text), CATLATCH_VALID);
}

static void a_well_formed_key_of_an_environment_that_the_service_lacks_is_malformed(void **state)
{
    struct fixture *fixture = *state;
    struct stack_request request = {.key = fixture->text, .key_len = LATCH_KEY_LEN};
    struct stack_run decided;
    fixture->key.entry.well_formed = true;
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
    set_lines(fixture, "requisite = format\nrequired = table\n");
    fixture->service->environments =
        (struct key_environments){.count = 1, .list = {{"test", "cc_test_"}}};
    stack_prepare(fixture->service, &request, &decided);
    assert_int_equal(stack_decide(&decided, &fixture->table.writer.view), CATLATCH_MALFORMED);
    assert_false(decided.matched); /* `table` did not run: nobody is told that the key is there */
}

static void without_format_texts_up_to_a_bound_are_looked_up(void **state)
{
    struct fixture *fixture = *state;
    char text[KEY_FOREIGN_MAX + 1];
    memset(text, 'k', sizeof text);
    digest_of(text, KEY_FOREIGN_MAX, &fixture->key.entry.digest);
    put(fixture);
    set_lines(fixture, "required = table\n");
    const struct table_view *view = &fixture->table.writer.view;
    assert_int_equal(ask(fixture, view, text, KEY_FOREIGN_MAX, NULL), CATLATCH_VALID);
    assert_int_equal(ask(fixture, view, text, KEY_FOREIGN_MAX + 1, NULL), CATLATCH_MALFORMED);
    assert_int_equal(ask(fixture, view, "", 0, NULL), CATLATCH_NOT_FOUND);
}

static void without_a_table_the_answer_is_an_outage(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(ask(fixture, NULL, fixture->text, LATCH_KEY_LEN, NULL), CATLATCH_UNAVAILABLE);
}

static void an_outage_outranks_an_earlier_failure_unless_that_ended_the_run(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(ask(fixture, NULL, "hello", 5, NULL), CATLATCH_UNAVAILABLE);
    set_lines(fixture, "requisite = format\nrequired = table\n");
    assert_int_equal(ask(fixture, NULL, "hello", 5, NULL), CATLATCH_MALFORMED);
}

static void damaged_side_records_are_an_outage(void **state)
{
    struct fixture *fixture = *state;
    struct table_hit hit;
    fixture->key.entry.not_before_unix_s = 1;
    put(fixture);
    assert_int_equal(ask_scope(fixture, "read"), CATLATCH_VALID);
    assert_int_equal(table_find(&fixture->table.writer.view, &fixture->key.entry.digest, &hit),
                     TABLE_HIT);
    struct table_slot *slot = &fixture->table.writer.slots[hit.slot];
    atomic_store(&slot->scopes_ref, UINT32_MAX);
    assert_int_equal(ask_scope(fixture, "read"), CATLATCH_UNAVAILABLE);
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
    atomic_store(&slot->identity_ref, UINT32_MAX);
    assert_int_equal(ask_key(fixture), CATLATCH_UNAVAILABLE);
}

static void an_environment_that_the_table_lost_is_an_outage(void **state)
{
    struct fixture *fixture = *state;
    put(fixture);
    set_lines(fixture, "required = table\nrequired = environment test\n");
    uint64_t count = atomic_exchange(&fixture->table.writer.header->environment_count, 0);
    assert_int_equal(ask_key(fixture), CATLATCH_UNAVAILABLE);
    atomic_store(&fixture->table.writer.header->environment_count, count);
    assert_int_equal(ask_key(fixture), CATLATCH_WRONG_ENVIRONMENT);
}

static void a_slot_without_an_id_is_an_outage(void **state)
{
    struct fixture *fixture = *state;
    struct table_hit hit;
    put(fixture);
    assert_int_equal(table_find(&fixture->table.writer.view, &fixture->key.entry.digest, &hit),
                     TABLE_HIT);
    atomic_store(&fixture->table.writer.slots[hit.slot].id, 0);
    assert_int_equal(ask_key(fixture), CATLATCH_UNAVAILABLE);
}

static void of_several_states_the_first_in_order_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct table_entry *entry = &fixture->key.entry;
    int64_t now = (int64_t)time(NULL);
    entry->revoked = entry->disabled = entry->suspended = true;
    entry->not_before_unix_s = now + DAY;
    entry->expires_unix_s = now - DAY;

    struct table_entry revoked = *entry;
    struct sample_key other;
    char text[LATCH_KEY_LEN + 1];
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_REVOKED);

    static const enum catlatch_result order[] = {CATLATCH_DISABLED, CATLATCH_DISABLED,
                                                 CATLATCH_NOT_YET_VALID, CATLATCH_EXPIRED,
                                                 CATLATCH_VALID};
    for (unsigned i = 0; i < 5; i++) {
        sample_key_init(&other, 100 + i);
        latch_key_text(100 + i, "cc_live_", text);
        digest_of(text, LATCH_KEY_LEN, &other.entry.digest);
        other.entry.disabled = i < 1;
        other.entry.suspended = i < 2;
        other.entry.not_before_unix_s = i < 3 ? revoked.not_before_unix_s : 0;
        other.entry.expires_unix_s = i < 4 ? revoked.expires_unix_s : 0;
        assert_int_equal(heap_table_put(&fixture->table, &other.entry), 0);
        assert_int_equal(ask_text(fixture, text), order[i]);
    }
}

static void a_key_is_expired_from_the_very_second_on(void **state)
{
    struct fixture *fixture = *state;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    fixture->key.entry.expires_unix_s = now.tv_sec;
    fixture->key.entry.not_before_unix_s = now.tv_sec - DAY;
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_EXPIRED);
    fixture->key.entry.expires_unix_s = now.tv_sec + DAY;
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
}

static void a_key_is_valid_from_the_very_second_of_not_before_on(void **state)
{
    struct fixture *fixture = *state;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    fixture->key.entry.not_before_unix_s = now.tv_sec;
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
    fixture->key.entry.not_before_unix_s = now.tv_sec + DAY;
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_NOT_YET_VALID);
}

static void only_the_named_environments_pass(void **state)
{
    struct fixture *fixture = *state;
    put(fixture);
    set_lines(fixture, "required = table\nrequired = environment test\n");
    assert_int_equal(ask_key(fixture), CATLATCH_WRONG_ENVIRONMENT);
    set_lines(fixture, "required = table\nrequired = environment test live\n");
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
}

/* Each generation numbers its environments itself. */
static void environments_are_told_apart_in_each_table_by_name(void **state)
{
    struct fixture *fixture = *state;
    struct heap_table other;
    struct sample_key test_key;
    put(fixture);
    set_lines(fixture, "required = table\nrequired = environment live\n");
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
    heap_table_open(&other, 100, 200);
    sample_key_init(&test_key, 9);
    test_key.entry.environment = text_of("test");
    test_key.entry.environment_prefix = text_of("cc_test_");
    assert_int_equal(heap_table_put(&other, &test_key.entry), 0);
    assert_int_equal(heap_table_put(&other, &fixture->key.entry), 0);
    other.writer.view.generation = fixture->table.writer.view.generation + 1;
    assert_int_equal(ask(fixture, &other.writer.view, fixture->text, LATCH_KEY_LEN, NULL),
                     CATLATCH_VALID);
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
    heap_table_close(&other);
}

static void a_key_of_no_environment_is_in_the_wrong_one(void **state)
{
    struct fixture *fixture = *state;
    fixture->key.entry.environment = text_of("");
    fixture->key.entry.environment_prefix = text_of("");
    put(fixture);
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
    set_lines(fixture, "required = table\nrequired = environment live\n");
    assert_int_equal(ask_key(fixture), CATLATCH_WRONG_ENVIRONMENT);
}

static void every_scope_that_is_asked_for_must_be_there(void **state)
{
    struct fixture *fixture = *state;
    const char *both[] = {"read", "write"}, *one_lacks[] = {"read", "admin"};
    struct stack_request request = {
        .key = fixture->text, .key_len = LATCH_KEY_LEN, .scopes = both, .scope_count = 2};
    struct stack_run prepared;
    put(fixture);
    stack_prepare(fixture->service, &request, &prepared);
    assert_int_equal(stack_decide(&prepared, &fixture->table.writer.view), CATLATCH_VALID);
    request.scopes = one_lacks;
    stack_prepare(fixture->service, &request, &prepared);
    assert_int_equal(stack_decide(&prepared, &fixture->table.writer.view),
                     CATLATCH_INSUFFICIENT_SCOPE);
}

static void a_scope_is_matched_whole(void **state)
{
    struct fixture *fixture = *state;
    put(fixture);
    assert_int_equal(ask_scope(fixture, "rea"), CATLATCH_INSUFFICIENT_SCOPE);
    assert_int_equal(ask_scope(fixture, "reader"), CATLATCH_INSUFFICIENT_SCOPE);
    assert_int_equal(ask_scope(fixture, "Read"), CATLATCH_INSUFFICIENT_SCOPE);
}

static void a_scope_that_cannot_be_one_makes_no_sense(void **state)
{
    struct fixture *fixture = *state;
    char longest[66];
    put(fixture);
    memset(longest, 's', 65);
    longest[65] = '\0';
    assert_int_equal(ask_scope(fixture, longest), CATLATCH_INVALID_REQUEST);
    assert_int_equal(ask_scope(fixture, longest + 1), CATLATCH_INSUFFICIENT_SCOPE);
    assert_int_equal(ask_scope(fixture, ""), CATLATCH_INVALID_REQUEST);
    assert_int_equal(ask_scope(fixture, "read write"), CATLATCH_INVALID_REQUEST);
}

static void scopes_for_a_service_that_would_not_check_them_are_denied(void **state)
{
    struct fixture *fixture = *state;
    put(fixture);
    set_lines(fixture, "required = format\nrequired = table\n");
    assert_int_equal(ask_key(fixture), CATLATCH_VALID);
    assert_int_equal(ask_scope(fixture, "read"), CATLATCH_DENIED);
}

static void lines_that_decide_by_the_record_refuse_what_is_not_live(void **state)
{
    static const char *const lines[] = {"required = scope\n", "required = environment live\n"};
    struct fixture *fixture = *state;
    put(fixture);
    for (unsigned i = 0; i < 2; i++) {
        set_lines(fixture, lines[i]);
        assert_int_equal(ask_key(fixture), CATLATCH_VALID);
        assert_int_equal(ask_text(fixture, "hello"), CATLATCH_NOT_FOUND);
    }
    fixture->key.entry.revoked = true;
    put(fixture);
    for (unsigned i = 0; i < 2; i++) {
        set_lines(fixture, lines[i]);
        assert_int_equal(ask_key(fixture), CATLATCH_REVOKED);
    }
}

/* Asked with a trace, every line is; without, those that are sure are not. */
static void expect_the_same_without_asking(struct fixture *fixture, const char *lines,
                                           const struct stack_request *request)
{
    const struct table_view *view = &fixture->table.writer.view;
    struct stack_trace trace;
    struct stack_run asked, sure;
    set_lines(fixture, lines);
    stack_prepare(fixture->service, request, &asked);
    asked.trace = &trace;
    enum catlatch_result result = stack_decide(&asked, view);
    stack_prepare(fixture->service, request, &sure);
    if (stack_decide(&sure, view) != result)
        fail_msg("not %d as when it is asked: %s", result, lines);
    assert_int_equal(sure.matched, asked.matched);
}

static void lines_that_are_sure_say_what_they_would_if_asked(void **state)
{
    static const char *const services[] = {
        ("requisite = format\nrequired = table\nrequired = environment live\n"
         "required = scope\nrequired = address\noptional = audit to=syslog:/nowhere\n"),
        "required = format foreign=allow\nrequired = table\nrequired = scope any\n",
        "required = table\nrequired = environment test\nrequired = environment live test\n",
        "required = environment live\nrequired = environment test\nrequired = table\n",
        "sufficient = table\nrequired = deny\n",
        "required = table\nrequired = deny\n",
        "optional = audit to=syslog:/nowhere\n",
        "required = table\nrequired = address\n",
    };
    static const char *const scopes[] = {"read", "admin"};
    struct fixture *fixture = *state;
    struct table_entry *entry = &fixture->key.entry;
    struct network network;
    assert_int_equal(network_parse(text_of("192.0.2.0/24"), &network, NULL), 0);
    for (unsigned bits = 0; bits < 64; bits++) {
        entry->disabled = (bits & 1) != 0;
        entry->well_formed = (bits & 2) != 0;
        entry->environment = text_of((bits & 4) != 0 ? "test" : "live");
        entry->environment_prefix = text_of((bits & 4) != 0 ? "cc_test_" : "cc_live_");
        entry->networks = &network;
        entry->network_count = (bits & 8) != 0;
        put(fixture);
        struct stack_request request = {.key = fixture->text,
                                        .key_len = LATCH_KEY_LEN,
                                        .scopes = scopes,
                                        .scope_count = (bits >> 4) & 3};
        request.scope_count = request.scope_count > 2 ? 2 : request.scope_count;
        for (unsigned i = 0; i < sizeof services / sizeof *services; i++)
            expect_the_same_without_asking(fixture, services[i], &request);
    }
}

static void a_service_that_looks_no_key_up_is_refused(void **state)
{
    (void)state;
    service_is_refused("required = format\n",
                       "/c.ini: [service api] looks no key up, so it would grant any that is well "
                       "formed; add \"required = table\"");
}

static void the_first_failure_is_the_answer(void **state)
{
    struct fixture *fixture = *state;
    fixture->key.entry.disabled = true;
    put(fixture);
    set_lines(fixture, "required = table\nrequired = environment test\nrequired = scope\n");
    assert_int_equal(ask_scope(fixture, "admin"), CATLATCH_DISABLED);
    fixture->key.entry.disabled = false;
    put(fixture);
    assert_int_equal(ask_scope(fixture, "admin"), CATLATCH_WRONG_ENVIRONMENT);
    set_lines(fixture, "required = table\nrequired = environment live\nrequired = scope\n");
    assert_int_equal(ask_scope(fixture, "admin"), CATLATCH_INSUFFICIENT_SCOPE);
}

static void without_a_key_the_digest_is_asked_about_and_format_skipped(void **state)
{
    struct fixture *fixture = *state;
    struct stack_request request = {0};
    const struct table_view *view = &fixture->table.writer.view;
    struct stack_run run;
    put(fixture);
    stack_prepare_known(fixture->service, &request, &fixture->key.entry.digest, &run);
    assert_int_equal(stack_decide(&run, view), CATLATCH_VALID);
    fixture->key.entry.revoked = true;
    put(fixture);
    stack_prepare_known(fixture->service, &request, &fixture->key.entry.digest, &run);
    assert_int_equal(stack_decide(&run, view), CATLATCH_REVOKED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_live_key_is_valid),
        TEST(an_unknown_key_is_not_found),
        TEST(a_text_of_another_form_is_malformed_whatever_the_table_says),
        TEST(format_is_of_the_text_alone_for_a_key_not_known_to_be_well_formed),
        TEST(a_well_formed_key_of_an_environment_that_the_service_lacks_is_malformed),
        TEST(without_format_texts_up_to_a_bound_are_looked_up),
        TEST(without_a_table_the_answer_is_an_outage),
        TEST(an_outage_outranks_an_earlier_failure_unless_that_ended_the_run),
        TEST(damaged_side_records_are_an_outage),
        TEST(an_environment_that_the_table_lost_is_an_outage),
        TEST(a_slot_without_an_id_is_an_outage),
        TEST(of_several_states_the_first_in_order_is_told),
        TEST(a_key_is_expired_from_the_very_second_on),
        TEST(a_key_is_valid_from_the_very_second_of_not_before_on),
        TEST(only_the_named_environments_pass),
        TEST(environments_are_told_apart_in_each_table_by_name),
        TEST(a_key_of_no_environment_is_in_the_wrong_one),
        TEST(every_scope_that_is_asked_for_must_be_there),
        TEST(a_scope_is_matched_whole),
        TEST(a_scope_that_cannot_be_one_makes_no_sense),
        TEST(scopes_for_a_service_that_would_not_check_them_are_denied),
        TEST(lines_that_decide_by_the_record_refuse_what_is_not_live),
        TEST(lines_that_are_sure_say_what_they_would_if_asked),
        TEST(a_service_that_looks_no_key_up_is_refused),
        TEST(the_first_failure_is_the_answer),
        TEST(without_a_key_the_digest_is_asked_about_and_format_skipped),
    };
    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
