/* A change is on the disk before its reply is sent. kill -9 cannot show this, for the kernel keeps
 * what was written; so strace watches the daemon: between the request that it read and the reply
 * that it wrote lies a flush that succeeded, and no more of them than one. */
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

#include "../system/lib_daemon.h"

#define CHANGES 8u
#define MANY 2000u

struct scene {
    struct trial trial;
    char trace[TRIAL_PATH_SIZE + 8];
    const char *wrapper[16];
};

static bool may_trace;

static int try_strace(void **state)
{
    int status = -1;
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        execlp("strace", "strace", "-D", "-f", "-o", "/dev/null", "true", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    may_trace = geteuid() == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!may_trace)
        print_message("# skipped: %s\n", geteuid() != 0
                                             ? "only root can see what the daemon reads and writes"
                                             : "strace is not here, or nothing may be traced");
    return 0;
}

static int open_scene(void **state)
{
    static struct scene scene;
    trial_open(&scene.trial, "expected_keys = 10000\ncheckpoint_interval = 1d");
    snprintf(scene.trace, sizeof scene.trace, "%s/trace", scene.trial.folder);
    const char *const wrapper[] = {"strace",
                                   "-D",
                                   "-f",
                                   "-s",
                                   "48",
                                   "-e",
                                   "trace=read,recvmsg,recvfrom,write,writev,sendmsg,sendto,"
                                   "fsync,fdatasync,sync_file_range,msync",
                                   "-o",
                                   scene.trace,
                                   NULL};
    memcpy(scene.wrapper, wrapper, sizeof wrapper);
    scene.trial.wrapper = scene.wrapper;
    /* Where the build has a leak detector: it is no good under strace, and says so by failing. */
    assert_int_equal(setenv("ASAN_OPTIONS", "detect_leaks=0", 1), 0);
    *state = &scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    trial_close(&scene->trial);
    return 0;
}

static bool has(const char *line, const char *text)
{
    return strstr(line, text) != NULL;
}

/* Lines say when a call ended, but for those of calls that were interrupted by another thread's
 * line: these begin there and end where they are "resumed". */
static bool is_flush(const char *line)
{
    return (has(line, "fdatasync") || has(line, "fsync")) && has(line, "= 0");
}

static bool is_request(const char *line, const char *command)
{
    return has(line, command) && (has(line, "read") || has(line, "recv"));
}

/* Maps begin a reply to a change; what the daemon says otherwise begins with a word. */
static bool is_reply(const char *line)
{
    return (has(line, "write") || has(line, "send")) && has(line, "\"*");
}

struct flushes {
    unsigned replies;
    unsigned least; /* between one request and its reply */
    unsigned most;
};

static struct flushes read_trace(const struct scene *scene, const char *command)
{
    struct flushes flushes = {.least = UINT32_MAX};
    char line[4096];
    bool asked = false;
    unsigned seen = 0;
    FILE *file = fopen(scene->trace, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (is_request(line, command)) {
            asked = true;
            seen = 0;
        } else if (is_flush(line)) {
            seen++;
        } else if (asked && is_reply(line)) {
            asked = false;
            flushes.replies++;
            flushes.least = seen < flushes.least ? seen : flushes.least;
            flushes.most = seen > flushes.most ? seen : flushes.most;
        }
    }
    fclose(file);
    return flushes;
}

/* strace writes its lines after the fact: the last ones are there when it has ended, which is after
 * the daemon has. */
static void stop(struct scene *scene)
{
    char line[4096];
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    long pid = (long)scene->trial.pid;
    bool ended = false;
    trial_stop(&scene->trial);
    while (!ended) {
        FILE *file = fopen(scene->trace, "re");
        assert_non_null(file);
        while (fgets(line, sizeof line, file) != NULL)
            ended = ended || (has(line, "+++ exited with 0") && atol(line) == pid);
        fclose(file);
        assert_true(trial_clock_ns() < end_ns);
    }
}

static void assert_one_flush_each(const struct scene *scene, const char *command, unsigned count)
{
    struct flushes flushes = read_trace(scene, command);
    if (flushes.replies != count || flushes.least != 1 || flushes.most != 1)
        fail_msg("%s: %u replies, %u to %u flushes before each", command, flushes.replies,
                 flushes.least, flushes.most);
}

static void every_change_takes_one_flush_before_its_reply(void **state)
{
    struct scene *scene = *state;
    struct trial_key keys[CHANGES];
    if (!may_trace)
        skip();
    trial_start(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    for (unsigned i = 0; i < CHANGES; i++)
        trial_create(admin, "a key", "alice", &keys[i]);
    for (unsigned i = 0; i < CHANGES; i++) {
        trial_do(admin, "KEY.UPDATE %s SET name other", keys[i].id);
        trial_do(admin, "KEY.DISABLE %s", keys[i].id);
        trial_do(admin, "KEY.ENABLE %s", keys[i].id);
        trial_do(admin, "KEY.ROTATE %s", keys[i].id);
        trial_do(admin, "OWNER.SUSPEND alice");
        trial_do(admin, "OWNER.RESUME alice");
        trial_do(admin, "KEY.REVOKE %s", keys[i].id);
    }
    redisFree(admin);
    stop(scene);
    static const char *const commands[] = {"KEY.CREATE", "KEY.UPDATE",  "KEY.DISABLE",
                                           "KEY.ENABLE", "KEY.ROTATE",  "OWNER.SUSPEND",
                                           "KEY.REVOKE", "OWNER.RESUME"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        assert_one_flush_each(scene, commands[i], CHANGES);
}

/* Creates pipelined; returns how many flushes that took. */
static uint64_t create_many(redisContext *admin, char (*ret_ids)[32])
{
    uint64_t before = trial_stat(admin, "batches");
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(redisAppendCommand(admin, "KEY.CREATE NAME n OWNER bob"), REDIS_OK);
    for (unsigned i = 0; i < MANY; i++) {
        void *reply = NULL;
        assert_int_equal(redisGetReply(admin, &reply), REDIS_OK);
        snprintf(ret_ids[i], sizeof ret_ids[i], "%s", trial_text(reply, "id"));
        freeReplyObject(reply);
    }
    return trial_stat(admin, "batches") - before;
}

static void a_revoke_of_many_keys_takes_one_flush(void **state)
{
    struct scene *scene = *state;
    static char ids[MANY][32];
    const char *words[MANY + 1] = {"KEY.REVOKE"};
    if (!may_trace)
        skip();
    trial_start(&scene->trial);
    redisContext *admin = trial_connect(&scene->trial);
    uint64_t batches = create_many(admin, ids);
    assert_in_range(batches, 1, MANY / 2); /* waiting changes share a flush */
    for (unsigned i = 0; i < MANY; i++)
        words[i + 1] = ids[i];
    redisReply *reply = redisCommandArgv(admin, MANY + 1, words, NULL);
    assert_non_null(reply);
    assert_int_equal(trial_number(reply, "count"), MANY);
    freeReplyObject(reply);
    redisFree(admin);
    stop(scene);
    assert_one_flush_each(scene, "KEY.REVOKE", 1);
}

int main(void)
{
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(every_change_takes_one_flush_before_its_reply),
        SCENE_TEST(a_revoke_of_many_keys_takes_one_flush),
    };
    return cmocka_run_group_tests_name("flush", tests, try_strace, NULL);
}
