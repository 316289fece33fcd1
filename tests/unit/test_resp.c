/* Requests as they come in: cut up right wherever the bytes were split, and refused at each limit
 * that PROTOCOL.md states. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/resp.h"

/* A connection's bytes, handed over a piece at a time in exactly sized memory, so that a sanitizer
 * sees every read past the end. */
struct feed {
    struct resp_parser parser;
    char *bytes;
    size_t len;
};

static void feed_start(struct feed *feed)
{
    resp_init(&feed->parser);
    feed->bytes = NULL;
    feed->len = 0;
}

static void feed_end(struct feed *feed)
{
    resp_free(&feed->parser);
    free(feed->bytes);
}

static void feed_more(struct feed *feed, const char *bytes, size_t len)
{
    char *whole = malloc(feed->len + len);
    assert_non_null(whole);
    if (feed->len > 0)
        memcpy(whole, feed->bytes, feed->len);
    memcpy(whole + feed->len, bytes, len);
    free(feed->bytes);
    feed->bytes = whole;
    feed->len += len;
}

static void feed_next(struct feed *feed, size_t used)
{
    assert_true(used <= feed->len);
    memmove(feed->bytes, feed->bytes + used, feed->len - used);
    feed->len -= used;
    resp_next(&feed->parser);
}

/* Every request in the bytes, as one line each of "len:text " words; "!problem" ends it. */
static void transcribe(const char *bytes, size_t len, size_t piece, char *out, size_t size)
{
    struct feed feed;
    struct resp_request request;
    size_t at = 0, done = 0;
    enum resp_status status = RESP_MORE;

    feed_start(&feed);
    out[0] = '\0';
    while (done < len && status != RESP_INVALID) {
        size_t more = len - done < piece ? len - done : piece;
        feed_more(&feed, bytes + done, more);
        done += more;
        while ((status = resp_parse(&feed.parser, feed.bytes, feed.len, &request)) ==
               RESP_REQUEST) {
            for (size_t i = 0; i < request.count; i++) {
                struct text word = resp_argument(&request, i);
                assert_int_equal(word.bytes[word.len], '\0');
                at += (size_t)snprintf(out + at, size - at, "%u:%.*s ", word.len, (int)word.len,
                                       word.bytes);
            }
            at += (size_t)snprintf(out + at, size - at, "\n");
            feed_next(&feed, request.size);
        }
    }
    if (status == RESP_INVALID)
        at += (size_t)snprintf(out + at, size - at, "!");
    assert_true(at < size);
    feed_end(&feed);
}

static void expect(const char *bytes, const char *wanted)
{
    char got[1024];

    for (size_t piece = 1; piece <= strlen(bytes) + 1; piece++) {
        transcribe(bytes, strlen(bytes), piece, got, sizeof got);
        assert_string_equal(got, wanted);
    }
}

