/*
 * lib_board.h - what is known of every key, for worker processes that verify while keys change.
 *
 * The parent alone writes what is known: before it sends a change that could alter the answer it
 * moves the key to BOARD_CHANGING, and when the reply is there to what must be answered from then
 * on. A worker looks at the key's word before and after a verification, as one looks at a clock:
 * when both times it is the same word, the verification began after that word was written and ended
 * before another was, and there is one right answer. The word holds the moment (CLOCK_MONOTONIC) at
 * which it was written, so that what a worker saw can be told by one clock.
 *
 * The board lies in anonymous shared memory; the parent frees it after its workers have ended.
 */
#ifndef TESTS_LIB_BOARD_H
#define TESTS_LIB_BOARD_H

#include <stdatomic.h>

#include "../system/lib_daemon.h"

#define BOARD_KEYS_MAX 32768u
#define BOARD_OWNERS_MAX 64u
#define BOARD_WORKERS_MAX 8u

/* What must be answered. */
enum board_phase {
    BOARD_NOTHING = 0, /* it is not known what the key's text is: not for workers */
    BOARD_ACTIVE,
    BOARD_CHANGING, /* valid, disabled or revoked; never "not found", never "unavailable" */
    BOARD_DISABLED,
    BOARD_REVOKED,
    BOARD_PHASES,
};

struct board_key {
    _Atomic uint64_t word; /* moment << 3 | phase */
    /* The key is called "k<label> r<revision>" and has the scopes k<label> and r<revision>; both
     * change together. Which revision is seen: at least the one, at most the other. */
    _Atomic uint32_t revision_acknowledged;
    _Atomic uint32_t revision_sent;
    uint32_t label;
    uint32_t owner; /* called "o<owner>" */
    struct trial_key key;

    /* The parent's own. */
    bool disabled;
    bool revoked;
    bool rotated;
    bool busy; /* a change of it is under way */
};

struct board_worker {
    _Atomic uint64_t judged[BOARD_PHASES]; /* verifications with one right answer, and changing */
    _Atomic uint64_t narrowed;             /* asked for a scope that was taken away, and refused */
    _Atomic uint64_t identities;
    _Atomic uint64_t wrong;
    char first_wrong[256]; /* written before the first `wrong` */
    pid_t pid;
    /* When the last verification that was granted began: for each key. */
    _Atomic uint64_t last_grant_ns[BOARD_KEYS_MAX];
};

struct board {
    _Atomic uint32_t key_count;
    _Atomic bool end;
    uint32_t worker_count;
    struct board_worker workers[BOARD_WORKERS_MAX];
    struct board_key keys[BOARD_KEYS_MAX];
};

struct board *board_new(void);

/* Ends the workers, if any, and frees. */
void board_free(struct board *board);

/* Forks a worker that verifies until the board ends. */
void board_start_worker(struct board *board, const struct trial *trial);

/* Sets the end and waits for the workers: each must end well and have seen nothing wrong.
 * Afterwards no grant may have begun after the moment from which the key was known to be revoked.
 */
void board_end(struct board *board);

/* Fails at once when a worker has seen something wrong or is gone. */
void board_check(const struct board *board);

/* The fewest that any worker judged of a phase. */
uint64_t board_judged(const struct board *board, enum board_phase phase);

/* A new key, not to be seen by workers yet; NULL when the board is full. */
struct board_key *board_add(struct board *board);

void board_set(struct board_key *key, enum board_phase phase);
enum board_phase board_phase(const struct board_key *key);

/* What must be answered in a phase. */
enum catlatch_result board_answer(enum board_phase phase);

#endif
