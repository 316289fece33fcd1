/*
 * bytes.h - writes and reads little-endian integers and counted strings within bounds.
 *
 * Failure is sticky: after the first step that does not fit, nothing more is written or read, every
 * read gives zero, and `failed` says so; so a caller checks once, at the end. Pure.
 */
#ifndef DAEMON_BYTES_H
#define DAEMON_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/error.h"
#include "core/text.h"

struct bytes_writer {
    unsigned char *at;
    size_t left;
    bool failed;
};

static inline void bytes_put(struct bytes_writer *writer, const void *bytes, size_t len)
{
    if (writer->failed || len > writer->left) {
        writer->failed = true;
        return;
    }
    if (len > 0)
        memcpy(writer->at, bytes, len);
    writer->at += len;
    writer->left -= len;
}

static inline void bytes_put_u8(struct bytes_writer *writer, uint8_t value)
{
    bytes_put(writer, &value, sizeof value);
}

static inline void bytes_put_u16(struct bytes_writer *writer, uint16_t value)
{
    value = htole16(value);
    bytes_put(writer, &value, sizeof value);
}

static inline void bytes_put_u32(struct bytes_writer *writer, uint32_t value)
{
    value = htole32(value);
    bytes_put(writer, &value, sizeof value);
}

static inline void bytes_put_u64(struct bytes_writer *writer, uint64_t value)
{
    value = htole64(value);
    bytes_put(writer, &value, sizeof value);
}

static inline void bytes_put_i64(struct bytes_writer *writer, int64_t value)
{
    bytes_put_u64(writer, (uint64_t)value);
}

/* Two bytes of length and the text; a longer text fails. */
static inline void bytes_put_text(struct bytes_writer *writer, struct text text)
{
    if (text.len > UINT16_MAX)
        writer->failed = true;
    bytes_put_u16(writer, (uint16_t)text.len);
    bytes_put(writer, text.bytes, text.len);
}

/* One byte of length and the text; a longer text fails. */
static inline void bytes_put_short_text(struct bytes_writer *writer, struct text text)
{
    if (text.len > UINT8_MAX)
        writer->failed = true;
    bytes_put_u8(writer, (uint8_t)text.len);
    bytes_put(writer, text.bytes, text.len);
}

/* Returns 0 and how many of the size bytes were written, or E_FULL. */
static inline int bytes_writer_end(const struct bytes_writer *writer, size_t size, size_t *ret_len)
{
    if (writer->failed)
        return CATLATCH_E_FULL;
    *ret_len = size - writer->left;
    return 0;
}

struct bytes_reader {
    const unsigned char *at;
    size_t left;
    bool failed;
};

/* The next len bytes where they lie, or NULL. */
static inline const unsigned char *bytes_take(struct bytes_reader *reader, size_t len)
{
    if (reader->failed || len > reader->left) {
        reader->failed = true;
        return NULL;
    }
    const unsigned char *bytes = reader->at;
    reader->at += len;
    reader->left -= len;
    return bytes;
}

static inline uint8_t bytes_take_u8(struct bytes_reader *reader)
{
    const unsigned char *bytes = bytes_take(reader, 1);
    return bytes == NULL ? 0 : *bytes;
}

static inline uint16_t bytes_take_u16(struct bytes_reader *reader)
{
    uint16_t value = 0;
    const unsigned char *bytes = bytes_take(reader, sizeof value);
    if (bytes != NULL)
        memcpy(&value, bytes, sizeof value);
    return le16toh(value);
}

static inline uint32_t bytes_take_u32(struct bytes_reader *reader)
{
    uint32_t value = 0;
    const unsigned char *bytes = bytes_take(reader, sizeof value);
    if (bytes != NULL)
        memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static inline uint64_t bytes_take_u64(struct bytes_reader *reader)
{
    uint64_t value = 0;
    const unsigned char *bytes = bytes_take(reader, sizeof value);
    if (bytes != NULL)
        memcpy(&value, bytes, sizeof value);
    return le64toh(value);
}

static inline int64_t bytes_take_i64(struct bytes_reader *reader)
{
    return (int64_t)bytes_take_u64(reader);
}

/* The text points into the bytes that are read. */
static inline struct text bytes_take_text(struct bytes_reader *reader)
{
    uint16_t len = bytes_take_u16(reader);
    const unsigned char *bytes = bytes_take(reader, len);
    return bytes == NULL ? (struct text){NULL, 0} : (struct text){(const char *)bytes, len};
}

static inline struct text bytes_take_short_text(struct bytes_reader *reader)
{
    uint8_t len = bytes_take_u8(reader);
    const unsigned char *bytes = bytes_take(reader, len);
    return bytes == NULL ? (struct text){NULL, 0} : (struct text){(const char *)bytes, len};
}

/* Begins with a version byte, of which only `known`, one that this program reads, is known.
 * Returns 0, E_VERSION or E_DATA. */
static inline int bytes_reader_start(struct bytes_reader *reader, const void *bytes, size_t len,
                                     unsigned known)
{
    *reader = (struct bytes_reader){.at = (const unsigned char *)bytes, .left = len};
    unsigned version = bytes_take_u8(reader);
    if (reader->failed || version == 0)
        return CATLATCH_E_DATA;
    return version == known ? 0 : CATLATCH_E_VERSION;
}

static inline bool bytes_reader_is_done(const struct bytes_reader *reader)
{
    return !reader->failed && reader->left == 0;
}

#endif
