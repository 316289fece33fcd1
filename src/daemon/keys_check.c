/* TABLE.CHECK: whether the table shows what the store holds, and nothing beside it. Both are
 * changed by this thread alone and between operations, so whatever differs is wrong. */
#include <stdio.h>
#include <string.h>

#include "daemon/keys_internal.h"

/* What one call looks at: some tens of milliseconds of the thread that revokes keys. A living slot
 * costs a look into the store, the others next to nothing. */
#define KEYS_MAX 5000u
#define LIVE_SLOTS_MAX 2000u
#define SLOTS_MAX 200000u

struct checking {
    struct keys *keys;
    struct op *op;
    uint64_t looked_at;
};

static bool is_full(const struct op *op)
{
    return op->wrong_count == OP_WRONG_MAX;
}

static void note(struct op *op, uint64_t id, const char *what)
{
    op->wrong[op->wrong_count++] = (struct op_wrong){.id = id, .what = what};
}

static bool flag_is(uint64_t control, uint64_t flag, bool wanted)
{
    return ((control & flag) != 0) == wanted;
}

static const char *control_differs(uint64_t control, const struct record *record)
{
    if (!flag_is(control, CONTROL_DISABLED, record->disabled))
        return "disabled";
    if (control_expires_unix_s(control) != record->expires_unix_s)
        return "expires";
    if (!flag_is(control, CONTROL_NOT_BEFORE, record->not_before_unix_s != 0))
        return "not_before";
    return flag_is(control, CONTROL_WELL_FORMED, record_is_ours(record)) ? NULL : "well_formed";
}

static const char *identity_differs(const struct table_view *view, const struct table_hit *hit,
                                    const struct record *record)
{
    struct table_identity identity;
    char environment[CATLATCH_ENVIRONMENT_SIZE];

    if (table_identity(view, hit->slot, &identity) != 0 ||
        table_environment(view, control_environment(hit->control), environment) != 0)
        return "damaged";
    if (identity.not_before_unix_s != record->not_before_unix_s)
        return "not_before";
    if (!text_is(record->environment, environment))
        return "environment";
    if (!text_is(record->name, identity.name))
        return "name";
    if (!text_is(record->owner, identity.owner))
        return "owner";
    return text_is(record->prefix, identity.prefix) ? NULL : "prefix";
}

/* The record's scopes as table_scopes writes the table's. */
static bool scopes_join(const struct record *record, char ret[CATLATCH_SCOPES_SIZE])
{
    size_t at = 0;

    for (size_t i = 0; i < record->scope_count; i++) {
        struct text scope = record->scopes[i];
        if (scope.len + 2 > CATLATCH_SCOPES_SIZE - at)
            return false;
        if (at > 0)
            ret[at++] = ' ';
        memcpy(ret + at, scope.bytes, scope.len);
        at += scope.len;
    }
    ret[at] = '\0';
    return true;
}

static const char *scopes_differ(const struct table_view *view, const struct table_hit *hit,
                                 const struct record *record)
{
    char wanted[CATLATCH_SCOPES_SIZE], shown[CATLATCH_SCOPES_SIZE];

    if (table_scopes(view, hit->slot, shown) != 0)
        return "damaged";
    return scopes_join(record, wanted) && strcmp(wanted, shown) == 0 ? NULL : "scopes";
}

static const char *networks_differ(const struct table_view *view, const struct table_hit *hit,
                                   const struct record *record)
{
    struct network shown[NETWORKS_MAX];
    size_t count;

    if (table_networks(view, hit->slot, hit->control, shown, &count) != 0)
        return "damaged";
    if (count != record->network_count)
        return "allowed_networks";
    for (size_t i = 0; i < count; i++)
        if (!network_equal(&shown[i], &record->networks[i]))
            return "allowed_networks";
    return NULL;
}

static bool rates_are_shown(const struct table_limits *shown, const struct rates *rates)
{
    bool same = shown->count == rates->count;

    for (unsigned i = 0; same && i < shown->count; i++)
        same = rate_equal(&shown->rates[i].rate, &rates->list[i]);
    return same;
}

static const char *limits_differ(const struct table_view *view, const struct table_hit *hit,
                                 const struct record *record)
{
    struct table_limits shown;

    if (table_limits(view, hit->slot, hit->control, &shown) != 0)
        return "damaged";
    if (!rates_are_shown(&shown, &record->rates))
        return "rates";
    return shown.has_uses == (record->allowance.uses != 0) ? NULL : "uses";
}

/* Either is the old or the new while a change of the owner is under way. */
static const char *owner_differs(const struct keys *keys, const struct table_hit *hit,
                                 const struct record *record)
{
    const struct owner_state *owner = owners_find(&keys->owners, record->owner);
    struct table_limits shown;
    uint32_t block;

    if (keys_is_spreading(keys, record->owner))
        return NULL;
    if (!flag_is(hit->control, CONTROL_SUSPENDED, owner->suspended))
        return "suspended";
    if (table_owner_limits(&keys->table->view, hit->slot, &shown, &block) != 0)
        return "damaged";
    return rates_are_shown(&shown, &owner->rates) &&
                   flag_is(hit->control, CONTROL_OWNER_LIMITS, owner->rates.count > 0)
               ? NULL
               : "owner_rates";
}

