#include "daemon/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/huge.h"
#include "daemon/patience.h"
#include "usage/fetch.h"

#define SEGMENT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* What others may look at while a segment is added. */
struct edition {
    struct usage_area area;
    struct edition *before; /* which somebody may still use */
};

struct tally {
    char *run_dir;
    struct trust trust;
    pthread_mutex_t lock; /* of what the threads that reserve and tend share */
    int fds[USAGE_SEGMENTS_MAX];
    _Atomic(struct edition *) newest; /* NULL: no area yet */
    uint64_t *owners[USAGE_SEGMENTS_MAX];
    _Atomic uint32_t highest;
    _Atomic bool has_blocks; /* somebody wanted one, */
    bool has_refused;        /* and there was none; the store thread's */
    _Atomic bool
        unoffered; /* the keeper could not be asked, or did not take it, when tended last */
    void *groups;  /* a tree of struct group */
};

/* Keys that share their limits. */
struct group {
    uint64_t id;
    uint32_t block;
};

static const struct usage_area no_area = {.segment_count = 0};

const struct usage_area *tally_area(const struct tally *tally)
{
    if (tally == NULL)
        return NULL;
    /* acquire: pairs with publish */
    const struct edition *newest = atomic_load_explicit(&tally->newest, memory_order_acquire);
    return newest != NULL && newest->area.segment_count > 0 ? &newest->area : NULL;
}

static const struct usage_area *area_or_none(const struct tally *tally)
{
    const struct usage_area *area = tally_area(tally);
    return area != NULL ? area : &no_area;
}

static int publish(struct tally *tally, const struct usage_area *area, struct error *error)
{
    struct edition *edition = malloc(sizeof *edition);
    if (edition == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "making a usage area");
    edition->area = *area;
    edition->before = atomic_load_explicit(&tally->newest, memory_order_relaxed);
    /* release: pairs with tally_area */
    atomic_store_explicit(&tally->newest, edition, memory_order_release);
    return 0;
}

static size_t owners_size(unsigned k)
{
    return usage_segment_records(k) * sizeof(uint64_t);
}

