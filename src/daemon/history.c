#include "daemon/history.h"

#include <string.h>

#include "daemon/bytes.h"

static const struct {
    unsigned char letter; /* sorted as the levels are */
    int64_t span_s;
} levels[HISTORY_LEVELS] = {
    [HISTORY_DAYS] = {'d', 86400},
    [HISTORY_HOURS] = {'h', 3600},
    [HISTORY_MINUTES] = {'m', 60},
};

int64_t history_span_s(enum history_level level)
{
    return levels[level].span_s;
}

uint32_t history_bucket(enum history_level level, int64_t unix_s)
{
    int64_t bucket = unix_s > 0 ? unix_s / levels[level].span_s : 0;

    return bucket < UINT32_MAX ? (uint32_t)bucket : UINT32_MAX;
}

int64_t history_begin_s(enum history_level level, uint32_t bucket)
{
    return (int64_t)bucket * levels[level].span_s;
}

void history_key(enum history_level level, uint32_t bucket, uint64_t id,
                 unsigned char ret_key[HISTORY_KEY_BYTES])
{
    ret_key[0] = levels[level].letter;
    bucket = htobe32(bucket);
    id = htobe64(id);
    memcpy(ret_key + 1, &bucket, sizeof bucket);
    memcpy(ret_key + 5, &id, sizeof id);
}

bool history_key_parse(const unsigned char *key, size_t len, enum history_level *ret_level,
                       uint32_t *ret_bucket, uint64_t *ret_id)
{
    uint32_t bucket;
    uint64_t id;

    if (len != HISTORY_KEY_BYTES)
        return false;
    memcpy(&bucket, key + 1, sizeof bucket);
    memcpy(&id, key + 5, sizeof id);
    for (unsigned i = 0; i < HISTORY_LEVELS; i++) {
        if (levels[i].letter != key[0])
            continue;
        *ret_level = (enum history_level)i;
        *ret_bucket = be32toh(bucket);
        *ret_id = be64toh(id);
        return true;
    }
    return false;
}

uint64_t history_add(uint64_t a, uint64_t b)
{
    uint64_t sum;

    return __builtin_add_overflow(a, b, &sum) || sum > INT64_MAX ? INT64_MAX : sum;
}

/* Seven bits in each byte, the lowest first; all but the last have the eighth. */
static void put_number(struct bytes_writer *writer, uint64_t number)
{
    while (number >= 0x80) {
        bytes_put_u8(writer, (uint8_t)(number | 0x80));
        number >>= 7;
    }
    bytes_put_u8(writer, (uint8_t)number);
}

static uint64_t take_number(struct bytes_reader *reader)
{
    uint64_t number = 0;

    for (unsigned shift = 0; shift < 63; shift += 7) {
        uint8_t byte = bytes_take_u8(reader);
        number |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0)
            return number;
    }
    reader->failed = true; /* none of ours is that large */
    return 0;
}

size_t history_encode(const struct history_entry *entry,
                      unsigned char ret_bytes[HISTORY_ENCODED_MAX])
{
    struct bytes_writer writer = {.at = ret_bytes, .left = HISTORY_ENCODED_MAX};

    put_number(&writer, entry->granted);
    put_number(&writer, entry->refused);
    return HISTORY_ENCODED_MAX - writer.left;
}

int history_decode(const unsigned char *bytes, size_t len, struct history_entry *ret_entry)
{
    struct bytes_reader reader = {.at = bytes, .left = len};
    struct history_entry entry;

    entry.granted = take_number(&reader);
    entry.refused = take_number(&reader);
    if (!bytes_reader_is_done(&reader))
        return CATLATCH_E_DATA;
    *ret_entry = entry;
    return 0;
}

size_t history_encode_results(const uint64_t counts[PROCESS_RESULTS],
                              unsigned char ret_bytes[HISTORY_ENCODED_MAX])
{
    struct bytes_writer writer = {.at = ret_bytes, .left = HISTORY_ENCODED_MAX};

    static_assert(PROCESS_RESULTS * 10 <= HISTORY_ENCODED_MAX, "a byte and nine each");
    for (unsigned i = 0; i < PROCESS_RESULTS; i++) {
        if (counts[i] == 0)
            continue;
        bytes_put_u8(&writer, (uint8_t)i);
        put_number(&writer, counts[i]);
    }
    return HISTORY_ENCODED_MAX - writer.left;
}

int history_decode_results(const unsigned char *bytes, size_t len,
                           uint64_t ret_counts[PROCESS_RESULTS])
{
    struct bytes_reader reader = {.at = bytes, .left = len};
    uint64_t counts[PROCESS_RESULTS] = {0};

    while (!reader.failed && reader.left > 0) {
        unsigned result = bytes_take_u8(&reader);
        uint64_t count = take_number(&reader);
        if (reader.failed || result >= PROCESS_RESULTS)
            return CATLATCH_E_DATA;
        counts[result] = count;
    }
    memcpy(ret_counts, counts, sizeof counts);
    return 0;
}
