/*
 * Processes that charge limits together, by a clock that one of them moves. What they were granted
 * must be what the limit lets through, to the last nanosecond: not one more, and not one less.
 *
 * Under ThreadSanitizer, which sees nothing across processes, they are threads.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/lib_table.h"
#include "../unit/limit_model.h"
#include "usage/limit.h"

#define WORKERS 8u
#define BEGIN UINT64_C(123456789012345)
#define COSTS 4u

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif
#ifndef HAS_TSAN
#define HAS_TSAN 0
#endif

/* Attempts of all workers together at all plans, of which a check makes a part. */
#define ATTEMPTS_LONG 10000000u
#define ATTEMPTS 1000000u
#define ROUNDS_LONG 20000u
#define ROUNDS 1000u

static unsigned attempts(void)
{
    return getenv("CATLATCH_LONG") != NULL ? ATTEMPTS_LONG : ATTEMPTS;
}

static unsigned rounds(void)
{
    return getenv("CATLATCH_LONG") != NULL ? ROUNDS_LONG : ROUNDS;
}

/* What one worker counts, on lines of its own. */
struct worker {
    _Alignas(128) _Atomic uint64_t granted;
    _Atomic uint64_t refused, busy, forgone;
    _Atomic uint64_t moved_ns; /* by how much its grants have moved the word */
    _Atomic uint64_t kept[3];  /* grants of each of several limits that were not taken back */
};

struct shared {
    struct usage_limits words;
    _Alignas(128) _Atomic uint64_t clock_ns;
    _Atomic bool is_over;
    pthread_barrier_t round_begins, round_ends;
    struct worker workers[WORKERS];
};

static struct shared *shared;

/* What is charged, the same for all workers. */
static struct limit_rule rules[3];
static struct limit limits[3];
static uint32_t costs[COSTS];
static uint64_t needs_ns[COSTS]; /* as the model has it */

static int set_up(void **state)
{
    pthread_barrierattr_t attribute;
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(shared, MAP_FAILED);
    pthread_barrierattr_init(&attribute);
    pthread_barrierattr_setpshared(&attribute, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->round_begins, &attribute, WORKERS + 1);
    pthread_barrier_init(&shared->round_ends, &attribute, WORKERS + 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(shared, sizeof *shared);
    return 0;
}

static void use_rate(unsigned i, const char *text)
{
    struct rate rate;
    assert_int_equal(rate_parse(text_of(text), &rate, NULL), 0);
    rules[i] = limit_rule_of(&rate);
    limits[i] = (struct limit){&rules[i], &shared->words.rates[i]};
}

/* The crew: eight of them, each with its number. */

typedef void job(unsigned number);

struct hand {
    job *job;
    unsigned number;
    pid_t pid;
    pthread_t thread;
};

static void *run_hand(void *argument)
{
    struct hand *hand = argument;
    hand->job(hand->number);
    return NULL;
}

static void start_hand(struct hand *hand)
{
    if (HAS_TSAN) {
        assert_int_equal(pthread_create(&hand->thread, NULL, run_hand, hand), 0);
        return;
    }
    hand->pid = fork();
    assert_true(hand->pid >= 0);
    if (hand->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_hand(hand);
        _exit(0);
    }
}

static void start_crew(struct hand crew[WORKERS], job *todo)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        crew[i] = (struct hand){.job = todo, .number = i};
        start_hand(&crew[i]);
    }
}

static void await_crew(struct hand crew[WORKERS])
{
    for (unsigned i = 0; i < WORKERS; i++) {
        int status = 0;
        if (HAS_TSAN)
            pthread_join(crew[i].thread, NULL);
        else
            assert_int_equal(waitpid(crew[i].pid, &status, 0), crew[i].pid);
        assert_int_equal(status, 0);
    }
}

/* Relaxed: nobody else adds to it, and it is read when the worker has ended. */
static void count(_Atomic uint64_t *number, uint64_t more)
{
    atomic_fetch_add_explicit(number, more, memory_order_relaxed);
}

static uint64_t sum_of(size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        sum += atomic_load((_Atomic uint64_t *)(void *)((char *)&shared->workers[i] + offset));
    return sum;
}

#define SUM(member) sum_of(offsetof(struct worker, member))

