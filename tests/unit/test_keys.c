/* What operations do to claims and to one another, without a daemon: a store, a table on the heap,
 * and keys_change between them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/config_environments.h"
#include "daemon/keys_internal.h"
#include "daemon/store_internal.h"
#include "lib_store.h"
#include "lib_table.h"

#define OWNER "alice"

/* Of the table that gets full. */
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

static void add_key(uint64_t id)
{
    struct record record = store_sample(id, "a name", OWNER);
    struct table_entry entry;
    store_save(store, NULL, &record, CHANGE_CREATED);
    keys_entry(&record, owners_find(&keys.owners, record.owner), &entry);
    assert_int_equal(heap_table_put(&table, &entry), 0);
}

/* keys->table becomes this one, with all that the store holds. */
static int show(void *context, const struct record *record)
{
    struct table_entry entry;
    keys_entry(record, owners_find(&keys.owners, record->owner), &entry);
    return heap_table_put(context, &entry);
}

static void switch_to(struct heap_table *larger)
{
    struct error error;
    uint64_t last;
    assert_int_equal(store_scan(store, 0, SIZE_MAX, show, larger, &last, &error), 0);
    keys.table = &larger->writer;
}

static struct op *make_op(enum op_kind kind, const uint64_t *ids, size_t count)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    op->ids = op_alloc(op, (count + 1) * sizeof *op->ids);
    assert_non_null(op->ids);
    memcpy(op->ids, ids, count * sizeof *ids);
    op->id_count = count;
    return op;
}

/* Each takes a slot of its own. */
static struct op *make_rename(const uint64_t *ids, size_t count, const char *name)
{
    struct op *op = make_op(OP_UPDATE, ids, count);
    op->fields.has = OP_HAS_NAME;
    op->fields.name = text_of(name);
    return op;
}

static int run(struct op *op)
{
    keys_tidy(op);
    keys_change(&keys, op);
    return op->error.code;
}

static int run_and_free(struct op *op)
{
    int r = run(op);
    op_free(op);
    return r;
}

static struct op *read_log(uint64_t after)
{
    struct op *op = op_new(OP_LOG);
    assert_non_null(op);
    op->after = (struct store_position){after != 0, after};
    keys_read(&keys, op);
    return op;
}

static int read_and_free(struct op *op)
{
    int r = op->error.code;
    op_free(op);
    return r;
}

static void a_place_that_the_log_does_not_have_is_refused(void **state)
{
    struct error error;
    size_t count;
    (void)state;
    for (uint64_t id = 1; id <= 5; id++)
        add_key(id);
    assert_int_equal(read_and_free(read_log(5)), 0);
    assert_int_equal(read_and_free(read_log(6)), CATLATCH_E_CONFLICT);
    assert_int_equal(store_prune(store, INT64_MAX, 3, &count, &error), 0);
    assert_int_equal(read_and_free(read_log(0)), 0);
    assert_int_equal(read_and_free(read_log(3)), 0);
    assert_int_equal(read_and_free(read_log(2)), CATLATCH_E_CONFLICT);
    struct op *op = op_new(OP_LOG_VERIFY); /* nor is what was removed said to be missing */
    assert_non_null(op);
    op->after = (struct store_position){1, 2};
    keys_read(&keys, op);
    assert_int_equal(read_and_free(op), CATLATCH_E_CONFLICT);
}

static void changes_that_are_missing_at_the_end_are_missed(void **state)
{
    unsigned char last[16];
    (void)state;
    add_key(1);
    add_key(2);
    store_pack(1, last);
    store_pack(2, last + 8);
    DBT key = store_dbt(last, sizeof last);
    struct op *op = op_new(OP_LOG_VERIFY);
    assert_non_null(op);
    assert_int_equal(store->db[STORE_CHANGES]->del(store->db[STORE_CHANGES], NULL, &key, 0), 0);
    keys_read(&keys, op);
    assert_int_equal(op->error.code, 0);
    assert_int_equal(op->verified, 1);
    assert_int_equal(op->problem.code, CATLATCH_E_DATA);
    op_free(op);
}

