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

/* What the two stores say of the key with an id. Two histories can have given it to two keys. */
struct match {
    bool is_same;
    bool is_purged;      /* by now */
    bool same_allowance; /* it was allowed as much as now; purged keys, nothing */
};

static int find_match(struct joining *joining, uint64_t id, struct match *ret)
{
    struct store_buffer *buffer = &joining->restore->buffer;
    struct error ignored = {.code = 0};
    struct record record;

    *ret = (struct match){.is_same = false};
    int r = store_key(joining->restore->fresh, NULL, id, buffer, &record, &ignored);
    if (r != 0)
        return r == CATLATCH_E_NOT_FOUND ? 0 : r;
    struct digest digest = record.digest;
    struct allowance allowance = record.allowance;
    ret->is_purged = record.purged;
    r = store_key(joining->old, NULL, id, buffer, &record, joining->error);
    if (r != 0)
        return r == CATLATCH_E_NOT_FOUND ? 0 : r;
    ret->is_same = digest_equal(&record.digest, &digest);
    ret->same_allowance = allowance_equal(&record.allowance, &allowance);
    return 0;
}

/* The replaced store knows best what is left of an allowance. Of another allowance it knows
 * nothing: then the backup does, and what that had given to a block is not counted on. */
static void bring_uses(struct total *io_joined, const struct total *restored)
{
    io_joined->uses = restored->uses;
    memset(io_joined->uses.area, 0, sizeof io_joined->uses.area);
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
    struct match match;

    if (++joining->looked_at % RESTORE_SLICE == 0 &&
        restore_check_goes_on(joining->restore, joining->error) != 0)
        return CATLATCH_E_UNAVAILABLE;
    int r = store_total(joining->restore->fresh, id, &restored, joining->error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    total_join(&joined, &restored);
    if (is_equal(&joined, &restored))
        return 0;
    r = find_match(joining, id, &match);
    if (r != 0 || !match.is_same)
        return r;
    if (!match.same_allowance)
        bring_uses(&joined, &restored);
    if (match.is_purged)
        total_forget(&joined);
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
