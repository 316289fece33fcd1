/* What was counted when: its arithmetic and its bytes, and the store's history against a model that
 * adds everything up: through clocks that jump, kills in the middle, and what is forgotten. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/history.h"
#include "daemon/results.h"
#include "daemon/total.h"
#include "lib_store_test.h"

#define NOW INT64_C(1800000000)
#define SEEDS 20u
#define STEPS 200u

static const struct history_plan all_now = {.now_unix_s = NOW, .kept = {true, true, true}};

static void spans_begin_where_the_clock_says(void **state)
{
    (void)state;
    assert_int_equal(history_bucket(HISTORY_MINUTES, 59), 0);
    assert_int_equal(history_bucket(HISTORY_MINUTES, 60), 1);
    assert_int_equal(history_bucket(HISTORY_HOURS, 7199), 1);
    assert_int_equal(history_bucket(HISTORY_DAYS, 86400), 1);
    assert_int_equal(history_bucket(HISTORY_DAYS, -1), 0);
    assert_int_equal(history_bucket(HISTORY_MINUTES, INT64_MAX), UINT32_MAX);
    for (unsigned i = 0; i < HISTORY_LEVELS; i++) {
        enum history_level level = (enum history_level)i;
        int64_t begin = history_begin_s(level, history_bucket(level, NOW));
        assert_in_range(NOW - begin, 0, history_span_s(level) - 1);
        assert_int_equal(history_bucket(level, begin + history_span_s(level)),
                         history_bucket(level, NOW) + 1);
    }
}

static void keys_sort_by_level_time_and_id_and_come_back(void **state)
{
    static const struct {
        enum history_level level;
        uint32_t bucket;
        uint64_t id;
    } rising[] = {
        {HISTORY_DAYS, 0, 1},      {HISTORY_DAYS, 300, 0},
        {HISTORY_DAYS, 300, 256},  {HISTORY_HOURS, 1, UINT64_MAX},
        {HISTORY_HOURS, 256, 0},   {HISTORY_MINUTES, 255, UINT64_MAX},
        {HISTORY_MINUTES, 256, 1}, {HISTORY_MINUTES, UINT32_MAX, UINT64_MAX},
    };
    unsigned char before[HISTORY_KEY_BYTES] = {0}, key[HISTORY_KEY_BYTES];
    enum history_level level;
    uint32_t bucket;
    uint64_t id;

    (void)state;
    for (size_t i = 0; i < sizeof rising / sizeof rising[0]; i++) {
        history_key(rising[i].level, rising[i].bucket, rising[i].id, key);
        assert_true(memcmp(before, key, sizeof key) < 0);
        memcpy(before, key, sizeof key);
        assert_true(history_key_parse(key, sizeof key, &level, &bucket, &id));
        assert_int_equal(level, rising[i].level);
        assert_int_equal(bucket, rising[i].bucket);
        assert_int_equal(id, rising[i].id);
    }
    assert_false(history_key_parse((const unsigned char *)"t", 1, &level, &bucket, &id));
    key[0] = 'x';
    assert_false(history_key_parse(key, sizeof key, &level, &bucket, &id));
}

static void entries_come_back_and_rubbish_is_refused(void **state)
{
    static const uint64_t numbers[] = {0, 1, 127, 128, 300, UINT64_C(1) << 56, INT64_MAX};
    unsigned char bytes[HISTORY_ENCODED_MAX];
    uint64_t counts[PROCESS_RESULTS], again[PROCESS_RESULTS];

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct history_entry entry = {.granted = numbers[i], .refused = numbers[6 - i]}, back;
        size_t len = history_encode(&entry, bytes);
        assert_int_equal(history_decode(bytes, len, &back), 0);
        assert_memory_equal(&entry, &back, sizeof back);
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(history_decode(bytes, cut, &back), CATLATCH_E_DATA);
        assert_int_equal(history_decode(bytes, len + 1, &back), CATLATCH_E_DATA);
        for (unsigned j = 0; j < PROCESS_RESULTS; j++)
            counts[j] = numbers[(i + j) % 7];
        len = history_encode_results(counts, bytes);
        assert_int_equal(history_decode_results(bytes, len, again), 0);
        assert_memory_equal(counts, again, sizeof counts);
    }
    memset(bytes, 0xff, sizeof bytes);
    struct history_entry unused;
    assert_int_equal(history_decode(bytes, sizeof bytes, &unused), CATLATCH_E_DATA);
    assert_int_equal(history_decode_results(bytes, sizeof bytes, again), CATLATCH_E_DATA);
    assert_int_equal(history_decode_results((const unsigned char *)"\x18\x01", 2, again),
                     CATLATCH_E_DATA);
    assert_int_equal(history_add(INT64_MAX, 1), INT64_MAX);
    assert_int_equal(history_add(UINT64_MAX, UINT64_MAX), INT64_MAX);
}

static struct results_look look_at(unsigned char segment, uint64_t valid)
{
    struct results_look look = {.totals = {.results = {[CATLATCH_VALID] = valid}}};
    memset(look.segment, segment, sizeof look.segment);
    return look;
}

static void results_go_on_over_segments_and_never_back(void **state)
{
    static const struct {
        unsigned char segment;
        uint64_t valid, more;
    } looks[] = {
        {1, 10, 10},
        {1, 10, 0},
        {1, 25, 15},
        {2, 5, 5}, /* another keeper's */
        {2, 3, 0}, /* somebody wrote there */
        {2, 4, 1},
        {2, 0, 0},
        {2, UINT64_C(1) << 50, 0}, /* and there */
        {2, (UINT64_C(1) << 50) + 7, 7},
    };
    struct results results = {.counts = {0}}, again;
    unsigned char bytes[RESULTS_ENCODED_MAX];
    uint64_t more[PROCESS_RESULTS], sum = 0;

    (void)state;
    for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
        struct results_look look = look_at(looks[i].segment, looks[i].valid);
        assert_int_equal(results_advance(&results, &look, more), looks[i].more != 0);
        assert_int_equal(more[CATLATCH_VALID], looks[i].more);
        sum += looks[i].more;
        assert_int_equal(results.counts[CATLATCH_VALID], sum);
        size_t len = results_encode(&results, bytes);
        assert_int_equal(results_decode(bytes, len, &again), 0);
        assert_memory_equal(&results, &again, sizeof again);
        assert_int_equal(results_decode(bytes, len - 1, &again), CATLATCH_E_DATA);
    }
    results.counts[CATLATCH_VALID] = INT64_MAX - 1;
    struct results_look last = look_at(2, (UINT64_C(1) << 50) + 100);
    results_advance(&results, &last, more);
    assert_int_equal(more[CATLATCH_VALID], 1);
}

