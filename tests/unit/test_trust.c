#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/trust.h"

#define FOREIGN_UID 65534

/* What happens between the check of a file and its opening: NULL, or done once. */
static void (*meanwhile)(void);

/* In place of libc's: the moment when it is called to open, not only to look. */
int openat(int folder, const char *name, int flags, ...)
{
    if ((flags & O_PATH) == 0 && meanwhile != NULL) {
        meanwhile();
        meanwhile = NULL;
    }
    return (int)syscall(SYS_openat, folder, name, flags, 0);
}

/* A folder of the test's own, without links in its path: T/ in the names below. */
static char base[PATH_MAX];

static const char *at(const char *name)
{
    static char paths[4][2 * PATH_MAX];
    static unsigned turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", base, name);
    return path;
}

static void make_folder(const char *name, mode_t mode)
{
    assert_int_equal(mkdir(at(name), 0700), 0);
    assert_int_equal(chmod(at(name), mode), 0);
}

static void make_file(const char *name, mode_t mode)
{
    int fd = open(at(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, name, strlen(name)), strlen(name));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void make_link(const char *target, const char *name)
{
    assert_int_equal(symlink(target, at(name)), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int make_base(void **state)
{
    const char *parent = getenv("TMPDIR");
    char template[PATH_MAX];

    (void)state;
    snprintf(template, sizeof template, "%s/catlatch-trust-XXXXXX", parent ? parent : "/tmp");
    if (mkdtemp(template) == NULL || realpath(template, base) == NULL)
        return -1;
    make_folder("a", 0755);
    make_folder("a/b", 0755);
    make_file("a/b/file", 0644);
    return 0;
}

static int remove_base(void **state)
{
    (void)state;
    return nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct error error;

static int check(const char *path)
{
    struct trust trust = trust_self();

    memset(&error, 0, sizeof error);
    return trust_path(path, &trust, &error);
}

/* Refused, with a message that has each of these texts in it. */
static void assert_refused(const char *path, const char *culprit, const char *why)
{
    assert_int_equal(check(path), CATLATCH_E_PERMISSION);
    assert_int_equal(error.code, CATLATCH_E_PERMISSION);
    assert_memory_equal(error.text, path, strlen(path));
    assert_non_null(strstr(error.text, culprit));
    assert_non_null(strstr(error.text, why));
}

/* For what only root can set up. A user of no privilege sees the reason in place of the case. */
static void need_root(const char *why)
{
    if (geteuid() != 0) {
        print_message("# skipped: needs root to %s\n", why);
        skip();
    }
}

static void a_file_below_folders_of_mine_is_believed(void **state)
{
    (void)state;
    assert_int_equal(check(at("a/b/file")), 0);
    assert_int_equal(check(at("a/b")), 0);
    assert_int_equal(check(at("a//./b/../b/./file")), 0);
    assert_int_equal(check("/"), 0);
    assert_int_equal(check("/../.."), 0);
}

static void a_file_that_others_can_write_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(at("a/b/file"), 0664), 0);
    assert_refused(at("a/b/file"), "/a/b/file is writable by its group (mode 0664",
                   "run chmod g-w");
    assert_int_equal(chmod(at("a/b/file"), 0646), 0);
    assert_refused(at("a/b/file"), "/a/b/file is writable by everybody", "run chmod o-w");
    assert_int_equal(chmod(at("a/b/file"), 0666), 0);
    assert_refused(at("a/b/file"), "its group and everybody", "run chmod go-w");
}

static void a_folder_that_others_can_write_is_refused_wherever_it_stands(void **state)
{
    static const char *const folders[] = {"a", "a/b"};
    static const mode_t modes[] = {0775, 0757, 0777};

    (void)state;
    for (size_t f = 0; f < 2; f++) {
        for (size_t m = 0; m < 3; m++) {
            char culprit[2 * PATH_MAX + 32];
            assert_int_equal(chmod(at(folders[f]), modes[m]), 0);
            snprintf(culprit, sizeof culprit, ": %s is writable by ", at(folders[f]));
            assert_refused(at("a/b/file"), culprit, "run chmod");
        }
        assert_int_equal(chmod(at(folders[f]), 0755), 0);
        assert_int_equal(check(at("a/b/file")), 0);
    }
}

/* Our own sticky folder is another matter than root's: its owner can replace what is in it. */
static void a_sticky_folder_is_safe_if_root_owns_it(void **state)
{
    (void)state;
    assert_int_equal(chmod(at("a"), 01777), 0);
    if (geteuid() == 0)
        assert_int_equal(check(at("a/b/file")), 0);
    else
        assert_refused(at("a/b/file"), "/a is writable by", "run chmod");
}

static void a_shared_folder_is_not_believed_itself(void **state)
{
    const char *shared = geteuid() == 0 ? at("a") : "/tmp";
    struct stat st;

    (void)state;
    if (geteuid() == 0)
        assert_int_equal(chmod(shared, 01777), 0);
    if (stat(shared, &st) != 0 || (st.st_mode & 01777) != 01777 || st.st_uid != 0) {
        print_message("# skipped: /tmp is no shared folder of root's here\n");
        skip();
    }
    assert_refused(shared, " is a folder that others can write to", "name one below it");
}

static void a_file_of_another_user_is_refused(void **state)
{
    (void)state;
    need_root("give a file away");
    assert_int_equal(chown(at("a/b/file"), FOREIGN_UID, 0), 0);
    assert_refused(at("a/b/file"), "/a/b/file belongs to user 65534", "run chown root");
}

static void a_folder_of_another_user_is_refused(void **state)
{
    (void)state;
    need_root("give a folder away");
    assert_int_equal(chown(at("a"), FOREIGN_UID, 0), 0);
    assert_refused(at("a/b/file"), "/a belongs to user 65534", "run chown root");
}

static void in_a_sticky_folder_another_users_entry_is_refused(void **state)
{
    (void)state;
    need_root("own a sticky folder as root");
    assert_int_equal(chmod(at("a"), 01777), 0);
    assert_int_equal(chown(at("a/b"), FOREIGN_UID, 0), 0);
    assert_refused(at("a/b/file"), "/a/b belongs to user 65534", "run chown root");
}

static void a_sticky_folder_of_a_trusted_user_is_not_safe(void **state)
{
    struct trust trust = {.uids = {FOREIGN_UID}, .count = 1};

    (void)state;
    need_root("give a folder away");
    assert_int_equal(chown(at("a"), FOREIGN_UID, 0), 0);
    assert_int_equal(trust_path(at("a/b/file"), &trust, &error), 0);
    assert_int_equal(chmod(at("a"), 01777), 0);
    assert_int_equal(trust_path(at("a/b/file"), &trust, &error), CATLATCH_E_PERMISSION);
}

static void my_own_files_are_foreign_to_whoever_trusts_another_uid(void **state)
{
    struct trust other = {.uids = {geteuid() + 1}, .count = 1};
    int code = trust_path(at("a/b/file"), &other, &error);

    (void)state;
    if (geteuid() == 0) {
        assert_int_equal(code, 0); /* root is always trusted */
    } else {
        assert_int_equal(code, CATLATCH_E_PERMISSION);
        assert_non_null(strstr(error.text, " belongs to user "));
    }
}

static void every_named_uid_is_trusted(void **state)
{
    struct trust trust = {.uids = {4711, FOREIGN_UID}, .count = 2};

    (void)state;
    need_root("give a file away");
    assert_int_equal(chown(at("a/b"), FOREIGN_UID, 0), 0);
    assert_int_equal(chown(at("a/b/file"), 4711, 0), 0);
    assert_int_equal(trust_path(at("a/b/file"), &trust, &error), 0);
    trust.count = 1;
    assert_int_equal(trust_path(at("a/b/file"), &trust, &error), CATLATCH_E_PERMISSION);
}

/* Where its own uid is not mapped, a process sees everybody else's who is not as its own. */
static void whoever_is_unknown_believes_nobody_else_who_is(void **state)
{
    (void)state;
    need_root("be another user");
    assert_int_equal(chmod(base, 0755), 0);
    assert_int_equal(chown(at("a/b/file"), TRUST_OVERFLOW_UID, 0), 0);
    assert_int_equal(seteuid(TRUST_OVERFLOW_UID), 0);
    int of_unknown = check(at("a/b/file")), of_root = check(at("a/b"));
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(of_unknown, CATLATCH_E_PERMISSION);
    assert_int_equal(of_root, 0);
    assert_refused(at("a/b/file"), "/a/b/file belongs to user 65534",
                   "anybody whom its user namespace does not map");
}

static void links_are_followed(void **state)
{
    (void)state;
    make_link("b/file", "a/relative");
    make_link(at("a/b"), "a/absolute");
    make_link("../a/./relative", "a/chain");
    assert_int_equal(check(at("a/relative")), 0);
    assert_int_equal(check(at("a/absolute/file")), 0);
    assert_int_equal(check(at("a/absolute/../relative")), 0);
    assert_int_equal(check(at("a/chain")), 0);
    assert_int_equal(check(at("a/absolute/")), 0);
}

/* "a/link/.." is where the link leads to, one up; not "a". */
static void two_dots_behind_a_link_go_up_from_where_it_leads(void **state)
{
    (void)state;
    make_folder("c", 0777);
    make_folder("c/d", 0755);
    make_file("c/file", 0644);
    make_file("a/c_is_not_here", 0644);
    make_link("../c/d", "a/link");
    assert_refused(at("a/link/../file"), "/c is writable by", "chmod go-w");
    assert_int_equal(check(at("a/link/../c_is_not_here")), CATLATCH_E_PERMISSION);
}

static void a_link_into_an_unsafe_folder_is_refused(void **state)
{
    (void)state;
    make_folder("c", 0777);
    make_file("c/file", 0644);
    make_link("../c/file", "a/to_file");
    make_link(at("c"), "a/to_folder");
    assert_refused(at("a/to_file"), "/c is writable by", "chmod go-w");
    assert_refused(at("a/to_folder/file"), "/c is writable by", "chmod go-w");
}

static void a_link_of_another_user_is_refused_only_where_that_user_could_replace_it(void **state)
{
    (void)state;
    need_root("give a link away");
    make_link("b/file", "a/link");
    assert_int_equal(lchown(at("a/link"), FOREIGN_UID, 0), 0);
    assert_int_equal(check(at("a/link")), 0);
    assert_int_equal(chmod(at("a"), 01777), 0);
    assert_refused(at("a/link"), "/a/link belongs to user 65534", "run chown -h root");
}

static void links_in_a_circle_end(void **state)
{
    (void)state;
    make_link("circle", "a/circle");
    assert_int_equal(check(at("a/circle")), CATLATCH_E_IO);
    assert_non_null(strstr(error.text, strerror(ELOOP)));
    make_link("a/../grow/x", "grow");
    assert_int_equal(check(at("grow")), CATLATCH_E_IO);
}

static void forty_links_are_followed_and_no_more(void **state)
{
    char name[32], target[32] = "a/b/file";

    (void)state;
    for (int i = 1; i <= 41; i++) {
        snprintf(name, sizeof name, "link%d", i);
        make_link(target, name);
        strcpy(target, name);
    }
    assert_int_equal(check(at("link40")), 0);
    assert_int_equal(check(at("link41")), CATLATCH_E_IO);
}

static void what_is_not_there_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(check(at("a/missing")), CATLATCH_E_NOT_FOUND);
    assert_int_equal(check(at("missing/file")), CATLATCH_E_NOT_FOUND);
    make_link("missing", "a/dangling");
    assert_int_equal(check(at("a/dangling")), CATLATCH_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "/a/missing: "));
    assert_int_equal(check(at("a/b/../missing")), CATLATCH_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "/a/missing: "));
    assert_int_equal(check(""), CATLATCH_E_NOT_FOUND);
}

