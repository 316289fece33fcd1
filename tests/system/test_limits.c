/* Rate limits and prepaid uses of keys, charged by many processes at once: what is granted is what
 * the limit says, and not one more, whatever else happens meanwhile. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_crowd.h"

#define WORKERS 8u

/* Nothing of it comes back while a test runs: of the largest burst here, one in five minutes. */
#define ONCE "%u/366d"

static const unsigned bursts[] = {1, 2, 3, 7, 64, 100, 999, 1000, 4096, 30000};
#define LIMITED (sizeof bursts / sizeof bursts[0])

struct scene {
    struct trial trial;
    struct crowd crowd;
    redisContext *admin;
    struct catlatch *latch;
};

static int open_with(void **state, const char *settings, const char *const *wrapper)
{
    static struct scene scene;
    trial_open(&scene.trial, settings);
    scene.trial.wrapper = wrapper;
    trial_start(&scene.trial);
    crowd_open(&scene.crowd, &scene.trial);
    scene.admin = trial_connect(&scene.trial);
    scene.latch = NULL;
    *state = &scene;
    return 0;
}

static int open_scene(void **state)
{
    return open_with(state, "expected_keys = 16\nusage_flush_interval = 1s", NULL);
}

/* As by systemd, whose keeper did not start: nothing can be counted. */
static int open_without_keeper(void **state)
{
    static const char *const wrapper[] = {"/bin/sh", "-c", "SYSTEMD_EXEC_PID=$$ exec \"$@\"", "sh",
                                          NULL};
    return open_with(state,
                     "expected_keys = 16\n"
                     "[service default]\nrequired = table\nrequired = limit\n"
                     "[service open]\nrequired = table\nrequired = limit on_missing=pass\n",
                     wrapper);
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    catlatch_close(scene->latch);
    if (scene->admin != NULL)
        redisFree(scene->admin);
    crowd_close(&scene->crowd);
    trial_close(&scene->trial);
    return 0;
}

static void reconnect(struct scene *scene)
{
    redisFree(scene->admin);
    scene->admin = trial_connect(&scene->trial);
}

static void limit_key(struct scene *scene, unsigned key, const char *rate)
{
    trial_do(scene->admin, "KEY.UPDATE %s SET rate %s", scene->crowd.keys[key].id, rate);
}

static void limit_burst(struct scene *scene, unsigned key, unsigned burst)
{
    char rate[32];
    snprintf(rate, sizeof rate, ONCE, burst);
    limit_key(scene, key, rate);
}

/* A key has none of its own, and the service has one for each. */
#define NAMED_BURST 3000u

static int open_named(void **state)
{
    return open_with(state,
                     "expected_keys = 16\nusage_flush_interval = 1s\n"
                     "[service default]\nrequired = table\nrequired = limit\n"
                     "required = limit name=uploads rate=3000/366d\n",
                     NULL);
}

static bool all_are_spent(const struct scene *scene)
{
    for (unsigned i = 0; i < LIMITED; i++)
        if (crowd_refused(&scene->crowd, i) < trial_scale(100, 1000000))
            return false;
    return true;
}

static void add_keys(struct scene *scene, unsigned *io_count)
{
    struct trial_key unused;
    char name[16];
    for (unsigned i = 0; i < 50; i++, (*io_count)++) {
        snprintf(name, sizeof name, "more%u", *io_count);
        trial_create(scene->admin, name, "o", &unused);
    }
}

/* Until all keys are spent, through new generations, kills and restarts. */
static void spend_all(struct scene *scene)
{
    unsigned added = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        crowd_start(&scene->crowd, i);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t generation = trial_stat(scene->admin, "generation");
        while (trial_stat(scene->admin, "generation") == generation)
            add_keys(scene, &added);
        trial_kill(&scene->trial);
        crowd_await(&scene->crowd, round, 1000);
        trial_start(&scene->trial);
        reconnect(scene);
    }
    while (!all_are_spent(scene))
        usleep(1000);
    crowd_end(&scene->crowd);
}

