/* Where the limits of an owner are counted: one block of the usage area, from the first of them on,
 * whatever becomes of a change, of a table, and of the daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/growth_usage.h"
#include "daemon/keys_internal.h"
#include "lib_used_keys.h"

/* More than are shown with the batch. */
#define MANY 2100u

static struct op *limit_op(const char *rates)
{
    struct op *op = op_new(OP_OWNER_UPDATE);
    assert_non_null(op);
    assert_int_equal(op_text(op, "acme", 4, &op->owner), 0);
    op->fields.has = OP_HAS_RATES;
    if (rates[0] != '\0')
        assert_int_equal(rates_parse(text_of(rates), &op->fields.rates, &error), 0);
    return op;
}

static int fails(struct op *op)
{
    keys_tidy(op);
    keys_change(&keys, op);
    int r = op->error.code;
    assert_int_equal(keys.claim_count, 0);
    op_free(op);
    return r;
}

static const struct owner_state *acme(void)
{
    return owners_find(&keys.owners, text_of("acme"));
}

/* What the table shows for the key's owner. */
static uint32_t block_shown(uint64_t id, unsigned *ret_rates)
{
    struct record record = read_key(id);
    struct table_limits limits;
    struct table_hit hit;
    uint32_t block;
    assert_int_equal(table_find(&table.writer.view, &record.digest, &hit), TABLE_HIT);
    assert_int_equal(table_owner_limits(&table.writer.view, hit.slot, &limits, &block), 0);
    *ret_rates = limits.count;
    return block;
}

static uint64_t refs_told(void)
{
    return atomic_load(&table.writer.header->usage_refs);
}

static void an_owner_keeps_the_block_that_he_got_once(void **state)
{
    unsigned rates;
    (void)state;
    add_key(1, 1, 0);
    add_key(2, 1, 0);
    run(limit_op("5/1m"));
    uint32_t block = acme()->block;
    assert_true(block != 0 && block % 2 == 0);
    assert_int_equal(block_shown(2, &rates), block);
    assert_int_equal(rates, 1);
    run(limit_op("5/1m,9/1h"));
    assert_int_equal(block_shown(1, &rates), block);
    assert_int_equal(rates, 2);
    run(limit_op(""));
    assert_int_equal(block_shown(1, &rates), block);
    assert_int_equal(rates, 0);
    run(limit_op("7/1m"));
    assert_int_equal(block_shown(2, &rates), block);
    assert_int_equal(tally_highest(tally), block + 1); /* nothing was taken beside it */
}

static void the_header_tells_of_the_block_before_a_slot_does(void **state)
{
    unsigned rates;
    (void)state;
    for (uint64_t id = 1; id <= MANY; id++)
        add_key(id, 1, 0);
    keys_tell_refs(tally, &table.writer);
    uint64_t before = refs_told();
    struct op *op = limit_op("5/1m");
    keys_tidy(op);
    keys_change(&keys, op);
    assert_true(op->spreads && keys.claim_count == 0);
    assert_true(refs_told() > before && refs_told() >= acme()->block + 1);
    assert_int_equal(block_shown(1, &rates), 0);
    op_queue_add(&keys.spreading, op);
    while (keys_spread(&keys) == NULL)
        continue;
    op_free(op);
    assert_int_equal(block_shown(MANY, &rates), acme()->block);
}

/* The table has no room for one more record of rates; narrower ones use its reserve. */
static void a_change_that_fails_changes_nothing_of_what_is_known(void **state)
{
    char rates[32];
    unsigned shown, last = 1000;
    int r = 0;
    (void)state;
    add_key(1, 1, 0);
    run(limit_op("1000/1m"));
    uint32_t block = acme()->block;
    table.writer.side_used = table.writer.view.side_size - 512;
    assert_int_equal(fails(limit_op("1001/1m")), CATLATCH_E_FULL);
    for (; r == 0; last -= r == 0) {
        snprintf(rates, sizeof rates, "%u/1m", last - 1);
        keys.table_full = false;
        struct op *op = limit_op(rates);
        keys_change(&keys, op);
        if ((r = op->error.code) == 0)
            keys_publish(&keys, keys.claim_count);
        op_free(op);
    }
    assert_int_equal(r, CATLATCH_E_FULL);
    assert_true(keys.table_full && last < 1000);
    assert_int_equal(acme()->rates.list[0].count, last);
    assert_int_equal(acme()->block, block);
    assert_int_equal(block_shown(1, &shown), block);
    struct record_owner owner;
    struct store_buffer buffer;
    assert_ok(store_owner(store, NULL, text_of("acme"), &buffer, &owner, &error));
    assert_int_equal(owner.rates.list[0].count, last);
}

/* What he was given before the failure is his: nobody else has it. */
static void a_block_that_was_taken_for_nothing_stays_his(void **state)
{
    unsigned shown;
    (void)state;
    add_key(1, 1, 0);
    table.writer.side_used = table.writer.view.side_size;
    assert_int_equal(fails(limit_op("1/1m")), CATLATCH_E_FULL);
    assert_int_equal(acme()->rates.count, 0);
    uint32_t block = acme()->block;
    assert_true(block != 0);
    table.writer.side_used = 4096;
    assert_true(tally_take_block(tally) > block);
    run(limit_op("1/1m"));
    assert_int_equal(block_shown(1, &shown), block);
}

