/* Backups and restores below the sockets: a copy that is consistent whatever changes meanwhile, and
 * a restore that brings nothing back to life. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/keys.h"
#include "daemon/restore.h"
#include "daemon/store_internal.h"
#include "lib_store.h"

static char folder[STORE_FOLDER_SIZE], run_dir[STORE_FOLDER_SIZE];
static struct store *store;
static struct keys keys;
static struct error error;
static struct restore *restore;
static int file; /* the backup */
static const struct actor actor = {.uid = 42, .login_uid = UINT32_MAX, .pid = 7};
static struct key_environments environments = {.count = 1};

static int set_up(void **state)
{
    (void)state;
    error = (struct error){0};
    store_folder_make(folder);
    store_folder_make(run_dir);
    store = store_open_or_die(folder);
    keys = (struct keys){.store = store, .now_unix_ms = 1700000000123};
    restore = NULL;
    snprintf(environments.list[0].name, sizeof environments.list[0].name, "live");
    snprintf(environments.list[0].prefix, sizeof environments.list[0].prefix, "cc_live_");
    file = memfd_create("backup", MFD_CLOEXEC);
    return file >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    restore_free(restore);
    store_close(store);
    close(file);
    store_folder_remove(folder);
    store_folder_remove(run_dir);
    return 0;
}

#define assert_ok(call)                                            \
    do {                                                           \
        int r_ = (call);                                           \
        if (r_ != 0)                                               \
            fail_msg("line %d: %d: %s", __LINE__, r_, error.text); \
    } while (0)

static void assert_says(const char *text)
{
    if (strstr(error.text, text) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, text);
}

static void create(uint64_t id, const char *owner)
{
    struct record record = store_sample(id, "n", owner);
    store_save(store, NULL, &record, CHANGE_CREATED);
}

static void create_many(uint64_t first, uint64_t count, const char *owner)
{
    struct store_txn *txn;
    assert_ok(store_begin(store, &txn, &error));
    for (uint64_t id = first; id < first + count; id++) {
        struct record record = store_sample(id, "many", owner);
        assert_ok(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error));
    }
    assert_ok(store_commit(txn, &error));
}

enum what { REVOKE, DISABLE, ENABLE, EXPIRE, RENAME, CONFINE, RELEASE };

static void change(uint64_t id, enum what what)
{
    static struct store_buffer buffer;
    struct record old, record;
    enum change_kind kind = CHANGE_UPDATED;

    assert_ok(store_key(store, NULL, id, &buffer, &old, &error));
    record = old;
    if (what == REVOKE) {
        record.revoked = true;
        record.revoke_reason = RECORD_REASON_LEAKED;
        record.revoked_unix_s = 1700000009;
        kind = CHANGE_REVOKED;
    }
    if (what == EXPIRE)
        record.expires_unix_s = 1700000005;
    if (what == RENAME)
        record.name = text_of("renamed");
    if (what == CONFINE || what == RELEASE) {
        record.network_count = what == CONFINE;
        record.networks[0] = (struct network){{{0x20, 1, 0x0d, 0xb8}}, 32};
    }
    if (what == DISABLE || what == ENABLE) {
        record.disabled = what == DISABLE;
        kind = what == DISABLE ? CHANGE_DISABLED : CHANGE_ENABLED;
    }
    store_save(store, &old, &record, kind);
}

static void suspend(const char *name, bool suspended)
{
    struct store_buffer buffer;
    struct record_owner owner;
    struct store_txn *txn;
    struct change told = {.kind = suspended ? CHANGE_OWNER_SUSPENDED : CHANGE_OWNER_RESUMED,
                          .owner = text_of(name)};

    assert_ok(store_owner(store, NULL, text_of(name), &buffer, &owner, &error));
    owner.suspended = suspended;
    owner.suspended_unix_s = suspended ? 1700000007 : 0;
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put_owner(txn, &owner, &told, &error));
    assert_ok(store_commit(txn, &error));
    assert_ok(store_flush(store, &error));
}

