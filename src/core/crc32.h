/* crc32.h - CRC-32 as zlib and Ethernet have it (reflected 0xEDB88320), without needing zlib. */
#ifndef CORE_CRC32_H
#define CORE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Start with crc 0; feed the result back in for more bytes. */
uint32_t crc32_update(uint32_t crc, const void *bytes, size_t len);

#endif
