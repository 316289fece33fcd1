/*
 * known.h - what an authentication leaves in the PAM handle for the account that follows: which key
 * it was, by its digest, and what the line said that let it in.
 */
#ifndef PAM_KNOWN_H
#define PAM_KNOWN_H

#include <security/pam_modules.h>

#include "catlatch.h"

struct known {
    struct catlatch_outcome outcome;
    int argc;
    char *argv[]; /* copies: PAM's own go when an application names another service */
};

/* Replaces what was kept before. It is cleansed when PAM lets go of it. Returns a PAM code. */
int known_keep(pam_handle_t *pamh, const struct catlatch_outcome *outcome, int argc,
               const char **argv);

/* NULL: this module let nobody in. Valid until known_keep. */
const struct known *known_get(const pam_handle_t *pamh);

#endif
