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
#include "daemon/store_build.h"
#include "daemon/store_internal.h"
#include "lib_store.h"
#include "lib_table.h"
#include "usage/record.h"

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

enum what { REVOKE, DISABLE, ENABLE, EXPIRE, RENAME, CONFINE, RELEASE, LIMIT, BUY };

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
    if (what == LIMIT)
        assert_ok(rates_parse(text_of("5/1m"), &record.rates, &error));
    if (what == BUY)
        record.allowance.uses += 100;
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

/* None: "". */
static void limit_owner(const char *name, const char *rates)
{
    struct store_buffer buffer;
    struct record_owner owner;
    struct store_txn *txn;
    struct change told = {.kind = CHANGE_OWNER_UPDATED, .owner = text_of(name)};

    assert_ok(store_owner(store, NULL, text_of(name), &buffer, &owner, &error));
    owner.rates.count = 0;
    if (rates[0] != '\0')
        assert_ok(rates_parse(text_of(rates), &owner.rates, &error));
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put_owner(txn, &owner, &told, &error));
    assert_ok(store_commit(txn, &error));
    assert_ok(store_flush(store, &error));
}

static void assert_owner_has(const char *name, const char *wanted)
{
    struct store_buffer buffer;
    struct record_owner owner;
    char text[RATES_TEXT_SIZE];

    assert_ok(store_owner(store, NULL, text_of(name), &buffer, &owner, &error));
    text[rates_format(&owner.rates, text)] = '\0';
    assert_string_equal(text, wanted);
}

static void limits_of_owners_come_back_and_what_they_would_widen_is_counted(void **state)
{
    static const char *const names[] = {"same", "freed", "bound", "tighter", "gone"};
    static const char *const before[] = {"5/1m", "5/1m", "", "9/1m", ""};
    static const char *const since[] = {"5/1m", "", "5/1m", "7/1m", "1/1m"};
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        create(1 + i, names[i]);
        limit_owner(names[i], before[i]);
    }
    back_up(NULL);
    create(5, names[4]);
    for (uint64_t i = 0; i < 5; i++)
        limit_owner(names[i], since[i]);
    assert_ok(build(false));
    compare(store);
    /* `bound` and `tighter`; an owner whom the backup does not know has no keys in it. */
    assert_int_equal(restore_counts(restore)->widening_owners, 2);
    restore_all(false);
    for (uint64_t i = 0; i < 4; i++)
        assert_owner_has(names[i], before[i]);
}

static void limits_of_keys_come_back_and_what_they_would_widen_is_counted(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 4; id++)
        create(id, "acme");
    change(1, LIMIT);
    change(2, BUY);
    back_up(NULL);
    change(2, BUY);
    change(3, LIMIT);
    change(4, BUY);
    assert_ok(build(false));
    compare(store);
    assert_int_equal(restore_counts(restore)->changing, 3);
    assert_int_equal(restore_counts(restore)->widening, 2); /* 3 and 4, which were without end */
    restore_all(false);
    assert_int_equal(get(1)->rates.count, 1);
    assert_int_equal(get(3)->rates.count, 0);
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
    original[8] = BACKUP_VERSION + 1;
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

#define NOW INT64_C(1700000000)

static void put_total(uint64_t id, struct total total)
{
    struct store_total put = {.id = id, .total = total};
    assert_ok(store_put_totals(store, &put, 1, NULL, &error));
}

static struct total counted(uint64_t id)
{
    struct total total = {.used = {.count = 0}};
    int r = store_total(store, id, &total, &error);
    assert_true(r == 0 || r == CATLATCH_E_NOT_FOUND);
    return total;
}

/* As on another host: nothing of what was is there. */
static void leave_host(void)
{
    store_close(store);
    store_folder_remove(folder);
    store_folder_make(folder);
    store = store_open_or_die(folder);
    keys.store = store;
}

static void a_backup_brings_what_is_known_of_uses(void **state)
{
    struct total given = {.area = "first", .ref = 3};
    (void)state;
    given.used = (struct total_event){
        .count = 7, .seen = 5, .last_unix_s = NOW, .has_from = true, .from = {{1, 2, 3}}};
    given.refused = (struct total_event){.count = 2, .seen = 2, .last_unix_s = NOW + 1};
    for (uint64_t id = 1; id <= 3; id++)
        create(id, "acme");
    put_total(1, given);
    change(3, REVOKE);
    put_total(3, given);
    back_up(NULL);
    leave_host();
    restore_all(true);
    struct total brought = counted(1);
    assert_memory_equal(&brought, &given, sizeof given);
    brought = counted(3);
    assert_memory_equal(&brought, &given, sizeof given);
    struct total other = counted(2);
    assert_true(total_is_empty(&other));
}