/* Lets another one run, now and then: between any two steps, for who has but two processors. */
static void dawdle(uint64_t *random)
{
    if (sample_random(random) % 64 == 0)
        sched_yield();
}

/* By a clock that was read before, however long ago. */
static bool attempt_once(unsigned cost, uint64_t *random)
{
    uint64_t now = atomic_load(&shared->clock_ns), level_ns;
    dawdle(random);
    return limit_charge_once(limits[0].rule, limits[0].word, costs[cost], now, &level_ns);
}

/* One request for the first limit, the short way now and then. Busy ones go again, and are counted.
 */
static bool attempt(struct worker *worker, unsigned cost, uint64_t *random)
{
    struct limit_charge charge;
    enum limit_verdict verdict = LIMIT_BUSY;
    if (sample_random(random) % 2 == 0 && attempt_once(cost, random))
        verdict = LIMIT_GRANTED;
    while (verdict == LIMIT_BUSY) {
        limits_look(limits, 1, &charge);
        dawdle(random);
        uint64_t now = atomic_load(&shared->clock_ns);
        dawdle(random);
        verdict = limits_charge(limits, &charge, costs[cost], now);
        if (verdict == LIMIT_BUSY)
            count(&worker->busy, 1);
    }
    count(verdict == LIMIT_GRANTED ? &worker->granted : &worker->refused, 1);
    if (verdict == LIMIT_GRANTED)
        count(&worker->moved_ns, needs_ns[cost]);
    return verdict == LIMIT_GRANTED;
}

/* To any time at which not all of the burst is there again: others can only take more of it
 * meanwhile. So the limit never lies idle, and all that passed can be read from where it ends. It
 * stops for good before the last time there is: of a limit of one a year that is soon. */
static void move_clock(uint64_t *random)
{
    uint64_t now = atomic_load(&shared->clock_ns), word = atomic_load(limits[0].word);
    if (word > now && word < LIMIT_CLOCK_MAX_NS)
        atomic_store(&shared->clock_ns, now + 1 + sample_random(random) % (word - now));
}

static unsigned attempts_each;

static void charge_many(unsigned number)
{
    struct worker *worker = &shared->workers[number];
    uint64_t random = number;
    for (unsigned n = 0; n < attempts_each; n++) {
        unsigned cost = (unsigned)(sample_random(&random) % COSTS);
        if (attempt(worker, cost, &random))
            continue;
        if (number == 0)
            move_clock(&random);
        else
            sched_yield();
    }
}

/* All that is left at the end, in the smallest cost. */
static void drain(void)
{
    uint64_t random = 99;
    unsigned least = 0;
    for (unsigned i = 1; i < COSTS; i++)
        least = needs_ns[i] < needs_ns[least] ? i : least;
    while (attempt(&shared->workers[0], least, &random))
        continue;
}

static const struct plan {
    const char *rate;
    uint32_t costs[COSTS];
} plans[] = {
    {"1/1s", {1000, 1000, 1000, 1000}},
    {"7/1s", {1000, 1000, 1000, 1000}},
    {"10/1s:20", {1000, 1000, 1000, 1000}},
    {"100/1m", {1000, 1000, 1000, 1000}},
    {"5000/1h:500", {1000, 1000, 1000, 1000}},
    {"1000000/1s:1", {1000, 1000, 1000, 1000}},
    {"999999/1s:5000", {1000, 1000, 1000, 1000}},
    {"1/366d", {1000, 1000, 1000, 1000}},
    {"7/1s", {1, 500, 1000, 2250}},
    {"1000/1s:30", {1000, 250, 30000, 333}},
    {"999983/1h:999983", {1, 1000000, 12345, 1000}},
};
#define PLANS (sizeof plans / sizeof *plans)