static void a_file_is_no_folder(void **state)
{
    (void)state;
    assert_int_equal(check(at("a/b/file/x")), CATLATCH_E_IO);
    assert_int_equal(check(at("a/b/file/")), CATLATCH_E_IO);
    assert_int_equal(check(at("a/b/file/..")), CATLATCH_E_IO);
    assert_non_null(strstr(error.text, strerror(ENOTDIR)));
}

static void a_path_too_long_is_an_error(void **state)
{
    static char path[3 * PATH_MAX];

    (void)state;
    memset(path, 'x', sizeof path - 1);
    assert_int_equal(check(path), CATLATCH_E_IO);
    path[0] = '/';
    assert_int_equal(check(path), CATLATCH_E_IO);
    path[NAME_MAX + 2] = '\0';
    assert_int_equal(check(path), CATLATCH_E_IO);
    for (size_t i = 0; i < PATH_MAX - 3; i++)
        path[i] = '/';
    path[PATH_MAX - 3] = '\0';
    assert_int_equal(check(path), 0);
}

static void a_link_that_makes_the_path_too_long_is_an_error(void **state)
{
    char target[PATH_MAX] = "", path[PATH_MAX];

    (void)state;
    while (strlen(target) < PATH_MAX - 64)
        strcat(target, "./");
    strcat(target, "a/b/file");
    make_link(target, "long");
    assert_int_equal(check(at("long")), 0);
    snprintf(path, sizeof path, "%s/%0200d", at("long"), 0);
    assert_int_equal(check(path), CATLATCH_E_IO);
    assert_non_null(strstr(error.text, strerror(ENAMETOOLONG)));
}

