#include "keys.h"

#include <stdlib.h>
#include <string.h>

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static void make_text(uint64_t *random, char ret_text[KEYS_TEXT_LEN])
{
    static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t at = sizeof KEYS_PREFIX - 1;

    memcpy(ret_text, KEYS_PREFIX, at);
    for (unsigned i = 0; i < KEY_RANDOM_LEN; i++)
        ret_text[at++] = base62[next_random(random) % 62];
    key_check_digits(ret_text, at, ret_text + at);
}

int keys_make(size_t count, struct keys *ret_keys)
{
    struct keys keys = {.texts = calloc(count, sizeof *keys.texts), .count = count};
    uint64_t random = count;

    if (keys.texts == NULL)
        return CATLATCH_E_MEMORY;
    for (size_t i = 0; i < count; i++)
        make_text(&random, keys.texts[i]);
    *ret_keys = keys;
    return 0;
}

void keys_free(struct keys *keys)
{
    free(keys->texts);
    keys->texts = NULL;
}
