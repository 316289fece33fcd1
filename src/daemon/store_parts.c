/* The parts of the indexes, each of the ids from its first on. */
#include <assert.h>
#include <stdlib.h>

#include "daemon/store_internal.h"

static_assert(STORE_PART_KEYS > STORE_TXN_KEYS_MAX, "a transaction begins one part at most");

uint32_t store_part_of(const struct store *store, uint64_t id)
{
    size_t low = 0, high = store->part_count;

    /* Nearly always it is the last. */
    if (high == 0 || store->part_ids[high - 1] <= id)
        return (uint32_t)high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (store->part_ids[middle] <= id)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)low;
}

int store_part_add(struct store *store, uint64_t first_id, struct error *error)
{
    if (store->part_count == store->part_room) {
        size_t room = store->part_room == 0 ? 16 : 2 * store->part_room;
        uint64_t *larger = reallocarray(store->part_ids, room, sizeof *larger);
        if (larger == NULL)
            return error_set(error, CATLATCH_E_MEMORY, "out of memory for the parts of the index");
        store->part_ids = larger;
        store->part_room = room;
    }
    store->part_ids[store->part_count++] = first_id;
    return 0;
}

bool store_part_is_full(const struct store *store)
{
    return store->recent.count >= store->part_keys;
}
