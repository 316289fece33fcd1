/* test_processes.c - who is attached to the usage area: listed while they live, counted for ever,
 * and taken for nobody else. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
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
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper/clients.h"
#include "keeper/pidfd.h"
#include "lib_keeper.h"
#include "usage/process.h"
#include "usage/roll.h"

/* Users and a group that nobody has. */
#define KEEPER_UID KEEPER_TRIAL_UID
#define WORKER_UID 4242425
#define OTHER_UID 4242426
#define WORKERS_GID KEEPER_TRIAL_WORKERS_GID

#define PATIENCE_MS KEEPER_TRIAL_PATIENCE_MS
#define CROWD 200 /* more than a page */

static struct keeper_trial trial;
static struct error error;
static uint8_t area[KEEPER_AREA_BYTES];

/* Those that a test started and has not ended. */
static pid_t children[CROWD];
static unsigned child_count;

static int set_up(void **state)
{
    (void)state;
    keeper_trial_open(&trial, NULL);
    return 0;
}

static int set_up_started(void **state)
{
    set_up(state);
    keeper_trial_start(&trial);
    return 0;
}

static void end_children(void)
{
    for (unsigned i = 0; i < child_count; i++)
        kill(children[i], SIGKILL);
    for (unsigned i = 0; i < child_count; i++)
        waitpid(children[i], NULL, 0);
    child_count = 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_children();
    keeper_trial_close(&trial);
    return 0;
}

static struct trust trusting(void)
{
    return (struct trust){.uids = {trial.uid != 0 ? trial.uid : geteuid()}, .count = 1};
}

/* A handle, as a worker has it. Fit for forked children: nothing is asserted. */
struct handle {
    struct process_segment *segment;
    uint32_t line;
};

static int attach(struct handle *ret_handle)
{
    struct trust trust = trusting();
    struct usage_attached attached;
    int r = usage_attach(trial.run_dir, &trust, PATIENCE_MS, &attached, &error);

    if (r != 0)
        return r;
    ret_handle->line = attached.line;
    ret_handle->segment = mmap(NULL, sizeof *ret_handle->segment, PROT_READ | PROT_WRITE,
                               MAP_SHARED, attached.processes, 0);
    usage_attached_close(&attached);
    return ret_handle->segment != MAP_FAILED ? 0 : CATLATCH_E_MEMORY;
}

static int detach(uint32_t line)
{
    struct trust trust = trusting();
    return usage_detach(trial.run_dir, &trust, PATIENCE_MS, line, &error);
}

static void unmap(struct handle *handle)
{
    munmap(handle->segment, sizeof *handle->segment);
}

static void attach_surely(struct handle *ret_handle)
{
    if (attach(ret_handle) != 0)
        fail_msg("%s", error.text);
    assert_true(ret_handle->line > 0);
}

static void note(const struct handle *handle, enum catlatch_result result, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        process_note(process_line_at(handle->segment, handle->line), result);
}

/* All who are attached, as the keeper tells at this moment, and its segment. */
static struct listing {
    unsigned count, pages;
    struct keeper_process list[PROCESS_LINES];
    struct process_segment *segment;
} listing;

static void take_page(const struct usage_processes *page)
{
    memcpy(listing.list + listing.count, page->list, page->count * sizeof page->list[0]);
    listing.count += page->count;
    listing.pages++;
    if (listing.segment != NULL)
        munmap(listing.segment, sizeof *listing.segment);
    listing.segment = mmap(NULL, sizeof *listing.segment, PROT_READ, MAP_SHARED, page->segment, 0);
    assert_true(listing.segment != MAP_FAILED);
}

static void list(void)
{
    struct trust trust = trusting();
    struct usage_processes page;
    uint32_t from = 0;

    listing.count = listing.pages = 0;
    do {
        if (usage_processes(trial.run_dir, &trust, PATIENCE_MS, from, &page, &error) != 0)
            fail_msg("%s", error.text);
        take_page(&page);
        from = page.next;
        usage_processes_close(&page);
    } while (from != 0);
}

static const struct keeper_process *listed(pid_t pid)
{
    for (unsigned i = 0; i < listing.count; i++)
        if (listing.list[i].pid == (uint32_t)pid)
            return &listing.list[i];
    return NULL;
}

static unsigned count_listed(void)
{
    list();
    return listing.count;
}

