/* What the store keeps, finds, refuses and remembers. What it does when disk or folder fail is in
 * test_store_faults.c, its change log in test_store_log.c; being killed is in
 * crash/test_store_crash.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/store_internal.h"
#include "lib_store_test.h"

static struct store_buffer buffer;

static uint64_t keys_of(const char *owner)
{
    struct record_owner found;
    assert_ok(store_owner(store, NULL, text_of(owner), &buffer, &found, &error));
    assert_true(text_is(found.name, owner));
    return found.key_count;
}

static void a_new_store_is_empty_and_stays_so(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_epoch(store), 1);
        assert_int_equal(store_sequence(store), 0);
        assert_int_equal(store_key_count(store), 0);
        assert_agrees();
        reopen();
    }
}

static void a_key_is_kept_and_found_and_told_of(void **state)
{
    struct record record = store_sample(7, "build", "acme"), read;
    struct store_txn *txn;
    (void)state;
    record.expires_unix_s = 1800000000;
    struct change change = {.time_unix_ms = 1700000000999, .kind = CHANGE_CREATED, .key_id = 7};
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put(txn, NULL, &record, &change, &error));
    assert_int_equal(record.version, 1);
    assert_int_equal(change.sequence, 1);
    assert_int_equal(change.epoch, 1);
    assert_ok(store_commit(txn, &error));
    assert_ok(store_flush(store, &error));
    for (int i = 0; i < 2; i++) {
        read = read_key(7);
        assert_true(text_is(read.name, "build"));
        assert_true(digest_equal(&read.digest, &record.digest));
        assert_int_equal(read.version, 1);
        assert_int_equal(store_sequence(store), 1);
        assert_int_equal(store_key_count(store), 1);
        assert_int_equal(keys_of("acme"), 1);
        assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 1);
        assert_int_equal(found_by(STORE_BY_NAME, "build"), 1);
        assert_int_equal(found_by(STORE_BY_PREFIX, "cc_live_AbCdEfG"), 1);
        assert_agrees();
        reopen();
    }
}

static void what_is_not_there_is_not_found(void **state)
{
    struct record record;
    struct record_owner owner;
    (void)state;
    assert_int_equal(store_key(store, NULL, 9, &buffer, &record, &error), CATLATCH_E_NOT_FOUND);
    assert_string_equal(error.text, "there is no key key_aaaaaaaaaaaaj");
    assert_int_equal(store_owner(store, NULL, text_of("x"), &buffer, &owner, &error),
                     CATLATCH_E_NOT_FOUND);
    assert_string_equal(error.text, "there is no owner \"x\"");
    assert_int_equal(found_by(STORE_BY_OWNER, "x"), 0);
}

static void a_change_moves_the_index_entries(void **state)
{
    struct record record = store_sample(7, "old", "acme");
    (void)state;
    record.expires_unix_s = 1000;
    store_save(store, NULL, &record, CHANGE_CREATED);
    struct record next = record;
    next.name = text_of("new");
    next.expires_unix_s = 2000;
    store_save(store, &record, &next, CHANGE_UPDATED);
    assert_int_equal(found_by(STORE_BY_NAME, "old"), 0);
    assert_int_equal(found_by(STORE_BY_NAME, "new"), 1);
    assert_agrees();
    struct record last = next;
    last.expires_unix_s = 0;
    store_save(store, &next, &last, CHANGE_UPDATED);
    assert_agrees();
}

static void several_changes_of_a_key_in_one_transaction_leave_the_last(void **state)
{
    struct record a = store_sample(7, "a", "acme"), b = a, c;
    struct store_txn *txn;
    (void)state;
    a.expires_unix_s = 5;
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put_kind(txn, NULL, &a, CHANGE_CREATED, &error));
    b.version = a.version;
    b.name = text_of("b");
    assert_ok(store_put_kind(txn, &a, &b, CHANGE_UPDATED, &error));
    c = b;
    c.name = text_of("a");
    c.expires_unix_s = 6;
    assert_ok(store_put_kind(txn, &b, &c, CHANGE_UPDATED, &error));
    assert_ok(store_commit(txn, &error));
    assert_int_equal(read_key(7).version, 3);
    assert_int_equal(found_by(STORE_BY_NAME, "a"), 1);
    assert_int_equal(found_by(STORE_BY_NAME, "b"), 0);
    assert_agrees();
}

static void assert_conflict(const struct record *old, struct record *record)
{
    struct store_txn *txn;
    uint64_t version = record->version;

    assert_ok(store_begin(store, &txn, &error));
    assert_int_equal(store_put_kind(txn, old, record, CHANGE_UPDATED, &error), CATLATCH_E_CONFLICT);
    assert_int_equal(record->version, version);
    store_abort(txn);
    assert_agrees();
}

static void a_write_over_a_newer_version_is_refused(void **state)
{
    struct record first = store_sample(7, "a", "acme");
    (void)state;
    store_save(store, NULL, &first, CHANGE_CREATED);
    struct record second = first;
    second.name = text_of("b");
    store_save(store, &first, &second, CHANGE_UPDATED);
    struct record late = first;
    late.name = text_of("c");
    assert_conflict(&first, &late);
    assert_true(text_is(read_key(7).name, "b"));
}

static void an_id_is_taken_once(void **state)
{
    struct record record = store_sample(7, "a", "acme"), same = store_sample(7, "b", "other");
    (void)state;
    store_save(store, NULL, &record, CHANGE_CREATED);
    assert_conflict(NULL, &same);
}

static void a_key_that_is_not_there_cannot_be_changed(void **state)
{
    struct record record = store_sample(7, "a", "acme");
    (void)state;
    record.version = 1;
    assert_conflict(&record, &record);
}

static void revoked_is_final(void **state)
{
    struct record record = store_sample(7, "a", "acme");
    (void)state;
    record.revoked = true;
    record.revoked_unix_s = 5;
    store_save(store, NULL, &record, CHANGE_CREATED);
    struct record revived = record;
    revived.revoked = false;
    assert_conflict(&record, &revived);
    assert_true(read_key(7).revoked);
}

static void owner_and_digest_of_a_key_never_change(void **state)
{
    struct record record = store_sample(7, "a", "acme");
    (void)state;
    store_save(store, NULL, &record, CHANGE_CREATED);
    struct record other = record;
    other.owner = text_of("evil");
    assert_conflict(&record, &other);
    other = record;
    other.digest.word[3]++;
    assert_conflict(&record, &other);
}

static void a_conflict_does_not_spoil_the_transaction(void **state)
{
    struct record a = store_sample(7, "a", "acme"), b = store_sample(8, "b", "acme"), taken = a;
    struct store_txn *txn;
    (void)state;
    store_save(store, NULL, &a, CHANGE_CREATED);
    assert_ok(store_begin(store, &txn, &error));
    assert_int_equal(store_put_kind(txn, NULL, &taken, CHANGE_CREATED, &error),
                     CATLATCH_E_CONFLICT);
    assert_ok(store_put_kind(txn, NULL, &b, CHANGE_CREATED, &error));
    assert_ok(store_commit(txn, &error));
    assert_int_equal(read_key(8).version, 2);
    assert_agrees();
}

static void a_record_out_of_bounds_spoils_the_transaction(void **state)
{
    struct record good = store_sample(7, "a", "acme"), bad = store_sample(8, "a\tb", "acme");
    struct store_txn *txn;
    (void)state;
    bad.name = (struct text){"a\0b", 3};
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put_kind(txn, NULL, &good, CHANGE_CREATED, &error));
    assert_int_equal(store_put_kind(txn, NULL, &bad, CHANGE_CREATED, &error), CATLATCH_E_DATA);
    assert_int_equal(store_commit(txn, &error), CATLATCH_E_CONFLICT);
    assert_int_equal(store_key_count(store), 0);
    assert_false(store_is_broken(store));
    assert_agrees();
}

static void an_abort_leaves_nothing(void **state)
{
    struct record record = store_sample(7, "a", "acme"), read;
    struct store_txn *txn;
    (void)state;
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
    store_abort(txn);
    assert_int_equal(store_key(store, NULL, 7, &buffer, &read, &error), CATLATCH_E_NOT_FOUND);
    assert_int_equal(store_sequence(store), 0);
    assert_agrees();
    record.version = 0;
    store_save(store, NULL, &record, CHANGE_CREATED);
    assert_int_equal(record.version, 1);
    assert_agrees();
}

static void reads_see_what_the_open_transaction_changed(void **state)
{
    struct record record = store_sample(7, "a", "acme"), read;
    struct record_owner owner;
    struct store_txn *txn, *other;
    (void)state;
    assert_ok(store_begin(store, &txn, &error));
    assert_int_equal(store_begin(store, &other, &error), CATLATCH_E_CONFLICT);
    assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
    assert_ok(store_key(store, txn, 7, &buffer, &read, &error));
    assert_ok(store_key(store, NULL, 7, &buffer, &read, &error));
    assert_ok(store_owner(store, txn, text_of("acme"), &buffer, &owner, &error));
    assert_int_equal(owner.key_count, 1);
    assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 0);
    assert_ok(store_commit(txn, &error));
    assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 1);
}

static void an_empty_transaction_commits(void **state)
{
    struct store_txn *txn;
    (void)state;
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_commit(txn, &error));
    assert_int_equal(store_sequence(store), 0);
}

static void the_bound_of_keys_fits_one_transaction(void **state)
{
    static uint64_t ids[STORE_TXN_KEYS_MAX];
    struct record record, next;
    struct store_txn *txn;
    size_t count = 0;
    (void)state;
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t i = 1; i <= STORE_TXN_KEYS_MAX; i++) {
        char name[32];
        /* Names in no order: each index entry lands on another page. */
        snprintf(name, sizeof name, "%llx", (unsigned long long)(i * UINT64_C(0x9e3779b97f4a7c15)));
        record = store_sample(i, name, "acme");
        record.expires_unix_s = (int64_t)(i * 7919 % 10007) + 1;
        assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
    }
    assert_ok(store_commit(txn, &error));
    assert_int_equal(keys_of("acme"), STORE_TXN_KEYS_MAX);
    assert_ok(store_find(store, STORE_BY_OWNER, text_of("acme"), 0, ids, STORE_TXN_KEYS_MAX, &count,
                         &error));
    assert_int_equal(count, STORE_TXN_KEYS_MAX);
    assert_ok(store_begin(store, &txn, &error));
    for (size_t i = 0; i < count; i++) {
        assert_ok(store_key(store, txn, ids[i], &buffer, &record, &error));
        next = record;
        next.revoked = true;
        next.expires_unix_s++;
        next.name = text_of("gone");
        assert_ok(store_put_kind(txn, &record, &next, CHANGE_REVOKED, &error));
    }
    assert_ok(store_commit(txn, &error));
    assert_ok(store_flush(store, &error));
    assert_int_equal(keys_of("acme"), 0);
    assert_agrees();
}

