/* The parts of the indexes, each of the ids from its first on. */
#include <assert.h>
#include <stdlib.h>

#include "daemon/store_internal.h"

static_assert(STORE_PART_KEYS > STORE_TXN_KEYS_MAX, "a transaction begins one part at most");

uint32_t store_part_of(const struct store *store, uint64_t id)
{
    size_t low = 0, high = store->part_count;

    /* Nearly always it is the last. */
    if (high == 0 || store->parts[high - 1].first_id <= id)
        return (uint32_t)high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->parts[middle].first_id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

int store_part_add(struct store *store, const struct store_part *part, struct error *error)
{
    if (store->part_count == store->part_room) {
        size_t room = store->part_room == 0 ? 16 : 2 * store->part_room;
        void *larger = reallocarray(store->parts, room, sizeof *store->parts);
        if (larger == NULL)
            return error_set(error, CATLATCH_E_MEMORY, "out of memory for the parts of the index");
        store->parts = larger;
        store->part_room = room;
    }
    store->parts[store->part_count++] = *part;
    return 0;
}

bool store_part_is_full(const struct store *store, uint64_t key_count)
{
    size_t count = store->part_count;
    uint64_t before = count > 0 ? store->parts[count - 1].keys_before : 0;

    return key_count - before >= store->part_keys;
}
