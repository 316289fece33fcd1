/* What the library counts for its process: each outcome once, in a line that is the handle's alone,
 * through forks, closings and the loss of the keeper. */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/lib_latch.h"
#include "lib_daemon.h"
#include "usage/fetch.h"
#include "usage/process.h"

#define CHILDREN 6u
#define UNKNOWN "cc_live_0000000000000000000000000000000000000i6yS3"

struct scene {
    struct trial trial;
    struct trial_key key;
};

static int open_scene(void **state)
{
    static struct scene scene;
    memset(&scene, 0, sizeof scene);
    trial_open(&scene.trial, "expected_keys = 16\nusage_flush_interval = 1s");
    trial_start(&scene.trial);
    redisContext *admin = trial_connect(&scene.trial);
    trial_create(admin, "k", "o", &scene.key);
    redisFree(admin);
    *state = &scene;
    return 0;
}

static int close_scene(void **state)
{
    struct scene *scene = *state;
    trial_close(&scene->trial);
    return 0;
}

static pid_t keeper_pid(const struct trial *trial)
{
    char path[TRIAL_PATH_SIZE + 16];
    int pid = 0;
    snprintf(path, sizeof path, "%s/usage.lock", trial->run_dir);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%d", &pid), 1);
    fclose(file);
    assert_true(pid > 1);
    return pid;
}

/* The segment as the keeper that is there gives it, and who has lines in it. */
struct seen {
    struct usage_processes page; /* one holds all of a test's */
    struct process_segment *segment;
};

static void look(const struct scene *scene, struct seen *ret)
{
    struct trust trust = trust_self();
    struct error error = {0};
    uint64_t end_ns = trial_clock_ns() + TRIAL_PATIENCE_MS * UINT64_C(1000000);
    while (usage_processes(scene->trial.run_dir, &trust, 1000, 0, &ret->page, &error) != 0) {
        if (trial_clock_ns() > end_ns)
            fail_msg("usage_processes: %s", error.text);
        usleep(1000);
    }
    ret->segment = mmap(NULL, sizeof *ret->segment, PROT_READ, MAP_SHARED, ret->page.segment, 0);
    assert_true(ret->segment != MAP_FAILED);
    usage_processes_close(&ret->page);
}

static void unlook(struct seen *seen)
{
    munmap(seen->segment, sizeof *seen->segment);
}

static unsigned lines_of(const struct scene *scene, pid_t pid)
{
    struct seen seen;
    unsigned count = 0;
    look(scene, &seen);
    for (unsigned i = 0; i < seen.page.count; i++)
        count += seen.page.list[i].pid == (uint32_t)pid;
    unlook(&seen);
    return count;
}

/* This process has so many lines once the keeper comes to what it was told, for which nobody waits
 * longer than 20 ms. */
static void await_lines(const struct scene *scene, unsigned count)
{
    time_t end = time(NULL) + 20;
    while (lines_of(scene, getpid()) != count && time(NULL) < end)
        sched_yield();
    assert_int_equal(lines_of(scene, getpid()), count);
}

/* Of the only line that the process has. */
static void read_own(const struct scene *scene, pid_t pid, struct process_counts *ret_counts,
                     uint64_t *ret_generation)
{
    struct seen seen;
    unsigned found = 0;
    look(scene, &seen);
    for (unsigned i = 0; i < seen.page.count; i++) {
        if (seen.page.list[i].pid != (uint32_t)pid)
            continue;
        const struct process_line *line = &seen.segment->lines[seen.page.list[i].line];
        process_read_line(line, ret_counts);
        *ret_generation = atomic_load(&line->generation);
        found++;
    }
    unlook(&seen);
    assert_int_equal(found, 1);
}

static void read_totals(const struct scene *scene, struct process_counts *ret_totals)
{
    struct seen seen;
    look(scene, &seen);
    assert_true(process_read_totals(seen.segment, ret_totals));
    unlook(&seen);
}

static void assert_counts(const struct process_counts *counts, const uint64_t expected[])
{
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        assert_int_equal(counts->results[i], expected[i]);
}

