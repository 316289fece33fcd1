/*
 * lib_used_keys.h - keys with a store, a table and a usage area, and no changer: what every test of
 * keys by their use has for itself. cmocka's headers come first.
 */
#ifndef TESTS_LIB_USED_KEYS_H
#define TESTS_LIB_USED_KEYS_H

#include "core/config_environments.h"
#include "daemon/keys.h"
#include "lib_store_test.h"
#include "lib_table.h"
#include "usage/record.h"

#define NOW INT64_C(1800000000)
#define DAY INT64_C(86400)

#define KEYS_ROOM 5100u

static char run_dir[STORE_FOLDER_SIZE];
static struct heap_table table;
static struct config config;
static struct tally *tally;
static struct keys keys;

static inline int open_all(void **state)
{
    struct error why;
    set_up(state);
    store_folder_make(run_dir);
    heap_table_open(&table, KEYS_ROOM, 256);
    assert_ok(tally_open(run_dir, 0, &tally, &why, &error));
    assert_ok(tally_reserve(tally, KEYS_ROOM, &error));
    keys = (struct keys){
        .store = store,
        .config = &config,
        .table = &table.writer,
        .sweeper = {.store = store, .tally = tally},
        .now_unix_ms = NOW * 1000,
    };
    op_queue_init(&keys.spreading);
    return 0;
}

static inline int close_all(void **state)
{
    keys_free(&keys);
    tally_free(tally);
    heap_table_close(&table);
    store_folder_remove(run_dir);
    return remove_folder(state);
}

/* Into the store, if it is no part of a transaction already, and into the table. */
static inline uint32_t show_key(const struct record *record)
{
    struct table_entry entry;
    keys_entry(record, &(struct owner_state){.block = 0}, &entry);
    entry.usage = tally_take(tally, record->id);
    assert_int_equal(heap_table_put(&table, &entry), 0);
    return (uint32_t)entry.usage;
}

static inline uint32_t add_key(uint64_t id, int64_t created_unix_s, int64_t imported_use_unix_s)
{
    struct record record = store_sample(id, "n", "acme");
    record.created_unix_s = created_unix_s;
    record.last_used_unix_s = imported_use_unix_s;
    store_save(store, NULL, &record, CHANGE_CREATED);
    return show_key(&record);
}

static inline void store_use(uint64_t id, int64_t unix_s)
{
    struct store_total total = {.id = id, .total = {.used = {.count = 1, .last_unix_s = unix_s}}};
    assert_ok(store_put_totals(store, &total, 1, NULL, &error));
}

static inline void use_key(uint32_t ref, int64_t unix_s)
{
    usage_note_use(tally_area(tally), ref, unix_s, NULL);
}

static inline void run(struct op *op)
{
    keys_tidy(op);
    keys_change(&keys, op);
    if (op->error.code != 0)
        fail_msg("%s", op->error.text);
    keys_publish(&keys, keys.claim_count);
    if (op->spreads) {
        op_queue_add(&keys.spreading, op);
        while (keys_spread(&keys) == NULL)
            continue;
    }
    op_free(op);
}

static inline struct op *make_op(enum op_kind kind, uint64_t id)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    op->ids = op_alloc(op, sizeof *op->ids);
    op->ids[0] = id;
    op->id_count = id != 0;
    return op;
}

#endif
