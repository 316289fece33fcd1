/* A disk that is full in the midst of a transaction, and indexes that are not as they are written.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store_internal.h"
#include "lib_store_test.h"

static struct store_buffer buffer;
static _Atomic int full;

static ssize_t faulty_write(int fd, const void *bytes, size_t len)
{
    if (full && len > 65536) {
        errno = ENOSPC;
        return -1;
    }
    return write(fd, bytes, len);
}

static ssize_t faulty_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    if (full) {
        errno = ENOSPC;
        return -1;
    }
    return pwrite(fd, bytes, len, offset);
}

static int tear_down(void **state)
{
    full = 0;
    return remove_folder(state);
}

static int put_key(struct store_txn *txn, uint64_t id, const char *name)
{
    struct record record = store_sample(id, name, "acme");
    return store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error);
}

static void an_id_twice_in_one_transaction_is_a_conflict(void **state)
{
    struct store_txn *txn;
    (void)state;
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(put_key(txn, 10, "first"));
    int r = put_key(txn, 10, "second");
    assert_ok(store_commit(txn, &error));
    assert_agrees();
    assert_int_equal(r, CATLATCH_E_CONFLICT);
}

/* What the log's buffer holds. */
static uint32_t buffered(void)
{
    DB_LOG_STAT *stat;
    assert_int_equal(store->env->log_stat(store->env, &stat, 0), 0);
    uint32_t bytes =
        stat->st_cur_file == stat->st_disk_file ? stat->st_cur_offset - stat->st_disk_offset : 0;
    free(stat);
    return bytes;
}

static void note(uint32_t len)
{
    static char pad[1000];
    struct change change = {
        .time_unix_ms = 1, .kind = CHANGE_CREATED, .detail = {memset(pad, 'x', sizeof pad), len}};
    struct store_txn *txn;
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_note(txn, &change, &error));
    assert_ok(store_commit(txn, &error));
}

/* In place of Berkeley DB's commit, which can find no room for its record: it undoes, and says why.
 */
static int no_room_to_commit(DB_TXN *txn, u_int32_t flags)
{
    (void)flags;
    int r = txn->abort(txn);
    return r != 0 ? r : ENOSPC;
}

static void a_commit_that_finds_no_room_leaves_no_part_behind(void **state)
{
    struct store_txn *txn;
    struct record record;
    (void)state;
    store->part_keys = 4;
    for (uint64_t id = 10; id <= 40; id += 10) {
        record = store_sample(id, "n", "acme");
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(put_key(txn, 50, "n"));
    txn->txn->commit = no_room_to_commit;
    assert_int_equal(store_commit(txn, &error), CATLATCH_E_FULL);
    assert_false(store_is_broken(store));
    size_t parts = store->part_count;
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(put_key(txn, 60, "n"));
    assert_ok(store_commit(txn, &error));
    assert_ok(store_flush(store, &error));
    record = read_key(20);
    record.name = text_of("renamed");
    store_save(store, &record, &record, CHANGE_UPDATED);
    const char *wrong = store_disagrees(store);
    reopen();
    assert_int_equal(parts, 0);
    assert_null(wrong);
}

static unsigned owners_not_found(uint64_t last)
{
    unsigned missed = 0;
    for (uint64_t id = 1; id <= last; id++) {
        struct record record;
        uint64_t ids[4];
        size_t count = 0;
        if (store_key(store, NULL, id, &buffer, &record, &error) != 0)
            continue;
        assert_ok(store_find(store, STORE_BY_OWNER, record.owner, 0, ids, 4, &count, &error));
        missed += count != 1 || ids[0] != id;
    }
    return missed;
}

static void put_owned(uint64_t first, uint64_t last, bool fails)
{
    struct store_txn *txn;
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t id = first; id <= last; id++) {
        char owner[32];
        snprintf(owner, sizeof owner, "owner %llu", (unsigned long long)id);
        struct record record = store_sample(id, "n", owner);
        assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
    }
    if (fails)
        txn->txn->commit = no_room_to_commit;
    assert_int_equal(store_commit(txn, &error), fails ? CATLATCH_E_FULL : 0);
    assert_ok(store_flush(store, &error));
}

static void after_a_commit_that_found_no_room_every_owners_keys_are_found(void **state)
{
    (void)state;
    store->part_keys = 100;
    put_owned(1, 100, false);
    put_owned(101, 101, true);
    put_owned(101, 101, false);
    assert_int_equal(owners_not_found(101), 0);
    reopen();
    store->part_keys = 100;
    assert_int_equal(owners_not_found(101), 0);
    put_owned(102, 102, false);
    put_owned(103, 202, false);
    put_owned(203, 203, false);
    assert_int_equal(owners_not_found(203), 0);
    reopen();
    assert_int_equal(owners_not_found(203), 0);
}

