#include "table/side.h"

#include <string.h>

#define SCOPES_RECORD_MAX (sizeof(struct table_side_list) + CATLATCH_SCOPES_SIZE)
#define NETWORKS_RECORD_MAX (sizeof(struct table_side_list) + NETWORKS_MAX * NETWORK_BYTES_MAX)
#define IDENTITY_RECORD_MAX                                                  \
    (sizeof(struct table_side_limits) + sizeof(struct table_side_identity) + \
     CATLATCH_PREFIX_SIZE + CATLATCH_TEXT_SIZE + sizeof(uint32_t))

/* The records of an entry's lists, which keys share; of length 0 where it has none. */
struct lists {
    size_t scopes_len, networks_len, limits_len;
    unsigned char scopes[SCOPES_RECORD_MAX];
    unsigned char networks[NETWORKS_RECORD_MAX];
    unsigned char limits[SIDE_LIMITS_RECORD_MAX];
};

/* Appends the text and returns its length. */
static size_t put_text(unsigned char *to, struct text text)
{
    if (text.len > 0)
        memcpy(to, text.bytes, text.len);
    return text.len;
}

/* The number of an environment, made if need be. Returns 0, E_DATA or E_FULL. */
static int environment_number(struct table_writer *writer, const struct table_entry *entry,
                              unsigned *ret_number)
{
    struct table_header *header = writer->header;
    struct table_environment wanted = {{0}, {0}};
    if (entry->environment.len == 0) {
        *ret_number = TABLE_ENVIRONMENT_NONE;
        return 0;
    }
    if (entry->environment.len >= sizeof wanted.name ||
        entry->environment_prefix.len > sizeof wanted.prefix)
        return CATLATCH_E_DATA;
    put_text((unsigned char *)wanted.name, entry->environment);
    put_text((unsigned char *)wanted.prefix, entry->environment_prefix);

    uint64_t count = atomic_load_explicit(&header->environment_count, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++)
        if (memcmp(&header->environments[i], &wanted, sizeof wanted) == 0) {
            *ret_number = i;
            return 0;
        }
    if (count >= KEY_ENVIRONMENTS_MAX)
        return CATLATCH_E_FULL;
    header->environments[count] = wanted;
    /* release: pairs with environment_at in view.c */
    atomic_store_explicit(&header->environment_count, count + 1, memory_order_release);
    *ret_number = (unsigned)count;
    return 0;
}

int table_name_limit(struct table_writer *writer, const char name[NAMED_LIMIT_NAME_SIZE],
                     const struct rate *rate)
{
    struct table_header *header = writer->header;
    uint64_t count = atomic_load_explicit(&header->limit_count, memory_order_relaxed);
    uint64_t pulse = atomic_load_explicit(&header->pulse, memory_order_relaxed), at = 0;
    if (table_named_limit(&writer->view, name, rate) >= 0)
        return 0;
    /* What table_keep_limits left out is nobody's before anybody reads. */
    while (at < count && (pulse != TABLE_PULSE_FILLING || header->limits[at].name[0] != '\0'))
        at++;
    if (at >= NAMED_RATES_MAX)
        return CATLATCH_E_FULL;
    header->limits[at].rate = *rate;
    memcpy(header->limits[at].name, name, sizeof header->limits[at].name);
    /* release: pairs with table_named_limit in view.c */
    if (at == count)
        atomic_store_explicit(&header->limit_count, count + 1, memory_order_release);
    return 0;
}

static bool is_named(const struct named_limits *named, const struct table_named_limit *limit)
{
    for (size_t i = 0; i < named->count; i++)
        for (uint32_t j = 0; j < named->list[i].rates.count; j++)
            if (memcmp(named->list[i].name, limit->name, sizeof limit->name) == 0 &&
                rate_equal(&named->list[i].rates.list[j], &limit->rate))
                return true;
    return false;
}

