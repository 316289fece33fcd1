#include "visit.h"

#include <stdlib.h>
#include <string.h>

#include "core/key.h"
#include "output.h"
#include "value.h"

/* What one LIST returns at most, by the daemon's own bound. */
#define PAGE_TEXT "1000"

/* So many unknown lines are named; then only counted. */
#define UNKNOWN_NOTED_MAX 10u

/* One walk over the keys of a selection. */
struct walk {
    struct selection *selection;
    struct session *session;
    selection_visitor *visit;
    void *context;
    json_t *page; /* gathered for the visitor */
    json_t *seen; /* ids that the visitor was shown, where a key can turn up twice; else NULL */
    size_t shown;
};

static bool walk_is_full(const struct walk *walk)
{
    return walk->selection->limit > 0 && walk->shown >= walk->selection->limit;
}

static int walk_take(struct walk *walk, json_t *key, struct error *error)
{
    struct selection *selection = walk->selection;
    const char *id = value_text(key, "id");

    if (walk_is_full(walk) || (walk->seen != NULL && json_object_get(walk->seen, id) != NULL))
        return 0;
    if (walk->seen != NULL && json_object_set_new(walk->seen, id, json_true()) != 0)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    if (selection->omits != NULL && (selection->by_key || !selection->by_id) &&
        selection->omits(key)) {
        selection->omitted++;
        return 0;
    }
    walk->shown++;
    if (json_array_append(walk->page, key) != 0)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    return 0;
}

static int walk_turn_page(struct walk *walk, struct error *error)
{
    int code = 0;

    if (json_array_size(walk->page) > 0)
        code = walk->visit(walk->context, walk->page, error);
    json_array_clear(walk->page);
    return code;
}

/* The keys of a page that the daemon found; `check`: by less than the whole selection. */
static int walk_take_page(struct walk *walk, const json_t *map, bool check, struct error *error)
{
    const json_t *keys = json_object_get(map, "keys");
    int code = 0;

    for (size_t i = 0; code == 0 && i < json_array_size(keys); i++) {
        json_t *key = json_array_get(keys, i);
        if (!check || selection_matches(walk->selection, key))
            code = walk_take(walk, key, error);
    }
    return code;
}

static int metadata_words(const struct options *options, struct session_words *request,
                          struct error *error)
{
    const struct option_values *pairs = &options->values[OPTION_WITH_META];
    int code = 0;

    for (size_t i = 0; code == 0 && i < pairs->count; i++) {
        const char *pair = pairs->list[i], *equals = strchr(pair, '=');
        code = session_word(request, "META", error);
        if (code == 0)
            code = session_word_n(request, pair, (size_t)(equals - pair), error);
        if (code == 0)
            code = session_word(request, equals + 1, error);
    }
    return code;
}

static int list_words(const struct selection *selection, const char *cursor,
                      struct session_words *request, struct error *error)
{
    const struct options *options = selection->options;
    const struct {
        const char *word, *value;
    } pairs[] = {
        {"CURSOR", cursor},
        {"LIMIT", PAGE_TEXT},
        {"OWNER", option_text(options, OPTION_WITH_OWNER)},
        {"PREFIX", option_text(options, OPTION_WITH_PREFIX)},
        {"ENV", option_text(options, OPTION_WITH_ENV)},
        {"STATE", option_text(options, OPTION_WITH_STATE)},
        {"NAME", option_text(options, OPTION_WITH_NAME)},
        {"CREATED_BEFORE", *selection->created_before ? selection->created_before : NULL},
        {"REVOKED_BEFORE", *selection->revoked_before ? selection->revoked_before : NULL},
        {"EXPIRING_WITHIN", option_text(options, OPTION_EXPIRING_WITHIN)},
        {"UNUSED_FOR", option_text(options, OPTION_UNUSED_FOR)},
    };
    int code = session_word(request, "KEY.LIST", error);

    for (size_t i = 0; code == 0 && i < sizeof pairs / sizeof *pairs; i++)
        code = session_pair(request, pairs[i].word, pairs[i].value, error);
    return code != 0 ? code : metadata_words(options, request, error);
}

