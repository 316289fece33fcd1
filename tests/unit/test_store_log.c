/* The store's change log: its stream, and the chain that tells when it was tampered with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/store_internal.h"
#include "lib_store_test.h"

struct visits {
    uint64_t ids[64];
    size_t count;
    size_t end_after;
    int end_with;
};

static int visit_change(void *context, const struct change *change)
{
    struct visits *visits = context;
    assert_int_equal(change->epoch, 1);
    visits->ids[visits->count++] = change->sequence;
    return visits->count == visits->end_after ? visits->end_with : 0;
}

static void the_change_stream_can_be_resumed_and_stopped(void **state)
{
    struct visits visits = {.count = 0};
    struct store_position at = {0, 0};
    (void)state;
    store_fill(store, 5);
    assert_ok(store_changes(store, &at, 2, visit_change, &visits, &error));
    assert_true(at.epoch == 1 && at.sequence == 2);
    assert_ok(store_changes(store, &at, 9, visit_change, &visits, &error));
    assert_int_equal(at.sequence, 5);
    assert_int_equal(visits.count, 5);
    assert_ok(store_changes(store, &at, 9, visit_change, &visits, &error));
    assert_int_equal(visits.count, 5);
    visits = (struct visits){.end_after = 4, .end_with = CATLATCH_E_DATA};
    at = (struct store_position){1, 0};
    assert_int_equal(store_changes(store, &at, 9, visit_change, &visits, &error), CATLATCH_E_DATA);
    assert_int_equal(at.sequence, 4);
}

/* Replaces, or with len 0 removes, what the log has at a sequence: as somebody would who can write
 * the files. */
static void tamper(uint64_t sequence, const void *bytes, size_t len)
{
    unsigned char position[16];
    DB *db = store->db[STORE_CHANGES];
    store_pack(1, position);
    store_pack(sequence, position + 8);
    DBT key = store_dbt(position, sizeof position), data = store_dbt(bytes, len);
    assert_int_equal(len == 0 ? db->del(db, NULL, &key, 0) : db->put(db, NULL, &key, &data, 0), 0);
}

static size_t read_change(uint64_t sequence, void *bytes, size_t size)
{
    unsigned char position[16];
    size_t len = 0;
    store_pack(1, position);
    store_pack(sequence, position + 8);
    assert_ok(
        store_get(store, STORE_CHANGES, position, sizeof position, bytes, size, &len, &error));
    return len;
}

static int verify_log(size_t *ret_count)
{
    struct store_position at = {0, 0};
    struct digest chain = {{0}};
    return store_changes_verify(store, &at, &chain, SIZE_MAX, ret_count, &error);
}

static void the_chain_of_a_log_goes_on_over_a_restart(void **state)
{
    size_t count = 0;
    (void)state;
    store_fill(store, 3);
    reopen();
    struct record record = store_sample(77, "n", "acme");
    store_save(store, NULL, &record, CHANGE_CREATED);
    assert_ok(verify_log(&count));
    assert_int_equal(count, 4);
}

static void a_change_that_was_altered_is_found_wherever_its_bytes_differ(void **state)
{
    unsigned char bytes[512];
    size_t count = 0;
    (void)state;
    store_fill(store, 5);
    size_t len = read_change(3, bytes, sizeof bytes);
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= 1;
        tamper(3, bytes, len);
        assert_int_equal(verify_log(&count), CATLATCH_E_DATA);
        assert_true(count <= 3);
        bytes[i] ^= 1;
    }
    tamper(3, bytes, len);
    assert_ok(verify_log(&count));
    assert_int_equal(count, 5);
}

static void a_change_that_is_rewritten_with_its_own_chain_value_breaks_the_next(void **state)
{
    unsigned char bytes[512];
    struct change_room room;
    struct change change, before;
    size_t count = 0, len;
    (void)state;
    store_fill(store, 5);
    len = read_change(2, bytes, sizeof bytes);
    assert_ok(change_decode(bytes, len, &room, &before));
    len = read_change(3, bytes, sizeof bytes);
    assert_ok(change_decode(bytes, len, &room, &change));
    change.actor.uid = 4711;
    change.chain = before.chain;
    unsigned char forged[512];
    assert_ok(change_encode(&change, forged, sizeof forged, &len));
    tamper(3, forged, len);
    assert_int_equal(verify_log(&count), CATLATCH_E_DATA);
    assert_non_null(strstr(error.text, "1:4"));
}