unsigned table_spare_limits(const struct table_view *view, const struct named_limits *named)
{
    const struct table_header *header = view->header;
    uint64_t count = atomic_load_explicit(&header->limit_count, memory_order_relaxed);
    unsigned spare = 0, known = 0, wanted = 0;
    for (size_t i = 0; i < named->count; i++)
        wanted += named->list[i].rates.count;
    for (unsigned i = 0; i < count && i < NAMED_RATES_MAX; i++) {
        bool is_wanted = is_named(named, &header->limits[i]);
        known += is_wanted;
        spare |= is_wanted ? 0 : 1u << i;
    }
    return count + wanted - known <= NAMED_RATES_MAX ? 0 : spare;
}

void table_keep_limits(struct table_writer *writer, const struct table_view *from, unsigned spare)
{
    struct table_header *header = writer->header;
    uint64_t count = atomic_load_explicit(&from->header->limit_count, memory_order_relaxed);
    if (count > NAMED_RATES_MAX)
        count = NAMED_RATES_MAX;
    for (unsigned i = 0; i < count; i++)
        if ((spare >> i & 1) == 0)
            header->limits[i] = from->header->limits[i];
    atomic_store_explicit(&header->limit_count, count, memory_order_relaxed);
}

static bool claimed(const struct table_slot *slot)
{
    return atomic_load_explicit(&slot->id, memory_order_relaxed) != 0;
}

struct probe {
    uint64_t newest; /* the last slot with the digest, published or claimed, or TABLE_NO_SLOT */
    uint64_t free;   /* the first slot that can be claimed, or TABLE_NO_SLOT */
};

static struct probe probe_for(const struct table_writer *writer, const struct digest *digest)
{
    struct probe probe = {TABLE_NO_SLOT, TABLE_NO_SLOT};
    uint64_t number = table_slot_home(&writer->view, digest);
    for (unsigned walked = 0; walked < TABLE_PROBE_MAX; walked++) {
        const struct table_slot *slot = &writer->slots[number];
        unsigned state = control_state(atomic_load_explicit(&slot->control, memory_order_relaxed));
        if (state == SLOT_EMPTY && !claimed(slot)) {
            probe.free = number;
            break;
        }
        if (state != SLOT_REPLACED && table_slot_has(slot, digest))
            probe.newest = number;
        if (++number == writer->view.slot_count)
            number = 0;
    }
    return probe;
}

static unsigned rate_count(const struct table_entry *entry)
{
    return entry->rates != NULL ? entry->rates->count : 0;
}

static unsigned owner_rate_count(const struct table_entry *entry)
{
    return entry->owner_rates != NULL ? entry->owner_rates->count : 0;
}

static bool has_limits(const struct table_entry *entry)
{
    return rate_count(entry) > 0 || entry->has_uses;
}

static int entry_control(const struct table_entry *entry, unsigned environment,
                         uint64_t *ret_control)
{
    if (entry->expires_unix_s < 0 || entry->expires_unix_s > CONTROL_EXPIRES_MAX)
        return CATLATCH_E_DATA;
    *ret_control = (entry->revoked ? SLOT_REVOKED : SLOT_LIVE) |
                   (entry->disabled ? CONTROL_DISABLED : 0) |
                   (entry->suspended ? CONTROL_SUSPENDED : 0) |
                   (entry->not_before_unix_s != 0 ? CONTROL_NOT_BEFORE : 0) |
                   (entry->well_formed ? CONTROL_WELL_FORMED : 0) |
                   (entry->network_count > 0 ? CONTROL_NETWORKS : 0) |
                   (has_limits(entry) ? CONTROL_LIMITS : 0) |
                   (owner_rate_count(entry) > 0 ? CONTROL_OWNER_LIMITS : 0) |
                   (uint64_t)environment << CONTROL_ENVIRONMENT_SHIFT |
                   (uint64_t)entry->expires_unix_s << CONTROL_EXPIRES_SHIFT;
    return 0;
}

static int encode_scopes(const struct table_entry *entry, struct lists *ret)
{
    size_t at = sizeof(struct table_side_list), shown = 0;
    for (size_t i = 0; i < entry->scope_count; i++) {
        struct text scope = entry->scopes[i];
        shown += scope.len + 1; /* what table_scopes makes of it must fit there */
        if (scope.len == 0 || scope.len > UINT8_MAX || shown > CATLATCH_SCOPES_SIZE ||
            entry->scope_count > UINT16_MAX)
            return CATLATCH_E_DATA;
        ret->scopes[at++] = (unsigned char)scope.len;
        memcpy(ret->scopes + at, scope.bytes, scope.len);
        at += scope.len;
    }
    ret->scopes_len = side_list(ret->scopes, entry->scope_count, at);
    return 0;
}