/* What the table shows otherwise than the store; NULL: nothing. Of a revoked key nothing counts but
 * that it is refused (table_claim leaves its texts as they were). */
static const char *key_differs(const struct keys *keys, const struct record *record)
{
    const struct table_view *view = &keys->table->view;
    struct table_hit hit = {0};
    const char *what;

    switch (table_find(view, &record->digest, &hit)) {
    case TABLE_MISS:
        return "missing";
    case TABLE_DAMAGED:
        return "damaged";
    case TABLE_HIT:
        break;
    }
    if (hit.id != record->id)
        return "id";
    if ((control_state(hit.control) == SLOT_REVOKED) != record->revoked)
        return "state";
    if (record->revoked)
        return NULL;
    if ((what = control_differs(hit.control, record)) == NULL &&
        (what = identity_differs(view, &hit, record)) == NULL &&
        (what = scopes_differ(view, &hit, record)) == NULL &&
        (what = networks_differ(view, &hit, record)) == NULL &&
        (what = limits_differ(view, &hit, record)) == NULL)
        what = owner_differs(keys, &hit, record);
    return what;
}

static int look_at_key(void *context, const struct record *record)
{
    struct checking *checking = context;
    struct op *op = checking->op;
    const char *what = key_differs(checking->keys, record);

    if (what != NULL)
        note(op, record->id, what);
    checking->looked_at++;
    op->confined += !record->revoked && record->network_count > 0;
    return is_full(op);
}

static int check_keys(struct checking *checking)
{
    struct op *op = checking->op;
    uint64_t last = op->check_at.after_id;

    int r =
        store_scan(checking->keys->store, last, KEYS_MAX, look_at_key, checking, &last, &op->error);
    op->checked = checking->looked_at;
    if (checking->looked_at == KEYS_MAX || is_full(op))
        op->check_next.after_id = last;
    else
        op->check_next.generation = checking->keys->table->view.generation;
    return r;
}

/* Why a slot that lets its key pass should not be there; NULL: it should. */
static int live_slot_differs(struct keys *keys, uint64_t number, uint64_t id, const char **ret_what,
                             struct error *error)
{
    const struct table_view *view = &keys->table->view;
    const struct table_slot *slot = &view->slots[number];
    struct table_hit hit = {0};
    struct digest digest;
    struct record record;

    for (unsigned i = 0; i < DIGEST_WORDS; i++)
        digest.word[i] = atomic_load_explicit(&slot->digest[i], memory_order_relaxed);
    enum table_found found = table_find(view, &digest, &hit);
    *ret_what = found == TABLE_MISS ? "unreachable" : hit.slot != number ? "twice" : NULL;
    if (*ret_what != NULL)
        return 0;
    int r = store_key(keys->store, NULL, id, &keys->buffer, &record, error);
    if (r != 0 && r != CATLATCH_E_NOT_FOUND)
        return r;
    if (r != 0 || !digest_equal(&record.digest, &digest))
        *ret_what = "unknown";
    error->code = 0;
    return 0;
}

/* What is refused does no harm, whatever it is: only living slots are looked at. */
static int check_slots(struct checking *checking)
{
    struct op *op = checking->op;
    const struct table_view *view = &checking->keys->table->view;
    uint64_t number = op->check_at.generation == view->generation ? op->check_at.slot : 0;
    if (number > view->slot_count) /* a cursor is the caller's word */
        number = view->slot_count;
    uint64_t end = view->slot_count - number > SLOTS_MAX ? number + SLOTS_MAX : view->slot_count;

    for (; number < end && checking->looked_at < LIVE_SLOTS_MAX && !is_full(op); number++) {
        const struct table_slot *slot = &view->slots[number];
        const char *what = NULL;
        if (control_state(atomic_load_explicit(&slot->control, memory_order_relaxed)) != SLOT_LIVE)
            continue;
        uint64_t id = atomic_load_explicit(&slot->id, memory_order_relaxed);
        int r = live_slot_differs(checking->keys, number, id, &what, &op->error);
        if (r != 0)
            return r;
        if (what != NULL)
            note(op, id, what);
        checking->looked_at++;
    }
    op->check_ended = number >= view->slot_count;
    op->check_next.generation = view->generation;
    op->check_next.slot = number;
    return 0;
}

int keys_check(struct keys *keys, struct op *op)
{
    struct checking checking = {.keys = keys, .op = op};

    op->confined = 0;
    op->wrong = op_alloc(op, OP_WRONG_MAX * sizeof *op->wrong);
    if (op->wrong == NULL)
        return error_set(&op->error, CATLATCH_E_MEMORY, "checking the table");
    return op->check_at.generation == 0 ? check_keys(&checking) : check_slots(&checking);
}
