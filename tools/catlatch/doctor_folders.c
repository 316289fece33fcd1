/* What `doctor` finds out about folders: owners and modes, what they lie on, and how full that is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/trust.h"
#include "doctor.h"
#include "table/writer.h"
#include "value.h"

#define MIB (UINT64_C(1) << 20)

/* Log files are removed by the checkpoint that follows them; one is 8 MiB, a checkpoint comes with
 * each 16. Beyond this checkpoints fail. */
#define LOG_BYTES_MAX (64 * MIB)

/* Below this an ordinary day may fill the disk. */
#define DISK_FREE_LOW (256 * MIB)

/* Looks at a folder; false, and a finding, if it is none. */
static bool folder_stat(struct doctor *doctor, const char *path, struct stat *ret)
{
    if (lstat(path, ret) != 0) {
        bool hidden = errno == EACCES;
        doctor_say(doctor, hidden ? DOCTOR_SKIPPED : DOCTOR_PROBLEM, "%s: %s", path,
                   strerror(errno));
        if (!hidden)
            doctor_mend(doctor, "start catlatchd, which makes it; if its parent is missing: "
                                "systemd-tmpfiles --create catlatch.conf");
        return false;
    }
    if (S_ISDIR(ret->st_mode))
        return true;
    doctor_say(doctor, DOCTOR_PROBLEM, "%s is no folder", path);
    doctor_mend(doctor, "rm %s; systemctl restart catlatchd", path);
    return false;
}

/* Owner, mode, and whether what is above it can be trusted. */
static void folder_check(struct doctor *doctor, const char *path, const struct stat *st,
                         mode_t wanted)
{
    struct trust trust = {.uids = {doctor->knows_uid ? doctor->uid : st->st_uid}, .count = 1};
    struct error error = {0};
    int code;

    if (doctor->knows_uid && st->st_uid != doctor->uid) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s belongs to %s (uid %u), and the daemon is uid %u",
                   path, doctor_user_name(st->st_uid), (unsigned)st->st_uid, (unsigned)doctor->uid);
        doctor_mend(doctor, "chown %s %s", doctor_user_name(doctor->uid), path);
    }
    if ((st->st_mode & 0777) != wanted) {
        bool open = (st->st_mode & 0777 & ~wanted) != 0;
        doctor_say(doctor, open ? DOCTOR_PROBLEM : DOCTOR_WARNING,
                   "%s has mode %04o, which is too %s: it should have %04o", path,
                   (unsigned)(st->st_mode & 07777), open ? "open" : "closed", (unsigned)wanted);
        doctor_mend(doctor, "chmod %03o %s", (unsigned)wanted, path);
    }
    if (!doctor_is_clean(doctor))
        return;
    code = trust_path(path, &trust, &error);
    if (code == CATLATCH_E_PERMISSION)
        doctor_say_error(doctor, DOCTOR_PROBLEM, &error, NULL);
}

void doctor_run_dir(struct doctor *doctor)
{
    const char *path = doctor->config->run_dir;
    struct stat st;

    if (!folder_stat(doctor, path, &st))
        return;
    folder_check(doctor, path, &st, 0755);
    if (doctor->knows_gid && st.st_gid != doctor->gid) {
        doctor_say(doctor, DOCTOR_WARNING,
                   "%s has the group %s, and the daemon %u: a table made there may be readable by "
                   "the wrong group",
                   path, doctor_group_name(st.st_gid), (unsigned)doctor->gid);
        doctor_mend(doctor, "chgrp %s %s; systemctl restart catlatchd",
                    doctor_group_name(doctor->gid), path);
    }
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "%s is %s's and others cannot write it", path,
                   doctor_user_name(st.st_uid));
}

void doctor_admin_dir(struct doctor *doctor)
{
    const char *path = doctor->config->admin_dir;
    struct stat st;

    if (!folder_stat(doctor, path, &st))
        return;
    folder_check(doctor, path, &st, 0755);
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "%s is %s's and others cannot write it", path,
                   doctor_user_name(st.st_uid));
}

struct files {
    unsigned total;
    unsigned foreign, open; /* of another owner; with a mode that others can use */
    char first_foreign[NAME_MAX + 1], first_open[NAME_MAX + 1];
    uint64_t log_bytes;
};

static bool files_look_in(int fd, uid_t owner, struct files *files);

static void file_look(int folder_fd, const char *name, uid_t owner, struct files *files)
{
    struct stat st;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return; /* gone meanwhile */
    files->total++;
    if (st.st_uid != owner && files->foreign++ == 0)
        snprintf(files->first_foreign, sizeof files->first_foreign, "%s", name);
    if ((st.st_mode & 077) != 0 && files->open++ == 0)
        snprintf(files->first_open, sizeof files->first_open, "%s", name);
    if (strncmp(name, "log.", 4) == 0)
        files->log_bytes += (uint64_t)st.st_size;
    if (S_ISDIR(st.st_mode)) /* the store's own */
        (void)files_look_in(
            openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), owner, files);
}