static void verify_header(struct catlatch *latch, const char *value)
{
    struct catlatch_request request = {
        .size = sizeof request, .authorization = value, .authorization_len = strlen(value)};
    catlatch_verify(latch, &request, NULL);
}

static void verify_together(struct catlatch *latch, const char *const texts[], size_t count)
{
    struct catlatch_request requests[32] = {{0}};
    struct catlatch_outcome outcomes[32] = {{0}};
    assert_in_range(count, 1, 32);
    for (size_t i = 0; i < count; i++) {
        requests[i] = (struct catlatch_request){
            .size = sizeof requests[i], .key = texts[i], .key_len = strlen(texts[i])};
        outcomes[i].size = sizeof outcomes[i];
    }
    catlatch_verify_batch(latch, requests, outcomes, count);
}

static void each_outcome_is_counted_whether_or_not_it_matched_a_key(void **state)
{
    struct scene *scene = *state;
    uint64_t expected[PROCESS_RESULTS] = {0}, generation = 0;
    struct process_counts counts;
    const char *texts[20];
    struct catlatch *latch = trial_attach(&scene->trial);

    for (unsigned i = 0; i < 3; i++)
        expected[trial_verify(latch, scene->key.raw)]++;
    assert_int_equal(expected[CATLATCH_VALID], 3);
    for (unsigned i = 0; i < 2; i++)
        expected[trial_verify(latch, UNKNOWN)]++;
    assert_int_equal(expected[CATLATCH_NOT_FOUND], 2);
    expected[trial_verify(latch, "rubbish")]++;
    assert_int_equal(expected[CATLATCH_MALFORMED], 1);
    verify_header(latch, "");
    verify_header(latch, "Basic abc");
    for (unsigned i = 0; i < 20; i++)
        texts[i] = i % 2 == 0 ? scene->key.raw : "rubbish";
    verify_together(latch, texts, 20);
    catlatch_verify(latch, NULL, NULL);

    read_own(scene, getpid(), &counts, &generation);
    expected[CATLATCH_VALID] += 10;
    expected[CATLATCH_MALFORMED] += 10;
    expected[CATLATCH_INVALID_REQUEST] = 1;
    expected[CATLATCH_MISSING] = counts.results[CATLATCH_MISSING];
    assert_int_equal(counts.results[CATLATCH_MISSING], 2);
    assert_counts(&counts, expected);
    redisContext *admin = trial_connect(&scene->trial);
    assert_int_equal(generation, trial_stat(admin, "generation"));
    redisFree(admin);
    catlatch_close(latch);
}

static void tell_nobody(void *context, const struct catlatch_step *step)
{
    (void)context;
    (void)step;
}

static void rechecks_and_explanations_are_not_counted(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    struct catlatch_request request = {
        .size = sizeof request, .key = scene->key.raw, .key_len = strlen(scene->key.raw)};
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    const uint64_t expected[PROCESS_RESULTS] = {[CATLATCH_VALID] = 1};
    struct process_counts counts;
    uint64_t generation;

    assert_int_equal(catlatch_verify(latch, &request, &outcome), CATLATCH_VALID);
    assert_int_equal(catlatch_recheck(latch, &outcome, NULL), CATLATCH_VALID);
    assert_int_equal(catlatch_explain(latch, &request, &outcome, tell_nobody, NULL),
                     CATLATCH_VALID);
    read_own(scene, getpid(), &counts, &generation);
    assert_counts(&counts, expected);
    catlatch_close(latch);
}

