/*
 * restore.h - a backup takes the place of the store, and what was taken away stays taken away.
 *
 * Four steps. restore_build makes a whole store of the backup in STORE_PLACE_NEW, beside the one
 * that serves. restore_compare counts what would become of that one's keys. restore_apply does to
 * the new store what the old one can still tell was done to keys: every revocation, disabling and
 * owner's suspension, as changes of the log like any other; keys that only the old one has are
 * gone, but those of them that were revoked are kept as revoked. It begins a new epoch above all
 * that was ever published. restore_adopt lets it count. A crash before that leaves the old store as
 * it was.
 *
 * What else narrowed a key since the backup (a shorter expiry, fewer scopes) comes back as the
 * backup has it: `widening` counts such keys.
 *
 * Knows no socket and no thread: one caller at a time.
 */
#ifndef DAEMON_RESTORE_H
#define DAEMON_RESTORE_H

#include "core/backup.h"
#include "core/key.h"
#include "daemon/store.h"

struct restore;

struct restore_options {
    const char *directory; /* state_dir */
    const char *run_dir;   /* whose table tells how far was published */
    const struct key_environments *environments;
    bool accept_resurrection; /* though nothing, or not all, can be told of what was taken away */
    /* Called often while something takes long; false gives up with E_UNAVAILABLE. NULL is allowed.
     */
    bool (*go_on)(void *context);
    void *context;
};

struct restore_counts {
    uint64_t keys;      /* in the backup, revoked ones too */
    uint64_t returning; /* not revoked in the backup, and not known to the old store */
    uint64_t vanishing; /* not revoked in the old store, and not in the backup */
    uint64_t changing;  /* in both, and not the same afterwards as in the old store, of which */
    uint64_t widening;  /* those that would be accepted longer, more often, for more scopes, ... */
    uint64_t revoked;   /* revoked in the old store alone: will be */
    uint64_t disabled;  /* likewise */
    uint64_t suspended; /* owners, likewise */
    uint64_t kept;      /* revoked keys that only the old store has: will be kept so */
    uint64_t widening_owners; /* whose keys together would be accepted more often */
};

/* Copies the options; the texts must stay. Returns 0 or E_MEMORY. */
int restore_new(const struct restore_options *options, struct restore **ret_restore,
                struct error *error);

/* Reads the whole backup from the descriptor and builds a store of it. Returns 0, E_DATA
 * (truncated, damaged, foreign, or of environments that are not configured), E_VERSION, E_FULL, ...
 */
int restore_build(struct restore *restore, int fd, struct error *error);

/* The same in one slice of the comparison: *ret_done when all was counted. `old` NULL: there is
 * none that can be read. A damaged one is told by E_DATA. Until restore_apply it can be begun anew.
 */
int restore_compare(struct restore *restore, struct store *old, bool *ret_done,
                    struct error *error);

/* E_CONFLICT unless the old store knows all that happened since the backup, or accept_resurrection
 * was said. */
int restore_check(struct restore *restore, struct store *old, struct error *error);

/* Compares once more, and writes. Everything is on the disk when it returns 0, and nothing counts
 * yet. `old` as above; one that turns out to be damaged is given up half-way if accept_resurrection
 * was said. */
int restore_apply(struct restore *restore, struct store *old, const struct actor *actor,
                  struct error *error);

int restore_adopt(struct restore *restore, struct error *error);

/* Says accept_resurrection later; and who is asked whether to go on. */
void restore_accept(struct restore *restore);
void restore_beat(struct restore *restore, bool (*go_on)(void *context), void *context);

#define RESTORE_UNKNOWN_TEXT                                                                   \
    "the store does not know all that happened since the backup was made, and keys that were " \
    "revoked would come back to life; --accept-resurrection restores nevertheless"

/* Whether the old store that was last looked at knows all that happened since the backup. */
bool restore_is_known(const struct restore *restore);

const struct restore_counts *restore_counts(const struct restore *restore);
const struct backup_tally *restore_backup(const struct restore *restore);
struct store_position restore_position(const struct restore *restore); /* after restore_apply */

/* Removes what was built, unless it was adopted. NULL is allowed. */
void restore_free(struct restore *restore);

#endif
