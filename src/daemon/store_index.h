/*
 * store_index.h - the indexes of a store: which keys have this owner, prefix or name, which expire
 * and which were revoked, in order.
 *
 * What is kept of a text is half of its SHA-256, in which nobody finds two that are alike: with the
 * key's id a pair of 24 bytes. Pairs are cut into parts, each of the ids from its first on. The
 * last part, which new keys come into, lies in memory alone (store_recent.c) and is read from the
 * keys again when the store is opened. Once it has STORE_PART_KEYS keys, the next
 * transaction with a new key seals it and begins another: its pairs are sorted and written, some
 * forty in an entry of index.db (store_runs.c). So a new key costs a fraction of one write for all
 * three texts instead of three, to pages that other keys will want too. What is looked for is
 * looked for in each part.
 *
 * index.db, where all sort as they are meant to be walked:
 *   'r', time of revoking (8), id (8)       -> nothing; revoked keys that were not purged
 *   'x', expiry (8), id (8)                 -> nothing; keys that expire
 *   'y', part (4), enum store_index, pair   -> pairs, rising, of which the key has the last; in a
 *                                              part's last entry the highest that there can be, as
 *                                              long as that is not emptied.
 *                                              Behind all others: a sealed part is appended
 */
#ifndef DAEMON_STORE_INDEX_H
#define DAEMON_STORE_INDEX_H

#include <db.h>

#include "daemon/store.h"

struct store_txn;

/* Keys after which a part is followed by another: sealing one takes some 15 ms, for which a revoke
 * waits, and with ten million keys there are 610 to look into, which takes some 2 ms. */
#define STORE_PART_KEYS (UINT64_C(1) << 14)

#define STORE_INDEXES 3u /* of texts: enum store_index */

struct store_hash {
    unsigned char bytes[16];
};

/* Compares as bytes. */
struct store_pair {
    struct store_hash hash;
    unsigned char id[8]; /* big-endian */
};

/* Pairs of an entry at most: Berkeley DB keeps what is under a quarter of a page on the page. */
#define STORE_RUN_PAIRS 40u

/* The last part: a row for each of its keys, by id. A hash of zeros stands for none. */
struct store_recent {
    uint64_t *ids;
    struct store_hash *hashes[STORE_INDEXES];
    size_t count, room;
};

/* What a transaction will change at its commit. */
struct store_text_change {
    enum store_index index;
    bool present; /* it shall be there afterwards */
    struct store_pair pair;
};

struct store_time_change {
    unsigned char key[17];
    uint32_t order;
    bool present;
};

struct store_index_batch {
    struct store_text_change *texts; /* in the order in which they were made */
    size_t text_count, text_room;
    struct store_time_change *times;
    size_t time_count, time_room;
};

/* store_parts.c. The part that has the id's pairs. */
uint32_t store_part_of(const struct store *store, uint64_t id);

/* The next part. Returns 0 or E_MEMORY. */
int store_part_add(struct store *store, uint64_t first_id, struct error *error);

/* Whether the last part has as many keys as one shall have. */
bool store_part_is_full(const struct store *store);

struct store_hash store_hash_of(struct text text);
struct store_pair store_pair_of(const struct store_hash *hash, uint64_t id);

/* store_recent.c. Room for so many rows more. Returns 0 or E_MEMORY. */
int store_recent_reserve(struct store_recent *recent, size_t more);

/* Sets what the id's row has in this index; NULL: nothing. There is room. */
void store_recent_set(struct store_recent *recent, uint64_t id, enum store_index index,
                      const struct store_hash *hash);

/* Appends ids above after_id, rising, to the *io_count of at most max that were found already. */
void store_recent_find(const struct store_recent *recent, enum store_index index,
                       const struct store_hash *hash, uint64_t after_id, uint64_t *ret_ids,
                       size_t max, size_t *io_count);

/* All pairs of an index, sorted; ret_pairs has room for recent->count. Returns how many. */
size_t store_recent_pairs(const struct store_recent *recent, enum store_index index,
                          struct store_pair *ret_pairs);

/* Reads the rows of the last part from the keys. */
int store_recent_load(struct store *store, struct error *error);

void store_recent_free(struct store_recent *recent);

/* store_runs.c. Writes the last part's pairs as those of `part`. */
int store_runs_seal(struct store_txn *txn, uint32_t part, struct error *error);

/* Adds a pair to a sealed part or removes it; either may have been done already. */
int store_runs_change(struct store_txn *txn, uint32_t part, const struct store_text_change *change,
                      struct error *error);

/* As store_recent_find. */
int store_runs_find(struct store *store, uint32_t part, enum store_index index,
                    const struct store_hash *hash, uint64_t after_id, uint64_t *ret_ids, size_t max,
                    size_t *io_count, struct error *error);

/* store_index.c. What of a key an index holds. */
struct text store_indexed_text(const struct record *record, enum store_index index);

/* Return the length of the key of an entry by time. */
size_t store_index_expiry_key(int64_t expires_unix_s, uint64_t id, unsigned char *ret_key);
size_t store_index_revoked_key(int64_t revoked_unix_s, uint64_t id, unsigned char *ret_key);

/* Notes what a key's change does to the indexes; old or new may be NULL. */
int store_index_note(struct store_index_batch *batch, const struct record *old,
                     const struct record *new, struct error *error);

/* Writes what was noted, but for the last part's pairs, for which it makes room; and seals the part
 * before if the transaction begins one. */
int store_index_apply(struct store_txn *txn, struct error *error);

/* It was committed: the last part's pairs follow. */
void store_index_committed(struct store_txn *txn);

void store_index_clear(struct store_index_batch *batch);
void store_index_free(struct store_index_batch *batch);

#endif
