#include "picture.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "catlatch.h"
#include "core/result.h"
#include "value.h"

double picture_clock_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int ask(struct session *session, const char *word, const char *argument, json_t **ret_map,
               struct error *error)
{
    struct session_words request = {0};
    int code = session_word(&request, word, error);

    if (code == 0 && argument != NULL)
        code = session_word(&request, argument, error);
    if (code == 0)
        code = session_ask(session, &request, ret_map, error);
    session_words_free(&request);
    return code;
}

static json_int_t number(const json_t *map, const char *name)
{
    return json_integer_value(json_object_get(map, name));
}

static double real(const json_t *map, const char *name)
{
    return json_number_value(json_object_get(map, name));
}

/* Never less than none: a keeper that was killed lost what was counted. */
static double rate(json_int_t before, json_int_t after, double seconds)
{
    return seconds > 0 && after > before ? (double)(after - before) / seconds : 0;
}

static json_t *results_of(const json_t *before, const json_t *after, double seconds)
{
    json_t *rows = json_array();

    for (unsigned i = CATLATCH_VALID; i <= CATLATCH_UNAVAILABLE; i++) {
        const char *name = result_name((enum catlatch_result)i);
        json_int_t total = number(after, name);
        if (total != 0)
            json_array_append_new(
                rows, json_pack("{ss sf sI}", "result", name, "rate",
                                before != NULL ? rate(number(before, name), total, seconds) : 0.0,
                                "total", total));
    }
    return rows;
}

/* What the daemon found within its own time. */
static json_t *busy_of(const json_t *list, double seconds)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *row = json_copy(json_array_get(list, i));
        json_object_set_new(row, "granted", json_real(rate(0, number(row, "granted"), seconds)));
        json_object_set_new(row, "refused", json_real(rate(0, number(row, "refused"), seconds)));
        json_array_append_new(rows, row);
    }
    return rows;
}

static void sum_of(const json_t *results, json_int_t *io_granted, json_int_t *io_refused)
{
    for (unsigned i = CATLATCH_VALID; i <= CATLATCH_UNAVAILABLE; i++)
        *(i == CATLATCH_VALID ? io_granted : io_refused) +=
            number(results, result_name((enum catlatch_result)i));
}

/* A process, whatever number of handles it has, by its pid. */
static void add_handle(json_t *sums, const json_t *handle)
{
    char pid[24];
    json_int_t granted = 0, refused = 0;

    snprintf(pid, sizeof pid, "%" JSON_INTEGER_FORMAT, number(handle, "pid"));
    const json_t *known = json_object_get(sums, pid);
    sum_of(json_object_get(handle, "results"), &granted, &refused);
    json_int_t generation = number(handle, "generation");
    if (known != NULL && number(known, "generation") < generation)
        generation = number(known, "generation");
    json_object_set_new(sums, pid,
                        json_pack("{sI sI sI sI sb sI sI}", "pid", number(handle, "pid"), "uid",
                                  number(handle, "uid"), "handles", number(known, "handles") + 1,
                                  "generation", generation, "stale",
                                  value_true(handle, "stale") || value_true(known, "stale"),
                                  "granted", number(known, "granted") + granted, "refused",
                                  number(known, "refused") + refused));
}

static json_t *sums_of(const json_t *processes)
{
    json_t *sums = json_object();

    for (size_t i = 0; i < json_array_size(processes); i++)
        add_handle(sums, json_array_get(processes, i));
    return sums;
}

static json_t *workers_of(const json_t *before, const json_t *after, double seconds)
{
    json_t *old = sums_of(before), *sums = sums_of(after), *rows = json_array(), *sum;
    const char *pid;

    json_object_foreach(sums, pid, sum)
    {
        const json_t *known = json_object_get(old, pid);
        double granted = 0, refused = 0;
        if (known != NULL) {
            granted = rate(number(known, "granted"), number(sum, "granted"), seconds);
            refused = rate(number(known, "refused"), number(sum, "refused"), seconds);
        }
        json_t *row = json_copy(sum);
        json_object_set_new(row, "granted", json_real(granted));
        json_object_set_new(row, "refused", json_real(refused));
        json_array_append_new(rows, row);
    }
    json_decref(old);
    json_decref(sums);
    return rows;
}

static double weight(const json_t *row)
{
    return real(row, "rate") + real(row, "granted") + real(row, "refused");
}

/* The most first; what does not differ stays where it was, so that lines do not jump. */
static void sort(json_t *rows)
{
    for (size_t i = 1; i < json_array_size(rows); i++) {
        size_t at = i;
        json_t *row = json_incref(json_array_get(rows, i));
        while (at > 0 && weight(row) > weight(json_array_get(rows, at - 1)))
            at--;
        json_array_remove(rows, i);
        json_array_insert_new(rows, at, row);
    }
}

static void fill(struct picture *picture, const struct picture *before, const json_t *busiest)
{
    double seconds = before->stats != NULL ? picture->taken_s - before->taken_s : 0;
    double span_s = (double)number(busiest, "span_ms") / 1000;

    picture->results = results_of(json_object_get(before->stats, "results"),
                                  json_object_get(picture->stats, "results"), seconds);
    picture->keys = busy_of(json_object_get(busiest, "keys"), span_s);
    picture->owners = busy_of(json_object_get(busiest, "owners"), span_s);
    picture->workers = workers_of(before->processes, picture->processes, seconds);
    sort(picture->results);
    sort(picture->workers);
}

int picture_take(struct session *session, const struct picture *before, struct picture *ret_picture,
                 struct error *error)
{
    struct picture picture = {.stats = NULL};
    struct error unknown;
    json_t *busiest = NULL, *processes = NULL;
    int code = ask(session, "STATS", NULL, &picture.stats, error);

    picture.taken_s = picture_clock_s();
    if (code == 0)
        code = ask(session, "USAGE.TOP", PICTURE_TOP, &busiest, error);
    if (code == 0 && ask(session, "PROCESSES", NULL, &processes, &unknown) == 0)
        picture.processes = json_incref(json_object_get(processes, "processes"));
    if (code == 0) {
        fill(&picture, before, busiest);
        *ret_picture = picture;
    } else {
        picture_free(&picture);
    }
    json_decref(processes);
    json_decref(busiest);
    return code;
}

void picture_free(struct picture *picture)
{
    json_decref(picture->stats);
    json_decref(picture->processes);
    json_decref(picture->results);
    json_decref(picture->keys);
    json_decref(picture->owners);
    json_decref(picture->workers);
    *picture = (struct picture){.stats = NULL};
}
