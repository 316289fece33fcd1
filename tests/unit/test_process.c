/* What processes count in the process segment, how it is read, and the keeper's roll of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_table.h"
#include "usage/roll.h"

static struct process_segment *segment;
static struct roll *roll;

static int set_up(void **state)
{
    (void)state;
    segment = calloc(1, sizeof *segment);
    roll = calloc(1, sizeof *roll);
    assert_non_null(segment);
    assert_non_null(roll);
    roll_init(roll);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(segment);
    free(roll);
    return 0;
}

static uint32_t attach(uint32_t uid)
{
    const struct roll_entry who = {.pid = 7, .uid = uid, .identity = 9, .attached_ms = 11};
    return roll_attach(roll, segment, &who);
}

static struct process_counts totals(void)
{
    struct process_counts counts;

    assert_true(process_read_totals(segment, &counts));
    return counts;
}

static void assert_totals(uint64_t valid, uint64_t revoked)
{
    struct process_counts counts = totals();

    for (unsigned i = 0; i < PROCESS_RESULTS; i++) {
        uint64_t expected = i == CATLATCH_VALID ? valid : i == CATLATCH_REVOKED ? revoked : 0;
        assert_int_equal(counts.results[i], expected);
    }
}

static void note(uint32_t line, enum catlatch_result result, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        process_note(process_line_at(segment, line), result);
}

static void each_result_is_counted_in_the_callers_line(void **state)
{
    (void)state;
    uint32_t line = attach(1), other = attach(1);
    for (int result = CATLATCH_DENIED; result <= CATLATCH_UNAVAILABLE; result++)
        note(line, (enum catlatch_result)result, (unsigned)result + 1);
    process_note_generation(process_line_at(segment, line), 42);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++) {
        assert_int_equal(segment->lines[line].results[i], i <= CATLATCH_UNAVAILABLE ? i + 1 : 0);
        assert_int_equal(segment->lines[other].results[i], 0);
    }
    assert_int_equal(segment->lines[line].generation, 42);
    assert_int_equal(segment->lines[line].attached_ms, 11);
}

static void what_is_no_line_or_no_result_is_passed_over(void **state)
{
    struct process_segment *before = malloc(sizeof *before);

    (void)state;
    assert_non_null(before);
    uint32_t line = attach(1);
    memcpy(before, segment, sizeof *before);
    assert_null(process_line_at(segment, 0));
    assert_null(process_line_at(segment, PROCESS_LINES));
    assert_null(process_line_at(segment, UINT32_MAX));
    process_note(NULL, CATLATCH_VALID);
    process_note_generation(NULL, 1);
    process_note(process_line_at(segment, line), (enum catlatch_result)PROCESS_RESULTS);
    process_note(process_line_at(segment, line), (enum catlatch_result) - 1);
    assert_memory_equal(segment, before, sizeof *before);
    free(before);
}

static void what_an_ended_process_counted_stays_in_the_totals(void **state)
{
    (void)state;
    uint32_t first = attach(1), second = attach(2);
    note(first, CATLATCH_VALID, 10);
    note(second, CATLATCH_VALID, 3);
    note(second, CATLATCH_REVOKED, 5);
    assert_totals(13, 5);
    roll_fold(roll, segment, second);
    assert_totals(13, 5);
    assert_null(roll_find(roll, second));
    assert_non_null(roll_find(roll, first));
    roll_fold(roll, segment, first);
    assert_totals(13, 5);
    assert_int_equal(segment->lines[0].results[CATLATCH_VALID], 13);
    for (uint32_t i = 1; i < PROCESS_LINES; i++)
        assert_int_equal(segment->lines[i].results[CATLATCH_VALID], 0);
}

static void a_line_is_zeros_for_who_gets_it(void **state)
{
    (void)state;
    uint32_t line = attach(1);
    roll_fold(roll, segment, line);
    memset(&segment->lines[line], 0xab, sizeof segment->lines[line]);
    assert_int_equal(attach(2), line);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        assert_int_equal(segment->lines[line].results[i], 0);
    assert_int_equal(segment->lines[line].generation, 0);
    const struct roll_entry *entry = roll_find(roll, line);
    assert_int_equal(entry->pid, 7);
    assert_int_equal(entry->uid, 2);
    assert_int_equal(entry->identity, 9);
    assert_int_equal(entry->attached_ms, 11);
}

static void only_lines_that_somebody_has_are_found(void **state)
{
    (void)state;
    uint32_t line = attach(1);
    assert_non_null(roll_find(roll, line));
    assert_null(roll_find(roll, 0));
    assert_null(roll_find(roll, line + 1));
    assert_null(roll_find(roll, PROCESS_LINES));
    assert_null(roll_find(roll, UINT32_MAX));
}

/* How many lines the uid gets until it is refused. */
static unsigned take_all(uint32_t uid)
{
    unsigned count = 0;

    while (attach(uid) != 0)
        count++;
    return count;
}

static void one_uid_takes_half_of_what_is_left_at_most(void **state)
{
    uint32_t uid = 0;
    unsigned left = PROCESS_LINES - 1;

    (void)state;
    while (left > 0) {
        unsigned taken = take_all(uid++);
        assert_int_equal(taken, (left + 1) / 2);
        left -= taken;
    }
    assert_int_equal(attach(uid), 0);
    roll_fold(roll, segment, 1234);
    assert_int_equal(attach(0), 0);
    assert_int_equal(attach(uid), 1234);
}