/* Nobody notes meanwhile, and the keeper folds nothing. */
static uint64_t total(enum catlatch_result result)
{
    struct process_counts counts;

    list();
    assert_true(process_read_totals(listing.segment, &counts));
    return counts.results[result];
}

/* What a child does once it is attached, until it is killed. */
struct plan {
    uid_t uid; /* 0: as we are */
    unsigned notes;
    uint32_t (*act)(
        const struct handle *handle);           /* then; what it returns is told. NULL: its line */
    void (*go_on)(const struct handle *handle); /* at last, for ever; NULL: it waits */
};

static void run_child(const struct plan *plan, int ready)
{
    struct handle handle;

    if (plan->uid != 0 && (setresgid(WORKERS_GID, WORKERS_GID, WORKERS_GID) != 0 ||
                           setresuid(plan->uid, plan->uid, plan->uid) != 0))
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* behind the change of user, which forgets it */
    if (attach(&handle) != 0)
        _exit(2);
    note(&handle, CATLATCH_VALID, plan->notes);
    uint32_t told = plan->act != NULL ? plan->act(&handle) : handle.line;
    if (write(ready, &told, sizeof told) != (ssize_t)sizeof told)
        _exit(3);
    if (plan->go_on != NULL)
        plan->go_on(&handle);
    for (;;)
        pause();
}

/* Returns what it tells. */
static uint32_t start_child(const struct plan *plan)
{
    int ready[2];
    uint32_t line = 0;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_child(plan, ready[1]);
    children[child_count++] = pid;
    close(ready[1]);
    assert_int_equal(read(ready[0], &line, sizeof line), sizeof line);
    close(ready[0]);
    return line;
}

static void end_child(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (unsigned i = 0; i < child_count; i++)
        if (children[i] == pid)
            children[i--] = children[--child_count];
}

static void a_crowd_is_listed_killed_and_counted_to_the_last(void **state)
{
    uint64_t expected = 0;
    uint32_t lines[CROWD];

    (void)state;
    for (unsigned i = 0; i < CROWD; i++) {
        const struct plan plan = {.notes = 1000 + i};
        expected += plan.notes;
        lines[i] = start_child(&plan);
    }
    assert_int_equal(count_listed(), CROWD);
    assert_int_equal(listing.pages, 2);
    for (unsigned i = 0; i < CROWD; i++) {
        const struct keeper_process *process = listed(children[i]);
        struct process_counts counts;
        assert_non_null(process);
        assert_int_equal(process->line, lines[i]);
        assert_int_equal(process->uid, geteuid());
        process_read_line(&listing.segment->lines[lines[i]], &counts);
        assert_int_equal(counts.results[CATLATCH_VALID], 1000 + i);
    }
    assert_int_equal(total(CATLATCH_VALID), expected);
    end_children();
    assert_int_equal(total(CATLATCH_VALID), expected);
    assert_int_equal(listing.count, 0);
    assert_int_equal(listing.segment->lines[0].results[CATLATCH_VALID], expected);
    assert_int_equal(total(CATLATCH_DENIED), 0);
}

static void it_is_told_since_when(void **state)
{
    struct timespec before, after;
    struct handle handle;

    (void)state;
    clock_gettime(CLOCK_MONOTONIC, &before);
    attach_surely(&handle);
    clock_gettime(CLOCK_MONOTONIC, &after);
    list();
    uint64_t told_ms = listing.list[0].attached_ms;
    assert_true(told_ms >= (uint64_t)before.tv_sec * 1000 + (uint64_t)before.tv_nsec / 1000000);
    assert_true(told_ms <= (uint64_t)after.tv_sec * 1000 + (uint64_t)after.tv_nsec / 1000000);
    assert_int_equal(handle.segment->lines[handle.line].attached_ms, told_ms);
    unmap(&handle);
}

static void who_attaches_has_the_area_too(void **state)
{
    struct trust trust = trusting();
    struct usage_attached attached;
    static const uint8_t none[KEEPER_AREA_BYTES];

    (void)state;
    assert_int_equal(usage_attach(trial.run_dir, &trust, PATIENCE_MS, &attached, &error), 0);
    assert_memory_equal(attached.fetched.area, none, sizeof none);
    assert_int_equal(attached.fetched.segments.count, 0);
    usage_attached_close(&attached);
    for (unsigned k = 0; k < USAGE_SEGMENTS_MAX; k++) {
        int fd = keeper_trial_segment(k);
        assert_int_equal(usage_offer(trial.run_dir, &trust, PATIENCE_MS, area, k, fd, &error), 0);
        close(fd);
    }
    assert_int_equal(usage_attach(trial.run_dir, &trust, PATIENCE_MS, &attached, &error), 0);
    assert_memory_equal(attached.fetched.area, area, sizeof area);
    assert_int_equal(attached.fetched.segments.count, USAGE_SEGMENTS_MAX);
    usage_attached_close(&attached);
}

