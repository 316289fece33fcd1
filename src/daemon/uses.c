#include "daemon/uses.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* What a block is given at least, if there is as much: a crash that loses the area loses no more
 * than that of a key that is used seldom. */
#define BLOCK_MIN_MILLI (UINT64_C(1000) * USES_MILLI)

/* Otherwise what its use of late takes in this time. */
#define BLOCK_SPAN_MS 10000

/* Gifts of one transaction. */
#define GIFTS_MAX 256u

static int compare_groups(const void *left, const void *right)
{
    uint64_t a = ((const struct uses_group *)left)->id, b = ((const struct uses_group *)right)->id;
    return (a > b) - (a < b);
}

static struct uses_group *find_group(const struct uses *uses, uint64_t id)
{
    const struct uses_group wanted = {.id = id};
    struct uses_group **found = tfind(&wanted, &uses->groups, compare_groups);
    return found != NULL ? *found : NULL;
}

static int add_group(struct uses *uses, uint64_t id, struct uses_group **ret_group)
{
    struct uses_group *group = calloc(1, sizeof *group);
    if (group == NULL)
        return CATLATCH_E_MEMORY;
    group->id = id;
    if (uses->count == uses->room) {
        size_t room = uses->room > 0 ? uses->room * 2 : 64;
        struct uses_group **larger = reallocarray(uses->list, room, sizeof(*larger));
        if (larger == NULL)
            goto no_memory;
        uses->list = larger;
        uses->room = room;
    }
    if (tsearch(group, &uses->groups, compare_groups) == NULL)
        goto no_memory;
    uses->list[uses->count++] = group;
    *ret_group = group;
    return 0;
no_memory:
    free(group);
    return CATLATCH_E_MEMORY;
}

int uses_know(struct uses *uses, uint64_t id, const struct allowance *allowance,
              int64_t created_unix_s, uint32_t block)
{
    struct uses_group *group = find_group(uses, id);
    int r = 0;

    if (group == NULL && allowance->uses == 0)
        return 0;
    if (group == NULL)
        r = add_group(uses, id, &group);
    if (r != 0)
        return r;
    /* A successor was made later: the first one's periods count. */
    if (group->anchor_unix_s == 0 || created_unix_s < group->anchor_unix_s)
        group->anchor_unix_s = created_unix_s;
    group->allowance = *allowance;
    group->next_unix_s = 0; /* found out with the next look */
    group->known = false;
    if (block != 0)
        group->block = block;
    return 0;
}

void uses_free(struct uses *uses)
{
    tdestroy(uses->groups, free);
    free(uses->list);
    uses->groups = NULL;
    uses->list = NULL;
    uses->count = uses->room = 0;
}

static struct usage_limits *words_of(const struct uses *uses, uint32_t block)
{
    const struct usage_area *area = tally_area(uses->tally);
    return area != NULL ? usage_limits_at(area, block) : NULL;
}

