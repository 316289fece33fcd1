#include "select.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/key.h"
#include "core/text.h"
#include "core/timespan.h"
#include "guard.h"
#include "value.h"

static const char *const state_names[] = {"active", "disabled", "expired", "not_yet_valid",
                                          "revoked"};

static int id_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static bool id_is_among(uint64_t id, const uint64_t *ids, size_t count)
{
    return count > 0 && bsearch(&id, ids, count, sizeof id, id_compare) != NULL;
}

static size_t ids_sort(uint64_t *ids, size_t count)
{
    size_t kept = 0;

    if (count > 0)
        qsort(ids, count, sizeof *ids, id_compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    return kept;
}

/* Adds a list of ids to the selection; a second list leaves what is in both. */
static void ids_combine(struct selection *selection, uint64_t *ids, size_t count)
{
    size_t kept = 0;

    count = ids_sort(ids, count);
    if (selection->by_id) {
        for (size_t i = 0; i < count; i++)
            if (id_is_among(ids[i], selection->ids, selection->id_count))
                ids[kept++] = ids[i];
        count = kept;
    }
    free(selection->ids);
    selection->ids = ids;
    selection->id_count = count;
    selection->by_id = true;
}

static int id_read(const char *text, uint64_t *ret_id, struct error *error)
{
    char typed[GUARD_ECHO_SIZE];

    if (key_id_parse(text, strlen(text), ret_id) == 0)
        return 0;
    guard_echo(text, typed);
    return error_set(error, CATLATCH_E_DATA,
                     "\"%s\" is no key id (\"key_\" and 13 letters and digits)", typed);
}

static int ids_from_operands(struct selection *selection, struct error *error)
{
    const struct options *options = selection->options;
    uint64_t *ids;

    if (options->operand_count == 0)
        return 0;
    ids = calloc(options->operand_count, sizeof *ids);
    if (ids == NULL)
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    for (size_t i = 0; i < options->operand_count; i++) {
        int code = id_read(options->operands[i], &ids[i], error);
        if (code != 0) {
            free(ids);
            return code;
        }
    }
    ids_combine(selection, ids, options->operand_count);
    return 0;
}

static int ids_from_file(struct selection *selection, struct error *error)
{
    const char *path = option_text(selection->options, OPTION_IDS_FROM);
    struct input input = {0};
    uint64_t *ids;
    int code;

    if (path == NULL)
        return 0;
    if (selection->by_key && strcmp(path, "-") == 0)
        return error_set(error, CATLATCH_E_ARGUMENT,
                         "--ids-from - and --key-stdin cannot both read standard input");
    code = input_read(path, "ids", false, CATLATCH_ID_SIZE, &input, error);
    if (code != 0)
        return code;
    ids = calloc(input.count + 1, sizeof *ids);
    if (ids == NULL) {
        input_free(&input);
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    }
    for (size_t i = 0; code == 0 && i < input.count; i++) {
        code = id_read(input_line(&input, i), &ids[i], error);
        if (code != 0)
            error_prefix(error, "line %zu of %s", input.lines[i].number,
                         strcmp(path, "-") == 0 ? "standard input" : path);
    }
    if (code == 0)
        ids_combine(selection, ids, input.count);
    else
        free(ids);
    input_free(&input);
    return code;
}

static int keys_read(struct selection *selection, struct error *error)
{
    if (!option_given(selection->options, OPTION_KEY_STDIN))
        return 0;
    selection->by_key = true;
    return input_read("-", "keys", true, KEY_FOREIGN_MAX, &selection->keys, error);
}

static int state_check(const struct options *options, struct error *error)
{
    const char *state = option_text(options, OPTION_WITH_STATE);
    const size_t count = sizeof state_names / sizeof *state_names;
    const char *nearest;

    for (size_t i = 0; i < count; i++)
        if (state == NULL || strcmp(state, state_names[i]) == 0)
            return 0;
    nearest = text_nearest(state, state_names, count);
    return error_set(error, CATLATCH_E_DATA,
                     "--state is active, disabled, expired, not_yet_valid or revoked%s%s%s",
                     nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "\"?" : "");
}

/* A duration from now lies ahead, and before that lie all keys; who writes 90d means keys that are
 * older. */
static int before_read(const struct selection *selection, enum option_id option, char ret_text[32],
                       struct error *error)
{
    const char *text = option_text(selection->options, option);
    int64_t unix_s = 0, span_ms = 0;

    if (text == NULL)
        return 0;
    if (timespan_parse_ms(text, strlen(text), &span_ms) == 0 ||
        timespan_parse_time(text, strlen(text), (int64_t)time(NULL), &unix_s) != 0)
        return error_set(error, CATLATCH_E_DATA,
                         "--%s takes a time, such as 2027-01-31 or 2027-01-31T12:00:00Z",
                         option_spec(option)->name);
    timespan_rfc3339(unix_s, ret_text);
    return 0;
}

/* Of nothing it would be every key. */
static int unused_read(struct selection *selection, struct error *error)
{
    const char *text = option_text(selection->options, OPTION_UNUSED_FOR);
    int64_t now = (int64_t)time(NULL), span_ms = 0, span_s;

    if (text == NULL)
        return 0;
    if (timespan_parse_ms(text, strlen(text), &span_ms) != 0 || span_ms == 0)
        return error_set(error, CATLATCH_E_DATA, "--unused-for takes a duration, such as 90d");
    span_s = span_ms / 1000 + (span_ms % 1000 != 0);
    timespan_rfc3339(span_s < now ? now - span_s : 0, selection->unused_since);
    return 0;
}

static int times_read(struct selection *selection, struct error *error)
{
    const char *within = option_text(selection->options, OPTION_EXPIRING_WITHIN);
    int64_t now = (int64_t)time(NULL), span_ms = 0;
    int code = before_read(selection, OPTION_CREATED_BEFORE, selection->created_before, error);

    if (code == 0)
        code = before_read(selection, OPTION_REVOKED_BEFORE, selection->revoked_before, error);
    if (code != 0)
        return code;
    if (within != NULL) {
        if (timespan_parse_ms(within, strlen(within), &span_ms) != 0)
            return error_set(error, CATLATCH_E_DATA,
                             "--expiring-within takes a duration, such as 7d or 12h");
        timespan_rfc3339(now, selection->expiring_from);
        timespan_rfc3339(now + span_ms / 1000, selection->expiring_before);
    }
    return 0;
}

static int limit_read(struct selection *selection, struct error *error)
{
    const char *text = option_text(selection->options, OPTION_LIMIT);
    char *end;
    unsigned long long value;

    if (text == NULL)
        return 0;
    errno = 0;
    value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || *text < '0' || *text > '9' || value == 0)
        return error_set(error, CATLATCH_E_DATA, "--limit takes a whole number from 1");
    selection->limit = (size_t)value;
    return 0;
}

