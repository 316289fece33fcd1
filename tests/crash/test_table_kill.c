/*
 * A writer that is killed at any instruction leaves a valid table.
 *
 * The writer runs in a child on a shared mapping and is stepped through each kind of change, one
 * instruction at a time. Between two steps the parent sees what readers would see if the child had
 * been killed there: every other key whole, and the changed one in its old or its new state, never
 * missing, mixed, or going back.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/lib_table.h"

#define OTHERS 24
#define CHANGES_MAX 4

/* What the child tells the parent. */
struct report {
    _Atomic int refused; /* errno of ptrace */
    _Atomic int over;
};

struct change {
    const struct table_entry *entry;
    bool given_up;
};

static struct heap_table table; /* its base is a shared mapping here */
static struct report *report;
static struct sample_key others[OTHERS];
static struct sample_key states[CHANGES_MAX + 1]; /* of the changed key, in order */
static struct sample_key never;                   /* claimed and given up: never to be seen */
static void *snapshot;
static size_t snapshot_len; /* header, slots, and as much of the side area as is used */

static void *map_shared(size_t size)
{
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(base != MAP_FAILED);
    return base;
}

/* All keys have one home, so that each lies in the way of those behind it. */
static void key_init(struct sample_key *key, uint64_t number)
{
    sample_key_init(key, number);
    key->entry.digest.word[0] = 1;
    key->entry.digest.word[1] = 2;
}

static int set_up(void **state)
{
    (void)state;
    table.params = (struct table_params){.capacity = 100, .side_bytes_per_key = 64};
    table.size = table_size(&table.params);
    table.base = map_shared(table.size);
    report = map_shared(sizeof *report);
    assert_int_equal(table_format(&table.writer, table.base, table.size, &table.params), 0);
    for (unsigned i = 0; i < OTHERS; i++)
        key_init(&others[i], 100 + i);
    for (unsigned i = 0; i <= CHANGES_MAX; i++)
        key_init(&states[i], 1);
    key_init(&never, 2);
    for (unsigned i = 0; i < OTHERS / 2; i++)
        assert_int_equal(heap_table_put(&table, &others[i].entry), 0);
    snapshot_len = table.writer.view.slot_count * sizeof(struct table_slot) + TABLE_PAGE + 8192;
    snapshot = malloc(snapshot_len);
    assert_non_null(snapshot);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(snapshot);
    munmap(table.base, table.size);
    munmap(report, sizeof *report);
    return 0;
}

/* The other half lies behind the key that will be changed. */
static void put_others_behind(void)
{
    for (unsigned i = OTHERS / 2; i < OTHERS; i++)
        assert_int_equal(heap_table_put(&table, &others[i].entry), 0);
}

static void run_changes(const struct change *changes, unsigned count)
{
    struct table_claim claims[CHANGES_MAX];
    for (unsigned i = 0; i < count; i++)
        if (table_claim(&table.writer, changes[i].entry, TABLE_ORDINARY, &claims[i]) != 0)
            _exit(3);
    for (unsigned i = 0; i < count; i++)
        if (changes[i].given_up)
            table_abandon(&table.writer, &claims[i]);
        else
            table_publish(&table.writer, &claims[i]);
}

static pid_t start_writer(const struct change *changes, unsigned count)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        atomic_store(&report->refused, errno);
        _exit(2);
    }
    raise(SIGSTOP);
    run_changes(changes, count);
    atomic_store(&report->over, 1);
    for (;;)
        pause();
}

/* The number of the state that is shown, from `from` on, or -1 and *ret_why if it is none. With
 * `created` state 0 is that the key is not there. */
static int shown_state(unsigned from, unsigned count, bool created, const char **ret_why)
{
    *ret_why = "nothing to show";
    for (unsigned i = from; i < count; i++) {
        if (i == 0 && created) {
            struct table_hit hit;
            if (table_find(&table.writer.view, &states[0].entry.digest, &hit) == TABLE_MISS)
                return 0;
            continue;
        }
        const char *differs = table_differs(&table.writer.view, &states[i].entry);
        if (differs == NULL)
            return (int)i;
        *ret_why = differs;
    }
    return -1;
}

static const char *others_differ(unsigned present)
{
    struct table_hit hit;
    for (unsigned i = 0; i < present; i++) {
        const char *differs = table_differs(&table.writer.view, &others[i].entry);
        if (differs != NULL)
            return differs;
    }
    if (table_find(&table.writer.view, &never.entry.digest, &hit) != TABLE_MISS)
        return "a claim that was given up is seen";
    return NULL;
}

struct stepping {
    unsigned state_count; /* states of the key, the first one included */
    bool created;         /* the first state is: not there */
    unsigned others;      /* how many of them are there */
    unsigned shown;       /* the state that was seen last */
    unsigned long steps, looks;
};

/* Looks at the table as readers do, if anything of it changed since the last look. */
static const char *look(struct stepping *stepping)
{
    const char *why;
    if (stepping->looks > 0 && memcmp(snapshot, table.base, snapshot_len) == 0)
        return NULL;
    memcpy(snapshot, table.base, snapshot_len);
    stepping->looks++;
    int shown = shown_state(stepping->shown, stepping->state_count, stepping->created, &why);
    if (shown < 0)
        return why;
    stepping->shown = (unsigned)shown;
    return others_differ(stepping->others);
}

