/*
 * Folding by carry-less multiplication (Gopal and others, "Fast CRC Computation for Generic
 * Polynomials Using PCLMULQDQ Instruction", Intel 2009; the constants are its appendix', bits
 * reflected). A key's text is shorter than what the paper folds in parallel, so one register of 128
 * bits runs over it. Zero bytes before a message add nothing to a CRC that starts at zero: the text
 * is padded at its front to whole blocks, and the start value is added to its first four bytes.
 */
#include "core/crc32_clmul.h"

#ifdef __x86_64__

#include <immintrin.h>

#define BLOCK 16u

#define FOLD_LOW INT64_C(0x1751997d0)  /* x^(128+32) mod P */
#define FOLD_HIGH INT64_C(0x0ccaa009e) /* x^(128-32) mod P */
#define FOLD_64 INT64_C(0x163cd6124)   /* x^64 mod P */
#define POLY INT64_C(0x1db710641)      /* P */
#define BARRETT INT64_C(0x1f7011641)   /* floor(x^64 / P) */

bool crc32_clmul_takes(size_t len)
{
    /* The start value has to fit into the first block beside the padding. */
    return len >= BLOCK && (len % BLOCK == 0 || len % BLOCK >= sizeof(uint32_t)) &&
           __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("ssse3");
}

/* Shuffles that move a register up by `pad` bytes and fill in zeros begin at BLOCK - pad. */
static const uint8_t moves[2 * BLOCK] = {
    128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128,
    0,   1,   2,   3,   4,   5,   6,   7,   8,   9,   10,  11,  12,  13,  14,  15,
};

static __m128i load(const void *bytes)
{
    return _mm_loadu_si128(bytes);
}

__attribute__((target("pclmul,ssse3"))) static uint32_t reduce(__m128i folded)
{
    const __m128i low_32 = _mm_setr_epi32(-1, 0, 0, 0);
    const __m128i barrett = _mm_set_epi64x(BARRETT, POLY);

    __m128i x = _mm_xor_si128(_mm_srli_si128(folded, 8),
                              _mm_clmulepi64_si128(folded, _mm_set_epi64x(FOLD_HIGH, 0), 0x10));
    x = _mm_xor_si128(_mm_srli_si128(x, 4), _mm_clmulepi64_si128(_mm_and_si128(x, low_32),
                                                                 _mm_set_epi64x(0, FOLD_64), 0x00));
    __m128i quotient = _mm_clmulepi64_si128(_mm_and_si128(x, low_32), barrett, 0x10);
    x = _mm_xor_si128(x, _mm_clmulepi64_si128(_mm_and_si128(quotient, low_32), barrett, 0x00));
    return (uint32_t)_mm_cvtsi128_si32(_mm_srli_si128(x, 4));
}

__attribute__((target("pclmul,ssse3"))) uint32_t crc32_clmul(uint32_t crc, const void *bytes,
                                                             size_t len)
{
    const __m128i fold = _mm_set_epi64x(FOLD_HIGH, FOLD_LOW);
    const unsigned char *p = bytes, *end = p + len;
    size_t pad = -len % BLOCK;

    __m128i x = _mm_shuffle_epi8(_mm_xor_si128(load(p), _mm_cvtsi32_si128((int)~crc)),
                                 load(moves + BLOCK - pad));
    for (p += BLOCK - pad; p < end; p += BLOCK)
        x = _mm_xor_si128(load(p), _mm_xor_si128(_mm_clmulepi64_si128(x, fold, 0x00),
                                                 _mm_clmulepi64_si128(x, fold, 0x11)));
    return ~reduce(x);
}

#else

bool crc32_clmul_takes(size_t len)
{
    (void)len;
    return false;
}

uint32_t crc32_clmul(uint32_t crc, const void *bytes, size_t len)
{
    (void)bytes, (void)len;
    return crc;
}

#endif
