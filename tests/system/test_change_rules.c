/* Changes that meet a full table, a refusal, a growth or one another: what is acknowledged is what
 * stands in the end, and what was refused leaves nothing behind. */
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../crash/lib_outage.h"
#include "core/key.h"

/* Narrow and wide by turns, so often: whether an update meets a full table depends on the moment.
 */
#define ROUNDS 100u

#define FILLERS_MAX 32u

#define LENGTHENED 2000u

#define CHURNED 6000u
#define CHURNERS 6u

#define BULK 5000u
#define BULK_RELOADS 5u

#define REFUSALS 100u
#define KEYS 8u

/* Reloads that must fall into a growth, and growths that may pass without one that did. */
#define RELOADS 3u
#define RELOADS_MAX 100u

static int open_with(void **state, const char *settings)
{
    static struct trial trial;
    trial_open(&trial, settings);
    trial_start(&trial);
    *state = &trial;
    return 0;
}

static int open_small(void **state)
{
    return open_with(state, "expected_keys = 16");
}

/* Whose table takes some tens of milliseconds to make. */
static int open_large(void **state)
{
    return open_with(state, "max_stale = never\nexpected_keys = 300000");
}

static int open_roomy(void **state)
{
    return open_with(state, "expected_keys = 4096");
}

static int close_trial(void **state)
{
    trial_close(*state);
    return 0;
}

static void await_done(redisContext *connection, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        redisReply *reply = NULL;
        assert_int_equal(redisGetReply(connection, (void **)&reply), REDIS_OK);
        if (reply->type == REDIS_REPLY_ERROR)
            fail_msg("reply %u: %s", i, reply->str);
        freeReplyObject(reply);
    }
}

/* Each takes a slot. */
static void append_fillers(redisContext *connection, const struct trial_key *key, unsigned round,
                           unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(
            redisAppendCommand(connection, "KEY.UPDATE %s SET name n%u-%u", key->id, round, i),
            REDIS_OK);
}

static void assert_narrowed(redisContext *admin, struct catlatch *latch,
                            const struct trial_key *key)
{
    redisReply *known = trial_ask(admin, "KEY.GET %s", key->id);
    const redisReply *scopes = trial_member(known, "scopes");
    assert_int_equal(scopes->elements, 1);
    assert_string_equal(scopes->element[0]->str, "read");
    freeReplyObject(known);
    redisReply *verified = trial_ask(admin, "KEY.VERIFY %s SCOPE write", key->raw);
    assert_string_equal(trial_text(verified, "result"), "insufficient_scope");
    freeReplyObject(verified);
    assert_int_equal(trial_verify(latch, key->raw), CATLATCH_VALID);
}

static void a_narrowing_behind_a_widening_that_waits_for_room_is_what_remains(void **state)
{
    struct trial *trial = *state;
    struct trial_key filler, key;
    redisContext *admin = trial_connect(trial);
    trial_create(admin, "filler", "alice", &filler);
    trial_create(admin, "the key", "alice", &key);
    struct catlatch *latch = trial_attach(trial);
    uint64_t generation = trial_stat(admin, "generation");
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned fillers = 8 + round % (FILLERS_MAX - 8);
        append_fillers(admin, &filler, round, fillers);
        redisAppendCommand(admin, "KEY.UPDATE %s SET scopes read,write", key.id);
        redisAppendCommand(admin, "KEY.UPDATE %s SET scopes read", key.id);
        await_done(admin, fillers + 2);
        assert_narrowed(admin, latch, &key);
    }
    assert_true(trial_stat(admin, "generation") - generation > ROUNDS / 2); /* it did run out */
    catlatch_close(latch);
    redisFree(admin);
}

/* Names so long that a new table, made for what keys take on average, has no room for all. */
static void an_update_that_takes_more_room_than_a_new_table_has_spare_is_made(void **state)
{
    static char ids[LENGTHENED * CATLATCH_ID_SIZE];
    struct trial *trial = *state;
    struct trial_key key;
    char name[256] = {0};
    size_t at = 0;
    redisContext *admin = trial_connect(trial);
    const char *words[LENGTHENED + 4] = {"KEY.UPDATE"};
    for (unsigned i = 0; i < LENGTHENED; i++) {
        trial_create(admin, "k", "alice", &key);
        words[i + 1] = strcpy(ids + at, key.id);
        at += strlen(key.id) + 1;
    }
    memset(name, 'n', sizeof name - 1);
    words[LENGTHENED + 1] = "SET";
    words[LENGTHENED + 2] = "name";
    words[LENGTHENED + 3] = name;
    uint64_t generation = trial_stat(admin, "generation");
    assert_int_equal(redisAppendCommandArgv(admin, LENGTHENED + 4, words, NULL), REDIS_OK);
    await_done(admin, 1);
    assert_in_range(trial_stat(admin, "generation") - generation, 1, 8);
    redisReply *known = trial_ask(admin, "KEY.GET %s", key.id);
    assert_string_equal(trial_text(known, "name"), name);
    freeReplyObject(known);
    redisFree(admin);
}

