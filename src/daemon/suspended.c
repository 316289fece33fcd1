#include "daemon/suspended.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct member {
    struct text owner;
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

bool suspended_has(const struct suspended *set, struct text owner)
{
    struct member wanted = {.owner = owner};
    return set->root != NULL && tfind(&wanted, &set->root, compare) != NULL;
}

int suspended_add(struct suspended *set, struct text owner)
{
    struct member *member = malloc(sizeof *member + owner.len + 1);
    if (member == NULL)
        return CATLATCH_E_MEMORY;
    if (owner.len > 0)
        memcpy(member->bytes, owner.bytes, owner.len);
    member->owner = (struct text){member->bytes, owner.len};
    struct member **node = tsearch(member, &set->root, compare);
    if (node == NULL || *node != member)
        free(member);
    return node != NULL ? 0 : CATLATCH_E_MEMORY;
}

void suspended_remove(struct suspended *set, struct text owner)
{
    struct member wanted = {.owner = owner};
    struct member **node = set->root != NULL ? tfind(&wanted, &set->root, compare) : NULL;
    if (node == NULL)
        return;
    struct member *member = *node;
    tdelete(member, &set->root, compare);
    free(member);
}

void suspended_clear(struct suspended *set)
{
    tdestroy(set->root, free);
    set->root = NULL;
}

struct loading {
    struct suspended *set;
    char last[RECORD_TEXT_MAX];
    uint32_t last_len;
    size_t seen;
};

static int load_owner(void *context, const struct record_owner *owner)
{
    struct loading *loading = context;
    loading->seen++;
    loading->last_len = owner->name.len;
    memcpy(loading->last, owner->name.bytes, owner->name.len);
    return owner->suspended ? suspended_add(loading->set, owner->name) : 0;
}

int suspended_load(struct suspended *set, struct store *store, struct error *error)
{
    struct loading loading = {.set = set};
    do {
        loading.seen = 0;
        struct text after = {loading.last, loading.last_len};
        int r = store_owners(store, after, OWNERS_PAGE, load_owner, &loading, error);
        if (r != 0)
            return r;
    } while (loading.seen == OWNERS_PAGE);
    return 0;
}
