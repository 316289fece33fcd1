#include "usage/record.h"

#include <string.h>

/* Looks at a record that is being written, before it is taken as it is. */
#define READ_TRIES 4u

static_assert(sizeof(struct address) == 2 * sizeof(uint64_t), "an address is two words");

void usage_store_last(struct usage_words words, uint64_t seen, int64_t now_unix_s,
                      const struct address *from)
{
    uint64_t halves[2] = {0, 0};
    /* One of all workers stores each second's, so that two do not mix their addresses. Relaxed, as
     * the rest: usage_note's addition publishes it. */
    if (!atomic_compare_exchange_strong_explicit(words.unix_s, &seen, (uint64_t)now_unix_s,
                                                 memory_order_relaxed, memory_order_relaxed))
        return;
    if (from != NULL)
        memcpy(halves, from->bytes, sizeof halves);
    for (unsigned i = 0; i < 2; i++)
        atomic_store_explicit(&words.from[i], halves[i], memory_order_relaxed);
}

static int64_t bounded_time(uint64_t unix_s, int64_t now_unix_s)
{
    uint64_t latest = now_unix_s > 0 ? (uint64_t)now_unix_s : 0;
    return (int64_t)(unix_s < latest ? unix_s : latest);
}

static struct usage_event read_event(struct usage_words words, int64_t now_unix_s)
{
    struct usage_event event;
    uint64_t halves[2], unix_s, again;
    unsigned tries = 0;

    /* seq_cst: behind a sweep's taking the mark, and before all else that is read; see record.h */
    event.count = atomic_load_explicit(words.count, memory_order_seq_cst);
    do {
        /* acquire: each comes before the one below it */
        unix_s = atomic_load_explicit(words.unix_s, memory_order_acquire);
        halves[0] = atomic_load_explicit(&words.from[0], memory_order_acquire);
        halves[1] = atomic_load_explicit(&words.from[1], memory_order_acquire);
        again = atomic_load_explicit(words.unix_s, memory_order_relaxed);
    } while (unix_s != again && ++tries < READ_TRIES);
    event.last_unix_s = bounded_time(unix_s, now_unix_s);
    event.has_from = event.last_unix_s != 0 && (halves[0] | halves[1]) != 0;
    memcpy(event.from.bytes, halves, sizeof halves);
    return event;
}

bool usage_read(const struct usage_area *area, uint32_t ref, int64_t now_unix_s,
                struct usage_numbers *ret)
{
    struct usage_record *record = usage_record_at(area, ref);
    if (record == NULL)
        return false;
    ret->used = read_event(usage_uses(record), now_unix_s);
    ret->refused = read_event(usage_refusals(record), now_unix_s);
    return true;
}
