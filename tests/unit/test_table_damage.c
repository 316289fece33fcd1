/* What readers make of a table that is foreign, cut short or damaged: an error, never an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/crc32.h"
#include "lib_table.h"

static struct heap_table table;
static struct sample_key key;
static struct table_hit hit;

/* One key whose hit is known. */
static int set_up(void **state)
{
    (void)state;
    heap_table_open(&table, 10, 56);
    sample_key_init(&key, 1);
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_int_equal(table_find(&table.writer.view, &key.entry.digest, &hit), TABLE_HIT);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    heap_table_close(&table);
    return 0;
}

static void repair_checksum(struct table_header *header)
{
    const unsigned char *from =
        (const unsigned char *)header + offsetof(struct table_header, magic);
    header->checksum = crc32_update(
        0, from, offsetof(struct table_header, checksum) - offsetof(struct table_header, magic));
}

static int init_of(size_t size)
{
    struct error error = {0};
    struct table_view view = {.size = 4711};
    int r = table_view_init(&view, table.base, size, &error);
    if (r != 0) {
        assert_int_equal(view.size, 4711); /* untouched */
        assert_int_equal(error.code, r);
        assert_true(error.text[0] != '\0' && strchr(error.text, '\n') == NULL);
    }
    return r;
}

static void a_whole_table_is_taken(void **state)
{
    (void)state;
    struct table_view view;
    assert_int_equal(table_view_init(&view, table.base, table.size, NULL), 0);
    assert_int_equal(view.generation, 7);
    assert_int_equal(view.epoch, 3);
    assert_null(table_differs(&view, &key.entry));
}

static void a_table_cut_short_or_grown_is_refused(void **state)
{
    (void)state;
    static const size_t kept[] = {0, 1, 8, sizeof(struct table_header), TABLE_PAGE - 1, TABLE_PAGE};
    for (unsigned i = 0; i < sizeof kept / sizeof kept[0]; i++)
        assert_int_equal(init_of(kept[i]), CATLATCH_E_DATA);
    assert_int_equal(init_of(table.size - TABLE_PAGE), CATLATCH_E_DATA);
    assert_int_equal(init_of(table.size - 1), CATLATCH_E_DATA);
    assert_int_equal(init_of(table.size + 1), CATLATCH_E_DATA);
    assert_int_equal(init_of(table.size), 0);
}

static void a_foreign_file_is_refused(void **state)
{
    (void)state;
    uint64_t random = 1;
    memset(table.base, 0, TABLE_PAGE);
    assert_int_equal(init_of(table.size), CATLATCH_E_DATA);
    for (size_t at = 0; at < TABLE_PAGE; at++)
        ((unsigned char *)table.base)[at] = (unsigned char)sample_random(&random);
    assert_int_equal(init_of(table.size), CATLATCH_E_DATA);
}

static void another_layout_is_a_matter_of_versions(void **state)
{
    (void)state;
    struct table_header *header = table.base;
    header->layout = TABLE_LAYOUT + 1;
    assert_int_equal(init_of(table.size), CATLATCH_E_VERSION); /* whatever its checksum covers */
    repair_checksum(header);
    assert_int_equal(init_of(table.size), CATLATCH_E_VERSION);
    header->layout = TABLE_LAYOUT;
    header->slot_size = 128;
    repair_checksum(header);
    assert_int_equal(init_of(table.size), CATLATCH_E_VERSION);
}

static void every_bit_of_the_fixed_header_is_checked(void **state)
{
    (void)state;
    unsigned char *bytes = table.base;
    size_t end = offsetof(struct table_header, checksum) + sizeof(uint32_t);
    for (size_t at = offsetof(struct table_header, magic); at < end; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (unsigned char)(1u << bit);
            assert_int_not_equal(init_of(table.size), 0);
            bytes[at] ^= (unsigned char)(1u << bit);
        }
    assert_int_equal(init_of(table.size), 0);
}

static void the_changing_part_of_the_header_is_not_checked(void **state)
{
    (void)state;
    table_beat(table.base, 12345);
    table_set_sequence(&table.writer, 99);
    assert_int_equal(init_of(table.size), 0);
}

