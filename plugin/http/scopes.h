/*
 * scopes.h - the scopes that a request must have, gathered one by one: as the library takes them,
 * and as answers show them.
 *
 * Pure, in the caller's memory alone; any thread.
 */
#ifndef HTTP_SCOPES_H
#define HTTP_SCOPES_H

#include <stdbool.h>
#include <stddef.h>

#include "catlatch.h"

/* Of one scope, as the daemon has it. */
#define SCOPES_LENGTH_MAX 64u
/* No key has more than fit into its CATLATCH_SCOPES_SIZE, the space behind each counted. */
#define SCOPES_COUNT_MAX (CATLATCH_SCOPES_SIZE / 2)

struct scopes {
    size_t count;
    size_t len;                          /* bytes of `words` that are in use */
    const char *names[SCOPES_COUNT_MAX]; /* into `words` */
    char words[CATLATCH_SCOPES_SIZE];    /* each with its NUL */
};

void scopes_init(struct scopes *scopes);

/* False, and nothing is added: it is no scope (1 to 64 of visible ASCII without quotes and
 * backslashes), or they are more than a key can have. */
bool scopes_add(struct scopes *scopes, const char *scope, size_t len);

/* Separated by one space, terminated. Returns the length. */
size_t scopes_join(const struct scopes *scopes, char ret[CATLATCH_SCOPES_SIZE]);

#endif
