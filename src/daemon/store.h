/*
 * store.h - the durable truth: keys, owners and the log of changes in Berkeley DB 5.3.
 *
 * The interface is small on purpose, so that another engine can stand behind it: a snapshot
 * (store_scan), an ordered, resumable change stream (store_changes), and compare-and-set writes in
 * transactions (store_put). One thread makes all calls but store_checkpoint and store_flush, which
 * another may make meanwhile.
 *
 * A change is acknowledged when store_commit *and* a later store_flush have returned 0: many
 * commits share one flush. A failed commit other than E_FULL, and any failed flush, leaves memory
 * and disk apart: the caller must end the process and recover (store_is_broken says so).
 * A commit looks for room before it commits, so that E_FULL undoes it; if somebody else takes that
 * room before the flush, the flush gives up the ballast rather than fail.
 *
 * Files (0600 in a 0700 folder): `format` (who may read all this, and which store.<n> counts),
 * store.<n>/ with the environment's own, keys.db, owners.db, index.db, changes.db,
 * meta.db, usage.db and history.db;
 * `ballast` (room that a full disk leaves for recovery and for revoking; `ballast.spent` once that
 * was used), `published` (how far the last table went). So a whole store is replaced by one rename,
 * that of `format`; what it no longer names is removed by the next start.
 */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include "daemon/change.h"
#include "daemon/history.h"
#include "daemon/results.h"
#include "daemon/total.h"

struct store;
struct store_txn;

struct store_options {
    const char *directory; /* exists, 0700, locked by the caller (daemon/lock.h) */
    uint64_t cache_size_bytes;
    /* 0: none. Recovery on a full disk needs some 8 MB for the log and what the databases grew by
     * since the last checkpoint, at most about 24 MB. */
    uint64_t ballast_size_bytes;
    int64_t checkpoint_interval_ms; /* 0: a minute */
    /* An environment in this folder of `directory`, whatever `format` says, and nothing beside it:
     * one that is to take the other's place (STORE_PLACE_NEW). NULL: the one that counts. */
    const char *place;
};

#define STORE_PLACE_NEW "store.new"

/* Gives STORE_PLACE_NEW, closed and flushed, the place of the store that counts until then. A crash
 * leaves one or the other. */
int store_place_adopt(int directory_fd, const char *directory, struct error *error);

/* Removes it instead. */
void store_place_drop(int directory_fd);

/* After a checkpoint: the names of an environment's files are on the disk too. */
int store_sync_place(struct store *store, struct error *error);

/* Removes what earlier stores left, once it is certain that this one can be used. */
void store_tidy(struct store *store);

/* Opens, recovers, and creates what is not there. The ballast is released if recovery finds the
 * disk full, and laid again when there is room. Returns 0, E_VERSION (newer data), E_DATA (damage:
 * the line says what to do), E_FULL, E_PERMISSION or E_IO. */
int store_open(const struct store_options *options, struct store **ret_store, struct error *error);

/* Whether state_dir says that there is a store; what it says may be damaged. */
int store_exists(const char *directory, bool *ret_exists, struct error *error);

/* Checkpoints and closes. NULL is allowed. */
void store_close(struct store *store);

/* True once the environment panicked or a write failed in a way that recovery must mend. */
bool store_is_broken(const struct store *store);

uint64_t store_epoch(const struct store *store);
uint64_t store_sequence(const struct store *store);  /* of the last committed change */
uint64_t store_key_count(const struct store *store); /* revoked ones too. Any thread */

int store_begin(struct store *store, struct store_txn **ret_txn, struct error *error);
int store_commit(struct store_txn *txn, struct error *error); /* frees txn, whatever it returns */
void store_abort(struct store_txn *txn);                      /* NULL is allowed */
int store_flush(struct store *store, struct error *error);    /* any thread; not two at once */

/* How long the last flush took, and the longest since the store was opened; and all of them, with
 * the one that is under way. Any thread. */
struct store_flush_times {
    uint64_t last_us, longest_us, total_us;
};
struct store_flush_times store_flush_times(struct store *store);

/* A bound on what one transaction may change: its pages stay in the cache until it ends. */
#define STORE_TXN_KEYS_MAX 10000u

/* Room for one record; the texts of what was read point into it. */
struct store_buffer {
    unsigned char bytes[RECORD_ENCODED_MAX];
};

/* While a transaction is open, every read sees what it changed, given as txn or not; but owners'
 * counts in store_owners and index entries appear with the commit. Return 0, E_NOT_FOUND, E_DATA,
 * E_VERSION, E_IO. */
int store_key(struct store *store, struct store_txn *txn, uint64_t id, struct store_buffer *buffer,
              struct record *ret_record, struct error *error);
int store_owner(struct store *store, struct store_txn *txn, struct text name,
                struct store_buffer *buffer, struct record_owner *ret_owner, struct error *error);