static void run_plan(const struct plan *plan)
{
    struct hand crew[WORKERS];
    struct rate rate;
    memset(shared->workers, 0, sizeof shared->workers);
    use_rate(0, plan->rate);
    assert_int_equal(rate_parse(text_of(plan->rate), &rate, NULL), 0);
    struct limit_model model = model_of(&rate);
    for (unsigned i = 0; i < COSTS; i++) {
        costs[i] = plan->costs[i];
        needs_ns[i] = (uint64_t)model_needs(&model, costs[i]);
    }
    atomic_store(&shared->clock_ns, BEGIN);
    atomic_store(limits[0].word, BEGIN);
    attempts_each = attempts() / PLANS / WORKERS;
    start_crew(crew, charge_many);
    await_crew(crew);
    drain();
    uint64_t could = atomic_load(&shared->clock_ns) - BEGIN + (uint64_t)model.tolerance;
    uint64_t moved = SUM(moved_ns), least = UINT64_MAX;
    for (unsigned i = 0; i < COSTS; i++)
        least = needs_ns[i] < least ? needs_ns[i] : least;
    print_message("# %s: %llu granted, %llu refused, %llu busy\n", plan->rate,
                  (unsigned long long)SUM(granted), (unsigned long long)SUM(refused),
                  (unsigned long long)SUM(busy));
    assert_true(atomic_load(limits[0].word) == BEGIN + moved);
    if (moved > could || could - moved >= least)
        fail_msg("%s: charges of %llu ns passed, and %llu could", plan->rate,
                 (unsigned long long)moved, (unsigned long long)could);
    if (plan->costs[0] == 1000 && plan->costs[1] == 1000)
        assert_int_equal(SUM(granted), could / (uint64_t)model.unit);
}

static void all_workers_together_get_what_the_limit_lets_through_and_no_more(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PLANS; i++)
        run_plan(&plans[i]);
}

/* Rounds that begin with an idle limit, or with several of them. */

static bool round_begins(void)
{
    pthread_barrier_wait(&shared->round_begins);
    return !atomic_load(&shared->is_over);
}

static void take_all_there_is(unsigned number)
{
    uint64_t random = number;
    while (round_begins()) {
        while (attempt(&shared->workers[number], 0, &random))
            continue;
        pthread_barrier_wait(&shared->round_ends);
    }
}

static void one_burst_is_shared_by_all_however_long_nobody_came(void **state)
{
    struct hand crew[WORKERS];
    (void)state;
    use_rate(0, "7/1s:50");
    costs[0] = 1000;
    atomic_store(&shared->clock_ns, BEGIN);
    start_crew(crew, take_all_there_is);
    for (unsigned round = 1; round <= rounds(); round++) {
        pthread_barrier_wait(&shared->round_begins);
        pthread_barrier_wait(&shared->round_ends);
        assert_int_equal(SUM(granted), round * UINT64_C(50));
        uint64_t idle = rules[0].tolerance_ns + (round % 3 != 0 ? 0 : UINT64_C(3600000000000));
        atomic_store(&shared->clock_ns, atomic_load(&shared->clock_ns) + idle);
    }
    atomic_store(&shared->is_over, true);
    pthread_barrier_wait(&shared->round_begins);
    await_crew(crew);
}

/* Charges some of the limits together, and takes every third back. */
static void charge_several(struct worker *worker, uint64_t *random)
{
    struct limit_charge charge;
    unsigned first = (unsigned)(sample_random(random) % 3);
    unsigned number = 1 + (unsigned)(sample_random(random) % (3 - first));
    limits_look(limits + first, number, &charge);
    dawdle(random);
    uint64_t now = atomic_load(&shared->clock_ns);
    enum limit_verdict verdict = limits_charge(limits + first, &charge, 1000, now);
    dawdle(random);
    bool is_undone = sample_random(random) % 3 == 0;
    if (is_undone)
        limits_undo(limits + first, &charge);
    count(&worker->forgone, charge.forgone);
    count(&worker->busy, verdict == LIMIT_BUSY);
    count(&worker->refused, verdict == LIMIT_REFUSED);
    for (unsigned i = first; i < first + number; i++)
        count(&worker->kept[i], verdict == LIMIT_GRANTED && !is_undone);
}

static void charge_and_undo(unsigned number)
{
    uint64_t random = number;
    while (round_begins()) {
        for (unsigned n = 0; n < 200; n++)
            charge_several(&shared->workers[number], &random);
        pthread_barrier_wait(&shared->round_ends);
    }
}