static int encode_networks(const struct table_entry *entry, struct lists *ret)
{
    size_t at = sizeof(struct table_side_list);
    if (entry->network_count > NETWORKS_MAX)
        return CATLATCH_E_DATA;
    for (size_t i = 0; i < entry->network_count; i++)
        at += network_encode(&entry->networks[i], ret->networks + at);
    ret->networks_len = side_list(ret->networks, entry->network_count, at);
    return 0;
}

static int encode_limits(const struct table_entry *entry, struct lists *ret)
{
    if (rate_count(entry) > 0 && !rates_are_sane(entry->rates))
        return CATLATCH_E_DATA;
    ret->limits_len = rate_count(entry) > 0 ? side_limits(entry->rates, ret->limits) : 0;
    return 0;
}

static int check_texts(const struct table_entry *entry)
{
    return entry->id != 0 && entry->owner.len < CATLATCH_TEXT_SIZE &&
                   entry->name.len < CATLATCH_TEXT_SIZE && entry->prefix.len < CATLATCH_PREFIX_SIZE
               ? 0
               : CATLATCH_E_DATA;
}

static bool same_scopes(const struct table_writer *writer, const struct table_slot *slot,
                        const unsigned char *record, size_t len)
{
    uint32_t ref = atomic_load_explicit(&slot->scopes_ref, memory_order_relaxed);
    if (ref == 0 || len == 0)
        return ref == 0 && len == 0;
    uint64_t offset = (uint64_t)ref * 8;
    return len <= writer->view.side_size - offset &&
           memcmp(writer->side + offset, record, len) == 0;
}

/* The control word that a slot has, or will have once its claim is published: layout.h, rule 6. */
static uint64_t slot_control(const struct table_slot *slot)
{
    uint64_t control = atomic_load_explicit(&slot->control, memory_order_relaxed);
    return control != 0 ? control : atomic_load_explicit(&slot->usage, memory_order_relaxed);
}

static bool same_networks(const struct table_writer *writer, uint64_t number,
                          const struct table_entry *entry)
{
    struct network known[NETWORKS_MAX];
    size_t count;
    if (table_networks(&writer->view, number, slot_control(&writer->slots[number]), known,
                       &count) != 0 ||
        count != entry->network_count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!network_equal(&known[i], &entry->networks[i]))
            return false;
    return true;
}

static bool same_limits(const struct table_writer *writer, uint64_t number,
                        const struct table_entry *entry)
{
    struct table_limits known;
    if (table_limits(&writer->view, number, slot_control(&writer->slots[number]), &known) != 0 ||
        known.count != rate_count(entry) || known.has_uses != entry->has_uses)
        return false;
    for (unsigned i = 0; i < known.count; i++)
        if (!rate_equal(&known.rates[i].rate, &entry->rates->list[i]))
            return false;
    return true;
}

/* Whether nothing but the control word tells the entry from what stands in the slot. */
static bool same_write_once(const struct table_writer *writer, uint64_t number,
                            const struct table_entry *entry, uint64_t control,
                            const struct lists *lists)
{
    struct table_identity known;
    uint64_t differs = slot_control(&writer->slots[number]) ^ control;
    return (differs & CONTROL_WRITE_ONCE) == 0 &&
           table_identity(&writer->view, number, &known) == 0 &&
           known.not_before_unix_s == entry->not_before_unix_s &&
           text_is(entry->name, known.name) && text_is(entry->owner, known.owner) &&
           text_is(entry->prefix, known.prefix) &&
           same_scopes(writer, &writer->slots[number], lists->scopes, lists->scopes_len) &&
           same_networks(writer, number, entry) && same_limits(writer, number, entry);
}

/* An older record like this one or a new one; *ret_ref is 0 where there is none to make. */
static int share_list(struct table_writer *writer, const unsigned char *record, size_t len,
                      enum table_purpose purpose, uint32_t *ret_ref)
{
    *ret_ref = len > 0 ? side_intern(writer, record, len, purpose) : 0;
    return len > 0 && *ret_ref == 0 ? CATLATCH_E_FULL : 0;
}