static void a_line_that_is_given_back_stays_counted(void **state)
{
    struct handle handle;

    (void)state;
    attach_surely(&handle);
    note(&handle, CATLATCH_VALID, 11);
    assert_int_equal(detach(handle.line), 0);
    assert_int_equal(total(CATLATCH_VALID), 11);
    assert_int_equal(listing.count, 0);
    assert_int_equal(detach(handle.line), CATLATCH_E_PERMISSION);
    assert_int_equal(total(CATLATCH_VALID), 11);
    unmap(&handle);
}

/* As hosts do that open a handle for each request. */
static void opening_and_closing_for_ever_takes_no_more_than_one_line(void **state)
{
    unsigned before = keeper_trial_descriptors(&trial);
    struct handle handle;

    (void)state;
    for (unsigned i = 0; i < PROCESS_LINES + 10; i++) {
        attach_surely(&handle);
        assert_int_equal(handle.line, 1);
        note(&handle, CATLATCH_VALID, 1);
        unmap(&handle);
        assert_int_equal(detach(handle.line), 0);
    }
    assert_int_equal(total(CATLATCH_VALID), PROCESS_LINES + 10);
    assert_int_equal(listing.count, 0);
    keeper_trial_await_descriptors(&trial, before);
}

#define HANDLES 5

static uint32_t attach_more(const struct handle *handle)
{
    struct handle more;

    for (int i = 1; i < HANDLES; i++)
        if (attach(&more) == 0)
            note(&more, CATLATCH_VALID, 1);
    return handle->line;
}

static void each_handle_of_a_process_has_its_line(void **state)
{
    const struct plan plan = {.notes = 1, .act = attach_more};
    unsigned before = keeper_trial_descriptors(&trial);
    struct handle handles[HANDLES];

    (void)state;
    for (unsigned i = 0; i < HANDLES; i++) {
        attach_surely(&handles[i]);
        note(&handles[i], CATLATCH_VALID, 1);
    }
    assert_int_equal(count_listed(), HANDLES);
    for (unsigned i = 0; i < HANDLES; i++) {
        assert_int_equal(listing.list[i].pid, getpid());
        assert_int_equal(listing.list[i].line, handles[i].line);
        assert_int_equal(listing.segment->lines[handles[i].line].results[CATLATCH_VALID], 1);
        unmap(&handles[i]);
    }
    /* One end frees all that a process has. */
    start_child(&plan);
    assert_int_equal(count_listed(), 2 * HANDLES);
    end_children();
    assert_int_equal(total(CATLATCH_VALID), 2 * HANDLES);
    assert_int_equal(listing.count, HANDLES);
    keeper_trial_await_descriptors(&trial, before + HANDLES);
}

static uint32_t others_line;

/* How many of these it could give back. */
static uint32_t detach_others(const struct handle *handle)
{
    const uint32_t lines[] = {0, others_line, handle->line + 1, PROCESS_LINES, UINT32_MAX};
    uint32_t given_back = 0;

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        given_back += detach(lines[i]) != CATLATCH_E_PERMISSION;
    return given_back;
}

static void nobody_gives_back_anothers_line(void **state)
{
    const struct plan plan = {.act = detach_others};
    struct handle handle;

    (void)state;
    attach_surely(&handle);
    note(&handle, CATLATCH_VALID, 3);
    others_line = handle.line;
    assert_int_equal(start_child(&plan), 0);
    end_children();
    assert_int_equal(count_listed(), 1);
    assert_int_equal(listing.list[0].pid, getpid());
    assert_int_equal(handle.segment->lines[handle.line].results[CATLATCH_VALID], 3);
    unmap(&handle);
}

