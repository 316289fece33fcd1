/* What is forgotten for its age: when, how much at a time, and when not. The wall clock is this
 * program's: it puts itself in front of clock_gettime. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/changer_internal.h"
#include "daemon/store_internal.h"
#include "lib_store.h"

/* More than one step purges or prunes. */
#define KEYS 1200u

#define REVOKED_UNIX_S INT64_C(1700000000)
#define HOUR_S 3600

static char state_dir[STORE_FOLDER_SIZE], run_dir[STORE_FOLDER_SIZE];
static struct store *store;
static struct config config;
static struct error error;
static _Atomic int64_t ahead_s;

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    int r = (int)syscall(SYS_clock_gettime, clock, ret_time);
    if (clock == CLOCK_REALTIME)
        ret_time->tv_sec += atomic_load(&ahead_s);
    return r;
}

static void put(struct store_txn *txn, uint64_t id)
{
    struct record record = store_sample(id, "n", "acme"), old;
    assert_int_equal(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error), 0);
    old = record;
    record.revoked = true;
    record.revoked_unix_s = REVOKED_UNIX_S;
    record.revoke_reason = RECORD_REASON_OTHER;
    assert_int_equal(store_put_kind(txn, &old, &record, CHANGE_REVOKED, &error), 0);
}

/* Keys that were revoked long ago. */
static int set_up(void **state)
{
    struct store_txn *txn;
    (void)state;
    atomic_store(&ahead_s, 0);
    store_folder_make(state_dir);
    store_folder_make(run_dir);
    store = store_open_or_die(state_dir);
    assert_int_equal(store_begin(store, &txn, &error), 0);
    for (uint64_t id = 1; id <= KEYS; id++)
        put(txn, id);
    assert_int_equal(store_commit(txn, &error), 0);
    assert_int_equal(store_flush(store, &error), 0);
    config = (struct config){.retain_revoked_s = HOUR_S, .audit_retain_s = HOUR_S};
    config.environments = (struct key_environments){.count = 1, .list = {{"live", "cc_live_"}}};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(store);
    store_folder_remove(run_dir);
    store_folder_remove(state_dir);
    return 0;
}

/* One step: how many keys it would purge. */
static size_t step(struct retention *retention, int expected)
{
    struct op *op;
    bool more;
    assert_int_equal(retention_step(retention, &config, &op, &more, &error), expected);
    size_t count = op != NULL ? op->id_count : 0;
    op_free(op);
    return count;
}

static void what_is_young_enough_stays(void **state)
{
    struct retention retention;
    (void)state;
    retention_begin(&retention, store);
    config.retain_revoked_s = config.audit_retain_s = time(NULL) - REVOKED_UNIX_S + HOUR_S;
    assert_int_equal(step(&retention, 0), 0);
    assert_int_equal(store_log_start(store).sequence, 0);
    config.retain_revoked_s = config.audit_retain_s = 0; /* for ever */
    assert_int_equal(step(&retention, 0), 0);
    assert_int_equal(store_log_start(store).sequence, 0);
}

static void nothing_is_forgotten_while_the_clock_is_not_believed(void **state)
{
    struct retention retention;
    (void)state;
    retention_begin(&retention, store);
    atomic_store(&ahead_s, 2 * HOUR_S);
    assert_int_equal(step(&retention, CATLATCH_E_UNAVAILABLE), 0); /* is said once */
    assert_int_equal(step(&retention, 0), 0);
    atomic_store(&ahead_s, 0);
    assert_int_equal(step(&retention, 0), 0);
    assert_int_equal(store_log_start(store).sequence, 0);
    retention_confirm(&retention);
    assert_true(step(&retention, 0) > 0);
    assert_true(store_log_start(store).sequence > 0);
}

static void the_room_that_the_ballast_left_is_not_taken(void **state)
{
    struct retention retention;
    (void)state;
    retention_begin(&retention, store);
    atomic_store(&store->ballast_spent, true);
    assert_int_equal(step(&retention, 0), 0);
    assert_int_equal(store_log_start(store).sequence, 0);
    atomic_store(&store->ballast_spent, false);
    assert_true(step(&retention, 0) > 0);
}