static int append_records(struct table_writer *writer, const struct table_entry *entry,
                          const struct lists *lists, enum table_purpose purpose,
                          uint32_t *ret_identity, uint32_t *ret_scopes)
{
    unsigned char record[IDENTITY_RECORD_MAX];
    uint32_t scopes_ref, networks_ref, limits_ref;
    struct table_side_identity fixed = {
        .owner_ref = side_intern_owner(writer, entry->owner, purpose),
        .name_len = (uint8_t)entry->name.len,
        .prefix_len = (uint8_t)entry->prefix.len,
        .not_before_unix_s = entry->not_before_unix_s,
    };
    if (fixed.owner_ref == 0 ||
        share_list(writer, lists->scopes, lists->scopes_len, purpose, &scopes_ref) != 0 ||
        share_list(writer, lists->networks, lists->networks_len, purpose, &networks_ref) != 0 ||
        share_list(writer, lists->limits, lists->limits_len, purpose, &limits_ref) != 0)
        return CATLATCH_E_FULL;

    size_t at = 0;
    struct table_side_limits head = {.limits_ref = limits_ref, .has_uses = entry->has_uses};
    if (has_limits(entry)) {
        memcpy(record, &head, sizeof head);
        at = sizeof head;
    }
    memcpy(record + at, &fixed, sizeof fixed);
    at += sizeof fixed;
    at += put_text(record + at, entry->prefix);
    at += put_text(record + at, entry->name);
    if (networks_ref != 0) {
        memcpy(record + at, &networks_ref, sizeof networks_ref);
        at += sizeof networks_ref;
    }
    uint32_t identity_ref = side_append(writer, record, at, purpose);
    if (identity_ref == 0)
        return CATLATCH_E_FULL;
    *ret_identity = identity_ref + (has_limits(entry) ? (uint32_t)sizeof head / 8 : 0);
    *ret_scopes = scopes_ref;
    return 0;
}

static int fill_slot(struct table_writer *writer, uint64_t number, const struct table_entry *entry,
                     const struct lists *lists, enum table_purpose purpose, uint64_t control)
{
    struct table_slot *slot = &writer->slots[number];
    uint32_t identity_ref, scopes_ref;
    int r = append_records(writer, entry, lists, purpose, &identity_ref, &scopes_ref);
    if (r != 0)
        return r;
    for (unsigned i = 0; i < DIGEST_WORDS; i++)
        atomic_store_explicit(&slot->digest[i], entry->digest.word[i], memory_order_relaxed);
    atomic_store_explicit(&slot->identity_ref, identity_ref, memory_order_relaxed);
    atomic_store_explicit(&slot->scopes_ref, scopes_ref, memory_order_relaxed);
    atomic_store_explicit(&slot->usage, control, memory_order_relaxed);
    atomic_store_explicit(&slot->id, entry->id, memory_order_relaxed);
    writer->slots_used++;
    return 0;
}

/* A claim on a slot of its own. */
static int claim_slot(struct table_writer *writer, const struct table_entry *entry,
                      const struct probe *probe, const struct lists *lists,
                      enum table_purpose purpose, struct table_claim *claim)
{
    uint64_t limit = writer->capacity + (purpose == TABLE_NARROWING ? writer->reserve : 0);
    if (probe->free == TABLE_NO_SLOT || writer->slots_used >= limit)
        return CATLATCH_E_FULL;
    claim->slot = probe->free;
    claim->old = probe->newest;
    return fill_slot(writer, probe->free, entry, lists, purpose, claim->control);
}

/* What the key has it keeps; what it has not it gets. */
static uint64_t kept_usage(const struct table_slot *slot, uint64_t fresh)
{
    uint64_t known = atomic_load_explicit(&slot->usage, memory_order_relaxed);
    uint64_t record = known & UINT32_MAX, block = known >> 32;
    return (record != 0 ? record : fresh & UINT32_MAX) | (block != 0 ? block : fresh >> 32) << 32;
}

