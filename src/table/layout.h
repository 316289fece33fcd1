/*
 * src/table: the shared table. PURE: no system call, no allocation, no logging, no clock; it runs
 * as well on a heap buffer, so that fuzzers, race detectors and kill-points reach all of it. Knows
 * src/core only.
 *
 * layout.h - the format of run_dir/table, layout 3, and the rules that P1, P4 and P5 rest on.
 *
 * One process writes (catlatchd), every other maps it read-only. A file is one generation:
 *
 *     0                header, one page
 *     slots_offset     slot_count slots of 64 bytes: an open-addressing hash table of digests
 *     side_offset      side_size bytes: write-once records that slots refer to, by offset / 8
 *     intern_offset    intern_count words: the writer's own index of side records that are shared
 *
 * Native byte order: the file never leaves the host.
 *
 * A slot's control word:
 *
 *      63            24 23      17  16  15       8   7    6      5      4      3      2    1  0
 *     +----------------+----------+----+----------+----+------+------+------+------+------+------+
 *     | expires_unix_s | reserved |olim| environ. |limi| netw | form | nbef | susp | dis  | state|
 *     +----------------+----------+----+----------+----+------+------+------+------+------+------+
 *
 * Rules.
 *  1. Forward only. EMPTY -> LIVE -> REVOKED or REPLACED; EMPTY -> REVOKED or REPLACED. EMPTY never
 *     returns, slots never move, a dead slot is not used again. Only a LIVE slot's flags and expiry
 *     change, both ways, inside its control word. `environ.`, `nbef`, `form`, `netw` and `limi`
 *     never do.
 *  2. Everything in a slot but the control word is written once, while the control word is EMPTY,
 *     and published by a release store of the control word. A reader loads the control word first
 *     (acquire) and believes the rest only when it is not EMPTY.
 *  3. A probe starts at slot_home() and walks on by one, wrapping, for at most TABLE_PROBE_MAX
 *     slots. EMPTY ends it: the key is not there. REPLACED is passed over. So between the home of a
 *     published slot and the slot itself there is never an EMPTY one: the writer publishes slots in
 *     the order in which it claimed them, and gives up a claim by making it REPLACED.
 *  4. A change to write-once data claims a new slot, publishes it, and only then marks the old one
 *     REPLACED: a reader sees the old, the new, or both (and takes the first, the old), never
 *     neither.
 *  5. A side record is written before the slot that refers to it is published, and never again, but
 *     for the word in front of an owner's record: that is stored (release) when the record of
 * limits that it refers to is there. What is said there is bounded by the reader all the same: a
 *     reference or length that leads outside of the side area, a list of networks that is empty or
 *     longer than NETWORKS_MAX, or a network in another form than its one, is damage, and damage is
 *     UNAVAILABLE, never a grant or a denial.
 *  6. A claimed slot is EMPTY with id != 0: the writer's own mark, which readers don't look at; its
 *     `usage` holds the control word that is to be published.
 *  7. `pulse` is 0 until the file is whole, then the monotonic time of the last heartbeat, and
 *     TABLE_PULSE_SUPERSEDED for ever once a newer generation has taken over. The mark is set after
 *     the newer file was renamed into place and before any change is published there alone.
 *
 * From 1: a dead slot that could be used again would let a probe pass the new key's slot before the
 * key was there and its old slot after it was gone. Of fifteen interleavings of one probe with one
 * replacement, publish-then-mark has no false miss, and reuse brings one back.
 */
#ifndef TABLE_LAYOUT_H
#define TABLE_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core/address.h"
#include "core/key.h"
#include "core/named_limit.h"
#include "core/rate.h"

#define TABLE_MAGIC UINT64_C(0x656c626174746163) /* "cattable" on a little-endian host */
#define TABLE_LAYOUT 3u
#define TABLE_PAGE 4096u

/* Longest walk of one probe. At a fill of two thirds the longest run seen over 2^24 uniform digests
 * stays below 200; 512 leaves the bound to cost memory (a new generation) in practice never. It is
 * part of the format: a reader with a smaller bound would miss keys. */
#define TABLE_PROBE_MAX 512u

#define TABLE_PULSE_FILLING UINT64_C(0)
#define TABLE_PULSE_SUPERSEDED UINT64_MAX

/* States of a slot. */
#define SLOT_EMPTY 0u
#define SLOT_LIVE 1u
#define SLOT_REVOKED 2u
#define SLOT_REPLACED 3u

#define CONTROL_STATE_MASK UINT64_C(3)
#define CONTROL_DISABLED (UINT64_C(1) << 2)
#define CONTROL_SUSPENDED (UINT64_C(1) << 3)   /* its owner is */
#define CONTROL_NOT_BEFORE (UINT64_C(1) << 4)  /* the identity record holds a time */
#define CONTROL_WELL_FORMED (UINT64_C(1) << 5) /* so is the text that has this digest */
#define CONTROL_NETWORKS (UINT64_C(1) << 6)    /* confined: the identity record refers to them */
#define CONTROL_LIMITS (UINT64_C(1) << 7)      /* it has some, in front of the identity */
#define CONTROL_ENVIRONMENT_SHIFT 8
#define CONTROL_OWNER_LIMITS (UINT64_C(1) << 16) /* its owner has some, in front of his record */
#define CONTROL_OWNER_FLAGS (CONTROL_SUSPENDED | CONTROL_OWNER_LIMITS)
#define CONTROL_WRITE_ONCE                                                          \
    (CONTROL_NOT_BEFORE | CONTROL_WELL_FORMED | CONTROL_NETWORKS | CONTROL_LIMITS | \
     UINT64_C(255) << CONTROL_ENVIRONMENT_SHIFT)
