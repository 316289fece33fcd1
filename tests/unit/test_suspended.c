/* The set of suspended owners, as a start reads it from the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/suspended.h"
#include "lib_store.h"

/* Far more than one page. */
#define OWNERS 10000u

static struct error error;

static struct text owner_name(unsigned number, char ret_name[32])
{
    snprintf(ret_name, 32, "owner %u", number);
    return text_of(ret_name);
}

static void add_owners(struct store *store)
{
    struct store_txn *txn;
    char name[32];
    assert_int_equal(store_begin(store, &txn, &error), 0);
    for (unsigned i = 0; i < OWNERS; i++) {
        struct record_owner owner = {.name = owner_name(i, name), .suspended = i % 3 == 0};
        struct change change = {.kind = CHANGE_OWNER_SUSPENDED, .owner = owner.name};
        assert_int_equal(store_put_owner(txn, &owner, &change, &error), 0);
    }
    assert_int_equal(store_commit(txn, &error), 0);
}

static void a_start_knows_every_suspended_owner_however_many_there_are(void **state)
{
    struct suspended set = {NULL};
    char folder[STORE_FOLDER_SIZE], name[32];
    (void)state;
    store_folder_make(folder);
    struct store *store = store_open_or_die(folder);
    add_owners(store);
    assert_int_equal(suspended_load(&set, store, &error), 0);
    for (unsigned i = 0; i < OWNERS; i++)
        if (suspended_has(&set, owner_name(i, name)) != (i % 3 == 0))
            fail_msg("%s", name);
    assert_false(suspended_has(&set, text_of("owner")));
    assert_false(suspended_has(&set, text_of("owner 00")));
    suspended_clear(&set);
    store_close(store);
    store_folder_remove(folder);
}

static void owners_come_and_go(void **state)
{
    struct suspended set = {NULL};
    (void)state;
    assert_false(suspended_has(&set, text_of("a")));
    assert_int_equal(suspended_add(&set, text_of("a")), 0);
    assert_int_equal(suspended_add(&set, text_of("ab")), 0);
    assert_int_equal(suspended_add(&set, text_of("a")), 0);
    suspended_remove(&set, text_of("ab"));
    suspended_remove(&set, text_of("nobody"));
    assert_true(suspended_has(&set, text_of("a")));
    assert_false(suspended_has(&set, text_of("ab")));
    suspended_remove(&set, text_of("a"));
    assert_false(suspended_has(&set, text_of("a")));
    suspended_clear(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_knows_every_suspended_owner_however_many_there_are),
        cmocka_unit_test(owners_come_and_go),
    };
    return cmocka_run_group_tests_name("suspended", tests, NULL, NULL);
}
