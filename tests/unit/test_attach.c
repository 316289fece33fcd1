/*
 * The table that a reader believes at a given moment. Time is what the tests say it is: pulses and
 * moments are small numbers of milliseconds.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/crc32.h"
#include "lib/attach.h"
#include "lib_latch.h"

#define T0 UINT64_C(1000000) /* when the tests begin */

struct fixture {
    struct latch_world world;
    struct attach attach;
    struct latch_table first, second;
    bool has_first, has_second;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    latch_world_open(&fixture->world, "");
    assert_int_equal(attach_init(&fixture->attach, fixture->world.run_dir, "", NULL), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    attach_end(&fixture->attach);
    if (fixture->has_first)
        latch_table_unmap(&fixture->first);
    if (fixture->has_second)
        latch_table_unmap(&fixture->second);
    latch_world_close(&fixture->world);
    free(fixture);
    return 0;
}

static void place_first(struct fixture *fixture, uint64_t pulse_ms)
{
    latch_table_make(&fixture->first, &fixture->world, 1);
    fixture->has_first = true;
    latch_table_place(&fixture->first, &fixture->world, pulse_ms);
}

static void place_second(struct fixture *fixture, uint64_t pulse_ms)
{
    latch_table_make(&fixture->second, &fixture->world, 2);
    fixture->has_second = true;
    latch_table_place(&fixture->second, &fixture->world, pulse_ms);
}

/* The generation that answers at this moment; 0: none. */
static uint64_t generation_at(struct fixture *fixture, uint64_t now_ms)
{
    const struct table_view *view = attach_view_at(&fixture->attach, now_ms);
    return view != NULL ? view->generation : 0;
}

static void a_missing_table_is_looked_for_once_a_second(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(generation_at(fixture, T0), 0);
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_LOOK_MS - 1), 0);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_LOOK_MS), 1);
}

static void a_superseded_table_gives_way_at_once(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    place_second(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    table_supersede(fixture->first.writer.header);
    assert_int_equal(generation_at(fixture, T0), 2);
    assert_int_equal(latch_mappings(fixture->world.run_dir),
                     3); /* the writer's two, and one reader's */
}

static void the_inlined_path_and_the_full_one_agree_on_superseded(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, attach_clock_ms());
    assert_non_null(attach_view(&fixture->attach));
    assert_int_equal(attach_view(&fixture->attach)->generation, 1);
    assert_true(fixture->attach.now_ns / 1000000 == fixture->attach.now_ms);
    place_second(fixture, attach_clock_ms());
    table_supersede(fixture->first.writer.header);
    assert_int_equal(attach_view(&fixture->attach)->generation, 2);
    assert_true(fixture->attach.now_ns == 0); /* to attach takes longer than a clock may be old */
}

static void a_superseded_table_is_never_used_though_nothing_replaces_it(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    table_supersede(fixture->first.writer.header);
    assert_int_equal(generation_at(fixture, T0), 0);
    assert_int_equal(generation_at(fixture, T0 + 10 * ATTACH_LOOK_MS), 0);
    place_second(fixture, T0);
    assert_int_equal(generation_at(fixture, T0 + 11 * ATTACH_LOOK_MS), 2);
}

static void a_failed_reattach_is_an_outage_and_not_the_old_table(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    place_second(fixture, T0);
    assert_int_equal(chmod(fixture->world.table, 0660), 0);
    table_supersede(fixture->first.writer.header);
    assert_int_equal(generation_at(fixture, T0), 0);
    assert_int_equal(chmod(fixture->world.table, 0640), 0);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_LOOK_MS), 2);
}

static void a_fresh_heartbeat_needs_no_look_at_the_path(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    assert_int_equal(unlink(fixture->world.table), 0);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_STALE_MS), 1);
}

static void a_stale_heartbeat_goes_on_with_the_same_file(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_STALE_MS + 1), 1);
    assert_int_equal(generation_at(fixture, T0 + 1000 * ATTACH_STALE_MS), 1);
}