/* With the clock standing still, all that moves the words is what was kept and what was forgone. */
static void check_several(uint64_t *ret_forgone)
{
    uint64_t now = atomic_load(&shared->clock_ns), moved = 0, kept = 0;
    for (unsigned i = 0; i < 3; i++) {
        uint64_t word = atomic_load(limits[i].word), ahead = word > now ? word - now : 0;
        uint64_t kept_here = sum_of(offsetof(struct worker, kept) + i * sizeof(uint64_t));
        assert_true(ahead % rules[i].unit_ns == 0 && ahead <= rules[i].tolerance_ns);
        if (kept_here > ahead / rules[i].unit_ns)
            fail_msg("limit %u: %llu were granted, and %llu charged", i,
                     (unsigned long long)kept_here, (unsigned long long)(ahead / rules[i].unit_ns));
        moved += ahead / rules[i].unit_ns;
        kept += kept_here;
    }
    assert_int_equal(moved, kept + SUM(forgone));
    *ret_forgone += SUM(forgone);
}

static void what_is_taken_back_is_never_more_than_was_charged(void **state)
{
    struct hand crew[WORKERS];
    uint64_t forgone = 0;
    (void)state;
    use_rate(0, "1000/1s:900");
    use_rate(1, "1000/1m:600");
    use_rate(2, "1000/1h:700");
    atomic_store(&shared->clock_ns, BEGIN);
    start_crew(crew, charge_and_undo);
    for (unsigned round = 0; round < rounds() / 5; round++) {
        memset(shared->workers, 0, sizeof shared->workers);
        pthread_barrier_wait(&shared->round_begins);
        pthread_barrier_wait(&shared->round_ends);
        check_several(&forgone);
        uint64_t idle = UINT64_C(3600000000000);
        atomic_store(&shared->clock_ns, atomic_load(&shared->clock_ns) + idle);
    }
    atomic_store(&shared->is_over, true);
    pthread_barrier_wait(&shared->round_begins);
    await_crew(crew);
    print_message("# %llu forgone\n", (unsigned long long)forgone);
    assert_true(forgone > 0);
}

/* While somebody scribbles: it ends, and what is answered is one of what can be. */
static void charge_scribbled(unsigned number)
{
    uint64_t random = number;
    for (unsigned n = 0; n < attempts_each; n++) {
        struct limit_charge charge;
        struct limit_answer answer;
        uint64_t now = atomic_load(&shared->clock_ns) + n;
        if (number == 0) {
            atomic_store_explicit(limits[n % 3].word,
                                  sample_random(&random) >> sample_random(&random) % 64,
                                  memory_order_relaxed);
            continue;
        }
        limits_look(limits, 3, &charge);
        limits_charge(limits, &charge, 1000, now);
        limits_answer(limits, &charge, &answer);
        if (answer.tightest >= 3 || answer.remaining > 900 || answer.remaining_milli > 900000 ||
            (charge.verdict == LIMIT_REFUSED) != (answer.retry_after_ms > 0))
            abort();
        limits_undo(limits, &charge);
    }
}

static void a_limit_that_is_scribbled_on_counts_again_afterwards(void **state)
{
    struct hand crew[WORKERS];
    struct limit_charge charge;
    (void)state;
    use_rate(0, "1000/1s:900");
    use_rate(1, "1000/1m:600");
    use_rate(2, "1000/1h:700");
    atomic_store(&shared->clock_ns, BEGIN);
    attempts_each = attempts() / 50;
    start_crew(crew, charge_scribbled);
    await_crew(crew);
    uint64_t now = BEGIN + attempts_each;
    limits_look(limits, 3, &charge); /* sets back what is left of it */
    limits_charge(limits, &charge, 1000, now);
    now += rules[2].tolerance_ns;
    for (unsigned n = 0; n <= 600; n++) {
        limits_look(limits, 3, &charge);
        assert_int_equal(limits_charge(limits, &charge, 1000, now),
                         n < 600 ? LIMIT_GRANTED : LIMIT_REFUSED);
    }
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(all_workers_together_get_what_the_limit_lets_through_and_no_more),
        EACH(one_burst_is_shared_by_all_however_long_nobody_came),
        EACH(what_is_taken_back_is_never_more_than_was_charged),
        EACH(a_limit_that_is_scribbled_on_counts_again_afterwards),
    };
    return cmocka_run_group_tests_name("limit race", tests, NULL, NULL);
}
