/* What the store does when folder, files or disk are not as they should be: it says so in one line,
 * changes nothing, and what was acknowledged stays. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <db.h>

#include "core/crc32.h"
#include "lib_store_test.h"

static struct store_buffer buffer;

/* Berkeley DB does not free an environment that panicked, and these tests make it. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libdb-5.3.so";
}

enum disk { DISK_WORKS, DISK_IS_SLOW, DISK_IS_FULL, DISK_IS_FULL_UNTIL_BALLAST_GOES, DISK_FAILS };

#define SLOW_US 20000

static _Atomic enum disk writes, flushes;
static _Atomic unsigned flush_count;

static int disk_error(enum disk disk)
{
    char path[STORE_FOLDER_SIZE + 16];

    snprintf(path, sizeof path, "%s/ballast", folder);
    switch (disk) {
    case DISK_IS_SLOW:
        usleep(SLOW_US);
        return 0;
    case DISK_WORKS:
        return 0;
    case DISK_IS_FULL:
        return ENOSPC;
    case DISK_IS_FULL_UNTIL_BALLAST_GOES:
        return access(path, F_OK) == 0 ? ENOSPC : 0;
    case DISK_FAILS:
        return EIO;
    }
    return EINVAL;
}

static ssize_t faulty_write(int fd, const void *bytes, size_t len)
{
    errno = disk_error(writes);
    return errno == 0 ? write(fd, bytes, len) : -1;
}

static ssize_t faulty_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    errno = disk_error(writes);
    return errno == 0 ? pwrite(fd, bytes, len, offset) : -1;
}

static int faulty_fsync(int fd)
{
    flush_count++;
    errno = disk_error(flushes);
    return errno == 0 ? fdatasync(fd) : -1;
}

static _Atomic bool folder_fails;
static _Atomic unsigned folder_flush_count;

/* In front of libc's, for the store's own calls: those on a folder count, and can fail. */
int fsync(int fd)
{
    struct stat status;

    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        if (folder_fails) {
            errno = EIO;
            return -1;
        }
        folder_flush_count++;
    }
    return (int)syscall(SYS_fsync, fd);
}

static void mend_disk(void)
{
    writes = flushes = DISK_WORKS;
    folder_fails = false;
}

static int tear_down(void **state)
{
    mend_disk();
    return remove_folder(state);
}

/* As another process would, on a disk that works again. */
static void recover(void)
{
    close_store();
    mend_disk();
    reopen();
}

#define assert_says(words)                                                               \
    do {                                                                                 \
        if (strstr(error.text, (words)) == NULL)                                         \
            fail_msg("line %d: \"%s\" is not in \"%s\"", __LINE__, (words), error.text); \
    } while (0)

static int try_open(uint64_t ballast_bytes)
{
    struct store_options options = {
        .directory = folder,
        .cache_size_bytes = 16 << 20,
        .ballast_size_bytes = ballast_bytes,
    };
    return store_open(&options, &store, &error);
}

/* Databases and logs lie in the folder that the format names. */
static void path_of(const char *name, char ret_path[STORE_FOLDER_SIZE + 32])
{
    bool inner = strstr(name, ".db") != NULL || strncmp(name, "log.", 4) == 0;
    snprintf(ret_path, STORE_FOLDER_SIZE + 32, "%s/%s%s", folder, inner ? "store.1/" : "", name);
}

static void write_file(const char *name, off_t offset, const void *bytes, size_t len)
{
    char path[STORE_FOLDER_SIZE + 32];

    path_of(name, path);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, offset), len);
    close(fd);
}

static off_t file_size(const char *name)
{
    char path[STORE_FOLDER_SIZE + 32];
    struct stat info;

    path_of(name, path);
    return stat(path, &info) == 0 ? info.st_size : -1;
}

static void remove_file(const char *name)
{
    char path[STORE_FOLDER_SIZE + 32];

    path_of(name, path);
    assert_int_equal(unlink(path), 0);
}

