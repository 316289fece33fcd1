/* test_fetch.c - what the library and the daemon make of a keeper that is absent, slow or lying. */
#include <dirent.h>
#include <errno.h>
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_latch.h"
#include "usage/area.h"
#include "usage/fetch.h"
#include "usage/process.h"

/* Long enough for what answers at all. */
#define PATIENCE_MS 20000u

/* Of the calls that are to run out of time. */
#define SHORT_MS 150u

#define FOREIGN_UID 4242424

static char folder[64];
static struct sockaddr_un address;
static struct error error;
static pid_t keeper; /* 0: none */

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/catlatch-fetch-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0755), 0);
    address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/usage.sock", folder);
    error = (struct error){.code = 0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (keeper != 0) {
        kill(keeper, SIGKILL);
        waitpid(keeper, NULL, 0);
        keeper = 0;
    }
    unlink(address.sun_path);
    rmdir(folder);
    return 0;
}

static int listen_there(int backlog)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/* A keeper that answers everything with this, until it is killed. */
struct lie {
    union {
        struct keeper_answer answer;
        struct keeper_message message;
    };
    size_t size; /* of the message; 0 and no descriptors: closes without one */
    struct passing passing;
};

static void lie_for_ever(int listener, const struct lie *lie)
{
    struct keeper_request request;
    struct passing passing;

    for (;;) {
        int fd = accept(listener, NULL, NULL);
        (void)passing_receive(fd, &request, sizeof request, 1, &passing, 0);
        passing_close(&passing);
        if (lie->size > 0 || lie->passing.count > 0)
            (void)passing_send(fd, &lie->message, lie->size, &lie->passing, 0);
        close(fd);
    }
}

static void start_liar(const struct lie *lie)
{
    int listener = listen_there(100);

    keeper = fork();
    assert_true(keeper >= 0);
    if (keeper == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        lie_for_ever(listener, lie);
    }
    close(listener);
}

static int fetch(unsigned timeout_ms)
{
    struct trust trust = trust_self();
    struct usage_fetched fetched = {.segments = {.count = 4711}};
    size_t before = latch_descriptors();

    int r = usage_fetch(folder, &trust, timeout_ms, &fetched, &error);
    if (r == 0)
        usage_fetched_close(&fetched);
    else
        assert_int_equal(fetched.segments.count, 4711);
    assert_int_equal(latch_descriptors(), before);
    return r;
}

