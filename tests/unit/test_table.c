/* What readers see of each kind of change. Room is test_table_room.c's, damage
 * test_table_damage.c's. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib_table.h"

#define assert_shows(table, entry)                                             \
    do {                                                                       \
        const char *differs_ = table_differs(&(table)->writer.view, (entry));  \
        if (differs_ != NULL)                                                  \
            fail_msg("line %d: the table differs in: %s", __LINE__, differs_); \
    } while (0)

static struct heap_table table;
static struct sample_key key;

static int set_up(void **state)
{
    (void)state;
    heap_table_open(&table, 1000, 128);
    sample_key_init(&key, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    heap_table_close(&table);
    return 0;
}

static uint64_t slot_of(const struct digest *digest)
{
    struct table_hit hit;
    assert_int_equal(table_find(&table.writer.view, digest, &hit), TABLE_HIT);
    return hit.slot;
}

static unsigned state_at(uint64_t slot)
{
    return control_state(atomic_load(&table.writer.slots[slot].control));
}

static void assert_misses(const struct digest *digest)
{
    struct table_hit hit;
    assert_int_equal(table_find(&table.writer.view, digest, &hit), TABLE_MISS);
}

static struct table_claim claim_of(const struct table_entry *entry)
{
    struct table_claim claim;
    assert_int_equal(table_claim(&table.writer, entry, TABLE_ORDINARY, &claim), 0);
    return claim;
}

/* Digests with one home: words 2 and 3 don't take part in it. */
static void share_home(struct sample_key *with, const struct sample_key *of)
{
    with->entry.digest.word[0] = of->entry.digest.word[0];
    with->entry.digest.word[1] = of->entry.digest.word[1];
}

static void a_claim_is_not_seen_before_it_is_published(void **state)
{
    (void)state;
    struct table_claim claim = claim_of(&key.entry);
    assert_misses(&key.entry.digest);
    table_publish(&table.writer, &claim);
    assert_shows(&table, &key.entry);
}

static void an_unknown_digest_is_a_miss(void **state)
{
    (void)state;
    struct digest other = sample_digest(2);
    assert_misses(&key.entry.digest);
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_misses(&other);
    for (unsigned i = 0; i < DIGEST_WORDS; i++) { /* every word counts */
        struct digest near = key.entry.digest;
        near.word[i] ^= 1;
        assert_misses(&near);
    }
}

static void a_miss_leaves_the_hit_untouched(void **state)
{
    (void)state;
    struct table_hit hit = {11, 22, 33};
    assert_int_equal(table_find(&table.writer.view, &key.entry.digest, &hit), TABLE_MISS);
    assert_true(hit.slot == 11 && hit.control == 22 && hit.id == 33);
}

static void every_flag_and_time_is_shown_in_every_combination(void **state)
{
    (void)state;
    static const int64_t expiries[] = {0, 1, 1893456000, CONTROL_EXPIRES_MAX};
    static const int64_t not_befores[] = {0, 1, INT64_MAX};
    for (unsigned n = 0; n < 192; n++) {
        struct sample_key each;
        sample_key_init(&each, n);
        each.entry.disabled = n & 1;
        each.entry.suspended = n & 2;
        each.entry.revoked = n & 4;
        each.entry.expires_unix_s = expiries[n / 8 % 4];
        each.entry.not_before_unix_s = not_befores[n / 32 % 3];
        each.entry.well_formed = n >= 96;
        assert_int_equal(heap_table_put(&table, &each.entry), 0);
        assert_shows(&table, &each.entry);
    }
}

static void a_time_that_has_no_room_is_refused(void **state)
{
    (void)state;
    struct table_claim claim;
    key.entry.expires_unix_s = CONTROL_EXPIRES_MAX + 1;
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
    key.entry.expires_unix_s = -1;
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
    assert_int_equal(table.writer.slots_used, 0);
}

static void changes_of_flags_and_expiry_take_no_slot(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    uint64_t slot = slot_of(&key.entry.digest), slots = table.writer.slots_used;
    uint64_t side = table.writer.side_used;
    for (unsigned n = 0; n < 64; n++) {
        key.entry.disabled = n & 1;
        key.entry.suspended = n & 2;
        key.entry.expires_unix_s = n & 4 ? 1893456000 + n : 0;
        struct table_claim claim = claim_of(&key.entry);
        table_publish(&table.writer, &claim);
        assert_shows(&table, &key.entry);
        assert_int_equal(slot_of(&key.entry.digest), slot);
    }
    assert_int_equal(table.writer.slots_used, slots);
    assert_int_equal(table.writer.side_used, side);
}

/* Publishes the changed key and checks that it has a slot of its own and the old one is dead. */
static void expect_replacement(void)
{
    uint64_t old = slot_of(&key.entry.digest), slots = table.writer.slots_used;
    struct table_claim claim = claim_of(&key.entry);
    assert_int_equal(slot_of(&key.entry.digest), old);
    table_publish(&table.writer, &claim);
    assert_shows(&table, &key.entry);
    assert_int_not_equal(slot_of(&key.entry.digest), old);
    assert_int_equal(state_at(old), SLOT_REPLACED);
    assert_int_equal(table.writer.slots_used, slots + 1);
}

static void a_change_of_write_once_data_is_a_new_slot_and_marks_the_old(void **state)
{
    (void)state;
    key.entry.disabled = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    key.entry.name = text_of("another name");
    expect_replacement();
    key.entry.owner = text_of("another owner");
    expect_replacement();
    key.entry.prefix = text_of("cc_live_zzzzzzz");
    expect_replacement();
    key.entry.not_before_unix_s = 1893456000;
    expect_replacement();
    key.entry.not_before_unix_s = 0;
    expect_replacement();
    key.entry.well_formed = true;
    expect_replacement();
    key.entry.environment = text_of("test");
    expect_replacement();
    key.entry.scope_count = 1;
    expect_replacement();
    key.scopes[0] = text_of("admin");
    expect_replacement();
    key.entry.scope_count = 0;
    expect_replacement();
    key.entry.scope_count = 2;
    expect_replacement();
    key.entry.name = text_of("");
    expect_replacement();
}