/* Everything about the folder that a touch would change. */
static uint32_t fingerprint(void)
{
    static const char *const names[] = {"keys.db",    "owners.db", "index.db",  "changes.db",
                                        "meta.db",    "format",    "published", "log.0000000001",
                                        "format.new", "ballast",   ".",         "store.1"};
    uint32_t crc = 0;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[STORE_FOLDER_SIZE + 32];
        struct stat info;
        path_of(names[i], path);
        if (stat(path, &info) != 0)
            continue;
        crc = crc32_update(crc, &info.st_ino, sizeof info.st_ino);
        crc = crc32_update(crc, &info.st_size, sizeof info.st_size);
        crc = crc32_update(crc, &info.st_mtim, sizeof info.st_mtim);
        crc = crc32_update(crc, &info.st_mode, sizeof info.st_mode);
    }
    return crc;
}

static void save(uint64_t id)
{
    struct record record = store_sample(id, "n", "acme");
    store_save(store, NULL, &record, CHANGE_CREATED);
}

/* Begins, writes `count` keys and commits; whatever fails ends it. */
static int try_commit(uint64_t first, uint64_t count)
{
    struct store_txn *txn;

    int r = store_begin(store, &txn, &error);
    if (r != 0)
        return r;
    for (uint64_t id = first; r == 0 && id < first + count; id++) {
        struct record record = store_sample(id, "n", "acme");
        r = store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error);
    }
    if (r == 0)
        return store_commit(txn, &error);
    store_abort(txn);
    return r;
}

static void a_missing_folder_is_named(void **state)
{
    (void)state;
    store_folder_remove(folder);
    assert_int_equal(try_open(0), CATLATCH_E_NOT_FOUND);
    assert_says("cannot open state_dir /tmp/");
    assert_says("No such file or directory");
    assert_int_equal(mkdir(folder, 0700), 0);
}

static void a_folder_that_others_can_enter_is_refused(void **state)
{
    const mode_t modes[] = {0755, 0710, 0701, 0770};
    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(folder, modes[i]), 0);
        assert_int_equal(try_open(0), CATLATCH_E_PERMISSION);
        assert_says("can be reached by others (mode 07");
        assert_says("chmod 0700 it");
    }
    assert_int_equal(file_size("format"), -1);
}

/* Runs `check` as uid and returns its result; for what root cannot see. */
static int run_as(uid_t uid, int (*check)(void))
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(setresuid(uid, uid, uid) != 0 ? 98 : check());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 97;
}

static int expect_permission(void)
{
    int r = try_open(0);
    if (r == CATLATCH_E_PERMISSION && strstr(error.text, folder) != NULL)
        return 0;
    fprintf(stderr, "%d: %s\n", r, error.text);
    return 1;
}

static void somebody_elses_folder_is_refused(void **state)
{
    struct store_options options = {.directory = "/usr"}; /* root's */
    (void)state;
    if (geteuid() == 0) {
        assert_int_equal(chown(folder, 65534, 65534), 0);
        options.directory = folder;
    }
    assert_int_equal(store_open(&options, &store, &error), CATLATCH_E_PERMISSION);
    assert_says("belongs to uid ");
    assert_says(" that runs this; chown it");
}

static void a_folder_that_cannot_be_written_is_refused(void **state)
{
    uid_t uid = geteuid() == 0 ? 65534 : geteuid();
    (void)state;
    assert_int_equal(chown(folder, uid, (gid_t)-1), 0);
    assert_int_equal(chmod(folder, 0500), 0);
    assert_int_equal(run_as(uid, expect_permission), 0);
    assert_int_equal(chmod(folder, 0700), 0);
}

static void every_file_is_private(void **state)
{
    static const char *const names[] = {"keys.db",        "owners.db", "index.db",
                                        "changes.db",     "meta.db",   "format",
                                        "log.0000000001", "published", "ballast"};
    mode_t before = umask(0);
    (void)state;
    assert_ok(try_open(1 << 20));
    save(1);
    umask(before);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[STORE_FOLDER_SIZE + 32];
        struct stat info;
        path_of(names[i], path);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_mode & 07777, 0600);
    }
}

static void a_newer_format_is_refused_and_nothing_is_touched(void **state)
{
    (void)state;
    save(1);
    close_store();
    write_file("format", 0, "catlatch store 5 in store.1\n", 28);
    uint32_t before = fingerprint();
    assert_int_equal(try_open(1 << 20), CATLATCH_E_VERSION);
    assert_says("was written by a newer catlatch (store format 5, this one knows 4)");
    assert_int_equal(fingerprint(), before);
    write_file("format", 0, "catlatch store 4 in store.1\n", 28);
    store = store_open_or_die(folder);
    assert_agrees();
}

