/* What a limit lets through, by a clock of the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib_table.h"
#include "limit_model.h"
#include "usage/limit.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))
#define NOW UINT64_C(123456789012345) /* a day and a half since the start */
#define SECOND UINT64_C(1000000000)
#define MS UINT64_C(1000000)
#define YEAR (366 * 86400 * SECOND)

/* One limit with a word of its own. */
struct one {
    struct limit_rule rule;
    _Atomic uint64_t word;
    struct limit limit;
    struct limit_charge charge;
};

static void one_open(struct one *one, const char *text)
{
    struct rate rate;
    struct error error = {0};
    if (rate_parse(text_of(text), &rate, &error) != 0)
        fail_msg("\"%s\" %s", text, error.text);
    one->rule = limit_rule_of(&rate);
    atomic_store(&one->word, 0);
    one->limit = (struct limit){&one->rule, &one->word};
}

/* Both ways, on a word each: the short one grants what the long one does, and leaves the rest. */
static enum limit_verdict take(struct one *one, uint32_t cost_milli, uint64_t now_ns)
{
    uint64_t before = atomic_load(one->limit.word), level_ns = 0;
    uint64_t bounded_ns = now_ns < LIMIT_CLOCK_MAX_NS ? now_ns : LIMIT_CLOCK_MAX_NS;
    _Atomic uint64_t word = before;
    limits_look(&one->limit, 1, &one->charge);
    enum limit_verdict verdict = limits_charge(&one->limit, &one->charge, cost_milli, now_ns);
    bool granted = limit_charge_once(&one->rule, &word, cost_milli, bounded_ns, &level_ns);
    assert_int_equal(granted, verdict == LIMIT_GRANTED);
    assert_true(atomic_load(&word) == (granted ? atomic_load(one->limit.word) : before));
    assert_true(!granted || level_ns == limits_level_ns(&one->limit, &one->charge, 0));
    return verdict;
}

static struct limit_answer answer_of(const struct one *one)
{
    struct limit_answer answer;
    memset(&answer, 0xa5, sizeof answer);
    limits_answer(&one->limit, &one->charge, &answer);
    return answer;
}

/* How many pass one after the other at this time. */
static unsigned take_all(struct one *one, uint32_t cost_milli, uint64_t now_ns)
{
    unsigned granted = 0;
    while (take(one, cost_milli, now_ns) == LIMIT_GRANTED)
        granted++;
    assert_int_equal(one->charge.verdict, LIMIT_REFUSED);
    return granted;
}

#define assert_answer(one, verdict_, remaining_, milli_, reset_, retry_) \
    do {                                                                 \
        struct limit_answer answer_ = answer_of(one);                    \
        assert_int_equal((one)->charge.verdict, verdict_);               \
        assert_int_equal(answer_.tightest, 0);                           \
        assert_int_equal(answer_.remaining, remaining_);                 \
        assert_int_equal(answer_.remaining_milli, milli_);               \
        assert_int_equal(answer_.reset_ms, reset_);                      \
        assert_true(answer_.retry_after_ms == (retry_));                 \
    } while (0)

static void a_rule_is_the_rate_in_nanoseconds(void **state)
{
    static const struct {
        struct rate rate;
        uint64_t unit_ns, tolerance_ns, burst_milli;
    } cases[] = {
        {{100, 60, 100}, 600000000, 60000000000, 100000},
        {{10, 1, 20}, 100000000, 2000000000, 20000},
        {{7, 1, 7}, 142857143, 1000000001, 7000},
        {{1000000, 1, 1}, 1000, 1000, 1000},
        {{999999, 1, 999999}, 1001, 1000998999, 999999000},
        {{1, RATE_PERIOD_MAX_S, 1}, YEAR, YEAR, 1000},
        {{1000000000, RATE_PERIOD_MAX_S, 1000000000}, 31622400, YEAR, UINT64_C(1000000000000)},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct limit_rule rule = limit_rule_of(&cases[i].rate);
        assert_int_equal(rule.unit_ns, cases[i].unit_ns);
        assert_int_equal(rule.tolerance_ns, cases[i].tolerance_ns);
        assert_int_equal(rule.burst_milli, cases[i].burst_milli);
    }
}