static void an_owner_counts_the_keys_that_are_not_revoked(void **state)
{
    struct record a = store_sample(1, "a", "acme"), b = store_sample(2, "b", "acme"), next;
    (void)state;
    store_save(store, NULL, &a, CHANGE_CREATED);
    store_save(store, NULL, &b, CHANGE_CREATED);
    assert_int_equal(keys_of("acme"), 2);
    next = a;
    next.disabled = true;
    store_save(store, &a, &next, CHANGE_DISABLED);
    assert_int_equal(keys_of("acme"), 2);
    a = next;
    a.revoked = true;
    store_save(store, &next, &a, CHANGE_REVOKED);
    assert_int_equal(keys_of("acme"), 1);
    next = a;
    next.comment = text_of("twice");
    store_save(store, &a, &next, CHANGE_UPDATED);
    assert_int_equal(keys_of("acme"), 1);
    assert_agrees();
}

static int put_owner(struct record_owner *owner)
{
    struct change change = {.kind = CHANGE_OWNER_SUSPENDED, .owner = owner->name};
    struct store_txn *txn;

    assert_ok(store_begin(store, &txn, &error));
    int r = store_put_owner(txn, owner, &change, &error);
    if (r == 0) {
        assert_int_equal(change.sequence, owner->version);
        assert_ok(store_commit(txn, &error));
    } else {
        store_abort(txn);
    }
    return r;
}