/* The child has the parent's memory, line and number of line; what it may use is its own. */
static void a_forked_child_attaches_for_itself(void **state)
{
    const struct plan plan = {.notes = 4};
    struct handle handle;

    (void)state;
    attach_surely(&handle);
    note(&handle, CATLATCH_VALID, 3);
    uint32_t line = start_child(&plan);
    assert_int_not_equal(line, handle.line);
    assert_int_equal(total(CATLATCH_VALID), 7);
    assert_int_equal(listing.count, 2);
    assert_int_equal(listed(children[0])->line, line);
    assert_int_equal(listed(getpid())->line, handle.line);
    end_child(children[0]);
    note(&handle, CATLATCH_VALID, 1);
    assert_int_equal(total(CATLATCH_VALID), 8);
    assert_int_equal(listing.count, 1);
    unmap(&handle);
}

static int set_up_users(void **state)
{
    (void)state;
    keeper_trial_start_with_users(&trial);
    return 0;
}

/* How many lines it has then. */
static uint32_t attach_until_refused(const struct handle *handle)
{
    struct handle more = *handle;
    uint32_t count = 0;

    while (more.line != 0) {
        count++;
        if (attach(&more) != 0)
            return 0;
        unmap(&more);
    }
    return count;
}

static void a_flood_of_one_user_leaves_half_to_the_others(void **state)
{
    const struct plan flood = {.uid = OTHER_UID, .act = attach_until_refused};
    const struct plan worker = {.uid = WORKER_UID, .notes = 2};
    struct handle refused;

    (void)state;
    keeper_trial_skip_unless_root();
    unsigned before = keeper_trial_descriptors(&trial);
    assert_int_equal(start_child(&flood), PROCESS_LINES / 2);
    assert_true(keeper_trial_said(&trial, "no line for uid 4242426"));
    assert_true(start_child(&worker) > 0);
    assert_int_equal(count_listed(), PROCESS_LINES / 2 + 1);
    /* A second process of that user is no better off, and what is refused is the line alone. */
    const struct plan second = {.uid = OTHER_UID};
    assert_int_equal(start_child(&second), 0);
    end_children();
    assert_int_equal(total(CATLATCH_VALID), 2);
    assert_int_equal(listing.count, 0);
    keeper_trial_await_descriptors(&trial, before);
    attach_surely(&refused);
    unmap(&refused);
}

static uint32_t list_code(const struct handle *handle)
{
    struct trust trust = trusting();
    struct usage_processes page;

    (void)handle;
    int r = usage_processes(trial.run_dir, &trust, PATIENCE_MS, 0, &page, &error);
    return (uint32_t)-r;
}

static void only_root_and_the_keepers_own_user_are_told_who_is_attached(void **state)
{
    const struct plan worker = {.uid = WORKER_UID, .act = list_code};
    const struct plan nobody = {.uid = 65534, .act = list_code};
    const struct plan keeper = {.uid = KEEPER_UID, .act = list_code};

    (void)state;
    keeper_trial_skip_unless_root();
    assert_int_equal(start_child(&worker), -CATLATCH_E_PERMISSION);
    assert_int_equal(start_child(&nobody), -CATLATCH_E_PERMISSION);
    assert_int_equal(start_child(&keeper), 0);
    assert_int_equal(count_listed(), 3);
    assert_int_equal(listed(children[0])->uid, WORKER_UID);
    assert_int_equal(listed(children[2])->uid, KEEPER_UID);
}

/* Descriptors for processes end before those for connections do. The keeper may still have some of
 * connections that are over, so nobody is refused for good before several are in a row. */
static void without_descriptors_left_there_is_no_line_but_the_area(void **state)
{
    const struct plan plan = {.uid = WORKER_UID, .notes = 1};
    unsigned lines = 0, refused = 0;

    (void)state;
    keeper_trial_skip_unless_root();
    trial.uid = KEEPER_UID;
    trial.gid = WORKERS_GID;
    trial.files = 150;
    keeper_trial_start(&trial);
    while (refused < 5) {
        bool has_line = start_child(&plan) != 0;
        lines += has_line;
        refused = has_line ? 0 : refused + 1;
    }
    assert_in_range(lines, 1, trial.files - CLIENTS_MAX);
    assert_int_equal(count_listed(), lines);
    end_child(children[0]);
    for (refused = 0; start_child(&plan) == 0; refused++)
        assert_true(refused < 5);
    assert_int_equal(total(CATLATCH_VALID), lines + 1);
}