static void a_stale_heartbeat_finds_another_file(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    place_second(fixture, T0 + ATTACH_STALE_MS);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_STALE_MS), 1);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_STALE_MS + 1), 2);
}

static void a_stale_heartbeat_without_a_file_is_an_outage_until_a_later_look(void **state)
{
    struct fixture *fixture = *state;
    uint64_t stale = T0 + ATTACH_STALE_MS + 1;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    assert_int_equal(rename(fixture->world.table, fixture->first.path), 0);
    assert_int_equal(generation_at(fixture, stale), 0);
    assert_int_equal(rename(fixture->first.path, fixture->world.table), 0);
    assert_int_equal(generation_at(fixture, stale + ATTACH_LOOK_MS - 1), 0);
    assert_int_equal(generation_at(fixture, stale + ATTACH_LOOK_MS), 1);
}

static void a_stale_table_is_looked_after_once_a_second_and_no_more_rarely(void **state)
{
    struct fixture *fixture = *state;
    uint64_t stale = T0 + ATTACH_STALE_MS + 1;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    assert_int_equal(generation_at(fixture, stale), 1);
    place_second(fixture, stale);
    assert_int_equal(generation_at(fixture, stale + ATTACH_LOOK_MS - 1), 1);
    assert_int_equal(generation_at(fixture, stale + ATTACH_LOOK_MS), 2);
}

static void a_heartbeat_in_the_future_is_a_stale_one(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    place_second(fixture, T0);
    table_beat(fixture->first.writer.header, T0 + 2 * ATTACH_LOOK_MS + ATTACH_AHEAD_MS);
    assert_int_equal(generation_at(fixture, T0 + 2 * ATTACH_LOOK_MS), 1);
    table_beat(fixture->first.writer.header, T0 + 2 * ATTACH_LOOK_MS + ATTACH_AHEAD_MS + 1);
    assert_int_equal(generation_at(fixture, T0 + 2 * ATTACH_LOOK_MS), 2);
}

static void past_max_stale_is_an_outage(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    atomic_store(&fixture->first.writer.header->max_stale_ms, 5000);
    assert_int_equal(generation_at(fixture, T0 + 5000), 1);
    assert_int_equal(generation_at(fixture, T0 + 5001), 0);
    assert_int_equal(generation_at(fixture, T0 + 60000), 0);
    table_beat(fixture->first.writer.header, T0 + 60000);
    assert_int_equal(generation_at(fixture, T0 + 60000), 1);
}

static void max_stale_below_the_usual_bound_holds_too(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    atomic_store(&fixture->first.writer.header->max_stale_ms, 500);
    assert_int_equal(generation_at(fixture, T0 + 500), 1);
    assert_int_equal(generation_at(fixture, T0 + 501), 0);
    assert_false(attach_is_current(T0, 500, T0 + 501));
    assert_true(attach_is_current(T0, 500, T0 + 500));
}

static void with_max_stale_a_heartbeat_far_ahead_proves_nothing(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0 + 100 * ATTACH_STALE_MS);
    atomic_store(&fixture->first.writer.header->max_stale_ms, 5000);
    assert_int_equal(generation_at(fixture, T0), 0);
}

static void refresh_looks_at_once(void **state)
{
    struct fixture *fixture = *state;
    assert_null(attach_refresh(&fixture->attach, T0));
    place_first(fixture, T0);
    assert_non_null(attach_refresh(&fixture->attach, T0));
    assert_int_equal(generation_at(fixture, T0), 1);
}

static void the_map_cannot_be_made_writable(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    const struct table_view *view = attach_view_at(&fixture->attach, T0);
    assert_non_null(view);
    assert_int_not_equal(
        mprotect((void *)(uintptr_t)view->header, TABLE_PAGE, PROT_READ | PROT_WRITE), 0);
}

static void no_descriptor_stays_open(void **state)
{
    struct fixture *fixture = *state;
    size_t before = latch_descriptors();
    assert_int_equal(generation_at(fixture, T0), 0);
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_LOOK_MS), 1);
    place_second(fixture, T0);
    table_supersede(fixture->first.writer.header);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_LOOK_MS), 2);
    assert_int_equal(chmod(fixture->world.table, 0606), 0);
    table_supersede(fixture->second.writer.header);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_LOOK_MS), 0);
    assert_int_equal(latch_descriptors(), before);
}

