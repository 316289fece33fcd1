/* What happened is told: who verifies, how often each result was, and what was counted when, by
 * real workers, through restarts and kills of the daemon. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_daemon.h"

#define WORKERS 3u

struct scene {
    struct trial trial;
    struct trial_key key, other;
};

static int open_with(void **state, const char *settings)
{
    static struct scene scene;
    memset(&scene, 0, sizeof scene);
    trial_open(&scene.trial, settings);
    trial_start(&scene.trial);
    redisContext *admin = trial_connect(&scene.trial);
    trial_create(admin, "k", "o", &scene.key);
    trial_create(admin, "l", "o", &scene.other);
    redisFree(admin);
    *state = &scene;
    return 0;
}

static int open_scene(void **state)
{
    return open_with(state, "usage_flush_interval = 1s");
}

/* What is swept is swept at the end alone. */
static int open_slow(void **state)
{
    return open_with(state, "usage_flush_interval = 1h");
}

static int open_without_minutes(void **state)
{
    return open_with(state, "usage_flush_interval = 1s\n[history]\nminutes = never");
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    trial_close(&scene->trial);
    return 0;
}

static void verify_times(struct catlatch *latch, const char *raw, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        trial_verify(latch, raw);
}

static long long member_or_0(const redisReply *map, const char *name)
{
    return trial_member(map, name) != NULL ? trial_number(map, name) : 0;
}

/* Of STATS' results. */
static long long result_of(redisContext *admin, const char *name)
{
    redisReply *reply = trial_ask(admin, "STATS");
    long long count = member_or_0(trial_member(reply, "results"), name);
    freeReplyObject(reply);
    return count;
}

static void await_result_of(redisContext *admin, const char *name, long long count)
{
    uint64_t end_ns = trial_clock_ns() + TRIAL_PATIENCE_MS * UINT64_C(1000000);
    long long have;
    while ((have = result_of(admin, name)) != count) {
        if (trial_clock_ns() > end_ns)
            fail_msg("%s is %lld, not %lld", name, have, count);
        usleep(10000);
    }
}

/* Over all pages of a history since yesterday; `name` of its spans or of their results. */
static long long sum_of(redisContext *admin, const char *id, const char *step, const char *name)
{
    char since[64], day[] = "2000-01-01T00:00:00Z";
    time_t then = time(NULL) - 86400;
    long long sum = 0;
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%SZ", gmtime(&then));
    snprintf(since, sizeof since, "%s", day);
    for (;;) {
        redisReply *reply = id != NULL
                                ? trial_ask(admin, "HISTORY %s SINCE %s STEP %s", id, since, step)
                                : trial_ask(admin, "HISTORY SINCE %s STEP %s", since, step);
        const redisReply *history = trial_member(reply, "history");
        assert_non_null(history);
        for (size_t i = 0; i < history->elements; i++) {
            const redisReply *span = history->element[i], *results = trial_member(span, "results");
            sum += member_or_0(id != NULL ? span : results, name);
        }
        snprintf(since, sizeof since, "%s", trial_text(reply, "cursor"));
        freeReplyObject(reply);
        if (since[0] == '\0')
            return sum;
    }
}

static void assert_history(redisContext *admin, const struct trial_key *key, long long granted,
                           long long refused)
{
    const char *const steps[] = {"m", "h", "d"};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(sum_of(admin, key->id, steps[i], "granted"), granted);
        assert_int_equal(sum_of(admin, key->id, steps[i], "refused"), refused);
    }
}

static void assert_result_history(redisContext *admin, const char *result, long long count)
{
    const char *const steps[] = {"m", "h", "d"};
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(sum_of(admin, NULL, steps[i], result), count);
}

static pid_t start_worker(const struct scene *scene, unsigned times, const int end[2])
{
    pid_t pid = fork();
    char byte;
    assert_true(pid >= 0);
    if (pid != 0)
        return pid;
    close(end[1]);
    struct catlatch *latch = trial_attach_quietly(&scene->trial);
    if (latch == NULL)
        _exit(1);
    verify_times(latch, scene->key.raw, times);
    verify_times(latch, "rubbish", 1);
    if (read(end[0], &byte, 1) != 0) /* until the test closes its end */
        _exit(2);
    catlatch_close(latch);
    _exit(0);
}

