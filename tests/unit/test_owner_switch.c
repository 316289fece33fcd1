/* An owner of many keys is suspended, resumed and limited: in one commit, shown bit by bit with
 * others' turns between, told of when every slot shows it. This program puts itself in front of the
 * bits: it makes them small, and stops between two of them for as long as a test wants. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "table/writer.h"

bool show_slots(struct table_writer *writer, const struct table_owner *owner, uint64_t *io_slot,
                uint64_t max);
#define table_show_owner show_slots
#include "table/owner.c"
#undef table_show_owner

#include "core/config_environments.h"
#include "daemon/changer_internal.h"
#include "lib_store.h"

/* More of alice's than are shown with the batch. */
#define MANY 2500u
#define OTHERS 500u
#define KEYS (MANY + OTHERS)
#define NOW_UNIX_S INT64_C(1800000000)

/* So that there are hundreds. */
#define SLICE 16u
#define SOME 30
#define ALL 1000000

static char state_dir[STORE_FOLDER_SIZE], run_dir[STORE_FOLDER_SIZE];
static uv_loop_t loop;
static struct config config;
static struct store *store;
static struct changer *changer;
static struct error error;
static _Atomic int slices;        /* that may still be taken; 0: it stops here */
static _Atomic bool stops_at_end; /* of a switch, before that of another */
static unsigned news;

bool table_show_owner(struct table_writer *writer, const struct table_owner *owner,
                      uint64_t *io_slot, uint64_t max)
{
    assert_true(max >= SLICE);
    if (atomic_load(&slices) == 0)
        return false;
    atomic_fetch_sub(&slices, 1);
    bool ended = show_slots(writer, owner, io_slot, SLICE);
    if (ended && stops_at_end)
        atomic_store(&slices, 0);
    return ended;
}

static struct record key_of(uint64_t id)
{
    return store_sample(id, "a key", id <= MANY ? "alice" : "bob");
}

static void fill_store(void)
{
    struct store_txn *txn;
    store = store_open_or_die(state_dir);
    assert_int_equal(store_begin(store, &txn, &error), 0);
    for (uint64_t id = 1; id <= KEYS; id++) {
        struct record record = key_of(id);
        assert_int_equal(store_put_kind(txn, NULL, &record, CHANGE_CREATED, &error), 0);
    }
    assert_int_equal(store_commit(txn, &error), 0);
    assert_int_equal(store_flush(store, &error), 0);
}

static void on_fatal(void *context, const struct error *why)
{
    (void)context;
    fail_msg("%s", why->text);
}

static void on_published(void *context)
{
    (void)context;
    news++;
}

static void start(void)
{
    uint64_t wait_ms;
    environments_default(&config.environments);
    config.expected_keys = 2 * KEYS;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct changer_options options = {.loop = &loop,
                                      .config = &config,
                                      .store = store,
                                      .run_dir = run_dir,
                                      .fatal = on_fatal,
                                      .published = on_published};
    if (changer_start(&options, &changer, &wait_ms, &error) != 0)
        fail_msg("%s", error.text);
}

static int make_folders(void **state)
{
    (void)state;
    store_folder_make(state_dir);
    store_folder_make(run_dir);
    atomic_store(&slices, ALL);
    stops_at_end = false;
    return 0;
}

static int set_up(void **state)
{
    make_folders(state);
    fill_store();
    start();
    return 0;
}

static void on_stopped(void *context)
{
    *(bool *)context = true;
}

