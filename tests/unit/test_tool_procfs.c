#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../tools/catlatch/procfs.h"
#include "core/error.h"

static void a_mapped_file_is_read(void **state)
{
    struct procfs_map map;
    (void)state;
    assert_int_equal(procfs_map_parse("7f12c0000000-7f12c0200000 r--s 00000000 00:1b 4242"
                                      "                       /run/catlatch/table\n",
                                      &map),
                     0);
    assert_true(map.start == UINT64_C(0x7f12c0000000) && map.end == UINT64_C(0x7f12c0200000));
    assert_true(map.major == 0 && map.minor == 0x1b && map.inode == 4242);
    assert_string_equal(map.path, "/run/catlatch/table");
    assert_false(map.deleted);
}

static void a_deleted_file_keeps_its_last_name(void **state)
{
    struct procfs_map map;
    (void)state;
    assert_int_equal(
        procfs_map_parse("1000-2000 r--s 00000000 fe:00 7 /r u/a\\012b\\134/table (deleted)", &map),
        0);
    assert_string_equal(map.path, "/r u/a\nb\\134/table");
    assert_true(map.deleted);
}

static void what_maps_no_file_is_passed_over(void **state)
{
    static const char *const lines[] = {
        "",
        "7f12c0000000-7f12c0200000 rw-p 00000000 00:00 0",
        "7f12c0000000-7f12c0200000 rw-p 00000000 00:00 0   [heap]\n",
        "7f12c0000000-7f12c0200000 rw-s 00000000 00:01 12 anon_inode:[perf]",
        "7f12c0000000 r--p 00000000 00:1b 1 /x",
    };
    struct procfs_map map;
    char line[PATH_MAX + 64] = "1000-2000 r--s 00000000 00:1b 1 /";
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_int_equal(procfs_map_parse(lines[i], &map), CATLATCH_E_DATA);
    memset(line + strlen(line), 'x', PATH_MAX - 1);
    assert_int_equal(procfs_map_parse(line, &map), CATLATCH_E_DATA);
}

static void a_mount_is_read_with_what_of_the_file_system_it_shows(void **state)
{
    struct procfs_mount mount;
    (void)state;
    assert_int_equal(
        procfs_mount_parse("36 35 98:0 /a\\040b /mnt\\134/x rw,noatime master:1 - ext3 "
                           "/dev/root rw\n",
                           &mount),
        0);
    assert_true(mount.major == 98 && mount.minor == 0);
    assert_string_equal(mount.root, "/a b");
    assert_string_equal(mount.point, "/mnt\\/x");
    assert_false(mount.deleted);
    assert_int_equal(procfs_mount_parse(
                         "1 1 0:27 /catlatch/table//deleted /r/table ro - tmpfs tmpfs rw", &mount),
                     0);
    assert_string_equal(mount.root, "/catlatch/table");
    assert_true(mount.deleted);
    assert_int_equal(procfs_mount_parse("36 35 98:0", &mount), CATLATCH_E_DATA);
    assert_int_equal(procfs_mount_parse("36 35 98:0 /a", &mount), CATLATCH_E_DATA);
    assert_int_equal(procfs_mount_parse("36 35 x /a /b rw", &mount), CATLATCH_E_DATA);
}

static void a_path_is_below_a_mount_whole_names_long(void **state)
{
    (void)state;
    assert_true(procfs_is_below("/run/catlatch", "/run"));
    assert_true(procfs_is_below("/run/catlatch", "/run/catlatch"));
    assert_true(procfs_is_below("/run/catlatch", "/"));
    assert_false(procfs_is_below("/run/catlatch", "/run/cat"));
    assert_false(procfs_is_below("/run", "/run/catlatch"));
}

static void tables_are_known_by_name(void **state)
{
    uint64_t number;
    (void)state;
    assert_true(procfs_is_table("/run/catlatch/table", &number) && number == 0);
    assert_true(procfs_is_table("/table.new", &number) && number == 0);
    assert_true(procfs_is_table("/x/table.12", &number) && number == 12);
    assert_false(procfs_is_table("/x/table.012", &number));
    assert_false(procfs_is_table("/x/table.1b", &number));
    assert_false(procfs_is_table("/x/tables", &number));
    assert_false(procfs_is_table("/table/x", &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mapped_file_is_read),
        cmocka_unit_test(a_deleted_file_keeps_its_last_name),
        cmocka_unit_test(what_maps_no_file_is_passed_over),
        cmocka_unit_test(a_mount_is_read_with_what_of_the_file_system_it_shows),
        cmocka_unit_test(a_path_is_below_a_mount_whole_names_long),
        cmocka_unit_test(tables_are_known_by_name),
    };
    return cmocka_run_group_tests_name("tool_procfs", tests, NULL, NULL);
}