/* Everything that was ever counted, when by the clock, of whom. */
#define IDS 3u
struct event {
    int64_t unix_s;
    uint64_t id;
    struct history_entry entry;
};
struct model {
    struct event events[STEPS];
    unsigned count;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static struct history_entry expect(const struct model *model, enum history_level level,
                                   uint32_t bucket, uint64_t id)
{
    struct history_entry sum = {0};
    for (unsigned i = 0; i < model->count; i++) {
        const struct event *event = &model->events[i];
        if (event->id != id || event->unix_s / history_span_s(level) != bucket)
            continue;
        sum.granted += event->entry.granted;
        sum.refused += event->entry.refused;
    }
    return sum;
}

/* At all times that anything was counted at, and around them. */
static void assert_as_modelled(const struct model *model, int64_t kept_since_s)
{
    for (unsigned i = 0; i < model->count; i++) {
        for (unsigned l = 0; l < HISTORY_LEVELS; l++) {
            enum history_level level = (enum history_level)l;
            uint32_t middle = history_bucket(level, model->events[i].unix_s);
            for (uint32_t bucket = middle - 1; bucket <= middle + 1; bucket++) {
                struct history_entry want = expect(model, level, bucket, model->events[i].id), have;
                if (bucket < history_bucket(level, kept_since_s))
                    want = (struct history_entry){0};
                assert_ok(store_history(store, level, bucket, model->events[i].id, &have, &error));
                assert_memory_equal(&want, &have, sizeof have);
            }
        }
    }
}

static void count(struct model *model, int64_t unix_s, uint64_t id, uint64_t granted,
                  uint64_t refused)
{
    struct history_plan plan = all_now;
    struct store_total total = {.id = id, .more = {.granted = granted, .refused = refused}};
    plan.now_unix_s = unix_s;
    assert_ok(store_put_totals(store, &total, 1, &plan, &error));
    model->events[model->count++] = (struct event){.unix_s = unix_s, .id = id, .entry = total.more};
}

static int64_t jump(uint64_t *random)
{
    switch (next_random(random) % 8) {
    case 0:
        return 3600 * 5; /* the clock is set */
    case 1:
        return -3600 * 7;
    case 2:
        return 86400;
    default:
        return (int64_t)(next_random(random) % 90);
    }
}

static void prune_all(int64_t before_s)
{
    for (unsigned l = 0; l < HISTORY_LEVELS; l++) {
        enum history_level level = (enum history_level)l;
        size_t removed = 1;
        while (removed > 0)
            assert_ok(store_prune_history(store, level, history_bucket(level, before_s), 7,
                                          &removed, &error));
    }
}

static void the_history_is_what_a_model_adds_up(void **state)
{
    static struct model model;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
        int64_t now = NOW + (int64_t)seed * 86400 * 400, least = now, most = now;
        model.count = 0;
        for (unsigned step = 0; step < STEPS; step++) {
            now += jump(&random);
            least = now < least ? now : least;
            most = now > most ? now : most;
            count(&model, now, 1 + next_random(&random) % IDS, next_random(&random) % 1000,
                  next_random(&random) % 3);
            if (step % 50 == 49)
                reopen();
        }
        assert_as_modelled(&model, 0);
        int64_t before = least + (most - least) / 2;
        prune_all(before);
        assert_as_modelled(&model, before);
    }
}

