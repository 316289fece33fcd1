#include "lib_board.h"

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

#include "../unit/lib_table.h"

/* A worker opens its handle anew, on average, after so many verifications. */
#define REOPEN_EACH 64u

struct board *board_new(void)
{
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(board, MAP_FAILED);
    return board;
}

struct board_key *board_add(struct board *board)
{
    uint32_t count = atomic_load_explicit(&board->key_count, memory_order_relaxed);
    if (count == BOARD_KEYS_MAX)
        return NULL;
    /* Workers may look from now on, and see BOARD_NOTHING. */
    atomic_store_explicit(&board->key_count, count + 1, memory_order_release);
    return &board->keys[count];
}

static enum board_phase phase_of(uint64_t word)
{
    return (enum board_phase)(word & 7);
}

void board_set(struct board_key *key, enum board_phase phase)
{
    /* release: with the key's text, and after its reply was read */
    atomic_store_explicit(&key->word, trial_clock_ns() << 3 | (uint64_t)phase,
                          memory_order_release);
}

enum board_phase board_phase(const struct board_key *key)
{
    return phase_of(atomic_load_explicit(&key->word, memory_order_relaxed));
}

enum catlatch_result board_answer(enum board_phase phase)
{
    switch (phase) {
    case BOARD_ACTIVE:
        return CATLATCH_VALID;
    case BOARD_DISABLED:
        return CATLATCH_DISABLED;
    case BOARD_REVOKED:
        return CATLATCH_REVOKED;
    case BOARD_NOTHING:
    case BOARD_CHANGING:
    case BOARD_PHASES:
        break;
    }
    return CATLATCH_DENIED;
}

/* One verification, and what was known around it. */
struct look {
    struct board_worker *worker;
    struct catlatch *latch;
    const struct board_key *key;
    uint32_t number;
    uint64_t word; /* before; the same afterwards, or BOARD_CHANGING is assumed */
    uint32_t acknowledged;
    uint64_t began_ns;
    bool asks_old_scope;
    bool *seen_revoked; /* by key: it was answered once, and is final whatever dies */
};

static void wrong(const struct look *look, const char *what, const char *seen)
{
    struct board_worker *worker = look->worker;
    if (atomic_load(&worker->wrong) == 0)
        snprintf(worker->first_wrong, sizeof worker->first_wrong,
                 "%.40s: %.60s, phase %d since %llu ns, began %llu ns (key %s, label k%u, at least "
                 "r%u)",
                 what, seen, (int)phase_of(look->word), (unsigned long long)(look->word >> 3),
                 (unsigned long long)look->began_ns, look->key->key.id, look->key->label,
                 look->acknowledged);
    atomic_fetch_add(&worker->wrong, 1);
}

static bool is_stable(const struct look *look)
{
    /* acquire: what is read of the key came before */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&look->key->word, memory_order_relaxed) == look->word &&
           phase_of(look->word) != BOARD_CHANGING;
}

static void judge(const struct look *look, enum catlatch_result result, const char *call)
{
    enum board_phase phase = is_stable(look) ? phase_of(look->word) : BOARD_CHANGING;
    bool good;

    if (phase == BOARD_CHANGING)
        good = result == CATLATCH_VALID || result == CATLATCH_DISABLED ||
               result == CATLATCH_REVOKED ||
               (look->asks_old_scope && result == CATLATCH_INSUFFICIENT_SCOPE);
    else if (phase == BOARD_ACTIVE && look->asks_old_scope)
        good = result == CATLATCH_INSUFFICIENT_SCOPE;
    else
        good = result == board_answer(phase);
    if (result == CATLATCH_VALID && (look->asks_old_scope || look->seen_revoked[look->number]))
        good = false;
    if (result == CATLATCH_REVOKED)
        look->seen_revoked[look->number] = true;
    if (!good)
        wrong(look, call, catlatch_result_name(result));
    atomic_fetch_add_explicit(&look->worker->judged[phase], 1, memory_order_relaxed);
    if (look->asks_old_scope && result == CATLATCH_INSUFFICIENT_SCOPE)
        atomic_fetch_add_explicit(&look->worker->narrowed, 1, memory_order_relaxed);
}

/* Name and scopes of one revision, of this key, of an owner and with an id that are its own. */
static void judge_identity(const struct look *look, const struct catlatch_outcome *outcome)
{
    struct catlatch_identity identity = {.size = sizeof identity};
    const struct board_key *key = look->key;
    char owner[32], name[64];
    unsigned label = 0, revision = 0;

    int r = catlatch_identity(look->latch, outcome, &identity);
    uint32_t sent = atomic_load_explicit(&key->revision_sent, memory_order_acquire);
    if (r != 0) {
        wrong(look, "catlatch_identity", catlatch_strerror(r));
        return;
    }
    snprintf(owner, sizeof owner, "o%u", key->owner);
    if (sscanf(identity.name, "k%u r%u", &label, &revision) != 2 || label != key->label ||
        revision < look->acknowledged || revision > sent)
        wrong(look, "the name", identity.name);
    snprintf(name, sizeof name, "k%u r%u", label, revision);
    if (strcmp(identity.name, name) != 0 || strcmp(identity.scopes, name) != 0)
        wrong(look, "the scopes", identity.scopes);
    if (strcmp(identity.key_id, key->key.id) != 0 || strcmp(identity.owner, owner) != 0 ||
        strcmp(identity.environment, "live") != 0 ||
        strncmp(identity.prefix, key->key.raw, strlen(identity.prefix)) != 0)
        wrong(look, "the identity", identity.owner);
    atomic_fetch_add_explicit(&look->worker->identities, 1, memory_order_relaxed);
}

