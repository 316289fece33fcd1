#include "core/timespan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "catlatch.h"

#define DAY_S INT64_C(86400)

/* Largest first: that is the order in which they may follow each other. */
static const struct unit {
    char name[3];
    int64_t ms;
} units[] = {
    {"y", 365 * DAY_S * 1000},
    {"w", 7 * DAY_S * 1000},
    {"d", DAY_S * 1000},
    {"h", 3600 * 1000},
    {"m", 60 * 1000},
    {"s", 1000},
    {"ms", 1},
};
#define UNIT_COUNT (sizeof units / sizeof units[0])

/* What is left to read. */
struct cursor {
    const char *at;
    const char *end;
};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* All the digits that follow, at least one. */
static int take_number(struct cursor *cursor, int64_t *ret_number)
{
    const char *start = cursor->at;
    int64_t number = 0;

    for (; cursor->at < cursor->end && is_digit(*cursor->at); cursor->at++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *cursor->at - '0', &number))
            return CATLATCH_E_DATA;
    if (cursor->at == start)
        return CATLATCH_E_DATA;
    *ret_number = number;
    return 0;
}

/* The letters that follow must be a unit's whole name. */
static const struct unit *take_unit(struct cursor *cursor)
{
    const char *start = cursor->at;
    size_t len;

    while (cursor->at < cursor->end && !is_digit(*cursor->at))
        cursor->at++;
    len = (size_t)(cursor->at - start);
    for (size_t i = 0; i < UNIT_COUNT; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, start, len) == 0)
            return &units[i];
    return NULL;
}

static int parse_units(const char *text, size_t len, int64_t *ret_ms)
{
    struct cursor cursor = {.at = text, .end = text + len};
    const struct unit *last = NULL;
    int64_t total = 0;

    do {
        int64_t number, ms;
        const struct unit *unit;
        if (take_number(&cursor, &number) != 0)
            return CATLATCH_E_DATA;
        unit = take_unit(&cursor);
        if (unit == NULL || (last != NULL && unit <= last))
            return CATLATCH_E_DATA;
        if (__builtin_mul_overflow(number, unit->ms, &ms) ||
            __builtin_add_overflow(total, ms, &total))
            return CATLATCH_E_DATA;
        last = unit;
    } while (cursor.at < cursor.end);
    *ret_ms = total;
    return 0;
}

int timespan_parse_ms(const char *text, size_t len, int64_t *ret_ms)
{
    if (len == 0)
        return CATLATCH_E_DATA;
    if (len == 1 && text[0] == '0') {
        *ret_ms = 0;
        return 0;
    }
    return parse_units(text, len, ret_ms);
}

size_t timespan_format_ms(int64_t ms, char ret_text[TIMESPAN_MS_SIZE])
{
    size_t i = 0;

    if (ms <= 0)
        return (size_t)snprintf(ret_text, TIMESPAN_MS_SIZE, "0s");
    while (ms % units[i].ms != 0) /* the last is of one millisecond */
        i++;
    return (size_t)snprintf(ret_text, TIMESPAN_MS_SIZE, "%" PRId64 "%s", ms / units[i].ms,
                            units[i].name);
}

