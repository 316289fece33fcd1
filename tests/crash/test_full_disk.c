/* Full disks, real ones: a tmpfs for state_dir or run_dir in a mount namespace of the test's own.
 * Creating fails and says so, revoking works, nothing is half done, and the daemon lives. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../system/lib_daemon.h"

#define KEYS 64u

/* Holds the store, its ballast (16 MiB) and a log file (8 MiB), and some more. */
#define STATE_OPTIONS "mode=0700,size=48m"

/* Holds the first table of sixteen keys, which is a little over 100 KiB, and not a second. */
#define RUN_OPTIONS "mode=0755,size=200k"

struct scene {
    struct trial trial;
    struct trial_key keys[KEYS];
    char mounted[TRIAL_PATH_SIZE];
    char filler[TRIAL_PATH_SIZE + 16];
    redisContext *admin;
    struct catlatch *latch;
};

static bool may_mount;

static int enter_namespace(void **state)
{
    (void)state;
    may_mount = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    if (!may_mount)
        print_message("# skipped: no mount namespace of its own (%s); run as root\n",
                      strerror(errno));
    return 0;
}

static int open_scene(void **state)
{
    static struct scene scene;
    scene = (struct scene){.admin = NULL};
    trial_open(&scene.trial, "expected_keys = 16\nballast_size = 16M");
    *state = &scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    if (scene->admin != NULL)
        redisFree(scene->admin);
    catlatch_close(scene->latch);
    if (scene->mounted[0] != '\0')
        umount2(scene->mounted, MNT_DETACH);
    trial_close(&scene->trial);
    return 0;
}

static void mount_at(struct scene *scene, const char *path, const char *options)
{
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options), 0);
    snprintf(scene->mounted, sizeof scene->mounted, "%s", path);
    snprintf(scene->filler, sizeof scene->filler, "%s/filler", path);
}

/* Leaves not one block. */
static void fill_disk(struct scene *scene)
{
    static const char zeros[65536];
    int fd = open(scene->filler, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    for (size_t size = sizeof zeros; size >= 512; size /= 2)
        while (write(fd, zeros, size) == (ssize_t)size)
            continue;
    assert_int_equal(errno, ENOSPC);
    close(fd);
}

static void start_with_keys(struct scene *scene, unsigned count)
{
    trial_start(&scene->trial);
    scene->admin = trial_connect(&scene->trial);
    for (unsigned i = 0; i < count; i++)
        trial_create(scene->admin, "a key", "alice", &scene->keys[i]);
    scene->latch = trial_attach(&scene->trial);
}

static void restart(struct scene *scene)
{
    redisFree(scene->admin);
    scene->admin = NULL;
    trial_kill(&scene->trial);
    trial_start(&scene->trial);
    scene->admin = trial_connect(&scene->trial);
}

static void assert_owned(struct scene *scene, unsigned count)
{
    redisReply *owner = trial_ask(scene->admin, "OWNER.GET alice");
    redisReply *list = trial_ask(scene->admin, "KEY.LIST OWNER alice STATE active LIMIT 1000");
    assert_int_equal(trial_number(owner, "keys"), count);
    assert_int_equal(trial_member(list, "keys")->elements, count);
    freeReplyObject(owner);
    freeReplyObject(list);
}

static void revoke_one(struct scene *scene, unsigned number)
{
    trial_do(scene->admin, "KEY.REVOKE %s", scene->keys[number].id);
    assert_int_equal(trial_verify(scene->latch, scene->keys[number].raw), CATLATCH_REVOKED);
}

/* From full to not: the daemon finds out by itself, at the next change or within seconds. */
static void await_create(struct scene *scene)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    for (;;) {
        redisReply *reply = trial_ask(scene->admin, "KEY.CREATE NAME late OWNER bob");
        bool refused = reply->type == REDIS_REPLY_ERROR;
        if (refused && !trial_is_error(reply, "FULL"))
            fail_msg("KEY.CREATE: %s", reply->str);
        freeReplyObject(reply);
        if (!refused)
            return;
        assert_true(trial_clock_ns() < end_ns);
        poll(NULL, 0, 50);
    }
}