static void grants_equal_the_limit_through_growth_kills_and_restarts(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, LIMITED);
    for (unsigned i = 0; i < LIMITED; i++)
        limit_burst(scene, i, bursts[i] * trial_scale(1, 3));
    spend_all(scene);
    for (unsigned i = 0; i < LIMITED; i++) {
        assert_int_equal(crowd_granted(&scene->crowd, i), bursts[i] * trial_scale(1, 3));
        assert_int_equal(crowd_number(scene->admin, &scene->crowd.keys[i], "use_count"),
                         crowd_granted(&scene->crowd, i));
        assert_int_equal(crowd_number(scene->admin, &scene->crowd.keys[i], "refused_count"),
                         crowd_refused(&scene->crowd, i));
    }
}

static void a_limit_that_the_service_names_is_as_exact(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, LIMITED);
    spend_all(scene);
    for (unsigned i = 0; i < LIMITED; i++)
        assert_int_equal(crowd_granted(&scene->crowd, i), NAMED_BURST);
}

static void limit_owner(struct scene *scene, const char *rate)
{
    trial_do(scene->admin, "OWNER.UPDATE o SET rate %s", rate);
}

static uint64_t granted_in_all(const struct scene *scene)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < LIMITED; i++)
        sum += crowd_granted(&scene->crowd, i);
    return sum;
}

/* All keys are his, those too that come while they are charged. */
static void an_owners_limit_is_as_exact_over_all_of_his_keys(void **state)
{
    struct scene *scene = *state;
    char rate[32];
    crowd_create(&scene->crowd, LIMITED);
    snprintf(rate, sizeof rate, ONCE, 30000 * trial_scale(1, 3));
    limit_owner(scene, rate);
    spend_all(scene);
    assert_int_equal(granted_in_all(scene), 30000 * trial_scale(1, 3));
}

/* With one of its own beside it a key can be refused by the other, and what was charged for it is
 * given back or forgone: never more than either says. */
static void an_owners_limit_and_a_keys_own_are_both_kept(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, LIMITED);
    for (unsigned i = 0; i < LIMITED; i++)
        limit_burst(scene, i, bursts[i]);
    limit_owner(scene, "20000/366d");
    spend_all(scene);
    uint64_t fewest = 20000;
    for (unsigned i = 0; i < LIMITED; i++) {
        assert_in_range(crowd_granted(&scene->crowd, i), 0, bursts[i]);
        fewest -= bursts[i] < 20000 ? bursts[i] : 0;
    }
    assert_in_range(granted_in_all(scene), fewest, 20000);
}

/* By the clock: what comes back in a span of time, and the burst that was there. */
static void a_rate_gives_back_what_it_says_as_time_passes(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, 1);
    limit_key(scene, 0, "200/1s:5");
    uint64_t begun_ns = trial_clock_ns();
    for (unsigned i = 0; i < 3; i++)
        crowd_start(&scene->crowd, i);
    while (crowd_granted(&scene->crowd, 0) < 205)
        usleep(1000);
    crowd_end(&scene->crowd);
    uint64_t granted = crowd_granted(&scene->crowd, 0);
    /* 20 ms: the coarse clock's ticks, and that the processes look one after the other. */
    uint64_t most = 5 + (trial_clock_ns() - begun_ns + 20000000) / 5000000;
    assert_in_range(granted, 205, most);
    assert_true(crowd_refused(&scene->crowd, 0) > 0);
}

static enum catlatch_result verify(struct scene *scene, unsigned key,
                                   struct catlatch_outcome *ret_outcome)
{
    const char *raw = scene->crowd.keys[key].raw;
    struct catlatch_request request = {.size = sizeof request, .key = raw, .key_len = strlen(raw)};
    if (scene->latch == NULL)
        scene->latch = trial_attach(&scene->trial);
    return catlatch_verify(scene->latch, &request, ret_outcome);
}