/* As the tool does it; `meanwhile` is called between any two chunks. */
static unsigned back_up(void (*meanwhile)(unsigned chunk))
{
    struct backup_tally tally;
    unsigned char trailer[BACKUP_TRAILER_BYTES];
    char cursor[1100] = "";
    unsigned chunks = 0;

    assert_int_equal(ftruncate(file, 0), 0);
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    backup_tally_start(&tally);
    for (bool end = false; !end;) {
        struct op *op = op_new(OP_BACKUP);
        assert_non_null(op);
        op->cursor = text_of(cursor);
        keys_read(&keys, op);
        error = op->error;
        assert_ok(op->error.code);
        if (op->data.len > 0)
            assert_ok(backup_tally_add(&tally, op->data.bytes, op->data.len, &error));
        assert_int_equal(write(file, op->data.bytes, op->data.len), op->data.len);
        end = op->at_end;
        snprintf(cursor, sizeof cursor, "%.*s", (int)op->next_cursor.len, op->next_cursor.bytes);
        op_free(op);
        if (!end && meanwhile != NULL)
            meanwhile(chunks);
        chunks++;
    }
    assert_ok(backup_trailer(&tally, trailer, &error));
    assert_int_equal(write(file, trailer, sizeof trailer), sizeof trailer);
    return chunks;
}

static int build(bool accept)
{
    struct restore_options options = {.directory = folder,
                                      .run_dir = run_dir,
                                      .environments = &environments,
                                      .accept_resurrection = accept};
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    restore_free(restore);
    restore = NULL;
    assert_ok(restore_new(&options, &restore, &error));
    return restore_build(restore, file, &error);
}

static void compare(struct store *old)
{
    for (bool done = false; !done;)
        assert_ok(restore_compare(restore, old, &done, &error));
}

/* All of it; what counts afterwards is open. */
static void restore_all(bool accept)
{
    assert_ok(build(accept));
    assert_ok(restore_apply(restore, store, &actor, &error));
    assert_ok(restore_adopt(restore, &error));
    restore_free(restore);
    restore = NULL;
    store_close(store);
    store = store_open_or_die(folder);
    keys.store = store;
    assert_null(store_disagrees(store));
}

static struct record *get(uint64_t id)
{
    static struct store_buffer buffer;
    static struct record record;
    return store_key(store, NULL, id, &buffer, &record, &error) == 0 ? &record : NULL;
}

static bool is_suspended(const char *name)
{
    struct store_buffer buffer;
    struct record_owner owner;
    return store_owner(store, NULL, text_of(name), &buffer, &owner, &error) == 0 && owner.suspended;
}