static void place_large(struct fixture *fixture)
{
    latch_table_make_large(&fixture->first, &fixture->world, 1);
    fixture->has_first = true;
    latch_table_place(&fixture->first, &fixture->world, T0);
}

/* Of this process, in pages. */
static unsigned long address_space(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    return pages;
}

static void a_large_table_starts_at_a_huge_page_and_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    place_large(fixture);
    unsigned long before = address_space();
    for (uint64_t i = 0; i < 8; i++) {
        fixture->attach.looked = false;
        assert_int_equal(generation_at(fixture, T0), 1);
        assert_int_equal((uintptr_t)fixture->attach.view.header % LATCH_HUGE_PAGE, 0);
        attach_end(&fixture->attach);
    }
    assert_int_equal(address_space(), before);
}

static void a_table_that_is_not_taken_is_not_kept_mapped(void **state)
{
    struct fixture *fixture = *state;
    place_large(fixture);
    table_supersede(fixture->first.writer.header);
    unsigned long before = address_space();
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(generation_at(fixture, T0 + i * ATTACH_LOOK_MS), 0);
    fixture->first.writer.header->checksum ^= 1;
    for (uint64_t i = 4; i < 8; i++)
        assert_int_equal(generation_at(fixture, T0 + i * ATTACH_LOOK_MS), 0);
    assert_int_equal(address_space(), before);
}

/* VmFlags of proc(5): "dd" is MADV_DONTDUMP. */
static bool is_left_out_of_core_dumps(const void *address)
{
    char line[4096], start[32];
    bool here = false, left_out = false;
    FILE *smaps = fopen("/proc/self/smaps", "r");
    assert_non_null(smaps);
    int len = snprintf(start, sizeof start, "%lx-", (unsigned long)(uintptr_t)address);
    while (fgets(line, sizeof line, smaps) != NULL) {
        here = here || strncmp(line, start, (size_t)len) == 0;
        if (here && strncmp(line, "VmFlags:", 8) == 0) {
            left_out = strstr(line, " dd") != NULL;
            break;
        }
    }
    fclose(smaps);
    assert_true(here);
    return left_out;
}

static void names_and_owners_are_not_in_the_hosts_core_dumps(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    assert_false(is_left_out_of_core_dumps(fixture->first.base)); /* the writer's map is not */
    assert_true(is_left_out_of_core_dumps(fixture->attach.view.header));
}

static void spoil_group_writable(struct fixture *fixture)
{
    assert_int_equal(chmod(fixture->world.table, 0660), 0);
}

static void spoil_other_writable(struct fixture *fixture)
{
    assert_int_equal(chmod(fixture->world.table, 0642), 0);
}

static void spoil_symlink(struct fixture *fixture)
{
    assert_int_equal(rename(fixture->world.table, fixture->first.path), 0);
    assert_int_equal(symlink(fixture->first.path, fixture->world.table), 0);
}

static void spoil_fifo(struct fixture *fixture)
{
    assert_int_equal(unlink(fixture->world.table), 0);
    assert_int_equal(mkfifo(fixture->world.table, 0640), 0);
}

static void spoil_directory(struct fixture *fixture)
{
    assert_int_equal(unlink(fixture->world.table), 0);
    assert_int_equal(mkdir(fixture->world.table, 0750), 0);
}

static void spoil_empty(struct fixture *fixture)
{
    assert_int_equal(truncate(fixture->world.table, 0), 0);
}

static void spoil_half_a_page(struct fixture *fixture)
{
    assert_int_equal(truncate(fixture->world.table, TABLE_PAGE / 2), 0);
}

static void spoil_one_page(struct fixture *fixture)
{
    assert_int_equal(truncate(fixture->world.table, TABLE_PAGE), 0);
}

