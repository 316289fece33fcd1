/*
 * Limits, with others at the words between a request's look and its writes, and between these: what
 * comes once in a million runs happens here each time. The code is built in with its
 * compare-and-swap replaced by one that lets somebody else run first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void (*meanwhile)(_Atomic uint64_t *word); /* NULL: nobody is there */
static unsigned swaps;

static bool swap(_Atomic uint64_t *word, uint64_t *io_expected, uint64_t desired)
{
    swaps++;
    if (meanwhile != NULL)
        meanwhile(word);
    return atomic_compare_exchange_strong(word, io_expected, desired);
}

#undef atomic_compare_exchange_strong_explicit
#define atomic_compare_exchange_strong_explicit(word, expected, desired, success, failure) \
    swap(word, expected, desired)

#include "usage/limit.c"

#include "lib_table.h"

#define NOW UINT64_C(123456789012345)
#define LIMITS 3u

static struct limit_rule rules[LIMITS];
static _Atomic uint64_t words[LIMITS];
static struct limit limits[LIMITS];
static struct limit_charge charge;

/* Each of another period, so that each word is another. */
static int set_up(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < LIMITS; i++) {
        struct rate rate = {5, 1 + i, 5};
        rules[i] = limit_rule_of(&rate);
        limits[i] = (struct limit){&rules[i], &words[i]};
        atomic_store(&words[i], 0);
    }
    meanwhile = NULL;
    swaps = 0;
    return 0;
}

static unsigned times_left;

/* Moves the word by a nanosecond: there is as much room as before, nearly. */
static void nudge(_Atomic uint64_t *word)
{
    if (times_left == 0)
        return;
    times_left--;
    uint64_t value = atomic_load(word);
    atomic_store(word, (value > NOW ? value : NOW) + 1);
}

static void nudge_second(_Atomic uint64_t *word)
{
    if (word == &words[1])
        nudge(word);
}

static void who_loses_all_but_the_last_try_is_granted(void **state)
{
    (void)state;
    limits_look(limits, 1, &charge);
    times_left = LIMIT_TRIES - 1;
    meanwhile = nudge;
    assert_int_equal(limits_charge(limits, &charge, 1000, NOW), LIMIT_GRANTED);
    assert_int_equal(swaps, LIMIT_TRIES);
    assert_true(atomic_load(&words[0]) == NOW + LIMIT_TRIES - 1 + rules[0].unit_ns);
    assert_int_equal(limits_undo(limits, &charge), 0);
    assert_true(atomic_load(&words[0]) == NOW + LIMIT_TRIES - 1);
}

static void who_loses_every_try_is_told_so_and_has_charged_nothing(void **state)
{
    struct limit_answer answer;
    (void)state;
    limits_look(limits, 1, &charge);
    times_left = 2 * LIMIT_TRIES;
    meanwhile = nudge;
    assert_int_equal(limits_charge(limits, &charge, 1000, NOW), LIMIT_BUSY);
    assert_int_equal(swaps, LIMIT_TRIES);
    assert_true(atomic_load(&words[0]) == NOW + LIMIT_TRIES);
    limits_answer(limits, &charge, &answer);
    assert_int_equal(answer.remaining, 4);
    assert_int_equal(answer.retry_after_ms, 0);
    assert_int_equal(limits_undo(limits, &charge), 0);
    assert_true(atomic_load(&words[0]) == NOW + LIMIT_TRIES);
}

static void of_several_a_busy_one_gives_back_the_others(void **state)
{
    (void)state;
    limits_look(limits, 3, &charge);
    times_left = LIMIT_TRIES;
    meanwhile = nudge_second;
    assert_int_equal(limits_charge(limits, &charge, 1000, NOW), LIMIT_BUSY);
    assert_int_equal(swaps, 1 + LIMIT_TRIES + 1);
    assert_int_equal(charge.forgone, 0);
    assert_true(atomic_load(&words[0]) == 0);
    assert_true(atomic_load(&words[1]) == NOW + LIMIT_TRIES);
    assert_true(atomic_load(&words[2]) == 0);
}