static void a_development_versions_store_is_refused_and_nothing_is_touched(void **state)
{
    static const char *const old[] = {"catlatch store 1\n", "catlatch store 2 in store.1\n",
                                      "catlatch store 3 in store.1\n"};
    (void)state;
    save(1);
    close_store();
    for (size_t i = 0; i < sizeof old / sizeof old[0]; i++) {
        remove_file("format");
        write_file("format", 0, old[i], strlen(old[i]));
        uint32_t before = fingerprint();
        assert_int_equal(try_open(0), CATLATCH_E_VERSION);
        assert_says("was made by a development version of catlatch");
        assert_int_equal(fingerprint(), before);
    }
}

static void a_format_file_that_is_not_ours_is_refused_and_nothing_is_touched(void **state)
{
    (void)state;
    save(1);
    close_store();
    write_file("format", 0, "postgres", 8);
    uint32_t before = fingerprint();
    assert_int_equal(try_open(0), CATLATCH_E_DATA);
    assert_says("/format is not catlatch's; is this the right state_dir?");
    static const char *const damaged[] = {"catlatch store x\n",
                                          "catlatch store 4\n",
                                          "catlatch store 4 in store.0\n",
                                          "catlatch store 4 in store.01\n",
                                          "catlatch store 4 in store.1",
                                          "catlatch store 4 in store.1\nx",
                                          "catlatch store 4 in ../store.1\n",
                                          "catlatch store "};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        remove_file("format");
        write_file("format", 0, damaged[i], strlen(damaged[i]));
        before = fingerprint();
        assert_int_equal(try_open(0), CATLATCH_E_DATA);
        assert_says("/format is damaged; restore a backup");
        assert_int_equal(fingerprint(), before);
    }
}

static void a_store_whose_folder_is_missing_is_not_made_anew(void **state)
{
    (void)state;
    save(1);
    close_store();
    remove_file("format");
    write_file("format", 0, "catlatch store 4 in store.7\n", 28);
    assert_int_equal(try_open(0), CATLATCH_E_DATA);
    assert_says("/store.7 is missing; restore a backup");
}

static void what_the_format_does_not_name_is_removed_once_the_store_is_of_use(void **state)
{
    char other[STORE_FOLDER_SIZE + 32], kept[STORE_FOLDER_SIZE + 32];
    (void)state;
    save(1);
    path_of("store.7", other);
    path_of("store.seven", kept);
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(mkdir(kept, 0700), 0);
    write_file("store.7/keys", 0, "x", 1);
    store_tidy(store);
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(access(kept, F_OK), 0);
    reopen();
    assert_agrees();
}

static void keys_without_a_format_file_are_refused(void **state)
{
    (void)state;
    save(1);
    close_store();
    remove_file("format");
    assert_int_equal(try_open(0), CATLATCH_E_DATA);
    assert_says("holds keys but no file \"format\"; restore a backup");
}

static void a_store_that_was_made_half_is_made_whole(void **state)
{
    (void)state;
    close_store();
    remove_file("format");
    remove_file("published");
    store = store_open_or_die(folder);
    save(1);
    reopen();
    assert_int_equal(store_key_count(store), 1);
    assert_int_equal(store_epoch(store), 1);
    assert_agrees();
}

static void a_missing_database_is_not_made_anew(void **state)
{
    static const char *const names[] = {"keys.db", "owners.db", "index.db", "changes.db",
                                        "meta.db"};
    (void)state;
    save(1);
    close_store();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[STORE_FOLDER_SIZE + 32], away[STORE_FOLDER_SIZE + 32];
        path_of(names[i], path);
        path_of("away", away);
        assert_int_equal(rename(path, away), 0);
        assert_int_equal(try_open(0), CATLATCH_E_DATA);
        assert_says(names[i]);
        assert_says("is missing");
        assert_says("restore a backup");
        assert_int_equal(file_size(names[i]), -1);
        assert_int_equal(rename(away, path), 0);
    }
    store = store_open_or_die(folder);
    assert_agrees();
}

static int ignore_key(void *context, const struct record *record)
{
    (void)context;
    (void)record;
    return 0;
}

static void ignore_digest(void *context, const struct digest *digest)
{
    (void)context;
    (void)digest;
}

