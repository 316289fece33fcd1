/*
 * src/keeper: catlatch-keeper, which holds the usage area so that it outlives the daemon. Knows
 * core, usage, and of the daemon what any program of its user needs: lock, log, notify, privilege.
 *
 * It runs for months beside everybody's requests, so it does little: one thread, one poll loop,
 * nothing allocated after the start, nothing secret in it. It maps no segment of the area, and so
 * neither reads nor writes one.
 *
 * holding.h - the area that is held: the descriptors of its segments, here and in the service
 * manager's store (notify.h), from which the next keeper gets them back after a crash.
 */
#ifndef KEEPER_HOLDING_H
#define KEEPER_HOLDING_H

#include "keeper/passed.h"
#include "usage/keeper.h"
#include "usage/passing.h"

struct holding {
    uint8_t area[KEEPER_AREA_BYTES]; /* zeros while there are no segments */
    struct passing segments;         /* owned */
};

/* What the manager kept goes into *ret_holding, if it is the whole of one area; otherwise it is
 * closed, forgotten by the manager and said in the log. All of `passed` is meant. */
void holding_inherit(struct holding *ret_holding, struct passed *passed);

/* Puts a segment in its place, keeper.h says which. The descriptor is taken over in every case. */
enum keeper_status holding_put(struct holding *holding, const uint8_t area[KEEPER_AREA_BYTES],
                               uint32_t segment, int fd);

#endif
