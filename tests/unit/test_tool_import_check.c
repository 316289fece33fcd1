/* Lines that two threads check come out as if one had: held against one that does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tools/catlatch/import_check.h"
#include "core/config_environments.h"

/* Of a case: many blocks. */
#define LINES 6000u

/* Longer than this no case may hang. */
#define PATIENCE_S 120u

static struct key_environments environments;
static struct import_rules rules = {
    .environments = &environments, .now_unix_s = 1800000000, .assumed_bits = 128};
static struct error error;
static char path[] = "/tmp/catlatch-check.XXXXXX";
static FILE *file;
static unsigned threads_started;
static bool threads_fail;

typedef int creator(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* In place of the system's, for all of this program. */
int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *arg)
{
    creator *create = (creator *)(uintptr_t)dlsym(RTLD_NEXT, "pthread_create");

    if (threads_fail)
        return EAGAIN;
    threads_started++;
    return create(ret_thread, attributes, run, arg);
}

static int set_up(void **state)
{
    (void)state;
    alarm(PATIENCE_S);
    environments_default(&environments);
    threads_started = 0;
    threads_fail = false;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    file = fdopen(mkstemp(path), "w");
    return file != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    alarm(0);
    return unlink(path);
}

/* Lines. */

static void put_many(size_t count, char c)
{
    while (count-- > 0)
        putc(c, file);
}

static void put_good(unsigned number)
{
    fprintf(file, "{\"sha256\":\"%064x\",\"name\":\"key %u\"}\n", number, number);
}

/* Whose words take several times the room of its text. */
static void put_scopes(unsigned number)
{
    fprintf(file, "{\"sha256\":\"%064x\",\"name\":\"n\",\"scopes\":[", number);
    for (int i = 0; i < 32; i++)
        fprintf(file, "%s\"%c\"", i > 0 ? "," : "", 'A' + i % 26 + i / 26 * 32);
    fputs("]}\n", file);
}

static void put_one(unsigned number)
{
    switch (rand() % 400) {
    case 0:
        fprintf(file, "{\"sha256\":\"%064x\"}\n", number); /* no name */
        break;
    case 1:
        fputs("nonsense\n", file);
        break;
    case 2:
        fputs("\n \t\r\n", file);
        break;
    case 3: /* as long as a line can be, and a byte longer */
        put_many(IMPORT_LINE_MAX - (unsigned)rand() % 2, 'x');
        fputs(rand() % 2 > 0 ? "\n" : "x\n", file);
        break;
    case 4: /* more than is read at a time */
        put_many((size_t)rand() % 3000000, rand() % 2 > 0 ? 'x' : ' ');
        putc('\n', file);
        break;
    default:
        if (number / 500 % 2 > 0)
            put_scopes(number);
        else
            put_good(number);
    }
}

static void put_any(unsigned seed)
{
    srand(seed);
    for (unsigned i = 0; i < LINES; i++)
        put_one(i);
    fputs(seed % 2 > 0 ? "{\"no end" : "", file);
}

/* One thread, and one line after the other. */

struct reference {
    struct import_lines lines;
    struct json_arena arena;
    struct import_line line;
    char words[IMPORT_WORDS_MAX];
    const char *text;
    size_t len;
    bool more;
    int code;
    struct error error;
};

static bool reference_is_blank(const struct reference *reference)
{
    for (size_t i = 0; i < reference->len; i++)
        if (strchr(" \t\r", reference->text[i]) == NULL)
            return false;
    return true;
}

/* False at the end. */
static bool reference_next(struct reference *reference)
{
    reference->line.words = reference->words;
    do {
        reference->code = import_lines_next(&reference->lines, &reference->text, &reference->len,
                                            &reference->more, &reference->error);
        if (reference->code != 0)
            return true;
    } while (reference->text != NULL && reference_is_blank(reference));
    if (reference->text != NULL)
        reference->code = import_line_read(&rules, &reference->arena, reference->text,
                                           reference->len, &reference->line, &reference->error);
    return reference->text != NULL;
}

static void assert_same(const struct reference *reference, const struct import_checked *checked,
                        int code)
{
    assert_non_null(checked);
    assert_int_equal(checked->number, reference->lines.number);
    assert_int_equal(code, reference->code);
    assert_int_equal(code, checked->code);
    if (code != 0)
        assert_string_equal(error.text, reference->error.text);
    /* How much of a line that is too long was read first is chance. */
    if (code == 0 || reference->len <= IMPORT_LINE_MAX) {
        assert_int_equal(checked->len, reference->len);
        assert_memory_equal(checked->text, reference->text, checked->len);
    }
    if (code == 0) {
        assert_int_equal(checked->line.len, reference->line.len);
        assert_memory_equal(checked->line.words, reference->line.words, checked->line.len);
        assert_true(digest_equal(&checked->line.digest, &reference->line.digest));
    }
}

