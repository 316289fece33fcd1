/* plugin/reply.h: the daemon's answer, whole, in pieces, and as it must not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plugin/reply.h"

#define FULL                                                                                     \
    "*14\r\n$6\r\nresult\r\n$5\r\nvalid\r\n$2\r\nid\r\n$17\r\nkey_aaaaaaaaaaaaa\r\n"             \
    "$4\r\nname\r\n$4\r\ndoor\r\n$5\r\nowner\r\n$5\r\nalice\r\n$11\r\nenvironment\r\n$4\r\nlive" \
    "\r\n$6\r\nscopes\r\n*2\r\n$4\r\nread\r\n$5\r\nwrite\r\n$10\r\nexpires_at\r\n$20\r\n"        \
    "2027-01-31T12:00:00Z\r\n"

#define TWICE                                                                \
    "*6\r\n$6\r\nresult\r\n$5\r\nvalid\r\n$6\r\nscopes\r\n*1\r\n$1\r\na\r\n" \
    "$6\r\nscopes\r\n*1\r\n$1\r\nb\r\n"

/* In memory of just that size, so that a sanitizer sees who reads on. */
static enum reply_status read_exactly(const char *bytes, size_t len, struct reply *ret)
{
    char *copy = malloc(len > 0 ? len : 1);

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    enum reply_status status = reply_read(copy, len, ret);
    free(copy);
    return status;
}

static void a_whole_answer_is_understood(void **state)
{
    struct reply reply;

    (void)state;
    assert_int_equal(reply_read(FULL, strlen(FULL), &reply), REPLY_WHOLE);
    assert_int_equal(reply.result, CATLATCH_VALID);
    assert_true(text_is(reply.id, "key_aaaaaaaaaaaaa"));
    assert_true(text_is(reply.name, "door"));
    assert_true(text_is(reply.owner, "alice"));
    assert_true(text_is(reply.environment, "live"));
    assert_int_equal(reply.scope_count, 2);
    assert_true(text_is(reply.scopes[1], "write"));
}

static void a_piece_of_one_wants_more(void **state)
{
    struct reply reply;

    (void)state;
    for (size_t len = 0; len < strlen(FULL); len++) {
        if (read_exactly(FULL, len, &reply) != REPLY_MORE)
            fail_msg("%zu bytes are not MORE", len);
    }
    assert_int_equal(read_exactly("-ERR what", 9, &reply), REPLY_MORE);
    assert_int_equal(read_exactly("-ERR what\r\n", 11, &reply), REPLY_REFUSED);
}

static void what_is_no_answer_is_broken(void **state)
{
    static const char *const broken[] = {
        "\r\n",
        "*2\n",
        "*2 \n$6\r\nresult\r\n$5\r\nvalid\r\n",
        "*2\r\n+6\r\nresult\r\n$5\r\nvalid\r\n",
        "*\r\n",
        "*-1\r\n",
        "*-2\r\n",
        "*+2\r\n",
        "* 2\r\n",
        "*2x\r\n",
        "*1\r\n$6\r\nresult\r\n",
        "*0\r\n",
        "*130\r\n",
        "*999999999999\r\n",
        "*4294967298\r\n",
        "+valid\r\n",
        ":1\r\n",
        "$5\r\nvalid\r\n",
        "%1\r\n$6\r\nresult\r\n$5\r\nvalid\r\n",
        "*2\r\n+result\r\n$5\r\nvalid\r\n",
        "*2\r\n$-1\r\n$5\r\nvalid\r\n",
        "*2\r\n$6\r\nresult\r\n$-1\r\n",
        "*2\r\n$6\r\nresult\r\n$-2\r\n",
        "*2\r\n$6\r\nresult\r\n$0\r\n\r\n",
        "*2\r\n$6\r\nresult\r\n:1\r\n",
        "*2\r\n$6\r\nresult\r\n*1\r\n$5\r\nvalid\r\n",
        "*2\r\n$6\r\nresult\r\n$6\r\nvalid \r\n",
        "*2\r\n$6\r\nresult\r\n$5\r\nVALID\r\n",
        "*2\r\n$6\r\nresult\r\n$6\r\nignore\r\n",
        "*2\r\n$6\r\nresult\r\n$5\r\nvalidXX",
        "*2\r\n$6\r\nresult\r\n$4\r\nvalid\r\n",
        "*2\r\n$6\r\nresult\r\n$16385\r\n",
        "*2\r\n$6\r\nresult\r\n-ERR\r\n",
        "*2\r\n$6\r\nresult\r\n$5\r\nvalid\r\n ",
        "*4\r\n$6\r\nresult\r\n$7\r\nrevoked\r\n$6\r\nresult\r\n$5\r\nvalid\r\n",
        "*6\r\n$6\r\nresult\r\n$5\r\nvalid\r\n$5\r\nowner\r\n$1\r\na\r\n$5\r\nowner\r\n$1\r\nb\r\n",
        "*4\r\n$6\r\nresult\r\n$5\r\nvalid\r\n$5\r\nowner\r\n$3\r\na\nb\r\n",
        "*4\r\n$6\r\nresult\r\n$5\r\nvalid\r\n$5\r\nowner\r\n$2\r\n\xff\xff\r\n",
        "*4\r\n$6\r\nresult\r\n$5\r\nvalid\r\n$6\r\nscopes\r\n*65\r\n",
        "*4\r\n$6\r\nresult\r\n$5\r\nvalid\r\n$6\r\nscopes\r\n*1\r\n*1\r\n$1\r\na\r\n",
        TWICE,
    };
    struct reply reply;

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        if (read_exactly(broken[i], strlen(broken[i]), &reply) != REPLY_BROKEN)
            fail_msg("not broken: %s", broken[i]);
    }
}

static void what_is_not_known_is_passed_over(void **state)
{
    static const char text[] = "*10\r\n$5\r\nfirst\r\n:-7\r\n$6\r\nresult\r\n$7\r\nexpired\r\n"
                               "$4\r\nlist\r\n*2\r\n$1\r\na\r\n$-1\r\n$4\r\nnone\r\n*-1\r\n"
                               "$4\r\nname\r\n$-1\r\n";
    struct reply reply;

    (void)state;
    assert_int_equal(read_exactly(text, strlen(text), &reply), REPLY_WHOLE);
    assert_int_equal(reply.result, CATLATCH_EXPIRED);
    assert_null(reply.name.bytes);
}

/* However much of it comes, it is not waited for without end. */
static void no_answer_is_without_end(void **state)
{
    static char bytes[REPLY_BYTES_MAX];
    struct reply reply;

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    bytes[0] = '-';
    assert_int_equal(read_exactly(bytes, REPLY_LINE_MAX - 1, &reply), REPLY_MORE);
    assert_int_equal(read_exactly(bytes, REPLY_LINE_MAX, &reply), REPLY_BROKEN);
    memcpy(bytes, "*2\r\n$16384\r\n", 12);
    assert_int_equal(read_exactly(bytes, sizeof bytes - 1, &reply), REPLY_MORE);
    assert_int_equal(read_exactly(bytes, sizeof bytes, &reply), REPLY_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_is_understood),
        cmocka_unit_test(a_piece_of_one_wants_more),
        cmocka_unit_test(what_is_no_answer_is_broken),
        cmocka_unit_test(what_is_not_known_is_passed_over),
        cmocka_unit_test(no_answer_is_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
