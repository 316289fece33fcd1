/*
 * Slicing by eight (Kounavis and Berry, "A Systematic Approach to Building High Performance
 * Software-based CRC Generators", 2005): table[k][b] is what byte b adds to the CRC when k more
 * bytes follow it. A CRC is linear, so each entry is the sum of what its eight bits add, and the
 * compiler makes the tables from those: bit 7-j of a byte that k bytes follow adds x^(8k+j) times
 * the polynomial, reflected.
 */
#include "core/crc32.h"

#include <endian.h>
#include <string.h>

#include "core/crc32_clmul.h"

#define ENTRY(i, b7, b6, b5, b4, b3, b2, b1, b0)                                   \
    ((((i)&0x80) ? (b7) : 0) ^ (((i)&0x40) ? (b6) : 0) ^ (((i)&0x20) ? (b5) : 0) ^ \
     (((i)&0x10) ? (b4) : 0) ^ (((i)&0x08) ? (b3) : 0) ^ (((i)&0x04) ? (b2) : 0) ^ \
     (((i)&0x02) ? (b1) : 0) ^ (((i)&0x01) ? (b0) : 0))
#define ENTRIES_4(i, ...)                                                            \
    ENTRY(i, __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__), \
        ENTRY((i) + 3, __VA_ARGS__)
#define ENTRIES_16(i, ...)                                                                       \
    ENTRIES_4(i, __VA_ARGS__), ENTRIES_4((i) + 4, __VA_ARGS__), ENTRIES_4((i) + 8, __VA_ARGS__), \
        ENTRIES_4((i) + 12, __VA_ARGS__)
#define ENTRIES_64(i, ...)                                         \
    ENTRIES_16(i, __VA_ARGS__), ENTRIES_16((i) + 16, __VA_ARGS__), \
        ENTRIES_16((i) + 32, __VA_ARGS__), ENTRIES_16((i) + 48, __VA_ARGS__)
#define SLICE(...)                                                                             \
    {                                                                                          \
        ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__), ENTRIES_64(128, __VA_ARGS__), \
            ENTRIES_64(192, __VA_ARGS__)                                                       \
    }

static const uint32_t table[8][256] = {
    SLICE(0xEDB88320u, 0x76DC4190u, 0x3B6E20C8u, 0x1DB71064u, 0x0EDB8832u, 0x076DC419u, 0xEE0E612Cu,
          0x77073096u),
    SLICE(0x3B83984Bu, 0xF0794F05u, 0x958424A2u, 0x4AC21251u, 0xC8D98A08u, 0x646CC504u, 0x32366282u,
          0x191B3141u),
    SLICE(0xE1351B80u, 0x709A8DC0u, 0x384D46E0u, 0x1C26A370u, 0x0E1351B8u, 0x0709A8DCu, 0x0384D46Eu,
          0x01C26A37u),
    SLICE(0xED59B63Bu, 0x9B14583Du, 0xA032AF3Eu, 0x5019579Fu, 0xC5B428EFu, 0x8F629757u, 0xAA09C88Bu,
          0xB8BC6765u),
    SLICE(0xB1E6B092u, 0x58F35849u, 0xC1C12F04u, 0x60E09782u, 0x30704BC1u, 0xF580A6C0u, 0x7AC05360u,
          0x3D6029B0u),
    SLICE(0x1EB014D8u, 0x0F580A6Cu, 0x07AC0536u, 0x03D6029Bu, 0xEC53826Du, 0x9B914216u, 0x4DC8A10Bu,
          0xCB5CD3A5u),
    SLICE(0x8816EAF2u, 0x440B7579u, 0xCFBD399Cu, 0x67DE9CCEu, 0x33EF4E67u, 0xF44F2413u, 0x979F1129u,
          0xA6770BB4u),
    SLICE(0x533B85DAu, 0x299DC2EDu, 0xF9766256u, 0x7CBB312Bu, 0xD3E51BB5u, 0x844A0EFAu, 0x4225077Du,
          0xCCAA009Eu),
};

static uint32_t load_le32(const unsigned char *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return le32toh(word);
}

/* What four bytes add when `after` more bytes of their group follow. */
static uint32_t slice(uint32_t word, unsigned after)
{
    return table[after + 3][word & 0xFF] ^ table[after + 2][word >> 8 & 0xFF] ^
           table[after + 1][word >> 16 & 0xFF] ^ table[after][word >> 24];
}

uint32_t crc32_update(uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;

    if (crc32_clmul_takes(len))
        return crc32_clmul(crc, bytes, len);
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8)
        crc = slice(crc ^ load_le32(p), 4) ^ slice(load_le32(p + 4), 0);
    if (len >= 4) {
        crc = slice(crc ^ load_le32(p), 0);
        len -= 4;
        p += 4;
    }
    for (; len > 0; len--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xFF];
    return ~crc;
}
