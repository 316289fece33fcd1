/* Records are given to keys, and what workers write there comes into the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/sweeper.h"
#include "lib_store_test.h"
#include "usage/record.h"

#define NOW INT64_C(1800000000)

static char run_dir[STORE_FOLDER_SIZE];
static struct tally *tally;
static struct sweeper sweeper;
static struct history_plan plan = {.now_unix_s = NOW, .kept = {true, true, true}};

static int open_all(void **state)
{
    struct error why;
    set_up(state);
    store_folder_make(run_dir);
    assert_int_equal(tally_open(run_dir, 0, &tally, &why, &error), 0);
    assert_int_equal(why.code, CATLATCH_E_UNAVAILABLE); /* there is no keeper here */
    assert_false(tally_adopt(tally, NULL));
    sweeper = (struct sweeper){.store = store, .tally = tally};
    return 0;
}

static int close_all(void **state)
{
    tally_free(tally);
    store_folder_remove(run_dir);
    return remove_folder(state);
}

static void sweep(void)
{
    bool ended;
    sweeper_begin(&sweeper, 0, 1);
    assert_true(sweeper.active);
    while (sweeper.active)
        assert_ok(sweeper_step(&sweeper, &plan, &ended, &error));
}

static struct total stored(uint64_t id)
{
    struct total total = {.used = {.count = 0}};
    int r = store_total(store, id, &total, &error);
    assert_true(r == 0 || r == CATLATCH_E_NOT_FOUND);
    return total;
}

static void records_are_given_once_and_what_was_not_seen_again(void **state)
{
    (void)state;
    assert_null(tally_area(tally));
    assert_int_equal(tally_take(tally, 7), 0); /* there is no area yet */
    assert_ok(tally_reserve(tally, 10, &error));
    assert_int_equal(tally_take(tally, 7), 1);
    assert_int_equal(tally_take(tally, 8), 2);
    assert_int_equal(tally_take(tally, 9), 3);
    tally_give_back(tally, 2); /* not the last: it stays 8's */
    assert_int_equal(tally_owner(tally, 2), 8);
    tally_give_back(tally, 3);
    assert_int_equal(tally_owner(tally, 3), 0);
    assert_int_equal(tally_take(tally, 10), 3);
    tally_rewind(tally, 1);
    assert_int_equal(tally_highest(tally), 1);
    assert_int_equal(tally_owner(tally, 2), 0);
    assert_int_equal(tally_owner(tally, 1), 7);
    tally_know(tally, 5, 55);
    assert_int_equal(tally_highest(tally), 5);
    assert_int_equal(tally_owner(tally, 5), 55);
    assert_int_equal(tally_owner(tally, 0), 0);
    tally_know(tally, 0, 1);
    tally_know(tally, UINT32_MAX, 1);
    assert_int_equal(tally_owner(tally, UINT32_MAX), 0);
    assert_int_equal(tally_highest(tally), 5);
}

static void an_area_grows_and_nothing_moves(void **state)
{
    (void)state;
    assert_ok(tally_reserve(tally, 1, &error));
    const struct usage_area *before = tally_area(tally);
    struct usage_area kept = *before;
    uint32_t ref = tally_take(tally, 7);
    usage_note_use(before, ref, NOW, NULL);
    while (tally_take(tally, 1) != 0)
        continue;
    assert_int_equal(tally_highest(tally), usage_capacity(1));
    assert_ok(tally_reserve(tally, 3 * USAGE_FIRST_RECORDS, &error));
    const struct usage_area *after = tally_area(tally);
    assert_int_equal(after->segment_count, 3);
    assert_memory_equal(before, &kept, sizeof kept); /* somebody may still use it */
    assert_memory_equal(after->id, kept.id, sizeof kept.id);
    assert_ptr_equal(after->segments[0], kept.segments[0]);
    assert_int_equal(tally_take(tally, 8), usage_capacity(1) + 1);
    assert_int_equal(tally_owner(tally, ref), 7);
    usage_note_use(after, tally_highest(tally), NOW, NULL);
    sweep();
    assert_int_equal(stored(7).used.count, 1);
    assert_int_equal(stored(8).used.count, 1);
}

