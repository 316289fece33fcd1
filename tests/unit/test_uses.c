/* Prepaid uses on their way from the store to blocks: never more than was bought, whatever comes in
 * between, and new ones when it is time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/uses.h"
#include "lib_store_test.h"

#define MADE INT64_C(1800000000)
#define HOUR 3600
#define KEY 7u
#define MILLI UINT64_C(1000)

static char run_dir[STORE_FOLDER_SIZE];
static struct tally *tally;
static struct uses uses;
static uint32_t block;
static int64_t now_ms;

static void open_tally(void)
{
    struct error why;
    assert_int_equal(tally_open(run_dir, 0, &tally, &why, &error), 0);
    tally_adopt(tally, NULL);
    assert_ok(tally_reserve(tally, 100, &error));
    block = tally_take_block(tally);
    assert_int_not_equal(block, 0);
}

static int open_all(void **state)
{
    set_up(state);
    store_folder_make(run_dir);
    open_tally();
    uses = (struct uses){.store = store, .tally = tally};
    now_ms = 1000;
    return 0;
}

static int close_all(void **state)
{
    uses_free(&uses);
    tally_free(tally);
    store_folder_remove(run_dir);
    return remove_folder(state);
}

static struct usage_limits *words(void)
{
    return usage_limits_at(tally_area(tally), block);
}

static uint64_t in_block(void)
{
    return atomic_load(&words()->uses[USES_LEFT]);
}

static struct total stored(void)
{
    struct total total = {.used = {.count = 0}};
    int r = store_total(store, KEY, &total, &error);
    assert_true(r == 0 || r == CATLATCH_E_NOT_FOUND);
    return total;
}

static struct record key_with(const char *allowance)
{
    struct record record = {.id = KEY, .created_unix_s = MADE};
    assert_int_equal(allowance_parse(text_of(allowance), &record.allowance, NULL), 0);
    return record;
}

static void know(const struct record *record)
{
    assert_int_equal(uses_know(&uses, KEY, &record->allowance, record->created_unix_s, block), 0);
}

/* What a change does: stored, then given; `gives` false: the daemon ended in between. */
static void begin(const char *allowance, int64_t now_unix_s, bool gives)
{
    struct record record = key_with(allowance);
    struct store_total total = {.id = KEY, .total = stored()};
    struct uses_gift gift;
    uses_begin(&uses, &record, record.allowance.uses * MILLI, now_unix_s, &total.total, &gift);
    assert_ok(store_put_totals(store, &total, 1, NULL, &error));
    if (gives)
        uses_reset(words(), &gift);
    know(&record);
}

static void step(int64_t now_unix_s)
{
    bool more = true;
    now_ms += 1000;
    while (more)
        assert_ok(uses_step(&uses, SIZE_MAX, now_unix_s, now_ms, &more, &error));
}

/* So many, as fast as can be: asks for more as a heartbeat would. */
static uint64_t use_all(int64_t now_unix_s)
{
    struct uses_charge charge;
    uint64_t used = 0;
    enum uses_verdict verdict;
    while ((verdict = uses_charge(words(), 1000, &charge)) != USES_SPENT) {
        used += verdict == USES_GRANTED;
        if (verdict == USES_WAITING)
            step(now_unix_s);
    }
    return used;
}

static void restart(void)
{
    uses_free(&uses);
    uses = (struct uses){.store = store, .tally = tally};
}

static void as_many_are_used_as_were_bought(void **state)
{
    static const struct {
        const char *text;
        uint64_t bought;
    } cases[] = {{"1", 1}, {"999", 999}, {"1000", 1000}, {"1001", 1001}, {"123456", 123456}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(cases[i].text, MADE, true);
        assert_int_equal(uses_left_milli(&uses, &(struct total){.uses = stored().uses}, block),
                         cases[i].bought * MILLI);
        assert_int_equal(use_all(MADE), cases[i].bought);
        step(MADE + 1000 * HOUR);
        assert_int_equal(use_all(MADE), 0); /* and no more ever come */
    }
}

static void a_block_grows_with_its_use(void **state)
{
    struct uses_charge charge;
    (void)state;
    begin("1000000", MADE, true);
    step(MADE);
    assert_int_equal(in_block(), 1000 * MILLI);
    for (unsigned i = 0; i < 900; i++)
        assert_int_equal(uses_charge(words(), 1000, &charge), USES_GRANTED);
    step(MADE); /* 900 in a second */
    assert_int_equal(in_block(), (100 + 9000) * MILLI);
    assert_int_equal(stored().uses.left_milli, (1000000 - 1000 - 9000) * MILLI);
    for (unsigned i = 0; i < 20; i++)
        step(MADE); /* nobody uses it: it is not given more */
    assert_int_equal(in_block(), (100 + 9000) * MILLI);
}

static void a_gift_that_was_stored_and_not_given_is_given_by_the_next_start(void **state)
{
    struct total_uses before;
    (void)state;
    begin("5000", MADE, false);
    assert_int_equal(in_block(), 0);
    restart();
    know(&(struct record){.id = KEY, .created_unix_s = MADE, .allowance = {.uses = 5000}});
    before = stored().uses;
    step(MADE);
    assert_int_equal(in_block(), 1000 * MILLI);
    assert_int_equal(stored().uses.left_milli, before.left_milli);
    restart();
    know(&(struct record){.id = KEY, .created_unix_s = MADE, .allowance = {.uses = 5000}});
    step(MADE);
    assert_int_equal(in_block(), 1000 * MILLI); /* once */
    assert_int_equal(use_all(MADE), 5000);
}

