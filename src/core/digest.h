/*
 * digest.h - SHA-256 of a key's text, as four words in memory order.
 *
 * The low-level SHA256_Init/Update/Final work on a struct of the caller's: no allocation, no
 * provider, about a tenth of the cost of EVP with its implicit fetch, and no object that could
 * cross into another copy of libcrypto in the same process (Node has one of its own).
 */
#ifndef CORE_DIGEST_H
#define CORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32u
#define DIGEST_WORDS 4u

/* The 32 bytes of SHA-256 as they lie in memory, read as native words: for comparing, not for
 * arithmetic. */
struct digest {
    uint64_t word[DIGEST_WORDS];
};

/* Hashes text and cleanses every copy that the hash made of it. */
void digest_of(const void *text, size_t len, struct digest *ret_digest);

int digest_equal(const struct digest *a, const struct digest *b);

/* 64 lower-case hex digits and NUL. */
void digest_hex(const struct digest *digest, char ret_hex[2 * DIGEST_BYTES + 1]);

/* And back: 64 hex digits of either case. Returns 0 or -1. */
int digest_parse(const char *hex, size_t len, struct digest *ret_digest);

#endif
