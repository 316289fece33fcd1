#include "plugin/http/credential.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>

static bool begins_with(const char *text, size_t len, const char *word)
{
    return len >= strlen(word) && strncasecmp(text, word, strlen(word)) == 0;
}

static bool is_bearer(const char *value, size_t len)
{
    return begins_with(value, len, "Bearer");
}

static bool is_basic(const char *value, size_t len)
{
    return begins_with(value, len, "Basic ");
}

bool credential_is_list(const char *value, size_t len)
{
    return memchr(value, ',', len) != NULL;
}

/* Behind the next comma that is not in quotes, and blanks; `len` if there is none. */
static size_t next_element(const char *value, size_t len, size_t at)
{
    bool is_quoted = false;

    for (; at < len && (is_quoted || value[at] != ','); at++) {
        if (is_quoted && value[at] == '\\' && at + 1 < len)
            at++;
        else if (value[at] == '"')
            is_quoted = !is_quoted;
    }
    while (at < len && (value[at] == ',' || value[at] == ' ' || value[at] == '\t'))
        at++;
    return at;
}

/* Schemes of others may have commas of their own, in what is said of their credential. */
enum credential_scheme credential_scheme(const char *value, size_t len)
{
    bool bearer = is_bearer(value, len), basic = is_basic(value, len);

    if ((bearer || basic) && credential_is_list(value, len))
        return CREDENTIAL_SEVERAL;
    for (size_t at = next_element(value, len, 0); at < len; at = next_element(value, len, at))
        if (is_bearer(value + at, len - at) || is_basic(value + at, len - at))
            return CREDENTIAL_SEVERAL;
    if (bearer)
        return CREDENTIAL_BEARER;
    return basic ? CREDENTIAL_BASIC : CREDENTIAL_OTHER;
}

/* Four characters for each three bytes, of which padding takes up to two away. */
static bool decode(const char *text, size_t len, char ret[CREDENTIAL_BASIC_SIZE], size_t *ret_len)
{
    size_t padding = 0;

    while (padding < 2 && padding < len && text[len - padding - 1] == '=')
        padding++;
    if (len == 0 || len % 4 != 0 || len / 4 * 3 >= CREDENTIAL_BASIC_SIZE ||
        memchr(text, '=', len - padding) != NULL)
        return false;
    int decoded = EVP_DecodeBlock((unsigned char *)ret, (const unsigned char *)text, (int)len);
    if (decoded < 0 || (size_t)decoded != len / 4 * 3)
        return false;
    *ret_len = (size_t)decoded - padding;
    return true;
}

bool credential_read_basic(const char *value, size_t len, struct credential_basic *ret)
{
    size_t at = strlen("Basic"), text_len = 0;

    while (at < len && value[at] == ' ')
        at++;
    while (len > at && value[len - 1] == ' ')
        len--;
    char *colon = NULL;
    if (len > at && decode(value + at, len - at, ret->text, &text_len))
        colon = memchr(ret->text, ':', text_len);
    if (colon == NULL)
        return false;
    *colon = ret->text[text_len] = '\0';
    ret->user = ret->text;
    ret->user_len = (size_t)(colon - ret->text);
    ret->password = colon + 1;
    ret->password_len = text_len - ret->user_len - 1;
    return true;
}

/* NOT_FOUND: by a service that does not look at the form. */
bool credential_user_is_next(enum catlatch_result of_password)
{
    return of_password == CATLATCH_MALFORMED || of_password == CATLATCH_NOT_FOUND;
}