static void what_is_no_rate_lets_nothing_through(void **state)
{
    static const struct rate bad[] = {
        {0, 1, 1},
        {1, 0, 1},
        {1, 1, 0},
        {1000001, 1, 1},
        {1, RATE_PERIOD_MAX_S + 1, 1},
        {1, 86400, 367},
        {UINT32_MAX, UINT32_MAX, UINT32_MAX},
        {0, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct one one;
        one_open(&one, "1/1s");
        one.rule = limit_rule_of(&bad[i]);
        for (uint32_t cost = 0; cost <= 2000; cost += 500) {
            assert_int_equal(take(&one, cost, NOW), LIMIT_REFUSED);
            assert_answer(&one, LIMIT_REFUSED, 0, 0, 0, LIMIT_NEVER);
        }
        assert_int_equal(atomic_load(&one.word), 0);
    }
}

static void a_burst_passes_at_once_and_then_one_after_the_other(void **state)
{
    struct one one;
    (void)state;
    one_open(&one, "10/1s:20");
    for (unsigned n = 1; n <= 20; n++) {
        assert_int_equal(take(&one, 1000, NOW), LIMIT_GRANTED);
        assert_answer(&one, LIMIT_GRANTED, 20 - n, (20 - n) * 1000, n * 100, 0);
    }
    assert_int_equal(take(&one, 1000, NOW), LIMIT_REFUSED);
    assert_answer(&one, LIMIT_REFUSED, 0, 0, 2000, 100);
    assert_int_equal(take(&one, 1000, NOW + 100 * MS - 1), LIMIT_REFUSED);
    assert_answer(&one, LIMIT_REFUSED, 0, 999, 1901, 1);
    assert_int_equal(take(&one, 1000, NOW + 100 * MS), LIMIT_GRANTED);
    assert_int_equal(take(&one, 1000, NOW + 100 * MS), LIMIT_REFUSED);
    assert_int_equal(take_all(&one, 1000, NOW + 450 * MS), 3);
    assert_int_equal(take_all(&one, 1000, NOW + 500 * MS), 1);
}

static void however_long_nobody_came_no_more_than_a_burst_passes(void **state)
{
    static const uint64_t idle[] = {2 * SECOND, 3600 * SECOND, YEAR, 100 * YEAR};
    struct one one;
    uint64_t now = NOW;
    (void)state;
    one_open(&one, "10/1s:20");
    for (size_t i = 0; i < COUNT(idle); i++) {
        assert_int_equal(take_all(&one, 1000, now), 20);
        now += idle[i];
    }
    assert_int_equal(take_all(&one, 1000, now), 20);
    now += 2 * SECOND - 1; /* and not a nanosecond earlier */
    assert_int_equal(take_all(&one, 1000, now), 19);
}

static void the_whole_burst_can_be_had_in_any_costs(void **state)
{
    static const struct {
        const char *rate;
        uint32_t cost;
        unsigned granted;
    } cases[] = {
        {"100/1m", 500, 200},      {"100/1m", 2250, 44},     {"100/1m", 100000, 1},
        {"100/1m", 99999, 1},      {"100/1m", 1, 100000},    {"7/1s", 7000, 1},
        {"7/1s", 3500, 1},         {"999999/1s:9", 3000, 3}, {"999999/1s:9", 9000, 1},
        {"3/1s:1000", 1000000, 1}, {"3/1s:1000", 333000, 3}, {"1/366d", 1000, 1},
        {"1/366d", 500, 2},        {"1/366d", 1, 1000},      {"1000000/1s:10", 1, 10000},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct one one;
        one_open(&one, cases[i].rate);
        unsigned granted = take_all(&one, cases[i].cost, NOW);
        if (granted != cases[i].granted)
            fail_msg("%s: %u of %u passed", cases[i].rate, granted, cases[i].cost);
    }
}

static void what_costs_nothing_or_more_than_a_burst_is_refused_for_ever(void **state)
{
    static const uint32_t costs[] = {0, 20001, 20500, 1000000, UINT32_MAX};
    struct one one;
    (void)state;
    one_open(&one, "10/1s:20");
    for (size_t i = 0; i < COUNT(costs); i++) {
        assert_int_equal(take(&one, costs[i], NOW), LIMIT_REFUSED);
        assert_answer(&one, LIMIT_REFUSED, 20, 20000, 0, LIMIT_NEVER);
    }
    assert_int_equal(atomic_load(&one.word), 0);
    assert_int_equal(take(&one, 20000, NOW), LIMIT_GRANTED);
    assert_answer(&one, LIMIT_GRANTED, 0, 0, 2000, 0);
}

/* The next moment at which somebody comes: soon, late, or by a clock that is not to be trusted. */
static uint64_t later(uint64_t now, const struct limit_model *model, uint64_t random)
{
    uint64_t unit = (uint64_t)model->unit, tolerance = (uint64_t)model->tolerance;
    switch (random % 32) {
    case 0:
        return now + (random >> 8) % (2 * tolerance);
    case 1:
        return now + YEAR;
    case 2:
        return now > YEAR ? now - YEAR : 0;
    case 3:
        return now > unit ? now - (random >> 8) % unit : 0;
    case 4:
        return random >> 32 & 1 ? random >> 8 % 57 : now;
    case 5:
    case 6:
    case 7:
        return now;
    default:
        return now + (random >> 8) % (2 * unit);
    }
}

static uint32_t any_cost(const struct limit_model *model, uint64_t random)
{
    uint64_t burst = (uint64_t)model->burst_milli;
    switch (random % 8) {
    case 0:
        return (uint32_t)(random >> 8 & 0xffffffff);
    case 1:
        return (uint32_t)((random >> 8) % 2001);
    case 2:
        return (uint32_t)(1 + (random >> 8) % burst);
    case 3:
        return (uint32_t)(burst - 2 + (random >> 8) % 5);
    default:
        return 1000;
    }
}

static void assert_as_model(struct one *one, struct limit_model *model, uint32_t cost, uint64_t now)
{
    wide wait = model_wait(model, now, cost);
    enum limit_verdict expected = wait == 0 ? LIMIT_GRANTED : LIMIT_REFUSED;
    limits_look(&one->limit, 1, &one->charge);
    assert_int_equal(limits_weigh(&one->limit, &one->charge, cost, now), expected);
    assert_true(atomic_load(&one->word) == (uint64_t)model->full_at);
    assert_int_equal(answer_of(one).remaining_milli, model_remaining(model, now));
    assert_int_equal(limits_charge(&one->limit, &one->charge, cost, now), expected);
    if (expected == LIMIT_GRANTED)
        model_take(model, now, cost);
    else
        model_look(model, now);
    assert_true(atomic_load(&one->word) == (uint64_t)model->full_at);
    uint64_t milli = model_remaining(model, now);
    assert_answer(one, expected, milli / 1000, milli, model_ms(model_level(model, now)),
                  wait < 0 ? LIMIT_NEVER : model_ms(wait));
}

static void any_rates_costs_and_clocks_are_counted_as_by_the_model(void **state)
{
    uint64_t random = 1;
    unsigned granted = 0, refused = 0;
    (void)state;
    for (unsigned n = 0; n < 4000; n++) {
        struct rate rate = model_rate(sample_random(&random), sample_random(&random));
        struct limit_model model = model_of(&rate);
        struct one one = {.rule = limit_rule_of(&rate)};
        uint64_t now = NOW;
        assert_true(rate_is_sane(&rate));
        one.limit = (struct limit){&one.rule, &one.word};
        for (unsigned i = 0; i < 200; i++) {
            now = later(now, &model, sample_random(&random));
            assert_as_model(&one, &model, any_cost(&model, sample_random(&random)), now);
            *(one.charge.verdict == LIMIT_GRANTED ? &granted : &refused) += 1;
        }
    }
    assert_true(granted > 100000 && refused > 100000);
}

/* By the rate itself, not by what it was rounded to: fractions of the period are compared
 * crosswise. Whoever asks without end gets all of it but for what rounding takes, a nanosecond a
 * charge. */
static void what_passes_is_what_the_rate_says(void **state)
{
    uint64_t random = 2;
    (void)state;
    for (unsigned n = 0; n < 2000; n++) {
        struct rate rate = model_rate(sample_random(&random), sample_random(&random));
        struct one one = {.rule = limit_rule_of(&rate)};
        wide period = (wide)rate.period_s * SECOND, passed = 0;
        uint64_t now = NOW;
        uint32_t cost = 1 + (uint32_t)(sample_random(&random) % one.rule.burst_milli) % 1000000;
        unsigned charges = 0;
        one.limit = (struct limit){&one.rule, &one.word};
        /* nothing is there at first, and no step is so long that it all comes back */
        atomic_store(&one.word, now + one.rule.tolerance_ns);
        for (unsigned i = 0; i < 300 && charges < 100000; i++) {
            now += 1 + sample_random(&random) % (atomic_load(&one.word) - now);
            for (; charges < 100000 && take(&one, cost, now) == LIMIT_GRANTED; charges++)
                passed += cost;
        }
        wide could = (wide)(now - NOW) * rate.count * 1000; /* thousandths, times the period */
        if (passed * period > could)
            fail_msg("more than %u/%us pass", rate.count, rate.period_s);
        wide lost = ((wide)charges + 1 + passed / 1000) * rate.count * 1000 + (wide)cost * period;
        if (charges < 100000 && passed * period + lost < could)
            fail_msg("less than %u/%us pass", rate.count, rate.period_s);
    }
}

static void a_clock_that_goes_back_refuses_for_no_longer_than_the_tolerance(void **state)
{
    struct one one;
    (void)state;
    one_open(&one, "10/1s:20");
    assert_int_equal(take(&one, 1000, NOW + YEAR), LIMIT_GRANTED);
    assert_int_equal(take(&one, 1000, NOW), LIMIT_REFUSED);
    assert_answer(&one, LIMIT_REFUSED, 0, 0, 2000, 100);
    assert_int_equal(take(&one, 1000, NOW + 100 * MS - 1), LIMIT_REFUSED);
    assert_int_equal(take_all(&one, 1000, NOW + 100 * MS), 1);
    assert_int_equal(take_all(&one, 1000, NOW + 2100 * MS), 20);
}

static void a_clock_that_leaps_ahead_gives_a_burst(void **state)
{
    struct one one;
    (void)state;
    one_open(&one, "10/1s:20");
    assert_int_equal(take_all(&one, 1000, NOW), 20);
    assert_int_equal(take_all(&one, 1000, NOW + YEAR), 20);
}

static void a_limit_counts_at_both_ends_of_the_clock(void **state)
{
    static const char *const rates[] = {"10/1s:20", "1/366d", "1000000000/1000s", "1/1s:31622400"};
    static const uint64_t times[] = {0,
                                     1,
                                     LIMIT_CLOCK_MAX_NS - 1,
                                     LIMIT_CLOCK_MAX_NS,
                                     LIMIT_CLOCK_MAX_NS + 1,
                                     UINT64_MAX - 1,
                                     UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < COUNT(rates) * COUNT(times); i++) {
        struct one one;
        uint64_t now = times[i % COUNT(times)];
        one_open(&one, rates[i / COUNT(times)]);
        uint32_t cost = one.rule.burst_milli < 1000000 ? (uint32_t)one.rule.burst_milli : 1000000;
        wide granted = (wide)take_all(&one, cost, now) * cost;
        assert_true(granted <= one.rule.burst_milli && granted + cost > one.rule.burst_milli);
        assert_true(atomic_load(&one.word) -
                        (now < LIMIT_CLOCK_MAX_NS ? now : LIMIT_CLOCK_MAX_NS) <=
                    one.rule.tolerance_ns);
        assert_int_equal(take_all(&one, cost, now), 0);
        uint64_t wait = answer_of(&one).retry_after_ms * MS;
        if (now <= 1)
            assert_true(take_all(&one, cost, now + wait) > 0);
    }
}

static void what_is_scribbled_throttles_or_gives_a_burst_and_heals(void **state)
{
    uint64_t random = 3;
    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        struct one one;
        one_open(&one, n % 2 ? "10/1s:20" : "5/1m");
        uint32_t burst = n % 2 ? 20 : 5;
        uint64_t word = sample_random(&random) >> sample_random(&random) % 64;
        if (n % 4 > 1)
            word = NOW + (sample_random(&random) % 9 - 4) * one.rule.unit_ns + word % 3 - 1;
        atomic_store(&one.word, word);
        unsigned granted = take_all(&one, 1000, NOW);
        assert_true(granted <= burst);
        assert_true(word > NOW || granted == burst);
        assert_true(word <= NOW + one.rule.tolerance_ns || granted == 0);
        /* looked at once, it is as if it had been charged: all that is there comes back */
        assert_true(atomic_load(&one.word) <= NOW + one.rule.tolerance_ns);
        assert_int_equal(take_all(&one, 1000, NOW + one.rule.tolerance_ns), burst);
    }
}

