/*
 * change.h - one change as the log keeps it: when, who, what, before and after; and its bytes.
 *
 * The entries are chained: each ends with the SHA-256 of the one before it and of itself, so one
 * that was altered, removed or put in between is found by whoever walks the log, and the last
 * entry's chain value, noted elsewhere, vouches for all before it. Pure.
 */
#ifndef DAEMON_CHANGE_H
#define DAEMON_CHANGE_H

#include "daemon/record.h"

#define CHANGE_DETAIL_MAX 1024u /* bytes: why, in the words of whoever asked */
#define CHANGE_VALUE_MAX 2047u  /* bytes of a value before or after: a key's scopes */

/* The fields of a key, and its metadata before and after. */
#define CHANGE_DIFFERENCES_MAX (16u + 2 * RECORD_METADATA_MAX)

enum change_kind {
    CHANGE_CREATED = 1,
    CHANGE_UPDATED,
    CHANGE_DISABLED,
    CHANGE_ENABLED,
    CHANGE_REVOKED,
    CHANGE_ROTATED, /* the new key of a rotation */
    CHANGE_OWNER_SUSPENDED,
    CHANGE_OWNER_RESUMED,
    CHANGE_PURGED,   /* nothing of the key but its digest is left */
    CHANGE_IMPORTED, /* a key that came from elsewhere */
    CHANGE_RESTORED, /* a new epoch: of no key and no owner */
    CHANGE_OWNER_UPDATED,
    CHANGE_KIND_END,
};

/* "created", "owner_suspended", ...; NULL for none of them. And back: 0 or E_DATA. */
const char *change_kind_name(enum change_kind kind);
int change_kind_parse(struct text text, enum change_kind *ret_kind);

/* Who asked: the peer of the socket, and the key that it had authenticated with. */
struct actor {
    uint32_t uid;
    uint32_t login_uid; /* /proc/PID/loginuid; UINT32_MAX: not known */
    int32_t pid;
    uint64_t key_id; /* 0: by the peer's own rights */
};

/* A field by JSON's name ("scopes", "metadata.team"); an empty value is none. */
struct change_difference {
    struct text field;
    struct text before;
    struct text after;
};

struct change {
    uint64_t epoch;
    uint64_t sequence;
    int64_t time_unix_ms;
    enum change_kind kind;
    uint64_t key_id; /* 0: about the owner alone */
    struct actor actor;
    struct text owner;
    struct text detail;
    size_t difference_count;
    const struct change_difference *differences;
    struct digest chain;
};

/* Enough for any change: what it tells of before and after is no more than two records hold. */
#define CHANGE_ENCODED_MAX (2 * RECORD_ENCODED_MAX)

/* Takes change->chain as the value of the entry before, and sets it to the entry's own. Returns 0
 * and the length, E_FULL (does not fit), E_DATA (breaks a bound above). */
int change_encode(struct change *change, void *buffer, size_t size, size_t *ret_len);

/* Texts point into the bytes, differences into the room. Returns 0, E_VERSION or E_DATA. */
struct change_room {
    struct change_difference list[CHANGE_DIFFERENCES_MAX];
};
int change_decode(const void *bytes, size_t len, struct change_room *room,
                  struct change *ret_change);

/* Whether the bytes, which change_decode took, end with what follows from the entry before. */
bool change_follows(const void *bytes, size_t len, const struct digest *before);

#endif
