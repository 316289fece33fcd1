/*
 * lib_keeper.h - catlatch-keeper as a real process, in folders that go away with the test, and this
 * process as its service manager: what it stores there the next one gets.
 *
 * Failing to set any of it up is a failed cmocka assertion.
 */
#ifndef TESTS_LIB_KEEPER_H
#define TESTS_LIB_KEEPER_H

#include <stdbool.h>
#include <sys/types.h>

#include "usage/fetch.h"

/* Within this everything happens that does not take its time on purpose. */
#define KEEPER_TRIAL_PATIENCE_MS 20000

#define KEEPER_TRIAL_PATH 108 /* a socket's */
#define KEEPER_TRIAL_KEPT_MAX 64

/* What the store holds of any keeper: the process segment and the roll. */
#define KEEPER_TRIAL_KEPT_ALWAYS 2u

struct keeper_kept {
    char name[256];
    int fd;
};

struct keeper_trial {
    char folder[KEEPER_TRIAL_PATH]; /* of all the others */
    char run_dir[KEEPER_TRIAL_PATH];
    char socket[KEEPER_TRIAL_PATH];
    char config[KEEPER_TRIAL_PATH];
    char log[KEEPER_TRIAL_PATH];
    uid_t uid;      /* 0: started as we are; otherwise as this user, */
    gid_t gid;      /* this group, */
    unsigned files; /* and with this limit of open files; 0: as we are */
    bool older;     /* without SO_PEERPIDFD, as before Linux 6.5 */
    bool detaches;  /* with --detach: pid is the process that was called */
    pid_t pid;      /* 0: none runs */
    int pidfd;
    int notify; /* the service manager's socket */
    bool ready;
    struct keeper_kept kept[KEEPER_TRIAL_KEPT_MAX]; /* the descriptor store */
    unsigned kept_count;
};

/* `settings`: more lines of [daemon], or NULL. run_dir is not made. */
void keeper_trial_open(struct keeper_trial *trial, const char *settings);

/* Opened with a user and a group of workers in its configuration, which nobody has; and started, if
 * we are root. If not, tests of it skip themselves. */
#define KEEPER_TRIAL_UID 4242424
#define KEEPER_TRIAL_WORKERS_GID 4343434
void keeper_trial_start_with_users(struct keeper_trial *trial);
void keeper_trial_skip_unless_root(void);

void keeper_trial_close(struct keeper_trial *trial);

/* Starts one with what was kept. launch does not wait; start waits for READY=1. */
void keeper_trial_launch(struct keeper_trial *trial);
void keeper_trial_start(struct keeper_trial *trial);

/* Waits for the end and returns the exit status; a signal is a failure. */
int keeper_trial_await_end(struct keeper_trial *trial);
void keeper_trial_kill(struct keeper_trial *trial);

/* Takes what it has told its manager up to now. */
void keeper_trial_listen(struct keeper_trial *trial);

/* Takes a descriptor for the next one. */
void keeper_trial_keep(struct keeper_trial *trial, const char *name, int fd);

/* Loses what was kept under names that begin so. */
void keeper_trial_lose(struct keeper_trial *trial, const char *start);

bool keeper_trial_said(const struct keeper_trial *trial, const char *text);

/* Its open descriptors; skips the test where we may not look. */
unsigned keeper_trial_descriptors(const struct keeper_trial *trial);

/* Waits until it has this many: it closes connections after the client does. */
void keeper_trial_await_descriptors(const struct keeper_trial *trial, unsigned count);

/* A memfd that is fit for segment k, all zeros. */
int keeper_trial_segment(unsigned k);

/* The name of an area: all bytes are this one. */
void keeper_trial_area(uint8_t byte, uint8_t ret_area[KEEPER_AREA_BYTES]);

#endif
