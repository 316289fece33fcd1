/* All keys at once: read by one thread, visited by another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/key.h"
#include "daemon/store_internal.h"
#include "lib_store_test.h"

/* Long metadata, so that they fill several blocks; enough for all blocks to be used again. */
#define MANY 300u
#define PAIRS 28u

/* The visitor is called by another thread, where cmocka's asserts do not belong. */
struct visits {
    struct digest announced[MANY];
    size_t announced_count;
    uint64_t ids[MANY];
    size_t count;
    size_t late; /* keys that were not announced before */
    size_t end_after;
    int end_with;
};

static void announce(void *context, const struct digest *digest)
{
    struct visits *visits = context;
    if (visits->announced_count < MANY)
        visits->announced[visits->announced_count++] = *digest;
}

static int visit(void *context, const struct record *record)
{
    struct visits *visits = context;
    if (visits->count == MANY)
        return CATLATCH_E_FULL;
    if (visits->count >= visits->announced_count ||
        !digest_equal(&visits->announced[visits->count], &record->digest))
        visits->late++;
    visits->ids[visits->count++] = record->id;
    return visits->count == visits->end_after ? visits->end_with : 0;
}

static int look_at_all(struct visits *visits)
{
    const struct store_visitor visitor = {announce, visit, visits};
    return store_snapshot(store, &visitor, &error);
}

static void fill_blocks(void)
{
    static char value[RECORD_COMMENT_MAX];
    memset(value, 'v', sizeof value);
    for (uint64_t id = 1; id <= MANY; id++) {
        struct record record = store_sample(id, "n", "acme");
        record.metadata_count = PAIRS;
        for (size_t i = 0; i < PAIRS; i++)
            record.metadata[i] = (struct record_pair){text_of("k"), {value, sizeof value}};
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    /* More than twice all of them. */
    assert_true((size_t)MANY * PAIRS * sizeof value > (size_t)8 * STORE_BLOCK_BYTES);
}

static void every_key_is_announced_and_visited_in_order(void **state)
{
    static struct visits visits;
    (void)state;
    fill_blocks();
    visits = (struct visits){.count = 0};
    assert_ok(look_at_all(&visits));
    assert_int_equal(visits.count, MANY);
    assert_int_equal(visits.announced_count, MANY);
    assert_int_equal(visits.late, 0);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(visits.ids[i], i + 1);
}

static void a_store_without_keys_has_none(void **state)
{
    struct visits visits = {.count = 0};
    (void)state;
    assert_ok(look_at_all(&visits));
    assert_int_equal(visits.count + visits.announced_count, 0);
}

static void what_a_visitor_says_ends_it(void **state)
{
    static struct visits visits;
    (void)state;
    fill_blocks();
    visits = (struct visits){.end_after = 2, .end_with = 1};
    assert_ok(look_at_all(&visits));
    assert_int_equal(visits.count, 2);
    visits = (struct visits){.end_after = MANY - 1, .end_with = CATLATCH_E_FULL};
    assert_int_equal(look_at_all(&visits), CATLATCH_E_FULL);
    assert_int_equal(error.code, 0);
    assert_int_equal(visits.count, MANY - 1);
    assert_false(store_is_broken(store));
}

static void a_record_that_cannot_be_read_is_named(void **state)
{
    static struct visits visits;
    unsigned char key[8];
    char text[CATLATCH_ID_SIZE];
    (void)state;
    store_fill(store, 9);
    store_pack(50, key);
    DBT key_dbt = store_dbt(key, sizeof key), data = store_dbt("\x02 no record", 11);
    DB *db = store->db[STORE_KEYS];
    assert_int_equal(db->put(db, NULL, &key_dbt, &data, 0), 0);
    visits = (struct visits){.count = 0};
    assert_int_equal(look_at_all(&visits), CATLATCH_E_DATA);
    assert_int_equal(visits.count, 4);
    key_id_format(50, text);
    assert_non_null(strstr(error.text, text));
    assert_non_null(strstr(error.text, "is damaged; restore a backup"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(every_key_is_announced_and_visited_in_order),
        with_store(a_store_without_keys_has_none),
        with_store(what_a_visitor_says_ends_it),
        with_store(a_record_that_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests_name("store_snapshot", tests, NULL, NULL);
}
