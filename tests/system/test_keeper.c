/* test_keeper.c - catlatch-keeper: holds the usage area, gives it to everybody who may have it, and
 * can neither be hurt nor emptied by who may not. */
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
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/lock.h"
#include "lib_daemon.h"
#include "lib_keeper.h"
#include "usage/area.h"

/* Users and a group that nobody has. */
#define KEEPER_UID KEEPER_TRIAL_UID
#define WORKER_UID 4242425
#define OTHER_UID 4242426
#define WORKERS_GID KEEPER_TRIAL_WORKERS_GID
#define OTHER_GID 4343435

#define PATIENCE_MS KEEPER_TRIAL_PATIENCE_MS
#define KEPT_ALWAYS KEEPER_TRIAL_KEPT_ALWAYS

static struct keeper_trial trial;
static struct error error;
static uint8_t area[KEEPER_AREA_BYTES], other_area[KEEPER_AREA_BYTES];

static int set_up(void **state)
{
    (void)state;
    error = (struct error){.code = 0};
    keeper_trial_open(&trial, NULL);
    return 0;
}

static int set_up_started(void **state)
{
    set_up(state);
    keeper_trial_start(&trial);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keeper_trial_close(&trial);
    return 0;
}

static struct trust trusting(uid_t uid)
{
    return (struct trust){.uids = {uid}, .count = 1};
}

/* Both return the code, and leave `error`. */
static int fetch(struct usage_fetched *ret_fetched)
{
    struct trust trust = trusting(trial.uid != 0 ? trial.uid : geteuid());
    return usage_fetch(trial.run_dir, &trust, PATIENCE_MS, ret_fetched, &error);
}

static int offer(const uint8_t name[KEEPER_AREA_BYTES], unsigned k, int fd)
{
    struct trust trust = trusting(trial.uid != 0 ? trial.uid : geteuid());
    return usage_offer(trial.run_dir, &trust, PATIENCE_MS, name, k, fd, &error);
}

static void put(const uint8_t name[KEEPER_AREA_BYTES], unsigned k)
{
    int fd = keeper_trial_segment(k);

    if (offer(name, k, fd) != 0)
        fail_msg("%s", error.text);
    close(fd);
}

static unsigned fetched_count(void)
{
    struct usage_fetched fetched;

    if (fetch(&fetched) != 0)
        fail_msg("%s", error.text);
    unsigned count = fetched.segments.count;
    usage_fetched_close(&fetched);
    return count;
}

