/*
 * roll.h - the keeper's own account of who is attached, and of the past. PURE, as process.h.
 *
 * It lies in memory that no worker is ever given, so it is believed: the process segment is written
 * from it, and read only for the counts of a line that is folded. It is memory that outlives the
 * keeper (its service manager keeps it), because a keeper that is killed must not lose which lines
 * living processes write, nor what the ended ones counted.
 *
 * So it is valid whenever the keeper is killed. A fold first notes in `next` what the past will be,
 * then, by `folding`, that it is under way; from there on everything can be done again with the
 * same result, which is what roll_recover does. Each store is a release, so that none overtakes the
 * one before it.
 *
 * One thread of one process at a time.
 */
#ifndef USAGE_ROLL_H
#define USAGE_ROLL_H

#include "usage/process.h"

/* Who has a line. */
struct roll_entry {
    uint32_t pid; /* 0: of a process that is not seen from here */
    uint32_t uid;
    uint64_t identity;    /* the process's, where the system has one that never comes again; or 0 */
    uint64_t attached_ms; /* CLOCK_MONOTONIC */
    _Atomic uint64_t taken; /* 0: the line is free, and the rest means nothing */
};

struct roll {
    uint64_t magic;
    uint64_t sequence; /* what the segment's is to be */
    _Atomic uint64_t past[PROCESS_RESULTS], next[PROCESS_RESULTS];
    _Atomic uint64_t folding;              /* the line that is folded into `next`; 0: none */
    struct roll_entry list[PROCESS_LINES]; /* by line; the first is not used */
};

/* For memory of zeros, as its segment is. */
void roll_init(struct roll *roll);

/* Whether it is one, and of this layout. */
bool roll_is_sound(const struct roll *roll);

/* What a killed keeper left undone. Before anything else. */
void roll_recover(struct roll *roll, struct process_segment *segment);

/*
 * Gives a line of zeros to who is there. Returns its number; 0: there is none for this uid. So that
 * one uid cannot take all, none gets more lines than are left: the first one at most half, and
 * whoever comes then half of the rest.
 */
uint32_t roll_attach(struct roll *roll, struct process_segment *segment,
                     const struct roll_entry *who);

/* NULL: nobody has this line, or there is no such line. */
const struct roll_entry *roll_find(const struct roll *roll, uint32_t line);

/* Adds what stands in a line that somebody has to the past, and frees it. */
void roll_fold(struct roll *roll, struct process_segment *segment, uint32_t line);

/* Writes the past into the segment anew, whatever was scribbled there. */
void roll_show_past(struct roll *roll, struct process_segment *segment);

#endif
