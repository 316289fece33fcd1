/*
 * tally.h - the usage area (src/usage) as the daemon has it: makes it or takes it over, gives keys
 * their records, and knows whose each record is, which nothing that workers can write says.
 *
 * An area lives as long as anybody who passes it on: the daemon holds its descriptors, and so does
 * catlatch-keeper (usage/keeper.h). A daemon that starts fetches it from the keeper; which record
 * is a key's, it reads in the table of the daemon before (tally_adopt). A keeper that starts gets
 * it from the daemon (tally_tend). If both are gone, or the table is, a new area begins, and what
 * the old one held since the last sweep is lost.
 *
 * It grows by segments, and only for a table that is not published yet (tally_reserve). A record is
 * given to one key once; what was given to a change that came to nothing is given again.
 *
 * Threads. tally_reserve is called by one thread at a time, tally_tend by another, tally_area by
 * any; all else by the store thread, or before it runs.
 */
#ifndef DAEMON_TALLY_H
#define DAEMON_TALLY_H

#include "core/error.h"
#include "table/view.h"
#include "usage/area.h"

struct tally;

/* What a key takes at most: a record, and a block behind one that is left out. */
#define TALLY_REFS_WITH_BLOCK 4u

/* The area that the keeper of this run_dir has, or one that is yet to be made. Whatever keeps it
 * from being fetched is no failure: *ret_why says it (code 0: nothing). Waits for the keeper for
 * patience_ms at most. Returns 0 or E_MEMORY. */
int tally_open(const char *run_dir, unsigned patience_ms, struct tally **ret_tally,
               struct error *ret_why, struct error *error);
void tally_free(struct tally *tally); /* NULL is allowed */

/* Takes the references over that this table has, which an earlier daemon made. False: it speaks of
 * another area than the one that was fetched, or there is none (NULL): what was fetched is let go
 * of, and a new area will begin. Once, before anything else. */
bool tally_adopt(struct tally *tally, const struct table_view *previous);

/* Makes room for so many keys that have no record yet, and hands the area that it then is over to
 * the keeper. Returns 0, or why there is less room: E_FULL, E_MEMORY or E_IO. That the keeper does
 * not take it is no failure: tally_tend tries again. */
int tally_reserve(struct tally *tally, uint64_t key_count, struct error *error);

/* The area at this moment: what it points to stays as it is until tally_free. NULL: there is none,
 * or no tally. */
const struct usage_area *tally_area(const struct tally *tally);

/* A record for this key that nobody has; 0: no room is left. */
uint32_t tally_take(struct tally *tally, uint64_t key_id);

/* Keys will have blocks: what is reserved from here on has room for them. Any thread. */
void tally_expect_blocks(struct tally *tally);

/* A block of limit words (usage_limits) that nobody has; 0: no room is left, and more will be asked
 * for with the next table. */
uint32_t tally_take_block(struct tally *tally);

/* Whether one was refused since the beginning, or tally_rewind. */
bool tally_has_refused(const struct tally *tally);

/* The block that the keys of a limit group share, told before; 0: it was not. Returns E_MEMORY if
 * that cannot be kept. */
uint32_t tally_group_block(const struct tally *tally, uint64_t group);
int tally_know_group(struct tally *tally, uint64_t group, uint32_t block);

/* Nobody saw the reference: the next key may have it. In the reverse order of taking. */
void tally_give_back(struct tally *tally, uint32_t ref);
void tally_give_block_back(struct tally *tally, uint32_t block);

/* Nobody saw those above this one: they are given again, and all is begun anew, groups too. */
void tally_rewind(struct tally *tally, uint32_t highest);

/* A table, old or new, says that the record is this key's; 0: it shall be nobody's any more. */
void tally_know(struct tally *tally, uint32_t ref, uint64_t key_id);

/* Whose record it is; 0: nobody's. */
uint64_t tally_owner(const struct tally *tally, uint32_t ref);

/* The highest reference that was given out. */
uint32_t tally_highest(const struct tally *tally);

/* Sees to it that the keeper has the area: gives it what it lacks. Blocks for some 100 ms at most.
 * Returns 0, or usage_fetch's or usage_offer's code: E_UNAVAILABLE where no keeper listens. */
int tally_tend(struct tally *tally, struct error *error);

/* Whether workers can have the area, as far as tally_tend found out last. Any thread. */
bool tally_is_offered(const struct tally *tally);

#endif
