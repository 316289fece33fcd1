#include "lib/bearer.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/key.h"

static const char scheme[] = "Bearer";
#define SCHEME_LEN (sizeof scheme - 1)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* tchar of RFC 9110 section 5.6.2: what a longer scheme's name could go on with. */
static bool is_token_char(char c)
{
    return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

#define BIT(c) (UINT64_C(1) << ((c) % 64))
#define BITS(first, last) ((BIT(last) << 1) - BIT(first))

/* Bit c % 64 of word c / 64. */
static const uint64_t token68[4] = {
    BITS('0', '9') | BIT('+') | BIT('-') | BIT('.') | BIT('/'),
    BITS('A', 'Z') | BITS('a', 'z') | BIT('_') | BIT('~'),
};

/* Without a branch for each character: of what is random every third would be guessed wrong. */
static bool is_token68(const char *bytes, size_t len)
{
    uint64_t all = 1;

    while (len > 0 && bytes[len - 1] == '=')
        len--;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        all &= token68[c / 64] >> c % 64;
    }
    return len > 0 && all != 0;
}

static bool is_bearer(const char *value, size_t len)
{
    return len >= SCHEME_LEN && text_is_nocase((struct text){value, SCHEME_LEN}, scheme) &&
           (len == SCHEME_LEN || value[SCHEME_LEN] == ' ' || !is_token_char(value[SCHEME_LEN]));
}

enum catlatch_result bearer_token(const char *value, size_t len, struct text *ret_token)
{
    while (len > 0 && is_blank(value[len - 1]))
        len--;
    if (!is_bearer(value, len))
        return CATLATCH_MISSING;

    size_t at = SCHEME_LEN;
    while (at < len && value[at] == ' ')
        at++;
    if (at == SCHEME_LEN || len - at > KEY_FOREIGN_MAX || !is_token68(value + at, len - at))
        return CATLATCH_MALFORMED;
    *ret_token = (struct text){value + at, (uint32_t)(len - at)};
    return CATLATCH_VALID;
}