/* Goes past the rest of a line that is too long; returns its length. */
static size_t pass(struct import_lines *lines, size_t len, bool more)
{
    size_t total = len;
    const char *text;
    struct error ignored;

    while (more) {
        assert_int_equal(import_lines_next(lines, &text, &len, &more, &ignored), CATLATCH_E_DATA);
        total += len;
    }
    return total;
}

/* The lines from the descriptor, which are those of the file. */
static void compare(const char *from)
{
    struct reference *reference = calloc(1, sizeof *reference);
    struct import_lines lines;
    struct import_check *check;
    const struct import_checked *checked;

    assert_non_null(reference);
    assert_int_equal(import_lines_open(path, &reference->lines, &error), 0);
    assert_int_equal(import_lines_open(from, &lines, &error), 0);
    assert_int_equal(import_check_open(&rules, &lines, &check, &error), 0);
    while (reference_next(reference)) {
        int code = import_check_next(check, &checked, &error);
        assert_same(reference, checked, code);
        assert_int_equal(pass(&lines, checked->len, checked->more),
                         pass(&reference->lines, reference->len, reference->more));
        reference->more = false;
    }
    assert_int_equal(import_check_next(check, &checked, &error), 0);
    assert_null(checked);
    import_check_close(check);
    import_lines_close(&lines);
    import_lines_close(&reference->lines);
    free(reference);
}

static void lines_come_out_as_from_one_thread(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 6; seed++) {
        assert_int_equal(ftruncate(fileno(file), 0), 0);
        rewind(file);
        put_any(seed);
        fflush(file);
        compare(path);
    }
    fclose(file);
    assert_int_equal(threads_started, 6);
}

/* Writes the file in pieces of any length, most of them short; ends when nobody reads any more. */
static void feed(const int fds[2])
{
    char buffer[40000];
    ssize_t n;
    FILE *source = fopen(path, "re");

    close(fds[0]);
    while ((n = (ssize_t)fread(buffer, 1, 1 + (size_t)rand() % (rand() % 8 > 0 ? 900 : 40000),
                               source)) > 0)
        if (write(fds[1], buffer, (size_t)n) != n)
            _exit(1);
    _exit(0);
}

static void lines_that_come_piece_by_piece_come_out_as_from_one_thread(void **state)
{
    char from[32];
    int fds[2], status;

    (void)state;
    put_any(7);
    fclose(file);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0)
        feed(fds);
    close(fds[1]);
    snprintf(from, sizeof from, "/dev/fd/%d", fds[0]);
    compare(from);
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void one_thread_does_where_no_other_can_be_started(void **state)
{
    (void)state;
    threads_fail = true;
    put_any(8);
    fclose(file);
    compare(path);
    assert_int_equal(threads_started, 0);
}

static void few_lines_need_no_thread(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++)
        put_good(i);
    fclose(file);
    compare(path);
    assert_int_equal(threads_started, 0);
}

static void expect_good(struct import_check *check, unsigned from, unsigned to)
{
    const struct import_checked *checked;

    for (unsigned i = from; i <= to; i++) {
        if (import_check_next(check, &checked, &error) != 0)
            fail_msg("line %u: %s", i, error.text);
        assert_non_null(checked);
        assert_int_equal(checked->number, i);
    }
}

/* The writer writes no more until they were; alarm() ends who waits. */
static void what_was_read_comes_out_before_input_is_waited_for(void **state)
{
    static const char begun[] = "{\"sha256\":\"", rest[] = "\"}\n";
    struct import_check *check;
    struct import_lines lines;
    const struct import_checked *checked;
    char name[32], line[160];
    unsigned number = 0;
    int fds[2];

    (void)state;
    fclose(file);
    assert_int_equal(pipe(fds), 0);
    snprintf(name, sizeof name, "/dev/fd/%d", fds[0]);
    assert_int_equal(import_lines_open(name, &lines, &error), 0);
    assert_int_equal(import_check_open(&rules, &lines, &check, &error), 0);
    for (unsigned count = 1; count < 500; count += 83) {
        unsigned first = number + 1;
        for (unsigned i = 0; i < count; i++) {
            int len =
                snprintf(line, sizeof line, "{\"sha256\":\"%064x\",\"name\":\"n\"}\n", number);
            assert_int_equal(write(fds[1], line, (size_t)len), len);
            number++;
        }
        assert_int_equal(write(fds[1], begun, sizeof begun - 1), sizeof begun - 1);
        expect_good(check, first, number);
        assert_int_equal(write(fds[1], rest, sizeof rest - 1), sizeof rest - 1);
        number++;
        assert_int_equal(import_check_next(check, &checked, &error), CATLATCH_E_DATA);
        assert_int_equal(checked->number, number);
        assert_string_equal(error.text, "sha256 is not 64 hex digits");
    }
    import_check_close(check);
    import_lines_close(&lines);
    close(fds[0]);
    close(fds[1]);
}

