/* The module file: break-glass keys, keys to deny, and what refuses a file of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/lib_table.h"
#include "lib_module.h"

#define GLASS "a break-glass key of 256 random bits"
#define OTHER "a key that stands nowhere"

/* A file with the digests of these keys, NULL at the end, among others. */
static void write_digests(const struct module_bench *bench, const char *name,
                          const char *const *keys)
{
    char text[8192] = "# who may enter when all is lost\n\n", hex[2 * DIGEST_BYTES + 1];
    size_t len = strlen(text);

    for (unsigned i = 0; i < 20 || *keys != NULL; i++) {
        struct digest digest = sample_digest(i);
        if (i % 3 == 1 && *keys != NULL)
            digest_of(*keys, strlen(*keys), &digest), keys++;
        digest_hex(&digest, hex);
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%s", i % 2 ? "\t" : "", hex,
                                i % 5 ? "\n" : "  # whose\r\n");
    }
    module_write(bench, name, text);
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* The key is in the table. */
static void table_with(struct heap_table *table, const char *key, bool revoked)
{
    struct sample_key sample;

    heap_table_open(table, 16, 200);
    sample_key_init(&sample, 1);
    digest_of(key, strlen(key), &sample.entry.digest);
    sample.entry.revoked = revoked;
    assert_int_equal(heap_table_put(table, &sample.entry), 0);
}

static void a_key_in_the_file_is_valid_with_and_without_a_table(void **state)
{
    struct module_bench *bench = *state;
    struct heap_table table;

    table_with(&table, OTHER, false);
    write_digests(bench, "glass", KEYS("first", GLASS, "third"));
    module_open_service(bench, "required = file @/glass\n");
    assert_int_equal(module_ask(bench, &table.writer.view, GLASS), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, NULL, GLASS), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, NULL, "first"), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, NULL, "third"), CATLATCH_VALID);
    assert_int_equal(module_recheck(bench, NULL, GLASS), CATLATCH_VALID);
    heap_table_close(&table);
}

static void a_key_that_is_not_in_the_file_is_not_found(void **state)
{
    struct module_bench *bench = *state;

    write_digests(bench, "glass", KEYS(GLASS));
    module_write(bench, "empty", "# nobody\n\n");
    module_open_service(bench, "required = file @/glass @/empty\n");
    assert_int_equal(module_ask(bench, NULL, OTHER), CATLATCH_NOT_FOUND);
    assert_int_equal(module_ask(bench, NULL, ""), CATLATCH_NOT_FOUND);
    module_open_service(bench, "required = file @/empty\n");
    assert_int_equal(module_ask(bench, NULL, GLASS), CATLATCH_NOT_FOUND);
}

static void a_text_too_long_for_a_key_is_malformed(void **state)
{
    struct module_bench *bench = *state;
    char text[KEY_FOREIGN_MAX + 2];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    write_digests(bench, "glass", KEYS(GLASS));
    module_open_service(bench, "required = file @/glass\n");
    assert_int_equal(module_ask(bench, NULL, text), CATLATCH_MALFORMED);
}

static void a_key_that_the_table_knows_is_denied_live_or_revoked(void **state)
{
    struct module_bench *bench = *state;
    struct heap_table table;

    write_digests(bench, "glass", KEYS(GLASS));
    module_open_service(bench, "required = file @/glass\n");
    for (int revoked = 0; revoked <= 1; revoked++) {
        table_with(&table, GLASS, revoked);
        assert_int_equal(module_ask(bench, &table.writer.view, GLASS), CATLATCH_DENIED);
        heap_table_close(&table);
    }
}

