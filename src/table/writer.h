/*
 * writer.h - what the one writer does with a table: make it, claim, publish, mark.
 *
 * A change goes: table_claim (finds the room and writes everything but the control word; readers
 * see nothing), then the store commits, then table_publish, which cannot fail. Claims are
 * published or given up in any order of commits but published strictly in the order of claiming
 * (layout.h, rule 3); the writer asserts it. One thread at a time.
 */
#ifndef TABLE_WRITER_H
#define TABLE_WRITER_H

#include "table/view.h"

/* What a new generation shall hold. */
struct table_params {
    uint64_t generation;
    uint64_t epoch;
    uint8_t boot_id[16];
    uint64_t seed[2];
    uint64_t capacity;           /* keys, dead slots included, before a newer generation is due */
    uint64_t side_bytes_per_key; /* identities, owners, scopes and networks, on average */
    uint64_t created_unix_s;
    uint8_t usage_area[16];  /* zeros: none */
    uint32_t usage_segments; /* of it, that the table's references will lie in */
    uint64_t max_stale_ms;
};

/* 64: what identities of twenty-byte names take (16 + 15 + 20, padded: 56), a tenth of an owner's
 * record of up to 40 bytes, and scopes that many keys share. */
#define TABLE_SIDE_BYTES_PER_KEY 64u

/* More than one key with texts, owner, scopes and networks as long as they can be takes. */
#define TABLE_SIDE_BYTES_PER_KEY_MAX 4096u

/* The keys that such a table takes at most; 0 if it would overflow. */
uint64_t table_keys_max(const struct table_params *params);

/* The size of the file for these parameters, a multiple of the page; 0 if it would overflow. */
size_t table_size(const struct table_params *params);

struct table_writer {
    struct table_view view;
    struct table_header *header;
    struct table_slot *slots;
    unsigned char *side;
    _Atomic uint32_t *intern;
    uint64_t intern_count;
    uint64_t capacity;
    uint64_t reserve;
    uint64_t side_reserve; /* bytes of the side area for changes that narrow a key */
    uint64_t slots_used;   /* the writer's own copies of what it tells in the header */
    uint64_t side_used;
    uint64_t claimed;   /* serial of the last claim; they begin with 1 */
    uint64_t published; /* serial of the last claim that was published */
};

/* Lays out an empty table over size zeroed bytes. Returns 0 or E_ARGUMENT. pulse stays
 * TABLE_PULSE_FILLING. */
int table_format(struct table_writer *writer, void *base, size_t size,
                 const struct table_params *params);

/* One key as the table knows it. Texts are read during the call only. */
struct table_entry {
    struct digest digest;
    uint64_t id; /* never 0 */
    struct text name;
    struct text owner;
    struct text prefix;
    struct text environment; /* empty: none */
    struct text environment_prefix;
    const struct text *scopes;
    size_t scope_count;
    const struct network *networks; /* that it is confined to; none: it is not */
    size_t network_count;
    const struct rates *rates;       /* NULL: none */
    bool has_uses;                   /* they are counted down in its block */
    const struct rates *owner_rates; /* of all keys of its owner together; NULL: none */
    uint32_t owner_block;            /* where these are counted, or were; 0: nowhere */
    int64_t expires_unix_s;          /* 0: never */
    int64_t not_before_unix_s;       /* 0: at once */
    /* In the usage area: its record, and in the upper half its block of limit words; 0: none. What
     * a published slot of it has counts. */
    uint64_t usage;
    bool well_formed; /* the key's text is, by core/key.h: readers need not check it again */
    bool disabled;
    bool suspended; /* the owner is */
    bool revoked;
};

/* Why room is asked for: a change that narrows a key may use the reserve. */
enum table_purpose { TABLE_ORDINARY, TABLE_NARROWING };

#define TABLE_NO_SLOT UINT64_MAX

/* A change that has its room. */
struct table_claim {
    uint64_t slot;    /* where it will be seen */
    uint64_t old;     /* the slot that it replaces, or TABLE_NO_SLOT; == slot: control word only */
    uint64_t control; /* what publishing stores there, */
    uint64_t usage;   /* and there, */
    uint64_t owner_word; /* and in front of its owner's record */
    uint64_t serial;
};

/*
 * Prepares the table for this entry: if the digest is there and all write-once data agree, only the
 * control word will change; otherwise a new slot is claimed and filled. A claim sees the
 * slots that earlier claims of the key took, published or not; a control word that was claimed
 * alone is seen once published, so whoever claims must know of it: table_publish asserts it.
 * Returns 0, E_FULL (a new generation is needed; readers see no change), E_CONFLICT (the digest is
 * another key's, or it is REVOKED and the entry is not: there is no way back), E_DATA (a text or
 * number is longer than the format has room for).
 */
int table_claim(struct table_writer *writer, const struct table_entry *entry,
                enum table_purpose purpose, struct table_claim *ret_claim);

/* Makes the claim visible, then marks the slot that it replaces. */
void table_publish(struct table_writer *writer, const struct table_claim *claim);

/* Gives the claim up. The newest claim is undone as if it had not been made, so giving up in the
 * reverse order of claiming costs nothing; another's slot is dead. Before a later claim is
 * published; and later claims of the same key must be given up too, for they were built on this one
 * (table_publish asserts it). */
void table_abandon(struct table_writer *writer, const struct table_claim *claim);

/* Gives a named limit's rate a place, if it has none. Returns 0 or E_FULL. */
int table_name_limit(struct table_writer *writer, const char name[NAMED_LIMIT_NAME_SIZE],
                     const struct rate *rate);

/* The places, by bit, of limits that are none of those named, where there is no room for both. */
unsigned table_spare_limits(const struct table_view *view, const struct named_limits *named);

/* Before anybody reads: the places that another table gave stay as they are, but for the spare
 * ones. */
void table_keep_limits(struct table_writer *writer, const struct table_view *from, unsigned spare);

/* What stands in front of an owner's record for these limits, NULL or none: for his block alone.
 * Returns 0, E_FULL or E_DATA. */
int table_owner_word(struct table_writer *writer, const struct rates *rates, uint32_t block,
                     enum table_purpose purpose, uint64_t *ret_word);

/* Puts it there, for the owner of the slot. */
void table_store_owner_word(struct table_writer *writer, const struct table_slot *slot,
                            uint64_t word);

/* What all keys of an owner have in common. */
struct table_owner {
    struct text name;
    bool suspended;
    uint64_t limits_word; /* table_owner_word's */
};

/* Shows that in the owner's living slots, from *io_slot on and in at most `max` slots of the table,
 * and moves *io_slot on. Claims nothing and cannot fail. True: that was all. While no claim waits,
 * which would bring the old flags back. */
bool table_show_owner(struct table_writer *writer, const struct table_owner *owner,
                      uint64_t *io_slot, uint64_t max);

/* Tells readers how far the table is. Release: after everything up to it was published. */
void table_set_sequence(struct table_writer *writer, uint64_t sequence);

/* The heartbeat. Leaves TABLE_PULSE_SUPERSEDED alone, so it may run in another thread than the
 * writer's. now_ms is never 0. */
void table_beat(struct table_header *header, uint64_t now_ms);

/* Sends every reader away, for ever. */
void table_supersede(struct table_header *header);

/* Share of the capacity that is used, in thousandths: slots or side area, whichever is fuller. */
unsigned table_fill_permille(const struct table_writer *writer);

#endif