static void count_something(unsigned chunk)
{
    change_something(chunk);
    for (uint64_t id = 1; id <= 6000; id++)
        put_total(id, (struct total){.area = "first",
                                     .used = {.count = 100 + chunk, .last_unix_s = NOW + chunk}});
}

/* Each is of some moment while the backup was made. */
static void uses_that_are_counted_meanwhile_are_in_it_or_not(void **state)
{
    (void)state;
    create_many(1, 6000, "many");
    for (uint64_t id = 1; id <= 6000; id++)
        put_total(id, (struct total){.area = "first", .used = {.count = 1, .last_unix_s = 1}});
    unsigned chunks = back_up(count_something);
    leave_host();
    restore_all(true);
    for (uint64_t id = 1; id <= 6000; id++)
        if (counted(id).used.count != 1)
            assert_in_range(counted(id).used.count, 100, 100 + chunks);
    assert_in_range(counted(2500).used.count, 100, 100 + chunks); /* renamed again and again */
}

/* A purged key's first entry had what is to be forgotten. */
static void what_a_purge_forgets_while_a_backup_is_made_is_not_in_it(void **state)
{
    static struct store_buffer buffer;
    struct record old;
    (void)state;
    create(1, "acme");
    change(1, REVOKE);
    put_total(1, (struct total){.area = "first", .used = {.count = 1, .last_unix_s = 1}});
    assert_ok(store_key(store, NULL, 1, &buffer, &old, &error));
    struct record purged = record_purged(&old);
    struct store_build *made = NULL;
    struct total total = counted(1);
    struct store_identity identity = {{1}};
    struct store_build_digest *digests;
    size_t count;
    assert_ok(store_build_begin(folder, &made, &error));
    assert_ok(store_build_key(made, &old, &error));
    assert_ok(store_build_usage(made, 1, &total, &error));
    assert_ok(store_build_key(made, &purged, &error));
    assert_ok(store_build_finish(made, 1, &identity, NULL, NULL, &digests, &count, &error));
    free(digests);
    struct store_options options = {.directory = folder, .place = STORE_PLACE_NEW};
    store_close(store);
    assert_ok(store_open(&options, &store, &error));
    assert_int_equal(counted(1).used.count, 0);
}

/* A host: its area, a table, and which record is key 1's. */
struct host {
    struct heap_table table;
    struct tally *tally;
    uint32_t ref;
};

static void host_open(struct host *host)
{
    struct record record = store_sample(1, "n", "acme");
    struct table_entry entry;
    struct error why;
    assert_ok(tally_open(run_dir, 0, &host->tally, &why, &error));
    assert_ok(tally_reserve(host->tally, 10, &error));
    host->ref = tally_take(host->tally, 1);
    heap_table_open(&host->table, 16, 256);
    keys_entry(&record, &(struct owner_state){.block = 0}, &entry);
    entry.usage = host->ref;
    assert_int_equal(heap_table_put(&host->table, &entry), 0);
}

static void host_close(struct host *host)
{
    tally_free(host->tally);
    heap_table_close(&host->table);
}

static void go_to(const struct host *host)
{
    keys.table = (struct table_writer *)(uintptr_t)&host->table.writer;
    keys.sweeper = (struct sweeper){.store = store, .tally = host->tally};
}

static void use_key(const struct host *host, unsigned times)
{
    for (unsigned i = 0; i < times; i++)
        usage_note_use(tally_area(host->tally), host->ref, NOW, NULL);
}

static void sweep(void)
{
    bool ended;
    keys.sweeper.store = store;
    sweeper_begin(&keys.sweeper, 0, 1);
    while (keys.sweeper.active)
        assert_ok(
            sweeper_step(&keys.sweeper, &(struct history_plan){.now_unix_s = NOW}, &ended, &error));
}

/* As reading commands tell it. */
static uint64_t uses(void)
{
    struct op *op = op_new(OP_GET);
    op->ids = op_alloc(op, sizeof *op->ids);
    op->ids[0] = 1;
    op->id_count = 1;
    keys_read(&keys, op);
    assert_ok(op->error.code);
    uint64_t count = op->keys[0].total.used.count;
    op_free(op);
    return count;
}

