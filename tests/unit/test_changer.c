/* In what order the store thread does things. A race would show the wrong order only now and then;
 * so this program puts itself in front of the calls by which the thread tells the event loop
 * (uv_async_send), flushes (Berkeley DB's fsync) and renames (renameat), and looks at the table
 * there and then, on that thread, before anything else can happen. */
#include <db.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/changer.h"
#include "daemon/store.h"
#include "daemon/tally.h"
#include "lib_store.h"
#include "usage/record.h"

#define CAPACITY 16u
#define GENERATIONS 4u
#define NOW_UNIX_S INT64_C(1800000000)
#define IMPORTS 6u
#define IMPORT_KEYS 600u /* two of them are more than share a flush */

struct world {
    char state_dir[STORE_FOLDER_SIZE];
    char run_dir[STORE_FOLDER_SIZE];
    uv_loop_t loop;
    struct config config;
    struct store *store;
    struct tally *tally;
    struct changer *changer;
    bool stopped;
};

static struct world world;
static uint64_t expected_keys = CAPACITY;

/* What is looked at. The operation is the store thread's until it has told. */
static struct watch {
    const struct op *op;
    bool (*shows)(const struct op *op);
    _Atomic unsigned flushes;
    _Atomic bool flush_fails;
    _Atomic bool shown_early;       /* before it was on the disk */
    _Atomic int shown;              /* when the loop was told first; -1: it was not yet */
    _Atomic unsigned flushed;       /* how many flushes there had been by then */
    const struct table_header *old; /* a map of our own */
    _Atomic bool renamed;
    _Atomic int there_at_rename, marked_at_rename, marked_when_told;
} watch;

static pthread_t main_thread;

/* The loop comes round before the store thread goes on from telling it. */
static bool in_lockstep;
static _Atomic unsigned rounds;

static void on_round(uv_check_t *check)
{
    (void)check;
    atomic_fetch_add(&rounds, 1);
}

static bool is_marked(void)
{
    return atomic_load(&watch.old->pulse) == TABLE_PULSE_SUPERSEDED;
}

int uv_async_send(uv_async_t *async)
{
    static int (*real)(uv_async_t *);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "uv_async_send");
    if (!pthread_equal(pthread_self(), main_thread)) {
        if (watch.op != NULL && atomic_load(&watch.shown) < 0) {
            atomic_store(&watch.flushed, atomic_load(&watch.flushes));
            atomic_store(&watch.shown, watch.shows(watch.op));
        }
        if (atomic_load(&watch.renamed) && atomic_load(&watch.marked_when_told) < 0)
            atomic_store(&watch.marked_when_told, is_marked());
        /* Twice: a first one may have been under way. */
        for (int i = 0; in_lockstep && i < 2; i++) {
            unsigned before = atomic_load(&rounds);
            real(async);
            while (atomic_load(&rounds) == before)
                sched_yield();
        }
    }
    return real(async);
}

/* A flush of imports in a row: it lets the store thread go on for as long as that finds something
 * to do, and then the import that it is for must not be seen. */
static _Atomic bool imports_run;
static bool import_is_shown(uint64_t number);

/* Keys that are on the disk. A flush that begins late takes the next import along. */
static _Atomic uint64_t durable_keys;

static void dawdle(uint64_t committed_keys)
{
    uint64_t number = atomic_load(&durable_keys) / IMPORT_KEYS + 1;
    uint64_t behind = committed_keys + IMPORT_KEYS, all = IMPORTS * IMPORT_KEYS;
    if (behind > all)
        behind = all;
    for (int i = 0; i < 100000 && store_key_count(world.store) < behind; i++)
        sched_yield();
    for (int i = 0; i < 1000; i++)
        sched_yield();
    if (import_is_shown(number))
        atomic_store(&watch.shown_early, true);
}

/* A worker that uses the key while the change is on its way to the disk. */
static _Atomic bool is_used_meanwhile;
static void use_known_key(void);

