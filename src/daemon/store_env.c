#include "daemon/store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "daemon/ballast.h"

/* A full log buffer is written out by whoever fills it, so it holds a batch of changes. A log file
 * is at least four buffers, and no larger than it must: recovery fills the last one up with zeros,
 * for which the ballast must have room. A checkpoint each 16 MB keeps recovery under a second or
 * two, and what it adds to the databases within the ballast too. */
#define LOG_BUFFER_BYTES (2u << 20)
#define LOG_FILE_BYTES (8u << 20)
#define CHECKPOINT_LOG_BYTES (UINT64_C(16) << 20)
#define CHECKPOINT_INTERVAL_MS 60000
#define CACHE_BYTES_MIN (UINT64_C(8) << 20)
#define PAGE_BYTES 4096u

/* What a commit leaves free beside its own log records: the directory's blocks, the file system's
 * own, and the record that says that it ended. */
#define ROOM_TO_SPARE_BYTES (UINT64_C(256) << 10)

static const char *const file_names[STORE_DATABASES] = {
    [STORE_KEYS] = "keys.db",       [STORE_OWNERS] = "owners.db", [STORE_INDEX] = "index.db",
    [STORE_CHANGES] = "changes.db", [STORE_META] = "meta.db",     [STORE_USAGE] = "usage.db",
    [STORE_HISTORY] = "history.db",
};

/* A write that ended short comes out as EAGAIN: Berkeley DB looks at an errno that was not set. */
static bool is_full(int ret)
{
    return ret == ENOSPC || ret == EDQUOT || ret == EAGAIN;
}

static bool tells_of_no_room(const char *message)
{
    return strstr(message, strerror(ENOSPC)) != NULL || strstr(message, strerror(EDQUOT)) != NULL ||
           strstr(message, strerror(EAGAIN)) != NULL;
}

static void on_error(const DB_ENV *env, const char *prefix, const char *message)
{
    struct store *store = env->app_private;

    (void)prefix;
    if (strstr(message, "checksum error") != NULL)
        atomic_store(&store->damaged, true);
    if (tells_of_no_room(message))
        atomic_store(&store->ran_full, true);
    pthread_mutex_lock(&store->said_lock);
    /* The first words tell the cause; what follows are consequences. */
    if (store->said[0] == '\0')
        snprintf(store->said, sizeof store->said, "%s", message);
    pthread_mutex_unlock(&store->said_lock);
}

static void on_message(const DB_ENV *env, const char *message)
{
    (void)env;
    (void)message;
}

static void on_event(DB_ENV *env, uint32_t event, void *info)
{
    struct store *store = env->app_private;

    (void)info;
    if (event == DB_EVENT_PANIC)
        atomic_store(&store->broken, true);
}

static void take_said(struct store *store, char *ret_said, size_t size)
{
    pthread_mutex_lock(&store->said_lock);
    if (store->said[0] != '\0')
        snprintf(ret_said, size, " (%s)", store->said);
    else
        ret_said[0] = '\0';
    store->said[0] = '\0';
    pthread_mutex_unlock(&store->said_lock);
}

static int code_of(int ret)
{
    switch (ret) {
    case ENOSPC:
    case EDQUOT:
    case EAGAIN:
        return CATLATCH_E_FULL;
    case ENOMEM:
        return CATLATCH_E_MEMORY;
    case EACCES:
    case EPERM:
    case EROFS:
        return CATLATCH_E_PERMISSION;
    default:
        return CATLATCH_E_IO;
    }
}

/* Whether an aborted transaction mends it. Everything else may have left memory and disk apart. */
static bool is_harmless(int ret)
{
    return is_full(ret) || ret == ENOMEM;
}

int store_fail(struct store *store, int ret, struct error *error, const char *doing)
{
    char said[sizeof store->said + 4];

    take_said(store, said, sizeof said);
    if (!is_harmless(ret))
        atomic_store(&store->broken, true);
    if (atomic_load(&store->damaged))
        return error_set(error, CATLATCH_E_DATA,
                         "cannot %s: a page in state_dir %s is damaged%s; restore a backup", doing,
                         store->directory, said);
    return error_set(error, code_of(ret), "cannot %s in state_dir %s: %s%s", doing,
                     store->directory, db_strerror(ret), said);
}

int store_check(struct store *store, struct error *error)
{
    if (!atomic_load(&store->broken))
        return 0;
    return store_fail(store, DB_RUNRECOVERY, error, "go on");
}

bool store_is_broken(const struct store *store)
{
    return atomic_load(&store->broken);
}

