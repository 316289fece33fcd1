/* What KEY.IMPORT's operations do to store and table, without a daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/config_environments.h"
#include "daemon/keys.h"
#include "lib_store.h"
#include "lib_table.h"

#define CAPACITY 16u

static char folder[STORE_FOLDER_SIZE];
static struct store *store;
static struct heap_table table;
static struct config config;
static struct keys keys;

static int set_up(void **state)
{
    (void)state;
    store_folder_make(folder);
    store = store_open_or_die(folder);
    heap_table_open(&table, CAPACITY, 256);
    environments_default(&config.environments);
    keys = (struct keys){
        .store = store,
        .config = &config,
        .table = &table.writer,
        .now_unix_ms = INT64_C(1800000000000),
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    keys_free(&keys);
    heap_table_close(&table);
    store_close(store);
    store_folder_remove(folder);
    return 0;
}

/* COUNT keys with digests and ids from `first` on. */
static struct op *make_import(uint64_t first, size_t count)
{
    struct op *op = op_new(OP_IMPORT);

    assert_non_null(op);
    op->imports = op_alloc(op, count * sizeof *op->imports);
    op->import_count = count;
    for (size_t i = 0; i < count; i++)
        op->imports[i] = (struct op_import){
            .digest = {{first + i, 2, 3, 4}},
            .id = first + i,
            .name = text_of("n"),
            .prefix = text_of("cc_live_AbCdEfG"),
        };
    return op;
}

static int run(struct op *op)
{
    keys_change(&keys, op);
    return op->error.code;
}

static void import(uint64_t first, size_t count)
{
    struct op *op = make_import(first, count);

    assert_int_equal(run(op), 0);
    assert_int_equal(op->imported_count, count);
    op_free(op);
    keys_publish(&keys, keys.claim_count);
}

