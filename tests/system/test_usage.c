/* Uses of keys are counted where they happen, by all workers together, and nothing of it is lost:
 * while the daemon is down, by a growth, by kills of either, or counted twice. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_crowd.h"
#include "usage/area.h"
#include "usage/fetch.h"

#define KEYS CROWD_KEYS_MAX
#define WORKERS 4u

struct scene {
    struct trial trial;
    struct crowd crowd;
};

static int open_with(void **state, const char *settings)
{
    static struct scene scene;
    trial_open(&scene.trial, settings);
    trial_start(&scene.trial);
    crowd_open(&scene.crowd, &scene.trial);
    *state = &scene;
    return 0;
}

static int open_scene(void **state)
{
    return open_with(state, "expected_keys = 16\nusage_flush_interval = 1s");
}

/* What is swept is swept at the end alone. */
static int open_slow(void **state)
{
    return open_with(state, "expected_keys = 16\nusage_flush_interval = 1h");
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    crowd_close(&scene->crowd);
    trial_close(&scene->trial);
    return 0;
}

static redisReply *get_key(redisContext *admin, const struct trial_key *key)
{
    redisReply *reply = trial_ask(admin, "KEY.GET %s", key->id);
    assert_false(trial_is_error(reply, ""));
    return reply;
}

/* `lost`: what each key's count may be short of, for workers that were killed. */
static void assert_counts_equal_grants(const struct scene *scene, uint64_t lost)
{
    redisContext *admin = trial_connect(&scene->trial);
    for (unsigned i = 0; i < KEYS; i++) {
        uint64_t granted = crowd_granted(&scene->crowd, i);
        uint64_t counted = crowd_number(admin, &scene->crowd.keys[i], "use_count");
        /* A killed worker may have counted what it could not tell us of any more. */
        assert_in_range(counted, granted - lost, granted + lost);
        assert_true(granted > 0);
    }
    redisFree(admin);
}

static void add_keys(redisContext *admin, unsigned *io_count, unsigned until)
{
    struct trial_key unused;
    char name[16];
    for (; *io_count < until; (*io_count)++) {
        snprintf(name, sizeof name, "more%u", *io_count);
        trial_create(admin, name, "o", &unused);
    }
}

static void counts_equal_grants_through_growth_kills_and_restarts(void **state)
{
    struct scene *scene = *state;
    /* Each is twice as many keys as the one before. */
    unsigned added = 0, rounds = trial_scale(4, 9);
    crowd_create(&scene->crowd, KEYS);
    for (unsigned i = 0; i < WORKERS; i++)
        crowd_start(&scene->crowd, i);
    for (unsigned round = 0; round < rounds; round++) {
        redisContext *admin = trial_connect(&scene->trial);
        uint64_t generation = trial_stat(admin, "generation");
        while (trial_stat(admin, "generation") == generation)
            add_keys(admin, &added, added + 50);
        redisFree(admin);
        for (unsigned i = 0; i < WORKERS; i++)
            crowd_await(&scene->crowd, i, 1000);
        trial_kill(&scene->trial);
        for (unsigned i = 0; i < WORKERS; i++)
            crowd_await(&scene->crowd, i, 1000);
        trial_start(&scene->trial);
    }
    crowd_end(&scene->crowd);
    assert_counts_equal_grants(scene, 0);
}

static void a_killed_worker_loses_one_at_most(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, KEYS);
    for (unsigned i = 0; i < WORKERS; i++)
        crowd_start(&scene->crowd, i);
    for (unsigned round = 0; round < trial_scale(10, 100); round++) {
        unsigned i = round % WORKERS;
        crowd_await(&scene->crowd, i, 500);
        crowd_kill(&scene->crowd, i);
        crowd_start(&scene->crowd, i);
    }
    crowd_end(&scene->crowd);
    assert_counts_equal_grants(scene, trial_scale(10, 100));
}

static uint64_t verify_times(struct catlatch *latch, const struct trial_key *key, unsigned times)
{
    uint64_t granted = 0;
    for (unsigned i = 0; i < times; i++)
        granted += trial_verify(latch, key->raw) == CATLATCH_VALID;
    return granted;
}

static void a_worker_that_starts_while_the_daemon_is_down_counts(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, KEYS);
    trial_kill(&scene->trial);
    struct catlatch *latch = trial_attach(&scene->trial);
    assert_int_equal(verify_times(latch, &scene->crowd.keys[0], 5), 5);
    trial_start(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    assert_int_equal(crowd_number(admin, &scene->crowd.keys[0], "use_count"), 5);
    assert_int_equal(verify_times(latch, &scene->crowd.keys[0], 5), 5);
    assert_int_equal(crowd_number(admin, &scene->crowd.keys[0], "use_count"), 10);
    redisFree(admin);
    catlatch_close(latch);
}

