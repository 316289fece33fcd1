#include "lib_latch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/boot.h"
#include "core/key.h"
#include "lib/attach.h"
#include "lib_modules.h"
#include "lib_table.h"

static void write_config(const struct latch_world *world, const char *services)
{
    FILE *file = fopen(world->config, "w");
    assert_non_null(file);
    fprintf(file,
            "[daemon]\nmodule_dir = %s\nrun_dir = %s\nstate_dir = %s/state\n"
            "[environments]\nlive = cc_live_\ntest = cc_test_\n%s",
            test_modules(), world->run_dir, world->folder, services);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(world->config, 0600), 0);
}

void latch_world_open(struct latch_world *world, const char *services)
{
    strcpy(world->folder, "/tmp/catlatch-latch-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    snprintf(world->run_dir, sizeof world->run_dir, "%s/run", world->folder);
    snprintf(world->table, sizeof world->table, "%s/table", world->run_dir);
    snprintf(world->config, sizeof world->config, "%s/catlatch.ini", world->folder);
    assert_int_equal(mkdir(world->run_dir, 0750), 0);
    assert_int_equal(chmod(world->run_dir, 0750), 0);
    write_config(world, services);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

void latch_world_close(struct latch_world *world)
{
    nftw(world->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void table_make(struct latch_table *table, const struct latch_world *world,
                       uint64_t generation, uint64_t capacity)
{
    struct table_params params = {
        .generation = generation,
        .epoch = 1,
        .seed = {3, 5},
        .capacity = capacity,
        .side_bytes_per_key = 200,
        .created_unix_s = 1,
    };
    assert_int_equal(boot_id_read(params.boot_id), 0);
    table->size = table_size(&params);
    snprintf(table->path, sizeof table->path, "%s/table.%llu", world->run_dir,
             (unsigned long long)generation);
    int fd = open(table->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(posix_fallocate(fd, 0, (off_t)table->size), 0);
    table->base = mmap(NULL, table->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(table->base, MAP_FAILED);
    close(fd);
    assert_int_equal(table_format(&table->writer, table->base, table->size, &params), 0);
}

void latch_table_make(struct latch_table *table, const struct latch_world *world,
                      uint64_t generation)
{
    table_make(table, world, generation, 1000);
}

void latch_table_make_large(struct latch_table *table, const struct latch_world *world,
                            uint64_t generation)
{
    table_make(table, world, generation, 10000);
    assert_int_equal(table->size % LATCH_HUGE_PAGE, 0);
}

void latch_table_place(struct latch_table *table, const struct latch_world *world,
                       uint64_t pulse_ms)
{
    table_beat(table->writer.header, pulse_ms);
    assert_int_equal(rename(table->path, world->table), 0);
}

void latch_table_publish(struct latch_table *table, const struct latch_world *world,
                         uint64_t generation)
{
    latch_table_make(table, world, generation);
    latch_table_place(table, world, attach_clock_ms());
}

void latch_table_unmap(struct latch_table *table)
{
    munmap(table->base, table->size);
}

void latch_key_text(uint64_t number, const char *prefix, char ret_text[LATCH_KEY_LEN + 1])
{
    static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t at = strlen(prefix);
    memcpy(ret_text, prefix, at);
    for (unsigned i = 0; i < KEY_RANDOM_LEN; i++)
        ret_text[at++] = base62[sample_random(&number) % 62];
    key_check_digits(ret_text, at, ret_text + at);
    ret_text[LATCH_KEY_LEN] = '\0';
}

void latch_table_put(struct latch_table *table, const struct latch_key *key)
{
    struct sample_key sample;
    struct table_claim claim;
    char own[LATCH_KEY_LEN + 1];
    const char *prefix = key->prefix != NULL ? key->prefix : "cc_live_";
    const char *text = key->text != NULL ? key->text : own;

    latch_key_text(key->number, prefix, own);
    sample_key_init(&sample, key->number);
    digest_of(text, strlen(text), &sample.entry.digest);
    sample.entry.environment = text_of(key->environment != NULL ? key->environment : "live");
    sample.entry.environment_prefix = text_of(prefix);
    sample.entry.prefix = (struct text){own, KEY_SHOWN_LEN};
    sample.entry.disabled = key->disabled;
    sample.entry.suspended = key->suspended;
    sample.entry.revoked = key->revoked;
    sample.entry.expires_unix_s = key->expires_unix_s;
    sample.entry.not_before_unix_s = key->not_before_unix_s;
    assert_int_equal(table_claim(&table->writer, &sample.entry, TABLE_NARROWING, &claim), 0);
    table_publish(&table->writer, &claim);
}

size_t latch_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

size_t latch_mappings(const char *path)
{
    char line[4096];
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, path) != NULL;
    fclose(maps);
    return count;
}