static void relative_paths_start_at_the_working_directory_and_its_parents_count(void **state)
{
    int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_true(before >= 0);
    assert_int_equal(chdir(at("a")), 0);
    int good = check("b/file"), dots = check("../a/b/file");
    chmod(at("a"), 0777);
    int bad = check("b/file");
    assert_int_equal(fchdir(before), 0);
    close(before);
    assert_int_equal(good, 0);
    assert_int_equal(dots, 0);
    assert_int_equal(bad, CATLATCH_E_PERMISSION);
    assert_memory_equal(error.text, "b/file: /", strlen("b/file: /"));
}

static int open_trusted(const char *path)
{
    struct trust trust = trust_self();
    int fd = -4711;
    int code = trust_open(path, &trust, &fd, &error);

    assert_true((code == 0) == (fd >= 0));
    assert_true(code == 0 || fd == -4711);
    return code == 0 ? fd : code;
}

static void what_is_opened_is_what_was_checked(void **state)
{
    char text[32] = "";
    struct stat st, fd_st;

    (void)state;
    make_link("a/b/file", "link");
    int fd = open_trusted(at("link"));
    assert_true(fd >= 0);
    assert_int_equal(stat(at("a/b/file"), &st), 0);
    assert_int_equal(fstat(fd, &fd_st), 0);
    assert_true(st.st_ino == fd_st.st_ino && st.st_dev == fd_st.st_dev);
    assert_int_equal(read(fd, text, sizeof text - 1), strlen("a/b/file"));
    assert_string_equal(text, "a/b/file");
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    close(fd);
}