static void a_rule_takes_over_another_s_word(void **state)
{
    struct one one;
    struct rate rate = {10, 1, 20};
    (void)state;
    one_open(&one, "10/1h");
    assert_int_equal(take_all(&one, 1000, NOW), 10);
    one.rule = limit_rule_of(&rate); /* narrower: an hour ahead is far too much */
    assert_int_equal(take_all(&one, 1000, NOW), 0);
    assert_int_equal(take_all(&one, 1000, NOW + SECOND), 10);
    one_open(&one, "10/1s:20");
    assert_int_equal(take_all(&one, 1000, NOW), 20);
    rate = (struct rate){10, 3600, 10};
    one.rule = limit_rule_of(&rate);
    assert_int_equal(take_all(&one, 1000, NOW), 9); /* two seconds of an hour are used */
}

static void what_is_only_weighed_is_not_written(void **state)
{
    static const uint64_t words[] = {
        0, 1, NOW, NOW + 1950 * MS, NOW + 2000 * MS, NOW + 2000 * MS + 1, UINT64_MAX};
    struct one one;
    (void)state;
    one_open(&one, "10/1s:20");
    for (size_t i = 0; i < COUNT(words); i++) {
        atomic_store(&one.word, words[i]);
        limits_look(&one.limit, 1, &one.charge);
        assert_int_equal(limits_weigh(&one.limit, &one.charge, 1000, NOW),
                         i < 3 ? LIMIT_GRANTED : LIMIT_REFUSED);
        assert_int_equal(limits_undo(&one.limit, &one.charge), 0);
        assert_true(atomic_load(&one.word) == words[i]);
    }
    atomic_store(&one.word, NOW + 50 * MS);
    limits_look(&one.limit, 1, &one.charge);
    limits_weigh(&one.limit, &one.charge, 2250, NOW);
    assert_answer(&one, LIMIT_GRANTED, 19, 19500, 50, 0); /* as it was seen */
}