/* Such changes are ninety times as long as most. */
static void a_page_of_long_changes_is_short_and_the_next_goes_on(void **state)
{
    static char value[RECORD_COMMENT_MAX];
    uint64_t id = 7, at = 1;
    (void)state;
    memset(value, 'x', sizeof value);
    add_key(id);
    for (unsigned i = 0; i < 60; i++) {
        struct op *op = make_op(OP_UPDATE, &id, 1);
        op->fields.has = OP_HAS_METADATA;
        op->fields.metadata_count = RECORD_METADATA_MAX;
        for (unsigned j = 0; j < RECORD_METADATA_MAX; j++) {
            const char name[] = {(char)('A' + j % 16), (char)('A' + j / 16)};
            assert_int_equal(op_text(op, name, sizeof name, &op->fields.metadata[j].name), 0);
            value[0] = (char)('a' + i % 2);
            assert_int_equal(op_text(op, value, sizeof value, &op->fields.metadata[j].value), 0);
        }
        assert_int_equal(run_and_free(op), 0);
        keys_publish(&keys, keys.claim_count);
    }
    for (bool end = false; !end;) {
        struct op *op = read_log(at);
        assert_int_equal(op->error.code, 0);
        assert_true(op->change_count > 0 && op->change_count < 40);
        for (size_t i = 0; i < op->change_count; i++)
            assert_int_equal(op->changes[i].sequence, ++at);
        end = op->at_end;
        op_free(op);
    }
    assert_int_equal(at, 61);
}

static void fill_table(uint64_t id)
{
    char name[] = "name a";
    for (unsigned i = 0; i < CAPACITY; i++) {
        name[5] = (char)('a' + i);
        if (run_and_free(make_rename(&id, 1, name)) != 0)
            break;
        keys_publish(&keys, keys.claim_count);
    }
    assert_true(keys.table_full);
}

static void an_operation_names_each_key_once_and_in_order(void **state)
{
    const uint64_t ids[] = {9, 2, 9, 4, 2, 2};
    struct op *op = make_op(OP_UPDATE, ids, 6), *none = make_op(OP_UPDATE, ids, 0);
    (void)state;
    keys_tidy(op);
    assert_int_equal(op->id_count, 3);
    assert_true(op->ids[0] == 2 && op->ids[1] == 4 && op->ids[2] == 9);
    keys_tidy(none);
    assert_int_equal(none->id_count, 0);
    op_free(op);
    op_free(none);
}

static void assert_shared(const uint64_t *a, size_t a_count, const uint64_t *b, size_t b_count,
                          bool shared)
{
    struct op *one = make_op(OP_UPDATE, a, a_count), *other = make_op(OP_UPDATE, b, b_count);
    keys_tidy(one);
    keys_tidy(other);
    assert_int_equal(keys_share_id(one, other), shared);
    assert_int_equal(keys_share_id(other, one), shared);
    op_free(one);
    op_free(other);
}

static void operations_share_a_key_wherever_it_stands(void **state)
{
    const uint64_t odd[] = {1, 3, 5, 7}, even[] = {8, 6, 4, 2}, last[] = {9, 2, 7}, first[] = {1};
    (void)state;
    assert_shared(odd, 4, even, 4, false);
    assert_shared(odd, 4, last, 3, true);
    assert_shared(odd, 4, first, 1, true);
    assert_shared(even, 4, last, 3, true);
    assert_shared(even, 4, first, 1, false);
    assert_shared(odd, 0, first, 1, false);
}

static void a_refused_change_of_many_keys_leaves_the_table_as_it_was(void **state)
{
    const uint64_t ids[] = {1, 2, 3, 99}; /* nobody has the last */
    (void)state;
    for (uint64_t id = 1; id <= 3; id++)
        add_key(id);
    uint64_t slots = table.writer.slots_used, side = table.writer.side_used;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(run_and_free(make_rename(ids, 4, "another")), CATLATCH_E_NOT_FOUND);
        assert_int_equal(keys.claim_count, 0);
    }
    assert_true(table.writer.slots_used == slots);
    assert_true(table.writer.side_used == side);
    assert_int_equal(run_and_free(make_rename(ids, 3, "another")), 0);
    keys_publish(&keys, keys.claim_count);
    assert_true(table.writer.slots_used == slots + 3);
}

/* Those of the operations before it in the same batch stay. */
static void a_refused_change_gives_up_its_own_claims_alone(void **state)
{
    const uint64_t ids[] = {1, 2, 99};
    struct op *kept;
    (void)state;
    add_key(1);
    add_key(2);
    kept = make_rename(ids, 1, "kept");
    assert_int_equal(run(kept), 0);
    uint64_t slots = table.writer.slots_used;
    assert_int_equal(run_and_free(make_rename(ids, 3, "refused")), CATLATCH_E_NOT_FOUND);
    assert_true(table.writer.slots_used == slots);
    keys_publish(&keys, keys.claim_count);
    const char *differs;
    struct table_entry entry;
    keys_entry(&kept->keys[0].record, owners_find(&keys.owners, text_of("")), &entry);
    differs = table_differs(&table.writer.view, &entry);
    if (differs != NULL)
        fail_msg("the table differs in: %s", differs);
    op_free(kept);
}