static pid_t keeper_pid(const struct trial *trial)
{
    char path[TRIAL_PATH_SIZE + 16];
    int pid = 0;
    snprintf(path, sizeof path, "%s/usage.lock", trial->run_dir);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    assert_true(pid > 1);
    return pid;
}

static void kill_keeper(const struct trial *trial)
{
    assert_int_equal(kill(keeper_pid(trial), SIGKILL), 0);
}

/* By the area that the keeper gives: it is the daemon's again. */
static void await_keeper(const struct trial *trial)
{
    struct trust trust = trust_self();
    struct usage_fetched fetched;
    uint64_t end_ns = trial_clock_ns() + TRIAL_PATIENCE_MS * UINT64_C(1000000);
    bool has = false;
    while (!has) {
        assert_true(trial_clock_ns() < end_ns);
        if (usage_fetch(trial->run_dir, &trust, 1000, &fetched, NULL) == 0) {
            has = fetched.segments.count > 0;
            usage_fetched_close(&fetched);
        }
        usleep(1000);
    }
}

static void a_killed_keeper_is_started_again_and_nothing_is_lost(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, KEYS);
    struct catlatch *before = trial_attach(&scene->trial);
    assert_int_equal(verify_times(before, &scene->crowd.keys[0], 5), 5);
    kill_keeper(&scene->trial);
    await_keeper(&scene->trial);
    struct catlatch *after = trial_attach(&scene->trial);
    assert_int_equal(verify_times(after, &scene->crowd.keys[0], 5), 5);
    assert_int_equal(verify_times(before, &scene->crowd.keys[0], 5), 5);
    redisContext *admin = trial_connect(&scene->trial);
    assert_int_equal(crowd_number(admin, &scene->crowd.keys[0], "use_count"), 15);
    redisFree(admin);
    catlatch_close(before);
    catlatch_close(after);
}

static void area_of(const struct trial *trial, unsigned char ret_area[KEEPER_AREA_BYTES])
{
    struct trust trust = trust_self();
    struct usage_fetched fetched;
    assert_int_equal(usage_fetch(trial->run_dir, &trust, TRIAL_PATIENCE_MS, &fetched, NULL), 0);
    memcpy(ret_area, fetched.area, KEEPER_AREA_BYTES);
    usage_fetched_close(&fetched);
}

/* Longer than a daemon that runs waits for it. */
#define SLOW_MS 700

/* As systemd starts a program, which then starts no keeper. */
static const char *const managed[] = {"/bin/sh", "-c", "SYSTEMD_EXEC_PID=$$ exec \"$@\"", "sh",
                                      NULL};

static void a_daemon_that_starts_waits_for_a_slow_keeper(struct scene *scene,
                                                         const char *const *wrapper)
{
    unsigned char before[KEEPER_AREA_BYTES], after[KEEPER_AREA_BYTES];
    crowd_create(&scene->crowd, KEYS);
    scene->trial.wrapper = wrapper;
    area_of(&scene->trial, before);
    trial_kill(&scene->trial);
    pid_t keeper = keeper_pid(&scene->trial);
    assert_int_equal(kill(keeper, SIGSTOP), 0);
    trial_launch(&scene->trial, NULL);
    bool was_ready = trial_is_ready_within(&scene->trial, SLOW_MS);
    assert_int_equal(kill(keeper, SIGCONT), 0);
    assert_false(was_ready);
    trial_await_ready(&scene->trial);
    area_of(&scene->trial, after);
    assert_memory_equal(before, after, sizeof before);
}

static void the_area_of_a_slow_keeper_goes_on(void **state)
{
    a_daemon_that_starts_waits_for_a_slow_keeper(*state, NULL);
}

static void the_area_of_a_slow_keeper_goes_on_under_systemd(void **state)
{
    a_daemon_that_starts_waits_for_a_slow_keeper(*state, managed);
}