static void a_change_of_networks_is_a_new_slot_and_no_change_is_none(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    sample_key_confine(&key, "192.0.2.0/24"); /* where there were none */
    expect_replacement();
    sample_key_confine(&key, "2001:db8::/32"); /* one more */
    expect_replacement();
    struct network second = key.networks[1];
    key.networks[1] = key.networks[0];
    key.networks[0] = second; /* the order: it is shown */
    expect_replacement();
    key.networks[0].prefix_len++; /* as long as it was */
    expect_replacement();
    key.entry.network_count = 1;
    expect_replacement();
    uint64_t slots = table.writer.slots_used, slot = slot_of(&key.entry.digest);
    key.entry.disabled = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);
    assert_int_equal(slot_of(&key.entry.digest), slot);
    assert_int_equal(table.writer.slots_used, slots);
    key.entry.network_count = 0; /* everywhere again */
    expect_replacement();
}

static void a_change_of_rates_is_a_new_slot_and_no_change_is_none(void **state)
{
    struct rates rates = {.count = 0};
    (void)state;
    key.entry.rates = &rates;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_int_equal(rates_parse(text_of("100/1m"), &rates, NULL), 0); /* where there were none */
    expect_replacement();
    assert_int_equal(rates_parse(text_of("100/1m,5/1s:9"), &rates, NULL), 0); /* one more */
    expect_replacement();
    assert_int_equal(rates_parse(text_of("100/1m:99,5/1s:9"), &rates, NULL), 0);
    expect_replacement();
    uint64_t slots = table.writer.slots_used;
    key.entry.disabled = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);
    assert_int_equal(table.writer.slots_used, slots);
    rates.count = 0; /* as many as come again */
    expect_replacement();
    rates.count = 1;
    rates.list[0] = (struct rate){.count = 0, .period_s = 1, .burst = 1};
    struct table_claim claim;
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
}

static void rates_are_stored_once_and_an_abandoned_claim_leaves_nothing(void **state)
{
    struct rates rates;
    struct sample_key other;
    (void)state;
    sample_key_init(&other, 2);
    assert_int_equal(rates_parse(text_of("100/1m,1000/1h,5/1s"), &rates, NULL), 0);
    key.entry.rates = other.entry.rates = &rates;
    sample_key_confine(&other, "192.0.2.0/24");
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    uint64_t before = table.writer.side_used;
    struct table_claim claim = claim_of(&other.entry);
    uint64_t identity = sizeof(struct table_side_limits) + sizeof(struct table_side_identity) +
                        other.entry.prefix.len + other.entry.name.len + sizeof(uint32_t);
    uint64_t networks = 8; /* count, length, and four bytes of one network */
    assert_int_equal(table.writer.side_used - before, (identity + 7) / 8 * 8 + networks);
    table_abandon(&table.writer, &claim);
    assert_int_equal(table.writer.side_used - before, networks);
    assert_int_equal(heap_table_put(&table, &other.entry), 0);
    assert_shows(&table, &key.entry);
    assert_shows(&table, &other.entry);
}

/* What a key's record and block are, in the two halves that an entry has them. */
static uint64_t usage_of(const struct digest *digest)
{
    struct table_usage usage = table_usage(&table.writer.view, slot_of(digest));
    return usage.record | (uint64_t)usage.block << 32;
}

static void a_key_gets_a_block_when_it_needs_one_and_keeps_it(void **state)
{
    (void)state;
    key.entry.usage = 7;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    key.entry.usage = 9 | UINT64_C(40) << 32;
    key.entry.name = text_of("renamed");
    expect_replacement();
    assert_int_equal(usage_of(&key.entry.digest), 7 | UINT64_C(40) << 32);
    key.entry.usage = UINT64_C(50) << 32;
    key.entry.name = text_of("again");
    expect_replacement();
    assert_int_equal(usage_of(&key.entry.digest), 7 | UINT64_C(40) << 32);
}

static void a_key_keeps_its_record_of_usage_whatever_becomes_of_it(void **state)
{
    (void)state;
    key.entry.usage = 7;
    struct table_claim claim = claim_of(&key.entry);
    table_publish(&table.writer, &claim);
    assert_int_equal(usage_of(&key.entry.digest), 7);
    key.entry.usage = 8; /* it has one already */
    key.entry.disabled = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_int_equal(usage_of(&key.entry.digest), 7);
    key.entry.name = text_of("renamed");
    expect_replacement();
    assert_int_equal(usage_of(&key.entry.digest), 7);
    key.entry.revoked = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_int_equal(usage_of(&key.entry.digest), 7);
}

/* Of a claim that nobody sees yet, the caller knows it alone. */
static void a_claim_beside_an_unpublished_one_has_the_record_that_it_names(void **state)
{
    (void)state;
    key.entry.usage = 7;
    struct table_claim first = claim_of(&key.entry);
    assert_int_equal(first.usage, 7);
    key.entry.name = text_of("renamed");
    key.entry.usage = 9;
    struct table_claim second = claim_of(&key.entry);
    assert_int_equal(second.old, first.slot);
    assert_int_equal(second.usage, 9);
    table_publish(&table.writer, &first);
    table_publish(&table.writer, &second);
    assert_int_equal(usage_of(&key.entry.digest), 9);
}