/* Failures of opening that a retry cannot mend are damage. */
static int fail_open(struct store *store, int ret, struct error *error, const char *what)
{
    char said[sizeof store->said + 4];

    /* Recovery panics when it finds no room; only its words tell. */
    if (ret == DB_RUNRECOVERY && atomic_load(&store->ran_full))
        ret = ENOSPC;
    if (code_of(ret) != CATLATCH_E_IO || ret == EIO || ret == EMFILE || ret == ENFILE) {
        char doing[64];
        snprintf(doing, sizeof doing, "open %s", what);
        return store_fail(store, ret, error, doing);
    }
    take_said(store, said, sizeof said);
    return error_set(error, CATLATCH_E_DATA,
                     "cannot open %s in state_dir %s: %s%s; restore a backup", what,
                     store->directory, ret == ENOENT ? "it is missing" : db_strerror(ret), said);
}

static int env_configure(DB_ENV *env, uint64_t cache_size_bytes)
{
    int r;

    if (cache_size_bytes < CACHE_BYTES_MIN)
        cache_size_bytes = CACHE_BYTES_MIN;
    if ((r = env->set_cachesize(env, (uint32_t)(cache_size_bytes >> 30),
                                (uint32_t)(cache_size_bytes & ((UINT64_C(1) << 30) - 1)), 1)) ||
        (r = env->set_lg_bsize(env, LOG_BUFFER_BYTES)) ||
        (r = env->set_lg_max(env, LOG_FILE_BYTES)) ||
        (r = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1)) ||
        (r = env->set_event_notify(env, on_event)))
        return r;
    return 0;
}

static int env_open(struct store *store, uint64_t cache_size_bytes, uint32_t subsystems)
{
    int r = db_env_create(&store->env, 0);
    if (r != 0)
        return r;
    store->env->app_private = store;
    store->env->set_errcall(store->env, on_error);
    store->env->set_msgcall(store->env, on_message);
    r = env_configure(store->env, cache_size_bytes);
    if (r == 0)
        r = store->env->open(store->env, store->place,
                             DB_CREATE | DB_INIT_MPOOL | DB_THREAD | DB_PRIVATE | subsystems, 0600);
    return r;
}

static int db_open(struct store *store, DB_TXN *txn, enum store_database number)
{
    DB *db;

    int r = db_create(&db, store->env, 0);
    if (r != 0)
        return r;
    store->db[number] = db;
    if ((r = db->set_pagesize(db, PAGE_BYTES)) || (r = db->set_flags(db, DB_CHKSUM)))
        return r;
    return db->open(db, txn, file_names[number], NULL, DB_BTREE,
                    (store->is_new ? (uint32_t)DB_CREATE : 0) | DB_THREAD, 0600);
}

/* All in one transaction: a new store has all databases or none. */
static int open_databases(struct store *store, struct error *error)
{
    DB_TXN *txn;

    int r = store->env->txn_begin(store->env, NULL, &txn, 0);
    if (r != 0)
        return fail_open(store, r, error, "the databases");
    for (unsigned i = 0; i < STORE_DATABASES; i++) {
        r = db_open(store, txn, (enum store_database)i);
        if (r != 0) {
            txn->abort(txn);
            return fail_open(store, r, error, file_names[i]);
        }
    }
    r = txn->commit(txn, 0);
    return r == 0 ? 0 : fail_open(store, r, error, "the databases");
}

/* Without DB_INIT_LOCK: one thread reads and writes, in one transaction at a time, and pages that
 * the checkpoint's thread writes out are latched whether there are locks or not. Locks would take a
 * tenth of an import's time, and bound what a transaction can change. */
int store_env_open(struct store *store, uint64_t cache_size_bytes, struct error *error)
{
    int r = env_open(store, cache_size_bytes, DB_INIT_LOG | DB_INIT_TXN | DB_RECOVER);
    if (r != 0)
        return fail_open(store, r, error, "the database environment");
    return open_databases(store, error);
}

int store_env_open_bare(struct store *store, uint64_t cache_size_bytes, struct error *error)
{
    int r = env_open(store, cache_size_bytes, 0);
    for (unsigned i = 0; r == 0 && i < STORE_DATABASES; i++)
        r = db_open(store, NULL, (enum store_database)i);
    return r == 0 ? 0 : store_fail(store, r, error, "make a new store");
}

void store_env_close(struct store *store)
{
    /* After a failure pages stay unwritten: recovery knows better. */
    uint32_t flags = atomic_load(&store->broken) ? DB_NOSYNC : 0;

    for (unsigned i = 0; i < STORE_DATABASES; i++) {
        if (store->db[i] != NULL)
            store->db[i]->close(store->db[i], flags);
        store->db[i] = NULL;
    }
    if (store->env != NULL)
        store->env->close(store->env, 0);
    store->env = NULL;
}

int store_env_begin(struct store *store, DB_TXN **ret_txn, struct error *error)
{
    if (store->txn_is_open)
        return error_set(error, CATLATCH_E_CONFLICT,
                         "cannot begin a transaction: another is open in state_dir %s",
                         store->directory);
    int r = store->env->txn_begin(store->env, NULL, ret_txn, DB_TXN_NOSYNC);
    return r == 0 ? 0 : store_fail(store, r, error, "begin a transaction");
}

