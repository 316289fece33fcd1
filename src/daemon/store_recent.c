/* The last part of the indexes, in memory: a row for each of its keys. With some ten thousand keys
 * looking through one column of hashes takes less than a look at a page. */
#include <assert.h>
#include <stdlib.h>

#include "daemon/store_internal.h"

static const struct store_hash no_hash;

static bool is_same(const struct store_hash *a, const struct store_hash *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The first row with this id or a higher one; count if there is none. */
static size_t row_from(const struct store_recent *recent, uint64_t id)
{
    size_t low = 0, high = recent->count;

    if (high == 0 || recent->ids[high - 1] < id) /* nearly always */
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (recent->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int store_recent_reserve(struct store_recent *recent, size_t more)
{
    size_t room = recent->room == 0 ? 64 : recent->room;

    if (recent->room - recent->count >= more)
        return 0;
    while (room - recent->count < more)
        room *= 2;
    uint64_t *ids = reallocarray(recent->ids, room, sizeof *ids);
    if (ids == NULL)
        return CATLATCH_E_MEMORY;
    recent->ids = ids;
    for (unsigned i = 0; i < STORE_INDEXES; i++) {
        struct store_hash *hashes = reallocarray(recent->hashes[i], room, sizeof *hashes);
        if (hashes == NULL)
            return CATLATCH_E_MEMORY;
        recent->hashes[i] = hashes;
    }
    recent->room = room;
    return 0;
}

static void insert_row(struct store_recent *recent, size_t row, uint64_t id)
{
    size_t behind = recent->count - row;

    memmove(recent->ids + row + 1, recent->ids + row, behind * sizeof *recent->ids);
    recent->ids[row] = id;
    for (unsigned i = 0; i < STORE_INDEXES; i++) {
        struct store_hash *at = recent->hashes[i] + row;
        memmove(at + 1, at, behind * sizeof *at);
        *at = no_hash;
    }
    recent->count++;
}

void store_recent_set(struct store_recent *recent, uint64_t id, enum store_index index,
                      const struct store_hash *hash)
{
    size_t row = row_from(recent, id);

    if (row == recent->count || recent->ids[row] != id)
        insert_row(recent, row, id);
    recent->hashes[index][row] = hash != NULL ? *hash : no_hash;
}

void store_recent_find(const struct store_recent *recent, enum store_index index,
                       const struct store_hash *hash, uint64_t after_id, uint64_t *ret_ids,
                       size_t max, size_t *io_count)
{
    for (size_t row = row_from(recent, after_id + 1); row < recent->count && *io_count < max; row++)
        if (is_same(&recent->hashes[index][row], hash))
            ret_ids[(*io_count)++] = recent->ids[row];
}

static int pair_compare(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct store_pair));
}

/* The first bits of a hash, by which pairs fall into as many heaps as a full part has keys. */
#define HEAP_BITS 14u
#define HEAPS ((size_t)1 << HEAP_BITS)
static_assert(HEAPS == STORE_PART_KEYS, "a heap for each key");

static size_t heap_of(const struct store_hash *hash)
{
    return (size_t)(hash->bytes[0] << 8 | hash->bytes[1]) >> (16 - HEAP_BITS);
}

/* Where each heap ends. Returns what all of them hold. */
static size_t measure_heaps(const struct store_recent *recent, enum store_index index,
                            uint32_t ret_ends[HEAPS])
{
    const struct store_hash *hashes = recent->hashes[index];
    uint32_t sum = 0;

    memset(ret_ends, 0, HEAPS * sizeof *ret_ends);
    for (size_t row = 0; row < recent->count; row++)
        ret_ends[heap_of(&hashes[row])] += !is_same(&hashes[row], &no_hash);
    for (size_t heap = 0; heap < HEAPS; heap++)
        ret_ends[heap] = sum += ret_ends[heap];
    return sum;
}

/* Hashes fall evenly, so that hardly anything is left to sort in a heap: this takes a fifth of the
 * time that sorting all of them at once does. Whoever chooses texts that share a heap has them
 * sorted like that. */
size_t store_recent_pairs(const struct store_recent *recent, enum store_index index,
                          struct store_pair *ret_pairs)
{
    const struct store_hash *hashes = recent->hashes[index];
    uint32_t places[HEAPS]; /* 64 KiB of the stack, where a megabyte is usual */
    size_t count = measure_heaps(recent, index, places);

    for (size_t row = recent->count; row-- > 0;)
        if (!is_same(&hashes[row], &no_hash))
            ret_pairs[--places[heap_of(&hashes[row])]] =
                store_pair_of(&hashes[row], recent->ids[row]);
    for (size_t heap = 0; heap < HEAPS; heap++) { /* which begins at its place now */
        size_t end = heap + 1 < HEAPS ? places[heap + 1] : count;
        if (end - places[heap] > 1)
            qsort(ret_pairs + places[heap], end - places[heap], sizeof *ret_pairs, pair_compare);
    }
    return count;
}

static int load_key(void *context, const struct record *record)
{
    struct store_recent *recent = context;

    if (record->purged)
        return 0;
    int r = store_recent_reserve(recent, 1);
    for (unsigned i = 0; r == 0 && i < STORE_INDEXES; i++) {
        struct store_hash hash = store_hash_of(store_indexed_text(record, (enum store_index)i));
        store_recent_set(recent, record->id, (enum store_index)i, &hash);
    }
    return r;
}

int store_recent_load(struct store *store, struct error *error)
{
    uint64_t first = store->part_count > 0 ? store->part_ids[store->part_count - 1] : 1;
    uint64_t last;

    store->recent.count = 0;
    int r = store_scan(store, first - 1, SIZE_MAX, load_key, &store->recent, &last, error);
    return r == CATLATCH_E_MEMORY ? error_set(error, r, "out of memory for the indexes") : r;
}

void store_recent_free(struct store_recent *recent)
{
    free(recent->ids);
    for (unsigned i = 0; i < STORE_INDEXES; i++)
        free(recent->hashes[i]);
    *recent = (struct store_recent){.count = 0};
}