static int count_flush(int fd)
{
    uint64_t committed_keys = world.store != NULL ? store_key_count(world.store) : 0;
    if (atomic_load(&is_used_meanwhile))
        use_known_key();
    if (atomic_load(&imports_run))
        dawdle(committed_keys);
    if (watch.op != NULL && !pthread_equal(pthread_self(), main_thread) &&
        atomic_load(&watch.shown) < 0 && watch.shows(watch.op))
        atomic_store(&watch.shown_early, true);
    if (atomic_load(&watch.flush_fails)) {
        errno = EIO;
        return -1;
    }
    atomic_fetch_add(&watch.flushes, 1);
    int r = fdatasync(fd);
    if (r == 0)
        atomic_store(&durable_keys, committed_keys);
    return r;
}

int renameat(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
    if (watch.old != NULL && strcmp(new_name, "table") == 0 && !atomic_load(&watch.renamed)) {
        atomic_store(&watch.there_at_rename, faccessat(new_dir, "table", F_OK, 0) == 0);
        atomic_store(&watch.marked_at_rename, is_marked());
        atomic_store(&watch.renamed, true);
    }
    return renameat2(old_dir, old_name, new_dir, new_name, 0);
}

static void on_fatal(void *context, const struct error *error)
{
    (void)context;
    fail_msg("%s", error->text);
}

static int make_folders(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    memset(&watch, 0, sizeof watch);
    store_folder_make(world.state_dir);
    store_folder_make(world.run_dir);
    return 0;
}

static int remove_folders(void **state)
{
    (void)state;
    store_folder_remove(world.run_dir);
    store_folder_remove(world.state_dir);
    return 0;
}

static void start(void (*fatal)(void *context, const struct error *error))
{
    struct error error = {0};
    uint64_t wait_ms;
    main_thread = pthread_self();
    world.store = store_open_or_die(world.state_dir);
    world.config.expected_keys = expected_keys;
    world.config.environments =
        (struct key_environments){.count = 1, .list = {{"live", "cc_live_"}}};
    assert_int_equal(uv_loop_init(&world.loop), 0);
    struct changer_options options = {.loop = &world.loop,
                                      .config = &world.config,
                                      .store = world.store,
                                      .run_dir = world.run_dir,
                                      .tally = world.tally,
                                      .fatal = fatal};
    if (changer_start(&options, &world.changer, &wait_ms, &error) != 0)
        fail_msg("%s", error.text);
}

static int set_up(void **state)
{
    make_folders(state);
    start(on_fatal);
    return 0;
}

static int set_up_roomy(void **state)
{
    make_folders(state);
    expected_keys = 2 * IMPORTS * IMPORT_KEYS;
    start(on_fatal);
    expected_keys = CAPACITY;
    return 0;
}

static int set_up_counting(void **state)
{
    struct error why, error;
    make_folders(state);
    assert_int_equal(tally_open(world.run_dir, 0, &world.tally, &why, &error), 0);
    start(on_fatal);
    return 0;
}

static void on_stopped(void *context)
{
    (void)context;
    world.stopped = true;
}

static int tear_down(void **state)
{
    (void)state;
    changer_stop(world.changer, on_stopped, NULL);
    uv_run(&world.loop, UV_RUN_DEFAULT);
    assert_true(world.stopped);
    assert_int_equal(uv_loop_close(&world.loop), 0);
    changer_free(world.changer);
    tally_free(world.tally);
    store_close(world.store);
    world.store = NULL;
    return remove_folders(state);
}

static void on_done(struct op *op)
{
    *(bool *)op->context = true;
}

/* Has it done, and returns when the loop was told. */
static void run(struct op *op)
{
    bool done = false;
    op->done = on_done;
    op->context = &done;
    changer_submit(world.changer, op);
    while (!done)
        uv_run(&world.loop, UV_RUN_ONCE);
    if (op->error.code != 0)
        fail_msg("%s", op->error.text);
}

static struct op *make_op(enum op_kind kind, uint64_t id)
{
    struct op *op = op_new(kind);
    assert_non_null(op);
    if (id != 0) {
        op->ids = op_alloc(op, sizeof *op->ids);
        assert_non_null(op->ids);
        op->ids[0] = id;
        op->id_count = 1;
    }
    return op;
}

