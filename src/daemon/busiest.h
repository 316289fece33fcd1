/*
 * busiest.h - the keys that were used most in one round of the sweep: as many as are kept, by
 * granted and refused together. Pure.
 */
#ifndef DAEMON_BUSIEST_H
#define DAEMON_BUSIEST_H

#include "daemon/history.h"

/* Their records are read when somebody asks, which takes the store thread a millisecond or so. */
#define BUSIEST_MAX 256u

struct busiest {
    uint64_t round; /* which one: the caller's */
    size_t total;   /* keys that were used in it */
    size_t count;   /* of them, those that are kept */
    struct busiest_key {
        uint64_t id;
        struct history_entry more;
    } keys[BUSIEST_MAX]; /* a heap: the least is first, until it is sorted */
};

void busiest_clear(struct busiest *busiest);

/* Keeps it, in the place of the least of them if there is no room. */
void busiest_add(struct busiest *busiest, uint64_t id, const struct history_entry *more);

/* The most first; after that nothing is added. */
void busiest_sort(struct busiest *busiest);

#endif
