#include "core/config_principals.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A group's entry holds all its members' names; the first size fits most, the last is where we
 * stop believing the database. */
#define ACCOUNT_BUFFER_FIRST 4096u
#define ACCOUNT_BUFFER_LAST (16u * 1024 * 1024)

#define ACCOUNT_NAME_MAX 63u

/* Asks the database once. Returns an errno, ENOENT when there is no such name. */
typedef int account_ask(const char *name, char *buffer, size_t size, uint32_t *ret_id);

struct account_kind {
    const char *noun;
    account_ask *ask;
};

static int ask_user(const char *name, char *buffer, size_t size, uint32_t *ret_id)
{
    struct passwd entry;
    struct passwd *found = NULL;
    int errnum = getpwnam_r(name, &entry, buffer, size, &found);

    if (found != NULL)
        *ret_id = found->pw_uid;
    return found != NULL ? 0 : errnum != 0 ? errnum : ENOENT;
}

static int ask_group(const char *name, char *buffer, size_t size, uint32_t *ret_id)
{
    struct group entry;
    struct group *found = NULL;
    int errnum = getgrnam_r(name, &entry, buffer, size, &found);

    if (found != NULL)
        *ret_id = found->gr_gid;
    return found != NULL ? 0 : errnum != 0 ? errnum : ENOENT;
}

static const struct account_kind USER = {"user", ask_user};
static const struct account_kind GROUP = {"group", ask_group};

/* getpwnam(3) lists these as ways in which systems say "no such name". */
static bool means_unknown(int errnum)
{
    return errnum == ENOENT || errnum == ESRCH || errnum == EBADF || errnum == EPERM;
}

static int ask_with_room(const struct account_kind *kind, const char *name, uint32_t *ret_id)
{
    int errnum = ERANGE;

    for (size_t size = ACCOUNT_BUFFER_FIRST; errnum == ERANGE && size <= ACCOUNT_BUFFER_LAST;
         size *= 2) {
        char *buffer = malloc(size);
        if (buffer == NULL)
            return ENOMEM;
        errnum = kind->ask(name, buffer, size, ret_id);
        free(buffer);
    }
    return errnum;
}

/* All digits: an id as it stands, which need not have a name. Returns false if it is a name. */
static bool number_parse(const char *name, bool *ret_fits, uint32_t *ret_id)
{
    unsigned long long number;

    if (name[strspn(name, "0123456789")] != '\0')
        return false;
    errno = 0;
    number = strtoull(name, NULL, 10);
    *ret_fits = errno == 0 && number < UINT32_MAX; /* the last one means "none" to the kernel */
    *ret_id = *ret_fits ? (uint32_t)number : 0;
    return true;
}

bool principals_number(const char *name, uint32_t *ret_id)
{
    uint32_t id;
    bool fits;

    if (*name == '\0' || !number_parse(name, &fits, &id) || !fits)
        return false;
    *ret_id = id;
    return true;
}

/* Returns 0, E_NOT_FOUND without a text in *error, or what principals_parse returns. */
static int account_find(const struct account_kind *kind, const char *name, uint32_t *ret_id,
                        struct error *error)
{
    uint32_t id;
    bool fits;

    if (*name == '\0' || strlen(name) > ACCOUNT_NAME_MAX)
        return error_set(error, CATLATCH_E_CONFIG, "\"%s\" is no name of a %s: 1 to %u bytes", name,
                         kind->noun, ACCOUNT_NAME_MAX);
    if (number_parse(name, &fits, &id)) {
        if (!fits)
            return error_set(error, CATLATCH_E_CONFIG, "%s is no %s's number: 0 to %u", name,
                             kind->noun, UINT32_MAX - 1);
    } else {
        int errnum = ask_with_room(kind, name, &id);
        if (means_unknown(errnum))
            return CATLATCH_E_NOT_FOUND;
        if (errnum != 0)
            return error_errno(error, errnum, "cannot look up the %s \"%s\"", kind->noun, name);
    }
    if (id == CONFIG_OVERFLOW_ID)
        return error_set(error, CATLATCH_E_CONFIG,
                         "the %s \"%s\" is number %u, which everybody unknown in a container has; "
                         "name another",
                         kind->noun, name, CONFIG_OVERFLOW_ID);
    *ret_id = id;
    return 0;
}

static int refuse_unknown(const struct account_kind *kind, const char *name, struct error *error)
{
    return error_set(error, CATLATCH_E_CONFIG,
                     "there is no %s \"%s\" on this system; create it, or take the name out",
                     kind->noun, name);
}

static int principal_add(const char *item, enum config_accounts accounts,
                         struct config_principals *principals, struct error *error)
{
    bool is_group = *item == '@';
    const struct account_kind *kind = is_group ? &GROUP : &USER;
    unsigned *count = is_group ? &principals->gid_count : &principals->uid_count;
    uint32_t id = 0;
    int r;

    if (accounts == ACCOUNTS_IGNORED)
        return 0;
    r = account_find(kind, item + is_group, &id, error);
    if (r == CATLATCH_E_NOT_FOUND)
        return accounts == ACCOUNTS_DEFAULT ? 0 : refuse_unknown(kind, item + is_group, error);
    if (r != 0)
        return r;
    if (*count == CONFIG_PRINCIPALS_MAX)
        return error_set(error, CATLATCH_E_CONFIG,
                         "more than %d %ss; make one group of them and name that",
                         CONFIG_PRINCIPALS_MAX, kind->noun);
    (is_group ? principals->gids : principals->uids)[(*count)++] = id;
    return 0;
}

int principals_parse(const char *text, enum config_accounts accounts,
                     struct config_principals *ret_principals, struct error *error)
{
    struct config_principals principals = {.uid_count = 0};
    char *copy = strdup(text);
    char *rest = NULL;
    int r = 0;

    if (copy == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    for (char *item = strtok_r(copy, " ,", &rest); item != NULL && r == 0;
         item = strtok_r(NULL, " ,", &rest))
        r = principal_add(item, accounts, &principals, error);
    free(copy);
    if (r == 0)
        *ret_principals = principals;
    return r;
}

static int account_check(const struct account_kind *kind, const char *name,
                         enum config_accounts accounts, struct error *error)
{
    uint32_t id;
    int r;

    if (*name == '\0' || accounts == ACCOUNTS_IGNORED)
        return 0;
    r = account_find(kind, name, &id, error);
    return r == CATLATCH_E_NOT_FOUND ? refuse_unknown(kind, name, error) : r;
}

int principals_check_user(const char *name, enum config_accounts accounts, struct error *error)
{
    return account_check(&USER, name, accounts, error);
}

int principals_check_group(const char *name, enum config_accounts accounts, struct error *error)
{
    return account_check(&GROUP, name, accounts, error);
}
