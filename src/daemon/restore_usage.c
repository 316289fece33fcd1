/* What the store that is replaced counted is kept. A backup's totals are older, and where the area
 * that they saw is lost, or the backup was made on another host, they cannot catch up by
 * themselves. A store that is damaged where its totals are is no reason not to replace it. */
#include <string.h>

#include "daemon/restore_internal.h"

/* Totals that are written together. */
#define BATCH 128u

struct joining {
    struct restore *restore;
    struct store *old;
    struct error *error;
    struct store_total batch[BATCH];
    size_t count;
    uint64_t looked_at;
};

static int write_batch(struct joining *joining)
{
    size_t count = joining->count;

    joining->count = 0;
    return count > 0 ? store_put_totals(joining->restore->fresh, joining->batch, count, NULL,
                                        joining->error)
                     : 0;
}

/* Two histories can have given one id to two keys. 0: another key, or none; 1: the same. */
static int is_same_key(struct joining *joining, uint64_t id)
{
    struct store_buffer *buffer = &joining->restore->buffer;
    struct error ignored = {.code = 0};
    struct record record;

    int r = store_key(joining->restore->fresh, NULL, id, buffer, &record, &ignored);
    if (r != 0 || record.purged)
        return r == CATLATCH_E_NOT_FOUND || r == 0 ? 0 : r;
    struct digest digest = record.digest;
    r = store_key(joining->old, NULL, id, buffer, &record, joining->error);
    if (r != 0)
        return r == CATLATCH_E_NOT_FOUND ? 0 : r;
    return digest_equal(&record.digest, &digest);
}

static bool is_equal(const struct total *a, const struct total *b)
{
    unsigned char left[TOTAL_ENCODED_MAX], right[TOTAL_ENCODED_MAX];
    size_t len = total_encode(a, left);

    return total_encode(b, right) == len && memcmp(left, right, len) == 0;
}

static int join(void *context, uint64_t id, const struct total *known)
{
    struct joining *joining = context;
    struct total restored = {.used = {.count = 0}}, joined = *known;

    if (++joining->looked_at % RESTORE_SLICE == 0 &&
        restore_check_goes_on(joining->restore, joining->error) != 0)
        return CATLATCH_E_UNAVAILABLE;
    int r = store_total(joining->restore->fresh, id, &restored, joining->error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    total_join(&joined, &restored);
    if (is_equal(&joined, &restored))
        return 0;
    r = is_same_key(joining, id);
    if (r != 1)
        return r;
    joining->batch[joining->count++] = (struct store_total){.id = id, .total = joined};
    return joining->count == BATCH ? write_batch(joining) : 0;
}

int restore_usage(struct restore *restore, struct store *old, struct error *error)
{
    struct joining joining = {.restore = restore, .old = old, .error = error};
    uint64_t last = 0;

    int r = store_totals(old, 0, SIZE_MAX, join, &joining, &last, error);
    if (r != 0 && !store_is_broken(restore->fresh) &&
        (r == CATLATCH_E_DATA || store_is_broken(old)))
        r = 0;
    return r == 0 ? write_batch(&joining) : r;
}
