/* test_detach.c - catlatch-keeper --detach: the caller hears how it went, and what goes on has
 * nothing of the caller's. This process is the reaper of what goes on, so that none is left. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/lock.h"
#include "lib_daemon.h"
#include "lib_keeper.h"

#define PATIENCE_MS KEEPER_TRIAL_PATIENCE_MS

static struct keeper_trial trial;
static struct error error;
static pid_t detached; /* 0: none is known */

static int set_up(void **state)
{
    (void)state;
    keeper_trial_open(&trial, NULL);
    trial.detaches = true;
    return 0;
}

/* Nothing outlives a test, whatever became of it. */
static int tear_down(void **state)
{
    (void)state;
    if (detached != 0)
        kill(detached, SIGKILL);
    detached = 0;
    keeper_trial_close(&trial);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    return 0;
}

static bool is_served(void)
{
    struct trust trust = trust_self();
    struct usage_fetched fetched;

    if (usage_fetch(trial.run_dir, &trust, PATIENCE_MS, &fetched, &error) != 0)
        return false;
    usage_fetched_close(&fetched);
    return true;
}

/* The keeper that runs says in its lock who it is. */
static pid_t holder(void)
{
    char path[KEEPER_TRIAL_PATH + 16];
    long pid = 0;

    snprintf(path, sizeof path, "%s/usage.lock", trial.run_dir);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld", &pid), 1);
    fclose(file);
    return (pid_t)pid;
}

static void start_detached(void)
{
    keeper_trial_launch(&trial);
    assert_int_equal(keeper_trial_await_end(&trial), 0);
    detached = holder();
}

static void await_detached(void)
{
    int status;
    int pidfd = (int)syscall(SYS_pidfd_open, detached, 0);
    struct pollfd end = {.fd = pidfd, .events = POLLIN};

    assert_true(pidfd >= 0);
    assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
    close(pidfd);
    assert_int_equal(waitpid(detached, &status, 0), detached);
    assert_int_equal(status, 0);
    detached = 0;
}

static void the_caller_returns_when_the_keeper_serves(void **state)
{
    (void)state;
    keeper_trial_launch(&trial);
    pid_t called = trial.pid;
    assert_int_equal(keeper_trial_await_end(&trial), 0);
    assert_true(is_served());
    detached = holder();
    assert_int_not_equal(detached, called);
}

static void what_goes_on_is_nobodys_child_and_leads_no_session(void **state)
{
    char path[64], cwd[16];

    (void)state;
    start_detached();
    assert_int_not_equal(getsid(detached), getsid(0));
    assert_int_not_equal(getsid(detached), detached);
    /* Children of the dead are ours. */
    assert_int_equal(waitpid(detached, NULL, WNOHANG), 0);
    snprintf(path, sizeof path, "/proc/%ld/cwd", (long)detached);
    ssize_t len = readlink(path, cwd, sizeof cwd);
    if (len < 0) {
        print_message("# skipped: only root sees the folder of a process without dumps\n");
        skip();
    }
    assert_int_equal(len, 1);
}

/* Somebody who reads what the caller writes, or holds something open through it. */
static void the_callers_descriptors_are_let_go(void **state)
{
    int pipes[2], out[2], standard = dup(STDOUT_FILENO);
    char byte;

    (void)state;
    assert_int_equal(pipe2(pipes, 0), 0);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(dup2(out[1], STDOUT_FILENO), STDOUT_FILENO);
    start_detached();
    assert_int_equal(dup2(standard, STDOUT_FILENO), STDOUT_FILENO);
    close(pipes[1]);
    close(out[1]);
    close(standard);
    struct pollfd ends[] = {{.fd = pipes[0], .events = POLLIN}, {.fd = out[0], .events = POLLIN}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(poll(&ends[i], 1, PATIENCE_MS), 1);
        assert_int_equal(read(ends[i].fd, &byte, 1), 0);
        close(ends[i].fd);
    }
    assert_true(is_served());
}

/* Where the caller has none, the socket must not become what is logged to. */
static void without_standard_descriptors_it_serves(void **state)
{
    int kept[2];

    (void)state;
    fflush(NULL);
    for (int i = 0; i < 2; i++) {
        kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
        close(i);
    }
    start_detached();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dup2(kept[i], i), i);
        close(kept[i]);
    }
    assert_true(is_served());
}

static void no_service_manager_is_told_or_asked(void **state)
{
    struct trust trust = trust_self();
    uint8_t area[KEEPER_AREA_BYTES];

    (void)state;
    keeper_trial_area(1, area);
    start_detached();
    int fd = keeper_trial_segment(0);
    assert_int_equal(usage_offer(trial.run_dir, &trust, PATIENCE_MS, area, 0, fd, &error), 0);
    close(fd);
    keeper_trial_listen(&trial);
    assert_false(trial.ready);
    assert_int_equal(trial.kept_count, 0);
}

