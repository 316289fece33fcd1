/* The lines of an import: what is taken, what is refused, and what becomes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../tools/catlatch/import_lines.h"
#include "../../tools/catlatch/import_spool.h"
#include "core/config_environments.h"

#define SHA "\"sha256\":\"5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5\""

static struct key_environments environments;
static struct import_rules rules = {.environments = &environments, .now_unix_s = 1800000000};
static struct json_arena arena;
static char words[IMPORT_WORDS_MAX];
static struct import_line line = {.words = words};
static struct error error;

static int set_up(void **state)
{
    (void)state;
    environments_default(&environments);
    rules.assumed_bits = 0;
    rules.force = false;
    return 0;
}

static int take(const char *text)
{
    return import_line_read(&rules, &arena, text, strlen(text), &line, &error);
}

static bool has(const char *expected)
{
    return memmem(line.words, line.len, expected, strlen(expected)) != NULL;
}

static void assert_taken(const char *text)
{
    if (take(text) != 0)
        fail_msg("%s: %s", text, error.text);
}

static void assert_refused(const char *text, const char *why)
{
    assert_int_equal(take(text), CATLATCH_E_DATA);
    if (strstr(error.text, why) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", text, error.text, why);
}

/* A key of ours, made for each test so that no scanner finds it here. */
static const char *make_key(char key[KEY_TEXT_MAX + 1])
{
    memcpy(key, "cc_live_", 8);
    memset(key + 8, 'a', KEY_RANDOM_LEN);
    key_check_digits(key, 8 + KEY_RANDOM_LEN, key + 8 + KEY_RANDOM_LEN);
    key[KEY_TEXT_MAX] = '\0';
    return key;
}

static void a_raw_key_leaves_its_digest_and_its_start(void **state)
{
    char key[KEY_TEXT_MAX + 1], text[256];
    struct digest digest;

    (void)state;
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"name\":\"n\"}", make_key(key));
    assert_taken(text);
    digest_of(key, KEY_TEXT_MAX, &digest);
    assert_true(digest_equal(&digest, &line.digest));
    assert_true(has("$6\r\nPREFIX\r\n$15\r\ncc_live_aaaaaaa\r\n$3\r\nENV\r\n$4\r\nlive\r\n"));
    assert_false(has("aaaaaaaaaaaaaaaaaa"));
    assert_false(line.foreign);
    assert_int_equal(line.word_count, 8);
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"name\":\"n\",\"environment\":\"test\"}", key);
    assert_refused(text, "environment is not that of the prefix");
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"name\":\"a %s b\"}", key, key);
    assert_refused(text, "name holds a whole key");
    key[KEY_TEXT_MAX - 1] ^= 1;
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"name\":\"n\"}", key);
    assert_refused(text, "check digits");
}

static void no_refusal_repeats_a_key(void **state)
{
    char key[KEY_TEXT_MAX + 1], text[256];

    (void)state;
    snprintf(text, sizeof text, "{\"name\":\"n\",\"%s\":1}", make_key(key));
    assert_refused(text, "field 2 of the line is unknown");
    assert_null(strstr(error.text, "aaaaaaaa"));
    assert_refused("{\"q7Zx9VbT2LmWq8Yc\":\"n\"}", "field 1 of the line is unknown");
    assert_refused("{\"nmae\":\"n\"}", "unknown field \"nmae\"; did you mean \"name\"?");
}

