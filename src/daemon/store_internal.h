/*
 * store_internal.h - what the store's own files share; nobody else includes it.
 *
 * store.c opens and closes, store_env.c deals with the environment (errors, flush, checkpoint),
 * store_txn.c writes, store_index.c keeps the indexes, store_parts.c their parts, store_recent.c
 * and store_runs.c hold them, store_bulk.c gathers what is written together, store_walk.c,
 * store_read.c and store_snapshot.c read, store_log.c walks the changes, store_meta.c holds the
 * small facts, store_place.c knows in which folder the environment lies, store_files.c keeps
 * `published`, store_usage.c the totals, store_history.c what they were when.
 *
 * The bytes of Berkeley DB's keys, all of which sort as they are meant to be walked:
 *   keys     id (8, big-endian)                   -> record
 *   owners   name                                 -> record_owner
 *   changes  epoch (8), sequence (8)              -> change
 *   index    see daemon/store_index.h
 *   meta     a word                               -> integers
 *   usage    id (8, big-endian)                   -> total
 *   history  see daemon/history.h; and 't'        -> results
 */
#ifndef DAEMON_STORE_INTERNAL_H
#define DAEMON_STORE_INTERNAL_H

#include <db.h>
#include <pthread.h>
#include <stdatomic.h>

#include "daemon/bytes.h"
#include "daemon/store.h"
#include "daemon/store_index.h"

enum store_database {
    STORE_KEYS,
    STORE_OWNERS,
    STORE_INDEX,
    STORE_CHANGES,
    STORE_META,
    STORE_USAGE,
    STORE_HISTORY,
    STORE_DATABASES,
};

/* Of any database: an owner's name and one byte more are the longest that is looked for. */
#define STORE_KEY_MAX (RECORD_TEXT_MAX + 1)

/* Random numbers that are fetched at once: 256 bytes, which getrandom gives whole or not at all. */
#define STORE_DICE 64u

/* Entries that go into a database in one call, which costs half of as many calls. */
struct store_bulk {
    DBT data;   /* .data is our own */
    void *next; /* where in it */
    size_t count;
};

/* One at a time; its memory is kept for the next. */
struct store_txn {
    struct store *store;
    DB_TXN *txn;
    uint64_t epoch;      /* of the changes in it, */
    uint64_t sequence;   /* of the last of them, */
    struct digest chain; /* and its chain value */
    int64_t last_change_ms;
    uint64_t key_count;  /* as it will be */
    uint64_t highest_id; /* as it was before */
    void *owners;        /* a tree of struct owner_entry: owners that it touched */
    bool failed;         /* a write failed half-way: it can only be aborted */
    bool begins_part;    /* the last one of the indexes: its keys behind all others are in it */
    struct store_index_batch index;
    struct store_bulk index_bulk;
    struct store_bulk keys;     /* new ones behind all others: written before anything reads */
    struct store_bulk changes;  /* that the transaction will append at its commit */
    struct store_buffer stored; /* what was read to compare */
    unsigned char encoded[CHANGE_ENCODED_MAX];
};

struct store {
    char *directory; /* state_dir */
    int directory_fd;
    char *place; /* the environment's own folder in it */
    int place_fd;
    uint64_t number; /* of that folder */
    int published_fd;
    DB_ENV *env;
    DB *db[STORE_DATABASES];
    uint64_t ballast_size_bytes;
    _Atomic bool ballast_spent; /* released for want of room, and not laid again */
    int64_t checkpoint_interval_ms;
    bool is_new; /* being made: nothing in it was ever acknowledged */