static bool has_ballast(const struct scene *scene)
{
    char path[TRIAL_PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/ballast", scene->trial.state_dir);
    return access(path, F_OK) == 0;
}

static void await_ballast(const struct scene *scene)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    while (!has_ballast(scene)) {
        assert_true(trial_clock_ns() < end_ns);
        poll(NULL, 0, 20);
    }
}

static void on_a_full_disk_creating_is_refused_and_revoking_works(void **state)
{
    struct scene *scene = *state;
    if (!may_mount)
        skip();
    mount_at(scene, scene->trial.state_dir, STATE_OPTIONS);
    start_with_keys(scene, KEYS);
    await_ballast(scene);
    fill_disk(scene);
    for (unsigned i = 0; i < 3; i++)
        trial_refused(scene->admin, "FULL", "KEY.CREATE NAME none OWNER alice");
    trial_refused(scene->admin, "FULL", "KEY.UPDATE %s SET name other", scene->keys[0].id);
    trial_refused(scene->admin, "FULL", "KEY.ROTATE %s", scene->keys[0].id);
    assert_owned(scene, KEYS);
    assert_true(has_ballast(scene)); /* it is not for those */

    revoke_one(scene, 0);
    trial_do(scene->admin, "KEY.DISABLE %s", scene->keys[1].id);
    assert_int_equal(trial_verify(scene->latch, scene->keys[1].raw), CATLATCH_DISABLED);
    trial_do(scene->admin, "OWNER.SUSPEND alice");
    assert_int_equal(trial_verify(scene->latch, scene->keys[2].raw), CATLATCH_DISABLED);
    assert_true(trial_lives(&scene->trial));
}

static void a_full_disk_that_gets_room_again_takes_everything(void **state)
{
    struct scene *scene = *state;
    if (!may_mount)
        skip();
    mount_at(scene, scene->trial.state_dir, STATE_OPTIONS);
    start_with_keys(scene, KEYS);
    await_ballast(scene);
    fill_disk(scene);
    revoke_one(scene, 0);
    assert_int_equal(unlink(scene->filler), 0);
    await_create(scene);
    await_ballast(scene);
    assert_owned(scene, KEYS - 1);
    restart(scene);
    assert_owned(scene, KEYS - 1);
    trial_assert_state(scene->admin, &scene->keys[0], "revoked");
}

/* Filled up again and again until the ballast is used up too. */
static void without_any_room_at_all_nothing_is_half_done_and_the_daemon_lives(void **state)
{
    struct scene *scene = *state;
    bool revoked[KEYS] = {false};
    unsigned left = KEYS;
    if (!may_mount)
        skip();
    mount_at(scene, scene->trial.state_dir, STATE_OPTIONS);
    start_with_keys(scene, KEYS);
    for (unsigned i = 0; i < KEYS; i++) {
        fill_disk(scene);
        redisReply *reply = trial_ask(scene->admin, "KEY.REVOKE %s", scene->keys[i].id);
        revoked[i] = reply->type != REDIS_REPLY_ERROR;
        if (!revoked[i] && !trial_is_error(reply, "FULL"))
            fail_msg("KEY.REVOKE: %s", reply->str);
        left -= revoked[i];
        freeReplyObject(reply);
    }
    assert_true(left > 0); /* it did run out of room */
    assert_true(left < KEYS);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(trial_verify(scene->latch, scene->keys[i].raw),
                         revoked[i] ? CATLATCH_REVOKED : CATLATCH_VALID);
    assert_owned(scene, left);
    assert_true(trial_lives(&scene->trial));
    assert_int_equal(unlink(scene->filler), 0);
    await_create(scene);
    restart(scene);
    assert_owned(scene, left);
}

