/*
 * restore_internal.h - what the restore's own files share; nobody else includes it.
 *
 * restore_build.c makes a store of a backup, restore_compare.c holds it against the one that it is
 * to replace and does again what that took away, restore_usage.c keeps what that counted, restore.c
 * begins, applies and adopts.
 */
#ifndef DAEMON_RESTORE_INTERNAL_H
#define DAEMON_RESTORE_INTERNAL_H

#include "daemon/restore.h"
#include "daemon/store_build.h"

/* Keys or entries that are looked at before it is asked whether to go on: a few milliseconds. */
#define RESTORE_SLICE 1024u

struct environment_seen {
    char name[RECORD_TEXT_MAX + 1];
    char prefix[RECORD_TEXT_MAX + 1];
};

struct restore {
    struct restore_options options;
    int directory_fd;
    struct backup_tally backup;
    struct environment_seen environments[KEY_ENVIRONMENTS_MAX];
    size_t environment_count;
    struct store_build_digest *digests;
    size_t digest_count;
    uint64_t live; /* keys of the backup that it has not revoked */
    bool built, adopted, known;
    struct store *fresh;
    struct restore_counts counts;
    struct store_position position;

    /* Of the comparison under way. */
    uint64_t last_id;
    bool keys_done;
    char owner[RECORD_TEXT_MAX];
    uint32_t owner_len;
    uint64_t met; /* keys of the backup that the old store knows, and the backup has not revoked */

    /* Of the applying. */
    const struct actor *actor; /* NULL: only counts */
    int64_t now_unix_ms;
    struct store_txn *txn;
    size_t in_txn;
    struct store_buffer buffer;
    struct error *error;
};

/* Whether the caller wants it to go on; the second is E_UNAVAILABLE if not. */
bool restore_goes_on(void *restore);
int restore_check_goes_on(struct restore *restore, struct error *error);

/* What the old store knows of the use of the new one's keys: uses have been, whatever becomes of
 * the keys. No transaction may be open. */
int restore_usage(struct restore *restore, struct store *old, struct error *error);

/* A transaction with room for one more change, in restore->txn. */
int restore_next_txn(struct restore *restore);

/* A change of this kind by whoever restores. */
struct change restore_change(const struct restore *restore, enum change_kind kind);

#endif
