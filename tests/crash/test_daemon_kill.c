/* The daemon is killed at random moments of mixed load, over and over, while a worker verifies:
 * what was acknowledged is there, nothing is half done, and the worker never notices. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "../race/lib_load.h"
#include "../unit/lib_table.h"

/* A store for each era, small enough that its table grows again and again. */
#define ROUNDS_IN_ERA 10u

/* The load lasts for a random part of this before the kill. */
#define ROUND_NS UINT64_C(150000000)

/* One start in so many is killed too, somewhere in this time. */
#define STARTS_KILLED 8u
#define START_NS UINT64_C(60000000)

struct scene {
    struct trial trial;
    struct board *board;
    struct load load;
    uint64_t random; /* of moments; not the same in every run, as moments never are */
};

static int open_scene(void **state)
{
    static struct scene scene;
    scene.random = trial_clock_ns();
    *state = &scene;
    return 0;
}

static void open_era(struct scene *scene, uint64_t number)
{
    trial_open(&scene->trial, "expected_keys = 16\ncheckpoint_interval = 1s");
    trial_start(&scene->trial);
    scene->board = board_new();
    load_init(&scene->load, scene->board, &scene->trial, number);
    board_start_worker(scene->board, &scene->trial);
}

static void close_era(struct scene *scene)
{
    load_free(&scene->load);
    board_free(scene->board);
    scene->board = NULL;
    trial_close(&scene->trial);
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    if (scene->board != NULL)
        close_era(scene);
    return 0;
}

static uint64_t random_ns(struct scene *scene, uint64_t below_ns)
{
    return sample_random(&scene->random) % below_ns;
}

/* Not counted: it was not up. What is half begun is the next start's to put right. */
static void kill_while_starting(struct scene *scene)
{
    trial_launch(&scene->trial, NULL);
    trial_is_ready_within(&scene->trial, (int)(random_ns(scene, START_NS) / 1000000));
    trial_kill(&scene->trial);
}

static void run_round(struct scene *scene)
{
    struct load *load = &scene->load;
    load_connect(load);
    /* Something is acknowledged in every round, so the daemon was up and at work. */
    load_run(load, UINT64_MAX / 2, 1);
    load_run(load, trial_clock_ns() + random_ns(scene, ROUND_NS), UINT64_MAX / 2);
    trial_kill(&scene->trial);
    load_disconnect(load);
    if (random_ns(scene, STARTS_KILLED) == 0)
        kill_while_starting(scene);
    trial_start(&scene->trial);
    load_settle(load);
    board_check(scene->board);
}

static void a_killed_daemon_loses_nothing_acknowledged_and_stops_no_worker(void **state)
{
    struct scene *scene = *state;
    unsigned rounds = trial_scale(200, 1000), done = 0;
    uint64_t acknowledged[LOAD_KINDS] = {0}, generations = 0, judged = 0;

    while (done < rounds) {
        open_era(scene, done + 1);
        for (unsigned i = 0; i < ROUNDS_IN_ERA; i++, done++)
            run_round(scene);
        redisContext *admin = trial_connect(&scene->trial);
        generations += trial_stat(admin, "generation");
        redisFree(admin);
        board_end(scene->board);
        for (int kind = 0; kind < LOAD_KINDS; kind++)
            acknowledged[kind] += scene->load.acknowledged[kind];
        judged += board_judged(scene->board, BOARD_ACTIVE);
        close_era(scene);
    }
    for (int kind = 0; kind < LOAD_KINDS; kind++)
        assert_true(acknowledged[kind] >= rounds);
    assert_true(judged >= 1000u * rounds);
    assert_true(generations > rounds + rounds / 10); /* it grew as well, not only started */
    print_message("# %u rounds, %llu generations, %llu creations acknowledged\n", rounds,
                  (unsigned long long)generations, (unsigned long long)acknowledged[LOAD_CREATE]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_killed_daemon_loses_nothing_acknowledged_and_stops_no_worker, open_scene,
            close_scene),
    };
    return cmocka_run_group_tests_name("daemon_kill", tests, NULL, NULL);
}