/* The use it is made for: the table decides where it can, the file where nobody knows the key. */
static void sufficient_before_table_grants_glass_and_leaves_the_rest_to_the_table(void **state)
{
    struct module_bench *bench = *state;
    struct heap_table table;

    write_digests(bench, "glass", KEYS(GLASS, "known"));
    module_open_service(bench, "sufficient = file @/glass\nrequired = table\n");
    table_with(&table, "known", true);
    assert_int_equal(module_ask(bench, &table.writer.view, GLASS), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, &table.writer.view, "known"), CATLATCH_REVOKED);
    assert_int_equal(module_ask(bench, &table.writer.view, OTHER), CATLATCH_NOT_FOUND);
    assert_int_equal(module_ask(bench, NULL, GLASS), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, NULL, OTHER), CATLATCH_UNAVAILABLE);
    heap_table_close(&table);
}

static void deny_refuses_what_the_table_grants_and_says_nothing_of_others(void **state)
{
    struct module_bench *bench = *state;
    struct heap_table table;

    table_with(&table, "leaked", false);
    module_write(bench, "deny", "");
    module_open_service(bench, "requisite = file deny=@/deny\nrequired = table\n");
    assert_int_equal(module_ask(bench, &table.writer.view, "leaked"), CATLATCH_VALID);
    write_digests(bench, "deny", KEYS("leaked"));
    module_open_service(bench, "requisite = file deny=@/deny\nrequired = table\n");
    assert_int_equal(module_ask(bench, &table.writer.view, "leaked"), CATLATCH_DENIED);
    assert_int_equal(module_recheck(bench, &table.writer.view, "leaked"), CATLATCH_DENIED);
    assert_int_equal(module_ask(bench, &table.writer.view, OTHER), CATLATCH_NOT_FOUND);
    assert_int_equal(module_ask(bench, NULL, OTHER), CATLATCH_UNAVAILABLE);
    heap_table_close(&table);
}

static void deny_alone_grants_nobody(void **state)
{
    struct module_bench *bench = *state;

    write_digests(bench, "deny", KEYS("leaked"));
    module_open_service(bench, "required = file deny=@/deny\n");
    assert_int_equal(module_ask(bench, NULL, OTHER), CATLATCH_DENIED);
    assert_int_equal(module_ask(bench, NULL, "leaked"), CATLATCH_DENIED);
}

static void deny_goes_before_a_grant_of_the_same_line(void **state)
{
    struct module_bench *bench = *state;

    write_digests(bench, "glass", KEYS(GLASS, "stolen"));
    write_digests(bench, "deny", KEYS("stolen"));
    module_open_service(bench, "required = file @/glass deny=@/deny\n");
    assert_int_equal(module_ask(bench, NULL, "stolen"), CATLATCH_DENIED);
    assert_int_equal(module_ask(bench, NULL, GLASS), CATLATCH_VALID);
    assert_int_equal(module_ask(bench, NULL, OTHER), CATLATCH_NOT_FOUND);
}

static void the_file_is_read_when_the_service_is_opened(void **state)
{
    struct module_bench *bench = *state;

    write_digests(bench, "glass", KEYS("before"));
    module_open_service(bench, "required = file @/glass\n");
    write_digests(bench, "glass", KEYS("after"));
    assert_int_equal(module_ask(bench, NULL, "before"), CATLATCH_VALID);
    module_open_service(bench, "required = file @/glass\n");
    assert_int_equal(module_ask(bench, NULL, "before"), CATLATCH_NOT_FOUND);
    assert_int_equal(module_ask(bench, NULL, "after"), CATLATCH_VALID);
}

static void a_bad_line_refuses_by_file_and_line_and_is_not_shown(void **state)
{
    static const char *const bad[] = {
        "cc_live_ThisIsAnExampleKeyAndItNeverVerifiesSample",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeg",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef  -",
    };
    struct module_bench *bench = *state;
    char text[256];

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "# one\n\n%s\n", bad[i]);
        module_write(bench, "glass", text);
        module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file @/glass\n",
                       "catlatch.ini:5: file: @/glass:3: not the SHA-256 of a key, which is 64 hex "
                       "digits; a comment begins with #");
        assert_null(strstr(bench->error.text, bad[i]));
        module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file deny=@/glass\n",
                       "file: @/glass:3: ");
    }
}

