#include "lib_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

uint64_t sample_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct digest sample_digest(uint64_t number)
{
    struct digest digest;
    uint64_t state = number * DIGEST_WORDS * UINT64_C(0x9e3779b97f4a7c15);
    for (unsigned i = 0; i < DIGEST_WORDS; i++)
        digest.word[i] = sample_random(&state);
    return digest;
}

void sample_key_init(struct sample_key *key, uint64_t number)
{
    unsigned long long n = number;
    snprintf(key->name, sizeof key->name, "key %016llx", n); /* twenty bytes */
    snprintf(key->owner, sizeof key->owner, "owner-%06llu", n / 10);
    snprintf(key->prefix, sizeof key->prefix, "cc_live_%07llu", n % 10000000);
    key->scopes[0] = text_of("read");
    key->scopes[1] = text_of("write");
    key->entry = (struct table_entry){
        .digest = sample_digest(number),
        .id = number + 1,
        .name = text_of(key->name),
        .owner = text_of(key->owner),
        .prefix = text_of(key->prefix),
        .environment = text_of("live"),
        .environment_prefix = text_of("cc_live_"),
        .scopes = key->scopes,
        .scope_count = 2,
        .networks = key->networks,
    };
}

void sample_key_confine(struct sample_key *key, const char *network)
{
    struct network *next = &key->networks[key->entry.network_count++];
    assert_true(key->entry.network_count <= SAMPLE_NETWORKS_MAX);
    assert_int_equal(network_parse(text_of(network), next, NULL), 0);
}

void heap_table_open(struct heap_table *table, uint64_t capacity, uint64_t side_bytes_per_key)
{
    *table = (struct heap_table){
        .params = {.generation = 7,
                   .epoch = 3,
                   .seed = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)},
                   .capacity = capacity,
                   .side_bytes_per_key = side_bytes_per_key},
    };
    table->size = table_size(&table->params);
    assert_true(table->size > 0);
    assert_int_equal(posix_memalign(&table->base, TABLE_PAGE, table->size), 0);
    memset(table->base, 0, table->size);
    assert_int_equal(table_format(&table->writer, table->base, table->size, &table->params), 0);
}

void heap_table_close(struct heap_table *table)
{
    free(table->base);
}

int heap_table_put(struct heap_table *table, const struct table_entry *entry)
{
    struct table_claim claim;
    int r = table_claim(&table->writer, entry, TABLE_ORDINARY, &claim);
    if (r == 0)
        table_publish(&table->writer, &claim);
    return r;
}

static const char *control_differs(uint64_t control, const struct table_entry *entry)
{
    if (control_state(control) != (entry->revoked ? SLOT_REVOKED : SLOT_LIVE))
        return "state";
    if (entry->revoked)
        return NULL; /* nothing else of a revoked key counts */
    if (((control & CONTROL_DISABLED) != 0) != entry->disabled)
        return "disabled";
    if (((control & CONTROL_SUSPENDED) != 0) != entry->suspended)
        return "suspended";
    if (((control & CONTROL_NOT_BEFORE) != 0) != (entry->not_before_unix_s != 0))
        return "not-before flag";
    if (((control & CONTROL_WELL_FORMED) != 0) != entry->well_formed)
        return "well-formed flag";
    if (((control & CONTROL_NETWORKS) != 0) != (entry->network_count > 0))
        return "networks flag";
    if (((control & CONTROL_OWNER_LIMITS) != 0) !=
        (entry->owner_rates != NULL && entry->owner_rates->count > 0))
        return "owner's limits flag";
    return control_expires_unix_s(control) == entry->expires_unix_s ? NULL : "expiry";
}

static const char *scopes_differ(const struct table_view *view, uint64_t slot,
                                 const struct table_entry *entry)
{
    char shown[CATLATCH_SCOPES_SIZE];
    size_t at = 0;
    if (table_scopes(view, slot, shown) != 0)
        return "scopes damaged";
    for (size_t i = 0; i < entry->scope_count; i++) {
        struct text scope = entry->scopes[i];
        if (i > 0 && shown[at++] != ' ')
            return "scopes not separated";
        if (strlen(shown + at) < scope.len || memcmp(shown + at, scope.bytes, scope.len) != 0)
            return "scopes";
        if (table_has_scope(view, slot, scope.bytes, scope.len) != 1)
            return "has_scope";
        at += scope.len;
    }
    return shown[at] == '\0' ? NULL : "too many scopes";
}

static bool entry_allows(const struct table_entry *entry, const struct address *address)
{
    bool allows = entry->network_count == 0;
    for (size_t i = 0; i < entry->network_count; i++)
        allows |= network_has(&entry->networks[i], address);
    return allows;
}

