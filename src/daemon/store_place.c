/* Where in state_dir the environment lies, and how another one takes its place. */
#include "daemon/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of everything in the folder. Others are refused before anything is touched. 1 had the environment
 * in state_dir itself, 2 an entry of the index for each text, and 3 no totals; none was released.
 */
#define FORMAT_VERSION 4ul
#define FORMAT_WORDS "catlatch store "
#define FORMAT_PLACE " in " STORE_PLACE_WORDS

void store_place_name(uint64_t number, char ret_name[STORE_PLACE_SIZE])
{
    snprintf(ret_name, STORE_PLACE_SIZE, STORE_PLACE_WORDS "%" PRIu64, number);
}

/* "store.<number>", without leading zeros; 0 for any other name. */
static uint64_t number_of(const char *name)
{
    char again[STORE_PLACE_SIZE];

    if (strncmp(name, STORE_PLACE_WORDS, sizeof STORE_PLACE_WORDS - 1) != 0)
        return 0;
    uint64_t number = strtoull(name + sizeof STORE_PLACE_WORDS - 1, NULL, 10);
    store_place_name(number, again);
    return strcmp(again, name) == 0 ? number : 0;
}

static int format_parse(char *text, const char *directory, uint64_t *ret_number,
                        struct error *error)
{
    char *end;

    if (strncmp(text, FORMAT_WORDS, sizeof FORMAT_WORDS - 1) != 0)
        return error_set(error, CATLATCH_E_DATA,
                         "%s/format is not catlatch's; is this the right state_dir?", directory);
    errno = 0;
    unsigned long version = strtoul(text + sizeof FORMAT_WORDS - 1, &end, 10);
    if (errno == 0 && version > FORMAT_VERSION)
        return error_set(error, CATLATCH_E_VERSION,
                         "state_dir %s was written by a newer catlatch (store format %lu, this one "
                         "knows %lu); nothing was touched: run the newer version",
                         directory, version, FORMAT_VERSION);
    if (errno == 0 && version >= 1 && version < FORMAT_VERSION)
        return error_set(error, CATLATCH_E_VERSION,
                         "state_dir %s was made by a development version of catlatch (store format "
                         "%lu, this one knows %lu); nothing was touched: export its keys with that "
                         "version and import them, or move it away and begin anew",
                         directory, version, FORMAT_VERSION);
    size_t len = strlen(text);
    if (errno == 0 && version == FORMAT_VERSION && text[len - 1] == '\n' &&
        strncmp(end, FORMAT_PLACE, sizeof FORMAT_PLACE - 1) == 0) {
        text[len - 1] = '\0';
        *ret_number = number_of(end + sizeof FORMAT_PLACE - sizeof STORE_PLACE_WORDS);
        if (*ret_number != 0)
            return 0;
    }
    return error_set(error, CATLATCH_E_DATA, "%s/format is damaged; restore a backup", directory);
}

int store_format_read(int directory_fd, const char *directory, uint64_t *ret_number,
                      struct error *error)
{
    char text[64];

    int fd = openat(directory_fd, "format", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        *ret_number = 0;
        return 0;
    }
    if (fd < 0)
        return error_errno(error, errno, "cannot read %s/format", directory);
    ssize_t got = read(fd, text, sizeof text - 1);
    int failed = got < 0 ? errno : 0;
    close(fd);
    if (failed != 0)
        return error_errno(error, failed, "cannot read %s/format", directory);
    text[got] = '\0';
    return format_parse(text, directory, ret_number, error);
}

int store_exists(const char *directory, bool *ret_exists, struct error *error)
{
    uint64_t number = 0;

    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(error, errno, "cannot open state_dir %s", directory);
    int r = store_format_read(fd, directory, &number, error);
    close(fd);
    if (r == 0)
        *ret_exists = number != 0;
    return r;
}

static int write_and_sync(int fd, const char *text, size_t len)
{
    ssize_t written = write(fd, text, len);
    if (written < 0)
        return errno;
    if ((size_t)written != len)
        return ENOSPC;
    return fsync(fd) == 0 ? 0 : errno;
}

int store_format_write(int directory_fd, const char *directory, uint64_t number,
                       struct error *error)
{
    char text[64];

    int len = snprintf(text, sizeof text, FORMAT_WORDS "%lu" FORMAT_PLACE "%" PRIu64 "\n",
                       FORMAT_VERSION, number);
    int fd = openat(directory_fd, "format.new",
                    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, errno, "cannot write %s/format", directory);
    int failed = write_and_sync(fd, text, (size_t)len);
    close(fd);
    if (failed == 0 && (renameat(directory_fd, "format.new", directory_fd, "format") != 0 ||
                        fsync(directory_fd) != 0))
        failed = errno;
    if (failed == 0)
        return 0;
    unlinkat(directory_fd, "format.new", 0);
    return error_errno(error, failed, "cannot write %s/format", directory);
}

int store_place_remove(int directory_fd, const char *name)
{
    int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);

    if (folder == NULL) {
        int failed = errno;
        if (fd >= 0)
            close(fd);
        return failed;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        (void)unlinkat(fd, entry->d_name, 0); /* what it cannot take, rmdir will tell of */
    closedir(folder);
    return unlinkat(directory_fd, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

static DIR *open_folder(int directory_fd)
{
    int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);

    if (folder == NULL && fd >= 0)
        close(fd);
    return folder;
}

void store_place_tidy(int directory_fd, uint64_t number)
{
    DIR *folder = open_folder(directory_fd);

    if (folder == NULL)
        return; /* they cost room alone, and the next start tries again */
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        uint64_t other = number_of(entry->d_name);
        if ((other != 0 && other != number) || strcmp(entry->d_name, STORE_PLACE_NEW) == 0)
            (void)store_place_remove(directory_fd, entry->d_name);
    }
    closedir(folder);
}

uint64_t store_place_highest(int directory_fd)
{
    DIR *folder = open_folder(directory_fd);
    uint64_t highest = 0;

    if (folder == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        uint64_t number = number_of(entry->d_name);
        highest = number > highest ? number : highest;
    }
    closedir(folder);
    return highest;
}

void store_place_drop(int directory_fd)
{
    (void)store_place_remove(directory_fd, STORE_PLACE_NEW);
}

int store_sync_place(struct store *store, struct error *error)
{
    return fsync(store->place_fd) == 0 ? 0 : store_fail(store, errno, error, "flush the folder");
}

int store_place_adopt(int directory_fd, const char *directory, struct error *error)
{
    char name[STORE_PLACE_SIZE];
    uint64_t current = 0, highest = store_place_highest(directory_fd);

    /* A format that cannot be read names none that could be in the way. */
    (void)store_format_read(directory_fd, directory, &current, NULL);
    uint64_t number = (current > highest ? current : highest) + 1;
    store_place_name(number, name);
    if (renameat(directory_fd, STORE_PLACE_NEW, directory_fd, name) != 0 ||
        fsync(directory_fd) != 0)
        return error_errno(error, errno, "cannot put the new store into state_dir %s", directory);
    int r = store_format_write(directory_fd, directory, number, error);
    /* If what failed came after the rename, the new one is what the next start takes. */
    if (r != 0 &&
        (store_format_read(directory_fd, directory, &current, NULL) != 0 || current != number))
        (void)store_place_remove(directory_fd, name);
    return r;
}
