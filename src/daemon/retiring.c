#include "daemon/retiring.h"

#include <stdlib.h>

#include "core/timespan.h"
#include "daemon/keys_internal.h"

/* Keys that one step looks at, in some milliseconds of the thread that revokes keys. */
#define LOOK_MAX 500u

/* Rotations of one key after each other that are followed. */
#define SUCCESSORS_MAX 64u

int retiring_know(struct retiring *retiring, uint64_t id)
{
    if (retiring->count == retiring->room) {
        size_t room = retiring->room > 0 ? retiring->room * 2 : 64;
        uint64_t *larger = reallocarray(retiring->ids, room, sizeof *larger);
        if (larger == NULL)
            return CATLATCH_E_MEMORY;
        retiring->ids = larger;
        retiring->room = room;
    }
    retiring->ids[retiring->count++] = id;
    return 0;
}

void retiring_free(struct retiring *retiring)
{
    free(retiring->ids);
    *retiring = (struct retiring){.ids = NULL};
}

/* Whether any of those that came after the key was ever used. */
static int successor_was_used(struct keys *keys, const struct record *record, bool *ret_used,
                              struct error *error)
{
    struct store_buffer buffer; /* of its own: the record's texts may lie in that of `keys` */
    struct record next;
    struct total total;
    uint64_t id = record->rotated_to;
    int r = 0;

    *ret_used = false;
    for (unsigned i = 0; i < SUCCESSORS_MAX && id != 0 && !*ret_used; i++) {
        if ((r = store_key(keys->store, NULL, id, &buffer, &next, error)) != 0 ||
            (r = keys_total(keys, &next, &total, error)) != 0)
            break;
        *ret_used = total.used.count > 0 || total.used.last_unix_s != 0;
        id = next.rotated_to;
    }
    return r == CATLATCH_E_NOT_FOUND ? 0 : r;
}

/* What its first use begins. */
static void begin(const struct record *record, int64_t now_unix_s, struct record *ret_fresh)
{
    const struct retirement *retirement = &record->retirement;
    int64_t until = retirement->grace_s <= TIMESPAN_UNIX_MAX - now_unix_s
                        ? now_unix_s + retirement->grace_s
                        : TIMESPAN_UNIX_MAX;

    if (retirement->grace_s != 0 && (record->expires_unix_s == 0 || record->expires_unix_s > until))
        ret_fresh->expires_unix_s = until;
    ret_fresh->retirement = (struct retirement){.unseen_s = retirement->unseen_s};
    if (retirement->unseen_s != 0)
        ret_fresh->retirement.since_unix_s = now_unix_s;
}

static int is_unseen(struct keys *keys, const struct record *record, int64_t now_unix_s,
                     bool *ret_unseen, struct error *error)
{
    int64_t known_since_unix_s, since_unix_s = now_unix_s - record->retirement.unseen_s;

    *ret_unseen = false;
    if (record->retirement.since_unix_s > since_unix_s)
        return 0;
    int r =
        sweeper_evidence(keys->store, keys->sweeper.tally, now_unix_s, &known_since_unix_s, error);
    if (r != 0 || known_since_unix_s == 0 || known_since_unix_s > since_unix_s)
        return r;
    return keys_is_idle(keys, record, since_unix_s, ret_unseen, error);
}

int retiring_judge(struct keys *keys, const struct record *record, bool *ret_due,
                   struct record *ret_fresh, struct error *error)
{
    int64_t now_unix_s = keys->now_unix_ms / 1000;
    int r;

    *ret_due = false;
    *ret_fresh = *record;
    if (retirement_is_none(&record->retirement) || record->revoked)
        return 0;
    if (record->retirement.on_use) {
        r = successor_was_used(keys, record, ret_due, error);
        if (*ret_due)
            begin(record, now_unix_s, ret_fresh);
        return r;
    }
    r = is_unseen(keys, record, now_unix_s, ret_due, error);
    if (*ret_due) {
        ret_fresh->expires_unix_s = now_unix_s;
        ret_fresh->retirement = (struct retirement){.unseen_s = 0};
    }
    return r;
}

/* False: nothing will ever be done with it. */
static bool is_waiting(const struct record *record, int64_t now_unix_s)
{
    return !retirement_is_none(&record->retirement) && !record->revoked &&
           record_state(record, now_unix_s) != STATE_EXPIRED;
}

static int look_at(struct keys *keys, uint64_t id, bool *ret_waits, bool *ret_due,
                   struct error *error)
{
    struct record record, fresh;

    *ret_waits = *ret_due = false;
    int r = store_key(keys->store, NULL, id, &keys->buffer, &record, error);
    if (r == CATLATCH_E_NOT_FOUND)
        return 0;
    if (r != 0 || !is_waiting(&record, keys->now_unix_ms / 1000))
        return r;
    *ret_waits = true;
    record.suspended = owners_find(&keys->owners, record.owner)->suspended;
    return retiring_judge(keys, &record, ret_due, &fresh, error);
}

int retiring_find(struct retiring *retiring, struct keys *keys,
                  bool (*skips)(const void *context, uint64_t id), const void *context,
                  uint64_t *ret_ids, size_t max, size_t *ret_count, struct error *error)
{
    int r = 0;

    *ret_count = 0;
    for (unsigned i = 0; i < LOOK_MAX && r == 0 && *ret_count < max; i++) {
        bool waits = true, due = false;
        retiring->passing = retiring->next < retiring->count;
        if (!retiring->passing)
            break;
        uint64_t id = retiring->ids[retiring->next];
        if (!skips(context, id))
            r = look_at(keys, id, &waits, &due, error);
        /* A damaged one is told of once, and keeps no other. */
        bool is_damaged = r == CATLATCH_E_DATA || r == CATLATCH_E_VERSION;
        if (is_damaged || (r == 0 && !waits)) {
            retiring->ids[retiring->next] = retiring->ids[--retiring->count];
            continue;
        }
        retiring->next++;
        if (due)
            ret_ids[(*ret_count)++] = id;
    }
    retiring->passing = r == 0 && retiring->next < retiring->count;
    if (!retiring->passing)
        retiring->next = 0;
    return r;
}
