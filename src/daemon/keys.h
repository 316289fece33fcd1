/*
 * keys.h - what operations mean: the rules of keys and owners, applied to the store and the table.
 *
 * Each operation is one transaction. A change claims its room in the table before the commit, and
 * leaves its claims in the context for the caller to publish once the commit is on the disk, or to
 * give up. Store thread only.
 */
#ifndef DAEMON_KEYS_H
#define DAEMON_KEYS_H

#include "core/config.h"
#include "daemon/op_queue.h"
#include "daemon/owners.h"
#include "daemon/retiring.h"
#include "daemon/store.h"
#include "daemon/sweeper.h"
#include "daemon/uses.h"
#include "table/writer.h"

/* What a key that is claimed has in the usage area, as a table_entry says it, and what of it was
 * taken for this claim. */
struct keys_usage {
    uint64_t usage;
    bool took_record, took_block;
};

/* What becomes of an allowance that was changed, once that is on the disk. */
struct keys_gift {
    uint64_t group;
    int64_t created_unix_s;
    struct allowance allowance;
    struct uses_gift gift;
};

struct keys_claim {
    struct table_claim claim;
    struct keys_usage taken;
    struct keys_gift *gift; /* NULL: none. Owned */
};

struct keys {
    struct store *store;
    const struct config *config;
    struct table_writer *table;      /* of the generation that readers see */
    const struct table_view *coming; /* of the one that is being filled; NULL: none is */
    struct sweeper sweeper;          /* and its tally, which may be none */
    struct uses uses;
    struct retiring retiring;
    struct owners owners;
    int64_t now_unix_ms;        /* set by the caller before each batch */
    struct store_buffer buffer; /* what was read last; results are copied out of it */

    /* Claims of all operations that are not published yet, in order. */
    struct keys_claim *claims;
    size_t claim_count;
    size_t claim_room;
    bool table_full; /* the last operation failed because the table has no room for it */

    /* Changes of owners of many keys that were committed and published as far as new keys go, but
     * that not every slot shows yet; in the order of their commits. The caller's. */
    struct op_queue spreading;
};

/* Runs a change: everything but the flush and the publishing. On failure op->error is set, its
 * claims were given up, and nothing was changed. Where keys->table_full is set, the same operation
 * can be run again with a larger table. */
void keys_change(struct keys *keys, struct op *op);

/* Puts an operation's ids in order, each once: naming a key twice is no reason to change it twice.
 * Before anything else is done with it. */
void keys_tidy(struct op *op);

/* Whether two tidy operations name the same key. */
bool keys_share_id(const struct op *a, const struct op *b);

/* What comes behind a change that was published. Adds to the operation's results what keys were
 * used meanwhile: a receipt tells when each of them was last accepted, and that can be later than
 * the change was made. And of keys that it purged nothing is stored any more, whoever tries them.
 */
void keys_settle_usage(const struct keys *keys, struct op *op);

/* How long a level of the history is kept; 0: not at all. */
int64_t keys_history_kept_s(const struct config *config, enum history_level level);

/* Where what is counted at this moment goes, by the configuration. */
struct history_plan keys_history_plan(const struct config *config, int64_t now_unix_s);

/* Runs a read. */
void keys_read(struct keys *keys, struct op *op);

/* Publishes the first `count` claims and forgets them. */
void keys_publish(struct keys *keys, size_t count);

/* An operation that keys_change left with op->spreads set goes into keys->spreading, and may be
 * answered once this has returned it. Each call shows the first of them in some more slots, in a
 * few milliseconds; NULL: not in all yet. Between batches, when no claim waits. Keys that come into
 * the table meanwhile have their flag from keys->owners, and a new generation has them all. */
struct op *keys_spread(struct keys *keys);

/* Whether a change of this owner is under way. The next one has to wait for it, and until then the
 * owner's flag in the table is the old one or the new. */
bool keys_is_spreading(const struct keys *keys, struct text owner);

/* The last change that the table shows wholly, with all that came before it. */
uint64_t keys_shown_sequence(const struct keys *keys);

void keys_free(struct keys *keys);

/* A key as the table is to show it. Texts stay the record's, and the rates
 * the record's and the owner's. */
void keys_entry(const struct record *record, const struct owner_state *owner,
                struct table_entry *ret_entry);

/* The keys that share the record's limits, by the id of the first. And a block for them: one that
 * they have, or a new one; 0: there is no room. */
uint64_t keys_limit_group(const struct record *record);
bool keys_has_limits(const struct record *record);
uint32_t keys_take_block(struct tally *tally, const struct record *record);
void keys_know_block(struct tally *tally, const struct record *record, uint32_t block);

/* Says in the table which references were given out: before it is published, and before a slot with
 * a new one is. */
void keys_tell_refs(const struct tally *tally, struct table_writer *table);

/* Copies a record and its texts into the operation's memory. Returns 0 or E_MEMORY. */
int keys_keep(struct op *op, const struct record *record, struct record *ret_record);

#endif
