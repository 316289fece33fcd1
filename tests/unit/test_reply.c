/* Replies as they go out, in both protocols. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/reply.h"

#define SECRET "a secret that is told once"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FREE_IS_TAKEN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FREE_IS_TAKEN 1
#endif
#endif
#ifndef FREE_IS_TAKEN
#define FREE_IS_TAKEN 0
#endif

static volatile unsigned freed_with_secret; /* compilers think that they know free */

#if !FREE_IS_TAKEN
void __libc_free(void *block);

/* In front of libc's: looks at what is given back. */
void free(void *block)
{
    if (block != NULL &&
        memmem(block, malloc_usable_size(block), SECRET, sizeof SECRET - 1) != NULL)
        freed_with_secret++;
    __libc_free(block);
}
#endif

static void expect(struct reply *reply, const char *wanted)
{
    assert_false(reply->failed);
    assert_int_equal(reply->len, strlen(wanted));
    assert_memory_equal(reply->bytes, wanted, reply->len);
    reply_cut(reply, 0);
}

static void values_are_written_as_resp2(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    reply_map(&reply, 2);
    expect(&reply, "*4\r\n");
    reply_array(&reply, 3);
    expect(&reply, "*3\r\n");
    reply_null(&reply);
    expect(&reply, "$-1\r\n");
    reply_bool(&reply, true);
    reply_bool(&reply, false);
    expect(&reply, ":1\r\n:0\r\n");
    reply_word(&reply, NULL);
    expect(&reply, "$-1\r\n");
    reply_free(&reply);
}

static void values_are_written_as_resp3(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    reply.protocol = 3;
    reply_map(&reply, 2);
    expect(&reply, "%2\r\n");
    reply_array(&reply, 3);
    expect(&reply, "*3\r\n");
    reply_null(&reply);
    expect(&reply, "_\r\n");
    reply_bool(&reply, true);
    reply_bool(&reply, false);
    expect(&reply, "#t\r\n#f\r\n");
    reply_free(&reply);
}

static void strings_and_numbers_are_the_same_in_both(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    for (reply.protocol = 2; reply.protocol <= 3; reply.protocol++) {
        reply_bulk(&reply, "a\r\n", 3);
        expect(&reply, "$3\r\na\r\n\r\n");
        reply_bulk(&reply, NULL, 0);
        expect(&reply, "$0\r\n\r\n");
        reply_word(&reply, "hello");
        expect(&reply, "$5\r\nhello\r\n");
        reply_simple(&reply, "OK");
        expect(&reply, "+OK\r\n");
        reply_integer(&reply, INT64_MIN);
        expect(&reply, ":-9223372036854775808\r\n");
        reply_integer(&reply, -1);
        reply_integer(&reply, 0);
        reply_integer(&reply, INT64_MAX);
        expect(&reply, ":-1\r\n:0\r\n:9223372036854775807\r\n");
        reply_count(&reply, UINT64_MAX);
        expect(&reply, ":9223372036854775807\r\n");
    }
    reply_free(&reply);
}

static void an_error_is_one_line_whatever_it_says(void **state)
{
    struct reply reply;
    char text[2048];

    (void)state;
    reply_init(&reply);
    reply_error(&reply, "INVALID", "%s", "a\r\n+OK\tb");
    expect(&reply, "-INVALID a  +OK b\r\n");
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    reply_error(&reply, "ERR", "%s", text);
    assert_true(reply.len < 1024);
    assert_memory_equal(reply.bytes + reply.len - 2, "\r\n", 2);
    reply_free(&reply);
}

static void the_buffer_grows_and_keeps_what_it_held(void **state)
{
    struct reply reply;
    char block[1000];

    (void)state;
    memset(block, 'b', sizeof block);
    reply_init(&reply);
    for (int i = 0; i < 100; i++)
        reply_raw(&reply, block, sizeof block);
    assert_int_equal(reply.len, 100 * sizeof block);
    for (size_t i = 0; i < reply.len; i++)
        assert_int_equal(reply.bytes[i], 'b');
    reply_free(&reply);
}

static void what_is_cut_off_is_cleansed(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    reply_raw(&reply, "keep secret", 11);
    reply_cut(&reply, 4);
    assert_int_equal(reply.len, 4);
    assert_memory_equal(reply.bytes, "keep\0\0\0\0\0\0\0", 11);
    reply_free(&reply);
}

static void what_is_given_back_is_cleansed(void **state)
{
    static const char filling[1000];
    struct reply reply;
    char *volatile block;

    (void)state;
    if (FREE_IS_TAKEN) {
        print_message("# skipped: the sanitizer has free for itself\n");
        skip();
    }
    freed_with_secret = 0;
    block = strdup(SECRET);
    free(block);
    assert_int_equal(freed_with_secret, 1);
    reply_init(&reply);
    reply_raw(&reply, SECRET, sizeof SECRET - 1);
    for (int i = 0; i < 100; i++)
        reply_raw(&reply, filling, sizeof filling);
    assert_memory_equal(reply.bytes, SECRET, sizeof SECRET - 1);
    reply_free(&reply);
    assert_int_equal(freed_with_secret, 1);
}

static void no_room_is_remembered_and_nothing_more_is_written(void **state)
{
    struct reply reply;

    (void)state;
    reply_init(&reply);
    reply_simple(&reply, "OK");
    assert_null(reply_room(&reply, SIZE_MAX));
    assert_true(reply.failed);
    reply_simple(&reply, "OK");
    assert_int_equal(reply.len, 5);
    reply_free(&reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_written_as_resp2),
        cmocka_unit_test(values_are_written_as_resp3),
        cmocka_unit_test(strings_and_numbers_are_the_same_in_both),
        cmocka_unit_test(an_error_is_one_line_whatever_it_says),
        cmocka_unit_test(the_buffer_grows_and_keeps_what_it_held),
        cmocka_unit_test(what_is_cut_off_is_cleansed),
        cmocka_unit_test(what_is_given_back_is_cleansed),
        cmocka_unit_test(no_room_is_remembered_and_nothing_more_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
