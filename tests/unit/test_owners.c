/* What is known of owners, as a start reads it from the store. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "daemon/owners.h"
#include "lib_store.h"

/* Far more than one page. */
#define OWNERS 10000u

static struct error error;

static struct text owner_name(unsigned number, char ret_name[32])
{
    snprintf(ret_name, 32, "owner %u", number);
    return text_of(ret_name);
}

static struct rates rates_of(unsigned count)
{
    return (struct rates){.count = 1, .list = {{.count = count, .period_s = 60, .burst = count}}};
}

static void add_owners(struct store *store)
{
    struct store_txn *txn;
    char name[32];
    assert_int_equal(store_begin(store, &txn, &error), 0);
    for (unsigned i = 0; i < OWNERS; i++) {
        struct record_owner owner = {.name = owner_name(i, name), .suspended = i % 3 == 0};
        struct change change = {.kind = CHANGE_OWNER_SUSPENDED, .owner = owner.name};
        if (i % 5 == 0)
            owner.rates = rates_of(i + 1);
        assert_int_equal(store_put_owner(txn, &owner, &change, &error), 0);
    }
    assert_int_equal(store_commit(txn, &error), 0);
}

static bool is_as_added(const struct owner_state *known, unsigned i)
{
    struct rates rates = rates_of(i + 1), none = {.count = 0};
    return known->suspended == (i % 3 == 0) && known->block == 0 &&
           rates_equal(&known->rates, i % 5 == 0 ? &rates : &none);
}

static bool is_plain(const struct owners *owners, const char *name)
{
    const struct owner_state *known = owners_find(owners, text_of(name));
    return !known->suspended && known->rates.count == 0 && known->block == 0;
}

static void a_start_knows_every_owner_however_many_there_are(void **state)
{
    struct owners owners = {NULL};
    char folder[STORE_FOLDER_SIZE], name[32];
    (void)state;
    store_folder_make(folder);
    struct store *store = store_open_or_die(folder);
    add_owners(store);
    assert_int_equal(owners_load(&owners, store, &error), 0);
    for (unsigned i = 0; i < OWNERS; i++)
        if (!is_as_added(owners_find(&owners, owner_name(i, name)), i))
            fail_msg("%s", name);
    assert_true(is_plain(&owners, "owner"));
    assert_true(is_plain(&owners, "owner 00"));
    owners_clear(&owners);
    assert_true(is_plain(&owners, "owner 0"));
    store_close(store);
    store_folder_remove(folder);
}

static void owners_come_and_go(void **state)
{
    struct owners owners = {NULL};
    struct owner_state suspended = {.suspended = true}, plain = {.block = 0},
                       limited = {.rates = rates_of(7), .block = 5};
    (void)state;
    assert_true(is_plain(&owners, "a"));
    assert_int_equal(owners_set(&owners, text_of("a"), &suspended), 0);
    assert_int_equal(owners_set(&owners, text_of("ab"), &limited), 0);
    assert_int_equal(owners_set(&owners, text_of("a"), &suspended), 0);
    assert_true(owners_find(&owners, text_of("a"))->suspended);
    assert_int_equal(owners_find(&owners, text_of("ab"))->block, 5);
    /* Who is like all others is known until he is forgotten, and others are not forgotten. */
    owners_forget_plain(&owners, text_of("a"));
    owners_forget_plain(&owners, text_of("nobody"));
    assert_true(owners_find(&owners, text_of("a"))->suspended);
    assert_int_equal(owners_set(&owners, text_of("a"), &plain), 0);
    assert_true(is_plain(&owners, "a"));
    owners_forget_plain(&owners, text_of("a"));
    assert_true(is_plain(&owners, "a"));
    assert_true(rates_equal(&owners_find(&owners, text_of("ab"))->rates, &limited.rates));
    owners_clear(&owners);
}

static void blocks_that_nobody_saw_are_nobodys(void **state)
{
    struct owners owners = {NULL};
    char name[32];
    (void)state;
    for (unsigned i = 1; i <= 100; i++) {
        struct owner_state limited = {.rates = rates_of(i), .block = i};
        assert_int_equal(owners_set(&owners, owner_name(i, name), &limited), 0);
    }
    owners_forget_blocks(&owners, 60);
    for (unsigned i = 1; i <= 100; i++) {
        const struct owner_state *known = owners_find(&owners, owner_name(i, name));
        assert_int_equal(known->block, i <= 60 ? i : 0);
        assert_int_equal(known->rates.list[0].count, i);
    }
    owners_clear(&owners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_knows_every_owner_however_many_there_are),
        cmocka_unit_test(owners_come_and_go),
        cmocka_unit_test(blocks_that_nobody_saw_are_nobodys),
    };
    return cmocka_run_group_tests_name("owners", tests, NULL, NULL);
}
