/*
 * One writer and several readers on one table, for ThreadSanitizer as well.
 *
 * Every key goes through versions; a version's number is its expiry, so one look at the control
 * word tells which it is. The writer stores `started` before it publishes a version and `done`
 * after; a reader loads `done`, looks the key up, and loads `started`. What it saw must be one of
 * the versions between the two, whole, and none older than what it saw before: so a key that was
 * published is never missed, one that was revoked or disabled never live again, nothing torn.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/lib_table.h"

#define READERS 3
#define KEYS 256
#define VERSIONS 192 /* no key gets that many before the table is full */
#define BATCH_MAX 6
#define CAPACITY 2000 /* full after some thousand changes, which is a round */
#define KEYS_OF_ONE_HOME 8
#define GIVEN_UP INT64_C(1000000) /* expiry that only abandoned claims have */

struct version {
    bool disabled, suspended, revoked;
    unsigned texts; /* number of the name, scopes, networks and not-before */
};

struct key {
    _Atomic uint32_t started, done; /* numbers of versions; 0: not there */
    uint32_t claimed;               /* the writer's own */
    uint64_t blocked_in;            /* batch in which its claim was given up last */
    struct version versions[VERSIONS];
};

struct reader {
    pthread_t thread;
    unsigned number;
    _Atomic uint64_t lookups;
    _Atomic uint64_t limited; /* of these, of a key whose owner has limits */
    uint32_t seen[KEYS];      /* newest version that it saw */
};

static struct heap_table table;
static struct key keys[KEYS];
static struct reader readers[READERS];
static pthread_barrier_t round_begins, round_ends;
static _Atomic bool round_over, all_over, failed;
static char failure[256];

static void fail_with(const char *what, unsigned key, uint64_t saw, uint32_t done, uint32_t started)
{
    if (!atomic_exchange(&failed, true))
        snprintf(failure, sizeof failure,
                 "key %u: %s; saw version %llu, done was %u before and started %u after", key, what,
                 (unsigned long long)saw, done, started);
}

/* Keys by the group share a home, so that probes are long and slots of several keys mixed. */
static struct digest digest_of_key(unsigned number)
{
    struct digest digest = sample_digest(number);
    struct digest group = sample_digest(1000 + number / KEYS_OF_ONE_HOME);
    digest.word[0] = group.word[0];
    digest.word[1] = group.word[1];
    return digest;
}

