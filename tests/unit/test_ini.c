/* test_ini.c - core/ini.h: what is refused, where the error says it is, and what comes through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ini.h>

#include "core/ini.h"

/* What was visited, as text: "1[a] 2 a.b=c " */
struct log {
    char text[1024];
    int fail_with;
};

static int visit(void *context, const struct ini_event *event, struct error *error)
{
    struct log *log = context;
    size_t len = strlen(log->text);

    assert_string_equal(event->file, "a.ini");
    if (event->name == NULL)
        snprintf(log->text + len, sizeof log->text - len, "%u[%s] ", event->line, event->section);
    else
        snprintf(log->text + len, sizeof log->text - len, "%u %s.%s=%s ", event->line,
                 event->section, event->name, event->value);
    if (log->fail_with != 0 && event->name != NULL)
        return error_set(error, log->fail_with, "the visitor says no");
    return 0;
}

static int read_bytes(const char *bytes, size_t len, struct log *log, struct error *error)
{
    FILE *stream = fmemopen((void *)(uintptr_t)bytes, len, "r");
    int r;

    assert_non_null(stream);
    r = ini_read(stream, "a.ini", visit, log, error);
    fclose(stream);
    return r;
}

static void expect(const char *text, const char *events)
{
    struct log log = {.text = ""};
    struct error error = {.text = ""};
    int r = read_bytes(text, strlen(text), &log, &error);

    if (r != 0)
        fail_msg("refused: %s", error.text);
    assert_string_equal(log.text, events);
}