static void the_old_state_shows_until_the_replacement_is_published(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    struct sample_key renamed;
    sample_key_init(&renamed, 1);
    renamed.entry.name = text_of("renamed");
    struct table_claim claim = claim_of(&renamed.entry);
    assert_shows(&table, &key.entry);
    table_publish(&table.writer, &claim);
    assert_shows(&table, &renamed.entry);
}

static void a_revoked_key_is_found_as_revoked(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    uint64_t slot = slot_of(&key.entry.digest), slots = table.writer.slots_used;
    key.entry.revoked = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);
    assert_int_equal(slot_of(&key.entry.digest), slot);
    assert_int_equal(table.writer.slots_used, slots);
}

static void a_revoke_keeps_environment_and_texts_whatever_it_says(void **state)
{
    (void)state;
    key.entry.not_before_unix_s = 5;
    key.entry.well_formed = true;
    sample_key_confine(&key, "192.0.2.0/24");
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    uint64_t slots = table.writer.slots_used;
    struct sample_key bare;
    sample_key_init(&bare, 1);
    bare.entry.revoked = true;
    bare.entry.name = bare.entry.environment = text_of("");
    bare.entry.scope_count = 0;
    assert_int_equal(heap_table_put(&table, &bare.entry), 0);
    key.entry.revoked = true;
    assert_shows(&table, &key.entry);
    assert_int_equal(table.writer.slots_used, slots);
}