static void spoil_last_page_cut(struct fixture *fixture)
{
    assert_int_equal(truncate(fixture->world.table, (off_t)(fixture->first.size - TABLE_PAGE)), 0);
}

static void spoil_huge(struct fixture *fixture)
{
    /* As large as the folder's file system has files: sparse, nothing is written. */
    off_t size = INT64_C(1) << 50;
    while (truncate(fixture->world.table, size) != 0 && size > (off_t)fixture->first.size)
        size /= 2;
    assert_true(size > (off_t)fixture->first.size);
}

static void spoil_foreign(struct fixture *fixture)
{
    memset(fixture->first.base, 'x', TABLE_PAGE);
}

static void spoil_checksum(struct fixture *fixture)
{
    fixture->first.writer.header->checksum ^= 1;
}

static void spoil_sum_of_a_changed_word(struct fixture *fixture)
{
    fixture->first.writer.header->slot_count++;
}

static void seal(struct table_header *header)
{
    const unsigned char *start = (const unsigned char *)&header->magic;
    header->checksum =
        crc32_update(0, start, (size_t)((const unsigned char *)&header->checksum - start));
}

static void spoil_layout(struct fixture *fixture)
{
    fixture->first.writer.header->layout = TABLE_LAYOUT + 1;
    seal(fixture->first.writer.header);
}

static void spoil_geometry(struct fixture *fixture)
{
    fixture->first.writer.header->slot_count = UINT64_MAX / 64;
    seal(fixture->first.writer.header);
}

static void spoil_earlier_boot(struct fixture *fixture)
{
    fixture->first.writer.header->boot_id[7] ^= 1;
    seal(fixture->first.writer.header);
}

static void spoil_nothing_but_seal_again(struct fixture *fixture)
{
    seal(fixture->first.writer.header);
}

static void spoil_still_filling(struct fixture *fixture)
{
    atomic_store(&fixture->first.writer.header->pulse, TABLE_PULSE_FILLING);
}

static void spoil_superseded(struct fixture *fixture)
{
    table_supersede(fixture->first.writer.header);
}

static void untrusted_files_are_an_outage_and_never_a_signal(void **state)
{
    static void (*const spoils[])(struct fixture *) = {
        spoil_group_writable, spoil_other_writable, spoil_symlink,
        spoil_fifo,           spoil_directory,      spoil_empty,
        spoil_half_a_page,    spoil_one_page,       spoil_last_page_cut,
        spoil_huge,           spoil_foreign,        spoil_checksum,
        spoil_layout,         spoil_geometry,       spoil_earlier_boot,
        spoil_still_filling,  spoil_superseded,     spoil_sum_of_a_changed_word,
    };
    (void)state;
    for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
        void *own;
        setup(&own);
        struct fixture *fixture = own;
        place_first(fixture, T0);
        assert_int_equal(generation_at(fixture, T0), 1);
        attach_end(&fixture->attach);
        fixture->attach.looked = false;

        spoils[i](fixture);
        if (generation_at(fixture, T0) != 0)
            fail_msg("spoilt file %zu was attached to", i);
        teardown(&own);
    }
}

static void the_same_steps_without_a_fault_attach(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    spoil_nothing_but_seal_again(fixture);
    assert_int_equal(generation_at(fixture, T0), 1);
}

static void a_file_of_another_user_is_an_outage(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0) {
        print_message("# skipped: only root can give a file away\n");
        skip();
    }
    place_first(fixture, T0);
    assert_int_equal(chown(fixture->world.table, 4242, (gid_t)-1), 0);
    assert_int_equal(generation_at(fixture, T0), 0);
    assert_int_equal(chown(fixture->world.table, 0, (gid_t)-1), 0);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_LOOK_MS), 1);
}

static void a_file_of_the_daemons_user_is_believed(void **state)
{
    struct fixture *fixture = *state;
    struct attach attach;
    if (geteuid() != 0) {
        print_message("# skipped: only root can give a file away\n");
        skip();
    }
    assert_int_equal(attach_init(&attach, fixture->world.run_dir, "daemon", NULL), 0);
    place_first(fixture, T0);
    assert_int_equal(chown(fixture->world.table, 1, (gid_t)-1), 0);
    assert_int_equal(generation_at(fixture, T0), 0);
    assert_non_null(attach_view_at(&attach, T0));
    attach_end(&attach);
}

