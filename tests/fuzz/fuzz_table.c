/*
 * Fuzzes the table in two ways, by the first byte of the input:
 *  even  the rest is a table, with its header repaired so far that a reader takes it, in a buffer
 * of exactly its size: whatever it says, readers answer without reading outside; odd   the rest are
 * changes, made to a table and to a plain model, which must agree after each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crc32.h"
#include "input.h"
#include "table/writer.h"

/* Tables of any bytes. */

/* More slots are more of the same. */
#define ANY_SLOTS_MAX 40u

static void *aligned_buffer(size_t size)
{
    void *base;
    CHECK(posix_memalign(&base, TABLE_PAGE, size) == 0);
    memset(base, 0, size);
    return base;
}

static void repair_header(struct table_header *header, size_t size)
{
    header->magic = TABLE_MAGIC;
    header->layout = TABLE_LAYOUT;
    header->slot_size = sizeof(struct table_slot);
    header->file_size = size;
    header->checksum = crc32_update(
        0, (const unsigned char *)header + offsetof(struct table_header, magic),
        offsetof(struct table_header, checksum) - offsetof(struct table_header, magic));
}

static void read_all(const struct table_view *view, uint64_t slot, unsigned environment)
{
    static const struct address address = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3}};
    struct table_identity identity;
    int64_t not_before;
    struct network networks[NETWORKS_MAX];
    size_t count;
    char scopes[CATLATCH_SCOPES_SIZE], name[CATLATCH_ENVIRONMENT_SIZE];
    int r = table_identity(view, slot, &identity);
    CHECK(r == CATLATCH_E_DATA ||
          (r == 0 && memchr(identity.prefix, '\0', sizeof identity.prefix) != NULL &&
           memchr(identity.owner, '\0', sizeof identity.owner) != NULL &&
           memchr(identity.name, '\0', sizeof identity.name) != NULL));
    r = table_not_before(view, slot, &not_before);
    CHECK(r == 0 || r == CATLATCH_E_DATA);
    r = table_scopes(view, slot, scopes);
    CHECK(r == CATLATCH_E_DATA || (r == 0 && memchr(scopes, '\0', sizeof scopes) != NULL));
    r = table_has_scope(view, slot, "admin", 5);
    CHECK(r == 0 || r == 1 || r == CATLATCH_E_DATA);
    r = table_allows(view, slot, &address);
    CHECK(r == 0 || r == 1 || r == CATLATCH_E_DATA);
    r = table_networks(view, slot, CONTROL_NETWORKS, networks, &count);
    CHECK(r == CATLATCH_E_DATA || (r == 0 && count > 0 && count <= NETWORKS_MAX));
    r = table_environment(view, environment, name);
    CHECK(r == CATLATCH_E_DATA || (r == 0 && memchr(name, '\0', sizeof name) != NULL));
    r = table_environment_is(view, environment, "live");
    CHECK(r == 0 || r == 1 || r == CATLATCH_E_DATA);
}

static void read_as_table(const struct table_view *view, struct input digests)
{
    struct table_hit hit = {0};
    for (uint64_t n = 0; n < view->slot_count; n++) {
        struct digest digest;
        for (unsigned i = 0; i < DIGEST_WORDS; i++)
            digest.word[i] = atomic_load(&view->slots[n].digest[i]);
        table_prefetch(view, &digest);
        if (table_find(view, &digest, &hit) == TABLE_HIT) {
            CHECK(hit.slot < view->slot_count && hit.id != 0);
            read_all(view, hit.slot, control_environment(hit.control));
        }
        read_all(view, n, (unsigned)n);
    }
    while (digests.left > 0) {
        struct digest digest;
        take_bytes(&digests, &digest, sizeof digest);
        table_find(view, &digest, &hit);
    }
}

/* Puts a number of the input, or one near to what is there, into a field of the geometry. */
static void bend_geometry(struct table_header *header, struct input *input)
{
    uint64_t *fields[] = {&header->slot_count, &header->slots_offset, &header->side_offset,
                          &header->side_size};
    for (unsigned count = take(input) % 4; count > 0; count--) {
        unsigned choice = take(input);
        uint64_t value;
        take_bytes(input, &value, choice & 4 ? 8 : 2);
        *fields[choice % 4] = choice & 8 ? value : *fields[choice % 4] + value * 8;
    }
}

