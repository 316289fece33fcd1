#include "daemon/flusher.h"

/* Under the lock, which is open while it flushes. */
static void flush(struct flusher *flusher)
{
    struct error error = {0};

    uv_mutex_unlock(&flusher->lock);
    int r = store_flush(flusher->store, &error);
    uv_mutex_lock(&flusher->lock);
    flusher->result = r;
    flusher->error = error;
    flusher->wanted = false;
    uv_cond_signal(&flusher->changed);
}

static void run(void *context)
{
    struct flusher *flusher = context;

    uv_mutex_lock(&flusher->lock);
    while (!flusher->stopping) {
        if (flusher->wanted)
            flush(flusher);
        else
            uv_cond_wait(&flusher->changed, &flusher->lock);
    }
    uv_mutex_unlock(&flusher->lock);
}

int flusher_start(struct flusher *flusher, struct store *store, struct error *error)
{
    *flusher = (struct flusher){.store = store};
    if (uv_mutex_init(&flusher->lock) != 0)
        return error_set(error, CATLATCH_E_MEMORY, "starting the thread that flushes");
    if (uv_cond_init(&flusher->changed) != 0) {
        uv_mutex_destroy(&flusher->lock);
        return error_set(error, CATLATCH_E_MEMORY, "starting the thread that flushes");
    }
    if (uv_thread_create(&flusher->thread, run, flusher) == 0)
        return 0;
    uv_cond_destroy(&flusher->changed);
    uv_mutex_destroy(&flusher->lock);
    return error_set(error, CATLATCH_E_MEMORY, "starting the thread that flushes");
}

void flusher_stop(struct flusher *flusher)
{
    uv_mutex_lock(&flusher->lock);
    flusher->stopping = true;
    uv_cond_signal(&flusher->changed);
    uv_mutex_unlock(&flusher->lock);
    uv_thread_join(&flusher->thread);
    uv_cond_destroy(&flusher->changed);
    uv_mutex_destroy(&flusher->lock);
}

void flusher_begin(struct flusher *flusher)
{
    uv_mutex_lock(&flusher->lock);
    flusher->wanted = true;
    uv_cond_signal(&flusher->changed);
    uv_mutex_unlock(&flusher->lock);
}

int flusher_wait(struct flusher *flusher, struct error *error)
{
    uv_mutex_lock(&flusher->lock);
    while (flusher->wanted)
        uv_cond_wait(&flusher->changed, &flusher->lock);
    int r = flusher->result;
    if (r != 0)
        *error = flusher->error;
    uv_mutex_unlock(&flusher->lock);
    return r;
}