static void an_owner_is_written_only_over_what_was_read(void **state)
{
    struct record record = store_sample(1, "a", "acme");
    struct record_owner owner;
    (void)state;
    store_save(store, NULL, &record, CHANGE_CREATED);
    assert_ok(store_owner(store, NULL, text_of("acme"), &buffer, &owner, &error));
    assert_int_equal(owner.created_unix_s, 1700000000);
    owner.name = text_of("acme");
    owner.suspended = true;
    owner.suspended_unix_s = 12;
    owner.key_count = 999; /* the store's own to know */
    struct record_owner stale = owner;
    assert_int_equal(put_owner(&owner), 0);
    assert_int_equal(put_owner(&stale), CATLATCH_E_CONFLICT);
    reopen();
    assert_ok(store_owner(store, NULL, text_of("acme"), &buffer, &owner, &error));
    assert_true(owner.suspended);
    assert_int_equal(owner.suspended_unix_s, 12);
    assert_int_equal(owner.key_count, 1);
    assert_int_equal(owner.version, 2);
}

static void an_owner_can_come_before_its_keys(void **state)
{
    struct record_owner owner = {.name = text_of("early"), .suspended = true};
    struct record record = store_sample(1, "a", "early");
    (void)state;
    assert_int_equal(put_owner(&owner), 0);
    store_save(store, NULL, &record, CHANGE_CREATED);
    assert_ok(store_owner(store, NULL, text_of("early"), &buffer, &owner, &error));
    assert_true(owner.suspended);
    assert_int_equal(owner.key_count, 1);
    assert_int_equal(owner.version, 1);
    assert_agrees();
}

