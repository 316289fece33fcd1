/*
 * attempt.h - somebody wants to be a user: what is asked of a key for it, and whether it fits.
 *
 * An unknown key and one of somebody else's take the same way to the same answer. All that belongs
 * to the user is found before a key is looked at; the holder is looked up and compared whether
 * there is one or not, every byte of his name; what is logged is made of the same words. What is
 * left is what the library itself does for a key that the table has.
 */
#ifndef PAM_ATTEMPT_H
#define PAM_ATTEMPT_H

#include <security/pam_modules.h>

#include "plugin/pam/arguments.h"
#include "plugin/pam/owners.h"

struct attempt {
    pam_handle_t *pamh;
    struct arguments arguments;
    const char *user; /* PAM's */
    struct owners owners;
    bool is_root;        /* the user's number is 0 */
    const char *address; /* PAM's, or NULL where the remote host is no IP address */
    struct catlatch *latch;
};

struct verdict {
    bool passes;
    enum catlatch_result result;     /* of the key, whoever's it is */
    struct catlatch_identity holder; /* empty where the key is unknown */
};

/* Returns a PAM code; what went wrong is in the log. Then there is nothing to end. */
int attempt_begin(pam_handle_t *pamh, const struct arguments *arguments,
                  struct attempt *ret_attempt);
void attempt_end(struct attempt *attempt);

/* Does the key open the user? */
void attempt_verify(const struct attempt *attempt, const char *key,
                    struct catlatch_outcome *ret_outcome, struct verdict *ret_verdict);

/* Does the key of that outcome still open him? */
void attempt_recheck(const struct attempt *attempt, const struct catlatch_outcome *outcome,
                     struct verdict *ret_verdict);

/* One line, for whoever looks after this host: who was let in by which key, or why not. */
void attempt_log(const struct attempt *attempt, const struct verdict *verdict);

#endif