static struct op *make_scopes(uint64_t id, const char *first, const char *second)
{
    struct op *op = make_op(OP_UPDATE, &id, 1);
    op->fields.has = OP_HAS_SCOPES;
    op->fields.scopes[op->fields.scope_count++] = text_of(first);
    if (second != NULL)
        op->fields.scopes[op->fields.scope_count++] = text_of(second);
    return op;
}

static struct op *make_allow(uint64_t id, const char *first, const char *second)
{
    struct op *op = make_op(OP_UPDATE, &id, 1);
    const char *networks[] = {first, second};
    op->fields.has = OP_HAS_NETWORKS;
    for (unsigned i = 0; i < 2 && networks[i] != NULL; i++)
        assert_int_equal(network_parse(text_of(networks[i]),
                                       &op->fields.networks[op->fields.network_count++], NULL),
                         0);
    return op;
}

static int allows(uint64_t id, const char *address)
{
    struct record record = store_sample(id, "", "");
    struct address parsed;
    struct table_hit hit;
    assert_int_equal(address_parse(text_of(address), &parsed), 0);
    assert_int_equal(table_find(&table.writer.view, &record.digest, &hit), TABLE_HIT);
    return table_allows(&table.writer.view, hit.slot, &parsed);
}

static void networks_are_in_the_table_when_the_change_is_published(void **state)
{
    const uint64_t id = 1;
    struct op *again = make_allow(id, "10.0.0.0/8", "2001:db8::/32");
    (void)state;
    add_key(id);
    assert_int_equal(allows(id, "192.0.2.1"), 1);
    assert_int_equal(run_and_free(make_allow(id, "10.0.0.0/8", "2001:db8::/32")), 0);
    assert_int_equal(allows(id, "192.0.2.1"), 1); /* nobody was told yet */
    keys_publish(&keys, keys.claim_count);
    assert_int_equal(allows(id, "192.0.2.1"), 0);
    assert_int_equal(allows(id, "10.9.8.7"), 1);
    assert_int_equal(allows(id, "2001:db8::7"), 1);
    assert_int_equal(run(again), 0);
    assert_false(again->keys[0].changed);
    op_free(again);
    assert_int_equal(run_and_free(make_rename(&id, 1, "renamed")), 0);
    keys_publish(&keys, keys.claim_count);
    assert_int_equal(allows(id, "192.0.2.1"), 0); /* what is not named stays */
    assert_int_equal(run_and_free(make_allow(id, NULL, NULL)), 0);
    keys_publish(&keys, keys.claim_count);
    assert_int_equal(allows(id, "192.0.2.1"), 1);
}

/* What takes something away has room where nothing else has: it must not wait for a larger table.
 */
static void a_full_table_has_room_for_updates_that_narrow_and_for_no_others(void **state)
{
    const uint64_t id = 1;
    struct op *later = make_op(OP_UPDATE, &id, 1), *sooner = make_op(OP_UPDATE, &id, 1);
    (void)state;
    add_key(id);
    assert_int_equal(run_and_free(make_scopes(id, "read", "write")), 0);
    fill_table(id);
    assert_int_equal(run_and_free(make_scopes(id, "read", NULL)), 0);
    assert_int_equal(run_and_free(make_scopes(id, "other", NULL)), 0); /* "read" is gone */
    later->fields.has = OP_HAS_NOT_BEFORE;
    later->fields.not_before_unix_s = keys.now_unix_ms / 1000 + 60;
    assert_int_equal(run_and_free(later), 0);
    assert_int_equal(run_and_free(make_allow(id, "10.0.0.0/8", "::/0")), 0);
    assert_int_equal(run_and_free(make_allow(id, "10.0.0.0/8", NULL)), 0);
    assert_int_equal(run_and_free(make_allow(id, "10.1.0.0/16", NULL)), 0);
    assert_int_equal(run_and_free(make_allow(id, "11.0.0.0/8", NULL)), 0); /* 10.1 is gone */
    assert_int_equal(run_and_free(make_allow(id, "11.0.0.0/8", "::/0")), CATLATCH_E_FULL);
    assert_int_equal(run_and_free(make_allow(id, "10.0.0.0/7", NULL)), CATLATCH_E_FULL);
    assert_int_equal(run_and_free(make_allow(id, NULL, NULL)), CATLATCH_E_FULL);
    sooner->fields.has = OP_HAS_NAME | OP_HAS_EXPIRES;
    sooner->fields.name = text_of("ends sooner");
    sooner->fields.expires_unix_s = keys.now_unix_ms / 1000 + 3600;
    assert_int_equal(run_and_free(sooner), 0);
    assert_int_equal(run_and_free(make_scopes(id, "other", "write")), CATLATCH_E_FULL);
    assert_int_equal(run_and_free(make_rename(&id, 1, "renamed")), CATLATCH_E_FULL);
    keys_publish(&keys, keys.claim_count);
}