static void arrays_and_lines_are_cut_up_alike_wherever_the_bytes_are_split(void **state)
{
    (void)state;
    expect("*1\r\n$4\r\nPING\r\n", "4:PING \n");
    expect("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "4:ECHO 0: \n");
    expect("*2\r\n$4\r\nECHO\r\n$5\r\na\r\nbc\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n",
           "4:ECHO 5:a\r\nbc \n4:PING \n4:QUIT \n");
    expect("PING\n  KEY.GET\tkey_x \r\n", "4:PING \n7:KEY.GET 5:key_x \n");
    expect("*2\r\n$1\r\na\r\n$2\r\nbc\r\n*2\r\n$1\r\nd\r\n$2\r\nef\r\n", "1:a 2:bc \n1:d 2:ef \n");
}

static void empty_requests_are_requests_without_words(void **state)
{
    (void)state;
    expect("\r\n\n*0\r\nPING\r\n", "\n\n\n4:PING \n");
}

static void quotes_and_escapes_of_a_line_are_resolved(void **state)
{
    (void)state;
    expect("a \"b c\" 'd e'\n", "1:a 3:b c 3:d e \n");
    expect("\"\\x41\\n\\\"\\\\z\" 'it\\'s \\n'\n", "5:A\n\"\\z 7:it's \\n \n");
    expect("\"\" ''\n", "0: 0: \n");
    expect("pre\"fix ed\"\n", "9:prefix ed \n");
    expect("\"\\xZZ\\x4\"\n", "5:xZZx4 \n");
}

static void unbalanced_quotes_are_refused(void **state)
{
    (void)state;
    expect("a \"b\n", "!");
    expect("a 'b\n", "!");
    expect("\"a\"b\n", "!");
    expect("\"a\\\"\n", "!");
}

static void frames_that_do_not_add_up_are_refused(void **state)
{
    static const char *const frames[] = {
        "*x\r\n",
        "*-1\r\n",
        "*\r\n",
        "*1\n$4\r\nPING",
        "*1\rx",
        "*1\r\nPING\r\n",
        "*1\r\n$\r\n",
        "*1\r\n$-1\r\n",
        "*1\r\n$4\r\nPINGxx",
        "*1\r\n$4\r\nPING\rx",
        "*1\r\n$4\r\nPINGx\n",
        "*1\r\n$4\r\nPINGS\r\n",
        "*1\r\n$3\r\nPING\r\n",
        "*1\r\n$4x\r\nPING\r\n",
        "*12345678901\r\n",
        "*1\r\n$00000000004\r\nPING\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++)
        expect(frames[i], "!");
}

static void a_refused_connection_stays_refused(void **state)
{
    struct feed feed;
    struct resp_request request;

    (void)state;
    feed_start(&feed);
    feed_more(&feed, "*x\r\n", 4);
    assert_int_equal(resp_parse(&feed.parser, feed.bytes, feed.len, &request), RESP_INVALID);
    feed_more(&feed, "PING\r\n", 6);
    assert_int_equal(resp_parse(&feed.parser, feed.bytes, feed.len, &request), RESP_INVALID);
    assert_non_null(feed.parser.problem);
    feed_end(&feed);
}

static void a_waiting_request_is_the_same_when_asked_again_elsewhere_in_memory(void **state)
{
    static const char bytes[] = "*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\nrest";
    struct feed feed;
    struct resp_request request;

    (void)state;
    feed_start(&feed);
    feed_more(&feed, bytes, 14);
    assert_int_equal(resp_parse(&feed.parser, feed.bytes, feed.len, &request), RESP_MORE);
    feed_more(&feed, bytes + 14, sizeof bytes - 1 - 14);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(resp_parse(&feed.parser, feed.bytes, feed.len, &request), RESP_REQUEST);
        assert_int_equal(request.count, 2);
        assert_string_equal(resp_argument(&request, 1).bytes, "abc");
        feed_more(&feed, "x", 1);
    }
    feed_end(&feed);
}

static enum resp_status parse_once(const char *bytes, size_t len)
{
    struct feed feed;
    struct resp_request request;

    feed_start(&feed);
    feed_more(&feed, bytes, len);
    enum resp_status status = resp_parse(&feed.parser, feed.bytes, feed.len, &request);
    feed_end(&feed);
    return status;
}

static void as_many_arguments_as_stated_are_taken_and_one_more_is_not(void **state)
{
    size_t size = 32 + (RESP_ARGUMENTS_MAX + 1) * 7, at;
    char *bytes = malloc(size);

    (void)state;
    assert_non_null(bytes);
    for (size_t extra = 0; extra < 2; extra++) {
        at = (size_t)snprintf(bytes, size, "*%zu\r\n", RESP_ARGUMENTS_MAX + extra);
        for (size_t i = 0; i < RESP_ARGUMENTS_MAX + extra; i++)
            at += (size_t)snprintf(bytes + at, size - at, "$1\r\nx\r\n");
        assert_int_equal(parse_once(bytes, at), extra ? RESP_INVALID : RESP_REQUEST);

        at = 0;
        for (size_t i = 0; i < RESP_ARGUMENTS_MAX + extra; i++)
            at += (size_t)snprintf(bytes + at, size - at, "x ");
        bytes[at++] = '\n';
        assert_int_equal(parse_once(bytes, at), extra ? RESP_INVALID : RESP_REQUEST);
    }
    free(bytes);
}

static void an_argument_is_as_long_as_stated_at_most(void **state)
{
    char *bytes = malloc(RESP_ARGUMENT_BYTES_MAX + 64);

    (void)state;
    assert_non_null(bytes);
    size_t at = (size_t)sprintf(bytes, "*1\r\n$%u\r\n", RESP_ARGUMENT_BYTES_MAX);
    memset(bytes + at, 'x', RESP_ARGUMENT_BYTES_MAX);
    at += RESP_ARGUMENT_BYTES_MAX;
    memcpy(bytes + at, "\r\n", 2);
    assert_int_equal(parse_once(bytes, at + 2), RESP_REQUEST);
    at = (size_t)sprintf(bytes, "*1\r\n$%u\r\n", RESP_ARGUMENT_BYTES_MAX + 1);
    assert_int_equal(parse_once(bytes, at), RESP_INVALID);
    free(bytes);
}

static void a_line_is_as_long_as_stated_at_most(void **state)
{
    char *bytes = malloc(RESP_INLINE_BYTES_MAX + 2);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 'x', RESP_INLINE_BYTES_MAX + 2);
    assert_int_equal(parse_once(bytes, RESP_INLINE_BYTES_MAX), RESP_MORE);
    assert_int_equal(parse_once(bytes, RESP_INLINE_BYTES_MAX + 1), RESP_INVALID);
    bytes[RESP_INLINE_BYTES_MAX] = '\n';
    assert_int_equal(parse_once(bytes, RESP_INLINE_BYTES_MAX + 1), RESP_REQUEST);
    free(bytes);
}

