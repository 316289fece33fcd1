/* The indexes of texts: their last part in memory, the sealed ones in runs. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/store_internal.h"
#include "lib_store_test.h"

static struct store_buffer buffer;

static void put_key(struct store_txn *txn, uint64_t id, const char *name)
{
    struct record record = store_sample(id, name, "acme");
    assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
}

/* Ids of acme's keys behind after_id, at most max; they rise. */
static size_t find_rising(uint64_t after_id, size_t max)
{
    uint64_t ids[64], last = after_id;
    size_t count;
    assert_ok(
        store_find(store, STORE_BY_OWNER, text_of("acme"), after_id, ids, max, &count, &error));
    for (size_t i = 0; i < count; last = ids[i++])
        assert_true(ids[i] > last);
    return count;
}

/* Tens, each in a transaction of its own. */
static void save_keys(uint64_t first, uint64_t last)
{
    for (uint64_t id = first; id <= last; id += 10) {
        struct record record = store_sample(id, "n", "acme");
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
}

static void what_is_in_several_parts_of_the_index_is_found_in_order(void **state)
{
    (void)state;
    store->part_keys = 4;
    save_keys(10, 100);
    assert_int_equal(store->part_count, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(find_rising(0, 64), 10);
        assert_int_equal(find_rising(30, 64), 7);
        assert_int_equal(find_rising(40, 64), 6);
        assert_int_equal(find_rising(35, 4), 4);
        assert_int_equal(find_rising(100, 64), 0);
        assert_int_equal(found_by(STORE_BY_OWNER, "acm"), 0);
        assert_int_equal(found_by(STORE_BY_OWNER, "nobody"), 0);
        assert_agrees();
        reopen();
        assert_int_equal(store->part_count, 2);
    }
}

static void a_key_between_others_goes_into_the_part_of_its_id(void **state)
{
    struct store_txn *txn;
    struct record record;
    (void)state;
    store->part_keys = 4;
    save_keys(10, 100);
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t id = 1; id <= 5; id++)
        put_key(txn, id, "early");
    put_key(txn, 55, "between");
    assert_ok(store_commit(txn, &error));
    assert_int_equal(store->part_count, 2);
    assert_int_equal(find_rising(0, 64), 16);
    assert_int_equal(found_by(STORE_BY_NAME, "early"), 5);
    assert_agrees();
    record = read_key(55);
    record.name = text_of("renamed");
    store_save(store, &record, &record, CHANGE_UPDATED);
    assert_int_equal(found_by(STORE_BY_NAME, "between"), 0);
    assert_int_equal(found_by(STORE_BY_NAME, "renamed"), 1);
    assert_agrees();
}

static void a_part_that_is_begun_in_vain_never_was(void **state)
{
    struct store_txn *txn;
    (void)state;
    store->part_keys = 4;
    save_keys(10, 40);
    for (uint64_t id = 50; id <= 60; id += 10) {
        assert_ok(store_begin(store, &txn, &error));
        put_key(txn, id, "new");
        assert_int_equal(store->part_count, 1);
        store_abort(txn);
        assert_int_equal(store->part_count, 0);
    }
    save_keys(70, 70);
    assert_int_equal(store->part_count, 1);
    reopen();
    assert_int_equal(store->part_count, 1);
    assert_agrees();
}

/* One key of a name in each part, so that a run has others' pairs on either side. */
static void put_many(uint64_t first, uint64_t count)
{
    struct store_txn *txn;
    char name[32];
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "name %llu", (unsigned long long)i);
        put_key(txn, first + i, name);
    }
    assert_ok(store_commit(txn, &error));
}

static void a_text_of_more_keys_than_a_run_holds_is_found_whole(void **state)
{
    uint64_t ids[400];
    size_t count;
    (void)state;
    store->part_keys = 150;
    for (uint64_t first = 1000; first <= 4000; first += 1000)
        put_many(first, 150);
    assert_int_equal(store->part_count, 3);
    assert_agrees();
    for (uint64_t after = 1149; after < 4000; after += 37) {
        assert_ok(
            store_find(store, STORE_BY_OWNER, text_of("acme"), after, ids, 100, &count, &error));
        assert_int_equal(count, after < 4050 ? 100 : 4149 - after);
        for (size_t i = 0; i < count; i++)
            assert_true(ids[i] > (i == 0 ? after : ids[i - 1]));
    }
    assert_int_equal(found_by(STORE_BY_NAME, "name 149"), 4);
    assert_int_equal(found_by(STORE_BY_NAME, "name 150"), 0);
}