static void an_impossible_geometry_is_refused_even_with_a_right_checksum(void **state)
{
    (void)state;
    struct table_header *header = table.base;
    const struct {
        uint64_t *field;
        uint64_t value;
    } impossible[] = {
        {&header->slot_count, 0},
        {&header->slot_count, header->slot_count + table.size / 64},
        {&header->slot_count, UINT64_MAX},
        {&header->slot_count, UINT64_MAX / 64 + 2},          /* wraps to 64 bytes */
        {&header->slot_count, (UINT64_MAX - 4096) / 64 + 1}, /* the sum wraps */
        {&header->slots_offset, 0},
        {&header->slots_offset, TABLE_PAGE - 64},
        {&header->slots_offset, TABLE_PAGE + 8},
        {&header->slots_offset, table.size},
        {&header->slots_offset, UINT64_MAX - 63},
        {&header->side_offset, header->side_offset + 4},
        {&header->side_offset, table.size - 8},
        {&header->side_offset, UINT64_MAX - 7},
        {&header->side_size, table.size},
        {&header->side_size, UINT64_MAX},
    };
    for (unsigned i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        uint64_t right = *impossible[i].field;
        *impossible[i].field = impossible[i].value;
        repair_checksum(header);
        if (init_of(table.size) != CATLATCH_E_DATA)
            fail_msg("geometry %u was taken", i);
        *impossible[i].field = right;
    }
    repair_checksum(header);
    assert_int_equal(init_of(table.size), 0);
}

static int identity_result(void)
{
    struct table_identity identity;
    return table_identity(&table.writer.view, hit.slot, &identity);
}

static int scopes_result(void)
{
    char scopes[CATLATCH_SCOPES_SIZE];
    return table_scopes(&table.writer.view, hit.slot, scopes);
}

static void references_out_of_the_side_area_are_damage(void **state)
{
    (void)state;
    const struct table_view *view = &table.writer.view;
    struct table_slot *slot = &table.writer.slots[hit.slot];
    uint32_t units = (uint32_t)(view->side_size / 8);
    const uint32_t wrong[] = {units - 1,      units,          units + 1,
                              UINT32_MAX / 2, UINT32_MAX - 1, UINT32_MAX};
    int64_t not_before;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        atomic_store(&slot->identity_ref, wrong[i]);
        assert_int_equal(identity_result(), CATLATCH_E_DATA);
        assert_int_equal(table_not_before(view, hit.slot, &not_before), CATLATCH_E_DATA);
        if (i == 0)
            continue; /* a scope list of no scopes fits in the last unit */
        atomic_store(&slot->scopes_ref, wrong[i]);
        assert_int_equal(scopes_result(), CATLATCH_E_DATA);
        assert_int_equal(table_has_scope(view, hit.slot, "read", 4), CATLATCH_E_DATA);
    }
    atomic_store(&slot->identity_ref, 0); /* a published key always has one */
    assert_int_equal(identity_result(), CATLATCH_E_DATA);
}

static void lengths_that_lead_out_of_the_side_area_are_damage(void **state)
{
    (void)state;
    struct table_slot *slot = &table.writer.slots[hit.slot];
    uint32_t units = (uint32_t)(table.writer.view.side_size / 8);
    unsigned char *end = table.writer.side + table.writer.view.side_size;
    struct table_side_identity identity = {.owner_ref = 1, .name_len = 0, .prefix_len = 1};
    struct table_side_list scopes = {.count = 1, .bytes_len = 5};

    memcpy(end - 16, &identity, sizeof identity);
    atomic_store(&slot->identity_ref, units - 2);
    assert_int_equal(identity_result(), CATLATCH_E_DATA);
    end[-16 + (int)offsetof(struct table_side_identity, prefix_len)] = 0;
    assert_int_equal(identity_result(), 0); /* up to the last byte */

    memcpy(end - 8, &scopes, sizeof scopes);
    atomic_store(&slot->scopes_ref, units - 1);
    assert_int_equal(scopes_result(), CATLATCH_E_DATA);
    memcpy(end - 8, &(struct table_side_list){.count = 1, .bytes_len = 4}, sizeof scopes);
    memcpy(end - 4, "\003abc", 4);
    assert_int_equal(scopes_result(), 0);
    end[-4] = 4; /* longer than the list */
    assert_int_equal(scopes_result(), CATLATCH_E_DATA);
    memcpy(end - 8, &(struct table_side_list){.count = 2, .bytes_len = 4}, sizeof scopes);
    end[-4] = 3; /* fewer scopes than it says */
    assert_int_equal(scopes_result(), CATLATCH_E_DATA);
    assert_int_equal(table_has_scope(&table.writer.view, hit.slot, "x", 1), CATLATCH_E_DATA);
}

