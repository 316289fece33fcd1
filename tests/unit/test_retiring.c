/* Keys that were rotated on evidence: when they end, and when nobody can tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/keys_internal.h"
#include "lib_used_keys.h"

#define LATER (NOW + 10 * DAY)

/* More than one step looks at. */
#define MANY 1200u

static void know_uses_since(int64_t unix_s)
{
    struct store_evidence evidence = {.since_unix_s = unix_s,
                                      .until_unix_s = keys.now_unix_ms / 1000};
    assert_ok(store_set_evidence(store, &evidence, &error));
}

static int open_rotated(void **state)
{
    int r = open_all(state);
    config.environments = (struct key_environments){.count = 1, .list = {{"live", "cc_live_"}}};
    know_uses_since(1);
    return r;
}

static void at(int64_t unix_s)
{
    keys.now_unix_ms = unix_s * 1000;
    know_uses_since(1);
}

/* Returns the successor. */
static uint64_t rotate(uint64_t id, const char *retirement, int64_t grace_s)
{
    struct op *op = make_op(OP_ROTATE, id);
    op->grace_s = grace_s;
    if (retirement != NULL)
        assert_ok(retirement_parse(text_of(retirement), &op->retirement, &error));
    run(op);
    return read_key(id).rotated_to;
}

static bool waits(uint64_t id)
{
    struct record record = read_key(id);
    return !retirement_is_none(&record.retirement);
}

static uint32_t ref_of(uint64_t id)
{
    struct record record = read_key(id);
    return keys_usage_ref(&keys, &record.digest);
}

static bool skips_none(const void *context, uint64_t id)
{
    (void)context;
    (void)id;
    return false;
}

static size_t find(uint64_t *ids, size_t max)
{
    size_t count;
    assert_ok(retiring_find(&keys.retiring, &keys, skips_none, NULL, ids, max, &count, &error));
    return count;
}

/* Whether a pass finds this one key, and what comes of it. */
static bool retires(uint64_t id)
{
    uint64_t found = 0;
    size_t count = find(&found, 1);
    if (count == 1)
        assert_int_equal(found, id);
    struct record before = read_key(id);
    run(make_op(OP_RETIRE, id));
    struct record after = read_key(id);
    bool changed = after.version != before.version;
    assert_int_equal(changed, count == 1);
    return changed;
}

static void a_key_ends_once_it_was_not_used_for_as_long(void **state)
{
    (void)state;
    uint32_t ref = add_key(5, 1, 0);
    rotate(5, "unseen=24h", OP_GRACE_KEEP);
    assert_int_equal(read_key(5).expires_unix_s, 0);
    assert_int_equal(read_key(5).retirement.since_unix_s, NOW);
    assert_false(retires(5)); /* it was not used for ages, but that is since it was rotated */
    at(NOW + DAY - 1);
    assert_false(retires(5));
    use_key(ref, NOW + DAY - 1);
    at(NOW + DAY);
    assert_false(retires(5));
    at(NOW + 2 * DAY - 2);
    assert_false(retires(5));
    at(NOW + 2 * DAY - 1);
    assert_true(retires(5));
    assert_int_equal(read_key(5).expires_unix_s, NOW + 2 * DAY - 1);
    assert_false(waits(5));
    assert_false(retires(5));
    assert_int_equal(keys.retiring.count, 0);
}

static void a_refusal_of_workers_and_a_use_of_the_successor_are_no_use(void **state)
{
    (void)state;
    uint32_t ref = add_key(5, 1, 0);
    uint64_t next = rotate(5, "unseen=24h", OP_GRACE_KEEP);
    at(NOW + DAY);
    usage_note_refusal(tally_area(tally), ref, NOW + DAY, NULL);
    use_key(ref_of(next), NOW + DAY);
    assert_true(retires(5));
    assert_int_equal(read_key(next).expires_unix_s, 0);
}

static void without_evidence_it_stays(void **state)
{
    (void)state;
    add_key(5, 1, 0);
    rotate(5, "unseen=24h", OP_GRACE_KEEP);
    at(LATER);
    know_uses_since(LATER - DAY + 1);
    assert_false(retires(5));
    struct store_evidence old = {.since_unix_s = 1, .until_unix_s = LATER - 3 * 3600};
    assert_ok(store_set_evidence(store, &old, &error));
    assert_false(retires(5));
    know_uses_since(LATER - DAY);
    assert_true(retires(5));
}

