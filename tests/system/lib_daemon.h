/*
 * lib_daemon.h - a catlatchd of the test's own: in folders of its own, started, stopped, killed and
 * started again; connections to it; and the library on its table.
 *
 * The program is $CATLATCH_BUILD/catlatchd ("build" when unset). run_dir lies on /dev/shm where
 * that can be written, everything else in TMPDIR. Whatever should not happen here is a failed
 * cmocka assertion, so none of this is for forked children, except trial_attach_quietly,
 * trial_verify and trial_clock_ns. A daemon dies with the test that started it.
 */
#ifndef TESTS_LIB_DAEMON_H
#define TESTS_LIB_DAEMON_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "catlatch.h"

/* Nothing that is waited for takes this long, unless it never comes. */
#define TRIAL_PATIENCE_MS 60000

/* Paths are short: a socket's holds 107 bytes. */
#define TRIAL_PATH_SIZE 128

#define TRIAL_RAW_SIZE 64

struct trial {
    char folder[TRIAL_PATH_SIZE]; /* holds all but run_dir */
    char shared[TRIAL_PATH_SIZE]; /* holds run_dir */
    char config[TRIAL_PATH_SIZE];
    char state_dir[TRIAL_PATH_SIZE];
    char run_dir[TRIAL_PATH_SIZE];
    char admin_dir[TRIAL_PATH_SIZE];
    char log[TRIAL_PATH_SIZE]; /* what the daemons said */
    pid_t pid;                 /* 0: none runs */
    int pidfd;
    int notify;                 /* NOTIFY_SOCKET's other end */
    const char *const *wrapper; /* a program and its arguments that run the daemon; NULL: none */
};

/* Makes the folders and a configuration whose [daemon] has these further lines (NULL: none). */
void trial_open(struct trial *trial, const char *settings);

/* Writes the configuration anew, as after a change of the paths above. */
void trial_configure(const struct trial *trial, const char *settings);

/* Kills what runs and removes the folders. */
void trial_close(struct trial *trial);

/* Starts the daemon, with this argument if it is not NULL, and does not wait for it. */
void trial_launch(struct trial *trial, const char *argument);
void trial_await_ready(struct trial *trial);
void trial_start(struct trial *trial); /* both */

/* True as soon as the daemon is ready; false after timeout_ms, or if it ended. */
bool trial_is_ready_within(struct trial *trial, int timeout_ms);

/* The exit status of a daemon that ends by itself before it is ready. */
int trial_await_refusal(struct trial *trial);

void trial_stop(struct trial *trial); /* SIGTERM; it must end well */
void trial_kill(struct trial *trial); /* SIGKILL; it must have lived until then */
bool trial_lives(const struct trial *trial);

/* Whether a daemon of this trial ever said this. */
bool trial_said(const struct trial *trial, const char *text);

void trial_remove_tree(const char *path);

/* Connections: synchronous, RESP2. */
redisContext *trial_connect(const struct trial *trial); /* to the admin socket */
redisContext *trial_connect_verify(const struct trial *trial);

/* One command, as redisCommand's format has it; the caller frees the reply. */
redisReply *trial_ask(redisContext *connection, const char *format, ...);

/* The same for a command that must succeed, or that must be refused with this word. */
void trial_do(redisContext *connection, const char *format, ...);
void trial_refused(redisContext *connection, const char *word, const char *format, ...);

/* A member of a map; NULL if it has none of that name. */
const redisReply *trial_member(const redisReply *map, const char *name);
const char *trial_text(const redisReply *map, const char *name);   /* "" for a null */
long long trial_number(const redisReply *map, const char *name);   /* -1 for a null */
bool trial_is_error(const redisReply *reply, const char *word);    /* an error with this word */
uint64_t trial_stat(redisContext *connection, const char *member); /* of STATS */

struct trial_key {
    char id[CATLATCH_ID_SIZE];
    char raw[TRIAL_RAW_SIZE];
};
void trial_create(redisContext *connection, const char *name, const char *owner,
                  struct trial_key *ret_key);

/* KEY.GET's state. */
void trial_assert_state(redisContext *connection, const struct trial_key *key, const char *state);

/* The library. trial_attach_quietly returns NULL when it cannot. */
struct catlatch *trial_attach(const struct trial *trial);
struct catlatch *trial_attach_quietly(const struct trial *trial);
enum catlatch_result trial_verify(struct catlatch *latch, const char *raw);

/* Verifies until this is the answer, and fails when it does not come. */
void trial_await_result(struct catlatch *latch, const char *raw, enum catlatch_result result);

uint64_t trial_clock_ns(void); /* CLOCK_MONOTONIC */

/* CATLATCH_LONG: the long count, otherwise the short one. */
unsigned trial_scale(unsigned count, unsigned long_count);

#endif