static int segment(unsigned k, int seals)
{
    int fd = memfd_create("usage", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)usage_segment_size(k)), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static int sealed(unsigned k)
{
    return segment(k, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

/* The truth, of `count` segments: what each test changes one thing of. */
static struct lie truth(unsigned count)
{
    struct lie lie = {.answer = {.magic = KEEPER_MAGIC, .version = KEEPER_VERSION, .count = count},
                      .size = sizeof lie.answer,
                      .passing = {.count = count}};

    memset(lie.answer.area, count > 0 ? 1 : 0, sizeof lie.answer.area);
    for (unsigned k = 0; k < count; k++)
        lie.passing.fds[k] = sealed(k);
    return lie;
}

static void assert_answer_to(int (*ask)(unsigned timeout_ms), struct lie *lie, int code,
                             const char *message)
{
    start_liar(lie);
    passing_close(&lie->passing);
    if (ask(PATIENCE_MS) != code)
        fail_msg("%d and not %d: %s", error.code, code, error.text);
    if (message != NULL && strstr(error.text, message) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, message);
    tear_down(NULL);
    assert_int_equal(mkdir(folder, 0755), 0);
}

static void assert_answer(struct lie *lie, int code, const char *message)
{
    assert_answer_to(fetch, lie, code, message);
}

static void the_truth_is_believed(void **state)
{
    struct lie none = truth(0), three = truth(3), all = truth(USAGE_SEGMENTS_MAX);

    (void)state;
    assert_answer(&none, 0, NULL);
    assert_answer(&three, 0, NULL);
    assert_answer(&all, 0, NULL);
}

static void an_answer_that_is_none_is_refused(void **state)
{
    struct lie lie = truth(2);

    (void)state;
    lie.answer.magic++;
    assert_answer(&lie, CATLATCH_E_DATA, "what answers is no usage keeper");
    lie = truth(2);
    lie.size--;
    assert_answer(&lie, CATLATCH_E_DATA, "what answers is no usage keeper");
    lie = truth(2);
    lie.answer.status = KEEPER_UNKNOWN;
    assert_answer(&lie, CATLATCH_E_DATA, "what answers is no usage keeper");
    lie = truth(2);
    lie.size = 0;
    assert_answer(&lie, CATLATCH_E_UNAVAILABLE, "closes the connection without an answer");
    lie = truth(0);
    lie.size = 0;
    assert_answer(&lie, CATLATCH_E_UNAVAILABLE, "closes the connection without an answer");
    lie = truth(2);
    lie.answer.version++;
    assert_answer(&lie, CATLATCH_E_VERSION, "speaks version 3 and this is version 2");
}

static void more_or_fewer_descriptors_than_are_told_are_refused(void **state)
{
    struct lie lie = truth(2);

    (void)state;
    lie.answer.count = 3;
    assert_answer(&lie, CATLATCH_E_DATA, "what answers is no usage keeper");
    lie = truth(2);
    lie.answer.count = 1;
    assert_answer(&lie, CATLATCH_E_DATA, "what answers is no usage keeper");
    lie = truth(2);
    memset(lie.answer.area, 0, sizeof lie.answer.area);
    assert_answer(&lie, CATLATCH_E_DATA, "what answers is no usage keeper");
    lie = truth(0);
    lie.answer.area[5] = 1;
    assert_answer(&lie, CATLATCH_E_DATA, "what answers is no usage keeper");
    lie = truth(0);
    lie.answer.count = UINT32_MAX;
    assert_answer(&lie, CATLATCH_E_DATA, "what answers is no usage keeper");
}

static void memory_that_can_be_taken_away_is_refused(void **state)
{
    const int unsealed[] = {0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW,
                            F_SEAL_GROW | F_SEAL_SEAL};

    (void)state;
    for (size_t i = 0; i < sizeof unsealed / sizeof unsealed[0]; i++) {
        struct lie lie = truth(3);
        close(lie.passing.fds[2]);
        lie.passing.fds[2] = segment(2, unsealed[i]);
        assert_answer(&lie, CATLATCH_E_DATA, "segment 2 is no memfd that is sealed");
    }
    struct lie lie = truth(3);
    close(lie.passing.fds[2]);
    lie.passing.fds[2] = sealed(3);
    assert_answer(&lie, CATLATCH_E_DATA, "segment 2 is not ");
}

static int attach(unsigned timeout_ms)
{
    struct trust trust = trust_self();
    struct usage_attached attached = {.line = 4711};
    size_t before = latch_descriptors();

    int r = usage_attach(folder, &trust, timeout_ms, &attached, &error);
    if (r == 0)
        usage_attached_close(&attached);
    else
        assert_int_equal(attached.line, 4711);
    assert_int_equal(latch_descriptors(), before);
    return r;
}

static int ask_processes(unsigned timeout_ms)
{
    struct trust trust = trust_self();
    struct usage_processes processes = {.count = 4711};
    size_t before = latch_descriptors();

    int r = usage_processes(folder, &trust, timeout_ms, 5, &processes, &error);
    if (r == 0)
        usage_processes_close(&processes);
    else
        assert_int_equal(processes.count, 4711);
    assert_int_equal(latch_descriptors(), before);
    return r;
}

static int ask_detach(unsigned timeout_ms)
{
    struct trust trust = trust_self();

    return usage_detach(folder, &trust, timeout_ms, 5, &error);
}

static int process_segment(size_t size, int seals)
{
    int fd = memfd_create("processes", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* As `truth`, with a line. */
static struct lie attached_truth(unsigned count)
{
    struct lie lie = truth(count);

    lie.passing.fds[lie.passing.count++] = process_segment(sizeof(struct process_segment), SEALED);
    lie.message.entries[0] = (struct keeper_process){.pid = 1, .line = 7};
    lie.size += sizeof lie.message.entries[0];
    return lie;
}

static struct lie listed_truth(unsigned count)
{
    struct lie lie = attached_truth(0);

    lie.answer.count = count;
    for (unsigned i = 0; i < count; i++)
        lie.message.entries[i].line = 5 + 2 * i;
    lie.size = sizeof lie.answer + count * sizeof lie.message.entries[0];
    return lie;
}

static void what_a_keeper_says_of_a_line_is_checked(void **state)
{
    const char *const none = "what answers is no usage keeper";
    struct lie lie = attached_truth(0), all = attached_truth(USAGE_SEGMENTS_MAX);

    (void)state;
    assert_answer_to(attach, &lie, 0, NULL);
    assert_answer_to(attach, &all, 0, NULL);
    lie = attached_truth(2);
    lie.size--;
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, none);
    lie = attached_truth(2);
    lie.size = sizeof lie.answer;
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, none);
    lie = attached_truth(2);
    lie.message.entries[0].line = PROCESS_LINES;
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, none);
    lie = attached_truth(2);
    lie.answer.count = 3;
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, none);
    lie = attached_truth(2);
    lie.answer.count = UINT32_MAX;
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, none);
    lie = attached_truth(2);
    lie.answer.status = KEEPER_DENIED;
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, none);
    lie = attached_truth(USAGE_SEGMENTS_MAX);
    lie.answer.count = USAGE_SEGMENTS_MAX + 1;
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, none);
}

