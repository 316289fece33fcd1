#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "core/boot.h"
#include "daemon/changer_internal.h"
#include "daemon/peer.h"

/* A start that could not mark the last published generation acknowledges nothing for this long.
 * Readers of a generation without a heartbeat look at the path within 3 s and once a second then
 * (src/lib/attach), so after 5 s none of them answers from it. */
#define ORPHAN_WAIT_MS 5000u

/* Positions behind the store's own were used already, for changes that it does not know: it goes on
 * above them, and no longer passes for the history that it was a part of. */
static int accept_older(struct store *store, uint64_t epoch, uint64_t sequence, struct error *error)
{
    struct change change = {.time_unix_ms = (int64_t)time(NULL) * 1000,
                            .kind = CHANGE_RESTORED,
                            .actor = peer_self(),
                            .detail = text_of("an older store was put back (--accept-older)")};
    struct store_txn *txn;
    int r = store_begin(store, &txn, error);
    if (r != 0)
        return r;
    store_begin_epoch(txn, (store_epoch(store) > epoch ? store_epoch(store) : epoch) + 1, sequence);
    r = store_renew_identity(txn, error);
    if (r == 0)
        r = store_note(txn, &change, error);
    if (r == 0)
        r = store_commit(txn, error);
    else
        store_abort(txn);
    return r == 0 ? store_flush(store, error) : r;
}

/* A store that is older than what was published was put back from elsewhere: publishing it would
 * bring revoked keys back to life. */
static int check_age(struct changer *changer, const struct generation_found *found,
                     struct error *error)
{
    struct store *store = changer->options.store;
    uint64_t epoch, sequence, own_epoch = store_epoch(store), own = store_sequence(store);
    int r = store_published(store, &epoch, &sequence, error);
    if (r != 0)
        return r;
    if (found->epoch > epoch || (found->epoch == epoch && found->sequence > sequence)) {
        epoch = found->epoch;
        sequence = found->sequence;
    }
    if (own_epoch > epoch || (own_epoch == epoch && own >= sequence))
        return 0;
    if (changer->options.accept_older)
        return accept_older(store, epoch, sequence, error);
    return error_set(error, CATLATCH_E_CONFLICT,
                     "the store ends with change %" PRIu64 ":%" PRIu64 ", and a table was "
                     "published with %" PRIu64 ":%" PRIu64 ": it was put back from an older copy, "
                     "in which revoked keys may live; start with --accept-older to use it",
                     own_epoch, own, epoch, sequence);
}

static void sleep_until_made(struct changer *changer)
{
    uv_mutex_lock(&changer->lock);
    while (!changer->made)
        uv_cond_wait(&changer->wake, &changer->lock);
    changer->made = false;
    uv_mutex_unlock(&changer->lock);
}

/* Fills and publishes the first generation of this process, on the caller's thread. */
static int build_first(struct changer *changer, struct error *error)
{
    enum growth_progress progress;
    int r;
    changer_plan_growth(changer);
    if ((r = growth_begin(&changer->growth, error)) != 0)
        return r;
    while ((progress = growth_step(&changer->growth, error)) != GROWTH_READY) {
        if (progress == GROWTH_FAILED)
            return error->code;
        if (progress == GROWTH_WAITING)
            sleep_until_made(changer);
    }
    struct generation *first = growth_take(&changer->growth);
    changer_take_over_table(changer, &first->writer, changer->growth.previous);
    table_set_sequence(&first->writer, store_sequence(changer->options.store));
    if ((r = generation_publish(first, changer->run_dir, error)) != 0) {
        generation_free(first, changer->run_dir);
        return r;
    }
    changer->keys.table = &first->writer;
    atomic_store_explicit(&changer->current, first, memory_order_release);
    changer->growth.old = first;
    return 0;
}

/* Whether a generation that may have readers cannot be found and marked: the one that was recorded
 * last is not there, so run_dir was emptied since, or an earlier start knew of one already. */
static int look_for_orphans(struct changer *changer, struct generation_found *ret_found,
                            struct store_generation *ret_recorded, struct error *error)
{
    uint8_t boot_id[BOOT_ID_BYTES];
    int r = store_generation(changer->options.store, ret_recorded, error);
    if (r == 0)
        r = generation_look(changer->run_dir, ret_recorded->number, ret_found, error);
    if (r != 0)
        return r;
    bool same_boot =
        boot_id_read(boot_id) != 0 || memcmp(boot_id, ret_recorded->boot_id, sizeof boot_id) == 0;
    changer->growth.uncovered = ret_recorded->number != 0 && same_boot &&
                                (ret_recorded->uncovered || !ret_found->has_expected);
    return 0;
}

/* The table of an earlier daemon says which record of the usage area is whose; it is read while the
 * first one is filled. */
static void take_usage_over(struct changer *changer)
{
    struct tally *tally = changer->options.tally;
    bool mapped;

    if (tally == NULL)
        return;
    mapped = generation_map_published(changer->run_dir, &changer->previous);
    if (tally_adopt(tally, mapped ? &changer->previous : NULL))
        changer->growth.previous = &changer->previous;
    else if (mapped)
        generation_unmap(&changer->previous);
}

static void give_usage_back(struct changer *changer)
{
    if (changer->growth.previous != NULL)
        generation_unmap(&changer->previous);
    changer->growth.previous = NULL;
    if (changer->growth.old != NULL)
        changer->growth.previous = &changer->growth.old->writer.view;
}

/* What a start finds too little of, in an area that is new above all, before anybody waits for it.
 */
static int give_uses(struct changer *changer, struct error *error)
{
    bool more = true;
    int r = 0;

    while (r == 0 && more)
        r = uses_step(&changer->keys.uses, SIZE_MAX, time(NULL), (int64_t)generation_now_ms(),
                      &more, error);
    return r;
}

int changer_start_table(struct changer *changer, uint64_t *ret_wait_ms, struct error *error)
{
    struct generation_found found;
    struct store_generation recorded;
    struct store *store = changer->options.store;
    bool marked;
    int r;
    if ((r = look_for_orphans(changer, &found, &recorded, error)) != 0 ||
        (r = check_age(changer, &found, error)) != 0 ||
        (r = owners_load(&changer->keys.owners, store, error)) != 0)
        return r;
    changer->growth.highest = recorded.number > found.highest ? recorded.number : found.highest;
    take_usage_over(changer);
    r = build_first(changer, error);
    give_usage_back(changer);
    if (r == 0)
        r = give_uses(changer, error);
    if (r != 0 || (r = generation_mark_others(changer->run_dir, changer_current(changer)->number,
                                              recorded.number, &marked, error)) != 0)
        return r;
    changer->growth.uncovered |= found.has_expected && !marked;
    store_tidy(store);
    atomic_store(&changer->shown, store_sequence(store));
    *ret_wait_ms = changer->growth.uncovered ? ORPHAN_WAIT_MS : 0;
    return store_set_published(store, store_epoch(store), store_sequence(store), error);
}