static void there_is_no_way_back_from_revoked(void **state)
{
    (void)state;
    struct table_claim claim;
    key.entry.revoked = true;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    struct sample_key alive;
    sample_key_init(&alive, 1);
    assert_int_equal(table_claim(&table.writer, &alive.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_CONFLICT);
    alive.entry.name = text_of("another");
    assert_int_equal(table_claim(&table.writer, &alive.entry, TABLE_NARROWING, &claim),
                     CATLATCH_E_CONFLICT);
    assert_shows(&table, &key.entry);
    assert_int_equal(heap_table_put(&table, &key.entry), 0); /* a second revoke is no conflict */
    assert_shows(&table, &key.entry);
}

static void another_id_with_the_same_digest_is_refused(void **state)
{
    (void)state;
    struct table_claim claim;
    struct sample_key other;
    sample_key_init(&other, 1);
    other.entry.id = 77;
    struct table_claim first = claim_of(&key.entry);
    assert_int_equal(table_claim(&table.writer, &other.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_CONFLICT);
    table_publish(&table.writer, &first);
    assert_int_equal(table_claim(&table.writer, &other.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_CONFLICT);
    other.entry.revoked = true;
    assert_int_equal(table_claim(&table.writer, &other.entry, TABLE_NARROWING, &claim),
                     CATLATCH_E_CONFLICT);
    assert_shows(&table, &key.entry);
}

static void an_id_of_zero_is_refused(void **state)
{
    (void)state;
    struct table_claim claim;
    key.entry.id = 0;
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
}

static void an_abandoned_claim_hides_nothing_behind_it(void **state)
{
    (void)state;
    struct sample_key behind;
    sample_key_init(&behind, 2);
    share_home(&behind, &key);
    struct table_claim given_up = claim_of(&key.entry), kept = claim_of(&behind.entry);
    table_abandon(&table.writer, &given_up);
    table_publish(&table.writer, &kept);
    assert_shows(&table, &behind.entry);
    assert_misses(&key.entry.digest);
}

static void an_abandoned_key_can_be_claimed_again(void **state)
{
    (void)state;
    struct table_claim claim = claim_of(&key.entry);
    table_abandon(&table.writer, &claim);
    key.entry.id = 9;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);
}

static void an_abandoned_change_leaves_the_key_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    struct sample_key changed;
    sample_key_init(&changed, 1);
    changed.entry.disabled = true;
    struct table_claim claim = claim_of(&changed.entry);
    table_abandon(&table.writer, &claim);
    assert_shows(&table, &key.entry);
    changed.entry.name = text_of("changed");
    claim = claim_of(&changed.entry);
    table_abandon(&table.writer, &claim);
    assert_shows(&table, &key.entry);
    assert_int_equal(heap_table_put(&table, &changed.entry), 0);
    assert_shows(&table, &changed.entry);
}

/* Given up in the reverse order of claiming, they were never there. */
static void claims_given_up_newest_first_cost_no_room(void **state)
{
    (void)state;
    struct sample_key samples[8];
    struct table_claim claims[8];
    for (unsigned i = 0; i < 8; i++) { /* one owner: nothing is stored that others may share */
        sample_key_init(&samples[i], 20 + i);
        share_home(&samples[i], &samples[0]);
        if (i % 2 == 0)
            sample_key_confine(&samples[i], "192.0.2.0/24");
        samples[i].entry.name.len -= i; /* whatever the padding */
    }
    assert_int_equal(heap_table_put(&table, &samples[0].entry), 0);
    uint64_t slots = table.writer.slots_used, side = table.writer.side_used;
    for (unsigned round = 0; round < 1000; round++) { /* as often as the table has slots */
        for (unsigned i = 1; i < 8; i++)
            claims[i] = claim_of(&samples[i].entry);
        assert_true(table.writer.slots_used == slots + 7);
        for (unsigned i = 7; i >= 1; i--)
            table_abandon(&table.writer, &claims[i]);
        assert_true(table.writer.slots_used == slots);
        assert_true(table.writer.side_used == side);
    }
    for (unsigned i = 7; i >= 1; i--) /* other keys where they were */
        assert_int_equal(heap_table_put(&table, &samples[i].entry), 0);
    for (unsigned i = 0; i < 8; i++)
        assert_shows(&table, &samples[i].entry);
    assert_true(table.writer.slots_used == slots + 7);
}

/* Fills the side area until a claim of a short name fits, and behind it a new owner of a hundred
 * bytes, and not that owner's key with a name of 255. */
static void leave_room_for_an_owner(struct heap_table *small, const char *long_name)
{
    const uint64_t limit = small->writer.view.side_size - small->writer.side_reserve;
    struct sample_key filler;
    for (uint64_t n = 0; limit - small->writer.side_used >= 448; n++) {
        sample_key_init(&filler, 10 + n);
        filler.entry.owner = text_of("one owner");
        filler.entry.name = text_of(long_name); /* 288 bytes in all */
        assert_int_equal(heap_table_put(small, &filler.entry), 0);
    }
    assert_in_range(limit - small->writer.side_used, 160, 447);
}

/* A claim that fails may have stored its owner by then, and who claims next with that owner shares
 * it: giving up the claim before it must leave it. */
static void an_owner_that_a_failed_claim_stored_outlives_the_claim_before_it(void **state)
{
    (void)state;
    struct heap_table small;
    struct sample_key before, failed, next;
    struct table_claim claim, none;
    char owner[CATLATCH_TEXT_SIZE], name[CATLATCH_TEXT_SIZE];
    snprintf(owner, sizeof owner, "%0100d", 1);
    snprintf(name, sizeof name, "%0255d", 2);
    heap_table_open(&small, 5000, 16);
    leave_room_for_an_owner(&small, name);
    sample_key_init(&before, 10000);
    before.entry.owner = text_of("one owner");
    sample_key_init(&failed, 20000);
    failed.entry.owner = text_of(owner);
    failed.entry.name = text_of(name);
    assert_int_equal(table_claim(&small.writer, &before.entry, TABLE_ORDINARY, &claim), 0);
    uint64_t side = small.writer.side_used;
    assert_int_equal(table_claim(&small.writer, &failed.entry, TABLE_ORDINARY, &none),
                     CATLATCH_E_FULL);
    assert_true(small.writer.side_used == side + 112); /* the owner, and no more */
    table_abandon(&small.writer, &claim);

    failed.entry.name = text_of("y");
    assert_int_equal(heap_table_put(&small, &failed.entry), 0);
    /* Long enough to cover that owner, were it written where the given-up claim was. */
    sample_key_init(&next, 30000);
    next.entry.owner = text_of("one owner");
    next.entry.name = text_of(name);
    assert_int_equal(table_claim(&small.writer, &next.entry, TABLE_NARROWING, &claim), 0);
    table_publish(&small.writer, &claim);
    assert_shows(&small, &failed.entry);
    assert_shows(&small, &next.entry);
    heap_table_close(&small);
}

static void claims_of_one_key_build_on_each_other_within_a_batch(void **state)
{
    (void)state;
    struct sample_key renamed, disabled, revoked;
    sample_key_init(&renamed, 1);
    renamed.entry.name = text_of("renamed");
    sample_key_init(&disabled, 1);
    disabled.entry.name = text_of("renamed");
    disabled.entry.disabled = true;
    sample_key_init(&revoked, 1);
    revoked.entry.name = text_of("renamed");
    revoked.entry.revoked = true;
    const struct table_entry *steps[] = {&key.entry, &renamed.entry, &disabled.entry,
                                         &revoked.entry};
    struct table_claim claims[4];
    for (unsigned i = 0; i < 4; i++)
        claims[i] = claim_of(steps[i]);
    assert_misses(&key.entry.digest);
    assert_int_equal(table.writer.slots_used, 2);
    for (unsigned i = 0; i < 4; i++) {
        table_publish(&table.writer, &claims[i]);
        assert_shows(&table, steps[i]);
    }
}

static void a_revoke_in_the_batch_that_creates_is_seen_as_revoked(void **state)
{
    (void)state;
    struct table_claim create = claim_of(&key.entry);
    key.entry.revoked = true;
    struct table_claim revoke = claim_of(&key.entry);
    table_publish(&table.writer, &create);
    table_publish(&table.writer, &revoke);
    assert_shows(&table, &key.entry);
}

/* Runs the function in a child; true if it ended by abort(). */
static bool aborts(void (*run)(void))
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        run();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static struct table_claim earlier, later;

static void publish_out_of_order(void)
{
    table_publish(&table.writer, &later);
    table_publish(&table.writer, &earlier);
}

static void publish_twice(void)
{
    table_publish(&table.writer, &earlier);
    table_publish(&table.writer, &earlier);
}

static void abandon_too_late(void)
{
    table_publish(&table.writer, &later);
    table_abandon(&table.writer, &earlier);
}

static void publish_what_was_built_on_an_abandoned_claim(void)
{
    table_abandon(&table.writer, &earlier);
    table_publish(&table.writer, &later);
}

static void publish_both(void)
{
    table_publish(&table.writer, &earlier);
    table_publish(&table.writer, &later);
}

static void publishing_out_of_order_ends_the_writer(void **state)
{
    (void)state;
    struct sample_key other;
    sample_key_init(&other, 2);
    share_home(&other, &key);
    earlier = claim_of(&key.entry);
    later = claim_of(&other.entry);
    assert_true(aborts(publish_out_of_order));
    assert_true(aborts(publish_twice));
    assert_true(aborts(abandon_too_late));
    assert_false(aborts(publish_both));
}

/* Otherwise the older slot would go on being found, or a dead one come to life. */
static void building_on_an_abandoned_claim_ends_the_writer(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    key.entry.name = text_of("renamed");
    earlier = claim_of(&key.entry);
    key.entry.revoked = true;
    later = claim_of(&key.entry);
    assert_true(aborts(publish_what_was_built_on_an_abandoned_claim));
    key.entry.revoked = false;
    key.entry.name = text_of("renamed again");
    later = claim_of(&key.entry);
    assert_true(aborts(publish_what_was_built_on_an_abandoned_claim));
    assert_false(aborts(publish_both));
}

static void a_change_claimed_beside_a_revoke_cannot_undo_it(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    struct sample_key revoked;
    sample_key_init(&revoked, 1);
    revoked.entry.revoked = true;
    earlier = claim_of(&revoked.entry);
    key.entry.disabled = true;
    if (table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &later) == CATLATCH_E_CONFLICT)
        return;
    assert_true(aborts(publish_both));
    key.entry.name = text_of("renamed");
    later = claim_of(&key.entry);
    assert_true(aborts(publish_both));
}

