/* How much a table takes: its size, its bounds, its reserve, and a million keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib_table.h"

#define MIB (UINT64_C(1) << 20)

#define assert_shows(table, entry)                                             \
    do {                                                                       \
        const char *differs_ = table_differs(&(table)->writer.view, (entry));  \
        if (differs_ != NULL)                                                  \
            fail_msg("line %d: the table differs in: %s", __LINE__, differs_); \
    } while (0)

static void assert_misses(const struct heap_table *table, const struct digest *digest)
{
    struct table_hit hit;
    assert_int_equal(table_find(&table->writer.view, digest, &hit), TABLE_MISS);
}

static void size_is_whole_pages_and_holds_every_part(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {1, 2, 3, 7, 255, 256, 257, 1000, 4097, 99991};
    for (unsigned i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        struct heap_table table;
        heap_table_open(&table, capacities[i], 1 + 13 * i);
        const struct table_header *header = table.base;
        uint64_t side_end = header->side_offset + header->side_size;
        assert_int_equal(table.size % TABLE_PAGE, 0);
        assert_int_equal(header->file_size, table.size);
        assert_true(header->slot_count > header->capacity + header->reserve);
        assert_true(header->slots_offset >= sizeof(struct table_header));
        assert_true(header->side_offset >=
                    header->slots_offset + header->slot_count * sizeof(struct table_slot));
        assert_true(header->intern_offset >= side_end);
        assert_int_equal(header->intern_offset % sizeof(uint32_t), 0);
        assert_true(header->intern_offset + header->intern_count * sizeof(uint32_t) <= table.size);
        assert_true(header->side_size / 8 <= UINT32_MAX);
        heap_table_close(&table);
    }
}

static void impossible_parameters_have_no_size(void **state)
{
    (void)state;
    static const struct table_params impossible[] = {
        {.capacity = 0, .side_bytes_per_key = 56},
        {.capacity = UINT64_C(1) << 32, .side_bytes_per_key = 56},
        {.capacity = UINT64_MAX, .side_bytes_per_key = 56},
        {.capacity = UINT64_MAX / 64, .side_bytes_per_key = 4096},
        {.capacity = 1000, .side_bytes_per_key = 0},
        {.capacity = 1000, .side_bytes_per_key = 4097},
        {.capacity = 1000, .side_bytes_per_key = UINT64_MAX},
        {.capacity = UINT32_MAX, .side_bytes_per_key = 4096}, /* beyond what references reach */
    };
    for (unsigned i = 0; i < sizeof impossible / sizeof impossible[0]; i++)
        assert_int_equal(table_size(&impossible[i]), 0);
    struct table_params largest = {.capacity = UINT32_MAX, .side_bytes_per_key = 7};
    assert_true(table_size(&largest) > UINT64_C(1) << 38);
}

static void format_takes_exactly_the_size_that_it_named(void **state)
{
    (void)state;
    struct heap_table table;
    heap_table_open(&table, 100, 56);
    struct table_writer writer = {.capacity = 12345};
    assert_int_equal(table_format(&writer, table.base, table.size - 1, &table.params),
                     CATLATCH_E_ARGUMENT);
    assert_int_equal(table_format(&writer, table.base, table.size + TABLE_PAGE, &table.params),
                     CATLATCH_E_ARGUMENT);
    table.params.capacity = 0;
    assert_int_equal(table_format(&writer, table.base, table.size, &table.params),
                     CATLATCH_E_ARGUMENT);
    assert_int_equal(writer.capacity, 12345);
    heap_table_close(&table);
}

/* Puts keys from number `first` on until the table refuses; returns how many it took. */
static uint64_t fill(struct heap_table *table, uint64_t first, enum table_purpose purpose)
{
    struct sample_key key;
    struct table_claim claim;
    for (uint64_t n = first;; n++) {
        sample_key_init(&key, n);
        int r = table_claim(&table->writer, &key.entry, purpose, &claim);
        if (r != 0) {
            assert_int_equal(r, CATLATCH_E_FULL);
            assert_misses(table, &key.entry.digest);
            return n - first;
        }
        table_publish(&table->writer, &claim);
    }
}

static void assert_all_shown(const struct heap_table *table, uint64_t count)
{
    struct sample_key key;
    for (uint64_t n = 0; n < count; n++) {
        sample_key_init(&key, n);
        assert_shows(table, &key.entry);
    }
}