static int metadata_check(const struct options *options, struct error *error)
{
    const struct option_values *pairs = &options->values[OPTION_WITH_META];

    for (size_t i = 0; i < pairs->count; i++) {
        const char *equals = strchr(pairs->list[i], '=');
        if (equals == NULL || equals == pairs->list[i])
            return error_set(error, CATLATCH_E_DATA, "--meta takes a name and a value: K=V");
    }
    return 0;
}

int selection_read(const struct options *options, struct selection *ret_selection,
                   struct error *error)
{
    struct selection selection = {.options = options};
    int (*const steps[])(struct selection *, struct error *) = {
        times_read, unused_read, limit_read, ids_from_operands, keys_read, ids_from_file,
    };
    int code = state_check(options, error);

    if (code == 0)
        code = metadata_check(options, error);
    for (size_t i = 0; code == 0 && i < sizeof steps / sizeof *steps; i++)
        code = steps[i](&selection, error);
    if (code != 0)
        selection_free(&selection);
    else
        *ret_selection = selection;
    return code;
}

void selection_free(struct selection *selection)
{
    free(selection->ids);
    input_free(&selection->keys);
    *selection = (struct selection){0};
}

bool selection_is_open(const struct selection *selection)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if ((OPTIONS_SELECT & OPTION_BIT(i)) != 0 &&
            option_given(selection->options, (enum option_id)i))
            return false;
    return !selection->by_id;
}

static bool field_is(const json_t *key, const char *name, const char *wanted)
{
    return wanted == NULL || strcmp(value_text(key, name), wanted) == 0;
}

static bool metadata_match(const struct options *options, const json_t *key)
{
    const struct option_values *pairs = &options->values[OPTION_WITH_META];
    const json_t *metadata = json_object_get(key, "metadata");

    for (size_t i = 0; i < pairs->count; i++) {
        const char *pair = pairs->list[i], *equals = strchr(pair, '=');
        json_t *value = json_object_getn(metadata, pair, (size_t)(equals - pair));
        if (value == NULL || strcmp(json_string_value(value), equals + 1) != 0)
            return false;
    }
    return true;
}

/* Times of one form and zone, RFC 3339 with a Z, compare as text. */
static bool times_match(const struct selection *selection, const json_t *key)
{
    const char *expires = value_text(key, "expires_at");

    if (*selection->revoked_before != '\0' &&
        (*value_text(key, "revoked_at") == '\0' ||
         strcmp(value_text(key, "revoked_at"), selection->revoked_before) >= 0))
        return false;
    if (*selection->created_before != '\0' &&
        strcmp(value_text(key, "created_at"), selection->created_before) >= 0)
        return false;
    if (*selection->expiring_before == '\0')
        return true;
    return *expires != '\0' && strcmp(expires, selection->expiring_from) > 0 &&
           strcmp(expires, selection->expiring_before) < 0 &&
           strcmp(value_text(key, "state"), "revoked") != 0;
}

/* A key that was never used counts from its creation. */
static bool use_matches(const struct selection *selection, const json_t *key)
{
    return *selection->unused_since == '\0' ||
           (strcmp(value_text(key, "last_used_at"), selection->unused_since) <= 0 &&
            strcmp(value_text(key, "created_at"), selection->unused_since) <= 0);
}

static bool id_matches(const struct selection *selection, const json_t *key)
{
    const char *text = value_text(key, "id");
    uint64_t id;

    return !selection->by_id || (key_id_parse(text, strlen(text), &id) == 0 &&
                                 id_is_among(id, selection->ids, selection->id_count));
}

bool selection_matches(const struct selection *selection, const json_t *key)
{
    const struct options *options = selection->options;
    const char *glob = option_text(options, OPTION_WITH_NAME);

    return field_is(key, "owner", option_text(options, OPTION_WITH_OWNER)) &&
           field_is(key, "prefix", option_text(options, OPTION_WITH_PREFIX)) &&
           field_is(key, "environment", option_text(options, OPTION_WITH_ENV)) &&
           field_is(key, "state", option_text(options, OPTION_WITH_STATE)) &&
           (glob == NULL || fnmatch(glob, value_text(key, "name"), 0) == 0) &&
           metadata_match(options, key) && times_match(selection, key) &&
           use_matches(selection, key) && id_matches(selection, key);
}