static uint64_t word(const struct usage_limits *words, unsigned which)
{
    /* relaxed: nothing else is concluded from it */
    return atomic_load_explicit(&words->uses[which], memory_order_relaxed);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct uses_gift gift_of(const struct total_uses *stored, int64_t next_unix_s)
{
    return (struct uses_gift){.milli = stored->block_milli,
                              .given_milli = stored->granted_milli,
                              .more = stored->left_milli > 0,
                              .refill_unix_s = next_unix_s};
}

/* Takes a block out of what is stored. */
static void take_block(struct total_uses *stored, uint64_t milli, bool resets,
                       const struct usage_area *area)
{
    stored->left_milli -= milli;
    stored->granted_milli += milli;
    stored->block_milli = milli;
    stored->resets = resets;
    memcpy(stored->area, area->id, sizeof stored->area);
}

void uses_begin(const struct uses *uses, const struct record *record, uint64_t left_milli,
                int64_t now_unix_s, struct total *io_total, struct uses_gift *ret_gift)
{
    const struct usage_area *area = tally_area(uses->tally);
    struct total_uses *stored = &io_total->uses;
    struct allowance_period period =
        allowance_period(&record->allowance, record->created_unix_s, now_unix_s);

    stored->exists = record->allowance.uses != 0;
    stored->left_milli = left_milli;
    stored->period_unix_s = period.begun_unix_s;
    if (area != NULL)
        take_block(stored, least(left_milli, BLOCK_MIN_MILLI), true, area);
    *ret_gift = gift_of(stored, period.next_unix_s);
}

/* A gift on its way. */
struct giving {
    struct usage_limits *words;
    struct uses_group *group;
    struct uses_gift gift;
    bool resets;
};

/* What the block should have: some seconds of what it was used of late. */
static uint64_t block_size(const struct uses_group *group, uint64_t have_milli, int64_t now_ms)
{
    int64_t elapsed_ms = now_ms - group->asked_ms;
    uint64_t used_milli = group->asked_milli > have_milli ? group->asked_milli - have_milli : 0;

    if (group->asked_ms == 0 || elapsed_ms <= 0 || used_milli > UINT64_MAX / BLOCK_SPAN_MS)
        return BLOCK_MIN_MILLI;
    uint64_t wanted = used_milli * BLOCK_SPAN_MS / (uint64_t)elapsed_ms;
    /* Whole uses, and no more than anybody can have: what the block says is hostile. */
    wanted = least(wanted / USES_MILLI * USES_MILLI, group->allowance.uses * USES_MILLI);
    return wanted > BLOCK_MIN_MILLI ? wanted : BLOCK_MIN_MILLI;
}

/* Whether the last block was stored as given and did not arrive, because the daemon ended in
 * between. */
static bool is_missing(const struct total_uses *stored, const struct usage_limits *words)
{
    uint64_t arrived = word(words, USES_GIVEN);

    if (arrived >= stored->granted_milli)
        return false;
    return stored->resets || stored->granted_milli - arrived == stored->block_milli;
}

static void give(const struct giving *giving)
{
    if (giving->resets)
        uses_reset(giving->words, &giving->gift);
    else
        uses_give(giving->words, &giving->gift);
    giving->group->asked_milli = word(giving->words, USES_LEFT);
}

/* With the first look after a start: what is stored, and what became of it. */
static void get_known(struct uses_group *group, struct usage_limits *words,
                      const struct total_uses *stored, const struct usage_area *area,
                      int64_t next_unix_s)
{
    bool same_area = memcmp(stored->area, area->id, sizeof stored->area) == 0;

    group->known = true;
    if (stored->exists && same_area && is_missing(stored, words))
        give(&(struct giving){words, group, gift_of(stored, next_unix_s), stored->resets});
}

/* *ret_gives: there is something to give, and then *ret_total is to be stored first. */
static int look_at(struct uses *uses, struct uses_group *group, int64_t now_unix_s, int64_t now_ms,
                   bool *ret_gives, struct store_total *ret_total, struct giving *ret,
                   struct error *error)
{
    const struct usage_area *area = tally_area(uses->tally);
    struct usage_limits *words = words_of(uses, group->block);

    *ret_gives = false;
    if (group->allowance.uses == 0 || words == NULL)
        return 0;
    uint64_t have_milli = word(words, USES_LEFT);
    uint64_t size_milli = block_size(group, have_milli, now_ms);
    group->asked_milli = have_milli;
    group->asked_ms = now_ms;
    bool is_over = group->next_unix_s != 0 && now_unix_s >= group->next_unix_s;
    if (group->known && !is_over && (have_milli >= size_milli / 2 || word(words, USES_MORE) == 0))
        return 0;

    struct total_uses *stored = &ret_total->total.uses;
    *ret_total = (struct store_total){.id = group->id};
    int r = store_total(uses->store, group->id, &ret_total->total, error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    struct allowance_period period =
        allowance_period(&group->allowance, group->anchor_unix_s, now_unix_s);
    group->next_unix_s = period.next_unix_s;
    if (!group->known)
        get_known(group, words, stored, area, period.next_unix_s);
    have_milli = word(words, USES_LEFT);
    /* A clock that was set back begins no period again. */
    bool begins = !stored->exists || period.begun_unix_s > stored->period_unix_s;
    bool resets = begins || memcmp(stored->area, area->id, sizeof stored->area) != 0;
    if (begins) {
        stored->exists = true;
        stored->left_milli = group->allowance.uses * USES_MILLI;
        stored->period_unix_s = period.begun_unix_s;
    }
    if (!resets && (have_milli >= size_milli / 2 || stored->left_milli == 0))
        return 0;
    take_block(stored, least(stored->left_milli, size_milli), resets, area);
    *ret = (struct giving){words, group, gift_of(stored, period.next_unix_s), resets};
    *ret_gives = true;
    return 0;
}

int uses_step(struct uses *uses, size_t max, int64_t now_unix_s, int64_t now_ms, bool *ret_more,
              struct error *error)
{
    struct store_total totals[GIFTS_MAX];
    struct giving gifts[GIFTS_MAX];
    size_t count = 0, looked = 0;
    int r = 0;

    *ret_more = false;
    if (uses->next >= uses->count)
        uses->next = 0;
    for (; looked < max && uses->next < uses->count && count < GIFTS_MAX && r == 0; looked++) {
        bool gives;
        r = look_at(uses, uses->list[uses->next], now_unix_s, now_ms, &gives, &totals[count],
                    &gifts[count], error);
        count += gives;
        uses->next++;
    }
    if (r == 0 && count > 0)
        r = store_put_totals(uses->store, totals, count, NULL, error);
    if (r == 0 && count > 0)
        r = store_flush(uses->store, error);
    for (size_t i = 0; i < count; i++) {
        if (r == 0)
            give(&gifts[i]);
        gifts[i].group->known &= r == 0; /* or it is looked at again */
    }
    *ret_more = r == 0 && uses->next < uses->count;
    return r;
}

uint64_t uses_left_milli(const struct uses *uses, const struct total *total, uint32_t block)
{
    const struct usage_area *area = tally_area(uses->tally);
    const struct usage_limits *words = words_of(uses, block);
    uint64_t here = 0;

    if (words != NULL && memcmp(total->uses.area, area->id, sizeof total->uses.area) == 0)
        here = least(word(words, USES_LEFT), total->uses.granted_milli);
    return total->uses.left_milli + here;
}
