#include "table/view.h"

#include <string.h>

#include "core/crc32.h"

/* The part of the header that never changes, copied out so that only the copy is believed. */
struct fixed_header {
    unsigned char
        bytes[offsetof(struct table_header, checksum) - offsetof(struct table_header, magic)];
    uint32_t checksum;
};

#define FIXED(copy, member, target)                                                            \
    memcpy(&(target),                                                                          \
           (copy).bytes +                                                                      \
               (offsetof(struct table_header, member) - offsetof(struct table_header, magic)), \
           sizeof(target))

static bool range_fits(uint64_t offset, uint64_t count, uint64_t width, uint64_t size)
{
    uint64_t bytes, end;
    return !__builtin_mul_overflow(count, width, &bytes) &&
           !__builtin_add_overflow(offset, bytes, &end) && end <= size;
}

static int check_identity(const struct fixed_header *fixed, size_t size, struct error *error)
{
    uint64_t magic, file_size;
    uint32_t layout, slot_size;
    FIXED(*fixed, magic, magic);
    FIXED(*fixed, layout, layout);
    FIXED(*fixed, slot_size, slot_size);
    FIXED(*fixed, file_size, file_size);
    if (magic != TABLE_MAGIC)
        return error_set(error, CATLATCH_E_DATA, "not a table of Catlatch's");
    if (layout != TABLE_LAYOUT || slot_size != sizeof(struct table_slot))
        return error_set(error, CATLATCH_E_VERSION,
                         "table layout %u, and this version reads layout %u", layout, TABLE_LAYOUT);
    if (fixed->checksum != crc32_update(0, fixed->bytes, sizeof fixed->bytes))
        return error_set(error, CATLATCH_E_DATA, "table header damaged: wrong checksum");
    if (file_size != size)
        return error_set(error, CATLATCH_E_DATA,
                         "table is %zu bytes long, and its header says %llu", size,
                         (unsigned long long)file_size);
    return 0;
}

int table_view_init(struct table_view *view, const void *base, size_t size, struct error *error)
{
    const struct table_header *header = base;
    struct fixed_header fixed;
    struct table_view fresh = {.header = header, .size = size};
    uint64_t slots_offset, side_offset;

    if (size < TABLE_PAGE)
        return error_set(error, CATLATCH_E_DATA, "a table of %zu bytes is cut short", size);
    memcpy(fixed.bytes, &header->magic, sizeof fixed.bytes);
    memcpy(&fixed.checksum, &header->checksum, sizeof fixed.checksum);
    int r = check_identity(&fixed, size, error);
    if (r != 0)
        return r;

    FIXED(fixed, slots_offset, slots_offset);
    FIXED(fixed, side_offset, side_offset);
    FIXED(fixed, slot_count, fresh.slot_count);
    FIXED(fixed, side_size, fresh.side_size);
    FIXED(fixed, seed, fresh.seed);
    FIXED(fixed, generation, fresh.generation);
    FIXED(fixed, epoch, fresh.epoch);
    if (fresh.slot_count == 0 || slots_offset < TABLE_PAGE ||
        slots_offset % sizeof(struct table_slot) != 0 || side_offset % 8 != 0 ||
        !range_fits(slots_offset, fresh.slot_count, sizeof(struct table_slot), size) ||
        !range_fits(side_offset, fresh.side_size, 1, size))
        return error_set(error, CATLATCH_E_DATA, "table header damaged: impossible geometry");
    fresh.slots = (const struct table_slot *)(const void *)((const char *)base + slots_offset);
    fresh.side = (const unsigned char *)base + side_offset;
    *view = fresh;
    return 0;
}

uint64_t table_slot_home(const struct table_view *view, const struct digest *digest)
{
    /* One wide multiplication, keyed: without the seed nobody can choose digests that share a
     * home. The second scales to a slot count that need not be a power of two. */
    unsigned __int128 mixed =
        (unsigned __int128)(digest->word[0] ^ view->seed[0]) * (digest->word[1] ^ view->seed[1]);
    uint64_t hash = (uint64_t)(mixed >> 64) ^ (uint64_t)mixed;
    return (uint64_t)(((unsigned __int128)hash * view->slot_count) >> 64);
}

