/*
 * flusher.h - a thread that flushes the store's log while the store thread goes on.
 *
 * One flush at a time: flusher_begin, then flusher_wait. What was committed before the first is on
 * the disk when the second has returned 0.
 */
#ifndef DAEMON_FLUSHER_H
#define DAEMON_FLUSHER_H

#include <uv.h>

#include "daemon/store.h"

struct flusher {
    struct store *store;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t changed;

    /* Under the lock. */
    bool wanted; /* until the flush has ended */
    bool stopping;
    int result;
    struct error error;
};

/* Returns 0 or E_MEMORY, and then nothing runs. */
int flusher_start(struct flusher *flusher, struct store *store, struct error *error);

/* Ends the thread. No flush may be under way. */
void flusher_stop(struct flusher *flusher);

void flusher_begin(struct flusher *flusher);

/* Blocks until the flush that was begun has ended. Returns what store_flush did. */
int flusher_wait(struct flusher *flusher, struct error *error);

#endif