static _Atomic uint64_t *map(int fd, unsigned k)
{
    void *base = mmap(NULL, usage_segment_size(k), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    assert_true(base != MAP_FAILED);
    return base;
}

/* Segment k as the keeper gives it out at this moment. */
static _Atomic uint64_t *fetch_mapped(unsigned k)
{
    struct usage_fetched fetched;

    if (fetch(&fetched) != 0)
        fail_msg("%s", error.text);
    assert_true(k < fetched.segments.count);
    _Atomic uint64_t *words = map(fetched.segments.fds[k], k);
    usage_fetched_close(&fetched);
    return words;
}

static void unmap(_Atomic uint64_t *words, unsigned k)
{
    munmap((void *)words, usage_segment_size(k));
}

static void without_an_area_there_are_no_segments(void **state)
{
    struct usage_fetched fetched;
    static const uint8_t none[KEEPER_AREA_BYTES];

    (void)state;
    assert_int_equal(fetch(&fetched), 0);
    assert_int_equal(fetched.segments.count, 0);
    assert_memory_equal(fetched.area, none, sizeof none);
}

/* What another process, which has but the path, does with the memory. */
static void write_elsewhere(unsigned k, uint64_t value)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct usage_fetched fetched;
        if (fetch(&fetched) != 0)
            _exit(1);
        _Atomic uint64_t *words = mmap(NULL, usage_segment_size(k), PROT_READ | PROT_WRITE,
                                       MAP_SHARED, fetched.segments.fds[k], 0);
        if (words == MAP_FAILED)
            _exit(2);
        words[7] = value;
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void whoever_gets_the_area_gets_the_same_memory(void **state)
{
    struct usage_fetched fetched;

    (void)state;
    put(area, 0);
    put(area, 1);
    assert_int_equal(fetch(&fetched), 0);
    assert_int_equal(fetched.segments.count, 2);
    assert_memory_equal(fetched.area, area, sizeof area);
    usage_fetched_close(&fetched);
    for (unsigned k = 0; k < 2; k++) {
        _Atomic uint64_t *words = fetch_mapped(k);
        assert_int_equal(words[7], 0);
        write_elsewhere(k, 1000 + k);
        assert_int_equal(words[7], 1000 + k);
        unmap(words, k);
    }
}

static void an_area_can_have_all_of_its_segments(void **state)
{
    (void)state;
    for (unsigned k = 0; k < USAGE_SEGMENTS_MAX; k++)
        put(area, k);
    assert_int_equal(fetched_count(), USAGE_SEGMENTS_MAX);
    int fd = keeper_trial_segment(0);
    assert_int_equal(offer(area, USAGE_SEGMENTS_MAX, fd), CATLATCH_E_CONFLICT);
    assert_int_equal(offer(area, UINT32_MAX, fd), CATLATCH_E_CONFLICT);
    close(fd);
}

static void another_area_takes_the_place_of_the_one_before(void **state)
{
    struct usage_fetched fetched;
    unsigned before = keeper_trial_descriptors(&trial);

    (void)state;
    put(area, 0);
    put(area, 1);
    keeper_trial_await_descriptors(&trial, before + 2);
    put(other_area, 0);
    keeper_trial_await_descriptors(&trial, before + 1);
    assert_int_equal(fetch(&fetched), 0);
    assert_int_equal(fetched.segments.count, 1);
    assert_memory_equal(fetched.area, other_area, sizeof other_area);
    usage_fetched_close(&fetched);
}

static void only_the_next_segment_of_the_same_area_is_added(void **state)
{
    unsigned before = keeper_trial_descriptors(&trial);
    int first = keeper_trial_segment(0), second = keeper_trial_segment(1);

    (void)state;
    assert_int_equal(offer(area, 1, second), CATLATCH_E_CONFLICT);
    put(area, 0);
    int third = keeper_trial_segment(2);
    assert_int_equal(offer(area, 2, third), CATLATCH_E_CONFLICT);
    assert_int_equal(offer(area, 0, first), CATLATCH_E_CONFLICT);
    assert_int_equal(offer(other_area, 1, second), CATLATCH_E_CONFLICT);
    assert_int_equal(fetched_count(), 1);
    keeper_trial_await_descriptors(&trial, before + 1);
    assert_int_equal(offer(area, 1, second), 0);
    close(first);
    close(second);
    close(third);
}

static void the_same_segment_again_is_no_mistake(void **state)
{
    unsigned before = keeper_trial_descriptors(&trial);
    int fd = keeper_trial_segment(0);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(offer(area, 0, fd), 0);
    put(area, 1);
    assert_int_equal(offer(area, 0, fd), 0);
    assert_int_equal(fetched_count(), 2);
    keeper_trial_await_descriptors(&trial, before + 2);
    close(fd);
}

static int memory(size_t size, int seals)
{
    int fd = memfd_create("usage", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static int read_only(void)
{
    char path[64];
    int fd = keeper_trial_segment(0);

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(again >= 0);
    close(fd);
    return again;
}

static int regular_file(void)
{
    char path[KEEPER_TRIAL_PATH + 8];

    snprintf(path, sizeof path, "%s/file", trial.folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)usage_segment_size(0)), 0);
    return fd;
}

static void what_can_be_taken_away_or_has_another_size_is_refused(void **state)
{
    const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    size_t size = usage_segment_size(0);
    unsigned before = keeper_trial_descriptors(&trial);
    int pipes[2];

    (void)state;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    const int unfit[] = {
        memory(size, 0),
        memory(size, F_SEAL_GROW | F_SEAL_SEAL),
        memory(size, F_SEAL_SHRINK | F_SEAL_SEAL),
        memory(size, F_SEAL_SHRINK | F_SEAL_GROW),
        memory(size, sealed | F_SEAL_WRITE),
        memory(size, sealed | F_SEAL_FUTURE_WRITE),
        memory(size - 1, sealed),
        memory(size + 4096, sealed),
        memory(0, sealed),
        read_only(),
        regular_file(),
        pipes[0],
    };
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
        if (offer(area, 0, unfit[i]) != CATLATCH_E_DATA)
            fail_msg("number %zu was not refused: %s", i, error.text);
        close(unfit[i]);
    }
    close(pipes[1]);
    assert_int_equal(fetched_count(), 0);
    keeper_trial_await_descriptors(&trial, before);
}

