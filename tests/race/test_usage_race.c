/*
 * Workers that note usage while the daemon sweeps, for ThreadSanitizer as well.
 *
 * What is held is the sweeper's view: it keeps of each record what it read after it was given the
 * reference last, and nothing else. When all workers are done and one more round of the sweep is,
 * this must be what was noted, to the last use: a mark that got lost leaves it behind.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/lib_table.h"
#include "../unit/lib_usage.h"
#include "usage/record.h"
#include "usage/sweep.h"

#define WORKERS 2
#define RECORDS 512u /* few words of marks, so that the sweep comes by often */
#define FIRST_REF (USAGE_FIRST_RECORDS - RECORDS / 2) /* in two segments */
#define PASSES 2u
#define NOTES_PER_PASS 3u
#define SLICE_MAX 100u

/* Under TSan a round takes a hundred times longer. */
#if defined(__SANITIZE_THREAD__)
#define ROUNDS 60u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ROUNDS 60u
#endif
#endif
#ifndef ROUNDS
#define ROUNDS 4000u
#endif

static struct usage_area area;
static struct usage_numbers swept[RECORDS];
static pthread_barrier_t round_begins, round_ends;
static _Atomic int64_t round_number; /* and every time in it; 0: no more */
static _Atomic unsigned workers_done;

static unsigned rounds(void)
{
    return getenv("CATLATCH_LONG") != NULL ? 10 * ROUNDS : ROUNDS;
}

/* Both halves are of this record and this round. */
static struct address address_of(uint32_t ref, int64_t round)
{
    struct address address;
    uint64_t random = (uint64_t)round << 32 | ref;
    uint64_t halves[2] = {sample_random(&random), sample_random(&random)};
    memcpy(address.bytes, halves, sizeof halves);
    return address;
}

static void note_one(uint32_t ref, int64_t round)
{
    struct address from = address_of(ref, round);
    for (unsigned i = 0; i < NOTES_PER_PASS; i++)
        usage_note_use(&area, ref, round, &from);
    usage_note_refusal(&area, ref, round, &from);
}

static void *work(void *argument)
{
    (void)argument;
    for (;;) {
        pthread_barrier_wait(&round_begins);
        int64_t round = atomic_load(&round_number);
        if (round == 0)
            return NULL;
        for (unsigned n = 0; n < PASSES * RECORDS; n++)
            note_one(FIRST_REF + n % RECORDS, round);
        atomic_fetch_add(&workers_done, 1);
        pthread_barrier_wait(&round_ends);
    }
}

static void read_swept(const uint32_t *refs, size_t count, int64_t now)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(refs[i] >= FIRST_REF && refs[i] < FIRST_REF + RECORDS);
        assert_true(usage_read(&area, refs[i], now, &swept[refs[i] - FIRST_REF]));
    }
}

static void sweep_once(struct usage_cursor *at, uint64_t *random, int64_t now)
{
    uint32_t refs[SLICE_MAX];
    size_t count;
    bool is_over;
    do {
        size_t max_refs = 1 + sample_random(random) % SLICE_MAX;
        is_over = usage_sweep(&area, at, 1 + sample_random(random) % 1000, refs, max_refs, &count);
        read_swept(refs, count, now);
    } while (!is_over);
}

static void check_event(const struct usage_event *event, uint32_t ref, int64_t round,
                        uint64_t count, const char *what)
{
    struct address from = address_of(ref, round);
    if (event->count != count)
        fail_msg("record %u: %llu %s were swept, and %llu noted", ref,
                 (unsigned long long)event->count, what, (unsigned long long)count);
    if (event->last_unix_s != round || !event->has_from ||
        memcmp(&event->from, &from, sizeof from) != 0)
        fail_msg("record %u: time or address of %s is not what was noted last", ref, what);
}

static void check_swept(int64_t round)
{
    uint64_t passes = (uint64_t)round * WORKERS * PASSES;
    for (uint32_t i = 0; i < RECORDS; i++) {
        check_event(&swept[i].used, FIRST_REF + i, round, passes * NOTES_PER_PASS, "uses");
        check_event(&swept[i].refused, FIRST_REF + i, round, passes, "refusals");
    }
}