static void ordinary_keys_stop_at_the_capacity_and_narrowing_ones_at_the_reserve(void **state)
{
    (void)state;
    static const uint64_t capacities[] = {1, 2, 101, 257, 1001, 40003};
    for (unsigned i = 0; i < sizeof capacities / sizeof capacities[0]; i++) {
        struct heap_table table;
        heap_table_open(&table, capacities[i], 128);
        uint64_t reserve = table.writer.reserve;
        assert_true(reserve >= 256);
        assert_int_equal(fill(&table, 0, TABLE_ORDINARY), capacities[i]);
        assert_int_equal(fill(&table, capacities[i], TABLE_NARROWING), reserve);
        assert_all_shown(&table, capacities[i] + reserve);
        heap_table_close(&table);
    }
}

static void a_full_table_still_disables_and_revokes_every_key(void **state)
{
    (void)state;
    struct heap_table table;
    struct sample_key key;
    heap_table_open(&table, 300, 128);
    uint64_t count = fill(&table, 0, TABLE_NARROWING);
    for (uint64_t n = 0; n < count; n++) {
        sample_key_init(&key, n);
        key.entry.disabled = true;
        assert_int_equal(heap_table_put(&table, &key.entry), 0);
        assert_shows(&table, &key.entry);
        key.entry.revoked = true;
        assert_int_equal(heap_table_put(&table, &key.entry), 0);
        assert_shows(&table, &key.entry);
    }
    heap_table_close(&table);
}

/* Whether every slot and the part of the header that verifying reads are as they were. */
static void assert_same_to_readers(const struct heap_table *table, const void *before)
{
    const struct table_header *header = table->base;
    size_t len = header->slot_count * sizeof(struct table_slot);
    assert_memory_equal((const char *)table->base + TABLE_PAGE, (const char *)before + TABLE_PAGE,
                        len);
}

static void an_exhausted_side_area_is_full_and_readers_see_no_change(void **state)
{
    (void)state;
    struct heap_table table;
    struct sample_key key;
    struct table_claim claim;
    char texts[2][CATLATCH_TEXT_SIZE];
    uint64_t count = 0;
    heap_table_open(&table, 5000, 16);
    for (;; count++) {
        sample_key_init(&key, count);
        for (unsigned i = 0; i < 2; i++)
            snprintf(texts[i], sizeof texts[i], "%0255llu", (unsigned long long)count * 2 + i);
        key.entry.name = text_of(texts[0]);
        key.entry.owner = text_of(texts[1]);
        void *before = malloc(table.size);
        assert_non_null(before);
        memcpy(before, table.base, table.size);
        uint64_t slots = table.writer.slots_used;
        int r = table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim);
        if (r != 0) {
            assert_int_equal(r, CATLATCH_E_FULL);
            assert_same_to_readers(&table, before);
            assert_int_equal(table.writer.slots_used, slots);
        }
        free(before);
        if (r != 0)
            break;
        table_publish(&table.writer, &claim);
    }
    assert_in_range(count, 100, 4999);
    assert_true(table_fill_permille(&table.writer) > 990);
    assert_misses(&table, &key.entry.digest);
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_NARROWING, &claim), 0);
    table_publish(&table.writer, &claim);
    assert_shows(&table, &key.entry);
    heap_table_close(&table);
}

static void a_probe_wraps_around_the_end_of_the_slots(void **state)
{
    (void)state;
    struct heap_table table;
    struct sample_key keys[20];
    heap_table_open(&table, 11, 128);
    uint64_t last = table.writer.view.slot_count - 1, number = 0;
    for (unsigned i = 0; i < 11; i++)
        do
            sample_key_init(&keys[i], number++);
        while (table_slot_home(&table.writer.view, &keys[i].entry.digest) != last);
    for (unsigned i = 0; i < 11; i++) {
        assert_int_equal(heap_table_put(&table, &keys[i].entry), 0);
        struct table_hit hit;
        assert_int_equal(table_find(&table.writer.view, &keys[i].entry.digest, &hit), TABLE_HIT);
        assert_int_equal(hit.slot, i == 0 ? last : i - 1);
    }
    for (unsigned i = 0; i < 11; i++)
        assert_shows(&table, &keys[i].entry);
    heap_table_close(&table);
}

/* Digests that differ in words 2 and 3 only have one home. */
static void one_home_key(struct sample_key *key, uint64_t number)
{
    static const struct digest shared = {{1, 2, 0, 0}};
    sample_key_init(key, number);
    key->entry.digest.word[0] = shared.word[0];
    key->entry.digest.word[1] = shared.word[1];
}