static void a_key_issued_elsewhere_needs_its_entropy(void **state)
{
    (void)state;
    assert_refused("{\"key\":\"sk-abc\",\"name\":\"n\"}", "--assume-bits");
    assert_refused("{" SHA ",\"name\":\"n\"}", "--assume-bits");
    assert_refused("{" SHA ",\"name\":\"n\",\"assumed_bits\":111}", "needs --force");
    assert_refused("{" SHA ",\"name\":\"n\",\"assumed_bits\":0}", "not from 1 to 4096");
    assert_refused("{" SHA ",\"name\":\"n\",\"assumed_bits\":\"128\"}", "no integer");
    assert_refused("{" SHA ",\"name\":\"n\",\"prefix\":\"cc_live_AbC\"}", "not 15 characters");
    assert_taken("{" SHA ",\"name\":\"n\",\"assumed_bits\":112}");
    assert_true(line.foreign && has("$4\r\nBITS\r\n$3\r\n112\r\n"));
    assert_false(has("ENV"));
    rules.assumed_bits = 80;
    assert_refused("{" SHA ",\"name\":\"n\"}", "needs --force");
    rules.force = true;
    assert_taken("{" SHA ",\"name\":\"n\",\"environment\":\"test\"}");
    assert_true(has("$3\r\nENV\r\n$4\r\ntest\r\n"));
    assert_taken("{" SHA ",\"name\":\"n\",\"prefix\":\"cc_live_AbCdEfG\"}");
    assert_false(line.foreign || has("BITS"));
}

static void states_become_what_is_stored(void **state)
{
    (void)state;
    rules.assumed_bits = 128;
    assert_taken("{" SHA ",\"name\":\"n\",\"state\":\"expired\",\"expires_at\":\"2026-01-01\"}");
    assert_false(has("STATE"));
    assert_refused("{" SHA ",\"name\":\"n\",\"state\":\"expired\",\"expires_at\":\"2099-01-01\"}",
                   "is not past");
    assert_refused("{" SHA ",\"name\":\"n\",\"state\":\"not_yet_valid\"}", "is not ahead");
    assert_refused("{" SHA ",\"name\":\"n\",\"state\":\"Active\"}", "is none of active");
    assert_refused("{" SHA ",\"name\":\"n\",\"state\":\"\"}", "is none of active");
    assert_taken("{" SHA ",\"name\":\"n\",\"revoked_at\":\"2026-01-01T00:00:00+01:00\"}");
    assert_true(has("$7\r\nrevoked\r\n$7\r\nREVOKED\r\n$20\r\n2025-12-31T23:00:00Z\r\n"));
    assert_taken("{" SHA ",\"name\":\"n\",\"state\":\"revoked\",\"disabled\":true}");
    assert_true(has("disabled") && has("revoked"));
    assert_refused("{" SHA ",\"name\":\"n\",\"revoke_reason\":\"leaked\"}", "not revoked");
}

static void null_is_as_good_as_nothing(void **state)
{
    (void)state;
    rules.assumed_bits = 128;
    assert_taken("{" SHA ",\"name\":\"n\",\"owner\":null,\"expires_at\":null,\"scopes\":null,"
                 "\"metadata\":{\"a\":\"\"},\"revoked_at\":null}");
    assert_int_equal(line.word_count, 6);
    assert_refused("{" SHA ",\"name\":null}", "no name");
    assert_refused("{" SHA ",\"name\":\"\"}", "name is empty");
    assert_refused("{" SHA ",\"name\":\"n\",\"owner\":\"\"}", "owner is empty");
}

static void networks_are_sent_in_their_one_form(void **state)
{
    (void)state;
    rules.assumed_bits = 128;
    assert_taken("{" SHA ",\"name\":\"n\",\"allowed_networks\":"
                 "[\"::ffff:192.0.2.1\",\"2001:0DB8::/32\"]}");
    assert_true(has("$5\r\nALLOW\r\n$12\r\n192.0.2.1/32\r\n"
                    "$5\r\nALLOW\r\n$13\r\n2001:db8::/32\r\n"));
    assert_taken("{" SHA ",\"name\":\"n\",\"allowed_networks\":null}");
    assert_false(has("ALLOW"));
    assert_refused("{" SHA ",\"name\":\"n\",\"allowed_networks\":[\"10.0.0.1/8\"]}",
                   "number 1 has bits set behind its prefix; the network is 10.0.0.0/8");
    assert_refused("{" SHA ",\"name\":\"n\",\"allowed_networks\":[\"::1\",\"\"]}",
                   "number 2 is no network");
    assert_refused("{" SHA ",\"name\":\"n\",\"allowed_networks\":[7]}", "no array of strings");
    assert_refused("{" SHA ",\"name\":\"n\",\"allowed_networks\":{}}", "no array of strings");
    assert_refused("{" SHA ",\"name\":\"n\",\"allowed_networks\":"
                   "[\"::ffff:192.0.2.1\",\"192.0.2.1/32\"]}",
                   "names one twice");
}