static void nothing_is_opened_that_is_not_believed(void **state)
{
    (void)state;
    assert_int_equal(chmod(at("a/b"), 0777), 0);
    assert_int_equal(open_trusted(at("a/b/file")), CATLATCH_E_PERMISSION);
    assert_int_equal(chmod(at("a/b"), 0755), 0);
    assert_int_equal(open_trusted(at("a/missing")), CATLATCH_E_NOT_FOUND);
}

static void replace_the_file(void)
{
    make_file("a/b/other", 0644);
    assert_int_equal(rename(at("a/b/other"), at("a/b/file")), 0);
}

static void replace_the_file_by_a_fifo(void)
{
    assert_int_equal(unlink(at("a/b/file")), 0);
    assert_int_equal(mkfifo(at("a/b/file"), 0600), 0);
}

static void replace_the_file_by_a_link(void)
{
    assert_int_equal(rename(at("a/b/file"), at("a/b/kept")), 0);
    make_link("kept", "a/b/file");
}

static void open_up_the_file(void)
{
    assert_int_equal(chmod(at("a/b/file"), 0666), 0);
}

static void a_file_that_changes_between_check_and_opening_is_refused(void **state)
{
    (void)state;
    meanwhile = replace_the_file;
    assert_int_equal(open_trusted(at("a/b/file")), CATLATCH_E_IO);
    assert_null(meanwhile);
    assert_non_null(strstr(error.text, "was replaced while it was being opened"));
    meanwhile = open_up_the_file;
    assert_int_equal(open_trusted(at("a/b/file")), CATLATCH_E_PERMISSION);
    assert_int_equal(chmod(at("a/b/file"), 0644), 0);
    meanwhile = replace_the_file_by_a_link;
    assert_int_equal(open_trusted(at("a/b/file")), CATLATCH_E_IO);
    replace_the_file();
    meanwhile = replace_the_file_by_a_fifo;
    assert_int_equal(open_trusted(at("a/b/file")), CATLATCH_E_IO);
}

