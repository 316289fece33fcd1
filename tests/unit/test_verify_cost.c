/*
 * What a verification may not do: allocate, enter the kernel, or wait. The first is shown by this
 * program's own malloc and free, which count; the second by a child that the kernel kills for any
 * system call but read, write and exit (seccomp's strict mode); the third by a child that runs step
 * by step, while the table changes at each of them.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include <cmocka.h>

#include "catlatch.h"
#include "lib/attach.h"
#include "lib_latch.h"

#define ROUNDS 5000 /* of 21 verifications each */
#define BATCH 16

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MALLOC_IS_TAKEN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MALLOC_IS_TAKEN 1
#endif
#endif
#ifndef MALLOC_IS_TAKEN
#define MALLOC_IS_TAKEN 0
#endif

static size_t allocations;

#if !MALLOC_IS_TAKEN
/* glibc's own names of what we put ourselves in front of. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    allocations++;
    return __libc_realloc(block, size);
}

void free(void *block)
{
    allocations++;
    __libc_free(block);
}
#endif

struct fixture {
    struct latch_world world;
    struct latch_table table;
    struct catlatch *latch;
    char text[LATCH_KEY_LEN + 1], header[64];
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    struct catlatch_options options = {.size = sizeof options,
                                       .config_path = fixture->world.config};
    /* Without `audit`: a refusal that is told of is told by a system call. */
    latch_world_open(&fixture->world, "[service default]\nrequisite = format\nrequired = table\n"
                                      "required = environment live\nrequired = scope\n"
                                      "required = address\n");
    latch_table_make(&fixture->table, &fixture->world, 1);
    latch_table_put(&fixture->table,
                    &(struct latch_key){.number = 1, .expires_unix_s = INT64_C(1) << 39});
    latch_table_place(&fixture->table, &fixture->world, attach_clock_ms());
    assert_int_equal(catlatch_open(&options, &fixture->latch, NULL, 0), 0);
    latch_key_text(1, "cc_live_", fixture->text);
    snprintf(fixture->header, sizeof fixture->header, "Bearer %s", fixture->text);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    catlatch_close(fixture->latch);
    latch_table_unmap(&fixture->table);
    latch_world_close(&fixture->world);
    free(fixture);
    return 0;
}

/* Every public call that is promised to cost nothing, once; the number of right answers. */
static unsigned verify_every_way(struct fixture *fixture)
{
    static const char *const scopes[] = {"read", "write"};
    struct catlatch_request request = {.size = sizeof request,
                                       .key = fixture->text,
                                       .key_len = LATCH_KEY_LEN,
                                       .scopes = scopes,
                                       .scope_count = 2};
    struct catlatch_request none = {.size = sizeof none};
    struct catlatch_request requests[BATCH];
    struct catlatch_outcome outcome = {.size = sizeof outcome}, outcomes[BATCH];
    struct catlatch_identity identity = {.size = sizeof identity};
    unsigned right = 0;

    right += catlatch_verify(fixture->latch, &request, &outcome) == CATLATCH_VALID;
    right += catlatch_identity(fixture->latch, &outcome, &identity) == 0;
    right += catlatch_recheck(fixture->latch, &outcome, NULL) == CATLATCH_VALID;
    request.key_len--;
    right += catlatch_verify(fixture->latch, &request, &outcome) == CATLATCH_MALFORMED;
    none.authorization = fixture->header;
    none.authorization_len = strlen(fixture->header);
    right += catlatch_verify(fixture->latch, &none, NULL) == CATLATCH_VALID;
    for (unsigned i = 0; i < BATCH; i++) {
        requests[i] = none;
        outcomes[i] = (struct catlatch_outcome){.size = sizeof outcomes[i]};
    }
    right += catlatch_verify_batch(fixture->latch, requests, outcomes, BATCH) == BATCH;
    return right;
}
#define WAYS 6u

/* The daemon's heart goes on, so that this test may take as long as it likes. */
static void beat(struct fixture *fixture)
{
    table_beat(fixture->table.writer.header, attach_clock_ms());
}

static void verifying_allocates_nothing(void **state)
{
    struct fixture *fixture = *state;
    unsigned wrong = 0;
    if (MALLOC_IS_TAKEN) {
        print_message("# skipped: the sanitizer has malloc for itself\n");
        skip();
    }
    size_t before = allocations;
    void *volatile block = malloc(1); /* volatile: an unused one would be optimised away */
    free(block);
    assert_int_equal(allocations, before + 2);

    before = allocations;
    for (unsigned i = 0; i < ROUNDS; i++) {
        beat(fixture);
        wrong += verify_every_way(fixture) != WAYS;
    }
    assert_int_equal(allocations, before);
    assert_int_equal(wrong, 0);
}