static void an_owner_has_a_line_of_its_own(void **state)
{
    (void)state;
    assert_taken("{\"suspended_owner\":\"al\",\"suspended_at\":\"2026-01-01T00:00:00Z\"}");
    assert_true(line.is_owner);
    assert_true(has("$9\r\nSUSPENDED\r\n$2\r\nal\r\n$2\r\nAT\r\n$20\r\n2026-01-01T00:00:00Z\r\n"));
    assert_refused("{\"suspended_owner\":\"al\",\"name\":\"n\"}", "suspended_at alone");
    assert_refused("{\"suspended_owner\":\"\"}", "is empty");
    assert_taken("{\"limited_owner\":\"al\",\"rates\":[\"5/1m\",\"9/1h\"]}");
    assert_true(line.is_owner);
    assert_true(
        has("$7\r\nLIMITED\r\n$2\r\nal\r\n$4\r\nRATE\r\n$4\r\n5/1m\r\n$4\r\nRATE\r\n$4\r\n9/1h"));
    assert_refused("{\"limited_owner\":\"al\",\"name\":\"n\"}", "rates alone");
    assert_refused("{\"limited_owner\":\"al\",\"rates\":[\"0/1m\"]}", "lets nothing through");
    assert_refused("{\"limited_owner\":\"\"}", "is empty");
    assert_refused("{\"limited_owner\":\"al\"}", "needs rates");
    assert_refused("{\"limited_owner\":\"al\",\"rates\":[]}", "needs rates");
}

/* The longest key that there can be, each character written as long as it can be, is one line. */
static void the_longest_key_fits(void **state)
{
    char *text = malloc(IMPORT_LINE_MAX), *end = text;

    (void)state;
    rules.assumed_bits = 128;
    end += sprintf(end, "{" SHA ",\"name\":\"");
    for (int i = 0; i < 255; i++)
        end += sprintf(end, "\\u0061");
    end += sprintf(end, "\",\"scopes\":[");
    for (int i = 0; i < 32; i++)
        end += sprintf(end, "%s\"%02d%061d\"", i > 0 ? "," : "", i, 0);
    end += sprintf(end, "],\"allowed_networks\":[");
    for (int i = 0; i < 32; i++)
        end += sprintf(end, "%s\"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff%02x/128\"", i > 0 ? "," : "",
                       i);
    end += sprintf(end, "],\"metadata\":{");
    for (int i = 0; i < 32; i++) {
        end += sprintf(end, "%s\"%02d%062d\":\"", i > 0 ? "," : "", i, 0);
        for (int n = 0; n < 1024; n++)
            end += sprintf(end, "\\u0061");
        end += sprintf(end, "\"");
    }
    end += sprintf(end, "},\"comment\":\"");
    for (int n = 0; n < 1024; n++)
        end += sprintf(end, "\\u0061");
    end += sprintf(end, "\"}");
    assert_in_range(end - text, 1, IMPORT_LINE_MAX);
    assert_taken(text);
    free(text);
}

