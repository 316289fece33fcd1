/* Tables that nobody marked, tables that are gone, and stores of yesterday: no reader stays behind
 * with what was taken away, and no daemon brings it back. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/generation.h"
#include "daemon/store.h"
#include "lib_outage.h"

static int open_trial(void **state)
{
    static struct trial trial;
    trial_open(&trial, "max_stale = never");
    *state = &trial;
    return 0;
}

static int close_trial(void **state)
{
    trial_close(*state);
    return 0;
}

static void run_command(const char *const *argv)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void copy_tree(const char *from, const char *to)
{
    const char *const argv[] = {"cp", "-a", from, to, NULL};
    run_command(argv);
}

static struct text text_of_string(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void publish_key(struct table_writer *writer, const struct trial_key *key)
{
    struct table_claim claim;
    struct table_entry entry = {
        .name = text_of_string("the key"),
        .owner = text_of_string("alice"),
        .prefix = {key->raw, KEY_SHOWN_LEN},
        .environment = text_of_string("live"),
        .environment_prefix = text_of_string("cc_live_"),
    };
    digest_of(key->raw, strlen(key->raw), &entry.digest);
    assert_int_equal(key_id_parse(key->id, strlen(key->id), &entry.id), 0);
    assert_int_equal(table_claim(writer, &entry, TABLE_ORDINARY, &claim), 0);
    table_publish(writer, &claim);
}

/* What the store remembers of a generation before it is renamed into place. */
static void record_generation(const struct trial *trial, const struct generation *generation)
{
    const struct store_options options = {.directory = trial->state_dir,
                                          .cache_size_bytes = 1u << 23};
    struct store_generation recorded = {.number = generation->number};
    struct store *store;
    struct error error;
    memcpy(recorded.boot_id, generation->writer.header->boot_id, sizeof recorded.boot_id);
    assert_int_equal(store_open(&options, &store, &error), 0);
    assert_int_equal(store_set_generation(store, &recorded, &error), 0);
    store_close(store);
}

/* The next generation, in place, while the one before it is not marked. */
static void publish_without_marking(const struct trial *trial, const struct trial_key *key)
{
    size_t size;
    struct error error;
    struct generation *next;
    struct table_header *header = map_table(trial, &size);
    const struct table_params params = {.generation = header->generation + 1,
                                        .epoch = header->epoch,
                                        .capacity = 64,
                                        .side_bytes_per_key = TABLE_SIDE_BYTES_PER_KEY};
    assert_int_equal(generation_make(trial->run_dir, &params, &next, &error), 0);
    publish_key(&next->writer, key);
    table_set_sequence(&next->writer, atomic_load(&header->sequence));
    record_generation(trial, next);
    assert_int_equal(generation_publish(next, trial->run_dir, &error), 0);
    generation_free(next, trial->run_dir);
    munmap(header, size);
}

static void readers_of_a_table_that_was_never_marked_see_the_first_revoke(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    start_with_key(trial, &key);
    struct catlatch *first = trial_attach(trial);
    assert_int_equal(trial_verify(first, key.raw), CATLATCH_VALID);
    trial_kill(trial);
    publish_without_marking(trial, &key);
    struct catlatch *second = trial_attach(trial);
    assert_int_equal(trial_verify(second, key.raw), CATLATCH_VALID);
    assert_int_equal(trial_verify(first, key.raw), CATLATCH_VALID);

    trial_start(trial);
    assert_false(trial_said(trial, "waiting 5 s")); /* both were found */
    assert_int_equal(trial_verify(first, key.raw), CATLATCH_VALID);
    revoke_key(trial, &key);
    assert_int_equal(trial_verify(first, key.raw), CATLATCH_REVOKED);
    assert_int_equal(trial_verify(second, key.raw), CATLATCH_REVOKED);
    catlatch_close(first);
    catlatch_close(second);
}

static void a_start_leaves_one_generation_in_run_dir(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    char second_name[32];
    size_t size;
    start_with_key(trial, &key);
    trial_kill(trial);
    publish_without_marking(trial, &key);
    trial_start(trial);
    struct table_header *header = map_table(trial, &size);
    assert_true(header->generation == 3);
    munmap(header, size);
    for (unsigned number = 1; number <= 3; number++) {
        snprintf(second_name, sizeof second_name, "table.%u", number);
        assert_int_equal(exists(trial->run_dir, second_name), number == 3);
    }
}