static void a_charge_that_is_undone_was_none(void **state)
{
    struct one one;
    (void)state;
    one_open(&one, "10/1s:20");
    assert_int_equal(take(&one, 2500, NOW), LIMIT_GRANTED);
    assert_int_equal(limits_undo(&one.limit, &one.charge), 0);
    assert_int_equal(atomic_load(&one.word), 0);
    assert_answer(&one, LIMIT_GRANTED, 20, 20000, 0, 0);
    take_all(&one, 1000, NOW);
    uint64_t word = atomic_load(&one.word);
    assert_int_equal(limits_undo(&one.limit, &one.charge), 0); /* it was refused */
    assert_true(atomic_load(&one.word) == word);
    assert_int_equal(take(&one, 1000, NOW + 150 * MS), LIMIT_GRANTED);
    assert_int_equal(limits_undo(&one.limit, &one.charge), 0);
    assert_true(atomic_load(&one.word) == word);
}

static void a_charge_is_undone_once(void **state)
{
    struct one one, other;
    (void)state;
    one_open(&one, "10/1s:20");
    assert_int_equal(take(&one, 1000, NOW), LIMIT_GRANTED);
    assert_int_equal(limits_undo(&one.limit, &one.charge), 0);
    other = one;
    other.limit = one.limit; /* the same word */
    assert_int_equal(take(&other, 1000, NOW), LIMIT_GRANTED);
    uint64_t word = atomic_load(&one.word);
    assert_true(word == one.charge.wrote[0]); /* as the one that was undone had left it */
    assert_int_equal(limits_undo(&one.limit, &one.charge), 0);
    assert_true(atomic_load(&one.word) == word);
}

