/* How `stats` and `top` draw: bars, cells that fit, pages that are never wider or longer than they
 * may be; and which keys the daemon finds to be the busiest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "../../tools/catlatch/page.h"
#include "../../tools/catlatch/spark.h"
#include "daemon/busiest.h"

static int utf8(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    return 0;
}

static int ascii(void **state)
{
    (void)state;
    assert_non_null(setlocale(LC_CTYPE, "C"));
    return 0;
}

static void bars_are_eighths_of_the_largest(void **state)
{
    const uint64_t numbers[] = {0, 1, 20, 30, 40, 50, 60, 70, 80};
    char text[SPARK_SIZE];
    (void)state;
    assert_int_equal(spark_draw(numbers, 9, 60, text), 80);
    assert_string_equal(text, "·▁▂▃▄▅▆▇█");
    assert_int_equal(spark_draw(numbers, 1, 60, text), 0);
    assert_string_equal(text, "·");
    const uint64_t huge[] = {UINT64_MAX / 2, INT64_MAX};
    spark_draw(huge, 2, 60, text);
    assert_string_equal(text, "██");
}

static void bars_are_ascii_where_the_locale_is(void **state)
{
    const uint64_t numbers[] = {0, 10, 20, 30, 40, 50, 60, 70, 80};
    char text[SPARK_SIZE];
    (void)state;
    spark_draw(numbers, 9, 60, text);
    assert_string_equal(text, "._-:=+*%#");
}

static void neighbours_are_added_up_to_fit(void **state)
{
    uint64_t numbers[1000];
    char text[SPARK_SIZE];
    (void)state;
    for (size_t i = 0; i < 1000; i++)
        numbers[i] = 1;
    for (size_t count = 1; count <= 1000; count += 37)
        for (size_t width = 1; width <= 70; width += 3) {
            uint64_t most = spark_draw(numbers, count, width, text);
            assert_int_equal(most, spark_together(count, width));
            assert_in_range(strlen(text), 1, width);
        }
}

static void cells_have_their_width_whatever_is_in_them(void **state)
{
    static const char *const texts[] = {"",         "a",
                                        "exactly8", "longer than that",
                                        "äöüß",     "日本語日本語",
                                        "\xff\xfe", "e\xcc\x81te\xcc\x81"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        for (int right = 0; right < 2; right++) {
            char line[64] = "";
            wchar_t wide[64];
            page_fit(line, sizeof line, texts[i], 8, right);
            size_t len = mbstowcs(wide, line, 64);
            assert_true(len != (size_t)-1);
            assert_int_equal(wcswidth(wide, len), 8);
        }
}

static struct picture make_picture(unsigned rows)
{
    struct picture picture = {
        .stats = json_pack("{ss sI sI sI sb sI}", "host", "a.host.with.a.long.name.example.org",
                           "generation", (json_int_t)123456, "keys", (json_int_t)100000000,
                           "fill_permille", (json_int_t)875, "growing", 1, "heartbeat_age_ms",
                           (json_int_t)400),
        .processes = json_array(),
        .results = json_array(),
        .keys = json_array(),
        .owners = json_array(),
        .workers = json_array(),
    };
    for (unsigned i = 0; i < rows; i++) {
        json_array_append_new(picture.results,
                              json_pack("{ss sf sI}", "result", "insufficient_scope", "rate",
                                        12345678.9, "total", (json_int_t)1 << 56));
        json_array_append_new(picture.keys,
                              json_pack("{ss ss ss sf sf}", "id", "key_aaaaaaaaaaaab", "name",
                                        "日本語日本語日本語日本語日本語日本語", "owner",
                                        "an owner with a name that is long", "granted", 0.5,
                                        "refused", 1e9));
        json_array_append_new(
            picture.owners, json_pack("{ss sf sf}", "owner", "o", "granted", 3.0, "refused", 0.0));
        json_array_append_new(picture.workers,
                              json_pack("{sI sI sI sI sb sf sf}", "pid", (json_int_t)4194304, "uid",
                                        (json_int_t)4294967294, "handles", (json_int_t)4095,
                                        "generation", (json_int_t)7, "stale", 1, "granted", 1.0,
                                        "refused", 2.0));
    }
    return picture;
}

static void a_page_is_never_wider_or_longer_than_it_may_be(void **state)
{
    static struct page page;
    (void)state;
    for (unsigned rows = 0; rows <= 60; rows += 20) {
        struct picture picture = make_picture(rows);
        for (unsigned width = PAGE_WIDTH_MIN; width <= PAGE_WIDTH_MAX; width += 7)
            for (unsigned height = 1; height <= 70; height += 3) {
                page_write(&page, width, height, &picture);
                assert_in_range(page.count, 1, height);
                for (unsigned i = 0; i < page.count; i++) {
                    wchar_t wide[512];
                    size_t len = mbstowcs(wide, page.lines[i].text, 512);
                    assert_true(len != (size_t)-1);
                    assert_int_equal(wcswidth(wide, len), width);
                }
            }
        picture_free(&picture);
    }
}

static void every_part_has_its_share_of_a_short_page(void **state)
{
    static struct page page;
    struct picture picture = make_picture(50);
    unsigned titles = 0;
    (void)state;
    page_write(&page, 80, 24, &picture);
    for (unsigned i = 0; i < page.count; i++) {
        if (!page.lines[i].is_title)
            continue;
        titles++;
        assert_true(i + 1 < page.count);
        assert_true(page.lines[i + 1].text[0] != ' ');
    }
    assert_int_equal(titles, 4);
    picture_free(&picture);
}

static void the_busiest_are_found_among_many(void **state)
{
    static struct busiest busiest;
    (void)state;
    busiest_clear(&busiest);
    for (uint64_t i = 0; i < 10007; i++) {
        uint64_t number = i * 7919 % 10007; /* each once */
        struct history_entry more = {.granted = number / 2, .refused = number - number / 2};
        busiest_add(&busiest, number + 1, &more);
    }
    busiest_sort(&busiest);
    assert_int_equal(busiest.count, BUSIEST_MAX);
    for (uint64_t i = 0; i < BUSIEST_MAX; i++)
        assert_int_equal(busiest.keys[i].id, 10007 - i);
    busiest_clear(&busiest);
    const struct history_entry none = {0}, some = {.refused = 1};
    busiest_add(&busiest, 1, &none);
    busiest_add(&busiest, 2, &some);
    busiest_sort(&busiest);
    assert_int_equal(busiest.count, 1);
    assert_int_equal(busiest.keys[0].id, 2);
}

#define IN(locale, test) cmocka_unit_test_setup(test, locale)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN(utf8, bars_are_eighths_of_the_largest),
        IN(ascii, bars_are_ascii_where_the_locale_is),
        IN(ascii, neighbours_are_added_up_to_fit),
        IN(utf8, cells_have_their_width_whatever_is_in_them),
        IN(utf8, a_page_is_never_wider_or_longer_than_it_may_be),
        IN(utf8, every_part_has_its_share_of_a_short_page),
        cmocka_unit_test(the_busiest_are_found_among_many),
    };
    return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