static struct op *make_asked_by(uint64_t actor, uint64_t id)
{
    struct op *op = make_rename(&id, 1, "by a key");
    op->actor.key_id = actor;
    return op;
}

static void a_change_that_waits_is_refused_when_its_key_was_revoked_meanwhile(void **state)
{
    const uint64_t actor = 1, other = 2;
    struct heap_table larger;
    struct op *op = make_asked_by(actor, other);
    (void)state;
    add_key(actor);
    add_key(other);
    fill_table(other);
    assert_int_equal(run(op), CATLATCH_E_FULL);
    assert_true(keys.table_full);
    assert_int_equal(run_and_free(make_op(OP_REVOKE, &actor, 1)), 0);
    keys_publish(&keys, keys.claim_count);

    heap_table_open(&larger, CAPACITY * 4, 256);
    switch_to(&larger);
    uint64_t sequence = store_sequence(store);
    assert_int_equal(run(op), CATLATCH_E_PERMISSION);
    assert_non_null(strstr(op->error.text, "revoked"));
    assert_true(store_sequence(store) == sequence);
    op_free(op);
    heap_table_close(&larger);
}

static void a_change_that_waits_is_made_when_its_key_still_lives(void **state)
{
    const uint64_t actor = 1, other = 2;
    struct heap_table larger;
    struct op *op = make_asked_by(actor, other);
    (void)state;
    add_key(actor);
    add_key(other);
    fill_table(other);
    assert_int_equal(run(op), CATLATCH_E_FULL);
    heap_table_open(&larger, CAPACITY * 4, 256);
    switch_to(&larger);
    assert_int_equal(run(op), 0);
    assert_int_equal(op->key_count, 1);
    assert_true(op->keys[0].changed);
    keys_publish(&keys, keys.claim_count);
    op_free(op);
    heap_table_close(&larger);
}

static void a_key_that_is_disabled_expired_or_suspended_changes_nothing(void **state)
{
    const uint64_t actor = 1, other = 2;
    struct op *suspend = op_new(OP_OWNER_SUSPEND), *expire = make_op(OP_UPDATE, &other, 1);
    (void)state;
    assert_non_null(suspend);
    suspend->owner = text_of(OWNER);
    add_key(actor);
    add_key(other);
    assert_int_equal(run_and_free(make_op(OP_DISABLE, &actor, 1)), 0);
    assert_int_equal(run_and_free(make_asked_by(actor, other)), CATLATCH_E_PERMISSION);
    assert_int_equal(run_and_free(make_op(OP_ENABLE, &actor, 1)), 0);
    assert_int_equal(run_and_free(make_asked_by(actor, other)), 0);
    expire->fields.has = OP_HAS_EXPIRES;
    expire->fields.expires_unix_s = keys.now_unix_ms / 1000;
    assert_int_equal(run_and_free(expire), 0);
    assert_int_equal(run_and_free(make_asked_by(other, actor)), CATLATCH_E_PERMISSION);
    assert_int_equal(run_and_free(suspend), 0);
    assert_int_equal(run_and_free(make_asked_by(actor, other)), CATLATCH_E_PERMISSION);
    keys_publish(&keys, keys.claim_count);
}

/* Who asked a moment before that span began is told of it all the same: there is what was not
 * swept yet. */
static void a_history_goes_on_to_the_span_of_the_moment_at_which_it_is_read(void **state)
{
    const uint64_t id = 1;
    struct op *op = make_op(OP_HISTORY, &id, 1);
    (void)state;
    add_key(id);
    op->level = HISTORY_MINUTES;
    op->since_unix_s = keys.now_unix_ms / 1000 - 90; /* a span begins now */
    assert_int_equal(op->since_unix_s % 60, 30);
    assert_int_equal(keys_history(&keys, op), 0);
    assert_int_equal(op->until_unix_s, keys.now_unix_ms / 1000 + 1);
    op_free(op);
}

static int rotate(uint64_t id)
{
    struct op *op = make_op(OP_ROTATE, &id, 1);
    op->grace_s = 60;
    return run_and_free(op);
}

