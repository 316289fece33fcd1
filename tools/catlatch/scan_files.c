#include "scan_files.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Large enough that reading costs what the kernel's copy costs, small enough for a core's cache. */
#define BUFFER_SIZE ((size_t)256 << 10)

/* Two folders that git keeps its compressed objects in. */
#define GIT_FOLDER ".git"
#define GIT_OBJECTS "objects"

/* One text on its way, and what it is called. */
struct text_file {
    struct scan_files *files;
    const char *name; /* masked */
};

static void on_found(void *context, const struct scan_finding *finding)
{
    const struct text_file *file = context;
    const struct scan_listener *listener = file->files->listener;

    listener->found(listener->context, file->name, finding);
}

static void failed(struct scan_files *files, const char *name, int errnum)
{
    struct error error;

    (void)error_errno(&error, errnum, "cannot be read");
    files->listener->failed(files->listener->context, name, &error);
}

static void is_no_file(struct scan_files *files, const char *name)
{
    struct error error;

    (void)error_set(&error, CATLATCH_E_DATA,
                    "neither a file nor a folder; \"-\" reads standard input");
    files->listener->failed(files->listener->context, name, &error);
}

/* Reads on where a signal interrupted. */
static ssize_t read_some(int fd, char *bytes, size_t size)
{
    ssize_t n;

    do
        n = read(fd, bytes, size);
    while (n < 0 && errno == EINTR);
    return n;
}

/* All of a descriptor. What came before a failure has been looked at. */
static void descriptor_scan(struct scan_files *files, int fd, const char *name)
{
    struct text_file file = {files, name};
    struct scan scan;
    size_t len = 0;
    ssize_t n;

    scan_begin(files->rules, &scan);
    files->file_count++;
    do {
        size_t done;
        int errnum;
        n = read_some(fd, files->buffer + len, BUFFER_SIZE - len);
        errnum = errno;
        len += n > 0 ? (size_t)n : 0;
        files->byte_count += n > 0 ? (uint64_t)n : 0;
        done = scan_block(&scan, files->buffer, len, n <= 0, on_found, &file);
        len -= done;
        memmove(files->buffer, files->buffer + done, len);
        if (n < 0)
            failed(files, name, errnum);
    } while (n > 0);
}

/* A link that stands where a file was a moment ago is not followed; the wait that a pipe in its
 * place would be is not entered. */
static void file_scan(struct scan_files *files, const char *path, bool follow, const char *name)
{
    int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
    int fd = open(path, flags);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0)
        failed(files, name, errno);
    else if (!S_ISREG(status.st_mode))
        is_no_file(files, name);
    else
        descriptor_scan(files, fd, name);
    if (fd >= 0)
        close(fd);
}

/* A name, its copy to be masked, and where its last component begins. */
struct naming {
    struct scan_files *files;
    const char *path;
    char *name;
    size_t last;
};

static void on_found_to_mask(void *context, const struct scan_finding *finding)
{
    const struct naming *naming = context;
    char *masked = naming->name + (finding->text - naming->path);

    memset(masked + KEY_SHOWN_LEN, '*', finding->len - KEY_SHOWN_LEN);
}

/* Folders above the last component had their turn. */
static void on_found_to_tell(void *context, const struct scan_finding *finding)
{
    const struct naming *naming = context;
    const struct scan_listener *listener = naming->files->listener;
    size_t offset = (size_t)(finding->text - naming->path);
    struct scan_finding in_name = *finding;

    if (offset < naming->last)
        return;
    in_name.line = 0;
    in_name.column = offset - naming->last + 1;
    listener->found(listener->context, naming->name, &in_name);
}

static size_t last_component(const char *path)
{
    size_t len = strlen(path);

    while (len > 0 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    return len;
}

/* Makes a copy of the path without the keys in it and tells of those that are new. The caller
 * frees the copy. NULL: no memory. */
static char *name_scan(struct scan_files *files, const char *path)
{
    struct naming naming = {files, path, strdup(path), last_component(path)};
    struct scan scan;

    if (naming.name == NULL)
        return NULL;
    scan_begin(files->rules, &scan);
    (void)scan_block(&scan, path, strlen(path), true, on_found_to_mask, &naming);
    scan_begin(files->rules, &scan);
    (void)scan_block(&scan, path, strlen(path), true, on_found_to_tell, &naming);
    return naming.name;
}

static bool is_git_objects(const FTSENT *entry)
{
    return strcmp(entry->fts_name, GIT_OBJECTS) == 0 && entry->fts_level > 0 &&
           strcmp(entry->fts_parent->fts_name, GIT_FOLDER) == 0;
}

static void entry_scan(struct scan_files *files, FTS *tree, FTSENT *entry, const char *name)
{
    bool was_named = entry->fts_level == FTS_ROOTLEVEL;

    switch (entry->fts_info) {
    case FTS_D:
        if (is_git_objects(entry))
            (void)fts_set(tree, entry, FTS_SKIP);
        break;
    case FTS_F:
        file_scan(files, entry->fts_accpath, was_named, name);
        break;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        failed(files, name, entry->fts_errno);
        break;
    case FTS_SLNONE: /* only where links are followed: it was named */
        failed(files, name, ENOENT);
        break;
    case FTS_DEFAULT:
        if (was_named)
            is_no_file(files, name);
        break;
    default: /* links; a folder's second visit */
        break;
    }
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int no_memory(struct error *error)
{
    return error_set(error, CATLATCH_E_MEMORY, "out of memory");
}

static int tree_scan(struct scan_files *files, FTS *tree, struct error *error)
{
    FTSENT *entry;

    while (errno = 0, (entry = fts_read(tree)) != NULL) {
        char *name;
        if (entry->fts_info == FTS_DP)
            continue;
        name = name_scan(files, entry->fts_path);
        if (name == NULL)
            return no_memory(error);
        entry_scan(files, tree, entry, name);
        free(name);
    }
    return errno == 0 ? 0 : error_errno(error, errno, "reading folders");
}

int scan_files_path(struct scan_files *files, const char *path, struct error *error)
{
    char *paths[] = {(char *)path, NULL};
    FTS *tree;
    int code;

    if (strcmp(path, "-") == 0) {
        descriptor_scan(files, STDIN_FILENO, path);
        return 0;
    }
    if (*path == '\0') {
        failed(files, path, ENOENT);
        return 0;
    }
    tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW, by_name);
    if (tree == NULL)
        return error_errno(error, errno, "reading folders");
    code = tree_scan(files, tree, error);
    if (fts_close(tree) != 0 && code == 0)
        code = error_errno(error, errno, "returning to the folder of the start");
    return code;
}

int scan_files_begin(const struct scan_rules *rules, const struct scan_listener *listener,
                     struct scan_files *ret_files, struct error *error)
{
    *ret_files =
        (struct scan_files){.rules = rules, .listener = listener, .buffer = malloc(BUFFER_SIZE)};
    return ret_files->buffer != NULL ? 0 : no_memory(error);
}

void scan_files_end(struct scan_files *files)
{
    if (files->buffer != NULL)
        OPENSSL_cleanse(files->buffer, BUFFER_SIZE);
    free(files->buffer);
    files->buffer = NULL;
}
