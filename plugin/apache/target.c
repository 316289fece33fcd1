/*
 * The handles of a child. Each service has a shelf of those that no thread uses at the moment; a
 * thread takes the one that was used last, or opens one where there is none. There are as many as
 * were ever used at once.
 *
 * A child can be idle for long, and its handles must not hold on to tables that were followed by
 * others: a thread of its own sees to that, whatever the MPM.
 */
#include "plugin/apache/mod_catlatch.h"

#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_proc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

APLOG_USE_MODULE(catlatch);

#define MESSAGE_SIZE 512

#define TRIED_AGAIN_US apr_time_from_sec(1)
#define REFRESH_US apr_time_from_sec(10)

/* The thread opens and maps files, with paths on its stack. */
#define STACK_SIZE ((apr_size_t)256 * 1024)

struct shelf {
    apr_thread_mutex_t *lock;
    struct held *idle;   /* the one that was used last is the first */
    apr_time_t tried_us; /* when opening one failed last; 0: never */
};

/* What a child has to end. */
struct child {
    apr_array_header_t *targets;
    apr_thread_t *refresher; /* NULL: there is none */
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *ends;
    bool is_ending;
};

static bool is_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

struct target *target_make(apr_pool_t *pconf, apr_array_header_t *targets, const char *config,
                           const char *service)
{
    struct target *target;

    for (int i = 0; i < targets->nelts; i++) {
        target = APR_ARRAY_IDX(targets, i, struct target *);
        if (is_same(target->config, config) && is_same(target->service, service))
            return target;
    }
    target = apr_pcalloc(pconf, sizeof *target);
    target->config = config;
    target->service = service;
    APR_ARRAY_PUSH(targets, struct target *) = target;
    return target;
}

static struct catlatch *open_latch(const struct target *target, char *message, size_t message_size)
{
    const struct catlatch_options options = {
        .size = sizeof options, .config_path = target->config, .service = target->service};
    struct catlatch *latch = NULL;

    message[0] = '\0';
    return catlatch_open(&options, &latch, message, message_size) == 0 ? latch : NULL;
}

bool target_try(const struct target *target, char *message, size_t message_size)
{
    struct catlatch *latch = open_latch(target, message, message_size);

    catlatch_close(latch);
    return latch != NULL;
}

/* A child that cannot open a service lives: it may serve others. */
static struct held *open_held(const struct target *target, const server_rec *server)
{
    char message[MESSAGE_SIZE];
    struct held *held = calloc(1, sizeof *held);

    if (held != NULL)
        held->latch = open_latch(target, message, sizeof message);
    if (held != NULL && held->latch != NULL)
        return held;
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, server,
                 "catlatch: %s; until that is mended requests for it are answered 503",
                 held != NULL ? message : "out of memory");
    free(held);
    return NULL;
}

struct held *target_take(const struct target *target, const server_rec *server)
{
    struct shelf *shelf = target->shelf;
    apr_time_t now_us = apr_time_now();

    apr_thread_mutex_lock(shelf->lock);
    struct held *held = shelf->idle;
    if (held != NULL)
        shelf->idle = held->next;
    bool is_due = held == NULL && (shelf->tried_us == 0 || now_us < shelf->tried_us ||
                                   now_us - shelf->tried_us >= TRIED_AGAIN_US);
    apr_thread_mutex_unlock(shelf->lock);
    if (!is_due)
        return held;
    held = open_held(target, server);
    if (held == NULL) {
        apr_thread_mutex_lock(shelf->lock);
        shelf->tried_us = now_us;
        apr_thread_mutex_unlock(shelf->lock);
    }
    return held;
}

void target_give_back(const struct target *target, struct held *held)
{
    struct shelf *shelf = target->shelf;

    if (held == NULL)
        return;
    apr_thread_mutex_lock(shelf->lock);
    held->next = shelf->idle;
    shelf->idle = held;
    apr_thread_mutex_unlock(shelf->lock);
}

/* One that was not refreshed in this round; it is off the shelf then. */
static struct held *take_stale(struct shelf *shelf, unsigned round)
{
    struct held *held, **at;

    apr_thread_mutex_lock(shelf->lock);
    for (at = &shelf->idle; (held = *at) != NULL; at = &held->next)
        if (held->round != round)
            break;
    if (held != NULL)
        *at = held->next;
    apr_thread_mutex_unlock(shelf->lock);
    return held;
}

/* Behind all others, so that those which threads use stay in front. */
static void put_behind(struct shelf *shelf, struct held *held)
{
    struct held **at;

    apr_thread_mutex_lock(shelf->lock);
    for (at = &shelf->idle; *at != NULL;)
        at = &(*at)->next;
    held->next = NULL;
    *at = held;
    apr_thread_mutex_unlock(shelf->lock);
}

static void refresh_all(const struct child *child, unsigned round)
{
    struct held *held;

    for (int i = 0; i < child->targets->nelts; i++) {
        struct shelf *shelf = APR_ARRAY_IDX(child->targets, i, struct target *)->shelf;
        while ((held = take_stale(shelf, round)) != NULL) {
            catlatch_refresh(held->latch);
            held->round = round;
            put_behind(shelf, held);
        }
    }
}

