/* What is forgotten, or disabled, for its age: when, how much at a time, and when not. The wall
 * clock is this program's: it puts itself in front of clock_gettime. */
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
#include "lib_table.h"
#include "usage/record.h"

/* More than one step purges or prunes. */
#define KEYS 1200u

#define REVOKED_UNIX_S INT64_C(1700000000)
#define HOUR_S 3600

static char state_dir[STORE_FOLDER_SIZE], run_dir[STORE_FOLDER_SIZE];
static struct store *store;
static struct keys keys; /* for steps without a changer */
static struct tally *tally;
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
    keys = (struct keys){.store = store};
    tally = NULL;
    config = (struct config){.retain_revoked_s = HOUR_S, .audit_retain_s = HOUR_S};
    config.environments = (struct key_environments){.count = 1, .list = {{"live", "cc_live_"}}};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tally_free(tally);
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
    retention_begin(&retention, &keys);
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
    retention_begin(&retention, &keys);
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
    retention_begin(&retention, &keys);
    atomic_store(&store->ballast_spent, true);
    assert_int_equal(step(&retention, 0), 0);
    assert_int_equal(store_log_start(store).sequence, 0);
    atomic_store(&store->ballast_spent, false);
    assert_true(step(&retention, 0) > 0);
}

/* An entry a minute, for four hours until now: more than one step removes. */
#define COUNTED_MINUTES 240

static void count_uses(int64_t now_unix_s)
{
    for (int64_t ago = COUNTED_MINUTES - 1; ago >= 0; ago--) {
        struct history_plan plan = {.now_unix_s = now_unix_s - ago * 60,
                                    .kept = {true, true, true}};
        struct store_total totals[3] = {{.id = 1, .more = {.granted = 1}},
                                        {.id = 2, .more = {.granted = 1}},
                                        {.id = 3, .more = {.refused = 1}}};
        assert_int_equal(store_put_totals(store, totals, 3, &plan, &error), 0);
    }
}

/* Granted of key 1, of all spans since then. */
static uint64_t kept_of(enum history_level level, int64_t now_unix_s)
{
    uint64_t sum = 0;
    uint32_t last = history_bucket(level, now_unix_s);
    for (uint32_t i = history_bucket(level, now_unix_s - COUNTED_MINUTES * 60); i <= last; i++) {
        struct history_entry entry;
        assert_int_equal(store_history(store, level, i, 1, &entry, &error), 0);
        sum += entry.granted;
    }
    return sum;
}

static void steps_until_all_is_forgotten(struct retention *retention)
{
    struct op *op;
    bool more = true;
    config.retain_revoked_s = config.audit_retain_s = 0;
    for (unsigned i = 0; more && i < 100; i++)
        assert_int_equal(retention_step(retention, &config, &op, &more, &error), 0);
    assert_false(more);
}

static void history_is_kept_as_long_as_each_level_is(void **state)
{
    struct retention retention;
    int64_t now = time(NULL);
    (void)state;
    count_uses(now);
    retention_begin(&retention, &keys);
    config.history_minutes_s = HOUR_S;
    config.history_hours_s = config.history_days_s = INT64_C(86400) * 30;
    steps_until_all_is_forgotten(&retention);
    assert_in_range(kept_of(HISTORY_MINUTES, now), 60, 62);
    assert_int_equal(kept_of(HISTORY_HOURS, now), COUNTED_MINUTES);
    assert_int_equal(kept_of(HISTORY_DAYS, now), COUNTED_MINUTES);
    config.history_hours_s = 0; /* not at all any more */
    steps_until_all_is_forgotten(&retention);
    assert_int_equal(kept_of(HISTORY_HOURS, now), 0);
    assert_int_equal(kept_of(HISTORY_DAYS, now), COUNTED_MINUTES);
    assert_in_range(kept_of(HISTORY_MINUTES, now), 60, 62);
}