static void texts_longer_than_their_bounds_are_damage(void **state)
{
    (void)state;
    uint32_t ref = atomic_load(&table.writer.slots[hit.slot].identity_ref);
    unsigned char *prefix_len =
        table.writer.side + (size_t)ref * 8 + offsetof(struct table_side_identity, prefix_len);
    *prefix_len = CATLATCH_PREFIX_SIZE - 1;
    assert_int_equal(identity_result(), 0);
    *prefix_len = CATLATCH_PREFIX_SIZE;
    assert_int_equal(identity_result(), CATLATCH_E_DATA);
}

static void scopes_that_would_not_fit_the_public_bound_are_damage(void **state)
{
    (void)state;
    unsigned char *at = table.writer.side + 4096;
    struct table_side_list fixed = {.count = 1025, .bytes_len = 2050};
    memcpy(at, &fixed, sizeof fixed);
    for (unsigned i = 0; i < 1025; i++)
        memcpy(at + sizeof fixed + 2 * i, "\001s", 2);
    atomic_store(&table.writer.slots[hit.slot].scopes_ref, 4096 / 8);
    assert_int_equal(scopes_result(), CATLATCH_E_DATA); /* 1024 of "s " are all that fit */
    fixed.count = 1024;
    memcpy(at, &fixed, sizeof fixed);
    assert_int_equal(scopes_result(), 0);
}

static int allows_result(void)
{
    static const struct address address = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3}};
    struct network networks[NETWORKS_MAX];
    size_t count = 4711;
    int r = table_allows(&table.writer.view, hit.slot, &address);
    int listed =
        table_networks(&table.writer.view, hit.slot,
                       atomic_load(&table.writer.slots[hit.slot].control), networks, &count);
    assert_true(listed == CATLATCH_E_DATA || (listed == 0 && count <= NETWORKS_MAX));
    assert_true(r != CATLATCH_E_DATA || listed == r);
    if (r == CATLATCH_E_DATA)
        assert_int_equal(table_allows(&table.writer.view, hit.slot, NULL), r);
    return r;
}

/* Gives the key's slot an identity at the very end of the side area, and a list in front of it. */
static void put_networks(const char *list, size_t len, uint32_t networks_ref)
{
    struct table_slot *slot = &table.writer.slots[hit.slot];
    unsigned char *end = table.writer.side + table.writer.view.side_size;
    uint32_t units = (uint32_t)(table.writer.view.side_size / 8);
    struct table_side_identity identity = {.owner_ref = 1, .name_len = 4};
    memcpy(end - 24, &identity, sizeof identity);
    memcpy(end - 8, "name", 4);
    memcpy(end - 4, &networks_ref, sizeof networks_ref);
    memset(end - 1024, 0, 512);
    memcpy(end - 1024, list, len);
    atomic_store(&slot->identity_ref, units - 3);
    atomic_fetch_or(&slot->control, CONTROL_NETWORKS);
}