static void run_round(int64_t round, struct usage_cursor *at, uint64_t *random)
{
    atomic_store(&workers_done, 0);
    atomic_store(&round_number, round);
    pthread_barrier_wait(&round_begins);
    while (atomic_load(&workers_done) < WORKERS) {
        sweep_once(at, random, round);
        if (round % 2 == 0) /* where processors are few, workers shall meet each other, too */
            sched_yield();
    }
    pthread_barrier_wait(&round_ends);
    sweep_once(at, random, round);
}

static void everything_noted_before_the_last_sweep_is_seen_by_it(void **state)
{
    (void)state;
    pthread_t threads[WORKERS];
    struct usage_cursor at = {0};
    uint64_t random = 1;
    test_area_open(&area, 2);
    memset(swept, 0, sizeof swept);
    pthread_barrier_init(&round_begins, NULL, WORKERS + 1);
    pthread_barrier_init(&round_ends, NULL, WORKERS + 1);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int64_t round = 1; round <= rounds(); round++) {
        run_round(round, &at, &random);
        check_swept(round);
    }
    atomic_store(&round_number, 0);
    pthread_barrier_wait(&round_begins);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    test_area_close(&area);
}

static _Atomic bool all_over;

static void scribble_one(uint64_t *random)
{
    unsigned k = (unsigned)(sample_random(random) % area.segment_count);
    void *segment = area.segments[k];
    size_t words = usage_segment_size(k) / sizeof(uint64_t);
    size_t marks = (size_t)usage_segment_records(k) * sizeof(struct usage_record) / 8;
    /* Of two, one among the marks: there is most to go wrong. */
    size_t at = sample_random(random) % 2 != 0 ? marks + sample_random(random) % (words - marks)
                                               : sample_random(random) % words;
    atomic_store_explicit((_Atomic uint64_t *)segment + at, sample_random(random),
                          memory_order_relaxed);
}

static void *scribble(void *argument)
{
    uint64_t random = 3;
    (void)argument;
    while (!atomic_load_explicit(&all_over, memory_order_relaxed))
        scribble_one(&random);
    return NULL;
}

static void *note_anything(void *argument)
{
    uint64_t random = 4;
    (void)argument;
    while (!atomic_load_explicit(&all_over, memory_order_relaxed)) {
        struct address from = address_of(1, 1);
        uint32_t ref = (uint32_t)(sample_random(&random) >> random % 64);
        usage_note_use(&area, ref, (int64_t)sample_random(&random), &from);
        usage_note_refusal(&area, ref, (int64_t)sample_random(&random), NULL);
    }
    return NULL;
}

/* However fast marks come again, a round passes each word once. */
static void sweep_scribbled(struct usage_cursor *at, uint64_t *random, int64_t now)
{
    uint32_t refs[SLICE_MAX], capacity = usage_capacity(area.segment_count), last = 0;
    size_t count;
    bool is_over;
    do {
        is_over = usage_sweep(&area, at, 1 + sample_random(random) % 1000, refs, SLICE_MAX, &count);
        for (size_t i = 0; i < count; i++, last = refs[i - 1]) {
            struct usage_numbers numbers;
            assert_true(refs[i] > last && refs[i] <= capacity);
            assert_true(usage_read(&area, refs[i], now, &numbers));
            assert_true(numbers.used.last_unix_s <= now && numbers.refused.last_unix_s <= now);
        }
    } while (!is_over);
}

static void a_sweep_ends_and_stays_inside_while_somebody_scribbles(void **state)
{
    (void)state;
    pthread_t scribbler, worker;
    struct usage_cursor at = {0};
    uint64_t random = 2;
    test_area_open(&area, 3);
    atomic_store(&all_over, false);
    assert_int_equal(pthread_create(&scribbler, NULL, scribble, NULL), 0);
    assert_int_equal(pthread_create(&worker, NULL, note_anything, NULL), 0);
    for (unsigned i = 0; i < rounds() / 20 + 1; i++)
        sweep_scribbled(&at, &random, 1790000000);
    atomic_store(&all_over, true);
    pthread_join(scribbler, NULL);
    pthread_join(worker, NULL);
    test_area_close(&area);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_noted_before_the_last_sweep_is_seen_by_it),
        cmocka_unit_test(a_sweep_ends_and_stays_inside_while_somebody_scribbles),
    };
    return cmocka_run_group_tests_name("usage race", tests, NULL, NULL);
}
