/* pam_script.so n=NUMBER r=CODE: a module of Linux-PAM that returns the code, and leaves the same
 * record as ours. */
#include <security/pam_modules.h>

#include <stdlib.h>
#include <string.h>

#include "tests/stack/record.h"

static int number(int count, const char **words, const char *name)
{
    size_t len = strlen(name);

    for (int i = 0; i < count; i++) {
        if (strncmp(words[i], name, len) == 0)
            return atoi(words[i] + len);
    }
    return 0;
}

__attribute__((visibility("default"))) int pam_sm_authenticate(pam_handle_t *pam, int flags,
                                                               int count, const char **words)
{
    int code = number(count, words, "r=");

    (void)pam, (void)flags;
    record_add('v', number(count, words, "n="), code);
    return code;
}

__attribute__((visibility("default"))) int pam_sm_setcred(pam_handle_t *pam, int flags, int count,
                                                          const char **words)
{
    (void)pam, (void)flags, (void)count, (void)words;
    return PAM_SUCCESS;
}
