/* What is told of a change: one description of it, as LOG's map and as a message's JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "daemon/event.h"

static const struct change_difference differences[] = {
    {{"name", 4}, {"a \"b\" \\c", 8}, {"\xc3\xa4", 2}},
    {{"scopes", 6}, {NULL, 0}, {NULL, 0}},
};

static const struct change changes[] = {
    {
        .epoch = 1,
        .sequence = UINT64_MAX,
        .time_unix_ms = INT64_C(1700000000123),
        .kind = CHANGE_UPDATED,
        .key_id = 7,
        .actor = {.uid = 1000, .login_uid = 1001, .pid = 4711, .key_id = 8},
        .owner = {"\\", 1},
        .detail = {"why \"not\"", 9},
        .difference_count = 2,
        .differences = differences,
    },
    {
        .epoch = 2,
        .sequence = 1,
        .kind = CHANGE_RESTORED,
        .actor = {.uid = UINT32_MAX - 1, .login_uid = UINT32_MAX, .pid = -1},
    },
};

static const char *const payloads[] = {
    "{\"sequence\":\"1:18446744073709551615\",\"time\":\"2023-11-14T22:13:20.123Z\","
    "\"change\":\"updated\",\"id\":\"key_aaaaaaaaaaaah\",\"owner\":\"\\\\\","
    "\"comment\":\"why \\\"not\\\"\",\"actor\":{\"uid\":1000,\"login_uid\":1001,\"pid\":4711,"
    "\"key_id\":\"key_aaaaaaaaaaaai\"},\"fields\":[{\"field\":\"name\","
    "\"before\":\"a \\\"b\\\" \\\\c\",\"after\":\"\xc3\xa4\"},"
    "{\"field\":\"scopes\",\"before\":null,\"after\":null}]}",
    "{\"sequence\":\"2:1\",\"time\":\"1970-01-01T00:00:00.000Z\",\"change\":\"restored\","
    "\"id\":null,\"owner\":null,\"comment\":null,\"actor\":{\"uid\":4294967294,"
    "\"login_uid\":null,\"pid\":-1,\"key_id\":null},\"fields\":[]}",
};

static void a_message_is_the_change_as_json(void **state)
{
    char expected[2048];
    struct reply reply;
    (void)state;
    for (unsigned protocol = 2; protocol <= 3; protocol++)
        for (unsigned i = 0; i < 2; i++) {
            reply_init(&reply);
            reply.protocol = protocol;
            event_write(&reply, "changes", &changes[i]);
            int len = snprintf(expected, sizeof expected,
                               "%c3\r\n$7\r\nmessage\r\n$7\r\nchanges\r\n$%zu\r\n%s\r\n",
                               protocol == 3 ? '>' : '*', strlen(payloads[i]), payloads[i]);
            assert_false(reply.failed);
            assert_int_equal(reply.len, len);
            assert_memory_equal(reply.bytes, expected, reply.len);
            json_t *json = json_loadb(payloads[i], strlen(payloads[i]), 0, NULL);
            assert_non_null(json);
            json_decref(json);
            reply_free(&reply);
        }
}

/* Member by member: what is named in the one is named in the other, in the same order. */
static void the_map_has_the_messages_names_in_their_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct reply reply;
        json_t *json = json_loads(payloads[i], 0, NULL), *value;
        const char *name, *at;
        char word[64];
        reply_init(&reply);
        event_map(&reply, &changes[i]);
        reply_raw(&reply, "", 1);
        at = reply.bytes;
        assert_memory_equal(at, "*16\r\n", 5);
        json_object_foreach(json, name, value)
        {
            snprintf(word, sizeof word, "$%zu\r\n%s\r\n", strlen(name), name);
            at = strstr(at, word);
            if (at == NULL)
                fail_msg("%s", name);
        }
        json_decref(json);
        reply_free(&reply);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_the_change_as_json),
        cmocka_unit_test(the_map_has_the_messages_names_in_their_order),
    };
    return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