/* Asks for addresses in the entry's networks and for some that mostly are not. */
static const char *networks_differ(const struct table_view *view, const struct table_hit *hit,
                                   const struct table_entry *entry)
{
    static const struct address others[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 198, 51, 100, 7}},
        {{0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}},
    };
    struct network networks[NETWORKS_MAX];
    size_t count;
    if (table_networks(view, hit->slot, hit->control, networks, &count) != 0)
        return "networks damaged";
    if (count != entry->network_count)
        return "number of networks";
    for (size_t i = 0; i < count; i++) {
        if (!network_equal(&networks[i], &entry->networks[i]))
            return "networks";
        if (table_allows(view, hit->slot, &networks[i].base) != 1)
            return "allows";
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (table_allows(view, hit->slot, &others[i]) != entry_allows(entry, &others[i]))
            return "allows others";
    return table_allows(view, hit->slot, NULL) == (count == 0) ? NULL : "allows no address";
}

static const char *limits_differ(const struct table_view *view, const struct table_hit *hit,
                                 const struct table_entry *entry)
{
    struct table_limits limits;
    unsigned wanted = entry->rates != NULL ? entry->rates->count : 0;
    if (table_limits(view, hit->slot, hit->control, &limits) != 0)
        return "limits damaged";
    if (limits.count != wanted || limits.has_uses != entry->has_uses)
        return "number of limits";
    for (unsigned i = 0; i < limits.count; i++) {
        struct limit_rule rule = limit_rule_of(&entry->rates->list[i]);
        if (!rate_equal(&limits.rates[i].rate, &entry->rates->list[i]) ||
            memcmp(&limits.rates[i].rule, &rule, sizeof rule) != 0)
            return "limits";
    }
    return NULL;
}

static const char *owner_limits_differ(const struct table_view *view, const struct table_hit *hit,
                                       const struct table_entry *entry)
{
    struct table_limits limits;
    uint32_t block;
    unsigned wanted = entry->owner_rates != NULL ? entry->owner_rates->count : 0;
    if (table_owner_limits(view, hit->slot, &limits, &block) != 0)
        return "owner's limits damaged";
    if (limits.count != wanted || block != entry->owner_block)
        return "number of the owner's limits, or their block";
    for (unsigned i = 0; i < limits.count; i++)
        if (!rate_equal(&limits.rates[i].rate, &entry->owner_rates->list[i]))
            return "owner's limits";
    return NULL;
}

static const char *environment_differs(const struct table_view *view, uint64_t control,
                                       const struct table_entry *entry)
{
    char name[CATLATCH_ENVIRONMENT_SIZE];
    unsigned number = control_environment(control);
    if (table_environment(view, number, name) != 0)
        return "environment damaged";
    if (!text_is(entry->environment, name))
        return "environment";
    return table_environment_is(view, number, name) == (entry->environment.len > 0)
               ? NULL
               : "environment_is";
}

const char *table_hit_differs(const struct table_view *view, const struct table_hit *hit,
                              const struct table_entry *entry)
{
    struct table_identity identity;
    int64_t not_before;
    const char *what = control_differs(hit->control, entry);
    if (what != NULL)
        return what;
    if (hit->id != entry->id)
        return "id";
    if (table_identity(view, hit->slot, &identity) != 0 ||
        table_not_before(view, hit->slot, &not_before) != 0)
        return "identity damaged";
    if (!text_is(entry->name, identity.name))
        return "name";
    if (!text_is(entry->owner, identity.owner))
        return "owner";
    if (!text_is(entry->prefix, identity.prefix))
        return "prefix";
    if (identity.not_before_unix_s != entry->not_before_unix_s ||
        not_before != entry->not_before_unix_s)
        return "not before";
    if ((what = environment_differs(view, hit->control, entry)) != NULL)
        return what;
    if ((what = scopes_differ(view, hit->slot, entry)) != NULL)
        return what;
    if ((what = networks_differ(view, hit, entry)) != NULL)
        return what;
    if ((what = limits_differ(view, hit, entry)) != NULL)
        return what;
    return owner_limits_differ(view, hit, entry);
}

const char *table_differs(const struct table_view *view, const struct table_entry *entry)
{
    struct table_hit hit;
    switch (table_find(view, &entry->digest, &hit)) {
    case TABLE_MISS:
        return "missing";
    case TABLE_DAMAGED:
        return "damaged";
    case TABLE_HIT:
        break;
    }
    return table_hit_differs(view, &hit, entry);
}
