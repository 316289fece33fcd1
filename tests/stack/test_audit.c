/* The module audit: what is told to whom, and that nobody waits for it. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/lib_latch.h"
#include "../unit/lib_table.h"
#include "lib_module.h"

#define JOURNAL "required = table\noptional = audit to=journal:@/sink "
#define SYSLOG "required = table\noptional = audit to=syslog:@/sink "

/* Hanging is what must not happen: then this ends the test. */
#define PATIENCE_S 120

struct fixture {
    struct module_bench *bench;
    struct heap_table table;
    struct sample_key sample;
    char key[LATCH_KEY_LEN + 1]; /* revoked */
    char live[LATCH_KEY_LEN + 1];
    int sink;
};

/* Whoever listens at the folder's "sink". */
static int listen_at_sink(const struct module_bench *bench)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[96];
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    strcpy(address.sun_path, module_path(bench, "sink", path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void put_key(struct fixture *fixture, uint64_t number, bool revoked, char *ret_text)
{
    latch_key_text(number, "cc_live_", ret_text);
    sample_key_init(&fixture->sample, number);
    digest_of(ret_text, LATCH_KEY_LEN, &fixture->sample.entry.digest);
    snprintf(fixture->sample.prefix, sizeof fixture->sample.prefix, "%.15s", ret_text);
    fixture->sample.entry.prefix = text_of(fixture->sample.prefix);
    strcpy(fixture->sample.owner, "Al \"\\\" Ice");
    fixture->sample.entry.owner = text_of(fixture->sample.owner);
    fixture->sample.entry.revoked = revoked;
    assert_int_equal(heap_table_put(&fixture->table, &fixture->sample.entry), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    alarm(PATIENCE_S);
    if (fixture == NULL || module_bench_make((void **)&fixture->bench) != 0)
        return -1;
    heap_table_open(&fixture->table, 16, 400);
    put_key(fixture, 1, true, fixture->key);
    put_key(fixture, 2, false, fixture->live);
    fixture->sink = listen_at_sink(fixture->bench);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    void *bench = fixture->bench;

    close(fixture->sink);
    heap_table_close(&fixture->table);
    free(fixture);
    return module_bench_remove(&bench);
}

static enum catlatch_result ask(struct fixture *fixture, const char *key)
{
    return module_ask(fixture->bench, &fixture->table.writer.view, key);
}

/* The next record, or "" if there is none. */
static const char *heard(struct fixture *fixture, char ret[4096])
{
    ssize_t len = recv(fixture->sink, ret, 4095, MSG_DONTWAIT);

    ret[len > 0 ? len : 0] = '\0';
    return ret;
}

static void expect_heard(struct fixture *fixture, const char *text)
{
    char record[4096];

    if (strstr(heard(fixture, record), text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, record);
}

static void expect_silence(struct fixture *fixture)
{
    char record[4096];

    assert_string_equal(heard(fixture, record), "");
}

static void a_refusal_is_told_to_the_journal_in_fields(void **state)
{
    struct fixture *fixture = *state;
    char record[4096], expected[1024], id[CATLATCH_ID_SIZE];

    key_id_format(2, id); /* of sample 1 */
    module_open_service(fixture->bench, JOURNAL "\n");
    fixture->bench->address = "203.0.113.9";
    assert_int_equal(ask(fixture, fixture->key), CATLATCH_REVOKED);
    snprintf(expected, sizeof expected,
             "MESSAGE=revoked service=default key_id=%s prefix=\"%.15s\" "
             "owner=\"Al \\\"\\\\\\\" Ice\" address=\"203.0.113.9\"\n"
             "PRIORITY=5\nSYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=catlatch\n"
             "CATLATCH_RESULT=revoked\nCATLATCH_SERVICE=default\nCATLATCH_KEY_ID=%s\n"
             "CATLATCH_OWNER=Al \"\\\" Ice\nCATLATCH_PREFIX=%.15s\nCATLATCH_ADDRESS=203.0.113.9\n",
             id, fixture->key, id, fixture->key);
    assert_string_equal(heard(fixture, record), expected);
    expect_silence(fixture);
}

static void a_refusal_is_told_to_syslog_in_a_line(void **state)
{
    struct fixture *fixture = *state;
    char record[4096], expected[256];

    module_open_service(fixture->bench, SYSLOG "\n");
    fixture->bench->address = "203.0.113.9";
    assert_int_equal(ask(fixture, "unknown"), CATLATCH_NOT_FOUND);
    snprintf(expected, sizeof expected,
             "<85>catlatch[%ld]: not_found service=default address=\"203.0.113.9\"",
             (long)getpid());
    assert_string_equal(heard(fixture, record), expected);
}

static void grants_are_told_where_all_is_asked_for(void **state)
{
    struct fixture *fixture = *state;

    module_open_service(fixture->bench, JOURNAL "\n");
    assert_int_equal(ask(fixture, fixture->live), CATLATCH_VALID);
    expect_silence(fixture);
    module_open_service(fixture->bench, JOURNAL "all\n");
    assert_int_equal(ask(fixture, fixture->live), CATLATCH_VALID);
    expect_heard(fixture, "PRIORITY=6\n");
    assert_int_equal(ask(fixture, fixture->key), CATLATCH_REVOKED);
    expect_heard(fixture, "PRIORITY=5\n");
}

static void an_outage_is_told_as_a_warning(void **state)
{
    struct fixture *fixture = *state;

    module_open_service(fixture->bench, SYSLOG "\n");
    assert_int_equal(module_ask(fixture->bench, NULL, fixture->live), CATLATCH_UNAVAILABLE);
    expect_heard(fixture, "<84>catlatch");
}

/* Neither in whole nor the end of it, of whatever was sent as a key. */
static void no_more_of_a_key_is_told_than_is_shown_anyway(void **state)
{
    struct fixture *fixture = *state;
    char record[4096], unknown[LATCH_KEY_LEN + 1], shown[32];

    module_open_service(fixture->bench, JOURNAL "all\n");
    latch_key_text(3, "cc_live_", unknown);
    const char *const keys[] = {fixture->key, fixture->live, unknown};
    for (size_t i = 0; i < 3; i++) {
        ask(fixture, keys[i]);
        heard(fixture, record);
        snprintf(shown, sizeof shown, "PREFIX=%.15s\n", keys[i]);
        assert_non_null(strstr(record, shown));
        shown[strlen(shown) - 1] = '\0';
        for (size_t at = 0; at + 6 <= LATCH_KEY_LEN; at++) {
            char piece[7];
            memcpy(piece, keys[i] + at, 6);
            piece[6] = '\0';
            assert_true((strstr(record, piece) == NULL) == (at + 6 > 15));
        }
    }
    const char *const secrets[] = {"hunter2", "cc_live_", "cc_live_hunter2", "cc_live_hunter2!",
                                   "another issuer's key, which is long enough to be one of ours"};
    for (size_t i = 0; i < 5; i++) {
        ask(fixture, secrets[i]);
        assert_non_null(strstr(heard(fixture, record), "RESULT=not_found"));
        assert_null(strstr(record, "PREFIX"));
        assert_null(strstr(record, secrets[i]));
    }
}

static void an_address_can_neither_end_a_line_nor_a_field(void **state)
{
    struct fixture *fixture = *state;

    module_open_service(fixture->bench, JOURNAL "\n");
    fixture->bench->address = "1.2.3.4\nCATLATCH_RESULT=valid\x1b\xff";
    ask(fixture, "unknown");
    expect_heard(fixture, "CATLATCH_ADDRESS=1.2.3.4?CATLATCH_RESULT=valid??\n");
    fixture->bench->address = "1.2.3.4\" recheck=\"yes";
    module_open_service(fixture->bench, SYSLOG "\n");
    ask(fixture, "unknown");
    expect_heard(fixture, "address=\"1.2.3.4\\\" recheck=\\\"yes\"");
}

static void of_a_long_address_the_end_is_told(void **state)
{
    struct fixture *fixture = *state;
    char address[10000], expected[160];

    memset(address, 'x', sizeof address);
    strcpy(address + sizeof address - 14, ", 203.0.113.9");
    module_open_service(fixture->bench, JOURNAL "\n");
    fixture->bench->address = address;
    ask(fixture, "unknown");
    snprintf(expected, sizeof expected, "CATLATCH_ADDRESS=...%s\n",
             address + strlen(address) - 128);
    expect_heard(fixture, expected);
}

static void no_more_than_the_rate_go_out(void **state)
{
    struct fixture *fixture = *state;

    module_open_service(fixture->bench, JOURNAL "rate=3/1d\n");
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(ask(fixture, "unknown"), CATLATCH_NOT_FOUND);
    for (unsigned i = 0; i < 3; i++)
        expect_heard(fixture, "RESULT=not_found");
    expect_silence(fixture);
}

/* A hundred at once, by default, and then some more if this takes its time. */
static void the_rate_is_a_hundred_where_none_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct timespec from, to;
    char record[4096];
    unsigned count = 0;

    module_open_service(fixture->bench, JOURNAL "\n");
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < 1000; i++) {
        ask(fixture, "unknown");
        count += *heard(fixture, record) != '\0';
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_in_range(count, 100, 102 + (unsigned)(to.tv_sec + 1 - from.tv_sec) * 100);
}

static void the_rate_comes_back_with_time_and_tells_what_was_dropped(void **state)
{
    struct fixture *fixture = *state;
    char record[4096], expected[64];
    unsigned asked = 1;

    module_open_service(fixture->bench, JOURNAL "rate=1/300ms\n");
    ask(fixture, "unknown");
    assert_null(strstr(heard(fixture, record), "DROPPED"));
    do {
        poll(NULL, 0, 10); /* what is waited for is that time passes */
        ask(fixture, "unknown");
        asked++;
    } while (*heard(fixture, record) == '\0');
    snprintf(expected, sizeof expected, "CATLATCH_DROPPED=%u\n", asked - 2);
    if (asked > 2)
        assert_non_null(strstr(record, expected));
}

/* Nobody reads: the socket's queue fills up, and that is all. */
static void a_sink_that_hangs_holds_nobody_up_and_hears_how_much_it_missed(void **state)
{
    struct fixture *fixture = *state;
    char record[4096], expected[64];
    unsigned count = 0;

    module_open_service(fixture->bench, JOURNAL "rate=1000000/s\n");
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(ask(fixture, "unknown"), CATLATCH_NOT_FOUND);
    for (; *heard(fixture, record) != '\0'; count++)
        assert_null(strstr(record, "DROPPED"));
    assert_in_range(count, 1, 4999);
    ask(fixture, "unknown");
    snprintf(expected, sizeof expected, "CATLATCH_DROPPED=%u\n", 5000 - count);
    expect_heard(fixture, expected);
    module_open_service(fixture->bench, SYSLOG "rate=1000000/s\n");
    for (unsigned i = 0; i < 5000; i++)
        ask(fixture, "unknown");
    for (count = 0; *heard(fixture, record) != '\0'; count++)
        continue;
    ask(fixture, "unknown");
    snprintf(expected, sizeof expected, " dropped=%u", 5000 - count);
    expect_heard(fixture, expected);
    ask(fixture, "unknown");
    assert_null(strstr(heard(fixture, record), "dropped"));
}

static void an_absent_sink_changes_nothing_and_is_looked_for_once_a_second(void **state)
{
    struct fixture *fixture = *state;
    struct timespec from, to;
    char path[96], record[4096];

    close(fixture->sink);
    module_open_service(fixture->bench, JOURNAL "\n");
    clock_gettime(CLOCK_MONOTONIC, &from);
    errno = 4711;
    assert_int_equal(ask(fixture, fixture->key), CATLATCH_REVOKED);
    assert_int_equal(errno, 4711);
    assert_int_equal(unlink(module_path(fixture->bench, "sink", path)), 0);
    fixture->sink = listen_at_sink(fixture->bench);
    assert_int_equal(ask(fixture, fixture->key), CATLATCH_REVOKED);
    clock_gettime(CLOCK_MONOTONIC, &to);
    heard(fixture, record);
    if (to.tv_sec == from.tv_sec) /* or a second was over, for a reason of its own */
        assert_string_equal(record, "");
    while (*record == '\0') {
        poll(NULL, 0, 10); /* what is waited for is that time passes */
        ask(fixture, fixture->key);
        heard(fixture, record);
    }
    assert_non_null(strstr(record, "CATLATCH_DROPPED="));
}

static void a_sink_that_comes_back_at_another_socket_is_told(void **state)
{
    struct fixture *fixture = *state;
    char path[96];

    module_open_service(fixture->bench, JOURNAL "\n");
    ask(fixture, fixture->key);
    expect_heard(fixture, "RESULT=revoked");
    close(fixture->sink);
    unlink(module_path(fixture->bench, "sink", path));
    fixture->sink = listen_at_sink(fixture->bench);
    ask(fixture, fixture->key);
    expect_heard(fixture, "RESULT=revoked");
}

static unsigned descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

static void no_descriptor_stays_open(void **state)
{
    struct fixture *fixture = *state;
    unsigned before = descriptors();

    module_write(fixture->bench, "log", "");
    module_open_service(fixture->bench, JOURNAL "\noptional = audit to=file:@/log\n");
    ask(fixture, "unknown");
    assert_int_equal(descriptors(), before);
}

static void both_sides_of_a_fork_tell(void **state)
{
    struct fixture *fixture = *state;
    int status = -1;

    module_open_service(fixture->bench, JOURNAL "\n");
    pid_t pid = fork();
    if (pid == 0)
        _exit(ask(fixture, fixture->key) != CATLATCH_REVOKED);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    expect_heard(fixture, "RESULT=revoked");
    ask(fixture, "unknown");
    expect_heard(fixture, "RESULT=not_found");
}

static void a_dry_run_is_not_told_and_a_recheck_is(void **state)
{
    struct fixture *fixture = *state;

    module_open_service(fixture->bench, JOURNAL "\n");
    fixture->bench->is_dry = true;
    assert_int_equal(ask(fixture, fixture->key), CATLATCH_REVOKED);
    expect_silence(fixture);
    assert_int_equal(module_recheck(fixture->bench, &fixture->table.writer.view, fixture->key),
                     CATLATCH_REVOKED);
    expect_heard(fixture, "CATLATCH_RECHECK=1\n");
}

static void a_refusal_before_it_is_told_too(void **state)
{
    struct fixture *fixture = *state;

    module_open_service(fixture->bench, "requisite = table\noptional = audit to=journal:@/sink\n");
    assert_int_equal(ask(fixture, fixture->key), CATLATCH_REVOKED);
    expect_heard(fixture, "RESULT=revoked");
}

static const char *read_file(const struct fixture *fixture, const char *name, char ret[4096])
{
    char path[96];
    FILE *file = fopen(module_path(fixture->bench, name, path), "re");

    assert_non_null(file);
    ret[fread(ret, 1, 4095, file)] = '\0';
    fclose(file);
    return ret;
}

static void a_file_is_appended_to_and_can_be_rotated(void **state)
{
    struct fixture *fixture = *state;
    char text[4096], expected[128], from[96], to[96];

    module_write(fixture->bench, "log", "before\n");
    module_open_service(fixture->bench, "required = table\noptional = audit to=file:@/log\n");
    ask(fixture, "unknown");
    ask(fixture, fixture->key);
    snprintf(expected, sizeof expected, "Z catlatch[%ld]: not_found service=default\n",
             (long)getpid());
    assert_memory_equal(read_file(fixture, "log", text), "before\n20", 9);
    assert_int_equal(strncmp(text + 7 + 19, expected, strlen(expected)), 0);
    assert_non_null(strstr(text, ": revoked service=default key_id="));
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(
        rename(module_path(fixture->bench, "log", from), module_path(fixture->bench, "log.1", to)),
        0);
    module_write(fixture->bench, "log", "");
    ask(fixture, "unknown");
    assert_non_null(strstr(read_file(fixture, "log", text), ": not_found service"));
}

/* Neither an open nor a write of a pipe may hang, nor a link lead elsewhere. */
static void what_is_no_regular_file_any_more_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    char path[96], target[96], text[4096];

    module_write(fixture->bench, "log", "");
    module_write(fixture->bench, "other", "");
    module_open_service(fixture->bench, "required = table\noptional = audit to=file:@/log\n");
    assert_int_equal(unlink(module_path(fixture->bench, "log", path)), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(ask(fixture, "unknown"), CATLATCH_NOT_FOUND);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(module_path(fixture->bench, "other", target), path), 0);
    module_open_service(fixture->bench, "required = table\n");
    module_refuses(fixture->bench, STACK_HOST_ANY, CATLATCH_E_CONFIG,
                   "required = table\noptional = audit to=file:@/log\n", "not a regular file");
    unlink(path);
    module_write(fixture->bench, "log", "");
    module_open_service(fixture->bench, "required = table\noptional = audit to=file:@/log\n");
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(ask(fixture, "unknown"), CATLATCH_NOT_FOUND);
    assert_string_equal(read_file(fixture, "other", text), "");
}

static void datagrams_are_for_every_host_and_files_for_those_that_may_wait(void **state)
{
    static const char *const to_file = "required = table\noptional = audit to=file:@/log\n";
    struct fixture *fixture = *state;
    struct module_bench *bench = fixture->bench;

    module_write(bench, "log", "");
    module_open_as(bench, STACK_HOST_LOOP, "required = table\noptional = audit\n");
    module_open_as(bench, STACK_HOST_LOOP, SYSLOG "\n");
    assert_int_equal(ask(fixture, fixture->live), CATLATCH_VALID);
    module_open_as(bench, STACK_HOST_DAEMON, JOURNAL "\n");
    assert_int_equal(ask(fixture, fixture->live), CATLATCH_VALID);
    module_refuses(bench, STACK_HOST_LOOP, CATLATCH_E_CONFIG, to_file,
                   "catlatch.ini:6: audit may wait");
    module_open_as(bench, STACK_HOST_DAEMON, to_file);
    assert_int_equal(ask(fixture, fixture->live), CATLATCH_UNAVAILABLE);
}

static void arguments_that_are_none_are_refused(void **state)
{
    static const char *const bad[][2] = {
        {"journal", "\"journal\": there are"},
        {"to", "\"to\": there are"},
        {"all=yes", "\"all=\": there are"},
        {"to=paper", "\"to=paper\": there are journal, syslog and file:PATH"},
        {"to=journald:/x", "\"to=journald:/x\""},
        {"to=journal:sink", "\"to=journal:sink\": a path is wanted"},
        {"to=syslog:", "\"to=syslog:\": a path is wanted"},
        {"to=file", "\"to=file\": a path is wanted"},
        {"to=file:@/none", "@/none: "},
        {"to=file:@/sink", "not a regular file"},
        {"to=journal to=syslog", "\"to=\" twice"},
        {"rate=100", "\"rate=100\""},
        {"rate=0/s", "\"rate=0/s\""},
        {"rate=-1/s", "\"rate=-1/s\""},
        {"rate=1/", "\"rate=1/\""},
        {"rate=1/0s", "\"rate=1/0s\""},
        {"rate=1/2d", "\"rate=1/2d\""},
        {"rate=1/fortnight", "\"rate=1/fortnight\""},
        {"rate=1000001/s", "\"rate=1000001/s\""},
        {"to=journal:/"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "longer than the 107 bytes"},
    };
    struct fixture *fixture = *state;
    char lines[256];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(lines, sizeof lines, "optional = audit %s\n", bad[i][0]);
        module_refuses(fixture->bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, lines, bad[i][1]);
    }
}

static void a_file_that_others_could_replace_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char path[96];

    assert_int_equal(mkdir(module_path(fixture->bench, "open", path), 0777), 0);
    assert_int_equal(chmod(path, 0777), 0);
    module_write(fixture->bench, "open/log", "");
    module_refuses(fixture->bench, STACK_HOST_ANY, CATLATCH_E_PERMISSION,
                   "optional = audit to=file:@/open/log\n", "writable by");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_refusal_is_told_to_the_journal_in_fields),
        TEST(a_refusal_is_told_to_syslog_in_a_line),
        TEST(grants_are_told_where_all_is_asked_for),
        TEST(an_outage_is_told_as_a_warning),
        TEST(no_more_of_a_key_is_told_than_is_shown_anyway),
        TEST(an_address_can_neither_end_a_line_nor_a_field),
        TEST(of_a_long_address_the_end_is_told),
        TEST(no_more_than_the_rate_go_out),
        TEST(the_rate_is_a_hundred_where_none_is_named),
        TEST(the_rate_comes_back_with_time_and_tells_what_was_dropped),
        TEST(a_sink_that_hangs_holds_nobody_up_and_hears_how_much_it_missed),
        TEST(an_absent_sink_changes_nothing_and_is_looked_for_once_a_second),
        TEST(a_sink_that_comes_back_at_another_socket_is_told),
        TEST(no_descriptor_stays_open),
        TEST(both_sides_of_a_fork_tell),
        TEST(a_dry_run_is_not_told_and_a_recheck_is),
        TEST(a_refusal_before_it_is_told_too),
        TEST(a_file_is_appended_to_and_can_be_rotated),
        TEST(what_is_no_regular_file_any_more_is_left_alone),
        TEST(datagrams_are_for_every_host_and_files_for_those_that_may_wait),
        TEST(arguments_that_are_none_are_refused),
        TEST(a_file_that_others_could_replace_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
