/* No daemon, no table, or a table that is none: what readers answer, and that it passes. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_outage.h"

static int open_trial(void **state)
{
    static struct trial trial;
    /* Beats come often, so that a machine that stands still for a second or two is not taken for a
     * daemon that is gone. */
    trial_open(&trial, "max_stale = never\nheartbeat_interval = 100ms");
    *state = &trial;
    return 0;
}

static int close_trial(void **state)
{
    trial_close(*state);
    return 0;
}

static void workers_old_and_new_verify_while_the_daemon_is_down(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    start_with_key(trial, &key);
    struct worker *worker = start_worker(trial, key.raw);
    trial_kill(trial);
    struct catlatch *fresh = trial_attach(trial);
    assert_int_equal(trial_verify(fresh, key.raw), CATLATCH_VALID);
    age_heartbeat(trial, 3600000); /* they look at the path now */
    await_answers(worker, 1000);
    assert_int_equal(trial_verify(fresh, key.raw), CATLATCH_VALID);
    struct catlatch *late = trial_attach(trial);
    assert_int_equal(trial_verify(late, key.raw), CATLATCH_VALID);
    trial_start(trial);
    await_answers(worker, 1000);
    end_worker(worker, CATLATCH_VALID);
    revoke_key(trial, &key);
    assert_int_equal(trial_verify(fresh, key.raw), CATLATCH_REVOKED);
    assert_int_equal(trial_verify(late, key.raw), CATLATCH_REVOKED);
    catlatch_close(fresh);
    catlatch_close(late);
}

static void a_clean_stop_leaves_a_table_to_verify_with(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    start_with_key(trial, &key);
    struct worker *worker = start_worker(trial, key.raw);
    trial_stop(trial);
    await_answers(worker, 1000);
    trial_start(trial);
    await_answers(worker, 1000);
    end_worker(worker, CATLATCH_VALID);
    assert_false(trial_said(trial, "waiting 5 s"));
}

static void past_max_stale_the_answer_is_unavailable_until_the_daemon_is_back(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    trial_configure(trial, "max_stale = 40s");
    start_with_key(trial, &key);
    struct catlatch *latch = trial_attach(trial);
    trial_kill(trial);
    age_heartbeat(trial, 10000);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_VALID);
    age_heartbeat(trial, 40500);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_UNAVAILABLE);
    struct catlatch *late = trial_attach(trial);
    assert_int_equal(trial_verify(late, key.raw), CATLATCH_UNAVAILABLE);
    trial_start(trial);
    assert_int_equal(catlatch_refresh(latch), 0);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_VALID);
    trial_await_result(late, key.raw, CATLATCH_VALID);
    catlatch_close(latch);
    catlatch_close(late);
}

/* Or every answer would be unavailable once max_stale is over. */
static void the_heart_of_a_daemon_that_lives_goes_on_beating(void **state)
{
    struct trial *trial = *state;
    size_t size;
    trial_start(trial);
    struct table_header *header = map_table(trial, &size);
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    for (unsigned beats = 0; beats < 3; beats++) {
        uint64_t before = atomic_load(&header->pulse);
        while (atomic_load(&header->pulse) == before) {
            assert_true(trial_clock_ns() < end_ns);
            poll(NULL, 0, 1);
        }
        assert_true(atomic_load(&header->pulse) > before);
    }
    assert_true(atomic_load(&header->pulse) != TABLE_PULSE_SUPERSEDED);
    munmap(header, size);
}

static void without_any_table_the_answer_is_unavailable(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    struct catlatch *early = trial_attach(trial);
    start_with_key(trial, &key);
    trial_stop(trial);
    trial_await_result(early, key.raw, CATLATCH_VALID);
    trial_remove_tree(trial->run_dir);
    struct catlatch *latch = trial_attach(trial);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_UNAVAILABLE);
    assert_int_equal(catlatch_refresh(latch), CATLATCH_E_UNAVAILABLE);
    catlatch_close(early);
    catlatch_close(latch);
}

enum foreign { FOREIGN_EMPTY, FOREIGN_BYTES, FOREIGN_HEADER, FOREIGN_LINK, FOREIGN_FIFO, FOREIGNS };

