#include "core/digest.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

_Static_assert(sizeof(struct digest) == SHA256_DIGEST_LENGTH, "a digest is its 32 bytes");

void digest_of(const void *text, size_t len, struct digest *ret_digest)
{
    SHA256_CTX context;

    SHA256_Init(&context);
    SHA256_Update(&context, text, len);
    SHA256_Final((unsigned char *)ret_digest->word, &context);
    OPENSSL_cleanse(&context, sizeof context);
}

int digest_equal(const struct digest *a, const struct digest *b)
{
    uint64_t difference = 0;

    for (unsigned i = 0; i < DIGEST_WORDS; i++)
        difference |= a->word[i] ^ b->word[i];
    return difference == 0;
}

void digest_hex(const struct digest *digest, char ret_hex[2 * DIGEST_BYTES + 1])
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = (const unsigned char *)digest->word;

    for (unsigned i = 0; i < DIGEST_BYTES; i++) {
        ret_hex[2 * i] = digits[bytes[i] >> 4];
        ret_hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_hex[2 * DIGEST_BYTES] = '\0';
}
