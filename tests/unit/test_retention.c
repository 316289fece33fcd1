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

#include "core/key.h"
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
    char said[8][sizeof error.text];
};

static void on_fatal(void *context, const struct error *why)
{
    (void)context;
    fail_msg("%s", why->text);
}

static void on_warning(void *context, const struct error *why)
{
    struct world *world = context;
    snprintf(world->said[world->warnings++ % 8], sizeof world->said[0], "%s", why->text);
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

static void submit(struct world *world, struct op *op)
{
    bool done = false;
    op->done = on_done;
    op->context = &done;
    changer_submit(world->changer, op);
    while (!done)
        uv_run(&world->loop, UV_RUN_ONCE);
    assert_int_equal(op->error.code, 0);
}

static struct op *ask(struct world *world, enum op_kind kind)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    submit(world, op);
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

/* As if the file had been damaged where the key was. */
static void damage_key(uint64_t id)
{
    unsigned char position[8];
    DB *db = store->db[STORE_KEYS];
    store_pack(id, position);
    DBT key = store_dbt(position, sizeof position), data = store_dbt("damaged", 7);
    assert_int_equal(db->put(db, NULL, &key, &data, 0), 0);
}

/* An entry of the index, older than all others, without its key. */
static void index_nothing(uint64_t id)
{
    unsigned char bytes[STORE_KEY_MAX];
    DB *index = store->db[STORE_INDEX];
    DBT key = store_dbt(bytes, store_index_revoked_key(1, id, bytes)), nothing = {.size = 0};
    assert_int_equal(index->put(index, NULL, &key, &nothing, 0), 0);
}

/* How many changes there were since the keys were revoked. */
static uint64_t purged_of_log(struct world *world)
{
    struct op *op = op_new(OP_LOG);
    assert_non_null(op);
    op->log_selection.has_kind = true; /* looks at all, and keeps none */
    op->log_selection.kind = CHANGE_CREATED;
    op->after.epoch = 1;
    op->after.sequence = 2 * KEYS;
    submit(world, op);
    uint64_t count = op->at.sequence - 2 * KEYS;
    op_free(op);
    return count;
}

static bool is_purged(uint64_t id)
{
    static struct store_buffer buffer;
    struct record record;
    return store_key(store, NULL, id, &buffer, &record, &error) == 0 && record.purged;
}

#define BAD 3u
static const uint64_t bad[BAD] = {4711, 250, 251};

static void a_key_that_cannot_be_purged_is_told_of_once_and_keeps_no_other(void **state)
{
    struct world world;
    char id[CATLATCH_ID_SIZE];
    (void)state;
    index_nothing(bad[0]);
    start(&world);
    damage_key(bad[1]); /* since the table was filled */
    damage_key(bad[2]);
    config.audit_retain_s = 0;
    ask_to_tend(&world);
    for (unsigned looks = 0; purged_of_log(&world) < KEYS - 2; looks++)
        assert_true(looks < 100000);
    ask_to_tend(&world); /* a minute later */
    for (int i = 0; i < 200; i++)
        assert_int_equal(purged_of_log(&world), KEYS - 2);
    stop(&world);
    assert_int_equal(world.warnings, BAD);
    for (unsigned i = 0; i < BAD; i++) {
        key_id_format(bad[i], id);
        assert_non_null(strstr(world.said[i], id));
        assert_non_null(strstr(world.said[i], "catlatch restore"));
    }
    for (uint64_t key = 1; key <= KEYS; key++)
        assert_int_equal(is_purged(key), key != bad[1] && key != bad[2]);
}

static struct op *next_purge(struct retention *retention)
{
    struct op *op;
    bool more;
    assert_int_equal(retention_step(retention, &config, &op, &more, &error), 0);
    assert_non_null(op);
    return op;
}

/* It says nothing of the keys. */
static void a_purge_that_fails_for_want_of_room_is_not_tried_again_at_once(void **state)
{
    struct retention retention;
    (void)state;
    retention_begin(&retention, store);
    struct op *op = next_purge(&retention);
    size_t count = op->id_count;
    error_set(&op->error, CATLATCH_E_FULL, "no room");
    assert_false(retention_heed(&retention, op, &error));
    assert_string_equal(error.text, "no room");
    op_free(op);
    op = next_purge(&retention);
    assert_int_equal(op->id_count, count);
    op_free(op);
}

/* And nothing is purged that has not been found to be well. */
static void a_store_that_is_damaged_throughout_is_left_as_it_is(void **state)
{
    struct retention retention;
    unsigned told = 0, looks;
    bool again = true;
    (void)state;
    retention_begin(&retention, store);
    for (looks = 0; again; looks++) {
        struct op *op = next_purge(&retention);
        assert_true(looks < 2 * KEYS);
        error_set(&op->error, CATLATCH_E_DATA, "damaged");
        again = retention_heed(&retention, op, &error);
        told += error.code != 0;
        op_free(op);
    }
    assert_int_equal(told, RETENTION_BAD_MAX + 1);
    assert_int_equal(retention.bad_count, RETENTION_BAD_MAX);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(what_is_young_enough_stays),
        EACH(nothing_is_forgotten_while_the_clock_is_not_believed),
        EACH(the_room_that_the_ballast_left_is_not_taken),
        EACH(all_that_is_old_is_forgotten_in_steps),
        EACH(a_key_that_cannot_be_purged_is_told_of_once_and_keeps_no_other),
        EACH(a_purge_that_fails_for_want_of_room_is_not_tried_again_at_once),
        EACH(a_store_that_is_damaged_throughout_is_left_as_it_is),
    };
    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