static struct op *make_create(const char *name)
{
    struct op *op = make_op(OP_CREATE, 0);
    op->fields.has = OP_HAS_NAME | OP_HAS_OWNER | OP_HAS_SCOPES;
    op->fields.name = text_of(name);
    op->fields.owner = text_of("alice");
    op->fields.scopes[0] = text_of("read");
    op->fields.scopes[1] = text_of("write");
    op->fields.scope_count = 2;
    return op;
}

/* Keys that no other import brings. */
static struct op *make_import(uint64_t number, size_t count)
{
    struct op *op = make_op(OP_IMPORT, 0);
    op->imports = op_alloc(op, count * sizeof *op->imports);
    assert_non_null(op->imports);
    op->import_count = count;
    for (size_t i = 0; i < count; i++)
        op->imports[i] = (struct op_import){
            .digest = {{number, i, 3, 4}},
            .name = text_of("moved here"),
            .prefix = text_of("cc_live_AbCdEfG"),
        };
    return op;
}

static uint64_t create(struct digest *ret_digest)
{
    struct op *op = make_create("a key");
    run(op);
    uint64_t id = op->keys[0].record.id;
    *ret_digest = op->keys[0].record.digest;
    op_free(op);
    return id;
}

/* The key that is changed. */
static struct digest known;

static bool find(const struct digest *digest, struct table_hit *ret_hit)
{
    return table_find(changer_view(world.changer), digest, ret_hit) == TABLE_HIT;
}

static void use_known_key(void)
{
    struct table_hit hit;
    if (find(&known, &hit) && control_state(hit.control) == SLOT_LIVE)
        usage_note_use(tally_area(world.tally),
                       table_usage(changer_view(world.changer), hit.slot).record, NOW_UNIX_S, NULL);
}

static bool has_state(unsigned state)
{
    struct table_hit hit;
    return find(&known, &hit) && control_state(hit.control) == state;
}

static bool has_flags(uint64_t flags)
{
    struct table_hit hit;
    return find(&known, &hit) && (hit.control & (CONTROL_DISABLED | CONTROL_SUSPENDED)) == flags;
}

static bool shows_new_key(const struct op *op)
{
    struct table_hit hit;
    return op->key_count == 1 && find(&op->keys[0].record.digest, &hit) &&
           control_state(hit.control) == SLOT_LIVE;
}

static bool shows_name(const struct op *op)
{
    struct table_identity identity;
    struct table_hit hit;
    return find(&known, &hit) &&
           table_identity(changer_view(world.changer), hit.slot, &identity) == 0 &&
           text_is(op->fields.name, identity.name);
}

static bool shows_one_scope(const struct op *op)
{
    struct table_hit hit;
    (void)op;
    return find(&known, &hit) &&
           table_has_scope(changer_view(world.changer), hit.slot, "read", 4) == 1 &&
           table_has_scope(changer_view(world.changer), hit.slot, "write", 5) == 0;
}

static bool shows_expiry(const struct op *op)
{
    struct table_hit hit;
    return find(&known, &hit) && control_expires_unix_s(hit.control) == op->fields.expires_unix_s;
}

static bool shows_not_before(const struct op *op)
{
    struct table_hit hit;
    int64_t not_before_unix_s;
    return find(&known, &hit) && (hit.control & CONTROL_NOT_BEFORE) != 0 &&
           table_not_before(changer_view(world.changer), hit.slot, &not_before_unix_s) == 0 &&
           not_before_unix_s == op->fields.not_before_unix_s;
}

static bool shows_no_not_before(const struct op *op)
{
    struct table_hit hit;
    (void)op;
    return find(&known, &hit) && (hit.control & CONTROL_NOT_BEFORE) == 0;
}

static bool shows_disabled(const struct op *op)
{
    (void)op;
    return has_flags(CONTROL_DISABLED);
}

static bool shows_suspended(const struct op *op)
{
    (void)op;
    return has_flags(CONTROL_SUSPENDED);
}

static bool shows_no_flag(const struct op *op)
{
    (void)op;
    return has_flags(0);
}

