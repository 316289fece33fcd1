/*
 * record.h - what workers write of one key after the outcome, and how it is read.
 *
 * Noting is wait-free and costs an atomic addition, which is also all that it writes but once a
 * second and after a sweep. A worker that is killed in between loses what it was noting, nothing
 * else.
 *
 * Order. Time and address are stored first, then the count goes up, then the mark is looked at. The
 * addition is what orders it all: whoever sees it sees what this worker stored before, or newer, as
 * every addition continues the release sequence of those before it. And of
 * the addition, the look at the mark, the sweep's taking it and the reader's load of the count
 * behind that, all sequentially consistent, either the look comes after the taking, and sets the
 * mark again, or the addition comes before the load. With less, both could miss: each stores to one
 * word and loads the other.
 */
#ifndef USAGE_RECORD_H
#define USAGE_RECORD_H

#include "core/address.h"
#include "core/prefetch.h"
#include "usage/area.h"

/* A worker's clock may be read well before it notes, so times come late. A stored one is kept by
 * what comes at most this much later, and replaced by what comes more: then the clock was set back,
 * or somebody scribbled. */
#define USAGE_LATE_MAX_S 10u

/* One kind of event, either as it lies in the record. */
struct usage_words {
    _Atomic uint64_t *unix_s, *count, *from;
};

/* Stores time and address, and `seen` is the time that was there. If somebody else did meanwhile,
 * it is theirs that stay. */
void usage_store_last(struct usage_words words, uint64_t seen, int64_t now_unix_s,
                      const struct address *from);

/* Whether this time is to be stored, and what is there. */
static inline bool usage_is_due(struct usage_words words, int64_t now_unix_s, uint64_t *ret_seen)
{
    /* Relaxed: a guess, which usage_store_last checks. Compared first, so that a hot key's time is
     * not written for nothing. */
    *ret_seen = atomic_load_explicit(words.unix_s, memory_order_relaxed);
    return *ret_seen - (uint64_t)now_unix_s > USAGE_LATE_MAX_S; /* earlier wraps: it is more, too */
}

/* Counts one, after its time was stored if that was due. The area has the record. */
static inline void usage_count(const struct usage_area *area, uint32_t ref,
                               struct usage_words words)
{
    /* seq_cst: before the look at the mark; see above */
    atomic_fetch_add_explicit(words.count, 1, memory_order_seq_cst);
    _Atomic uint64_t *marks = usage_mark_word(area, ref);
    uint64_t mark = usage_mark_bit(ref);
    if ((atomic_load_explicit(marks, memory_order_seq_cst) & mark) == 0)
        /* release: a sweep that takes this mark sees the record as it is now */
        atomic_fetch_or_explicit(marks, mark, memory_order_release);
}

static inline void usage_note(const struct usage_area *area, uint32_t ref, struct usage_words words,
                              int64_t now_unix_s, const struct address *from)
{
    uint64_t seen;

    if (usage_is_due(words, now_unix_s, &seen))
        usage_store_last(words, seen, now_unix_s, from);
    usage_count(area, ref, words);
}

static inline struct usage_words usage_uses(struct usage_record *record)
{
    return (struct usage_words){&record->used_unix_s, &record->used_count, record->used_from};
}

static inline struct usage_words usage_refusals(struct usage_record *record)
{
    return (struct usage_words){&record->refused_unix_s, &record->refused_count,
                                record->refused_from};
}

/* A grant, and a refusal of a key whose digest matched. `from` is where it came from, NULL: it is
 * not told, and then nothing is told of earlier ones either. A reference that the area does not
 * have is passed over. */
static inline void usage_note_use(const struct usage_area *area, uint32_t ref, int64_t now_unix_s,
                                  const struct address *from)
{
    struct usage_record *record = usage_record_at(area, ref);
    if (record != NULL)
        usage_note(area, ref, usage_uses(record), now_unix_s, from);
}

static inline void usage_note_refusal(const struct usage_area *area, uint32_t ref,
                                      int64_t now_unix_s, const struct address *from)
{
    struct usage_record *record = usage_record_at(area, ref);
    if (record != NULL)
        usage_note(area, ref, usage_refusals(record), now_unix_s, from);
}

/* Asks the processor for what noting will touch: a miss costs more than all the rest. */
static inline void usage_prefetch(const struct usage_area *area, uint32_t ref)
{
    struct usage_record *record = usage_record_at(area, ref);
    if (record != NULL) {
        prefetch_for_write(record);
        __builtin_prefetch((void *)usage_mark_word(area, ref));
    }
}

struct usage_event {
    int64_t last_unix_s; /* 0: never, or it was not noted */
    uint64_t count;
    bool has_from; /* where the last one came from was told */
    struct address from;
};

struct usage_numbers {
    struct usage_event used, refused;
};

/*
 * The record as it is. No time is beyond now_unix_s; anything else may be what somebody scribbled.
 * Time and address are of one event but for the moment in which a worker stores them: then the
 * address can be the one before, or of two IPv6 addresses a half each, until the next second's.
 * Returns false when the area has no such record.
 */
bool usage_read(const struct usage_area *area, uint32_t ref, int64_t now_unix_s,
                struct usage_numbers *ret);

#endif
