/* What `doctor` finds out about the table: the file, what lies beside it, and its keys. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "core/boot.h"
#include "doctor.h"
#include "procfs.h"
#include "value.h"

/* Keys that a finding names. */
#define NAMED_MAX 5

/* What a generation that is just being retired or filled may take to go. */
#define SECOND_LOOK_S 1

static void file_check(struct doctor *doctor, const char *path, const struct stat *st)
{
    if (!S_ISREG(st->st_mode)) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s is no regular file", path);
        doctor_mend(doctor, "rm %s; systemctl restart catlatchd", path);
        return;
    }
    if (doctor->knows_uid && st->st_uid != doctor->uid) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "%s belongs to %s, and the daemon is uid %u: workers do not believe it", path,
                   doctor_user_name(st->st_uid), (unsigned)doctor->uid);
        doctor_mend(doctor, "systemctl restart catlatchd, which makes a new one");
    }
    if (doctor->knows_gid && st->st_gid != doctor->gid) {
        doctor_say(doctor, DOCTOR_WARNING, "%s has the group %s, and the daemon %u", path,
                   doctor_group_name(st->st_gid), (unsigned)doctor->gid);
        doctor_mend(doctor, "chgrp %s %s", doctor_group_name(doctor->gid), path);
    }
    if ((st->st_mode & 07777) != 0640) {
        unsigned mode = st->st_mode & 07777;
        doctor_say(doctor, DOCTOR_PROBLEM, "%s has mode %04o%s", path, mode,
                   (mode & 022) != 0   ? ": others can write it, and workers do not believe it"
                   : (mode & 040) == 0 ? ": its group cannot read it, and no worker can map it"
                                       : ": it should have 0640, for its group alone");
        doctor_mend(doctor, "chmod 640 %s", path);
    }
}

/* How maps show the table's device: not on every file system as stat does. */
static void maps_find(struct doctor_table *table)
{
    char line[PATH_MAX + 128];
    FILE *stream = fopen("/proc/self/maps", "re");
    struct procfs_map map;
    bool found = false;

    table->major = major(table->file.st_dev);
    table->minor = minor(table->file.st_dev);
    if (stream == NULL || !table->mapped) {
        if (stream != NULL)
            fclose(stream);
        return;
    }
    while (!found && fgets(line, sizeof line, stream) != NULL)
        found = procfs_map_parse(line, &map) == 0 &&
                map.start == (uint64_t)(uintptr_t)table->view.header;
    fclose(stream);
    if (found) {
        table->major = map.major;
        table->minor = map.minor;
    }
}

/* Returns 0, an errno, or -1 with *error. */
static int table_map(const char *path, struct doctor_table *table, struct error *error)
{
    struct stat st;
    void *base = MAP_FAILED;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY), errnum = 0;

    if (fd < 0)
        return errno;
    if (fstat(fd, &st) != 0 ||
        (base = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0)) == MAP_FAILED)
        errnum = errno;
    close(fd);
    if (errnum != 0)
        return errnum;
    table->file = st;
    if (table_view_init(&table->view, base, (size_t)st.st_size, error) != 0) {
        munmap(base, (size_t)st.st_size);
        return -1;
    }
    table->mapped = true;
    return 0;
}

static void table_look(struct doctor *doctor, const char *path)
{
    struct doctor_table *table = &doctor->table;
    struct error error = {0};
    uint8_t boot_id[BOOT_ID_BYTES];
    int r = table_map(path, table, &error);

    if (r == EACCES)
        doctor_say(doctor, DOCTOR_SKIPPED, "this user may not map %s: its group is %s", path,
                   doctor_group_name(table->file.st_gid));
    else if (r > 0)
        doctor_say(doctor, DOCTOR_PROBLEM, "%s: %s", path, strerror(r));
    else if (r < 0 && error.code == CATLATCH_E_VERSION) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "%s: %s; this tool and the library of its version read layout %u", path,
                   error.text, TABLE_LAYOUT);
        doctor_mend(doctor, "bring daemon, tool and library to one version; systemctl restart "
                            "catlatchd, and the workers");
    } else if (r < 0) {
        doctor_say(doctor, DOCTOR_PROBLEM, "%s: %s", path, error.text);
        doctor_mend(doctor, "systemctl restart catlatchd, which makes a new one from the store");
    } else if (boot_id_read(boot_id) == 0 &&
               memcmp(boot_id, table->view.header->boot_id, sizeof boot_id) != 0) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "%s is from before the last boot: workers do not believe it", path);
        doctor_mend(doctor, "systemctl start catlatchd, which makes a new one");
    }
}