static void *APR_THREAD_FUNC refresh_until_end(apr_thread_t *thread, void *data)
{
    struct child *child = data;
    unsigned round = 0;

    apr_thread_mutex_lock(child->lock);
    while (!child->is_ending) {
        apr_status_t status = apr_thread_cond_timedwait(child->ends, child->lock, REFRESH_US);
        if (child->is_ending || !APR_STATUS_IS_TIMEUP(status))
            continue;
        apr_thread_mutex_unlock(child->lock);
        refresh_all(child, ++round);
        apr_thread_mutex_lock(child->lock);
    }
    apr_thread_mutex_unlock(child->lock);
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}

/* False: who was interrupted holds it, and this very thread may be who it was. */
static bool can_lock(apr_thread_mutex_t *lock)
{
    return apr_thread_mutex_trylock(lock) == APR_SUCCESS;
}

static bool end_refresher(struct child *child)
{
    apr_status_t status;

    if (child->refresher == NULL)
        return true;
    if (!can_lock(child->lock))
        return false;
    child->is_ending = true;
    apr_thread_cond_signal(child->ends);
    apr_thread_mutex_unlock(child->lock);
    return apr_thread_join(&status, child->refresher) == APR_SUCCESS;
}

static void close_shelf(struct shelf *shelf)
{
    struct held *held;

    if (!can_lock(shelf->lock))
        return;
    while ((held = shelf->idle) != NULL) {
        shelf->idle = held->next;
        catlatch_close(held->latch);
        free(held);
    }
    apr_thread_mutex_unlock(shelf->lock);
}

static struct shelf *shelf_at(const struct child *child, int i)
{
    return APR_ARRAY_IDX(child->targets, i, struct target *)->shelf;
}

/* What it uses is not held at the moment, so it will end. */
static bool can_end_refresher(const struct child *child)
{
    for (int i = 0; i < child->targets->nelts; i++) {
        if (!can_lock(shelf_at(child, i)->lock))
            return false;
        apr_thread_mutex_unlock(shelf_at(child, i)->lock);
    }
    return true;
}

/* prefork's children end in a signal handler, wherever they were: nothing is waited for that the
 * interrupted may hold, and what is left is left to the end of the process. */
static apr_status_t end_child(void *data)
{
    struct child *child = data;

    if (!can_end_refresher(child) || !end_refresher(child))
        return APR_SUCCESS;
    for (int i = 0; i < child->targets->nelts; i++)
        close_shelf(shelf_at(child, i));
    return APR_SUCCESS;
}

/* httpd's signals are not for this thread. */
static apr_status_t start_refresher(struct child *child, apr_pool_t *pchild)
{
    apr_threadattr_t *attributes;
    sigset_t all, before;
    apr_status_t status = apr_threadattr_create(&attributes, pchild);

    if (status == APR_SUCCESS)
        status = apr_threadattr_stacksize_set(attributes, STACK_SIZE);
    if (status != APR_SUCCESS)
        return status;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    status = apr_thread_create(&child->refresher, attributes, refresh_until_end, child, pchild);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static apr_status_t make_shelf(struct target *target, apr_pool_t *pchild)
{
    target->shelf = apr_pcalloc(pchild, sizeof *target->shelf);
    return apr_thread_mutex_create(&target->shelf->lock, APR_THREAD_MUTEX_DEFAULT, pchild);
}

static apr_status_t begin_child(struct child *child, apr_pool_t *pchild)
{
    apr_status_t status = apr_thread_mutex_create(&child->lock, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (status == APR_SUCCESS)
        status = apr_thread_cond_create(&child->ends, pchild);
    for (int i = 0; i < child->targets->nelts && status == APR_SUCCESS; i++)
        status = make_shelf(APR_ARRAY_IDX(child->targets, i, struct target *), pchild);
    return status;
}

/* One handle of each service that is known to be needed is opened at once, so that the log tells
 * early of what it cannot have. A child without locks is none. */
void target_begin_child(apr_pool_t *pchild, const server_rec *server, apr_array_header_t *targets)
{
    struct child *child = apr_pcalloc(pchild, sizeof *child);
    apr_status_t status;

    child->targets = targets;
    status = begin_child(child, pchild);
    if (status != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, status, server, "catlatch: no locks to be had");
        exit(APEXIT_CHILDSICK);
    }
    /* Before the pool of the thread goes, which is of this one. */
    apr_pool_pre_cleanup_register(pchild, child, end_child);
    status = start_refresher(child, pchild);
    if (status != APR_SUCCESS)
        ap_log_error(APLOG_MARK, APLOG_WARNING, status, server,
                     "catlatch: no thread to be had; while idle this child holds on to old tables");
    for (int i = 0; i < targets->nelts; i++) {
        const struct target *target = APR_ARRAY_IDX(targets, i, struct target *);
        if (target->place.file != NULL)
            target_give_back(target, target_take(target, server));
    }
}