static void fuzz_bytes(struct input input, bool bent)
{
    uint64_t slots = 1 + take(&input) % ANY_SLOTS_MAX, side = take(&input);
    if (side & 1)
        side = side << 4 | take(&input);
    size_t size = TABLE_PAGE + slots * sizeof(struct table_slot) + side;
    void *base = aligned_buffer(size);
    struct input digests = input;
    struct table_header *header = base;
    struct table_view view;
    take_bytes(&input, header->seed, sizeof header->seed);
    header->environment_count = take(&input);
    take_bytes(&input, header->environments, sizeof header->environments[0]);
    header->slot_count = slots;
    header->slots_offset = TABLE_PAGE;
    header->side_offset = size - side;
    header->side_size = side;
    if (bent)
        bend_geometry(header, &input);
    take_bytes(&input, (char *)base + TABLE_PAGE, size - TABLE_PAGE);
    repair_header(header, size);
    int r = table_view_init(&view, base, size, NULL);
    CHECK(r == 0 || bent);
    if (r == 0)
        read_as_table(&view, digests);
    free(base);
}

/* Changes, made to a table and to a model. */

#define KEYS 12
#define PENDING_MAX 6
#define TEXTS 4

struct model_key {
    bool there;
    bool disabled, suspended, revoked;
    unsigned name, owner, scopes, networks, environment;
    int64_t expires, not_before;
};

struct pending {
    struct table_claim claim;
    unsigned key;
    struct model_key after;
};

struct model {
    struct table_writer writer;
    struct model_key shown[KEYS];   /* what readers must see */
    struct model_key claimed[KEYS]; /* after everything that is pending */
    struct pending pending[PENDING_MAX];
    unsigned pending_count;
    struct digest digests[KEYS];
    char texts[TEXTS][CATLATCH_TEXT_SIZE];
};

static struct text scope_list(unsigned number, size_t i)
{
    static const char *const scopes[] = {"a", "read", "write", "admin", "a:very:long:scope"};
    return text_of(scopes[(number + i) % 5]);
}

/* Lists of networks are up to three of these in a row. */
static const struct network some_networks[] = {
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10}}, 96 + 8},
    {{{0}}, 0},
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}}, 96},
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3}}, 96 + 32},
    {{{0x20, 1, 0x0d, 0xb8}}, 32},
    {{{0xfe, 0x80}}, 10},
};

static void entry_of(struct model *model, unsigned number, const struct model_key *key,
                     struct text scopes[4], struct table_entry *ret)
{
    static const char *const environments[] = {"", "live", "test", "e3", "e4", "e5", "e6", "e7"};
    for (size_t i = 0; i < key->scopes % 5; i++)
        scopes[i] = scope_list(key->scopes / 5, i);
    *ret = (struct table_entry){
        .digest = model->digests[number],
        .id = number + 1,
        .name = text_of(model->texts[key->name]),
        .owner = text_of(model->texts[key->owner]),
        .prefix = text_of("cc_live_AbCdEfG"),
        .environment = text_of(environments[key->environment]),
        .environment_prefix = text_of("cc_live_"),
        .scopes = scopes,
        .scope_count = key->scopes % 5,
        .networks = some_networks + key->networks / 4 % 4,
        .network_count = key->networks % 4,
        .expires_unix_s = key->expires,
        .not_before_unix_s = key->not_before,
        .disabled = key->disabled,
        .suspended = key->suspended,
        .revoked = key->revoked,
    };
}

static void check_shown_texts(struct model *model, const struct table_hit *hit,
                              const struct table_entry *entry)
{
    const struct table_view *view = &model->writer.view;
    struct table_identity identity;
    char environment[CATLATCH_ENVIRONMENT_SIZE], scopes[CATLATCH_SCOPES_SIZE];
    char joined[CATLATCH_SCOPES_SIZE] = "";
    CHECK(table_identity(view, hit->slot, &identity) == 0);
    CHECK(text_is(entry->name, identity.name) && text_is(entry->owner, identity.owner) &&
          text_is(entry->prefix, identity.prefix));
    CHECK(identity.not_before_unix_s == entry->not_before_unix_s);
    CHECK(table_environment(view, control_environment(hit->control), environment) == 0);
    CHECK(text_is(entry->environment, environment));
    for (size_t i = 0; i < entry->scope_count; i++) {
        snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", i > 0 ? " " : "",
                 entry->scopes[i].bytes);
        CHECK(table_has_scope(view, hit->slot, entry->scopes[i].bytes, entry->scopes[i].len) == 1);
    }
    CHECK(table_scopes(view, hit->slot, scopes) == 0 && strcmp(scopes, joined) == 0);
}

