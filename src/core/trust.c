#include "core/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As many as Linux itself follows in one path (MAXSYMLINKS in its namei.h). */
#define LINKS_MAX 40

/*
 * Goes down from the root one entry at a time. Each is opened first (O_PATH, never through a link)
 * and looked at through that descriptor, and the next is opened relative to it: what was checked is
 * what is used, whatever is renamed meanwhile.
 */
struct walk {
    const struct trust *trust;
    struct error
        *error;         /* names where the walk is; the path as given is put before it at the end */
    int folder;         /* the last folder that was reached, or -1 */
    bool folder_shared; /* others can write it, though not replace what is not theirs (sticky) */
    char done[PATH_MAX]; /* absolute and free of links: where the walk is; "" is the root */
    char rest[PATH_MAX]; /* what is still to be walked */
    int links;
    bool at_file;        /* the walk ended at something that is no folder, */
    struct stat file_st; /* which looked so */
};

struct trust trust_self(void)
{
    uid_t uid = geteuid();

    return (struct trust){.uids = {uid}, .count = uid != TRUST_OVERFLOW_UID};
}

static bool is_trusted(const struct trust *trust, uid_t uid)
{
    bool trusted = uid == 0;

    for (unsigned i = 0; i < trust->count && i < TRUST_UIDS_MAX; i++)
        trusted = trusted || trust->uids[i] == uid;
    return trusted;
}

static const char *walk_place(const struct walk *walk)
{
    return walk->done[0] == '\0' ? "/" : walk->done;
}

static int refuse_owner(const struct walk *walk, const struct stat *st)
{
    const char *place = walk_place(walk);

    if (st->st_uid == TRUST_OVERFLOW_UID)
        return error_set(walk->error, CATLATCH_E_PERMISSION,
                         "%s belongs to user %u, which in a container is anybody whom its user "
                         "namespace does not map; run chown %sroot %s, or map its owner",
                         place, (unsigned)st->st_uid, S_ISLNK(st->st_mode) ? "-h " : "", place);
    return error_set(walk->error, CATLATCH_E_PERMISSION,
                     "%s belongs to user %u, who is neither root nor trusted here: its owner could "
                     "%s it; run chown %sroot %s",
                     place, (unsigned)st->st_uid, S_ISLNK(st->st_mode) ? "replace" : "change",
                     S_ISLNK(st->st_mode) ? "-h " : "", place);
}

static int refuse_mode(const struct walk *walk, const struct stat *st)
{
    const char *place = walk_place(walk);
    unsigned group = st->st_mode & S_IWGRP, others = st->st_mode & S_IWOTH;
    const char *writers = !others ? "its group" : !group ? "everybody" : "its group and everybody";
    const char *change = !others ? "g-w" : !group ? "o-w" : "go-w";
    const char *harm = S_ISDIR(st->st_mode) ? "replace what it holds" : "change it";

    return error_set(walk->error, CATLATCH_E_PERMISSION,
                     "%s is writable by %s (mode %04o, owner %u): whoever can write there could "
                     "%s; run chmod %s %s",
                     place, writers, st->st_mode & 07777, (unsigned)st->st_uid, harm, change,
                     place);
}

static int fail_errno(const struct walk *walk, int errnum)
{
    return error_errno(walk->error, errnum, "%s", walk_place(walk));
}

/* Owner and mode of a file or folder. An ACL that lets more people write shows in the group's bit,
 * which then is the ACL's mask. */
static int check_entry(const struct walk *walk, const struct stat *st)
{
    if (!is_trusted(walk->trust, st->st_uid))
        return refuse_owner(walk, st);
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return refuse_mode(walk, st);
    return 0;
}

/* A folder on the way may be shared if it is sticky and root's: then nobody can replace an entry
 * that belongs to root or to somebody trusted, and all that follow do. */
