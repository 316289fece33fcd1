/*
 * hours FROM-TO [DAY...]: keys are accepted at these hours only, in UTC.
 *
 * `hours 08:00-18:00 mon-fri` accepts from 08:00 on until 18:00. A window may go over midnight, as
 * 22:00-06:00, and belongs to the day on which it begins. A day is mon, tue, wed, thu, fri, sat or
 * sun, or two of them with a dash; without one, every day.
 *
 * Inside of the hours it has nothing to say (`ignore`), so that it never lets in what other lines
 * refuse; outside it is `denied`, and tells the host the fact "hours_opens_in_s".
 *
 * UTC, because localtime() takes a lock and may read files, and verify must do neither.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <catlatch_module.h>

enum { DAYS = 7, DAY_MINUTES = 24 * 60, WEEK_MINUTES = DAYS * DAY_MINUTES };

/* 1 January 1970 was a Thursday; our weeks begin on Monday. */
enum { EPOCH_MINUTES = 3 * DAY_MINUTES };

struct hours {
    int from_minutes; /* of the day on which a window begins */
    int len_minutes;  /* 1 to a whole day */
    bool days[DAYS];  /* on which windows begin; Monday is 0 */
};

static const char *const day_names[DAYS] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

/* Why init refuses: one line, before which the host puts file, line and the module's name. */
__attribute__((format(printf, 2, 3))) static int refuse(const struct catlatch_setup *setup,
                                                        const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(setup->message, setup->message_size, format, arguments);
    va_end(arguments);
    return CATLATCH_E_CONFIG;
}

/* "08:30" as minutes; -1: that is no time of a day. */
static int minutes_of(const char *text)
{
    static const char form[] = "00:00";
    int digits[5];

    for (int i = 0; i < 5; i++) {
        bool is_digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == '0' ? !is_digit : text[i] != form[i])
            return -1;
        digits[i] = text[i] - '0';
    }
    int hour = 10 * digits[0] + digits[1], minute = 10 * digits[3] + digits[4];
    return minute < 60 && 60 * hour + minute <= DAY_MINUTES ? 60 * hour + minute : -1;
}

static int window_read(const struct catlatch_setup *setup, const char *text, struct hours *hours)
{
    int from = minutes_of(text);
    int to = from >= 0 && text[5] == '-' ? minutes_of(text + 6) : -1;

    if (to < 0 || text[11] != '\0' || from == DAY_MINUTES)
        return refuse(setup, "\"%s\": hours are wanted, as 08:00-18:00", text);
    if (from == to)
        return refuse(setup, "\"%s\" is never, or always, which is 00:00-24:00", text);
    hours->from_minutes = from;
    hours->len_minutes = to > from ? to - from : to + DAY_MINUTES - from;
    return 0;
}

/* The day that the text begins with; -1: none. */
static int day_of(const char *text)
{
    for (int day = 0; day < DAYS; day++) {
        if (strncmp(text, day_names[day], 3) == 0)
            return day;
    }
    return -1;
}

static int days_read(const struct catlatch_setup *setup, const char *text, struct hours *hours)
{
    int first = day_of(text), last = first;
    const char *end = first >= 0 ? text + 3 : text;

    if (*end == '-') {
        last = day_of(end + 1);
        end += last >= 0 ? 4 : 0;
    }
    if (first < 0 || *end != '\0')
        return refuse(setup, "\"%s\": a day is wanted, as mon or mon-fri", text);
    for (int day = first;; day = (day + 1) % DAYS) {
        hours->days[day] = true;
        if (day == last)
            return 0;
    }
}

/* The words of a line are given cut at their '='; there is none that has one. */
static int arguments_read(const struct catlatch_setup *setup, struct hours *hours)
{
    int r = 0;

    if (setup->argument_count == 0)
        return refuse(setup, "hours are wanted, as 08:00-18:00, and then days, as mon-fri");
    for (size_t i = 0; r == 0 && i < setup->argument_count; i++) {
        const struct catlatch_argument *argument = &setup->arguments[i];
        if (argument->value != NULL)
            r = refuse(setup, "\"%s=\": there are hours, and then days", argument->name);
        else if (i == 0)
            r = window_read(setup, argument->name, hours);
        else
            r = days_read(setup, argument->name, hours);
    }
    for (int day = 0; setup->argument_count == 1 && day < DAYS; day++)
        hours->days[day] = true;
    return r;
}

static int start(const struct catlatch_setup *setup, void **ret_instance)
{
    struct hours *hours = calloc(1, sizeof *hours);

    if (hours == NULL) {
        refuse(setup, "out of memory");
        return CATLATCH_E_MEMORY;
    }
    int r = arguments_read(setup, hours);
    if (r == 0)
        *ret_instance = hours;
    else
        free(hours);
    return r;
}

/* A window that is open now has begun within the last day. */
static bool is_open(const struct hours *hours, int day, int minute)
{
    int passed = (minute - hours->from_minutes + DAY_MINUTES) % DAY_MINUTES;
    int begun = minute >= hours->from_minutes ? day : (day + DAYS - 1) % DAYS;

    return hours->days[begun] && passed < hours->len_minutes;
}

/* Minutes until the next window begins; there is one within eight days. */
static int opens_in_minutes(const struct hours *hours, int day, int minute)
{
    int later = minute < hours->from_minutes ? 0 : 1;

    while (!hours->days[(day + later) % DAYS])
        later++;
    return later * DAY_MINUTES + hours->from_minutes - minute;
}

static int verify(void *instance, struct catlatch_call *call)
{
    const struct hours *hours = instance;
    struct timespec now;
    char text[24];

    /* COARSE is read from memory, without a system call. */
    if (clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0 || now.tv_sec < 0)
        return CATLATCH_UNAVAILABLE;
    int of_week = (int)((now.tv_sec / 60 + EPOCH_MINUTES) % WEEK_MINUTES);
    int day = of_week / DAY_MINUTES, minute = of_week % DAY_MINUTES;
    if (is_open(hours, day, minute))
        return CATLATCH_IGNORE;
    int64_t opens_in_s = (int64_t)60 * opens_in_minutes(hours, day, minute) - now.tv_sec % 60;
    snprintf(text, sizeof text, "%" PRId64, opens_in_s);
    call->host->tell(call, "hours_opens_in_s", text);
    return CATLATCH_DENIED;
}

CATLATCH_MODULE(hours, .flags = CATLATCH_VOUCHES_NOT, .init = start, .verify = verify,
                .fini = free);
