/* TABLE.CHECK against a store and a table on the heap, damaged on purpose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/keys.h"
#include "lib_store.h"
#include "lib_table.h"

#define KEYS 40u
#define FIRST_ID 100u

static char folder[STORE_FOLDER_SIZE];
static struct store *store;
static struct heap_table table;
static struct keys keys;

static void show(struct record *record)
{
    struct table_entry entry;
    keys_entry(record, owners_find(&keys.owners, record->owner), &entry);
    assert_int_equal(heap_table_put(&table, &entry), 0);
}

static void add_key(uint64_t id)
{
    struct record record = store_sample(id, "a name", "alice");
    record.scope_count = 2;
    record.scopes[0] = text_of("read");
    record.scopes[1] = text_of("write");
    store_save(store, NULL, &record, CHANGE_CREATED);
    show(&record);
}

static int set_up(void **state)
{
    (void)state;
    store_folder_make(folder);
    store = store_open_or_die(folder);
    heap_table_open(&table, 2 * KEYS, 256);
    keys = (struct keys){.store = store, .table = &table.writer};
    for (uint64_t id = FIRST_ID; id < FIRST_ID + KEYS; id++)
        add_key(id);
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

static struct table_slot *slot_of(uint64_t id)
{
    struct record record = store_sample(id, "", "");
    struct table_hit hit;
    assert_int_equal(table_find(&table.writer.view, &record.digest, &hit), TABLE_HIT);
    return &table.writer.slots[hit.slot];
}

/* All pages; the last finding, and how many there were. */
static size_t check(uint64_t *ret_id, const char **ret_what)
{
    struct op_check_place at = {0};
    size_t count = 0, checked = 0, pages = 0;
    bool ended = false;

    while (!ended) {
        struct op *op = op_new(OP_TABLE_CHECK);
        assert_non_null(op);
        op->check_at = at;
        keys_read(&keys, op);
        assert_int_equal(op->error.code, 0);
        if (op->wrong_count > 0) {
            *ret_id = op->wrong[op->wrong_count - 1].id;
            *ret_what = op->wrong[op->wrong_count - 1].what;
        }
        count += op->wrong_count;
        checked += op->checked;
        at = op->check_next;
        ended = op->check_ended;
        op_free(op);
        assert_true(++pages < 10);
    }
    assert_int_equal(checked, store_key_count(store));
    return count;
}

static void assert_wrong(uint64_t id, const char *what)
{
    uint64_t wrong_id = 0;
    const char *wrong_what = "";
    assert_int_equal(check(&wrong_id, &wrong_what), 1);
    assert_string_equal(wrong_what, what);
    assert_true(wrong_id == id);
}

static void a_table_that_shows_the_store_has_nothing_wrong(void **state)
{
    uint64_t id;
    const char *what;
    (void)state;
    assert_int_equal(check(&id, &what), 0);
}