static void stop(void)
{
    bool stopped = false;
    changer_stop(changer, on_stopped, &stopped);
    atomic_store(&slices, ALL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(stopped);
    assert_int_equal(uv_loop_close(&loop), 0);
    changer_free(changer);
    const char *wrong = store_disagrees(store);
    if (wrong != NULL)
        fail_msg("%s", wrong);
    store_close(store);
}

static int remove_folders(void **state)
{
    (void)state;
    store_folder_remove(run_dir);
    store_folder_remove(state_dir);
    return 0;
}

static int tear_down(void **state)
{
    stop();
    return remove_folders(state);
}

static bool find(const struct digest *digest, struct table_hit *ret_hit)
{
    return table_find(changer_view(changer), digest, ret_hit) == TABLE_HIT;
}

/* How many of alice's keys have this flag. */
static unsigned count_flag(uint64_t flag)
{
    struct table_hit hit;
    unsigned count = 0;
    for (uint64_t id = 1; id <= MANY; id++) {
        struct record record = key_of(id);
        assert_true(find(&record.digest, &hit));
        count += (hit.control & flag) != 0;
    }
    return count;
}

static unsigned flagged(void)
{
    return count_flag(CONTROL_SUSPENDED);
}

struct asked {
    struct op *op;
    bool done;
    unsigned flagged; /* when it was told */
    unsigned order;
};
static unsigned answers;

static void on_done(struct op *op)
{
    struct asked *asked = op->context;
    asked->done = true;
    asked->flagged = flagged();
    asked->order = ++answers;
}

static void submit(struct asked *asked, struct op *op)
{
    assert_non_null(op);
    *asked = (struct asked){.op = op};
    op->done = on_done;
    op->context = asked;
    changer_submit(changer, op);
}

static void await(struct asked *asked)
{
    while (!asked->done)
        uv_run(&loop, UV_RUN_ONCE);
    if (asked->op->error.code != 0)
        fail_msg("%s", asked->op->error.text);
}

static struct op *run(struct op *op)
{
    struct asked asked;
    submit(&asked, op);
    await(&asked);
    return op;
}

static struct op *owner_op(enum op_kind kind, const char *owner)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    op->owner = text_of(owner);
    return op;
}

static struct op *key_op(enum op_kind kind, uint64_t id)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    op->ids = op_alloc(op, sizeof *op->ids);
    assert_non_null(op->ids);
    op->ids[0] = id;
    op->id_count = 1;
    return op;
}

/* It is committed, a part of the slots show it, and the rest has to wait. */
static void begin_switch(struct asked *asked, enum op_kind kind)
{
    unsigned before = flagged();
    atomic_store(&slices, SOME);
    submit(asked, owner_op(kind, "alice"));
    while (atomic_load(&slices) > 0) {
        assert_false(asked->done);
        op_free(run(owner_op(OP_OWNER_GET, "alice")));
    }
    unsigned now = flagged();
    assert_true(now > 0 && now < MANY && now != before);
}

static void end_switch(struct asked *asked, unsigned expected)
{
    assert_false(asked->done);
    atomic_store(&slices, ALL);
    await(asked);
    assert_int_equal(asked->flagged, expected);
    assert_true(asked->op->owner_changed);
    op_free(asked->op);
}

/* What store and table disagree on. */
static size_t count_wrong(void)
{
    struct op_check_place at = {0, 0, 0};
    size_t wrong = 0;
    for (bool ended = false; !ended;) {
        struct op *op = op_new(OP_TABLE_CHECK);
        assert_non_null(op);
        op->check_at = at;
        run(op);
        wrong += op->wrong_count;
        ended = op->check_ended;
        at = op->check_next;
        op_free(op);
    }
    return wrong;
}

static void others_have_their_turn_and_the_reply_comes_last(void **state)
{
    struct asked suspend, resume;
    (void)state;
    begin_switch(&suspend, OP_OWNER_SUSPEND);
    struct op *op = run(owner_op(OP_OWNER_GET, "alice"));
    assert_true(op->owners[0].suspended);
    op_free(op);
    op_free(run(key_op(OP_REVOKE, MANY + 1)));
    op_free(run(owner_op(OP_OWNER_SUSPEND, "bob"))); /* of few keys, so with the batch */
    op_free(run(owner_op(OP_OWNER_RESUME, "bob")));
    assert_int_equal(count_wrong(), 0); /* which it would be to call a flag that is on its way */
    end_switch(&suspend, MANY);
    assert_int_equal(count_wrong(), 0);
    begin_switch(&resume, OP_OWNER_RESUME);
    op_free(run(key_op(OP_REVOKE, MANY + 2)));
    end_switch(&resume, 0);
    assert_int_equal(count_wrong(), 0);
}

