/*
 * uses.h - prepaid uses of a key, in its block of the area: what may be used without asking the
 * daemon.
 *
 * The daemon gives the block some of what was bought, when it has stored that it did, and more
 * before that is used up. Workers count it down. So never more is used than was bought, whatever
 * crashes: a lost area loses what it was given, and no more.
 *
 *     uses[USES_LEFT]     thousandths of a use that are left here
 *     uses[USES_GIVEN]    all that the daemon ever gave: how it knows that a gift arrived
 *     uses[USES_MORE]     1: more is stored, and will be given; 0: this is all there is
 *     uses[USES_REFILL]   when there will be as many again, Unix seconds; 0: never
 *
 * Order. Whoever finds too little left says that all is spent only if there was no more *before* it
 * looked at what is left: the daemon gives the last block first, and says then that it is the last.
 *
 * What somebody scribbles here gives this key more uses, or takes them away, and does nothing else.
 * Wait-free.
 */
#ifndef USAGE_USES_H
#define USAGE_USES_H

#include <stdbool.h>

#include "usage/layout.h"

enum { USES_LEFT, USES_GIVEN, USES_MORE, USES_REFILL };

#define USES_MILLI 1000u

/* As LIMIT_TRIES, and for the same reason. */
#define USES_TRIES 64u

enum uses_verdict {
    USES_GRANTED,
    USES_SPENT,   /* all that was bought, for now or for ever: see USES_REFILL */
    USES_WAITING, /* there is more, and it is not here; or others were at it all the time */
};

/* What a charge did, to take it back. */
struct uses_charge {
    uint64_t before, after;
};

/* Counts the cost down, or nothing. */
enum uses_verdict uses_charge(struct usage_limits *block, uint32_t cost_milli,
                              struct uses_charge *ret);

/* What uses_charge would say. */
enum uses_verdict uses_look(const struct usage_limits *block, uint32_t cost_milli);

/* Gives a charge back, or forgoes it where others have charged since. */
void uses_undo(struct usage_limits *block, const struct uses_charge *charge);

/* The daemon's. What it says beside the gift, in this order. */
struct uses_gift {
    uint64_t milli;
    uint64_t given_milli; /* all, with this */
    bool more;
    int64_t refill_unix_s;
};

/* Adds to what is there. */
void uses_give(struct usage_limits *block, const struct uses_gift *gift);

/* Puts it in the place of what is there. */
void uses_reset(struct usage_limits *block, const struct uses_gift *gift);

#endif