static void an_outcome_tells_what_is_left_and_when_to_come_again(void **state)
{
    struct scene *scene = *state;
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct catlatch_limit limit = {.size = sizeof limit};
    crowd_create(&scene->crowd, 2);
    limit_key(scene, 0, "1000/1h,2/10m");
    assert_int_equal(verify(scene, 0, &outcome), CATLATCH_VALID);
    assert_int_equal(catlatch_limit(&outcome, &limit), 0);
    assert_int_equal(limit.count, 2);
    assert_int_equal(limit.period_s, 600);
    assert_int_equal(limit.burst, 2);
    assert_int_equal(limit.remaining, 1);
    assert_in_range(limit.reset_ms, 290000, 300000);
    assert_int_equal(limit.retry_after_ms, 0);
    assert_int_equal(verify(scene, 0, &outcome), CATLATCH_VALID);
    assert_int_equal(catlatch_limit(&outcome, &limit), 0);
    assert_int_equal(limit.remaining, 0);
    assert_int_equal(verify(scene, 0, &outcome), CATLATCH_RATE_LIMITED);
    assert_int_equal(catlatch_limit(&outcome, &limit), 0);
    assert_in_range(limit.retry_after_ms, 290000, 300000);
    assert_int_equal(verify(scene, 1, &outcome), CATLATCH_VALID);
    assert_int_equal(catlatch_limit(&outcome, &limit), CATLATCH_E_NOT_FOUND);
    assert_int_equal(trial_verify(scene->latch, "cc_live_nobody"), CATLATCH_MALFORMED);
    assert_int_equal(catlatch_limit(NULL, &limit), CATLATCH_E_ARGUMENT);
    limit.size = 8;
    assert_int_equal(catlatch_limit(&outcome, &limit), CATLATCH_E_ARGUMENT);
}

static void what_is_refused_for_another_reason_consumes_nothing(void **state)
{
    struct scene *scene = *state;
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    const char *scope = "missing";
    crowd_create(&scene->crowd, 1);
    limit_burst(scene, 0, 2);
    scene->latch = trial_attach(&scene->trial);
    const char *raw = scene->crowd.keys[0].raw;
    struct catlatch_request request = {.size = sizeof request,
                                       .key = raw,
                                       .key_len = strlen(raw),
                                       .scopes = &scope,
                                       .scope_count = 1};
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(catlatch_verify(scene->latch, &request, NULL),
                         CATLATCH_INSUFFICIENT_SCOPE);
    trial_do(scene->admin, "KEY.DISABLE %s", scene->crowd.keys[0].id);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(verify(scene, 0, NULL), CATLATCH_DISABLED);
    trial_do(scene->admin, "KEY.ENABLE %s", scene->crowd.keys[0].id);
    assert_int_equal(verify(scene, 0, &outcome), CATLATCH_VALID);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(catlatch_recheck(scene->latch, &outcome, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(verify(scene, 0, NULL), CATLATCH_RATE_LIMITED);
}

/* All or none, and in order: a batch is as many verifications. */
static void several_rates_are_charged_together_and_a_batch_one_by_one(void **state)
{
    struct scene *scene = *state;
    enum { BATCH = 8 };
    struct catlatch_request requests[BATCH];
    struct catlatch_outcome outcomes[BATCH];
    struct catlatch_limit limit = {.size = sizeof limit};
    crowd_create(&scene->crowd, 1);
    limit_key(scene, 0, "5/366d,100/365d");
    scene->latch = trial_attach(&scene->trial);
    for (unsigned i = 0; i < BATCH; i++) {
        requests[i] = (struct catlatch_request){.size = sizeof requests[i],
                                                .key = scene->crowd.keys[0].raw,
                                                .key_len = strlen(scene->crowd.keys[0].raw)};
        outcomes[i] = (struct catlatch_outcome){.size = sizeof outcomes[i]};
    }
    assert_int_equal(catlatch_verify_batch(scene->latch, requests, outcomes, BATCH), 5);
    for (unsigned i = 0; i < BATCH; i++) {
        assert_int_equal(outcomes[i].result, i < 5 ? CATLATCH_VALID : CATLATCH_RATE_LIMITED);
        assert_int_equal(catlatch_limit(&outcomes[i], &limit), 0);
        assert_int_equal(limit.remaining, i < 5 ? 4 - i : 0);
    }
    limit_key(scene, 0, "100/365d"); /* five of which are gone */
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    assert_int_equal(verify(scene, 0, &outcome), CATLATCH_VALID);
    assert_int_equal(catlatch_limit(&outcome, &limit), 0);
    assert_int_equal(limit.burst, 100);
}

static void a_rotated_key_shares_its_limits_with_its_successor(void **state)
{
    struct scene *scene = *state;
    struct trial_key *fresh = &scene->crowd.keys[1];
    crowd_create(&scene->crowd, 1);
    limit_burst(scene, 0, 4);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    redisReply *receipt =
        trial_ask(scene->admin, "KEY.ROTATE %s GRACE 1h", scene->crowd.keys[0].id);
    const redisReply *made = trial_member(receipt, "keys")->element[0];
    snprintf(fresh->id, sizeof fresh->id, "%s", trial_text(made, "id"));
    snprintf(fresh->raw, sizeof fresh->raw, "%s", trial_text(made, "key"));
    freeReplyObject(receipt);
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    trial_kill(&scene->trial);
    trial_start(&scene->trial);
    reconnect(scene);
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_RATE_LIMITED);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_RATE_LIMITED);
    assert_int_equal(crowd_number(scene->admin, &scene->crowd.keys[0], "use_count"), 2);
    assert_int_equal(crowd_number(scene->admin, fresh, "use_count"), 2);
}

