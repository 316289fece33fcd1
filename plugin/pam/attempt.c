#include "plugin/pam/attempt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pwd.h>
#include <security/pam_ext.h>
#include <string.h>
#include <syslog.h>

#include "core/key.h"

/* As lib/attach.c's: glibc suggests 1 KiB for one entry, directory services take more. */
#define PASSWD_BYTES 16384

/* A longer name of a user is logged by its beginning: a key that was typed in the wrong place is at
 * least this long, and of its beginning no more is shown than of any key. */
#define USER_SHOWN_MAX (KEY_PREFIX_MIN + KEY_RANDOM_LEN + KEY_CHECK_LEN - 1)

static int pam_code(int error)
{
    switch (error) {
    case CATLATCH_E_MEMORY:
        return PAM_BUF_ERR;
    case CATLATCH_E_IO:
    case CATLATCH_E_UNAVAILABLE:
        return PAM_AUTHINFO_UNAVAIL;
    default:
        return PAM_SERVICE_ERR;
    }
}

static int find_root(const char *user, bool *ret_is_root, struct error *error)
{
    char buffer[PASSWD_BYTES];
    struct passwd entry, *found = NULL;
    int r = getpwnam_r(user, &entry, buffer, sizeof buffer, &found);

    /* getpwnam_r(3): these two, too, say that there is no such user. Not every service's users are
     * the system's. */
    if (r != 0 && r != ENOENT && r != ESRCH)
        return error_set(error, CATLATCH_E_UNAVAILABLE, "cannot look the user up: %s", strerror(r));
    *ret_is_root = found != NULL && found->pw_uid == 0;
    return 0;
}

static int open_latch(const struct arguments *arguments, struct catlatch **ret_latch,
                      struct error *error)
{
    struct catlatch_options options = {
        .size = sizeof options,
        .config_path = arguments->config,
        .service = arguments->service,
    };
    char message[sizeof error->text] = "";
    int r = catlatch_open(&options, ret_latch, message, sizeof message);

    return r == 0 ? 0 : error_set(error, r, "%s", message);
}

static const char *find_address(pam_handle_t *pamh)
{
    const void *item = NULL;
    struct in6_addr address;

    if (pam_get_item(pamh, PAM_RHOST, &item) != PAM_SUCCESS || item == NULL)
        return NULL;
    return inet_pton(AF_INET, item, &address) == 1 || inet_pton(AF_INET6, item, &address) == 1
               ? item
               : NULL;
}

int attempt_begin(pam_handle_t *pamh, const struct arguments *arguments,
                  struct attempt *ret_attempt)
{
    struct attempt attempt = {.pamh = pamh, .arguments = *arguments};
    struct error error = {0};
    int code = pam_get_user(pamh, &attempt.user, NULL);

    if (code != PAM_SUCCESS)
        return code == PAM_CONV_AGAIN ? PAM_INCOMPLETE : code;
    attempt.address = find_address(pamh);
    int r = find_root(attempt.user, &attempt.is_root, &error);
    if (r == 0)
        r = owners_of_user(attempt.user, arguments->map, &attempt.owners, &error);
    if (r == 0)
        r = open_latch(arguments, &attempt.latch, &error);
    if (r == 0) {
        *ret_attempt = attempt;
        return PAM_SUCCESS;
    }
    pam_syslog(pamh, LOG_ERR, "%s", error.text);
    owners_free(&attempt.owners);
    return pam_code(r);
}

void attempt_end(struct attempt *attempt)
{
    catlatch_close(attempt->latch);
    owners_free(&attempt->owners);
}

static void weigh(const struct attempt *attempt, enum catlatch_result result,
                  const struct catlatch_outcome *outcome, struct verdict *ret_verdict)
{
    struct catlatch_outcome asked = *outcome;
    struct verdict verdict = {.result = result, .holder = {.size = sizeof verdict.holder}};

    /* Of an unknown key the outcome says no digest, and what is looked up is one that no key has.
     */
    asked.matched = 1;
    int r = catlatch_identity(attempt->latch, &asked, &verdict.holder);
    bool is_known = outcome->matched == 1 && r == 0;
    bool is_owner = owners_hold(&attempt->owners, verdict.holder.owner);
    bool is_barred = attempt->is_root && !attempt->arguments.allow_root;
    if (result == CATLATCH_VALID && outcome->matched == 1 && r != 0)
        verdict.result = r == CATLATCH_E_NOT_FOUND ? CATLATCH_NOT_FOUND : CATLATCH_UNAVAILABLE;
    verdict.passes = (verdict.result == CATLATCH_VALID) & is_known & is_owner & !is_barred;
    *ret_verdict = verdict;
}

static struct catlatch_request request_of(const struct attempt *attempt)
{
    return (struct catlatch_request){
        .size = sizeof(struct catlatch_request),
        .scopes = &attempt->arguments.scope,
        .scope_count = 1,
        .address = attempt->address,
    };
}

void attempt_verify(const struct attempt *attempt, const char *key,
                    struct catlatch_outcome *ret_outcome, struct verdict *ret_verdict)
{
    struct catlatch_request request = request_of(attempt);

    request.key = key;
    request.key_len = strlen(key);
    *ret_outcome = (struct catlatch_outcome){.size = sizeof *ret_outcome};
    enum catlatch_result result = catlatch_verify(attempt->latch, &request, ret_outcome);
    weigh(attempt, result, ret_outcome, ret_verdict);
}

void attempt_recheck(const struct attempt *attempt, const struct catlatch_outcome *outcome,
                     struct verdict *ret_verdict)
{
    struct catlatch_request request = request_of(attempt);

    weigh(attempt, catlatch_recheck(attempt->latch, outcome, &request), outcome, ret_verdict);
}

static const char *reason_of(const struct attempt *attempt, const struct verdict *verdict)
{
    if (verdict->result != CATLATCH_VALID)
        return catlatch_result_name(verdict->result);
    if (attempt->is_root && !attempt->arguments.allow_root)
        return "root_not_allowed";
    return verdict->passes ? "valid" : "not_owner";
}

static const char *fate_of(const struct verdict *verdict)
{
    if (verdict->result == CATLATCH_UNAVAILABLE)
        return "could not check";
    return verdict->passes ? "opened" : "refused";
}

/* What stands for an unknown key is as long as what stands for a known one: both lines take the
 * same time. */
static const char *text_or(const char *text, const char *nothing)
{
    return text[0] != '\0' ? text : nothing;
}

void attempt_log(const struct attempt *attempt, const struct verdict *verdict)
{
    const struct arguments *arguments = &attempt->arguments;
    const struct catlatch_identity *holder = &verdict->holder;
    struct error line; /* its text has no control characters, whatever a user calls himself */
    bool is_long = strlen(attempt->user) > USER_SHOWN_MAX;

    error_set(&line, 0, "%s user \"%.*s%s\" from %s: %s, service %s, key %s %s of \"%s\"",
              fate_of(verdict), (int)(is_long ? KEY_SHOWN_LEN : USER_SHOWN_MAX), attempt->user,
              is_long ? "..." : "", attempt->address != NULL ? attempt->address : "-",
              reason_of(attempt, verdict),
              arguments->service != NULL ? arguments->service : "default",
              text_or(holder->key_id, "-----------------"),
              text_or(holder->prefix, "---------------"), text_or(holder->owner, "-"));
    pam_syslog(attempt->pamh, verdict->result == CATLATCH_UNAVAILABLE ? LOG_ERR : LOG_NOTICE, "%s",
               line.text);
}
