/* stats: what is verified, now and before; of all keys, or of one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "catlatch.h"
#include "commands.h"
#include "core/result.h"
#include "history.h"
#include "moment.h"
#include "output.h"
#include "spark.h"
#include "value.h"

/* Between two looks at how much was counted. */
#define LOOK_MS 500

/* What stands beside the titles in eighty columns. */
#define RESULT_WIDTH 34u
#define KEY_WIDTH 60u

static int ask(struct call *call, const char *word, const char *argument, json_t **ret_map,
               struct error *error)
{
    struct session_words request = {0};
    int code = session_word(&request, word, error);

    if (code == 0 && argument != NULL)
        code = session_word(&request, argument, error);
    if (code == 0)
        code = session_ask(call->session, &request, ret_map, error);
    session_words_free(&request);
    return code;
}

static double clock_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static json_int_t number(const json_t *map, const char *name)
{
    return json_integer_value(json_object_get(map, name));
}

/* How much more there is of each result, in a second. */
static json_t *rates_of(const json_t *before, const json_t *after, double seconds)
{
    json_t *rates = json_object();

    for (unsigned i = CATLATCH_VALID; i <= CATLATCH_UNAVAILABLE; i++) {
        const char *name = result_name((enum catlatch_result)i);
        double more = (double)(number(after, name) - number(before, name));
        if (more > 0)
            json_object_set_new(rates, name, json_real(more / seconds));
    }
    return rates;
}

/* STATS, twice. */
static int stats_ask(struct call *call, json_t **ret_stats, json_t **ret_rates, struct error *error)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    json_t *before = NULL;
    int code = ask(call, "STATS", NULL, &before, error);
    double began = clock_s();

    if (code == 0)
        nanosleep(&pause, NULL);
    if (code == 0)
        code = ask(call, "STATS", NULL, ret_stats, error);
    if (code == 0)
        *ret_rates = rates_of(json_object_get(before, "results"),
                              json_object_get(*ret_stats, "results"), clock_s() - began);
    json_decref(before);
    return code;
}

static double rate_of(const json_t *rates, const char *name)
{
    return json_real_value(json_object_get(rates, name));
}

static double rate_of_all(const json_t *rates)
{
    double sum = 0;

    for (unsigned i = CATLATCH_VALID; i <= CATLATCH_UNAVAILABLE; i++)
        sum += rate_of(rates, result_name((enum catlatch_result)i));
    return sum;
}

static void summary_print(const json_t *stats, const json_t *rates)
{
    printf("now      %.0f verifications a second, %.0f of them granted\n", rate_of_all(rates),
           rate_of(rates, "valid"));
    printf("table    %" JSON_INTEGER_FORMAT " keys, %.1f %% of generation %" JSON_INTEGER_FORMAT
           "%s\n",
           number(stats, "keys"), (double)number(stats, "fill_permille") / 10,
           number(stats, "generation"), value_true(stats, "growing") ? ", growing" : "");
    printf("sweep    %" JSON_INTEGER_FORMAT " rounds since the start, %" JSON_INTEGER_FORMAT
           " records stored, %" JSON_INTEGER_FORMAT " not believed\n",
           number(stats, "usage_rounds"), number(stats, "usage_swept"),
           number(stats, "usage_unbelieved"));
}

static uint64_t sum_of(const uint64_t *numbers, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += numbers[i];
    return sum;
}

/* A row for each result that there ever was. */
static int results_rows(const json_t *results, const struct history *history, json_t *rows)
{
    char spark[SPARK_SIZE];

    for (unsigned i = CATLATCH_VALID; i <= CATLATCH_UNAVAILABLE; i++) {
        const char *name = result_name((enum catlatch_result)i);
        if (number(results, name) == 0)
            continue;
        uint64_t *numbers = history_numbers(history, "results", name);
        if (numbers == NULL)
            return -1;
        spark_draw(numbers, history->count, RESULT_WIDTH, spark);
        json_t *row =
            json_pack("{ss sI sI ss}", "result", name, "total", number(results, name), "recent",
                      (json_int_t)sum_of(numbers, history->count), "spark", spark);
        free(numbers);
        if (json_array_append_new(rows, row) != 0)
            return -1;
    }
    return 0;
}