static void doubles_are_found_whatever_they_begin_with(void **state)
{
    struct import_spool spool;
    struct import_reader reader;
    const struct import_frame *frame;

    (void)state;
    rules.assumed_bits = 128;
    assert_taken("{" SHA ",\"name\":\"n\"}");
    assert_int_equal(import_spool_open(&spool, &error), 0);
    /* Many that only begin alike, and a first word of nothing. */
    for (uint64_t i = 0; i < 5000; i++) {
        line.digest = (struct digest){{i / 1000, i, 0, 0}};
        line.id = i + 1;
        assert_int_equal(import_spool_add(&spool, &line, i + 1, &error), 0);
    }
    for (uint64_t i = 0; i < 5000; i += 77) {
        line.digest = (struct digest){{i / 1000, i, 0, 0}};
        line.id = 0;
        assert_int_equal(import_spool_add(&spool, &line, 6000, &error), CATLATCH_E_DATA);
        line.digest = (struct digest){{i / 1000, i, 0, 1}};
        line.id = i + 1;
        assert_int_equal(import_spool_add(&spool, &line, 6000, &error), CATLATCH_E_DATA);
        assert_non_null(strstr(error.text, "the id of line"));
    }
    assert_int_equal(import_spool_end(&spool, &error), 0);
    assert_int_equal(import_reader_open(&spool, &reader, &error), 0);
    for (uint64_t i = 0; i < 5000; i++) {
        assert_int_equal(import_reader_next(&reader, &frame, &error), 0);
        assert_int_equal(frame->line, i + 1);
        assert_memory_equal(frame + 1, line.words, line.len);
    }
    assert_int_equal(import_reader_next(&reader, &frame, &error), 0);
    assert_null(frame);
    import_reader_close(&reader);
    import_spool_close(&spool);
}

static void lines_come_one_by_one_and_long_ones_in_pieces(void **state)
{
    char path[] = "/tmp/catlatch-lines.XXXXXX";
    struct import_lines lines;
    const char *text;
    size_t len, long_len = 0;
    bool more = false;
    int fd = mkstemp(path), r;
    FILE *file = fdopen(fd, "w");

    (void)state;
    fprintf(file, "one\n\n");
    for (int i = 0; i < 3000000; i++)
        fputc('x', file);
    fprintf(file, "\nlast");
    fclose(file);
    assert_int_equal(import_lines_open(path, &lines, &error), 0);
    assert_int_equal(import_lines_next(&lines, &text, &len, &more, &error), 0);
    assert_true(len == 3 && memcmp(text, "one", 3) == 0 && !more && lines.number == 1);
    assert_int_equal(import_lines_next(&lines, &text, &len, &more, &error), 0);
    assert_true(len == 0 && text != NULL && lines.number == 2);
    do {
        r = import_lines_next(&lines, &text, &len, &more, &error);
        assert_int_equal(r, CATLATCH_E_DATA);
        long_len += len;
    } while (more);
    assert_int_equal(long_len, 3000000);
    assert_int_equal(lines.number, 3);
    assert_int_equal(import_lines_next(&lines, &text, &len, &more, &error), 0);
    assert_true(len == 4 && memcmp(text, "last", 4) == 0 && lines.number == 4);
    assert_int_equal(import_lines_next(&lines, &text, &len, &more, &error), 0);
    assert_null(text);
    import_lines_close(&lines);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_raw_key_leaves_its_digest_and_its_start, set_up),
        cmocka_unit_test_setup(no_refusal_repeats_a_key, set_up),
        cmocka_unit_test_setup(a_key_issued_elsewhere_needs_its_entropy, set_up),
        cmocka_unit_test_setup(states_become_what_is_stored, set_up),
        cmocka_unit_test_setup(null_is_as_good_as_nothing, set_up),
        cmocka_unit_test_setup(networks_are_sent_in_their_one_form, set_up),
        cmocka_unit_test_setup(an_owner_has_a_line_of_its_own, set_up),
        cmocka_unit_test_setup(the_longest_key_fits, set_up),
        cmocka_unit_test_setup(doubles_are_found_whatever_they_begin_with, set_up),
        cmocka_unit_test_setup(lines_come_one_by_one_and_long_ones_in_pieces, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