/* The daemon is dead and what was in run_dir is taken away. Whatever a reader still has mapped,
 * nothing is acknowledged while it could answer from that. */
static void lose_and_restart(struct trial *trial, bool whole_folder)
{
    struct trial_key key;
    start_with_key(trial, &key);
    struct catlatch *busy = trial_attach(trial), *idle = trial_attach(trial);
    assert_int_equal(trial_verify(busy, key.raw), CATLATCH_VALID);
    assert_int_equal(trial_verify(idle, key.raw), CATLATCH_VALID);
    trial_kill(trial);
    trial_remove_tree(trial->run_dir);
    if (!whole_folder)
        assert_int_equal(mkdir(trial->run_dir, 0755), 0);

    uint64_t start_ns = trial_clock_ns();
    trial_launch(trial, NULL);
    while (!trial_is_ready_within(trial, 1)) {
        assert_true(trial_lives(trial));
        enum catlatch_result result = trial_verify(busy, key.raw);
        assert_true(result == CATLATCH_VALID || result == CATLATCH_UNAVAILABLE);
    }
    revoke_key(trial, &key);
    assert_true(trial_clock_ns() - start_ns >= 5000000000);
    for (int i = 0; i < 2; i++) {
        struct catlatch *latch = i == 0 ? busy : idle;
        enum catlatch_result result = trial_verify(latch, key.raw);
        assert_true(result == CATLATCH_REVOKED || result == CATLATCH_UNAVAILABLE);
        trial_await_result(latch, key.raw, CATLATCH_REVOKED);
        catlatch_close(latch);
    }
}

static void nothing_is_acknowledged_while_a_lost_table_may_be_read(void **state)
{
    lose_and_restart(*state, false);
}

static void nothing_is_acknowledged_while_a_table_of_a_lost_run_dir_may_be_read(void **state)
{
    lose_and_restart(*state, true);
}

static void a_reader_whose_table_is_gone_and_whose_daemon_is_silent_is_unavailable(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    start_with_key(trial, &key);
    struct catlatch *latch = trial_attach(trial);
    trial_kill(trial);
    age_heartbeat(trial, 3500);
    trial_remove_tree(trial->run_dir);
    trial_await_result(latch, key.raw, CATLATCH_UNAVAILABLE); /* it looks once a second */
    catlatch_close(latch);
}

static void a_run_dir_removed_under_the_daemon_is_filled_again_and_nobody_notices(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    start_with_key(trial, &key);
    struct worker *worker = start_worker(trial, key.raw);
    struct catlatch *latch = trial_attach(trial);
    uint64_t generation = generation_of(trial);
    trial_remove_tree(trial->run_dir);
    await_answers(worker, 1000);
    assert_int_equal(mkdir(trial->run_dir, 0755), 0);
    await_other_generation(trial, generation);
    await_answers(worker, 1000);
    end_worker(worker, CATLATCH_VALID);

    struct catlatch *late = trial_attach(trial);
    assert_int_equal(trial_verify(late, key.raw), CATLATCH_VALID);
    revoke_key(trial, &key);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_REVOKED);
    assert_int_equal(trial_verify(late, key.raw), CATLATCH_REVOKED);
    catlatch_close(latch);
    catlatch_close(late);
}

static void the_verify_socket_comes_back_with_run_dir(void **state)
{
    struct trial *trial = *state;
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    trial_start(trial);
    trial_remove_tree(trial->run_dir);
    assert_int_equal(mkdir(trial->run_dir, 0755), 0);
    while (!exists(trial->run_dir, "catlatch.sock")) {
        assert_true(trial_clock_ns() < end_ns);
        poll(NULL, 0, 20);
    }
    redisContext *connection = trial_connect_verify(trial);
    trial_do(connection, "PING");
    redisFree(connection);
}