static void without_both_what_was_swept_is_known_and_counting_goes_on(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, KEYS);
    struct catlatch *latch = trial_attach(&scene->trial);
    assert_int_equal(verify_times(latch, &scene->crowd.keys[0], 5), 5);
    redisContext *admin = trial_connect(&scene->trial);
    while (trial_stat(admin, "usage_swept") == 0)
        usleep(10000);
    /* It is counted as swept before it is on the disk; whoever changes something waits for that. */
    unsigned added = 0;
    add_keys(admin, &added, 1);
    redisFree(admin);
    kill_keeper(&scene->trial);
    trial_kill(&scene->trial);
    trial_start(&scene->trial);
    await_keeper(&scene->trial);
    assert_int_equal(catlatch_refresh(latch), 0);
    assert_int_equal(verify_times(latch, &scene->crowd.keys[0], 5), 5);
    admin = trial_connect(&scene->trial);
    assert_int_equal(crowd_number(admin, &scene->crowd.keys[0], "use_count"), 10);
    redisFree(admin);
    catlatch_close(latch);
}

static void an_orderly_end_stores_everything(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, KEYS);
    struct catlatch *latch = trial_attach(&scene->trial);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(verify_times(latch, &scene->crowd.keys[i], i + 1), i + 1);
    trial_stop(&scene->trial);
    kill_keeper(&scene->trial);
    trial_start(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(crowd_number(admin, &scene->crowd.keys[i], "use_count"), i + 1);
    redisFree(admin);
    catlatch_close(latch);
}

static enum catlatch_result verify_from(struct catlatch *latch, const char *raw,
                                        const char *address)
{
    struct catlatch_request request = {
        .size = sizeof request, .key = raw, .key_len = strlen(raw), .address = address};
    return catlatch_verify(latch, &request, NULL);
}

static void assert_text(redisContext *admin, const struct trial_key *key, const char *member,
                        const char *text)
{
    redisReply *reply = get_key(admin, key);
    assert_string_equal(trial_text(reply, member), text);
    freeReplyObject(reply);
}

static void a_revoked_key_tells_who_still_tries_it(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, KEYS);
    struct catlatch *latch = trial_attach(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    const struct trial_key *key = &scene->crowd.keys[0];
    assert_int_equal(verify_from(latch, key->raw, "203.0.113.9"), CATLATCH_VALID);
    redisReply *receipt = trial_ask(admin, "KEY.REVOKE %s", key->id);
    const redisReply *touched = trial_member(receipt, "keys")->element[0];
    assert_string_equal(trial_text(touched, "last_used_from"), "203.0.113.9");
    assert_true(strlen(trial_text(touched, "last_used_at")) == strlen("2026-01-31T02:14:07Z"));
    freeReplyObject(receipt);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(verify_from(latch, key->raw, "2001:db8::7"), CATLATCH_REVOKED);
    assert_int_equal(crowd_number(admin, key, "use_count"), 1);
    assert_int_equal(crowd_number(admin, key, "refused_count"), 3);
    assert_text(admin, key, "last_refused_from", "2001:db8::7");
    assert_text(admin, key, "last_used_from", "203.0.113.9");
    redisFree(admin);
    catlatch_close(latch);
}

static void addresses_are_kept_as_the_policy_says(void **state)
{
    static const struct {
        const char *policy, *ipv4, *ipv6;
    } cases[] = {
        {"full", "203.0.113.9", "2001:db8:1:2:3::7"},
        {"prefix", "203.0.113.0", "2001:db8:1::"},
        {"off", "", ""},
    };
    struct scene *scene = *state;
    crowd_create(&scene->crowd, KEYS);
    redisContext *admin = trial_connect(&scene->trial);
    for (unsigned i = 0; i < 3; i++) {
        char settings[128];
        snprintf(settings, sizeof settings, "expected_keys = 16\n[policy]\nrecord_address = %s",
                 cases[i].policy);
        trial_configure(&scene->trial, settings);
        struct catlatch *latch = trial_attach(&scene->trial);
        assert_int_equal(verify_from(latch, scene->crowd.keys[2 * i].raw, "203.0.113.9"), 1);
        assert_int_equal(verify_from(latch, scene->crowd.keys[2 * i + 1].raw, "2001:db8:1:2:3::7"),
                         1);
        assert_text(admin, &scene->crowd.keys[2 * i], "last_used_from", cases[i].ipv4);
        assert_text(admin, &scene->crowd.keys[2 * i + 1], "last_used_from", cases[i].ipv6);
        catlatch_close(latch);
    }
    redisFree(admin);
}

static void ignore_step(void *context, const struct catlatch_step *step)
{
    (void)context;
    (void)step;
}