static void expect_refused_bytes(const char *bytes, size_t len, const char *message)
{
    struct log log = {.text = ""};
    struct error error = {.text = ""};

    assert_int_equal(read_bytes(bytes, len, &log, &error), CATLATCH_E_CONFIG);
    assert_int_equal(error.code, CATLATCH_E_CONFIG);
    if (strncmp(error.text, message, strlen(message)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", error.text, message);
}

static void expect_refused(const char *text, const char *message)
{
    expect_refused_bytes(text, strlen(text), message);
}

static void sections_and_keys_come_in_order_with_their_lines(void **state)
{
    (void)state;
    expect("[a]\nb = c\nb=d\n\n[e f]\ng=h", "1[a] 2 a.b=c 3 a.b=d 5[e f] 6 e f.g=h ");
}

static void a_header_is_seen_each_time_it_stands(void **state)
{
    (void)state;
    expect("[a]\n[b]\n[a]\n", "1[a] 2[b] 3[a] ");
}

static void a_file_without_settings_is_no_error(void **state)
{
    (void)state;
    expect("\n", "");
    expect("# only\n;comments\n \t \n", "");
}

static void comments_are_left_out_and_semicolons_in_words_are_not(void **state)
{
    (void)state;
    expect("# x = y\n;[c]\n[a] ; note\nb = c ; d = e\nf = g;h\ni = #j\n",
           "3[a] 4 a.b=c 5 a.f=g;h 6 a.i=#j ");
    expect("[a]\nb = ; nothing\nc =\nd =;x\n", "1[a] 2 a.b= 3 a.c= 4 a.d=;x ");
}

static void blanks_and_tabs_around_names_and_values_do_not_count(void **state)
{
    (void)state;
    expect("[a]\t\nb\t =\tc d \t\ne=f\t; note\n", "1[a] 2 a.b=c d 3 a.e=f ");
}

static void values_may_hold_what_separates_elsewhere(void **state)
{
    (void)state;
    expect("[a]\nb = c=d:e [f]\ng = \xC3\xA0\n", "1[a] 2 a.b=c=d:e [f] 3 a.g=\xC3\xA0 ");
}

static void a_rule_in_brackets_is_refused_where_inih_drops_it(void **state)
{
    (void)state;
    expect_refused("[service a]\nrequired = table\n[valid=ok default=die] = format\n",
                   "a.ini:3: text after the section's ']'");
    expect_refused("[a] b\n", "a.ini:1: text after the section's ']'");
    expect_refused("[a]b = c\n", "a.ini:1: text after the section's ']'");
    expect_refused("[a]]\n", "a.ini:1: text after the section's ']'");
    expect_refused("[a];b\n", "a.ini:1: text after the section's ']'");
}

static void headers_that_are_not_whole_are_refused(void **state)
{
    (void)state;
    expect_refused("[a\nb = c\n", "a.ini:1: the section's ']' is missing");
    expect_refused("[a ;]\n", "a.ini:1: the section's ']' is missing");
    expect_refused("[]\n", "a.ini:1: the section has no name");
    expect_refused("[a\tb]\n", "a.ini:1: a tab in the section's name");
}

static void an_indented_line_is_refused_where_inih_repeats_the_key(void **state)
{
    (void)state;
    expect_refused("[a]\nb = c\n  d\n", "a.ini:3: the line is indented");
    expect_refused("[a]\n\tb = c\n", "a.ini:2: the line is indented");
    expect_refused("[a]\n ; c\n", "a.ini:2: the line is indented");
    expect_refused(" [a]\n", "a.ini:1: the line is indented");
}

static void text_without_equals_sign_is_refused(void **state)
{
    (void)state;
    expect_refused("[a]\nb\n", "a.ini:2: text without '='");
    expect_refused("[a]\nb ; c = d\n", "a.ini:2: text without '='");
    expect_refused("[a]\n= b\n", "a.ini:2: a value without a name");
}

static void a_colon_is_no_separator(void **state)
{
    (void)state;
    expect_refused("[a]\nb: c\n", "a.ini:2: ':' does not separate");
    expect_refused("[a]\nb:c = d\n", "a.ini:2: ':' does not separate");
}

static void a_setting_before_any_section_is_refused(void **state)
{
    (void)state;
    expect_refused("# x\nb = c\n[a]\n", "a.ini:2: a setting before the first [section]");
}

/* prefix, count times 'x', suffix. */
static char *filled(const char *prefix, size_t count, const char *suffix)
{
    size_t len = strlen(prefix);
    char *text = test_malloc(len + count + strlen(suffix) + 1);

    memcpy(text, prefix, len);
    memset(text + len, 'x', count);
    strcpy(text + len + count, suffix);
    return text;
}

static void a_line_is_whole_up_to_its_bound_and_refused_beyond(void **state)
{
    char *fits = filled("[a]\nb=", INI_LINE_MAX - 2, "\n");
    char *over = filled("[a]\nb=", INI_LINE_MAX - 1, "\n");
    char *comment = filled("[a]\n#", INI_LINE_MAX, "");
    char *events = filled("1[a] 2 a.b=", INI_LINE_MAX - 2, " ");

    (void)state;
    expect(fits, events);
    expect_refused(over, "a.ini:2: the line is longer than 190 bytes");
    expect_refused(comment, "a.ini:2: the line is longer than 190 bytes");
    test_free(fits);
    test_free(over);
    test_free(comment);
    test_free(events);
}

static void names_are_whole_up_to_their_bound_and_refused_beyond(void **state)
{
    char *fits = filled("[", INI_NAME_MAX, "]\n");
    char *over = filled("[", INI_NAME_MAX + 1, "]\n");
    char *key = filled("[a]\n", INI_NAME_MAX, "=b\n");
    char *key_over = filled("[a]\n", INI_NAME_MAX + 1, "=b\n");
    char *events = filled("1[", INI_NAME_MAX, "] ");
    char *key_events = filled("1[a] 2 a.", INI_NAME_MAX, "=b ");

    (void)state;
    expect(fits, events);
    expect(key, key_events);
    expect_refused(over, "a.ini:1: the section's name is longer than 48 bytes");
    expect_refused(key_over, "a.ini:2: the name is longer than 48 bytes");
    test_free(fits);
    test_free(over);
    test_free(key);
    test_free(key_over);
    test_free(events);
    test_free(key_events);
}

static void bytes_that_are_no_text_are_refused(void **state)
{
    (void)state;
    expect_refused_bytes("[a]\nb=\0c\n", 9, "a.ini:2: a NUL byte");
    expect_refused_bytes("[a]\n#\0\n", 7, "a.ini:2: a NUL byte");
    expect_refused("[a]\nb = \x01\n", "a.ini:2: a control character");
    expect_refused("[a]\n# \x1b[0m\n", "a.ini:2: a control character");
    expect_refused("[a]\nb = \x7f\n", "a.ini:2: a control character");
    expect_refused("[a]\nb = \xff\n", "a.ini:2: a control character, or text that is not UTF-8");
    expect_refused("[a]\nb = \xC3\n", "a.ini:2: a control character, or text that is not UTF-8");
    expect_refused("[a]\r\nb = c\r\n", "a.ini:1: the line ends in CR LF");
    expect_refused("[a]\nb = c\rd\n", "a.ini:2: a control character");
    expect_refused("\xEF\xBB\xBF[a]\n", "a.ini:1: the file begins with a byte order mark");
    expect_refused("[a]\nb = c\td\n", "a.ini:2: a tab inside a name or value");
    expect_refused("[a]\nb\tc = d\n", "a.ini:2: a tab inside a name or value");
}

static void a_visitor_that_fails_ends_the_reading_with_its_error_and_place(void **state)
{
    static const char TEXT[] = "[a]\nb = c\nd = e\n[f]\n";
    struct log log = {.fail_with = CATLATCH_E_MEMORY};
    struct error error = {.text = ""};

    (void)state;
    assert_int_equal(read_bytes(TEXT, sizeof TEXT - 1, &log, &error), CATLATCH_E_MEMORY);
    assert_string_equal(error.text, "a.ini:2: the visitor says no");
    assert_string_equal(log.text, "1[a] 2 a.b=c ");
}

static void a_stream_that_cannot_be_read_is_an_io_error(void **state)
{
    FILE *folder = fopen("/", "r");
    struct log log = {.text = ""};
    struct error error = {.text = ""};

    (void)state;
    assert_non_null(folder);
    assert_int_equal(ini_read(folder, "a.ini", visit, &log, &error), CATLATCH_E_IO);
    assert_memory_equal(error.text, "a.ini: cannot read it", 21);
    fclose(folder);
}

static void switches_that_the_host_set_in_inih_change_nothing_silently(void **state)
{
    static char hash[] = "#";
    char *start = ini_start_comment_prefixes;
    char *within = ini_inline_comment_prefixes;

    (void)state;
    ini_allow_inline_comments = false;
    ini_allow_multiline = false;
    expect("[a]\nb = c ; d\n", "1[a] 2 a.b=c ");
    ini_allow_inline_comments = true;
    ini_inline_comment_prefixes = hash;
    expect_refused("[a]\nb = c #d\n", "a.ini:2: inih, set up by this process, reads this line as");
    ini_inline_comment_prefixes = within;
    ini_start_comment_prefixes = (char[]){"r"};
    expect_refused("[a]\nrequired = table\nb = c\n",
                   "a.ini:2: inih, set up by this process, does not see this line");
    expect_refused("[a]\nrequired = table\n",
                   "a.ini:2: inih, set up by this process, does not see this line");
    ini_start_comment_prefixes = start;
    ini_use_stack = false;
    ini_initial_alloc = 8;
    expect_refused("[a]\nb = cdefghi\n", "a.ini:2: inih, set up by this process, takes no line of");
    ini_initial_alloc = 200;
    ini_use_stack = true;
    ini_allow_multiline = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_and_keys_come_in_order_with_their_lines),
        cmocka_unit_test(a_header_is_seen_each_time_it_stands),
        cmocka_unit_test(a_file_without_settings_is_no_error),
        cmocka_unit_test(comments_are_left_out_and_semicolons_in_words_are_not),
        cmocka_unit_test(blanks_and_tabs_around_names_and_values_do_not_count),
        cmocka_unit_test(values_may_hold_what_separates_elsewhere),
        cmocka_unit_test(a_rule_in_brackets_is_refused_where_inih_drops_it),
        cmocka_unit_test(headers_that_are_not_whole_are_refused),
        cmocka_unit_test(an_indented_line_is_refused_where_inih_repeats_the_key),
        cmocka_unit_test(text_without_equals_sign_is_refused),
        cmocka_unit_test(a_colon_is_no_separator),
        cmocka_unit_test(a_setting_before_any_section_is_refused),
        cmocka_unit_test(a_line_is_whole_up_to_its_bound_and_refused_beyond),
        cmocka_unit_test(names_are_whole_up_to_their_bound_and_refused_beyond),
        cmocka_unit_test(bytes_that_are_no_text_are_refused),
        cmocka_unit_test(a_visitor_that_fails_ends_the_reading_with_its_error_and_place),
        cmocka_unit_test(a_stream_that_cannot_be_read_is_an_io_error),
        cmocka_unit_test(switches_that_the_host_set_in_inih_change_nothing_silently),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
