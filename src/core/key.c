#include "core/key.h"

#include <endian.h>
#include <string.h>

#include "core/crc32.h"

#define BODY_LEN (KEY_RANDOM_LEN + KEY_CHECK_LEN)

/* What a base62 digit says; nothing of what is not one. */
/* clang-format off */
static const uint8_t base62_value[256] = {
    ['0'] = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    ['A'] = 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,
        31, 32, 33, 34, 35,
    ['a'] = 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56,
        57, 58, 59, 60, 61,
};
/* clang-format on */

int key_prefix_is_valid(const char *prefix)
{
    size_t len = strnlen(prefix, KEY_PREFIX_MAX + 1);

    if (len < KEY_PREFIX_MIN || len > KEY_PREFIX_MAX || prefix[len - 1] != '_')
        return 0;
    for (size_t i = 0; i < len; i++) {
        char c = prefix[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_')
            return 0;
    }
    return 1;
}

const struct key_environment *key_environment_of(const struct key_environments *environments,
                                                 const char *text, size_t len)
{
    for (size_t i = 0; i < environments->count; i++) {
        const char *prefix = environments->list[i].prefix;
        size_t n = 0;
        while (n < len && prefix[n] != '\0' && prefix[n] == text[n])
            n++;
        if (prefix[n] == '\0')
            return &environments->list[i];
    }
    return NULL;
}

const struct key_environment *key_environment_named(const struct key_environments *environments,
                                                    const char *name, size_t name_len)
{
    for (size_t i = 0; i < environments->count; i++) {
        const char *known = environments->list[i].name;
        if (strlen(known) == name_len && memcmp(known, name, name_len) == 0)
            return &environments->list[i];
    }
    return NULL;
}

/* Sixteen bytes at a time, which gcc and clang turn into whatever vectors the machine has. */
typedef uint8_t byte_lanes __attribute__((vector_size(16)));

/* Lanes that are not base62 have a bit set. */
static byte_lanes foreign_lanes(const unsigned char *text)
{
    byte_lanes bytes;

    memcpy(&bytes, text, sizeof bytes);
    return (byte_lanes)((bytes - '0' > 9) & ((bytes | 0x20) - 'a' > 25));
}

/* Of the random part and the check together: 42 bytes, as three steps of which two overlap. */
static int body_is_base62(const unsigned char *body)
{
    byte_lanes foreign =
        foreign_lanes(body) | foreign_lanes(body + 16) | foreign_lanes(body + BODY_LEN - 16);
    uint64_t halves[2];

    memcpy(halves, &foreign, sizeof halves);
    return (halves[0] | halves[1]) == 0;
}

/* What six base62 digits say. The products do not wait for each other. */
static uint64_t check_value(const unsigned char *digits)
{
    static const uint32_t weights[KEY_CHECK_LEN] = {916132832, 14776336, 238328, 3844, 62, 1};
    uint64_t value = 0;

    for (unsigned i = 0; i < KEY_CHECK_LEN; i++)
        value += (uint64_t)weights[i] * base62_value[digits[i]];
    return value;
}

static uint64_t load_le64(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return le64toh(word);
}

int key_has_known_prefix(const struct key_environments *environments, const char *text, size_t len)
{
    size_t prefix_len = len - BODY_LEN;
    if (len < KEY_PREFIX_MIN + BODY_LEN || len > KEY_TEXT_MAX)
        return 0;

    uint64_t mask = UINT64_MAX >> (64 - 8 * prefix_len);
    uint64_t start = load_le64(text);
    for (size_t i = 0; i < environments->count; i++) {
        const char *prefix = environments->list[i].prefix;
        if (((load_le64(prefix) ^ start) & mask) == 0 && prefix[prefix_len] == '\0')
            return 1;
    }
    return 0;
}

int key_is_well_formed(const struct key_environments *environments, const char *text, size_t len)
{
    const unsigned char *bytes = (const unsigned char *)text;

    if (!key_has_known_prefix(environments, text, len) || !body_is_base62(bytes + len - BODY_LEN))
        return 0;
    return check_value(bytes + len - KEY_CHECK_LEN) == crc32_update(0, text, len - KEY_CHECK_LEN);
}

void key_check_digits(const char *text, size_t len, char ret_check[KEY_CHECK_LEN])
{
    uint32_t crc = crc32_update(0, text, len);

    for (unsigned i = KEY_CHECK_LEN; i-- > 0; crc /= 62)
        ret_check[i] = KEY_ALPHABET[crc % 62];
}

#define ID_START "key_"
#define ID_START_LEN (sizeof ID_START - 1)
#define ID_DIGITS 13u /* of five bits: 65, of which the first digit leaves its highest unused */

_Static_assert(ID_START_LEN + ID_DIGITS + 1 == CATLATCH_ID_SIZE, "an id fits its public size");

void key_id_format(uint64_t id, char ret_text[CATLATCH_ID_SIZE])
{
    static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";

    memcpy(ret_text, ID_START, ID_START_LEN);
    for (unsigned i = ID_DIGITS; i-- > 0; id >>= 5)
        ret_text[ID_START_LEN + i] = base32[id & 31];
    ret_text[ID_START_LEN + ID_DIGITS] = '\0';
}

/* The value of a base32 digit, or 32. */
static unsigned base32_value(char digit)
{
    if (digit >= 'a' && digit <= 'z')
        return (unsigned)(digit - 'a');
    if (digit >= '2' && digit <= '7')
        return (unsigned)(digit - '2') + 26;
    return 32;
}

int key_id_parse(const char *text, size_t len, uint64_t *ret_id)
{
    uint64_t id = 0;

    if (len != ID_START_LEN + ID_DIGITS || memcmp(text, ID_START, ID_START_LEN) != 0)
        return CATLATCH_E_DATA;
    for (size_t i = ID_START_LEN; i < len; i++) {
        unsigned value = base32_value(text[i]);
        if (value > 31 || (i == ID_START_LEN && value > 15))
            return CATLATCH_E_DATA;
        id = id << 5 | value;
    }
    if (id == 0)
        return CATLATCH_E_DATA;
    *ret_id = id;
    return 0;
}

int key_is_within(const struct key_environments *environments, const char *text, size_t len)
{
    for (size_t at = 0; at + KEY_PREFIX_MIN + KEY_RANDOM_LEN + KEY_CHECK_LEN <= len; at++) {
        const struct key_environment *found = key_environment_of(environments, text + at, len - at);
        if (found == NULL)
            continue;
        size_t key_len = strlen(found->prefix) + KEY_RANDOM_LEN + KEY_CHECK_LEN;
        if (key_len <= len - at && key_is_well_formed(environments, text + at, key_len))
            return 1;
    }
    return 0;
}

int key_is_start(const struct key_environment *environment, const char *text, size_t len)
{
    size_t at = strlen(environment->prefix);

    if (len != KEY_SHOWN_LEN || memcmp(text, environment->prefix, at) != 0)
        return 0;
    for (; at < len; at++)
        if (text[at] == '\0' || strchr(KEY_ALPHABET, text[at]) == NULL)
            return 0;
    return 1;
}