static void attaching_anew_allocates_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct catlatch_request request = {
        .size = sizeof request, .key = fixture->text, .key_len = LATCH_KEY_LEN};
    struct latch_table second;
    if (MALLOC_IS_TAKEN) {
        print_message("# skipped: the sanitizer has malloc for itself\n");
        skip();
    }
    latch_table_make(&second, &fixture->world, 2);
    latch_table_place(&second, &fixture->world, attach_clock_ms());
    table_supersede(fixture->table.writer.header);
    size_t before = allocations;
    enum catlatch_result result = catlatch_verify(fixture->latch, &request, NULL);
    assert_int_equal(allocations, before);
    assert_int_equal(result, CATLATCH_NOT_FOUND);
    latch_table_unmap(&second);
}

static void leave(int status)
{
    syscall(SYS_exit, status); /* _exit calls exit_group, which strict mode kills for */
    for (;;)
        ;
}

/* The wait status of a child that verifies in strict mode. */
static int verify_in_strict_mode(struct fixture *fixture, unsigned rounds)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0)
            leave(99);
        for (unsigned i = 0; i < rounds; i++) {
            if (i % 16 == 0)
                beat(fixture);
            if (verify_every_way(fixture) != WAYS)
                leave(1);
        }
        leave(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void verifying_makes_no_system_call(void **state)
{
    int status = verify_in_strict_mode(*state, ROUNDS);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void strict_mode_kills_for_a_reattach_so_it_would_for_any_other_call(void **state)
{
    struct fixture *fixture = *state;
    struct latch_table second;
    latch_table_make(&second, &fixture->world, 2);
    latch_table_place(&second, &fixture->world, attach_clock_ms());
    table_supersede(fixture->table.writer.header);
    int status = verify_in_strict_mode(fixture, 1);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    latch_table_unmap(&second);
}

/* Where the key that is verified lies in the table. */
static struct table_slot *slot_of_key(struct fixture *fixture)
{
    struct digest digest;
    struct table_hit hit;
    digest_of(fixture->text, LATCH_KEY_LEN, &digest);
    assert_int_equal(table_find(&fixture->table.writer.view, &digest, &hit), TABLE_HIT);
    return &fixture->table.writer.slots[hit.slot];
}

/* What a daemon can change under a reader, and back: the key's end, the pulse, the numbers. */
static void change_everything(struct fixture *fixture, struct table_slot *slot, uint64_t step)
{
    struct table_header *header = fixture->table.writer.header;
    uint64_t control = atomic_load(&slot->control);
    atomic_store(&slot->control, control ^ UINT64_C(1) << CONTROL_EXPIRES_SHIFT);
    atomic_store(&header->pulse, attach_clock_ms() - step % 2);
    atomic_store(&header->max_stale_ms, 3600000 + step % 2);
    atomic_store(&header->sequence, step);
    atomic_store(&header->slots_used, step);
}

static void verify_between_stops(struct fixture *fixture)
{
    struct catlatch_request request = {
        .size = sizeof request, .key = fixture->text, .key_len = LATCH_KEY_LEN};
    bool good = catlatch_verify(fixture->latch, &request, NULL) == CATLATCH_VALID;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(77);
    raise(SIGSTOP);
    good = good && catlatch_verify(fixture->latch, &request, NULL) == CATLATCH_VALID;
    raise(SIGSTOP);
    _exit(good ? 0 : 1);
}

/* Instructions that one verification takes, at most `most` of them; 0: nothing can be traced. */
static uint64_t count_steps(struct fixture *fixture, bool storm, uint64_t most)
{
    struct table_slot *slot = slot_of_key(fixture);
    uint64_t steps = 0;
    int status;
    beat(fixture);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        verify_between_stops(fixture);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSTOPPED(status))
        return 0;
    do {
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));
        if (storm)
            change_everything(fixture, slot, steps);
        else if (steps % 256 == 0)
            beat(fixture);
    } while (WSTOPSIG(status) == SIGTRAP && ++steps < most);
    if (steps < most) {
        assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    } else {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    return steps;
}

/* The daemon is between any two instructions of the reader: whoever waited for it to hold still, or
 * for a lock, would never come to an end. */
static void verifying_takes_no_longer_however_the_table_changes_under_it(void **state)
{
    struct fixture *fixture = *state;
    uint64_t quiet = count_steps(fixture, false, UINT64_MAX);
    if (quiet == 0) {
        print_message("# skipped: no process may be traced here\n");
        skip();
    }
    /* The kernel's clock page may be read again when a tick comes meanwhile. */
    uint64_t most = 2 * quiet;
    if (count_steps(fixture, true, most) >= most)
        fail_msg("a verification that takes %llu steps did not end within twice as many",
                 (unsigned long long)quiet);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(verifying_allocates_nothing),
        TEST(attaching_anew_allocates_nothing),
        TEST(verifying_makes_no_system_call),
        TEST(verifying_takes_no_longer_however_the_table_changes_under_it),
        TEST(strict_mode_kills_for_a_reattach_so_it_would_for_any_other_call),
    };
    return cmocka_run_group_tests_name("verify_cost", tests, NULL, NULL);
}
