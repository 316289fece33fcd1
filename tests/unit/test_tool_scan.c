#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../tools/catlatch/scan.h"

#define BODY "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
#define LIVE_KEY "cc_live_" BODY "0YCLTR"
#define TEST_KEY "cc_test_" BODY "1XxOx0"
#define SHORT_KEY "ab_00000000000000000000000000000000000015X3s2"

static const struct key_environments environments = {
    .count = 3,
    .list = {{"live", "cc_live_"}, {"test", "cc_test_"}, {"short", "ab_"}},
};

/* What a scan found, as "LINE:COLUMN ENVIRONMENT" and a blank each. */
struct findings {
    char text[1024];
    size_t count;
};

static void on_found(void *context, const struct scan_finding *finding)
{
    struct findings *findings = context;
    size_t used = strlen(findings->text);

    assert_true(key_is_well_formed(&environments, finding->text, finding->len));
    findings->count++;
    snprintf(findings->text + used, sizeof findings->text - used, "%d:%d %s ", (int)finding->line,
             (int)finding->column, finding->environment->name);
}

/* In blocks of the given size, each a heap block of its own, so that ASan sees its ends. */
static void scan_in_blocks(const char *text, size_t len, size_t block_size,
                           struct findings *ret_findings)
{
    struct scan_rules rules;
    struct scan scan;
    size_t at = 0, done = 0;

    memset(ret_findings, 0, sizeof *ret_findings);
    scan_rules_make(&environments, &rules);
    scan_begin(&rules, &scan);
    do {
        size_t size = len - at < block_size ? len - at : block_size;
        bool at_end = at + size == len;
        char *block = malloc(size > 0 ? size : 1);
        assert_non_null(block);
        memcpy(block, text + at, size);
        done = scan_block(&scan, block, size, at_end, on_found, ret_findings);
        free(block);
        assert_true(size - done <= KEY_TEXT_MAX);
        at += done;
        if (at_end)
            break;
    } while (true);
    assert_int_equal(at, len);
}

static void assert_found(const char *text, const char *expected)
{
    struct findings findings;

    scan_in_blocks(text, strlen(text), SIZE_MAX, &findings);
    assert_string_equal(findings.text, expected);
}

static void a_key_is_found_between_whatever_ends_a_token(void **state)
{
    (void)state;
    assert_found(LIVE_KEY, "1:1 live ");
    assert_found(TEST_KEY "\n", "1:1 test ");
    assert_found(SHORT_KEY, "1:1 short ");
    assert_found("key = \"" LIVE_KEY "\";", "1:8 live ");
    assert_found("'" LIVE_KEY "'", "1:2 live ");
    assert_found("<" LIVE_KEY ">", "1:2 live ");
    assert_found("https://x.example/?key=" LIVE_KEY "&a=b", "1:24 live ");
    assert_found("https://u:" LIVE_KEY "@x.example/", "1:11 live ");
    assert_found(LIVE_KEY "-" TEST_KEY "_" SHORT_KEY, "1:1 live 1:52 test 1:103 short ");
    assert_found("\xC3\xA4" LIVE_KEY "\xE2\x80\xA6", "1:3 live ");
}

static void letters_before_a_key_do_not_hide_it(void **state)
{
    (void)state;
    assert_found("{\"text\": \"a\\n" LIVE_KEY "\\n\"}", "1:14 live ");
    assert_found("?q=key%3D" LIVE_KEY "%26", "1:10 live ");
    assert_found("x" LIVE_KEY, "1:2 live ");
}

static void what_stands_behind_a_key_does_not_hide_it(void **state)
{
    char text[] = LIVE_KEY "?";

    (void)state;
    for (int byte = 1; byte < 256; byte++) {
        text[50] = (char)byte;
        assert_found(text, "1:1 live ");
    }
    assert_found(LIVE_KEY LIVE_KEY, "1:1 live 1:51 live ");
}

static void candidates_that_overlap_are_all_looked_at(void **state)
{
    (void)state;
    assert_found("cc_live_" LIVE_KEY, "1:9 live ");
    assert_found("cc_live_cc_test_cc_" TEST_KEY "cc_live_", "1:20 test ");
    assert_found("cc_cc_cc_live_cc_liv" SHORT_KEY, "1:21 short ");
}

static void what_only_looks_like_a_key_is_none(void **state)
{
    (void)state;
    assert_found(KEY_EXAMPLE, "");
    assert_found("cc_live_" BODY "0YCLTS", "");
    assert_found("cc_test_" BODY "0YCLTR", "");
    assert_found("cc_Live_" BODY "0YCLTR", "");
    assert_found("cc_live_" BODY "0YCLT", "");
    assert_found("", "");
    assert_found("cc_live_", "");
}

static void lines_and_columns_are_counted_in_bytes(void **state)
{
    char text[20000]; /* more line breaks in a row than a byte counts in any lane */

    (void)state;
    assert_found("\n\n  " LIVE_KEY "\r\n" TEST_KEY " " TEST_KEY, "3:3 live 4:1 test 4:52 test ");
    memset(text, '\n', sizeof text);
    memcpy(text + 19900, "  " LIVE_KEY, 52);
    text[19999] = '\0';
    assert_found(text, "19901:3 live ");
}