void table_prefetch(const struct table_view *view, const struct digest *digest)
{
    __builtin_prefetch(&view->slots[table_slot_home(view, digest)]);
}

enum table_found table_find(const struct table_view *view, const struct digest *digest,
                            struct table_hit *ret_hit)
{
    uint64_t number = table_slot_home(view, digest);
    for (unsigned walked = 0; walked < TABLE_PROBE_MAX; walked++) {
        const struct table_slot *slot = &view->slots[number];
        /* acquire: pairs with table_publish */
        uint64_t control = atomic_load_explicit(&slot->control, memory_order_acquire);
        unsigned state = control_state(control);
        if (state == SLOT_EMPTY)
            return TABLE_MISS;
        if (state != SLOT_REPLACED && table_slot_has(slot, digest)) {
            ret_hit->slot = number;
            ret_hit->control = control;
            ret_hit->id = atomic_load_explicit(&slot->id, memory_order_relaxed);
            return ret_hit->id != 0 ? TABLE_HIT : TABLE_DAMAGED;
        }
        if (++number == view->slot_count)
            number = 0;
    }
    return TABLE_MISS;
}

/* len bytes at a reference, or NULL if they don't lie in the side area. */
static const unsigned char *side_at(const struct table_view *view, uint32_t ref, uint64_t skip,
                                    uint64_t len)
{
    uint64_t offset = (uint64_t)ref * 8 + skip; /* below 2^35 + 2^17: cannot overflow */
    if (ref == 0 || offset > view->side_size || len > view->side_size - offset)
        return NULL;
    return view->side + offset;
}

static int read_identity(const struct table_view *view, uint64_t number,
                         struct table_side_identity *ret_fixed, uint32_t *ret_ref)
{
    if (number >= view->slot_count)
        return CATLATCH_E_DATA;
    uint32_t ref = atomic_load_explicit(&view->slots[number].identity_ref, memory_order_relaxed);
    const unsigned char *at = side_at(view, ref, 0, sizeof *ret_fixed);
    if (at == NULL)
        return CATLATCH_E_DATA;
    memcpy(ret_fixed, at, sizeof *ret_fixed);
    *ret_ref = ref;
    return 0;
}

static int copy_text(const unsigned char *from, size_t len, char *to, size_t size)
{
    if (from == NULL || len >= size)
        return CATLATCH_E_DATA;
    memcpy(to, from, len);
    to[len] = '\0';
    return 0;
}

static int read_owner(const struct table_view *view, uint32_t ref, char ret[CATLATCH_TEXT_SIZE])
{
    const unsigned char *at = side_at(view, ref, 0, 1);
    if (at == NULL)
        return CATLATCH_E_DATA;
    size_t len = *(const volatile unsigned char *)at; /* loaded once */
    return copy_text(side_at(view, ref, 1, len), len, ret, CATLATCH_TEXT_SIZE);
}

int table_identity(const struct table_view *view, uint64_t number, struct table_identity *ret)
{
    struct table_side_identity fixed;
    uint32_t ref;
    if (read_identity(view, number, &fixed, &ref) != 0)
        return CATLATCH_E_DATA;
    size_t prefix_len = fixed.prefix_len, name_len = fixed.name_len;
    const unsigned char *texts = side_at(view, ref, sizeof fixed, prefix_len + name_len);
    if (texts == NULL || copy_text(texts, prefix_len, ret->prefix, sizeof ret->prefix) != 0 ||
        copy_text(texts + prefix_len, name_len, ret->name, sizeof ret->name) != 0 ||
        read_owner(view, fixed.owner_ref, ret->owner) != 0)
        return CATLATCH_E_DATA;
    ret->not_before_unix_s = fixed.not_before_unix_s;
    return 0;
}

int table_not_before(const struct table_view *view, uint64_t number, int64_t *ret_unix_s)
{
    struct table_side_identity fixed;
    uint32_t ref;
    int r = read_identity(view, number, &fixed, &ref);
    if (r == 0)
        *ret_unix_s = fixed.not_before_unix_s;
    return r;
}