static void scribble_for_ever(const struct handle *handle)
{
    _Atomic uint64_t *words = (_Atomic uint64_t *)(void *)handle->segment;
    uint64_t random = 1;

    for (;;) {
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        words[(random >> 20) % (sizeof *handle->segment / sizeof *words)] = random;
    }
}

/* Over everything, while others come and go. */
static void a_worker_that_scribbles_hurts_counts_and_nothing_else(void **state)
{
    const struct plan honest = {.notes = 5}, scribbler = {.go_on = scribble_for_ever};
    struct handle handle;

    (void)state;
    start_child(&honest);
    end_children();
    start_child(&scribbler);
    for (int i = 0; i < 30; i++) {
        assert_true(start_child(&honest) > 0);
        end_child(children[1]);
        assert_int_equal(count_listed(), 1);
    }
    end_children();
    assert_true(total(CATLATCH_VALID) >= 5);
    assert_int_equal(listing.count, 0);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        assert_true(listing.segment->lines[0].results[i] <= PROCESS_COUNT_MAX);
    attach_surely(&handle);
    for (unsigned i = 0; i < PROCESS_RESULTS; i++)
        assert_int_equal(handle.segment->lines[handle.line].results[i], 0);
    unmap(&handle);
}

static void what_is_scribbled_on_the_past_is_written_anew(void **state)
{
    const struct plan honest = {.notes = 5};
    struct handle handle;

    (void)state;
    attach_surely(&handle);
    start_child(&honest);
    end_children();
    assert_int_equal(total(CATLATCH_VALID), 5);
    memset(&handle.segment->lines[0], 0xff, sizeof handle.segment->lines[0]);
    assert_int_equal(total(CATLATCH_VALID), 5);
    assert_int_equal(total(CATLATCH_DENIED), 0);
    unmap(&handle);
}

static void the_next_keeper_knows_who_is_attached_and_what_was_counted(void **state)
{
    const struct plan plan = {.notes = 5};
    struct handle handle, another;

    (void)state;
    attach_surely(&handle);
    note(&handle, CATLATCH_VALID, 1);
    for (int i = 0; i < 3; i++)
        start_child(&plan);
    end_child(children[0]);
    keeper_trial_kill(&trial);
    assert_int_equal(trial.kept_count, KEEPER_TRIAL_KEPT_ALWAYS);
    /* One ends while there is no keeper; who lives goes on counting. */
    end_child(children[0]);
    note(&handle, CATLATCH_VALID, 1);
    keeper_trial_start(&trial);
    assert_int_equal(trial.kept_count, KEEPER_TRIAL_KEPT_ALWAYS);
    note(&handle, CATLATCH_VALID, 1);
    assert_int_equal(total(CATLATCH_VALID), 18);
    assert_int_equal(listing.count, 2);
    assert_int_equal(listed(getpid())->line, handle.line);
    assert_non_null(listed(children[0]));
    attach_surely(&another);
    assert_int_not_equal(another.line, handle.line);
    end_child(children[0]);
    assert_int_equal(total(CATLATCH_VALID), 18);
    assert_int_equal(listing.count, 2);
    assert_int_equal(detach(handle.line), 0);
    assert_int_equal(total(CATLATCH_VALID), 18);
    unmap(&handle);
    unmap(&another);
}

/* Another process that is given this pid, as the system might by chance. */
static pid_t fork_as(pid_t pid)
{
    struct clone_args arguments = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
    pid_t child = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    if (child < 0) {
        print_message("# skipped: only root chooses a pid (%s)\n", strerror(errno));
        skip();
    }
    assert_int_equal(child, pid);
    children[child_count++] = child;
    return child;
}

static void skip_without_identity(void)
{
    int pidfd = pidfd_open_pid(getpid());
    uint64_t identity = pidfd_identity(pidfd);

    close(pidfd);
    if (identity == 0) {
        print_message("# skipped: before Linux 6.9 a pid is all there is to know\n");
        skip();
    }
}

static void a_pid_that_was_given_again_between_two_keepers_is_no_line(void **state)
{
    const struct plan plan = {.notes = 5};

    (void)state;
    skip_without_identity();
    start_child(&plan);
    pid_t pid = children[0];
    keeper_trial_kill(&trial);
    end_child(pid);
    fork_as(pid);
    keeper_trial_start(&trial);
    assert_int_equal(total(CATLATCH_VALID), 5);
    assert_int_equal(listing.count, 0);
}

