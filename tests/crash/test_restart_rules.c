/* What a start owes to readers of a table that nobody could mark: it waits before it acknowledges
 * anything, whoever died before it and whenever, and its five seconds count from its own table. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/growth.h"
#include "lib_outage.h"

/* What the daemon says when it waits. */
#define WAITING "waiting 5 s"

#define WAIT_NS INT64_C(5000000000)

/* Times of files are as fine as the kernel's tick; the loop's timers, a millisecond. */
#define CLOCK_GRAIN_NS INT64_C(25000000)

/* A table of so many keys takes some tens of milliseconds to make: enough to be caught at it. */
#define LARGE "max_stale = never\nexpected_keys = 300000"

static int open_trial(void **state)
{
    static struct trial trial;
    trial_open(&trial, "max_stale = never");
    *state = &trial;
    return 0;
}

static int open_large_trial(void **state)
{
    static struct trial trial;
    trial_open(&trial, LARGE);
    *state = &trial;
    return 0;
}

static int close_trial(void **state)
{
    trial_close(*state);
    return 0;
}

static unsigned count_said(const struct trial *trial, const char *text)
{
    char line[2048];
    unsigned count = 0;
    FILE *file = fopen(trial->log, "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        count += strstr(line, text) != NULL;
    fclose(file);
    return count;
}

static void await_said(struct trial *trial, const char *text, unsigned count)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    while (count_said(trial, text) < count) {
        assert_false(trial_is_ready_within(trial, 1)); /* it should have waited */
        assert_true(trial_lives(trial));
        assert_true(trial_clock_ns() < end_ns);
    }
}

/* As somebody does who tidies up: every name of every generation. */
static void remove_tables(const struct trial *trial)
{
    char path[TRIAL_PATH_SIZE], name[32];
    in_folder(path, trial->run_dir, "table");
    assert_int_equal(unlink(path), 0);
    for (unsigned number = 1; number < 10; number++) {
        snprintf(name, sizeof name, "table.%u", number);
        in_folder(path, trial->run_dir, name);
        unlink(path);
    }
}

/* Once a revoke was acknowledged, nothing that a reader still has may grant it. */
static void assert_revoke_holds(struct trial *trial, struct catlatch *latch,
                                const struct trial_key *key)
{
    assert_int_equal(trial_verify(latch, key->raw), CATLATCH_VALID); /* it does have the old one */
    revoke_key(trial, key);
    assert_int_not_equal(trial_verify(latch, key->raw), CATLATCH_VALID);
    trial_await_result(latch, key->raw, CATLATCH_REVOKED);
}

/* Keeps a reader's handle in use until the daemon is ready, so that it does what workers do. */
static void await_ready_verifying(struct trial *trial, struct catlatch *latch,
                                  const struct trial_key *key)
{
    while (!trial_is_ready_within(trial, 1)) {
        assert_true(trial_lives(trial));
        trial_verify(latch, key->raw);
    }
}

static void die_while_waiting(struct trial *trial, void (*end)(struct trial *trial))
{
    struct trial_key key;
    start_with_key(trial, &key);
    struct catlatch *busy = trial_attach(trial), *idle = trial_attach(trial);
    assert_int_equal(trial_verify(busy, key.raw), CATLATCH_VALID);
    trial_kill(trial);
    remove_tables(trial);
    trial_launch(trial, NULL);
    await_said(trial, WAITING, 1);
    end(trial);

    trial_launch(trial, NULL);
    await_said(trial, WAITING, 2);
    await_ready_verifying(trial, busy, &key);
    assert_revoke_holds(trial, busy, &key);
    assert_int_not_equal(trial_verify(idle, key.raw), CATLATCH_VALID);
    catlatch_close(busy);
    catlatch_close(idle);

    trial_kill(trial);
    trial_start(trial); /* what was owed is paid */
    assert_int_equal(count_said(trial, WAITING), 2);
}

static void the_wait_of_a_start_that_was_killed_in_it_is_owed_by_the_next(void **state)
{
    die_while_waiting(*state, trial_kill);
}

static void the_wait_of_a_start_that_was_stopped_in_it_is_owed_by_the_next(void **state)
{
    die_while_waiting(*state, trial_stop);
}

static void wake(void *context)
{
    (void)context; /* growth_step is asked again and again below */
}

/* The generation that is in place, as its daemon knew it. */
static struct generation generation_in_place(const struct trial *trial)
{
    char path[TRIAL_PATH_SIZE];
    struct stat status;
    size_t size;
    struct table_header *header = map_table(trial, &size);
    struct generation generation = {.number = header->generation};
    in_folder(path, trial->run_dir, "table");
    assert_int_equal(stat(path, &status), 0);
    generation.device = status.st_dev;
    generation.inode = status.st_ino;
    munmap(header, size);
    return generation;
}

/* Everything that a daemon does for a new generation, until it would switch. */
static void grow_until_ready(struct growth *growth)
{
    struct error error = {0};
    enum growth_progress progress;
    growth_plan(growth, 1, 64, 0, NULL, 0);
    assert_int_equal(growth_begin(growth, &error), 0);
    while ((progress = growth_step(growth, &error)) != GROWTH_READY) {
        if (progress == GROWTH_FAILED)
            fail_msg("%s", error.text);
        if (progress == GROWTH_WAITING)
            poll(NULL, 0, 1);
    }
}

/* With the store of a dead daemon, as if it lived: what was in run_dir is gone, and it makes and
 * records the next generation; it is killed before the rename, or after it and before it marked
 * the one without a name. */