static void only_regular_files_are_opened(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(at("fifo"), 0600), 0);
    assert_int_equal(open_trusted(at("fifo")), CATLATCH_E_IO);
    assert_non_null(strstr(error.text, "not a regular file"));
    assert_int_equal(open_trusted(at("a/b")), CATLATCH_E_IO);
    assert_int_equal(open_trusted("/dev/null"),
                     check("/dev/null") == 0 ? CATLATCH_E_IO : CATLATCH_E_PERMISSION);
}

static void a_file_that_i_may_not_read_is_refused(void **state)
{
    int root = geteuid() == 0;

    (void)state;
    assert_int_equal(chmod(base, 0755), 0);
    assert_int_equal(chmod(at("a/b/file"), 0200), 0);
    assert_int_equal(root ? seteuid(FOREIGN_UID) : 0, 0);
    int code = open_trusted(at("a/b/file"));
    assert_int_equal(root ? seteuid(0) : 0, 0);
    assert_int_equal(code, CATLATCH_E_PERMISSION);
    assert_non_null(strstr(error.text, strerror(EACCES)));
}

static int lowest_free_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    close(fd);
    return fd;
}

static void no_descriptor_is_left_behind(void **state)
{
    int before = lowest_free_descriptor();

    (void)state;
    make_link("a/b", "link");
    make_link("circle", "circle");
    make_folder("bad", 0777);
    make_file("bad/file", 0644);
    check(at("link/../b/file"));
    check(at("circle"));
    check(at("bad/file"));
    check(at("a/missing"));
    check(at("a/b/file/x"));
    open_trusted(at("bad/file"));
    open_trusted(at("a/b"));
    open_trusted(at("a/missing"));
    assert_int_equal(lowest_free_descriptor(), before);
}

static void a_caller_may_want_no_message(void **state)
{
    struct trust trust = trust_self();

    (void)state;
    assert_int_equal(chmod(at("a"), 0777), 0);
    assert_int_equal(trust_path(at("a/b/file"), &trust, NULL), CATLATCH_E_PERMISSION);
}

#define in_base(test) cmocka_unit_test_setup_teardown(test, make_base, remove_base)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_base(a_file_below_folders_of_mine_is_believed),
        in_base(a_file_that_others_can_write_is_refused),
        in_base(a_folder_that_others_can_write_is_refused_wherever_it_stands),
        in_base(a_sticky_folder_is_safe_if_root_owns_it),
        in_base(a_shared_folder_is_not_believed_itself),
        in_base(a_file_of_another_user_is_refused),
        in_base(a_folder_of_another_user_is_refused),
        in_base(in_a_sticky_folder_another_users_entry_is_refused),
        in_base(a_sticky_folder_of_a_trusted_user_is_not_safe),
        in_base(my_own_files_are_foreign_to_whoever_trusts_another_uid),
        in_base(every_named_uid_is_trusted),
        in_base(whoever_is_unknown_believes_nobody_else_who_is),
        in_base(links_are_followed),
        in_base(two_dots_behind_a_link_go_up_from_where_it_leads),
        in_base(a_link_into_an_unsafe_folder_is_refused),
        in_base(a_link_of_another_user_is_refused_only_where_that_user_could_replace_it),
        in_base(links_in_a_circle_end),
        in_base(forty_links_are_followed_and_no_more),
        in_base(what_is_not_there_is_not_found),
        in_base(a_file_is_no_folder),
        in_base(a_path_too_long_is_an_error),
        in_base(a_link_that_makes_the_path_too_long_is_an_error),
        in_base(relative_paths_start_at_the_working_directory_and_its_parents_count),
        in_base(what_is_opened_is_what_was_checked),
        in_base(nothing_is_opened_that_is_not_believed),
        in_base(a_file_that_changes_between_check_and_opening_is_refused),
        in_base(only_regular_files_are_opened),
        in_base(a_file_that_i_may_not_read_is_refused),
        in_base(no_descriptor_is_left_behind),
        in_base(a_caller_may_want_no_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