static void networks_that_no_writer_wrote_are_damage(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        size_t len;
        int result;
    } lists[] = {
        {"\1\0\2\0\x89\x0a", 6, 1}, /* 10.0.0.0/8 */
        {"\1\0\2\0\x89\x0b", 6, 0},
        {"\2\0\4\0\x89\x0b\x89\x0a", 8, 1},
        {"\0\0\0\0", 4, CATLATCH_E_DATA},                 /* empty */
        {"\2\0\2\0\x89\x0b", 6, CATLATCH_E_DATA},         /* fewer than it says */
        {"\1\0\4\0\x89\x0b\x89\x0a", 8, CATLATCH_E_DATA}, /* more */
        {"\1\0\1\0\x89\x0b", 6, CATLATCH_E_DATA},         /* shorter */
        {"\1\0\3\0\x8a\x0b\x01", 7, CATLATCH_E_DATA},     /* bits behind its prefix */
        {"\1\0\2\0\xa2\x0b", 6, CATLATCH_E_DATA},         /* no such family */
        {"\x21\0\x21\0", 4, CATLATCH_E_DATA},             /* 33 */
        {"\1\0\xff\xff", 4, CATLATCH_E_DATA},             /* out of the area */
        {"\1\0\x21\2\x89\x0a", 6, CATLATCH_E_DATA},       /* 545 bytes */
        {"\1\0\x0d\0\x60\0\0\0\0\0\0\0\0\0\0\xff\xff", 17, CATLATCH_E_DATA}, /* as IPv6 */
    };
    uint32_t units = (uint32_t)(table.writer.view.side_size / 8);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        put_networks(lists[i].list, lists[i].len, units - 128);
        if (allows_result() != lists[i].result)
            fail_msg("list %zu", i);
    }
}

static void networks_out_of_the_side_area_are_damage(void **state)
{
    (void)state;
    struct table_slot *slot = &table.writer.slots[hit.slot];
    uint32_t units = (uint32_t)(table.writer.view.side_size / 8);
    unsigned char *end = table.writer.side + table.writer.view.side_size;
    const uint32_t wrong[] = {0, units, units + 1, UINT32_MAX / 2, UINT32_MAX};
    assert_int_equal(allows_result(), 1); /* not confined */
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_networks("", 0, wrong[i]);
        assert_int_equal(allows_result(), CATLATCH_E_DATA);
        atomic_store(&slot->identity_ref, wrong[i]);
        assert_int_equal(allows_result(), CATLATCH_E_DATA);
    }
    put_networks("\1\0\2\0\x89\x0a", 6, units - 128);
    assert_int_equal(allows_result(), 1);
    end[-24 + (int)offsetof(struct table_side_identity, name_len)] = 5; /* its tail leads out */
    assert_int_equal(allows_result(), CATLATCH_E_DATA);
    atomic_fetch_and(&slot->control, ~CONTROL_NETWORKS);
    assert_int_equal(allows_result(), 1);
}

/* What both say of one rate alone is the same. */
static void assert_sole(const struct table_view *view, uint64_t slot, uint64_t control, int r,
                        const struct table_limits *limits)
{
    bool is_sole = r == 0 && limits->count == 1 && !limits->has_uses;
    const struct table_side_limit *sole =
        table_sole_limit(view, slot, control & ~CONTROL_OWNER_LIMITS);
    assert_ptr_equal(sole, is_sole ? limits->rates : NULL);
    assert_null(table_sole_limit(view, slot, control | CONTROL_OWNER_LIMITS));
    assert_null(table_sole_limit(view, slot, control & ~CONTROL_LIMITS));
}

static int limits_result(void)
{
    struct table_limits limits;
    uint64_t control = atomic_load(&table.writer.slots[hit.slot].control);
    int r = table_limits(&table.writer.view, hit.slot, control, &limits);
    assert_true(r == 0 || r == CATLATCH_E_DATA);
    assert_sole(&table.writer.view, hit.slot, control, r, &limits);
    return r == 0 ? (int)limits.count : r;
}

/* Gives the key's slot an identity near the end of the side area, with the head of its limits in
 * front, and a list that says that it has `count` rates in `bytes_len` bytes. */
static void put_limits(struct table_side_limits head, uint16_t count, size_t bytes_len)
{
    struct table_slot *slot = &table.writer.slots[hit.slot];
    unsigned char *end = table.writer.side + table.writer.view.side_size;
    struct table_side_limit_list list = {{count, (uint16_t)bytes_len}, 0};
    memset(end - 1024, 0, 1024);
    memcpy(end - 1024, &list, sizeof list);
    memcpy(end - 32, &head, sizeof head);
    atomic_store(&slot->identity_ref, (uint32_t)(table.writer.view.side_size / 8) - 3);
    atomic_fetch_or(&slot->control, CONTROL_LIMITS);
}

