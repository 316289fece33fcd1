/*
 * lib_store_test.h - what every test of the store has for itself, in each program of such tests: a
 * folder, the store in it, and what it said last. cmocka's headers come first.
 */
#ifndef TESTS_LIB_STORE_TEST_H
#define TESTS_LIB_STORE_TEST_H

#include "lib_store.h"

static char folder[STORE_FOLDER_SIZE];
static struct store *store;
static struct error error;

/* With the folder alone, and with a store that is open. Both end with remove_folder. */
static inline int make_folder(void **state)
{
    (void)state;
    error = (struct error){0};
    store = NULL;
    store_folder_make(folder);
    return 0;
}

static inline int set_up(void **state)
{
    make_folder(state);
    store = store_open_or_die(folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    store_close(store);
    store_folder_remove(folder);
    return 0;
}

static inline void close_store(void)
{
    store_close(store);
    store = NULL;
}

static inline void reopen(void)
{
    close_store();
    store = store_open_or_die(folder);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, set_up, remove_folder)

#define assert_ok(call)                                            \
    do {                                                           \
        int r_ = (call);                                           \
        if (r_ != 0)                                               \
            fail_msg("line %d: %d: %s", __LINE__, r_, error.text); \
    } while (0)

/* Its texts lie in one buffer: until the next one is read. */
static inline struct record read_key(uint64_t id)
{
    static struct store_buffer buffer;
    struct record record;
    assert_ok(store_key(store, NULL, id, &buffer, &record, &error));
    return record;
}

static inline size_t found_by(enum store_index index, const char *value)
{
    uint64_t ids[64];
    size_t count = 99;
    assert_ok(store_find(store, index, text_of(value), 0, ids, 64, &count, &error));
    return count;
}

#define assert_agrees()                                \
    do {                                               \
        const char *wrong_ = store_disagrees(store);   \
        if (wrong_ != NULL)                            \
            fail_msg("line %d: %s", __LINE__, wrong_); \
    } while (0)

#endif