static void damage_a_page(bool at_once)
{
    const struct store_visitor visitor = {ignore_digest, ignore_key, NULL};
    uint64_t last = 0;
    for (uint64_t id = 1; id <= 60; id++)
        save(id);
    close_store();
    /* Somewhere in the records of the last page, which opening looks at, or of the one before. */
    write_file("keys.db", file_size("keys.db") - (at_once ? 4096 + 100 : 100), "damage", 6);
    int r = try_open(0);
    if (r == 0)
        r = at_once ? store_snapshot(store, &visitor, &error)
                    : store_scan(store, 0, SIZE_MAX, ignore_key, NULL, &last, &error);
    assert_int_equal(r, CATLATCH_E_DATA);
    assert_says("a page in state_dir /tmp/");
    assert_says("is damaged");
    assert_says("restore a backup");
    if (store != NULL)
        assert_true(store_is_broken(store));
}

static void how_long_flushes_take_is_told(void **state)
{
    (void)state;
    save(1);
    flushes = DISK_IS_SLOW;
    save(2);
    flushes = DISK_WORKS;
    struct store_flush_times slow = store_flush_times(store);
    assert_true(slow.last_us >= SLOW_US && slow.longest_us >= slow.last_us);
    save(3);
    struct store_flush_times last = store_flush_times(store);
    assert_true(last.last_us > 0 && last.longest_us >= slow.longest_us);
    assert_true(last.total_us >= slow.total_us + last.last_us && slow.total_us >= SLOW_US);
}

static void a_damaged_page_is_told_and_breaks_the_store(void **state)
{
    (void)state;
    damage_a_page(false);
}

static void a_start_that_reads_a_damaged_page_tells_it(void **state)
{
    (void)state;
    damage_a_page(true);
}

static void a_damaged_database_header_is_told(void **state)
{
    (void)state;
    save(1);
    close_store();
    write_file("changes.db", 20, "damage", 6);
    assert_int_equal(try_open(0), CATLATCH_E_DATA);
    assert_says("restore a backup");
}

static void a_database_that_is_none_is_told(void **state)
{
    static char zeros[8192];
    (void)state;
    save(1);
    close_store();
    write_file("index.db", 0, zeros, sizeof zeros);
    assert_int_equal(try_open(0), CATLATCH_E_DATA);
    assert_says("restore a backup");
}

static void a_torn_write_of_published_leaves_the_one_before(void **state)
{
    uint64_t epoch = 0, sequence = 0;
    (void)state;
    assert_ok(store_set_published(store, 1, 100, &error)); /* the copy at 4096 */
    assert_ok(store_set_published(store, 1, 200, &error)); /* the copy at 0 */
    close_store();
    write_file("published", 3, "torn", 4);
    store = store_open_or_die(folder);
    assert_ok(store_published(store, &epoch, &sequence, &error));
    assert_true(epoch == 1 && sequence == 100);
    assert_ok(store_set_published(store, 1, 300, &error));
    assert_ok(store_published(store, &epoch, &sequence, &error));
    assert_true(epoch == 1 && sequence == 300);
    close_store();
    write_file("published", 3, "torn", 4);
    write_file("published", 4096 + 3, "torn", 4);
    assert_int_equal(try_open(0), CATLATCH_E_DATA);
    assert_says("/published is damaged");
    assert_says("remove that file");
}

static void a_flush_waits_for_the_disk_once_for_many_commits(void **state)
{
    (void)state;
    save(1);
    flush_count = 0;
    for (uint64_t id = 2; id < 50; id++)
        assert_ok(try_commit(id, 1));
    assert_int_equal(flush_count, 0);
    assert_ok(store_flush(store, &error));
    assert_int_equal(flush_count, 1);
}

static unsigned log_file_count(void)
{
    char path[STORE_FOLDER_SIZE + 32];
    path_of("store.1", path);
    DIR *listing = opendir(path);
    struct dirent *entry;
    unsigned count = 0;

    assert_non_null(listing);
    while ((entry = readdir(listing)) != NULL)
        count += strncmp(entry->d_name, "log.", 4) == 0;
    closedir(listing);
    return count;
}