/* Zeros, which take no memory before they are written. */
static int make_owners(unsigned k, uint64_t **ret_owners, struct error *error)
{
    void *owners = mmap(NULL, owners_size(k), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (owners == MAP_FAILED)
        return error_errno(error, errno, "making a usage area");
    *ret_owners = owners;
    return 0;
}

static void drop_segment(struct tally *tally, const struct usage_area *area, unsigned k)
{
    munmap(area->segments[k], usage_segment_size(k));
    munmap(tally->owners[k], owners_size(k));
    close(tally->fds[k]);
}

/* Maps the descriptor as the area's next segment. It is taken over if this succeeds. */
static int add_segment(struct tally *tally, struct usage_area *area, int fd, struct error *error)
{
    unsigned k = area->segment_count;
    size_t size = usage_segment_size(k);
    void *base = huge_map(fd, size, PROT_READ | PROT_WRITE);
    if (base == MAP_FAILED)
        return error_errno(error, errno, "mapping %zu MiB of the usage area", size >> 20);
    int r = make_owners(k, &tally->owners[k], error);
    if (r != 0) {
        munmap(base, size);
        return r;
    }
    area->segments[k] = base;
    tally->fds[k] = fd;
    area->segment_count++;
    return 0;
}

/* All of its memory now: a worker must not be the one who finds that there is none. */
static int fill_segment(int fd, unsigned k, struct error *error)
{
    size_t size = usage_segment_size(k);
    if (fchmod(fd, 0600) != 0 || ftruncate(fd, (off_t)size) != 0)
        return error_errno(error, errno, "making %zu MiB of usage area", size >> 20);
    void *base = huge_map(fd, size, PROT_READ | PROT_WRITE);
    if (base != MAP_FAILED) {
        huge_populate(base, size);
        munmap(base, size);
    }
    int failed = posix_fallocate(fd, 0, (off_t)size);
    if (failed != 0)
        return error_errno(error, failed, "no memory for %zu MiB of usage area", size >> 20);
    if (fcntl(fd, F_ADD_SEALS, SEGMENT_SEALS) != 0)
        return error_errno(error, errno, "sealing the usage area");
    return 0;
}

static int make_segment(struct tally *tally, struct usage_area *area, struct error *error)
{
    int fd = memfd_create("catlatch-usage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return error_errno(error, errno, "making a usage area");
    int r = fill_segment(fd, area->segment_count, error);
    if (r == 0)
        r = add_segment(tally, area, fd, error);
    if (r != 0)
        close(fd);
    return r;
}

/* What the keeper has is mapped; what of it cannot be is not there. */
static int take_fetched(struct tally *tally, struct usage_fetched *fetched, struct error *error)
{
    struct usage_area area = {.segment_count = 0};
    int r = 0;

    memcpy(area.id, fetched->area, sizeof area.id);
    for (unsigned i = 0; i < fetched->segments.count; i++) {
        if (r == 0)
            r = add_segment(tally, &area, fetched->segments.fds[i], error);
        if (r != 0)
            close(fetched->segments.fds[i]);
    }
    if (r == 0 && area.segment_count > 0)
        r = publish(tally, &area, error);
    if (r != 0)
        for (unsigned k = 0; k < area.segment_count; k++)
            drop_segment(tally, &area, k);
    return r;
}

int tally_open(const char *run_dir, unsigned patience_ms, struct tally **ret_tally,
               struct error *ret_why, struct error *error)
{
    struct usage_fetched fetched;
    struct tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL || (tally->run_dir = strdup(run_dir)) == NULL) {
        free(tally);
        return error_set(error, CATLATCH_E_MEMORY, "making a usage area");
    }
    tally->trust = trust_self();
    pthread_mutex_init(&tally->lock, NULL);
    *ret_why = (struct error){0};
    if (usage_fetch(run_dir, &tally->trust, patience_ms, &fetched, ret_why) == 0)
        take_fetched(tally, &fetched, ret_why);
    *ret_tally = tally;
    return 0;
}

static void drop_area(struct tally *tally)
{
    const struct usage_area *area = area_or_none(tally);
    for (unsigned k = 0; k < area->segment_count; k++)
        drop_segment(tally, area, k);
    for (struct edition *each = atomic_load(&tally->newest); each != NULL;) {
        struct edition *before = each->before;
        free(each);
        each = before;
    }
    atomic_store(&tally->newest, NULL);
}

void tally_free(struct tally *tally)
{
    if (tally == NULL)
        return;
    tdestroy(tally->groups, free);
    drop_area(tally);
    pthread_mutex_destroy(&tally->lock);
    free(tally->run_dir);
    free(tally);
}

bool tally_adopt(struct tally *tally, const struct table_view *previous)
{
    const struct usage_area *area = area_or_none(tally);
    if (previous == NULL || area->segment_count == 0 ||
        memcmp(previous->header->usage_area, area->id, sizeof area->id) != 0) {
        drop_area(tally);
        return false;
    }
    uint64_t refs = atomic_load_explicit(&previous->header->usage_refs, memory_order_relaxed);
    uint32_t capacity = usage_capacity(area->segment_count);
    tally->highest = refs < capacity ? (uint32_t)refs : capacity;
    return true;
}

/* Under the lock. */
static int begin_area(struct usage_area *area, struct error *error)
{
    if (area->segment_count == 0 && RAND_bytes(area->id, (int)sizeof area->id) != 1)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "no random numbers to be had");
    return 0;
}

static int offer(struct tally *tally, const struct usage_area *area, unsigned from,
                 struct error *error)
{
    int r = 0;
    for (unsigned k = from; k < area->segment_count && r == 0; k++)
        r = usage_offer(tally->run_dir, &tally->trust, PATIENCE_MS, area->id, k, tally->fds[k],
                        error);
    return r;
}

int tally_reserve(struct tally *tally, uint64_t key_count, struct error *error)
{
    if (atomic_load_explicit(&tally->has_blocks, memory_order_relaxed))
        key_count *= TALLY_REFS_WITH_BLOCK;
    int wanted = usage_segments_for(key_count + tally->highest);
    if (wanted < 0)
        return error_set(error, wanted, "no usage area holds %" PRIu64 " keys beside %u", key_count,
                         (unsigned)tally->highest);
    pthread_mutex_lock(&tally->lock);
    struct usage_area area = *area_or_none(tally);
    unsigned before = area.segment_count;
    int r = begin_area(&area, error);
    while (r == 0 && area.segment_count < (unsigned)wanted)
        r = make_segment(tally, &area, error);
    if (area.segment_count > before) {
        int published = publish(tally, &area, error);
        if (published != 0) {
            for (unsigned k = before; k < area.segment_count; k++)
                drop_segment(tally, &area, k);
            r = published;
        } else {
            offer(tally, &area, before, NULL);
        }
    }
    pthread_mutex_unlock(&tally->lock);
    return r;
}

uint32_t tally_highest(const struct tally *tally)
{
    return atomic_load_explicit(&tally->highest, memory_order_relaxed);
}

/* NULL: the area has no such record. */
static uint64_t *owner_at(const struct tally *tally, uint32_t ref)
{
    if (ref == 0 || ref > usage_capacity(area_or_none(tally)->segment_count))
        return NULL;
    return tally->owners[usage_segment_of(ref)] + usage_index_of(ref);
}