/* Enough of them into one place that runs are cut, and cut again. */
static void keys_between_others_cut_the_runs_of_a_sealed_part(void **state)
{
    struct store_txn *txn;
    (void)state;
    store->part_keys = 4;
    save_keys(1000, 1050);
    assert_int_equal(store->part_count, 1);
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t id = 1; id <= 5 * STORE_RUN_PAIRS; id++)
        put_key(txn, id, id % 2 == 0 ? "even" : "odd");
    assert_ok(store_commit(txn, &error));
    assert_agrees();
    assert_int_equal(found_by(STORE_BY_NAME, "odd"), 64); /* as many as it asks for */
    reopen();
    assert_agrees();
}

/* They would all belong into the last part, which memory has to hold. */
static void keys_that_come_with_falling_ids_do_not_fill_memory(void **state)
{
    struct store_txn *txn;
    (void)state;
    store->part_keys = 16;
    for (uint64_t id = 5000; id > 4000; id -= 10) {
        assert_ok(store_begin(store, &txn, &error));
        for (uint64_t i = 0; i < 10; i++)
            put_key(txn, id - i, "n");
        assert_ok(store_commit(txn, &error));
        assert_in_range(store->recent.count, 0, 16 + 10);
    }
    assert_int_equal(store->part_count, 1);
    assert_agrees();
    put_many(6000, 50);
    put_many(7000, 1);
    assert_int_equal(store->part_count, 2);
    assert_int_equal(store->recent.count, 1);
    assert_agrees();
    reopen();
    assert_agrees();
}

/* No key of its number came to be: the next part begins behind those that did. */
static void an_id_that_was_given_up_moves_no_part(void **state)
{
    struct store_txn *txn;
    (void)state;
    store->part_keys = 4;
    save_keys(10, 40);
    assert_ok(store_begin(store, &txn, &error));
    put_key(txn, 500, "given up");
    store_abort(txn);
    assert_ok(store_begin(store, &txn, &error));
    put_key(txn, 25, "between");
    assert_ok(store_commit(txn, &error));
    assert_int_equal(store->part_count, 1);
    assert_int_equal(store->part_ids[0], 41);
    reopen();
    assert_agrees();
    assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 5);
}

static void a_sealed_part_without_pairs_takes_some_again(void **state)
{
    struct store_txn *txn;
    struct record record, purged;
    (void)state;
    store->part_keys = 4;
    save_keys(10, 60);
    assert_int_equal(store->part_count, 1);
    for (uint64_t id = 10; id <= 60; id += 10) {
        record = read_key(id);
        record.revoked = true;
        record.revoked_unix_s = 5;
        store_save(store, &record, &record, CHANGE_REVOKED);
        record = read_key(id);
        purged = record_purged(&record);
        store_save(store, &record, &purged, CHANGE_PURGED);
        assert_agrees();
    }
    assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 0);
    assert_ok(store_begin(store, &txn, &error));
    put_key(txn, 15, "again");
    assert_ok(store_commit(txn, &error));
    assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 1);
    assert_agrees();
    reopen();
    assert_agrees();
}

/* What is sealed is sorted heap by heap. */
static void texts_of_which_many_share_their_first_bits_are_sorted_too(void **state)
{
    struct store_txn *txn;
    struct store_hash first = store_hash_of(text_of("0")), hash;
    char names[8][32];
    size_t count = 0;
    (void)state;
    for (unsigned i = 0; count < 8; i++) {
        snprintf(names[count], sizeof names[count], "%u", i);
        hash = store_hash_of(text_of(names[count]));
        count += memcmp(&hash, &first, 2) == 0;
    }
    store->part_keys = 600;
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t id = 1; id <= 600; id++)
        put_key(txn, id, names[id * 7 % 8]);
    assert_ok(store_commit(txn, &error));
    save_keys(1000, 1000);
    assert_int_equal(store->part_count, 1);
    assert_agrees();
}