static void a_key_that_lives_longer_than_the_policy_lets_it_has_no_successor(void **state)
{
    const uint64_t id = 1;
    struct op *sooner = make_op(OP_UPDATE, &id, 1);
    (void)state;
    add_key(id);
    config.max_expiry_s = 3600;
    environments_default(&config.environments);
    uint64_t sequence = store_sequence(store);
    assert_int_equal(rotate(id), CATLATCH_E_LIMIT);
    assert_true(store_sequence(store) == sequence);
    sooner->fields.has = OP_HAS_EXPIRES;
    sooner->fields.expires_unix_s = keys.now_unix_ms / 1000 + 3600;
    assert_int_equal(run_and_free(sooner), 0);
    assert_int_equal(rotate(id), 0);
    keys_publish(&keys, keys.claim_count);
    config = (struct config){.max_expiry_s = 0};
}

static void rotations_know_a_bound_where_an_owner_has_one(void **state)
{
    const uint64_t first = 1;
    (void)state;
    add_key(first);
    add_key(2);
    config.max_keys_per_owner = 2;
    environments_default(&config.environments);
    uint64_t latest = first;
    for (unsigned i = 0; i < 2; i++) {
        struct op *op = make_op(OP_ROTATE, &latest, 1);
        op->grace_s = 60;
        assert_int_equal(run(op), 0);
        latest = op->keys[0].record.id;
        op_free(op);
    }
    assert_int_equal(rotate(latest), CATLATCH_E_LIMIT);
    keys_publish(&keys, keys.claim_count);
    config = (struct config){.max_expiry_s = 0};
}

static uint64_t shown_flags(uint64_t id)
{
    struct record record = store_sample(id, "a name", OWNER);
    struct table_hit hit;
    assert_int_equal(table_find(&table.writer.view, &record.digest, &hit), TABLE_HIT);
    return hit.control & (CONTROL_DISABLED | CONTROL_SUSPENDED);
}

static struct op *make_owner_op(enum op_kind kind)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    op->owner = text_of(OWNER);
    return op;
}

/* And a resume leaves alone what was disabled one by one. */
static void nothing_but_a_resume_lifts_an_owners_suspension(void **state)
{
    const uint64_t one = 1, other = 2, disabled = 3;
    (void)state;
    for (uint64_t id = 1; id <= 3; id++)
        add_key(id);
    assert_int_equal(run_and_free(make_op(OP_DISABLE, &one, 1)), 0);
    assert_int_equal(run_and_free(make_op(OP_DISABLE, &disabled, 1)), 0);
    assert_int_equal(run_and_free(make_owner_op(OP_OWNER_SUSPEND)), 0);
    keys_publish(&keys, keys.claim_count);
    assert_true(shown_flags(one) == (CONTROL_DISABLED | CONTROL_SUSPENDED));
    assert_int_equal(run_and_free(make_op(OP_ENABLE, &one, 1)), 0);
    assert_int_equal(run_and_free(make_scopes(other, "read", NULL)), 0);
    assert_int_equal(run_and_free(make_rename(&other, 1, "renamed")), 0);
    keys_publish(&keys, keys.claim_count);
    assert_true(shown_flags(one) == CONTROL_SUSPENDED);
    assert_true(shown_flags(other) == CONTROL_SUSPENDED);
    assert_int_equal(run_and_free(make_owner_op(OP_OWNER_RESUME)), 0);
    keys_publish(&keys, keys.claim_count);
    assert_true(shown_flags(one) == 0);
    assert_true(shown_flags(other) == 0);
    assert_true(shown_flags(disabled) == CONTROL_DISABLED);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(an_operation_names_each_key_once_and_in_order),
        EACH(a_place_that_the_log_does_not_have_is_refused),
        EACH(changes_that_are_missing_at_the_end_are_missed),
        EACH(a_page_of_long_changes_is_short_and_the_next_goes_on),
        EACH(operations_share_a_key_wherever_it_stands),
        EACH(a_refused_change_of_many_keys_leaves_the_table_as_it_was),
        EACH(a_refused_change_gives_up_its_own_claims_alone),
        EACH(networks_are_in_the_table_when_the_change_is_published),
        EACH(a_full_table_has_room_for_updates_that_narrow_and_for_no_others),
        EACH(a_change_that_waits_is_refused_when_its_key_was_revoked_meanwhile),
        EACH(a_change_that_waits_is_made_when_its_key_still_lives),
        EACH(a_history_goes_on_to_the_span_of_the_moment_at_which_it_is_read),
        EACH(a_key_that_lives_longer_than_the_policy_lets_it_has_no_successor),
        EACH(rotations_know_a_bound_where_an_owner_has_one),
        EACH(nothing_but_a_resume_lifts_an_owners_suspension),
        EACH(a_key_that_is_disabled_expired_or_suspended_changes_nothing),
    };
    return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}
