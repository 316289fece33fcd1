/*
 * A keeper that is killed at any instruction loses no count and counts none twice.
 *
 * It runs in a child on shared memory and is stepped through what it does with lines, one
 * instruction at a time. Between two steps the parent sees what readers would, and what the next
 * keeper makes of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "usage/roll.h"

/* Lines that are looked at; no other one is ever written here. */
#define LOOKED 4u

#define STAYS 1u /* this line is kept by who has it */
#define GOES 2u

struct shared {
    struct process_segment segment;
    struct roll roll;
    _Atomic int refused; /* errno of ptrace */
    _Atomic int over;
};

struct looked {
    struct process_line lines[LOOKED];
    struct roll_entry list[LOOKED];
    uint64_t words[2 + 2 * PROCESS_RESULTS + 1];
};

static struct shared *shared, *scratch;
static struct looked before;
static unsigned long steps, looks;

static struct shared *map_shared(void)
{
    void *base = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_true(base != MAP_FAILED);
    return base;
}

static uint32_t attach(struct shared *at)
{
    const struct roll_entry who = {.pid = 7, .uid = 8, .attached_ms = 9};
    return roll_attach(&at->roll, &at->segment, &who);
}

static void note(uint32_t line, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        process_note(process_line_at(&shared->segment, line), CATLATCH_VALID);
}

/* A past, a line that stays, and one that goes: 5 + 7 + 11. */
static int set_up(void **state)
{
    (void)state;
    shared = map_shared();
    scratch = map_shared();
    roll_init(&shared->roll);
    assert_int_equal(attach(shared), STAYS);
    note(STAYS, 5);
    roll_fold(&shared->roll, &shared->segment, STAYS);
    assert_int_equal(attach(shared), STAYS);
    note(STAYS, 7);
    assert_int_equal(attach(shared), GOES);
    note(GOES, 11);
    steps = looks = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    munmap(shared, sizeof *shared);
    munmap(scratch, sizeof *scratch);
    return 0;
}

static const char *totals_differ(const struct process_segment *segment)
{
    struct process_counts counts;

    if (!process_read_totals(segment, &counts))
        return "no totals are to be had";
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        if (counts.results[i] != (i == CATLATCH_VALID ? 23 : 0))
            return "the totals are other ones";
    return NULL;
}

/* Killed here, and another one goes on: whoever has his line has it still, and who gets a free one
 * begins with nothing. */
static const char *recovered_differs(void)
{
    memcpy(scratch, shared, sizeof *scratch);
    roll_recover(&scratch->roll, &scratch->segment);
    const char *differs = totals_differ(&scratch->segment);
    if (differs != NULL)
        return differs;
    if (roll_find(&scratch->roll, STAYS) == NULL ||
        scratch->segment.lines[STAYS].results[CATLATCH_VALID] != 7)
        return "the line that stays was touched";
    uint64_t left = scratch->segment.lines[GOES].results[CATLATCH_VALID];
    if (roll_find(&scratch->roll, GOES) == NULL && left != 0)
        return "a line that nobody has counts";
    if (roll_find(&scratch->roll, GOES) != NULL && scratch->segment.lines[GOES].generation != 0)
        return "a line is somebody's and not clear";
    if (roll_find(&scratch->roll, GOES) != NULL)
        roll_fold(&scratch->roll, &scratch->segment, GOES);
    if (attach(scratch) != GOES)
        return "the line is not free in the end";
    return totals_differ(&scratch->segment);
}

static const char *look(void)
{
    struct looked now;

    memcpy(now.lines, shared->segment.lines, sizeof now.lines);
    memcpy(now.list, shared->roll.list, sizeof now.list);
    memcpy(now.words, &shared->roll, sizeof now.words);
    if (looks > 0 && memcmp(&now, &before, sizeof now) == 0)
        return NULL;
    before = now;
    looks++;
    /* Readers know that an odd one is in the midst of something. */
    const char *differs =
        shared->segment.lines[0].sequence % 2 == 0 ? totals_differ(&shared->segment) : NULL;
    return differs != NULL ? differs : recovered_differs();
}

static pid_t start_keeper(void (*act)(void))
{
    pid_t child = fork();

    assert_true(child >= 0);
    if (child > 0)
        return child;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        atomic_store(&shared->refused, errno);
        _exit(2);
    }
    raise(SIGSTOP);
    act();
    atomic_store(&shared->over, 1);
    for (;;)
        pause();
}

static const char *step_through(pid_t child)
{
    int status;

    while (atomic_load(&shared->over) == 0) {
        const char *differs = look();
        if (differs != NULL)
            return differs;
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0)
            return "the child cannot be stepped";
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
            WSTOPSIG(status) != SIGTRAP)
            return "the child did not stop after a step";
        steps++;
    }
    return look();
}

static void check(void (*act)(void))
{
    int status;
    pid_t child = start_keeper(act);

    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status)) {
        print_message("# skipped: ptrace: %s\n", strerror(atomic_load(&shared->refused)));
        skip();
    }
    const char *wrong = step_through(child);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (wrong != NULL)
        fail_msg("after %lu steps: %s", steps, wrong);
    assert_true(steps > 20 && looks > 2); /* it got to the end by steps */
}

static void fold(void)
{
    roll_fold(&shared->roll, &shared->segment, GOES);
}

static void a_fold(void **state)
{
    (void)state;
    check(fold);
    assert_null(roll_find(&shared->roll, GOES));
}

static void give(void)
{
    attach(shared);
}

static void a_line_that_is_given(void **state)
{
    (void)state;
    fold();
    shared->segment.lines[GOES].generation = 99;
    check(give);
    assert_non_null(roll_find(&shared->roll, GOES));
}

static void show(void)
{
    roll_show_past(&shared->roll, &shared->segment);
}

static void the_past_shown_anew(void **state)
{
    (void)state;
    shared->segment.lines[0].sequence = 99;
    check(show);
}

static void recover(void)
{
    roll_recover(&shared->roll, &shared->segment);
}

/* The next keeper may be killed as well, in what it has to do again. */
static void a_recovery(void **state)
{
    (void)state;
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        shared->roll.next[i] = i == CATLATCH_VALID ? 16 : 0;
    shared->roll.folding = GOES;
    check(recover);
    assert_null(roll_find(&shared->roll, GOES));
}

#define with_roll(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_roll(a_fold),
        with_roll(a_line_that_is_given),
        with_roll(the_past_shown_anew),
        with_roll(a_recovery),
    };
    return cmocka_run_group_tests_name("roll_kill", tests, NULL, NULL);
}
