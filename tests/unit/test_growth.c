/* A table that is filled from the store while the store goes on changing: in the end it says all
 * that the store says, whatever came between which steps. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/growth.h"
#include "daemon/keys.h"
#include "lib_store.h"
#include "lib_table.h"

/* Of one owner more than two slices, so that the owner's changes are taken over in several. */
#define MANY 4500u
#define FEW 50u
#define KEYS (MANY + FEW)

/* Keys that nobody changes later. */
#define FIRST_OF_ALL_KINDS 1000u
#define LAST_OF_ALL_KINDS 3000u

/* Steps that have a change in front of them. */
#define CHANGES 40u

static const struct generation served = {.number = 0}; /* nobody's file has that number */
static char folder[STORE_FOLDER_SIZE], run_dir[STORE_FOLDER_SIZE];
static struct store *store;
static struct heap_table table; /* the one that serves meanwhile */
static struct config config;
static struct keys keys;
static struct growth growth;
static sem_t made;
static struct error error;

static void wake(void *context)
{
    (void)context;
    sem_post(&made);
}

static void set_state(struct record *record)
{
    record->disabled = record->id % 5 == 1;
    record->expires_unix_s = record->id % 5 == 2 ? 1 : 0;
    record->not_before_unix_s = record->id % 5 == 3 ? INT64_C(1) << 39 : 0;
    record->revoked = record->id % 5 == 4;
    record->revoked_unix_s = record->revoked ? 1700000001 : 0;
}

/* All keys in one transaction: alice's first. */
static void add_keys(void)
{
    struct store_txn *txn;
    struct table_entry entry;
    assert_int_equal(store_begin(store, &txn, &error), 0);
    for (uint64_t id = 1; id <= KEYS; id++) {
        struct record record = store_sample(id, "a name", id <= MANY ? "alice" : "bob");
        if (id > FIRST_OF_ALL_KINDS && id <= LAST_OF_ALL_KINDS)
            set_state(&record);
        assert_int_equal(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error), 0);
        keys_entry(&record, owners_find(&keys.owners, record.owner), &entry);
        assert_int_equal(heap_table_put(&table, &entry), 0);
    }
    assert_int_equal(store_commit(txn, &error), 0);
}

static int set_up(void **state)
{
    (void)state;
    error = (struct error){0};
    store_folder_make(folder);
    store_folder_make(run_dir);
    store = store_open_or_die(folder);
    heap_table_open(&table, 2 * KEYS, 256);
    keys = (struct keys){
        .store = store,
        .config = &config,
        .table = &table.writer,
        .now_unix_ms = INT64_C(1800000000000),
    };
    op_queue_init(&keys.spreading);
    growth = (struct growth){
        .store = store, .owners = &keys.owners, .run_dir = run_dir, .wake = wake, .old = &served};
    assert_int_equal(sem_init(&made, 0, 0), 0);
    add_keys();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    growth_cancel(&growth);
    keys_free(&keys);
    heap_table_close(&table);
    store_close(store);
    store_folder_remove(run_dir);
    store_folder_remove(folder);
    sem_destroy(&made);
    return 0;
}

static void change(struct op *op)
{
    assert_non_null(op);
    keys_tidy(op);
    keys_change(&keys, op);
    if (op->error.code != 0)
        fail_msg("%s", op->error.text);
    assert_int_equal(store_flush(store, &error), 0);
    keys_publish(&keys, keys.claim_count);
    if (op->spreads) {
        op_queue_add(&keys.spreading, op);
        while (keys_spread(&keys) == NULL)
            continue;
    }
    op_free(op);
}

static struct op *make_op(enum op_kind kind, uint64_t id)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    op->ids = op_alloc(op, sizeof *op->ids);
    assert_non_null(op->ids);
    op->ids[0] = id;
    op->id_count = 1;
    return op;
}

static struct op *make_owner_op(enum op_kind kind, const char *owner)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    op->owner = text_of(owner);
    return op;
}

static void rename_key(uint64_t id, unsigned number)
{
    char name[32];
    struct op *op = make_op(OP_UPDATE, id);
    snprintf(name, sizeof name, "name %u", number);
    op->fields.has = OP_HAS_NAME | OP_HAS_SCOPES;
    op->fields.name = text_of(name);
    op->fields.scopes[0] = text_of("read");
    op->fields.scope_count = 1;
    change(op);
}

static void expire_key(uint64_t id, unsigned number)
{
    struct op *op = make_op(OP_UPDATE, id);
    op->fields.has = OP_HAS_EXPIRES;
    op->fields.expires_unix_s = 1 + number;
    change(op);
}

static void limit_owner(const char *owner, unsigned count)
{
    struct op *op = make_owner_op(OP_OWNER_UPDATE, owner);
    op->fields.has = OP_HAS_RATES;
    if (count > 0)
        op->fields.rates =
            (struct rates){.count = 1, .list = {{.count = count, .period_s = 60, .burst = count}}};
    change(op);
}