static void owners_and_scope_lists_are_stored_once(void **state)
{
    (void)state;
    struct sample_key other;
    sample_key_init(&other, 2); /* of the same owner */
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    uint64_t before = table.writer.side_used;
    assert_int_equal(heap_table_put(&table, &other.entry), 0);
    uint64_t identity =
        sizeof(struct table_side_identity) + other.entry.prefix.len + other.entry.name.len;
    assert_int_equal(table.writer.side_used - before, (identity + 7) / 8 * 8);
    assert_shows(&table, &key.entry);
    assert_shows(&table, &other.entry);
}

static void a_list_of_networks_is_stored_once_and_costs_others_nothing(void **state)
{
    (void)state;
    struct sample_key other, without;
    sample_key_init(&other, 2);
    sample_key_init(&without, 3);
    for (unsigned i = 0; i < 3; i++) {
        const char *networks[] = {"192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"};
        sample_key_confine(&key, networks[i]);
        sample_key_confine(&other, networks[i]);
    }
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    uint64_t before = table.writer.side_used;
    assert_int_equal(heap_table_put(&table, &other.entry), 0);
    uint64_t identity =
        sizeof(struct table_side_identity) + other.entry.prefix.len + other.entry.name.len;
    assert_int_equal(table.writer.side_used - before, (identity + sizeof(uint32_t) + 7) / 8 * 8);
    before = table.writer.side_used;
    assert_int_equal(heap_table_put(&table, &without.entry), 0);
    assert_int_equal(table.writer.side_used - before, (identity + 7) / 8 * 8);
    assert_shows(&table, &key.entry);
    assert_shows(&table, &other.entry);
    assert_shows(&table, &without.entry);
}

static void thirty_two_networks_fit_and_the_next_is_refused(void **state)
{
    (void)state;
    struct table_claim claim;
    char network[NETWORK_TEXT_SIZE];
    for (unsigned i = 0; i < NETWORKS_MAX; i++) {
        snprintf(network, sizeof network, "2001:db8:ffff:ffff:ffff:ffff:ffff:%x", i);
        sample_key_confine(&key, network);
    }
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);
    sample_key_confine(&key, "192.0.2.1");
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
    assert_int_equal(table.writer.slots_used, 1);
}

static int allows(const char *address)
{
    struct address parsed;
    assert_int_equal(address_parse(text_of(address), &parsed), 0);
    return table_allows(&table.writer.view, slot_of(&key.entry.digest), &parsed);
}

static void only_addresses_of_the_networks_are_allowed(void **state)
{
    (void)state;
    const struct table_view *view = &table.writer.view;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_int_equal(allows("203.0.113.9"), 1); /* not confined */
    assert_int_equal(table_allows(view, slot_of(&key.entry.digest), NULL), 1);
    sample_key_confine(&key, "192.0.2.0/24");
    sample_key_confine(&key, "2001:db8::/32");
    sample_key_confine(&key, "198.51.100.7");
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_int_equal(allows("192.0.2.255"), 1);
    assert_int_equal(allows("::ffff:192.0.2.1"), 1);
    assert_int_equal(allows("192.0.3.0"), 0);
    assert_int_equal(allows("2001:db8:ffff::"), 1);
    assert_int_equal(allows("2001:db9::"), 0);
    assert_int_equal(allows("198.51.100.7"), 1);
    assert_int_equal(allows("198.51.100.6"), 0);
    assert_int_equal(allows("::"), 0);
    assert_int_equal(table_allows(view, slot_of(&key.entry.digest), NULL), 0);
}

static void a_text_that_starts_like_a_stored_one_is_not_taken_for_it(void **state)
{
    (void)state;
    static const char *const owners[] = {"a", "aa", "aaa", "aaaaaaaa", "aaaaaaaaa", "", "ab"};
    struct sample_key keys[7];
    for (unsigned i = 0; i < 7; i++) {
        sample_key_init(&keys[i], i);
        keys[i].entry.owner = text_of(owners[i]);
        keys[i].scopes[0] = text_of(i < 5 ? owners[i] : "b");
        keys[i].entry.scope_count = 1 + i % 2;
        assert_int_equal(heap_table_put(&table, &keys[i].entry), 0);
    }
    for (unsigned i = 0; i < 7; i++)
        assert_shows(&table, &keys[i].entry);
}

static void thirty_two_environments_fit_and_the_next_is_full(void **state)
{
    (void)state;
    struct sample_key keys[KEY_ENVIRONMENTS_MAX];
    char names[KEY_ENVIRONMENTS_MAX + 1][CATLATCH_ENVIRONMENT_SIZE];
    for (unsigned i = 0; i < KEY_ENVIRONMENTS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "environment-%02u-of-many", i); /* 23 bytes */
        sample_key_init(&keys[i], i);
        keys[i].entry.environment = text_of(names[i]);
        assert_int_equal(heap_table_put(&table, &keys[i].entry), 0);
    }
    for (unsigned i = 0; i < KEY_ENVIRONMENTS_MAX; i++)
        assert_shows(&table, &keys[i].entry);

    struct table_claim claim;
    sample_key_init(&key, 100);
    key.entry.environment = text_of("one more");
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_NARROWING, &claim),
                     CATLATCH_E_FULL);
    assert_misses(&key.entry.digest);
    key.entry.environment = text_of(names[31]);
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);
}

