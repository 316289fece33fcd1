#include "daemon/generation.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/boot.h"
#include "core/huge.h"

/* Workers read by their group; nobody but us writes. */
#define TABLE_MODE 0640

/* "table." and 20 digits. */
#define NAME_SIZE 32

uint64_t generation_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    uint64_t ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return ms > 0 ? ms : 1;
}

static void generation_name(uint64_t number, char ret_name[NAME_SIZE])
{
    snprintf(ret_name, NAME_SIZE, "table.%" PRIu64, number);
}

static int open_dir(const char *run_dir, int *ret_fd, struct error *error)
{
    int fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, errno, "run_dir %s", run_dir);
    *ret_fd = fd;
    return 0;
}

/* Every page now, so that no write to the mapping can meet a full tmpfs (SIGBUS): the second is
 * what counts. */
static int allocate(int fd, const struct generation *generation)
{
    huge_populate(generation->base, generation->size);
    return posix_fallocate(fd, 0, (off_t)generation->size);
}

static int map_file(int fd, const char *run_dir, const struct table_params *params,
                    struct generation *generation, struct error *error)
{
    struct stat status;
    if (fchmod(fd, TABLE_MODE) != 0 || ftruncate(fd, (off_t)generation->size) != 0 ||
        fstat(fd, &status) != 0)
        return error_errno(error, errno, "making a table in %s", run_dir);
    generation->base = huge_map(fd, generation->size, PROT_READ | PROT_WRITE);
    if (generation->base == MAP_FAILED)
        return error_errno(error, errno, "mapping a table of %zu MiB in %s", generation->size >> 20,
                           run_dir);
    int failed = allocate(fd, generation);
    if (failed != 0)
        return error_errno(error, failed,
                           "a table of %zu MiB does not fit into run_dir %s (a tmpfs of its own "
                           "should hold two)",
                           (generation->size >> 20) + 1, run_dir);
    generation->device = status.st_dev;
    generation->inode = status.st_ino;
    return table_format(&generation->writer, generation->base, generation->size, params);
}

static int prepare_params(const struct table_params *params, struct table_params *ret_params,
                          struct error *error)
{
    struct timespec now;
    *ret_params = *params;
    clock_gettime(CLOCK_REALTIME, &now);
    ret_params->created_unix_s = (uint64_t)now.tv_sec;
    if (RAND_priv_bytes((unsigned char *)ret_params->seed, sizeof ret_params->seed) != 1)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "no random numbers to be had");
    if (boot_id_read(ret_params->boot_id) != 0)
        return error_set(error, CATLATCH_E_IO, "/proc/sys/kernel/random/boot_id cannot be read");
    return 0;
}

int generation_make(const char *run_dir, const struct table_params *params,
                    struct generation **ret_generation, struct error *error)
{
    struct table_params own;
    char name[NAME_SIZE];
    int dir = -1, fd = -1, r;
    struct generation *generation = calloc(1, sizeof *generation);
    if (generation == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "making a table");
    generation->base = MAP_FAILED;
    generation->number = params->generation;
    generation->size = table_size(params);
    if (generation->size == 0) {
        r = error_set(error, CATLATCH_E_ARGUMENT, "a table for %" PRIu64 " keys is too large",
                      params->capacity);
        goto out;
    }
    if ((r = prepare_params(params, &own, error)) != 0 || (r = open_dir(run_dir, &dir, error)) != 0)
        goto out;
    generation_name(params->generation, name);
    unlinkat(dir, name, 0);
    fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        r = error_errno(error, errno, "making %s/%s", run_dir, name);
        goto out;
    }
    r = map_file(fd, run_dir, &own, generation, error);
    if (r != 0)
        unlinkat(dir, name, 0);
out:
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    if (r == 0) {
        *ret_generation = generation;
    } else {
        if (generation->base != MAP_FAILED)
            munmap(generation->base, generation->size);
        free(generation);
    }
    return r;
}

int generation_publish(struct generation *generation, const char *run_dir, struct error *error)
{
    char name[NAME_SIZE];
    int dir = -1, r;
    if ((r = open_dir(run_dir, &dir, error)) != 0)
        return r;
    generation_name(generation->number, name);
    table_beat(generation->writer.header, generation_now_ms());
    unlinkat(dir, "table.new", 0);
    if (linkat(dir, name, dir, "table.new", 0) != 0 ||
        renameat(dir, "table.new", dir, "table") != 0)
        r = error_errno(error, errno, "publishing %s/table", run_dir);
    else
        generation->published = true;
    if (r != 0)
        unlinkat(dir, "table.new", 0);
    close(dir);
    return r;
}

void generation_retire(struct generation *generation, const char *run_dir)
{
    char name[NAME_SIZE];
    int dir = -1;
    table_supersede(generation->writer.header);
    if (open_dir(run_dir, &dir, NULL) != 0)
        return; /* gone, and the name with it */
    generation_name(generation->number, name);
    unlinkat(dir, name, 0);
    close(dir);
}