static int no_memory(struct error *error)
{
    return error_set(error, CATLATCH_E_MEMORY, "laying out a table: out of memory");
}

/* "2026-01-31 02:14", of a day the date alone. */
static void time_print(const struct history *history, const char *rfc3339)
{
    printf(history->span_s >= 86400 ? "%.10s" : "%.10s %.5s", rfc3339, rfc3339 + 11);
}

/* Since when, and what each bar is. */
static void scale_print(const struct history *history, size_t width)
{
    size_t together = spark_together(history->count, width);

    fputs("since ", stdout);
    time_print(history, history->since);
    if (together > 1)
        printf(" UTC, each bar %zu %ss", together, history->step);
    else
        printf(" UTC, each bar a%s %s", strcmp(history->step, "hour") == 0 ? "n" : "",
               history->step);
}

static int results_print(const json_t *stats, const struct history *history, struct error *error)
{
    static const struct output_column columns[] = {
        {"RESULT", "result", 18, OUTPUT_FIXED},
        {"TOTAL", "total", 10, OUTPUT_FIXED},
        {"RECENT", "recent", 10, OUTPUT_FIXED},
        {"", "spark", RESULT_WIDTH, OUTPUT_FIXED},
    };
    struct output_table table = {
        .stream = stdout, .columns = columns, .column_count = sizeof columns / sizeof *columns};
    json_t *rows = json_array();
    int code =
        results_rows(json_object_get(stats, "results"), history, rows) != 0 ? no_memory(error) : 0;

    if (code == 0 && json_array_size(rows) == 0) {
        puts("\nnothing was verified yet");
    } else if (code == 0) {
        fputs("\nRECENT: ", stdout);
        scale_print(history, RESULT_WIDTH);
        putchar('\n');
        code = output_table(&table, rows, error);
    }
    json_decref(rows);
    return code;
}

/* Of a process: what it granted, and all else. */
static void process_sum(const json_t *results, json_int_t *ret_granted, json_int_t *ret_refused)
{
    *ret_granted = *ret_refused = 0;
    for (unsigned i = CATLATCH_VALID; i <= CATLATCH_UNAVAILABLE; i++)
        *(i == CATLATCH_VALID ? ret_granted : ret_refused) +=
            number(results, result_name((enum catlatch_result)i));
}

static json_t *process_row(const json_t *process)
{
    json_int_t granted, refused;

    process_sum(json_object_get(process, "results"), &granted, &refused);
    return json_pack("{sO sO so sO sI sI}", "pid", json_object_get(process, "pid"), "uid",
                     json_object_get(process, "uid"), "generation",
                     json_sprintf("%" JSON_INTEGER_FORMAT "%s", number(process, "generation"),
                                  value_true(process, "stale") ? " (stale)" : ""),
                     "attached_at", json_object_get(process, "attached_at"), "granted", granted,
                     "refused", refused);
}

static int processes_print(const json_t *processes, struct error *error)
{
    static const struct output_column columns[] = {
        {"PID", "pid", 7, OUTPUT_FIXED},
        {"UID", "uid", 6, OUTPUT_FIXED},
        {"GENERATION", "generation", 12, OUTPUT_FIXED},
        {"ATTACHED", "attached_at", 16, OUTPUT_FIXED},
        {"GRANTED", "granted", 10, OUTPUT_FIXED},
        {"REFUSED", "refused", 10, OUTPUT_FIXED},
    };
    struct output_table table = {
        .stream = stdout, .columns = columns, .column_count = sizeof columns / sizeof *columns};
    json_t *rows = json_array();
    int code = 0;

    for (size_t i = 0; i < json_array_size(processes) && code == 0; i++)
        if (json_array_append_new(rows, process_row(json_array_get(processes, i))) != 0)
            code = no_memory(error);
    printf("\n%zu attached, the daemon among them\n", json_array_size(processes));
    if (code == 0)
        code = output_table(&table, rows, error);
    json_decref(rows);
    return code;
}