static void what_a_transaction_gave_up_is_in_no_index(void **state)
{
    struct store_txn *txn;
    struct record record;
    (void)state;
    store->part_keys = 4;
    save_keys(10, 60);
    assert_ok(store_begin(store, &txn, &error));
    put_key(txn, 5, "new");
    put_key(txn, 70, "new");
    record = read_key(60);
    record.name = text_of("new");
    assert_ok(store_put_kind(txn, &record, &record, CHANGE_UPDATED, &error));
    assert_int_equal(found_by(STORE_BY_NAME, "new"), 0);
    store_abort(txn);
    assert_int_equal(found_by(STORE_BY_NAME, "new"), 0);
    assert_agrees();
}

static void an_entry_of_the_index_that_is_no_run_is_told(void **state)
{
    unsigned char bytes[64] = {'y', 0, 0, 0, 0, STORE_BY_NAME};
    uint64_t ids[4];
    size_t count;
    (void)state;
    store->part_keys = 4;
    save_keys(10, 60);
    memset(bytes + 6, 0xff, sizeof(struct store_pair));
    DBT key = store_dbt(bytes, 6 + sizeof(struct store_pair)), data = store_dbt("no run", 6);
    DB *db = store->db[STORE_INDEX];
    assert_int_equal(db->put(db, NULL, &key, &data, 0), 0);
    assert_int_equal(store_find(store, STORE_BY_NAME, text_of("n"), 0, ids, 4, &count, &error),
                     CATLATCH_E_DATA);
    assert_non_null(strstr(error.text, "an entry of index.db"));
    assert_non_null(strstr(error.text, "is damaged; restore a backup"));
}

#define ROUNDS 600u
#define IDS 3000u

static bool exists(uint64_t id)
{
    struct record record;
    return store_key(store, NULL, id, &buffer, &record, NULL) == 0;
}

/* A key is made, renamed, given an expiry, revoked or purged. */
static void change_something(struct store_txn *txn, uint64_t id, unsigned what)
{
    static const char *const names[] = {"n", "a", "bb", "ccc", ""};
    struct record record, next;
    if (!exists(id)) {
        record = store_sample(id, names[what % 4], what % 3 == 0 ? "acme" : "other");
        record.expires_unix_s = what % 5 == 0 ? 1000 + what % 7 : 0;
        assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
        return;
    }
    record = read_key(id);
    if (record.purged)
        return;
    next = record;
    if (record.revoked) {
        next = record_purged(&record);
    } else if (what % 4 == 0) {
        next.revoked = true;
        next.revoked_unix_s = 1 + what % 9;
    } else {
        next.name = text_of(names[what % 5]);
        next.expires_unix_s = what % 3 == 0 ? 2000 + what % 5 : next.expires_unix_s;
    }
    assert_ok(store_put_kind(txn, &record, &next,
                             next.purged    ? CHANGE_PURGED
                             : next.revoked ? CHANGE_REVOKED
                                            : CHANGE_UPDATED,
                             &error));
}

/* Transactions of any length, some given up, over parts that begin again and again. */
static void whatever_happens_the_indexes_agree_with_the_keys(void **state)
{
    unsigned seed = 1;
    uint64_t next_id = 100;
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct store_txn *txn;
        unsigned count = 1 + (unsigned)rand_r(&seed) % 40;
        store->part_keys = 64;
        assert_ok(store_begin(store, &txn, &error));
        for (unsigned i = 0; i < count; i++) {
            bool is_new = next_id < IDS && rand_r(&seed) % 2 == 0;
            uint64_t id = is_new ? next_id : 1 + (uint64_t)rand_r(&seed) % next_id;
            next_id += is_new ? 1 + (uint64_t)rand_r(&seed) % 3 : 0;
            change_something(txn, id, (unsigned)rand_r(&seed));
        }
        if (rand_r(&seed) % 5 == 0)
            store_abort(txn);
        else
            assert_ok(store_commit(txn, &error));
        if (round % 8 == 0)
            assert_agrees();
        if (round % 40 == 0)
            reopen();
    }
    assert_agrees();
    assert_true(store->part_count > 10);
}

