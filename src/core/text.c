#include "core/text.h"

#include <string.h>

/* Longer words are nobody's typing error; the distance's rows are sized by it. */
#define NEAREST_WORD_MAX 63u

struct text text_of(const char *string)
{
    if (string == NULL)
        return (struct text){.bytes = "", .len = 0};
    size_t len = strlen(string);
    return (struct text){.bytes = string, .len = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX};
}

int text_equal(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.bytes, b.bytes, a.len) == 0);
}

int text_is(struct text a, const char *string)
{
    return text_equal(a, text_of(string));
}

static unsigned char lower(char byte)
{
    unsigned char c = (unsigned char)byte;
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

int text_is_nocase(struct text a, const char *string)
{
    struct text b = text_of(string);

    if (a.len != b.len)
        return 0;
    for (uint32_t i = 0; i < a.len; i++)
        if (lower(a.bytes[i]) != lower(b.bytes[i]))
            return 0;
    return 1;
}

/* Length of the well-formed UTF-8 sequence (Unicode 15, table 3-7) at the start, 0 if it is none.
 * A lead byte narrows what its second byte may be: that is what shuts out overlong forms,
 * surrogates and what lies past U+10FFFF. */
static size_t utf8_sequence(const unsigned char *s, size_t len)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t need;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    need = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (s[0] == 0xE0)
        low = 0xA0;
    else if (s[0] == 0xED)
        high = 0x9F;
    else if (s[0] == 0xF0)
        low = 0x90;
    else if (s[0] == 0xF4)
        high = 0x8F;
    if (need > len || s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return need;
}

int text_is_printable_utf8(const char *bytes, size_t len)
{
    const unsigned char *s = (const unsigned char *)bytes;
    size_t step;

    for (size_t i = 0; i < len; i += step) {
        step = utf8_sequence(s + i, len - i);
        if (step == 0 || s[i] < 0x20 || s[i] == 0x7F)
            return 0;
        if (s[i] == 0xC2 && s[i + 1] < 0xA0) /* C1 */
            return 0;
    }
    return 1;
}

int text_is_scope(const char *bytes, size_t len)
{
    if (len < 1 || len > 64)
        return 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < '!' || c > '~' || c == '"' || c == '\\')
            return 0;
    }
    return 1;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein in its usual restricted form: insertions, deletions, substitutions, and
 * neighbours swapped, none of them edited again. Case does not count. */
static unsigned word_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][NEAREST_WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_len; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= a_len; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b_len; j++) {
            unsigned differs = lower(a[i - 1]) != lower(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + differs);
            if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                lower(a[i - 2]) == lower(b[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
        unsigned *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[b_len];
}

const char *text_nearest(const char *word, const char *const *words, size_t count)
{
    size_t len = strnlen(word, NEAREST_WORD_MAX + 1);
    const char *nearest = NULL;
    unsigned bound = len / 3 > 2 ? (unsigned)(len / 3) : 2;

    if (len > NEAREST_WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other_len = strnlen(words[i], NEAREST_WORD_MAX + 1);
        if (other_len > NEAREST_WORD_MAX)
            continue;
        unsigned distance = word_distance(word, len, words[i], other_len);
        /* A word that shares nothing with what was typed was not meant, however short it is. */
        if (distance <= bound && distance < (len > other_len ? len : other_len)) {
            nearest = words[i];
            if (distance == 0)
                break;
            bound = distance - 1;
        }
    }
    return nearest;
}

/* A digit's value and 1. Digits of digests come at random, and branches would be guessed wrong. */
static const signed char hex_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

int text_hex_value(char c)
{
    return hex_values[(unsigned char)c] - 1;
}
