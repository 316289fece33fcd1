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
#define SLICE_MAX 100u

/* Rounds take turns. A processor for each who is at it where there are but two, so that they meet.
 */
static const struct plan {
    unsigned workers, records, repeats, notes;
    bool sweeps_meanwhile;
} plans[] = {
    /* a look at the mark, and its being taken, between a record's last two notes */
    {1, RECORDS, 2, 2 * RECORDS, true},
    /* both workers add to one count */
    {2, 1, 1, 4000, false},
    {2, RECORDS, 4, 8 * RECORDS, true},
};
#define PLANS (sizeof plans / sizeof *plans)

/* Under TSan a round takes a hundred times longer. */
#if defined(__SANITIZE_THREAD__)
#define ROUNDS 90u
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ROUNDS 90u
#endif
#endif
#ifndef ROUNDS
#define ROUNDS 3000u
#endif

static struct usage_area area;
static struct usage_numbers swept[RECORDS], noted[RECORDS];
static pthread_barrier_t round_begins, round_ends;
static _Atomic int64_t round_number; /* and every time in it; 0: no more */
static _Atomic unsigned workers_ready, workers_done;

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

static const struct plan *plan_of(int64_t round)
{
    return &plans[(uint64_t)round % PLANS];
}

/* In turns: so each stores its first time of a round when the other has set the mark already. */
static bool is_refusal(int64_t round, unsigned note)
{
    return ((uint64_t)round / PLANS + note) % 2 != 0;
}

static uint32_t record_of(const struct plan *plan, unsigned note)
{
    return note / plan->repeats % plan->records;
}

static void note_round(int64_t round)
{
    const struct plan *plan = plan_of(round);
    for (unsigned n = 0; n < plan->notes; n++) {
        uint32_t ref = FIRST_REF + record_of(plan, n);
        struct address from = address_of(ref, round);
        if (is_refusal(round, n))
            usage_note_refusal(&area, ref, round, &from);
        else
            usage_note_use(&area, ref, round, &from);
    }
}

/* Awake, all of them: a barrier alone wakes one after the other, each for longer than a round. */
static void meet(void)
{
    atomic_fetch_add(&workers_ready, 1);
    while (atomic_load(&workers_ready) < WORKERS + 1)
        sched_yield();
}

static void *work(void *argument)
{
    unsigned number = *(const unsigned *)argument;
    for (;;) {
        pthread_barrier_wait(&round_begins);
        int64_t round = atomic_load(&round_number);
        if (round == 0)
            return NULL;
        meet();
        if (number < plan_of(round)->workers)
            note_round(round);
        atomic_fetch_add(&workers_done, 1);
        pthread_barrier_wait(&round_ends);
    }
}

/* What the records must say after the round. */
static void expect_round(int64_t round)
{
    const struct plan *plan = plan_of(round);
    for (unsigned n = 0; n < plan->notes; n++) {
        uint32_t i = record_of(plan, n);
        struct usage_event *event = is_refusal(round, n) ? &noted[i].refused : &noted[i].used;
        *event = (struct usage_event){.last_unix_s = round,
                                      .count = event->count + plan->workers,
                                      .has_from = true,
                                      .from = address_of(FIRST_REF + i, round)};
    }
}

static void read_swept(const uint32_t *refs, size_t count, int64_t now)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(refs[i] >= FIRST_REF && refs[i] < FIRST_REF + RECORDS);
        assert_true(usage_read(&area, refs[i], now, &swept[refs[i] - FIRST_REF]));
    }
}

/* To the end of the area, from where records are noted: that is no promise of the sweep's, but
 * brings it to them more often. */
static void sweep_from(uint32_t ref, uint64_t *random, int64_t now)
{
    struct usage_cursor at = {ref};
    uint32_t refs[SLICE_MAX];
    size_t count;
    do {
        size_t max_refs = 1 + sample_random(random) % SLICE_MAX;
        usage_sweep(&area, &at, 8, refs, max_refs, &count);
        read_swept(refs, count, now);
    } while (at.ref > 0 && at.ref < FIRST_REF + RECORDS);
}

static void check_event(const struct usage_event *saw, const struct usage_event *expected,
                        uint32_t ref, const char *what)
{
    if (saw->count != expected->count)
        fail_msg("record %u: %llu %s were swept, and %llu noted", ref,
                 (unsigned long long)saw->count, what, (unsigned long long)expected->count);
    if (saw->last_unix_s != expected->last_unix_s || saw->has_from != expected->has_from ||
        memcmp(&saw->from, &expected->from, sizeof saw->from) != 0)
        fail_msg("record %u: time or address of %s is not what was noted last", ref, what);
}

static void check_swept(void)
{
    for (uint32_t i = 0; i < RECORDS; i++) {
        check_event(&swept[i].used, &noted[i].used, FIRST_REF + i, "uses");
        check_event(&swept[i].refused, &noted[i].refused, FIRST_REF + i, "refusals");
    }
}

static void run_round(int64_t round, uint64_t *random)
{
    atomic_store(&workers_ready, 0);
    atomic_store(&workers_done, 0);
    atomic_store(&round_number, round);
    pthread_barrier_wait(&round_begins);
    meet();
    while (plan_of(round)->sweeps_meanwhile && atomic_load(&workers_done) < WORKERS)
        sweep_from(FIRST_REF, random, round);
    pthread_barrier_wait(&round_ends);
    sweep_from(0, random, round);
}

static void everything_noted_before_the_last_sweep_is_seen_by_it(void **state)
{
    (void)state;
    pthread_t threads[WORKERS];
    unsigned numbers[WORKERS];
    uint64_t random = 1;
    test_area_open(&area, 2);
    pthread_barrier_init(&round_begins, NULL, WORKERS + 1);
    pthread_barrier_init(&round_ends, NULL, WORKERS + 1);
    for (unsigned i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &numbers[i]), 0);
    }
    for (int64_t round = 1; round <= rounds(); round++) {
        run_round(round, &random);
        expect_round(round);
        check_swept();
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