/* Switches many keys off and on, and never waits before the next: a process of its own. */
static void churn(const char *path, const char *const ids[], unsigned count)
{
    const char *words[CHURNED + 1];
    redisContext *admin = redisConnectUnix(path);
    if (admin == NULL || admin->err != 0)
        _exit(1);
    for (unsigned i = 0; i < count; i++)
        words[i + 1] = ids[i];
    for (unsigned turn = 0;; turn++) {
        words[0] = turn % 2 == 0 ? "KEY.DISABLE" : "KEY.ENABLE";
        redisReply *reply = redisCommandArgv(admin, (int)count + 1, words, NULL);
        if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
            _exit(1);
        freeReplyObject(reply);
    }
}

static void an_update_that_waits_for_room_is_made_while_others_change_keys_in_bulk(void **state)
{
    static char texts[CHURNED][CATLATCH_ID_SIZE];
    static const char *ids[CHURNED];
    struct trial *trial = *state;
    struct trial_key key;
    char path[TRIAL_PATH_SIZE + 16];
    pid_t children[CHURNERS];
    redisContext *admin = trial_connect(trial);
    for (unsigned i = 0; i < CHURNED; i++) {
        trial_create(admin, "churned", "alice", &key);
        ids[i] = strcpy(texts[i], key.id);
    }
    trial_create(admin, "renamed", "alice", &key);
    snprintf(path, sizeof path, "%s/catlatch.sock", trial->admin_dir);
    for (unsigned i = 0; i < CHURNERS; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            churn(path, ids, CHURNED);
        }
    }
    uint64_t generation = trial_stat(admin, "generation");
    for (unsigned sent = 0; trial_stat(admin, "generation") < generation + 2; sent += 500) {
        append_fillers(admin, &key, sent, 500);
        await_done(admin, 500);
    }
    for (unsigned i = 0; i < CHURNERS; i++) {
        int status;
        assert_int_equal(kill(children[i], SIGKILL), 0);
        assert_true(waitpid(children[i], &status, 0) == children[i]);
        assert_true(WIFSIGNALED(status)); /* it went on until now */
    }
    redisFree(admin);
}

/* One connection for each, so that none waits for another's answer before it is read. */
static void append_bulk(redisContext *connection, const char *word, const char *const ids[])
{
    const char *words[BULK + 1] = {word};
    int done = 0;
    memcpy(words + 1, ids, BULK * sizeof *ids);
    assert_int_equal(redisAppendCommandArgv(connection, BULK + 1, words, NULL), REDIS_OK);
    while (!done)
        assert_int_equal(redisBufferWrite(connection, &done), REDIS_OK);
}

#define ENVIRONMENTS "\n[environments]\nlive = cc_live_\n"

/* The new configuration arrives while the store thread has a batch before it whose last change
 * makes the first key of the environment that is to go. */
static bool race_reload(struct trial *trial, const char *const ids[])
{
    redisContext *first = trial_connect(trial), *second = trial_connect(trial);
    redisContext *maker = trial_connect(trial), *reloader = trial_connect(trial);
    trial_configure(trial, ENVIRONMENTS);
    append_bulk(first, "KEY.DISABLE", ids);
    append_bulk(second, "KEY.ENABLE", ids);
    int done = 0;
    assert_int_equal(redisAppendCommand(maker, "KEY.CREATE NAME late ENV old"), REDIS_OK);
    while (!done)
        assert_int_equal(redisBufferWrite(maker, &done), REDIS_OK);
    await_done(first, 1);
    redisReply *reloaded = trial_ask(reloader, "RELOAD"), *made = NULL;
    assert_int_equal(redisGetReply(maker, (void **)&made), REDIS_OK);
    await_done(second, 1);
    bool was_made = made->type != REDIS_REPLY_ERROR;
    bool was_reloaded = reloaded->type != REDIS_REPLY_ERROR;
    if (!was_made && !trial_is_error(made, "INVALID"))
        fail_msg("KEY.CREATE: %s", made->str);
    if (was_made && was_reloaded)
        fail_msg("an environment was taken away while its first key was made");
    freeReplyObject(reloaded);
    freeReplyObject(made);
    redisFree(first);
    redisFree(second);
    redisFree(maker);
    redisFree(reloader);
    return was_made;
}

