/* What `doctor` finds out about other processes: which table they map, and whether they have it
 * mounted by itself. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "doctor.h"
#include "procfs.h"

/* Findings of one check; the rest is counted. */
#define TOLD_MAX 20u

/* Mount namespaces: more are looked at again. */
#define NAMESPACES_MAX 512u

/* A daemon beats every two seconds at the slowest. */
#define ALIVE_MS 5000u

#define COMMAND_SIZE 17 /* TASK_COMM_LEN and a NUL */

#define WHICH_SIZE 96 /* two numbers of twenty digits and what is said around them */

struct survey {
    struct doctor *doctor;
    char run_dir[PATH_MAX]; /* resolved */
    bool own_device;        /* run_dir's file system holds nothing else */
    unsigned current;       /* processes on the current table */
    unsigned told, untold;
    unsigned unreadable;
    pid_t library_pid; /* the last that was told to have an old library */
    /* mounts: */
    unsigned major, minor;
    char base[PATH_MAX]; /* run_dir within its file system */
    ino_t namespaces[NAMESPACES_MAX];
    unsigned namespace_count;
};

typedef void each_process(struct survey *survey, pid_t pid);

static bool processes_visit(struct survey *survey, each_process *visit)
{
    DIR *stream = opendir("/proc");

    if (stream == NULL)
        return false;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)atol(entry->d_name) : 0;
        if (pid > 0 && pid != getpid() && pid != survey->doctor->pid)
            visit(survey, pid);
    }
    closedir(stream);
    return true;
}

static bool survey_begin(struct doctor *doctor, struct survey *survey)
{
    const char *path = doctor->config->run_dir;
    char above[PATH_MAX];
    struct stat st, above_st;

    *survey = (struct survey){.doctor = doctor};
    if (realpath(path, survey->run_dir) == NULL || stat(path, &st) != 0) {
        doctor_say(doctor, DOCTOR_SKIPPED, "%s: %s", path, strerror(errno));
        return false;
    }
    survey->own_device = doctor_run_path(doctor, "..", above) && stat(above, &above_st) == 0 &&
                         above_st.st_dev != st.st_dev;
    return true;
}

static FILE *proc_open(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    return fopen(path, "re");
}

static void command_of(pid_t pid, char ret_command[COMMAND_SIZE])
{
    FILE *stream = proc_open(pid, "comm");

    if (stream == NULL || fgets(ret_command, COMMAND_SIZE, stream) == NULL)
        snprintf(ret_command, COMMAND_SIZE, "?");
    ret_command[strcspn(ret_command, "\n")] = '\0';
    if (stream != NULL)
        fclose(stream);
}

/* The head of a mapped file; only root can look at another's. */
static bool header_read(pid_t pid, const struct procfs_map *map, struct table_header *ret)
{
    char path[96];

    snprintf(path, sizeof path, "/proc/%ld/map_files/%" PRIx64 "-%" PRIx64, (long)pid, map->start,
             map->end);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return false;
    ssize_t n = pread(fd, ret, sizeof *ret, 0);
    close(fd);
    return n == (ssize_t)sizeof *ret;
}

/* A daemon beats it: this one, since the table was looked at, or that of another installation. */
static bool is_alive(const struct table_header *header)
{
    uint64_t pulse = atomic_load_explicit(&header->pulse, memory_order_relaxed);
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    uint64_t now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return pulse != TABLE_PULSE_SUPERSEDED && pulse != TABLE_PULSE_FILLING &&
           (pulse > now_ms || now_ms - pulse < ALIVE_MS);
}

static bool is_current(const struct doctor_table *table, const struct procfs_map *map)
{
    return map->inode == (uint64_t)table->file.st_ino && map->major == table->major &&
           map->minor == table->minor;
}

/* By its path, or because nothing else lies on its device. */
static bool is_of_run_dir(const struct survey *survey, const struct procfs_map *map)
{
    const struct doctor_table *table = &survey->doctor->table;
    const char *slash = strrchr(map->path, '/');
    size_t len = (size_t)(slash - map->path);

    return (strlen(survey->run_dir) == len && strncmp(map->path, survey->run_dir, len) == 0) ||
           (survey->own_device && map->major == table->major && map->minor == table->minor);
}

/* " (generation 3, 2 before the current)", as far as it is known. */
static void say_which(const struct survey *survey, uint64_t number, char ret[WHICH_SIZE])
{
    const struct doctor_table *table = &survey->doctor->table;
    uint64_t current = table->mapped ? table->view.generation : 0;

    if (number == 0)
        ret[0] = '\0';
    else if (current > number)
        snprintf(ret, WHICH_SIZE, " (generation %" PRIu64 ", %" PRIu64 " before the current)",
                 number, current - number);
    else
        snprintf(ret, WHICH_SIZE, " (generation %" PRIu64 ")", number);
}