static void verify_one(struct look *look)
{
    const struct board_key *key = look->key;
    char scope[32];
    const char *scopes[] = {scope};
    struct catlatch_outcome outcome = {.size = sizeof outcome};
    struct catlatch_request request = {.size = sizeof request,
                                       .key = key->key.raw,
                                       .key_len = strlen(key->key.raw),
                                       .scopes = scopes,
                                       .scope_count = look->asks_old_scope};

    snprintf(scope, sizeof scope, "r%u", look->acknowledged - 1);
    look->began_ns = trial_clock_ns();
    enum catlatch_result result = catlatch_verify(look->latch, &request, &outcome);
    if (result == CATLATCH_VALID)
        atomic_store_explicit(&look->worker->last_grant_ns[look->number], look->began_ns,
                              memory_order_relaxed);
    judge(look, result, "catlatch_verify");
    if (outcome.matched != 1)
        return;
    judge_identity(look, &outcome);
    if (!look->asks_old_scope)
        judge(look, catlatch_recheck(look->latch, &outcome, NULL), "catlatch_recheck");
}

static void look_at(struct look *look, const struct board *board, uint32_t number, bool old_scope)
{
    look->key = &board->keys[number];
    look->number = number;
    /* acquire: pairs with board_set */
    look->word = atomic_load_explicit(&look->key->word, memory_order_acquire);
    if (phase_of(look->word) == BOARD_NOTHING)
        return;
    look->acknowledged =
        atomic_load_explicit(&look->key->revision_acknowledged, memory_order_acquire);
    look->asks_old_scope = old_scope && look->acknowledged > 0;
    verify_one(look);
}

static void run_worker(struct board *board, struct board_worker *worker, const struct trial *trial)
{
    static bool seen_revoked[BOARD_KEYS_MAX];
    struct look look = {.worker = worker, .seen_revoked = seen_revoked};
    uint64_t random = (uint64_t)(worker - board->workers) + 1;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (!atomic_load_explicit(&board->end, memory_order_relaxed)) {
        uint32_t count = atomic_load_explicit(&board->key_count, memory_order_acquire);
        uint64_t draw = sample_random(&random);
        /* Processes come and go: there is always a table for a new one too. */
        if (look.latch == NULL || (draw >> 40) % REOPEN_EACH == 0) {
            catlatch_close(look.latch);
            if ((look.latch = trial_attach_quietly(trial)) == NULL)
                _exit(1);
        }
        /* Of two draws, one among the newest: there is most going on. */
        uint32_t among = (draw & 1) != 0 && count > 64 ? 64 : count;
        if (count > 0)
            look_at(&look, board, count - 1 - (uint32_t)((draw >> 8) % among), (draw & 6) == 0);
    }
    catlatch_close(look.latch);
    _exit(0);
}

void board_start_worker(struct board *board, const struct trial *trial)
{
    assert_true(board->worker_count < BOARD_WORKERS_MAX);
    struct board_worker *worker = &board->workers[board->worker_count];
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        run_worker(board, worker, trial);
    worker->pid = pid;
    board->worker_count++;
}

void board_check(const struct board *board)
{
    for (uint32_t i = 0; i < board->worker_count; i++) {
        const struct board_worker *worker = &board->workers[i];
        uint64_t count = atomic_load(&worker->wrong);
        if (count > 0)
            fail_msg("worker %u: %llu wrong answers, the first: %s", i, (unsigned long long)count,
                     worker->first_wrong);
        siginfo_t info = {.si_pid = 0};
        if (waitid(P_PID, (id_t)worker->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
            info.si_pid != 0)
            fail_msg("worker %u is gone: status %d", i, info.si_status);
    }
}

uint64_t board_judged(const struct board *board, enum board_phase phase)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < board->worker_count; i++) {
        uint64_t count = atomic_load(&board->workers[i].judged[phase]);
        least = count < least ? count : least;
    }
    return least;
}

/* By the clock: a grant that began after the reply that told of the revocation. */
static void check_late_grants(const struct board *board, const struct board_worker *worker)
{
    uint32_t count = atomic_load(&board->key_count);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t word = atomic_load(&board->keys[i].word);
        uint64_t granted_ns = atomic_load(&worker->last_grant_ns[i]);
        if (phase_of(word) == BOARD_REVOKED && granted_ns > word >> 3)
            fail_msg("%s was granted %llu ns after its revocation was acknowledged",
                     board->keys[i].key.id, (unsigned long long)(granted_ns - (word >> 3)));
    }
}

void board_end(struct board *board)
{
    board_check(board);
    atomic_store(&board->end, true);
    for (uint32_t i = 0; i < board->worker_count; i++) {
        int status = -1;
        assert_int_equal(waitpid(board->workers[i].pid, &status, 0), board->workers[i].pid);
        board->workers[i].pid = 0;
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        if (board->workers[i].wrong > 0)
            fail_msg("worker %u: %s", i, board->workers[i].first_wrong);
        check_late_grants(board, &board->workers[i]);
    }
}

void board_free(struct board *board)
{
    if (board == NULL)
        return;
    atomic_store(&board->end, true);
    for (uint32_t i = 0; i < board->worker_count; i++)
        if (board->workers[i].pid != 0) {
            kill(board->workers[i].pid, SIGKILL);
            waitpid(board->workers[i].pid, NULL, 0);
        }
    munmap(board, sizeof *board);
}