static void sockets_count_and_dry_runs_and_rechecks_do_not(void **state)
{
    struct scene *scene = *state;
    crowd_create(&scene->crowd, KEYS);
    const struct trial_key *key = &scene->crowd.keys[0];
    struct catlatch *latch = trial_attach(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    redisContext *verify = trial_connect_verify(&scene->trial);
    struct catlatch_request request = {
        .size = sizeof request, .key = key->raw, .key_len = strlen(key->raw)};
    struct catlatch_outcome outcome = {.size = sizeof outcome};

    trial_do(verify, "KEY.VERIFY %s ADDRESS 192.0.2.1", key->raw);
    trial_do(verify, "AUTH %s", key->raw);
    assert_int_equal(crowd_number(admin, key, "use_count"), 2);
    assert_int_equal(catlatch_verify(latch, &request, &outcome), CATLATCH_VALID);
    assert_int_equal(crowd_number(admin, key, "use_count"), 3);
    assert_int_equal(catlatch_recheck(latch, &outcome, NULL), CATLATCH_VALID);
    assert_int_equal(catlatch_explain(latch, &request, &outcome, ignore_step, NULL),
                     CATLATCH_VALID);
    assert_int_equal(crowd_number(admin, key, "use_count"), 3);
    struct catlatch_request batch[3] = {request, request, request};
    struct catlatch_outcome outcomes[3] = {outcome, outcome, outcome};
    assert_int_equal(catlatch_verify_batch(latch, batch, outcomes, 3), 3);
    assert_int_equal(crowd_number(admin, key, "use_count"), 6);
    redisFree(admin);
    redisFree(verify);
    catlatch_close(latch);
}

/* Every worker may write there, so one can write anything. */
static void a_worker_that_scribbles_harms_numbers_alone(void **state)
{
    struct scene *scene = *state;
    struct trust trust = trust_self();
    struct usage_fetched fetched;
    crowd_create(&scene->crowd, KEYS);
    struct catlatch *latch = trial_attach(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    assert_int_equal(verify_times(latch, &scene->crowd.keys[0], 5), 5);
    while (trial_stat(admin, "usage_swept") == 0)
        usleep(10000);
    trial_do(admin, "KEY.REVOKE %s", scene->crowd.keys[1].id);
    assert_int_equal(usage_fetch(scene->trial.run_dir, &trust, 1000, &fetched, NULL), 0);
    for (int byte = 0; byte <= 0xff; byte += 0x55) {
        for (unsigned k = 0; k < fetched.segments.count; k++) {
            void *base = mmap(NULL, usage_segment_size(k), PROT_READ | PROT_WRITE, MAP_SHARED,
                              fetched.segments.fds[k], 0);
            assert_true(base != MAP_FAILED);
            memset(base, byte, usage_segment_size(k));
            munmap(base, usage_segment_size(k));
        }
        uint64_t rounds = trial_stat(admin, "usage_rounds");
        while (trial_stat(admin, "usage_rounds") < rounds + 2)
            usleep(10000);
        assert_int_equal(trial_verify(latch, scene->crowd.keys[0].raw), CATLATCH_VALID);
        assert_int_equal(trial_verify(latch, scene->crowd.keys[1].raw), CATLATCH_REVOKED);
        assert_in_range(crowd_number(admin, &scene->crowd.keys[0], "use_count"), 5, 5 + 4);
        redisReply *page = trial_ask(admin, "KEY.LIST");
        assert_int_equal(trial_member(page, "keys")->elements, KEYS);
        freeReplyObject(page);
    }
    usage_fetched_close(&fetched);
    assert_true(trial_stat(admin, "usage_unbelieved") > 0);
    assert_true(trial_said(&scene->trial, "numbers that no worker counts up to"));
    assert_true(trial_lives(&scene->trial));
    redisFree(admin);
    catlatch_close(latch);
}

int main(void)
{
#define EACH(test, open) cmocka_unit_test_setup_teardown(test, open, close_scene)
    const struct CMUnitTest tests[] = {
        EACH(counts_equal_grants_through_growth_kills_and_restarts, open_scene),
        EACH(a_killed_worker_loses_one_at_most, open_scene),
        EACH(a_worker_that_starts_while_the_daemon_is_down_counts, open_slow),
        EACH(a_killed_keeper_is_started_again_and_nothing_is_lost, open_slow),
        EACH(the_area_of_a_slow_keeper_goes_on, open_scene),
        EACH(the_area_of_a_slow_keeper_goes_on_under_systemd, open_scene),
        EACH(without_both_what_was_swept_is_known_and_counting_goes_on, open_scene),
        EACH(an_orderly_end_stores_everything, open_slow),
        EACH(a_revoked_key_tells_who_still_tries_it, open_slow),
        EACH(addresses_are_kept_as_the_policy_says, open_slow),
        EACH(sockets_count_and_dry_runs_and_rechecks_do_not, open_slow),
        EACH(a_worker_that_scribbles_harms_numbers_alone, open_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