static void replace_last(struct lie *lie, int fd)
{
    int *last = &lie->passing.fds[lie->passing.count - 1];

    close(*last);
    *last = fd;
}

static void a_process_segment_that_can_be_taken_away_is_refused(void **state)
{
    struct lie lie = attached_truth(1);

    (void)state;
    replace_last(&lie, process_segment(sizeof(struct process_segment), 0));
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, "the process segment is no memfd");
    lie = attached_truth(1);
    replace_last(&lie, process_segment(sizeof(struct process_segment) - 1, SEALED));
    assert_answer_to(attach, &lie, CATLATCH_E_DATA, "the process segment is not ");
    lie = listed_truth(1);
    replace_last(&lie, process_segment(sizeof(struct process_segment), SEALED | F_SEAL_WRITE));
    assert_answer_to(ask_processes, &lie, CATLATCH_E_DATA, "the process segment cannot be written");
}

static void what_a_keeper_says_of_processes_is_checked(void **state)
{
    const char *const none = "what answers is no usage keeper";
    struct lie lie = listed_truth(0), all = listed_truth(KEEPER_PAGE);

    (void)state;
    assert_answer_to(ask_processes, &lie, 0, NULL);
    assert_answer_to(ask_processes, &all, 0, NULL);
    lie = listed_truth(3);
    lie.answer.count = 2;
    assert_answer_to(ask_processes, &lie, CATLATCH_E_DATA, none);
    lie = listed_truth(3);
    lie.answer.count = UINT32_MAX;
    assert_answer_to(ask_processes, &lie, CATLATCH_E_DATA, none);
    lie = listed_truth(3);
    lie.message.entries[0].line = 4; /* before what was asked for */
    assert_answer_to(ask_processes, &lie, CATLATCH_E_DATA, none);
    lie = listed_truth(3);
    lie.message.entries[2].line = lie.message.entries[1].line;
    assert_answer_to(ask_processes, &lie, CATLATCH_E_DATA, none);
    lie = listed_truth(3);
    lie.message.entries[2].line = PROCESS_LINES;
    assert_answer_to(ask_processes, &lie, CATLATCH_E_DATA, none);
    lie = listed_truth(0);
    passing_close(&lie.passing);
    assert_answer_to(ask_processes, &lie, CATLATCH_E_DATA, none);
    lie = listed_truth(0);
    lie.answer.status = KEEPER_DENIED;
    assert_answer_to(ask_processes, &lie, CATLATCH_E_PERMISSION, "root alone who is attached");
}

static void what_a_keeper_says_of_a_line_that_is_given_back_is_checked(void **state)
{
    struct lie lie = truth(0);

    (void)state;
    assert_answer_to(ask_detach, &lie, 0, NULL);
    lie.answer.status = KEEPER_DENIED;
    assert_answer_to(ask_detach, &lie, CATLATCH_E_PERMISSION, "line 5");
    lie.answer.status = KEEPER_UNKNOWN;
    assert_answer_to(ask_detach, &lie, CATLATCH_E_DATA, "what answers is no usage keeper");
}

static void without_a_keeper_it_is_told_at_once(void **state)
{
    struct trust trust = trust_self();
    struct usage_fetched fetched;
    char path[200];

    (void)state;
    assert_int_equal(fetch(PATIENCE_MS), CATLATCH_E_UNAVAILABLE);
    assert_non_null(strstr(error.text, "no usage keeper listens; start catlatch-keeper"));
    close(listen_there(1));
    assert_int_equal(fetch(PATIENCE_MS), CATLATCH_E_UNAVAILABLE);
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    assert_int_equal(usage_fetch(path, &trust, 1, &fetched, &error), CATLATCH_E_CONFIG);
}

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#define OFTEN_US 7000
#define ALARMS_MAX (60000000 / OFTEN_US)