static void history_waits_for_a_clock_that_is_believed(void **state)
{
    struct retention retention;
    int64_t now = time(NULL);
    (void)state;
    count_uses(now);
    retention_begin(&retention, &keys);
    config.history_minutes_s = config.history_hours_s = config.history_days_s = 8 * HOUR_S;
    atomic_store(&ahead_s, 365 * 24 * HOUR_S);
    assert_int_equal(step(&retention, CATLATCH_E_UNAVAILABLE), 0);
    steps_until_all_is_forgotten(&retention);
    assert_int_equal(kept_of(HISTORY_MINUTES, now), COUNTED_MINUTES);
    retention_confirm(&retention);
    steps_until_all_is_forgotten(&retention);
    assert_int_equal(kept_of(HISTORY_MINUTES, now), 0);
    assert_int_equal(kept_of(HISTORY_DAYS, now), 0);
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
                                      .tally = tally,
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
    retention_begin(&retention, &keys);
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
    retention_begin(&retention, &keys);
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

#define DAY_S (24 * HOUR_S)
#define ACTIVE_FROM 10001u /* ids of keys that nobody revoked */

static void open_area(void)
{
    struct error why;
    assert_int_equal(tally_open(run_dir, 0, &tally, &why, &error), 0);
}

static void add_active(uint64_t count)
{
    struct store_txn *txn;
    assert_int_equal(store_begin(store, &txn, &error), 0);
    for (uint64_t i = 0; i < count; i++) {
        struct record record = store_sample(ACTIVE_FROM + i, "n", "acme");
        assert_int_equal(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error), 0);
    }
    assert_int_equal(store_commit(txn, &error), 0);
}

/* As after so long of sweeps. */
static void know_uses_for(int64_t span_s)
{
    struct store_evidence evidence = {.since_unix_s = time(NULL) - span_s,
                                      .until_unix_s = time(NULL)};
    assert_int_equal(store_set_evidence(store, &evidence, &error), 0);
}

static size_t count_disabled(struct world *world)
{
    struct op *op = op_new(OP_LIST);
    assert_non_null(op);
    op->selection.has_state = true;
    op->selection.state = STATE_DISABLED;
    submit(world, op);
    size_t count = op->key_count;
    op_free(op);
    return count;
}

/* Each ask has time for all that it could lead to. */
static void assert_none_disabled(struct world *world)
{
    for (int i = 0; i < 50; i++) {
        ask_to_tend(world);
        assert_int_equal(count_disabled(world), 0);
    }
}

static void use_key(struct world *world, uint64_t id)
{
    struct record record = store_sample(id, "n", "acme");
    const struct table_view *view = changer_view(world->changer);
    struct table_hit hit;
    assert_int_equal(table_find(view, &record.digest, &hit), TABLE_HIT);
    usage_note_use(tally_area(tally), table_usage(view, hit.slot).record, time(NULL), NULL);
}

/* More than one operation disables; those that are used stay. */
static void unused_keys_are_disabled_with_the_reason(void **state)
{
    struct world world;
    (void)state;
    config.retain_revoked_s = config.audit_retain_s = 0;
    config.disable_unused_s = 7 * DAY_S;
    add_active(700);
    open_area();
    know_uses_for(8 * DAY_S);
    start(&world);
    use_key(&world, ACTIVE_FROM + 5);
    use_key(&world, ACTIVE_FROM + 699);
    ask_to_tend(&world);
    for (unsigned looks = 0; count_disabled(&world) < 698; looks++)
        assert_true(looks < 100000);
    struct op *op = op_new(OP_LOG);
    op->log_selection.has_kind = true;
    op->log_selection.kind = CHANGE_DISABLED;
    op->after = (struct store_position){1, 2 * KEYS + 700};
    submit(&world, op);
    assert_true(op->change_count > 0);
    assert_true(text_is(op->changes[0].detail, "[policy] disable_unused_after: not used for 1w"));
    assert_int_equal(op->changes[0].actor.uid, geteuid());
    assert_int_equal(op->changes[0].actor.pid, getpid());
    op_free(op);
    for (int i = 0; i < 20; i++) {
        ask_to_tend(&world);
        assert_int_equal(count_disabled(&world), 698);
    }
    stop(&world);
    assert_int_equal(world.warnings, 0);
}

static void without_evidence_nothing_is_disabled(void **state)
{
    struct world world;
    (void)state;
    config.retain_revoked_s = config.audit_retain_s = 0;
    config.disable_unused_s = 7 * DAY_S;
    add_active(10);
    know_uses_for(8 * DAY_S);
    start(&world); /* without an area */
    assert_none_disabled(&world);
    stop(&world);
    open_area();
    know_uses_for(6 * DAY_S); /* for too short a time */
    start(&world);
    assert_none_disabled(&world);
    stop(&world);
    struct store_evidence old = {.since_unix_s = 1, .until_unix_s = time(NULL) - 3 * HOUR_S};
    assert_int_equal(store_set_evidence(store, &old, &error), 0); /* and not until now */
    start(&world);
    assert_none_disabled(&world);
    stop(&world);
}