/* Asks for one page; *io_cursor is NULL at first and again after the last page. */
static int page_ask(struct walk *walk, char **io_cursor, struct error *error)
{
    struct session_words request = {0};
    json_t *map = NULL;
    const char *next;
    int code = list_words(walk->selection, *io_cursor, &request, error);

    if (code == 0)
        code = session_ask(walk->session, &request, &map, error);
    if (code == 0)
        code = walk_take_page(walk, map, false, error);
    if (code == 0)
        code = walk_turn_page(walk, error);
    session_words_free(&request);
    free(*io_cursor);
    *io_cursor = NULL;
    next = code == 0 ? json_string_value(json_object_get(map, "cursor")) : NULL;
    if (next != NULL && (*io_cursor = strdup(next)) == NULL)
        code = error_set(error, CATLATCH_E_MEMORY, "out of memory");
    json_decref(map);
    return code;
}

static int walk_list(struct walk *walk, struct error *error)
{
    char *cursor = NULL;
    int code;

    do
        code = page_ask(walk, &cursor, error);
    while (code == 0 && cursor != NULL && !walk_is_full(walk));
    free(cursor);
    return code;
}

static int id_send(struct walk *walk, size_t index, struct error *error)
{
    struct session_words request = {0};
    char id[CATLATCH_ID_SIZE];
    int code = session_word(&request, "KEY.GET", error);

    key_id_format(walk->selection->ids[index], id);
    if (code == 0)
        code = session_word(&request, id, error);
    if (code == 0)
        code = session_send(walk->session, &request, error);
    session_words_free(&request);
    return code;
}

static int id_take(struct walk *walk, size_t index, struct error *error)
{
    json_t *map = NULL;
    int code = session_receive(walk->session, &map, error);

    (void)index;
    if (code == 0 && selection_matches(walk->selection, map))
        code = walk_take(walk, map, error);
    json_decref(map);
    return code;
}

static int key_send(struct walk *walk, size_t index, struct error *error)
{
    struct session_words request = {0};
    int code = session_word(&request, "KEY.LIST", error);

    if (code == 0)
        code = session_pair(&request, "KEY", input_line(&walk->selection->keys, index), error);
    if (code == 0)
        code = session_send(walk->session, &request, error);
    session_words_free(&request);
    return code;
}

static int key_take(struct walk *walk, size_t index, struct error *error)
{
    struct selection *selection = walk->selection;
    json_t *map = NULL;
    int code = session_receive(walk->session, &map, error);

    if (code != 0)
        return code;
    if (json_array_size(json_object_get(map, "keys")) > 0)
        code = walk_take_page(walk, map, true, error);
    else if (selection->unknown++ < UNKNOWN_NOTED_MAX)
        output_note("line %zu of standard input is no key that is known here",
                    selection->keys.lines[index].number);
    json_decref(map);
    return code;
}

/* Sends requests by the window and takes their replies, one for each of `count` items. */
static int walk_pipelined(struct walk *walk, size_t count,
                          int (*send)(struct walk *, size_t, struct error *),
                          int (*take)(struct walk *, size_t, struct error *), struct error *error)
{
    int code = 0;

    for (size_t first = 0; code == 0 && first < count; first += SESSION_WINDOW) {
        size_t end = count - first < SESSION_WINDOW ? count : first + SESSION_WINDOW;
        for (size_t i = first; code == 0 && i < end; i++)
            code = send(walk, i, error);
        for (size_t i = first; code == 0 && i < end; i++)
            code = take(walk, i, error);
        if (code == 0)
            code = walk_turn_page(walk, error);
        if (walk_is_full(walk))
            break;
    }
    return code;
}

int selection_visit(struct selection *selection, struct session *session, selection_visitor *visit,
                    void *context, struct error *error)
{
    struct walk walk = {selection, session, visit, context, json_array(), NULL, 0};
    int code;

    if (selection->by_key)
        walk.seen = json_object();
    if (walk.page == NULL || (selection->by_key && walk.seen == NULL))
        code = error_set(error, CATLATCH_E_MEMORY, "out of memory");
    else if (selection->by_key)
        code = walk_pipelined(&walk, selection->keys.count, key_send, key_take, error);
    else if (selection->by_id)
        code = walk_pipelined(&walk, selection->id_count, id_send, id_take, error);
    else
        code = walk_list(&walk, error);
    if (code == 0 && selection->unknown > UNKNOWN_NOTED_MAX)
        output_note("%zu lines of standard input are no keys that are known here",
                    selection->unknown);
    json_decref(walk.page);
    json_decref(walk.seen);
    return code;
}
