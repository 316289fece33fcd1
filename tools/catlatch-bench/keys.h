/* keys.h - many keys' texts, well-formed but not secret: only for measuring. */
#ifndef BENCH_KEYS_H
#define BENCH_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "core/key.h"

#define KEYS_PREFIX "cc_live_"
#define KEYS_TEXT_LEN (sizeof KEYS_PREFIX - 1 + KEY_RANDOM_LEN + KEY_CHECK_LEN)

struct keys {
    char (*texts)[KEYS_TEXT_LEN]; /* not terminated */
    size_t count;
};

/* The same keys for the same count. Returns 0 or E_MEMORY; freed by keys_free. */
int keys_make(size_t count, struct keys *ret_keys);
void keys_free(struct keys *keys);

#endif