static void zero_bytes_are_bytes_as_others(void **state)
{
    static const char text[] = "\0\0" LIVE_KEY "\0" TEST_KEY;
    struct findings findings;

    (void)state;
    scan_in_blocks(text, sizeof text, SIZE_MAX, &findings);
    assert_string_equal(findings.text, "1:3 live 1:54 test ");
}

static void a_key_is_found_wherever_blocks_are_cut(void **state)
{
    char text[400];
    struct findings findings;

    (void)state;
    for (size_t at = 0; at < 120; at++) {
        memset(text, '.', sizeof text);
        memset(text, '\n', at / 2);
        memcpy(text + at, LIVE_KEY, 50);
        memcpy(text + at + 60, "cc_live_" SHORT_KEY, 53);
        for (size_t size = SCAN_BLOCK_MIN; size < 240; size++) {
            scan_in_blocks(text, sizeof text, size, &findings);
            assert_int_equal(findings.count, 2);
        }
    }
}

static void a_key_at_the_very_end_is_found_at_every_length(void **state)
{
    char text[300];
    struct findings findings;

    (void)state;
    memset(text, 'c', sizeof text);
    memcpy(text + sizeof text - 45, SHORT_KEY, 45);
    for (size_t len = 45; len <= sizeof text; len++) {
        scan_in_blocks(text + sizeof text - len, len, SIZE_MAX, &findings);
        assert_int_equal(findings.count, 1);
    }
    for (size_t len = 0; len < sizeof text; len++) {
        scan_in_blocks(text, len, SIZE_MAX, &findings);
        assert_int_equal(findings.count, 0);
    }
}

/* The obvious way: every place, every line break. */
static void scan_plainly(const char *text, size_t len, struct findings *ret_findings)
{
    struct scan_finding finding = {.line = 1, .column = 1};

    memset(ret_findings, 0, sizeof *ret_findings);
    for (size_t at = 0; at < len; at++) {
        for (size_t n = 45; n <= 50 && n <= len - at; n++) {
            if (!key_is_well_formed(&environments, text + at, n))
                continue;
            finding.text = text + at;
            finding.len = n;
            finding.environment = key_environment_of(&environments, text + at, n);
            on_found(ret_findings, &finding);
        }
        finding.column++;
        if (text[at] == '\n') {
            finding.line++;
            finding.column = 1;
        }
    }
}

static void it_finds_what_the_obvious_way_finds(void **state)
{
    static const char *const pieces[] = {LIVE_KEY, TEST_KEY, SHORT_KEY, "cc_", "cc_live_",
                                         "_",      "\n",     "x",       ".",   BODY};
    unsigned noise = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[1024] = "";
        struct findings plain, found;
        for (int i = 0; i < 12; i++) {
            noise = noise * 1664525 + 1013904223;
            strcat(text, pieces[(noise >> 16) % (sizeof pieces / sizeof *pieces)]);
        }
        scan_plainly(text, strlen(text), &plain);
        scan_in_blocks(text, strlen(text), SCAN_BLOCK_MIN + (noise >> 24), &found);
        assert_string_equal(found.text, plain.text);
    }
}

static void prefixes_that_begin_alike_share_a_lead(void **state)
{
    static const struct key_environments others = {
        .count = 4,
        .list = {{"a", "acme_"}, {"b", "acne_"}, {"c", "acmes_"}, {"d", "ab_"}},
    };
    static const struct key_environments none = {.count = 0};
    struct scan_rules rules;
    struct findings findings = {0};
    struct scan scan;

    (void)state;
    scan_rules_make(&environments, &rules);
    assert_int_equal(rules.lead_count, 2);
    assert_int_equal(rules.leads[0].distance, 2);
    scan_rules_make(&others, &rules);
    assert_int_equal(rules.lead_count, 3);
    assert_int_equal(rules.leads[0].distance, 3);
    assert_int_equal(rules.leads[0].last, 'e');
    scan_rules_make(&none, &rules);
    scan_begin(&rules, &scan);
    assert_int_equal(scan_block(&scan, LIVE_KEY, 50, true, on_found, &findings), 50);
    assert_int_equal(findings.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_found_between_whatever_ends_a_token),
        cmocka_unit_test(letters_before_a_key_do_not_hide_it),
        cmocka_unit_test(what_stands_behind_a_key_does_not_hide_it),
        cmocka_unit_test(candidates_that_overlap_are_all_looked_at),
        cmocka_unit_test(what_only_looks_like_a_key_is_none),
        cmocka_unit_test(lines_and_columns_are_counted_in_bytes),
        cmocka_unit_test(zero_bytes_are_bytes_as_others),
        cmocka_unit_test(a_key_is_found_wherever_blocks_are_cut),
        cmocka_unit_test(a_key_at_the_very_end_is_found_at_every_length),
        cmocka_unit_test(it_finds_what_the_obvious_way_finds),
        cmocka_unit_test(prefixes_that_begin_alike_share_a_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
