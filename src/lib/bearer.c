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

#define BIT(c) (UINT64_C(1) << ((c) % 64))
#define BITS(first, last) ((BIT(last) << 1) - BIT(first))

/* Sets of characters: bit c % 64 of word c / 64. */

/* tchar of RFC 9110 section 5.6.2: what a longer scheme's name could go on with. */
static const uint64_t tchar[4] = {
    BITS('0', '9') | BIT('!') | BITS('#', '\'') | BIT('*') | BIT('+') | BIT('-') | BIT('.'),
    BITS('A', 'Z') | BITS('^', 'z') | BIT('|') | BIT('~'),
};

/* Of RFC 9110 section 11.2, without the padding. */
static const uint64_t token68[4] = {
    BITS('0', '9') | BIT('+') | BIT('-') | BIT('.') | BIT('/'),
    BITS('A', 'Z') | BITS('a', 'z') | BIT('_') | BIT('~'),
};

static bool is_in(const uint64_t set[4], char c)
{
    return (set[(unsigned char)c / 64] >> (unsigned char)c % 64 & 1) != 0;
}

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
           (len == SCHEME_LEN || !is_in(tchar, value[SCHEME_LEN]));
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