static void a_foreign_key_has_no_environment(void **state)
{
    (void)state;
    key.entry.environment = key.entry.environment_prefix = text_of("");
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);
    assert_int_equal(atomic_load(&table.writer.header->environment_count), 0);
}

static void an_environment_with_too_long_a_text_is_refused(void **state)
{
    (void)state;
    struct table_claim claim;
    key.entry.environment = text_of("twenty-four-bytes-long-x");
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
    key.entry.environment = text_of("live");
    key.entry.environment_prefix = text_of("nine_byte");
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
}

static void texts_of_255_bytes_of_utf8_are_shown_whole(void **state)
{
    (void)state;
    char cats[CATLATCH_TEXT_SIZE] = "";
    for (unsigned i = 0; i < 63; i++)
        memcpy(cats + 4 * i, "\xf0\x9f\x90\x88", 4);
    memcpy(cats + 252, "\xe7\x8c\xab", 4); /* and NUL */
    key.entry.name = text_of(cats);
    key.entry.owner = text_of(cats);
    assert_int_equal(key.entry.name.len, 255);
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);
}

static void texts_that_have_no_room_are_refused(void **state)
{
    (void)state;
    struct table_claim claim;
    char longer[CATLATCH_TEXT_SIZE + 1];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct text *texts[] = {&key.entry.name, &key.entry.owner, &key.entry.prefix, &key.scopes[0]};
    for (unsigned i = 0; i < 4; i++) {
        struct text kept = *texts[i];
        *texts[i] = i == 2 ? text_of("sixteen-bytes-xx") : text_of(longer);
        assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                         CATLATCH_E_DATA);
        *texts[i] = kept;
    }
    key.scopes[0] = text_of("");
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
    assert_int_equal(table.writer.slots_used, 0);
}

static void scopes_fit_up_to_the_bound_and_not_beyond(void **state)
{
    (void)state;
    struct table_claim claim;
    char scope[UINT8_MAX + 1];
    memset(scope, 's', sizeof scope);
    for (unsigned i = 0; i < 8; i++) /* 8 * (255 + 1 for the space or the NUL) == 2048 */
        key.scopes[i] = (struct text){scope, UINT8_MAX};
    key.entry.scope_count = 8;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    assert_shows(&table, &key.entry);

    key.scopes[8] = text_of("s");
    key.entry.scope_count = 9;
    assert_int_equal(table_claim(&table.writer, &key.entry, TABLE_ORDINARY, &claim),
                     CATLATCH_E_DATA);
}

static void only_whole_scopes_match(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &key.entry), 0);
    uint64_t slot = slot_of(&key.entry.digest);
    const struct table_view *view = &table.writer.view;
    assert_int_equal(table_has_scope(view, slot, "read", 4), 1);
    assert_int_equal(table_has_scope(view, slot, "write", 5), 1);
    assert_int_equal(table_has_scope(view, slot, "rea", 3), 0);
    assert_int_equal(table_has_scope(view, slot, "reads", 5), 0);
    assert_int_equal(table_has_scope(view, slot, "Read", 4), 0);
    assert_int_equal(table_has_scope(view, slot, "read write", 10), 0);
    assert_int_equal(table_has_scope(view, slot, "", 0), 0);
}

#define MANY 600u

/* Ten keys of each owner; of the first ten more, whose owner's record is not the others', one that
 * is revoked, and one that was renamed, so that a slot of it is dead. */
static struct sample_key many[MANY];

static void put_many(void)
{
    for (unsigned i = 0; i < MANY; i++) {
        sample_key_init(&many[i], i + 1);
        if (i >= MANY - 10) {
            memset((void *)table.writer.intern, 0, table.writer.intern_count * sizeof(uint32_t));
            many[i].entry.owner = many[0].entry.owner;
        }
        many[i].entry.disabled = i % 7 == 0;
        many[i].entry.revoked = i == 3;
        assert_int_equal(heap_table_put(&table, &many[i].entry), 0);
    }
    many[4].entry.name = text_of("renamed");
    assert_int_equal(heap_table_put(&table, &many[4].entry), 0);
}

static void show_owner(const struct table_owner *owner, uint64_t max)
{
    uint64_t at = 0, calls = 0;
    while (!table_show_owner(&table.writer, owner, &at, max))
        assert_int_equal(at, max * ++calls);
    assert_int_equal(at, table.writer.view.slot_count);
    assert_true(table_show_owner(&table.writer, owner, &at, max));
}

static void switch_owner(struct text name, bool suspended, uint64_t max)
{
    show_owner(&(struct table_owner){.name = name, .suspended = suspended}, max);
}

static void assert_suspended(struct text owner)
{
    for (unsigned i = 0; i < MANY; i++) {
        many[i].entry.suspended = text_equal(many[i].entry.owner, owner);
        assert_shows(&table, &many[i].entry);
    }
}

static void an_owner_is_suspended_in_all_of_its_living_slots_and_in_no_others(void **state)
{
    const uint64_t sizes[] = {1, 7, 100000, UINT64_MAX};
    (void)state;
    put_many();
    struct text owner = many[0].entry.owner, start = {owner.bytes, owner.len - 1}, nobody = {0};
    uint64_t used = table.writer.slots_used, side = table.writer.side_used;
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        switch_owner(owner, true, sizes[i]);
        assert_suspended(owner);
        switch_owner(start, false, sizes[i]);
        assert_suspended(owner);
        switch_owner(owner, false, sizes[i]);
        assert_suspended(nobody);
    }
    assert_true(table.writer.slots_used == used && table.writer.side_used == side);
    /* And what changes a key next goes on from there. */
    switch_owner(owner, true, UINT64_MAX);
    many[5].entry.suspended = many[5].entry.disabled = true;
    assert_int_equal(heap_table_put(&table, &many[5].entry), 0);
    assert_suspended(owner);
}