static void a_daemon_killed_on_a_full_disk_recovers_on_it_and_can_revoke(void **state)
{
    struct scene *scene = *state;
    if (!may_mount)
        skip();
    mount_at(scene, scene->trial.state_dir, STATE_OPTIONS);
    start_with_keys(scene, KEYS);
    await_ballast(scene);
    fill_disk(scene);
    trial_refused(scene->admin, "FULL", "KEY.CREATE NAME none OWNER alice");
    restart(scene);
    assert_owned(scene, KEYS);
    trial_await_result(scene->latch, scene->keys[0].raw, CATLATCH_VALID);
    revoke_one(scene, 0);
    assert_int_equal(unlink(scene->filler), 0);
    await_create(scene);
    restart(scene);
    assert_owned(scene, KEYS - 1);
}

/* What the ballast left is for revoking and for recovering, and a start forgets that no more than
 * the daemon that released it. */
static void a_daemon_killed_after_the_ballast_was_spent_keeps_its_room_for_revoking(void **state)
{
    struct scene *scene = *state;
    if (!may_mount)
        skip();
    mount_at(scene, scene->trial.state_dir, STATE_OPTIONS);
    start_with_keys(scene, KEYS);
    await_ballast(scene);
    fill_disk(scene);
    revoke_one(scene, 0);
    assert_false(has_ballast(scene));
    restart(scene);
    for (unsigned i = 0; i < 3; i++)
        trial_refused(scene->admin, "FULL", "KEY.CREATE NAME none OWNER alice");
    trial_await_result(scene->latch, scene->keys[1].raw, CATLATCH_VALID);
    revoke_one(scene, 1);
    restart(scene);
    assert_owned(scene, KEYS - 2);
    assert_int_equal(unlink(scene->filler), 0);
    await_create(scene);
    await_ballast(scene);
    restart(scene);
    trial_do(scene->admin, "KEY.CREATE NAME more OWNER alice");
}

/* What a start itself must write is little, and there is the ballast for it. */
static void a_daemon_that_was_stopped_starts_on_a_full_disk_and_can_revoke(void **state)
{
    struct scene *scene = *state;
    if (!may_mount)
        skip();
    mount_at(scene, scene->trial.state_dir, STATE_OPTIONS);
    start_with_keys(scene, KEYS);
    await_ballast(scene);
    redisFree(scene->admin);
    scene->admin = NULL;
    trial_stop(&scene->trial);
    trial_start(&scene->trial);
    trial_stop(&scene->trial);
    fill_disk(scene);
    trial_start(&scene->trial);
    scene->admin = trial_connect(&scene->trial);
    trial_await_result(scene->latch, scene->keys[0].raw, CATLATCH_VALID);
    revoke_one(scene, 0);
    trial_refused(scene->admin, "FULL", "KEY.CREATE NAME none OWNER alice");
    assert_owned(scene, KEYS - 1);
    assert_int_equal(unlink(scene->filler), 0);
    await_create(scene);
    restart(scene);
    trial_assert_state(scene->admin, &scene->keys[0], "revoked");
}

/* Creates until there is no room for a larger table; returns how many there are. */
static unsigned create_until_full(struct scene *scene)
{
    for (unsigned count = 0; count < 4096; count++) {
        redisReply *reply = trial_ask(scene->admin, "KEY.CREATE NAME more OWNER alice");
        bool refused = reply->type == REDIS_REPLY_ERROR;
        if (refused && !trial_is_error(reply, "FULL"))
            fail_msg("KEY.CREATE: %s", reply->str);
        freeReplyObject(reply);
        if (refused)
            return count;
    }
    fail_msg("run_dir never got full");
    return 0;
}

