/*
 * pam_login [-n COUNT] FOLDER SERVICE USER: somebody logs in by the PAM services of a folder: each
 * question is answered by the next line of stdin. Prints what authentication, account and
 * credentials came to, by name, and the environment that PAM has for him. With -n as often as that
 * by one process, the same line each time, and only the last is told: then how many bytes more the
 * process had allocated at the end than after its tenth time.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <security/pam_appl.h>
#include <security/pam_misc.h>

#define LINE_MAX_BYTES 1024

static char last_line[LINE_MAX_BYTES];
static int is_repeated;

static const char *next_answer(void)
{
    char line[LINE_MAX_BYTES];

    if (is_repeated && last_line[0] != '\0')
        return last_line;
    if (fgets(line, sizeof line, stdin) == NULL)
        return NULL;
    line[strcspn(line, "\n")] = '\0';
    memcpy(last_line, line, sizeof line);
    return last_line;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **ret,
                    void *context)
{
    struct pam_response *responses = calloc((size_t)count, sizeof *responses);

    (void)context;
    if (responses == NULL)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        int style = messages[i]->msg_style;
        const char *answer = style == PAM_PROMPT_ECHO_OFF ? next_answer() : NULL;
        if (!is_repeated)
            printf("said: %s\n", messages[i]->msg);
        if (answer != NULL)
            responses[i].resp = strdup(answer);
        else if (style == PAM_PROMPT_ECHO_OFF) {
            free(responses);
            return PAM_CONV_ERR;
        }
    }
    *ret = responses;
    return PAM_SUCCESS;
}

static void tell(pam_handle_t *pamh, const char *what, int code, int is_told)
{
    if (is_told)
        printf("%s: %s\n", what, pam_strerror(pamh, code));
}

static int log_in(char **argv, int is_told)
{
    struct pam_conv conv = {.conv = converse};
    pam_handle_t *pamh = NULL;
    int code = pam_start_confdir(argv[1], argv[2], &conv, argv[0], &pamh);

    if (code != PAM_SUCCESS)
        return code;
    code = pam_authenticate(pamh, 0);
    tell(pamh, "authenticate", code, is_told);
    if (code == PAM_SUCCESS) {
        code = pam_acct_mgmt(pamh, 0);
        tell(pamh, "account", code, is_told);
    }
    if (code == PAM_SUCCESS) {
        code = pam_setcred(pamh, PAM_ESTABLISH_CRED);
        tell(pamh, "credentials", code, is_told);
    }
    char **variables = pam_getenvlist(pamh);
    for (char **each = variables; each != NULL && *each != NULL; each++)
        if (is_told)
            printf("environment: %s\n", *each);
    pam_misc_drop_env(variables);
    pam_end(pamh, code);
    return code;
}

int main(int argc, char **argv)
{
    int count = 1;
    size_t before = 0;
    int code = PAM_SUCCESS;

    if (argc == 6 && strcmp(argv[1], "-n") == 0) {
        count = atoi(argv[2]);
        is_repeated = 1;
        argv += 2;
        argc -= 2;
    }
    if (argc != 4) {
        fprintf(stderr, "usage: pam_login [-n COUNT] FOLDER SERVICE USER <ANSWERS\n");
        return 64;
    }
    for (int i = 1; i <= count; i++) {
        code = log_in(argv + 1, i == count);
        if (i == 10)
            before = mallinfo2().uordblks;
    }
    if (count > 10)
        printf("grown: %zd bytes\n", (ssize_t)(mallinfo2().uordblks - before));
    return code == PAM_SUCCESS ? 0 : 1;
}