static void limits_that_no_writer_wrote_are_damage(void **state)
{
    uint32_t units = (uint32_t)(table.writer.view.side_size / 8), list = units - 128;
    size_t one = 4 + sizeof(struct table_side_limit), most = 4 + RATES_MAX * (one - 4);
    (void)state;
    assert_int_equal(limits_result(), 0);
    put_limits((struct table_side_limits){list, 0}, 1, one);
    assert_int_equal(limits_result(), 1);
    put_limits((struct table_side_limits){list, 1}, RATES_MAX, most);
    assert_int_equal(limits_result(), RATES_MAX);
    put_limits((struct table_side_limits){0, 1}, 0, 0); /* uses alone */
    assert_int_equal(limits_result(), 0);
    put_limits((struct table_side_limits){0, 0}, 0, 0); /* a limit that is none */
    assert_int_equal(limits_result(), CATLATCH_E_DATA);
    put_limits((struct table_side_limits){list, 2}, 1, one);
    assert_int_equal(limits_result(), CATLATCH_E_DATA);
    put_limits((struct table_side_limits){list, 0}, 0, 4);
    assert_int_equal(limits_result(), CATLATCH_E_DATA);
    put_limits((struct table_side_limits){list, 0}, 1, one - 1);
    assert_int_equal(limits_result(), CATLATCH_E_DATA);
    put_limits((struct table_side_limits){list, 0}, 2, one);
    assert_int_equal(limits_result(), CATLATCH_E_DATA);
    put_limits((struct table_side_limits){list, 0}, RATES_MAX + 1, most + one - 4);
    assert_int_equal(limits_result(), CATLATCH_E_DATA);
}

static void limits_out_of_the_side_area_are_damage(void **state)
{
    struct table_slot *slot = &table.writer.slots[hit.slot];
    uint32_t units = (uint32_t)(table.writer.view.side_size / 8);
    size_t one = 4 + sizeof(struct table_side_limit);
    const uint32_t wrong[] = {units, units + 1, UINT32_MAX / 2, UINT32_MAX};
    (void)state;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        put_limits((struct table_side_limits){wrong[i], 0}, 1, one);
        assert_int_equal(limits_result(), CATLATCH_E_DATA);
        /* one more than a reference, for the head is in front of what it refers to */
        atomic_store(&slot->identity_ref, wrong[i] == UINT32_MAX ? wrong[i] : wrong[i] + 1);
        assert_int_equal(limits_result(), CATLATCH_E_DATA);
    }
    for (uint32_t ref = 0; ref < 2; ref++) { /* no room for a head in front */
        atomic_store(&slot->identity_ref, ref);
        assert_int_equal(limits_result(), CATLATCH_E_DATA);
    }
    unsigned char *end = table.writer.side + table.writer.view.side_size;
    put_limits((struct table_side_limits){units - 1, 0}, 1, one);
    memcpy(end - 8, end - 1024, 8); /* a list whose limits lead out */
    assert_int_equal(limits_result(), CATLATCH_E_DATA);
}

static void a_slot_beyond_the_table_is_damage(void **state)
{
    (void)state;
    hit.slot = table.writer.view.slot_count;
    assert_int_equal(table_allows(&table.writer.view, hit.slot, NULL), CATLATCH_E_DATA);
    assert_int_equal(identity_result(), CATLATCH_E_DATA);
    assert_int_equal(scopes_result(), CATLATCH_E_DATA);
    hit.slot = UINT64_MAX;
    assert_int_equal(table_allows(&table.writer.view, hit.slot, NULL), CATLATCH_E_DATA);
    assert_int_equal(identity_result(), CATLATCH_E_DATA);
    assert_int_equal(scopes_result(), CATLATCH_E_DATA);
}

static void a_published_slot_without_an_id_is_damage(void **state)
{
    (void)state;
    struct table_hit again;
    atomic_store(&table.writer.slots[hit.slot].id, 0);
    assert_int_equal(table_find(&table.writer.view, &key.entry.digest, &again), TABLE_DAMAGED);
}