static void await_end(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static const redisReply *process_of(const redisReply *list, pid_t pid)
{
    for (size_t i = 0; i < list->elements; i++)
        if (trial_number(list->element[i], "pid") == pid)
            return list->element[i];
    return NULL;
}

static void workers_are_listed_with_what_they_counted(void **state)
{
    struct scene *scene = *state;
    redisContext *admin = trial_connect(&scene->trial);
    pid_t pids[WORKERS];
    int end[2];
    assert_int_equal(pipe(end), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        pids[i] = start_worker(scene, 100 + i, end);
    await_result_of(admin, "valid", 100 + 101 + 102);
    await_result_of(admin, "malformed", WORKERS);
    redisReply *reply = trial_ask(admin, "PROCESSES");
    const redisReply *list = trial_member(reply, "processes");
    assert_int_equal(list->elements, WORKERS + 1);
    long long generation = (long long)trial_stat(admin, "generation"), valid = 0;
    for (size_t i = 0; i < list->elements; i++) {
        const redisReply *each = list->element[i], *results = trial_member(each, "results");
        assert_int_equal(trial_number(each, "uid"), getuid());
        assert_int_equal(trial_number(each, "stale"), 0);
        assert_int_equal(trial_number(each, "generation"), generation);
        assert_int_equal(strlen(trial_text(each, "attached_at")), 20);
        valid += member_or_0(results, "valid");
        assert_null(trial_member(results, "revoked"));
    }
    assert_int_equal(valid, 303);
    assert_non_null(process_of(list, scene->trial.pid)); /* the daemon counts too */
    freeReplyObject(reply);
    close(end[1]);
    for (unsigned i = 0; i < WORKERS; i++)
        await_end(pids[i]);
    reply = trial_ask(admin, "PROCESSES");
    assert_int_equal(trial_member(reply, "processes")->elements, 1);
    freeReplyObject(reply);
    assert_int_equal(result_of(admin, "valid"), 303);
    close(end[0]);
    redisFree(admin);
}

static void the_daemons_own_verifications_are_counted(void **state)
{
    struct scene *scene = *state;
    redisContext *admin = trial_connect(&scene->trial);
    for (unsigned i = 0; i < 3; i++)
        trial_do(admin, "KEY.VERIFY %s", scene->key.raw);
    trial_do(admin, "KEY.VERIFY rubbish");
    trial_do(admin, "KEY.VERIFY %s DRY", scene->key.raw);
    await_result_of(admin, "valid", 3);
    await_result_of(admin, "malformed", 1);
    redisFree(admin);
}

static void the_history_is_live_and_swept_once(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    for (unsigned round = 1; round <= 4; round++) {
        verify_times(latch, scene->key.raw, 25);
        verify_times(latch, "rubbish", 2);
        assert_history(admin, &scene->key, round * 25, 0);
        assert_result_history(admin, "valid", round * 25);
        assert_result_history(admin, "malformed", round * 2);
        uint64_t rounds = trial_stat(admin, "usage_rounds");
        while (trial_stat(admin, "usage_rounds") < rounds + 2)
            usleep(10000);
        assert_history(admin, &scene->key, round * 25, 0);
        assert_result_history(admin, "valid", round * 25);
    }
    trial_do(admin, "KEY.REVOKE %s", scene->key.id);
    verify_times(latch, scene->key.raw, 7);
    assert_history(admin, &scene->key, 100, 7);
    assert_result_history(admin, "revoked", 7);
    assert_history(admin, &scene->other, 0, 0);
    redisFree(admin);
    catlatch_close(latch);
}

static void what_was_counted_while_the_daemon_was_down_is_neither_lost_nor_doubled(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    for (unsigned round = 1; round <= 3; round++) {
        verify_times(latch, scene->key.raw, 10);
        if (round % 2 == 0)
            trial_stop(&scene->trial);
        else
            trial_kill(&scene->trial);
        verify_times(latch, scene->key.raw, 10);
        trial_start(&scene->trial);
        redisContext *admin = trial_connect(&scene->trial);
        await_result_of(admin, "valid", round * 20);
        assert_history(admin, &scene->key, round * 20, 0);
        assert_result_history(admin, "valid", round * 20);
        redisFree(admin);
    }
    catlatch_close(latch);
}

static void what_ended_processes_counted_stays(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    verify_times(latch, scene->key.raw, 10);
    catlatch_close(latch);
    trial_kill(&scene->trial);
    redisFree(admin);
    trial_start(&scene->trial);
    admin = trial_connect(&scene->trial);
    await_result_of(admin, "valid", 10);
    redisFree(admin);
}

static void what_is_not_kept_is_refused_and_a_reload_changes_it(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    verify_times(latch, scene->key.raw, 5);
    trial_refused(admin, "INVALID", "HISTORY %s STEP m", scene->key.id);
    assert_int_equal(sum_of(admin, scene->key.id, "h", "granted"), 5);
    trial_configure(&scene->trial, "usage_flush_interval = 1s");
    trial_do(admin, "RELOAD");
    assert_int_equal(sum_of(admin, scene->key.id, "d", "granted"), 5);
    verify_times(latch, scene->key.raw, 5);
    assert_true(sum_of(admin, scene->key.id, "m", "granted") >= 5);
    redisFree(admin);
    catlatch_close(latch);
}

static void bad_words_are_refused(void **state)
{
    struct scene *scene = *state;
    redisContext *admin = trial_connect(&scene->trial);
    trial_refused(admin, "INVALID", "HISTORY nothing");
    trial_refused(admin, "INVALID", "HISTORY %s %s", scene->key.id, scene->other.id);
    trial_refused(admin, "INVALID", "HISTORY STEP w");
    trial_refused(admin, "INVALID", "HISTORY SINCE yesterday");
    trial_refused(admin, "NOTFOUND", "HISTORY key_aaaaaaaaaaaab");
    redisReply *reply = trial_ask(admin, "HISTORY SINCE 1970-01-01T00:00:01Z UNTIL %s STEP m",
                                  "9999-01-01T00:00:00Z");
    assert_int_equal(trial_member(reply, "history")->elements, 0);
    assert_int_equal(strlen(trial_text(reply, "cursor")), 20);
    freeReplyObject(reply);
    redisFree(admin);
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
    return pid;
}

static void a_silent_keeper_delays_its_list_and_nothing_else(void **state)
{
    struct scene *scene = *state;
    redisContext *admin = trial_connect(&scene->trial), *other = trial_connect(&scene->trial);
    pid_t keeper = keeper_pid(&scene->trial);
    assert_int_equal(kill(keeper, SIGSTOP), 0);
    for (unsigned i = 0; i < 5; i++)
        redisAppendCommand(admin, "PROCESSES");
    int written = 0;
    while (written == 0)
        assert_int_equal(redisBufferWrite(admin, &written), REDIS_OK);
    uint64_t begin_ns = trial_clock_ns();
    for (unsigned i = 0; i < 100; i++)
        trial_do(other, "KEY.VERIFY %s", scene->key.raw);
    assert_true(trial_clock_ns() - begin_ns < UINT64_C(10000000000));
    for (unsigned i = 0; i < 5; i++) {
        redisReply *reply = NULL;
        assert_int_equal(redisGetReply(admin, (void **)&reply), REDIS_OK);
        assert_true(trial_is_error(reply, "UNAVAILABLE"));
        freeReplyObject(reply);
    }
    assert_int_equal(kill(keeper, SIGCONT), 0);
    redisFree(admin);
    redisFree(other);
}

#define EACH(test, open) cmocka_unit_test_setup_teardown(test, open, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(workers_are_listed_with_what_they_counted, open_scene),
        EACH(the_daemons_own_verifications_are_counted, open_scene),
        EACH(the_history_is_live_and_swept_once, open_scene),
        EACH(what_was_counted_while_the_daemon_was_down_is_neither_lost_nor_doubled, open_scene),
        EACH(what_was_counted_while_the_daemon_was_down_is_neither_lost_nor_doubled, open_slow),
        EACH(what_ended_processes_counted_stays, open_slow),
        EACH(what_is_not_kept_is_refused_and_a_reload_changes_it, open_without_minutes),
        EACH(bad_words_are_refused, open_scene),
        EACH(a_silent_keeper_delays_its_list_and_nothing_else, open_scene),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