static bool same_owner_limits(const struct table_writer *writer, uint64_t number,
                              const struct table_entry *entry)
{
    struct table_limits known;
    uint32_t block;
    if (table_owner_limits(&writer->view, number, &known, &block) != 0 ||
        block != entry->owner_block || known.count != owner_rate_count(entry))
        return false;
    for (unsigned i = 0; i < known.count; i++)
        if (!rate_equal(&known.rates[i].rate, &entry->owner_rates->list[i]))
            return false;
    return true;
}

/* What the key's slot shows already takes no room; and a revoke, for which it does not count, goes
 * on without. */
static int owner_word(struct table_writer *writer, const struct table_entry *entry, uint64_t newest,
                      enum table_purpose purpose, uint64_t *ret_word)
{
    bool known = newest != TABLE_NO_SLOT, same = known && same_owner_limits(writer, newest, entry);
    int r =
        same ? 0
             : table_owner_word(writer, entry->owner_rates, entry->owner_block, purpose, ret_word);
    if (!same && !(r == CATLATCH_E_FULL && known && entry->revoked))
        return r;
    uint32_t ref = side_owner_of(writer, &writer->slots[newest]);
    *ret_word = atomic_load_explicit(side_owner_word(writer, ref), memory_order_relaxed);
    return 0;
}

int table_claim(struct table_writer *writer, const struct table_entry *entry,
                enum table_purpose purpose, struct table_claim *ret_claim)
{
    struct lists lists;
    unsigned environment;
    struct table_claim claim;
    int r;

    if ((r = check_texts(entry)) != 0 || (r = encode_scopes(entry, &lists)) != 0 ||
        (r = encode_networks(entry, &lists)) != 0 || (r = encode_limits(entry, &lists)) != 0 ||
        (r = environment_number(writer, entry, &environment)) != 0 ||
        (r = entry_control(entry, environment, &claim.control)) != 0)
        return r;

    struct probe probe = probe_for(writer, &entry->digest);
    bool known = probe.newest != TABLE_NO_SLOT;
    claim.usage = entry->usage;
    if (known) {
        const struct table_slot *slot = &writer->slots[probe.newest];
        if (atomic_load_explicit(&slot->id, memory_order_relaxed) != entry->id ||
            (control_state(slot_control(slot)) == SLOT_REVOKED && !entry->revoked))
            return CATLATCH_E_CONFLICT;
        if (control_state(atomic_load_explicit(&slot->control, memory_order_relaxed)) != SLOT_EMPTY)
            claim.usage = kept_usage(slot, entry->usage);
    }
    if ((r = owner_word(writer, entry, known ? probe.newest : TABLE_NO_SLOT, purpose,
                        &claim.owner_word)) != 0)
        return r;
    /* A key that is revoked needs no new texts: only that it is refused counts, and a revoke must
     * never want for room. */
    if (known &&
        (entry->revoked || same_write_once(writer, probe.newest, entry, claim.control, &lists)))
        claim.slot = claim.old = probe.newest;
    else if ((r = claim_slot(writer, entry, &probe, &lists, purpose, &claim)) != 0)
        return r;
    claim.serial = ++writer->claimed;
    *ret_claim = claim;
    return 0;
}

static void tell_use(struct table_writer *writer)
{
    atomic_store_explicit(&writer->header->slots_used, writer->slots_used, memory_order_relaxed);
    atomic_store_explicit(&writer->header->side_used, writer->side_used, memory_order_relaxed);
}

/* Whether what the claim was built on still stands. After a claim of the same key that was given
 * up, or beside a revoke, it does not, and publishing would bring back a dead slot or leave the old
 * one to be found first (layout.h, rules 1 and 4). */
static bool claim_stands(const struct table_writer *writer, const struct table_claim *claim)
{
    if (claim->old == TABLE_NO_SLOT)
        return true;
    unsigned state = control_state(
        atomic_load_explicit(&writer->slots[claim->old].control, memory_order_relaxed));
    return state == SLOT_LIVE ||
           (state == SLOT_REVOKED && control_state(claim->control) == SLOT_REVOKED);
}

