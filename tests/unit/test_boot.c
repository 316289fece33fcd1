#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "catlatch.h"
#include "core/boot.h"

static const char known[] = "6fd5a44b-35f4-4ad4-a9b9-6b9be13e1fe9";

static void the_text_is_read_as_sixteen_bytes(void **state)
{
    static const uint8_t expected[BOOT_ID_BYTES] = {0x6f, 0xd5, 0xa4, 0x4b, 0x35, 0xf4, 0x4a, 0xd4,
                                                    0xa9, 0xb9, 0x6b, 0x9b, 0xe1, 0x3e, 0x1f, 0xe9};
    uint8_t id[BOOT_ID_BYTES];
    char line[sizeof known + 1];
    (void)state;
    assert_int_equal(boot_id_parse(known, strlen(known), id), 0);
    assert_memory_equal(id, expected, sizeof id);
    snprintf(line, sizeof line, "%s\n", known);
    assert_int_equal(boot_id_parse(line, strlen(line), id), 0);
}

static void any_other_text_is_refused_and_nothing_is_written(void **state)
{
    uint8_t id[BOOT_ID_BYTES] = {7};
    char text[sizeof known];
    (void)state;
    for (size_t i = 0; i < strlen(known); i++) {
        memcpy(text, known, sizeof known);
        text[i] = 'x';
        assert_int_equal(boot_id_parse(text, strlen(known), id), CATLATCH_E_DATA);
        assert_int_equal(boot_id_parse(known, i, id), CATLATCH_E_DATA);
    }
    assert_int_equal(boot_id_parse("6fd5a44b-35f4-4ad4-a9b9-6b9be13e1fe9x", 37, id),
                     CATLATCH_E_DATA);
    assert_int_equal(id[0], 7);
}

static void this_boot_has_an_id_and_keeps_it(void **state)
{
    uint8_t one[BOOT_ID_BYTES], two[BOOT_ID_BYTES], none[BOOT_ID_BYTES] = {0};
    (void)state;
    assert_int_equal(boot_id_read(one), 0);
    assert_int_equal(boot_id_read(two), 0);
    assert_memory_equal(one, two, sizeof one);
    assert_memory_not_equal(one, none, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_read_as_sixteen_bytes),
        cmocka_unit_test(any_other_text_is_refused_and_nothing_is_written),
        cmocka_unit_test(this_boot_has_an_id_and_keeps_it),
    };
    return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
