#include "core/digest.h"

#include <endian.h>
#include <openssl/sha.h>
#include <string.h>

#include "core/text.h"

_Static_assert(sizeof(struct digest) == SHA256_DIGEST_LENGTH, "a digest is its 32 bytes");

#define BLOCK_BYTES SHA256_CBLOCK
#define ONE_BLOCK_MAX (BLOCK_BYTES - 9) /* of text: 0x80 and the length in bits follow it */

/* Clears what held a key. The empty asm tells the compiler that somebody looks at the bytes
 * afterwards, so that the stores stay; a call of OPENSSL_cleanse costs a tenth of the hash. */
static inline void wipe(void *bytes, size_t len)
{
    memset(bytes, 0, len);
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

/* FIPS 180-4, section 5.1.1, for a text that fits one block with its padding: every key of ours. */
static void digest_of_block(const void *text, size_t len, struct digest *ret_digest)
{
    unsigned char block[BLOCK_BYTES] = {0};
    SHA256_CTX context;
    uint64_t bits = htobe64((uint64_t)len * 8);

    memcpy(block, text, len);
    block[len] = 0x80;
    memcpy(block + BLOCK_BYTES - sizeof bits, &bits, sizeof bits);
    SHA256_Init(&context);
    SHA256_Transform(&context, block);
    for (unsigned i = 0; i < DIGEST_WORDS; i++)
        ret_digest->word[i] = htobe64((uint64_t)context.h[2 * i] << 32 | context.h[2 * i + 1]);
    wipe(block, sizeof block);
}

void digest_of(const void *text, size_t len, struct digest *ret_digest)
{
    SHA256_CTX context;

    if (len > 0 && len <= ONE_BLOCK_MAX) {
        digest_of_block(text, len, ret_digest);
        return;
    }
    SHA256_Init(&context);
    SHA256_Update(&context, text, len);
    SHA256_Final((unsigned char *)ret_digest->word, &context);
    wipe(&context, sizeof context);
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

int digest_parse(const char *hex, size_t len, struct digest *ret_digest)
{
    unsigned char bytes[DIGEST_BYTES];

    if (len != 2 * DIGEST_BYTES)
        return -1;
    for (unsigned i = 0; i < DIGEST_BYTES; i++) {
        int high = text_hex_value(hex[2 * i]), low = text_hex_value(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return -1;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    memcpy(ret_digest, bytes, sizeof bytes);
    return 0;
}