/* One of each kind by turns, at keys that were taken over long ago and at keys that were not yet.
 * The numbers of the keys that are revoked are drawn for nothing else. */
static void change_something(unsigned number)
{
    uint64_t early = 1 + number, late = MANY - number, others = MANY + 1 + number % (FEW / 2);
    switch (number % 8) {
    case 0:
        rename_key(early, number);
        rename_key(late, number);
        break;
    case 1:
        change(make_op(OP_DISABLE, early));
        change(make_op(OP_DISABLE, late));
        break;
    case 2:
        change(make_owner_op(OP_OWNER_SUSPEND, number % 16 == 2 ? "alice" : "bob"));
        break;
    case 3: /* the texts must be those of the moment of the revoke */
        rename_key(early, number);
        change(make_op(OP_REVOKE, early));
        rename_key(late, number);
        change(make_op(OP_REVOKE, late));
        break;
    case 4:
        expire_key(others, number);
        expire_key(late, number);
        break;
    case 5:
        change(make_op(OP_DISABLE, others));
        change(make_op(OP_ENABLE, others));
        limit_owner(number % 16 == 5 ? "bob" : "alice", number % 24 == 21 ? 0 : number);
        break;
    case 6:
        if (number % 16 == 14)
            change(make_owner_op(OP_OWNER_RESUME, "bob"));
        rename_key(others, number);
        break;
    case 7:
        if (number % 32 == 15)
            change(make_owner_op(OP_OWNER_RESUME, "alice"));
        change(make_op(OP_REVOKE, MANY + 1 + FEW / 2 + number % (FEW / 2)));
        break;
    }
}

static enum growth_progress step(void)
{
    enum growth_progress progress = growth_step(&growth, &error);
    if (progress == GROWTH_FAILED)
        fail_msg("%s", error.text);
    return progress;
}

static int compare(void *context, const struct record *record)
{
    const struct table_view *view = context;
    struct table_entry entry;
    keys_entry(record, owners_find(&keys.owners, record->owner), &entry);
    const char *differs = table_differs(view, &entry);
    if (differs != NULL)
        fail_msg("key %llu differs in: %s", (unsigned long long)record->id, differs);
    return 0;
}

static void assert_shows_the_store(const struct table_view *view)
{
    uint64_t last;
    assert_int_equal(
        store_scan(store, 0, SIZE_MAX, compare, (void *)(uintptr_t)view, &last, &error), 0);
}

static void begin(void)
{
    growth_plan(&growth, store_key_count(store), 0, 0, NULL, 0);
    assert_int_equal(growth_begin(&growth, &error), 0);
    sem_wait(&made);
    assert_int_equal(step(), GROWTH_WORKING);
    assert_int_equal(growth.stage, GROWTH_FILLING);
}

static void finish(void)
{
    while (step() != GROWTH_READY)
        ;
    struct generation *fresh = growth_take(&growth);
    assert_shows_the_store(&fresh->writer.view);
    generation_free(fresh, run_dir);
}

static void at_a_start_all_is_taken_over_at_once(void **state)
{
    (void)state;
    growth.old = NULL;
    begin();
    assert_int_equal(step(), GROWTH_WORKING);
    assert_int_equal(growth.stage, GROWTH_CATCHING_UP);
    assert_int_equal(step(), GROWTH_READY);
    finish();
}

static void at_a_start_a_table_that_is_too_small_is_made_again(void **state)
{
    (void)state;
    growth.old = NULL;
    growth_plan(&growth, KEYS / 4, 0, 0, NULL, 0);
    assert_int_equal(growth_begin(&growth, &error), 0);
    unsigned made_again = 0;
    for (enum growth_progress progress; (progress = step()) != GROWTH_READY;)
        if (progress == GROWTH_WAITING && growth.stage == GROWTH_MAKING) {
            sem_wait(&made);
            made_again++;
        }
    assert_in_range(made_again, 2, 8);
    finish();
}

static void what_changes_between_any_two_steps_is_in_the_new_table(void **state)
{
    (void)state;
    begin();
    for (unsigned number = 0; number < CHANGES; number++) {
        change_something(number);
        step();
    }
    assert_int_equal(growth.stage, GROWTH_CATCHING_UP);
    assert_shows_the_store(&table.writer.view);
    finish();
}

/* Of keys alone: an owner's change would have all of its keys taken over again. */
static void what_changes_while_it_is_filled_is_in_the_new_table(void **state)
{
    static const unsigned of_keys[] = {0, 1, 3, 4, 6, 8, 9, 11, 12, 0};
    unsigned steps = 0;
    (void)state;
    begin();
    for (; growth.stage == GROWTH_FILLING; steps++) {
        unsigned number = of_keys[steps % 5], other = of_keys[5 + steps % 5];
        change_something(number + 16 * (steps / 5));
        change_something(other + 16 * (steps / 5));
        step();
    }
    assert_true(steps > 3);
    finish();
}