/* Its bytes are no good after a power cut if its name is not there. */
static void a_flush_that_began_a_log_file_flushes_the_folder_too(void **state)
{
    unsigned files = log_file_count(), before = files;
    uint64_t id = 1;
    (void)state;
    for (; files < before + 2; id += 2000) {
        assert_ok(try_commit(id, 2000));
        folder_flush_count = 0;
        assert_ok(store_flush(store, &error));
        unsigned now = log_file_count();
        if (now > files)
            assert_true(folder_flush_count > 0);
        files = now;
    }
    folder_fails = true;
    for (int r = 0; r == 0; id += 2000) {
        assert_ok(try_commit(id, 2000));
        r = store_flush(store, &error);
        assert_true(r != 0 || log_file_count() == files);
    }
    assert_true(store_is_broken(store));
}

static void a_flush_that_fails_breaks_the_store(void **state)
{
    (void)state;
    save(1);
    assert_ok(try_commit(2, 1));
    flushes = DISK_FAILS;
    assert_int_equal(store_flush(store, &error), CATLATCH_E_IO);
    assert_true(store_is_broken(store));
    flushes = DISK_WORKS;
    assert_int_equal(store_flush(store, &error), CATLATCH_E_IO);
    assert_int_equal(try_commit(3, 1), CATLATCH_E_IO);
    assert_int_equal(store_checkpoint(store, true, &error), CATLATCH_E_IO);
    recover();
    assert_true(store_key_count(store) >= 1);
    assert_agrees();
}

static void a_write_that_fails_breaks_the_store(void **state)
{
    (void)state;
    save(1);
    writes = DISK_FAILS;
    int r = try_commit(2, 1);
    if (r == 0)
        r = store_flush(store, &error);
    assert_int_equal(r, CATLATCH_E_IO);
    assert_true(store_is_broken(store));
    recover();
    assert_int_equal(store_key_count(store), 1);
    assert_agrees();
}

static void a_transaction_whose_writes_fail_breaks_the_store(void **state)
{
    (void)state;
    save(1);
    writes = DISK_FAILS;
    /* More than the log's buffer holds. */
    assert_int_equal(try_commit(2, 20000), CATLATCH_E_IO);
    assert_true(store_is_broken(store));
    writes = DISK_WORKS;
    assert_int_equal(try_commit(2, 1), CATLATCH_E_IO);
    recover();
    assert_int_equal(store_key_count(store), 1);
    assert_agrees();
}

static void a_transaction_that_fills_the_disk_is_undone(void **state)
{
    (void)state;
    save(1);
    writes = DISK_IS_FULL;
    /* More than the log's buffer holds. */
    assert_int_equal(try_commit(2, 20000), CATLATCH_E_FULL);
    assert_says("No space left on device");
    assert_false(store_is_broken(store));
    assert_int_equal(store_key_count(store), 1);
    writes = DISK_WORKS;
    assert_agrees();
    save(2);
    assert_agrees();
    recover();
    assert_int_equal(store_key_count(store), 2);
    assert_agrees();
}

static void a_flush_gives_up_the_ballast_rather_than_fail(void **state)
{
    (void)state;
    assert_ok(try_open(1 << 20));
    assert_int_equal(file_size("ballast"), 1 << 20);
    assert_ok(try_commit(1, 1));
    writes = DISK_IS_FULL_UNTIL_BALLAST_GOES;
    assert_ok(store_flush(store, &error));
    assert_int_equal(file_size("ballast"), -1);
    assert_false(store_is_broken(store));
    recover();
    assert_int_equal(store_key_count(store), 1);
    assert_agrees();
}

static void a_flush_without_room_or_ballast_breaks_the_store(void **state)
{
    (void)state;
    assert_ok(try_commit(1, 1));
    writes = DISK_IS_FULL;
    assert_int_equal(store_flush(store, &error), CATLATCH_E_FULL);
    assert_true(store_is_broken(store));
}

static void a_checkpoint_without_room_is_no_harm(void **state)
{
    (void)state;
    for (uint64_t id = 1; id < 200; id++)
        save(id);
    writes = DISK_IS_FULL;
    assert_int_equal(store_checkpoint(store, true, &error), CATLATCH_E_FULL);
    assert_false(store_is_broken(store));
    writes = DISK_WORKS;
    assert_ok(store_checkpoint(store, true, &error));
    save(200);
    assert_agrees();
}

static void recovery_on_a_full_disk_takes_the_ballast(void **state)
{
    (void)state;
    assert_ok(try_open(1 << 20));
    save(1);
    close_store();
    writes = DISK_IS_FULL_UNTIL_BALLAST_GOES;
    assert_ok(try_open(0));
    assert_int_equal(file_size("ballast"), -1);
    assert_agrees();
    close_store();
    writes = DISK_IS_FULL;
    assert_int_equal(try_open(0), CATLATCH_E_FULL);
    assert_says("No space left on device");
}

