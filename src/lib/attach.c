#include "lib/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "core/boot.h"
#include "core/config_principals.h"
#include "core/huge.h"

#define TABLE_NAME "table"

/* A generation can be superseded, and lose its names, while it is being attached to; that a third
 * one follows within the time of two attachments does not happen by growth or restart. */
#define ATTACH_TRIES 3

/* What getpwnam_r needs for one entry: glibc suggests 1 KiB, directory services take more. */
#define PASSWD_BYTES 16384

struct mapping {
    struct table_view view;
    bool is_named; /* as it was opened; see has_name */
    dev_t device;
    ino_t inode;
};

static int find_user(const char *user, uid_t *ret_uid, struct error *error)
{
    char buffer[PASSWD_BYTES];
    struct passwd entry, *found = NULL;

    if (principals_number(user, ret_uid))
        return 0;
    int r = getpwnam_r(user, &entry, buffer, sizeof buffer, &found);
    if (r != 0)
        return error_errno(error, r, "cannot look up [daemon] user \"%s\"", user);
    if (found == NULL)
        return error_set(error, CATLATCH_E_CONFIG,
                         "[daemon] user \"%s\" does not exist; its table could not be trusted",
                         user);
    *ret_uid = entry.pw_uid;
    return 0;
}

static int trust_user(struct trust *trust, const char *user, struct error *error)
{
    uid_t uid;

    int r = find_user(user, &uid, error);
    if (r == 0 && uid == TRUST_OVERFLOW_UID)
        return error_set(
            error, CATLATCH_E_CONFIG,
            "[daemon] user \"%s\" is number %u, which everybody unknown in a container "
            "has; its table could not be trusted",
            user, (unsigned)uid);
    if (r == 0 && trust->count < TRUST_UIDS_MAX)
        trust->uids[trust->count++] = uid;
    return r;
}

/* In a user namespace that does not map the daemon's user nobody can tell its table from another's,
 * and a mapping is not for the asking: who has it can become that user. */
static int refuse_run_dir(const char *run_dir, struct error *error)
{
    struct stat folder;

    if (stat(run_dir, &folder) != 0 || folder.st_uid != TRUST_OVERFLOW_UID)
        return CATLATCH_E_PERMISSION;
    return error_set(error, CATLATCH_E_PERMISSION,
                     "[daemon] run_dir %s belongs to user %u: this user namespace does not map its "
                     "owner, so whose table this is cannot be told; verify by the module `socket`, "
                     "or without a user namespace",
                     run_dir, (unsigned)folder.st_uid);
}

int attach_init(struct attach *ret_attach, const char *run_dir, const char *user,
                struct error *error)
{
    struct attach fresh = {.trust = trust_self()};
    int path_len = snprintf(fresh.path, sizeof fresh.path, "%s/" TABLE_NAME, run_dir);
    if (path_len < 0 || (size_t)path_len >= sizeof fresh.path)
        return error_set(error, CATLATCH_E_CONFIG, "[daemon] run_dir is too long a path");
    memcpy(fresh.run_dir, run_dir, strlen(run_dir) + 1);

    int r = user[0] != '\0' ? trust_user(&fresh.trust, user, error) : 0;
    if (r != 0)
        return r;
    r = trust_path(run_dir, &fresh.trust, error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r == CATLATCH_E_PERMISSION ? refuse_run_dir(run_dir, error) : r;
    *ret_attach = fresh;
    return 0;
}

static void detach(struct attach *attach)
{
    if (attach->attached)
        munmap((void *)(uintptr_t)attach->view.header, attach->view.size);
    attach->attached = false;
}

void attach_end(struct attach *attach)
{
    detach(attach);
}

uint64_t attach_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 * ATTACH_NS_PER_MS + (uint64_t)now.tv_nsec;
}

uint64_t attach_clock_ms(void)
{
    return attach_clock_ns() / ATTACH_NS_PER_MS;
}

static bool is_trusted_uid(const struct trust *trust, uid_t uid)
{
    for (unsigned i = 0; i < trust->count; i++)
        if (trust->uids[i] == uid)
            return true;
    return uid == 0;
}

/* What a path leads to has a name, but where the file was mounted by itself and replaced since.
 * Then that it is there says nothing: a daemon that looked for older tables could not find it. */
static bool has_name(const struct stat *file)
{
    return file->st_nlink > 0;
}