static int is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t month_days(int64_t year, int64_t month)
{
    static const int8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Leap days of the years before this one, from year 1. */
static int64_t leap_days_before(int64_t year)
{
    year--;
    return year / 4 - year / 100 + year / 400;
}

/* From 1970-01-01 to the first of January of a year from 1969 on. */
static int64_t days_before_year(int64_t year)
{
    return (year - 1970) * 365 + leap_days_before(year) - leap_days_before(1970);
}

/* Exactly `count` digits, whose number lies between low and high. */
static int take_field(struct cursor *cursor, int count, int64_t low, int64_t high,
                      int64_t *ret_value)
{
    int64_t value = 0;

    if (cursor->end - cursor->at < count)
        return CATLATCH_E_DATA;
    for (int i = 0; i < count; i++) {
        if (!is_digit(cursor->at[i]))
            return CATLATCH_E_DATA;
        value = value * 10 + (cursor->at[i] - '0');
    }
    if (value < low || value > high)
        return CATLATCH_E_DATA;
    cursor->at += count;
    *ret_value = value;
    return 0;
}

static int take_one_of(struct cursor *cursor, const char *set)
{
    if (cursor->at == cursor->end || *cursor->at == '\0' || strchr(set, *cursor->at) == NULL)
        return CATLATCH_E_DATA;
    cursor->at++;
    return 0;
}

/* 1969 is let through: with an offset, its last hours are in our range. */
static int take_date(struct cursor *cursor, int64_t *ret_days)
{
    int64_t year, month, day, days;

    if (take_field(cursor, 4, 1969, 9999, &year) != 0 || take_one_of(cursor, "-") != 0 ||
        take_field(cursor, 2, 1, 12, &month) != 0 || take_one_of(cursor, "-") != 0 ||
        take_field(cursor, 2, 1, month_days(year, month), &day) != 0)
        return CATLATCH_E_DATA;
    days = days_before_year(year) + day - 1;
    for (int64_t m = 1; m < month; m++)
        days += month_days(year, m);
    *ret_days = days;
    return 0;
}

/* A point and at least one digit; how many there may be, RFC 3339 leaves open. */
static int drop_fraction(struct cursor *cursor)
{
    const char *start;

    if (take_one_of(cursor, ".") != 0)
        return 0;
    for (start = cursor->at; cursor->at < cursor->end && is_digit(*cursor->at);)
        cursor->at++;
    return cursor->at > start ? 0 : CATLATCH_E_DATA;
}

static int take_clock(struct cursor *cursor, int64_t *ret_s)
{
    int64_t hour, minute, second;

    if (take_field(cursor, 2, 0, 23, &hour) != 0 || take_one_of(cursor, ":") != 0 ||
        take_field(cursor, 2, 0, 59, &minute) != 0 || take_one_of(cursor, ":") != 0 ||
        take_field(cursor, 2, 0, 59, &second) != 0 || drop_fraction(cursor) != 0)
        return CATLATCH_E_DATA;
    *ret_s = hour * 3600 + minute * 60 + second;
    return 0;
}

static int take_offset(struct cursor *cursor, int64_t *ret_s)
{
    int64_t hours, minutes;
    char sign;

    if (take_one_of(cursor, "Zz") == 0) {
        *ret_s = 0;
        return 0;
    }
    if (take_one_of(cursor, "+-") != 0)
        return CATLATCH_E_DATA;
    sign = cursor->at[-1];
    if (take_field(cursor, 2, 0, 23, &hours) != 0 || take_one_of(cursor, ":") != 0 ||
        take_field(cursor, 2, 0, 59, &minutes) != 0)
        return CATLATCH_E_DATA;
    *ret_s = (hours * 3600 + minutes * 60) * (sign == '-' ? -1 : 1);
    return 0;
}

static int parse_calendar(const char *text, size_t len, int64_t *ret_unix_s)
{
    struct cursor cursor = {.at = text, .end = text + len};
    int64_t days, clock_s = 0, offset_s = 0;

    if (take_date(&cursor, &days) != 0)
        return CATLATCH_E_DATA;
    if (cursor.at < cursor.end &&
        (take_one_of(&cursor, "Tt ") != 0 || take_clock(&cursor, &clock_s) != 0 ||
         take_offset(&cursor, &offset_s) != 0 || cursor.at < cursor.end))
        return CATLATCH_E_DATA;
    *ret_unix_s = days * DAY_S + clock_s - offset_s;
    return 0;
}

static int parse_from_now(const char *text, size_t len, int64_t now_unix_s, int64_t *ret_unix_s)
{
    int64_t ms;

    if (parse_units(text, len, &ms) != 0 || ms % 1000 != 0 ||
        __builtin_add_overflow(now_unix_s, ms / 1000, ret_unix_s))
        return CATLATCH_E_DATA;
    return 0;
}

int timespan_parse_time(const char *text, size_t len, int64_t now_unix_s, int64_t *ret_unix_s)
{
    int64_t unix_s = now_unix_s;

    if (len == 0)
        return CATLATCH_E_DATA;
    if ((len != 3 || memcmp(text, "now", 3) != 0) && parse_calendar(text, len, &unix_s) != 0 &&
        parse_from_now(text, len, now_unix_s, &unix_s) != 0)
        return CATLATCH_E_DATA;
    if (unix_s < 0 || unix_s > TIMESPAN_UNIX_MAX)
        return CATLATCH_E_DATA;
    *ret_unix_s = unix_s;
    return 0;
}

/* Writes the number so that its last digit stands before `end`; returns where it begins. */
static char *put_back(char *end, int64_t number, int digits)
{
    for (; digits > 0; digits--, number /= 10)
        *--end = (char)('0' + number % 10);
    return end;
}

void timespan_rfc3339(int64_t unix_s, char ret_text[TIMESPAN_RFC3339_SIZE])
{
    int64_t year, month = 1, days;
    char *at = ret_text + TIMESPAN_RFC3339_SIZE;

    unix_s = unix_s < 0 ? 0 : unix_s > TIMESPAN_UNIX_MAX ? TIMESPAN_UNIX_MAX : unix_s;
    days = unix_s / DAY_S;
    /* No year has more than 366 days, so this is never too late, and seldom much too early. */
    for (year = 1970 + days / 366; days_before_year(year + 1) <= days;)
        year++;
    for (days -= days_before_year(year); days >= month_days(year, month); month++)
        days -= month_days(year, month);

    *--at = '\0';
    *--at = 'Z';
    at = put_back(at, unix_s % 60, 2);
    *--at = ':';
    at = put_back(at, unix_s / 60 % 60, 2);
    *--at = ':';
    at = put_back(at, unix_s / 3600 % 24, 2);
    *--at = 'T';
    at = put_back(at, days + 1, 2);
    *--at = '-';
    at = put_back(at, month, 2);
    *--at = '-';
    put_back(at, year, 4);
}
