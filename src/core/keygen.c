#include "core/keygen.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#define DIGIT_COUNT (sizeof KEY_ALPHABET - 1)

/* 248: the multiples of 62 that fit a byte. Taking bytes from there on would favour some digits. */
#define FAIR_BYTES (256 / DIGIT_COUNT * DIGIT_COUNT)

/* Bytes drawn at a time. 31 of 32 are fair, so one draw nearly always gives the 36 digits. */
#define DRAW_BYTES 64

/* A working CSPRNG never comes near; a broken one must not keep the daemon here for ever. */
#define DRAWS_MAX 16

static int random_digits(char *ret_digits, size_t count)
{
    unsigned char draw[DRAW_BYTES];
    size_t done = 0;

    for (int draws = 0; done < count && draws < DRAWS_MAX; draws++) {
        if (RAND_priv_bytes(draw, sizeof draw) != 1)
            break;
        for (size_t i = 0; i < sizeof draw && done < count; i++)
            if (draw[i] < FAIR_BYTES)
                ret_digits[done++] = KEY_ALPHABET[draw[i] % DIGIT_COUNT];
    }
    OPENSSL_cleanse(draw, sizeof draw);
    return done == count ? 0 : CATLATCH_E_UNAVAILABLE;
}

int keygen_text(const char *prefix, char ret_text[KEY_TEXT_MAX + 1])
{
    char text[KEY_TEXT_MAX + 1];
    size_t prefix_len = strnlen(prefix, KEY_PREFIX_MAX);
    size_t checked_len = prefix_len + KEY_RANDOM_LEN;
    int code;

    if (!key_prefix_is_valid(prefix))
        return CATLATCH_E_ARGUMENT;
    memcpy(text, prefix, prefix_len);
    code = random_digits(text + prefix_len, KEY_RANDOM_LEN);
    if (code == 0) {
        key_check_digits(text, checked_len, text + checked_len);
        text[checked_len + KEY_CHECK_LEN] = '\0';
        memcpy(ret_text, text, checked_len + KEY_CHECK_LEN + 1);
    }
    OPENSSL_cleanse(text, sizeof text);
    return code;
}
