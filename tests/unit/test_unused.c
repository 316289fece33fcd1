/* Which keys are not used: by what the store knows and what the usage area says at this moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/unused.h"
#include "lib_used_keys.h"

#define SINCE (NOW - 90 * DAY)

/* More than one page looks at. */
#define MANY 5000u

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

static struct op *disable(const uint64_t *ids, size_t count)
{
    struct op *op = op_new(OP_DISABLE);
    assert_non_null(op);
    op->ids = op_alloc(op, count * sizeof *ids);
    memcpy(op->ids, ids, count * sizeof *ids);
    op->id_count = count;
    op->unused_since_unix_s = SINCE;
    op->comment = text_of("unused");
    keys_tidy(op);
    keys_change(&keys, op);
    assert_int_equal(op->error.code, 0);
    keys_publish(&keys, keys.claim_count);
    return op;
}

static bool is_disabled_for_its_age(uint64_t id)
{
    struct op *op = disable(&id, 1);
    bool changed = op->keys[0].changed;
    op_free(op);
    assert_int_equal(read_key(id).disabled, changed);
    return changed;
}

static void add_record(struct record record)
{
    store_save(store, NULL, &record, CHANGE_CREATED);
    show_key(&record);
}

/* Whoever could not use it, or was only just given it, is no evidence. */
static void a_key_has_the_whole_time_since_it_could_be_used(void **state)
{
    struct record record = store_sample(1, "n", "acme");
    (void)state;
    record.created_unix_s = 1;
    add_record(record);
    record = store_sample(2, "n", "acme");
    record.enabled_unix_s = SINCE + 1;
    add_record(record);
    record = store_sample(3, "n", "acme");
    record.not_before_unix_s = SINCE + 1;
    add_record(record);
    record = store_sample(4, "n", "acme");
    record.expires_unix_s = NOW - 1;
    add_record(record);
    record = store_sample(5, "n", "acme");
    record.enabled_unix_s = record.not_before_unix_s = SINCE;
    record.expires_unix_s = NOW + 1;
    add_record(record);
    add_key(6, SINCE + 1, 0);
    assert_true(is_disabled_for_its_age(1));
    for (uint64_t id = 2; id <= 4; id++)
        assert_false(is_disabled_for_its_age(id));
    assert_true(is_disabled_for_its_age(5));
    assert_false(is_disabled_for_its_age(6));
}

static void switch_owner(enum op_kind kind)
{
    struct op *op = make_op(kind, 0);
    op->owner = text_of("acme");
    run(op);
}

static void who_enables_or_resumes_or_prolongs_gives_the_whole_time_again(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 3; id++)
        add_key(id, 1, 0);
    assert_true(is_disabled_for_its_age(1));
    run(make_op(OP_ENABLE, 1));
    assert_int_equal(read_key(1).enabled_unix_s, NOW);
    assert_false(is_disabled_for_its_age(1));

    struct op *op = make_op(OP_UPDATE, 2);
    op->fields.has = OP_HAS_EXPIRES;
    op->fields.expires_unix_s = NOW - 1;
    run(op);
    assert_int_equal(read_key(2).enabled_unix_s, 0);
    op = make_op(OP_UPDATE, 2);
    op->fields.has = OP_HAS_EXPIRES;
    run(op);
    assert_int_equal(read_key(2).enabled_unix_s, NOW);
    assert_false(is_disabled_for_its_age(2));

    switch_owner(OP_OWNER_SUSPEND);
    assert_false(is_disabled_for_its_age(3));
    switch_owner(OP_OWNER_RESUME);
    assert_false(is_disabled_for_its_age(3));
    keys.now_unix_ms = (NOW + 91 * DAY) * 1000;
    op = make_op(OP_DISABLE, 3);
    op->unused_since_unix_s = NOW + DAY;
    run(op);
    assert_true(read_key(3).disabled);
}

static void an_import_gives_the_whole_time_too(void **state)
{
    struct op *op = make_op(OP_IMPORT, 0);
    (void)state;
    op->imports = op_alloc(op, sizeof *op->imports);
    op->import_count = 1;
    op->imports[0] = (struct op_import){.digest = {{7, 8, 9, 10}},
                                        .id = 77,
                                        .assumed_bits = 128,
                                        .created_unix_s = 5,
                                        .name = text_of("moved here")};
    run(op);
    assert_int_equal(read_key(77).created_unix_s, 5);
    assert_true(is_listed(77)); /* which says no more than what is known of it */
    assert_false(is_disabled_for_its_age(77));
}

/* Its uses are counted nowhere, so that there are none says nothing. */
static void a_key_without_a_record_is_not_called_idle(void **state)
{
    struct record record = store_sample(1, "n", "acme");
    struct table_entry entry;
    (void)state;
    record.created_unix_s = 1;
    store_save(store, NULL, &record, CHANGE_CREATED);
    keys_entry(&record, &(struct owner_state){.block = 0}, &entry);
    assert_int_equal(heap_table_put(&table, &entry), 0);
    assert_false(is_disabled_for_its_age(1));
    add_key(2, 1, 0);
    assert_true(is_disabled_for_its_age(2));
}