static struct op *limit_op(const char *owner, unsigned count)
{
    struct op *op = owner_op(OP_OWNER_UPDATE, owner);
    op->fields.has = OP_HAS_RATES;
    if (count > 0)
        op->fields.rates =
            (struct rates){.count = 1, .list = {{.count = count, .period_s = 60, .burst = count}}};
    return op;
}

/* Limits too are shown bit by bit, wholly when the reply comes, and go on through a generation that
 * was switched to in the middle. */
static void limits_of_an_owner_of_many_keys_are_shown_likewise(void **state)
{
    struct asked first, second;
    char path[STORE_FOLDER_SIZE + 8];
    (void)state;
    atomic_store(&slices, SOME);
    submit(&first, limit_op("alice", 5));
    while (atomic_load(&slices) > 0)
        op_free(run(owner_op(OP_OWNER_GET, "alice")));
    assert_in_range(count_flag(CONTROL_OWNER_LIMITS), 1, MANY - 1);
    op_free(run(limit_op("bob", 3)));
    assert_int_equal(count_wrong(), 0);
    submit(&second, limit_op("alice", 6));
    op_free(run(key_op(OP_REVOKE, MANY + 1)));
    assert_false(first.done || second.done);
    stops_at_end = true;
    atomic_store(&slices, ALL);
    await(&first);
    assert_int_equal(count_flag(CONTROL_OWNER_LIMITS), MANY);
    assert_int_equal(count_flag(CONTROL_SUSPENDED), 0);
    snprintf(path, sizeof path, "%s/table", run_dir);
    assert_int_equal(unlink(path), 0);
    changer_beat(changer);
    await(&second);
    assert_int_equal(second.op->owners[0].rates.list[0].count, 6);
    assert_int_equal(count_wrong(), 0);
    stops_at_end = false;
    atomic_store(&slices, ALL);
    op_free(run(limit_op("alice", 0)));
    assert_int_equal(count_flag(CONTROL_OWNER_LIMITS), 0);
    assert_int_equal(count_wrong(), 0);
    op_free(first.op);
    op_free(second.op);
}

static void assert_flag(const struct digest *digest, bool expected)
{
    struct table_hit hit;
    assert_true(find(digest, &hit));
    assert_int_equal((hit.control & CONTROL_SUSPENDED) != 0, expected);
}

static struct op *create_op(const char *owner)
{
    struct op *op = op_new(OP_CREATE);
    assert_non_null(op);
    op->fields.has = OP_HAS_NAME | OP_HAS_OWNER;
    op->fields.name = text_of("another");
    op->fields.owner = text_of(owner);
    return op;
}

static struct op *import_op(const struct digest *digest)
{
    struct op *op = op_new(OP_IMPORT);
    assert_non_null(op);
    op->imports = op_alloc(op, sizeof *op->imports);
    assert_non_null(op->imports);
    op->imports[0] = (struct op_import){.digest = *digest,
                                        .name = text_of("imported"),
                                        .owner = text_of("alice"),
                                        .prefix = text_of("cc_live_AbCdEfG")};
    op->import_count = 1;
    return op;
}

/* The flush of an import and what is to be seen of it are awaited before the owner's keys are shown
 * anew; together they come when the thread is busy, so often enough. */