/* Nothing is left of it in store, table or log, and the error names the record. */
static void assert_refused(struct op *op, int code, const char *why)
{
    uint64_t count = store_key_count(store), sequence = store_sequence(store);

    assert_int_equal(run(op), code);
    if (strstr(op->error.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", op->error.text, why);
    assert_int_equal(store_key_count(store), count);
    assert_int_equal(store_sequence(store), sequence);
    assert_int_equal(keys.claim_count, 0);
    op_free(op);
}

static bool is_shown(uint64_t number)
{
    const struct digest digest = {{number, 2, 3, 4}};
    struct table_hit hit;

    return table_find(&table.writer.view, &digest, &hit) == TABLE_HIT;
}

static void all_of_a_request_or_nothing(void **state)
{
    (void)state;
    import(100, 5);
    assert_true(is_shown(104));
    assert_refused(make_import(102, 1), CATLATCH_E_CONFLICT, "record 1: the key is there already");
    assert_refused(make_import(97, 4), CATLATCH_E_CONFLICT, "record 4: the key is there already");
    assert_false(is_shown(97));
    import(97, 3);
    assert_int_equal(store_key_count(store), 8);
}

static void skip_passes_over_what_is_there_and_over_doubles(void **state)
{
    struct op *op;

    (void)state;
    import(100, 3);
    op = make_import(99, 5); /* 100 to 102 are there */
    op->skips = true;
    op->imports[4] = op->imports[0];
    assert_int_equal(run(op), 0);
    assert_int_equal(op->imported_count, 1);
    assert_int_equal(op->skipped_count, 4);
    op_free(op);
    keys_publish(&keys, keys.claim_count);
    assert_int_equal(store_key_count(store), 4);
}

/* The second must not be shown beside the first, where no revoke would reach it. */
static void an_id_twice_in_one_request_is_refused(void **state)
{
    struct op *op = make_import(200, 2);

    (void)state;
    op->imports[1].id = 200;
    assert_refused(op, CATLATCH_E_CONFLICT, "is another key's");
    assert_false(is_shown(200));
    assert_false(is_shown(201));
}

static void another_keys_id_is_never_passed_over(void **state)
{
    struct op *op;

    (void)state;
    import(100, 1);
    op = make_import(200, 2);
    op->skips = true;
    op->imports[1].id = 100;
    assert_refused(op, CATLATCH_E_CONFLICT, "record 2: its id, key_");
    op = make_import(200, 2);
    op->imports[1].id = 200;
    assert_refused(op, CATLATCH_E_CONFLICT, "record 2: its id, key_");
    op = make_import(200, 1);
    op->imports[0].id = UINT64_MAX;
    assert_refused(op, CATLATCH_E_DATA, "record 1: its id is none");
}

static void a_dry_run_says_the_same_and_changes_nothing(void **state)
{
    struct op *op;
    uint64_t sequence;

    (void)state;
    import(100, 2);
    sequence = store_sequence(store);
    op = make_import(101, 3);
    op->skips = op->tries = true;
    assert_int_equal(run(op), 0);
    assert_int_equal(op->imported_count, 2);
    assert_int_equal(op->skipped_count, 1);
    op_free(op);
    assert_int_equal(store_sequence(store), sequence);
    assert_int_equal(keys.claim_count, 0);
    assert_false(is_shown(102));
}

static void keys_issued_elsewhere_need_their_entropy(void **state)
{
    struct op *op = make_import(1, 1);

    (void)state;
    op->imports[0].prefix = text_of("sk_");
    assert_refused(op, CATLATCH_E_DATA, "BITS must say");
    op = make_import(1, 1);
    op->imports[0].assumed_bits = 111;
    assert_refused(op, CATLATCH_E_DATA, "needs FORCE");
    op = make_import(1, 1);
    op->imports[0].assumed_bits = 111;
    op->forced = true;
    assert_int_equal(run(op), 0);
    op_free(op);
    keys_publish(&keys, keys.claim_count);
    op = make_import(2, 1);
    op->imports[0].environment = text_of("test");
    assert_refused(op, CATLATCH_E_DATA, "another environment's");
}

/* As an import that is told of a foreign key in the wrong place would do. */
static void no_error_repeats_what_was_sent(void **state)
{
    static const struct text secret = {"SECRET", 6}, right = {"catlatch:SECRET", 15};
    static const struct record_pair pair = {{"SECRET", 6}, {"v", 1}};
    const struct op_import wrong[] = {
        {.name = text_of("n"), .assumed_bits = 128, .environment = secret},
        {.name = text_of("n"),
         .assumed_bits = 128,
         .scopes = (struct text[]){secret, secret},
         .scope_count = 2},
        {.name = text_of("n"), .assumed_bits = 128, .scopes = &right, .scope_count = 1},
        {.name = text_of("n"),
         .assumed_bits = 128,
         .metadata = (struct record_pair[]){pair, pair},
         .metadata_count = 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct op *op = make_import(1, 1);
        op->imports[0] = wrong[i];
        assert_int_not_equal(run(op), 0);
        assert_null(strstr(op->error.text, "SECRET"));
        op_free(op);
    }
}

static void ids_made_later_are_above_those_imported(void **state)
{
    const uint64_t far = UINT64_C(1) << 62;

    (void)state;
    import(far, 1);
    assert_true(store_new_id(store) > far);
}

static void a_suspended_owner_may_have_no_keys_yet(void **state)
{
    struct op *op = op_new(OP_IMPORT);

    (void)state;
    assert_int_equal(op_text(op, "default", 7, &op->owner), 0);
    op->owner_since_unix_s = 1234;
    assert_int_equal(run(op), 0);
    assert_int_equal(op->owners[0].suspended_unix_s, 1234);
    op_free(op);
    op = make_import(1, 2);
    assert_int_equal(run(op), 0);
    assert_int_equal(op->suspended_count, 2);
    op_free(op);
    keys_publish(&keys, keys.claim_count);
}

static void a_limited_owner_may_have_no_keys_yet(void **state)
{
    struct op *op = op_new(OP_IMPORT);

    (void)state;
    assert_int_equal(op_text(op, "default", 7, &op->owner), 0);
    op->fields.has = OP_HAS_RATES;
    assert_int_equal(rates_parse(text_of("7/1m"), &op->fields.rates, NULL), 0);
    op->tries = true;
    assert_int_equal(run(op), 0);
    assert_int_equal(owners_find(&keys.owners, text_of("default"))->rates.count, 0);
    op->tries = false;
    assert_int_equal(run(op), 0);
    assert_false(op->owners[0].suspended);
    assert_int_equal(op->owners[0].rates.list[0].count, 7);
    assert_int_equal(owners_find(&keys.owners, text_of("default"))->rates.list[0].count, 7);
    assert_int_equal(run(op), 0);
    assert_false(op->owner_changed);
    /* What was set since is no import's to change. */
    op->fields.rates.list[0].count = op->fields.rates.list[0].burst = 9;
    op->tries = true;
    assert_int_equal(run(op), CATLATCH_E_CONFLICT);
    op->tries = false;
    assert_int_equal(run(op), CATLATCH_E_CONFLICT);
    op->skips = true;
    assert_int_equal(run(op), 0);
    assert_int_equal(op->owners[0].rates.list[0].count, 7);
    assert_int_equal(owners_find(&keys.owners, text_of("default"))->rates.list[0].count, 7);
    op_free(op);
    keys_publish(&keys, keys.claim_count);
}

static void a_full_table_takes_nothing_and_says_so(void **state)
{
    struct op *op = make_import(1, CAPACITY + 1);

    (void)state;
    assert_int_equal(run(op), CATLATCH_E_FULL);
    assert_true(keys.table_full);
    assert_int_equal(store_key_count(store), 0);
    op_free(op);
    import(1, CAPACITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_of_a_request_or_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(skip_passes_over_what_is_there_and_over_doubles, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_id_twice_in_one_request_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_keys_id_is_never_passed_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_dry_run_says_the_same_and_changes_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(keys_issued_elsewhere_need_their_entropy, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_error_repeats_what_was_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_made_later_are_above_those_imported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_suspended_owner_may_have_no_keys_yet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_limited_owner_may_have_no_keys_yet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_table_takes_nothing_and_says_so, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