static void an_allowance_that_was_changed_and_not_given_takes_the_old_ones_place(void **state)
{
    (void)state;
    begin("5000", MADE, true);
    begin("300", MADE, false);
    assert_int_equal(in_block(), 1000 * MILLI);
    restart();
    know(&(struct record){.id = KEY, .created_unix_s = MADE, .allowance = {.uses = 300}});
    step(MADE);
    assert_int_equal(use_all(MADE), 300);
}

static void a_lost_area_loses_what_it_was_given_and_no_more(void **state)
{
    (void)state;
    begin("5000", MADE, true);
    tally_free(tally);
    open_tally(); /* another one, in which nothing stands */
    restart();
    uses.tally = tally;
    know(&(struct record){.id = KEY, .created_unix_s = MADE, .allowance = {.uses = 5000}});
    step(MADE);
    assert_int_equal(use_all(MADE), 4000);
}

static void uses_come_back_when_their_period_begins(void **state)
{
    (void)state;
    begin("2500/1h", MADE, true);
    assert_int_equal(atomic_load(&words()->uses[USES_REFILL]), MADE + HOUR);
    assert_int_equal(use_all(MADE), 2500);
    step(MADE + HOUR - 1);
    assert_int_equal(use_all(MADE + HOUR - 1), 0);
    step(MADE + HOUR);
    assert_int_equal(atomic_load(&words()->uses[USES_REFILL]), MADE + 2 * HOUR);
    assert_int_equal(use_all(MADE + HOUR), 2500);
    /* What is left does not go over, and periods that nobody saw are one. */
    step(MADE + 2 * HOUR);
    assert_true(in_block() > 0);
    step(MADE + 10 * HOUR);
    assert_int_equal(use_all(MADE + 10 * HOUR), 2500);
    /* A clock that is set back begins nothing again; one that goes on does. */
    step(MADE + 5 * HOUR);
    assert_int_equal(use_all(MADE + 5 * HOUR), 0);
    restart();
    know(&(struct record){
        .id = KEY, .created_unix_s = MADE, .allowance = {2500, ALLOWANCE_INTERVAL, HOUR}});
    step(MADE + 5 * HOUR);
    assert_int_equal(use_all(MADE + 5 * HOUR), 0);
    step(MADE + 11 * HOUR);
    assert_int_equal(use_all(MADE + 11 * HOUR), 2500);
}

static void what_somebody_scribbles_on_a_block_empties_no_store(void **state)
{
    (void)state;
    begin("5000", MADE, true);
    step(MADE);
    for (unsigned i = 0; i < 4; i++)
        atomic_store(&words()->uses[i], UINT64_MAX);
    step(MADE);
    atomic_store(&words()->uses[USES_LEFT], 0); /* as if all of that had been used in a second */
    step(MADE);
    assert_true(in_block() <= 5000 * MILLI);
    assert_int_equal(stored().uses.left_milli + in_block(), 4000 * MILLI);
    for (unsigned i = 0; i < 4; i++)
        atomic_store(&words()->uses[i], 0);
    restart();
    know(&(struct record){.id = KEY, .created_unix_s = MADE, .allowance = {.uses = 5000}});
    step(MADE);
    assert_true(stored().uses.left_milli <= 4000 * MILLI);
    assert_true(uses_left_milli(&uses, &(struct total){.uses = stored().uses}, block) <=
                10000 * MILLI);
}

static void nothing_is_given_that_could_not_be_stored(void **state)
{
    struct store_txn *txn;
    bool more;
    (void)state;
    begin("5000", MADE, true);
    step(MADE);
    atomic_store(&words()->uses[USES_LEFT], 0);
    assert_ok(store_begin(store, &txn, &error)); /* so that another transaction fails */
    assert_int_equal(uses_step(&uses, 1, MADE, now_ms + 1000, &more, &error), CATLATCH_E_CONFLICT);
    assert_int_equal(in_block(), 0);
    store_abort(txn);
    assert_int_equal(use_all(MADE), 4000);
}

static void a_charge_that_is_taken_back_is_there_again(void **state)
{
    struct uses_charge first, second;
    (void)state;
    begin("2", MADE, true);
    assert_int_equal(uses_charge(words(), 1500, &first), USES_GRANTED);
    assert_int_equal(uses_charge(words(), 1500, &second), USES_SPENT);
    assert_int_equal(uses_look(words(), 1500), USES_SPENT);
    uses_undo(words(), &first);
    assert_int_equal(in_block(), 2000);
    assert_int_equal(uses_look(words(), 1500), USES_GRANTED);
    assert_int_equal(uses_charge(words(), 500, &first), USES_GRANTED);
    assert_int_equal(uses_charge(words(), 500, &second), USES_GRANTED);
    uses_undo(words(), &first); /* somebody charged since: forgone */
    assert_int_equal(in_block(), 1000);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)
    const struct CMUnitTest tests[] = {
        EACH(as_many_are_used_as_were_bought),
        EACH(a_block_grows_with_its_use),
        EACH(a_gift_that_was_stored_and_not_given_is_given_by_the_next_start),
        EACH(an_allowance_that_was_changed_and_not_given_takes_the_old_ones_place),
        EACH(a_lost_area_loses_what_it_was_given_and_no_more),
        EACH(uses_come_back_when_their_period_begins),
        EACH(what_somebody_scribbles_on_a_block_empties_no_store),
        EACH(nothing_is_given_that_could_not_be_stored),
        EACH(a_charge_that_is_taken_back_is_there_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