static int read_list(const struct table_view *view, uint32_t ref, struct table_side_list *ret_fixed,
                     const unsigned char **ret_bytes)
{
    const unsigned char *at = side_at(view, ref, 0, sizeof *ret_fixed);
    if (at == NULL)
        return CATLATCH_E_DATA;
    memcpy(ret_fixed, at, sizeof *ret_fixed);
    *ret_bytes = side_at(view, ref, sizeof *ret_fixed, ret_fixed->bytes_len);
    return *ret_bytes != NULL ? 0 : CATLATCH_E_DATA;
}

/* The scopes of a slot: *ret_bytes is NULL when it has none. */
static int read_scopes(const struct table_view *view, uint64_t number,
                       struct table_side_list *ret_fixed, const unsigned char **ret_bytes)
{
    if (number >= view->slot_count)
        return CATLATCH_E_DATA;
    uint32_t ref = atomic_load_explicit(&view->slots[number].scopes_ref, memory_order_relaxed);
    *ret_fixed = (struct table_side_list){0};
    *ret_bytes = NULL;
    return ref == 0 ? 0 : read_list(view, ref, ret_fixed, ret_bytes);
}

/* The scope at *at in a list that ends at `end`, its length loaded once; moves *at behind it. */
static int next_scope(const unsigned char *bytes, size_t end, size_t *at,
                      const unsigned char **ret_scope, size_t *ret_len)
{
    if (*at >= end)
        return CATLATCH_E_DATA;
    size_t len = *(const volatile unsigned char *)(bytes + *at);
    if (len > end - *at - 1)
        return CATLATCH_E_DATA;
    *ret_scope = bytes + *at + 1;
    *ret_len = len;
    *at += 1 + len;
    return 0;
}

int table_has_scope(const struct table_view *view, uint64_t number, const char *scope, size_t len)
{
    struct table_side_list fixed;
    const unsigned char *bytes, *own;
    size_t at = 0, own_len;
    if (read_scopes(view, number, &fixed, &bytes) != 0)
        return CATLATCH_E_DATA;
    for (unsigned i = 0; i < fixed.count; i++) {
        if (next_scope(bytes, fixed.bytes_len, &at, &own, &own_len) != 0)
            return CATLATCH_E_DATA;
        if (own_len == len && memcmp(own, scope, len) == 0)
            return 1;
    }
    return 0;
}

int table_scopes(const struct table_view *view, uint64_t number, char ret[CATLATCH_SCOPES_SIZE])
{
    struct table_side_list fixed;
    const unsigned char *bytes, *own;
    size_t at = 0, out = 0, own_len;
    if (read_scopes(view, number, &fixed, &bytes) != 0)
        return CATLATCH_E_DATA;
    for (unsigned i = 0; i < fixed.count; i++) {
        if (next_scope(bytes, fixed.bytes_len, &at, &own, &own_len) != 0 ||
            own_len + 2 > CATLATCH_SCOPES_SIZE - out) /* a space and the NUL */
            return CATLATCH_E_DATA;
        if (out > 0)
            ret[out++] = ' ';
        memcpy(ret + out, own, own_len);
        out += own_len;
    }
    ret[out] = '\0';
    return 0;
}

/* A list of networks, copied out so that only the copy is believed. */
struct networks {
    unsigned count;
    size_t len, at;
    unsigned char bytes[NETWORKS_MAX * NETWORK_BYTES_MAX];
};

static int read_networks(const struct table_view *view, uint64_t number, struct networks *ret)
{
    struct table_side_identity identity;
    struct table_side_list fixed;
    const unsigned char *at, *bytes;
    uint32_t ref, networks_ref;
    if (read_identity(view, number, &identity, &ref) != 0)
        return CATLATCH_E_DATA;
    at = side_at(view, ref, sizeof identity + identity.prefix_len + identity.name_len,
                 sizeof networks_ref);
    if (at == NULL)
        return CATLATCH_E_DATA;
    memcpy(&networks_ref, at, sizeof networks_ref);
    if (read_list(view, networks_ref, &fixed, &bytes) != 0 || fixed.count == 0 ||
        fixed.count > NETWORKS_MAX || fixed.bytes_len > sizeof ret->bytes)
        return CATLATCH_E_DATA;
    memcpy(ret->bytes, bytes, fixed.bytes_len);
    ret->count = fixed.count;
    ret->len = fixed.bytes_len;
    ret->at = 0;
    return 0;
}

