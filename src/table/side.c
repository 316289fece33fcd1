#include "table/side.h"

#include <string.h>

/* Longest walk through the intern index; a record that finds no place there is not shared. */
#define INTERN_PROBE_MAX 32u

uint64_t side_room(size_t len)
{
    return ((uint64_t)len + 7) / 8 * 8;
}

uint64_t side_limit(const struct table_writer *writer, enum table_purpose purpose)
{
    return writer->view.side_size - (purpose == TABLE_NARROWING ? 0 : writer->side_reserve);
}

/* Behind room for so many bytes, a multiple of 8. */
static uint32_t append_behind(struct table_writer *writer, size_t front, const void *bytes,
                              size_t len, enum table_purpose purpose)
{
    uint64_t room = front + side_room(len), limit = side_limit(writer, purpose);
    if (writer->side_used > limit || room > limit - writer->side_used)
        return 0;
    uint64_t at = writer->side_used + front;
    memcpy(writer->side + at, bytes, len);
    writer->side_used += room;
    return (uint32_t)(at / 8);
}

uint32_t side_append(struct table_writer *writer, const void *bytes, size_t len,
                     enum table_purpose purpose)
{
    return append_behind(writer, 0, bytes, len, purpose);
}

static uint64_t hash_bytes(const void *bytes, size_t len)
{
    const unsigned char *at = bytes; /* FNV-1a */
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash ^ (hash >> 32);
}

static uint32_t intern_behind(struct table_writer *writer, size_t front, const void *bytes,
                              size_t len, enum table_purpose purpose)
{
    uint64_t at = hash_bytes(bytes, len) % writer->intern_count;
    for (unsigned walked = 0; walked < INTERN_PROBE_MAX; walked++) {
        uint32_t known = atomic_load_explicit(&writer->intern[at], memory_order_relaxed);
        if (known == 0) {
            uint32_t ref = append_behind(writer, front, bytes, len, purpose);
            atomic_store_explicit(&writer->intern[at], ref, memory_order_relaxed);
            return ref;
        }
        uint64_t offset = (uint64_t)known * 8;
        if (len <= writer->side_used - offset && memcmp(writer->side + offset, bytes, len) == 0)
            return known;
        if (++at == writer->intern_count)
            at = 0;
    }
    return append_behind(writer, front, bytes, len, purpose);
}

uint32_t side_intern(struct table_writer *writer, const void *bytes, size_t len,
                     enum table_purpose purpose)
{
    return intern_behind(writer, 0, bytes, len, purpose);
}

uint32_t side_intern_owner(struct table_writer *writer, struct text owner,
                           enum table_purpose purpose)
{
    unsigned char record[CATLATCH_TEXT_SIZE];
    record[0] = (unsigned char)owner.len;
    if (owner.len > 0)
        memcpy(record + 1, owner.bytes, owner.len);
    /* No list's record begins like an owner's: behind the low byte of its count is a zero, which no
     * text has, and no count is 0. */
    return intern_behind(writer, sizeof(uint64_t), record, 1 + (size_t)owner.len, purpose);
}

_Atomic uint64_t *side_owner_word(const struct table_writer *writer, uint32_t ref)
{
    return (_Atomic uint64_t *)(void *)(writer->side + ((uint64_t)ref - 1) * 8);
}

uint32_t side_owner_of(const struct table_writer *writer, const struct table_slot *slot)
{
    uint32_t ref = atomic_load_explicit(&slot->identity_ref, memory_order_relaxed);
    struct table_side_identity fixed;
    memcpy(&fixed, writer->side + (uint64_t)ref * 8, sizeof fixed);
    return fixed.owner_ref;
}

size_t side_list(unsigned char *record, size_t count, size_t end)
{
    struct table_side_list fixed = {
        .count = (uint16_t)count,
        .bytes_len = (uint16_t)(end - sizeof fixed),
    };
    memcpy(record, &fixed, sizeof fixed);
    return count > 0 ? end : 0;
}

size_t side_limits(const struct rates *rates, unsigned char ret[SIDE_LIMITS_RECORD_MAX])
{
    size_t at = sizeof(struct table_side_limit_list);
    memset(ret, 0, at);
    for (uint32_t i = 0; i < rates->count; i++) {
        struct table_side_limit limit = {.rate = rates->list[i],
                                         .rule = limit_rule_of(&rates->list[i])};
        memcpy(ret + at, &limit, sizeof limit);
        at += sizeof limit;
    }
    return side_list(ret, rates->count, at);
}