static void no_count_is_more_than_can_be(void **state)
{
    (void)state;
    uint32_t lines[3];
    for (unsigned i = 0; i < 3; i++) {
        lines[i] = attach(1);
        segment->lines[lines[i]].results[CATLATCH_VALID] = UINT64_MAX - i;
        segment->lines[lines[i]].results[CATLATCH_REVOKED] = PROCESS_COUNT_MAX / 2;
    }
    assert_totals(PROCESS_COUNT_MAX, PROCESS_COUNT_MAX);
    roll_fold(roll, segment, lines[0]);
    assert_int_equal(segment->lines[0].results[CATLATCH_VALID], PROCESS_COUNT_MAX);
    assert_int_equal(segment->lines[0].results[CATLATCH_REVOKED], PROCESS_COUNT_MAX / 2);
    roll_fold(roll, segment, lines[1]);
    roll_fold(roll, segment, lines[2]);
    assert_totals(PROCESS_COUNT_MAX, PROCESS_COUNT_MAX);
}

static void in_the_midst_of_a_fold_nothing_is_read(void **state)
{
    struct process_counts counts, before;

    (void)state;
    note(attach(1), CATLATCH_VALID, 1);
    memset(&counts, 0x5a, sizeof counts);
    before = counts;
    segment->lines[0].sequence = 7;
    assert_false(process_read_totals(segment, &counts));
    assert_memory_equal(&counts, &before, sizeof counts);
    segment->lines[0].sequence = 8;
    assert_true(process_read_totals(segment, &counts));
}

/* A keeper that was killed left it odd. */
static void after_a_recovery_it_is_read_again(void **state)
{
    (void)state;
    uint32_t line = attach(1);
    note(line, CATLATCH_VALID, 5);
    roll->sequence = 9;
    segment->lines[0].sequence = 9;
    roll_recover(roll, segment);
    assert_totals(5, 0);
    assert_non_null(roll_find(roll, line));
}

/* The sequence that a reader saw before a fold never is that behind it, whatever is scribbled. */
static void each_fold_has_a_sequence_of_its_own(void **state)
{
    uint64_t before = 0;

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        segment->lines[0].sequence = 0;
        roll_fold(roll, segment, attach(1));
        assert_true(segment->lines[0].sequence > before);
        assert_int_equal(segment->lines[0].sequence % 2, 0);
        before = segment->lines[0].sequence;
    }
}

static void the_past_is_not_what_somebody_scribbled_there(void **state)
{
    (void)state;
    uint32_t line = attach(1);
    note(line, CATLATCH_VALID, 5);
    roll_fold(roll, segment, line);
    memset(&segment->lines[0], 0xff, sizeof segment->lines[0]);
    roll_show_past(roll, segment);
    assert_totals(5, 0);
    memset(&segment->lines[0], 0xff, sizeof segment->lines[0]);
    line = attach(1);
    note(line, CATLATCH_VALID, 2);
    roll_fold(roll, segment, line);
    assert_totals(7, 0);
}

static void scribble(uint64_t *random)
{
    uint64_t *words = (uint64_t *)segment;

    for (size_t i = 0; i < sizeof *segment / sizeof *words; i++)
        words[i] = sample_random(random);
}

/* Whoever has the segment can write all of it. What they can reach is counts, and bounded. */
static void any_bytes_in_the_segment_are_survived(void **state)
{
    uint64_t random = 1;
    struct process_counts counts, line_counts;

    (void)state;
    uint32_t clean = attach(1);
    note(clean, CATLATCH_VALID, 5);
    roll_fold(roll, segment, clean);
    for (unsigned round = 0; round < 20; round++) {
        uint32_t line = attach(round), other = attach(round);
        scribble(&random);
        roll_fold(roll, segment, line);
        scribble(&random);
        if (process_read_totals(segment, &counts))
            for (unsigned i = 0; i < PROCESS_RESULTS; i++)
                assert_true(counts.results[i] <= PROCESS_COUNT_MAX);
        process_read_line(&segment->lines[other], &line_counts);
        for (unsigned i = 0; i < PROCESS_RESULTS; i++)
            assert_true(line_counts.results[i] <= PROCESS_COUNT_MAX);
        const struct roll_entry *entry = roll_find(roll, other);
        assert_non_null(entry);
        assert_int_equal(entry->uid, round);
        assert_null(roll_find(roll, line));
        assert_true(roll->past[CATLATCH_VALID] >= 5);
    }
}

static void a_roll_of_another_layout_is_told(void **state)
{
    (void)state;
    assert_true(roll_is_sound(roll));
    roll->folding = PROCESS_LINES;
    assert_false(roll_is_sound(roll));
    roll->folding = 0;
    roll->magic++;
    assert_false(roll_is_sound(roll));
    memset(roll, 0, sizeof *roll);
    assert_false(roll_is_sound(roll));
}

#define with_segment(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_segment(each_result_is_counted_in_the_callers_line),
        with_segment(what_is_no_line_or_no_result_is_passed_over),
        with_segment(what_an_ended_process_counted_stays_in_the_totals),
        with_segment(a_line_is_zeros_for_who_gets_it),
        with_segment(only_lines_that_somebody_has_are_found),
        with_segment(one_uid_takes_half_of_what_is_left_at_most),
        with_segment(no_count_is_more_than_can_be),
        with_segment(in_the_midst_of_a_fold_nothing_is_read),
        with_segment(after_a_recovery_it_is_read_again),
        with_segment(each_fold_has_a_sequence_of_its_own),
        with_segment(the_past_is_not_what_somebody_scribbled_there),
        with_segment(any_bytes_in_the_segment_are_survived),
        with_segment(a_roll_of_another_layout_is_told),
    };
    return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