    uint64_t epoch;
    uint64_t sequence;
    struct digest chain;             /* of the last change, */
    int64_t last_change_ms;          /* and when it was made */
    struct store_position log_start; /* the last change that was removed, */
    struct digest log_start_chain;   /* and its chain value */
    _Atomic uint64_t key_count;      /* other threads may ask */
    uint64_t last_id;                /* the highest that is stored or was given out */
    uint64_t highest_id;             /* no key above it is stored */
    uint32_t dice[STORE_DICE];       /* random numbers for ids that are yet to be made, */
    size_t dice_left;                /* of them, from the first on */
    struct store_recent recent;      /* of the indexes: the last part */
    uint64_t *part_ids;              /* of the indexes, behind the first: the first id of each; */
    size_t part_count, part_room;    /* the number of one is its place here and 1 */
    uint64_t part_keys;              /* STORE_PART_KEYS; fewer for a test */
    _Atomic int64_t backup_unix_s;   /* of the last backup; other threads may ask. 0: never */
    uint64_t published_count;
    uint32_t flushed_log_file;
    int64_t checkpoint_ms; /* of the last one; the checkpoint thread's own */

    pthread_mutex_t flush_lock;
    struct store_flush_times flush_times; /* of those that ended; */
    uint64_t flush_began_us; /* of the one that is under way, 0: none. Under the lock */

    bool txn_is_open;
    struct store_txn txn;

    _Atomic bool broken;
    _Atomic bool damaged;  /* a page's checksum was wrong */
    _Atomic bool ran_full; /* a write found no room */
    pthread_mutex_t said_lock;
    char said[256]; /* Berkeley DB's last words; under said_lock */
};

/* A store with nothing open but its directory; and the end of whatever is open of one. */
int store_alloc(const char *directory, struct store **ret_store, struct error *error);
void store_free(struct store *store);

/* Opens the folder of an environment, and makes it if the store is new. */
int store_open_place(struct store *store, const char *name, struct error *error);

int store_env_open(struct store *store, uint64_t cache_size_bytes, struct error *error);

/* Without log, locks and transactions: for a store that is being built, by one thread, and is
 * thrown away if anything fails. */
int store_env_open_bare(struct store *store, uint64_t cache_size_bytes, struct error *error);

/* A transaction of Berkeley DB's, which must end before another begins: there are no locks, so an
 * abort would undo the other's changes of the same pages too. E_CONFLICT: store_begin's is open. */
int store_env_begin(struct store *store, DB_TXN **ret_txn, struct error *error);

/* Ends it: by a commit if r is 0 and there is room, which the next flush is for. Returns r, or why
 * it was undone. */
int store_env_commit(struct store *store, DB_TXN *txn, int r, struct error *error);

/* Adds what a key was granted and refused to the spans of this moment that are kept. */
int store_history_add(struct store *store, DB_TXN *txn, const struct history_plan *plan,
                      uint64_t id, const struct history_entry *more, struct error *error);

/* Closes databases and environment, whatever their state. */
void store_env_close(struct store *store);

/* Turns what Berkeley DB returned into our error: "cannot <doing> in <directory>: ...". Everything
 * but lack of room or memory breaks the store. */
int store_fail(struct store *store, int ret, struct error *error, const char *doing);

/* E_IO if the store is broken. */
int store_check(struct store *store, struct error *error);

/* Whether the file system has room for what the log has not written yet. */
int store_check_room(struct store *store, struct error *error);

/* Adds an entry, which is written at once if there is no room for more. 0 or a negative code. */
int store_bulk_add(struct store_txn *txn, enum store_database database, struct store_bulk *bulk,
                   const void *key, size_t key_len, const void *data, size_t len,
                   struct error *error);

/* Writes what was added. */
int store_bulk_write(struct store_txn *txn, enum store_database database, struct store_bulk *bulk,
                     struct error *error);

/* Forgets what was added. */
void store_bulk_clear(struct store_bulk *bulk);
void store_bulk_free(struct store_bulk *bulk);

/* What is fetched at once at most: beyond it nothing is gained. */
#define STORE_BLOCK_BYTES ((size_t)1 << 20)

/* A walk over one database from a key on, in bulk. No write can be made while it is open. */
struct store_walk {
    struct store *store;
    DBC *cursor;
    DBT data;      /* the walk's own buffer */
    void *next;    /* where in it, or NULL */
    uint32_t flag; /* of the next fetch */
    uint32_t start_len;
    unsigned char start_key[STORE_KEY_MAX];
};