static void entry_of(struct sample_key *key, unsigned number, const struct version *version,
                     int64_t expires)
{
    static const char *const scopes[] = {"read", "write", "list", "admin"};
    static const struct network networks[] = {
        {{{[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2}}, 96 + 24},
        {{{0x20, 0x01, 0x0d, 0xb8}}, 32},
        {{{[10] = 0xff, [11] = 0xff, [12] = 10}}, 96 + 8},
        {{{[15] = 1}}, 128},
    };
    sample_key_init(key, number);
    key->entry.digest = digest_of_key(number);
    key->entry.disabled = version->disabled;
    key->entry.suspended = version->suspended;
    key->entry.revoked = version->revoked;
    key->entry.expires_unix_s = expires;
    key->entry.not_before_unix_s = version->texts % 3;
    key->entry.environment = text_of(number % 2 ? "live" : "test");
    key->entry.scope_count = version->texts % 5;
    for (unsigned i = 0; i < key->entry.scope_count; i++)
        key->scopes[i] = text_of(scopes[(i + version->texts) % 4]);
    key->entry.network_count = version->texts % 3;
    for (unsigned i = 0; i < key->entry.network_count; i++)
        key->networks[i] = networks[(i + version->texts) % 4];
    snprintf(key->name, sizeof key->name, "key %u, text %u", number, version->texts);
    key->entry.name = text_of(key->name);
}

static void check_hit(struct reader *reader, unsigned number, const struct table_hit *hit,
                      uint32_t done)
{
    struct sample_key expected;
    struct key *key = &keys[number];
    uint64_t saw = (uint64_t)control_expires_unix_s(hit->control);
    struct table_identity identity; /* read before `started`: who is slow must still see it whole */
    int r = table_identity(&table.writer.view, hit->slot, &identity);
    uint32_t started = atomic_load(&key->started);
    if (r != 0) {
        fail_with("identity damaged", number, saw, done, started);
    } else if (saw < done || saw > started || saw < reader->seen[number] || saw == 0) {
        fail_with("a version that was past, or not there yet", number, saw, done, started);
    } else {
        const struct version *version = &key->versions[saw];
        entry_of(&expected, number, version, (int64_t)saw);
        const char *differs = table_hit_differs(&table.writer.view, hit, &expected.entry);
        if (differs != NULL)
            fail_with(differs, number, saw, done, started);
        reader->seen[number] = (uint32_t)saw;
    }
}

static void look_up_key(struct reader *reader, unsigned number)
{
    struct table_hit hit;
    struct digest digest = digest_of_key(number);
    uint32_t done = atomic_load(&keys[number].done);
    switch (table_find(&table.writer.view, &digest, &hit)) {
    case TABLE_MISS:
        if (done > 0)
            fail_with("missed", number, 0, done, atomic_load(&keys[number].started));
        break;
    case TABLE_HIT:
        check_hit(reader, number, &hit, done);
        break;
    case TABLE_DAMAGED:
        fail_with("damaged", number, 0, done, atomic_load(&keys[number].started));
        break;
    }
}

static void look_up_absent(unsigned number)
{
    struct table_hit hit;
    struct digest digest = digest_of_key(number);
    digest.word[3] ^= 1;
    if (table_find(&table.writer.view, &digest, &hit) != TABLE_MISS)
        fail_with("a digest that was never there is found", number, 0, 0, 0);
}

static void read_one_round(struct reader *reader, uint64_t *random)
{
    memset(reader->seen, 0, sizeof reader->seen);
    while (!atomic_load(&round_over)) {
        unsigned number = (unsigned)(sample_random(random) % KEYS);
        look_up_key(reader, number);
        if (number % 8 == 0)
            look_up_absent(number);
        /* where processors are few, the writer's waiting must not cost a time slice each */
        if (atomic_fetch_add(&reader->lookups, 1) % 64 == 0)
            sched_yield();
    }
}

static void *read_rounds(void *argument)
{
    struct reader *reader = argument;
    uint64_t random = 100 + reader->number;
    for (;;) {
        pthread_barrier_wait(&round_begins);
        if (atomic_load(&all_over))
            return NULL;
        read_one_round(reader, &random);
        pthread_barrier_wait(&round_ends);
    }
}

/* So that no round passes before the readers had a share of the processor. */
static void let_everybody_read(void)
{
    for (unsigned i = 0; i < READERS; i++) {
        uint64_t before = atomic_load(&readers[i].lookups);
        while (atomic_load(&readers[i].lookups) < before + 16 && !atomic_load(&failed))
            sched_yield();
    }
}

static struct version next_version(const struct key *key, uint64_t *random)
{
    struct version next = key->versions[key->claimed];
    switch (sample_random(random) % 32) {
    case 0:
        next.revoked = true;
        break;
    case 1 ... 8:
        next.disabled = !next.disabled;
        break;
    case 9 ... 12:
        next.suspended = !next.suspended;
        break;
    case 13 ... 16: /* nothing but the expiry */
        break;
    default:
        if (!next.revoked)
            next.texts++;
        break;
    }
    return next;
}

struct pending {
    struct table_claim claim;
    unsigned key;
    uint32_t version; /* 0: to be given up */
};

/* Returns false when the table is full. */
static bool claim_version(unsigned number, uint64_t *random, struct pending *ret)
{
    struct sample_key sample;
    struct key *key = &keys[number];
    struct version next = next_version(key, random);
    entry_of(&sample, number, &next, key->claimed + 1);
    if (key->claimed + 1 == VERSIONS ||
        table_claim(&table.writer, &sample.entry, TABLE_ORDINARY, &ret->claim) != 0)
        return false;
    key->versions[++key->claimed] = next;
    ret->key = number;
    ret->version = key->claimed;
    return true;
}

/* A claim that will be given up, at once or when its turn to be published comes. */
static bool claim_in_vain(unsigned number, uint64_t batch, uint64_t *random, struct pending *ret)
{
    struct sample_key sample;
    struct version wrong = keys[number].versions[keys[number].claimed];
    wrong.texts += 1000;
    entry_of(&sample, number, &wrong, GIVEN_UP);
    if (table_claim(&table.writer, &sample.entry, TABLE_ORDINARY, &ret->claim) != 0)
        return false;
    ret->key = number;
    ret->version = 0;
    if (sample_random(random) % 2 == 0) {
        table_abandon(&table.writer, &ret->claim);
        return false;
    }
    keys[number].blocked_in = batch;
    return true;
}

static void end_claim(const struct pending *pending)
{
    struct key *key = &keys[pending->key];
    if (pending->version == 0) {
        table_abandon(&table.writer, &pending->claim);
        return;
    }
    atomic_store(&key->started, pending->version);
    table_publish(&table.writer, &pending->claim);
    atomic_store(&key->done, pending->version);
}

/* Returns false when the table is full. */
static bool write_one_batch(uint64_t batch, uint64_t *random)
{
    struct pending pending[BATCH_MAX];
    unsigned count = 0, wanted = 1 + (unsigned)(sample_random(random) % BATCH_MAX);
    bool room = true;
    for (unsigned i = 0; i < wanted && room; i++) {
        /* often the same key again, so that claims build on each other */
        unsigned number =
            count > 0 && i % 2 ? pending[count - 1].key : (unsigned)(sample_random(random) % KEYS);
        struct key *key = &keys[number];
        if (key->blocked_in == batch)
            continue;
        if (!key->versions[key->claimed].revoked && sample_random(random) % 16 == 0)
            count += claim_in_vain(number, batch, random, &pending[count]);
        else if ((room = claim_version(number, random, &pending[count])))
            count++;
    }
    for (unsigned i = 0; i < count; i++)
        end_claim(&pending[i]);
    return room;
}

static void fresh_round(void)
{
    memset(table.base, 0, table.size);
    assert_int_equal(table_format(&table.writer, table.base, table.size, &table.params), 0);
    memset(keys, 0, sizeof keys);
    atomic_store(&round_over, false);
}

/* Under TSan a round takes a hundred times longer, and finds what it finds by happens-before, not
 * by luck. */
#if defined(__SANITIZE_THREAD__)
#define ROUNDS 10
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ROUNDS 10
#endif
#endif
#ifndef ROUNDS
#define ROUNDS 200
#endif

static unsigned rounds(void)
{
    return getenv("CATLATCH_LONG") != NULL ? 10 * ROUNDS : ROUNDS;
}

static void readers_see_every_change_whole_in_order_and_at_once(void **state)
{
    (void)state;
    uint64_t random = 42, batch = 0;
    heap_table_open(&table, CAPACITY, 128);
    pthread_barrier_init(&round_begins, NULL, READERS + 1);
    pthread_barrier_init(&round_ends, NULL, READERS + 1);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].number = i;
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_rounds, &readers[i]), 0);
    }
    for (unsigned round = 0; round < rounds() && !atomic_load(&failed); round++) {
        fresh_round();
        pthread_barrier_wait(&round_begins);
        let_everybody_read();
        while (write_one_batch(++batch, &random) && !atomic_load(&failed))
            if (batch % 16 == 0)
                let_everybody_read();
        let_everybody_read();
        atomic_store(&round_over, true);
        pthread_barrier_wait(&round_ends);
    }
    atomic_store(&all_over, true);
    pthread_barrier_wait(&round_begins);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    heap_table_close(&table);
    if (atomic_load(&failed))
        fail_msg("%s", failure);
}