/* Ends the test should a call wait for ever. */
static void on_alarm(int number)
{
    static int alarms;

    (void)number;
    if (++alarms > ALARMS_MAX)
        _exit(1);
}

/* With a signal every few milliseconds: each interrupts a call, and none begins the wait anew. */
static void assert_runs_out(void)
{
    const struct sigaction noted = {.sa_handler = on_alarm};
    struct itimerval often = {{0, OFTEN_US}, {0, OFTEN_US}}, never = {{0, 0}, {0, 0}};
    int64_t start_ms = clock_ms();

    assert_int_equal(fetch(SHORT_MS), CATLATCH_E_UNAVAILABLE);
    assert_non_null(strstr(error.text, "does not answer in time"));
    assert_true(clock_ms() - start_ms >= SHORT_MS - 1);
    assert_int_equal(sigaction(SIGALRM, &noted, NULL), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    int r = fetch(SHORT_MS);
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(r, CATLATCH_E_UNAVAILABLE);
    assert_non_null(strstr(error.text, "does not answer in time"));
}

/* The kernel takes the connection, and nobody takes it from there. */
static void a_silent_keeper_is_waited_for_as_long_as_was_said(void **state)
{
    int listener = listen_there(100);

    (void)state;
    assert_runs_out();
    close(listener);
}

static void a_full_queue_is_waited_for_as_long_as_was_said(void **state)
{
    int listener = listen_there(0), fds[64], r = 0;

    (void)state;
    for (int i = 0; i < 64; i++) {
        fds[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        r = connect(fds[i], (struct sockaddr *)&address, sizeof address);
    }
    assert_int_equal(r, -1);
    assert_int_equal(errno, EAGAIN);
    assert_runs_out();
    for (int i = 0; i < 64; i++)
        close(fds[i]);
    close(listener);
}

/* Tells by its end of the pipe that it listens. */
static void start_foreigner(uid_t uid)
{
    int ready[2];
    char byte = 0;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    keeper = fork();
    assert_true(keeper >= 0);
    if (keeper == 0) {
        struct lie lie = {.size = 0};
        if (setresuid(uid, uid, uid) != 0)
            _exit(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int listener = listen_there(10);
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        lie_for_ever(listener, &lie);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
}

static void a_foreign_user_that_listens_is_not_believed(void **state)
{
    struct trust trust = {.uids = {65534, 65534}, .count = 2};
    struct usage_fetched fetched;

    (void)state;
    if (geteuid() != 0) {
        print_message("# skipped: only root becomes somebody else\n");
        skip();
    }
    start_foreigner(FOREIGN_UID);
    assert_int_equal(fetch(PATIENCE_MS), CATLATCH_E_PERMISSION);
    assert_non_null(strstr(error.text, "uid 4242424 listens"));
    tear_down(NULL);
    assert_int_equal(mkdir(folder, 0755), 0);
    /* Everybody whom a container does not know, even where that is whom we believe. */
    start_foreigner(65534);
    assert_int_equal(usage_fetch(folder, &trust, PATIENCE_MS, &fetched, &error),
                     CATLATCH_E_PERMISSION);
}

static void a_socket_of_another_kind_is_refused(void **state)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(fetch(PATIENCE_MS), CATLATCH_E_IO);
    close(fd);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(the_truth_is_believed),
        with_folder(an_answer_that_is_none_is_refused),
        with_folder(more_or_fewer_descriptors_than_are_told_are_refused),
        with_folder(memory_that_can_be_taken_away_is_refused),
        with_folder(what_a_keeper_says_of_a_line_is_checked),
        with_folder(a_process_segment_that_can_be_taken_away_is_refused),
        with_folder(what_a_keeper_says_of_processes_is_checked),
        with_folder(what_a_keeper_says_of_a_line_that_is_given_back_is_checked),
        with_folder(without_a_keeper_it_is_told_at_once),
        with_folder(a_silent_keeper_is_waited_for_as_long_as_was_said),
        with_folder(a_full_queue_is_waited_for_as_long_as_was_said),
        with_folder(a_foreign_user_that_listens_is_not_believed),
        with_folder(a_socket_of_another_kind_is_refused),
    };
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