static void old_table_tell(struct survey *survey, pid_t pid, const struct procfs_map *map,
                           const struct table_header *header, uint64_t number)
{
    struct doctor *doctor = survey->doctor;
    unsigned long long kib = (unsigned long long)((map->end - map->start) / 1024);
    char command[COMMAND_SIZE], which[WHICH_SIZE];
    bool marked = header != NULL && atomic_load_explicit(&header->pulse, memory_order_relaxed) ==
                                        TABLE_PULSE_SUPERSEDED;

    if (survey->told++ >= TOLD_MAX) {
        survey->untold++;
        return;
    }
    command_of(pid, command);
    say_which(survey, header != NULL ? header->generation : number, which);
    if (header == NULL) {
        doctor_say(doctor, DOCTOR_WARNING, "process %ld (%s) maps an old table%s of %llu KiB",
                   (long)pid, command, which, kib);
        doctor_mend(doctor, "restart process %ld; as root this tells more", (long)pid);
    } else if (marked) {
        doctor_say(doctor, DOCTOR_WARNING,
                   "process %ld (%s) still holds an old table%s: it has not verified since, and "
                   "keeps %llu KiB of run_dir",
                   (long)pid, command, which, kib);
        doctor_mend(doctor,
                    "it lets go with its next verification; let idle workers call catlatch_refresh "
                    "from a timer, or restart process %ld",
                    (long)pid);
    } else {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "process %ld (%s) uses an old table%s that no daemon marked: it may accept keys "
                   "that were revoked since",
                   (long)pid, command, which);
        doctor_mend(doctor, "restart process %ld; in a container mount the folder %s, not the file",
                    (long)pid, survey->run_dir);
    }
}

/* 1: the current table, 0: nothing of ours, -1: an old one, which was told. */
static int mapping_look(struct survey *survey, pid_t pid, const struct procfs_map *map)
{
    struct table_header header;
    uint64_t number;

    if (!procfs_is_table(map->path, &number))
        return 0;
    if (is_current(&survey->doctor->table, map))
        return 1;
    bool known = header_read(pid, map, &header);
    if (!is_of_run_dir(survey, map) ||
        (known && (header.magic != TABLE_MAGIC || is_alive(&header))))
        return 0;
    old_table_tell(survey, pid, map, known ? &header : NULL, number);
    return -1;
}

/* A library that was replaced goes on in who had it loaded. */
static void library_look(struct survey *survey, pid_t pid, const struct procfs_map *map)
{
    struct doctor *doctor = survey->doctor;
    const char *slash = strrchr(map->path, '/');
    char command[COMMAND_SIZE];

    if (!map->deleted || strncmp(slash, "/libcatlatch.so", sizeof "/libcatlatch.so" - 1) != 0 ||
        survey->library_pid == pid)
        return;
    survey->library_pid = pid;
    command_of(pid, command);
    doctor_say(doctor, DOCTOR_NOTE, "process %ld (%s) runs a %s that was replaced since", (long)pid,
               command, slash + 1);
    doctor_mend(doctor, "restart process %ld when it suits", (long)pid);
}

static void maps_look(struct survey *survey, pid_t pid)
{
    char line[PATH_MAX + 128];
    struct procfs_map map;
    FILE *stream = proc_open(pid, "maps");
    int found = 0;

    if (stream == NULL) {
        survey->unreadable += errno == EACCES || errno == EPERM;
        return;
    }
    errno = 0;
    while (found >= 0 && fgets(line, sizeof line, stream) != NULL)
        if (procfs_map_parse(line, &map) == 0) {
            library_look(survey, pid, &map);
            int one = mapping_look(survey, pid, &map);
            found = one != 0 ? one : found;
        }
    survey->unreadable += ferror(stream) && (errno == EACCES || errno == EPERM);
    survey->current += found > 0;
    fclose(stream);
}

static void survey_end(const struct survey *survey)
{
    struct doctor *doctor = survey->doctor;

    if (survey->untold > 0)
        doctor_say(doctor, DOCTOR_WARNING, "and %u more", survey->untold);
    if (survey->unreadable > 0)
        doctor_say(doctor, DOCTOR_SKIPPED, "%u process%s could not be looked at%s",
                   survey->unreadable, survey->unreadable == 1 ? "" : "es",
                   geteuid() == 0 ? ", not even by root" : ": run this as root");
}

void doctor_processes(struct doctor *doctor)
{
    struct survey survey;

    if (!survey_begin(doctor, &survey))
        return;
    if (!processes_visit(&survey, maps_look))
        doctor_say(doctor, DOCTOR_SKIPPED, "/proc: %s", strerror(errno));
    else if (survey.told == 0)
        doctor_say(doctor, DOCTOR_OK, "%u process%s the current table, no other%s an old one",
                   survey.current, survey.current == 1 ? " maps" : "es map",
                   survey.unreadable > 0 ? " that can be seen" : "");
    survey_end(&survey);
}

/* Copies without a slash at the end. */
static void path_join(char ret[PATH_MAX], const char *root, const char *rest)
{
    size_t len = strlen(root);

    if (len > 0 && root[len - 1] == '/')
        len--;
    if (snprintf(ret, PATH_MAX, "%.*s%s", (int)len, root, rest) >= PATH_MAX)
        ret[0] = '\0';
}