static void a_charge_with_another_behind_it_is_forgone(void **state)
{
    struct one one, other;
    (void)state;
    one_open(&one, "10/1s:20");
    assert_int_equal(take(&one, 1000, NOW), LIMIT_GRANTED);
    other = one;
    assert_int_equal(take(&other, 1000, NOW), LIMIT_GRANTED);
    assert_int_equal(limits_undo(&one.limit, &one.charge), 1);
    assert_true(atomic_load(&one.word) == NOW + 200 * MS);
    assert_int_equal(limits_undo(&one.limit, &one.charge), 1); /* still one */
    assert_int_equal(limits_undo(&other.limit, &other.charge), 0);
    assert_true(atomic_load(&one.word) == NOW + 100 * MS);
}

/* An older clock than the one which the word was written by, since somebody came between. */
static void who_comes_late_is_refused_and_takes_nothing_from_others(void **state)
{
    struct one one, late;
    (void)state;
    one_open(&one, "10/1s:20");
    late = one;
    late.limit = one.limit;
    limits_look(&late.limit, 1, &late.charge);
    assert_int_equal(take_all(&one, 1000, NOW + 3600 * SECOND), 20);
    assert_int_equal(limits_charge(&late.limit, &late.charge, 1000, NOW), LIMIT_REFUSED);
    assert_true(atomic_load(&one.word) == NOW + 3602 * SECOND);
    assert_int_equal(take_all(&one, 1000, NOW + 3600 * SECOND), 0);
}