static bool shows_revoked(const struct op *op)
{
    (void)op;
    return has_state(SLOT_REVOKED);
}

static bool import_is_shown(uint64_t number)
{
    struct digest last = {{number, IMPORT_KEYS - 1, 3, 4}};
    struct table_hit hit;
    return find(&last, &hit);
}

/* The last key of it, which is published last. */
static bool shows_import(const struct op *op)
{
    struct table_hit hit;
    return find(&op->imports[op->import_count - 1].digest, &hit);
}

/* The successor, and that the old key has an end now. */
static bool shows_rotation(const struct op *op)
{
    struct table_hit hit;
    return shows_new_key(op) && find(&known, &hit) && control_expires_unix_s(hit.control) != 0;
}

static void assert_told_last(struct op *op, bool (*shows)(const struct op *op), const char *what)
{
    watch.shows = shows;
    atomic_store(&watch.shown, -1);
    atomic_store(&watch.flushes, 0);
    atomic_store(&watch.shown_early, false);
    watch.op = op;
    run(op);
    /* The loop may have been awake for another reason, and so ahead of the look. */
    while (atomic_load(&watch.shown) < 0)
        sched_yield();
    watch.op = NULL;
    if (atomic_load(&watch.shown) != 1)
        fail_msg("%s: told before it was published", what);
    if (atomic_load(&watch.flushed) == 0)
        fail_msg("%s: told before it was flushed", what);
    if (atomic_load(&watch.shown_early))
        fail_msg("%s: published before it was flushed", what);
    op_free(op);
}

static struct op *make_update(uint64_t id, unsigned has)
{
    struct op *op = make_op(OP_UPDATE, id);
    op->fields.has = has;
    return op;
}

static struct op *make_owner_op(enum op_kind kind)
{
    struct op *op = make_op(kind, 0);
    op->owner = text_of("alice");
    return op;
}

static void every_change_is_flushed_and_published_before_anybody_is_told(void **state)
{
    struct op *op;
    (void)state;
    assert_told_last(make_create("another"), shows_new_key, "a create");
    uint64_t id = create(&known);
    op = make_update(id, OP_HAS_NAME);
    op->fields.name = text_of("renamed");
    assert_told_last(op, shows_name, "a rename");
    op = make_update(id, OP_HAS_SCOPES);
    op->fields.scopes[0] = text_of("read");
    op->fields.scope_count = 1;
    assert_told_last(op, shows_one_scope, "an update that removes a scope");
    op = make_update(id, OP_HAS_NOT_BEFORE);
    op->fields.not_before_unix_s = NOW_UNIX_S;
    assert_told_last(op, shows_not_before, "an update of not_before");
    op = make_update(id, OP_HAS_NOT_BEFORE);
    assert_told_last(op, shows_no_not_before, "an update that clears not_before");
    assert_told_last(make_op(OP_DISABLE, id), shows_disabled, "a disable");
    assert_told_last(make_op(OP_ENABLE, id), shows_no_flag, "an enable");
    assert_told_last(make_owner_op(OP_OWNER_SUSPEND), shows_suspended, "a suspend");
    assert_told_last(make_owner_op(OP_OWNER_RESUME), shows_no_flag, "a resume");
    op = make_op(OP_ROTATE, id);
    op->grace_s = 3600;
    assert_told_last(op, shows_rotation, "a rotate");
    op = make_update(id, OP_HAS_EXPIRES);
    op->fields.expires_unix_s = 1;
    assert_told_last(op, shows_expiry, "an update that expires now");
    assert_told_last(make_op(OP_REVOKE, id), shows_revoked, "a revoke");
    assert_told_last(make_import(1, 1), shows_import, "an import");
}

static unsigned told;

/* Each is on the disk, and is seen. */
static void on_import_done(struct op *op)
{
    if (op->error.code != 0)
        fail_msg("%s", op->error.text);
    assert_true(shows_import(op));
    assert_int_equal(op->imported_count, IMPORT_KEYS);
    told++;
    if (atomic_load(&imports_run) && atomic_load(&durable_keys) < told * IMPORT_KEYS)
        fail_msg("import %u was told with %u keys on the disk", told,
                 (unsigned)atomic_load(&durable_keys));
    op_free(op);
}

