/*
 * config.h - catlatch.ini and its drop-ins, read whole or not at all.
 *
 * `file`, then conf.d/ *.ini beside it in the order of their names. A key stands once in a file; a
 * drop-in's value replaces an earlier file's. A section [service NAME] stands once altogether. An
 * unknown section or key is an error that names file, line and the nearest known one. Files and
 * folders pass trust.h's check. An environment that is written replaces all those of the default.
 *
 * A struct config owns all that it points to and is not changed once it was returned.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/error.h"
#include "core/key.h"
#include "core/named_limit.h"

#define CONFIG_NAME_MAX 64u      /* a service's name: [A-Za-z0-9_.-] */
#define CONFIG_PRINCIPALS_MAX 32 /* users and groups for each right */

/* One `control = module arguments` of a [service NAME]; src/stack gives it its meaning. */
struct config_rule {
    const char *file;
    unsigned line;
    char *control;
    char *text; /* module and arguments, as written */
};

struct config_service {
    char name[CONFIG_NAME_MAX + 1];
    const char *file; /* where it was opened */
    unsigned line;
    struct config_rule *rules;
    size_t rule_count;
};

/* The rights of sockets, in rising order; each holds all before it, but for gateway, which holds
 * none and may only AUTH. */
enum config_right {
    CONFIG_RIGHT_NONE = 0,
    CONFIG_RIGHT_GATEWAY,
    CONFIG_RIGHT_VERIFY,
    CONFIG_RIGHT_READ,
    CONFIG_RIGHT_REVOKE,
    CONFIG_RIGHT_WRITE,
    CONFIG_RIGHT_ADMIN,
    CONFIG_RIGHT_COUNT,
};

/* How much of the address that a key was used from is recorded. */
enum config_address {
    CONFIG_ADDRESS_FULL = 0,
    CONFIG_ADDRESS_PREFIX, /* the network: 24 bits of IPv4, 48 of IPv6 */
    CONFIG_ADDRESS_OFF,
};

/* Who holds a right: resolved when the configuration was read. */
struct config_principals {
    uid_t uids[CONFIG_PRINCIPALS_MAX];
    unsigned uid_count;
    gid_t gids[CONFIG_PRINCIPALS_MAX];
    unsigned gid_count;
};

struct config {
    char *path; /* of the main file, absolute */

    /* [daemon] */
    char state_dir[PATH_MAX];
    char run_dir[PATH_MAX];
    char admin_dir[PATH_MAX]; /* run_dir with "-admin" unless set */
    char module_dir[PATH_MAX];
    char user[64];  /* "": keep the starting uid */
    char group[64]; /* "": the user's own group */
    uint64_t expected_keys;
    int64_t heartbeat_interval_ms;
    int64_t max_stale_ms;      /* 0: never too old */
    uint64_t cache_size_bytes; /* Berkeley DB's */
    uint64_t ballast_size_bytes;
    int64_t checkpoint_interval_ms;
    uint64_t max_clients;
    int64_t idle_timeout_ms; /* 0: none */
    int64_t usage_flush_interval_ms;

    /* [access]; indexed by enum config_right */
    struct config_principals access[CONFIG_RIGHT_COUNT];

    /* [environments] */
    struct key_environments environments;

    /* [policy] */
    int64_t default_expiry_s;    /* 0: keys do not expire unless they say so */
    int64_t max_expiry_s;        /* 0: no bound; otherwise every key must expire within it */
    uint64_t max_keys_per_owner; /* 0: no bound; revoked keys do not count */
    int64_t retain_revoked_s;    /* 0: for ever */
    int64_t disable_unused_s;    /* 0: never; keys that were not used for so long are disabled */
    enum config_address record_address;

    /* [audit] */
    int64_t audit_retain_s; /* 0: for ever */

    /* [history]: how long each level is kept; 0: not at all */
    int64_t history_minutes_s;
    int64_t history_hours_s;
    int64_t history_days_s;

    struct config_service *services;
    size_t service_count;

    /* That the services name; known to who opened them all (daemon/settings.h), else none. */
    struct named_limits named_limits;

    char **files; /* every file that was read; config_rule.file points into it */
    size_t file_count;
};

/* The path when none is given: <sysconfdir>/catlatch/catlatch.ini. */
const char *config_default_path(void);

/* Reads and checks everything that can be checked without the state. On failure *ret_config is
 * untouched. Groups of [access]' defaults that do not exist grant nobody; one that was written is
 * an error. Returns 0, E_CONFIG, E_PERMISSION, E_NOT_FOUND, E_IO or E_MEMORY.
 * Thread: any. Blocks: on files and on the system's user database. */
int config_read(const char *path, struct config **ret_config, struct error *error);

/* The same for processes that serve nobody, as the library's hosts: no name of a user or group is
 * looked up (a container need not know them, and NSS modules have no place in a foreign process),
 * and `access` grants nobody. */
int config_read_without_accounts(const char *path, struct config **ret_config, struct error *error);

/* May the daemon that started with `running` go on with `fresh`? Returns 0, or E_CONFIG with the
 * first key that cannot change without a restart: state_dir, run_dir, admin_dir, user, group,
 * cache_size, ballast_size. */
int config_reload_check(const struct config *running, const struct config *fresh,
                        struct error *error);

/* Thread: any, when nobody uses the configuration any more. */
void config_free(struct config *config); /* NULL is allowed */

/* NULL if the file has none of that name. */
const struct config_service *config_service(const struct config *config, const char *name);

#endif
