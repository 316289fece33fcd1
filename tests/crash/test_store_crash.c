/*
 * The store's process is killed at random points of mixed work, again and again over one folder.
 * Afterwards every change that it had acknowledged (committed and flushed) is there, and whatever
 * else is there is whole: keys, indexes, owners' counts and the change log agree.
 */
#include <err.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/lib_store.h"
#include "daemon/store_internal.h"

/* So few that parts of the indexes are sealed all the time. */
#define PART_KEYS 32

#define ROUNDS 20
#define ROUNDS_LONG 200
#define ACKS_MAX 150 /* of one round, before the kill */
#define BATCH_MAX 8  /* commits that one flush acknowledges */
#define TXN_CHANGES_MAX 6
#define KEYS_MAX ((ROUNDS_LONG + 1) * (ACKS_MAX + 64) * TXN_CHANGES_MAX)

static const char *const owners[] = {"acme", "globex", "initech", "umbrella"};
#define OWNERS (sizeof owners / sizeof owners[0])

/* What the child knows of a key, and tells when it is durable. */
struct known {
    uint64_t id;
    uint64_t version;
    int64_t expires_unix_s;
    uint32_t owner;
    uint32_t name; /* a number, which the name spells */
    bool disabled;
    bool marked; /* by switch_owner */
    bool revoked;
};

struct worker {
    struct store *store;
    int pipe;
    uint64_t random;
    uint64_t *ids; /* of all keys */
    size_t id_count;
    struct known told[BATCH_MAX * TXN_CHANGES_MAX * 400];
    size_t told_count;
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(struct worker *worker, uint32_t bound)
{
    return (uint32_t)(next_random(&worker->random) % bound);
}

static void name_of(uint32_t number, char ret_name[16])
{
    snprintf(ret_name, 16, "name-%u", number);
}

static uint32_t number_of(struct text name)
{
    char text[16] = "";
    memcpy(text, name.bytes, name.len < 15 ? name.len : 15);
    return (uint32_t)strtoul(text + strlen("name-"), NULL, 10);
}

static uint32_t owner_number(struct text name)
{
    for (uint32_t i = 0; i < OWNERS; i++)
        if (text_is(name, owners[i]))
            return i;
    return UINT32_MAX;
}

static struct known known_of(const struct record *record)
{
    return (struct known){
        .id = record->id,
        .version = record->version,
        .expires_unix_s = record->expires_unix_s,
        .owner = owner_number(record->owner),
        .name = number_of(record->name),
        .disabled = record->disabled,
        .marked = record->comment.len > 0,
        .revoked = record->revoked,
    };
}

static void put(struct worker *worker, struct store_txn *txn, const struct record *old,
                struct record *record, enum change_kind kind)
{
    struct error error = {0};

