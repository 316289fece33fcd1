/* crc32_clmul.h - the same CRC-32 by carry-less multiplication, on processors that have it. Only
 * crc32.c uses it. */
#ifndef CORE_CRC32_CLMUL_H
#define CORE_CRC32_CLMUL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether crc32_clmul may be called for this many bytes on this processor. */
bool crc32_clmul_takes(size_t len);

uint32_t crc32_clmul(uint32_t crc, const void *bytes, size_t len);

#endif