static void a_sweep_stores_what_was_used_and_nothing_else(void **state)
{
    uint32_t refs[300];
    (void)state;
    assert_ok(tally_reserve(tally, 300, &error));
    for (uint64_t i = 0; i < 300; i++)
        refs[i] = tally_take(tally, 1000 + i);
    for (unsigned i = 0; i < 300; i += 2)
        for (unsigned n = 0; n <= i % 3; n++)
            usage_note_use(tally_area(tally), refs[i], NOW - 5, NULL);
    usage_note_refusal(tally_area(tally), refs[0], NOW - 4, NULL);
    sweep();
    assert_int_equal(sweeper.records, 150);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(stored(1000 + i).used.count, i % 2 == 0 ? i % 3 + 1 : 0);
    assert_int_equal(stored(1000).refused.count, 1);
    assert_int_equal(stored(1000).refused.last_unix_s, NOW - 4);
    sweep();
    assert_int_equal(sweeper.records, 150); /* nothing was used since */
    usage_note_use(tally_area(tally), refs[4], NOW, NULL);
    sweep();
    assert_int_equal(sweeper.records, 151);
    assert_int_equal(stored(1004).used.count, 4 % 3 + 2);
}

static void totals_are_there_after_a_restart_and_go_on_in_a_new_area(void **state)
{
    struct total total;
    struct error why;
    (void)state;
    assert_ok(tally_reserve(tally, 1, &error));
    uint32_t ref = tally_take(tally, 7);
    for (unsigned i = 0; i < 5; i++)
        usage_note_use(tally_area(tally), ref, NOW, NULL);
    sweep();
    assert_ok(store_flush(store, &error));
    tally_free(tally);
    reopen();
    sweeper.store = store;
    assert_int_equal(tally_open(run_dir, 0, &tally, &why, &error), 0);
    assert_false(tally_adopt(tally, NULL));
    sweeper.tally = tally;
    assert_ok(tally_reserve(tally, 1, &error));
    ref = tally_take(tally, 7);
    usage_note_use(tally_area(tally), ref, NOW, NULL);
    assert_ok(sweeper_total(store, tally, 7, ref, NOW, &total, &error)); /* live, and not swept */
    assert_int_equal(total.used.count, 6);
    assert_int_equal(stored(7).used.count, 5);
    sweep();
    assert_int_equal(stored(7).used.count, 6);
}

static void marks_and_numbers_that_somebody_wrote_do_no_harm(void **state)
{
    (void)state;
    assert_ok(tally_reserve(tally, 10, &error));
    const struct usage_area *area = tally_area(tally);
    uint32_t mine = tally_take(tally, 7), others = tally_take(tally, 8);
    usage_note_use(area, others, NOW, NULL);
    sweep();
    memset(area->segments[0], 0xff, usage_segment_size(0));
    sweep();
    assert_int_equal(sweeper.records, 1 + 2); /* all records are marked, and two are somebody's */
    assert_int_equal(sweeper.unbelieved, 2);
    assert_int_equal(stored(8).used.count, 1);
    assert_true(stored(7).used.count == 0 && stored(7).used.last_unix_s <= NOW);
    usage_note_use(area, mine, NOW, NULL);
    usage_note_use(area, others, NOW, NULL);
    sweep();
    assert_int_equal(stored(8).used.count, 1); /* it wrapped: not believed either */
    usage_note_use(area, others, NOW, NULL);
    sweep();
    assert_int_equal(stored(8).used.count, 2); /* and on it goes */
}

