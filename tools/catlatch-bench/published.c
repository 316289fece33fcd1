#include "published.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/boot.h"
#include "core/huge.h"
#include "lib/handle.h"
#include "table/writer.h"

#define KEYS_PER_OWNER 10

struct published {
    char folder[64]; /* "" until it was made */
    char config[96];
    char run_dir[96];
    char table[128];
    void *base;
    size_t size;
    struct table_writer writer;
    struct published_kind kind;
    struct usage_area area; /* of one whose uses are counted; as a worker has it mapped */
};

static int make_folder(struct published *published, struct error *error)
{
    const char *parent = access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
    char folder[sizeof published->folder];
    snprintf(folder, sizeof folder, "%s/catlatch-bench-XXXXXX", parent);
    if (mkdtemp(folder) == NULL)
        return error_errno(error, errno, "making a folder in %s", parent);
    memcpy(published->folder, folder, sizeof folder);
    snprintf(published->config, sizeof published->config, "%s/catlatch.ini", folder);
    snprintf(published->run_dir, sizeof published->run_dir, "%s/run", folder);
    snprintf(published->table, sizeof published->table, "%s/table", published->run_dir);
    if (mkdir(published->run_dir, 0750) != 0)
        return error_errno(error, errno, "making %s", published->run_dir);
    return 0;
}

static int write_config(const struct published *published, const char *modules, struct error *error)
{
    FILE *file = fopen(published->config, "w");
    if (file == NULL)
        return error_errno(error, errno, "writing %s", published->config);
    fprintf(
        file,
        "[daemon]\nrun_dir = %s\nstate_dir = %s/state\n%s%s\n[environments]\nlive = " KEYS_PREFIX
        "\n[service default]\nrequisite = format\nrequired = table\n"
        "required = environment live\nrequired = scope\nrequired = address\nrequired = limit\n"
        "optional = audit\n",
        published->run_dir, published->folder, modules != NULL ? "module_dir = " : "",
        modules != NULL ? modules : "");
    bool failed = fchmod(fileno(file), 0600) != 0;
    failed |= fclose(file) != 0;
    return failed ? error_errno(error, errno, "writing %s", published->config) : 0;
}