/* New keys that wait to be written meet a full disk when somebody reads. */
static void what_a_read_could_not_write_makes_the_transaction_fail(void **state)
{
    struct store_txn *txn;
    struct record record, changed;
    (void)state;
    record = store_sample(1, "n", "acme");
    store_save(store, NULL, &record, CHANGE_CREATED);
    record = read_key(1);
    for (unsigned len = 0; len < 100; len++) {
        int r = 0;
        bool by_read = false;
        assert_ok(store_flush(store, &error));
        while (buffered() < (2u << 20) - 20000)
            note(900);
        uint64_t id = store->highest_id;
        full = 1;
        assert_ok(store_begin(store, &txn, &error));
        while (r == 0 && (r = put_key(txn, ++id, "n")) == 0) {
            changed = record;
            changed.version = 0; /* a conflict, which leaves the transaction as it was */
            r = store_put_kind(txn, &changed, &changed, CHANGE_UPDATED, &error);
            by_read = r != CATLATCH_E_CONFLICT;
            r = r == CATLATCH_E_CONFLICT ? 0 : r;
        }
        full = 0;
        assert_int_equal(r, CATLATCH_E_FULL);
        assert_false(store_is_broken(store));
        if (!by_read) {
            store_abort(txn);
            continue;
        }
        assert_int_equal(store_commit(txn, &error), CATLATCH_E_CONFLICT);
        assert_agrees();
        return;
    }
    fail();
}

static void put_meta(const char *name, uint64_t number)
{
    unsigned char bytes[8];
    store_pack(number, bytes);
    DBT key = store_dbt(name, strlen(name)), data = store_dbt(bytes, sizeof bytes);
    DB_TXN *txn;
    assert_ok(store_env_begin(store, &txn, &error));
    assert_int_equal(store->db[STORE_META]->put(store->db[STORE_META], txn, &key, &data, 0), 0);
    assert_int_equal(txn->commit(txn, 0), 0);
}

static void make_parts(void)
{
    struct record record;
    store->part_keys = 4;
    for (uint64_t id = 10; id <= 100; id += 10) {
        record = store_sample(id, "n", "acme");
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    assert_int_equal(store->part_count, 2);
    assert_int_equal(store->part_ids[0], 41);
}

static void expect_damage(uint64_t second)
{
    const struct store_options options = {.directory = folder, .cache_size_bytes = 16 << 20};
    make_parts();
    put_meta("part0000000002", second);
    close_store();
    assert_int_equal(store_open(&options, &store, &error), CATLATCH_E_DATA);
    assert_non_null(strstr(error.text, "\"part0000000002\" of meta.db"));
    assert_non_null(strstr(error.text, "is damaged; restore a backup"));
}

static void a_part_that_begins_at_nought_is_damage(void **state)
{
    (void)state;
    expect_damage(0);
}

static void a_part_that_begins_where_the_one_before_does_is_damage(void **state)
{
    (void)state;
    expect_damage(41);
}

static void a_part_that_begins_beyond_all_keys_is_damage(void **state)
{
    (void)state;
    expect_damage(102);
}

static void runs_that_do_not_rise_are_damage(void **state)
{
    struct record record;
    uint64_t ids[64];
    size_t count = 0;
    (void)state;
    store->part_keys = 8;
    for (uint64_t id = 10; id <= 90; id += 10) {
        record = store_sample(id, "n", id == 40 ? "other" : "acme");
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 8);
    DB *db = store->db[STORE_INDEX];
    unsigned char bytes[30] = {'y', 0, 0, 0, 0, STORE_BY_OWNER};
    memset(bytes + 6, 0xff, 24);
    struct store_pair pairs[8], swap;
    DBT key = store_dbt(bytes, sizeof bytes), data = store_dbt_room(pairs, sizeof pairs);
    assert_int_equal(db->get(db, NULL, &key, &data, 0), 0);
    assert_int_equal(data.size, sizeof pairs);
    swap = pairs[0];
    pairs[0] = pairs[7];
    pairs[7] = swap;
    data = store_dbt(pairs, sizeof pairs);
    assert_int_equal(db->put(db, NULL, &key, &data, 0), 0);
    int r = store_find(store, STORE_BY_OWNER, text_of("acme"), 0, ids, 64, &count, &error);
    assert_int_equal(r, CATLATCH_E_DATA);
}

static void the_highest_id_of_all_is_refused(void **state)
{
    struct store_txn *txn;
    (void)state;
    store->part_keys = 1;
    assert_ok(store_begin(store, &txn, &error));
    assert_int_equal(put_key(txn, UINT64_MAX, "n"), CATLATCH_E_DATA);
    store_abort(txn);
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(put_key(txn, RECORD_ID_MAX, "n"));
    assert_ok(store_commit(txn, &error));
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(put_key(txn, 40, "n"));
    assert_ok(store_commit(txn, &error));
    assert_agrees();
    reopen();
    assert_agrees();
    assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 2);
}

#define with(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with(an_id_twice_in_one_transaction_is_a_conflict),
        with(a_commit_that_finds_no_room_leaves_no_part_behind),
        with(after_a_commit_that_found_no_room_every_owners_keys_are_found),
        with(what_a_read_could_not_write_makes_the_transaction_fail),
        with(a_part_that_begins_at_nought_is_damage),
        with(a_part_that_begins_where_the_one_before_does_is_damage),
        with(a_part_that_begins_beyond_all_keys_is_damage),
        with(runs_that_do_not_rise_are_damage),
        with(the_highest_id_of_all_is_refused),
    };
    db_env_set_func_write(faulty_write);
    db_env_set_func_pwrite(faulty_pwrite);
    return cmocka_run_group_tests_name("store room", tests, NULL, NULL);
}
