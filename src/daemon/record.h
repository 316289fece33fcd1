/*
 * src/daemon: catlatchd. Knows core, table and stack; never src/lib.
 *
 * record.h - a key and an owner as Berkeley DB keeps them, and their bytes.
 *
 * Both are a version byte, fixed little-endian fields and counted strings, and of a key its
 * networks, as core/address.h stores them; a reader refuses a version that it does not know
 * (E_VERSION) and bytes that do not add up (E_DATA), and never reads past the end. Decoding copies
 * no text: they point into the bytes that were given. Pure.
 */
#ifndef DAEMON_RECORD_H
#define DAEMON_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/allowance.h"
#include "core/digest.h"
#include "core/error.h"
#include "core/rate.h"
#include "core/retirement.h"
#include "core/text.h"

#define RECORD_SCOPES_MAX 32u         /* for each key */
#define RECORD_METADATA_MAX 32u       /* pairs for each key */
#define RECORD_METADATA_NAME_MAX 64u  /* bytes, [A-Za-z0-9_.-] */
#define RECORD_TEXT_MAX 255u          /* name, owner */
#define RECORD_COMMENT_MAX 1024u      /* comment; a metadata value */
#define RECORD_SCOPES_BYTES_MAX 2047u /* all scopes of a key with a space between them */
#define RECORD_BITS_MAX 4096u         /* entropy of a key issued elsewhere: all of its text */

#define RECORD_ID_MAX (UINT64_MAX - 1) /* one more is a number too, behind all keys */

/* What an encoded key begins with. Keys of earlier versions are read. */
#define RECORD_VERSION 5u
#define RECORD_OWNER_VERSION 2u /* an owner; likewise */

/* Enough for any record that keeps to the bounds above. */
#define RECORD_ENCODED_MAX 49152u

enum record_reason {
    RECORD_REASON_NONE = 0,
    RECORD_REASON_LEAKED,
    RECORD_REASON_COMPROMISED,
    RECORD_REASON_SUPERSEDED,
    RECORD_REASON_OWNER_LEFT,
    RECORD_REASON_UNUSED,
    RECORD_REASON_OTHER,
    RECORD_REASON_COUNT,
};

/* "leaked", "owner-left", ...; NULL for NONE. And back: 0 or E_DATA. */
const char *record_reason_name(enum record_reason reason);
int record_reason_parse(struct text text, enum record_reason *ret_reason);

struct record_pair {
    struct text name;
    struct text value;
};

struct record {
    uint64_t id;      /* rises with the time of issue; never 0 */
    uint64_t version; /* sequence of the last change to it: what compare-and-set compares */
    struct digest digest;
    bool disabled;
    bool suspended; /* its owner is: never stored with the key, see daemon/owners.h */
    bool revoked;
    bool purged; /* revoked, and all that is left is what keeps its digest refused */
    enum record_reason revoke_reason;
    int64_t created_unix_s;
    int64_t last_used_unix_s;  /* 0: never, as far as anybody told */
    int64_t expires_unix_s;    /* 0: never */
    int64_t not_before_unix_s; /* 0: at once */
    int64_t revoked_unix_s;    /* 0: is not */
    int64_t enabled_unix_s; /* when somebody last made it usable again; 0: not since it was made */
    uint64_t rotated_from;  /* ids; 0: none */
    uint64_t rotated_to;
    uint64_t limit_group;  /* the first of keys that came from each other by rotation, whose
                              limits they share; 0: it has its own */
    uint32_t assumed_bits; /* entropy of a key issued elsewhere; 0: one of ours */
    struct text name;
    struct text owner;
    struct text prefix;
    struct text environment;
    struct text environment_prefix;
    struct text comment;
    struct text revoke_comment;
    size_t scope_count;
    struct text scopes[RECORD_SCOPES_MAX];
    size_t metadata_count;
    struct record_pair metadata[RECORD_METADATA_MAX];
    size_t network_count; /* 0: it is confined to none */
    struct network networks[NETWORKS_MAX];
    struct rates rates;           /* none: as many as come */
    struct allowance allowance;   /* uses that were bought; none: without end */
    struct retirement retirement; /* what ends a key that has rotated_to; none: its expiry alone */
};

/* Whether the key has the form of ours: it was issued here, or came in as a key of ours by its text
 * or, where only its digest came, by the prefix and the word of whoever imported it. */
bool record_is_ours(const struct record *record);

/* Whether every address that `narrow` may be used from is one of `wide`'s. Networks are compared
 * one by one: of two halves nobody makes out that they are a whole. */
bool record_networks_cover(const struct record *wide, const struct record *narrow);

/* Whether `fresh` lets less through in some way: a rate that is new or smaller, or another burst.
 */
bool record_rates_narrow(const struct rates *old, const struct rates *fresh);

/* What is left of a revoked key when it is purged: id, digest, and when and why it was revoked. */
struct record record_purged(const struct record *record);

/* Return 0 and the length, E_FULL (does not fit), E_DATA (breaks a bound above). What is refused
 * leaves anything in *ret_record. */
int record_encode(const struct record *record, void *buffer, size_t size, size_t *ret_len);
int record_decode(const void *bytes, size_t len, struct record *ret_record);

/* The digest of an encoded key, without a look at anything else; what record_decode refuses may be
 * taken for one. */
bool record_peek_digest(const void *bytes, size_t len, struct digest *ret_digest);

enum record_state {
    STATE_ACTIVE,
    STATE_DISABLED,
    STATE_EXPIRED,
    STATE_NOT_YET_VALID,
    STATE_REVOKED
};

/* The first that applies of revoked, disabled, not yet valid, expired; otherwise active. */
enum record_state record_state(const struct record *record, int64_t now_unix_s);
const char *record_state_name(enum record_state state); /* "active", ... "not_yet_valid" */
int record_state_parse(struct text text, enum record_state *ret_state);

struct record_owner {
    struct text name;
    bool suspended;
    int64_t suspended_unix_s; /* since when; of one who is not: when that ended, 0: never was */
    int64_t created_unix_s;
    uint64_t key_count; /* keys that are not revoked */
    uint64_t version;
    struct rates rates; /* of all his keys together; none: no limit */
};

int record_owner_encode(const struct record_owner *owner, void *buffer, size_t size,
                        size_t *ret_len);
int record_owner_decode(const void *bytes, size_t len, struct record_owner *ret_owner);

#endif
