/*
 * owners.h - whose keys open a user: the owners, found before any key is looked at.
 *
 * A map has a line for each pair, `owner user`, separated by blanks; an owner with blanks in his
 * name stands in double quotes. Empty lines and such that begin with '#' say nothing. One user can
 * have several owners, and one owner several users. The file passes core/trust.h's check, and any
 * line that is something else refuses all of it.
 */
#ifndef PAM_OWNERS_H
#define PAM_OWNERS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct owners {
    char (*names)[CATLATCH_TEXT_SIZE]; /* each filled up with NUL */
    size_t count;
};

/* Of a map, or without one (NULL) the owner of the user's own name. None is no error. Returns 0,
 * E_CONFIG with file and line, E_MEMORY, or what trust_open says. Blocks: on the file. */
int owners_of_user(const char *user, const char *map, struct owners *ret_owners,
                   struct error *error);

/* Whether he is one of them. Takes the same time whoever he is. */
bool owners_hold(const struct owners *owners, const char owner[CATLATCH_TEXT_SIZE]);

void owners_free(struct owners *owners);

#endif