static void a_request_is_as_long_as_stated_at_most(void **state)
{
    /* Arguments of 65,526 bytes take 65,536 with their frame. */
    enum { WHOLE = 65526, FRAME = 65536 };
    struct feed feed;
    struct resp_request request;
    char *argument = malloc(FRAME);
    size_t count = RESP_REQUEST_BYTES_MAX / FRAME;

    (void)state;
    assert_non_null(argument);
    memset(argument, 'x', FRAME);
    memcpy(argument, "$65526\r\n", 8);
    memcpy(argument + FRAME - 2, "\r\n", 2);
    feed_start(&feed);
    feed_more(&feed, "*17\r\n", 5);
    for (size_t i = 0; i < count - 1; i++) {
        feed_more(&feed, argument, FRAME);
        assert_int_equal(resp_parse(&feed.parser, feed.bytes, feed.len, &request), RESP_MORE);
    }
    feed_more(&feed, argument, 8); /* refused at its length, before its bytes are there */
    assert_int_equal(resp_parse(&feed.parser, feed.bytes, feed.len, &request), RESP_INVALID);
    feed_end(&feed);
    free(argument);
}

static void a_claimed_length_costs_no_memory(void **state)
{
    struct feed feed;
    struct resp_request request;

    (void)state;
    feed_start(&feed);
    feed_more(&feed, "*16384\r\n$65536\r\n", 16);
    assert_int_equal(resp_parse(&feed.parser, feed.bytes, feed.len, &request), RESP_MORE);
    assert_ptr_equal(feed.parser.spans, feed.parser.few);
    feed_end(&feed);
}

static void problems_never_quote_the_request(void **state)
{
    struct feed feed;
    struct resp_request request;

    (void)state;
    feed_start(&feed);
    feed_more(&feed, "*1\r\nQcc_live_secret\r\n", 21);
    assert_int_equal(resp_parse(&feed.parser, feed.bytes, feed.len, &request), RESP_INVALID);
    assert_null(strchr(feed.parser.problem, 'Q'));
    assert_null(strstr(feed.parser.problem, "secret"));
    feed_end(&feed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_and_lines_are_cut_up_alike_wherever_the_bytes_are_split),
        cmocka_unit_test(empty_requests_are_requests_without_words),
        cmocka_unit_test(quotes_and_escapes_of_a_line_are_resolved),
        cmocka_unit_test(unbalanced_quotes_are_refused),
        cmocka_unit_test(frames_that_do_not_add_up_are_refused),
        cmocka_unit_test(a_refused_connection_stays_refused),
        cmocka_unit_test(a_waiting_request_is_the_same_when_asked_again_elsewhere_in_memory),
        cmocka_unit_test(as_many_arguments_as_stated_are_taken_and_one_more_is_not),
        cmocka_unit_test(an_argument_is_as_long_as_stated_at_most),
        cmocka_unit_test(a_line_is_as_long_as_stated_at_most),
        cmocka_unit_test(a_request_is_as_long_as_stated_at_most),
        cmocka_unit_test(a_claimed_length_costs_no_memory),
        cmocka_unit_test(problems_never_quote_the_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
