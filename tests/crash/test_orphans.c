/* Tables that nobody marks, tables that are gone, tables of yesterday, and no daemon: what readers
 * answer, and what the daemon does about it. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../system/lib_daemon.h"
#include "daemon/generation.h"
#include "daemon/store.h"

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

/* --- helpers ------------------------------------------------------------------------------ */

static void in_folder(char ret_path[TRIAL_PATH_SIZE], const char *folder, const char *name)
{
    assert_in_range(snprintf(ret_path, TRIAL_PATH_SIZE, "%s/%s", folder, name), 1,
                    TRIAL_PATH_SIZE - 1);
}

static bool exists(const char *folder, const char *name)
{
    char path[TRIAL_PATH_SIZE];
    in_folder(path, folder, name);
    return access(path, F_OK) == 0;
}

/* The table at the path, writable. */
static struct table_header *map_table(const struct trial *trial, size_t *ret_size)
{
    char path[TRIAL_PATH_SIZE];
    struct stat status;
    in_folder(path, trial->run_dir, "table");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    *ret_size = (size_t)status.st_size;
    void *base = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    close(fd);
    return base;
}

/* As if the daemon had been gone for so long. */
static void age_heartbeat(const struct trial *trial, uint64_t age_ms)
{
    size_t size;
    struct table_header *header = map_table(trial, &size);
    assert_true(atomic_load(&header->pulse) != TABLE_PULSE_SUPERSEDED);
    atomic_store(&header->pulse, generation_now_ms() - age_ms);
    munmap(header, size);
}

static void start_with_key(struct trial *trial, struct trial_key *ret_key)
{
    trial_start(trial);
    redisContext *admin = trial_connect(trial);
    trial_create(admin, "the key", "alice", ret_key);
    redisFree(admin);
}

static void revoke_key(const struct trial *trial, const struct trial_key *key)
{
    redisContext *admin = trial_connect(trial);
    trial_do(admin, "KEY.REVOKE %s", key->id);
    redisFree(admin);
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

/* A worker process that verifies one key without pause and counts its answers. */
struct worker {
    _Atomic uint64_t answers[CATLATCH_UNAVAILABLE + 1];
    _Atomic bool end;
    pid_t pid;
};

static uint64_t answered(struct worker *worker)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= CATLATCH_UNAVAILABLE; i++)
        sum += atomic_load(&worker->answers[i]);
    return sum;
}

static void run_worker(const struct trial *trial, struct worker *worker, const char *raw)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct catlatch *latch = trial_attach_quietly(trial);
    while (!atomic_load(&worker->end))
        atomic_fetch_add(&worker->answers[trial_verify(latch, raw)], 1);
    catlatch_close(latch);
    _exit(0);
}

/* Returns as soon as the worker has answered `count` more times. */
static void await_answers(struct worker *worker, uint64_t count)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    count += answered(worker);
    while (answered(worker) < count) {
        assert_true(trial_clock_ns() < end_ns);
        poll(NULL, 0, 1);
    }
}

static struct worker *start_worker(const struct trial *trial, const char *raw)
{
    struct worker *worker =
        mmap(NULL, sizeof *worker, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(worker, MAP_FAILED);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_worker(trial, worker, raw);
    worker->pid = pid;
    await_answers(worker, 100);
    return worker;
}

/* It must have ended by itself, and never have given another answer than this. */
static void end_worker(struct worker *worker, enum catlatch_result only)
{
    int status = -1;
    atomic_store(&worker->end, true);
    assert_int_equal(waitpid(worker->pid, &status, 0), worker->pid);
    assert_true(WIFEXITED(status));
    for (int i = 0; i <= CATLATCH_UNAVAILABLE; i++) {
        uint64_t count = atomic_load(&worker->answers[i]);
        if (i != (int)only && count > 0)
            fail_msg("a worker answered %s %llu times",
                     catlatch_result_name((enum catlatch_result)i), (unsigned long long)count);
    }
    munmap(worker, sizeof *worker);
}

/* --- killed between publishing and marking ------------------------------------------------ */

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

/* --- run_dir lost ------------------------------------------------------------------------- */

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

/* Until STATS tells of another generation than this. */
static void await_other_generation(const struct trial *trial, uint64_t generation)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    redisContext *admin = trial_connect(trial);
    while (trial_stat(admin, "generation") == generation) {
        assert_true(trial_clock_ns() < end_ns);
        poll(NULL, 0, 20);
    }
    redisFree(admin);
}

static uint64_t generation_of(const struct trial *trial)
{
    redisContext *admin = trial_connect(trial);
    uint64_t generation = trial_stat(admin, "generation");
    redisFree(admin);
    return generation;
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

/* --- no daemon ---------------------------------------------------------------------------- */

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
    trial_configure(trial, "max_stale = 10s");
    start_with_key(trial, &key);
    struct catlatch *latch = trial_attach(trial);
    trial_kill(trial);
    age_heartbeat(trial, 9000);
    assert_int_equal(trial_verify(latch, key.raw), CATLATCH_VALID);
    age_heartbeat(trial, 10500);
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

/* --- two daemons -------------------------------------------------------------------------- */

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

/* --- an older store ----------------------------------------------------------------------- */

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

/* --- a foreign table ---------------------------------------------------------------------- */

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
        await_other_generation(trial, generation);
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
        TRIAL_TEST(readers_of_a_table_that_was_never_marked_see_the_first_revoke),
        TRIAL_TEST(a_start_leaves_one_generation_in_run_dir),
        TRIAL_TEST(nothing_is_acknowledged_while_a_lost_table_may_be_read),
        TRIAL_TEST(nothing_is_acknowledged_while_a_table_of_a_lost_run_dir_may_be_read),
        TRIAL_TEST(a_reader_whose_table_is_gone_and_whose_daemon_is_silent_is_unavailable),
        TRIAL_TEST(a_run_dir_removed_under_the_daemon_is_filled_again_and_nobody_notices),
        TRIAL_TEST(the_verify_socket_comes_back_with_run_dir),
        TRIAL_TEST(workers_old_and_new_verify_while_the_daemon_is_down),
        TRIAL_TEST(a_clean_stop_leaves_a_table_to_verify_with),
        TRIAL_TEST(past_max_stale_the_answer_is_unavailable_until_the_daemon_is_back),
        TRIAL_TEST(without_any_table_the_answer_is_unavailable),
        TRIAL_TEST(a_second_daemon_on_the_same_folder_is_refused_with_the_pid_of_the_first),
        TRIAL_TEST(a_store_older_than_the_table_is_not_published_unless_told),
        TRIAL_TEST(a_store_older_than_what_was_published_is_refused_without_a_table_too),
        TRIAL_TEST(a_foreign_table_is_replaced_under_workers_that_never_see_it),
        TRIAL_TEST(a_foreign_table_without_a_daemon_is_unavailable_until_it_starts),
    };
    return cmocka_run_group_tests_name("orphans", tests, NULL, NULL);
}