/* Where run_dir is within its file system, and which that is. */
static bool base_find(struct survey *survey)
{
    char line[2 * PATH_MAX + 256];
    struct procfs_mount mount;
    size_t best = 0;
    bool found = false;
    FILE *stream = fopen("/proc/self/mountinfo", "re");

    if (stream == NULL)
        return false;
    while (fgets(line, sizeof line, stream) != NULL) {
        if (procfs_mount_parse(line, &mount) != 0 ||
            !procfs_is_below(survey->run_dir, mount.point) || strlen(mount.point) < best)
            continue;
        best = strlen(mount.point);
        found = true;
        survey->major = mount.major;
        survey->minor = mount.minor;
        path_join(survey->base, mount.root, survey->run_dir + (best == 1 ? 0 : best));
    }
    fclose(stream);
    return found;
}

static bool is_new_namespace(struct survey *survey, pid_t pid)
{
    char path[64];
    struct stat st;

    snprintf(path, sizeof path, "/proc/%ld/ns/mnt", (long)pid);
    if (stat(path, &st) != 0) {
        survey->unreadable += errno == EACCES || errno == EPERM;
        return false;
    }
    for (unsigned i = 0; i < survey->namespace_count; i++)
        if (survey->namespaces[i] == st.st_ino)
            return false;
    if (survey->namespace_count < NAMESPACES_MAX)
        survey->namespaces[survey->namespace_count++] = st.st_ino;
    return true;
}

static void mount_tell(struct survey *survey, pid_t pid, const struct procfs_mount *mount)
{
    struct doctor *doctor = survey->doctor;
    char command[COMMAND_SIZE];

    if (survey->told++ >= TOLD_MAX) {
        survey->untold++;
        return;
    }
    command_of(pid, command);
    doctor_say(doctor, mount->deleted ? DOCTOR_PROBLEM : DOCTOR_WARNING,
               mount->deleted
                   ? "process %ld (%s) sees a dead table at %s: the file was mounted by itself, "
                     "and replaced since; no key is accepted there"
                   : "process %ld (%s) has the table's file mounted by itself at %s: it stays "
                     "there when the next generation replaces it",
               (long)pid, command, mount->point);
    doctor_mend(doctor, "mount the folder %s instead of the file, and restart process %ld",
                survey->run_dir, (long)pid);
}

static void mounts_look(struct survey *survey, pid_t pid)
{
    char line[2 * PATH_MAX + 256], folder[PATH_MAX];
    struct procfs_mount mount;
    uint64_t number;
    FILE *stream = is_new_namespace(survey, pid) ? proc_open(pid, "mountinfo") : NULL;

    if (stream == NULL)
        return;
    while (fgets(line, sizeof line, stream) != NULL) {
        if (procfs_mount_parse(line, &mount) != 0 || mount.major != survey->major ||
            mount.minor != survey->minor || !procfs_is_table(mount.root, &number))
            continue;
        snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(mount.root, '/') - mount.root),
                 mount.root);
        if (strcmp(folder, survey->base) == 0)
            mount_tell(survey, pid, &mount);
    }
    fclose(stream);
}

/* Within a container it is the place that tells: that the file comes from run_dir does not show. */
static void own_mounts_look(struct survey *survey)
{
    struct doctor *doctor = survey->doctor;
    char line[2 * PATH_MAX + 256], path[PATH_MAX];
    struct procfs_mount mount;
    bool found = false, dead = false;
    FILE *stream = fopen("/proc/self/mountinfo", "re");

    path_join(path, survey->run_dir, "/table");
    while (stream != NULL && fgets(line, sizeof line, stream) != NULL)
        if (procfs_mount_parse(line, &mount) == 0 && strcmp(mount.point, path) == 0) {
            found = true;
            dead = mount.deleted;
        }
    if (stream != NULL)
        fclose(stream);
    if (!found)
        return;
    doctor_say(doctor, dead ? DOCTOR_PROBLEM : DOCTOR_WARNING,
               dead ? "%s is a dead table: the file is mounted by itself here, and was replaced "
                      "since; no key is accepted"
                    : "%s is mounted by itself here: it stays when the next generation replaces it",
               path);
    doctor_mend(doctor, "mount the folder %s, not the file, and begin this container anew",
                survey->run_dir);
    (void)is_new_namespace(survey, getpid()); /* others in it have nothing to add */
}

void doctor_mounts(struct doctor *doctor)
{
    struct survey survey;

    if (!survey_begin(doctor, &survey))
        return;
    if (!base_find(&survey)) {
        doctor_say(doctor, DOCTOR_SKIPPED, "/proc/self/mountinfo cannot be read");
        return;
    }
    own_mounts_look(&survey);
    if (!processes_visit(&survey, mounts_look))
        doctor_say(doctor, DOCTOR_SKIPPED, "/proc: %s", strerror(errno));
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK,
                   "nobody has the table's file mounted by itself (%u mount "
                   "namespaces)",
                   survey.namespace_count);
    survey_end(&survey);
}