#define HOT_KEYS 200
#define HOT_CHANGES 100 /* of one key: each takes a slot of its probe */

static _Atomic uint64_t hot; /* number of the key that the writer is at */

static void *read_hot_key(void *argument)
{
    struct reader *reader = argument;
    struct table_hit hit;
    while (!atomic_load(&all_over)) {
        uint64_t number = atomic_load(&hot);
        struct digest digest = sample_digest(number);
        for (unsigned i = 0; i < 64; i++) {
            if (table_find(&table.writer.view, &digest, &hit) != TABLE_HIT)
                fail_with("missed while it was replaced", (unsigned)number, 0, 0, 0);
            atomic_fetch_add_explicit(&reader->lookups, 1, memory_order_relaxed);
        }
    }
    return NULL;
}

static void replace_hot_key(uint64_t number)
{
    struct sample_key key;
    sample_key_init(&key, number);
    for (unsigned i = 0; i < HOT_CHANGES; i++) {
        key.entry.not_before_unix_s = i;
        assert_int_equal(heap_table_put(&table, &key.entry), 0);
        if (i == 0)
            atomic_store(&hot, number);
    }
}

static void replace_hot_keys(void)
{
    heap_table_open(&table, 4 * HOT_KEYS * HOT_CHANGES, 64);
    atomic_store(&all_over, false);
    replace_hot_key(0);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_hot_key, &readers[i]), 0);
    for (uint64_t number = 1; number < HOT_KEYS; number++) {
        replace_hot_key(number);
        if (number % 16 == 0)
            let_everybody_read();
    }
    atomic_store(&all_over, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    heap_table_close(&table);
}

/* The moment between publishing a slot and marking the old one is short, so many of them. */
static void a_key_is_never_missed_while_it_is_replaced(void **state)
{
    (void)state;
    atomic_store(&failed, false);
    for (unsigned i = 0; i <= rounds() / 20 && !atomic_load(&failed); i++)
        replace_hot_keys();
    if (atomic_load(&failed))
        fail_msg("%s", failure);
}

#define OWNED_KEYS 24
#define OWNER_VERSIONS 600u

static _Atomic uint32_t owner_started, owner_done; /* numbers of versions of an owner's limits */