static void check_shown_networks(const struct table_view *view, const struct table_hit *hit,
                                 const struct table_entry *entry)
{
    struct network networks[NETWORKS_MAX];
    size_t count;
    CHECK(((hit->control & CONTROL_NETWORKS) != 0) == (entry->network_count > 0));
    CHECK(table_networks(view, hit->slot, hit->control, networks, &count) == 0);
    CHECK(count == entry->network_count);
    CHECK(table_allows(view, hit->slot, NULL) == (count == 0));
    for (size_t i = 0; i < sizeof some_networks / sizeof *some_networks; i++) {
        const struct address *address = &some_networks[i].base;
        bool allowed = count == 0;
        for (size_t j = 0; j < count; j++)
            allowed |= network_has(&entry->networks[j], address);
        CHECK(table_allows(view, hit->slot, address) == allowed);
    }
    for (size_t i = 0; i < count; i++)
        CHECK(network_equal(&networks[i], &entry->networks[i]));
}

static void check_shown(struct model *model, unsigned number)
{
    const struct model_key *key = &model->shown[number];
    struct table_hit hit;
    struct table_entry entry;
    struct text scopes[4];
    enum table_found found = table_find(&model->writer.view, &model->digests[number], &hit);
    CHECK(found == (key->there ? TABLE_HIT : TABLE_MISS));
    if (!key->there)
        return;
    entry_of(model, number, key, scopes, &entry);
    CHECK(hit.id == number + 1);
    CHECK(control_state(hit.control) == (key->revoked ? SLOT_REVOKED : SLOT_LIVE));
    CHECK(key->revoked || (((hit.control & CONTROL_DISABLED) != 0) == key->disabled &&
                           ((hit.control & CONTROL_SUSPENDED) != 0) == key->suspended &&
                           control_expires_unix_s(hit.control) == key->expires));
    CHECK(((hit.control & CONTROL_NOT_BEFORE) != 0) == (key->not_before != 0));
    check_shown_texts(model, &hit, &entry);
    check_shown_networks(&model->writer.view, &hit, &entry);
}

static void change_key(struct input *input, struct model_key *key)
{
    unsigned value = take(input);
    key->there = true;
    switch (value % 10) {
    case 0:
        key->disabled = !key->disabled;
        break;
    case 1:
        key->suspended = !key->suspended;
        break;
    case 2:
        key->revoked = true;
        break;
    case 3:
        key->name = value / 10 % TEXTS;
        break;
    case 4:
        key->owner = value / 10 % TEXTS;
        break;
    case 5:
        key->scopes = value / 10;
        break;
    case 6:
        key->environment = value / 10 % 8;
        break;
    case 7:
        key->expires = (int64_t)(value / 10) << (value % 30);
        break;
    case 8:
        key->not_before = value / 10 % 3;
        break;
    case 9:
        key->networks = value / 10;
        break;
    }
}

/* What a revoke shows of a key that was there: nothing new but that it is revoked. */
static struct model_key revoked_of(struct model_key before)
{
    if (before.there)
        before.revoked = true;
    return before;
}

static bool same_text(const struct model *model, unsigned a, unsigned b)
{
    return strcmp(model->texts[a], model->texts[b]) == 0;
}

static bool same_scopes(unsigned a, unsigned b)
{
    return a % 5 == b % 5 && (a % 5 == 0 || a / 5 % 5 == b / 5 % 5);
}

static bool same_networks(unsigned a, unsigned b)
{
    return a % 4 == b % 4 && (a % 4 == 0 || a / 4 % 4 == b / 4 % 4);
}

static bool needs_slot(const struct model *model, const struct model_key *before,
                       const struct model_key *after)
{
    if (!before->there)
        return true;
    return !after->revoked &&
           !(same_text(model, before->name, after->name) &&
             same_text(model, before->owner, after->owner) &&
             same_scopes(before->scopes, after->scopes) &&
             same_networks(before->networks, after->networks) &&
             before->environment == after->environment && before->not_before == after->not_before);
}

/* Whether a claim may say that the table is full. */
static bool may_be_full(const struct model *model, enum table_purpose purpose)
{
    const struct table_writer *writer = &model->writer;
    uint64_t limit = writer->capacity + (purpose == TABLE_NARROWING ? writer->reserve : 0);
    uint64_t side =
        writer->view.side_size - (purpose == TABLE_NARROWING ? 0 : writer->side_reserve);
    return writer->slots_used >= limit || side - writer->side_used < 1024 ||
           writer->slots_used >= TABLE_PROBE_MAX;
}

