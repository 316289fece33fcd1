#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/crc32.h"
#include "lib_table.h"

#define LONGEST 300u

/* The definition, a bit at a time. */
static uint32_t by_definition(uint32_t crc, const unsigned char *bytes, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320u & -(crc & 1));
    }
    return ~crc;
}

static void the_known_check_value_comes_out(void **state)
{
    (void)state;
    assert_int_equal(crc32_update(0, "123456789", 9), 0xCBF43926u);
    assert_int_equal(crc32_update(0, "", 0), 0);
}

/* Each text lies in memory of exactly its length, so that a sanitizer sees any byte too many. */
static void every_length_and_start_agree_with_the_definition(void **state)
{
    uint64_t random = 1;
    (void)state;
    for (size_t len = 0; len <= LONGEST; len++) {
        unsigned char *bytes = malloc(len > 0 ? len : 1);
        assert_non_null(bytes);
        for (size_t i = 0; i < len; i++)
            bytes[i] = (unsigned char)sample_random(&random);
        uint32_t start = (uint32_t)sample_random(&random);
        assert_int_equal(crc32_update(0, bytes, len), by_definition(0, bytes, len));
        assert_int_equal(crc32_update(start, bytes, len), by_definition(start, bytes, len));
        free(bytes);
    }
}

static void pieces_give_what_the_whole_gives(void **state)
{
    unsigned char bytes[LONGEST];
    uint64_t random = 2;
    (void)state;
    for (size_t i = 0; i < LONGEST; i++)
        bytes[i] = (unsigned char)sample_random(&random);
    uint32_t whole = by_definition(0, bytes, LONGEST);
    for (size_t cut = 0; cut <= LONGEST; cut++)
        assert_int_equal(crc32_update(crc32_update(0, bytes, cut), bytes + cut, LONGEST - cut),
                         whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_check_value_comes_out),
        cmocka_unit_test(every_length_and_start_agree_with_the_definition),
        cmocka_unit_test(pieces_give_what_the_whole_gives),
    };
    return cmocka_run_group_tests_name("crc32", tests, NULL, NULL);
}