/* Takes over the descriptor of a folder. */
static bool files_look_in(int fd, uid_t owner, struct files *files)
{
    DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

    if (stream == NULL) {
        int failed = errno;
        if (fd >= 0)
            close(fd);
        errno = failed;
        return false;
    }
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        file_look(dirfd(stream), entry->d_name, owner, files);
    closedir(stream);
    return true;
}

/* False with errno where the folder cannot be read. */
static bool files_look(const char *path, uid_t owner, struct files *ret_files)
{
    *ret_files = (struct files){0};
    return files_look_in(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), owner, ret_files);
}

static void state_files(struct doctor *doctor, const char *path, const struct stat *st)
{
    uid_t owner = doctor->knows_uid ? doctor->uid : st->st_uid;
    struct files files;

    if (!files_look(path, owner, &files)) {
        doctor_say(doctor, DOCTOR_SKIPPED, "the files in %s: %s; run this as root", path,
                   strerror(errno));
        return;
    }
    if (files.foreign > 0) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%u of %u files in %s are not %s's (the first: %s)",
                   files.foreign, files.total, path, doctor_user_name(owner), files.first_foreign);
        doctor_mend(doctor, "chown -R %s %s", doctor_user_name(owner), path);
    }
    if (files.open > 0) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "%u of %u files in %s can be used by others than their owner (the first: %s)",
                   files.open, files.total, path, files.first_open);
        doctor_mend(doctor, "chmod -R go= %s", path);
    }
}

static bool lives_in_memory(const char *path)
{
    struct statfs info;

    return statfs(path, &info) == 0 && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC);
}

void doctor_state_dir(struct doctor *doctor)
{
    const char *path = doctor->config->state_dir;
    struct stat st;

    if (!folder_stat(doctor, path, &st))
        return;
    folder_check(doctor, path, &st, 0700);
    if (lives_in_memory(path)) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s lies in memory: the next boot loses every key",
                   path);
        doctor_mend(doctor,
                    "stop catlatchd, cp -a the folder to a disk, set [daemon] state_dir in %s",
                    doctor->config->path);
    }
    state_files(doctor, path, &st);
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "%s and all in it is %s's alone", path,
                   doctor_user_name(st.st_uid));
}

/* A bound that does not fit is none. */
static uint64_t bytes_of(unsigned long blocks, unsigned long size)
{
    uint64_t bytes;

    return __builtin_mul_overflow((uint64_t)blocks, (uint64_t)size, &bytes) ? UINT64_MAX : bytes;
}

static void ballast_check(struct doctor *doctor)
{
    uint64_t wanted = doctor->config->ballast_size_bytes;

    if (doctor->stats == NULL || json_object_get(doctor->stats, "ballast_bytes") == NULL)
        return;
    if (value_true(doctor->stats, "ballast_spent")) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "the disk was full and the reserve for it is spent: until there is room, keys "
                   "can be revoked and disabled, and nothing else");
        doctor_mend(doctor,
                    "make room for %llu MiB on the disk of %s: the daemon takes the rest "
                    "up by itself",
                    (unsigned long long)(2 * wanted / MIB), doctor->config->state_dir);
    } else if ((uint64_t)doctor_stat(doctor, "ballast_bytes") < wanted) {
        doctor_say(doctor, DOCTOR_WARNING,
                   "the reserve for a full disk is %lld MiB of %llu: there was no room for it",
                   (long long)doctor_stat(doctor, "ballast_bytes") / (long long)MIB,
                   (unsigned long long)(wanted / MIB));
        doctor_mend(doctor, "make room for %llu MiB on the disk of %s",
                    (unsigned long long)(2 * wanted / MIB), doctor->config->state_dir);
    }
}

/* Whose log files pile up has no checkpoints. */
static void logs_check(struct doctor *doctor, const char *path)
{
    struct files files;

    if (!files_look(path, 0, &files) || files.log_bytes <= LOG_BYTES_MAX)
        return;
    doctor_say(doctor, DOCTOR_WARNING,
               "%llu MiB of Berkeley DB's log lie in %s: checkpoints fail or are not made",
               (unsigned long long)(files.log_bytes / MIB), path);
    doctor_mend(doctor, "journalctl -u catlatchd tells why; then systemctl restart catlatchd");
}