static void an_area_has_a_name(void **state)
{
    const uint8_t none[KEEPER_AREA_BYTES] = {0};
    int fd = keeper_trial_segment(0);

    (void)state;
    assert_int_equal(offer(none, 0, fd), CATLATCH_E_DATA);
    assert_int_equal(fetched_count(), 0);
    close(fd);
}

/* A refused offer leaves what was there. */
static void an_unfit_segment_of_another_area_replaces_nothing(void **state)
{
    int fd = memory(usage_segment_size(0), 0);

    (void)state;
    put(area, 0);
    assert_int_equal(offer(other_area, 0, fd), CATLATCH_E_DATA);
    assert_int_equal(fetched_count(), 1);
    close(fd);
}

/* A client that speaks as it likes. */
static int connect_raw(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memcpy(address.sun_path, trial.socket, sizeof address.sun_path);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* What the keeper says to it: 0 bytes when it closes. Closes the descriptors that came. */
static size_t hear(int fd, struct keeper_answer *ret_answer)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    struct passing passing;

    assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
    ssize_t len = passing_receive(fd, ret_answer, sizeof *ret_answer, PASSING_MAX, &passing, 0);
    passing_close(&passing);
    return len > 0 ? (size_t)len : 0;
}

static size_t talk(const void *message, size_t size, const struct passing *passing,
                   struct keeper_answer *ret_answer)
{
    int fd = connect_raw();

    assert_int_equal(passing_send(fd, message, size, passing, 0), 0);
    size_t len = hear(fd, ret_answer);
    close(fd);
    return len;
}

static struct keeper_request request_of(uint32_t want)
{
    struct keeper_request request = {
        .magic = KEEPER_MAGIC, .version = KEEPER_VERSION, .want = want};

    memcpy(request.area, area, sizeof area);
    return request;
}

static void what_is_no_request_closes_the_connection(void **state)
{
    struct keeper_request get = request_of(KEEPER_GET), other = get, long_one[4] = {get};
    const struct passing nothing = {.count = 0};
    struct keeper_answer answer;

    (void)state;
    other.magic++;
    assert_int_equal(talk(&get, sizeof get, &nothing, &answer), sizeof answer);
    assert_int_equal(talk(&other, sizeof other, &nothing, &answer), 0);
    assert_int_equal(talk(&get, sizeof get - 1, &nothing, &answer), 0);
    assert_int_equal(talk(&get, 1, &nothing, &answer), 0);
    assert_int_equal(talk(&get, 0, &nothing, &answer), 0);
    assert_int_equal(talk(long_one, sizeof get + 1, &nothing, &answer), 0);
    assert_int_equal(talk(long_one, sizeof long_one, &nothing, &answer), 0);
}

static void descriptors_that_do_not_belong_are_closed_with_the_connection(void **state)
{
    struct keeper_request get = request_of(KEEPER_GET), put_request = request_of(KEEPER_PUT);
    struct keeper_request many[2] = {put_request, put_request};
    struct passing passing = {.count = 1, .fds = {keeper_trial_segment(0)}};
    unsigned before = keeper_trial_descriptors(&trial);
    struct keeper_answer answer;

    (void)state;
    assert_int_equal(talk(&get, sizeof get, &passing, &answer), 0);
    assert_int_equal(talk(&put_request, 0, &passing, &answer), 0);
    assert_int_equal(talk(&put_request, 5, &passing, &answer), 0);
    assert_int_equal(talk(many, sizeof many, &passing, &answer), 0);
    for (passing.count = 2; passing.count < PASSING_MAX; passing.count++) {
        passing.fds[passing.count - 1] = passing.fds[0];
        assert_int_equal(talk(&put_request, sizeof put_request, &passing, &answer), 0);
    }
    passing.count = 0;
    assert_int_equal(talk(&put_request, sizeof put_request, &passing, &answer), 0);
    assert_int_equal(fetched_count(), 0);
    keeper_trial_await_descriptors(&trial, before);
    close(passing.fds[0]);
}

