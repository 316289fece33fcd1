#include "daemon/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/ballast.h"

uint64_t store_epoch(const struct store *store)
{
    return store->epoch;
}

uint64_t store_sequence(const struct store *store)
{
    return store->sequence;
}

uint64_t store_key_count(const struct store *store)
{
    return store->key_count;
}

int store_lay_ballast(struct store *store, struct error *error)
{
    int r = ballast_lay(store->directory_fd, store->ballast_size_bytes, error);
    if (r == 0 && ballast_is_there(store->directory_fd))
        atomic_store(&store->ballast_spent, false);
    return r;
}

bool store_release_ballast(struct store *store)
{
    bool counts = store->number != 0; /* the room is not for one that is yet to be */

    if (!counts || !ballast_release(store->directory_fd))
        return false;
    atomic_store(&store->ballast_spent, true);
    return true;
}

bool store_ballast_is_spent(const struct store *store)
{
    return atomic_load(&store->ballast_spent);
}

uint64_t store_ballast_bytes(const struct store *store)
{
    return ballast_bytes(store->directory_fd);
}

static int check_directory(int fd, const char *directory, struct error *error)
{
    struct stat info;

    if (fstat(fd, &info) != 0)
        return error_errno(error, errno, "cannot look at state_dir %s", directory);
    if (info.st_uid != geteuid())
        return error_set(error, CATLATCH_E_PERMISSION,
                         "state_dir %s belongs to uid %u, not to uid %u that runs this; chown it",
                         directory, (unsigned)info.st_uid, (unsigned)geteuid());
    if ((info.st_mode & 0077) != 0)
        return error_set(error, CATLATCH_E_PERMISSION,
                         "state_dir %s can be reached by others (mode %04o); chmod 0700 it",
                         directory, (unsigned)info.st_mode & 07777);
    if (faccessat(fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) != 0)
        return error_errno(error, errno, "cannot write to state_dir %s", directory);
    return 0;
}

/* The first to read the keys reads all of them, in an order that is not the file's. */
static void read_ahead(int place_fd)
{
    int fd = openat(place_fd, "keys.db", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    close(fd);
}

static int open_environment(struct store *store, uint64_t cache_size_bytes, struct error *error)
{
    int r = store_env_open(store, cache_size_bytes, error);
    if (r != CATLATCH_E_FULL || !store_release_ballast(store))
        return r;
    /* What Berkeley DB does not free of an environment that panicked is lost, this once. */
    store_env_close(store);
    atomic_store(&store->broken, false);
    atomic_store(&store->ran_full, false);
    return store_env_open(store, cache_size_bytes, error);
}

int store_open_place(struct store *store, const char *name, struct error *error)
{
    if (store->is_new && mkdirat(store->directory_fd, name, 0700) != 0 && errno != EEXIST)
        return error_errno(error, errno, "cannot make %s/%s", store->directory, name);
    store->place_fd =
        openat(store->directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (store->place_fd < 0 && errno == ENOENT)
        return error_set(error, CATLATCH_E_DATA, "%s/%s is missing; restore a backup",
                         store->directory, name);
    if (store->place_fd < 0)
        return error_errno(error, errno, "cannot open %s/%s", store->directory, name);
    if (asprintf(&store->place, "%s/%s", store->directory, name) >= 0)
        return 0;
    store->place = NULL;
    return error_set(error, CATLATCH_E_MEMORY, "cannot open the store: out of memory");
}

/* An environment alone, which is not the one that counts. */
static int open_aside(struct store *store, const struct store_options *options, struct error *error)
{
    int r = store_open_place(store, options->place, error);
    if (r == 0)
        r = store_env_open(store, options->cache_size_bytes, error);
    return r == 0 ? store_meta_load(store, error) : r;
}

/* *ret_number: of the store that counts; of a new one, the first. */
static int find_place(struct store *store, uint64_t *ret_number, struct error *error)
{
    uint64_t number = 0, highest;

    int r = check_directory(store->directory_fd, store->directory, error);
    if (r == 0)
        r = store_format_read(store->directory_fd, store->directory, &number, error);
    if (r != 0)
        return r;
    store->is_new = number == 0;
    highest = store->is_new ? store_place_highest(store->directory_fd) : 0;
    if (highest > 1)
        return error_set(error, CATLATCH_E_DATA,
                         "state_dir %s holds a store but no file \"format\"; restore a backup",
                         store->directory);
    *ret_number = store->is_new ? 1 : number;
    return 0;
}

static int open_all(struct store *store, const struct store_options *options, struct error *error)
{
    char name[STORE_PLACE_SIZE];
    uint64_t number = 0;

    if (options->place != NULL)
        return open_aside(store, options, error);
    int r = find_place(store, &number, error);
    if (r != 0)
        return r;
    store_place_name(number, name);
    r = store_open_place(store, name, error);
    if (r != 0)
        return r;
    store->number = number;
    read_ahead(store->place_fd);
    r = open_environment(store, options->cache_size_bytes, error);
    if (r == 0)
        r = store_meta_load(store, error);
    if (r == 0)
        r = store_published_open(store, error);
    if (r == 0 && store->is_new)
        r = store_format_write(store->directory_fd, store->directory, number, error);
    if (r == 0)
        r = store_lay_ballast(store, error);
    /* The room that it left is not for a new process to use up either. */
    if (r == 0 && ballast_was_released(store->directory_fd))
        atomic_store(&store->ballast_spent, true);
    return r;
}

void store_tidy(struct store *store)
{
    store_place_tidy(store->directory_fd, store->number);
}

void store_free(struct store *store)
{
    store_env_close(store);
    store_index_free(&store->txn.index);
    store_recent_free(&store->recent);
    free(store->part_ids);
    store_bulk_free(&store->txn.index_bulk);
    store_bulk_free(&store->txn.keys);
    store_bulk_free(&store->txn.changes);
    if (store->published_fd >= 0)
        close(store->published_fd);
    if (store->place_fd >= 0)
        close(store->place_fd);
    if (store->directory_fd >= 0)
        close(store->directory_fd);
    free(store->place);
    pthread_mutex_destroy(&store->flush_lock);
    pthread_mutex_destroy(&store->said_lock);
    free(store->directory);
    free(store);
}

int store_alloc(const char *directory, struct store **ret_store, struct error *error)
{
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "cannot open the store: out of memory");
    store->published_fd = store->place_fd = -1;
    store->part_keys = STORE_PART_KEYS;
    pthread_mutex_init(&store->said_lock, NULL);
    pthread_mutex_init(&store->flush_lock, NULL);
    store->directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = store->directory_fd >= 0
                ? 0
                : error_errno(error, errno, "cannot open state_dir %s", directory);
    store->directory = strdup(directory);
    if (r == 0 && store->directory == NULL)
        r = error_set(error, CATLATCH_E_MEMORY, "cannot open the store: out of memory");
    if (r == 0)
        *ret_store = store;
    else
        store_free(store);
    return r;
}

int store_open(const struct store_options *options, struct store **ret_store, struct error *error)
{
    struct store *store = NULL;

    int r = store_alloc(options->directory, &store, error);
    if (store == NULL)
        return r;
    store->ballast_size_bytes = options->ballast_size_bytes;
    store->checkpoint_interval_ms = options->checkpoint_interval_ms;
    r = open_all(store, options, error);
    if (r == 0)
        *ret_store = store;
    else
        store_free(store);
    return r;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    if (store->txn_is_open)
        store_abort(&store->txn);
    if (!store_is_broken(store))
        store_checkpoint(store, true, NULL);
    store_free(store);
}
