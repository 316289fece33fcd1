/*
 * src/lib: libcatlatch. Knows core, table and stack; never the daemon, a socket or Berkeley DB. No
 * globals, no logging, no environment, no descriptor that stays open.
 *
 * attach.h - the daemon's table in this process: which one is to be believed at this moment.
 *
 * The table at run_dir/table is mapped read-only. Its pulse is loaded for every verification, and
 * before the lookup: that load is what makes a revoke hold (layout.h, rule 7).
 *
 * - Superseded: the path names a newer table, which is attached to, or there is none.
 * - The heartbeat is older than ATTACH_STALE_MS, or in the future: the daemon is down, or another
 *   one took over and could not mark this table. The path is looked at, at most once in
 *   ATTACH_LOOK_MS: the same file goes on, another is attached to, and without one there is none.
 *   A file without a name, as one is that was mounted by itself and replaced since, is none.
 *   The daemon waits out both spans together before it acknowledges anything after such a takeover.
 * - None: the path is looked at, at most once in ATTACH_LOOK_MS.
 *
 * Nothing is allocated; system calls are made only in the cases above. One thread at a time; both
 * sides of a fork.
 */
#ifndef LIB_ATTACH_H
#define LIB_ATTACH_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "core/trust.h"
#include "table/view.h"

#define ATTACH_STALE_MS 3000u
#define ATTACH_LOOK_MS 1000u
#define ATTACH_NS_PER_MS 1000000u

/* How far a heartbeat may lie ahead: the coarse clock lags by a tick, at most 10 ms at HZ=100, and
 * both are cut to milliseconds. */
#define ATTACH_AHEAD_MS 20u

struct attach {
    struct table_view view; /* what attach_view returns, while `attached` */
    bool attached;
    bool populated;     /* its pages were mapped ahead */
    bool looked;        /* looked_ms is set */
    uint64_t looked_ms; /* when the path was last looked at */
    uint64_t now_ms;    /* what the clock said when the view was asked for last */
    uint64_t now_ns;    /* the same in full; 0: the caller brought it, in milliseconds */
    dev_t device;       /* of the file that is mapped; while it is, no other has its inode */
    ino_t inode;
    struct trust trust; /* who may have made the table */
    char run_dir[PATH_MAX];
    char path[PATH_MAX]; /* of the table in it */
};

/* Sets *ret_attach up, without attaching. `user` is [daemon] user, "" for none. Returns 0, E_CONFIG
 * (the path is too long, no such user, or none that can be believed), E_IO, or trust_path's
 * E_PERMISSION for a run_dir that others can write. One that is not there yet is no error: it is
 * checked before each attaching. */
int attach_init(struct attach *ret_attach, const char *run_dir, const char *user,
                struct error *error);

/* Unmaps. */
void attach_end(struct attach *attach);

/* CLOCK_MONOTONIC_COARSE, and in milliseconds, the clock of all now_ms. */
uint64_t attach_clock_ns(void);
uint64_t attach_clock_ms(void);

/* attach_view in full, with the clock in the caller's hand. */
const struct table_view *attach_view_at(struct attach *attach, uint64_t now_ms);

/* As attach_view_at, but where that would look at the path once a second, this looks at once. Maps
 * every page of a table that is new ahead of its first use. */
const struct table_view *attach_refresh(struct attach *attach, uint64_t now_ms);

/* Whether a table with this pulse can be used without a look at the path. */
static inline bool attach_is_current(uint64_t pulse, uint64_t max_stale_ms, uint64_t now_ms)
{
    if (pulse > now_ms)
        return pulse - now_ms <= ATTACH_AHEAD_MS;
    uint64_t age_ms = now_ms - pulse;
    return age_ms <= ATTACH_STALE_MS && (max_stale_ms == 0 || age_ms <= max_stale_ms);
}

/* The table to verify with, valid until the next call with this attach; NULL: there is none. */
static inline const struct table_view *attach_view(struct attach *attach)
{
    if (!attach->attached)
        return attach_view_at(attach, attach_clock_ms());

    const struct table_header *header = attach->view.header;
    /* acquire: pairs with table_supersede, and nothing is looked up before it */
    uint64_t pulse = atomic_load_explicit(&header->pulse, memory_order_acquire);
    uint64_t max_stale_ms = atomic_load_explicit(&header->max_stale_ms, memory_order_relaxed);
    /* The clock after the pulse: the other way round a thread that is held up between them would
     * take a beat meanwhile for one in the future. */
    uint64_t now_ns = attach->now_ns = attach_clock_ns();
    uint64_t now_ms = attach->now_ms = now_ns / ATTACH_NS_PER_MS;
    if (__builtin_expect(attach_is_current(pulse, max_stale_ms, now_ms), 1))
        return &attach->view;
    return attach_view_at(attach, now_ms);
}

/* Asks for the line where the digest would be in the table that is mapped, current or not. */
static inline void attach_prefetch(const struct attach *attach, const struct digest *digest)
{
    if (attach->attached)
        table_prefetch(&attach->view, digest);
}

#endif