static void changing_keys_does_not_make_an_owner_newer(void **state)
{
    struct record a = store_sample(1, "a", "acme"), b = store_sample(2, "b", "acme");
    struct record_owner owner;
    (void)state;
    store_save(store, NULL, &a, CHANGE_CREATED);
    assert_ok(store_owner(store, NULL, text_of("acme"), &buffer, &owner, &error));
    store_save(store, NULL, &b, CHANGE_CREATED);
    owner.name = text_of("acme");
    assert_int_equal(put_owner(&owner), 0);
    assert_int_equal(owner.key_count, 2);
}

struct names {
    char text[64];
    size_t stop_after;
};

static int note_owner(void *context, const struct record_owner *owner)
{
    struct names *names = context;
    strncat(names->text, owner->name.bytes, owner->name.len);
    strcat(names->text, " ");
    return names->stop_after > 0 && --names->stop_after == 0;
}

static void owners_come_in_order_and_in_pages(void **state)
{
    const char *owners[] = {"b", "a", "aa", "\xc3\xa9", "c"};
    struct names names = {.text = ""};
    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        struct record record = store_sample(i + 1, "n", owners[i]);
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    assert_ok(store_owners(store, text_of(""), 2, note_owner, &names, &error));
    assert_string_equal(names.text, "a aa ");
    names.text[0] = '\0';
    assert_ok(store_owners(store, text_of("aa"), 9, note_owner, &names, &error));
    assert_string_equal(names.text, "b c \xc3\xa9 ");
    names = (struct names){.stop_after = 1};
    assert_ok(store_owners(store, text_of("a"), 9, note_owner, &names, &error));
    assert_string_equal(names.text, "aa ");
}

static void finding_is_exact(void **state)
{
    const char *names[] = {"a", "ab", "abc", ""};
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        struct record record = store_sample(i + 1, names[i], "acme");
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(found_by(STORE_BY_NAME, names[i]), 1);
    assert_int_equal(found_by(STORE_BY_NAME, "abcd"), 0);
    assert_int_equal(found_by(STORE_BY_OWNER, "a"), 0);
    assert_int_equal(found_by(STORE_BY_OWNER, "acme"), 4);
}

