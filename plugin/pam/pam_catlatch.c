/*
 * pam_catlatch.c - what Linux-PAM calls. pam_catlatch(8) says what it means.
 *
 * auth: a key is asked for, verified, and opens the user if it is his. account: the same key is
 * asked about again. Nothing else of a key is kept than its digest, and that in the PAM handle.
 */
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdio.h>
#include <syslog.h>

#include "plugin/pam/attempt.h"
#include "plugin/pam/known.h"

#define PAM_EXPORT __attribute__((visibility("default")))

#define PROMPT "API key: "

/* A name, '=', and the longest value with its NUL. */
#define VARIABLE_SIZE (sizeof "CATLATCH_KEY_ID=" + CATLATCH_TEXT_SIZE)

static int read_arguments(pam_handle_t *pamh, int argc, const char **argv,
                          struct arguments *arguments)
{
    struct error error = {0};

    if (arguments_read(argc, argv, arguments, &error) == 0)
        return PAM_SUCCESS;
    pam_syslog(pamh, LOG_ERR, "%s", error.text);
    return PAM_SERVICE_ERR;
}

/* The text that an earlier module asked for, or that is asked for now. It stays PAM's. */
static int get_key(const struct attempt *attempt, const char **ret_key)
{
    int code = pam_get_authtok(attempt->pamh, PAM_AUTHTOK, ret_key, PROMPT);

    if (code == PAM_CONV_AGAIN)
        return PAM_INCOMPLETE;
    if (code != PAM_SUCCESS)
        pam_syslog(attempt->pamh, LOG_NOTICE, "no key for the user: %s",
                   pam_strerror(attempt->pamh, code));
    return code == PAM_SUCCESS && *ret_key == NULL ? PAM_AUTH_ERR : code;
}

static int check_key(const struct attempt *attempt, struct catlatch_outcome *ret_outcome,
                     struct verdict *ret_verdict)
{
    const char *key = NULL;
    int code = get_key(attempt, &key);

    if (code != PAM_SUCCESS)
        return code;
    attempt_verify(attempt, key, ret_outcome, ret_verdict);
    attempt_log(attempt, ret_verdict);
    if (ret_verdict->passes)
        return PAM_SUCCESS;
    return ret_verdict->result == CATLATCH_UNAVAILABLE ? PAM_AUTHINFO_UNAVAIL : PAM_AUTH_ERR;
}

/* Whether try_first_pass has something to try before it asks. */
static bool has_first_pass(const struct attempt *attempt)
{
    const void *item = NULL;

    return attempt->arguments.try_first_pass &&
           pam_get_item(attempt->pamh, PAM_AUTHTOK, &item) == PAM_SUCCESS && item != NULL;
}

static int check_keys(const struct attempt *attempt, struct catlatch_outcome *ret_outcome,
                      struct verdict *ret_verdict)
{
    bool may_ask_again = has_first_pass(attempt);
    int code = check_key(attempt, ret_outcome, ret_verdict);

    if (code != PAM_AUTH_ERR || !may_ask_again)
        return code;
    code = pam_set_item(attempt->pamh, PAM_AUTHTOK, NULL);
    return code == PAM_SUCCESS ? check_key(attempt, ret_outcome, ret_verdict) : code;
}

static int put_variable(pam_handle_t *pamh, const char *name, const char *value)
{
    char text[VARIABLE_SIZE];

    snprintf(text, sizeof text, "%s=%s", name, value);
    return pam_putenv(pamh, text);
}

/* In the authentication and not only with the credentials, for sshd does the two in two processes
 * and takes the environment over from the first. */
static int let_in(pam_handle_t *pamh, const struct catlatch_outcome *outcome,
                  const struct verdict *verdict, int argc, const char **argv)
{
    int code = known_keep(pamh, outcome, argc, argv);

    if (code == PAM_SUCCESS)
        code = put_variable(pamh, "CATLATCH_KEY_ID", verdict->holder.key_id);
    if (code == PAM_SUCCESS)
        code = put_variable(pamh, "CATLATCH_OWNER", verdict->holder.owner);
    return code;
}

static void log_debug(const struct attempt *attempt, const char *phase)
{
    const struct arguments *arguments = &attempt->arguments;

    if (arguments->debug)
        pam_syslog(attempt->pamh, LOG_DEBUG,
                   "%s: config %s, service %s, scope %s, map %s, owners of the user: %zu%s", phase,
                   arguments->config != NULL ? arguments->config : "(default)",
                   arguments->service != NULL ? arguments->service : "default", arguments->scope,
                   arguments->map != NULL ? arguments->map : "-", attempt->owners.count,
                   attempt->is_root ? ", who is root" : "");
}

PAM_EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct arguments arguments = arguments_default();
    struct catlatch_outcome outcome;
    struct attempt attempt;
    struct verdict verdict;

    (void)flags; /* an empty key is none, whether or not that is asked for */
    int code = read_arguments(pamh, argc, argv, &arguments);
    if (code == PAM_SUCCESS)
        code = attempt_begin(pamh, &arguments, &attempt);
    if (code != PAM_SUCCESS)
        return code;
    log_debug(&attempt, "auth");
    code = check_keys(&attempt, &outcome, &verdict);
    if (code == PAM_SUCCESS)
        code = let_in(pamh, &outcome, &verdict, argc, argv);
    attempt_end(&attempt);
    return code;
}

static int account_code(const struct verdict *verdict)
{
    if (verdict->passes)
        return PAM_SUCCESS;
    if (verdict->result == CATLATCH_UNAVAILABLE)
        return PAM_AUTHINFO_UNAVAIL;
    return verdict->result == CATLATCH_EXPIRED ? PAM_ACCT_EXPIRED : PAM_PERM_DENIED;
}

/* The user is compared anew: a module in between may have given him another name. */
static int check_account(const struct attempt *attempt, const struct known *known)
{
    struct verdict verdict;

    attempt_recheck(attempt, &known->outcome, &verdict);
    if (!verdict.passes || attempt->arguments.debug)
        attempt_log(attempt, &verdict);
    return account_code(&verdict);
}

PAM_EXPORT int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct arguments arguments = arguments_default();
    const struct known *known = known_get(pamh);
    struct attempt attempt;
    int code = PAM_SUCCESS;

    (void)flags;
    /* By what let the user in, and where this line says otherwise, by that. */
    if (known != NULL)
        code = read_arguments(pamh, known->argc, (const char **)known->argv, &arguments);
    if (code == PAM_SUCCESS)
        code = read_arguments(pamh, argc, argv, &arguments);
    if (code == PAM_SUCCESS && known == NULL) {
        if (arguments.debug)
            pam_syslog(pamh, LOG_DEBUG, "account: ignored, the user was let in otherwise");
        return PAM_IGNORE;
    }
    if (code == PAM_SUCCESS)
        code = attempt_begin(pamh, &arguments, &attempt);
    if (code != PAM_SUCCESS)
        return code;
    log_debug(&attempt, "account");
    code = check_account(&attempt, known);
    attempt_end(&attempt);
    return code;
}

PAM_EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags, (void)argc, (void)argv;
    return known_get(pamh) != NULL ? PAM_SUCCESS : PAM_IGNORE;
}