/* Three limits of one request, each with its word. */
struct several {
    struct limit_rule rules[3];
    _Atomic uint64_t words[3];
    struct limit limits[3];
    struct limit_charge charge;
};

static void several_open(struct several *several, const char *const rates[3])
{
    memset(several, 0, sizeof *several);
    for (unsigned i = 0; i < 3; i++) {
        struct rate rate;
        assert_int_equal(rate_parse(text_of(rates[i]), &rate, NULL), 0);
        several->rules[i] = limit_rule_of(&rate);
        several->limits[i] = (struct limit){&several->rules[i], &several->words[i]};
    }
}

static enum limit_verdict take_several(struct several *several, uint32_t cost, uint64_t now)
{
    limits_look(several->limits, 3, &several->charge);
    return limits_charge(several->limits, &several->charge, cost, now);
}

static void assert_tightest(const struct several *several, unsigned tightest, uint64_t milli,
                            uint64_t reset_ms, uint64_t retry_after_ms)
{
    struct limit_answer answer;
    limits_answer(several->limits, &several->charge, &answer);
    assert_int_equal(answer.tightest, tightest);
    assert_int_equal(answer.remaining, milli / 1000);
    assert_int_equal(answer.remaining_milli, milli);
    assert_int_equal(answer.reset_ms, reset_ms);
    assert_true(answer.retry_after_ms == retry_after_ms);
}

static void of_several_limits_the_tightest_is_told(void **state)
{
    struct several several;
    (void)state;
    several_open(&several, (const char *const[]){"10/1s", "20/1m", "12/1h"});
    for (unsigned n = 1; n <= 10; n++) {
        assert_int_equal(take_several(&several, 1000, NOW), LIMIT_GRANTED);
        assert_tightest(&several, 0, 10000 - n * 1000, n * 100, 0);
    }
    assert_int_equal(take_several(&several, 1000, NOW), LIMIT_REFUSED);
    assert_tightest(&several, 0, 0, 1000, 100);
    assert_int_equal(take_several(&several, 1000, NOW + SECOND), LIMIT_GRANTED);
    assert_tightest(&several, 2, 1003, 11 * 300000 - 1000, 0);
    assert_int_equal(take_several(&several, 2000, NOW + SECOND), LIMIT_REFUSED);
    assert_tightest(&several, 2, 1003, 11 * 300000 - 1000, 300000 - 1000);
    /* of those that refuse, who does so for longest */
    assert_int_equal(take_several(&several, 11000, NOW + SECOND), LIMIT_REFUSED);
    assert_tightest(&several, 0, 9000, 100, LIMIT_NEVER);
}

static void of_equal_limits_the_one_that_recovers_last_is_the_tightest(void **state)
{
    struct several several;
    (void)state;
    several_open(&several, (const char *const[]){"5/1s", "5/1h", "5/1m"});
    assert_int_equal(take_several(&several, 1000, NOW), LIMIT_GRANTED);
    assert_tightest(&several, 1, 4000, 720000, 0);
}

static void what_one_of_several_refuses_is_charged_to_none(void **state)
{
    static const char *const rates[3] = {"100/1s", "100/1m", "100/1h"};
    (void)state;
    for (unsigned refuses = 0; refuses < 3; refuses++) {
        struct several several;
        uint64_t before[3];
        several_open(&several, rates);
        atomic_store(&several.words[refuses], NOW + several.rules[refuses].tolerance_ns);
        for (unsigned i = 0; i < 3; i++)
            before[i] = atomic_load(&several.words[i]);
        assert_int_equal(take_several(&several, 1000, NOW), LIMIT_REFUSED);
        assert_int_equal(several.charge.charged, 0);
        assert_tightest(&several, refuses, 0, several.rules[refuses].tolerance_ns / MS,
                        several.rules[refuses].unit_ns / MS);
        for (unsigned i = 0; i < 3; i++)
            assert_true(atomic_load(&several.words[i]) == before[i]);
    }
}