/* Each has other rates, from none to four, and is counted in the block with its number. */
static struct rates owner_rates(uint32_t version)
{
    struct rates rates = {.count = version % 5};
    for (uint32_t i = 0; i < rates.count; i++)
        rates.list[i] = (struct rate){version, 60 * (i + 1), version};
    return rates;
}

static bool is_owner_version(const struct table_limits *limits, uint32_t version)
{
    struct rates expected = owner_rates(version);
    bool is = limits->count == expected.count && !limits->has_uses;
    for (unsigned i = 0; is && i < limits->count; i++)
        is = rate_equal(&limits->rates[i].rate, &expected.list[i]) &&
             limits->rates[i].rule.burst_milli == UINT64_C(1000) * version;
    return is;
}

/* What a reader is told of the owner's limits is one version of them, none that was past, and whole
 * with its block; and while there are some, his keys say so. */
static void check_owner(struct reader *reader, unsigned number)
{
    struct table_hit hit;
    struct table_limits limits;
    struct digest digest = sample_digest(number);
    uint32_t done = atomic_load(&owner_done), block;
    if (table_find(&table.writer.view, &digest, &hit) != TABLE_HIT) {
        fail_with("missed", number, 0, done, 0);
        return;
    }
    if ((hit.control & CONTROL_OWNER_LIMITS) == 0) {
        uint32_t started = atomic_load(&owner_started), version = done;
        while (version <= started && owner_rates(version).count != 0)
            version++;
        if (version > started)
            fail_with("its owner's limits are missed", number, 0, done, started);
        return;
    }
    int r = table_owner_limits(&table.writer.view, hit.slot, &limits, &block);
    uint32_t started = atomic_load(&owner_started);
    if (r != 0 || block < done || block > started || block < reader->seen[0] ||
        !is_owner_version(&limits, block))
        fail_with("limits of its owner that are none", number, block, done, started);
    reader->seen[0] = block;
    atomic_fetch_add_explicit(&reader->limited, 1, memory_order_relaxed);
}

static void *read_owner_limits(void *argument)
{
    struct reader *reader = argument;
    uint64_t random = 100 + reader->number;
    while (!atomic_load(&all_over)) {
        check_owner(reader, (unsigned)(sample_random(&random) % OWNED_KEYS));
        if (atomic_fetch_add(&reader->lookups, 1) % 64 == 0)
            sched_yield();
    }
    return NULL;
}

/* As the daemon does: what the rates are, then a few slots at a time. */
static void limit_owner(uint32_t version)
{
    struct rates rates = owner_rates(version);
    struct table_owner owner = {.name = text_of("acme")};
    uint64_t at = 0;
    assert_int_equal(
        table_owner_word(&table.writer, &rates, version, TABLE_ORDINARY, &owner.limits_word), 0);
    atomic_store(&owner_started, version);
    while (!table_show_owner(&table.writer, &owner, &at, 64))
        continue;
    atomic_store(&owner_done, version);
}

static void change_owner_limits(void)
{
    struct sample_key key;
    heap_table_open(&table, CAPACITY, 128);
    for (unsigned i = 0; i < OWNED_KEYS; i++) {
        sample_key_init(&key, i);
        key.entry.owner = text_of("acme");
        assert_int_equal(heap_table_put(&table, &key.entry), 0);
    }
    atomic_store(&all_over, false);
    atomic_store(&owner_started, 0);
    atomic_store(&owner_done, 0);
    for (unsigned i = 0; i < READERS; i++) {
        memset(readers[i].seen, 0, sizeof readers[i].seen);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_owner_limits, &readers[i]),
                         0);
    }
    for (uint32_t version = 1; version <= OWNER_VERSIONS && !atomic_load(&failed); version++) {
        limit_owner(version);
        if (version % 8 == 0)
            let_everybody_read();
    }
    atomic_store(&all_over, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i].thread, NULL);
    heap_table_close(&table);
}

static void limits_of_an_owner_are_seen_whole_in_order_and_at_once(void **state)
{
    (void)state;
    atomic_store(&failed, false);
    for (unsigned i = 0; i < READERS; i++)
        atomic_store(&readers[i].limited, 0);
    for (unsigned i = 0; i <= rounds() / 10 && !atomic_load(&failed); i++)
        change_owner_limits();
    if (atomic_load(&failed))
        fail_msg("%s", failure);
    for (unsigned i = 0; i < READERS; i++)
        assert_true(atomic_load(&readers[i].limited) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_every_change_whole_in_order_and_at_once),
        cmocka_unit_test(a_key_is_never_missed_while_it_is_replaced),
        cmocka_unit_test(limits_of_an_owner_are_seen_whole_in_order_and_at_once),
    };
    return cmocka_run_group_tests_name("table race", tests, NULL, NULL);
}