/* A whole request of somebody else's for the limit with this word. */
static void charge_one_more(_Atomic uint64_t *word)
{
    struct limit_charge other;
    struct limit *limit = &limits[word - words];
    void (*before)(_Atomic uint64_t *) = meanwhile;
    meanwhile = NULL;
    limits_look(limit, 1, &other);
    limits_charge(limit, &other, 1000, NOW);
    meanwhile = before;
}

static void who_loses_to_grants_is_refused_when_they_are_all_there_is(void **state)
{
    (void)state;
    limits_look(limits, 1, &charge);
    meanwhile = charge_one_more;
    assert_int_equal(limits_charge(limits, &charge, 1000, NOW), LIMIT_REFUSED);
    assert_int_equal(swaps, 5 + 5);
    assert_true(atomic_load(&words[0]) == NOW + rules[0].tolerance_ns);
}

/* Charges the first when the second is tried, and fills the second up. */
static void come_between(_Atomic uint64_t *word)
{
    if (word != &words[1])
        return;
    charge_one_more(&words[0]);
    atomic_store(&words[1], NOW + rules[1].tolerance_ns);
}

static void what_another_has_charged_since_is_forgone(void **state)
{
    (void)state;
    limits_look(limits, 3, &charge);
    meanwhile = come_between;
    assert_int_equal(limits_charge(limits, &charge, 1000, NOW), LIMIT_REFUSED);
    assert_int_equal(charge.forgone, 1);
    assert_true(atomic_load(&words[0]) == NOW + 2 * rules[0].unit_ns);
    assert_true(atomic_load(&words[1]) == NOW + rules[1].tolerance_ns);
    assert_true(atomic_load(&words[2]) == 0);
}

/* What was too far ahead is set back by somebody else, who charges it too. */
static void heal_first(_Atomic uint64_t *word)
{
    atomic_store(word, NOW);
    charge_one_more(word);
}

static void what_another_has_set_back_stays_as_it_is(void **state)
{
    (void)state;
    atomic_store(&words[0], UINT64_MAX);
    limits_look(limits, 1, &charge);
    meanwhile = heal_first;
    assert_int_equal(limits_charge(limits, &charge, 1000, NOW), LIMIT_REFUSED);
    assert_true(atomic_load(&words[0]) == NOW + rules[0].unit_ns);
}

/* A later clock's word, seen only when the try was lost, is no scribble. */
static void charge_later(_Atomic uint64_t *word)
{
    meanwhile = NULL;
    atomic_store(word, NOW + UINT64_C(3600000000000) + rules[0].tolerance_ns);
}

static void a_later_clock_s_word_is_left_alone(void **state)
{
    (void)state;
    limits_look(limits, 1, &charge);
    meanwhile = charge_later;
    assert_int_equal(limits_charge(limits, &charge, 1000, NOW), LIMIT_REFUSED);
    assert_int_equal(swaps, 1);
    assert_true(atomic_load(&words[0]) == NOW + UINT64_C(3600000000000) + rules[0].tolerance_ns);
}

/* The short way has one try, and whoever comes between takes it. */
static void who_loses_the_only_try_has_charged_nothing(void **state)
{
    uint64_t level_ns = 0;
    (void)state;
    meanwhile = charge_one_more;
    assert_false(limit_charge_once(&rules[0], &words[0], 1000, NOW, &level_ns));
    assert_int_equal(swaps, 2);
    assert_true(atomic_load(&words[0]) == NOW + rules[0].unit_ns);
    meanwhile = NULL;
    assert_true(limit_charge_once(&rules[0], &words[0], 1000, NOW, &level_ns));
    assert_true(level_ns == 2 * rules[0].unit_ns);
    assert_true(atomic_load(&words[0]) == NOW + level_ns);
}