static bool exists(const char *name)
{
    char path[STORE_FOLDER_SIZE + 32];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void assert_nothing_changed(void)
{
    assert_true(exists("store.1"));
    assert_false(exists("store.2"));
    assert_false(exists("store.new"));
}

static void a_restored_store_holds_what_was_backed_up(void **state)
{
    (void)state;
    create(1, "acme");
    create(2, "acme");
    create(3, "bob");
    change(1, DISABLE);
    change(3, REVOKE);
    suspend("bob", true);
    uint64_t sequence = store_sequence(store);
    back_up(NULL);
    change(2, RENAME);
    create(4, "late");
    restore_all(false);
    assert_true(get(1)->disabled);
    assert_true(text_is(get(2)->name, "n"));
    assert_true(get(3)->revoked);
    assert_null(get(4));
    assert_true(is_suspended("bob"));
    assert_int_equal(store_epoch(store), 2);
    assert_true(store_sequence(store) > sequence);
}

static void change_something(unsigned chunk)
{
    if (chunk > 20)
        return; /* or it would never end: each chunk tells of what changed during the one before */
    create(100000 + chunk, "meanwhile");
    change(1 + chunk, REVOKE);
    change(4000 + chunk, DISABLE);
    change(2500, RENAME);
    suspend("many", chunk % 2 == 0);
}

/* Later entries stand in place of earlier ones: what was passed is told again. */
static void a_backup_is_consistent_whatever_changes_meanwhile(void **state)
{
    struct error ignored;
    static struct store_buffer buffer;
    struct record record;
    (void)state;
    create_many(1, 6000, "many");
    unsigned chunks = back_up(change_something);
    assert_true(chunks > 20);
    uint64_t sequence = store_sequence(store), count = store_key_count(store);
    assert_ok(build(false));
    assert_int_equal(restore_backup(restore)->position.sequence, sequence);
    assert_int_equal(restore_counts(restore)->keys, count);
    compare(store);
    assert_int_equal(restore_counts(restore)->changing, 0);
    assert_int_equal(restore_counts(restore)->returning, 0);
    assert_int_equal(restore_counts(restore)->vanishing, 0);
    assert_int_equal(restore_counts(restore)->revoked, 0);
    assert_int_equal(restore_counts(restore)->suspended, 0);
    assert_true(restore_is_known(restore));
    restore_all(false);
    assert_int_equal(store_key_count(store), count);
    assert_ok(store_key(store, NULL, 2500, &buffer, &record, &ignored));
    assert_true(text_is(record.name, "renamed"));
}

static void what_was_taken_away_since_stays_taken_away(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 5; id++)
        create(id, id == 5 ? "eve" : "acme");
    back_up(NULL);
    change(1, REVOKE);
    change(2, DISABLE);
    change(3, EXPIRE);
    suspend("eve", true);
    create(6, "new");
    change(6, REVOKE);
    create(7, "new");
    create(8, "gone");
    suspend("gone", true);
    assert_ok(build(false));
    compare(store);
    const struct restore_counts *counts = restore_counts(restore);
    assert_int_equal(counts->keys, 5);
    assert_int_equal(counts->returning, 0);
    assert_int_equal(counts->vanishing, 2);
    assert_int_equal(counts->changing, 1);
    assert_int_equal(counts->widening, 1);
    assert_int_equal(counts->revoked, 1);
    assert_int_equal(counts->disabled, 1);
    assert_int_equal(counts->suspended, 2);
    assert_int_equal(counts->kept, 1);
    uint64_t before = store_sequence(store);
    restore_all(false);
    assert_true(get(1)->revoked);
    assert_int_equal(get(1)->revoke_reason, RECORD_REASON_LEAKED);
    assert_int_equal(get(1)->revoked_unix_s, 1700000009);
    assert_true(get(2)->disabled);
    assert_int_equal(get(3)->expires_unix_s, 0);
    assert_true(get(6)->revoked);
    assert_null(get(7));
    assert_true(is_suspended("eve"));
    assert_true(is_suspended("gone"));
    assert_int_equal(store_epoch(store), 2);
    assert_int_equal(store_sequence(store), before + 6);
}

static void networks_come_back_and_what_they_would_widen_is_counted(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 3; id++)
        create(id, "acme");
    change(1, CONFINE);
    change(2, CONFINE);
    back_up(NULL);
    change(2, RELEASE);
    change(3, CONFINE);
    assert_ok(build(false));
    compare(store);
    const struct restore_counts *counts = restore_counts(restore);
    assert_int_equal(counts->changing, 2);
    assert_int_equal(counts->widening, 1); /* 3, which the backup knows as not confined */
    restore_all(false);
    assert_int_equal(get(1)->network_count, 1);
    assert_int_equal(get(1)->networks[0].prefix_len, 32);
    assert_int_equal(get(2)->network_count, 1);
    assert_int_equal(get(3)->network_count, 0);
}

static void a_new_epoch_is_above_all_that_was_published(void **state)
{
    (void)state;
    create(1, "acme");
    back_up(NULL);
    assert_ok(store_set_published(store, 7, 1000, &error));
    restore_all(false);
    assert_int_equal(store_epoch(store), 8);
    assert_true(store_sequence(store) > 1000);
}

/* One of another host, or the same one put back: neither can tell what was revoked since. */
static void a_store_that_does_not_go_on_from_the_backup_needs_a_word(void **state)
{
    struct store_txn *txn;
    struct change note = {.kind = CHANGE_RESTORED};
    struct store_identity before, after;
    (void)state;
    create(1, "acme");
    create(2, "acme");
    back_up(NULL);
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_renew_identity(txn, &error));
    assert_ok(store_note(txn, &note, &error));
    assert_ok(store_commit(txn, &error));
    change(1, REVOKE);
    assert_ok(build(false));
    compare(store);
    assert_false(restore_is_known(restore));
    assert_int_equal(restore_apply(restore, store, &actor, &error), CATLATCH_E_CONFLICT);
    assert_says("--accept-resurrection");
    restore_free(restore);
    restore = NULL;
    assert_nothing_changed();
    assert_ok(store_identity(store, &before, &error));
    restore_all(true);
    assert_true(get(1)->revoked);
    assert_ok(store_identity(store, &after, &error));
    assert_memory_not_equal(&before, &after, sizeof after);
}