static void without_room_for_a_larger_table_creating_is_refused_and_the_rest_goes_on(void **state)
{
    struct scene *scene = *state;
    const unsigned first = 4;
    if (!may_mount)
        skip();
    mount_at(scene, scene->trial.run_dir, RUN_OPTIONS);
    start_with_keys(scene, first);
    uint64_t generation = trial_stat(scene->admin, "generation");
    unsigned count = first + create_until_full(scene);
    assert_owned(scene, count);
    trial_refused(scene->admin, "FULL", "KEY.CREATE NAME none OWNER alice");
    assert_true(trial_stat(scene->admin, "generation") == generation);

    assert_int_equal(trial_verify(scene->latch, scene->keys[3].raw), CATLATCH_VALID);
    revoke_one(scene, 0);
    trial_do(scene->admin, "KEY.DISABLE %s", scene->keys[1].id);
    assert_int_equal(trial_verify(scene->latch, scene->keys[1].raw), CATLATCH_DISABLED);
    trial_do(scene->admin, "KEY.ENABLE %s", scene->keys[1].id);
    assert_int_equal(trial_verify(scene->latch, scene->keys[1].raw), CATLATCH_VALID);
    trial_do(scene->admin, "KEY.UPDATE %s SET expires now", scene->keys[2].id);
    assert_int_equal(trial_verify(scene->latch, scene->keys[2].raw), CATLATCH_EXPIRED);
    /* What narrows a key and needs a slot has the reserve. */
    trial_do(scene->admin, "KEY.UPDATE %s SET not_before 2999-01-01T00:00:00Z", scene->keys[1].id);
    assert_int_equal(trial_verify(scene->latch, scene->keys[1].raw), CATLATCH_NOT_YET_VALID);

    assert_int_equal(
        mount(NULL, scene->mounted, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, "mode=0755,size=4m"),
        0);
    await_create(scene);
    assert_true(trial_stat(scene->admin, "generation") > generation);
    assert_int_equal(trial_verify(scene->latch, scene->keys[0].raw), CATLATCH_REVOKED);
    assert_int_equal(trial_verify(scene->latch, scene->keys[3].raw), CATLATCH_VALID);
}

static void a_start_without_room_for_a_second_table_says_so_and_workers_go_on(void **state)
{
    struct scene *scene = *state;
    if (!may_mount)
        skip();
    mount_at(scene, scene->trial.run_dir, RUN_OPTIONS);
    start_with_keys(scene, 4);
    redisFree(scene->admin);
    scene->admin = NULL;
    trial_kill(&scene->trial);
    trial_launch(&scene->trial, NULL);
    assert_int_equal(trial_await_refusal(&scene->trial), 74);
    assert_true(trial_said(&scene->trial, scene->mounted));
    assert_int_equal(trial_verify(scene->latch, scene->keys[0].raw), CATLATCH_VALID);
    assert_int_equal(
        mount(NULL, scene->mounted, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, "mode=0755,size=4m"),
        0);
    trial_start(&scene->trial);
    scene->admin = trial_connect(&scene->trial);
    trial_await_result(scene->latch, scene->keys[0].raw, CATLATCH_VALID);
    revoke_one(scene, 0);
}

int main(void)
{
#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, open_scene, close_scene)
    const struct CMUnitTest tests[] = {
        SCENE_TEST(on_a_full_disk_creating_is_refused_and_revoking_works),
        SCENE_TEST(a_full_disk_that_gets_room_again_takes_everything),
        SCENE_TEST(without_any_room_at_all_nothing_is_half_done_and_the_daemon_lives),
        SCENE_TEST(a_daemon_killed_on_a_full_disk_recovers_on_it_and_can_revoke),
        SCENE_TEST(a_daemon_killed_after_the_ballast_was_spent_keeps_its_room_for_revoking),
        SCENE_TEST(a_daemon_that_was_stopped_starts_on_a_full_disk_and_can_revoke),
        SCENE_TEST(without_room_for_a_larger_table_creating_is_refused_and_the_rest_goes_on),
        SCENE_TEST(a_start_without_room_for_a_second_table_says_so_and_workers_go_on),
    };
    return cmocka_run_group_tests_name("full_disk", tests, enter_namespace, NULL);
}