static void an_environment_that_is_not_there_is_damage(void **state)
{
    (void)state;
    static const unsigned wrong[] = {1, 31, 32, 33, 254, 256, UINT32_MAX};
    char name[CATLATCH_ENVIRONMENT_SIZE];
    struct table_header *header = table.writer.header;
    const struct table_view *view = &table.writer.view;
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(table_environment(view, wrong[i], name), CATLATCH_E_DATA);
        assert_int_equal(table_environment_is(view, wrong[i], "live"), CATLATCH_E_DATA);
    }
    atomic_store(&header->environment_count, UINT64_MAX);
    assert_int_equal(table_environment(view, 32, name), CATLATCH_E_DATA);
    assert_int_equal(table_environment_is(view, 254, "live"), CATLATCH_E_DATA);
    memset(header->environments[0].name, 'x', sizeof header->environments[0].name);
    assert_int_equal(table_environment(view, 0, name), CATLATCH_E_DATA); /* no NUL */
    assert_int_equal(table_environment_is(view, TABLE_ENVIRONMENT_NONE, ""), 0);
}

static void a_word_of_an_owner_that_leads_nowhere_is_damage(void **state)
{
    const struct table_view *view = &table.writer.view;
    struct table_limits limits;
    struct table_hit found;
    uint32_t block, refs[] = {0, 1, UINT32_MAX, (uint32_t)(view->side_size / 8 + 1)};
    (void)state;
    assert_int_equal(table_find(view, &key.entry.digest, &found), TABLE_HIT);
    struct table_slot *slot = &table.writer.slots[found.slot];
    unsigned char *identity = table.writer.side + (uint64_t)atomic_load(&slot->identity_ref) * 8;
    uint32_t owner_ref;
    memcpy(&owner_ref, identity, sizeof owner_ref);
    _Atomic uint64_t *word =
        (_Atomic uint64_t *)(void *)(table.writer.side + ((uint64_t)owner_ref - 1) * 8);
    assert_int_equal(table_owner_limits(view, found.slot, &limits, &block), 0);
    assert_true(limits.count == 0 && block == 0);
    for (size_t i = 1; i < sizeof refs / sizeof *refs; i++) {
        atomic_store(word, refs[i] | UINT64_C(7) << 32);
        assert_int_equal(table_owner_limits(view, found.slot, &limits, &block), CATLATCH_E_DATA);
    }
    atomic_store(word, owner_ref); /* a record of another kind */
    assert_int_equal(table_owner_limits(view, found.slot, &limits, &block), CATLATCH_E_DATA);
    atomic_store(word, 0);
    for (size_t i = 0; i < sizeof refs / sizeof *refs; i++) {
        memcpy(identity, &refs[i], sizeof refs[i]);
        assert_int_equal(table_owner_limits(view, found.slot, &limits, &block), CATLATCH_E_DATA);
    }
    assert_int_equal(table_owner_limits(view, view->slot_count, &limits, &block), CATLATCH_E_DATA);
}

/* Reads everything that a hit leads to; the sanitizers see what it touches. */
static void read_all(const struct table_view *view, uint64_t slot, uint64_t control)
{
    static const struct address address = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3}};
    struct network networks[NETWORKS_MAX];
    size_t count;
    struct table_identity identity;
    int64_t not_before;
    char scopes[CATLATCH_SCOPES_SIZE], environment[CATLATCH_ENVIRONMENT_SIZE];
    int r = table_identity(view, slot, &identity);
    assert_true(r == 0 || r == CATLATCH_E_DATA);
    r = table_not_before(view, slot, &not_before);
    assert_true(r == 0 || r == CATLATCH_E_DATA);
    r = table_scopes(view, slot, scopes);
    assert_true(r == 0 || r == CATLATCH_E_DATA);
    assert_true(r != 0 || strlen(scopes) < sizeof scopes);
    r = table_has_scope(view, slot, "read", 4);
    assert_true(r == 0 || r == 1 || r == CATLATCH_E_DATA);
    r = table_allows(view, slot, &address);
    assert_true(r == 0 || r == 1 || r == CATLATCH_E_DATA);
    r = table_networks(view, slot, CONTROL_NETWORKS, networks, &count);
    assert_true((r == 0 && count > 0 && count <= NETWORKS_MAX) || r == CATLATCH_E_DATA);
    struct table_limits limits;
    r = table_limits(view, slot, control | CONTROL_LIMITS, &limits);
    assert_true((r == 0 && limits.count <= RATES_MAX) || r == CATLATCH_E_DATA);
    assert_sole(view, slot, control | CONTROL_LIMITS, r, &limits);
    for (unsigned i = 0; r == 0 && i < limits.count; i++)
        assert_memory_equal(&limits.rates[i], &limits.rates[i], sizeof limits.rates[i]);
    uint32_t block;
    r = table_owner_limits(view, slot, &limits, &block);
    assert_true((r == 0 && limits.count <= RATES_MAX) || r == CATLATCH_E_DATA);
    for (unsigned i = 0; r == 0 && i < limits.count; i++)
        assert_memory_equal(&limits.rates[i], &limits.rates[i], sizeof limits.rates[i]);
    r = table_environment(view, control_environment(control), environment);
    assert_true(r == 0 || r == CATLATCH_E_DATA);
    r = table_environment_is(view, control_environment(control), "live");
    assert_true(r == 0 || r == 1 || r == CATLATCH_E_DATA);
}

