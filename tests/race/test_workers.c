/* Worker processes verify through the library while a real daemon creates, replaces, disables,
 * enables, suspends, rotates and revokes, and the table grows through many generations. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_load.h"

#define WORKERS 4u

/* Further generations than the first, and what each worker must have judged of each kind. */
#define GENERATIONS 6u
#define JUDGED 20000u

struct scene {
    struct trial trial;
    struct board *board;
    struct load load;
};

static int open_quiet_scene(void **state)
{
    static struct scene scene;
    trial_open(&scene.trial, "expected_keys = 16");
    trial_start(&scene.trial);
    scene.board = board_new();
    load_init(&scene.load, scene.board, &scene.trial, 1);
    load_connect(&scene.load);
    *state = &scene;
    return 0;
}

static int open_scene(void **state)
{
    int r = open_quiet_scene(state);
    struct scene *scene = *state;
    for (unsigned i = 0; i < WORKERS; i++)
        board_start_worker(scene->board, &scene->trial);
    return r;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    load_free(&scene->load);
    board_free(scene->board);
    trial_close(&scene->trial);
    return 0;
}

static bool has_judged_enough(const struct board *board, uint64_t count)
{
    for (uint32_t i = 0; i < board->worker_count; i++)
        if (atomic_load(&board->workers[i].narrowed) < count / 8 ||
            atomic_load(&board->workers[i].identities) < count)
            return false;
    return board_judged(board, BOARD_ACTIVE) >= count &&
           board_judged(board, BOARD_CHANGING) >= count / 8 &&
           board_judged(board, BOARD_DISABLED) >= count &&
           board_judged(board, BOARD_REVOKED) >= count;
}

static bool has_changed_enough(const struct load *load, uint64_t count)
{
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        if (load->acknowledged[kind] < count)
            return false;
    return true;
}

static uint64_t deadline_ns(void)
{
    return trial_clock_ns() + UINT64_C(3600) * 1000000000;
}

static void every_change_is_seen_by_every_worker_before_it_returns(void **state)
{
    struct scene *scene = *state;
    struct load *load = &scene->load;
    unsigned scale = trial_scale(1, 10);
    redisContext *admin = trial_connect(&scene->trial);
    uint64_t first = trial_stat(admin, "generation");

    /* The board bounds the keys; what comes after the growth changes those that there are. */
    for (unsigned rounds = 0; rounds < 2000 * scale; rounds++) {
        load->create_share = load_key_count(load) < 2000    ? 40
                             : load_key_count(load) < 12000 ? 3
                                                            : 0;
        load_run(load, deadline_ns(), 200);
        board_check(scene->board);
        if (has_judged_enough(scene->board, (uint64_t)JUDGED * scale) &&
            has_changed_enough(load, 300 * scale) &&
            trial_stat(admin, "generation") >= first + GENERATIONS)
            break;
    }
    load_drain(load);
    assert_true(trial_stat(admin, "generation") >= first + GENERATIONS);
    assert_true(has_changed_enough(load, 300 * scale));
    assert_true(has_judged_enough(scene->board, (uint64_t)JUDGED * scale));
    board_end(scene->board);
    load_settle(load);
    redisFree(admin);
}

static void await_grants(const struct board *board, const struct board_key *key)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    size_t number = (size_t)(key - board->keys);
    uint64_t since_ns = trial_clock_ns();
    for (uint32_t i = 0; i < board->worker_count; i++)
        while (atomic_load(&board->workers[i].last_grant_ns[number]) < since_ns) {
            board_check(board);
            assert_true(trial_clock_ns() < end_ns);
            poll(NULL, 0, 1);
        }
}

