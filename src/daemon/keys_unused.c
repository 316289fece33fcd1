/* Which keys nobody uses. */
#include "daemon/keys_internal.h"

/* What needs no look at the store. */
static bool was_seen_after(const struct keys *keys, const struct record *record,
                           int64_t since_unix_s)
{
    struct total live = {.used = {.count = 0}};

    if (record->created_unix_s > since_unix_s || record->last_used_unix_s > since_unix_s)
        return true;
    sweeper_look_again(keys->sweeper.tally, keys_usage_ref(keys, &record->digest),
                       keys->now_unix_ms / 1000, &live);
    return live.used.last_unix_s > since_unix_s;
}

int keys_is_unused(const struct keys *keys, const struct record *record, int64_t since_unix_s,
                   bool *ret_unused, struct error *error)
{
    struct total total;

    *ret_unused = false;
    if (was_seen_after(keys, record, since_unix_s))
        return 0;
    int r = keys_total(keys, record, &total, error);
    *ret_unused = r == 0 && total.used.last_unix_s <= since_unix_s;
    return r;
}

/* Keys of an owner who was suspended until lately could not be used. */
static int was_resumed_after(struct keys *keys, struct text name, int64_t since_unix_s,
                             bool *ret_resumed, struct error *error)
{
    struct store_buffer buffer; /* of its own: the record's texts may lie in that of `keys` */
    struct record_owner owner = {.suspended_unix_s = 0};

    int r = store_owner(keys->store, NULL, name, &buffer, &owner, error);
    *ret_resumed = owner.suspended_unix_s > since_unix_s;
    return r == CATLATCH_E_NOT_FOUND ? 0 : r;
}

int keys_is_idle(struct keys *keys, const struct record *record, int64_t since_unix_s,
                 bool *ret_idle, struct error *error)
{
    bool resumed = false;

    *ret_idle = false;
    if (record_state(record, keys->now_unix_ms / 1000) != STATE_ACTIVE ||
        keys_usage_ref(keys, &record->digest) == 0 || /* there is nowhere to count its uses */
        record->enabled_unix_s > since_unix_s || record->not_before_unix_s > since_unix_s)
        return 0;
    int r = keys_is_unused(keys, record, since_unix_s, ret_idle, error);
    if (r == 0 && *ret_idle)
        r = was_resumed_after(keys, record->owner, since_unix_s, &resumed, error);
    *ret_idle &= r == 0 && !resumed;
    return r;
}
