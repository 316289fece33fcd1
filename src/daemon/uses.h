/*
 * uses.h - prepaid uses, from the store to the blocks that workers count down.
 *
 * What is left of an allowance stands in the total of the first key of those that share it. Some of
 * it at a time is given to the key's block in the usage area: first the store has that it was given
 * (and it is flushed), then the block gets it. So a crash in between is made good by the next look,
 * which sees in the block how much arrived; a lost area loses what was in it, and never is more
 * used than was bought.
 *
 * A block is given as much as some seconds of use take, before half of it is gone. Keys with an
 * allowance are remembered here, in memory; each heartbeat looks at some of them. Store thread.
 */
#ifndef DAEMON_USES_H
#define DAEMON_USES_H

#include "daemon/record.h"
#include "daemon/store.h"
#include "daemon/tally.h"
#include "usage/uses.h"

struct uses {
    struct store *store;
    struct tally *tally;
    void *groups;             /* a tree of struct uses_group, */
    struct uses_group **list; /* and all of them in the order of their coming */
    size_t count, room;
    size_t next; /* the one that is looked at next */
};

/* A key, or some that share an allowance. */
struct uses_group {
    uint64_t id; /* of the first */
    uint32_t block;
    struct allowance allowance;
    int64_t anchor_unix_s; /* when that one was made */
    int64_t next_unix_s;   /* when its next period begins; 0: never */
    bool known;            /* its block was looked at since the start */
    uint64_t asked_milli;  /* what the block had when it was looked at last, */
    int64_t asked_ms;      /* and when */
};

/* Remembers what a key is allowed, and where that is counted; or that it is without end. E_MEMORY.
 */
int uses_know(struct uses *uses, uint64_t group, const struct allowance *allowance,
              int64_t created_unix_s, uint32_t block);

/* What a new allowance, or a changed one, begins with: stored in the total, which the caller writes
 * in the transaction of the change; *ret_gift is for uses_reset when that is on the disk.
 * left_milli: of this period. */
void uses_begin(const struct uses *uses, const struct record *record, uint64_t left_milli,
                int64_t now_unix_s, struct total *io_total, struct uses_gift *ret_gift);

/* Looks at the next groups, at most max, and gives to those that need it: one transaction and one
 * flush, if any do. Returns 0 or why nothing was given; *ret_more: there are others to look at. */
int uses_step(struct uses *uses, size_t max, int64_t now_unix_s, int64_t now_ms, bool *ret_more,
              struct error *error);

/* What is left in all, in thousandths. */
uint64_t uses_left_milli(const struct uses *uses, const struct total *total, uint32_t block);

void uses_free(struct uses *uses);

#endif
