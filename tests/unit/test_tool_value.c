#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "../../tools/catlatch/value.h"

/* The value of a reply as it comes over the wire; NULL if it is refused. */
static json_t *value_of(const char *wire)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;
    json_t *value;

    assert_int_equal(redisReaderFeed(reader, wire, strlen(wire)), REDIS_OK);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    value = value_of_map(reply);
    value_free(reply);
    redisReaderFree(reader);
    return value;
}

static void assert_value(const char *wire, const char *expected)
{
    json_t *value = value_of(wire), *wanted = json_loads(expected, 0, NULL);

    assert_non_null(value);
    assert_non_null(wanted);
    assert_true(json_equal(value, wanted));
    json_decref(value);
    json_decref(wanted);
}

static void flat_arrays_become_objects_with_true_booleans(void **state)
{
    (void)state;
    assert_value("*0\r\n", "{}");
    assert_value("*6\r\n$2\r\nid\r\n$1\r\na\r\n$8\r\ndisabled\r\n:1\r\n$7\r\nversion\r\n:1\r\n",
                 "{\"id\": \"a\", \"disabled\": true, \"version\": 1}");
    assert_value("*4\r\n$10\r\nexpires_at\r\n$-1\r\n$7\r\nchanged\r\n:0\r\n",
                 "{\"expires_at\": null, \"changed\": false}");
}

static void lists_maps_and_lists_of_maps_are_told_apart(void **state)
{
    (void)state;
    assert_value("*2\r\n$6\r\nscopes\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n",
                 "{\"scopes\": [\"a\", \"b\"]}");
    assert_value("*2\r\n$16\r\nallowed_networks\r\n*1\r\n$5\r\n::1/1\r\n",
                 "{\"allowed_networks\": [\"::1/1\"]}");
    assert_value("*2\r\n$8\r\nmetadata\r\n*2\r\n$8\r\ndisabled\r\n$1\r\nb\r\n",
                 "{\"metadata\": {\"disabled\": \"b\"}}");
    assert_value("*2\r\n$4\r\nkeys\r\n*1\r\n*2\r\n$6\r\nscopes\r\n*0\r\n",
                 "{\"keys\": [{\"scopes\": []}]}");
    assert_value("*2\r\n$4\r\nkeys\r\n:7\r\n", "{\"keys\": 7}");
}

static void what_is_no_map_is_refused(void **state)
{
    static const char *const wires[] = {
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*1\r\n$1\r\na\r\n",
        "*2\r\n:1\r\n:2\r\n",
        "*2\r\n$1\r\na\r\n*0\r\n",
        "*2\r\n$4\r\nkeys\r\n*1\r\n:1\r\n",
        "*2\r\n$6\r\nscopes\r\n*1\r\n*0\r\n",
        "*2\r\n$8\r\nmetadata\r\n*1\r\n$1\r\na\r\n",
        "*2\r\n$1\r\na\r\n$1\r\n\xff\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wires / sizeof *wires; i++)
        assert_null(value_of(wires[i]));
}

static void fields_that_are_not_there_read_as_empty(void **state)
{
    json_t *value = value_of("*4\r\n$2\r\nid\r\n$1\r\na\r\n$7\r\nversion\r\n:1\r\n");
    (void)state;
    assert_string_equal(value_text(value, "id"), "a");
    assert_string_equal(value_text(value, "name"), "");
    assert_string_equal(value_text(value, "version"), "");
    assert_false(value_true(value, "version"));
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_arrays_become_objects_with_true_booleans),
        cmocka_unit_test(lists_maps_and_lists_of_maps_are_told_apart),
        cmocka_unit_test(what_is_no_map_is_refused),
        cmocka_unit_test(fields_that_are_not_there_read_as_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