static void what_is_refused_by_the_look_writes_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LIMITS; i++) {
        set_up(state);
        atomic_store(&words[i], NOW + rules[i].tolerance_ns);
        limits_look(limits, LIMITS, &charge);
        assert_int_equal(limits_charge(limits, &charge, 1000, NOW), LIMIT_REFUSED);
        assert_int_equal(swaps, 0);
    }
}

/*
 * Any number of requests inside each other. With the clock standing still nothing comes back, so in
 * the end the words have moved by what was granted and not taken back, and by what was forgone.
 */
static uint64_t dice;
static unsigned depth, kept[LIMITS], forgone, refused, busy, at_once;

static void anybody(_Atomic uint64_t *word);

static void request(void)
{
    struct limit_charge mine;
    unsigned first = (unsigned)(sample_random(&dice) % LIMITS);
    unsigned count = 1 + (unsigned)(sample_random(&dice) % (LIMITS - first));
    uint64_t level_ns;
    if (count == 1 && sample_random(&dice) % 2 == 0 &&
        limit_charge_once(&rules[first], &words[first], 1000, NOW, &level_ns)) {
        kept[first]++;
        at_once++;
        return;
    }
    limits_look(limits + first, count, &mine);
    anybody(NULL);
    enum limit_verdict verdict = limits_charge(limits + first, &mine, 1000, NOW);
    anybody(NULL);
    bool is_undone = sample_random(&dice) % 3 == 0;
    if (is_undone)
        limits_undo(limits + first, &mine);
    forgone += mine.forgone;
    refused += verdict == LIMIT_REFUSED;
    busy += verdict == LIMIT_BUSY;
    for (unsigned i = first; i < first + count; i++)
        kept[i] += verdict == LIMIT_GRANTED && !is_undone;
}

static void anybody(_Atomic uint64_t *word)
{
    (void)word;
    if (depth >= 4 || sample_random(&dice) % 3 != 0)
        return;
    depth++;
    request();
    depth--;
}

static void whoever_comes_between_nobody_gets_more_than_there_is(void **state)
{
    unsigned all_forgone = 0, all_refused = 0;
    struct rate rate = {7, 1, 7};
    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t moved = 0, granted = 0;
        dice = round;
        forgone = refused = 0;
        for (unsigned i = 0; i < LIMITS; i++) {
            rules[i] = limit_rule_of(&rate);
            atomic_store(&words[i], NOW);
            kept[i] = 0;
        }
        meanwhile = anybody;
        for (unsigned n = 0; n < 12; n++)
            request();
        meanwhile = NULL;
        for (unsigned i = 0; i < LIMITS; i++) {
            uint64_t units = (atomic_load(&words[i]) - NOW) / rules[i].unit_ns;
            assert_true(units <= 7 && (atomic_load(&words[i]) - NOW) % rules[i].unit_ns == 0);
            if (kept[i] > units)
                fail_msg("round %u: %u kept of %u that were charged", round, kept[i],
                         (unsigned)units);
            moved += units;
            granted += kept[i];
        }
        assert_int_equal(moved, granted + forgone);
        all_forgone += forgone;
        all_refused += refused;
    }
    assert_int_equal(busy, 0);
    assert_true(all_forgone > 1000 && all_refused > 1000 && at_once > 1000);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup(test, set_up)
    const struct CMUnitTest tests[] = {
        EACH(who_loses_all_but_the_last_try_is_granted),
        EACH(who_loses_every_try_is_told_so_and_has_charged_nothing),
        EACH(of_several_a_busy_one_gives_back_the_others),
        EACH(who_loses_to_grants_is_refused_when_they_are_all_there_is),
        EACH(what_another_has_charged_since_is_forgone),
        EACH(what_another_has_set_back_stays_as_it_is),
        EACH(a_later_clock_s_word_is_left_alone),
        EACH(who_loses_the_only_try_has_charged_nothing),
        EACH(what_is_refused_by_the_look_writes_nothing),
        EACH(whoever_comes_between_nobody_gets_more_than_there_is),
    };
    return cmocka_run_group_tests_name("limit, step by step", tests, NULL, NULL);
}