/* A child that connects this socket and asks, and is gone before the keeper looks, which stands
 * still meanwhile. Returns its pid, to be given to another one. */
static pid_t ask_and_die(int fd)
{
    const struct keeper_request request = {
        .magic = KEEPER_MAGIC, .version = KEEPER_VERSION, .want = KEEPER_ATTACH};
    const struct passing nothing = {.count = 0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int status;

    memcpy(address.sun_path, trial.socket, sizeof address.sun_path);
    assert_int_equal(kill(trial.pid, SIGSTOP), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
              passing_send(fd, &request, sizeof request, &nothing, 0) != 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    return pid;
}

static void a_pid_that_was_given_again_before_the_answer_is_no_line(void **state)
{
    struct keeper_message message;
    struct passing passing;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)state;
    fork_as(ask_and_die(fd));
    assert_int_equal(kill(trial.pid, SIGCONT), 0);
    ssize_t len = passing_receive(fd, &message, sizeof message, PASSING_MAX, &passing, 0);
    close(fd);
    if (len == 0) {
        print_message("# skipped: this kernel does not tell who connected but by pid\n");
        skip();
    }
    assert_int_equal(len, sizeof message.answer + sizeof message.entries[0]);
    assert_int_equal(passing.count, 1);
    passing_close(&passing);
    assert_int_equal(message.entries[0].line, 0);
    assert_int_equal(count_listed(), 0);
}

/* Before Linux 6.5, that is. */
static int set_up_older(void **state)
{
    set_up(state);
    trial.older = true;
    keeper_trial_start(&trial);
    return 0;
}

static void by_its_pid_alone_nobody_who_has_gone_is_taken_for_another(void **state)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)state;
    pid_t pid = ask_and_die(fd);
    close(fd); /* so the connection is nobody's */
    fork_as(pid);
    assert_int_equal(kill(trial.pid, SIGCONT), 0);
    assert_int_equal(count_listed(), 0);
}

/* Starts with what is in the store now, of which nothing is taken back. */
static void assert_dropped(const char *line)
{
    struct handle handle;

    keeper_trial_start(&trial);
    assert_true(keeper_trial_said(&trial, line));
    assert_int_equal(total(CATLATCH_VALID), 0);
    assert_int_equal(listing.count, 0);
    attach_surely(&handle);
    assert_int_equal(handle.line, 1);
    note(&handle, CATLATCH_VALID, 1);
    unmap(&handle);
    keeper_trial_kill(&trial);
    assert_int_equal(trial.kept_count, KEEPER_TRIAL_KEPT_ALWAYS);
    assert_int_equal(truncate(trial.log, 0), 0);
}

static int kept(const char *name)
{
    for (unsigned i = 0; i < trial.kept_count; i++)
        if (strcmp(trial.kept[i].name, name) == 0)
            return trial.kept[i].fd;
    fail_msg("%s is not kept", name);
    return -1;
}

static void *map_kept(const char *name, size_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, kept(name), 0);

    assert_true(base != MAP_FAILED);
    return base;
}

/* As it is killed when the segment was written, and the roll not yet. */
static void a_fold_in_which_the_keeper_is_killed_is_done_by_the_next(void **state)
{
    const struct plan plan = {.notes = 5};

    (void)state;
    uint32_t line = start_child(&plan);
    keeper_trial_kill(&trial);
    end_children();
    struct roll *roll = map_kept("process.roll", sizeof *roll);
    struct process_segment *segment = map_kept("process.segment", sizeof *segment);
    roll->next[CATLATCH_VALID] = 5;
    roll->folding = line;
    roll->sequence = 1;
    segment->lines[0].sequence = 1;
    segment->lines[0].results[CATLATCH_VALID] = 5;
    segment->lines[line].results[CATLATCH_VALID] = 0;
    keeper_trial_start(&trial);
    assert_int_equal(total(CATLATCH_VALID), 5);
    assert_int_equal(listing.count, 0);
    assert_int_equal(roll->folding, 0);
    munmap(roll, sizeof *roll);
    munmap(segment, sizeof *segment);
}