static void uses_are_counted_once_when_the_area_outlives_the_restore(void **state)
{
    struct host host;
    (void)state;
    create(1, "acme");
    host_open(&host);
    go_to(&host);
    use_key(&host, 5);
    back_up(NULL); /* nothing was swept yet */
    use_key(&host, 3);
    assert_int_equal(uses(), 8);
    restore_all(false);
    assert_int_equal(uses(), 8);
    use_key(&host, 2);
    sweep();
    assert_int_equal(uses(), 10);
    assert_int_equal(counted(1).used.count, 10);
    leave_host(); /* the store is lost, the area is not */
    restore_all(true);
    assert_int_equal(uses(), 10);
    sweep();
    assert_int_equal(uses(), 10);
    host_close(&host);
}

static void uses_on_another_host_come_on_top(void **state)
{
    struct host host, other;
    (void)state;
    create(1, "acme");
    host_open(&host);
    host_open(&other);
    go_to(&host);
    use_key(&host, 5); /* which nobody sweeps */
    back_up(NULL);
    leave_host();
    go_to(&other);
    restore_all(true);
    assert_int_equal(uses(), 5);
    use_key(&other, 4);
    sweep();
    assert_int_equal(uses(), 9);
    host_close(&host);
    host_close(&other);
}

/* The area that the backup saw is gone, and what it counted behind the backup is known to the old
 * store alone. */
static void what_the_replaced_store_counted_is_kept(void **state)
{
    struct host host, after;
    (void)state;
    create(1, "acme");
    host_open(&host);
    host_open(&after);
    go_to(&host);
    use_key(&host, 5);
    back_up(NULL);
    use_key(&host, 3);
    sweep();
    go_to(&after);
    use_key(&after, 1);
    restore_all(false);
    assert_int_equal(uses(), 9);
    sweep();
    assert_int_equal(uses(), 9);
    host_close(&host);
    host_close(&after);
}

/* A store that was carried to another host and comes back has all that was counted before. */
static void what_comes_back_from_another_host_counts_nothing_twice(void **state)
{
    struct host host, other;
    char home[STORE_FOLDER_SIZE];
    (void)state;
    create(1, "acme");
    host_open(&host);
    host_open(&other);
    go_to(&host);
    use_key(&host, 5);
    sweep();
    back_up(NULL);
    store_close(store);
    memcpy(home, folder, sizeof home);
    store_folder_make(folder);
    store = store_open_or_die(folder);
    keys.store = store;
    go_to(&other);
    restore_all(true);
    use_key(&other, 4);
    assert_int_equal(uses(), 9);
    back_up(NULL);
    store_close(store);
    store_folder_remove(folder);
    memcpy(folder, home, sizeof home);
    store = store_open_or_die(folder);
    keys.store = store;
    go_to(&host);
    restore_all(true);
    assert_int_equal(uses(), 9);
    use_key(&host, 1);
    assert_int_equal(uses(), 10);
    host_close(&host);
    host_close(&other);
}

static struct total_uses uses_left(uint64_t uses, uint64_t given, const char *area)
{
    struct total_uses left = {.exists = true, .left_milli = uses * 1000, .granted_milli = given};
    memcpy(left.area, area, strlen(area));
    return left;
}

static void allow(uint64_t id, uint64_t uses)
{
    static struct store_buffer buffer;
    struct record old, record;
    assert_ok(store_key(store, NULL, id, &buffer, &old, &error));
    record = old;
    record.allowance = (struct allowance){.uses = uses};
    store_save(store, &old, &record, CHANGE_UPDATED);
}

static void make_key_with_uses(uint64_t id, uint64_t uses)
{
    create(id, "acme");
    allow(id, uses);
    put_total(id, (struct total){.uses = uses_left(uses - 10, 10, "first")});
}

/* Key 1 was used since, 2 was allowed more, 3 is without end by now. */
static void uses_that_were_spent_since_stay_spent(void **state)
{
    static const unsigned char none[TOTAL_AREA_BYTES];
    (void)state;
    for (uint64_t id = 1; id <= 3; id++)
        make_key_with_uses(id, 50);
    back_up(NULL);
    put_total(1, (struct total){.uses = uses_left(5, 45, "first")});
    allow(2, 500);
    put_total(2, (struct total){.uses = uses_left(450, 60, "first")});
    allow(3, 0);
    put_total(3, (struct total){.used = {.count = 1, .last_unix_s = NOW}});
    restore_all(false);
    assert_int_equal(counted(1).uses.left_milli, 5000);
    assert_int_equal(counted(1).uses.granted_milli, 45);
    for (uint64_t id = 2; id <= 3; id++) {
        struct total_uses brought = counted(id).uses;
        assert_true(brought.exists);
        assert_int_equal(brought.left_milli, 40000);
        assert_memory_equal(brought.area, none, sizeof none);
    }
    assert_int_equal(counted(3).used.count, 1);
}