struct log_position {
    uint32_t file;
    uint64_t unwritten_bytes;        /* at most: what only the buffer holds */
    uint64_t since_checkpoint_bytes; /* written since the last */
};

static int log_position(struct store *store, struct log_position *ret)
{
    DB_LOG_STAT *stat;

    int r = store->env->log_stat(store->env, &stat, 0);
    if (r != 0)
        return r;
    uint64_t unwritten = LOG_BUFFER_BYTES;
    if (stat->st_cur_file == stat->st_disk_file &&
        stat->st_cur_offset - stat->st_disk_offset < LOG_BUFFER_BYTES)
        unwritten = stat->st_cur_offset - stat->st_disk_offset;
    *ret = (struct log_position){
        .file = stat->st_cur_file,
        .unwritten_bytes = unwritten,
        .since_checkpoint_bytes = ((uint64_t)stat->st_wc_mbytes << 20) + stat->st_wc_bytes,
    };
    free(stat);
    return 0;
}

int store_check_room(struct store *store, struct error *error)
{
    struct log_position position;

    int r = log_position(store, &position);
    if (r != 0)
        return store_fail(store, r, error, "look at the log");
    if (ballast_free_bytes(store->directory_fd) >= position.unwritten_bytes + ROOM_TO_SPARE_BYTES)
        return 0;
    return error_set(error, CATLATCH_E_FULL,
                     "cannot store the change: the disk of state_dir %s is full; make room",
                     store->directory);
}

int store_env_commit(struct store *store, DB_TXN *txn, int r, struct error *error)
{
    if (r == 0)
        r = store_check_room(store, error);
    if (r != 0) {
        txn->abort(txn);
        return r;
    }
    r = txn->commit(txn, DB_TXN_NOSYNC);
    return r == 0 ? 0 : store_fail(store, r, error, "commit");
}

/* A new log file's name must be on the disk as well as its contents. */
static int sync_directory(struct store *store, struct error *error)
{
    struct log_position position;

    int r = log_position(store, &position);
    if (r != 0)
        return store_fail(store, r, error, "look at the log");
    if (position.file == store->flushed_log_file)
        return 0;
    if (fsync(store->place_fd) != 0)
        return store_fail(store, errno, error, "flush the folder");
    store->flushed_log_file = position.file;
    return 0;
}

static uint64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void begin_flush(struct store *store)
{
    pthread_mutex_lock(&store->flush_lock);
    store->flush_began_us = now_us();
    pthread_mutex_unlock(&store->flush_lock);
}

static void end_flush(struct store *store)
{
    pthread_mutex_lock(&store->flush_lock);
    uint64_t took_us = now_us() - store->flush_began_us;
    store->flush_began_us = 0;
    store->flush_times.last_us = took_us;
    store->flush_times.total_us += took_us;
    if (took_us > store->flush_times.longest_us)
        store->flush_times.longest_us = took_us;
    pthread_mutex_unlock(&store->flush_lock);
}

struct store_flush_times store_flush_times(struct store *store)
{
    pthread_mutex_lock(&store->flush_lock);
    struct store_flush_times times = store->flush_times;
    if (store->flush_began_us != 0)
        times.total_us += now_us() - store->flush_began_us;
    pthread_mutex_unlock(&store->flush_lock);
    return times;
}

int store_flush(struct store *store, struct error *error)
{
    int r = store_check(store, error);
    if (r != 0)
        return r;
    begin_flush(store);
    r = store->env->log_flush(store->env, NULL);
    /* Somebody else took the room that the commit had found: what is committed must get out. */
    if (is_full(r) && store_release_ballast(store))
        r = store->env->log_flush(store->env, NULL);
    if (r != 0)
        r = store_fail(store, r, error, "flush the log");
    else
        r = sync_directory(store, error);
    if (r != 0)
        atomic_store(&store->broken, true);
    end_flush(store);
    return r;
}

static int64_t monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool checkpoint_is_due(const struct store *store, const struct log_position *position,
                              int64_t now_ms)
{
    int64_t interval_ms =
        store->checkpoint_interval_ms > 0 ? store->checkpoint_interval_ms : CHECKPOINT_INTERVAL_MS;

    if (position->since_checkpoint_bytes >= CHECKPOINT_LOG_BYTES)
        return true;
    return position->since_checkpoint_bytes > 0 && now_ms - store->checkpoint_ms >= interval_ms;
}

int store_checkpoint(struct store *store, bool force, struct error *error)
{
    struct log_position position;
    int64_t now_ms = monotonic_ms();

    int r = store_check(store, error);
    if (r != 0)
        return r;
    r = log_position(store, &position);
    if (r == 0 && (force || checkpoint_is_due(store, &position, now_ms))) {
        r = store->env->txn_checkpoint(store->env, 0, 0, force ? DB_FORCE : 0);
        store->checkpoint_ms = now_ms;
    }
    return r == 0 ? 0 : store_fail(store, r, error, "write a checkpoint");
}