static void what_is_not_both_memories_is_not_taken_back(void **state)
{
    struct handle handle;

    (void)state;
    attach_surely(&handle);
    note(&handle, CATLATCH_VALID, 1);
    unmap(&handle);
    keeper_trial_kill(&trial);
    keeper_trial_lose(&trial, "process.roll");
    assert_dropped("of processes is dropped: it is incomplete");
    keeper_trial_lose(&trial, "process.segment");
    assert_dropped("of processes is dropped: it is incomplete");
    keeper_trial_lose(&trial, "process.segment");
    keeper_trial_keep(&trial, "process.segment", keeper_trial_segment(0));
    assert_dropped("of processes is dropped: it is unfit");
    keeper_trial_keep(&trial, "process.roll", dup(kept("process.roll")));
    assert_dropped("of processes is dropped: it is unfit");
    struct roll *roll =
        mmap(NULL, sizeof *roll, PROT_READ | PROT_WRITE, MAP_SHARED, kept("process.roll"), 0);
    assert_true(roll != MAP_FAILED);
    roll->magic++;
    munmap(roll, sizeof *roll);
    assert_dropped("it is another version's");
}

/* What is wrong with one of them does not cost the other. */
static void area_and_processes_are_taken_back_each_for_itself(void **state)
{
    struct trust trust = trusting();
    struct usage_fetched fetched;
    const struct plan plan = {.notes = 5};

    (void)state;
    int fd = keeper_trial_segment(0);
    assert_int_equal(usage_offer(trial.run_dir, &trust, PATIENCE_MS, area, 0, fd, &error), 0);
    start_child(&plan);
    keeper_trial_kill(&trial);
    keeper_trial_lose(&trial, "usage.");
    keeper_trial_keep(&trial, "stored", fd);
    keeper_trial_start(&trial);
    assert_true(keeper_trial_said(&trial, "\"stored\" is no segment"));
    assert_int_equal(total(CATLATCH_VALID), 5);
    assert_int_equal(listing.count, 1);
    fd = keeper_trial_segment(0);
    assert_int_equal(usage_offer(trial.run_dir, &trust, PATIENCE_MS, area, 0, fd, &error), 0);
    close(fd);
    keeper_trial_kill(&trial);
    keeper_trial_lose(&trial, "process.roll");
    keeper_trial_start(&trial);
    assert_int_equal(total(CATLATCH_VALID), 0);
    assert_int_equal(usage_fetch(trial.run_dir, &trust, PATIENCE_MS, &fetched, &error), 0);
    assert_int_equal(fetched.segments.count, 1);
    usage_fetched_close(&fetched);
}

#define started(test) cmocka_unit_test_setup_teardown(test, set_up_started, tear_down)
#define stopped(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define older(test) cmocka_unit_test_setup_teardown(test, set_up_older, tear_down)
#define with_users(test) cmocka_unit_test_setup_teardown(test, set_up_users, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        started(a_crowd_is_listed_killed_and_counted_to_the_last),
        older(a_crowd_is_listed_killed_and_counted_to_the_last),
        started(it_is_told_since_when),
        started(who_attaches_has_the_area_too),
        started(a_line_that_is_given_back_stays_counted),
        older(a_line_that_is_given_back_stays_counted),
        started(opening_and_closing_for_ever_takes_no_more_than_one_line),
        started(each_handle_of_a_process_has_its_line),
        started(nobody_gives_back_anothers_line),
        older(nobody_gives_back_anothers_line),
        started(a_forked_child_attaches_for_itself),
        with_users(a_flood_of_one_user_leaves_half_to_the_others),
        with_users(only_root_and_the_keepers_own_user_are_told_who_is_attached),
        stopped(without_descriptors_left_there_is_no_line_but_the_area),
        started(a_worker_that_scribbles_hurts_counts_and_nothing_else),
        started(what_is_scribbled_on_the_past_is_written_anew),
        started(the_next_keeper_knows_who_is_attached_and_what_was_counted),
        started(a_fold_in_which_the_keeper_is_killed_is_done_by_the_next),
        started(a_pid_that_was_given_again_between_two_keepers_is_no_line),
        started(a_pid_that_was_given_again_before_the_answer_is_no_line),
        older(by_its_pid_alone_nobody_who_has_gone_is_taken_for_another),
        started(what_is_not_both_memories_is_not_taken_back),
        started(area_and_processes_are_taken_back_each_for_itself),
    };
    keeper_trial_area(1, area);
    return cmocka_run_group_tests_name("processes", tests, NULL, NULL);
}