static void purge(uint64_t id)
{
    static struct store_buffer buffer;
    struct store_txn *txn;
    struct record old, record;
    assert_ok(store_key(store, NULL, id, &buffer, &old, &error));
    record = record_purged(&old);
    assert_ok(store_begin(store, &txn, &error));
    assert_ok(store_put_kind(txn, &old, &record, CHANGE_PURGED, &error));
    assert_ok(store_forget_total(txn, id, &error));
    assert_ok(store_commit(txn, &error));
}

static void use_some(uint64_t id, uint64_t left)
{
    put_total(id, (struct total){.used = {.count = 7, .last_unix_s = NOW},
                                 .uses = uses_left(left, 45, "first")});
}

static void assert_uses_alone(uint64_t id, uint64_t left)
{
    struct total total = counted(id);
    assert_true(total.uses.exists);
    assert_int_equal(total.uses.left_milli, left * 1000);
    assert_int_equal(total.used.count, 0);
    assert_int_equal(total.used.last_unix_s, 0);
}

/* They share an allowance that its first key keeps, purged or not. */
static void successors_of_a_purged_key_go_on_with_its_uses(void **state)
{
    (void)state;
    for (uint64_t id = 1; id <= 3; id++)
        make_key_with_uses(id, 50);
    use_some(1, 30);
    change(1, REVOKE);
    purge(1);          /* before the backup */
    create(4, "acme"); /* without uses: all of it is to be forgotten */
    put_total(4, (struct total){.used = {.count = 7, .last_unix_s = NOW}});
    assert_uses_alone(1, 30);
    back_up(NULL);
    put_total(1, (struct total){.uses = uses_left(20, 55, "first")});
    use_some(2, 15);
    change(2, REVOKE);
    purge(2); /* behind it */
    change(4, REVOKE);
    purge(4);
    assert_uses_alone(2, 15);
    restore_all(false);
    assert_int_equal(counted(4).used.count, 0);
    assert_uses_alone(1, 20);
    assert_uses_alone(2, 15);
    leave_host();
    restore_all(true);
    assert_uses_alone(1, 30);
    assert_int_equal(counted(2).uses.left_milli, 40000);
    assert_int_equal(counted(3).uses.left_milli, 40000);
}

/* Without USAGE, as the first version was. */
static void a_backup_of_the_first_version_is_restored(void **state)
{
    uint32_t version = htole32(BACKUP_VERSION_1);
    unsigned char bytes[4096], trailer[BACKUP_TRAILER_BYTES];
    struct backup_tally tally;
    (void)state;
    create(1, "acme");
    back_up(NULL);
    ssize_t len = pread(file, bytes, sizeof bytes, 0) - (ssize_t)sizeof trailer;
    assert_in_range(len, BACKUP_HEAD_BYTES, sizeof bytes - 1);
    memcpy(bytes + 8, &version, sizeof version);
    backup_tally_start(&tally);
    assert_ok(backup_tally_add(&tally, bytes, (size_t)len, &error));
    assert_ok(backup_trailer(&tally, trailer, &error));
    memcpy(bytes + len, trailer, sizeof trailer);
    assert_int_equal(pwrite(file, bytes, (size_t)len + sizeof trailer, 0),
                     len + (ssize_t)sizeof trailer);
    restore_all(false);
    assert_non_null(get(1));
    version = htole32(BACKUP_VERSION + 1);
    assert_int_equal(pwrite(file, &version, sizeof version, 8), sizeof version);
    assert_int_equal(build(false), CATLATCH_E_VERSION);
    assert_says("made by a newer catlatch");
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        test(a_restored_store_holds_what_was_backed_up),
        test(a_backup_is_consistent_whatever_changes_meanwhile),
        test(what_was_taken_away_since_stays_taken_away),
        test(networks_come_back_and_what_they_would_widen_is_counted),
        test(limits_of_keys_come_back_and_what_they_would_widen_is_counted),
        test(limits_of_owners_come_back_and_what_they_would_widen_is_counted),
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
        test(a_backup_brings_what_is_known_of_uses),
        test(uses_that_are_counted_meanwhile_are_in_it_or_not),
        test(what_a_purge_forgets_while_a_backup_is_made_is_not_in_it),
        test(uses_are_counted_once_when_the_area_outlives_the_restore),
        test(uses_on_another_host_come_on_top),
        test(what_the_replaced_store_counted_is_kept),
        test(what_comes_back_from_another_host_counts_nothing_twice),
        test(uses_that_were_spent_since_stay_spent),
        test(successors_of_a_purged_key_go_on_with_its_uses),
        test(a_backup_of_the_first_version_is_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