struct world {
    uv_loop_t loop;
    struct changer *changer;
    unsigned warnings;
};

static void on_fatal(void *context, const struct error *why)
{
    (void)context;
    fail_msg("%s", why->text);
}

static void on_warning(void *context, const struct error *why)
{
    struct world *world = context;
    (void)why;
    world->warnings++;
}

static void on_stopped(void *context)
{
    (void)context;
}

static void start(struct world *world)
{
    uint64_t wait_ms;
    *world = (struct world){.warnings = 0};
    assert_int_equal(uv_loop_init(&world->loop), 0);
    struct changer_options options = {.loop = &world->loop,
                                      .config = &config,
                                      .store = store,
                                      .run_dir = run_dir,
                                      .fatal = on_fatal,
                                      .warn = on_warning,
                                      .context = world};
    if (changer_start(&options, &world->changer, &wait_ms, &error) != 0)
        fail_msg("%s", error.text);
}

static void stop(struct world *world)
{
    changer_stop(world->changer, on_stopped, NULL);
    uv_run(&world->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->loop), 0);
    changer_free(world->changer);
}

/* As the heartbeat does once a minute. */
static void ask_to_tend(struct world *world)
{
    uv_mutex_lock(&world->changer->lock);
    world->changer->tend = true;
    uv_cond_signal(&world->changer->wake);
    uv_mutex_unlock(&world->changer->lock);
}

static void on_done(struct op *op)
{
    *(bool *)op->context = true;
}

static struct op *ask(struct world *world, enum op_kind kind)
{
    struct op *op = op_new(kind);
    bool done = false;
    assert_non_null(op);
    op->done = on_done;
    op->context = &done;
    changer_submit(world->changer, op);
    while (!done)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(op->error.code, 0);
    return op;
}

/* How many keys are there. */
static size_t list(struct world *world)
{
    struct op *op = ask(world, OP_LIST);
    size_t count = op->key_count;
    op_free(op);
    return count;
}

static uint64_t first_of_log(struct world *world)
{
    struct op *op = ask(world, OP_LOG);
    assert_true(op->change_count > 0);
    uint64_t first = op->changes[0].sequence;
    op_free(op);
    return first;
}

static void all_that_is_old_is_forgotten_in_steps(void **state)
{
    struct world world;
    (void)state;
    start(&world);
    ask_to_tend(&world);
    for (unsigned looks = 0; list(&world) > 0 || first_of_log(&world) <= 2 * KEYS; looks++)
        assert_true(looks < 100000);
    stop(&world);
    assert_int_equal(world.warnings, 0);
    const char *wrong = store_disagrees(store);
    if (wrong != NULL)
        fail_msg("%s", wrong);
}

/* An entry of the index without its key stands for whatever makes a purge fail. */
static void a_purge_that_fails_is_not_tried_again_at_once(void **state)
{
    unsigned char bytes[STORE_INDEX_KEY_MAX];
    struct world world;
    DB *index = store->db[STORE_INDEX];
    (void)state;
    DBT key = store_dbt(bytes, store_index_revoked_key(1, 4711, bytes)), nothing = {.size = 0};
    assert_int_equal(index->put(index, NULL, &key, &nothing, 0), 0);
    config.audit_retain_s = 0;
    start(&world);
    ask_to_tend(&world);
    for (int i = 0; i < 200; i++)
        assert_true(list(&world) > 0);
    assert_int_equal(world.warnings, 1);
    stop(&world);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(what_is_young_enough_stays),
        EACH(nothing_is_forgotten_while_the_clock_is_not_believed),
        EACH(the_room_that_the_ballast_left_is_not_taken),
        EACH(all_that_is_old_is_forgotten_in_steps),
        EACH(a_purge_that_fails_is_not_tried_again_at_once),
    };
    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