static void nothing_is_disabled_while_the_clock_is_not_believed(void **state)
{
    struct world world;
    (void)state;
    config.retain_revoked_s = config.audit_retain_s = 0;
    config.disable_unused_s = 7 * DAY_S;
    add_active(10);
    open_area();
    know_uses_for(8 * DAY_S);
    start(&world);
    atomic_store(&ahead_s, HOUR_S + 60);
    assert_none_disabled(&world);
    assert_int_equal(world.warnings, 1);
    assert_non_null(strstr(world.said[0], "until a reload confirms"));
    atomic_store(&ahead_s, 0);
    stop(&world);
}

static struct op *next_disable(struct retention *retention)
{
    struct op *op;
    bool more;
    assert_int_equal(retention_step(retention, &config, &op, &more, &error), 0);
    assert_non_null(op);
    assert_int_equal(op->kind, OP_DISABLE);
    assert_in_range(op->unused_since_unix_s, time(NULL) - 7 * DAY_S - 60, time(NULL) - 7 * DAY_S);
    return op;
}

/* Each has a record of the usage area. */
static void show_active(struct heap_table *table, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct record record = store_sample(ACTIVE_FROM + i, "n", "acme");
        struct table_entry entry;
        keys_entry(&record, &(struct owner_state){.block = 0}, &entry);
        entry.usage = tally_take(tally, record.id);
        assert_int_equal(heap_table_put(table, &entry), 0);
    }
}

/* It is found by halves, told of, and from then on nobody stumbles over it. */
static void a_key_that_cannot_be_disabled_keeps_no_other(void **state)
{
    struct retention retention;
    const uint64_t rotten = ACTIVE_FROM + 7;
    unsigned told = 0;
    (void)state;
    config.retain_revoked_s = config.audit_retain_s = 0;
    config.disable_unused_s = 7 * DAY_S;
    add_active(20);
    open_area();
    assert_int_equal(tally_reserve(tally, 10, &error), 0);
    know_uses_for(8 * DAY_S);
    keys.sweeper = (struct sweeper){.store = store, .tally = tally};
    struct heap_table table;
    heap_table_open(&table, 64, 256);
    show_active(&table, 20);
    keys.table = &table.writer;
    retention_begin(&retention, &keys);
    for (unsigned looks = 0; told == 0; looks++) {
        assert_true(looks < 100);
        struct op *op = next_disable(&retention);
        bool has = false;
        for (size_t i = 0; i < op->id_count; i++)
            has |= op->ids[i] == rotten;
        if (has)
            error_set(&op->error, CATLATCH_E_DATA, "damaged");
        assert_true(retention_heed(&retention, op, &error));
        told += error.code != 0;
        op_free(op);
    }
    assert_non_null(strstr(error.text, "disabled"));
    retention.unused = (struct unused){.passing = false};
    retention.at_once = 100;
    struct op *op = next_disable(&retention);
    assert_int_equal(op->id_count, 19);
    op_free(op);
    heap_table_close(&table);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(what_is_young_enough_stays),
        EACH(nothing_is_forgotten_while_the_clock_is_not_believed),
        EACH(the_room_that_the_ballast_left_is_not_taken),
        EACH(history_is_kept_as_long_as_each_level_is),
        EACH(history_waits_for_a_clock_that_is_believed),
        EACH(all_that_is_old_is_forgotten_in_steps),
        EACH(a_key_that_cannot_be_purged_is_told_of_once_and_keeps_no_other),
        EACH(a_purge_that_fails_for_want_of_room_is_not_tried_again_at_once),
        EACH(unused_keys_are_disabled_with_the_reason),
        EACH(without_evidence_nothing_is_disabled),
        EACH(nothing_is_disabled_while_the_clock_is_not_believed),
        EACH(a_key_that_cannot_be_disabled_keeps_no_other),
        EACH(a_store_that_is_damaged_throughout_is_left_as_it_is),
    };
    return cmocka_run_group_tests_name("retention", tests, NULL, NULL);
}
