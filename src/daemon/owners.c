#include "daemon/owners.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct member {
    struct text owner;
    struct owner_state state;
    char bytes[];
};

/* Owners are read in pages of this many: a store call returns to the thread in between. */
#define OWNERS_PAGE 4096u

static int compare(const void *a, const void *b)
{
    struct text x = ((const struct member *)a)->owner, y = ((const struct member *)b)->owner;
    uint32_t common = x.len < y.len ? x.len : y.len;
    int order = common > 0 ? memcmp(x.bytes, y.bytes, common) : 0;
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

static struct member *find(const struct owners *owners, struct text owner)
{
    struct member wanted = {.owner = owner};
    struct member **node = owners->root != NULL ? tfind(&wanted, &owners->root, compare) : NULL;
    return node != NULL ? *node : NULL;
}

const struct owner_state *owners_find(const struct owners *owners, struct text owner)
{
    static const struct owner_state plain;
    const struct member *member = find(owners, owner);
    return member != NULL ? &member->state : &plain;
}

int owners_set(struct owners *owners, struct text owner, const struct owner_state *state)
{
    struct member *member = find(owners, owner);
    if (member != NULL) {
        member->state = *state;
        return 0;
    }
    member = malloc(sizeof *member + owner.len + 1);
    if (member == NULL)
        return CATLATCH_E_MEMORY;
    if (owner.len > 0)
        memcpy(member->bytes, owner.bytes, owner.len);
    member->owner = (struct text){member->bytes, owner.len};
    member->state = *state;
    if (tsearch(member, &owners->root, compare) == NULL) {
        free(member);
        return CATLATCH_E_MEMORY;
    }
    return 0;
}

static bool is_plain(const struct owner_state *state)
{
    return !state->suspended && state->rates.count == 0 && state->block == 0;
}

void owners_forget_plain(struct owners *owners, struct text owner)
{
    struct member *member = find(owners, owner);
    if (member == NULL || !is_plain(&member->state))
        return;
    tdelete(member, &owners->root, compare);
    free(member);
}

static void forget_block(const void *node, VISIT visit, void *highest)
{
    struct member *member = *(struct member *const *)node;
    if ((visit == postorder || visit == leaf) && member->state.block > *(const uint32_t *)highest)
        member->state.block = 0;
}

void owners_forget_blocks(struct owners *owners, uint32_t highest)
{
    twalk_r(owners->root, forget_block, &highest);
}

static void count_blockless(const void *node, VISIT visit, void *count)
{
    const struct member *member = *(struct member *const *)node;
    if ((visit == postorder || visit == leaf) && member->state.rates.count > 0)
        *(uint64_t *)count += member->state.block == 0;
}

uint64_t owners_without_block(const struct owners *owners)
{
    uint64_t count = 0;
    twalk_r(owners->root, count_blockless, &count);
    return count;
}

void owners_clear(struct owners *owners)
{
    tdestroy(owners->root, free);
    owners->root = NULL;
}

struct loading {
    struct owners *owners;
    char last[RECORD_TEXT_MAX];
    uint32_t last_len;
    size_t seen;
};

static int load_owner(void *context, const struct record_owner *owner)
{
    struct loading *loading = context;
    const struct owner_state state = {.suspended = owner->suspended, .rates = owner->rates};
    loading->seen++;
    loading->last_len = owner->name.len;
    memcpy(loading->last, owner->name.bytes, owner->name.len);
    return is_plain(&state) ? 0 : owners_set(loading->owners, owner->name, &state);
}

int owners_load(struct owners *owners, struct store *store, struct error *error)
{
    struct loading loading = {.owners = owners};
    do {
        loading.seen = 0;
        struct text after = {loading.last, loading.last_len};
        int r = store_owners(store, after, OWNERS_PAGE, load_owner, &loading, error);
        if (r != 0)
            return r;
    } while (loading.seen == OWNERS_PAGE);
    return 0;
}