/* What a find says while a transaction is open is what was committed before it. */
static void check_finds(const size_t *counts, const char *const *names, size_t name_count)
{
    for (size_t i = 0; i < name_count; i++) {
        uint64_t ids[IDS], last = 0;
        size_t count;
        assert_ok(store_find(store, STORE_BY_NAME, text_of(names[i]), 0, ids, IDS, &count, &error));
        assert_int_equal(count, counts[i]);
        for (size_t n = 0; n < count; last = ids[n++])
            assert_true(ids[n] > last);
    }
}

static void count_finds(size_t *ret_counts, const char *const *names, size_t name_count)
{
    uint64_t ids[IDS];
    for (size_t i = 0; i < name_count; i++)
        assert_ok(store_find(store, STORE_BY_NAME, text_of(names[i]), 0, ids, IDS, &ret_counts[i],
                             &error));
}

/* Until it is killed. Every other commit is not flushed, and one transaction is always open. */
static void change_until_killed(unsigned seed, unsigned rounds)
{
    static const char *const names[] = {"n", "a", "bb", "ccc", ""};
    size_t counts[5];
    uint64_t next_id;

    store = store_open_or_die(folder);
    next_id = store->highest_id + 1;
    for (unsigned round = 0;; round++) {
        struct store_txn *txn;
        unsigned count = 1 + (unsigned)rand_r(&seed) % 40;
        store->part_keys = 16;
        count_finds(counts, names, 5);
        assert_ok(store_begin(store, &txn, &error));
        for (unsigned i = 0; i < count; i++) {
            bool is_new = rand_r(&seed) % 2 == 0;
            uint64_t id = is_new ? next_id : 1 + (uint64_t)rand_r(&seed) % next_id;
            next_id += is_new ? 1 + (uint64_t)rand_r(&seed) % 3 : 0;
            if (id == next_id)
                next_id++;
            change_something(txn, id, (unsigned)rand_r(&seed));
        }
        check_finds(counts, names, 5);
        if (round == rounds)
            raise(SIGKILL);
        if (rand_r(&seed) % 5 == 0) {
            store_abort(txn);
            check_finds(counts, names, 5);
        } else {
            assert_ok(store_commit(txn, &error));
        }
        if (round % 2 == 0)
            assert_ok(store_flush(store, &error));
        if (round % 7 == 0)
            assert_ok(store_checkpoint(store, true, &error));
    }
}

static void whenever_it_is_killed_the_indexes_agree_with_the_keys(void **state)
{
    (void)state;
    for (unsigned kill = 0; kill < 40; kill++) {
        int status = 0;
        close_store();
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            change_until_killed(kill + 1, kill % 13);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        store = store_open_or_die(folder);
        assert_agrees();
    }
    assert_true(store->part_count > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(what_is_in_several_parts_of_the_index_is_found_in_order),
        with_store(a_key_between_others_goes_into_the_part_of_its_id),
        with_store(a_part_that_is_begun_in_vain_never_was),
        with_store(a_text_of_more_keys_than_a_run_holds_is_found_whole),
        with_store(keys_between_others_cut_the_runs_of_a_sealed_part),
        with_store(keys_that_come_with_falling_ids_do_not_fill_memory),
        with_store(an_id_that_was_given_up_moves_no_part),
        with_store(a_sealed_part_without_pairs_takes_some_again),
        with_store(texts_of_which_many_share_their_first_bits_are_sorted_too),
        with_store(what_a_transaction_gave_up_is_in_no_index),
        with_store(an_entry_of_the_index_that_is_no_run_is_told),
        with_store(whatever_happens_the_indexes_agree_with_the_keys),
        with_store(whenever_it_is_killed_the_indexes_agree_with_the_keys),
    };
    return cmocka_run_group_tests_name("store_index", tests, NULL, NULL);
}