static void found_ids_rise_and_come_in_pages(void **state)
{
    const uint64_t all[] = {3, 255, 256, 70000, UINT64_MAX - 1};
    uint64_t ids[3];
    size_t count = 0;
    (void)state;
    for (int i = 4; i >= 0; i--) {
        struct record record = store_sample(all[i], "n", "acme");
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    assert_ok(store_find(store, STORE_BY_OWNER, text_of("acme"), 0, ids, 3, &count, &error));
    assert_int_equal(count, 3);
    assert_memory_equal(ids, all, sizeof ids);
    assert_ok(store_find(store, STORE_BY_OWNER, text_of("acme"), 256, ids, 3, &count, &error));
    assert_int_equal(count, 2);
    assert_memory_equal(ids, all + 3, 2 * sizeof *ids);
    assert_ok(
        store_find(store, STORE_BY_OWNER, text_of("acme"), UINT64_MAX, ids, 3, &count, &error));
    assert_int_equal(count, 0);
}

static void expiring_keys_come_by_time(void **state)
{
    const int64_t expires[] = {500, 100, 100, 0, 300};
    const uint64_t order[] = {2, 3, 5};
    uint64_t ids[2], id = 0;
    int64_t from = 0;
    size_t count = 0;
    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        struct record record = store_sample(i + 1, "n", "acme");
        record.expires_unix_s = expires[i];
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    assert_ok(store_expiring(store, 500, &from, &id, ids, 2, &count, &error));
    assert_int_equal(count, 2);
    assert_memory_equal(ids, order, sizeof ids);
    assert_ok(store_expiring(store, 500, &from, &id, ids, 2, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 5);
    assert_ok(store_expiring(store, 500, &from, &id, ids, 2, &count, &error));
    assert_int_equal(count, 0);
    assert_ok(store_expiring(store, INT64_MAX, &from, &id, ids, 2, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 1);
}

struct visits {
    uint64_t ids[64];
    size_t count;
    size_t end_after;
    int end_with;
};

static int visit_key(void *context, const struct record *record)
{
    struct visits *visits = context;
    visits->ids[visits->count++] = record->id;
    return visits->count == visits->end_after ? visits->end_with : 0;
}

static void a_scan_can_be_resumed_and_stopped(void **state)
{
    struct visits visits = {.count = 0};
    uint64_t last = 0;
    (void)state;
    store_fill(store, 5);
    assert_ok(store_scan(store, last, 2, visit_key, &visits, &last, &error));
    assert_int_equal(last, 20);
    assert_ok(store_scan(store, last, 9, visit_key, &visits, &last, &error));
    assert_int_equal(last, 50);
    assert_int_equal(visits.count, 5);
    assert_int_equal(visits.ids[4], 50);
    assert_ok(store_scan(store, last, 9, visit_key, &visits, &last, &error));
    assert_int_equal(visits.count, 5);
    assert_int_equal(last, 50);
    visits = (struct visits){.end_after = 2, .end_with = 1};
    assert_ok(store_scan(store, 0, 9, visit_key, &visits, &last, &error));
    assert_int_equal(last, 20);
    visits = (struct visits){.end_after = 3, .end_with = CATLATCH_E_FULL};
    assert_int_equal(store_scan(store, 0, 9, visit_key, &visits, &last, &error), CATLATCH_E_FULL);
    assert_int_equal(error.code, 0);
    assert_false(store_is_broken(store));
}

static void a_scan_passes_keys_of_every_size(void **state)
{
    static char value[RECORD_COMMENT_MAX];
    struct visits visits = {.count = 0};
    uint64_t last = 0;
    (void)state;
    memset(value, 'v', sizeof value);
    for (uint64_t id = 1; id <= 60; id++) {
        struct record record = store_sample(id, "n", "acme");
        record.metadata_count = id % (RECORD_METADATA_MAX + 1);
        for (size_t i = 0; i < record.metadata_count; i++)
            record.metadata[i] = (struct record_pair){text_of("k"), {value, sizeof value}};
        store_save(store, NULL, &record, CHANGE_CREATED);
    }
    assert_ok(store_scan(store, 0, SIZE_MAX, visit_key, &visits, &last, &error));
    assert_int_equal(visits.count, 60);
    assert_int_equal(read_key(32).metadata_count, 32);
    assert_agrees();
}

static void nothing_else_is_written_while_a_transaction_is_open(void **state)
{
    const struct store_generation generation = {.number = 7};
    struct store_generation recorded;
    struct store_txn *txn, *other;
    struct record record = store_sample(60, "n", "acme");
    size_t count;
    (void)state;
    store_fill(store, 5);
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
    assert_int_equal(store_begin(store, &other, &error), CATLATCH_E_CONFLICT);
    assert_int_equal(store_set_generation(store, &generation, &error), CATLATCH_E_CONFLICT);
    assert_int_equal(store_set_backup_time(store, 1700000000, &error), CATLATCH_E_CONFLICT);
    assert_int_equal(store_prune(store, INT64_MAX, 2, &count, &error), CATLATCH_E_CONFLICT);
    store_abort(txn);
    assert_false(store_is_broken(store));
    assert_ok(store_generation(store, &recorded, &error));
    assert_int_equal(recorded.number, 0);
    assert_int_equal(store_backup_time(store), 0);
    assert_int_equal(store_key_count(store), 5);
    assert_agrees();
}

static void ids_rise_even_over_those_of_the_future(void **state)
{
    struct record record = store_sample(UINT64_MAX - 100000, "a", "acme");
    uint64_t last = 0;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t id = store_new_id(store);
        assert_true(id > last);
        last = id;
    }
    store_save(store, NULL, &record, CHANGE_CREATED);
    reopen();
    assert_true(store_new_id(store) > record.id);
}

static void the_generation_is_remembered(void **state)
{
    struct store_generation generation,
        set = {.number = 42, .boot_id = "0123456789abcde", .uncovered = true};
    (void)state;
    assert_ok(store_generation(store, &generation, &error));
    assert_int_equal(generation.number, 0);
    assert_ok(store_set_generation(store, &set, &error));
    reopen();
    assert_ok(store_generation(store, &generation, &error));
    assert_int_equal(generation.number, 42);
    assert_memory_equal(generation.boot_id, set.boot_id, sizeof set.boot_id);
    assert_true(generation.uncovered);
    set.uncovered = false;
    assert_ok(store_set_generation(store, &set, &error));
    reopen();
    assert_ok(store_generation(store, &generation, &error));
    assert_false(generation.uncovered);
}

static void the_published_sequence_is_remembered(void **state)
{
    uint64_t epoch = 9, sequence = 9;
    (void)state;
    assert_ok(store_published(store, &epoch, &sequence, &error));
    assert_true(epoch == 0 && sequence == 0);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_ok(store_set_published(store, 1, i * 100, &error));
        assert_ok(store_published(store, &epoch, &sequence, &error));
        assert_true(epoch == 1 && sequence == i * 100);
        reopen();
        assert_ok(store_published(store, &epoch, &sequence, &error));
        assert_true(epoch == 1 && sequence == i * 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(a_new_store_is_empty_and_stays_so),
        with_store(a_key_is_kept_and_found_and_told_of),
        with_store(what_is_not_there_is_not_found),
        with_store(a_change_moves_the_index_entries),
        with_store(several_changes_of_a_key_in_one_transaction_leave_the_last),
        with_store(a_write_over_a_newer_version_is_refused),
        with_store(an_id_is_taken_once),
        with_store(a_key_that_is_not_there_cannot_be_changed),
        with_store(revoked_is_final),
        with_store(owner_and_digest_of_a_key_never_change),
        with_store(a_conflict_does_not_spoil_the_transaction),
        with_store(a_record_out_of_bounds_spoils_the_transaction),
        with_store(an_abort_leaves_nothing),
        with_store(reads_see_what_the_open_transaction_changed),
        with_store(an_empty_transaction_commits),
        with_store(the_bound_of_keys_fits_one_transaction),
        with_store(an_owner_counts_the_keys_that_are_not_revoked),
        with_store(an_owner_is_written_only_over_what_was_read),
        with_store(an_owner_can_come_before_its_keys),
        with_store(changing_keys_does_not_make_an_owner_newer),
        with_store(owners_come_in_order_and_in_pages),
        with_store(finding_is_exact),
        with_store(found_ids_rise_and_come_in_pages),
        with_store(expiring_keys_come_by_time),
        with_store(a_scan_can_be_resumed_and_stopped),
        with_store(a_scan_passes_keys_of_every_size),
        with_store(nothing_else_is_written_while_a_transaction_is_open),
        with_store(ids_rise_even_over_those_of_the_future),
        with_store(the_generation_is_remembered),
        with_store(the_published_sequence_is_remembered),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
