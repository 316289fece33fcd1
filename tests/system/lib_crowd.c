#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_crowd.h"

void crowd_open(struct crowd *crowd, struct trial *trial)
{
    *crowd = (struct crowd){.trial = trial};
    crowd->shared = mmap(NULL, sizeof *crowd->shared, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(crowd->shared != MAP_FAILED);
}

void crowd_kill(struct crowd *crowd, unsigned number)
{
    if (crowd->workers[number] <= 0)
        return;
    kill(crowd->workers[number], SIGKILL);
    waitpid(crowd->workers[number], NULL, 0);
    crowd->workers[number] = 0;
}

void crowd_close(struct crowd *crowd)
{
    for (unsigned i = 0; i < CROWD_WORKERS_MAX; i++)
        crowd_kill(crowd, i);
    munmap(crowd->shared, sizeof *crowd->shared);
}

void crowd_create(struct crowd *crowd, unsigned count)
{
    char name[16];
    redisContext *admin = trial_connect(crowd->trial);
    for (; crowd->key_count < count; crowd->key_count++) {
        snprintf(name, sizeof name, "k%u", crowd->key_count);
        trial_create(admin, name, "o", &crowd->keys[crowd->key_count]);
    }
    redisFree(admin);
}

static void verify_one(const struct crowd *crowd, struct catlatch *latch,
                       struct crowd_counts *counts, unsigned key)
{
    enum catlatch_result result = trial_verify(latch, crowd->keys[key].raw);
    if (result == CATLATCH_VALID)
        atomic_fetch_add(&counts->granted[key], 1);
    else if (result == CATLATCH_UNAVAILABLE)
        atomic_fetch_add(&counts->unavailable, 1);
    else
        atomic_fetch_add(&counts->refused[key], 1);
    atomic_fetch_add(&counts->verified, 1);
}

/* A child's: no assertions here. */
static void work(const struct crowd *crowd, unsigned number)
{
    struct catlatch *latch = trial_attach_quietly(crowd->trial);
    if (latch == NULL)
        _exit(1);
    for (uint64_t n = number; !atomic_load(&crowd->shared->end); n++)
        verify_one(crowd, latch, &crowd->shared->workers[number],
                   (unsigned)(n * 7919 % crowd->key_count));
    catlatch_close(latch);
    _exit(0);
}

void crowd_start(struct crowd *crowd, unsigned number)
{
    crowd->workers[number] = fork();
    assert_true(crowd->workers[number] >= 0);
    if (crowd->workers[number] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(crowd, number);
    }
}

void crowd_await(const struct crowd *crowd, unsigned number, uint64_t more)
{
    _Atomic uint64_t *verified = &crowd->shared->workers[number].verified;
    uint64_t until = atomic_load(verified) + more;
    while (atomic_load(verified) < until)
        usleep(1000);
}

void crowd_end(struct crowd *crowd)
{
    int status;
    atomic_store(&crowd->shared->end, true);
    for (unsigned i = 0; i < CROWD_WORKERS_MAX; i++) {
        if (crowd->workers[i] <= 0)
            continue;
        assert_int_equal(waitpid(crowd->workers[i], &status, 0), crowd->workers[i]);
        assert_int_equal(status, 0);
        crowd->workers[i] = 0;
    }
}

uint64_t crowd_granted(const struct crowd *crowd, unsigned key)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < CROWD_WORKERS_MAX; i++)
        sum += atomic_load(&crowd->shared->workers[i].granted[key]);
    return sum;
}

uint64_t crowd_refused(const struct crowd *crowd, unsigned key)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < CROWD_WORKERS_MAX; i++)
        sum += atomic_load(&crowd->shared->workers[i].refused[key]);
    return sum;
}

uint64_t crowd_number(redisContext *admin, const struct trial_key *key, const char *member)
{
    redisReply *reply = trial_ask(admin, "KEY.GET %s", key->id);
    assert_false(trial_is_error(reply, ""));
    long long number = trial_number(reply, member);
    freeReplyObject(reply);
    assert_true(number >= 0);
    return (uint64_t)number;
}