static int next_network(struct networks *networks, struct network *ret)
{
    size_t used;
    if (network_decode(networks->bytes + networks->at, networks->len - networks->at, ret, &used) !=
        0)
        return CATLATCH_E_DATA;
    networks->at += used;
    return 0;
}

int table_allows(const struct table_view *view, uint64_t number, const struct address *address)
{
    struct networks networks;
    struct network network;
    if (number >= view->slot_count)
        return CATLATCH_E_DATA;
    /* Relaxed: the bit is as table_find acquired it, for it never changes. */
    uint64_t control = atomic_load_explicit(&view->slots[number].control, memory_order_relaxed);
    if ((control & CONTROL_NETWORKS) == 0)
        return 1;
    if (read_networks(view, number, &networks) != 0)
        return CATLATCH_E_DATA;
    for (unsigned i = 0; i < networks.count; i++) {
        if (next_network(&networks, &network) != 0)
            return CATLATCH_E_DATA;
        if (address != NULL && network_has(&network, address))
            return 1;
    }
    return networks.at == networks.len ? 0 : CATLATCH_E_DATA;
}

int table_networks(const struct table_view *view, uint64_t number, uint64_t control,
                   struct network ret[NETWORKS_MAX], size_t *ret_count)
{
    struct networks networks;
    if ((control & CONTROL_NETWORKS) == 0) {
        *ret_count = 0;
        return 0;
    }
    if (read_networks(view, number, &networks) != 0)
        return CATLATCH_E_DATA;
    for (unsigned i = 0; i < networks.count; i++)
        if (next_network(&networks, &ret[i]) != 0)
            return CATLATCH_E_DATA;
    if (networks.at != networks.len)
        return CATLATCH_E_DATA;
    *ret_count = networks.count;
    return 0;
}

void table_prefetch_limits(const struct table_view *view, uint64_t number)
{
    uint32_t ref = atomic_load_explicit(&view->slots[number].identity_ref, memory_order_relaxed);
    const unsigned char *at =
        ref > 1 ? side_at(view, ref - 1, 0, sizeof(struct table_side_limits)) : NULL;
    if (at != NULL)
        __builtin_prefetch(at);
}

static int read_rates(const struct table_view *view, uint32_t ref, struct table_limits *ret)
{
    struct table_side_limit_list fixed;
    const unsigned char *at = side_at(view, ref, 0, sizeof fixed);
    if (at == NULL)
        return CATLATCH_E_DATA;
    memcpy(&fixed, at, sizeof fixed);
    size_t len = fixed.list.count * sizeof(struct table_side_limit);
    if (fixed.list.count == 0 || fixed.list.count > RATES_MAX ||
        fixed.list.bytes_len != sizeof fixed.zero + len ||
        (at = side_at(view, ref, sizeof fixed, len)) == NULL)
        return CATLATCH_E_DATA;
    /* Records begin at multiples of 8, and so do these in them. */
    ret->rates = (const struct table_side_limit *)(const void *)at;
    ret->count = fixed.list.count;
    return 0;
}

/* What stands in front of the identity of a slot with CONTROL_LIMITS. */
static inline int read_limits(const struct table_view *view, uint64_t number,
                              struct table_side_limits *ret)
{
    if (number >= view->slot_count)
        return CATLATCH_E_DATA;
    uint32_t ref = atomic_load_explicit(&view->slots[number].identity_ref, memory_order_relaxed);
    const unsigned char *at = ref > 1 ? side_at(view, ref - 1, 0, sizeof *ret) : NULL;
    if (at == NULL)
        return CATLATCH_E_DATA;
    memcpy(ret, at, sizeof *ret);
    return ret->has_uses > 1 || (ret->limits_ref == 0 && ret->has_uses == 0) ? CATLATCH_E_DATA : 0;
}