    if (store_put_kind(txn, old, record, kind, &error) != 0)
        errx(99, "store_put: %s", error.text);
    worker->told[worker->told_count++] = known_of(record);
}

/* What an owner's keys say of it here, so that a change of all of them together can be told. */
static struct text mark(bool suspended)
{
    return text_of(suspended ? "its owner is suspended" : "");
}

static bool is_suspended(struct worker *worker, struct store_txn *txn, struct text name)
{
    static struct store_buffer buffer;
    struct record_owner owner;

    return store_owner(worker->store, txn, name, &buffer, &owner, NULL) == 0 && owner.suspended;
}

static void create_some(struct worker *worker, struct store_txn *txn)
{
    for (uint32_t i = 0, count = 1 + below(worker, TXN_CHANGES_MAX); i < count; i++) {
        char name[16];
        name_of(below(worker, 50), name);
        struct record record =
            store_sample(store_new_id(worker->store), name, owners[below(worker, OWNERS)]);
        record.comment = mark(is_suspended(worker, txn, record.owner));
        record.expires_unix_s = below(worker, 2) == 0 ? 0 : 1 + below(worker, 1000);
        put(worker, txn, NULL, &record, CHANGE_CREATED);
        worker->ids[worker->id_count++] = record.id;
    }
}

static void change_some(struct worker *worker, struct store_txn *txn)
{
    static struct store_buffer buffer;

    for (uint32_t i = 0, count = 1 + below(worker, TXN_CHANGES_MAX); i < count; i++) {
        struct record old, record;
        struct error error = {0};
        char name[16];
        uint64_t id = worker->ids[next_random(&worker->random) % worker->id_count];
        if (store_key(worker->store, txn, id, &buffer, &old, &error) != 0)
            errx(99, "store_key: %s", error.text);
        record = old;
        name_of(below(worker, 50), name);
        record.name = text_of(name);
        record.expires_unix_s = below(worker, 2) == 0 ? 0 : 1 + below(worker, 1000);
        record.disabled = below(worker, 2) == 0;
        record.revoked = old.revoked || below(worker, 4) == 0;
        put(worker, txn, &old, &record, CHANGE_UPDATED);
    }
}

/* The owner's record and all of its keys, which must never be seen to differ. Owners of many keys
 * are left alone: this is about wholeness, not size. */
static void switch_owner(struct worker *worker, struct store_txn *txn)
{
    static struct store_buffer buffer;
    static uint64_t ids[301];
    const char *name = owners[below(worker, OWNERS)];
    struct record_owner owner;
    struct error error = {0};
    size_t count = 0;

    if (store_find(worker->store, STORE_BY_OWNER, text_of(name), 0, ids, 301, &count, &error) != 0)
        errx(99, "store_find: %s", error.text);
    if (count == 0 || count > 300)
        return;
    if (store_owner(worker->store, txn, text_of(name), &buffer, &owner, &error) != 0)
        errx(99, "store_owner: %s", error.text);
    owner.name = text_of(name);
    owner.suspended = !owner.suspended;
    struct change change = {.kind = CHANGE_OWNER_SUSPENDED, .owner = owner.name};
    if (store_put_owner(txn, &owner, &change, &error) != 0)
        errx(99, "store_put_owner: %s", error.text);
    for (size_t i = 0; i < count; i++) {
        struct record old, record;
        if (store_key(worker->store, txn, ids[i], &buffer, &old, &error) != 0)
            errx(99, "store_key: %s", error.text);
        record = old;
        record.comment = mark(owner.suspended);
        put(worker, txn, &old, &record, CHANGE_UPDATED);
    }
}

static void one_transaction(struct worker *worker)
{
    struct error error = {0};
    struct store_txn *txn;

    if (store_begin(worker->store, &txn, &error) != 0)
        errx(99, "store_begin: %s", error.text);
    uint32_t what = below(worker, 20);
    if (worker->id_count == 0 || what < 8)
        create_some(worker, txn);
    else if (what < 19)
        change_some(worker, txn);
    else
        switch_owner(worker, txn);
    if (store_commit(txn, &error) != 0)
        errx(99, "store_commit: %s", error.text);
}

static void tell(struct worker *worker)
{
    const char *bytes = (const char *)worker->told;
    size_t left = worker->told_count * sizeof worker->told[0];

    while (left > 0) {
        ssize_t written = write(worker->pipe, bytes, left);
        if (written <= 0)
            _exit(0); /* the parent is gone */
        bytes += written;
        left -= (size_t)written;
    }
    worker->told_count = 0;
}

static void *checkpoint_for_ever(void *store)
{
    while (store_checkpoint(store, true, NULL) == 0)
        sched_yield();
    return NULL;
}

static int collect_id(void *context, const struct record *record)
{
    struct worker *worker = context;
    worker->ids[worker->id_count++] = record->id;
    return 0;
}

static void work_until_killed(const char *folder, int pipe, uint64_t seed)
{
    static struct worker worker;
    uint64_t last = 0;
    pthread_t thread;

    worker = (struct worker){.pipe = pipe, .random = seed, .store = store_open_or_die(folder)};
    worker.store->part_keys = PART_KEYS;
    worker.ids = calloc(KEYS_MAX, sizeof *worker.ids);
    if (worker.ids == NULL)
        errx(99, "out of memory");
    store_scan(worker.store, 0, SIZE_MAX, collect_id, &worker, &last, NULL);
    /* In every other round checkpoints run all the time. */
    if (seed % 2 == 0 && pthread_create(&thread, NULL, checkpoint_for_ever, worker.store) != 0)
        errx(99, "pthread_create");
    for (;;) {
        struct error error = {0};
        for (uint32_t i = 0, count = 1 + below(&worker, BATCH_MAX); i < count; i++)
            one_transaction(&worker);
        if (store_flush(worker.store, &error) != 0)
            errx(99, "store_flush: %s", error.text);
        tell(&worker);
    }
}

static struct known *acknowledged; /* latest by id, in the order of first acknowledgement */
static size_t acknowledged_count;

static int id_compare(const void *left, const void *right)
{
    const struct known *a = left, *b = right;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Sorted by id; ids rise, so new ones go to the end or nearly there. */
static void acknowledge(const struct known *known)
{
    size_t at = acknowledged_count;

    struct known *found =
        bsearch(known, acknowledged, acknowledged_count, sizeof *known, id_compare);
    if (found != NULL) {
        if (known->version > found->version)
            *found = *known;
        return;
    }
    assert_true(acknowledged_count < KEYS_MAX);
    while (at > 0 && acknowledged[at - 1].id > known->id) {
        acknowledged[at] = acknowledged[at - 1];
        at--;
    }
    acknowledged[at] = *known;
    acknowledged_count++;
}

/* Reads whole acknowledgements until `enough` came or the child is gone. */
static size_t listen_to(int pipe, size_t enough)
{
    size_t count = 0;
    struct known known;
    size_t have = 0;

    while (count < enough) {
        ssize_t got = read(pipe, (char *)&known + have, sizeof known - have);
        if (got <= 0)
            break;
        have += (size_t)got;
        if (have < sizeof known)
            continue;
        acknowledge(&known);
        have = 0;
        count++;
    }
    return count;
}

/* Some microseconds, so that kills fall into every part of the work. */
static void linger(uint64_t random)
{
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - start.tv_sec) * 1000000000 + now.tv_nsec - start.tv_nsec <
           (int64_t)(random % 3000000));
}