static void reading_that_fails_is_told_of_behind_the_lines_before(void **state)
{
    struct import_check *check;
    struct import_lines lines;
    const struct import_checked *checked;
    int folder = open("/tmp", O_RDONLY | O_CLOEXEC);

    (void)state;
    for (unsigned i = 1; i <= 3000; i++)
        if (i == 2000)
            fputs("{}\n", file);
        else
            put_good(i);
    fputs("{\"half", file);
    fclose(file);
    assert_int_equal(import_lines_open(path, &lines, &error), 0);
    assert_int_equal(import_lines_fill(&lines, &error), 0);
    assert_int_equal(dup2(folder, lines.fd), lines.fd);
    assert_int_equal(import_check_open(&rules, &lines, &check, &error), 0);
    expect_good(check, 1, 1999);
    assert_int_equal(import_check_next(check, &checked, &error), CATLATCH_E_DATA);
    assert_int_equal(checked->number, 2000);
    expect_good(check, 2001, 3000);
    assert_int_equal(import_check_next(check, &checked, &error), CATLATCH_E_IO);
    assert_null(checked);
    assert_non_null(strstr(error.text, "reading /tmp/catlatch-check."));
    import_check_close(check);
    import_lines_close(&lines);
    close(folder);
}

static void assert_gone(const void *memory, size_t size, const char *text)
{
    assert_null(memmem(memory, size, text, strlen(text)));
}

static void a_block_that_is_cleared_holds_nothing_of_its_lines(void **state)
{
    static const char key[] = "sk-a-key-of-somebody-elses", name[] = "the name of the key";
    struct import_block *block = calloc(1, sizeof *block);
    struct json_arena *arena = calloc(1, sizeof *arena);
    struct import_lines lines;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        fprintf(file, "{\"key\":\"%s\",\"name\":\"%s\"%s}\n", key, name, i == 60 ? ",\"x\":1" : "");
    fclose(file);
    assert_non_null(block);
    assert_non_null(arena);
    assert_int_equal(import_lines_open(path, &lines, &error), 0);
    assert_int_equal(import_block_fill(block, &lines, true, &error), 0);
    assert_int_equal(block->line_count, 100);
    import_block_check(block, &rules, arena);
    assert_int_equal(block->checked, 61);
    assert_gone(arena, sizeof *arena, key);
    assert_gone(block->words, sizeof block->words, key);
    assert_non_null(memmem(block->text, sizeof block->text, key, strlen(key)));
    assert_non_null(memmem(block->words, sizeof block->words, name, strlen(name)));
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(import_block_next(block, &rules, arena)->number, i + 1);
    assert_null(import_block_next(block, &rules, arena));
    assert_int_equal(import_lines_fill(&lines, &error), 0);
    assert_gone(lines.buffer, lines.size, key);
    import_block_clear(block);
    assert_gone(block, sizeof *block, key);
    assert_gone(block, sizeof *block, name);
    import_lines_close(&lines);
    free(arena);
    free(block);
}

/* Wherever the others are: blocks that wait, and one that is being checked. */
static void it_can_be_closed_before_the_end(void **state)
{
    struct import_check *check;
    struct import_lines lines;

    (void)state;
    for (unsigned i = 1; i <= LINES; i++)
        put_good(i);
    fclose(file);
    for (unsigned taken = 0; taken < LINES; taken += 97) {
        assert_int_equal(import_lines_open(path, &lines, &error), 0);
        assert_int_equal(import_check_open(&rules, &lines, &check, &error), 0);
        expect_good(check, 1, taken);
        import_check_close(check);
        import_lines_close(&lines);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_come_out_as_from_one_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_that_come_piece_by_piece_come_out_as_from_one_thread,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_thread_does_where_no_other_can_be_started, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(few_lines_need_no_thread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_read_comes_out_before_input_is_waited_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(reading_that_fails_is_told_of_behind_the_lines_before,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_block_that_is_cleared_holds_nothing_of_its_lines, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_can_be_closed_before_the_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