static void a_change_that_was_removed_is_found(void **state)
{
    size_t count = 0;
    (void)state;
    store_fill(store, 5);
    tamper(3, NULL, 0);
    assert_int_equal(verify_log(&count), CATLATCH_E_DATA);
    assert_non_null(strstr(error.text, "between 1:2 and 1:4"));
}

static void a_change_is_told_whole(void **state)
{
    struct record record = store_sample(7, "a", "acme");
    struct change change = {
        .time_unix_ms = 1700000000999,
        .kind = CHANGE_CREATED,
        .key_id = 7,
        .actor = {.uid = 1000, .login_uid = 1001, .pid = 4321, .key_id = 99},
        .owner = text_of("acme"),
        .detail = text_of("name, scopes"),
    };
    struct store_txn *txn;
    unsigned char bytes[512], stored[512];
    size_t len = 0, stored_len = 0;
    (void)state;
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put(txn, NULL, &record, &change, &error));
    assert_ok(store_commit(txn, &error));
    assert_ok(change_encode(&change, bytes, sizeof bytes, &len));
    struct store_walk walk;
    DBT key, data;
    assert_ok(store_walk_open(store, STORE_CHANGES, "", 1, 1, &walk, &error));
    assert_int_equal(store_walk_next(&walk, &key, &data, &error), 1);
    stored_len = data.size;
    memcpy(stored, data.data, stored_len);
    store_walk_close(&walk);
    assert_int_equal(stored_len, len);
    assert_memory_equal(stored, bytes, len);
}

static size_t prune(int64_t until_unix_ms, size_t max)
{
    size_t count = 99;
    assert_ok(store_prune(store, until_unix_ms, max, &count, &error));
    return count;
}

/* What `fill` says of when its changes were made. */
#define FILLED_MS INT64_C(1700000000123)

static void the_beginning_of_a_log_can_be_removed_and_the_rest_stays_whole(void **state)
{
    struct visits visits = {.count = 0};
    struct store_position at = {0, 0};
    size_t count = 0;
    (void)state;
    store_fill(store, 10);
    assert_int_equal(prune(FILLED_MS, 9), 0); /* made before then, not at it */
    assert_int_equal(prune(FILLED_MS + 1, 4), 4);
    assert_true(store_log_start(store).epoch == 1 && store_log_start(store).sequence == 4);
    assert_ok(verify_log(&count));
    assert_int_equal(count, 6);
    assert_ok(store_changes(store, &at, 99, visit_change, &visits, &error));
    assert_int_equal(visits.ids[0], 5);

    reopen();
    assert_true(store_log_start(store).sequence == 4);
    assert_ok(verify_log(&count));
    tamper(5, NULL, 0);
    assert_int_equal(verify_log(&count), CATLATCH_E_DATA); /* the start is known, so it is missed */
}

static void the_last_change_is_never_removed(void **state)
{
    size_t count = 0;
    (void)state;
    assert_int_equal(prune(INT64_MAX, 99), 0);
    store_fill(store, 3);
    assert_int_equal(prune(INT64_MAX, 99), 2);
    assert_int_equal(prune(INT64_MAX, 99), 0);
    reopen();
    assert_int_equal(store_sequence(store), 3);
    struct record record = store_sample(77, "n", "acme");
    store_save(store, NULL, &record, CHANGE_CREATED);
    assert_ok(verify_log(&count));
    assert_int_equal(count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(the_change_stream_can_be_resumed_and_stopped),
        with_store(the_chain_of_a_log_goes_on_over_a_restart),
        with_store(a_change_that_was_altered_is_found_wherever_its_bytes_differ),
        with_store(a_change_that_is_rewritten_with_its_own_chain_value_breaks_the_next),
        with_store(a_change_that_was_removed_is_found),
        with_store(a_change_is_told_whole),
        with_store(the_beginning_of_a_log_can_be_removed_and_the_rest_stays_whole),
        with_store(the_last_change_is_never_removed),
    };
    return cmocka_run_group_tests_name("store_log", tests, NULL, NULL);
}