void generation_free(struct generation *generation, const char *run_dir)
{
    if (generation == NULL)
        return;
    if (!generation->published)
        generation_retire(generation, run_dir);
    munmap(generation->base, generation->size);
    free(generation);
}

static bool is_at(const struct generation *generation, const char *run_dir, const char *name)
{
    struct stat status;
    int dir = -1;
    if (open_dir(run_dir, &dir, NULL) != 0)
        return false;
    bool same = fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                status.st_dev == generation->device && status.st_ino == generation->inode;
    close(dir);
    return same;
}

bool generation_is_named(const struct generation *generation, const char *run_dir)
{
    char name[NAME_SIZE];
    generation_name(generation->number, name);
    return is_at(generation, run_dir, name);
}

bool generation_is_in_place(const struct generation *generation, const char *run_dir)
{
    return is_at(generation, run_dir, "table");
}

/* "table.<number>", the number without leading zeros; 0 for any other name. */
static uint64_t number_of(const char *name)
{
    char again[NAME_SIZE];
    if (strncmp(name, "table.", 6) != 0)
        return 0;
    uint64_t number = strtoull(name + 6, NULL, 10);
    generation_name(number, again);
    return strcmp(again, name) == 0 ? number : 0;
}

/* Maps a file of run_dir if it is a table of ours. Returns false for anything else. */
static bool map_other(int dir, const char *name, int protection, struct table_view *ret_view)
{
    struct stat status;
    int flags = (protection & PROT_WRITE) != 0 ? O_RDWR : O_RDONLY;
    int fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    void *base = MAP_FAILED;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
        status.st_size >= TABLE_PAGE)
        base = mmap(NULL, (size_t)status.st_size, protection, MAP_SHARED, fd, 0);
    close(fd);
    if (base == MAP_FAILED)
        return false;
    if (table_view_init(ret_view, base, (size_t)status.st_size, NULL) == 0)
        return true;
    munmap(base, (size_t)status.st_size);
    return false;
}

typedef void each_generation(void *context, int dir, const char *name, uint64_t number);

static int for_each(const char *run_dir, each_generation *visit, void *context, struct error *error)
{
    DIR *stream = opendir(run_dir);
    if (stream == NULL)
        return error_errno(error, errno, "run_dir %s", run_dir);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        uint64_t number = number_of(entry->d_name);
        if (number != 0)
            visit(context, dirfd(stream), entry->d_name, number);
    }
    closedir(stream);
    return 0;
}

struct looking {
    uint64_t expected;
    struct generation_found found;
};

void generation_unmap(const struct table_view *view)
{
    munmap((void *)(uintptr_t)view->header, view->size);
}

bool generation_map_published(const char *run_dir, struct table_view *ret_view)
{
    int dir = -1;
    if (open_dir(run_dir, &dir, NULL) != 0)
        return false;
    bool mapped = map_other(dir, "table", PROT_READ, ret_view);
    close(dir);
    return mapped;
}

static void look_at(void *context, int dir, const char *name, uint64_t number)
{
    struct looking *looking = context;
    struct table_view view;
    if (number > looking->found.highest)
        looking->found.highest = number;
    if (number == looking->expected && map_other(dir, name, PROT_READ, &view)) {
        looking->found.has_expected = true;
        generation_unmap(&view);
    }
}

/* A generation that readers may have must not lose the name by which it is found and marked. */
static void name_again(int dir, uint64_t number)
{
    char name[NAME_SIZE];
    generation_name(number, name);
    if (linkat(dir, "table", dir, name, 0) != 0)
        return; /* it has it, as it should be; otherwise it will be missed and waited for */
}

int generation_look(const char *run_dir, uint64_t expected, struct generation_found *ret_found,
                    struct error *error)
{
    struct looking looking = {.expected = expected};
    struct table_view view;
    int dir = -1, r = open_dir(run_dir, &dir, error);
    if (r != 0)
        return r;
    if (map_other(dir, "table", PROT_READ, &view)) {
        looking.found.epoch = view.epoch;
        looking.found.sequence = atomic_load_explicit(&view.header->sequence, memory_order_acquire);
        name_again(dir, view.generation);
        generation_unmap(&view);
    }
    close(dir);
    r = for_each(run_dir, look_at, &looking, error);
    if (r == 0)
        *ret_found = looking.found;
    return r;
}

struct marking {
    uint64_t own;
    uint64_t expected;
    bool found;
};

static void mark(void *context, int dir, const char *name, uint64_t number)
{
    struct marking *marking = context;
    struct table_view view;
    if (number == marking->own || !map_other(dir, name, PROT_READ | PROT_WRITE, &view))
        return;
    table_supersede((struct table_header *)(uintptr_t)view.header);
    marking->found |= view.generation == marking->expected;
    generation_unmap(&view);
    unlinkat(dir, name, 0);
}

int generation_mark_others(const char *run_dir, uint64_t own, uint64_t expected, bool *ret_found,
                           struct error *error)
{
    struct marking marking = {.own = own, .expected = expected};
    int r = for_each(run_dir, mark, &marking, error);
    if (r == 0)
        *ret_found = marking.found;
    return r;
}