/* While one is flushed the next one runs; what was told first must have been flushed all the same.
 */
static void imports_in_a_row_are_flushed_and_published_before_anybody_is_told(void **state)
{
    (void)state;
    told = 0;
    atomic_store(&durable_keys, 0);
    atomic_store(&imports_run, true);
    for (unsigned i = 1; i < IMPORTS; i++) {
        struct op *op = make_import(i, IMPORT_KEYS);
        op->done = on_import_done;
        changer_submit(world.changer, op);
    }
    struct op *last = make_import(IMPORTS, IMPORT_KEYS);
    run(last);
    atomic_store(&imports_run, false);
    assert_false(atomic_load(&watch.shown_early));
    assert_int_equal(told, IMPORTS - 1);
    assert_true(shows_import(last));
    assert_int_equal(store_key_count(world.store), IMPORTS * IMPORT_KEYS);
    op_free(last);
}

/* Revoked while the import that brought it was followed by others. */
static void a_change_among_imports_finds_what_they_brought(void **state)
{
    (void)state;
    for (unsigned i = 1; i < IMPORTS; i++) {
        struct op *op = make_import(i, IMPORT_KEYS), *revoke;
        known = op->imports[0].digest;
        op->imports[0].id = 1000 + i;
        told = 0;
        op->done = on_import_done;
        changer_submit(world.changer, op);
        struct op *next = make_import(IMPORTS + i, 1);
        run(next);
        op_free(next);
        assert_int_equal(told, 1);
        revoke = make_op(OP_REVOKE, 1000 + i);
        assert_told_last(revoke, shows_revoked, "a revoke among imports");
    }
}

enum { NEITHER, TOLD_FATAL, TOLD_DONE, SHOWN };

static struct op *failing;
static bool (*fails_to_show)(const struct op *op);

static void end_fatally(void *context, const struct error *error)
{
    (void)context;
    (void)error;
    _exit(fails_to_show(failing) ? SHOWN : TOLD_FATAL);
}

static void end_well(struct op *op)
{
    (void)op;
    _exit(TOLD_DONE);
}

/* Whether it is on the disk nobody knows, so nobody is told and nobody sees it. */
static void assert_not_told(struct op *(*make)(void), bool (*shows)(const struct op *op))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(60);
        uv_check_t check;
        start(end_fatally);
        uv_check_init(&world.loop, &check);
        uv_check_start(&check, on_round);
        in_lockstep = true;
        atomic_store(&watch.flush_fails, true);
        failing = make();
        fails_to_show = shows;
        failing->done = end_well;
        changer_submit(world.changer, failing);
        uv_run(&world.loop, UV_RUN_DEFAULT);
        _exit(NEITHER);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), TOLD_FATAL);
}

static struct op *make_one_create(void)
{
    return make_create("a key");
}

static struct op *make_one_import(void)
{
    return make_import(1, 1);
}

static void a_change_whose_flush_fails_is_neither_told_nor_published(void **state)
{
    (void)state;
    assert_not_told(make_one_create, shows_new_key);
    assert_not_told(make_one_import, shows_import);
}