static void an_owners_limit_is_all_of_his_keys(void **state)
{
    struct scene *scene = *state;
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct catlatch_limit limit = {.size = sizeof limit};
    crowd_create(&scene->crowd, 2);
    limit_owner(scene, "4/366d");
    limit_burst(scene, 0, 2);
    assert_int_equal(verify(scene, 0, &outcome), CATLATCH_VALID);
    assert_int_equal(catlatch_limit(&outcome, &limit), 0);
    assert_int_equal(limit.burst, 2); /* the tighter one is told of */
    assert_int_equal(limit.remaining, 1);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_RATE_LIMITED); /* and charges nothing */
    assert_int_equal(verify(scene, 1, &outcome), CATLATCH_VALID);
    assert_int_equal(catlatch_limit(&outcome, &limit), 0);
    assert_int_equal(limit.burst, 4);
    assert_int_equal(limit.remaining, 1);
    trial_kill(&scene->trial);
    trial_start(&scene->trial);
    reconnect(scene);
    struct trial_key *fresh = &scene->crowd.keys[2];
    trial_create(scene->admin, "new", "o", fresh);
    assert_int_equal(verify(scene, 2, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_RATE_LIMITED);
    assert_int_equal(verify(scene, 2, NULL), CATLATCH_RATE_LIMITED);
    limit_owner(scene, "");
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_RATE_LIMITED);
    limit_owner(scene, "4/366d"); /* its word is as it was */
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_RATE_LIMITED);
    trial_refused(scene->admin, "INVALID", "OWNER.UPDATE o SET rate %s", "0/1m");
    trial_refused(scene->admin, "INVALID", "OWNER.UPDATE o SET uses %s", "5");
    trial_refused(scene->admin, "NOTFOUND", "OWNER.UPDATE nobody SET rate %s", "5/1m");
}

static void an_update_is_in_force_when_it_returns(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, 1);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    limit_burst(scene, 0, 1);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_RATE_LIMITED);
    trial_do(scene->admin, "KEY.UPDATE %s SET rate %s", scene->crowd.keys[0].id, "");
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    limit_burst(scene, 0, 1); /* its word is as it was */
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_RATE_LIMITED);
    trial_refused(scene->admin, "INVALID", "KEY.UPDATE %s SET rate %s", scene->crowd.keys[0].id,
                  "0/1m");
    trial_refused(scene->admin, "INVALID", "KEY.UPDATE %s SET rate %s", scene->crowd.keys[0].id,
                  "1/1m,2/1m");
    trial_refused(scene->admin, "INVALID", "KEY.CREATE NAME n RATE %s RATE %s", "1/1m", "2/60s");
}