/*
 * Writes a key and appends the change that says so. `old` is what was read before (NULL: a new
 * key), and the write is refused with E_CONFLICT when what is stored has another version. Sets
 * record->version, change->sequence and change->epoch. Keeps the indexes and the owner's key_count.
 * `record` may share texts with `old`. A key's owner and digest never change, and a revoked one
 * stays so: E_CONFLICT; but it can be purged, once, and then has no owner. Indexed texts hold no
 * NUL (E_DATA). E_CONFLICT leaves the transaction as it was; after any other failure it can only be
 * aborted, and store_commit refuses it.
 */
int store_put(struct store_txn *txn, const struct record *old, struct record *record,
              struct change *change, struct error *error);

/* The same for an owner: owner->version is that of what was read (0: there was none), key_count is
 * the store's and is set. The record of an owner that has none yet is made by store_put. */
int store_put_owner(struct store_txn *txn, struct record_owner *owner, struct change *change,
                    struct error *error);

/* From here on the transaction's changes are of this epoch, which must be above the store's, and
 * their sequences above `sequence` too: so no position is ever used twice, and no version comes
 * back either. At least one change must follow. Once, before any other change. */
void store_begin_epoch(struct store_txn *txn, uint64_t epoch, uint64_t sequence);

/* Appends a change that is about no key and no owner. */
int store_note(struct store_txn *txn, struct change *change, struct error *error);

/* Which history this is: what is made anew, or lost a part of its past, gets another. A store of
 * the same identity, and not behind another's position, knows all that the other does. */
struct store_identity {
    uint8_t bytes[16];
};
int store_identity(struct store *store, struct store_identity *ret, struct error *error);
int store_renew_identity(struct store_txn *txn, struct error *error);

/* When a backup was last completed; 0: never. The first is for any thread. */
int64_t store_backup_time(const struct store *store);
int store_set_backup_time(struct store *store, int64_t unix_s, struct error *error); /* durable */

/* A new id: later than every other, from the clock and randomness. */
uint64_t store_new_id(struct store *store);

/* Returns 0 to go on, 1 to stop here (no error), negative to fail (and sets no error). Visitors may
 * read, not write. */
typedef int store_key_visitor(void *context, const struct record *record);
typedef int store_change_visitor(void *context, const struct change *change);

/* All keys, rising, with digests told a few keys before their turn, so that what will be looked up
 * by them can be on its way to the processor. The caller's thread reads while another one calls the
 * visitor, and nobody else may use the store meanwhile, nor the visitor. */
struct store_visitor {
    void (*announce)(void *context, const struct digest *digest);
    store_key_visitor *visit;
    void *context;
};
int store_snapshot(struct store *store, const struct store_visitor *visitor, struct error *error);

/* Snapshot: keys with ids above after_id, rising, at most max. *ret_last is the last id seen (left
 * as it was when there was none). */
int store_scan(struct store *store, uint64_t after_id, size_t max, store_key_visitor *visit,
               void *context, uint64_t *ret_last, struct error *error);

/* A place in the change stream: behind that change. Zeros: before the first. */
struct store_position {
    uint64_t epoch;
    uint64_t sequence;
};

/* Change stream: at most max changes behind *io_at, in order, through all epochs; *io_at goes with
 * them. A visitor that stops or fails has seen the change that it is at. */
int store_changes(struct store *store, struct store_position *io_at, size_t max,
                  store_change_visitor *visit, void *context, struct error *error);

/* The same with the bytes that are stored, which the chain is made of. */
typedef int store_entry_visitor(void *context, const struct change *change, const void *bytes,
                                size_t len);
int store_change_entries(struct store *store, struct store_position *io_at, size_t max,
                         store_entry_visitor *visit, void *context, struct error *error);

/* Walks the chain of at most max changes behind *io_at, where it has the value *io_chain (zeros
 * both: from the beginning), and moves both on. Returns 0, or E_DATA and a line that names the
 * first change that was altered, or the gap where some were removed. *ret_count is how many were
 * walked; less than max: those were all. */
int store_changes_verify(struct store *store, struct store_position *io_at, struct digest *io_chain,
                         size_t max, size_t *ret_count, struct error *error);

/* What is known of a key's use. E_NOT_FOUND, which sets no error: nothing yet. */
int store_total(struct store *store, uint64_t id, struct total *ret_total, struct error *error);

/* Writes totals, all or none; between transactions. Not flushed: the next flush is this one's too.
 * They are no change of the keys: the log does not tell of them. plan NULL: nor does the history.
 */
struct store_total {
    uint64_t id;
    struct total total;
    struct history_entry more; /* than was stored before */
};
int store_put_totals(struct store *store, const struct store_total *totals, size_t count,
                     const struct history_plan *plan, struct error *error);

/* How often each result was. E_NOT_FOUND, which sets no error: it was never stored. Writing is as
 * with totals; `more` is what they grew by. */
int store_results(struct store *store, struct results *ret_results, struct error *error);
int store_put_results(struct store *store, const struct results *results,
                      const uint64_t more[PROCESS_RESULTS], const struct history_plan *plan,
                      struct error *error);

/* What is stored of a span of time: of a key, and of all results. Zeros: nothing. */
int store_history(struct store *store, enum history_level level, uint32_t bucket, uint64_t id,
                  struct history_entry *ret_entry, struct error *error);