/* The restore of the earlier one knew of what came between, and did it again. */
static void a_later_backup_can_follow_an_earlier_one_without_a_word(void **state)
{
    (void)state;
    create(1, "acme");
    back_up(NULL);
    int first = dup(file);
    create(2, "acme");
    close(file);
    file = memfd_create("later", MFD_CLOEXEC);
    back_up(NULL); /* of 1:2 */
    int second = file;
    file = first;
    restore_all(false); /* 2:.. knows all of the first */
    file = second;
    assert_ok(build(false));
    compare(store);
    assert_true(restore_is_known(restore));
    close(first);
}

/* state_dir was put back by other means, and goes on as if nothing had been. */
static void a_store_behind_the_backup_needs_a_word(void **state)
{
    char copy[STORE_FOLDER_SIZE * 2 + 64];
    (void)state;
    create(1, "acme");
    store_close(store);
    snprintf(copy, sizeof copy, "cp -a %s %s.old", folder, folder);
    assert_int_equal(system(copy), 0);
    store = keys.store = store_open_or_die(folder);
    create(2, "acme");
    back_up(NULL);
    store_close(store);
    store_folder_remove(folder);
    snprintf(copy, sizeof copy, "mv %s.old %s", folder, folder);
    assert_int_equal(system(copy), 0);
    store = keys.store = store_open_or_die(folder);
    assert_ok(build(false));
    compare(store);
    assert_false(restore_is_known(restore));
    assert_int_equal(restore_apply(restore, store, &actor, &error), CATLATCH_E_CONFLICT);
}

static void without_a_store_nothing_is_known(void **state)
{
    (void)state;
    create(1, "acme");
    back_up(NULL);
    assert_ok(build(false));
    compare(NULL);
    assert_int_equal(restore_counts(restore)->returning, 1);
    assert_int_equal(restore_apply(restore, NULL, &actor, &error), CATLATCH_E_CONFLICT);
    assert_says("no store that could tell");
    restore_accept(restore);
    assert_ok(restore_apply(restore, NULL, &actor, &error));
}

