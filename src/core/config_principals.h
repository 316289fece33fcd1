/*
 * config_principals.h - users and groups as the configuration names them. Part of config.c.
 *
 * Threads: any. Blocks: on the system's user database (NSS).
 */
#ifndef CORE_CONFIG_PRINCIPALS_H
#define CORE_CONFIG_PRINCIPALS_H

#include <stdbool.h>

#include "core/config.h"

/* What to do with names of users and groups. */
enum config_accounts {
    ACCOUNTS_WRITTEN, /* somebody wrote them: each must exist */
    ACCOUNTS_DEFAULT, /* our defaults: those that do not exist grant nobody */
    ACCOUNTS_IGNORED, /* look nothing up, grant nobody */
};

/* What an unmapped uid or gid of another user namespace shows as: it says nothing about who. */
#define CONFIG_OVERFLOW_ID 65534u

/* Users by name or number, groups with '@' before, separated by blanks or commas. The text may be
 * empty: nobody. Returns 0, E_CONFIG, E_IO or E_MEMORY; the error says no place. */
int principals_parse(const char *text, enum config_accounts accounts,
                     struct config_principals *ret_principals, struct error *error);

/* For [daemon] user and group. "" is allowed. Returns as principals_parse. */
int principals_check_user(const char *name, enum config_accounts accounts, struct error *error);
int principals_check_group(const char *name, enum config_accounts accounts, struct error *error);

/* Whether one that was accepted is a number, and which: it need not have a name on this system. */
bool principals_number(const char *name, uint32_t *ret_id);

#endif