static void claim_change(struct model *model, struct input *input)
{
    struct table_entry entry;
    struct text scopes[4];
    unsigned number = take(input) % KEYS;
    struct model_key before = model->claimed[number], after = before;
    struct pending *pending = &model->pending[model->pending_count];
    if (before.revoked) /* its owner, the store, never asks for that unless all was published */
        return;
    change_key(input, &after);
    entry_of(model, number, &after, scopes, &entry);
    enum table_purpose purpose = take(input) % 4 == 0 ? TABLE_NARROWING : TABLE_ORDINARY;
    uint64_t slots = model->writer.slots_used;
    int r = table_claim(&model->writer, &entry, purpose, &pending->claim);
    bool takes_slot = needs_slot(model, &before, &after);
    CHECK(r == 0 || (r == CATLATCH_E_FULL && takes_slot && may_be_full(model, purpose)));
    CHECK(model->writer.slots_used == slots + (r == 0 && takes_slot));
    if (r != 0)
        return;
    pending->key = number;
    pending->after = after.revoked && before.there ? revoked_of(before) : after;
    model->claimed[number] = pending->after;
    model->pending_count++;
}

/* Neither a revoked key nor its digest can be had again. */
static void claim_in_vain(struct model *model, struct input *input)
{
    struct table_claim claim;
    struct table_entry entry;
    struct text scopes[4];
    unsigned number = take(input) % KEYS;
    struct model_key key = model->shown[number];
    if (!key.there)
        return;
    key.revoked = false;
    entry_of(model, number, &key, scopes, &entry);
    if (!model->shown[number].revoked)
        entry.id += 100;
    CHECK(table_claim(&model->writer, &entry, TABLE_NARROWING, &claim) == CATLATCH_E_CONFLICT);
}

static void publish_all(struct model *model)
{
    for (unsigned i = 0; i < model->pending_count; i++) {
        struct pending *pending = &model->pending[i];
        table_publish(&model->writer, &pending->claim);
        model->shown[pending->key] = pending->after;
        check_shown(model, pending->key);
    }
    model->pending_count = 0;
}

static void abandon_newest(struct model *model)
{
    if (model->pending_count == 0)
        return;
    struct pending *newest = &model->pending[--model->pending_count];
    table_abandon(&model->writer, &newest->claim);
    struct model_key *key = &model->claimed[newest->key];
    *key = model->shown[newest->key];
    for (unsigned i = 0; i < model->pending_count; i++)
        if (model->pending[i].key == newest->key)
            *key = model->pending[i].after;
}

static void model_init(struct model *model, struct input *input)
{
    for (unsigned i = 0; i < KEYS; i++) {
        /* The seed is 0, so the first sixteen bits choose the home. */
        model->digests[i].word[0] = (uint64_t)take(input) << 56 | (uint64_t)take(input) << 48;
        model->digests[i].word[1] = 1;
        model->digests[i].word[3] = i;
    }
    for (unsigned i = 0; i < TEXTS; i++) {
        unsigned len = take(input);
        len = len & 1 ? len : len / 2 % 4;
        memset(model->texts[i], 'x', len);
        if (len > 0) /* texts of one length differ in their last byte only */
            model->texts[i][len - 1] = (char)('a' + i);
    }
}

static void fuzz_changes(struct input input)
{
    struct table_params params = {.capacity = 1 + take(&input),
                                  .side_bytes_per_key = 1 + take(&input) % 64};
    size_t size = table_size(&params);
    void *base = aligned_buffer(size);
    struct model *model = calloc(1, sizeof *model);
    CHECK(model != NULL && table_format(&model->writer, base, size, &params) == 0);
    model_init(model, &input);
    while (input.left > 0) {
        unsigned what = take(&input) % 8;
        if (what < 5 && model->pending_count < PENDING_MAX)
            claim_change(model, &input);
        else if (what == 5 && model->pending_count == 0)
            claim_in_vain(model, &input);
        else if (what == 6)
            abandon_newest(model);
        else
            publish_all(model);
        for (unsigned i = 0; i < KEYS; i++)
            check_shown(model, i);
    }
    free(model);
    free(base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct input input = {data + 1, size - 1};
    if (data[0] % 2 == 0)
        fuzz_bytes(input, data[0] % 4 == 2);
    else
        fuzz_changes(input);
    return 0;
}