static void await_end(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* With the handle of its parent, and a barrier before each second half. */
static pid_t fork_worker(const struct scene *scene, struct catlatch *latch, unsigned count,
                         int started, int go)
{
    pid_t pid = fork();
    char byte = 0;
    assert_true(pid >= 0);
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (unsigned i = 0; i < count; i++)
        if (trial_verify(latch, scene->key.raw) != CATLATCH_VALID)
            _exit(1);
    if (write(started, &byte, 1) != 1 || read(go, &byte, 1) != 1)
        _exit(2);
    for (unsigned i = 0; i < count; i++)
        if (trial_verify(latch, UNKNOWN) != CATLATCH_NOT_FOUND)
            _exit(3);
    _exit(0);
}

static void children_count_in_lines_of_their_own(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    struct process_counts counts;
    uint64_t generation, granted = 7, refused = 0;
    pid_t pids[CHILDREN];
    int started[2], go[2];
    char byte = 0;

    assert_int_equal(pipe(started), 0);
    assert_int_equal(pipe(go), 0);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(trial_verify(latch, scene->key.raw), CATLATCH_VALID);
    for (unsigned i = 0; i < CHILDREN; i++)
        pids[i] = fork_worker(scene, latch, 1000 + i, started[1], go[0]);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_int_equal(read(started[0], &byte, 1), 1);
    for (unsigned i = 0; i < CHILDREN; i++) {
        read_own(scene, pids[i], &counts, &generation);
        assert_int_equal(counts.results[CATLATCH_VALID], 1000 + i);
        assert_int_equal(counts.results[CATLATCH_NOT_FOUND], 0);
        assert_true(generation > 0);
        granted += 1000 + i;
        refused += 1000 + i;
    }
    read_own(scene, getpid(), &counts, &generation);
    assert_int_equal(counts.results[CATLATCH_VALID], 7);
    for (unsigned i = 0; i < CHILDREN; i++)
        assert_int_equal(write(go[1], &byte, 1), 1);
    for (unsigned i = 0; i < CHILDREN; i++)
        await_end(pids[i]);
    read_own(scene, getpid(), &counts, &generation);
    assert_int_equal(counts.results[CATLATCH_VALID], 7);
    read_totals(scene, &counts);
    assert_int_equal(counts.results[CATLATCH_VALID], granted);
    assert_int_equal(counts.results[CATLATCH_NOT_FOUND], refused);
    catlatch_close(latch);
    for (unsigned i = 0; i < 2; i++) {
        close(started[i]);
        close(go[i]);
    }
}

static void a_child_that_closes_leaves_the_parents_line(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    assert_int_equal(trial_verify(latch, scene->key.raw), CATLATCH_VALID);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        catlatch_close(latch);
        _exit(0);
    }
    await_end(pid);
    assert_int_equal(lines_of(scene, getpid()), 1);
    catlatch_close(latch);
}

static void closing_gives_the_line_back_and_its_counts_stay(void **state)
{
    struct scene *scene = *state;
    struct catlatch *first = trial_attach(&scene->trial), *second = trial_attach(&scene->trial);
    struct process_counts counts;
    size_t descriptors = latch_descriptors();

    assert_int_equal(lines_of(scene, getpid()), 2);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(trial_verify(first, scene->key.raw), CATLATCH_VALID);
        assert_int_equal(trial_verify(second, scene->key.raw), CATLATCH_VALID);
    }
    catlatch_close(first);
    await_lines(scene, 1);
    catlatch_close(second);
    await_lines(scene, 0);
    assert_int_equal(latch_descriptors(), descriptors);
    read_totals(scene, &counts);
    assert_int_equal(counts.results[CATLATCH_VALID], 10);
}

static void a_refresh_keeps_the_line(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    struct process_counts counts;
    uint64_t generation;

    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(trial_verify(latch, scene->key.raw), CATLATCH_VALID);
        assert_int_equal(catlatch_refresh(latch), 0);
        assert_int_equal(lines_of(scene, getpid()), 1);
    }
    read_own(scene, getpid(), &counts, &generation);
    assert_int_equal(counts.results[CATLATCH_VALID], 5);
    catlatch_close(latch);
}

static void after_another_generation_the_line_names_it(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    struct process_counts counts;
    uint64_t before, after;

    assert_int_equal(trial_verify(latch, scene->key.raw), CATLATCH_VALID);
    read_own(scene, getpid(), &counts, &before);
    trial_kill(&scene->trial);
    trial_start(&scene->trial);
    trial_await_result(latch, scene->key.raw, CATLATCH_VALID);
    do {
        trial_verify(latch, scene->key.raw);
        read_own(scene, getpid(), &counts, &after);
    } while (after == before);
    redisContext *admin = trial_connect(&scene->trial);
    assert_int_equal(after, trial_stat(admin, "generation"));
    redisFree(admin);
    catlatch_close(latch);
}

