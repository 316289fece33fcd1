/*
 * config_keys.h - the table of the configuration's keys, with types, bounds and defaults. Part of
 * config.c; the sections [environments] and [service NAME], whose names are the user's, are not in
 * it.
 *
 * Threads: any. Errors say no place; the caller puts it before them.
 */
#ifndef CORE_CONFIG_KEYS_H
#define CORE_CONFIG_KEYS_H

#include <stdbool.h>

#include "core/config_principals.h"

enum config_type {
    CONFIG_PATH,       /* char[PATH_MAX]: absolute, without "." and ".." */
    CONFIG_SOCKET_DIR, /* a path short enough for a socket's address in it */
    CONFIG_COUNT,      /* uint64_t; k and M are thousands and millions */
    CONFIG_SIZE,       /* uint64_t, bytes; K, M, G (or KiB, MiB, GiB) */
    CONFIG_MS,         /* int64_t, a duration */
    CONFIG_S,          /* int64_t, a duration of whole seconds */
    CONFIG_USER,       /* char[64] */
    CONFIG_GROUP,      /* char[64] */
    CONFIG_PRINCIPALS, /* struct config_principals */
    CONFIG_ADDRESS,    /* enum config_address, as a word */
};

struct config_key {
    const char *section;
    const char *name;
    enum config_type type;
    size_t offset;       /* in struct config */
    const char *initial; /* the default as one would write it; NULL: made from others */
    const char *zero;    /* the word for 0, which then is outside of the bounds; or NULL */
    const char *min;     /* bounds as one would write them, both allowed values; NULL: no numbers */
    const char *max;
    bool restart; /* cannot change while the daemon runs */
};

const struct config_key *config_keys(size_t *ret_count);

/* NULL if there is no such key. */
const struct config_key *config_key_find(const char *section, const char *name);

/* Checks the value and stores it in config. Returns 0, E_CONFIG, E_IO or E_MEMORY. */
int config_key_set(const struct config_key *key, const char *value, enum config_accounts accounts,
                   struct config *config, struct error *error);

/* Says that there is no such key, and which was meant. Returns E_CONFIG. */
int config_key_unknown(const char *section, const char *name, struct error *error);

#endif