/* The look saw room, and then somebody else took it. */
static void what_is_taken_meanwhile_is_given_back_to_the_others(void **state)
{
    static const char *const rates[3] = {"100/1s", "100/1m", "100/1h"};
    (void)state;
    for (unsigned refuses = 0; refuses < 3; refuses++) {
        struct several several;
        several_open(&several, rates);
        limits_look(several.limits, 3, &several.charge);
        uint64_t full = NOW + several.rules[refuses].tolerance_ns;
        atomic_store(&several.words[refuses], full);
        assert_int_equal(limits_charge(several.limits, &several.charge, 1000, NOW), LIMIT_REFUSED);
        assert_int_equal(several.charge.forgone, 0);
        assert_tightest(&several, refuses, 0, several.rules[refuses].tolerance_ns / MS,
                        several.rules[refuses].unit_ns / MS);
        for (unsigned i = 0; i < 3; i++)
            assert_true(atomic_load(&several.words[i]) == (i == refuses ? full : 0));
        assert_int_equal(limits_undo(several.limits, &several.charge), 0);
        for (unsigned i = 0; i < 3; i++)
            assert_true(atomic_load(&several.words[i]) == (i == refuses ? full : 0));
    }
}

static void several_charges_are_undone_but_for_those_with_another_behind(void **state)
{
    struct several several;
    struct one one;
    (void)state;
    several_open(&several, (const char *const[]){"100/1s", "100/1m", "100/1h"});
    assert_int_equal(take_several(&several, 1000, NOW), LIMIT_GRANTED);
    one_open(&one, "100/1m");
    one.limit = several.limits[1];
    assert_int_equal(take(&one, 1000, NOW), LIMIT_GRANTED);
    assert_int_equal(limits_undo(several.limits, &several.charge), 1);
    assert_true(atomic_load(&several.words[0]) == 0);
    assert_true(atomic_load(&several.words[1]) == NOW + 1200 * MS);
    assert_true(atomic_load(&several.words[2]) == 0);
    assert_tightest(&several, 0, 100000, 0, 0); /* as they were seen */
}

static void too_far_ahead_is_set_back_in_each_of_several(void **state)
{
    struct several several;
    (void)state;
    several_open(&several, (const char *const[]){"100/1s", "100/1m", "100/1h"});
    atomic_store(&several.words[0], UINT64_MAX);
    atomic_store(&several.words[2], NOW + several.rules[2].tolerance_ns + 1);
    assert_int_equal(take_several(&several, 1000, NOW), LIMIT_REFUSED);
    assert_true(atomic_load(&several.words[0]) == NOW + SECOND);
    assert_true(atomic_load(&several.words[1]) == 0);
    assert_true(atomic_load(&several.words[2]) == NOW + 3600 * SECOND);
}

static void no_limits_grant(void **state)
{
    struct limit_charge charge;
    struct limit_answer answer;
    (void)state;
    limits_look(NULL, 0, &charge);
    assert_int_equal(limits_charge(NULL, &charge, 1000, NOW), LIMIT_GRANTED);
    limits_answer(NULL, &charge, &answer);
    assert_int_equal(answer.tightest, LIMITS_MAX);
    assert_true(answer.remaining == 0 && answer.remaining_milli == 0 && answer.reset_ms == 0 &&
                answer.retry_after_ms == 0);
    assert_int_equal(limits_undo(NULL, &charge), 0);
}

static void as_many_as_there_can_be_are_charged_together(void **state)
{
    static struct limit_rule rule;
    static struct usage_limits words;
    struct limit limits[LIMITS_MAX];
    struct rate rate = {3, 1, 3};
    struct limit_charge charge;
    (void)state;
    rule = limit_rule_of(&rate);
    for (unsigned i = 0; i < LIMITS_MAX; i++)
        limits[i] = (struct limit){&rule, i < 4 ? &words.rates[i] : &words.named[i - 4]};
    for (unsigned n = 0; n < 4; n++) {
        limits_look(limits, LIMITS_MAX, &charge);
        assert_int_equal(limits_charge(limits, &charge, 1000, NOW),
                         n < 3 ? LIMIT_GRANTED : LIMIT_REFUSED);
    }
    for (unsigned i = 0; i < LIMITS_MAX; i++)
        assert_true(atomic_load(limits[i].word) == NOW + rule.tolerance_ns);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(atomic_load(&words.uses[i]), 0);
}