static int check_folder(const struct walk *walk, const struct stat *st, bool *ret_shared)
{
    bool shared = (st->st_mode & (S_IWGRP | S_IWOTH)) != 0;

    if (!(shared && (st->st_mode & S_ISVTX) != 0 && st->st_uid == 0)) {
        int code = check_entry(walk, st);
        if (code != 0)
            return code;
    }
    *ret_shared = shared;
    return 0;
}

/* Takes the descriptor over. */
static int enter_folder(struct walk *walk, int fd, const struct stat *st)
{
    int code = check_folder(walk, st, &walk->folder_shared);

    if (code != 0) {
        close(fd);
        return code;
    }
    if (walk->folder >= 0)
        close(walk->folder);
    walk->folder = fd;
    return 0;
}

/* From the folder to one beside it, by a name that is no link: the root, or "..". */
static int enter_named(struct walk *walk, const char *name)
{
    struct stat st;
    int fd = openat(walk->folder, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(walk, errno);
    if (fstat(fd, &st) != 0) {
        int code = fail_errno(walk, errno);
        close(fd);
        return code;
    }
    return enter_folder(walk, fd, &st);
}

static int enter_root(struct walk *walk)
{
    walk->done[0] = '\0';
    return enter_named(walk, "/");
}

static int enter_parent(struct walk *walk)
{
    char *slash = strrchr(walk->done, '/');

    if (slash != NULL)
        *slash = '\0';
    return enter_named(walk, "..");
}

/* Puts the link's text before what is left of the path. A link can only be replaced, not changed,
 * so its owner matters where that needs nothing but to own it: in a shared folder. */
static int follow_link(struct walk *walk, int link_fd, const struct stat *st)
{
    char target[PATH_MAX];
    ssize_t len;
    size_t rest_len = strlen(walk->rest);

    if (walk->folder_shared && !is_trusted(walk->trust, st->st_uid))
        return refuse_owner(walk, st);
    if (++walk->links > LINKS_MAX)
        return fail_errno(walk, ELOOP);
    len = readlinkat(link_fd, "", target, sizeof target);
    if (len < 0)
        return fail_errno(walk, errno);
    if ((size_t)len + 1 + rest_len >= sizeof walk->rest)
        return fail_errno(walk, ENAMETOOLONG);
    memmove(walk->rest + len + 1, walk->rest, rest_len + 1);
    memcpy(walk->rest, target, (size_t)len);
    walk->rest[len] = '/';
    if (rest_len == 0)
        walk->rest[len] = '\0';
    *strrchr(walk->done, '/') = '\0';
    return target[0] == '/' ? enter_root(walk) : 0;
}

/* Takes the next name off the path: from rest to the end of done. */
static int take_name(struct walk *walk, char ret_name[NAME_MAX + 1])
{
    char *start = walk->rest + strspn(walk->rest, "/");
    size_t len = strcspn(start, "/");
    size_t done_len = strlen(walk->done);
    bool stays =
        (len == 0) || (len == 1 && start[0] == '.') || (len == 2 && !memcmp(start, "..", 2));

    if (len > NAME_MAX || done_len + 1 + len >= sizeof walk->done)
        return fail_errno(walk, ENAMETOOLONG);
    memcpy(ret_name, start, len);
    ret_name[len] = '\0';
    memmove(walk->rest, start + len, strlen(start + len) + 1);
    if (!stays) {
        walk->done[done_len] = '/';
        memcpy(walk->done + done_len + 1, ret_name, len + 1);
    }
    return 0;
}

/* The entry that done now ends with. */
static int enter_entry(struct walk *walk, const char *name)
{
    struct stat st;
    int code;
    int fd = openat(walk->folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(walk, errno);
    if (fstat(fd, &st) != 0) {
        code = fail_errno(walk, errno);
    } else if (S_ISDIR(st.st_mode)) {
        return enter_folder(walk, fd, &st);
    } else if (S_ISLNK(st.st_mode)) {
        code = follow_link(walk, fd, &st);
    } else if (walk->rest[0] != '\0') {
        code = fail_errno(walk, ENOTDIR);
    } else {
        code = check_entry(walk, &st);
        walk->at_file = code == 0;
        walk->file_st = st;
    }
    close(fd);
    return code;
}

/* What is to be walked, from the root. */
static int walk_begin(struct walk *walk, const char *path)
{
    size_t room = sizeof walk->rest, len = 0;

    if (path[0] == '\0')
        return error_errno(walk->error, ENOENT, "an empty path");
    if (path[0] != '/') {
        if (getcwd(walk->rest, room - 1) == NULL)
            return error_errno(walk->error, errno, "the working directory");
        /* The kernel's word for one that is outside of our root. */
        if (walk->rest[0] != '/')
            return error_errno(walk->error, ENOENT, "the working directory");
        len = strlen(walk->rest);
        walk->rest[len++] = '/';
    }
    if (strlen(path) >= room - len)
        return error_errno(walk->error, ENAMETOOLONG, "%.60s...", path);
    strcpy(walk->rest + len, path);
    return enter_root(walk);
}

/* A shared folder is safe on the way to what it holds; it is not what could be believed itself. */
static int walk_end(const struct walk *walk)
{
    if (walk->at_file || !walk->folder_shared)
        return 0;
    return error_set(
        walk->error, CATLATCH_E_PERMISSION,
        "%s is a folder that others can write to: name one below it that is yours alone",
        walk_place(walk));
}

static int walk_all(struct walk *walk, const char *path)
{
    char name[NAME_MAX + 1] = "";
    int code = walk_begin(walk, path);

    while (code == 0 && walk->rest[0] != '\0') {
        code = take_name(walk, name);
        if (code != 0 || name[0] == '\0' || strcmp(name, ".") == 0)
            continue;
        code = strcmp(name, "..") == 0 ? enter_parent(walk) : enter_entry(walk, name);
    }
    return code != 0 ? code : walk_end(walk);
}

/* Opens the file at which the walk ended, and makes sure that it still is that one. */
static int walk_open(const struct walk *walk, int *ret_fd)
{
    struct stat st;
    int fd, code;

    if (!walk->at_file)
        return fail_errno(walk, EISDIR);
    if (!S_ISREG(walk->file_st.st_mode))
        return error_set(walk->error, CATLATCH_E_IO, "%s is not a regular file", walk_place(walk));
    /* O_NONBLOCK: should it have become a FIFO meanwhile, opening it must not hang. */
    fd = openat(walk->folder, strrchr(walk->done, '/') + 1,
                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(walk, errno);
    if (fstat(fd, &st) != 0)
        code = fail_errno(walk, errno);
    else if (st.st_dev != walk->file_st.st_dev || st.st_ino != walk->file_st.st_ino ||
             !S_ISREG(st.st_mode)) /* another file can have got the number of one that is gone */
        code = error_set(walk->error, CATLATCH_E_IO, "%s was replaced while it was being opened",
                         walk_place(walk));
    else
        code = check_entry(walk, &st);
    if (code != 0)
        close(fd);
    else
        *ret_fd = fd;
    return code;
}

/* Opens too where ret_fd is not NULL. */
static int trust_walk(const char *path, const struct trust *trust, int *ret_fd, struct error *error)
{
    struct walk walk = {.trust = trust, .error = error, .folder = -1};
    int code = walk_all(&walk, path);

    if (code == 0 && ret_fd != NULL)
        code = walk_open(&walk, ret_fd);
    if (code != 0 && strcmp(path, walk_place(&walk)) != 0)
        error_prefix(error, "%s", path);
    if (walk.folder >= 0)
        close(walk.folder);
    return code;
}

int trust_path(const char *path, const struct trust *trust, struct error *error)
{
    return trust_walk(path, trust, NULL, error);
}

int trust_open(const char *path, const struct trust *trust, int *ret_fd, struct error *error)
{
    return trust_walk(path, trust, ret_fd, error);
}