static void who_could_not_use_it_has_the_whole_time(void **state)
{
    (void)state;
    add_key(5, 1, 0);
    rotate(5, "unseen=24h", OP_GRACE_KEEP);
    run(make_op(OP_DISABLE, 5));
    at(LATER);
    assert_false(retires(5));
    run(make_op(OP_ENABLE, 5));
    assert_false(retires(5));
    at(LATER + DAY);
    assert_true(retires(5));
}

static void the_grace_is_the_most_that_it_has(void **state)
{
    (void)state;
    uint32_t ref = add_key(5, 1, 0);
    rotate(5, "unseen=24h", 3 * DAY);
    assert_int_equal(read_key(5).expires_unix_s, NOW + 3 * DAY);
    at(NOW + 2 * DAY);
    use_key(ref, NOW + 2 * DAY);
    assert_false(retires(5));
    at(NOW + 3 * DAY);
    assert_false(retires(5)); /* it has ended by itself */
    assert_int_equal(keys.retiring.count, 0);
}

static void its_grace_begins_with_the_first_use_of_its_successor(void **state)
{
    (void)state;
    uint32_t ref = add_key(5, 1, 0);
    uint64_t next = rotate(5, "on-use grace=2d", OP_GRACE_KEEP);
    use_key(ref, NOW);
    at(LATER);
    assert_false(retires(5));
    usage_note_refusal(tally_area(tally), ref_of(next), LATER, NULL);
    assert_false(retires(5));
    use_key(ref_of(next), LATER);
    assert_true(retires(5));
    assert_int_equal(read_key(5).expires_unix_s, LATER + 2 * DAY);
    assert_false(waits(5));
    assert_false(retires(5));
}

static void a_use_that_only_the_store_knows_begins_it_too(void **state)
{
    (void)state;
    add_key(5, 1, 0);
    store_use(rotate(5, "on-use grace=2d", OP_GRACE_KEEP), NOW - 7);
    assert_true(retires(5));
}

static void the_expiry_that_it_had_is_never_put_off(void **state)
{
    struct record record = store_sample(5, "n", "acme");
    (void)state;
    record.expires_unix_s = NOW + DAY;
    store_save(store, NULL, &record, CHANGE_CREATED);
    show_key(&record);
    use_key(ref_of(rotate(5, "on-use grace=2d", OP_GRACE_KEEP)), NOW);
    assert_true(retires(5));
    assert_int_equal(read_key(5).expires_unix_s, NOW + DAY);
}

static void unseen_counts_from_the_first_use(void **state)
{
    (void)state;
    add_key(5, 1, 0);
    uint64_t next = rotate(5, "on-use grace=9d unseen=24h", OP_GRACE_KEEP);
    at(LATER);
    use_key(ref_of(next), LATER - 5);
    assert_true(retires(5));
    assert_int_equal(read_key(5).expires_unix_s, LATER + 9 * DAY);
    assert_int_equal(read_key(5).retirement.since_unix_s, LATER);
    assert_false(retires(5));
    at(LATER + DAY - 1);
    assert_false(retires(5));
    at(LATER + DAY);
    assert_true(retires(5));
    assert_int_equal(read_key(5).expires_unix_s, LATER + DAY);
}

/* Nobody used the one in between: it was replaced too. */
static void a_use_of_a_later_successor_counts(void **state)
{
    (void)state;
    add_key(5, 1, 0);
    uint64_t second = rotate(5, "on-use grace=2d", OP_GRACE_KEEP);
    uint64_t third = rotate(second, NULL, DAY);
    assert_false(retires(5));
    use_key(ref_of(third), NOW);
    assert_true(retires(5));
}

static void an_expiry_that_is_set_by_hand_ends_the_waiting(void **state)
{
    struct op *op;
    (void)state;
    add_key(5, 1, 0);
    rotate(5, "unseen=24h", OP_GRACE_KEEP);
    op = make_op(OP_UPDATE, 5);
    op->fields.has = OP_HAS_NAME;
    op->fields.name = text_of("another");
    run(op);
    assert_true(waits(5));
    op = make_op(OP_UPDATE, 5);
    op->fields.has = OP_HAS_EXPIRES;
    run(op);
    assert_false(waits(5));
    at(LATER);
    assert_false(retires(5));
}

