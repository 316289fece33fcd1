#include "daemon/busiest.h"

#include <stdlib.h>

static uint64_t weight(const struct busiest_key *key)
{
    return history_add(key->more.granted, key->more.refused);
}

void busiest_clear(struct busiest *busiest)
{
    busiest->count = busiest->total = 0;
}

static void swap(struct busiest_key *a, struct busiest_key *b)
{
    struct busiest_key kept = *a;

    *a = *b;
    *b = kept;
}

/* The last one, which was added. */
static void rise(struct busiest *busiest)
{
    size_t at = busiest->count - 1;

    while (at > 0) {
        struct busiest_key *key = &busiest->keys[at], *parent = &busiest->keys[(at - 1) / 2];
        if (weight(key) >= weight(parent))
            return;
        swap(key, parent);
        at = (at - 1) / 2;
    }
}

static void sink(struct busiest *busiest)
{
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < busiest->count &&
            weight(&busiest->keys[child + 1]) < weight(&busiest->keys[child]))
            child++;
        if (child >= busiest->count || weight(&busiest->keys[at]) <= weight(&busiest->keys[child]))
            return;
        swap(&busiest->keys[at], &busiest->keys[child]);
        at = child;
    }
}

void busiest_add(struct busiest *busiest, uint64_t id, const struct history_entry *more)
{
    struct busiest_key key = {.id = id, .more = *more};

    if (weight(&key) == 0)
        return;
    busiest->total++;
    if (busiest->count < BUSIEST_MAX) {
        busiest->keys[busiest->count++] = key;
        rise(busiest);
    } else if (weight(&key) > weight(&busiest->keys[0])) {
        busiest->keys[0] = key;
        sink(busiest);
    }
}

static int compare(const void *left, const void *right)
{
    const struct busiest_key *a = left, *b = right;

    if (weight(a) != weight(b))
        return weight(a) > weight(b) ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

void busiest_sort(struct busiest *busiest)
{
    qsort(busiest->keys, busiest->count, sizeof busiest->keys[0], compare);
}
