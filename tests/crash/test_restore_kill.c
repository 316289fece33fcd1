/* A restore that is killed at any point leaves the old store or the new one, never half of one; a
 * key that was revoked is refused before, during and after, by workers that verify throughout. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_outage.h"

/* So that a build takes some tens of milliseconds, in which to be killed. */
#define KEYS 3000

struct scene {
    struct trial trial;
    struct trial_key good, leaked;
    char backup[TRIAL_PATH_SIZE];
};

static int open_scene(void **state)
{
    static struct scene scene;
    scene = (struct scene){.backup = ""};
    trial_open(&scene.trial, "ballast_size = 4M\ncache_size = 8M");
    in_folder(scene.backup, scene.trial.folder, "backup");
    *state = &scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    trial_close(&scene->trial);
    return 0;
}

static const char *program(const char *name)
{
    static char path[TRIAL_PATH_SIZE];
    const char *build = getenv("CATLATCH_BUILD");
    in_folder(path, build != NULL ? build : "build", name);
    return path;
}

/* Starts the tool; nothing of what it says is wanted. */
static pid_t tool(const struct scene *scene, const char *verb, const char *option)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    if (freopen("/dev/null", "w", stdout) == NULL || freopen("/dev/null", "w", stderr) == NULL)
        _exit(99);
    execl(program("catlatch"), "catlatch", "-c", scene->trial.config, verb, scene->backup, option,
          NULL);
    _exit(98);
}

static int await_tool(pid_t pid)
{
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void back_up_then_revoke(struct scene *scene)
{
    trial_start(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(redisAppendCommand(admin, "KEY.CREATE NAME n%d OWNER many", i), REDIS_OK);
    for (int i = 0; i < KEYS; i++) {
        void *reply = NULL;
        assert_int_equal(redisGetReply(admin, &reply), REDIS_OK);
        freeReplyObject(reply);
    }
    trial_create(admin, "good", "alice", &scene->good);
    trial_create(admin, "leaked", "alice", &scene->leaked);
    assert_int_equal(await_tool(tool(scene, "backup", NULL)), 0);
    trial_do(admin, "KEY.REVOKE %s REASON leaked", scene->leaked.id);
    redisFree(admin);
}

static uint64_t epoch_of(const struct scene *scene)
{
    redisContext *admin = trial_connect(&scene->trial);
    uint64_t epoch = trial_stat(admin, "epoch");
    redisFree(admin);
    return epoch;
}

/* Both stores have all keys, and know which were revoked. */
static void assert_whole(const struct scene *scene)
{
    redisContext *admin = trial_connect(&scene->trial);
    redisReply *owner = trial_ask(admin, "OWNER.GET many");
    redisReply *log = trial_ask(admin, "LOG.VERIFY");
    assert_int_equal(trial_number(owner, "keys"), KEYS);
    assert_int_equal(trial_stat(admin, "keys"), KEYS + 2);
    assert_string_equal(trial_text(log, "problem"), "");
    assert_int_equal(trial_number(log, "end"), 1);
    trial_assert_state(admin, &scene->good, "active");
    trial_assert_state(admin, &scene->leaked, "revoked");
    freeReplyObject(owner);
    freeReplyObject(log);
    redisFree(admin);
}

static void workers_verify_throughout_a_restore(void **state)
{
    struct scene *scene = *state;
    back_up_then_revoke(scene);
    struct worker *good = start_worker(&scene->trial, scene->good.raw);
    struct worker *leaked = start_worker(&scene->trial, scene->leaked.raw);
    pid_t before = scene->trial.pid;
    for (unsigned i = 0; i < trial_scale(2, 20); i++) {
        assert_int_equal(await_tool(tool(scene, "restore", "--yes")), 0);
        await_answers(good, 1000);
        await_answers(leaked, 1000);
        assert_int_equal(epoch_of(scene), 2 + i);
        assert_whole(scene);
    }
    assert_true(trial_lives(&scene->trial)); /* it is the same process */
    assert_int_equal(scene->trial.pid, before);
    end_worker(good, CATLATCH_VALID);
    end_worker(leaked, CATLATCH_REVOKED);
}

/* The delays reach from the spool to the new table; what is seen at each end is counted. */
static void a_killed_restore_leaves_the_old_store_or_the_new(void **state)
{
    struct scene *scene = *state;
    unsigned rounds = trial_scale(12, 100), old = 0;
    back_up_then_revoke(scene);
    struct worker *good = start_worker(&scene->trial, scene->good.raw);
    struct worker *leaked = start_worker(&scene->trial, scene->leaked.raw);
    uint64_t epoch = epoch_of(scene);
    for (unsigned i = 0; i < rounds; i++) {
        pid_t pid = tool(scene, "restore", "--yes");
        poll(NULL, 0, (int)(20 + i * 600 / rounds));
        kill(pid, SIGSTOP); /* or it finds no daemon, and restores by itself */
        trial_kill(&scene->trial);
        kill(pid, SIGKILL);
        await_tool(pid);
        trial_start(&scene->trial);
        uint64_t now = epoch_of(scene);
        assert_in_range(now, epoch, epoch + 1);
        old += now == epoch;
        epoch = now;
        assert_whole(scene);
        assert_false(exists(scene->trial.state_dir, "store.new"));
        assert_false(exists(scene->trial.state_dir, "restore.spool"));
    }
    print_message("# %u of %u were killed before they took effect\n", old, rounds);
    end_worker(good, CATLATCH_VALID);
    end_worker(leaked, CATLATCH_REVOKED);
}

/* The same with no daemon: catlatchd --restore, killed. */
static void a_killed_restore_without_a_daemon_leaves_one_or_the_other(void **state)
{
    struct scene *scene = *state;
    unsigned rounds = trial_scale(8, 60);
    back_up_then_revoke(scene);
    struct worker *leaked = start_worker(&scene->trial, scene->leaked.raw);
    uint64_t epoch = epoch_of(scene);
    trial_stop(&scene->trial);
    for (unsigned i = 0; i < rounds; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            if (freopen("/dev/null", "w", stdout) == NULL)
                _exit(99);
            execl(program("catlatchd"), "catlatchd", "-c", scene->trial.config, "--restore",
                  scene->backup, NULL);
            _exit(98);
        }
        poll(NULL, 0, (int)(10 + i * 300 / rounds));
        kill(pid, SIGKILL);
        await_tool(pid);
        trial_start(&scene->trial);
        uint64_t now = epoch_of(scene);
        assert_in_range(now, epoch, epoch + 1);
        epoch = now;
        assert_whole(scene);
        trial_stop(&scene->trial);
    }
    end_worker(leaked, CATLATCH_REVOKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(workers_verify_throughout_a_restore, open_scene,
                                        close_scene),
        cmocka_unit_test_setup_teardown(a_killed_restore_leaves_the_old_store_or_the_new,
                                        open_scene, close_scene),
        cmocka_unit_test_setup_teardown(a_killed_restore_without_a_daemon_leaves_one_or_the_other,
                                        open_scene, close_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