#define CONTROL_EXPIRES_SHIFT 24
#define CONTROL_EXPIRES_MAX ((INT64_C(1) << 40) - 1)

#define TABLE_ENVIRONMENT_NONE 255u /* the key belongs to no environment of this table */

struct table_slot {
    _Atomic uint64_t control;
    _Atomic uint64_t digest[4];
    _Atomic uint64_t id;
    _Atomic uint32_t identity_ref; /* side records, in units of 8 bytes from side_offset; */
    _Atomic uint32_t scopes_ref;   /* 0: none (the first unit of the side area is not used) */
    _Atomic uint64_t usage;        /* once published, in the usage area: its record, and in the
                                      upper half its block of limit words; 0: none */
};
static_assert(sizeof(struct table_slot) == 64, "a slot is one cache line");

/* Side records begin at a multiple of 8 and are padded to one.
 *
 * identity: owner_ref(4) name_len(1) prefix_len(1) zero(2) not_before_unix_s(8) prefix name
 *           and, with CONTROL_NETWORKS, networks_ref(4) at once behind the name, aligned or not
 * owner:    len(1) bytes                            shared by the owner's keys
 * scopes:   count(2) bytes_len(2) { len(1) bytes }  shared by keys with the same list
 * networks: count(2) bytes_len(2) { network }       likewise; each as network_encode writes it
 * limits:   count(2) bytes_len(2) zero(4) { limit } likewise; each a struct table_side_limit, which
 *                                                   a reader looks at where it lies
 *
 * In front of an owner's record stands a word, limits_ref(4) block(4): the limits that all of his
 * keys have together, and where in the usage area these are counted, or were; 0: none, and nowhere.
 *
 * With CONTROL_LIMITS a struct table_side_limits stands in front of the identity that the slot
 * refers to, so that a reader finds it without a look at anything else.
 *
 * A key without networks, which most are, has no byte of them, and its control word says so: a
 * reader looks no further. Keys with the same list in the same order share one record.
 */
struct table_side_identity {
    uint32_t owner_ref;
    uint8_t name_len;
    uint8_t prefix_len;
    uint16_t zero;
    int64_t not_before_unix_s; /* 0: at once */
};

/* What lists begin with: scopes, and networks. */
struct table_side_list {
    uint16_t count;
    uint16_t bytes_len;
};

struct table_side_limits {
    uint32_t limits_ref; /* of its rates; 0: it has none */
    uint32_t has_uses;   /* 1: its uses are counted down too */
};

/* What the key's words in the usage area are counted with, made for who charges them. */
struct table_side_limit {
    struct rate rate;
    uint32_t zero;
    struct limit_rule rule;
};
static_assert(sizeof(struct table_side_limit) == 40, "the same for every compiler");

/* What the record of limits begins with. */
struct table_side_limit_list {
    struct table_side_list list; /* its bytes_len counts `zero` too */
    uint32_t zero;
};
static_assert(sizeof(struct table_side_limit_list) == 8, "limits are aligned behind it");

struct table_environment {
    char name[24];
    char prefix[KEY_PREFIX_MAX];
};

/* One rate of a limit that services name: its word is behind those of the key's own rates in every
 * block of the usage area, at the place that the entry has here. */
struct table_named_limit {
    char name[NAMED_LIMIT_NAME_SIZE]; /* "": the place is free */
    struct rate rate;
    uint32_t zero;
};
static_assert(sizeof(struct table_named_limit) == 40, "the same for every compiler");

struct table_header {
    /* The line that every verification loads. */
    _Atomic uint64_t pulse;        /* CLOCK_MONOTONIC, ms; see rule 7 */
    _Atomic uint64_t max_stale_ms; /* a heartbeat older than this is no answer; 0: never */
    _Atomic uint64_t sequence;     /* the last change that is in here, or, of an owner, coming in */
    _Atomic uint64_t slots_used;   /* claimed, living and dead: for people */
    _Atomic uint64_t side_used;    /* bytes: for people */
    _Atomic uint64_t environment_count;
    _Atomic uint64_t usage_refs; /* the highest reference that any slot was ever given, or more:
                                    whoever takes the area over goes on behind it */
    _Atomic uint64_t limit_count;

    /* Written before the file is renamed into place, never after; `checksum` is CRC-32 over
     * everything from `magic` up to itself. */
    uint64_t magic;
    uint32_t layout;
    uint32_t slot_size;
    uint64_t file_size;
    uint64_t generation;
    uint64_t epoch;
    uint8_t boot_id[16]; /* the boot that it was made in: see lib/attach */
    uint64_t seed[2];    /* secret from whoever chooses keys, so that nobody can aim at a run */
    uint64_t slot_count;
    uint64_t slots_offset;
    uint64_t side_offset;
    uint64_t side_size;
    uint64_t intern_offset;
    uint64_t intern_count;
    uint64_t capacity; /* slots that ordinary inserts may use */
    uint64_t reserve;  /* further ones for changes that narrow a key */
    uint64_t created_unix_s;
    uint8_t usage_area[16];  /* that slots refer to (src/usage); zeros: none */
    uint32_t usage_segments; /* of it, that all references of this table lie in */
    uint32_t checksum;

    /* Append-only: entry n is written before environment_count passes n. */
    struct table_environment environments[KEY_ENVIRONMENTS_MAX];

    /* So are these, up to limit_count. */
    struct table_named_limit limits[NAMED_RATES_MAX];
};
static_assert(sizeof(struct table_header) <= TABLE_PAGE, "the header is one page");

#endif