static void an_unknown_request_or_version_is_told_so(void **state)
{
    struct keeper_request request = request_of(77);
    const struct passing nothing = {.count = 0};
    struct keeper_answer answer;

    (void)state;
    assert_int_equal(talk(&request, sizeof request, &nothing, &answer), sizeof answer);
    assert_int_equal(answer.status, KEEPER_UNKNOWN);
    request = request_of(KEEPER_GET);
    request.version = KEEPER_VERSION + 1;
    assert_int_equal(talk(&request, sizeof request, &nothing, &answer), sizeof answer);
    assert_int_equal(answer.status, KEEPER_VERSION_UNKNOWN);
    assert_int_equal(answer.version, KEEPER_VERSION);
}

/* As a child of that user and group: the code of what it is to do. */
static int as_user(uid_t uid, gid_t gid, int (*act)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
            _exit(99);
        _exit(-act());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 99);
    return -WEXITSTATUS(status);
}

static int act_fetch(void)
{
    struct usage_fetched fetched;
    int r = fetch(&fetched);

    return r == 0 && fetched.segments.count != 1 ? CATLATCH_E_DATA : r;
}

static int act_offer(void)
{
    return offer(other_area, 0, keeper_trial_segment(0));
}

static unsigned before_put; /* its descriptors */

static int set_up_users(void **state)
{
    (void)state;
    keeper_trial_start_with_users(&trial);
    if (geteuid() != 0)
        return 0;
    before_put = keeper_trial_descriptors(&trial);
    put(area, 0);
    return 0;
}