static int map_file(struct published *published, struct error *error)
{
    int fd = open(published->table, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return error_errno(error, errno, "making %s", published->table);
    int failed = ftruncate(fd, (off_t)published->size) != 0 ? errno : 0;
    if (failed == 0) {
        published->base = huge_map(fd, published->size, PROT_READ | PROT_WRITE);
        failed = published->base == MAP_FAILED ? errno : 0;
    }
    if (failed == 0) {
        huge_populate(published->base, published->size);
        failed = posix_fallocate(fd, 0, (off_t)published->size);
    }
    close(fd);
    return failed == 0 ? 0
                       : error_errno(error, failed, "a table of %zu MiB in %s",
                                     published->size >> 20, published->folder);
}

static const struct rates no_limit_at_all = {
    1, {{.count = RATE_PER_SECOND_MAX, .period_s = 1, .burst = RATE_COUNT_MAX}}};

/* A record for each key, and where limits are charged a block behind it. */
static uint32_t records_of_key(const struct published *published)
{
    return published->kind.limited ? 4 : 1;
}

static uint32_t ref_of(const struct published *published, size_t number)
{
    return (uint32_t)(number + 1) * records_of_key(published);
}

static int put_key(struct published *published, const struct keys *keys, size_t number)
{
    char owner[32], name[32];
    struct table_claim claim;
    struct table_entry entry = {
        .id = number + 1,
        .prefix = {keys->texts[number], KEY_SHOWN_LEN},
        .environment = text_of("live"),
        .environment_prefix = text_of(KEYS_PREFIX),
        .well_formed = true,
    };
    if (published->kind.counted)
        entry.usage = ref_of(published, number);
    if (published->kind.limited) {
        entry.rates = &no_limit_at_all;
        entry.usage |= (uint64_t)(ref_of(published, number) + 2) << 32;
    }
    snprintf(owner, sizeof owner, "owner-%zu", number / KEYS_PER_OWNER);
    snprintf(name, sizeof name, "a name of 20: %06zu", number % 1000000);
    entry.owner = text_of(owner);
    entry.name = text_of(name);
    digest_of(keys->texts[number], KEYS_TEXT_LEN, &entry.digest);
    int r = table_claim(&published->writer, &entry, TABLE_ORDINARY, &claim);
    if (r == 0)
        table_publish(&published->writer, &claim);
    return r;
}

/* As the daemon makes it, but that nobody else gets it. */
static int make_area(struct published *published, size_t key_count, struct error *error)
{
    struct usage_area *area = &published->area;
    int count = usage_segments_for((key_count + 1) * records_of_key(published));
    if (count < 0)
        return error_set(error, count, "no usage area holds %zu keys", key_count);
    for (unsigned k = 0; k < (unsigned)count; k++) {
        size_t size = usage_segment_size(k);
        int fd = memfd_create("usage", MFD_CLOEXEC);
        if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
            return error_errno(error, errno, "a segment of %zu bytes", size);
        void *base = huge_map(fd, size, PROT_READ | PROT_WRITE);
        close(fd);
        if (base == MAP_FAILED)
            return error_errno(error, errno, "a segment of %zu bytes", size);
        huge_populate(base, size);
        area->segments[k] = base;
        area->segment_count = k + 1;
    }
    return 0;
}

static int fill(struct published *published, const struct table_params *params,
                const struct keys *keys, struct error *error)
{
    int r = table_format(&published->writer, published->base, published->size, params);
    for (size_t i = 0; i < keys->count && r == 0; i++)
        r = put_key(published, keys, i);
    if (r != 0)
        return error_set(error, r, "filling the table: %s", error_meaning(r));
    published_beat(published);
    return 0;
}

int published_make(const struct keys *keys, const char *modules, struct published_kind kind,
                   struct published **ret_published, struct error *error)
{
    struct table_params params = {
        .generation = 1,
        .epoch = 1,
        .seed = {UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707345)},
        .capacity = keys->count,
        .side_bytes_per_key = TABLE_SIDE_BYTES_PER_KEY + (kind.limited ? 8 : 0),
        .usage_area = {kind.counted},
        .created_unix_s = (uint64_t)time(NULL),
    };
    struct published *published = calloc(1, sizeof *published);
    if (published == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    published->kind = kind;
    published->base = MAP_FAILED;
    published->size = table_size(&params);
    int r = boot_id_read(params.boot_id);
    if (r != 0)
        error_set(error, r, "/proc/sys/kernel/random/boot_id cannot be read");
    if (r == 0 && (r = make_folder(published, error)) == 0 &&
        (r = write_config(published, modules, error)) == 0 &&
        (r = map_file(published, error)) == 0 &&
        (!kind.counted || (r = make_area(published, keys->count, error)) == 0))
        r = fill(published, &params, keys, error);
    if (r != 0) {
        published_free(published);
        return r;
    }
    *ret_published = published;
    return 0;
}

void published_hide(struct published *published)
{
    if (published->folder[0] == '\0')
        return;
    unlink(published->table);
    rmdir(published->run_dir);
    unlink(published->config);
    rmdir(published->folder);
    published->folder[0] = '\0';
}

void published_free(struct published *published)
{
    if (published == NULL)
        return;
    if (published->base != MAP_FAILED)
        munmap(published->base, published->size);
    for (unsigned k = 0; k < published->area.segment_count; k++)
        munmap(published->area.segments[k], usage_segment_size(k));
    published_hide(published);
    free(published);
}

void published_count(const struct published *published, struct catlatch *latch)
{
    latch->records = (struct records){.area = published->area,
                                      .generation = published->writer.view.generation,
                                      .whole = true,
                                      .fits = true,
                                      .line = latch->records.line};
    line_settle(&latch->records.line);
}

void published_uncount(struct catlatch *latch)
{
    latch->records = (struct records){.generation = 0, .line = latch->records.line};
}

const char *published_run_dir(const struct published *published)
{
    return published->run_dir;
}

const char *published_config(const struct published *published)
{
    return published->config;
}

void published_beat(struct published *published)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    table_beat(published->writer.header,
               (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 + 1);
}