int table_limits(const struct table_view *view, uint64_t number, uint64_t control,
                 struct table_limits *ret)
{
    struct table_side_limits head;
    *ret = (struct table_limits){.count = 0};
    if ((control & CONTROL_LIMITS) == 0)
        return 0;
    if (read_limits(view, number, &head) != 0)
        return CATLATCH_E_DATA;
    ret->has_uses = head.has_uses == 1;
    return head.limits_ref == 0 ? 0 : read_rates(view, head.limits_ref, ret);
}

/* A list of one, as read_rates would have it. */
struct sole_limit {
    struct table_side_limit_list list;
    struct table_side_limit limit;
};

const struct table_side_limit *table_sole_limit(const struct table_view *view, uint64_t number,
                                                uint64_t control)
{
    struct table_side_limits head;
    struct table_side_limit_list fixed;
    if ((control & (CONTROL_LIMITS | CONTROL_OWNER_LIMITS)) != CONTROL_LIMITS ||
        read_limits(view, number, &head) != 0 || head.has_uses != 0)
        return NULL;
    const unsigned char *at = side_at(view, head.limits_ref, 0, sizeof(struct sole_limit));
    if (at == NULL)
        return NULL;
    memcpy(&fixed, at, sizeof fixed);
    if (fixed.list.count != 1 ||
        fixed.list.bytes_len != sizeof(struct sole_limit) - offsetof(struct sole_limit, list.zero))
        return NULL;
    return &((const struct sole_limit *)(const void *)at)->limit;
}

int table_owner_limits(const struct table_view *view, uint64_t number, struct table_limits *ret,
                       uint32_t *ret_block)
{
    struct table_side_identity fixed;
    const unsigned char *at;
    uint32_t ref;
    *ret = (struct table_limits){.count = 0};
    *ret_block = 0;
    if (read_identity(view, number, &fixed, &ref) != 0 || fixed.owner_ref <= 1 ||
        (at = side_at(view, fixed.owner_ref - 1, 0, sizeof(uint64_t))) == NULL)
        return CATLATCH_E_DATA;
    /* acquire: pairs with table_store_owner_word */
    uint64_t word =
        atomic_load_explicit((const _Atomic uint64_t *)(const void *)at, memory_order_acquire);
    *ret_block = (uint32_t)(word >> 32);
    return (uint32_t)word == 0 ? 0 : read_rates(view, (uint32_t)word, ret);
}

int table_named_limit(const struct table_view *view, const char name[NAMED_LIMIT_NAME_SIZE],
                      const struct rate *rate)
{
    /* acquire: pairs with table_name_limit in writer.c */
    uint64_t count = atomic_load_explicit(&view->header->limit_count, memory_order_acquire);

    for (unsigned i = 0; i < count && i < NAMED_RATES_MAX; i++) {
        const struct table_named_limit *each = &view->header->limits[i];
        if (memcmp(each->name, name, sizeof each->name) == 0 && rate_equal(&each->rate, rate))
            return (int)i;
    }
    return -1;
}

/* The entry of an environment, or NULL when there is none of that number. */
static const struct table_environment *environment_at(const struct table_view *view,
                                                      unsigned number)
{
    /* acquire: pairs with environment_number in writer.c */
    uint64_t count = atomic_load_explicit(&view->header->environment_count, memory_order_acquire);
    if (number >= count || number >= KEY_ENVIRONMENTS_MAX)
        return NULL;
    return &view->header->environments[number];
}

int table_environment(const struct table_view *view, unsigned number,
                      char ret[CATLATCH_ENVIRONMENT_SIZE])
{
    if (number == TABLE_ENVIRONMENT_NONE) {
        ret[0] = '\0';
        return 0;
    }
    const struct table_environment *found = environment_at(view, number);
    if (found == NULL)
        return CATLATCH_E_DATA;
    memcpy(ret, found->name, sizeof found->name);
    return memchr(ret, '\0', sizeof found->name) != NULL ? 0 : CATLATCH_E_DATA;
}

int table_environment_is(const struct table_view *view, unsigned number, const char *name)
{
    if (number == TABLE_ENVIRONMENT_NONE)
        return 0;
    const struct table_environment *found = environment_at(view, number);
    if (found == NULL)
        return CATLATCH_E_DATA;
    return strncmp(found->name, name, sizeof found->name) == 0;
}