static int64_t known_until(int64_t now_unix_s)
{
    struct store_evidence evidence;
    bool ended;
    sweeper_begin(&keys.sweeper, 0, 1);
    while (keys.sweeper.active)
        assert_ok(sweeper_step(&keys.sweeper, &(struct history_plan){.now_unix_s = now_unix_s},
                               &ended, &error));
    assert_ok(store_evidence(store, &evidence, &error));
    return evidence.until_unix_s;
}

/* Who starts then counts nothing. */
static void a_round_without_a_keeper_is_no_evidence(void **state)
{
    (void)state;
    assert_int_equal(known_until(NOW), NOW);
    assert_true(tally_tend(tally, &error) < 0);
    assert_int_equal(known_until(NOW + 60), NOW);
}

/* It was found, and then somebody used it. */
static void a_key_that_is_used_before_the_change_is_left_alone(void **state)
{
    const uint64_t ids[] = {1, 2};
    (void)state;
    add_key(1, 1, 0);
    uint32_t ref = add_key(2, 1, 0);
    use_key(ref, NOW);
    struct op *op = disable(ids, 2);
    assert_int_equal(op->key_count, 2);
    assert_true(op->keys[0].changed);
    assert_false(op->keys[1].changed);
    op_free(op);
    assert_true(read_key(1).disabled);
    assert_false(read_key(2).disabled);
}

static bool skips_id(const void *context, uint64_t id)
{
    return id == *(const uint64_t *)context;
}

static size_t find(struct unused *unused, int64_t boot_ms, uint64_t ids[100])
{
    const uint64_t skipped = 300;
    size_t count;
    assert_ok(
        unused_find(unused, &keys, SINCE, boot_ms, skips_id, &skipped, ids, 100, &count, &error));
    return count;
}

static void a_pass_finds_all_in_bounded_steps_and_the_next_comes_later(void **state)
{
    struct unused unused = {.passing = false};
    uint64_t ids[100], found = 0, last = 0;
    unsigned steps = 0;
    (void)state;
    add_many();
    for (uint32_t ref = 1; ref <= MANY; ref++)
        if (ref % 100 != 0)
            use_key(ref, NOW);
    do {
        size_t count = find(&unused, 5, ids);
        assert_true(unused.after_id - last <= 2001 || !unused.passing);
        last = unused.after_id;
        for (size_t i = 0; i < count; i++, found++)
            assert_true(ids[i] % 100 == 0 && ids[i] != 300);
        steps++;
    } while (unused.passing);
    assert_int_equal(found, MANY / 100 - 1);
    assert_true(steps > 2);
    assert_int_equal(find(&unused, UNUSED_PASS_MS, ids), 0);
    assert_false(unused.passing);
    assert_true(find(&unused, 5 + UNUSED_PASS_MS, ids) > 0);
}

static void what_is_purged_leaves_no_trace_of_its_use(void **state)
{
    struct total total;
    bool ended;
    (void)state;
    uint32_t ref = add_key(1, 1, 0);
    use_key(ref, NOW);
    store_use(1, NOW);
    run(make_op(OP_REVOKE, 1));
    struct op *op = make_op(OP_PURGE, 1);
    keys_change(&keys, op);
    assert_int_equal(op->error.code, 0);
    assert_int_equal(store_total(store, 1, &total, &error), CATLATCH_E_NOT_FOUND);
    keys_settle_usage(&keys, op);
    op_free(op);
    usage_note_refusal(tally_area(tally), ref, NOW, NULL); /* somebody tries it all the same */
    sweeper_begin(&keys.sweeper, 0, 1);
    while (keys.sweeper.active)
        assert_ok(
            sweeper_step(&keys.sweeper, &(struct history_plan){.now_unix_s = NOW}, &ended, &error));
    assert_int_equal(store_total(store, 1, &total, &error), CATLATCH_E_NOT_FOUND);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_key_that_was_never_used_counts_from_its_creation),
        EACH(a_use_counts_wherever_it_is_known_from),
        EACH(a_refusal_is_no_use),
        EACH(a_scribbled_time_is_one_that_has_been),
        EACH(a_key_has_the_whole_time_since_it_could_be_used),
        EACH(who_enables_or_resumes_or_prolongs_gives_the_whole_time_again),
        EACH(an_import_gives_the_whole_time_too),
        EACH(a_key_that_is_used_before_the_change_is_left_alone),
        EACH(a_key_without_a_record_is_not_called_idle),
        EACH(a_round_without_a_keeper_is_no_evidence),
        EACH(a_pass_finds_all_in_bounded_steps_and_the_next_comes_later),
        EACH(what_is_purged_leaves_no_trace_of_its_use),
        EACH(a_page_looks_at_some_and_the_next_goes_on),
    };
    return cmocka_run_group_tests_name("unused", tests, NULL, NULL);
}