static void an_environment_whose_first_key_is_being_made_is_not_taken_away(void **state)
{
    static char texts[BULK][CATLATCH_ID_SIZE];
    static const char *ids[BULK];
    struct trial *trial = *state;
    struct trial_key key;
    redisContext *admin = trial_connect(trial);
    for (unsigned i = 0; i < BULK; i++) {
        trial_create(admin, "one of many", "alice", &key);
        ids[i] = strcpy(texts[i], key.id);
    }
    for (unsigned round = 0; round < BULK_RELOADS; round++) {
        trial_configure(trial, ENVIRONMENTS "old = cc_old_\n");
        trial_do(admin, "RELOAD");
        if (race_reload(trial, ids))
            break; /* now it is in use */
    }
    redisFree(admin);
}

static void await_file(const struct trial *trial, const char *name)
{
    uint64_t end_ns = trial_clock_ns() + (uint64_t)TRIAL_PATIENCE_MS * 1000000;
    while (!exists(trial->run_dir, name))
        assert_true(trial_clock_ns() < end_ns);
}

static uint64_t shown_max_stale_ms(const struct trial *trial)
{
    size_t size;
    struct table_header *header = map_table(trial, &size);
    uint64_t max_stale_ms = atomic_load(&header->max_stale_ms);
    munmap(header, size);
    return max_stale_ms;
}

/* Whether the reload was answered before the new table took over: then it fell into the growth. */
static bool reload_during_growth(struct trial *trial, redisContext *admin, unsigned max_stale_s)
{
    char settings[128], table[32], path[TRIAL_PATH_SIZE];
    uint64_t generation = trial_stat(admin, "generation");
    snprintf(settings, sizeof settings, "max_stale = %us\nexpected_keys = 300000", max_stale_s);
    trial_configure(trial, settings);
    in_folder(path, trial->run_dir, "table");
    assert_int_equal(remove(path), 0); /* so that another is made */
    snprintf(table, sizeof table, "table.%" PRIu64, generation + 1);
    await_file(trial, table);
    trial_do(admin, "RELOAD");
    bool during = trial_stat(admin, "generation") == generation;
    await_other_generation(trial, generation);
    assert_true(shown_max_stale_ms(trial) == UINT64_C(1000) * max_stale_s);
    return during;
}

static void max_stale_that_is_reloaded_during_a_growth_stands_in_the_new_table(void **state)
{
    struct trial *trial = *state;
    redisContext *admin = trial_connect(trial);
    unsigned hits = 0;
    for (unsigned tries = 1; tries <= RELOADS_MAX && hits < RELOADS; tries++)
        hits += reload_during_growth(trial, admin, 100 + tries);
    assert_int_equal(hits, RELOADS);
    redisFree(admin);
}

static void max_stale_that_is_reloaded_stands_in_the_table_that_is_in_place(void **state)
{
    struct trial *trial = *state;
    redisContext *admin = trial_connect(trial);
    uint64_t generation = trial_stat(admin, "generation");
    assert_true(shown_max_stale_ms(trial) == 0);
    trial_configure(trial, "max_stale = 100s\nexpected_keys = 4096");
    trial_do(admin, "RELOAD");
    assert_true(shown_max_stale_ms(trial) == 100000);
    trial_configure(trial, "max_stale = never\nexpected_keys = 4096");
    trial_do(admin, "RELOAD");
    assert_true(shown_max_stale_ms(trial) == 0);
    assert_true(trial_stat(admin, "generation") == generation);
    redisFree(admin);
}

static void a_refused_change_of_many_keys_takes_no_room(void **state)
{
    struct trial *trial = *state;
    struct trial_key keys[KEYS];
    char ids[KEYS * CATLATCH_ID_SIZE + 1] = "", unknown[CATLATCH_ID_SIZE];
    redisContext *admin = trial_connect(trial);
    for (unsigned i = 0; i < KEYS; i++) {
        trial_create(admin, "a key", "alice", &keys[i]);
        strcat(strcat(ids, keys[i].id), " ");
    }
    key_id_format(UINT64_MAX, unknown); /* ids are changed in order: this is the last */
    uint64_t used = trial_stat(admin, "slots_used"), generation = trial_stat(admin, "generation");
    for (unsigned i = 0; i < REFUSALS; i++) {
        char command[512];
        snprintf(command, sizeof command, "KEY.UPDATE %s%s SET name other", ids, unknown);
        trial_refused(admin, "NOTFOUND", command);
    }
    assert_true(trial_stat(admin, "slots_used") == used);
    trial_do(admin, "KEY.UPDATE %s SET name renamed", keys[0].id);
    assert_true(trial_stat(admin, "slots_used") == used + 1);
    assert_true(trial_stat(admin, "generation") == generation);
    struct catlatch *latch = trial_attach(trial);
    for (unsigned i = 0; i < KEYS; i++)
        assert_int_equal(trial_verify(latch, keys[i].raw), CATLATCH_VALID);
    catlatch_close(latch);
    redisFree(admin);
}