static void the_ballast_is_laid_released_and_fitted(void **state)
{
    (void)state;
    assert_ok(try_open(2 << 20));
    assert_int_equal(file_size("ballast"), 2 << 20);
    assert_true(store_release_ballast(store));
    assert_false(store_release_ballast(store));
    assert_int_equal(file_size("ballast"), -1);
    assert_ok(store_lay_ballast(store, &error));
    assert_int_equal(file_size("ballast"), 2 << 20);
    close_store();
    assert_ok(try_open(1 << 20));
    assert_int_equal(file_size("ballast"), 1 << 20);
    close_store();
    assert_ok(try_open(3 << 20));
    assert_int_equal(file_size("ballast"), 3 << 20);
    close_store();
    /* No disk has that much to spare. */
    assert_ok(try_open(UINT64_C(1) << 60));
    assert_int_equal(file_size("ballast"), -1);
}

static _Atomic bool stop_checkpoints;

static void *checkpoint_again_and_again(void *context)
{
    struct error failed = {0};

    while (!stop_checkpoints && store_checkpoint(context, true, &failed) == 0)
        sched_yield();
    return failed.code == 0 ? NULL : (void *)1;
}

static void checkpoints_run_beside_changes(void **state)
{
    pthread_t thread;
    void *failed = NULL;
    (void)state;
    stop_checkpoints = false;
    assert_int_equal(pthread_create(&thread, NULL, checkpoint_again_and_again, store), 0);
    for (uint64_t id = 1; id < 300; id += 3)
        assert_ok(try_commit(id, 3));
    assert_ok(store_flush(store, &error));
    stop_checkpoints = true;
    pthread_join(thread, &failed);
    assert_null(failed);
    assert_agrees();
}

static void work_alone_makes_checkpoints_and_old_logs_go(void **state)
{
    (void)state;
    /* Over 40 MB of log: five files. */
    for (uint64_t id = 1; id < 60000; id += 5000) {
        assert_ok(try_commit(id, 5000));
        assert_ok(store_flush(store, &error));
        assert_ok(store_checkpoint(store, false, &error));
    }
    assert_int_equal(file_size("log.0000000001"), -1);
    assert_in_range(log_file_count(), 1, 3);
}

#define SKIP_STATUS 77

static int write_line(const char *path, const char *line)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0)
        return -1;
    ssize_t written = write(fd, line, strlen(line));
    close(fd);
    return written > 0 ? 0 : -1;
}

/* A mount namespace; without root, in a user namespace where we are who we were. */
static int enter_namespace(void)
{
    char map[64];

    if (unshare(CLONE_NEWNS) == 0)
        return 0;
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return -1;
    snprintf(map, sizeof map, "%u %u 1", uid, uid);
    if (write_line("/proc/self/setgroups", "deny") != 0 ||
        write_line("/proc/self/uid_map", map) != 0)
        return -1;
    snprintf(map, sizeof map, "%u %u 1", gid, gid);
    return write_line("/proc/self/gid_map", map);
}

static int mount_small_disk(void)
{
    if (enter_namespace() != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return -1;
    return mount("catlatch-test", folder, "tmpfs", 0, "size=64m,mode=0700");
}

/* Takes all that is left, down to the last page. */
static void fill_disk(void)
{
    static char bytes[65536];
    char path[STORE_FOLDER_SIZE + 32];

    path_of("filler", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (size_t len = sizeof bytes; len >= 4096; len /= 2)
        while (write(fd, bytes, len) == (ssize_t)len)
            ;
    close(fd);
}

#define expect(condition)                                                           \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, error.text); \
            return 1;                                                               \
        }                                                                           \
    } while (0)