static void each_word_of_a_slot_that_differs_is_found(void **state)
{
    const struct {
        uint64_t flip;
        const char *what;
    } cases[] = {
        {SLOT_LIVE ^ SLOT_REVOKED, "state"},
        {CONTROL_DISABLED, "disabled"},
        {CONTROL_SUSPENDED, "suspended"},
        {CONTROL_NOT_BEFORE, "not_before"},
        {CONTROL_WELL_FORMED, "well_formed"},
        {CONTROL_NETWORKS, "damaged"}, /* they are nowhere */
        {CONTROL_OWNER_LIMITS, "owner_rates"},
        {UINT64_C(1) << CONTROL_EXPIRES_SHIFT, "expires"},
        {UINT64_C(7) << CONTROL_ENVIRONMENT_SHIFT, "damaged"},
        {SLOT_LIVE ^ SLOT_REPLACED, "missing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct table_slot *slot = slot_of(FIRST_ID + i);
        atomic_fetch_xor(&slot->control, cases[i].flip);
        assert_wrong(FIRST_ID + i, cases[i].what);
        atomic_fetch_xor(&slot->control, cases[i].flip);
    }
}

static void texts_that_differ_are_found(void **state)
{
    const struct {
        const char *name, *owner, *scope, *what;
    } cases[] = {{"another", "alice", "write", "name"},
                 {"a name", "bob", "write", "owner"},
                 {"a name", "alice", "admin", "scopes"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct record record = store_sample(FIRST_ID + 1, cases[i].name, cases[i].owner);
        record.scope_count = 2;
        record.scopes[0] = text_of("read");
        record.scopes[1] = text_of(cases[i].scope);
        show(&record);
        assert_wrong(FIRST_ID + 1, cases[i].what);
    }
}

static void networks_that_differ_are_found(void **state)
{
    static const char *const wrong[][2] = {
        {NULL, NULL},
        {"192.0.2.0/24", NULL},
        {"192.0.2.0/24", "10.0.0.0/9"},
        {"10.0.0.0/8", "192.0.2.0/24"},
    };
    struct record record = store_sample(FIRST_ID + KEYS, "a name", "alice");
    uint64_t id;
    const char *what;
    (void)state;
    for (const char *const *network = (const char *const[]){"192.0.2.0/24", "10.0.0.0/8", NULL};
         *network != NULL; network++)
        assert_int_equal(
            network_parse(text_of(*network), &record.networks[record.network_count++], NULL), 0);
    store_save(store, NULL, &record, CHANGE_CREATED);
    show(&record);
    assert_int_equal(check(&id, &what), 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        record.network_count = 0;
        for (unsigned j = 0; j < 2 && wrong[i][j] != NULL; j++)
            assert_int_equal(
                network_parse(text_of(wrong[i][j]), &record.networks[record.network_count++], NULL),
                0);
        show(&record);
        assert_wrong(FIRST_ID + KEYS, "allowed_networks");
    }
}

static void a_slot_that_the_store_knows_nothing_of_is_found_if_it_lives(void **state)
{
    uint64_t id;
    const char *what;
    struct record forged = store_sample(7, "forged", "mallory");
    (void)state;
    show(&forged);
    assert_wrong(7, "unknown");
    atomic_fetch_xor(&slot_of(7)->control, SLOT_LIVE ^ SLOT_REVOKED);
    assert_int_equal(check(&id, &what), 0);
}

static void a_digest_that_two_slots_have_is_found(void **state)
{
    struct table_slot *first = slot_of(FIRST_ID + 3);
    struct record record = store_sample(FIRST_ID + 3, "a new name", "alice");
    uint64_t control = atomic_load(&first->control);
    (void)state;
    show(&record); /* takes a new slot, and marks the first */
    atomic_store(&first->control, control);
    assert_wrong(FIRST_ID + 3, "twice");
}

static void a_page_of_findings_is_bounded_and_none_is_lost(void **state)
{
    uint64_t id;
    const char *what;
    (void)state;
    for (uint64_t i = KEYS; i < OP_WRONG_MAX + 20; i++) {
        struct record record = store_sample(FIRST_ID + i, "hidden", "alice");
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    assert_int_equal(check(&id, &what), OP_WRONG_MAX + 20 - KEYS);
    for (uint64_t i = 0; i < KEYS; i++)
        atomic_fetch_xor(&slot_of(FIRST_ID + i)->control, CONTROL_DISABLED);
    assert_int_equal(check(&id, &what), OP_WRONG_MAX + 20);
}

static void a_cursor_behind_the_table_is_its_end(void **state)
{
    struct op *op = op_new(OP_TABLE_CHECK);
    (void)state;
    op->check_at = (struct op_check_place){.generation = table.writer.view.generation,
                                           .slot = table.writer.view.slot_count + 1};
    keys_read(&keys, op);
    assert_true(op->check_ended);
    assert_int_equal(op->wrong_count, 0);
    op_free(op);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_table_that_shows_the_store_has_nothing_wrong),
        EACH(each_word_of_a_slot_that_differs_is_found),
        EACH(texts_that_differ_are_found),
        EACH(networks_that_differ_are_found),
        EACH(a_slot_that_the_store_knows_nothing_of_is_found_if_it_lives),
        EACH(a_digest_that_two_slots_have_is_found),
        EACH(a_page_of_findings_is_bounded_and_none_is_lost),
        EACH(a_cursor_behind_the_table_is_its_end),
    };
    return cmocka_run_group_tests_name("keys_check", tests, NULL, NULL);
}