/* Attempts that cannot be told are tried again: a block that waits for more is no refusal. */
static void as_many_are_granted_as_were_bought_whatever_dies(void **state)
{
    static const unsigned bought[] = {1, 5, 999, 1000, 1001, 2500, 20000};
    enum { COUNT = sizeof bought / sizeof bought[0] };
    struct scene *scene = *state;
    crowd_create(&scene->crowd, COUNT);
    for (unsigned i = 0; i < COUNT; i++)
        trial_do(scene->admin, "KEY.UPDATE %s SET uses %u", scene->crowd.keys[i].id, bought[i]);
    for (unsigned i = 0; i < WORKERS; i++)
        crowd_start(&scene->crowd, i);
    for (unsigned round = 0; round < 4; round++) {
        crowd_await(&scene->crowd, round, 2000);
        trial_kill(&scene->trial);
        crowd_await(&scene->crowd, round, 2000);
        trial_start(&scene->trial);
    }
    reconnect(scene);
    for (unsigned i = 0; i < COUNT;) {
        bool spent = crowd_refused(&scene->crowd, i) > 100;
        i += spent;
        if (!spent)
            usleep(1000);
    }
    crowd_end(&scene->crowd);
    for (unsigned i = 0; i < COUNT; i++) {
        assert_int_equal(crowd_granted(&scene->crowd, i), bought[i]);
        assert_int_equal(crowd_number(scene->admin, &scene->crowd.keys[i], "uses_remaining"), 0);
        assert_int_equal(crowd_number(scene->admin, &scene->crowd.keys[i], "use_count"), bought[i]);
    }
}

static void prepaid_uses_are_shown_shared_and_bought_again(void **state)
{
    struct scene *scene = *state;
    struct trial_key *fresh = &scene->crowd.keys[1];
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct catlatch_limit limit = {.size = sizeof limit};
    crowd_create(&scene->crowd, 1);
    trial_do(scene->admin, "KEY.UPDATE %s SET uses %s", scene->crowd.keys[0].id, "3/daily");
    redisReply *reply = trial_ask(scene->admin, "KEY.GET %s", scene->crowd.keys[0].id);
    assert_string_equal(trial_text(reply, "uses"), "3/daily");
    assert_int_equal(trial_number(reply, "uses_remaining"), 3);
    freeReplyObject(reply);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    redisReply *receipt =
        trial_ask(scene->admin, "KEY.ROTATE %s GRACE 1h", scene->crowd.keys[0].id);
    const redisReply *made = trial_member(receipt, "keys")->element[0];
    snprintf(fresh->id, sizeof fresh->id, "%s", trial_text(made, "id"));
    snprintf(fresh->raw, sizeof fresh->raw, "%s", trial_text(made, "key"));
    freeReplyObject(receipt);
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_VALID);
    assert_int_equal(crowd_number(scene->admin, &scene->crowd.keys[0], "uses_remaining"), 1);
    assert_int_equal(crowd_number(scene->admin, fresh, "uses_remaining"), 1);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 1, &outcome), CATLATCH_USAGE_EXCEEDED);
    assert_int_equal(catlatch_limit(&outcome, &limit), 0);
    assert_in_range(limit.retry_after_ms, 0, 86400000);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_USAGE_EXCEEDED);
    trial_do(scene->admin, "KEY.UPDATE %s SET uses %s", fresh->id, "2");
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_VALID);
    assert_int_equal(verify(scene, 1, &outcome), CATLATCH_USAGE_EXCEEDED);
    assert_int_equal(catlatch_limit(&outcome, &limit), 0);
    assert_true(limit.retry_after_ms == UINT64_MAX);
    trial_do(scene->admin, "KEY.UPDATE %s SET uses %s", fresh->id, "");
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_VALID);
    trial_refused(scene->admin, "INVALID", "KEY.UPDATE %s SET uses %s", fresh->id, "0");
    trial_refused(scene->admin, "INVALID", "KEY.CREATE NAME n USES %s", "5/weekly");
}