static void levels_that_are_not_kept_are_not_written(void **state)
{
    const struct history_plan hours = {.now_unix_s = NOW, .kept = {[HISTORY_HOURS] = true}};
    const struct store_total total = {.id = 7, .more = {.granted = 3}};
    struct history_entry entry;
    (void)state;
    assert_ok(store_put_totals(store, &total, 1, &hours, &error));
    for (unsigned l = 0; l < HISTORY_LEVELS; l++) {
        enum history_level level = (enum history_level)l;
        assert_ok(store_history(store, level, history_bucket(level, NOW), 7, &entry, &error));
        assert_int_equal(entry.granted, level == HISTORY_HOURS ? 3 : 0);
    }
}

static void results_have_their_history_and_their_sums(void **state)
{
    struct results results = {.counts = {0}}, again;
    uint64_t more[PROCESS_RESULTS], counts[PROCESS_RESULTS];
    (void)state;
    assert_int_equal(store_results(store, &again, &error), CATLATCH_E_NOT_FOUND);
    for (unsigned i = 1; i <= 5; i++) {
        struct results_look look = look_at(1, i * 10);
        look.totals.results[CATLATCH_NOT_FOUND] = i;
        results_advance(&results, &look, more);
        assert_ok(store_put_results(store, &results, more, &all_now, &error));
        reopen();
    }
    assert_ok(store_results(store, &again, &error));
    assert_memory_equal(&results, &again, sizeof again);
    for (unsigned l = 0; l < HISTORY_LEVELS; l++) {
        enum history_level level = (enum history_level)l;
        assert_ok(store_history_results(store, level, history_bucket(level, NOW), counts, &error));
        assert_int_equal(counts[CATLATCH_VALID], 50);
        assert_int_equal(counts[CATLATCH_NOT_FOUND], 5);
    }
    prune_all(NOW + 86400 * 2);
    assert_ok(store_history_results(store, HISTORY_DAYS, history_bucket(HISTORY_DAYS, NOW), counts,
                                    &error));
    assert_int_equal(counts[CATLATCH_VALID], 0);
    assert_ok(store_results(store, &again, &error)); /* what is known stays */
    assert_int_equal(again.counts[CATLATCH_VALID], 50);
}

/* As the flusher does, beside the thread that writes: so what a kill leaves ends anywhere. */
static void *flush_for_ever(void *unused)
{
    struct error why;
    while (store_flush(store, &why) == 0)
        continue;
    return unused;
}

/* Counts until it is killed, and tells how far it is. */
static void count_until_killed(int told)
{
    pthread_t flusher;
    if (pthread_create(&flusher, NULL, flush_for_ever, NULL) != 0)
        _exit(1);
    for (uint64_t n = 1;; n++) {
        struct history_plan plan = all_now;
        struct store_total total = {.id = 7, .more = {.granted = 1}};
        plan.now_unix_s = NOW + (int64_t)n * 7;
        total.total.used.count = n;
        if (store_put_totals(store, &total, 1, &plan, &error) != 0 ||
            write(told, &n, sizeof n) != sizeof n)
            _exit(1);
    }
}

static uint64_t sum_of(enum history_level level, uint64_t count)
{
    uint64_t sum = 0;
    uint32_t last = history_bucket(level, NOW + (int64_t)(count + 1) * 7);
    for (uint32_t bucket = history_bucket(level, NOW); bucket <= last; bucket++) {
        struct history_entry entry;
        assert_ok(store_history(store, level, bucket, 7, &entry, &error));
        sum += entry.granted;
    }
    return sum;
}

/* Whatever of it is on the disk: total and history, of each level, agree. */
static void a_kill_leaves_totals_and_history_in_step(void **state)
{
    uint64_t most = 0;
    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        int told[2];
        uint64_t n = 0;
        close_store();
        store_folder_remove(folder);
        store_folder_make(folder);
        assert_int_equal(pipe(told), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            store = store_open_or_die(folder);
            count_until_killed(told[1]);
        }
        close(told[1]);
        for (unsigned i = 0; i < 20 + round % 10 * 37; i++)
            assert_int_equal(read(told[0], &n, sizeof n), sizeof n);
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        close(told[0]);
        store = store_open_or_die(folder);
        struct total total = {.used = {.count = 0}};
        int r = store_total(store, 7, &total, &error);
        assert_true(r == 0 || r == CATLATCH_E_NOT_FOUND);
        most = total.used.count > most ? total.used.count : most;
        for (unsigned l = 0; l < HISTORY_LEVELS; l++)
            assert_int_equal(sum_of((enum history_level)l, total.used.count), total.used.count);
    }
    assert_true(most > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_begin_where_the_clock_says),
        cmocka_unit_test(keys_sort_by_level_time_and_id_and_come_back),
        cmocka_unit_test(entries_come_back_and_rubbish_is_refused),
        cmocka_unit_test(results_go_on_over_segments_and_never_back),
        with_store(the_history_is_what_a_model_adds_up),
        with_store(levels_that_are_not_kept_are_not_written),
        with_store(results_have_their_history_and_their_sums),
        with_store(a_kill_leaves_totals_and_history_in_step),
    };
    return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