static void what_is_revoked_waits_for_nothing(void **state)
{
    (void)state;
    add_key(5, 1, 0);
    rotate(5, "unseen=24h", OP_GRACE_KEEP);
    run(make_op(OP_REVOKE, 5));
    assert_false(waits(5));
    at(LATER);
    assert_false(retires(5));
    assert_int_equal(keys.retiring.count, 0);
}

/* As a restore leaves a key that the older store knew of as rotated, and the newer as revoked. */
static void a_revoked_key_is_left_as_it_is(void **state)
{
    struct record record = store_sample(5, "n", "acme");
    (void)state;
    use_key(add_key(6, 1, 0), NOW);
    record.revoked = true;
    record.revoked_unix_s = 9;
    record.rotated_to = 6;
    record.retirement = (struct retirement){.on_use = true, .grace_s = DAY};
    store_save(store, NULL, &record, CHANGE_CREATED);
    show_key(&record);
    assert_int_equal(retiring_know(&keys.retiring, 5), 0);
    assert_false(retires(5));
}

/* It was found, and then somebody used it. */
static void a_key_that_is_used_before_the_change_is_left_alone(void **state)
{
    uint64_t found;
    (void)state;
    uint32_t ref = add_key(5, 1, 0);
    rotate(5, "unseen=24h", OP_GRACE_KEEP);
    at(LATER);
    assert_int_equal(find(&found, 1), 1);
    use_key(ref, LATER);
    run(make_op(OP_RETIRE, 5));
    assert_int_equal(read_key(5).expires_unix_s, 0);
    assert_false(retires(5));
}

static bool skips_odd(const void *context, uint64_t id)
{
    (void)context;
    return id % 2 != 0;
}

static void a_pass_finds_all_in_bounded_steps(void **state)
{
    uint64_t ids[100];
    size_t count, found = 0;
    unsigned steps = 0;
    struct store_txn *txn;
    (void)state;
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t id = 1; id <= MANY; id++) {
        struct record record = store_sample(id, "n", "acme");
        record.rotated_to = 9999;
        record.retirement = (struct retirement){.unseen_s = DAY, .since_unix_s = NOW - DAY};
        if (id % 3 == 0)
            record.retirement = (struct retirement){.unseen_s = 0};
        assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
        show_key(&record);
        assert_int_equal(retiring_know(&keys.retiring, id), 0);
    }
    assert_ok(store_commit(txn, &error));
    do {
        assert_ok(retiring_find(&keys.retiring, &keys, skips_odd, NULL, ids, 100, &count, &error));
        for (size_t i = 0; i < count; i++, found++)
            assert_true(ids[i] % 2 == 0 && ids[i] % 3 != 0);
        steps++;
    } while (keys.retiring.passing);
    assert_int_equal(found, MANY / 3);
    assert_true(steps > MANY / 500);
    assert_int_equal(keys.retiring.count, MANY - MANY / 6); /* even ones that wait for nothing */
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_rotated, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(a_key_ends_once_it_was_not_used_for_as_long),
        EACH(a_refusal_of_workers_and_a_use_of_the_successor_are_no_use),
        EACH(without_evidence_it_stays),
        EACH(who_could_not_use_it_has_the_whole_time),
        EACH(the_grace_is_the_most_that_it_has),
        EACH(its_grace_begins_with_the_first_use_of_its_successor),
        EACH(a_use_that_only_the_store_knows_begins_it_too),
        EACH(the_expiry_that_it_had_is_never_put_off),
        EACH(unseen_counts_from_the_first_use),
        EACH(a_use_of_a_later_successor_counts),
        EACH(an_expiry_that_is_set_by_hand_ends_the_waiting),
        EACH(what_is_revoked_waits_for_nothing),
        EACH(a_revoked_key_is_left_as_it_is),
        EACH(a_key_that_is_used_before_the_change_is_left_alone),
        EACH(a_pass_finds_all_in_bounded_steps),
    };
    return cmocka_run_group_tests_name("retiring", tests, NULL, NULL);
}