/* Steps the child to its end. Returns what went wrong, or NULL. */
static const char *step_through(pid_t child, struct stepping *stepping)
{
    int status;
    while (atomic_load(&report->over) == 0) {
        const char *differs = look(stepping);
        if (differs != NULL)
            return differs;
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0)
            return "the child cannot be stepped";
        if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
            WSTOPSIG(status) != SIGTRAP)
            return "the child did not stop after a step";
        stepping->steps++;
    }
    return look(stepping);
}

/* Steps through the changes, which take the key from states[0] through all state_count states. */
static void check_changes(const struct change *changes, unsigned count, struct stepping stepping)
{
    int status;
    pid_t child = start_writer(changes, count);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status)) {
        print_message("# stepping is not permitted here: ptrace: %s\n",
                      strerror(atomic_load(&report->refused)));
        skip();
    }
    const char *wrong = step_through(child, &stepping);
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (wrong != NULL)
        fail_msg("after %lu steps, last seen state %u: %s", stepping.steps, stepping.shown, wrong);
    assert_int_equal(stepping.shown, stepping.state_count - 1); /* it got to the end, */
    assert_true(stepping.steps > 100 && stepping.looks >= stepping.state_count); /* and by steps */
}

/* states[1] follows states[0], which is there. */
static void check_one_change(void)
{
    assert_int_equal(heap_table_put(&table, &states[0].entry), 0);
    put_others_behind();
    struct change change = {&states[1].entry, false};
    check_changes(&change, 1, (struct stepping){.state_count = 2, .others = OTHERS});
}

static void a_create(void **state)
{
    (void)state;
    struct change change = {&states[1].entry, false};
    check_changes(&change, 1,
                  (struct stepping){.state_count = 2, .created = true, .others = OTHERS / 2});
}

static void a_create_in_a_new_environment(void **state)
{
    (void)state;
    states[1].entry.environment = text_of("fresh");
    states[1].entry.not_before_unix_s = 12345;
    struct change change = {&states[1].entry, false};
    check_changes(&change, 1,
                  (struct stepping){.state_count = 2, .created = true, .others = OTHERS / 2});
}

static void a_rename(void **state)
{
    (void)state;
    states[1].entry.name = text_of("renamed");
    check_one_change();
}

static void a_change_of_scopes_flags_and_times_at_once(void **state)
{
    (void)state;
    states[1].entry.scope_count = 1;
    states[1].entry.disabled = true;
    states[1].entry.not_before_unix_s = 1;
    states[1].entry.expires_unix_s = 2;
    check_one_change();
}

/* Never is there a slot that says it is confined and cannot say to what. */
static void a_change_of_networks(void **state)
{
    (void)state;
    sample_key_confine(&states[0], "10.0.0.0/8");
    sample_key_confine(&states[1], "192.0.2.0/24");
    sample_key_confine(&states[1], "2001:db8::/32");
    check_one_change();
}

static void a_disable_with_a_new_expiry(void **state)
{
    (void)state;
    states[1].entry.disabled = true;
    states[1].entry.expires_unix_s = CONTROL_EXPIRES_MAX;
    check_one_change();
}

static void an_enable(void **state)
{
    (void)state;
    states[0].entry.disabled = true;
    check_one_change();
}

static void a_revoke(void **state)
{
    (void)state;
    states[1].entry.revoked = true;
    check_one_change();
}

static void a_change_that_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &states[0].entry), 0);
    put_others_behind();
    states[1].entry.name = text_of("renamed");
    struct change changes[] = {{&states[1].entry, true}, {&never.entry, true}};
    check_changes(changes, 2, (struct stepping){.state_count = 1, .others = OTHERS});
}

static void a_batch_of_create_rename_disable_and_revoke(void **state)
{
    (void)state;
    for (unsigned i = 2; i <= 4; i++)
        states[i].entry.name = text_of("renamed");
    states[3].entry.disabled = true;
    states[4].entry.revoked = true;
    struct change changes[CHANGES_MAX];
    for (unsigned i = 0; i < CHANGES_MAX; i++)
        changes[i] = (struct change){&states[i + 1].entry, false};
    check_changes(changes, CHANGES_MAX,
                  (struct stepping){.state_count = 5, .created = true, .others = OTHERS / 2});
}

static void a_batch_in_which_a_claim_in_front_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(heap_table_put(&table, &states[0].entry), 0);
    put_others_behind();
    states[1].entry.name = text_of("renamed");
    states[2].entry.name = text_of("renamed again");
    struct change changes[] = {
        {&never.entry, true}, {&states[1].entry, false}, {&states[2].entry, false}};
    check_changes(changes, 3, (struct stepping){.state_count = 3, .others = OTHERS});
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_create),
        EACH(a_create_in_a_new_environment),
        EACH(a_rename),
        EACH(a_change_of_scopes_flags_and_times_at_once),
        EACH(a_change_of_networks),
        EACH(a_disable_with_a_new_expiry),
        EACH(an_enable),
        EACH(a_revoke),
        EACH(a_change_that_is_given_up),
        EACH(a_batch_of_create_rename_disable_and_revoke),
        EACH(a_batch_in_which_a_claim_in_front_is_given_up),
    };
    return cmocka_run_group_tests_name("table kill", tests, NULL, NULL);
}
