/*
 * Processes that count, a keeper that folds lines, and readers of the totals, all at once; for
 * ThreadSanitizer as well.
 *
 * What a reader gets must lie between what had been counted before it began and what had been begun
 * to be counted when it was done. A line of many counts that is read twice, or not at all, is far
 * outside.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "usage/roll.h"

#define READERS 2
#define NOTES 40u /* in a line that is folded then */

/* Under TSan a read takes a hundred times longer. */
#if defined(__SANITIZE_THREAD__)
#define READS 60u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define READS 60u
#endif
#endif
#ifndef READS
#define READS 1500u
#endif

static struct process_segment *segment;
static struct roll *roll;
/* Of each kind of process, what was counted. One that ends counts VALID, the one that lives
 * REVOKED: else what it counted meanwhile could hide what a fold lost. */
static struct counted {
    _Atomic uint64_t begun, done;
} counted[PROCESS_RESULTS];
static _Atomic unsigned reads_begun, readers_left, exact, wrong;

static unsigned reads(void)
{
    return getenv("CATLATCH_LONG") != NULL ? 10 * READS : READS;
}

static void note(uint32_t line, enum catlatch_result result)
{
    atomic_fetch_add(&counted[result].begun, 1);
    process_note(process_line_at(segment, line), result);
    atomic_fetch_add(&counted[result].done, 1);
}

static void read_one(void)
{
    uint64_t least[PROCESS_RESULTS];
    struct process_counts counts;

    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        least[i] = atomic_load(&counted[i].done);
    atomic_fetch_add(&reads_begun, 1);
    if (!process_read_totals(segment, &counts))
        return;
    atomic_fetch_add(&exact, 1);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        if (counts.results[i] < least[i] || counts.results[i] > atomic_load(&counted[i].begun))
            atomic_fetch_add(&wrong, 1);
}

static void *read_all(void *argument)
{
    (void)argument;
    for (unsigned i = 0; i < reads(); i++)
        read_one();
    atomic_fetch_sub(&readers_left, 1);
    return NULL;
}

/* A process that lives as long as the test. */
static void *count_on(void *argument)
{
    uint32_t line = *(const uint32_t *)argument;

    while (atomic_load(&readers_left) > 0)
        note(line, CATLATCH_REVOKED);
    return NULL;
}

static uint32_t attach(void)
{
    const struct roll_entry who = {.pid = 7, .uid = 8, .attached_ms = 9};
    return roll_attach(roll, segment, &who);
}

/* Until somebody begins to read, and a little longer, now more, now less. */
static void await_read(unsigned *seen)
{
    while (atomic_load(&reads_begun) == *seen && atomic_load(&readers_left) > 0)
        sched_yield();
    *seen = atomic_load(&reads_begun);
    for (unsigned i = 0; i < *seen % 64; i++)
        sched_yield();
}

/* One process after the other ends, each in the midst of somebody's reading: in an endless row of
 * folds there would be no quiet moment. And what the next one counts is for another read, or it
 * would hide what the fold lost. */
static void fold_on(void)
{
    unsigned seen = 0;

    while (atomic_load(&readers_left) > 0) {
        await_read(&seen);
        uint32_t line = attach();
        for (unsigned i = 0; i < NOTES; i++)
            note(line, CATLATCH_VALID);
        await_read(&seen);
        roll_fold(roll, segment, line);
    }
}

/* By owners who do nothing: so what is folded is read last, and the past, where it goes, first. */
static void take_most(void)
{
    for (uint32_t i = 0; i < PROCESS_LINES - 4; i++) {
        const struct roll_entry who = {.uid = 1000 + i};
        (void)roll_attach(roll, segment, &who);
    }
}

static void totals_are_exact_whatever_ends_meanwhile(void **state)
{
    pthread_t readers[READERS], counter;

    (void)state;
    segment = calloc(1, sizeof *segment);
    roll = calloc(1, sizeof *roll);
    assert_non_null(segment);
    assert_non_null(roll);
    roll_init(roll);
    take_most();
    uint32_t line = attach();
    atomic_store(&readers_left, READERS);
    assert_int_equal(pthread_create(&counter, NULL, count_on, &line), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_all, NULL), 0);
    fold_on();
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    pthread_join(counter, NULL);
    assert_int_equal(wrong, 0);
    assert_true(exact > 0);
    struct process_counts counts;
    assert_true(process_read_totals(segment, &counts));
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        assert_int_equal(counts.results[i], atomic_load(&counted[i].done));
    free(segment);
    free(roll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_are_exact_whatever_ends_meanwhile),
    };
    return cmocka_run_group_tests_name("process_race", tests, NULL, NULL);
}