static void one_round(const char *folder, uint64_t seed)
{
    int pipes[2], status = 0;
    uint64_t random = seed;

    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pipes[0]);
        work_until_killed(folder, pipes[1], seed);
    }
    close(pipes[1]);
    size_t enough = 1 + next_random(&random) % ACKS_MAX;
    assert_true(listen_to(pipes[0], enough) == enough);
    linger(next_random(&random));
    kill(pid, SIGKILL);
    listen_to(pipes[0], SIZE_MAX);
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A later version may be there: it was committed but not acknowledged in time. */
static int expect_mark(void *context, const struct record *record)
{
    static struct store_buffer buffer;
    struct record_owner owner;
    struct error error = {0};

    if (store_owner(context, NULL, record->owner, &buffer, &owner, &error) != 0)
        fail_msg("%s", error.text);
    if (owner.suspended != (record->comment.len > 0))
        fail_msg("%llx was changed without its owner", (unsigned long long)record->id);
    return 0;
}

/* An owner and its keys change in one transaction. */
static void expect_whole(struct store *store)
{
    struct error error = {0};
    uint64_t last = 0;

    if (store_scan(store, 0, SIZE_MAX, expect_mark, store, &last, &error) != 0)
        fail_msg("%s", error.text);
}

static void expect_acknowledged(struct store *store)
{
    static struct store_buffer buffer;

    for (size_t i = 0; i < acknowledged_count; i++) {
        const struct known *known = &acknowledged[i];
        struct record record;
        struct error error = {0};
        if (store_key(store, NULL, known->id, &buffer, &record, &error) != 0)
            fail_msg("acknowledged and lost: %s", error.text);
        struct known now = known_of(&record);
        if (now.version < known->version)
            fail_msg("an acknowledged change of %llx is lost", (unsigned long long)known->id);
        if (known->revoked && !now.revoked)
            fail_msg("%llx was revoked and is not", (unsigned long long)known->id);
        if (now.version == known->version &&
            (now.expires_unix_s != known->expires_unix_s || now.owner != known->owner ||
             now.name != known->name || now.disabled != known->disabled ||
             now.marked != known->marked || now.revoked != known->revoked))
            fail_msg("%llx is not as it was acknowledged", (unsigned long long)known->id);
    }
}

static void acknowledged_changes_survive_kills_and_none_is_half_done(void **state)
{
    unsigned rounds = getenv("CATLATCH_LONG") != NULL ? ROUNDS_LONG : ROUNDS;
    uint64_t seed = (uint64_t)time(NULL) * 1000;
    char folder[STORE_FOLDER_SIZE];
    size_t parts = 0;
    (void)state;

    acknowledged = calloc(KEYS_MAX, sizeof *acknowledged);
    assert_non_null(acknowledged);
    store_folder_make(folder);
    print_message("# seed %llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < rounds; round++) {
        one_round(folder, seed + round);
        struct store *store = store_open_or_die(folder);
        const char *wrong = store_disagrees(store);
        if (wrong != NULL)
            fail_msg("round %u: %s", round, wrong);
        expect_acknowledged(store);
        expect_whole(store);
        parts = store->part_count;
        store_close(store);
    }
    assert_true(parts > 10);
    store_folder_remove(folder);
    free(acknowledged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acknowledged_changes_survive_kills_and_none_is_half_done),
    };
    return cmocka_run_group_tests_name("store crash", tests, NULL, NULL);
}
