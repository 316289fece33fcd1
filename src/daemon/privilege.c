#include "daemon/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config_principals.h"
#include "core/trust.h"

/* A number stands for itself, and needs an entry only to say which group is the user's own. */
static int resolve_number(const struct config *config, uid_t uid, struct privilege *privilege,
                          struct error *error)
{
    const struct passwd *user = getpwuid(uid);

    if (user == NULL && config->group[0] == '\0')
        return error_set(error, CATLATCH_E_CONFIG,
                         "[daemon] user %s has no name on this system, and so no group of its own; "
                         "set [daemon] group",
                         config->user);
    privilege->uid = uid;
    if (user != NULL)
        privilege->gid = user->pw_gid;
    return 0;
}

static int resolve_user(const struct config *config, struct privilege *privilege,
                        struct error *error)
{
    const char *name = config->user;
    uid_t uid;

    if (principals_number(name, &uid))
        return resolve_number(config, uid, privilege, error);
    errno = 0;
    const struct passwd *user = getpwnam(name);

    if (!user && errno != 0)
        return error_errno(error, errno, "cannot look up [daemon] user %s", name);
    if (!user)
        return error_set(error, CATLATCH_E_CONFIG,
                         "[daemon] user %s does not exist; add it with useradd or systemd-sysusers",
                         name);
    privilege->uid = user->pw_uid;
    privilege->gid = user->pw_gid;
    return 0;
}

static int resolve_group(const char *name, struct privilege *privilege, struct error *error)
{
    if (principals_number(name, &privilege->gid))
        return 0;
    errno = 0;
    const struct group *group = getgrnam(name);

    if (!group && errno != 0)
        return error_errno(error, errno, "cannot look up [daemon] group %s", name);
    if (!group)
        return error_set(
            error, CATLATCH_E_CONFIG,
            "[daemon] group %s does not exist; add it with groupadd or systemd-sysusers", name);
    privilege->gid = group->gr_gid;
    return 0;
}

int privilege_resolve(const struct config *config, struct privilege *ret_privilege,
                      struct error *error)
{
    struct privilege privilege = {.uid = geteuid(), .gid = getegid()};
    int r = 0;

    if (config->user[0])
        r = resolve_user(config, &privilege, error);
    if (r == 0 && config->group[0])
        r = resolve_group(config->group, &privilege, error);
    if (r != 0)
        return r;
    if (geteuid() != 0 && privilege.uid != geteuid())
        return error_set(error, CATLATCH_E_PERMISSION,
                         "[daemon] user is %s and this is uid %u; start as root or as %s",
                         config->user, (unsigned)geteuid(), config->user);
    privilege.drop = geteuid() == 0 && (privilege.uid != 0 || privilege.gid != getegid());
    *ret_privilege = privilege;
    return 0;
}

struct folder {
    const char *setting;
    const char *path;
    mode_t mode;
};

/* What is made in the folder gets its group: an ordinary user cannot make [daemon] group its own,
 * and the table's group is who may map it. */
static int folder_inherit(int fd, const struct folder *folder, struct error *error)
{
    if ((folder->mode & S_ISGID) == 0 || fchmod(fd, folder->mode) == 0)
        return 0;
    return error_errno(error, errno, "cannot set the mode of %s %s", folder->setting, folder->path);
}

/* Through the descriptor, so that what was looked at is what is given away. */
static int folder_own(int fd, const struct folder *folder, const struct privilege *privilege,
                      struct error *error)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return error_errno(error, errno, "cannot look at %s %s", folder->setting, folder->path);
    bool ours = status.st_uid == privilege->uid && status.st_gid == privilege->gid;
    bool may_give = geteuid() == 0 && (status.st_uid == 0 || status.st_uid == privilege->uid);
    if (!ours && (may_give || status.st_uid == geteuid()) &&
        fchown(fd, privilege->uid, privilege->gid) != 0)
        return error_errno(error, errno, "cannot give %s %s to uid %u and gid %u", folder->setting,
                           folder->path, (unsigned)privilege->uid, (unsigned)privilege->gid);
    if (!may_give && status.st_uid != privilege->uid)
        return error_set(
            error, CATLATCH_E_PERMISSION,
            "%s %s belongs to uid %u and must be uid %u's: chown it, or choose another",
            folder->setting, folder->path, (unsigned)status.st_uid, (unsigned)privilege->uid);
    if ((status.st_mode & 0777 & ~folder->mode) == 0)
        return folder_inherit(fd, folder, error);
    return error_set(error, CATLATCH_E_PERMISSION,
                     "%s %s has mode %03o, which is too open: chmod %o %s", folder->setting,
                     folder->path, (unsigned)(status.st_mode & 07777), (unsigned)folder->mode,
                     folder->path);
}