static void write_foreign(const struct trial *trial, const char *path, enum foreign kind)
{
    unsigned char bytes[3 * TABLE_PAGE];
    size_t size = kind == FOREIGN_EMPTY ? 0 : sizeof bytes, table_bytes;
    memset(bytes, 0xa5, sizeof bytes);
    if (kind == FOREIGN_HEADER) { /* ours, cut short */
        struct table_header *header = map_table(trial, &table_bytes);
        memcpy(bytes, header, TABLE_PAGE);
        munmap(header, table_bytes);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static void put_in_place(const struct trial *trial, enum foreign kind)
{
    char path[TRIAL_PATH_SIZE], table[TRIAL_PATH_SIZE];
    in_folder(path, trial->run_dir, "foreign");
    in_folder(table, trial->run_dir, "table");
    switch (kind) {
    case FOREIGN_EMPTY:
    case FOREIGN_BYTES:
    case FOREIGN_HEADER:
        write_foreign(trial, path, kind);
        break;
    case FOREIGN_LINK:
        assert_int_equal(symlink("/dev/zero", path), 0);
        break;
    case FOREIGN_FIFO:
        assert_int_equal(mkfifo(path, 0640), 0);
        break;
    case FOREIGNS:
        break;
    }
    assert_int_equal(rename(path, table), 0);
}

/* The old table has been marked, and the worker has looked at what is in place since. */
static void await_changeover(struct trial *trial, struct worker *worker, uint64_t generation)
{
    await_other_generation(trial, generation);
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    redisContext *admin = trial_connect(trial);
    while (trial_stat(admin, "growing") != 0)
        assert_true(trial_clock_ns() < end_ns);
    redisFree(admin);
    await_answers(worker, 2); /* the first may have begun before */
}

static void a_foreign_table_is_replaced_under_workers_that_never_see_it(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    start_with_key(trial, &key);
    struct worker *worker = start_worker(trial, key.raw);
    struct catlatch *latch = trial_attach(trial);
    for (enum foreign kind = 0; kind < FOREIGNS; kind++) {
        uint64_t generation = generation_of(trial);
        put_in_place(trial, kind);
        await_changeover(trial, worker, generation);
        assert_int_equal(trial_verify(latch, key.raw), CATLATCH_VALID);
    }
    end_worker(worker, CATLATCH_VALID);
    revoke_key(trial, &key);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_REVOKED);
    catlatch_close(latch);
}

static void a_foreign_table_without_a_daemon_is_unavailable_until_it_starts(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    start_with_key(trial, &key);
    struct catlatch *attached = trial_attach(trial);
    for (enum foreign kind = 0; kind < FOREIGNS; kind++) {
        trial_kill(trial);
        age_heartbeat(trial, 3500);
        put_in_place(trial, kind);
        struct catlatch *fresh = trial_attach(trial);
        assert_int_equal(trial_verify(fresh, key.raw), CATLATCH_UNAVAILABLE);
        assert_int_equal(catlatch_refresh(attached), CATLATCH_E_UNAVAILABLE);
        assert_int_equal(trial_verify(attached, key.raw), CATLATCH_UNAVAILABLE);
        trial_start(trial);
        trial_await_result(fresh, key.raw, CATLATCH_VALID);
        trial_await_result(attached, key.raw, CATLATCH_VALID);
        catlatch_close(fresh);
    }
    catlatch_close(attached);
}

int main(void)
{
#define TRIAL_TEST(name) cmocka_unit_test_setup_teardown(name, open_trial, close_trial)
    const struct CMUnitTest tests[] = {
        TRIAL_TEST(workers_old_and_new_verify_while_the_daemon_is_down),
        TRIAL_TEST(a_clean_stop_leaves_a_table_to_verify_with),
        TRIAL_TEST(past_max_stale_the_answer_is_unavailable_until_the_daemon_is_back),
        TRIAL_TEST(the_heart_of_a_daemon_that_lives_goes_on_beating),
        TRIAL_TEST(without_any_table_the_answer_is_unavailable),
        TRIAL_TEST(a_foreign_table_is_replaced_under_workers_that_never_see_it),
        TRIAL_TEST(a_foreign_table_without_a_daemon_is_unavailable_until_it_starts),
    };
    return cmocka_run_group_tests_name("outage", tests, NULL, NULL);
}
