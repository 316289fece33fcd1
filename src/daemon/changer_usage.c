/* What the store thread does for the use of keys, while nothing else is to be done. */
#include "daemon/changer_internal.h"

/* What the last sweep may take before the daemon ends: that of a million keys that were used since
 * the one before. The area holds what is left. */
#define LAST_SWEEP_MS 5000u

/* Keys with prepaid uses that one step looks at: a millisecond, where none needs any. */
#define USES_LOOKED_AT 10000u

int changer_end_usage_flush(struct changer *changer, struct error *error)
{
    if (!changer->flushes_usage)
        return 0;
    changer->flushes_usage = false;
    return flusher_wait(&changer->flusher, error);
}

/* Returns false, and the log says why, if it could not be stored. */
static bool sweep_some(struct changer *changer, bool *ret_ended)
{
    struct history_plan plan =
        keys_history_plan(changer->keys.config, changer_realtime_ms() / 1000);
    struct sweeper *sweeper = &changer->keys.sweeper;
    uint64_t begun_ns = uv_hrtime();
    struct error error = {0};

    int r = sweeper_step(sweeper, &plan, ret_ended, &error);
    uint64_t took_us = (uv_hrtime() - begun_ns) / 1000;
    if (took_us > atomic_load(&sweeper->slice_longest_us))
        atomic_store(&sweeper->slice_longest_us, took_us); /* this thread alone writes it */
    if (r == 0)
        return true;
    error_prefix(&error, "usage could not be stored; it stays in memory");
    changer_warn(changer, &error);
    return false;
}

/* Not each record: whoever writes there can write to all of them. */
static void tell_unbelieved(struct changer *changer)
{
    uint64_t unbelieved = atomic_load(&changer->keys.sweeper.unbelieved);
    struct error error;

    if (unbelieved == changer->told_unbelieved)
        return;
    error_set(&error, CATLATCH_E_DATA,
              "%llu records of usage held numbers that no worker counts up to, and were not "
              "believed: a process that may verify keys writes there",
              (unsigned long long)(unbelieved - changer->told_unbelieved));
    changer->told_unbelieved = unbelieved;
    changer_warn(changer, &error);
}

bool changer_step_sweep(struct changer *changer, bool due)
{
    struct sweeper *sweeper = &changer->keys.sweeper;
    bool ended = false;

    if (due)
        sweeper_begin(sweeper, (uint64_t)changer->keys.config->usage_flush_interval_ms,
                      generation_now_ms());
    if (!sweeper->active)
        return false;
    sweep_some(changer, &ended);
    if (!sweeper->active)
        tell_unbelieved(changer);
    if (ended && changer->pending.done.first == NULL) { /* whose own flush is under way */
        changer->flushes_usage = true;
        flusher_begin(&changer->flusher);
    }
    return sweeper->active;
}

bool changer_uses_are_due(const struct changer *changer, bool due)
{
    return due || changer->gives_uses;
}

bool changer_step_uses(struct changer *changer)
{
    struct error error = {0};

    if (uses_step(&changer->keys.uses, USES_LOOKED_AT, changer_realtime_ms() / 1000,
                  (int64_t)generation_now_ms(), &changer->gives_uses, &error) != 0) {
        error_prefix(&error, "uses that were bought could not be given to workers");
        changer_warn(changer, &error);
    }
    return changer->gives_uses;
}

void changer_sweep_all(struct changer *changer)
{
    struct sweeper *sweeper = &changer->keys.sweeper;
    uint64_t end_ms = generation_now_ms() + LAST_SWEEP_MS;
    bool ended;

    sweeper_begin(sweeper, 0, generation_now_ms());
    while (sweeper->active && generation_now_ms() < end_ms && sweep_some(changer, &ended))
        ;
}