static void a_user_who_is_anybody_in_a_container_cannot_be_the_daemons(void **state)
{
    struct fixture *fixture = *state;
    const char *names[] = {"nobody", "65534"};
    struct attach attach;
    struct error error = {0};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(attach_init(&attach, fixture->world.run_dir, names[i], &error),
                         CATLATCH_E_CONFIG);
        assert_non_null(strstr(error.text, "which everybody unknown in a container has"));
    }
}

static void a_folder_whose_owner_is_not_mapped_is_refused_with_the_way_out(void **state)
{
    struct fixture *fixture = *state;
    struct attach attach;
    struct error error = {0};
    if (geteuid() != 0) {
        print_message("# skipped: only root can give a folder away\n");
        skip();
    }
    assert_int_equal(chown(fixture->world.run_dir, TRUST_OVERFLOW_UID, (gid_t)-1), 0);
    assert_int_equal(attach_init(&attach, fixture->world.run_dir, "", &error),
                     CATLATCH_E_PERMISSION);
    assert_non_null(strstr(error.text, "does not map its owner"));
    assert_non_null(strstr(error.text, "verify by the module `socket`"));
}

enum { CANNOT_MOUNT = 77 };

/* The generation that a reader finds where /proc does not tell the boot, with run_dir on the disk
 * or on a tmpfs of its own. */
static int generation_without_boot_id(struct fixture *fixture, bool on_tmpfs)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            (on_tmpfs && mount("none", fixture->world.run_dir, "tmpfs", 0, "mode=0750") != 0))
            _exit(CANNOT_MOUNT);
        latch_table_make(&fixture->first, &fixture->world, 1);
        latch_table_place(&fixture->first, &fixture->world, T0);
        if (mount("none", "/proc/sys/kernel/random", "tmpfs", 0, NULL) != 0)
            _exit(CANNOT_MOUNT);
        _exit((int)generation_at(fixture, T0));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void without_a_boot_id_only_memory_is_believed(void **state)
{
    struct fixture *fixture = *state;
    struct statfs place;
    int on_tmpfs = generation_without_boot_id(fixture, true);
    if (on_tmpfs == CANNOT_MOUNT) {
        print_message("# skipped: hiding the boot id takes the right to mount\n");
        skip();
    }
    assert_int_equal(on_tmpfs, 1);
    assert_int_equal(statfs(fixture->world.run_dir, &place), 0);
    if (place.f_type == TMPFS_MAGIC) {
        print_message("# skipped: the temporary folder is in memory itself\n");
        skip();
    }
    assert_int_equal(generation_without_boot_id(fixture, false), 0);
}

static void a_user_that_does_not_exist_is_an_error_that_names_it(void **state)
{
    struct fixture *fixture = *state;
    struct attach attach;
    struct error error = {0};
    assert_int_equal(attach_init(&attach, fixture->world.run_dir, "no-such-user-here", &error),
                     CATLATCH_E_CONFIG);
    assert_non_null(strstr(error.text, "\"no-such-user-here\""));
}

static void a_folder_that_others_can_write_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct attach attach;
    struct error error = {0};
    assert_int_equal(chmod(fixture->world.run_dir, 0770), 0);
    assert_int_equal(attach_init(&attach, fixture->world.run_dir, "", &error),
                     CATLATCH_E_PERMISSION);
    assert_non_null(strstr(error.text, fixture->world.run_dir));
}

static void a_folder_that_comes_later_is_checked_then(void **state)
{
    struct fixture *fixture = *state;
    struct attach attach;
    assert_int_equal(rmdir(fixture->world.run_dir), 0);
    assert_int_equal(attach_init(&attach, fixture->world.run_dir, "", NULL), 0);
    assert_int_equal(mkdir(fixture->world.run_dir, 0750), 0);
    assert_int_equal(chmod(fixture->world.run_dir, 0770), 0);
    place_first(fixture, T0);
    assert_null(attach_view_at(&attach, T0));
    assert_int_equal(chmod(fixture->world.run_dir, 0750), 0);
    assert_non_null(attach_view_at(&attach, T0 + ATTACH_LOOK_MS));
    attach_end(&attach);
}