void doctor_table(struct doctor *doctor)
{
    struct doctor_table *table = &doctor->table;
    char path[PATH_MAX];

    if (!doctor_run_path(doctor, "table", path))
        return;
    if (lstat(path, &table->file) != 0) {
        if (errno == EACCES)
            doctor_say(doctor, DOCTOR_SKIPPED, "%s: %s", path, strerror(errno));
        else
            doctor_say(doctor, DOCTOR_PROBLEM, "%s: %s; workers answer unavailable", path,
                       strerror(errno));
        if (errno != EACCES)
            doctor_mend(doctor, "systemctl restart catlatchd, which makes it");
        return;
    }
    table->there = true;
    file_check(doctor, path, &table->file);
    if (S_ISREG(table->file.st_mode) && table->file.st_size >= (off_t)TABLE_PAGE)
        table_look(doctor, path);
    maps_find(table);
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK,
                   "generation %" PRIu64 ", layout %u, %lld KiB; its group is %s",
                   table->view.generation, TABLE_LAYOUT, (long long)table->file.st_size / 1024,
                   doctor_group_name(table->file.st_gid));
}

struct leftovers {
    unsigned count; /* generations that the next start will mark and remove */
    uint64_t bytes;
    char first[NAME_MAX + 1];
    char foreign[NAME_MAX + 1]; /* the first that it will leave alone; "": none */
    bool current_is_named; /* the table has its second name, by which it will be found and marked */
};

/* The daemon believes what is its own and whole; the rest it leaves where it is. */
static bool is_markable(const struct doctor *doctor, const char *name, const struct stat *st)
{
    struct doctor_table table = {.there = false};
    char path[PATH_MAX];

    if (!S_ISREG(st->st_mode) || st->st_size < (off_t)TABLE_PAGE ||
        (doctor->knows_uid && st->st_uid != doctor->uid) || !doctor_run_path(doctor, name, path))
        return false;
    if (table_map(path, &table, NULL) < 0)
        return false;
    if (table.mapped)
        munmap((void *)(uintptr_t)table.view.header, table.view.size);
    return true;
}

static void leftover_look(const struct doctor *doctor, const char *name, const struct stat *st,
                          struct leftovers *found)
{
    const struct stat *current = &doctor->table.file;

    if (doctor->table.there && st->st_dev == current->st_dev && st->st_ino == current->st_ino) {
        found->current_is_named = true;
        return;
    }
    if (!is_markable(doctor, name, st)) {
        snprintf(found->foreign, sizeof found->foreign, "%s", name);
        return;
    }
    if (found->count++ == 0)
        snprintf(found->first, sizeof found->first, "%s", name);
    found->bytes += (uint64_t)st->st_blocks * 512;
}

static bool leftovers_find(const struct doctor *doctor, struct leftovers *ret)
{
    DIR *stream = opendir(doctor->config->run_dir);
    struct stat st;
    uint64_t number;

    *ret = (struct leftovers){.count = 0};
    if (stream == NULL)
        return false;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        const char *name = entry->d_name;
        if (procfs_is_table(name, &number) && strcmp(name, "table") != 0 &&
            fstatat(dirfd(stream), name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            leftover_look(doctor, name, &st, ret);
    }
    closedir(stream);
    return true;
}

static void generations_tell(struct doctor *doctor, const struct leftovers *found)
{
    const char *run_dir = doctor->config->run_dir;

    if (found->count > 0) {
        doctor_say(doctor, DOCTOR_WARNING,
                   "%u other generation%s left in %s (%s), %" PRIu64 " KiB: a process may still "
                   "use it",
                   found->count, found->count == 1 ? " is" : "s are", run_dir, found->first,
                   found->bytes / 1024);
        doctor_mend(doctor, "systemctl restart catlatchd, which marks it and removes it; not rm: "
                            "whoever maps it would not know");
    }
    if (found->foreign[0] != '\0') {
        doctor_say(doctor, DOCTOR_WARNING,
                   "%s/%s is left by nobody who could mark it: damaged, or not the daemon's",
                   run_dir, found->foreign);
        doctor_mend(doctor, "rm %s/%s, and restart whatever maps it (see `processes`)", run_dir,
                    found->foreign);
    }
    if (doctor->table.mapped && !found->current_is_named) {
        doctor_say(
            doctor, DOCTOR_WARNING,
            "the table has lost its second name: after a crash the daemon could not mark it, "
            "and would wait five seconds");
        doctor_mend(doctor, "ln %s/table %s/table.%" PRIu64, run_dir, run_dir,
                    doctor->table.view.generation);
    }
}

/* A socket that a daemon left: the next one replaces it. */
static void stale_socket(struct doctor *doctor, const char *folder)
{
    char path[PATH_MAX], line[256];

    if (snprintf(path, sizeof path, "%s/catlatch.sock", folder) >= (int)sizeof path ||
        doctor_ping(path, line, sizeof line) != ECONNREFUSED)
        return;
    doctor_say(doctor, DOCTOR_WARNING, "nobody listens on %s: a daemon that ended left it", path);
    doctor_mend(doctor, "systemctl start catlatchd, which replaces it; or rm %s", path);
}

void doctor_generations(struct doctor *doctor)
{
    struct leftovers found;

    if (!leftovers_find(doctor, &found)) {
        doctor_say(doctor, DOCTOR_SKIPPED, "%s: %s", doctor->config->run_dir, strerror(errno));
        return;
    }
    if (found.count > 0 && doctor->stats != NULL) {
        const struct timespec pause = {.tv_sec = SECOND_LOOK_S};
        (void)nanosleep(&pause, NULL);
        (void)leftovers_find(doctor, &found);
    }
    if (found.count > 0 && value_true(doctor->stats, "growing"))
        doctor_say(doctor, DOCTOR_NOTE, "a new generation is being filled");
    else
        generations_tell(doctor, &found);
    stale_socket(doctor, doctor->config->run_dir);
    stale_socket(doctor, doctor->config->admin_dir);
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "nothing is left over in %s", doctor->config->run_dir);
}