static void republish_and_die(struct trial *trial, bool renamed)
{
    struct generation old = generation_in_place(trial);
    const struct store_options options = {.directory = trial->state_dir,
                                          .cache_size_bytes = 1u << 23};
    struct owners nobody = {NULL};
    struct growth growth = {.owners = &nobody,
                            .run_dir = trial->run_dir,
                            .wake = wake,
                            .old = &old,
                            .highest = old.number};
    struct error error = {0};
    assert_int_equal(store_open(&options, &growth.store, &error), 0);
    remove_tables(trial);
    grow_until_ready(&growth);
    struct generation *fresh = growth_take(&growth);
    table_set_sequence(&fresh->writer, store_sequence(growth.store));
    if (renamed)
        assert_int_equal(generation_publish(fresh, trial->run_dir, &error), 0);
    fresh->published = true; /* so that freeing leaves its file, as a kill does */
    generation_free(fresh, trial->run_dir);
    store_close(growth.store);
}

static void kill_at_republishing(struct trial *trial, bool renamed)
{
    struct trial_key key;
    start_with_key(trial, &key);
    struct catlatch *latch = trial_attach(trial);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_VALID);
    trial_kill(trial);
    republish_and_die(trial, renamed);
    assert_int_equal(exists(trial->run_dir, "table"), renamed);
    assert_true(exists(trial->run_dir, "table.2"));

    trial_launch(trial, NULL);
    await_said(trial, WAITING, 1);
    await_ready_verifying(trial, latch, &key);
    assert_revoke_holds(trial, latch, &key);
    catlatch_close(latch);
    trial_kill(trial);
    trial_start(trial);
    assert_int_equal(count_said(trial, WAITING), 1);
}

static void a_table_without_a_name_is_waited_for_when_its_successor_was_renamed(void **state)
{
    kill_at_republishing(*state, true);
}

static void a_table_without_a_name_is_waited_for_when_its_successor_was_not_renamed(void **state)
{
    kill_at_republishing(*state, false);
}

/* The living daemon marks the generation that had lost its names, and a change tells the store. */
static void a_daemon_that_marked_the_table_without_a_name_leaves_no_wait_behind(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    start_with_key(trial, &key);
    struct catlatch *latch = trial_attach(trial);
    uint64_t generation = generation_of(trial);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_VALID);
    remove_tables(trial);
    await_other_generation(trial, generation);
    revoke_key(trial, &key);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_REVOKED);
    catlatch_close(latch);
    trial_kill(trial);
    trial_start(trial);
    assert_false(trial_said(trial, WAITING));
}

/* Stops a starting daemon while it makes its table; false if that was over too soon. */
static bool stop_while_making(struct trial *trial, const char *table)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    while (!exists(trial->run_dir, table))
        assert_true(trial_clock_ns() < end_ns);
    assert_int_equal(kill(trial->pid, SIGSTOP), 0);
    return !exists(trial->run_dir, "table");
}

static int64_t changed_ns(const char *folder, const char *name)
{
    char path[TRIAL_PATH_SIZE];
    struct stat status;
    in_folder(path, folder, name);
    assert_int_equal(stat(path, &status), 0);
    return (int64_t)status.st_ctim.tv_sec * 1000000000 + status.st_ctim.tv_nsec;
}

static void the_wait_counts_from_the_table_however_long_that_took_to_fill(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    char table[32];
    bool stopped = false;
    start_with_key(trial, &key);
    trial_kill(trial);
    for (unsigned number = 2; number < 20 && !stopped; number++) {
        snprintf(table, sizeof table, "table.%u", number);
        trial_remove_tree(trial->run_dir);
        trial_launch(trial, NULL);
        stopped = stop_while_making(trial, table);
        if (!stopped)
            trial_kill(trial);
    }
    assert_true(stopped);
    poll(NULL, 0, 3000); /* so long a filling took; nothing is waited for */
    assert_int_equal(kill(trial->pid, SIGCONT), 0);
    trial_await_ready(trial);
    int64_t published_ns = changed_ns(trial->run_dir, "table");
    assert_true(trial_said(trial, WAITING));
    assert_true(changed_ns(trial->admin_dir, "catlatch.sock") - published_ns >=
                WAIT_NS - CLOCK_GRAIN_NS);
    assert_true(changed_ns(trial->run_dir, "catlatch.sock") - published_ns >=
                WAIT_NS - CLOCK_GRAIN_NS);
}

int main(void)
{
#define TRIAL_TEST(name) cmocka_unit_test_setup_teardown(name, open_trial, close_trial)
    const struct CMUnitTest tests[] = {
        TRIAL_TEST(the_wait_of_a_start_that_was_killed_in_it_is_owed_by_the_next),
        TRIAL_TEST(the_wait_of_a_start_that_was_stopped_in_it_is_owed_by_the_next),
        TRIAL_TEST(a_table_without_a_name_is_waited_for_when_its_successor_was_renamed),
        TRIAL_TEST(a_table_without_a_name_is_waited_for_when_its_successor_was_not_renamed),
        TRIAL_TEST(a_daemon_that_marked_the_table_without_a_name_leaves_no_wait_behind),
        cmocka_unit_test_setup_teardown(
            the_wait_counts_from_the_table_however_long_that_took_to_fill, open_large_trial,
            close_trial),
    };
    return cmocka_run_group_tests_name("restart_rules", tests, NULL, NULL);
}