static void any_bytes_in_slots_and_records_are_read_without_harm(void **state)
{
    (void)state;
    uint64_t random = 4;
    unsigned hits = 0;
    for (unsigned round = 0; round < 20; round++) {
        uint64_t *words = (uint64_t *)(void *)((char *)table.base + TABLE_PAGE);
        for (size_t i = 0; i < (table.size - TABLE_PAGE) / 8; i++)
            words[i] = sample_random(&random) & sample_random(&random);
        for (uint64_t n = 0; n < table.writer.view.slot_count; n++) {
            struct table_hit found;
            struct digest digest;
            for (unsigned i = 0; i < DIGEST_WORDS; i++)
                digest.word[i] = atomic_load(&table.writer.slots[n].digest[i]);
            /* small references lead into the area, others out of it */
            atomic_fetch_and(&table.writer.slots[n].identity_ref, n % 2 ? UINT32_MAX : 16383);
            atomic_fetch_and(&table.writer.slots[n].scopes_ref, n % 2 ? UINT32_MAX : 16383);
            if (table_find(&table.writer.view, &digest, &found) == TABLE_HIT) {
                read_all(&table.writer.view, found.slot, found.control);
                hits++;
            }
            read_all(&table.writer.view, n, sample_random(&random));
        }
    }
    assert_true(hits > 0);
}

static void a_table_without_an_empty_slot_ends_the_probe_all_the_same(void **state)
{
    (void)state;
    struct table_hit found;
    struct digest absent = sample_digest(1234567);
    for (uint64_t n = 0; n < table.writer.view.slot_count; n++)
        atomic_store(&table.writer.slots[n].control, n % 2 ? SLOT_REPLACED : SLOT_LIVE);
    assert_int_equal(table_find(&table.writer.view, &absent, &found), TABLE_MISS);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_whole_table_is_taken),
        EACH(a_table_cut_short_or_grown_is_refused),
        EACH(a_foreign_file_is_refused),
        EACH(another_layout_is_a_matter_of_versions),
        EACH(every_bit_of_the_fixed_header_is_checked),
        EACH(the_changing_part_of_the_header_is_not_checked),
        EACH(an_impossible_geometry_is_refused_even_with_a_right_checksum),
        EACH(references_out_of_the_side_area_are_damage),
        EACH(lengths_that_lead_out_of_the_side_area_are_damage),
        EACH(texts_longer_than_their_bounds_are_damage),
        EACH(scopes_that_would_not_fit_the_public_bound_are_damage),
        EACH(networks_that_no_writer_wrote_are_damage),
        EACH(networks_out_of_the_side_area_are_damage),
        EACH(limits_that_no_writer_wrote_are_damage),
        EACH(limits_out_of_the_side_area_are_damage),
        EACH(a_slot_beyond_the_table_is_damage),
        EACH(a_published_slot_without_an_id_is_damage),
        EACH(an_environment_that_is_not_there_is_damage),
        EACH(a_word_of_an_owner_that_leads_nowhere_is_damage),
        EACH(any_bytes_in_slots_and_records_are_read_without_harm),
        EACH(a_table_without_an_empty_slot_ends_the_probe_all_the_same),
    };
    return cmocka_run_group_tests_name("table damage", tests, NULL, NULL);
}
