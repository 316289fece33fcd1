#include "stack/registry.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/trust.h"

#define NAME_MAX_LEN 64u
#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_-"

/* Every load adds a slash to its path. */
#define LOADS_MAX (PATH_MAX - 64u)

#define FLAGS_KNOWN                                                                             \
    (CATLATCH_MAY_BLOCK | CATLATCH_NEEDS_TABLE | CATLATCH_TAKES_SCOPES | CATLATCH_NEEDS_TRACE | \
     CATLATCH_VOUCHES_NOT | CATLATCH_REFUSALS_ONLY | CATLATCH_PASSES_SILENTLY | CATLATCH_CHARGES)

struct loaded {
    struct loaded *next;
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec written;
    const struct catlatch_module *module;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct loaded *registry;
static unsigned load_count;

static int check_name(const char *name, struct error *error)
{
    size_t len = strspn(name, NAME_CHARS);

    if (len == 0 || len > NAME_MAX_LEN || name[len] != '\0')
        return error_set(error, CATLATCH_E_CONFIG,
                         "\"%s\" is no name of a module: 1 to %u of a-z 0-9 _ -", name,
                         NAME_MAX_LEN);
    return 0;
}

/* A link would let whoever owns its target's folder choose the code. */
static int check_not_link(const char *path, const struct stat *opened, struct error *error)
{
    struct stat named;

    if (lstat(path, &named) != 0)
        return error_errno(error, errno, "%s", path);
    if (S_ISLNK(named.st_mode))
        return error_set(error, CATLATCH_E_PERMISSION,
                         "%s: a symbolic link; put the module itself there", path);
    if (named.st_dev != opened->st_dev || named.st_ino != opened->st_ino)
        return error_set(error, CATLATCH_E_PERMISSION,
                         "%s: was replaced while it was being opened; try again", path);
    return 0;
}

static int open_checked(const char *folder, const char *name, char path[PATH_MAX],
                        struct stat *ret_status, int *ret_fd, struct error *error)
{
    const struct trust trust = trust_self();
    int fd = -1;
    int r = check_name(name, error);

    if (r != 0)
        return r;
    if (snprintf(path, PATH_MAX, "%s/%s.so", folder, name) >= PATH_MAX)
        return error_set(error, CATLATCH_E_CONFIG, "%s/%s.so: too long for a path", folder, name);
    if ((r = trust_open(path, &trust, &fd, error)) != 0)
        return r;
    if (fstat(fd, ret_status) != 0)
        r = error_errno(error, errno, "%s", path);
    else
        r = check_not_link(path, ret_status, error);
    if (r == 0)
        *ret_fd = fd;
    else
        close(fd);
    return r;
}

/* While it is mapped its number is no other file's. */
static bool is_file(const struct loaded *loaded, const struct stat *status)
{
    return loaded->device == status->st_dev && loaded->inode == status->st_ino;
}

/* The C library knows a file by its number: of one that was written over, it would hand out what
 * is left of the old code. */
static int check_unwritten(const struct loaded *loaded, const struct stat *status, const char *path,
                           struct error *error)
{
    if (loaded->size == status->st_size && loaded->written.tv_sec == status->st_mtim.tv_sec &&
        loaded->written.tv_nsec == status->st_mtim.tv_nsec)
        return 0;
    return error_set(
        error, CATLATCH_E_CONFIG,
        "%s: was written over while this process runs it; put a new file in its place, "
        "as install and mv do, and start this program anew",
        path);
}

static int check_module(const struct catlatch_module *module, const char *path, const char *name,
                        struct error *error)
{
    if (module->abi != CATLATCH_MODULE_ABI)
        return error_set(error, CATLATCH_E_CONFIG,
                         "%s: built for ABI %u of modules, and this is %u; build it anew", path,
                         (unsigned)module->abi, CATLATCH_MODULE_ABI);
    if (module->size != sizeof *module || module->state_size > CATLATCH_STATE_MAX ||
        (module->flags & ~(uint32_t)FLAGS_KNOWN) != 0 || module->name == NULL)
        return error_set(error, CATLATCH_E_CONFIG,
                         "%s: not a module as catlatch_module.h says (its size, flags or name)",
                         path);
    if (strcmp(module->name, name) != 0)
        return error_set(error, CATLATCH_E_CONFIG, "%s: calls itself \"%s\"", path, module->name);
    return 0;
}

/* Loads what the descriptor is. */
static int load(int fd, const char *path, const char *name, const struct catlatch_module **ret,
                struct error *error)
{
    char unique[PATH_MAX];
    size_t len = (size_t)snprintf(unique, sizeof unique, "/proc/self/fd/");

    if (load_count == LOADS_MAX)
        return error_set(error, CATLATCH_E_CONFIG,
                         "%s: %u modules were loaded by this process already; start it anew", path,
                         load_count);
    memset(unique + len, '/', load_count);
    len += load_count++;
    snprintf(unique + len, sizeof unique - len, "%d", fd);
    void *handle = dlopen(unique, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        return error_set(error, CATLATCH_E_CONFIG, "%s: cannot be loaded: %s", path, dlerror());
    const struct catlatch_module *module = dlsym(handle, CATLATCH_MODULE_SYMBOL);
    int r = module != NULL
                ? check_module(module, path, name, error)
                : error_set(error, CATLATCH_E_CONFIG, "%s: not a module: no \"%s\" in it", path,
                            CATLATCH_MODULE_SYMBOL);
    if (r == 0)
        *ret = module; /* and the handle stays open: it is never unloaded */
    else
        dlclose(handle);
    return r;
}

static int remember(const struct stat *status, const struct catlatch_module *module,
                    struct error *error)
{
    struct loaded *fresh = malloc(sizeof *fresh);

    if (fresh == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory for a module");
    *fresh = (struct loaded){
        .next = registry,
        .device = status->st_dev,
        .inode = status->st_ino,
        .size = status->st_size,
        .written = status->st_mtim,
        .module = module,
    };
    registry = fresh;
    return 0;
}

static int find_or_load(int fd, const struct stat *status, const char *path, const char *name,
                        const struct catlatch_module **ret_module, struct error *error)
{
    const struct catlatch_module *module = NULL;
    int r;

    for (const struct loaded *loaded = registry; loaded != NULL; loaded = loaded->next) {
        if (!is_file(loaded, status))
            continue;
        if ((r = check_unwritten(loaded, status, path, error)) == 0 &&
            (r = check_module(loaded->module, path, name, error)) == 0)
            *ret_module = loaded->module;
        return r;
    }
    r = load(fd, path, name, &module, error);
    if (r == 0)
        r = remember(status, module, error);
    if (r == 0)
        *ret_module = module;
    return r;
}

int registry_load(const char *folder, const char *name, const struct catlatch_module **ret_module,
                  struct error *error)
{
    char path[PATH_MAX];
    struct stat status = {0};
    int fd = -1;
    int r = open_checked(folder, name, path, &status, &fd, error);

    if (r != 0)
        return r;
    pthread_mutex_lock(&registry_lock);
    r = find_or_load(fd, &status, path, name, ret_module, error);
    pthread_mutex_unlock(&registry_lock);
    close(fd);
    return r;
}

int registry_check(const char *folder, const char *name, struct error *error)
{
    char path[PATH_MAX];
    struct stat status = {0};
    int fd = -1;
    int r = open_checked(folder, name, path, &status, &fd, error);

    if (r == 0)
        close(fd);
    return r;
}
