#include "lib_outage.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/generation.h"

void in_folder(char ret_path[TRIAL_PATH_SIZE], const char *folder, const char *name)
{
    assert_in_range(snprintf(ret_path, TRIAL_PATH_SIZE, "%s/%s", folder, name), 1,
                    TRIAL_PATH_SIZE - 1);
}

bool exists(const char *folder, const char *name)
{
    char path[TRIAL_PATH_SIZE];
    in_folder(path, folder, name);
    return access(path, F_OK) == 0;
}

struct table_header *map_table(const struct trial *trial, size_t *ret_size)
{
    char path[TRIAL_PATH_SIZE];
    struct stat status;
    in_folder(path, trial->run_dir, "table");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    *ret_size = (size_t)status.st_size;
    void *base = mmap(NULL, *ret_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    close(fd);
    return base;
}

void age_heartbeat(const struct trial *trial, uint64_t age_ms)
{
    size_t size;
    struct table_header *header = map_table(trial, &size);
    assert_true(atomic_load(&header->pulse) != TABLE_PULSE_SUPERSEDED);
    atomic_store(&header->pulse, generation_now_ms() - age_ms);
    munmap(header, size);
}

void start_with_key(struct trial *trial, struct trial_key *ret_key)
{
    trial_start(trial);
    redisContext *admin = trial_connect(trial);
    trial_create(admin, "the key", "alice", ret_key);
    redisFree(admin);
}

void revoke_key(const struct trial *trial, const struct trial_key *key)
{
    redisContext *admin = trial_connect(trial);
    trial_do(admin, "KEY.REVOKE %s", key->id);
    redisFree(admin);
}

static uint64_t answered(struct worker *worker)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= CATLATCH_UNAVAILABLE; i++)
        sum += atomic_load(&worker->answers[i]);
    return sum;
}

static void run_worker(const struct trial *trial, struct worker *worker, const char *raw)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct catlatch *latch = trial_attach_quietly(trial);
    while (!atomic_load(&worker->end))
        atomic_fetch_add(&worker->answers[trial_verify(latch, raw)], 1);
    catlatch_close(latch);
    _exit(0);
}

void await_answers(struct worker *worker, uint64_t count)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    count += answered(worker);
    while (answered(worker) < count) {
        assert_true(trial_clock_ns() < end_ns);
        poll(NULL, 0, 1);
    }
}

struct worker *start_worker(const struct trial *trial, const char *raw)
{
    struct worker *worker =
        mmap(NULL, sizeof *worker, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(worker, MAP_FAILED);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_worker(trial, worker, raw);
    worker->pid = pid;
    await_answers(worker, 100);
    return worker;
}

void end_worker(struct worker *worker, enum catlatch_result only)
{
    int status = -1;
    atomic_store(&worker->end, true);
    assert_int_equal(waitpid(worker->pid, &status, 0), worker->pid);
    assert_true(WIFEXITED(status));
    for (int i = 0; i <= CATLATCH_UNAVAILABLE; i++) {
        uint64_t count = atomic_load(&worker->answers[i]);
        if (i != (int)only && count > 0)
            fail_msg("a worker answered %s %llu times",
                     catlatch_result_name((enum catlatch_result)i), (unsigned long long)count);
    }
    munmap(worker, sizeof *worker);
}

void await_other_generation(const struct trial *trial, uint64_t generation)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    redisContext *admin = trial_connect(trial);
    while (trial_stat(admin, "generation") == generation) {
        assert_true(trial_clock_ns() < end_ns);
        poll(NULL, 0, 20);
    }
    redisFree(admin);
}

uint64_t generation_of(const struct trial *trial)
{
    redisContext *admin = trial_connect(trial);
    uint64_t generation = trial_stat(admin, "generation");
    redisFree(admin);
    return generation;
}