static void arguments_that_are_none_are_refused(void **state)
{
    struct module_bench *bench = *state;

    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file\n",
                   "wants the path of a file");
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file glass\n",
                   "\"glass\": the path of a file is wanted, from / on");
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file deny\n",
                   "the path of a file is wanted");
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file grant=@/glass\n",
                   "\"grant=\"");
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file @/none\n", "@/none");
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_IO, "required = file @\n", "@");
}

static void a_file_that_others_can_write_is_refused(void **state)
{
    struct module_bench *bench = *state;
    char path[96];

    write_digests(bench, "glass", KEYS(GLASS));
    assert_int_equal(chmod(module_path(bench, "glass", path), 0666), 0);
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_PERMISSION, "required = file @/glass\n",
                   "writable by");
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_PERMISSION, "required = file deny=@/glass\n",
                   "writable by");
}

static void a_file_of_somebody_else_is_refused(void **state)
{
    struct module_bench *bench = *state;
    char path[96];

    if (geteuid() != 0) {
        print_message("# skipped: only root can give a file away\n");
        skip();
    }
    write_digests(bench, "glass", KEYS(GLASS));
    assert_int_equal(chown(module_path(bench, "glass", path), 12345, 0), 0);
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_PERMISSION, "required = file @/glass\n",
                   "belongs to user 12345");
}

/* count digests, and a byte more than them in comments. */
static void write_many(const struct module_bench *bench, unsigned count)
{
    char path[96], hex[2 * DIGEST_BYTES + 1];
    FILE *file = fopen(module_path(bench, "glass", path), "we");

    assert_non_null(file);
    for (unsigned i = 0; i < count; i++) {
        struct digest digest = sample_digest(i);
        digest_hex(&digest, hex);
        fprintf(file, "%s\n", hex);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0644), 0);
}

static void what_is_read_is_bounded(void **state)
{
    struct module_bench *bench = *state;
    char path[96];

    write_many(bench, 65536);
    module_open_service(bench, "required = file @/glass\n");
    write_many(bench, 65537);
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file @/glass\n",
                   "@/glass:65537: more than 65536 digests");
    module_write(bench, "glass", "#");
    assert_int_equal(truncate(module_path(bench, "glass", path), 65536 * 128 + 1), 0);
    module_refuses(bench, STACK_HOST_ANY, CATLATCH_E_CONFIG, "required = file @/glass\n",
                   "@/glass: longer than 8388608 bytes");
}

/* It neither blocks nor writes: hosts that must not wait, and the daemon, run it. */
static void a_loop_and_the_daemon_may_run_it(void **state)
{
    struct module_bench *bench = *state;

    write_digests(bench, "glass", KEYS(GLASS));
    module_open_as(bench, STACK_HOST_LOOP, "required = file @/glass\n");
    assert_int_equal(module_ask(bench, NULL, GLASS), CATLATCH_VALID);
    module_open_as(bench, STACK_HOST_DAEMON, "required = file @/glass\n");
    assert_int_equal(module_ask(bench, NULL, GLASS), CATLATCH_VALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, module_bench_make, module_bench_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_in_the_file_is_valid_with_and_without_a_table),
        TEST(a_key_that_is_not_in_the_file_is_not_found),
        TEST(a_text_too_long_for_a_key_is_malformed),
        TEST(a_key_that_the_table_knows_is_denied_live_or_revoked),
        TEST(sufficient_before_table_grants_glass_and_leaves_the_rest_to_the_table),
        TEST(deny_refuses_what_the_table_grants_and_says_nothing_of_others),
        TEST(deny_alone_grants_nobody),
        TEST(deny_goes_before_a_grant_of_the_same_line),
        TEST(the_file_is_read_when_the_service_is_opened),
        TEST(a_bad_line_refuses_by_file_and_line_and_is_not_shown),
        TEST(arguments_that_are_none_are_refused),
        TEST(a_file_that_others_can_write_is_refused),
        TEST(a_file_of_somebody_else_is_refused),
        TEST(what_is_read_is_bounded),
        TEST(a_loop_and_the_daemon_may_run_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
