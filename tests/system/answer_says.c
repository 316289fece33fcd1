/*
 * answer_says: what plugin/http/answer.c says, for comparing others with it. A line of standard
 * input has four words in hex, with "-" for none: the bytes of an outcome, the realm, the scopes,
 * the request's id. A line of output has status, seconds to wait, challenge, policy, rate and body,
 * with tabs between them; the body brings its newline.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/http/answer.h"

#define WORD_SIZE 4096u

/* NULL: "-". The bytes and a NUL. */
static char *unhex(const char *word, char ret[WORD_SIZE], size_t *ret_len)
{
    size_t len = 0;

    if (word == NULL)
        errx(65, "a line has four words");
    *ret_len = 0;
    if (strcmp(word, "-") == 0)
        return NULL;
    for (unsigned byte; len + 1 < WORD_SIZE && sscanf(word + 2 * len, "%2x", &byte) == 1; len++)
        ret[len] = (char)byte;
    ret[len] = '\0';
    *ret_len = len;
    return ret;
}

static void say(const struct catlatch_outcome *outcome, const char *realm, const char *scopes,
                const char *id, size_t id_len)
{
    char challenge[ANSWER_CHALLENGE_SIZE], policy[ANSWER_RATE_SIZE] = "";
    char rate[ANSWER_RATE_SIZE] = "", body[ANSWER_BODY_SIZE];
    struct answer answer;

    answer_init(&answer, outcome);
    size_t challenge_len = answer_challenge(&answer, realm, scopes, challenge);
    answer_rate(&answer, policy, rate);
    answer_body(&answer, scopes, id, id_len, body);
    printf("%u\t%lu\t%.*s\t%s\t%s\t%s", answer.status, answer.retry_after_s, (int)challenge_len,
           challenge, policy, rate, body);
}

int main(void)
{
    static char line[4 * WORD_SIZE], raw[WORD_SIZE], realm[WORD_SIZE], scopes[WORD_SIZE],
        id[WORD_SIZE];
    size_t raw_len, len, id_len;

    while (fgets(line, sizeof line, stdin) != NULL) {
        struct catlatch_outcome outcome;
        unhex(strtok(line, " \n"), raw, &raw_len);
        if (raw_len != sizeof outcome)
            errx(65, "an outcome has %zu bytes, and not %zu", sizeof outcome, raw_len);
        memcpy(&outcome, raw, sizeof outcome);
        unhex(strtok(NULL, " \n"), realm, &len);
        const char *wanted = unhex(strtok(NULL, " \n"), scopes, &len);
        const char *request_id = unhex(strtok(NULL, " \n"), id, &id_len);
        say(&outcome, realm, wanted, request_id, id_len);
    }
    return 0;
}