/* Nor is he without room for one more block; what takes away needs none. */
static void who_has_no_block_can_be_suspended_and_resumed(void **state)
{
    struct op *op;
    unsigned shown;
    (void)state;
    add_key(1, 1, 0);
    while (tally_take_block(tally) != 0)
        continue;
    assert_int_equal(fails(limit_op("1/1m")), CATLATCH_E_FULL);
    assert_true(keys.table_full);
    assert_int_equal(acme()->rates.count, 0);
    struct record_owner owner;
    struct store_buffer buffer;
    assert_ok(store_owner(store, NULL, text_of("acme"), &buffer, &owner, &error));
    /* As a start finds him that has no memory for it. */
    struct owner_state limited = {.rates = {.count = 1, .list = {{1, 60, 1}}}};
    assert_int_equal(owners_set(&keys.owners, text_of("acme"), &limited), 0);
    for (unsigned i = 0; i < 2; i++) {
        op = op_new(i == 0 ? OP_OWNER_SUSPEND : OP_OWNER_RESUME);
        assert_int_equal(op_text(op, "acme", 4, &op->owner), 0);
        keys.table_full = false;
        run(op);
        assert_int_equal(acme()->suspended, i == 0);
        assert_int_equal(block_shown(1, &shown), 0);
    }
}

/* Before he had any, and a start that knows nothing of his block. */
static void the_first_key_of_a_limited_owner_brings_the_block(void **state)
{
    struct owner_state limited = {.rates = {.count = 1, .list = {{5, 60, 5}}}};
    unsigned shown;
    (void)state;
    config.environments = (struct key_environments){.count = 1, .list = {{"live", "cc_live_"}}};
    add_key(1, 1, 0);
    assert_int_equal(owners_set(&keys.owners, text_of("acme"), &limited), 0);
    struct op *op = op_new(OP_CREATE);
    op->fields.has = OP_HAS_NAME | OP_HAS_OWNER;
    assert_int_equal(op_text(op, "new", 3, &op->fields.name), 0);
    assert_int_equal(op_text(op, "acme", 4, &op->fields.owner), 0);
    run(op);
    assert_true(acme()->block != 0);
    assert_int_equal(block_shown(1, &shown), acme()->block); /* they share his record */
    assert_int_equal(shown, 1);
    assert_true(refs_told() >= acme()->block + 1);
}

/* His own keys do not say what he is held to. */
static void a_session_of_the_owner_does_not_change_his_limits(void **state)
{
    (void)state;
    add_key(1, 1, 0);
    run(limit_op("5/1m"));
    struct op *op = limit_op("");
    assert_int_equal(op_text(op, "acme", 4, &op->confined_owner), 0);
    assert_int_equal(fails(op), CATLATCH_E_PERMISSION);
    assert_int_equal(acme()->rates.count, 1);
}

static void a_revoke_takes_no_room_in_a_full_table(void **state)
{
    unsigned shown;
    (void)state;
    for (uint64_t id = 1; id <= 5; id++)
        add_key(id, 1, 0);
    run(limit_op("5/1m"));
    /* Nor is his record of limits found again: the index is lost. */
    for (uint64_t i = 0; i < table.writer.intern_count; i++)
        atomic_store(&table.writer.intern[i], 1);
    table.writer.side_used = table.writer.view.side_size;
    uint64_t used = table.writer.side_used;
    run(make_op(OP_DISABLE, 1));
    run(make_op(OP_ENABLE, 1));
    run(make_op(OP_REVOKE, 1));
    assert_int_equal(block_shown(1, &shown), acme()->block);
    /* And where what is shown is not what it is by now. */
    struct owner_state other = *acme();
    other.rates.list[0].count = other.rates.list[0].burst = 9;
    assert_int_equal(owners_set(&keys.owners, text_of("acme"), &other), 0);
    run(make_op(OP_REVOKE, 2));
    assert_true(table.writer.side_used == used);
}

static struct growth start_of_next(struct owners *owners)
{
    return (struct growth){.store = store,
                           .owners = owners,
                           .tally = tally,
                           .previous = &table.writer.view,
                           .params.generation = 1};
}

/* A start knows no more than the store says, and the table of the daemon before. */
static void the_next_daemon_finds_it_by_any_key_that_was_there(void **state)
{
    struct owners owners = {NULL};
    (void)state;
    add_key(1, 1, 0);
    add_key(2, 1, 0);
    run(limit_op("5/1m"));
    uint32_t block = acme()->block;
    struct op *op = make_op(OP_REVOKE, 1);
    run(op);
    /* One that was committed, and never shown. */
    struct record late = store_sample(3, "n", "acme");
    store_save(store, NULL, &late, CHANGE_CREATED);
    assert_ok(owners_load(&owners, store, &error));
    struct growth growth = start_of_next(&owners);
    assert_int_equal(growth_owner(&growth, &late)->block, block);
    owners_clear(&owners);
    assert_ok(owners_load(&owners, store, &error));
    struct record revoked = read_key(1);
    assert_int_equal(growth_owner(&growth, &revoked)->block, block);
    owners_clear(&owners);
}

