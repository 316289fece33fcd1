/* While the next table is filled a key may have its limits' memory there, and not yet in the one
 * that readers see: what changes meanwhile goes on with that. And nobody has what was given back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/keys_internal.h"
#include "lib_used_keys.h"

static struct heap_table coming;
static uint32_t block; /* that key 5 has there */

static int open_both(void **state)
{
    struct table_entry entry;
    int r = open_all(state);
    config.environments = (struct key_environments){.count = 1, .list = {{"live", "cc_live_"}}};
    add_key(5, 1, 0);
    struct record record = read_key(5);
    heap_table_open(&coming, 100, 256);
    keys_entry(&record, &(struct owner_state){.block = 0}, &entry);
    block = tally_take_block(tally);
    entry.usage = keys_usage_ref(&keys, &record.digest) | (uint64_t)block << 32;
    assert_int_equal(heap_table_put(&coming, &entry), 0);
    keys.coming = &coming.writer.view;
    return r;
}

static int close_both(void **state)
{
    heap_table_close(&coming);
    return close_all(state);
}

/* In the table that readers see. */
static struct table_usage usage_of(uint64_t id)
{
    struct record record = read_key(id);
    struct table_hit hit;
    assert_int_equal(table_find(&table.writer.view, &record.digest, &hit), TABLE_HIT);
    return table_usage(&table.writer.view, hit.slot);
}

static void what_limits_the_key_now_is_counted_there(void **state)
{
    struct op *op = make_op(OP_UPDATE, 5);
    (void)state;
    assert_int_equal(usage_of(5).block, 0);
    op->fields.has = OP_HAS_ALLOWANCE;
    op->fields.allowance.uses = 1000;
    run(op);
    assert_int_equal(usage_of(5).block, block);
    op = make_op(OP_UPDATE, 5);
    op->fields.has = OP_HAS_RATES;
    assert_int_equal(rates_parse(text_of("5/1m"), &op->fields.rates, &error), 0);
    run(op);
    assert_int_equal(usage_of(5).block, block);
    assert_int_equal(tally_highest(tally), block + 1); /* nothing was taken beside it */
}

static void its_successor_shares_it(void **state)
{
    struct op *op = make_op(OP_ROTATE, 5);
    (void)state;
    config.named_limits.count = 1;
    op->grace_s = OP_GRACE_KEEP;
    run(op);
    assert_int_equal(usage_of(read_key(5).rotated_to).block, block);
    config.named_limits.count = 0;
}

static void a_key_that_is_in_neither_gets_its_own(void **state)
{
    struct record record = store_sample(6, "n", "acme");
    struct table_entry entry;
    struct keys_usage taken;
    (void)state;
    config.named_limits.count = 1;
    keys_entry(&record, &(struct owner_state){.block = 0}, &entry);
    assert_int_equal(keys_take_usage(&keys, &entry, &record, &taken), 0);
    assert_true(taken.took_record && taken.took_block);
    assert_true(taken.usage >> 32 > block);
    config.named_limits.count = 0;
}

static void a_block_that_is_given_back_is_no_groups_any_more(void **state)
{
    (void)state;
    uint32_t kept = tally_take_block(tally), given_back = tally_take_block(tally);
    assert_int_equal(tally_know_group(tally, 70, kept), 0);
    assert_int_equal(tally_know_group(tally, 71, given_back), 0);
    tally_give_block_back(tally, given_back);
    assert_int_equal(tally_group_block(tally, 71), 0);
    assert_int_equal(tally_group_block(tally, 70), kept);
    assert_int_equal(tally_take_block(tally), given_back);
    tally_give_block_back(tally, kept); /* not the last: it stays */
    assert_int_equal(tally_group_block(tally, 70), kept);
    tally_rewind(tally, block + 1);
    assert_int_equal(tally_group_block(tally, 70), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_both, close_both)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(what_limits_the_key_now_is_counted_there),
        EACH(its_successor_shares_it),
        EACH(a_key_that_is_in_neither_gets_its_own),
        EACH(a_block_that_is_given_back_is_no_groups_any_more),
    };
    return cmocka_run_group_tests_name("the coming table", tests, NULL, NULL);
}