struct comparison {
    uint64_t checked, wrong;
    char named[NAMED_MAX * 40]; /* "key_… (what), " each */
};

static void wrong_add(struct comparison *comparison, const json_t *wrong)
{
    for (size_t i = 0; i < json_array_size(wrong); i++) {
        const json_t *one = json_array_get(wrong, i);
        size_t at = strlen(comparison->named);
        if (comparison->wrong++ < NAMED_MAX)
            snprintf(comparison->named + at, sizeof comparison->named - at, "%s%s (%s)",
                     at > 0 ? ", " : "", value_text(one, "id"), value_text(one, "what"));
    }
}

static int compare_part(struct doctor *doctor, char cursor[64], struct comparison *comparison,
                        struct error *error)
{
    struct session_words request = {0};
    json_t *page = NULL;
    int code = session_word(&request, "TABLE.CHECK", error);

    if (code == 0)
        code = session_pair(&request, "CURSOR", *cursor != '\0' ? cursor : NULL, error);
    if (code == 0)
        code = session_ask(doctor->call->session, &request, &page, error);
    session_words_free(&request);
    if (code != 0)
        return code;
    comparison->checked += (uint64_t)json_integer_value(json_object_get(page, "checked"));
    doctor->confined += (uint64_t)json_integer_value(json_object_get(page, "confined"));
    wrong_add(comparison, json_object_get(page, "wrong"));
    snprintf(cursor, 64, "%s", value_text(page, "cursor"));
    json_decref(page);
    return 0;
}

void doctor_keys(struct doctor *doctor)
{
    struct comparison comparison = {.checked = 0};
    struct error error = {0};
    char cursor[64] = "";
    int code;

    do
        code = compare_part(doctor, cursor, &comparison, &error);
    while (code == 0 && *cursor != '\0');
    doctor->knows_confined = code == 0;
    if (code == CATLATCH_E_ARGUMENT || code == CATLATCH_E_PERMISSION)
        doctor_say(doctor, DOCTOR_SKIPPED, "the daemon would not compare: %s", error.text);
    else if (code != 0)
        doctor_say_error(doctor, DOCTOR_PROBLEM, &error, "systemctl status catlatchd");
    if (comparison.wrong > 0) {
        doctor_say(doctor, DOCTOR_PROBLEM,
                   "the table differs from the store in %" PRIu64 " place%s: %s%s",
                   comparison.wrong, comparison.wrong == 1 ? "" : "s", comparison.named,
                   comparison.wrong > NAMED_MAX ? ", …" : "");
        doctor_mend(doctor, "systemctl restart catlatchd, which makes the table anew from the "
                            "store; and ask what wrote to it");
    }
    if (doctor_is_clean(doctor))
        doctor_say(doctor, DOCTOR_OK, "%" PRIu64 " keys compared, the table shows each as stored",
                   comparison.checked);
}