static void an_import_and_a_change_of_its_owner_come_out_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        struct digest digest = {{5000 + i, 1, 2, 3}};
        struct asked keys_asked, limit;
        struct op *change = limit_op("alice", 0);
        change->kind = OP_IMPORT;
        change->skips = i % 2 == 1;
        change->fields.rates =
            (struct rates){.count = 1, .list = {{.count = 3, .period_s = 60, .burst = 3}}};
        op_free(run(limit_op("alice", 0)));
        submit(&keys_asked, import_op(&digest));
        submit(&limit, change);
        await(&keys_asked);
        await(&limit);
        op_free(keys_asked.op);
        op_free(limit.op);
        assert_int_equal(count_flag(CONTROL_OWNER_LIMITS), MANY);
        struct table_hit hit;
        assert_true(find(&digest, &hit));
        assert_true((hit.control & CONTROL_OWNER_LIMITS) != 0);
        assert_int_equal(count_wrong(), 0);
        assert_int_equal(changer_position(changer).sequence, store_sequence(store));
    }
}

/* A key of alice's that comes into being now, by each way that there is. */
static void make_keys(struct digest ret_digests[3])
{
    struct op *op = run(create_op("alice"));
    ret_digests[0] = op->keys[0].record.digest;
    op_free(op);
    op = key_op(OP_ROTATE, 7);
    op->grace_s = 3600;
    run(op);
    ret_digests[1] = op->keys[0].record.digest;
    op_free(op);
    ret_digests[2] = (struct digest){{4711, 4712, 4713, 4714}};
    op_free(run(import_op(&ret_digests[2])));
}

static void keys_that_come_meanwhile_have_the_flag_at_once_and_keep_it(void **state)
{
    struct asked suspend, resume;
    struct digest made[3];
    (void)state;
    begin_switch(&suspend, OP_OWNER_SUSPEND);
    make_keys(made);
    for (int i = 0; i < 3; i++)
        assert_flag(&made[i], true);
    /* What takes a new slot, and what changes the old one. */
    struct op *op = key_op(OP_UPDATE, 1);
    op->fields.has = OP_HAS_NAME;
    op->fields.name = text_of("renamed");
    op_free(run(op));
    op_free(run(key_op(OP_DISABLE, 2)));
    op_free(run(key_op(OP_REVOKE, 3)));
    assert_int_equal(count_wrong(), 0);
    end_switch(&suspend, MANY);
    for (int i = 0; i < 3; i++)
        assert_flag(&made[i], true);
    assert_int_equal(count_wrong(), 0);
    begin_switch(&resume, OP_OWNER_RESUME);
    op = run(create_op("alice"));
    assert_flag(&op->keys[0].record.digest, false);
    op_free(op);
    end_switch(&resume, 1); /* what is revoked stays as it is */
    for (int i = 0; i < 3; i++)
        assert_flag(&made[i], false);
    assert_int_equal(count_wrong(), 0);
}

static void switches_of_an_owner_come_one_after_the_other(void **state)
{
    struct asked suspend, again, resume, last;
    (void)state;
    begin_switch(&suspend, OP_OWNER_SUSPEND);
    submit(&again, owner_op(OP_OWNER_SUSPEND, "alice"));
    submit(&resume, owner_op(OP_OWNER_RESUME, "alice"));
    struct op *import = owner_op(OP_IMPORT, "alice");
    submit(&last, import);
    op_free(run(key_op(OP_REVOKE, MANY + 1)));
    op_free(run(owner_op(OP_OWNER_GET, "alice")));
    assert_false(suspend.done || again.done || resume.done || last.done);
    stops_at_end = true;
    atomic_store(&slices, ALL);
    await(&suspend);
    await(&again);
    assert_true(suspend.order < again.order && !resume.done);
    assert_true(suspend.flagged == MANY && again.flagged == MANY);
    assert_false(again.op->owner_changed); /* it was so, and only now it is true */
    atomic_store(&slices, ALL);
    await(&resume);
    assert_true(resume.flagged == 0 && !last.done);
    atomic_store(&slices, ALL);
    await(&last);
    assert_int_equal(last.flagged, MANY);
    assert_int_equal(count_wrong(), 0);
    op_free(suspend.op);
    op_free(again.op);
    op_free(resume.op);
    op_free(last.op);
}