static const struct table_header *map_current(size_t *ret_size)
{
    char path[STORE_FOLDER_SIZE + 8];
    struct stat status;
    snprintf(path, sizeof path, "%s/table", world.run_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    void *base = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(base, MAP_FAILED);
    close(fd);
    *ret_size = (size_t)status.st_size;
    return base;
}

static uint64_t generation(void)
{
    struct changer_status status;
    changer_status(world.changer, &status);
    return status.generation;
}

/* Marked before, or without a name before it, a reader would find nothing newer at the path; marked
 * later than the next change is told of, it would not see that change. */
static void the_old_table_is_marked_after_the_rename_and_before_anything_is_told(void **state)
{
    size_t size;
    char name[32];
    unsigned renames = 0;
    (void)state;
    uint64_t id = create(&known);
    for (unsigned i = 0; i < GENERATIONS; i++) {
        const struct table_header *old = map_current(&size);
        uint64_t before = generation();
        atomic_store(&watch.renamed, false);
        atomic_store(&watch.marked_at_rename, -1);
        atomic_store(&watch.marked_when_told, -1);
        watch.old = old;
        while (generation() == before) { /* each takes a slot */
            struct op *op = make_update(id, OP_HAS_NAME);
            snprintf(name, sizeof name, "name %u", renames++);
            op->fields.name = text_of(name);
            run(op);
            op_free(op);
        }
        struct op *op = make_op(OP_GET, id); /* the switch is over */
        run(op);
        op_free(op);
        watch.old = NULL;
        assert_int_equal(atomic_load(&watch.there_at_rename), 1);
        assert_int_equal(atomic_load(&watch.marked_at_rename), 0);
        assert_int_equal(atomic_load(&watch.marked_when_told), 1);
        munmap((void *)(uintptr_t)old, size);
    }
}

static void a_receipt_tells_of_uses_until_the_change_was_seen(void **state)
{
    (void)state;
    uint64_t id = create(&known);
    struct op *op = make_op(OP_REVOKE, id);
    atomic_store(&is_used_meanwhile, true);
    run(op);
    assert_int_equal(op->keys[0].total.used.count, 1);
    use_known_key(); /* which it no longer is */
    op_free(op);
    op = make_op(OP_GET, id);
    run(op);
    atomic_store(&is_used_meanwhile, false);
    assert_int_equal(op->keys[0].total.used.count, 1);
    op_free(op);
}

/* By the table that is there when it is told, without another round of the loop. */
static void on_configured(void *context, const struct error *error)
{
    struct table_hit hit;
    assert_int_equal(error->code, 0);
    assert_true(find(&known, &hit));
    assert_true(table_usage(changer_view(world.changer), hit.slot).block != 0);
    *(bool *)context = true;
}

static void a_configuration_is_told_of_when_keys_can_be_held_to_the_limits_it_names(void **state)
{
    struct config named = world.config;
    struct table_hit hit;
    bool done = false;
    (void)state;
    create(&known);
    assert_true(find(&known, &hit));
    assert_int_equal(table_usage(changer_view(world.changer), hit.slot).block, 0);
    named.named_limits.count = 1;
    assert_int_equal(named_limit_parse("uploads", "5/1m", &named.named_limits.list[0], NULL), 0);
    changer_configure(world.changer, &named, on_configured, &done);
    while (!done)
        uv_run(&world.loop, UV_RUN_ONCE);
    struct op *op = make_create("another"); /* and whoever comes then has what it takes */
    run(op);
    assert_true(find(&op->keys[0].record.digest, &hit));
    assert_true(table_usage(changer_view(world.changer), hit.slot).block != 0);
    op_free(op);
    world.config = named;
    done = false;
    changer_configure(world.changer, &world.config, on_configured, &done);
    while (!done)
        uv_run(&world.loop, UV_RUN_ONCE);
}

int main(void)
{
    db_env_set_func_fsync(count_flush);
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(every_change_is_flushed_and_published_before_anybody_is_told),
        cmocka_unit_test_setup_teardown(
            imports_in_a_row_are_flushed_and_published_before_anybody_is_told, set_up_roomy,
            tear_down),
        cmocka_unit_test_setup_teardown(a_change_among_imports_finds_what_they_brought,
                                        set_up_roomy, tear_down),
        cmocka_unit_test_setup_teardown(a_change_whose_flush_fails_is_neither_told_nor_published,
                                        make_folders, remove_folders),
        cmocka_unit_test_setup_teardown(a_receipt_tells_of_uses_until_the_change_was_seen,
                                        set_up_counting, tear_down),
        cmocka_unit_test_setup_teardown(
            a_configuration_is_told_of_when_keys_can_be_held_to_the_limits_it_names,
            set_up_counting, tear_down),
        EACH(the_old_table_is_marked_after_the_rename_and_before_anything_is_told),
    };
    return cmocka_run_group_tests_name("changer", tests, NULL, NULL);
}