uint32_t tally_take(struct tally *tally, uint64_t key_id)
{
    uint64_t *owner = owner_at(tally, tally->highest + 1);
    if (owner == NULL)
        return 0;
    *owner = key_id;
    return ++tally->highest;
}

void tally_expect_blocks(struct tally *tally)
{
    atomic_store_explicit(&tally->has_blocks, true, memory_order_relaxed);
}

uint32_t tally_take_block(struct tally *tally)
{
    uint32_t block = (tally_highest(tally) + 2) / 2 * 2; /* both records in one segment */

    tally_expect_blocks(tally);
    if (owner_at(tally, block + 1) == NULL) {
        tally->has_refused = true;
        return 0;
    }
    atomic_store_explicit(&tally->highest, block + 1, memory_order_relaxed);
    return block;
}

bool tally_has_refused(const struct tally *tally)
{
    return tally->has_refused;
}

static int compare_groups(const void *left, const void *right)
{
    uint64_t a = ((const struct group *)left)->id, b = ((const struct group *)right)->id;
    return (a > b) - (a < b);
}

uint32_t tally_group_block(const struct tally *tally, uint64_t group)
{
    const struct group wanted = {.id = group};
    struct group **found = tfind(&wanted, &tally->groups, compare_groups);
    return found != NULL ? (*found)->block : 0;
}

int tally_know_group(struct tally *tally, uint64_t group, uint32_t block)
{
    struct group *fresh = malloc(sizeof *fresh);
    if (fresh == NULL)
        return CATLATCH_E_MEMORY;
    *fresh = (struct group){group, block};
    struct group **found = tsearch(fresh, &tally->groups, compare_groups);
    if (found == NULL || *found != fresh)
        free(fresh);
    return found != NULL ? 0 : CATLATCH_E_MEMORY;
}

void tally_give_back(struct tally *tally, uint32_t ref)
{
    uint64_t *owner = owner_at(tally, ref);
    if (owner == NULL || ref != tally->highest)
        return;
    *owner = 0;
    tally->highest--;
}

struct group_of {
    uint32_t block;
    struct group *found;
};

static void find_group_of(const void *node, VISIT visit, void *context)
{
    struct group *group = *(struct group *const *)node;
    struct group_of *wanted = context;

    if ((visit == preorder || visit == leaf) && group->block == wanted->block)
        wanted->found = group;
}

/* Nobody shares what is given back. */
static void forget_group_of(struct tally *tally, uint32_t block)
{
    struct group_of wanted = {.block = block};

    twalk_r(tally->groups, find_group_of, &wanted);
    if (wanted.found == NULL)
        return;
    tdelete(wanted.found, &tally->groups, compare_groups);
    free(wanted.found);
}

void tally_give_block_back(struct tally *tally, uint32_t block)
{
    if (block == 0 || tally_highest(tally) != block + 1)
        return;
    forget_group_of(tally, block);
    atomic_store_explicit(&tally->highest, block - 1, memory_order_relaxed);
}

void tally_rewind(struct tally *tally, uint32_t highest)
{
    tally->has_refused = false;
    tdestroy(tally->groups, free);
    tally->groups = NULL;
    while (tally_highest(tally) > highest)
        tally_give_back(tally, tally_highest(tally));
}

void tally_know(struct tally *tally, uint32_t ref, uint64_t key_id)
{
    uint64_t *owner = owner_at(tally, ref);
    if (owner != NULL)
        *owner = key_id;
    if (owner != NULL && ref > tally->highest)
        tally->highest = ref;
}

uint64_t tally_owner(const struct tally *tally, uint32_t ref)
{
    const uint64_t *owner = owner_at(tally, ref);
    return owner != NULL ? *owner : 0;
}

int tally_tend(struct tally *tally, struct error *error)
{
    struct usage_fetched fetched;
    if (tally_area(tally) == NULL)
        return 0;
    pthread_mutex_lock(&tally->lock);
    const struct usage_area *area = area_or_none(tally);
    int r = usage_fetch(tally->run_dir, &tally->trust, PATIENCE_MS, &fetched, error);
    if (r == 0) {
        bool ours = memcmp(fetched.area, area->id, sizeof area->id) == 0;
        unsigned have = ours ? fetched.segments.count : 0;
        usage_fetched_close(&fetched);
        r = offer(tally, area, have, error);
    }
    pthread_mutex_unlock(&tally->lock);
    atomic_store_explicit(&tally->unoffered, r != 0, memory_order_relaxed);
    return r;
}

bool tally_is_offered(const struct tally *tally)
{
    return !atomic_load_explicit(&tally->unoffered, memory_order_relaxed);
}