static void a_new_generation_shows_it_all(void **state)
{
    struct asked suspend;
    struct digest made[3];
    char path[STORE_FOLDER_SIZE + 8];
    (void)state;
    begin_switch(&suspend, OP_OWNER_SUSPEND);
    uint64_t before = changer_view(changer)->generation;
    snprintf(path, sizeof path, "%s/table", run_dir);
    assert_int_equal(unlink(path), 0);
    changer_beat(changer); /* sees it */
    make_keys(made);
    await(&suspend); /* though no slice was taken since */
    assert_int_equal(atomic_load(&slices), 0);
    assert_true(changer_view(changer)->generation > before);
    assert_int_equal(suspend.op->generation, changer_view(changer)->generation);
    assert_int_equal(suspend.flagged, MANY);
    op_free(suspend.op);
    for (int i = 0; i < 3; i++)
        assert_flag(&made[i], true);
    assert_int_equal(count_wrong(), 0);
}

/* Whoever hears of a change verifies anew: too early is as bad as never. */
static void nobody_hears_of_it_before_every_slot_shows_it(void **state)
{
    struct asked suspend;
    (void)state;
    op_free(run(key_op(OP_DISABLE, MANY + 3)));
    uint64_t before = changer_position(changer).sequence;
    assert_int_equal(before, KEYS + 1);
    begin_switch(&suspend, OP_OWNER_SUSPEND);
    op_free(run(key_op(OP_DISABLE, MANY + 4)));
    assert_int_equal(changer_position(changer).sequence, before);
    struct op *op = op_new(OP_LOG);
    assert_non_null(op);
    op->after = (struct store_position){1, KEYS};
    run(op);
    assert_int_equal(op->change_count, 1);
    assert_int_equal(op->at.sequence, before);
    assert_true(op->at_end);
    op_free(op);
    news = 0;
    end_switch(&suspend, MANY);
    assert_true(news > 0);
    assert_int_equal(changer_position(changer).sequence, before + 2);
    op = op_new(OP_LOG);
    assert_non_null(op);
    op->after = (struct store_position){1, before};
    run(op);
    assert_int_equal(op->change_count, 2);
    assert_int_equal(op->changes[0].kind, CHANGE_OWNER_SUSPENDED);
    assert_int_equal(op->changes[1].kind, CHANGE_DISABLED);
    assert_true(op->at_end);
    op_free(op);
}

static void a_stop_waits_for_it(void **state)
{
    struct asked suspend;
    (void)state;
    begin_switch(&suspend, OP_OWNER_SUSPEND);
    stop();
    assert_true(suspend.done);
    assert_int_equal(suspend.flagged, MANY);
    op_free(suspend.op);
    store = store_open_or_die(state_dir);
    start();
    assert_int_equal(flagged(), MANY);
}

static void a_start_after_a_crash_in_the_middle_shows_it(void **state)
{
    struct asked suspend;
    int status;
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60);
        fill_store();
        start();
        begin_switch(&suspend, OP_OWNER_SUSPEND);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    store = store_open_or_die(state_dir);
    start();
    assert_int_equal(flagged(), MANY);
    assert_int_equal(count_wrong(), 0);
    stop();
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(others_have_their_turn_and_the_reply_comes_last),
        EACH(keys_that_come_meanwhile_have_the_flag_at_once_and_keep_it),
        EACH(switches_of_an_owner_come_one_after_the_other),
        EACH(a_new_generation_shows_it_all),
        EACH(nobody_hears_of_it_before_every_slot_shows_it),
        EACH(limits_of_an_owner_of_many_keys_are_shown_likewise),
        EACH(an_import_and_a_change_of_its_owner_come_out_in_order),
        EACH(a_stop_waits_for_it),
        cmocka_unit_test_setup_teardown(a_start_after_a_crash_in_the_middle_shows_it, make_folders,
                                        remove_folders),
    };
    return cmocka_run_group_tests_name("owner_switch", tests, NULL, NULL);
}
