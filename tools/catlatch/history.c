#include "history.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "moment.h"
#include "value.h"

#define DAY_S INT64_C(86400)

/* What can be drawn, and is asked for: two years of hours. */
#define SPANS_MAX 20000

static const struct step {
    const char *name;
    const char *word; /* the daemon's */
    int64_t span_s;
    int64_t reach_s; /* what is shown by it unless --step says so */
} steps[] = {
    {"minute", "m", 60, 3 * 3600},
    {"hour", "h", 3600, 4 * DAY_S},
    {"day", "d", DAY_S, INT64_MAX},
};

#define STEP_COUNT (sizeof steps / sizeof *steps)

/* NULL: there is none of that name. */
static const struct step *step_find(const char *name, int64_t reach_s)
{
    for (size_t i = 0; i < STEP_COUNT; i++)
        if (name != NULL ? strcmp(steps[i].name, name) == 0 : reach_s <= steps[i].reach_s)
            return &steps[i];
    return NULL;
}

static int shape_read(const struct options *options, struct history *history,
                      const struct step **ret_step, struct error *error)
{
    const char *since = option_text(options, OPTION_SINCE);
    int64_t now_unix_s = (int64_t)time(NULL), since_unix_s = now_unix_s - DAY_S;
    char text[TIMESPAN_RFC3339_SIZE];
    int code = 0;

    if (since != NULL && (code = moment_past("--since", since, text, error)) == 0)
        timespan_parse_time(text, strlen(text), now_unix_s, &since_unix_s);
    if (code != 0)
        return code;
    const struct step *step =
        step_find(option_text(options, OPTION_STEP), now_unix_s - since_unix_s);
    if (step == NULL)
        return error_set(error, CATLATCH_E_DATA, "--step takes minute, hour or day");
    *ret_step = step;
    int64_t span_s = step->span_s, first = since_unix_s / span_s;
    if (first > now_unix_s / span_s)
        return error_set(error, CATLATCH_E_DATA, "--since lies in the future");
    if (now_unix_s / span_s - first >= SPANS_MAX)
        return error_set(error, CATLATCH_E_DATA,
                         "--since lies too far back for each %s to be shown; take a longer --step",
                         step->name);
    history->step = step->name;
    history->span_s = span_s;
    history->since_unix_s = first * span_s;
    history->count = (size_t)(now_unix_s / span_s - first) + 1;
    timespan_rfc3339(history->since_unix_s, history->since);
    return 0;
}

static int page_ask(struct call *call, const char *id, const char *since, const char *step,
                    json_t **ret_page, struct error *error)
{
    struct session_words request = {0};
    int code = session_word(&request, "HISTORY", error);

    if (code == 0 && id != NULL)
        code = session_word(&request, id, error);
    if (code == 0)
        code = session_pair(&request, "SINCE", since, error);
    if (code == 0)
        code = session_pair(&request, "STEP", step, error);
    if (code == 0)
        code = session_ask(call->session, &request, ret_page, error);
    session_words_free(&request);
    return code;
}

int history_read(struct call *call, const char *id, struct history *ret_history,
                 struct error *error)
{
    struct history history = {.spans = json_array()};
    char since[TIMESPAN_RFC3339_SIZE];
    const struct step *step = &steps[0];
    int code = shape_read(&call->options, &history, &step, error);

    memcpy(since, history.since, sizeof since);
    while (code == 0 && since[0] != '\0') {
        json_t *page = NULL;
        code = page_ask(call, id, since, step->word, &page, error);
        if (code == 0 && json_array_extend(history.spans, json_object_get(page, "history")) != 0)
            code = error_set(error, CATLATCH_E_UNAVAILABLE, "the daemon tells no history");
        snprintf(since, sizeof since, "%s", code == 0 ? value_text(page, "cursor") : "");
        json_decref(page);
    }
    if (code != 0)
        history_free(&history);
    else
        *ret_history = history;
    return code;
}

void history_free(struct history *history)
{
    json_decref(history->spans);
    history->spans = NULL;
}

uint64_t *history_numbers(const struct history *history, const char *inside, const char *name)
{
    uint64_t *numbers = calloc(history->count, sizeof *numbers);

    for (size_t i = 0; numbers != NULL && i < json_array_size(history->spans); i++) {
        const json_t *span = json_array_get(history->spans, i);
        const char *text = value_text(span, "time");
        const json_t *map = inside != NULL ? json_object_get(span, inside) : span;
        int64_t begin_unix_s;
        if (timespan_parse_time(text, strlen(text), 0, &begin_unix_s) != 0 ||
            begin_unix_s < history->since_unix_s)
            continue;
        size_t at = (size_t)((begin_unix_s - history->since_unix_s) / history->span_s);
        if (at < history->count)
            numbers[at] += (uint64_t)json_integer_value(json_object_get(map, name));
    }
    return numbers;
}