static void a_grace_beyond_the_year_9999_is_refused_and_the_key_stays(void **state)
{
    struct trial *trial = *state;
    struct trial_key key;
    redisContext *admin = trial_connect(trial);
    trial_create(admin, "a key", "alice", &key);
    const char *graces[] = {"3000000d", "9223372036854775807s", "8000y"};
    for (size_t i = 0; i < sizeof graces / sizeof *graces; i++) {
        redisReply *reply = trial_ask(admin, "KEY.ROTATE %s GRACE %s", key.id, graces[i]);
        if (!trial_is_error(reply, "INVALID") || (i == 0 && !strstr(reply->str, "year 9999")))
            fail_msg("GRACE %s: %s", graces[i], reply->str);
        freeReplyObject(reply);
    }
    redisReply *list = trial_ask(admin, "KEY.LIST OWNER alice");
    assert_int_equal(trial_member(list, "keys")->elements, 1);
    freeReplyObject(list);
    trial_assert_state(admin, &key, "active");
    trial_do(admin, "KEY.ROTATE %s GRACE 1d", key.id);
    redisFree(admin);
}

static void a_connection_that_authenticated_as_admin_gives_no_admin_scopes(void **state)
{
    struct trial *trial = *state;
    struct trial_key plain;
    char raw[TRIAL_RAW_SIZE], id[CATLATCH_ID_SIZE];
    static const char *const scopes[] = {"catlatch:admin", "catlatch:write", "catlatch:revoke",
                                         "catlatch:read", "catlatch:own"};
    redisContext *admin = trial_connect(trial), *key = trial_connect(trial);
    trial_create(admin, "plain", "alice", &plain);
    redisReply *made = trial_ask(admin, "KEY.CREATE NAME rights OWNER alice SCOPE catlatch:admin");
    snprintf(raw, sizeof raw, "%s", trial_text(made, "key"));
    snprintf(id, sizeof id, "%s", trial_text(made, "id"));
    freeReplyObject(made);
    trial_do(key, "AUTH %s", raw);
    for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
        trial_refused(key, "NOPERM", "KEY.CREATE NAME heir OWNER alice SCOPE %s", scopes[i]);
        trial_refused(key, "NOPERM", "KEY.UPDATE %s SET scopes %s", plain.id, scopes[i]);
    }
    trial_refused(key, "NOPERM", "KEY.ROTATE %s", id); /* its heir would outlive it */
    trial_do(key, "KEY.UPDATE %s SET scopes read", plain.id);
    trial_do(admin, "KEY.CREATE NAME heir OWNER alice SCOPE catlatch:write");
    redisFree(key);
    redisFree(admin);
}

int main(void)
{
#define TRIAL_TEST(name, open) cmocka_unit_test_setup_teardown(name, open, close_trial)
    const struct CMUnitTest tests[] = {
        TRIAL_TEST(a_narrowing_behind_a_widening_that_waits_for_room_is_what_remains, open_small),
        TRIAL_TEST(an_update_that_takes_more_room_than_a_new_table_has_spare_is_made, open_small),
        TRIAL_TEST(an_update_that_waits_for_room_is_made_while_others_change_keys_in_bulk,
                   open_small),
        TRIAL_TEST(an_environment_whose_first_key_is_being_made_is_not_taken_away, open_roomy),
        TRIAL_TEST(max_stale_that_is_reloaded_during_a_growth_stands_in_the_new_table, open_large),
        TRIAL_TEST(max_stale_that_is_reloaded_stands_in_the_table_that_is_in_place, open_roomy),
        TRIAL_TEST(a_refused_change_of_many_keys_takes_no_room, open_roomy),
        TRIAL_TEST(a_grace_beyond_the_year_9999_is_refused_and_the_key_stays, open_roomy),
        TRIAL_TEST(a_connection_that_authenticated_as_admin_gives_no_admin_scopes, open_roomy),
    };
    return cmocka_run_group_tests_name("change_rules", tests, NULL, NULL);
}
