/*
 * store_build.h - a whole store made at once, beside the one that counts: in STORE_PLACE_NEW.
 *
 * Without log and transactions, in the order in which the databases keep things, so it takes a
 * fraction of the time and of the disk that as many changes would take. Nothing of it counts before
 * store_place_adopt; whatever fails, it is thrown away. One thread, which need not be the store's.
 */
#ifndef DAEMON_STORE_BUILD_H
#define DAEMON_STORE_BUILD_H

#include "daemon/store.h"

struct store_build;

/* Where a key with this digest is: the first word of it, which is enough to look further. */
struct store_build_digest {
    uint64_t word;
    uint64_t id;
};

int store_build_begin(const char *directory, struct store_build **ret_build, struct error *error);

/* Each in place of an earlier one of the same id, name or position. They are quick when they come
 * in order. Return 0, E_DATA, E_FULL (before the disk is: what serves needs some of it) or E_IO. */
int store_build_key(struct store_build *build, const struct record *record, struct error *error);
int store_build_usage(struct store_build *build, uint64_t id, const struct total *total,
                      struct error *error);
int store_build_gone(struct store_build *build, uint64_t id, struct error *error);
int store_build_owner(struct store_build *build, const struct record_owner *owner,
                      struct error *error);
int store_build_change(struct store_build *build, const struct change *change, const void *bytes,
                       size_t len, struct error *error);

/* Where its log begins: behind a change that was removed. */
void store_build_log_start(struct store_build *build, struct store_position at,
                           const struct digest *chain);

/* Indexes, owners' counts, and the small facts; and closes it. E_DATA when two keys have the same
 * digest. The digests are of all keys, sorted, and the caller's to free. `go_on` (NULL: always) is
 * asked from time to time; false ends it with E_UNAVAILABLE. Frees the build, whatever it returns.
 */
int store_build_finish(struct store_build *build, uint64_t epoch,
                       const struct store_identity *identity, bool (*go_on)(void *context),
                       void *context, struct store_build_digest **ret_digests, size_t *ret_count,
                       struct error *error);

/* Gives it up. NULL is allowed. */
void store_build_drop(struct store_build *build);

#endif