static void who_may_map_the_table_gets_the_area_and_nobody_else_does(void **state)
{
    struct stat status;
    (void)state;
    keeper_trial_skip_unless_root();
    assert_int_equal(lstat(trial.socket, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    assert_int_equal(status.st_uid, KEEPER_UID);
    assert_int_equal(status.st_gid, WORKERS_GID);
    assert_int_equal(as_user(WORKER_UID, WORKERS_GID, act_fetch), 0);
    assert_int_equal(as_user(KEEPER_UID, OTHER_GID, act_fetch), 0);
    assert_int_equal(as_user(OTHER_UID, OTHER_GID, act_fetch), CATLATCH_E_PERMISSION);
    trial.uid = OTHER_UID;
    assert_int_equal(as_user(WORKER_UID, WORKERS_GID, act_fetch), CATLATCH_E_PERMISSION);
}

static void only_root_and_the_keepers_own_user_can_put(void **state)
{
    (void)state;
    keeper_trial_skip_unless_root();
    assert_int_equal(as_user(WORKER_UID, WORKERS_GID, act_offer), CATLATCH_E_PERMISSION);
    assert_int_equal(as_user(65534, WORKERS_GID, act_offer), CATLATCH_E_PERMISSION);
    assert_int_equal(as_user(WORKER_UID, WORKERS_GID, act_fetch), 0);
    keeper_trial_await_descriptors(&trial, before_put + 1);
    assert_int_equal(as_user(KEEPER_UID, OTHER_GID, act_offer), 0);
    keeper_trial_await_descriptors(&trial, before_put + 1);
}

#define SILENT 100

static void silent_clients_do_not_keep_a_good_one_from_its_answer(void **state)
{
    struct keeper_answer answer;
    unsigned before = keeper_trial_descriptors(&trial);
    int silent[SILENT];

    (void)state;
    put(area, 0);
    for (int i = 0; i < SILENT; i++)
        silent[i] = connect_raw();
    assert_int_equal(fetched_count(), 1);
    /* Not one stays. */
    for (int i = 0; i < SILENT; i++) {
        assert_int_equal(hear(silent[i], &answer), 0);
        close(silent[i]);
    }
    keeper_trial_await_descriptors(&trial, before + 1);
}

static void no_more_connections_are_open_than_a_keeper_has_room_for(void **state)
{
    unsigned before = keeper_trial_descriptors(&trial);
    int silent[SILENT];

    (void)state;
    for (int i = 0; i < SILENT; i++) {
        silent[i] = connect_raw();
        assert_true(keeper_trial_descriptors(&trial) <=
                    before + 65); /* one is accepted, then one dropped */
    }
    for (int i = 0; i < SILENT; i++)
        close(silent[i]);
    keeper_trial_await_descriptors(&trial, before);
}

/* Asks and does not take the answer, on as many connections as it can; says so, and holds them
 * until it is killed. */
static pid_t hoarder; /* 0: none */

static void start_hoarder(uid_t uid, gid_t gid, int connections)
{
    int wait_ms = 500;
    struct keeper_request get = request_of(KEEPER_GET);
    const struct passing nothing = {.count = 0};
    int ready[2];
    char byte = 0;

    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
            _exit(1);
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* behind the change of user, which forgets it */
        for (int i = 0; i < connections; i++) {
            struct sockaddr_un address = {.sun_family = AF_UNIX};
            int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
            memcpy(address.sun_path, trial.socket, sizeof address.sun_path);
            if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
                _exit(1);
            /* It may be closed already. */
            (void)passing_send(fd, &get, sizeof get, &nothing, 0);
            /* Seen by poll, this is no end: the answer lies there, descriptors and all. Who gets
             * none any more need not wait for the next one. */
            struct pollfd answer = {.fd = fd, .events = POLLIN};
            wait_ms = poll(&answer, 1, wait_ms) == 1 ? wait_ms : 0;
            (void)shutdown(fd, i % 2 ? SHUT_RDWR : SHUT_WR);
        }
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    hoarder = pid;
}

static void end_hoarder(void)
{
    if (hoarder != 0) {
        assert_int_equal(kill(hoarder, SIGKILL), 0);
        assert_int_equal(waitpid(hoarder, NULL, 0), hoarder);
    }
    hoarder = 0;
}

static int tear_down_hoarder(void **state)
{
    end_hoarder();
    return tear_down(state);
}

/* The descriptors of answers that are on their way count for who sent them: with few allowed, and
 * many asked for and not taken, nothing could be sent to anybody. */
static void answers_that_nobody_takes_do_not_use_up_what_may_be_sent(void **state)
{
    (void)state;
    keeper_trial_skip_unless_root();
    trial.uid = KEEPER_UID;
    trial.gid = WORKERS_GID;
    trial.files = 100;
    keeper_trial_start(&trial);
    unsigned before = keeper_trial_descriptors(&trial);
    for (unsigned k = 0; k < 2; k++)
        put(area, k);
    start_hoarder(OTHER_UID, WORKERS_GID, 150);
    assert_int_equal(fetched_count(), 2);
    assert_int_equal(as_user(WORKER_UID, WORKERS_GID, act_fetch), CATLATCH_E_DATA); /* not 1 */
    /* Root may send in spite of the limit; the daemon is the keeper's user. */
    assert_int_equal(as_user(KEEPER_UID, WORKERS_GID, act_offer), 0);
    end_hoarder();
    keeper_trial_await_descriptors(&trial, before + 1);
    assert_int_equal(as_user(OTHER_UID, WORKERS_GID, act_fetch), 0);
}

/* All of one user, as a server's workers at their start. */
static void many_clients_at_once_are_all_answered(void **state)
{
    pid_t pids[150];
    int status;

    (void)state;
    put(area, 0);
    for (size_t i = 0; i < sizeof pids / sizeof pids[0]; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            _exit(-act_fetch());
    }
    for (size_t i = 0; i < sizeof pids / sizeof pids[0]; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

static void the_socket_of_a_killed_keeper_is_replaced(void **state)
{
    struct usage_fetched fetched;

    (void)state;
    put(area, 0);
    keeper_trial_kill(&trial);
    assert_int_equal(fetch(&fetched), CATLATCH_E_UNAVAILABLE);
    assert_int_equal(access(trial.socket, F_OK), 0);
    assert_int_equal(trial.kept_count, KEPT_ALWAYS + 1);
    keeper_trial_lose(&trial, "");
    keeper_trial_start(&trial);
    assert_int_equal(fetched_count(), 0);
}

static void a_second_keeper_leaves_the_place_to_the_first(void **state)
{
    struct keeper_trial second = trial;
    struct stat before, after;

    (void)state;
    put(area, 0);
    keeper_trial_listen(&trial);
    assert_int_equal(lstat(trial.socket, &before), 0);
    second.pid = 0;
    second.kept_count = 0;
    keeper_trial_launch(&second);
    assert_int_equal(keeper_trial_await_end(&second), 0);
    assert_true(keeper_trial_said(&trial, "another keeper serves"));
    assert_int_equal(lstat(trial.socket, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(fetched_count(), 1);
}

/* The lock's file is gone, so nothing but the socket tells of the first. */
static void a_keeper_without_its_lock_is_found_on_its_socket(void **state)
{
    struct keeper_trial second = trial;
    char path[KEEPER_TRIAL_PATH + 16];

    (void)state;
    snprintf(path, sizeof path, "%s/usage.lock", trial.run_dir);
    assert_int_equal(unlink(path), 0);
    second.pid = 0;
    second.kept_count = 0;
    keeper_trial_launch(&second);
    assert_int_equal(keeper_trial_await_end(&second), 0);
    assert_int_equal(fetched_count(), 0);
}

static void beside_one_that_has_the_lock_and_is_silent_none_starts(void **state)
{
    const struct lock_name name = {"run_dir", "usage.lock", "catlatch-keeper"};
    int lock;

    (void)state;
    assert_int_equal(mkdir(trial.run_dir, 0755), 0);
    assert_int_equal(lock_take_file(&name, trial.run_dir, &lock, &error), 0);
    keeper_trial_launch(&trial);
    assert_int_equal(keeper_trial_await_end(&trial), EX_UNAVAILABLE);
    assert_true(keeper_trial_said(&trial, "a keeper that does not answer: run_dir "));
    assert_int_equal(access(trial.socket, F_OK), -1);
    lock_drop(lock);
    keeper_trial_start(&trial);
}

#define RACERS 6

static void of_many_that_start_at_once_one_stays(void **state)
{
    struct keeper_trial racers[RACERS];
    struct pollfd ends[RACERS];
    int ended = 0;

    (void)state;
    for (int i = 0; i < RACERS; i++) {
        racers[i] = trial;
        keeper_trial_launch(&racers[i]);
        ends[i] = (struct pollfd){.fd = racers[i].pidfd, .events = POLLIN};
    }
    while (ended < RACERS - 1) {
        assert_true(poll(ends, RACERS, PATIENCE_MS) > 0);
        for (int i = 0; i < RACERS; i++) {
            if (ends[i].revents == 0)
                continue;
            assert_int_equal(keeper_trial_await_end(&racers[i]), 0);
            ends[i].fd = -1;
            ended++;
        }
    }
    assert_int_equal(fetched_count(), 0);
    for (int i = 0; i < RACERS; i++) {
        if (racers[i].pid != 0)
            trial = racers[i];
    }
    assert_int_equal(kill(trial.pid, SIGTERM), 0);
    assert_int_equal(keeper_trial_await_end(&trial), 0);
}

static void what_is_no_keepers_socket_stays_where_it_is(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(mkdir(trial.run_dir, 0755), 0);
    memcpy(address.sun_path, trial.socket, sizeof address.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 10), 0);
    keeper_trial_launch(&trial);
    assert_int_equal(keeper_trial_await_end(&trial), EX_UNAVAILABLE);
    assert_true(keeper_trial_said(&trial, "is no keeper; stop it"));
    assert_int_equal(unlink(trial.socket), 0);
    close(fd);
    assert_int_equal(mkdir(trial.socket, 0755), 0);
    keeper_trial_launch(&trial);
    assert_int_equal(keeper_trial_await_end(&trial), EX_CONFIG);
    assert_true(keeper_trial_said(&trial, "is in the way and no socket"));
}

static void it_ends_when_run_dir_is_removed(void **state)
{
    (void)state;
    put(area, 0);
    trial_remove_tree(trial.run_dir);
    assert_int_equal(keeper_trial_await_end(&trial), 0);
}

static int64_t clock_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Which it must see however much it has to do. */
static void it_ends_though_it_is_busy_when_its_socket_is_removed(void **state)
{
    struct keeper_answer answer;
    struct keeper_request get = request_of(KEEPER_GET);
    const struct passing nothing = {.count = 0};
    struct pollfd end = {.fd = trial.pidfd, .events = POLLIN};
    char aside[KEEPER_TRIAL_PATH];
    int64_t start_ms = clock_ms();

    (void)state;
    snprintf(aside, sizeof aside, "%.40s/run/x.sock", trial.folder);
    assert_int_equal(rename(trial.socket, aside), 0);
    memcpy(trial.socket, aside, sizeof trial.socket);
    while (poll(&end, 1, 0) == 0 && clock_ms() - start_ms < PATIENCE_MS) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        memcpy(address.sun_path, trial.socket, sizeof address.sun_path);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            passing_send(fd, &get, sizeof get, &nothing, 0) == 0)
            (void)hear(fd, &answer);
        close(fd);
    }
    assert_int_equal(poll(&end, 1, 0), 1); /* and not only when it was left alone */
    assert_int_equal(keeper_trial_await_end(&trial), 0);
}

static void it_leaves_the_socket_that_replaced_its_own(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(unlink(trial.socket), 0);
    memcpy(address.sun_path, trial.socket, sizeof address.sun_path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(keeper_trial_await_end(&trial), 0);
    assert_true(keeper_trial_said(&trial, "was removed or replaced"));
    assert_int_equal(access(trial.socket, F_OK), 0);
    close(fd);
}

static void it_ends_by_a_signal_and_takes_its_socket_along(void **state)
{
    (void)state;
    assert_int_equal(kill(trial.pid, SIGHUP), 0);
    assert_int_equal(fetched_count(), 0);
    assert_int_equal(kill(trial.pid, SIGTERM), 0);
    assert_int_equal(keeper_trial_await_end(&trial), 0);
    assert_int_equal(access(trial.socket, F_OK), -1);
    keeper_trial_start(&trial);
    assert_int_equal(kill(trial.pid, SIGINT), 0);
    assert_int_equal(keeper_trial_await_end(&trial), 0);
}

static void the_next_keeper_gets_the_area_back_from_the_service_manager(void **state)
{
    struct usage_fetched fetched;

    (void)state;
    put(area, 0);
    put(area, 1);
    _Atomic uint64_t *words = fetch_mapped(1);
    words[3] = 77;
    keeper_trial_kill(&trial);
    assert_int_equal(trial.kept_count, KEPT_ALWAYS + 2);
    /* In whatever order they come. */
    for (unsigned i = 0, last = trial.kept_count - 1; i < last; i++, last--) {
        struct keeper_kept first = trial.kept[i];
        trial.kept[i] = trial.kept[last];
        trial.kept[last] = first;
    }
    keeper_trial_start(&trial);
    assert_int_equal(fetch(&fetched), 0);
    assert_memory_equal(fetched.area, area, sizeof area);
    assert_int_equal(fetched.segments.count, 2);
    usage_fetched_close(&fetched);
    _Atomic uint64_t *again = fetch_mapped(1);
    assert_int_equal(again[3], 77);
    words[4] = 78;
    assert_int_equal(again[4], 78);
    unmap(words, 1);
    unmap(again, 1);
    /* And it goes on from there. */
    put(area, 2);
    keeper_trial_kill(&trial);
    assert_int_equal(trial.kept_count, KEPT_ALWAYS + 3);
}

static void the_service_manager_keeps_no_area_that_was_replaced(void **state)
{
    (void)state;
    put(area, 0);
    put(area, 1);
    put(other_area, 0);
    keeper_trial_listen(&trial);
    assert_int_equal(trial.kept_count, KEPT_ALWAYS + 1);
    assert_string_equal(trial.kept[KEPT_ALWAYS].name, "usage.02020202020202020202020202020202.0");
}

/* Starts with what is in the store now, which is no whole area: nothing of it is open then. */
static void assert_dropped(const char *line, unsigned descriptors)
{
    keeper_trial_start(&trial);
    assert_int_equal(fetched_count(), 0);
    assert_true(keeper_trial_said(&trial, line));
    keeper_trial_await_descriptors(&trial, descriptors);
    keeper_trial_kill(&trial);
    for (unsigned i = 0; i < trial.kept_count; i++)
        if (trial.kept[i].name[0] == '\0') { /* without a name it cannot be asked for */
            close(trial.kept[i].fd);
            trial.kept[i--] = trial.kept[--trial.kept_count];
        }
    assert_int_equal(trial.kept_count, KEPT_ALWAYS);
    assert_int_equal(truncate(trial.log, 0), 0);
}

static void keep(const char *name, int fd)
{
    keeper_trial_keep(&trial, name, fd);
}

#define NAME_1 "usage.01010101010101010101010101010101."
#define NAME_2 "usage.02020202020202020202020202020202."

static void what_is_not_the_whole_of_one_area_is_not_taken_back(void **state)
{
    (void)state;
    keeper_trial_start(&trial);
    unsigned plain = keeper_trial_descriptors(&trial);
    keeper_trial_kill(&trial);
    keep(NAME_1 "1", keeper_trial_segment(1));
    assert_dropped("a segment is missing", plain);
    keep(NAME_1 "0", keeper_trial_segment(0));
    keep(NAME_1 "2", keeper_trial_segment(2));
    assert_dropped("a segment is missing", plain);
    keep(NAME_1 "0", keeper_trial_segment(0));
    keep(NAME_2 "1", keeper_trial_segment(1));
    assert_dropped("\"" NAME_2 "1\" is another area's", plain);
    keep(NAME_1 "0", keeper_trial_segment(0));
    keep(NAME_1 "0", keeper_trial_segment(0));
    assert_dropped("\"" NAME_1 "0\" was kept twice", plain);
    keep(NAME_1 "0", keeper_trial_segment(0));
    keep(NAME_1 "1", keeper_trial_segment(2));
    assert_dropped("\"" NAME_1 "1\" is unfit", plain);
    keep("stored", keeper_trial_segment(0));
    assert_dropped("\"stored\" is no segment", plain);
    keep(NAME_1 "00", keeper_trial_segment(0));
    assert_dropped("is no segment", plain);
    keep("usage.00000000000000000000000000000000.0", keeper_trial_segment(0));
    assert_dropped("is no segment", plain);
    keep(NAME_1 "18", keeper_trial_segment(0));
    assert_dropped("is no segment", plain);
    /* Fewer names than descriptors. */
    keep(NAME_1 "0", keeper_trial_segment(0));
    keep("", keeper_trial_segment(1));
    assert_dropped("\"\" is no segment", plain);
}

#define started(test) cmocka_unit_test_setup_teardown(test, set_up_started, tear_down)
#define stopped(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define with_users(test) cmocka_unit_test_setup_teardown(test, set_up_users, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        started(without_an_area_there_are_no_segments),
        started(whoever_gets_the_area_gets_the_same_memory),
        started(an_area_can_have_all_of_its_segments),
        started(another_area_takes_the_place_of_the_one_before),
        started(only_the_next_segment_of_the_same_area_is_added),
        started(the_same_segment_again_is_no_mistake),
        started(what_can_be_taken_away_or_has_another_size_is_refused),
        started(an_area_has_a_name),
        started(an_unfit_segment_of_another_area_replaces_nothing),
        started(what_is_no_request_closes_the_connection),
        started(descriptors_that_do_not_belong_are_closed_with_the_connection),
        started(an_unknown_request_or_version_is_told_so),
        with_users(who_may_map_the_table_gets_the_area_and_nobody_else_does),
        with_users(only_root_and_the_keepers_own_user_can_put),
        started(silent_clients_do_not_keep_a_good_one_from_its_answer),
        started(no_more_connections_are_open_than_a_keeper_has_room_for),
        cmocka_unit_test_setup_teardown(answers_that_nobody_takes_do_not_use_up_what_may_be_sent,
                                        set_up, tear_down_hoarder),
        started(many_clients_at_once_are_all_answered),
        started(the_socket_of_a_killed_keeper_is_replaced),
        started(a_second_keeper_leaves_the_place_to_the_first),
        started(a_keeper_without_its_lock_is_found_on_its_socket),
        stopped(beside_one_that_has_the_lock_and_is_silent_none_starts),
        stopped(of_many_that_start_at_once_one_stays),
        stopped(what_is_no_keepers_socket_stays_where_it_is),
        started(it_ends_when_run_dir_is_removed),
        started(it_ends_though_it_is_busy_when_its_socket_is_removed),
        started(it_leaves_the_socket_that_replaced_its_own),
        started(it_ends_by_a_signal_and_takes_its_socket_along),
        started(the_next_keeper_gets_the_area_back_from_the_service_manager),
        started(the_service_manager_keeps_no_area_that_was_replaced),
        stopped(what_is_not_the_whole_of_one_area_is_not_taken_back),
    };
    keeper_trial_area(1, area);
    keeper_trial_area(2, other_area);
    return cmocka_run_group_tests_name("keeper", tests, NULL, NULL);
}