static void revoke_is_seen_by_every_worker_before_it_returns(void **state)
{
    struct scene *scene = *state;
    redisContext *admin = trial_connect(&scene->trial);
    unsigned count = trial_scale(100, 1000);
    for (unsigned i = 0; i < count; i++) {
        char name[32];
        snprintf(name, sizeof name, "k%u r0", i);
        redisReply *reply =
            trial_ask(admin, "KEY.CREATE NAME %s OWNER o0 SCOPE k%u SCOPE r0", name, i);
        struct board_key *key =
            load_add_key(&scene->load, i, 0, 0, trial_text(reply, "id"), trial_text(reply, "key"));
        freeReplyObject(reply);
        board_set(key, BOARD_ACTIVE);
        await_grants(scene->board, key); /* all workers are at it */
        board_set(key, BOARD_CHANGING);
        trial_do(admin, "KEY.REVOKE %s", key->key.id);
        board_set(key, BOARD_REVOKED);
        board_check(scene->board);
    }
    board_end(scene->board);
    assert_true(board_judged(scene->board, BOARD_REVOKED) > 0);
    redisFree(admin);
}

/* One transaction, ten thousand keys: the last of them as well as the first. */
static void a_revoke_of_many_keys_is_seen_whole(void **state)
{
    struct scene *scene = *state;
    struct load *load = &scene->load;
    unsigned count = trial_scale(1000, 10000);
    const char **words = calloc(count + 1, sizeof *words);
    assert_non_null(words);
    redisContext *admin = trial_connect(&scene->trial);
    load->create_share = 100;
    load_run(load, deadline_ns(), count);
    load_drain(load);
    words[0] = "KEY.REVOKE";
    for (unsigned i = 0; i < count; i++) {
        words[i + 1] = scene->board->keys[i].key.id;
        board_set(&scene->board->keys[i], BOARD_CHANGING);
    }
    redisReply *reply = redisCommandArgv(admin, (int)count + 1, words, NULL);
    assert_non_null(reply);
    assert_int_equal(trial_number(reply, "count"), count);
    for (unsigned i = 0; i < count; i++)
        board_set(&scene->board->keys[i], BOARD_REVOKED);
    struct catlatch *latch = trial_attach(&scene->trial);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(trial_verify(latch, scene->board->keys[i].key.raw), CATLATCH_REVOKED);
    board_end(scene->board);
    catlatch_close(latch);
    freeReplyObject(reply);
    redisFree(admin);
    free(words);
}

/* The reply to this one is short and quickly made, there is much to publish before it, and nobody
 * else wants the processor: whoever replied first would be found out. */
static void an_owner_wide_kill_is_seen_whole_before_it_returns(void **state)
{
    struct scene *scene = *state;
    struct load *load = &scene->load;
    unsigned count = 20000, rounds = trial_scale(20, 200);
    redisContext *admin = trial_connect(&scene->trial);
    struct catlatch *latch = trial_attach(&scene->trial);
    load->create_share = 100;
    load->owner_count = 1;
    load_run(load, deadline_ns(), count);
    load_drain(load);
    count = load_key_count(load);
    for (unsigned round = 0; round < rounds; round++) {
        bool suspends = round % 2 == 0;
        trial_do(admin, suspends ? "OWNER.SUSPEND o0" : "OWNER.RESUME o0");
        for (unsigned i = count; i-- > 0;) {
            const struct trial_key *key = &scene->board->keys[i].key;
            enum catlatch_result result = trial_verify(latch, key->raw);
            if (result != (suspends ? CATLATCH_DISABLED : CATLATCH_VALID))
                fail_msg("%s, number %u of %u, is still %s", key->id, i, count,
                         catlatch_result_name(result));
        }
    }
    catlatch_close(latch);
    redisFree(admin);
}

int main(void)
{
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(revoke_is_seen_by_every_worker_before_it_returns),
        SCENE_TEST(a_revoke_of_many_keys_is_seen_whole),
        cmocka_unit_test_setup_teardown(an_owner_wide_kill_is_seen_whole_before_it_returns,
                                        open_quiet_scene, close_scene),
        SCENE_TEST(every_change_is_seen_by_every_worker_before_it_returns),
    };
    return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