/* What all keys show of the limits that their owner has. */
static void assert_limited(struct text owner, const struct rates *rates, uint32_t block)
{
    for (unsigned i = 0; i < MANY; i++) {
        struct table_hit hit;
        struct table_limits shown;
        uint32_t shown_block;
        bool is_his = text_equal(many[i].entry.owner, owner);
        assert_int_equal(table_find(&table.writer.view, &many[i].entry.digest, &hit), TABLE_HIT);
        assert_int_equal(table_owner_limits(&table.writer.view, hit.slot, &shown, &shown_block), 0);
        assert_int_equal(shown.count, is_his ? rates->count : 0);
        assert_int_equal(shown_block, is_his ? block : 0);
        for (unsigned j = 0; j < shown.count; j++)
            assert_true(rate_equal(&shown.rates[j].rate, &rates->list[j]));
        if (control_state(hit.control) == SLOT_LIVE)
            assert_int_equal((hit.control & CONTROL_OWNER_LIMITS) != 0, is_his && rates->count > 0);
    }
}

static struct rates rates_of(const char *text)
{
    struct rates rates;
    assert_int_equal(rates_parse(text_of(text), &rates, NULL), 0);
    return rates;
}

static void give_limits(struct table_owner *owner, const struct rates *rates, uint32_t block,
                        uint64_t max)
{
    assert_int_equal(
        table_owner_word(&table.writer, rates, block, TABLE_ORDINARY, &owner->limits_word), 0);
    show_owner(owner, max);
}

static void an_owners_limits_are_all_of_its_keys_revoked_ones_too(void **state)
{
    const uint64_t sizes[] = {1, 100000};
    struct rates rates = rates_of("10/1s,100/1m"), other = rates_of("7/1h"), none = {.count = 0};
    (void)state;
    put_many();
    struct table_owner owner = {.name = many[0].entry.owner, .suspended = true};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        give_limits(&owner, &rates, 77, sizes[i]);
        assert_limited(owner.name, &rates, 77);
        give_limits(&owner, &other, 77, sizes[i]);
        assert_limited(owner.name, &other, 77);
        give_limits(&owner, &none, 77, sizes[i]);
        assert_limited(owner.name, &none, 77);
    }
    show_owner(&(struct table_owner){.name = owner.name}, 100000);
    assert_suspended((struct text){0});
    /* And where no key of his is living. */
    owner = (struct table_owner){.name = many[100].entry.owner};
    for (unsigned i = 0; i < MANY; i++)
        if (text_equal(many[i].entry.owner, owner.name)) {
            many[i].entry.revoked = true;
            assert_int_equal(heap_table_put(&table, &many[i].entry), 0);
        }
    give_limits(&owner, &rates, 78, 100000);
    assert_limited(owner.name, &rates, 78);
}

static void a_key_brings_the_limits_that_its_owner_has_by_then(void **state)
{
    struct rates rates = rates_of("10/1s"), none = {.count = 0};
    struct table_claim claim;
    (void)state;
    put_many();
    struct text owner = many[0].entry.owner;
    /* A claim that is given up has shown nothing of them. */
    struct table_entry entry = many[1].entry;
    entry.owner_rates = &rates;
    entry.owner_block = 5;
    entry.name = text_of("another");
    assert_int_equal(table_claim(&table.writer, &entry, TABLE_ORDINARY, &claim), 0);
    table_abandon(&table.writer, &claim);
    assert_limited(owner, &none, 0);
    /* A change of the control word alone shows them, a new slot too, and a revoked key. */
    for (unsigned i = 0; i < MANY; i++) {
        if (!text_equal(many[i].entry.owner, owner))
            continue;
        many[i].entry.owner_rates = &rates;
        many[i].entry.owner_block = 5;
        if (i % 4 == 1)
            many[i].entry.name = text_of("renamed again");
        assert_int_equal(heap_table_put(&table, &many[i].entry), 0);
    }
    assert_limited(owner, &rates, 5);
    for (unsigned i = 0; i < MANY; i++)
        assert_shows(&table, &many[i].entry);
}

static void an_owner_gets_no_limits_without_room_for_them(void **state)
{
    struct rates rates = rates_of("10/1s"), wrong = {.count = 1};
    uint64_t word = 1, side = 0;
    unsigned made = 0;
    (void)state;
    assert_int_equal(table_owner_word(&table.writer, &wrong, 1, TABLE_ORDINARY, &word),
                     CATLATCH_E_DATA);
    for (int r = 0; r == 0; made += r == 0) {
        side = table.writer.side_used;
        rates.list[0].burst++;
        r = table_owner_word(&table.writer, &rates, 1, TABLE_ORDINARY, &word);
        assert_true(r == 0 || r == CATLATCH_E_FULL);
    }
    assert_true(made > 10 && table.writer.side_used == side);
    assert_int_equal(table_owner_word(&table.writer, &rates, 1, TABLE_NARROWING, &word), 0);
    assert_int_equal(word >> 32, 1);
    assert_int_equal((uint32_t)word * UINT64_C(8), side);
}

static void the_heartbeat_never_undoes_the_mark_of_a_superseded_table(void **state)
{
    (void)state;
    struct table_header *header = table.writer.header;
    assert_int_equal(atomic_load(&header->pulse), TABLE_PULSE_FILLING);
    table_beat(header, 1000);
    table_beat(header, 2000);
    assert_int_equal(atomic_load(&header->pulse), 2000);
    table_supersede(header);
    table_beat(header, 3000);
    assert_true(atomic_load(&header->pulse) == TABLE_PULSE_SUPERSEDED);
}