static void the_longest_probe_is_bounded_and_what_lies_within_is_found(void **state)
{
    (void)state;
    struct heap_table table;
    struct sample_key key;
    struct table_claim claim;
    heap_table_open(&table, 2000, 128);
    for (uint64_t n = 0; n < TABLE_PROBE_MAX; n++) {
        one_home_key(&key, n);
        assert_int_equal(heap_table_put(&table, &key.entry), 0);
    }
    one_home_key(&key, TABLE_PROBE_MAX);
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_NARROWING, &claim),
                     CATLATCH_E_FULL);
    assert_misses(&table, &key.entry.digest);
    for (uint64_t n = 0; n < TABLE_PROBE_MAX; n++) {
        one_home_key(&key, n);
        assert_shows(&table, &key.entry);
    }
    one_home_key(&key, TABLE_PROBE_MAX - 1); /* changes that need no slot go on */
    key.entry.name = text_of("renamed");
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_NARROWING, &claim),
                     CATLATCH_E_FULL);
    key.entry.revoked = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    one_home_key(&key, TABLE_PROBE_MAX - 1);
    key.entry.revoked = true;
    assert_shows(&table, &key.entry);
    heap_table_close(&table);
}

static void a_run_of_replaced_slots_hides_nothing(void **state)
{
    (void)state;
    struct heap_table table;
    struct sample_key key;
    char name[CATLATCH_TEXT_SIZE];
    uint64_t changes = 0;
    heap_table_open(&table, 2000, 128);
    one_home_key(&key, 1);
    for (;; changes++) {
        snprintf(name, sizeof name, "name %llu", (unsigned long long)changes);
        key.entry.name = text_of(name);
        if (heap_table_put(&table, &key.entry) != 0)
            break;
        assert_shows(&table, &key.entry);
    }
    assert_int_equal(changes, TABLE_PROBE_MAX);
    heap_table_close(&table);
}

static void owners_beyond_the_index_of_shared_records_are_stored_again(void **state)
{
    (void)state;
    struct heap_table table;
    struct sample_key key;
    char owner[CATLATCH_TEXT_SIZE];
    heap_table_open(&table, 4000, 256);
    for (unsigned pass = 0; pass < 2; pass++)
        for (uint64_t n = 0; n < 4000; n++) { /* four times what the index has places for */
            sample_key_init(&key, n);
            snprintf(owner, sizeof owner, "lone owner %llu", (unsigned long long)n);
            key.entry.owner = text_of(owner);
            if (pass == 0)
                assert_int_equal(heap_table_put(&table, &key.entry), 0);
            else
                assert_shows(&table, &key.entry);
        }
    heap_table_close(&table);
}

static void a_million_keys_and_a_quarter_more_fit_in_200_mib(void **state)
{
    (void)state;
    const uint64_t count = 1000000, capacity = count + count / 4;
    struct heap_table table;
    struct sample_key key;
    heap_table_open(&table, capacity, TABLE_SIDE_BYTES_PER_KEY);
    assert_true(table.size <= 200 * MIB);
    assert_int_equal(fill(&table, 0, TABLE_ORDINARY), capacity);
    assert_all_shown(&table, count);
    for (uint64_t n = 0; n < count; n++) {
        struct digest absent = sample_digest(capacity + n);
        assert_misses(&table, &absent);
    }
    sample_key_init(&key, capacity - 1);
    assert_int_equal(key.entry.name.len, 20);
    assert_shows(&table, &key.entry);
    heap_table_close(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_is_whole_pages_and_holds_every_part),
        cmocka_unit_test(impossible_parameters_have_no_size),
        cmocka_unit_test(format_takes_exactly_the_size_that_it_named),
        cmocka_unit_test(ordinary_keys_stop_at_the_capacity_and_narrowing_ones_at_the_reserve),
        cmocka_unit_test(a_full_table_still_disables_and_revokes_every_key),
        cmocka_unit_test(an_exhausted_side_area_is_full_and_readers_see_no_change),
        cmocka_unit_test(a_probe_wraps_around_the_end_of_the_slots),
        cmocka_unit_test(the_longest_probe_is_bounded_and_what_lies_within_is_found),
        cmocka_unit_test(a_run_of_replaced_slots_hides_nothing),
        cmocka_unit_test(owners_beyond_the_index_of_shared_records_are_stored_again),
        cmocka_unit_test(a_million_keys_and_a_quarter_more_fit_in_200_mib),
    };
    return cmocka_run_group_tests_name("table room", tests, NULL, NULL);
}