static int use_a_full_disk(void)
{
    struct record record, revoked;

    if (mount_small_disk() != 0) {
        fprintf(stderr, "a small disk of our own: %s\n", strerror(errno));
        return SKIP_STATUS;
    }
    expect(try_open(16 << 20) == 0);
    expect(try_commit(1, 1000) == 0 && store_flush(store, &error) == 0);
    fill_disk();
    expect(try_commit(2000, 1) == CATLATCH_E_FULL);
    expect(strstr(error.text, "is full; make room") != NULL);
    expect(!store_is_broken(store) && store_key_count(store) == 1000);
    expect(store_lay_ballast(store, &error) == 0 && file_size("ballast") == 16 << 20);
    expect(store_release_ballast(store));
    expect(store_key(store, NULL, 5, &buffer, &record, &error) == 0);
    revoked = record;
    revoked.revoked = true;
    store_save(store, &record, &revoked, CHANGE_REVOKED);
    expect(store_lay_ballast(store, &error) == 0 && file_size("ballast") == -1);
    expect(store_disagrees(store) == NULL);
    return 0;
}

/* Killed on a full disk: recovery has what the ballast leaves. */
static int recover_on_a_full_disk(void)
{
    if (mount_small_disk() != 0)
        return SKIP_STATUS;
    pid_t pid = fork();
    if (pid == 0) {
        expect(try_open(16 << 20) == 0);
        expect(try_commit(1, 1000) == 0 && store_flush(store, &error) == 0);
        fill_disk();
        raise(SIGKILL);
    }
    int status = 0;
    expect(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    expect(try_open(16 << 20) == 0);
    expect(file_size("ballast") == -1);
    expect(store_key_count(store) == 1000 && store_disagrees(store) == NULL);
    return 0;
}

/* In a child: namespaces are a process's. */
static void run_on_small_disk(int (*scenario)(void))
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(scenario());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIP_STATUS) {
        print_message("# skipped: no mount namespace for a small disk\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_full_disk_refuses_and_the_ballast_lets_a_revoke_through(void **state)
{
    (void)state;
    run_on_small_disk(use_a_full_disk);
}

static void a_store_killed_on_a_full_disk_opens_again(void **state)
{
    (void)state;
    run_on_small_disk(recover_on_a_full_disk);
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, make_folder, tear_down)
#define with_disk(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(a_missing_folder_is_named),
        with_folder(a_folder_that_others_can_enter_is_refused),
        with_folder(somebody_elses_folder_is_refused),
        with_folder(a_folder_that_cannot_be_written_is_refused),
        with_folder(every_file_is_private),
        with_disk(a_newer_format_is_refused_and_nothing_is_touched),
        with_disk(a_format_file_that_is_not_ours_is_refused_and_nothing_is_touched),
        with_disk(a_development_versions_store_is_refused_and_nothing_is_touched),
        with_disk(a_store_whose_folder_is_missing_is_not_made_anew),
        with_disk(what_the_format_does_not_name_is_removed_once_the_store_is_of_use),
        with_disk(keys_without_a_format_file_are_refused),
        with_disk(a_store_that_was_made_half_is_made_whole),
        with_disk(a_missing_database_is_not_made_anew),
        with_disk(how_long_flushes_take_is_told),
        with_disk(a_damaged_page_is_told_and_breaks_the_store),
        with_disk(a_start_that_reads_a_damaged_page_tells_it),
        with_disk(a_damaged_database_header_is_told),
        with_disk(a_database_that_is_none_is_told),
        with_disk(a_torn_write_of_published_leaves_the_one_before),
        with_disk(a_flush_waits_for_the_disk_once_for_many_commits),
        with_disk(a_flush_that_began_a_log_file_flushes_the_folder_too),
        with_disk(a_flush_that_fails_breaks_the_store),
        with_disk(a_write_that_fails_breaks_the_store),
        with_disk(a_transaction_whose_writes_fail_breaks_the_store),
        with_disk(a_transaction_that_fills_the_disk_is_undone),
        with_folder(a_flush_gives_up_the_ballast_rather_than_fail),
        with_disk(a_flush_without_room_or_ballast_breaks_the_store),
        with_disk(a_checkpoint_without_room_is_no_harm),
        with_folder(recovery_on_a_full_disk_takes_the_ballast),
        with_folder(the_ballast_is_laid_released_and_fitted),
        with_disk(checkpoints_run_beside_changes),
        with_disk(work_alone_makes_checkpoints_and_old_logs_go),
        with_folder(a_full_disk_refuses_and_the_ballast_lets_a_revoke_through),
        with_folder(a_store_killed_on_a_full_disk_opens_again),
    };
    db_env_set_func_write(faulty_write);
    db_env_set_func_pwrite(faulty_pwrite);
    db_env_set_func_fsync(faulty_fsync);
    return cmocka_run_group_tests_name("store faults", tests, NULL, NULL);
}