static void the_header_tells_sequence_and_use(void **state)
{
    (void)state;
    table_set_sequence(&table.writer, 42);
    assert_int_equal(atomic_load(&table.writer.header->sequence), 42);
    for (uint64_t i = 0; i < 250; i++) {
        sample_key_init(&key, i);
        assert_int_equal(heap_table_put(&table, &key.entry), 0);
    }
    assert_int_equal(atomic_load(&table.writer.header->slots_used), 250);
    assert_int_equal(atomic_load(&table.writer.header->side_used), table.writer.side_used);
    assert_int_equal(table_fill_permille(&table.writer), 250);
}

/* Readers of one release map tables of the next: these numbers change with TABLE_LAYOUT only. */
static void layout_3_is_where_it_was(void **state)
{
    (void)state;
    assert_int_equal(TABLE_LAYOUT, 3);
    assert_int_equal(TABLE_PROBE_MAX, 512);
    assert_int_equal(offsetof(struct table_header, pulse), 0);
    assert_int_equal(offsetof(struct table_header, max_stale_ms), 8);
    assert_int_equal(offsetof(struct table_header, environment_count), 40);
    assert_int_equal(offsetof(struct table_header, usage_refs), 48);
    assert_int_equal(offsetof(struct table_header, magic), 64);
    assert_int_equal(offsetof(struct table_header, seed), 120);
    assert_int_equal(offsetof(struct table_header, slot_count), 136);
    assert_int_equal(offsetof(struct table_header, side_size), 160);
    assert_int_equal(offsetof(struct table_header, usage_area), 208);
    assert_int_equal(offsetof(struct table_header, usage_segments), 224);
    assert_int_equal(offsetof(struct table_header, checksum), 228);
    assert_int_equal(offsetof(struct table_header, environments), 232);
    assert_int_equal(sizeof(struct table_environment), 32);
    assert_int_equal(offsetof(struct table_slot, digest), 8);
    assert_int_equal(offsetof(struct table_slot, id), 40);
    assert_int_equal(offsetof(struct table_slot, identity_ref), 48);
    assert_int_equal(offsetof(struct table_slot, scopes_ref), 52);
    assert_int_equal(sizeof(struct table_side_identity), 16);
    assert_int_equal(sizeof(struct table_side_list), 4);
    assert_int_equal(CONTROL_NETWORKS, 0x40);
    assert_int_equal(NETWORKS_MAX, 32);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_claim_is_not_seen_before_it_is_published),
        EACH(an_unknown_digest_is_a_miss),
        EACH(a_miss_leaves_the_hit_untouched),
        EACH(every_flag_and_time_is_shown_in_every_combination),
        EACH(a_time_that_has_no_room_is_refused),
        EACH(changes_of_flags_and_expiry_take_no_slot),
        EACH(a_change_of_write_once_data_is_a_new_slot_and_marks_the_old),
        EACH(a_change_of_networks_is_a_new_slot_and_no_change_is_none),
        EACH(a_change_of_rates_is_a_new_slot_and_no_change_is_none),
        EACH(rates_are_stored_once_and_an_abandoned_claim_leaves_nothing),
        EACH(a_key_gets_a_block_when_it_needs_one_and_keeps_it),
        EACH(a_key_keeps_its_record_of_usage_whatever_becomes_of_it),
        EACH(a_claim_beside_an_unpublished_one_has_the_record_that_it_names),
        EACH(the_old_state_shows_until_the_replacement_is_published),
        EACH(a_revoked_key_is_found_as_revoked),
        EACH(a_revoke_keeps_environment_and_texts_whatever_it_says),
        EACH(there_is_no_way_back_from_revoked),
        EACH(another_id_with_the_same_digest_is_refused),
        EACH(an_id_of_zero_is_refused),
        EACH(an_abandoned_claim_hides_nothing_behind_it),
        EACH(an_abandoned_key_can_be_claimed_again),
        EACH(an_abandoned_change_leaves_the_key_as_it_was),
        EACH(claims_given_up_newest_first_cost_no_room),
        EACH(an_owner_that_a_failed_claim_stored_outlives_the_claim_before_it),
        EACH(claims_of_one_key_build_on_each_other_within_a_batch),
        EACH(a_revoke_in_the_batch_that_creates_is_seen_as_revoked),
        EACH(publishing_out_of_order_ends_the_writer),
        EACH(building_on_an_abandoned_claim_ends_the_writer),
        EACH(a_change_claimed_beside_a_revoke_cannot_undo_it),
        EACH(owners_and_scope_lists_are_stored_once),
        EACH(a_list_of_networks_is_stored_once_and_costs_others_nothing),
        EACH(thirty_two_networks_fit_and_the_next_is_refused),
        EACH(a_text_that_starts_like_a_stored_one_is_not_taken_for_it),
        EACH(thirty_two_environments_fit_and_the_next_is_full),
        EACH(a_foreign_key_has_no_environment),
        EACH(an_environment_with_too_long_a_text_is_refused),
        EACH(texts_of_255_bytes_of_utf8_are_shown_whole),
        EACH(texts_that_have_no_room_are_refused),
        EACH(scopes_fit_up_to_the_bound_and_not_beyond),
        EACH(only_whole_scopes_match),
        EACH(an_owner_is_suspended_in_all_of_its_living_slots_and_in_no_others),
        EACH(an_owners_limits_are_all_of_its_keys_revoked_ones_too),
        EACH(a_key_brings_the_limits_that_its_owner_has_by_then),
        EACH(an_owner_gets_no_limits_without_room_for_them),
        EACH(only_addresses_of_the_networks_are_allowed),
        EACH(the_heartbeat_never_undoes_the_mark_of_a_superseded_table),
        EACH(the_header_tells_sequence_and_use),
        EACH(layout_3_is_where_it_was),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