/* Two histories: the same key under two ids, revoked in one of them. */
static void a_digest_that_was_revoked_under_another_id_is_revoked(void **state)
{
    struct record twin = store_sample(1, "n", "acme");
    (void)state;
    create(1, "acme");
    create(2, "acme");
    back_up(NULL);
    store_close(store);
    store = NULL;
    store_folder_remove(folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    store = store_open_or_die(folder);
    twin.id = 77;
    store_save(store, NULL, &twin, CHANGE_CREATED);
    change(77, REVOKE);
    struct record other = store_sample(88, "n", "acme");
    other.id = 2; /* another key of the same id */
    store_save(store, NULL, &other, CHANGE_CREATED);
    change(2, REVOKE);
    restore_all(true);
    assert_true(get(1)->revoked);
    assert_null(get(77));
    assert_false(get(2)->revoked);
    assert_int_equal(store_key_count(store), 3);
}

static void keys_of_an_environment_that_is_not_configured_are_refused(void **state)
{
    (void)state;
    create(1, "acme");
    back_up(NULL);
    snprintf(environments.list[0].prefix, sizeof environments.list[0].prefix, "xx_");
    assert_int_equal(build(false), CATLATCH_E_DATA);
    assert_says("live = cc_live_");
    assert_nothing_changed();
}

/* As an import brings those that were issued elsewhere. */
static void keys_of_no_environment_are_restored(void **state)
{
    struct record record = store_sample(1, "n", "acme");
    (void)state;
    record.environment = record.environment_prefix = text_of("");
    record.assumed_bits = 128;
    store_save(store, NULL, &record, CHANGE_IMPORTED);
    back_up(NULL);
    restore_all(false);
    assert_non_null(get(1));
}

static void two_keys_with_one_digest_are_refused(void **state)
{
    struct record twin = store_sample(1, "n", "acme");
    (void)state;
    create(1, "acme");
    twin.id = 2;
    store_save(store, NULL, &twin, CHANGE_CREATED);
    back_up(NULL);
    assert_int_equal(build(false), CATLATCH_E_DATA);
    assert_says("have the same digest");
    assert_nothing_changed();
}

static unsigned char original[65536];
static size_t original_len;

static void load_original(void)
{
    ssize_t got = pread(file, original, sizeof original, 0);
    assert_in_range(got, 300, sizeof original - 1);
    original_len = (size_t)got;
}

static void store_bytes(const unsigned char *bytes, size_t len)
{
    assert_int_equal(ftruncate(file, 0), 0);
    assert_int_equal(pwrite(file, bytes, len, 0), len);
}

/* What the frame alone says; and what a restore says, for some. */
static int read_frame(void)
{
    struct backup_reader reader;
    struct backup_entry entry;
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    assert_ok(backup_reader_open(&reader, file, &error));
    int r;
    while ((r = backup_next(&reader, &entry, &error)) == 1)
        continue;
    backup_reader_close(&reader);
    return r;
}

static void every_truncation_is_refused_and_nothing_changed(void **state)
{
    (void)state;
    create(1, "acme");
    create(2, "bob");
    back_up(NULL);
    load_original();
    assert_ok(read_frame());
    for (size_t len = 0; len < original_len; len++) {
        store_bytes(original, len);
        assert_int_equal(read_frame(), CATLATCH_E_DATA);
        if (len % 101 == 0) {
            assert_int_equal(build(false), CATLATCH_E_DATA);
            assert_nothing_changed();
        }
    }
    store_bytes(original, original_len + 1);
    assert_int_equal(build(false), CATLATCH_E_DATA);
    assert_says("behind its end");
    assert_nothing_changed();
    assert_null(store_disagrees(store));
}

static void every_flipped_bit_is_refused_and_nothing_changed(void **state)
{
    (void)state;
    create(1, "acme");
    create(2, "bob");
    back_up(NULL);
    load_original();
    for (size_t bit = 0; bit < 8 * original_len; bit++) {
        original[bit / 8] ^= (unsigned char)(1u << bit % 8);
        store_bytes(original, original_len);
        int r = read_frame();
        if (r != CATLATCH_E_DATA && r != CATLATCH_E_VERSION)
            fail_msg("bit %zu: %d", bit, r);
        if (bit % 997 == 0) {
            assert_int_not_equal(build(false), 0);
            assert_nothing_changed();
        }
        original[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_null(store_disagrees(store));
}

static void a_newer_or_foreign_file_is_refused(void **state)
{
    (void)state;
    create(1, "acme");
    back_up(NULL);
    load_original();
    original[8] = 2;
    store_bytes(original, original_len);
    assert_int_equal(build(false), CATLATCH_E_VERSION);
    assert_says("newer catlatch");
    store_bytes((const unsigned char *)"SQLite format 3", 16);
    assert_int_equal(build(false), CATLATCH_E_DATA);
    assert_says("no backup of catlatch");
    store_bytes(original, 0);
    assert_int_equal(build(false), CATLATCH_E_DATA);
    assert_nothing_changed();
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static void a_restore_that_is_given_up_leaves_nothing(void **state)
{
    (void)state;
    create_many(1, 3000, "many");
    back_up(NULL);
    struct restore_options options = {
        .directory = folder, .run_dir = run_dir, .environments = &environments, .go_on = never};
    assert_int_equal(lseek(file, 0, SEEK_SET), 0);
    assert_ok(restore_new(&options, &restore, &error));
    assert_int_equal(restore_build(restore, file, &error), CATLATCH_E_UNAVAILABLE);
    restore_free(restore);
    restore = NULL;
    assert_nothing_changed();
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(a_restored_store_holds_what_was_backed_up),
        test(a_backup_is_consistent_whatever_changes_meanwhile),
        test(what_was_taken_away_since_stays_taken_away),
        test(networks_come_back_and_what_they_would_widen_is_counted),
        test(a_new_epoch_is_above_all_that_was_published),
        test(a_store_that_does_not_go_on_from_the_backup_needs_a_word),
        test(a_later_backup_can_follow_an_earlier_one_without_a_word),
        test(a_store_behind_the_backup_needs_a_word),
        test(without_a_store_nothing_is_known),
        test(a_digest_that_was_revoked_under_another_id_is_revoked),
        test(keys_of_an_environment_that_is_not_configured_are_refused),
        test(keys_of_no_environment_are_restored),
        test(two_keys_with_one_digest_are_refused),
        test(every_truncation_is_refused_and_nothing_changed),
        test(every_flipped_bit_is_refused_and_nothing_changed),
        test(a_newer_or_foreign_file_is_refused),
        test(a_restore_that_is_given_up_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
