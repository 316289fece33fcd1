#include "daemon/census.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/boot.h"
#include "daemon/op_queue.h"
#include "daemon/patience.h"
#include "usage/fetch.h"

/* A list has thirty-two pages at most. */
#define LIST_TIMEOUT_MS 1000

/* Reading a segment takes some 100 us of the loop's time, which anybody may ask for. */
#define RESULTS_AGE_MS 100u

/* A segment, for as long as this process lives. */
struct edition {
    struct process_segment *segment;
    struct process_line *line; /* ours; NULL: none */
    uint32_t number;           /* of it */
    dev_t device;
    ino_t inode;
    unsigned char id[RESULTS_SEGMENT_BYTES];
    struct edition *before;
};

struct census {
    char *run_dir;
    struct trust trust;
    _Atomic(struct edition *) newest; /* NULL: there is none yet */
    pthread_mutex_t lock;
    struct results known; /* under the lock */

    /* The loop's. */
    uint64_t counts[PROCESS_RESULTS]; /* of this age: */
    uint64_t counted_ms;              /* 0: not yet */
    struct op_queue waiting;
    struct op *op; /* that is carried out; NULL: none */
    uv_work_t work;
};

static uint64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct edition *newest_of(const struct census *census)
{
    /* acquire: pairs with take_segment */
    return census != NULL ? atomic_load_explicit(&census->newest, memory_order_acquire) : NULL;
}

static void name_segment(struct edition *edition, const struct stat *file)
{
    uint64_t inode = file->st_ino;

    static_assert(BOOT_ID_BYTES + sizeof inode == RESULTS_SEGMENT_BYTES, "a boot and an inode");
    if (boot_id_read(edition->id) != 0)
        memset(edition->id, 0xff, BOOT_ID_BYTES); /* all boots are one, as far as we know */
    memcpy(edition->id + BOOT_ID_BYTES, &inode, sizeof inode);
    edition->device = file->st_dev;
    edition->inode = file->st_ino;
}

/* Maps what the keeper gave, and publishes it. */
static void take_segment(struct census *census, const struct usage_attached *attached)
{
    struct stat file;
    struct edition *edition = calloc(1, sizeof *edition);

    if (edition == NULL || fstat(attached->processes, &file) != 0) {
        free(edition);
        return;
    }
    edition->segment = mmap(NULL, sizeof *edition->segment, PROT_READ | PROT_WRITE, MAP_SHARED,
                            attached->processes, 0);
    if (edition->segment == MAP_FAILED) {
        free(edition);
        return;
    }
    edition->number = attached->line;
    edition->line = process_line_at(edition->segment, attached->line);
    name_segment(edition, &file);
    edition->before = newest_of(census);
    /* release: pairs with newest_of */
    atomic_store_explicit(&census->newest, edition, memory_order_release);
}

/* The keeper's segment, without taking a line: its last page of processes. */
static bool is_current(const struct census *census, unsigned patience_ms)
{
    struct usage_processes page;
    struct stat file;
    const struct edition *newest = newest_of(census);

    if (usage_processes(census->run_dir, &census->trust, patience_ms, PROCESS_LINES - 1, &page,
                        NULL) != 0)
        return true; /* nothing better is to be had */
    bool same = newest != NULL && fstat(page.segment, &file) == 0 &&
                file.st_dev == newest->device && file.st_ino == newest->inode;
    usage_processes_close(&page);
    return same;
}

static void follow_keeper(struct census *census, unsigned patience_ms)
{
    struct usage_attached attached;

    if (is_current(census, patience_ms) ||
        usage_attach(census->run_dir, &census->trust, patience_ms, &attached, NULL) != 0)
        return;
    take_segment(census, &attached);
    usage_attached_close(&attached);
}

void census_tend(struct census *census)
{
    follow_keeper(census, PATIENCE_MS);
}

int census_open(const char *run_dir, unsigned patience_ms, struct census **ret_census,
                struct error *error)
{
    struct census *census = calloc(1, sizeof *census);

    if (census == NULL || (census->run_dir = strdup(run_dir)) == NULL) {
        free(census);
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    }
    census->trust = trust_self();
    pthread_mutex_init(&census->lock, NULL);
    op_queue_init(&census->waiting);
    follow_keeper(census, patience_ms);
    *ret_census = census;
    return 0;
}

void census_free(struct census *census)
{
    if (census == NULL)
        return;
    struct edition *each = newest_of(census);
    if (each != NULL && each->number != 0)
        usage_detach(census->run_dir, &census->trust, PATIENCE_MS, each->number, NULL);
    while (each != NULL) {
        struct edition *before = each->before;
        munmap(each->segment, sizeof *each->segment);
        free(each);
        each = before;
    }
    pthread_mutex_destroy(&census->lock);
    free(census->run_dir);
    free(census);
}

