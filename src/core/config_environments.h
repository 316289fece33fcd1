/*
 * config_environments.h - the section [environments]: names and prefixes. Part of config.c.
 *
 * Threads: any. Errors say no place but where they compare two.
 */
#ifndef CORE_CONFIG_ENVIRONMENTS_H
#define CORE_CONFIG_ENVIRONMENTS_H

#include "core/error.h"
#include "core/key.h"

/* What stands in the place of environments that nobody wrote: live and test. */
void environments_default(struct key_environments *ret_environments);

/* Adds an environment, or replaces its prefix. *ret_index says where it stands now.
 * Returns 0 or E_CONFIG; then nothing was changed. */
int environments_set(struct key_environments *environments, const char *name, const char *prefix,
                     size_t *ret_index, struct error *error);

/* Finds two of which one's prefix is the start of the other's. Returns 0, or E_CONFIG; then
 * *ret_index is the later of the two. */
int environments_check(const struct key_environments *environments, size_t *ret_index,
                       struct error *error);

#endif