/* Whatever it says must hold: the most that is left passes and no more, and after the wait it does.
 */
static void what_is_answered_comes_true(void **state)
{
    uint64_t random = 4;
    unsigned refused = 0;
    (void)state;
    for (unsigned n = 0; n < 100000; n++) {
        struct rate rate = model_rate(sample_random(&random), sample_random(&random));
        struct limit_model model = model_of(&rate);
        struct one one = {.rule = limit_rule_of(&rate)};
        one.limit = (struct limit){&one.rule, &one.word};
        uint32_t cost = any_cost(&model, sample_random(&random));
        atomic_store(&one.word, NOW + sample_random(&random) % (one.rule.tolerance_ns + 2));
        enum limit_verdict verdict = take(&one, cost, NOW);
        struct limit_answer answer = answer_of(&one);
        uint64_t word = atomic_load(&one.word), left = answer.remaining_milli;
        if (left > 0 && left < UINT32_MAX)
            assert_int_equal(take(&one, (uint32_t)left, NOW), LIMIT_GRANTED);
        atomic_store(&one.word, word);
        if (left < UINT32_MAX - 1)
            assert_int_equal(take(&one, (uint32_t)left + 1, NOW), LIMIT_REFUSED);
        assert_true(answer.reset_ms * MS + NOW >= word);
        assert_true(answer.reset_ms == 0 || (answer.reset_ms - 1) * MS + NOW < word);
        if (verdict == LIMIT_GRANTED || answer.retry_after_ms == LIMIT_NEVER)
            continue;
        refused++;
        uint64_t wait = answer.retry_after_ms * MS;
        assert_int_equal(take(&one, cost, NOW + wait - MS), LIMIT_REFUSED);
        assert_int_equal(take(&one, cost, NOW + wait), LIMIT_GRANTED);
    }
    assert_true(refused > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_is_the_rate_in_nanoseconds),
        cmocka_unit_test(what_is_no_rate_lets_nothing_through),
        cmocka_unit_test(a_burst_passes_at_once_and_then_one_after_the_other),
        cmocka_unit_test(however_long_nobody_came_no_more_than_a_burst_passes),
        cmocka_unit_test(the_whole_burst_can_be_had_in_any_costs),
        cmocka_unit_test(what_costs_nothing_or_more_than_a_burst_is_refused_for_ever),
        cmocka_unit_test(any_rates_costs_and_clocks_are_counted_as_by_the_model),
        cmocka_unit_test(what_passes_is_what_the_rate_says),
        cmocka_unit_test(a_clock_that_goes_back_refuses_for_no_longer_than_the_tolerance),
        cmocka_unit_test(a_clock_that_leaps_ahead_gives_a_burst),
        cmocka_unit_test(a_limit_counts_at_both_ends_of_the_clock),
        cmocka_unit_test(what_is_scribbled_throttles_or_gives_a_burst_and_heals),
        cmocka_unit_test(a_rule_takes_over_another_s_word),
        cmocka_unit_test(what_is_only_weighed_is_not_written),
        cmocka_unit_test(a_charge_that_is_undone_was_none),
        cmocka_unit_test(a_charge_is_undone_once),
        cmocka_unit_test(a_charge_with_another_behind_it_is_forgone),
        cmocka_unit_test(who_comes_late_is_refused_and_takes_nothing_from_others),
        cmocka_unit_test(of_several_limits_the_tightest_is_told),
        cmocka_unit_test(of_equal_limits_the_one_that_recovers_last_is_the_tightest),
        cmocka_unit_test(what_one_of_several_refuses_is_charged_to_none),
        cmocka_unit_test(what_is_taken_meanwhile_is_given_back_to_the_others),
        cmocka_unit_test(several_charges_are_undone_but_for_those_with_another_behind),
        cmocka_unit_test(too_far_ahead_is_set_back_in_each_of_several),
        cmocka_unit_test(no_limits_grant),
        cmocka_unit_test(as_many_as_there_can_be_are_charged_together),
        cmocka_unit_test(what_is_answered_comes_true),
    };
    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