static bool is_acceptable(const struct attach *attach, const struct stat *file)
{
    return S_ISREG(file->st_mode) && (file->st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
           is_trusted_uid(&attach->trust, file->st_uid) && file->st_size >= (off_t)TABLE_PAGE;
}

/* A file that outlived a boot can be older than a revoke. Where the kernel does not tell which boot
 * this is, only what lives in memory is known to be of it. */
static bool is_of_this_boot(int fd, const struct table_header *header)
{
    uint8_t boot_id[BOOT_ID_BYTES];
    struct statfs place;

    if (boot_id_read(boot_id) == 0)
        return memcmp(boot_id, header->boot_id, sizeof boot_id) == 0;
    return fstatfs(fd, &place) == 0 &&
           (place.f_type == TMPFS_MAGIC || place.f_type == HUGETLBFS_MAGIC);
}

static int map_table(int fd, size_t size, struct table_view *ret_view)
{
    void *base = huge_map(fd, size, PROT_READ);
    if (base == MAP_FAILED)
        return CATLATCH_E_UNAVAILABLE;
    if (table_view_init(ret_view, base, size, NULL) != 0 || !is_of_this_boot(fd, base)) {
        munmap(base, size);
        return CATLATCH_E_UNAVAILABLE;
    }
    /* Both only help: fewer walks of page tables, and no names of customers in core dumps. */
    madvise(base, size, MADV_HUGEPAGE);
    madvise(base, size, MADV_DONTDUMP);
    return 0;
}

/* Maps what the path names at this moment. The descriptor is closed before it returns. */
static int map_path(const struct attach *attach, struct mapping *ret_mapping)
{
    int r = CATLATCH_E_UNAVAILABLE;
    struct stat file;

    /* Each time anew: the folder that was checked before may be gone, and another in its place. */
    if (trust_path(attach->run_dir, &attach->trust, NULL) != 0)
        return r;
    /* O_NONBLOCK: a FIFO there must not hold the caller up. */
    int fd = open(attach->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return r;
    if (fstat(fd, &file) == 0 && is_acceptable(attach, &file))
        r = map_table(fd, (size_t)file.st_size, &ret_mapping->view);
    close(fd);
    if (r == 0) {
        ret_mapping->is_named = has_name(&file);
        ret_mapping->device = file.st_dev;
        ret_mapping->inode = file.st_ino;
    }
    return r;
}

static int map_newest(const struct attach *attach, struct mapping *ret_mapping)
{
    for (int i = 0; i < ATTACH_TRIES; i++) {
        if (map_path(attach, ret_mapping) != 0)
            return CATLATCH_E_UNAVAILABLE;
        const struct table_header *header = ret_mapping->view.header;
        /* acquire: pairs with table_supersede and with the first table_beat */
        uint64_t pulse = atomic_load_explicit(&header->pulse, memory_order_acquire);
        if (pulse != TABLE_PULSE_SUPERSEDED && pulse != TABLE_PULSE_FILLING &&
            ret_mapping->is_named)
            return 0;
        munmap((void *)(uintptr_t)header, ret_mapping->view.size);
    }
    return CATLATCH_E_UNAVAILABLE;
}

/* Lets go of what is mapped, whether or not there is something to put in its place: a table that
 * was taken over is not used again. */
static void attach_anew(struct attach *attach)
{
    struct mapping mapping;
    int r = map_newest(attach, &mapping);

    detach(attach);
    if (r != 0)
        return;
    attach->view = mapping.view;
    attach->device = mapping.device;
    attach->inode = mapping.inode;
    attach->populated = false;
    attach->attached = true;
}

static bool is_same_file(const struct attach *attach)
{
    struct stat file;
    return attach->attached && lstat(attach->path, &file) == 0 && has_name(&file) &&
           file.st_dev == attach->device && file.st_ino == attach->inode;
}

/* Whether the daemon wants this table used although it did not beat lately. A beat just ahead was
 * made since the clock was read; one that is further ahead proves nothing. */
static bool is_fresh_enough(const struct table_header *header, uint64_t pulse, uint64_t now_ms)
{
    uint64_t max_stale_ms = atomic_load_explicit(&header->max_stale_ms, memory_order_relaxed);
    if (max_stale_ms == 0)
        return true;
    return pulse > now_ms ? pulse - now_ms <= ATTACH_STALE_MS : now_ms - pulse <= max_stale_ms;
}

static uint64_t load_pulse(const struct attach *attach)
{
    if (!attach->attached)
        return TABLE_PULSE_SUPERSEDED;
    /* acquire: pairs with table_supersede */
    return atomic_load_explicit(&attach->view.header->pulse, memory_order_acquire);
}

/* Whether what is mapped, if anything, is not to be used without a look at the path now. */
static bool look_is_due(const struct attach *attach, uint64_t pulse, uint64_t now_ms)
{
    return !attach_is_current(pulse, 0, now_ms) &&
           (!attach->looked || now_ms - attach->looked_ms >= ATTACH_LOOK_MS);
}

const struct table_view *attach_view_at(struct attach *attach, uint64_t now_ms)
{
    attach->now_ms = now_ms;
    attach->now_ns = 0;
    uint64_t pulse = load_pulse(attach);
    bool superseded = attach->attached && pulse == TABLE_PULSE_SUPERSEDED;

    if (superseded || look_is_due(attach, pulse, now_ms)) {
        attach->looked = true;
        attach->looked_ms = now_ms;
        if (superseded || !is_same_file(attach))
            attach_anew(attach);
        pulse = load_pulse(attach);
    }
    return attach->attached && is_fresh_enough(attach->view.header, pulse, now_ms) ? &attach->view
                                                                                   : NULL;
}

const struct table_view *attach_refresh(struct attach *attach, uint64_t now_ms)
{
    attach->looked = false;
    const struct table_view *view = attach_view_at(attach, now_ms);
    if (attach->attached && !attach->populated) {
        madvise((void *)(uintptr_t)attach->view.header, attach->view.size, MADV_POPULATE_READ);
        attach->populated = true;
    }
    return view;
}