/* `expected`: about how many entries will be looked at; sizes the buffer. */
int store_walk_open(struct store *store, enum store_database database, const void *start,
                    size_t start_len, size_t expected, struct store_walk *ret_walk,
                    struct error *error);

/* Fetches as many entries as the block holds. Returns 1, 0 at the end, or an error. */
int store_walk_fetch(struct store_walk *walk, DBT *block, struct error *error);

/* The entries of a block, from what DB_MULTIPLE_INIT makes of it. False: that was all. */
bool store_block_next(const DBT *block, void **io_next, DBT *ret_key, DBT *ret_data);

/* Returns 1 and an entry, which is valid until the next call, 0 at the end, or an error. */
int store_walk_next(struct store_walk *walk, DBT *ret_key, DBT *ret_data, struct error *error);

void store_walk_close(struct store_walk *walk);

/* Before anything is read. */
int store_settle(struct store *store, struct error *error);

/* One value, in the buffer. Returns 0, E_NOT_FOUND (without touching the error), ... */
int store_get(struct store *store, enum store_database database, const void *key, size_t key_len,
              void *buffer, size_t size, size_t *ret_len, struct error *error);

/* store_key, likewise. */
int store_read_key(struct store *store, uint64_t id, struct store_buffer *buffer,
                   struct record *ret_record, struct error *error);

/* An entry of STORE_KEYS. */
int store_decode_key(const struct store *store, const DBT *key, const DBT *data,
                     struct record *ret_record, struct error *error);

/* What decoding said about an entry (0: it is not the entry that it should be), for a person. */
int store_fail_entry(const struct store *store, int code, struct error *error, const char *what);

/* The last key of a database, of exactly key_len bytes. Likewise; E_DATA for another length. */
int store_last(struct store *store, enum store_database database, void *ret_key, size_t key_len,
               struct error *error);

/* Reads epoch, sequence, counts and the last id; begins the first epoch of a new store. */
int store_meta_load(struct store *store, struct error *error);

int store_meta_put_log_start(struct store *store, DB_TXN *txn, const struct store_position *at,
                             const struct digest *chain, struct error *error);
int store_meta_put_last_part(struct store *store, DB_TXN *txn, struct error *error);
int store_meta_put_key_count(struct store_txn *txn, struct error *error);
int store_txn_put_epoch(struct store_txn *txn, struct error *error);

/* The facts of a store that is being built, outside of any transaction. */
int store_put_meta(struct store *store, uint64_t epoch, uint64_t key_count,
                   const struct store_identity *identity, struct error *error);

/* store_place.c: the environment lies in store.<number>, and `format` says in which. */
#define STORE_PLACE_WORDS "store."
#define STORE_PLACE_SIZE 32 /* "store." and 20 digits */
void store_place_name(uint64_t number, char ret_name[STORE_PLACE_SIZE]);

/* Reads format and number. 0 and *ret_number 0 when there is none, E_VERSION for another format. */
int store_format_read(int directory_fd, const char *directory, uint64_t *ret_number,
                      struct error *error);

/* Says that the store of this number is whole, and the one that counts. */
int store_format_write(int directory_fd, const char *directory, uint64_t number,
                       struct error *error);

/* Removes the folder and the files in it. Returns 0 or an errno. */
int store_place_remove(int directory_fd, const char *name);

/* Removes what other stores were, and what was to be one. */
void store_place_tidy(int directory_fd, uint64_t number);

/* The highest number that there is a folder of; 0: none. */
uint64_t store_place_highest(int directory_fd);

int store_published_open(struct store *store, struct error *error);

static inline DBT store_dbt(const void *bytes, size_t len)
{
    return (DBT){.data = (void *)(uintptr_t)bytes, .size = (uint32_t)len};
}

static inline DBT store_dbt_room(void *bytes, size_t size)
{
    return (DBT){.data = bytes, .ulen = (uint32_t)size, .flags = DB_DBT_USERMEM};
}

static inline void store_pack(uint64_t value, unsigned char *ret_bytes)
{
    value = htobe64(value);
    memcpy(ret_bytes, &value, sizeof value);
}

static inline uint64_t store_unpack(const unsigned char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return be64toh(value);
}

#endif