static void it_ends_when_its_socket_is_removed_and_says_so_where_the_caller_did(void **state)
{
    (void)state;
    start_detached();
    assert_int_equal(unlink(trial.socket), 0);
    await_detached();
    assert_true(keeper_trial_said(&trial, "was removed or replaced; stopping"));
}

static void it_ends_by_a_signal(void **state)
{
    (void)state;
    start_detached();
    assert_int_equal(kill(detached, SIGHUP), 0);
    assert_true(is_served());
    assert_int_equal(kill(detached, SIGTERM), 0);
    await_detached();
    assert_int_equal(access(trial.socket, F_OK), -1);
}

static void a_second_one_finds_the_first_and_leaves_nothing_behind(void **state)
{
    (void)state;
    start_detached();
    keeper_trial_launch(&trial);
    assert_int_equal(keeper_trial_await_end(&trial), 0);
    assert_true(keeper_trial_said(&trial, "another keeper serves"));
    assert_int_equal(holder(), detached);
    /* The second's end comes to us, for it is our child. */
    int status;
    assert_true(waitpid(-1, &status, 0) > 0);
    assert_int_equal(status, 0);
    assert_int_equal(waitpid(-1, &status, WNOHANG), 0);
    assert_true(is_served());
}

static void what_fails_is_the_callers_exit_status_and_line(void **state)
{
    const struct lock_name name = {"run_dir", "usage.lock", "catlatch-keeper"};
    int lock;

    (void)state;
    assert_int_equal(mkdir(trial.run_dir, 0755), 0);
    assert_int_equal(mkdir(trial.socket, 0755), 0);
    keeper_trial_launch(&trial);
    assert_int_equal(keeper_trial_await_end(&trial), EX_CONFIG);
    assert_true(keeper_trial_said(&trial, "is in the way and no socket"));
    assert_int_equal(rmdir(trial.socket), 0);
    assert_int_equal(lock_take_file(&name, trial.run_dir, &lock, &error), 0);
    keeper_trial_launch(&trial);
    assert_int_equal(keeper_trial_await_end(&trial), EX_UNAVAILABLE);
    assert_true(keeper_trial_said(&trial, "a keeper that does not answer"));
    lock_drop(lock);
    assert_int_equal(unlink(trial.config), 0);
    keeper_trial_launch(&trial);
    assert_int_equal(keeper_trial_await_end(&trial), EX_CONFIG);
}

/* A child of ours that we did not start: it became ours when the one in between ended. */
static pid_t await_orphan(void)
{
    char path[64], text[256] = "";
    long pid = 0, other = 0;

    snprintf(path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
    for (int i = 0; i < PATIENCE_MS; i++) {
        FILE *file = fopen(path, "re");
        if (file == NULL) {
            print_message("# skipped: this kernel does not list children\n");
            skip();
        }
        size_t len = fread(text, 1, sizeof text - 1, file);
        fclose(file);
        text[len] = '\0';
        if (sscanf(text, "%ld %ld", &pid, &other) == 2)
            return (pid_t)(pid == trial.pid ? other : pid);
        poll(NULL, 0, 1); /* nothing tells when; the loop only leaves the processor to others */
    }
    fail_msg("nothing goes on");
    return 0;
}

/* While it waits for the one that has the lock. */
static void one_that_is_killed_before_it_is_ready_is_no_success(void **state)
{
    const struct lock_name name = {"run_dir", "usage.lock", "catlatch-keeper"};
    int lock;

    (void)state;
    assert_int_equal(mkdir(trial.run_dir, 0755), 0);
    assert_int_equal(lock_take_file(&name, trial.run_dir, &lock, &error), 0);
    keeper_trial_launch(&trial);
    assert_int_equal(kill(await_orphan(), SIGKILL), 0);
    assert_int_equal(keeper_trial_await_end(&trial), EX_OSERR);
    assert_true(keeper_trial_said(&trial, "ended before it was ready"));
    lock_drop(lock);
}

#define stopped(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        stopped(the_caller_returns_when_the_keeper_serves),
        stopped(what_goes_on_is_nobodys_child_and_leads_no_session),
        stopped(the_callers_descriptors_are_let_go),
        stopped(without_standard_descriptors_it_serves),
        stopped(no_service_manager_is_told_or_asked),
        stopped(it_ends_when_its_socket_is_removed_and_says_so_where_the_caller_did),
        stopped(it_ends_by_a_signal),
        stopped(a_second_one_finds_the_first_and_leaves_nothing_behind),
        stopped(what_fails_is_the_callers_exit_status_and_line),
        stopped(one_that_is_killed_before_it_is_ready_is_no_success),
    };
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 1;
    return cmocka_run_group_tests_name("detach", tests, NULL, NULL);
}
