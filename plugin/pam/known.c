#include "plugin/pam/known.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define DATA_NAME "pam_catlatch_known"

static void known_free(struct known *known)
{
    for (int i = 0; i < known->argc; i++)
        free(known->argv[i]);
    OPENSSL_cleanse(&known->outcome, sizeof known->outcome);
    free(known);
}

static void clean_up(pam_handle_t *pamh, void *data, int status)
{
    (void)pamh, (void)status;
    if (data != NULL)
        known_free(data);
}

static struct known *known_new(const struct catlatch_outcome *outcome, int argc, const char **argv)
{
    struct known *known = calloc(1, sizeof *known + (size_t)argc * sizeof *known->argv);

    if (known == NULL)
        return NULL;
    known->outcome = *outcome;
    for (; known->argc < argc; known->argc++) {
        known->argv[known->argc] = strdup(argv[known->argc]);
        if (known->argv[known->argc] == NULL) {
            known_free(known);
            return NULL;
        }
    }
    return known;
}

int known_keep(pam_handle_t *pamh, const struct catlatch_outcome *outcome, int argc,
               const char **argv)
{
    struct known *known = known_new(outcome, argc, argv);

    if (known == NULL)
        return PAM_BUF_ERR;
    int r = pam_set_data(pamh, DATA_NAME, known, clean_up);
    if (r != PAM_SUCCESS)
        known_free(known);
    return r;
}

const struct known *known_get(const pam_handle_t *pamh)
{
    const void *data = NULL;

    return pam_get_data(pamh, DATA_NAME, &data) == PAM_SUCCESS ? data : NULL;
}