/* All that is known of all keys together. */
struct overview {
    json_t *stats, *rates, *processes; /* the last: NULL, nobody could tell */
    struct error missing;              /* why */
    struct history history;
};

static int overview_ask(struct call *call, struct overview *overview, struct error *error)
{
    json_t *map = NULL;
    int code = stats_ask(call, &overview->stats, &overview->rates, error);

    if (code == 0)
        code = history_read(call, NULL, &overview->history, error);
    if (code == 0 && ask(call, "PROCESSES", NULL, &map, &overview->missing) == 0)
        overview->processes = json_incref(json_object_get(map, "processes"));
    json_decref(map);
    return code;
}

static void overview_json(const struct overview *overview)
{
    json_t *all =
        json_pack("{sO sO ss ss sO sO?}", "stats", overview->stats, "per_second", overview->rates,
                  "since", overview->history.since, "step", overview->history.step, "history",
                  overview->history.spans, "processes", overview->processes);

    output_json(all);
    json_decref(all);
}

static int overview_print(const struct overview *overview, struct error *error)
{
    summary_print(overview->stats, overview->rates);
    int code = results_print(overview->stats, &overview->history, error);

    if (code == 0 && overview->processes != NULL)
        return processes_print(overview->processes, error);
    if (code == 0)
        output_note("who is attached is not known: %s", overview->missing.text);
    return code;
}

static int stats_of_all(struct call *call, struct error *error)
{
    struct overview overview = {0};
    int code = overview_ask(call, &overview, error);

    if (code == 0 && option_given(&call->options, OPTION_JSON))
        overview_json(&overview);
    else if (code == 0)
        code = overview_print(&overview, error);
    json_decref(overview.stats);
    json_decref(overview.rates);
    json_decref(overview.processes);
    history_free(&overview.history);
    return code;
}

static int line_print(const json_t *key, const struct history *history, const char *name,
                      const char *count, const char *last)
{
    uint64_t *numbers = history_numbers(history, NULL, name);
    char spark[SPARK_SIZE];

    if (numbers == NULL)
        return -1;
    uint64_t most = spark_draw(numbers, history->count, KEY_WIDTH, spark);
    printf("%s  %s\n", name, spark);
    printf("         %" PRIu64 " since then, the tallest bar %" PRIu64 "; %" JSON_INTEGER_FORMAT
           " in all%s%s\n",
           sum_of(numbers, history->count), most, number(key, count),
           *value_text(key, last) != '\0' ? ", last " : "", value_text(key, last));
    free(numbers);
    return 0;
}

static int key_print(const json_t *key, const struct history *history, struct error *error)
{
    printf("%s  %s, %s, of %s\n", value_text(key, "id"), value_text(key, "name"),
           value_text(key, "state"), value_text(key, "owner"));
    scale_print(history, KEY_WIDTH);
    putchar('\n');
    if (line_print(key, history, "granted", "use_count", "last_used_at") != 0 ||
        line_print(key, history, "refused", "refused_count", "last_refused_at") != 0)
        return no_memory(error);
    return 0;
}

static int stats_of_key(struct call *call, const char *id, struct error *error)
{
    struct history history = {0};
    json_t *key = NULL;
    int code = ask(call, "KEY.GET", id, &key, error);

    if (code == 0)
        code = history_read(call, id, &history, error);
    if (code == 0 && option_given(&call->options, OPTION_JSON)) {
        json_t *all = json_pack("{sO ss ss sO}", "key", key, "since", history.since, "step",
                                history.step, "history", history.spans);
        output_json(all);
        json_decref(all);
    } else if (code == 0) {
        code = key_print(key, &history, error);
    }
    json_decref(key);
    history_free(&history);
    return code;
}

int cmd_stats(struct call *call)
{
    struct error error = {0};
    int code = call_connect(call, &error);

    if (code == 0)
        code = call->options.operand_count > 0
                   ? stats_of_key(call, call->options.operands[0], &error)
                   : stats_of_all(call, &error);
    return code != 0 ? output_error(&error) : EX_OK;
}
