/* Networks of keys on their way from a command into the table, as a worker reads it: there when the
 * reply is, after a growth, a crash and a restart too. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_daemon.h"
#include "table/view.h"

/* Slots of one key are probed one by one: three each round must stay under TABLE_PROBE_MAX. */
#define ROUNDS 150u

#define HOME "192.0.2.77"
#define AWAY "198.51.100.77"

struct worker {
    struct table_view view;
    struct digest digest; /* of the key that it is asked about */
};

static int open_with(void **state, const char *settings)
{
    static struct trial trial;
    trial_open(&trial, settings);
    trial_start(&trial);
    *state = &trial;
    return 0;
}

static int open_small(void **state)
{
    return open_with(state, "expected_keys = 16");
}

static int open_roomy(void **state)
{
    return open_with(state, "expected_keys = 4096");
}

static int close_trial(void **state)
{
    trial_close(*state);
    return 0;
}

static void worker_attach(struct worker *worker, const struct trial *trial, const char *raw)
{
    char path[TRIAL_PATH_SIZE + 8];
    struct stat status;
    snprintf(path, sizeof path, "%s/table", trial->run_dir);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &status), 0);
    void *base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    assert_true(base != MAP_FAILED);
    assert_int_equal(table_view_init(&worker->view, base, (size_t)status.st_size, NULL), 0);
    digest_of(raw, strlen(raw), &worker->digest);
}

static void worker_detach(struct worker *worker)
{
    munmap((void *)(uintptr_t)worker->view.header, worker->view.size);
}

static bool is_superseded(const struct worker *worker)
{
    return atomic_load(&worker->view.header->pulse) == TABLE_PULSE_SUPERSEDED;
}

static int allows(const struct worker *worker, const char *address)
{
    struct address parsed;
    struct table_hit hit;
    assert_int_equal(address_parse(text_of(address), &parsed), 0);
    assert_int_equal(table_find(&worker->view, &worker->digest, &hit), TABLE_HIT);
    return table_allows(&worker->view, hit.slot, &parsed);
}

/* What the daemon itself finds wrong with its table. */
static void assert_table_is_right(redisContext *admin)
{
    redisReply *reply = trial_ask(admin, "TABLE.CHECK");
    assert_int_equal(trial_member(reply, "wrong")->elements, 0);
    freeReplyObject(reply);
}

static void an_update_of_networks_is_in_the_table_when_its_reply_is_there(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    struct worker worker;
    redisContext *admin = trial_connect(trial);
    trial_create(admin, "the key", "alice", &key);
    worker_attach(&worker, trial, key.raw);
    for (unsigned round = 0; round < ROUNDS; round++) {
        assert_int_equal(allows(&worker, AWAY), 1);
        trial_do(admin, "KEY.UPDATE %s SET allow 2001:db8::/32,192.0.2.0/24", key.id);
        assert_int_equal(allows(&worker, AWAY), 0);
        assert_int_equal(allows(&worker, HOME), 1);
        trial_do(admin, "KEY.UPDATE %s SET allow 192.0.2.0/26", key.id);
        assert_int_equal(allows(&worker, HOME), 0);
        trial_do(admin, "KEY.UPDATE %s SET allow %s", key.id, "");
    }
    assert_false(is_superseded(&worker)); /* one table all the time */
    assert_table_is_right(admin);
    worker_detach(&worker);
    redisFree(admin);
}

/* Whoever holds a table that nobody took over from sees the change in it, whatever is filled beside
 * it meanwhile. */
static void a_table_that_grows_loses_no_networks(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    struct worker worker;
    unsigned taken_over = 0;
    redisContext *admin = trial_connect(trial), *other = trial_connect(trial);
    trial_create(admin, "the key", "alice", &key);
    worker_attach(&worker, trial, key.raw);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < 8; i++)
            redisAppendCommand(other, "KEY.CREATE NAME filler ALLOW 10.0.0.%u", i);
        trial_do(admin, "KEY.UPDATE %s SET allow 0.0.0.0/0", key.id);
        trial_do(admin, "KEY.UPDATE %s SET allow 192.0.2.0/24", key.id);
        if (is_superseded(&worker)) {
            taken_over++;
            worker_detach(&worker);
            worker_attach(&worker, trial, key.raw);
        }
        assert_int_equal(allows(&worker, AWAY), 0);
        assert_int_equal(allows(&worker, HOME), 1);
        for (unsigned i = 0; i < 8; i++) {
            redisReply *reply = NULL;
            assert_int_equal(redisGetReply(other, (void **)&reply), REDIS_OK);
            assert_int_not_equal(reply->type, REDIS_REPLY_ERROR);
            freeReplyObject(reply);
        }
    }
    assert_true(taken_over > 2);
    assert_table_is_right(admin);
    worker_detach(&worker);
    redisFree(other);
    redisFree(admin);
}

static void networks_outlive_a_daemon_that_is_killed(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    struct worker worker;
    redisContext *admin = trial_connect(trial);
    trial_create(admin, "the key", "alice", &key);
    trial_do(admin, "KEY.UPDATE %s SET allow 192.0.2.0/24", key.id);
    trial_kill(trial);
    redisFree(admin);
    trial_start(trial);
    admin = trial_connect(trial);
    worker_attach(&worker, trial, key.raw);
    assert_int_equal(allows(&worker, AWAY), 0);
    assert_int_equal(allows(&worker, HOME), 1);
    assert_table_is_right(admin);
    redisReply *shown = trial_ask(admin, "KEY.GET %s", key.id);
    const redisReply *networks = trial_member(shown, "allowed_networks");
    assert_int_equal(networks->elements, 1);
    assert_string_equal(networks->element[0]->str, "192.0.2.0/24");
    freeReplyObject(shown);
    worker_detach(&worker);
    redisFree(admin);
}

int main(void)
{
#define TRIAL_TEST(name, open) cmocka_unit_test_setup_teardown(name, open, close_trial)
    const struct CMUnitTest tests[] = {
        TRIAL_TEST(an_update_of_networks_is_in_the_table_when_its_reply_is_there, open_roomy),
        TRIAL_TEST(a_table_that_grows_loses_no_networks, open_small),
        TRIAL_TEST(networks_outlive_a_daemon_that_is_killed, open_roomy),
    };
    return cmocka_run_group_tests_name("networks", tests, NULL, NULL);
}