static void what_could_not_be_stored_is_found_by_the_next_round(void **state)
{
    bool ended;
    struct store_txn *txn;
    (void)state;
    assert_ok(tally_reserve(tally, 1, &error));
    uint32_t ref = tally_take(tally, 7);
    usage_note_use(tally_area(tally), ref, NOW, NULL);
    assert_ok(store_begin(store, &txn, &error)); /* so that a second transaction fails */
    sweeper_begin(&sweeper, 0, 1);
    assert_int_equal(sweeper_step(&sweeper, &plan, &ended, &error), CATLATCH_E_CONFLICT);
    assert_false(sweeper.active || ended);
    store_abort(txn);
    assert_int_equal(stored(7).used.count, 0);
    sweep();
    assert_int_equal(stored(7).used.count, 1);
}

static void a_round_begins_when_the_interval_has_passed(void **state)
{
    bool ended;
    (void)state;
    sweeper_begin(&sweeper, 0, 1);
    assert_false(sweeper.active); /* there is no area */
    assert_ok(tally_reserve(tally, 1, &error));
    sweeper_begin(&sweeper, 1000, 999);
    assert_false(sweeper.active);
    sweeper_begin(&sweeper, 1000, 1000);
    assert_true(sweeper.active);
    while (sweeper.active)
        assert_ok(sweeper_step(&sweeper, &plan, &ended, &error));
    assert_false(ended); /* it wrote nothing, so that nothing is to be flushed */
    sweeper_begin(&sweeper, 1000, 1999);
    assert_false(sweeper.active);
    sweeper_begin(&sweeper, 1000, 2000);
    assert_true(sweeper.active);
}

static void sweep_at(int64_t now_unix_s)
{
    bool ended;
    sweeper_begin(&sweeper, 0, 1);
    while (sweeper.active)
        assert_ok(sweeper_step(&sweeper, &(struct history_plan){.now_unix_s = now_unix_s}, &ended,
                               &error));
}

static int64_t known_since(int64_t now_unix_s)
{
    int64_t since_unix_s;
    assert_ok(sweeper_evidence(store, tally, now_unix_s, &since_unix_s, &error));
    return since_unix_s;
}

/* Of a key without a use one can say that it was not used, as far back as sweeps missed nothing. */
static void uses_are_known_since_the_first_of_sweeps_without_a_gap(void **state)
{
    (void)state;
    assert_int_equal(known_since(NOW), 0); /* there is no area */
    assert_ok(tally_reserve(tally, 10, &error));
    assert_int_equal(known_since(NOW), 0); /* and nobody swept it */
    for (int64_t hour = 0; hour < 5; hour++)
        sweep_at(NOW + hour * 3600);
    assert_int_equal(known_since(NOW + 4 * 3600 + 60), NOW);
    assert_int_equal(known_since(NOW + 4 * 3600 + SWEEPER_GAP_MAX_S + 1), 0);
    sweep_at(NOW + 4 * 3600 + SWEEPER_GAP_MAX_S); /* a daemon that was stopped for a while */
    int64_t end = NOW + 4 * 3600 + SWEEPER_GAP_MAX_S;
    assert_int_equal(known_since(end), NOW);
    sweep_at(end + SWEEPER_GAP_MAX_S + 1); /* for too long, or the clock leapt */
    assert_int_equal(known_since(end + SWEEPER_GAP_MAX_S + 1), end + SWEEPER_GAP_MAX_S + 1);
    sweep_at(NOW); /* and back */
    assert_int_equal(known_since(NOW), NOW);
    assert_int_equal(known_since(NOW - SWEEPER_GAP_MAX_S - 1), 0);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, open_all, close_all)
    const struct CMUnitTest tests[] = {
        EACH(records_are_given_once_and_what_was_not_seen_again),
        EACH(an_area_grows_and_nothing_moves),
        EACH(a_sweep_stores_what_was_used_and_nothing_else),
        EACH(totals_are_there_after_a_restart_and_go_on_in_a_new_area),
        EACH(marks_and_numbers_that_somebody_wrote_do_no_harm),
        EACH(what_could_not_be_stored_is_found_by_the_next_round),
        EACH(a_round_begins_when_the_interval_has_passed),
        EACH(uses_are_known_since_the_first_of_sweeps_without_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