static void a_folder_that_was_trusted_once_is_checked_again_for_every_table(void **state)
{
    struct fixture *fixture = *state;
    place_first(fixture, T0);
    assert_int_equal(generation_at(fixture, T0), 1);
    assert_int_equal(chmod(fixture->world.run_dir, 0770), 0);
    place_second(fixture, T0);
    table_supersede(fixture->first.writer.header);
    assert_int_equal(generation_at(fixture, T0), 0);
    assert_int_equal(chmod(fixture->world.run_dir, 0750), 0);
    assert_int_equal(generation_at(fixture, T0 + ATTACH_LOOK_MS), 2);
}

static void a_daemons_user_can_be_a_number_that_has_no_name_here(void **state)
{
    struct fixture *fixture = *state;
    struct attach attach;
    struct error error = {0};
    if (geteuid() != 0) {
        print_message("# skipped: only root can give a file away\n");
        skip();
    }
    assert_int_equal(attach_init(&attach, fixture->world.run_dir, "4242424", &error), 0);
    place_first(fixture, T0);
    assert_int_equal(chown(fixture->world.table, 4242424, (gid_t)-1), 0);
    assert_int_equal(generation_at(fixture, T0), 0);
    assert_non_null(attach_view_at(&attach, T0));
    attach_end(&attach);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_missing_table_is_looked_for_once_a_second),
        TEST(a_superseded_table_gives_way_at_once),
        TEST(the_inlined_path_and_the_full_one_agree_on_superseded),
        TEST(a_superseded_table_is_never_used_though_nothing_replaces_it),
        TEST(a_failed_reattach_is_an_outage_and_not_the_old_table),
        TEST(a_fresh_heartbeat_needs_no_look_at_the_path),
        TEST(a_stale_heartbeat_goes_on_with_the_same_file),
        TEST(a_stale_heartbeat_finds_another_file),
        TEST(a_stale_heartbeat_without_a_file_is_an_outage_until_a_later_look),
        TEST(a_stale_table_is_looked_after_once_a_second_and_no_more_rarely),
        TEST(a_heartbeat_in_the_future_is_a_stale_one),
        TEST(past_max_stale_is_an_outage),
        TEST(max_stale_below_the_usual_bound_holds_too),
        TEST(with_max_stale_a_heartbeat_far_ahead_proves_nothing),
        TEST(refresh_looks_at_once),
        TEST(the_map_cannot_be_made_writable),
        TEST(no_descriptor_stays_open),
        TEST(a_large_table_starts_at_a_huge_page_and_leaves_nothing_behind),
        TEST(a_table_that_is_not_taken_is_not_kept_mapped),
        TEST(names_and_owners_are_not_in_the_hosts_core_dumps),
        cmocka_unit_test(untrusted_files_are_an_outage_and_never_a_signal),
        TEST(the_same_steps_without_a_fault_attach),
        TEST(a_file_of_another_user_is_an_outage),
        TEST(a_file_of_the_daemons_user_is_believed),
        TEST(a_user_who_is_anybody_in_a_container_cannot_be_the_daemons),
        TEST(a_folder_whose_owner_is_not_mapped_is_refused_with_the_way_out),
        TEST(without_a_boot_id_only_memory_is_believed),
        TEST(a_user_that_does_not_exist_is_an_error_that_names_it),
        TEST(a_folder_that_others_can_write_is_refused),
        TEST(a_folder_that_comes_later_is_checked_then),
        TEST(a_folder_that_was_trusted_once_is_checked_again_for_every_table),
        TEST(a_daemons_user_can_be_a_number_that_has_no_name_here),
    };
    return cmocka_run_group_tests_name("attach", tests, NULL, NULL);
}