/* Where all are revoked, his record in the table is theirs alone. */
static void the_next_daemon_finds_it_by_revoked_keys(void **state)
{
    struct owners owners = {NULL};
    (void)state;
    add_key(1, 1, 0);
    run(make_op(OP_REVOKE, 1));
    run(limit_op("5/1m"));
    assert_ok(owners_load(&owners, store, &error));
    struct growth growth = start_of_next(&owners);
    struct record revoked = read_key(1);
    assert_int_equal(growth_owner(&growth, &revoked)->block, acme()->block);
    owners_clear(&owners);
}

/* Nor looked for with each of his keys: with a million of them that would be hours. */
static void what_was_not_to_be_had_for_one_key_is_not_sought_for_the_next(void **state)
{
    struct owners owners = {NULL};
    (void)state;
    add_key(1, 1, 0);
    run(limit_op("5/1m"));
    assert_ok(owners_load(&owners, store, &error));
    struct growth growth = start_of_next(&owners);
    struct record record = read_key(1);
    growth.previous = NULL;
    growth.params.generation = 7;
    while (tally_take_block(tally) != 0)
        continue;
    assert_int_equal(growth_owner(&growth, &record)->block, 0);
    tally_rewind(tally, 100);
    assert_int_equal(growth_owner(&growth, &record)->block, 0);
    growth.params.generation++;
    assert_true(growth_owner(&growth, &record)->block > 100);
    owners_clear(&owners);
}

/* The same text of a key can be another owner's there. */
static void the_block_of_another_owner_is_not_his(void **state)
{
    struct owners owners = {NULL};
    (void)state;
    add_key(1, 1, 0);
    run(limit_op("5/1m"));
    struct owner_state limited = {.rates = acme()->rates};
    assert_int_equal(owners_set(&owners, text_of("other"), &limited), 0);
    struct growth growth = start_of_next(&owners);
    struct record record = read_key(1);
    record.owner = text_of("other");
    assert_true(growth_owner(&growth, &record)->block > acme()->block);
    owners_clear(&owners);
}

/* A daemon that died before it told its header. */
static void a_block_that_is_found_is_given_to_nobody_else(void **state)
{
    struct owners owners = {NULL};
    (void)state;
    add_key(1, 1, 0);
    run(limit_op("5/1m"));
    uint32_t block = acme()->block;
    tally_rewind(tally, 1);
    assert_ok(owners_load(&owners, store, &error));
    struct growth growth = start_of_next(&owners);
    struct record record = read_key(1);
    assert_int_equal(growth_owner(&growth, &record)->block, block);
    assert_true(tally_take_block(tally) > block);
    owners_clear(&owners);
}

static void a_start_that_begins_anew_has_given_out_nothing(void **state)
{
    struct owners owners = {NULL};
    unsigned rates;
    (void)state;
    add_key(1, 1, 0);
    run(limit_op("5/1m"));
    assert_ok(owners_load(&owners, store, &error));
    struct growth growth = start_of_next(&owners);
    assert_int_equal(owners_without_block(&owners), 1);
    growth.previous = NULL;
    growth.refs_before = tally_highest(tally);
    struct record record = read_key(1);
    uint32_t fresh = growth_owner(&growth, &record)->block;
    assert_true(fresh > block_shown(1, &rates));
    growth_rewind_usage(&growth);
    assert_int_equal(owners_find(&owners, text_of("acme"))->block, 0);
    assert_int_equal(tally_highest(tally), growth.refs_before);
    assert_int_equal(tally_take_block(tally), fresh);
    assert_true(growth_owner(&growth, &record)->block > fresh);
    owners_clear(&owners);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(an_owner_keeps_the_block_that_he_got_once),
        EACH(the_header_tells_of_the_block_before_a_slot_does),
        EACH(a_change_that_fails_changes_nothing_of_what_is_known),
        EACH(a_block_that_was_taken_for_nothing_stays_his),
        EACH(the_next_daemon_finds_it_by_any_key_that_was_there),
        EACH(the_next_daemon_finds_it_by_revoked_keys),
        EACH(a_start_that_begins_anew_has_given_out_nothing),
        EACH(who_has_no_block_can_be_suspended_and_resumed),
        EACH(the_first_key_of_a_limited_owner_brings_the_block),
        EACH(a_session_of_the_owner_does_not_change_his_limits),
        EACH(a_revoke_takes_no_room_in_a_full_table),
        EACH(what_was_not_to_be_had_for_one_key_is_not_sought_for_the_next),
        EACH(the_block_of_another_owner_is_not_his),
        EACH(a_block_that_is_found_is_given_to_nobody_else),
    };
    return cmocka_run_group_tests_name("limits of owners", tests, NULL, NULL);
}