static int folder_make(const struct folder *folder, const struct privilege *privilege,
                       struct error *error)
{
    struct trust trust = {.uids = {privilege->uid}, .count = 1};

    if (mkdir(folder->path, folder->mode) != 0 && errno != EEXIST)
        return error_errno(error, errno, "cannot make %s %s", folder->setting, folder->path);
    int fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return error_errno(error, errno, "cannot open %s %s", folder->setting, folder->path);
    int r = folder_own(fd, folder, privilege, error);
    close(fd);
    if (r == 0 && (r = trust_path(folder->path, &trust, error)) != 0)
        return error_prefix(error, "%s", folder->setting);
    return r;
}

static int folders_make(const struct folder *folders, size_t count,
                        const struct privilege *privilege, struct error *error)
{
    mode_t before = umask(0);
    int r = 0;

    for (size_t i = 0; i < count && r == 0; i++)
        r = folder_make(&folders[i], privilege, error);
    umask(before);
    return r;
}

/* run_dir and admin_dir can be entered by everybody: the table's own mode (0640) says who may map
 * it, and the sockets look at who connects. */
static struct folder run_folder(const struct config *config)
{
    return (struct folder){"run_dir", config->run_dir, config->group[0] ? S_ISGID | 0755 : 0755};
}

int privilege_folders(const struct config *config, const struct privilege *privilege,
                      struct error *error)
{
    const struct folder folders[] = {
        {"state_dir", config->state_dir, 0700},
        run_folder(config),
        {"admin_dir", config->admin_dir, 0755},
    };

    return folders_make(folders, sizeof folders / sizeof folders[0], privilege, error);
}

int privilege_run_dir(const struct config *config, const struct privilege *privilege,
                      struct error *error)
{
    const struct folder folder = run_folder(config);

    return folders_make(&folder, 1, privilege, error);
}

uint64_t privilege_files(uint64_t files)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_cur >= files)
        return limit.rlim_cur;
    struct rlimit wanted = {.rlim_cur = files,
                            .rlim_max = limit.rlim_max > files ? limit.rlim_max : files};
    if (setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        return files;
    limit.rlim_cur = limit.rlim_max; /* not root: as far as we may */
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

static int become(const struct privilege *privilege, struct error *error)
{
    if (setgroups(0, NULL) != 0 || setresgid(privilege->gid, privilege->gid, privilege->gid) != 0 ||
        setresuid(privilege->uid, privilege->uid, privilege->uid) != 0)
        return error_errno(error, errno, "cannot become uid %u and gid %u",
                           (unsigned)privilege->uid, (unsigned)privilege->gid);
    if (privilege->uid != 0 && setuid(0) == 0)
        return error_set(error, CATLATCH_E_PERMISSION,
                         "could become root again after giving it up");
    return 0;
}

int privilege_drop(const struct privilege *privilege, uint64_t files, uint64_t *ret_files,
                   struct error *error)
{
    const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return error_errno(error, errno, "cannot forbid core dumps");
    uint64_t have = privilege_files(files);
    int r = privilege->drop ? become(privilege, error) : 0;
    if (r != 0)
        return r;
    /* After the change of uid, which sets it anew. Neither a debugger of the same user nor a core
     * pattern that ignores the limit gets at what passes through. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_errno(error, errno, "cannot forbid core dumps");
    *ret_files = have;
    return 0;
}
