#include "daemon/unused.h"

#include "daemon/keys_internal.h"

/* Keys whose use one step looks at, and those that it passes, in some milliseconds of the thread
 * that revokes keys. */
#define LOOK_MAX 2000u
#define PASS_MAX 20000u

struct search {
    struct keys *keys;
    int64_t since_unix_s;
    bool (*skips)(const void *context, uint64_t id);
    const void *context;
    uint64_t *ids;
    size_t count, max;
    size_t looked_at;
    struct error *error;
};

static int look_at(void *context, const struct record *stored)
{
    struct search *search = context;
    struct record record = *stored;
    bool idle = false;
    int r = 0;

    record.suspended = owners_find(&search->keys->owners, record.owner)->suspended;
    if (!search->skips(search->context, record.id)) {
        search->looked_at +=
            record_state(&record, search->keys->now_unix_ms / 1000) == STATE_ACTIVE;
        r = keys_is_idle(search->keys, &record, search->since_unix_s, &idle, search->error);
    }
    if (r != 0)
        return r;
    if (idle)
        search->ids[search->count++] = record.id;
    return search->count == search->max || search->looked_at == LOOK_MAX;
}

static bool is_due(const struct unused *unused, int64_t boot_ms)
{
    return unused->passing || !unused->passed || boot_ms - unused->passed_ms >= UNUSED_PASS_MS;
}

int unused_find(struct unused *unused, struct keys *keys, int64_t since_unix_s, int64_t boot_ms,
                bool (*skips)(const void *context, uint64_t id), const void *context,
                uint64_t *ret_ids, size_t max, size_t *ret_count, struct error *error)
{
    struct search search = {
        .keys = keys,
        .since_unix_s = since_unix_s,
        .skips = skips,
        .context = context,
        .ids = ret_ids,
        .max = max,
        .error = error,
    };
    uint64_t before = unused->after_id;

    *ret_count = 0;
    if (!is_due(unused, boot_ms))
        return 0;
    int r = store_scan(keys->store, before, PASS_MAX, look_at, &search, &unused->after_id, error);
    unused->passing = r == 0 && unused->after_id != before;
    if (!unused->passing) {
        unused->after_id = 0;
        unused->passed = true;
        unused->passed_ms = boot_ms;
    }
    *ret_count = r == 0 ? search.count : 0;
    return r;
}