static void without_memory_to_count_in_keys_with_limits_are_an_outage(void **state)
{
    struct scene *scene = *state;
    struct catlatch *open = NULL;
    const struct catlatch_options options = {
        .size = sizeof options, .config_path = scene->trial.config, .service = "open"};
    crowd_create(&scene->crowd, 2);
    limit_burst(scene, 0, 1);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_UNAVAILABLE);
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_VALID);
    limit_owner(scene, "1/1s");
    assert_int_equal(verify(scene, 1, NULL), CATLATCH_UNAVAILABLE);
    assert_int_equal(catlatch_open(&options, &open, NULL, 0), 0);
    assert_int_equal(trial_verify(open, scene->crowd.keys[0].raw), CATLATCH_VALID);
    assert_int_equal(trial_verify(open, scene->crowd.keys[1].raw), CATLATCH_VALID);
    assert_true(trial_said(&scene->trial, "cannot count uses"));
    catlatch_close(open);
}

static int open_dry(void **state)
{
    return open_with(state,
                     "expected_keys = 16\n"
                     "[service default]\nrequired = table\nrequired = limit dry-run\n"
                     "[service dear]\nrequired = table\nrequired = limit cost=2.5\n",
                     NULL);
}

static void a_dry_run_refuses_nobody_and_a_cost_is_charged(void **state)
{
    struct scene *scene = *state;
    struct catlatch *dear = NULL;
    const struct catlatch_options options = {
        .size = sizeof options, .config_path = scene->trial.config, .service = "dear"};
    crowd_create(&scene->crowd, 1);
    limit_burst(scene, 0, 9);
    assert_int_equal(catlatch_open(&options, &dear, NULL, 0), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(trial_verify(dear, scene->crowd.keys[0].raw), CATLATCH_VALID);
    assert_int_equal(trial_verify(dear, scene->crowd.keys[0].raw), CATLATCH_RATE_LIMITED);
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID); /* 1.5 are left */
    assert_null(catlatch_fact(scene->latch, "rate_limited"));
    assert_int_equal(verify(scene, 0, NULL), CATLATCH_VALID);
    assert_string_equal(catlatch_fact(scene->latch, "rate_limited"), "dry-run");
    catlatch_close(dear);
}

int main(void)
{
#define EACH(test, open) cmocka_unit_test_setup_teardown(test, open, close_scene)
    const struct CMUnitTest tests[] = {
        EACH(grants_equal_the_limit_through_growth_kills_and_restarts, open_scene),
        EACH(a_limit_that_the_service_names_is_as_exact, open_named),
        EACH(an_owners_limit_is_as_exact_over_all_of_his_keys, open_scene),
        EACH(an_owners_limit_and_a_keys_own_are_both_kept, open_scene),
        EACH(an_owners_limit_is_all_of_his_keys, open_scene),
        EACH(a_rate_gives_back_what_it_says_as_time_passes, open_scene),
        EACH(an_outcome_tells_what_is_left_and_when_to_come_again, open_scene),
        EACH(what_is_refused_for_another_reason_consumes_nothing, open_scene),
        EACH(several_rates_are_charged_together_and_a_batch_one_by_one, open_scene),
        EACH(a_rotated_key_shares_its_limits_with_its_successor, open_scene),
        EACH(an_update_is_in_force_when_it_returns, open_scene),
        EACH(as_many_are_granted_as_were_bought_whatever_dies, open_scene),
        EACH(prepaid_uses_are_shown_shared_and_bought_again, open_scene),
        EACH(without_memory_to_count_in_keys_with_limits_are_an_outage, open_without_keeper),
        EACH(a_dry_run_refuses_nobody_and_a_cost_is_charged, open_dry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