void census_note(const struct census *census, enum catlatch_result result)
{
    const struct edition *newest = newest_of(census);

    if (newest != NULL)
        process_note(newest->line, result);
}

void census_note_generation(const struct census *census, uint64_t generation)
{
    const struct edition *newest = newest_of(census);

    if (newest != NULL)
        process_note_generation(newest->line, generation);
}

bool census_look(const struct census *census, struct results_look *ret_look)
{
    const struct edition *newest = newest_of(census);

    if (newest == NULL || !process_read_totals(newest->segment, &ret_look->totals))
        return false;
    memcpy(ret_look->segment, newest->id, sizeof ret_look->segment);
    return true;
}

void census_know(struct census *census, const struct results *results)
{
    pthread_mutex_lock(&census->lock);
    census->known = *results;
    pthread_mutex_unlock(&census->lock);
}

void census_results(struct census *census, uint64_t ret_counts[PROCESS_RESULTS])
{
    uint64_t now_ms = monotonic_ms(), more[PROCESS_RESULTS];
    struct results_look look;

    memset(ret_counts, 0, PROCESS_RESULTS * sizeof *ret_counts);
    if (census == NULL)
        return;
    if (census->counted_ms == 0 || now_ms - census->counted_ms >= RESULTS_AGE_MS) {
        pthread_mutex_lock(&census->lock);
        struct results results = census->known;
        pthread_mutex_unlock(&census->lock);
        if (census_look(census, &look))
            results_advance(&results, &look, more);
        memcpy(census->counts, results.counts, sizeof census->counts);
        census->counted_ms = now_ms;
    }
    memcpy(ret_counts, census->counts, sizeof census->counts);
}

/* When a line was given out, by the clock of the wall. */
static int64_t attached_unix_s(uint64_t attached_ms)
{
    uint64_t now_ms = monotonic_ms();

    return (int64_t)time(NULL) -
           (int64_t)((attached_ms < now_ms ? now_ms - attached_ms : 0) / 1000);
}

static void read_process(const struct process_segment *segment, const struct keeper_process *from,
                         struct op_process *ret)
{
    const struct process_line *line = &segment->lines[from->line];

    *ret = (struct op_process){
        .pid = from->pid,
        .uid = from->uid,
        .attached_unix_s = attached_unix_s(from->attached_ms),
        /* relaxed: it is told, and rests on nothing */
        .generation = atomic_load_explicit(&line->generation, memory_order_relaxed),
    };
    process_read_line(line, &ret->counts);
}

/* Behind those that the operation has. */
static int take_page(struct op *op, const struct usage_processes *page)
{
    struct process_segment *segment =
        mmap(NULL, sizeof *segment, PROT_READ, MAP_SHARED, page->segment, 0);

    if (segment == MAP_FAILED)
        return error_set(&op->error, CATLATCH_E_MEMORY, "mapping the process segment");
    for (unsigned i = 0; i < page->count && op->process_count < PROCESS_LINES; i++)
        read_process(segment, &page->list[i], &op->processes[op->process_count++]);
    munmap(segment, sizeof *segment);
    return 0;
}

static void list_processes(const struct census *census, struct op *op)
{
    struct usage_processes page = {.next = 1};
    uint64_t end_ms = monotonic_ms() + LIST_TIMEOUT_MS;
    int r = 0;

    op->processes = op_alloc(op, PROCESS_LINES * sizeof *op->processes);
    if (op->processes == NULL)
        error_set(&op->error, CATLATCH_E_MEMORY, "listing processes");
    while (op->error.code == 0 && page.next != 0) {
        if (monotonic_ms() >= end_ms)
            r = error_set(&op->error, CATLATCH_E_UNAVAILABLE,
                          "the usage keeper takes too long to tell who is attached");
        else
            r = usage_processes(census->run_dir, &census->trust, PATIENCE_MS, page.next, &page,
                                &op->error);
        if (r != 0)
            return;
        take_page(op, &page);
        usage_processes_close(&page);
    }
}

static void work(uv_work_t *work)
{
    const struct census *census = work->data;

    list_processes(census, census->op);
}

static void begin_next(struct census *census, uv_loop_t *loop);

static void worked(uv_work_t *work, int status)
{
    struct census *census = work->data;
    struct op *op = census->op;

    (void)status;
    census->op = NULL;
    begin_next(census, work->loop);
    op->done(op);
}

static void begin_next(struct census *census, uv_loop_t *loop)
{
    census->work.data = census;
    while ((census->op = op_queue_take(&census->waiting)) != NULL &&
           uv_queue_work(loop, &census->work, work, worked) != 0) {
        struct op *op = census->op;
        error_set(&op->error, CATLATCH_E_UNAVAILABLE, "no thread can ask the usage keeper");
        op->done(op);
    }
}

void census_submit(struct census *census, uv_loop_t *loop, struct op *op)
{
    op_queue_add(&census->waiting, op);
    if (census->op == NULL)
        begin_next(census, loop);
}