void table_publish(struct table_writer *writer, const struct table_claim *claim)
{
    struct table_slot *slot = &writer->slots[claim->slot];
    assert(claim->serial > writer->published); /* layout.h, rule 3 */
    assert(claim_stands(writer, claim));
    writer->published = claim->serial;
    table_store_owner_word(writer, slot, claim->owner_word);

    if (claim->old == claim->slot) {
        /* A revoked key was claimed whatever stands there. */
        uint64_t kept =
            atomic_load_explicit(&slot->control, memory_order_relaxed) & CONTROL_WRITE_ONCE;
        uint64_t rest = claim->control & ~CONTROL_WRITE_ONCE;
        /* release: pairs with the acquire in table_find */
        atomic_store_explicit(&slot->control, kept | rest, memory_order_release);
        return;
    }
    atomic_store_explicit(&slot->usage, claim->usage, memory_order_relaxed);
    /* release: pairs with the acquire in table_find */
    atomic_store_explicit(&slot->control, claim->control, memory_order_release);
    if (claim->old != TABLE_NO_SLOT) {
        struct table_slot *old = &writer->slots[claim->old];
        uint64_t control = atomic_load_explicit(&old->control, memory_order_relaxed);
        /* release: whoever sees the mark sees the slot that replaces this one */
        atomic_store_explicit(&old->control, control | CONTROL_STATE_MASK, memory_order_release);
    }
    tell_use(writer);
}

/* Takes the newest claim back as if it had not been made. Owner, scopes and networks, which others
 * share, or will, stay. */
static void unclaim(struct table_writer *writer, struct table_slot *slot)
{
    uint64_t at = (uint64_t)atomic_load_explicit(&slot->identity_ref, memory_order_relaxed) * 8;
    struct table_side_identity fixed;
    memcpy(&fixed, writer->side + at, sizeof fixed);
    size_t len = sizeof fixed + fixed.prefix_len + fixed.name_len;
    if ((slot_control(slot) & CONTROL_NETWORKS) != 0)
        len += sizeof(uint32_t);
    if ((slot_control(slot) & CONTROL_LIMITS) != 0) {
        len += sizeof(struct table_side_limits);
        at -= sizeof(struct table_side_limits);
    }
    /* Unless a claim that failed later left a shared record behind it. */
    if (at + side_room(len) == writer->side_used)
        writer->side_used = at;
    atomic_store_explicit(&slot->usage, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->id, 0, memory_order_relaxed);
    writer->slots_used--;
}

void table_abandon(struct table_writer *writer, const struct table_claim *claim)
{
    bool newest = claim->serial == writer->claimed;
    if (newest)
        writer->claimed--;
    if (claim->old == claim->slot)
        return;
    assert(claim->serial > writer->published); /* or it has hidden what was published behind it */
    struct table_slot *slot = &writer->slots[claim->slot];
    if (newest) {
        unclaim(writer, slot);
        return;
    }
    atomic_store_explicit(&slot->usage, 0, memory_order_relaxed);
    /* Dead at once, so that what was claimed behind it can be reached. */
    atomic_store_explicit(&slot->control, SLOT_REPLACED, memory_order_release);
    tell_use(writer);
}

void table_set_sequence(struct table_writer *writer, uint64_t sequence)
{
    atomic_store_explicit(&writer->header->sequence, sequence, memory_order_release);
}

void table_beat(struct table_header *header, uint64_t now_ms)
{
    uint64_t seen = atomic_load_explicit(&header->pulse, memory_order_relaxed);
    /* When the exchange fails the mark was set meanwhile, which is the only other store. */
    if (seen != TABLE_PULSE_SUPERSEDED)
        atomic_compare_exchange_strong_explicit(&header->pulse, &seen, now_ms, memory_order_release,
                                                memory_order_relaxed);
}

void table_supersede(struct table_header *header)
{
    atomic_store_explicit(&header->pulse, TABLE_PULSE_SUPERSEDED, memory_order_release);
}

unsigned table_fill_permille(const struct table_writer *writer)
{
    uint64_t slots = writer->slots_used * 1000 / writer->capacity;
    uint64_t side = writer->side_used * 1000 / side_limit(writer, TABLE_ORDINARY);
    return (unsigned)(slots > side ? slots : side);
}