int store_history_results(struct store *store, enum history_level level, uint32_t bucket,
                          uint64_t ret_counts[PROCESS_RESULTS], struct error *error);

/* Removes at most max entries of this level that are of spans before this one. Not flushed. */
int store_prune_history(struct store *store, enum history_level level, uint32_t before, size_t max,
                        size_t *ret_count, struct error *error);

/* One, with the transaction of the change that it belongs to. After a failure it can only be
 * aborted. */
int store_put_total(struct store_txn *txn, uint64_t id, const struct total *total,
                    struct error *error);

/* What is known of the use of a key that the transaction purges is forgotten (total_forget).
 * Likewise. */
int store_forget_total(struct store_txn *txn, uint64_t id, struct error *error);

/* How long uses have been carried into the store without a gap: what is counted of a key in between
 * is all that there was. Zeros: never. Not flushed: what is lost of it is a gap. */
struct store_evidence {
    int64_t since_unix_s; /* from then on, */
    int64_t until_unix_s; /* to when the last sweep began that came to its end */
};
int store_evidence(struct store *store, struct store_evidence *ret, struct error *error);
int store_set_evidence(struct store *store, const struct store_evidence *evidence,
                       struct error *error);

/* Totals of keys with ids above after_id, rising, at most max; *ret_last as with store_scan. */
typedef int store_total_visitor(void *context, uint64_t id, const struct total *total);
int store_totals(struct store *store, uint64_t after_id, size_t max, store_total_visitor *visit,
                 void *context, uint64_t *ret_last, struct error *error);

enum store_index { STORE_BY_OWNER, STORE_BY_PREFIX, STORE_BY_NAME };

/* Ids above after_id of the keys with exactly this owner, prefix or name, rising; at most max. */
int store_find(struct store *store, enum store_index index, struct text value, uint64_t after_id,
               uint64_t *ret_ids, size_t max, size_t *ret_count, struct error *error);

/* Ids of keys that expire before until_unix_s, by rising expiry and id, beginning after the
 * position (*io_expires, *io_id), which is moved on. A first call has (from, 0): no id is 0. Keys
 * that never expire are not among them. */
int store_expiring(struct store *store, int64_t until_unix_s, int64_t *io_expires, uint64_t *io_id,
                   uint64_t *ret_ids, size_t max, size_t *ret_count, struct error *error);

/* Ids of revoked keys that were not purged, revoked before until_unix_s, the earliest first. */
int store_revoked(struct store *store, int64_t until_unix_s, uint64_t *ret_ids, size_t max,
                  size_t *ret_count, struct error *error);

/* Where the log begins: behind the last change that was removed from it. Zeros: nothing was. */
struct store_position store_log_start(const struct store *store);
struct digest store_log_start_chain(const struct store *store);

/* When the last change was made, Unix ms; 0: there was none. */
int64_t store_last_change_ms(const struct store *store);

/* Removes at most max changes from the beginning of the log that were made before until_unix_ms;
 * the last change of all stays. Not flushed: one that is lost is made again. */
int store_prune(struct store *store, int64_t until_unix_ms, size_t max, size_t *ret_count,
                struct error *error);

typedef int store_owner_visitor(void *context, const struct record_owner *owner);

/* Owners whose names come after `after` in byte order, at most max. */
int store_owners(struct store *store, struct text after, size_t max, store_owner_visitor *visit,
                 void *context, struct error *error);

struct store_generation {
    uint64_t number;     /* 0: none was recorded yet */
    uint8_t boot_id[16]; /* of the boot in which it was about to be published */
    bool uncovered; /* readers may have one that has no name in run_dir, so nobody can mark it */
};
int store_generation(struct store *store, struct store_generation *ret, struct error *error);
int store_set_generation(struct store *store, const struct store_generation *generation,
                         struct error *error); /* durable when it returns 0 */

/* The last sequence that a table was published with, kept in a file of its own: a store that is
 * older than it was put back from elsewhere. Not flushed to disk each time. */
int store_published(struct store *store, uint64_t *ret_epoch, uint64_t *ret_sequence,
                    struct error *error);
int store_set_published(struct store *store, uint64_t epoch, uint64_t sequence,
                        struct error *error);

/* The same where no store can be opened; zeros when there is none. */
int store_read_published(const char *directory, uint64_t *ret_epoch, uint64_t *ret_sequence,
                         struct error *error);

/* Writes dirty pages out and lets old logs go, if there was work worth it since the last one
 * (bytes of log or `interval` passed) or if force. Any thread; not two at once. */
int store_checkpoint(struct store *store, bool force, struct error *error);

/* Lays the ballast file if it is not there and the disk has room to spare: 0 also where it has
 * not. Any thread. */
int store_lay_ballast(struct store *store, struct error *error);

/* Removes the ballast so that a full disk can take a revoke. True if there was one. */
bool store_release_ballast(struct store *store);

/* It was released, be it before a restart, and could not be laid again yet: the room that it left
 * is for changes that take something away. Any thread. */
bool store_ballast_is_spent(const struct store *store);

/* How large the ballast is at present; 0: there is none. Any thread. */
uint64_t store_ballast_bytes(const struct store *store);

#endif
