#include "guard.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define BODY_LEN (KEY_RANDOM_LEN + KEY_CHECK_LEN)

/* A prefix as it was copied may be followed by a few characters too many without giving the key
 * away: 24 bytes leave 119 of the 214 bits of a cc_live_ key unknown. */
#define PUBLIC_LEN 24u

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool has_key_shape(const char *word, size_t len)
{
    char prefix[KEY_PREFIX_MAX + 1];
    size_t prefix_len;

    if (len < KEY_PREFIX_MIN + BODY_LEN || len > KEY_TEXT_MAX)
        return false;
    prefix_len = len - BODY_LEN;
    memcpy(prefix, word, prefix_len);
    prefix[prefix_len] = '\0';
    return key_prefix_is_valid(prefix) && memchr(word + prefix_len, '_', BODY_LEN) == NULL;
}

bool guard_holds_key(const char *text, const struct key_environments *environments)
{
    while (*text != '\0') {
        size_t len = 0;
        while (is_word_byte(text[len]))
            len++;
        if (has_key_shape(text, len))
            return true;
        if (environments != NULL && len > PUBLIC_LEN &&
            key_environment_of(environments, text, len) != NULL)
            return true;
        text += len > 0 ? len : 1;
    }
    return false;
}

int guard_arguments(int argc, char *const *argv, const struct key_environments *environments,
                    struct error *error)
{
    for (int i = 1; i < argc; i++)
        if (guard_holds_key(argv[i], environments))
            return error_set(error, CATLATCH_E_ARGUMENT,
                             "argument %d looks like a key: other users can see arguments, so keys "
                             "come on standard input (--key-stdin, or verify); treat this one as "
                             "leaked",
                             i);
    return 0;
}

void guard_echo(const char *text, char ret_text[GUARD_ECHO_SIZE])
{
    size_t len = strlen(text);
    size_t shown = len > GUARD_ECHO_MAX ? GUARD_ECHO_MAX : len;

    while (shown > 0 && shown < len && ((unsigned char)text[shown] & 0xC0) == 0x80)
        shown--; /* between characters */
    for (size_t i = 0; i < shown; i++)
        ret_text[i] = iscntrl((unsigned char)text[i]) ? '?' : text[i];
    ret_text[shown] = '\0';
    if (shown < len)
        memcpy(ret_text + shown, "...", sizeof "...");
}
