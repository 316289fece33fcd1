/*
 * view.h - what readers do with a table: check it, find a digest, read what belongs to it.
 *
 * A view is plain values that were checked once; nothing of the geometry is read from the mapping
 * again. Everything here is wait-free. Several threads and processes can use views of one table
 * while the writer works.
 */
#ifndef TABLE_VIEW_H
#define TABLE_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "core/address.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/text.h"
#include "table/layout.h"

struct table_view {
    const struct table_header *header;
    const struct table_slot *slots;
    const unsigned char *side;
    uint64_t slot_count;
    uint64_t side_size;
    uint64_t seed[2];
    uint64_t generation;
    uint64_t epoch;
    size_t size; /* of the mapping */
};

/* Checks magic, layout, checksum and geometry of size bytes at base (64-byte aligned).
 * Returns 0, E_DATA (foreign or damaged) or E_VERSION (a layout that we do not know). */
int table_view_init(struct table_view *view, const void *base, size_t size, struct error *error);

/* The control word of a slot, taken apart. */
static inline unsigned control_state(uint64_t control)
{
    return (unsigned)(control & CONTROL_STATE_MASK);
}

static inline unsigned control_environment(uint64_t control)
{
    return (unsigned)(control >> CONTROL_ENVIRONMENT_SHIFT) & 255u;
}

static inline int64_t control_expires_unix_s(uint64_t control)
{
    return (int64_t)(control >> CONTROL_EXPIRES_SHIFT);
}

/* Whether the slot was written for this digest. Of a reader the caller acquired the control word.
 */
static inline bool table_slot_has(const struct table_slot *slot, const struct digest *digest)
{
    /* Relaxed: written before the release store of the control word. */
    for (unsigned i = 0; i < DIGEST_WORDS; i++)
        if (atomic_load_explicit(&slot->digest[i], memory_order_relaxed) != digest->word[i])
            return false;
    return true;
}

struct table_hit {
    uint64_t slot;    /* its number */
    uint64_t control; /* the one load of the control word that decided */
    uint64_t id;
};

enum table_found {
    TABLE_MISS, /* the digest is not in the table: true, not "perhaps" */
    TABLE_HIT,  /* ret_hit is filled in; its state is LIVE or REVOKED */
    TABLE_DAMAGED,
};

enum table_found table_find(const struct table_view *view, const struct digest *digest,
                            struct table_hit *ret_hit);

/* Asks the processor to fetch the line that table_find will look at first. */
void table_prefetch(const struct table_view *view, const struct digest *digest);

/* What a key has in the usage area that the header names; 0: it has none. */
struct table_usage {
    uint32_t record; /* of its uses */
    uint32_t block;  /* of its limits' words */
};

/* `slot` is a table_hit's: relaxed, for it was written before the control word that the hit
 * acquired. */
static inline struct table_usage table_usage(const struct table_view *view, uint64_t slot)
{
    uint64_t usage = atomic_load_explicit(&view->slots[slot].usage, memory_order_relaxed);
    return (struct table_usage){(uint32_t)usage, (uint32_t)(usage >> 32)};
}

struct table_identity {
    char prefix[CATLATCH_PREFIX_SIZE];
    char owner[CATLATCH_TEXT_SIZE];
    char name[CATLATCH_TEXT_SIZE];
    int64_t not_before_unix_s;
};

/* Copies of what the slot refers to. Return 0 or E_DATA (damage). `slot` is a table_hit's. */
int table_identity(const struct table_view *view, uint64_t slot, struct table_identity *ret);
int table_not_before(const struct table_view *view, uint64_t slot, int64_t *ret_unix_s);

/* 1: the key has the scope, 0: it has not, E_DATA: damage. */
int table_has_scope(const struct table_view *view, uint64_t slot, const char *scope, size_t len);

/* The key's scopes, separated by one space. Returns 0 or E_DATA. */
int table_scopes(const struct table_view *view, uint64_t slot, char ret[CATLATCH_SCOPES_SIZE]);

/* Whether the key may be used from the address; NULL: none is known. 1: it lies in one of the key's
 * networks, or the key has none, 0: neither, E_DATA: damage. Most keys have none: their hit's
 * control word without CONTROL_NETWORKS says so without a call. */
int table_allows(const struct table_view *view, uint64_t slot, const struct address *address);

/* The key's networks; `control` is the slot's control word. Returns 0 or E_DATA, and then there may
 * be some in `ret` already. */
int table_networks(const struct table_view *view, uint64_t slot, uint64_t control,
                   struct network ret[NETWORKS_MAX], size_t *ret_count);

/* What limits a key. */
struct table_limits {
    const struct table_side_limit *rates; /* where they lie in the table: they are written once */
    unsigned count;                       /* of them, at most RATES_MAX */
    bool has_uses;                        /* its uses are counted down */
};

/* `control` is the slot's control word. Returns 0 or E_DATA. */
int table_limits(const struct table_view *view, uint64_t slot, uint64_t control,
                 struct table_limits *ret);

/* Its only limit: one rate of its own, no uses, and none of its owner's. NULL: it is not so, or
 * that cannot be told. */
const struct table_side_limit *table_sole_limit(const struct table_view *view, uint64_t slot,
                                                uint64_t control);

/* The limits that all keys of its owner have together, and the block of the usage area that these
 * are counted in, 0: there is none. Returns 0 or E_DATA. */
int table_owner_limits(const struct table_view *view, uint64_t slot, struct table_limits *ret,
                       uint32_t *ret_block);

/* Asks the processor for where a slot with CONTROL_LIMITS says which they are. */
void table_prefetch_limits(const struct table_view *view, uint64_t slot);

/* The place of a named limit's rate, below NAMED_RATES_MAX, or -1: the table has none. */
int table_named_limit(const struct table_view *view, const char name[NAMED_LIMIT_NAME_SIZE],
                      const struct rate *rate);

/* The environment's name copied out, "" for TABLE_ENVIRONMENT_NONE. Returns 0 or E_DATA. */
int table_environment(const struct table_view *view, unsigned number,
                      char ret[CATLATCH_ENVIRONMENT_SIZE]);

/* Whether the environment with this number is called name. 1, 0 or E_DATA. */
int table_environment_is(const struct table_view *view, unsigned number, const char *name);

/* Slot where a probe for this digest starts. */
uint64_t table_slot_home(const struct table_view *view, const struct digest *digest);

#endif
