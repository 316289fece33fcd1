/* The example module of plugin/example at every kind of hour, by a clock that tests set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static time_t now_s;
static int clock_fails;

static int set_clock(clockid_t clock, struct timespec *ret_now)
{
    (void)clock;
    *ret_now = (struct timespec){.tv_sec = now_s};
    return clock_fails ? -1 : 0;
}

#define clock_gettime set_clock
#include "plugin/example/hours.c"

static char told[64];

static int hear(const struct catlatch_call *call, const char *name, const char *value)
{
    (void)call;
    snprintf(told, sizeof told, "%s %s", name, value);
    return 0;
}

static int make(void **ret_hours, char message[128], size_t count, const char *const *words)
{
    struct catlatch_argument arguments[8] = {{NULL, NULL}};
    struct catlatch_setup setup = {.size = sizeof setup,
                                   .arguments = arguments,
                                   .argument_count = count,
                                   .message = message,
                                   .message_size = 128};

    for (size_t i = 0; i < count; i++)
        arguments[i].name = words[i];
    return catlatch_module.init(&setup, ret_hours);
}

/* 27 November 2026 is a Friday. */
static time_t friday(int hour, int minute, int second)
{
    struct tm at = {.tm_year = 126,
                    .tm_mon = 10,
                    .tm_mday = 27,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    return timegm(&at);
}

/* What the module says at that time, and in `told` what it tells. */
static int at(void *hours, time_t when_s)
{
    static const struct catlatch_host host = {.size = sizeof host, .tell = hear};
    struct catlatch_call call = {.size = sizeof call, .host = &host};

    now_s = when_s;
    told[0] = '\0';
    return catlatch_module.verify(hours, &call);
}

static void hours_of_a_working_week(void **state)
{
    void *hours = NULL;
    char message[128] = "";

    (void)state;
    assert_int_equal(make(&hours, message, 2, (const char *[]){"08:00-18:00", "mon-fri"}), 0);
    assert_int_equal(at(hours, friday(8, 0, 0)), CATLATCH_IGNORE);
    assert_string_equal(told, "");
    assert_int_equal(at(hours, friday(17, 59, 59)), CATLATCH_IGNORE);
    assert_int_equal(at(hours, friday(7, 59, 59)), CATLATCH_DENIED);
    assert_string_equal(told, "hours_opens_in_s 1");
    assert_int_equal(at(hours, friday(18, 0, 0)), CATLATCH_DENIED);
    assert_string_equal(told, "hours_opens_in_s 223200"); /* Monday at eight: 62 hours */
    assert_int_equal(at(hours, friday(24 + 12, 0, 30)), CATLATCH_DENIED);
    assert_string_equal(told, "hours_opens_in_s 158370"); /* 44 hours, but for half a minute */
    assert_int_equal(at(hours, friday(3 * 24 + 8, 0, 0)), CATLATCH_IGNORE);
    catlatch_module.fini(hours);
}

static void a_window_over_midnight_belongs_to_the_day_on_which_it_begins(void **state)
{
    void *hours = NULL;
    char message[128] = "";

    (void)state;
    assert_int_equal(make(&hours, message, 2, (const char *[]){"22:00-06:00", "fri"}), 0);
    assert_int_equal(at(hours, friday(5, 0, 0)), CATLATCH_DENIED);
    assert_string_equal(told, "hours_opens_in_s 61200");
    assert_int_equal(at(hours, friday(22, 0, 0)), CATLATCH_IGNORE);
    assert_int_equal(at(hours, friday(24 + 5, 59, 59)), CATLATCH_IGNORE);
    assert_int_equal(at(hours, friday(24 + 6, 0, 0)), CATLATCH_DENIED);
    assert_string_equal(told, "hours_opens_in_s 576000"); /* next Friday */
    assert_int_equal(at(hours, friday(24 + 22, 0, 0)), CATLATCH_DENIED);
    catlatch_module.fini(hours);
}

static void days_can_be_several_and_go_over_sunday(void **state)
{
    void *hours = NULL;
    char message[128] = "";

    (void)state;
    assert_int_equal(make(&hours, message, 3, (const char *[]){"00:00-24:00", "sat-mon", "wed"}),
                     0);
    for (int day = 0; day < DAYS; day++) {
        static const int expected[DAYS] = {CATLATCH_DENIED, CATLATCH_IGNORE, CATLATCH_IGNORE,
                                           CATLATCH_IGNORE, CATLATCH_DENIED, CATLATCH_IGNORE,
                                           CATLATCH_DENIED};
        assert_int_equal(at(hours, friday(day * 24, 0, 0)), expected[day]);
        assert_int_equal(at(hours, friday(day * 24 + 23, 59, 59)), expected[day]);
    }
    catlatch_module.fini(hours);
}

static void without_a_clock_it_is_unavailable(void **state)
{
    void *hours = NULL;
    char message[128] = "";

    (void)state;
    assert_int_equal(make(&hours, message, 1, (const char *[]){"08:00-18:00"}), 0);
    clock_fails = 1;
    assert_int_equal(at(hours, friday(12, 0, 0)), CATLATCH_UNAVAILABLE);
    clock_fails = 0;
    assert_int_equal(at(hours, friday(12, 0, 0)), CATLATCH_IGNORE);
    catlatch_module.fini(hours);
}

static void what_is_no_window_or_day_is_refused_with_a_line_that_names_it(void **state)
{
    static const struct {
        const char *words[2];
        const char *message;
    } bad[] = {
        {{NULL, NULL}, "hours are wanted, as 08:00-18:00, and then days, as mon-fri"},
        {{"8-18", NULL}, "\"8-18\": hours are wanted, as 08:00-18:00"},
        {{"08:00", NULL}, "\"08:00\": hours are wanted, as 08:00-18:00"},
        {{"08:00-", NULL}, "\"08:00-\": hours are wanted, as 08:00-18:00"},
        {{"08:00-18:00x", NULL}, "\"08:00-18:00x\": hours are wanted, as 08:00-18:00"},
        {{"08:60-18:00", NULL}, "\"08:60-18:00\": hours are wanted, as 08:00-18:00"},
        {{"08:00-24:01", NULL}, "\"08:00-24:01\": hours are wanted, as 08:00-18:00"},
        {{"24:00-08:00", NULL}, "\"24:00-08:00\": hours are wanted, as 08:00-18:00"},
        {{"08:00-08:00", NULL}, "\"08:00-08:00\" is never, or always, which is 00:00-24:00"},
        {{"08:00-18:00", "fun"}, "\"fun\": a day is wanted, as mon or mon-fri"},
        {{"08:00-18:00", "mon-"}, "\"mon-\": a day is wanted, as mon or mon-fri"},
        {{"08:00-18:00", "mon-fri-"}, "\"mon-fri-\": a day is wanted, as mon or mon-fri"},
        {{"08:00-18:00", "monday"}, "\"monday\": a day is wanted, as mon or mon-fri"},
        {{"08:00-18:00", ""}, "\"\": a day is wanted, as mon or mon-fri"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        void *hours = NULL;
        char message[128] = "";
        size_t count = bad[i].words[0] == NULL ? 0 : bad[i].words[1] == NULL ? 1 : 2;

        assert_int_equal(make(&hours, message, count, bad[i].words), CATLATCH_E_CONFIG);
        assert_string_equal(message, bad[i].message);
        assert_null(hours);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hours_of_a_working_week),
        cmocka_unit_test(a_window_over_midnight_belongs_to_the_day_on_which_it_begins),
        cmocka_unit_test(days_can_be_several_and_go_over_sunday),
        cmocka_unit_test(without_a_clock_it_is_unavailable),
        cmocka_unit_test(what_is_no_window_or_day_is_refused_with_a_line_that_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
