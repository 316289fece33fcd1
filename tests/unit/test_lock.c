#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/lock.h"
#include "lib_store.h"

static char folder[STORE_FOLDER_SIZE];
static struct error error;

static int set_up(void **state)
{
    (void)state;
    error = (struct error){0};
    store_folder_make(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_folder_remove(folder);
    return 0;
}

static void path_of_lock(char *ret_path, size_t size)
{
    snprintf(ret_path, size, "%s/lock", folder);
}

/* A child that holds the lock until its end of the pipe is closed or it is killed. */
static pid_t start_holder(int *ret_pipe)
{
    int ready[2], hold[2];
    char byte = 0;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(hold), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int fd = -1;
        close(hold[1]);
        if (lock_take(folder, &fd, NULL) != 0 || write(ready[1], &byte, 1) != 1)
            _exit(1);
        while (read(hold[0], &byte, 1) > 0)
            ;
        _exit(0);
    }
    close(hold[0]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *ret_pipe = hold[1];
    return pid;
}

static void a_held_lock_is_refused_with_the_holders_pid(void **state)
{
    char expected[256];
    int hold = -1, fd = 77;
    pid_t pid = start_holder(&hold);
    (void)state;
    assert_int_equal(lock_take(folder, &fd, &error), CATLATCH_E_UNAVAILABLE);
    assert_int_equal(fd, 77);
    snprintf(expected, sizeof expected,
             "state_dir %s is in use by catlatchd, pid %ld; stop it first", folder, (long)pid);
    assert_string_equal(error.text, expected);
    close(hold);
    waitpid(pid, NULL, 0);
    assert_int_equal(lock_take(folder, &fd, &error), 0);
    lock_drop(fd);
}

static void a_killed_holder_holds_nothing(void **state)
{
    int hold = -1, fd = -1;
    pid_t pid = start_holder(&hold);
    (void)state;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(lock_take(folder, &fd, &error), 0);
    lock_drop(fd);
    close(hold);
}

static void a_process_takes_a_lock_once(void **state)
{
    int first = -1, second = -1;
    (void)state;
    assert_int_equal(lock_take(folder, &first, &error), 0);
    assert_int_equal(lock_take(folder, &second, &error), CATLATCH_E_UNAVAILABLE);
    lock_drop(first);
    assert_int_equal(lock_take(folder, &second, &error), 0);
    lock_drop(second);
    lock_drop(-1);
}

static void the_lock_is_private_and_closes_on_exec(void **state)
{
    struct stat info;
    int fd = -1;
    (void)state;
    assert_int_equal(lock_take(folder, &fd, &error), 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    lock_drop(fd);
}

static void a_shorter_pid_leaves_nothing_of_a_longer_one(void **state)
{
    char path[STORE_FOLDER_SIZE + 8], text[32] = "", expected[32];
    int fd = -1;
    (void)state;
    path_of_lock(path, sizeof path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("99999999999999\n", file);
    fclose(file);
    assert_int_equal(lock_take(folder, &fd, &error), 0);
    assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
    snprintf(expected, sizeof expected, "%ld\n", (long)getpid());
    assert_string_equal(text, expected);
    lock_drop(fd);
}

static void a_symbolic_link_is_not_followed(void **state)
{
    char path[STORE_FOLDER_SIZE + 8], target[STORE_FOLDER_SIZE + 8];
    struct stat info;
    int fd = 77;
    (void)state;
    path_of_lock(path, sizeof path);
    snprintf(target, sizeof target, "%s/target", folder);
    assert_int_equal(symlink(target, path), 0);
    assert_int_not_equal(lock_take(folder, &fd, &error), 0);
    assert_int_equal(fd, 77);
    assert_int_equal(lstat(target, &info), -1);
}

static void a_fifo_in_its_place_is_refused_without_waiting(void **state)
{
    char path[STORE_FOLDER_SIZE + 8];
    int fd = 77;
    (void)state;
    path_of_lock(path, sizeof path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(lock_take(folder, &fd, &error), CATLATCH_E_PERMISSION);
    assert_non_null(strstr(error.text, "is not a regular file; remove it"));
    assert_int_equal(fd, 77);
}

static void a_missing_folder_is_named(void **state)
{
    int fd = 77;
    (void)state;
    assert_int_equal(lock_take_named("run_dir", "/nonexistent/catlatch", &fd, &error),
                     CATLATCH_E_NOT_FOUND);
    assert_string_equal(error.text,
                        "cannot open run_dir /nonexistent/catlatch: No such file or directory");
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(a_held_lock_is_refused_with_the_holders_pid),
        with_folder(a_killed_holder_holds_nothing),
        with_folder(a_process_takes_a_lock_once),
        with_folder(the_lock_is_private_and_closes_on_exec),
        with_folder(a_shorter_pid_leaves_nothing_of_a_longer_one),
        with_folder(a_symbolic_link_is_not_followed),
        with_folder(a_fifo_in_its_place_is_refused_without_waiting),
        with_folder(a_missing_folder_is_named),
    };
    return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