static void what_changes_before_the_last_step_is_in_the_new_table(void **state)
{
    (void)state;
    begin();
    while (growth.stage == GROWTH_FILLING)
        step();
    for (unsigned number = 0; number < CHANGES; number++) {
        while (step() != GROWTH_READY)
            ;
        change_something(number); /* instead of the switch */
    }
    finish();
}

/* So many that the area's first segment has room for their records, and not for blocks too. */
#define LIMITED_KEYS 11000u

static void add_limited_keys(void)
{
    struct store_txn *txn;
    assert_int_equal(store_begin(store, &txn, &error), 0);
    for (uint64_t id = KEYS + 1; id <= KEYS + LIMITED_KEYS; id++) {
        struct record record = store_sample(id, "a name", "carol");
        record.rates = (struct rates){.count = 1, .list = {{5, 60, 5}}};
        assert_int_equal(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error), 0);
        if (id % 1000 == 0) {
            assert_int_equal(store_commit(txn, &error), 0);
            assert_int_equal(store_begin(store, &txn, &error), 0);
        }
    }
    assert_int_equal(store_commit(txn, &error), 0);
}

static int count_blockless(void *context, const struct record *record)
{
    struct table_hit hit;
    assert_int_equal(table_find(&growth.fresh->writer.view, &record->digest, &hit), TABLE_HIT);
    if (record->rates.count > 0 && table_usage(&growth.fresh->writer.view, hit.slot).block == 0)
        ++*(unsigned *)context;
    return 0;
}

/* The memory of the area was lost: nobody knows yet who has limits. */
static void at_a_start_without_an_area_all_keys_with_limits_get_blocks(void **state)
{
    unsigned blockless = 0, made_again = 0;
    struct error why;
    uint64_t last;
    (void)state;
    add_limited_keys();
    limit_owner("bob", 9);
    assert_int_equal(tally_open(run_dir, 0, &growth.tally, &why, &error), 0);
    growth.old = NULL;
    growth_plan(&growth, store_key_count(store), 0, 0, NULL, 0);
    assert_int_equal(growth_begin(&growth, &error), 0);
    for (enum growth_progress progress; (progress = step()) != GROWTH_READY;)
        if (progress == GROWTH_WAITING && growth.stage == GROWTH_MAKING) {
            sem_wait(&made);
            made_again++;
        }
    assert_true(made_again >= 2);
    assert_int_equal(store_scan(store, 0, SIZE_MAX, count_blockless, &blockless, &last, &error), 0);
    assert_int_equal(blockless, 0);
    assert_true(owners_find(&keys.owners, text_of("bob"))->block != 0);
    growth_cancel(&growth);
    tally_free(growth.tally);
    growth.tally = NULL;
}

/* More than one step takes over, of keys and of changes. */
static void an_owner_of_many_keys_is_taken_over_whole(void **state)
{
    (void)state;
    begin();
    while (growth.stage == GROWTH_FILLING)
        step();
    change(make_owner_op(OP_OWNER_SUSPEND, "alice"));
    finish();
}

static void the_limits_of_an_owner_of_many_keys_are_taken_over(void **state)
{
    (void)state;
    limit_owner("bob", 9);
    begin();
    while (growth.stage == GROWTH_FILLING)
        step();
    limit_owner("alice", 7);
    assert_shows_the_store(&table.writer.view);
    finish();
}

/* An import of a thousand keys into a table that had room for a few of them, and one key in it. */
static void what_waits_for_room_does_not_pass_for_the_texts_of_few_keys(void **state)
{
    struct table_writer old = {.slots_used = 1, .side_used = 32000};
    (void)state;
    growth_plan(&growth, 1001, 0, 0, &old, 1);
    assert_int_equal(growth.params.side_bytes_per_key, TABLE_SIDE_BYTES_PER_KEY);
    growth_plan(&growth, 1, 0, 0, &old, 0);
    assert_int_equal(growth.params.side_bytes_per_key, TABLE_SIDE_BYTES_PER_KEY_MAX);
    growth_plan(&growth, 1001, 0, 0, &old, 3); /* two more tables had no room for it either */
    assert_int_equal(growth.params.side_bytes_per_key, 4 * TABLE_SIDE_BYTES_PER_KEY);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(at_a_start_all_is_taken_over_at_once),
        EACH(at_a_start_a_table_that_is_too_small_is_made_again),
        EACH(what_changes_between_any_two_steps_is_in_the_new_table),
        EACH(what_changes_while_it_is_filled_is_in_the_new_table),
        EACH(what_changes_before_the_last_step_is_in_the_new_table),
        EACH(an_owner_of_many_keys_is_taken_over_whole),
        EACH(the_limits_of_an_owner_of_many_keys_are_taken_over),
        EACH(at_a_start_without_an_area_all_keys_with_limits_get_blocks),
        EACH(what_waits_for_room_does_not_pass_for_the_texts_of_few_keys),
    };
    return cmocka_run_group_tests_name("growth", tests, NULL, NULL);
}