static void a_second_daemon_on_the_same_folder_is_refused_with_the_pid_of_the_first(void **state)
{
    struct trial *trial = *state, second;
    struct trial_key key;
    char holder[64];
    start_with_key(trial, &key);
    snprintf(holder, sizeof holder, "pid %ld", (long)trial->pid);
    for (int i = 0; i < 2; i++) {
        trial_open(&second, NULL);
        memcpy(i == 0 ? second.state_dir : second.run_dir,
               i == 0 ? trial->state_dir : trial->run_dir, TRIAL_PATH_SIZE);
        trial_configure(&second, NULL);
        trial_launch(&second, NULL);
        assert_int_equal(trial_await_refusal(&second), 69);
        assert_true(trial_said(&second, holder));
        trial_close(&second);
    }
    struct catlatch *latch = trial_attach(trial);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_VALID);
    revoke_key(trial, &key);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_REVOKED);
    catlatch_close(latch);
}

/* A key lives in the copy and is revoked in what was published. */
static void put_back_older(struct trial *trial, bool keep_published, struct trial_key *ret_key)
{
    char copy[TRIAL_PATH_SIZE], published[TRIAL_PATH_SIZE], kept[TRIAL_PATH_SIZE];
    in_folder(copy, trial->folder, "copy");
    in_folder(published, trial->state_dir, "published");
    in_folder(kept, trial->folder, "published");
    start_with_key(trial, ret_key);
    trial_stop(trial);
    copy_tree(trial->state_dir, copy);
    trial_start(trial);
    revoke_key(trial, ret_key);
    trial_kill(trial);
    assert_int_equal(rename(published, kept), 0);
    trial_remove_tree(trial->state_dir);
    assert_int_equal(rename(copy, trial->state_dir), 0);
    if (keep_published) /* but nothing in run_dir */
        assert_int_equal(rename(kept, published), 0);
    if (keep_published)
        trial_remove_tree(trial->run_dir);
}

static void refuse_older(struct trial *trial, bool keep_published)
{
    struct trial_key key;
    put_back_older(trial, keep_published, &key);
    for (int i = 0; i < 2; i++) {
        trial_launch(trial, NULL);
        assert_int_not_equal(trial_await_refusal(trial), 0);
    }
    assert_true(trial_said(trial, "--accept-older"));
    struct catlatch *latch = trial_attach(trial);
    assert_int_equal(trial_verify(latch, key.raw),
                     keep_published ? CATLATCH_UNAVAILABLE : CATLATCH_REVOKED);

    trial_launch(trial, "--accept-older");
    trial_await_ready(trial);
    trial_await_result(latch, key.raw, CATLATCH_VALID);
    trial_kill(trial);
    trial_start(trial); /* it was accepted for good */
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_VALID);
    catlatch_close(latch);
}

static void a_store_older_than_the_table_is_not_published_unless_told(void **state)
{
    refuse_older(*state, false);
}

static void a_store_older_than_what_was_published_is_refused_without_a_table_too(void **state)
{
    refuse_older(*state, true);
}

int main(void)
{
#define TRIAL_TEST(name) cmocka_unit_test_setup_teardown(name, open_trial, close_trial)
    const struct CMUnitTest tests[] = {
        TRIAL_TEST(readers_of_a_table_that_was_never_marked_see_the_first_revoke),
        TRIAL_TEST(a_start_leaves_one_generation_in_run_dir),
        TRIAL_TEST(nothing_is_acknowledged_while_a_lost_table_may_be_read),
        TRIAL_TEST(nothing_is_acknowledged_while_a_table_of_a_lost_run_dir_may_be_read),
        TRIAL_TEST(a_reader_whose_table_is_gone_and_whose_daemon_is_silent_is_unavailable),
        TRIAL_TEST(a_run_dir_removed_under_the_daemon_is_filled_again_and_nobody_notices),
        TRIAL_TEST(the_verify_socket_comes_back_with_run_dir),
        TRIAL_TEST(a_second_daemon_on_the_same_folder_is_refused_with_the_pid_of_the_first),
        TRIAL_TEST(a_store_older_than_the_table_is_not_published_unless_told),
        TRIAL_TEST(a_store_older_than_what_was_published_is_refused_without_a_table_too),
    };
    return cmocka_run_group_tests_name("orphans", tests, NULL, NULL);
}
