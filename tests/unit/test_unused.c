/* Which keys are not used: by what the store knows and what the usage area says at this moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/keys.h"
#include "lib_store_test.h"
#include "lib_table.h"
#include "usage/record.h"

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)
#define SINCE (NOW - 90 * DAY)

/* More than one page looks at. */
#define MANY 5000u

static char run_dir[STORE_FOLDER_SIZE];
static struct heap_table table;
static struct config config;
static struct tally *tally;
static struct keys keys;

static int open_all(void **state)
{
    struct error why;
    set_up(state);
    store_folder_make(run_dir);
    heap_table_open(&table, MANY + 100, 256);
    assert_ok(tally_open(run_dir, &tally, &why, &error));
    assert_ok(tally_reserve(tally, MANY + 100, &error));
    keys = (struct keys){
        .store = store,
        .config = &config,
        .table = &table.writer,
        .sweeper = {.store = store, .tally = tally},
        .now_unix_ms = NOW * 1000,
    };
    return 0;
}

static int close_all(void **state)
{
    keys_free(&keys);
    tally_free(tally);
    heap_table_close(&table);
    store_folder_remove(run_dir);
    return remove_folder(state);
}

/* Into the store, if it is no part of a transaction already, and into the table. */
static uint32_t show_key(const struct record *record)
{
    struct table_entry entry;
    keys_entry(record, false, &entry);
    entry.usage = tally_take(tally, record->id);
    assert_int_equal(heap_table_put(&table, &entry), 0);
    return (uint32_t)entry.usage;
}

static uint32_t add_key(uint64_t id, int64_t created_unix_s, int64_t imported_use_unix_s)
{
    struct record record = store_sample(id, "n", "acme");
    record.created_unix_s = created_unix_s;
    record.last_used_unix_s = imported_use_unix_s;
    store_save(store, NULL, &record, CHANGE_CREATED);
    return show_key(&record);
}

static void store_use(uint64_t id, int64_t unix_s)
{
    struct store_total total = {.id = id, .total = {.used = {.count = 1, .last_unix_s = unix_s}}};
    assert_ok(store_put_totals(store, &total, 1, &error));
}

static void use_key(uint32_t ref, int64_t unix_s)
{
    usage_note_use(tally_area(tally), ref, unix_s, NULL);
}

static struct op *list(uint64_t after_id)
{
    struct op *op = op_new(OP_LIST);
    assert_non_null(op);
    op->selection.unused_since_unix_s = SINCE;
    op->after_id = after_id;
    op->limit = OP_PAGE_MAX;
    keys_read(&keys, op);
    assert_int_equal(op->error.code, 0);
    return op;
}

static bool is_listed(uint64_t id)
{
    bool found = false;
    struct op *op = list(0);
    for (size_t i = 0; i < op->key_count; i++)
        found |= op->keys[i].record.id == id;
    op_free(op);
    return found;
}

static void a_key_that_was_never_used_counts_from_its_creation(void **state)
{
    (void)state;
    add_key(1, SINCE - 1, 0);
    add_key(2, SINCE, 0);
    add_key(3, SINCE + 1, 0);
    assert_true(is_listed(1));
    assert_true(is_listed(2));
    assert_false(is_listed(3));
}

static void a_use_counts_wherever_it_is_known_from(void **state)
{
    (void)state;
    uint32_t live = add_key(1, 1, 0), old_live = add_key(2, 1, 0);
    add_key(3, 1, 0);
    add_key(4, 1, SINCE + 1);
    add_key(5, 1, SINCE);
    uint32_t both = add_key(6, 1, 0);
    use_key(live, SINCE + 1);
    use_key(old_live, SINCE);
    store_use(3, SINCE + 1);
    store_use(6, SINCE - 5);
    use_key(both, SINCE - 3);
    assert_false(is_listed(1)); /* in the area alone */
    assert_true(is_listed(2));
    assert_false(is_listed(3)); /* in the store alone: the area was lost */
    assert_false(is_listed(4)); /* an import told of it */
    assert_true(is_listed(5));
    assert_true(is_listed(6));
    use_key(both, NOW);
    assert_false(is_listed(6));
    use_key(old_live, SINCE + 1);
    assert_false(is_listed(2));
}

static void a_refusal_is_no_use(void **state)
{
    (void)state;
    uint32_t ref = add_key(1, 1, 0);
    usage_note_refusal(tally_area(tally), ref, NOW, NULL);
    assert_true(is_listed(1));
}

/* What somebody scribbles is no time that is yet to come, and so no longer than now. */
static void a_scribbled_time_is_one_that_has_been(void **state)
{
    (void)state;
    uint32_t ref = add_key(1, 1, 0);
    struct usage_record *record = usage_record_at(tally_area(tally), ref);
    memset(record, 0xff, sizeof *record);
    assert_false(is_listed(1));
    memset(record, 0, sizeof *record);
    assert_true(is_listed(1));
}

static void add_many(void)
{
    struct store_txn *txn;
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t id = 1; id <= MANY; id++) {
        struct record record = store_sample(id, "n", "acme");
        assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
        show_key(&record);
    }
    assert_ok(store_commit(txn, &error));
}

/* A revoke waits for one page, so its looks at use are bounded; and it misses nothing. */
static void a_page_looks_at_some_and_the_next_goes_on(void **state)
{
    uint64_t after = 0, found = 0;
    unsigned pages = 0;
    (void)state;
    add_many();
    for (uint32_t ref = 1; ref <= MANY; ref++)
        if (ref % 100 != 0)
            use_key(ref, NOW);
    do {
        struct op *op = list(after);
        assert_true(op->next_id == 0 || op->next_id - after <= OP_SCAN_MAX / 8);
        for (size_t i = 0; i < op->key_count; i++)
            assert_int_equal(op->keys[i].record.id, ++found * 100);
        after = op->next_id;
        op_free(op);
        pages++;
    } while (after != 0);
    assert_int_equal(found, MANY / 100);
    assert_true(pages > 1);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_key_that_was_never_used_counts_from_its_creation),
        EACH(a_use_counts_wherever_it_is_known_from),
        EACH(a_refusal_is_no_use),
        EACH(a_scribbled_time_is_one_that_has_been),
        EACH(a_page_looks_at_some_and_the_next_goes_on),
    };
    return cmocka_run_group_tests_name("unused", tests, NULL, NULL);
}