void doctor_disk(struct doctor *doctor)
{
    const char *path = doctor->config->state_dir;
    uint64_t low = 2 * doctor->config->ballast_size_bytes;
    struct statvfs info;

    if (statvfs(path, &info) != 0 || info.f_blocks == 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "the disk of %s does not tell how full it is", path);
        return;
    }
    uint64_t free_bytes = bytes_of(info.f_bavail, info.f_frsize);
    if (low < DISK_FREE_LOW)
        low = DISK_FREE_LOW;
    if (info.f_flag & ST_RDONLY) {
        doctor_say(doctor, DOCTOR_PROBLEM, "the disk of %s is mounted read-only", path);
        doctor_mend(doctor, "mount -o remount,rw; the kernel's log (dmesg) tells why it is so");
    }
    if (free_bytes < low || (info.f_files > 0 && info.f_favail < 64)) {
        doctor_say(doctor, DOCTOR_WARNING,
                   "the disk of %s has %llu MiB and %llu files left; it should have %llu MiB", path,
                   (unsigned long long)(free_bytes / MIB), (unsigned long long)info.f_favail,
                   (unsigned long long)(low / MIB));
        doctor_mend(doctor, "make room there, or move state_dir to a larger disk");
    }
    ballast_check(doctor);
    logs_check(doctor, path);
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "%llu MiB free%s", (unsigned long long)(free_bytes / MIB),
                   doctor->stats != NULL ? ", the reserve for a full disk is laid" : "");
}

static bool is_own_mount(const struct doctor *doctor, const struct stat *st)
{
    char path[PATH_MAX];
    struct stat above;

    return doctor_run_path(doctor, "..", path) && stat(path, &above) == 0 &&
           above.st_dev != st->st_dev;
}

/* The size of a table of the keys that are expected. */
static uint64_t expected_bytes(const struct config *config)
{
    const struct table_params params = {.capacity = config->expected_keys,
                                        .side_bytes_per_key = TABLE_SIDE_BYTES_PER_KEY};

    return table_size(&params);
}

static unsigned long long wanted_mib(uint64_t bytes)
{
    return bytes / MIB + bytes / MIB / 8 + 1;
}

static void say_small(struct doctor *doctor, enum doctor_result result, uint64_t room,
                      uint64_t table, const char *which, bool own)
{
    doctor_say(doctor, result,
               "run_dir has room for %llu KiB, and two tables of %s take %llu KiB: new keys will "
               "wait and fail where the second does not fit, revokes go on",
               (unsigned long long)(room / 1024), which, (unsigned long long)(2 * table / 1024));
    if (own)
        doctor_mend(doctor, "mount -o remount,size=%lluM %s; and in its mount unit or /etc/fstab",
                    wanted_mib(2 * table), doctor->config->run_dir);
    else
        doctor_mend(doctor, "give run_dir a tmpfs of its own with size=%lluM",
                    wanted_mib(2 * table));
}

static void own_mount_wanted(struct doctor *doctor, const char *why, uint64_t table)
{
    const struct config *config = doctor->config;

    doctor_say(doctor, DOCTOR_WARNING, "run_dir %s %s", config->run_dir, why);
    if (strcmp(config->run_dir, "/run/catlatch") == 0)
        doctor_mend(doctor, "systemctl unmask run-catlatch.mount; systemctl restart catlatchd");
    else
        doctor_mend(doctor,
                    "with catlatchd stopped: mount -t tmpfs -o size=%lluM,mode=755,uid=%u,gid=%u,"
                    "nosuid,nodev,noexec tmpfs %s",
                    wanted_mib(2 * table), (unsigned)doctor->uid, (unsigned)doctor->gid,
                    config->run_dir);
}

void doctor_room(struct doctor *doctor)
{
    const char *path = doctor->config->run_dir;
    uint64_t current = doctor->table.there ? (uint64_t)doctor->table.file.st_size : 0;
    uint64_t expected = expected_bytes(doctor->config);
    uint64_t larger = current > expected ? current : expected;
    struct statvfs info;
    struct stat st;

    if (stat(path, &st) != 0 || statvfs(path, &info) != 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "%s: %s", path, strerror(errno));
        return;
    }
    bool own = is_own_mount(doctor, &st);
    if (!lives_in_memory(path))
        own_mount_wanted(doctor, "lies on a disk: the table is written there for nothing", larger);
    else if (!own)
        own_mount_wanted(doctor, "shares its tmpfs with others, who can fill it", larger);
    /* A tmpfs without a bound has no blocks. */
    uint64_t room = info.f_blocks == 0 ? UINT64_MAX
                    : own              ? bytes_of(info.f_blocks, info.f_frsize)
                                       : bytes_of(info.f_bavail, info.f_frsize) + current;
    if (room / 2 < current)
        say_small(doctor, DOCTOR_PROBLEM, room, current, "the present size", own);
    else if (room / 2 < expected)
        say_small(doctor, DOCTOR_WARNING, room, expected, "the size for expected_keys", own);
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "a tmpfs of its own, with room for two tables of %llu KiB",
                   (unsigned long long)(larger / 1024));
}
