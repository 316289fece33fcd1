#include <string.h>

#include "core/crc32.h"
#include "core/huge.h"
#include "table/writer.h"

/* A reserve of one in 64, and never fewer than 256: the keys of one large customer can be narrowed
 * while a new generation is being filled. */
#define RESERVE_SHARE 64u
#define RESERVE_MIN 256u

/* Slots for each key of the capacity, in halves: a fill of two thirds at the most. Measured in
 * FORMAT: a hit looks at 1.5 slots at a fill of 0.5 and at 2 at two thirds; a miss at 2.5 and 5. */
#define SLOTS_PER_TWO_KEYS 3u

/* Room beyond the average, so that a small table can take a few keys with the longest texts. */
#define SIDE_SLACK 65536u

struct geometry {
    uint64_t reserve;
    uint64_t slot_count;
    uint64_t side_reserve;
    uint64_t side_offset;
    uint64_t side_size;
    uint64_t intern_offset;
    uint64_t intern_count;
    uint64_t file_size;
};

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static int geometry_of(const struct table_params *params, struct geometry *ret)
{
    /* 2^32 keys of 2^12 bytes: sums and products below stay far under 2^64, and references to the
     * side area (32 bits of 8-byte units) are checked at the end. */
    if (params->capacity == 0 || params->capacity > UINT32_MAX || params->side_bytes_per_key == 0 ||
        params->side_bytes_per_key > TABLE_SIDE_BYTES_PER_KEY_MAX)
        return CATLATCH_E_ARGUMENT;
    struct geometry g;
    uint64_t reserve = params->capacity / RESERVE_SHARE;
    g.reserve = reserve < RESERVE_MIN ? RESERVE_MIN : reserve;
    uint64_t keys = params->capacity + g.reserve;
    g.slot_count = keys * SLOTS_PER_TWO_KEYS / 2 + 1;
    g.side_offset = TABLE_PAGE + g.slot_count * sizeof(struct table_slot);
    g.side_reserve = g.reserve * params->side_bytes_per_key;
    g.side_size = round_up(keys * params->side_bytes_per_key + SIDE_SLACK, 8);
    g.intern_offset = g.side_offset + g.side_size;
    g.intern_count = params->capacity / 4 + 64;
    g.file_size = round_up(g.intern_offset + g.intern_count * sizeof(uint32_t), TABLE_PAGE);
    /* What is not tiny fills whole huge pages, so that readers can map it with them where the
     * system has some: at a million keys a batch then takes 120 ns a key instead of 150. */
    if (g.file_size > HUGE_PAGE / 4)
        g.file_size = round_up(g.file_size, HUGE_PAGE);
    if (g.side_size / 8 > UINT32_MAX)
        return CATLATCH_E_ARGUMENT;
    *ret = g;
    return 0;
}

uint64_t table_keys_max(const struct table_params *params)
{
    struct geometry g;
    return geometry_of(params, &g) == 0 ? params->capacity + g.reserve : 0;
}

size_t table_size(const struct table_params *params)
{
    struct geometry g;
    return geometry_of(params, &g) == 0 ? (size_t)g.file_size : 0;
}

static void fill_header(struct table_header *header, const struct table_params *params,
                        const struct geometry *g)
{
    header->magic = TABLE_MAGIC;
    header->layout = TABLE_LAYOUT;
    header->slot_size = sizeof(struct table_slot);
    header->file_size = g->file_size;
    header->generation = params->generation;
    header->epoch = params->epoch;
    memcpy(header->boot_id, params->boot_id, sizeof header->boot_id);
    memcpy(header->seed, params->seed, sizeof header->seed);
    header->slot_count = g->slot_count;
    header->slots_offset = TABLE_PAGE;
    header->side_offset = g->side_offset;
    header->side_size = g->side_size;
    header->intern_offset = g->intern_offset;
    header->intern_count = g->intern_count;
    header->capacity = params->capacity;
    header->reserve = g->reserve;
    header->created_unix_s = params->created_unix_s;
    memcpy(header->usage_area, params->usage_area, sizeof header->usage_area);
    header->usage_segments = params->usage_segments;
    header->checksum = crc32_update(0, &header->magic,
                                    offsetof(struct table_header, checksum) -
                                        offsetof(struct table_header, magic));
    atomic_store_explicit(&header->max_stale_ms, params->max_stale_ms, memory_order_relaxed);
    atomic_store_explicit(&header->pulse, TABLE_PULSE_FILLING, memory_order_relaxed);
}

int table_format(struct table_writer *writer, void *base, size_t size,
                 const struct table_params *params)
{
    struct geometry g;
    if (geometry_of(params, &g) != 0 || size != g.file_size)
        return CATLATCH_E_ARGUMENT;
    fill_header(base, params, &g);

    struct table_writer fresh = {
        .header = base,
        .slots = (struct table_slot *)(void *)((char *)base + TABLE_PAGE),
        .side = (unsigned char *)base + g.side_offset,
        .intern = (_Atomic uint32_t *)(void *)((char *)base + g.intern_offset),
        .intern_count = g.intern_count,
        .capacity = params->capacity,
        .reserve = g.reserve,
        .side_reserve = g.side_reserve,
        .side_used = 8, /* reference 0 means none */
    };
    if (table_view_init(&fresh.view, base, size, NULL) != 0)
        return CATLATCH_E_ARGUMENT;
    *writer = fresh;
    return 0;
}