static void await_other_keeper(const struct scene *scene, pid_t before)
{
    struct trust trust = trust_self();
    struct usage_fetched fetched;
    bool has = false;
    while (!has) {
        usleep(1000);
        if (keeper_pid(&scene->trial) != before &&
            usage_fetch(scene->trial.run_dir, &trust, 1000, &fetched, NULL) == 0) {
            has = fetched.segments.count > 0;
            usage_fetched_close(&fetched);
        }
    }
}

static void after_the_loss_of_the_keeper_a_refresh_gets_a_line_anew(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    const uint64_t expected[PROCESS_RESULTS] = {[CATLATCH_VALID] = 3};
    pid_t before = keeper_pid(&scene->trial);
    struct process_counts counts;
    uint64_t generation;

    assert_int_equal(trial_verify(latch, scene->key.raw), CATLATCH_VALID);
    assert_int_equal(kill(before, SIGKILL), 0);
    await_other_keeper(scene, before);
    assert_int_equal(lines_of(scene, getpid()), 0);
    assert_int_equal(trial_verify(latch, scene->key.raw), CATLATCH_VALID);
    assert_int_equal(catlatch_refresh(latch), 0);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(trial_verify(latch, scene->key.raw), CATLATCH_VALID);
    read_own(scene, getpid(), &counts, &generation);
    assert_counts(&counts, expected);
    catlatch_close(latch);
    await_lines(scene, 0);
}

static void a_silent_keeper_holds_nobody_up_for_long(void **state)
{
    struct scene *scene = *state;
    struct catlatch *latch = trial_attach(&scene->trial);
    pid_t keeper = keeper_pid(&scene->trial);

    assert_int_equal(kill(keeper, SIGSTOP), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* Its own line is not to be had, and is asked for once in a second. */
        uint64_t begin_ns = trial_clock_ns();
        for (unsigned i = 0; i < 10000; i++)
            if (trial_verify(latch, scene->key.raw) != CATLATCH_VALID)
                _exit(1);
        catlatch_close(latch);
        _exit(trial_clock_ns() - begin_ns < UINT64_C(10000000000) ? 0 : 2);
    }
    await_end(pid);
    catlatch_close(latch);
    assert_int_equal(kill(keeper, SIGCONT), 0);
    await_lines(scene, 0); /* it finds what it was told meanwhile */
}

/* A process that was held up has no time left for it, and must not keep the line for that. */
static void a_line_is_given_back_however_late_it_is(void **state)
{
    struct scene *scene = *state;
    struct trust trust = trust_self();
    struct usage_attached attached;
    struct error error = {0};

    if (usage_attach(scene->trial.run_dir, &trust, 10000, &attached, &error) != 0)
        fail_msg("usage_attach: %s", error.text);
    assert_int_equal(lines_of(scene, getpid()), 1);
    assert_int_equal(usage_detach(scene->trial.run_dir, &trust, 0, attached.line, &error),
                     CATLATCH_E_UNAVAILABLE); /* for it did not wait for the answer */
    await_lines(scene, 0);
    usage_attached_close(&attached);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, open_scene, close_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(each_outcome_is_counted_whether_or_not_it_matched_a_key),
        EACH(rechecks_and_explanations_are_not_counted),
        EACH(children_count_in_lines_of_their_own),
        EACH(a_child_that_closes_leaves_the_parents_line),
        EACH(closing_gives_the_line_back_and_its_counts_stay),
        EACH(a_refresh_keeps_the_line),
        EACH(after_another_generation_the_line_names_it),
        EACH(after_the_loss_of_the_keeper_a_refresh_gets_a_line_anew),
        EACH(a_silent_keeper_holds_nobody_up_for_long),
        EACH(a_line_is_given_back_however_late_it_is),
    };
    return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
