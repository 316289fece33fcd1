#include "import_line.h"

#include "import_field.h"

static int json_problem(const json_error_t *problem, struct error *error)
{
    const char *what;

    switch (json_error_code(problem)) {
    case json_error_out_of_memory:
        return error_set(error, CATLATCH_E_MEMORY, "out of memory");
    case json_error_invalid_utf8:
        what = "not UTF-8";
        break;
    case json_error_duplicate_key:
        what = "a field that stands there twice";
        break;
    case json_error_premature_end_of_input:
        what = "the line ends within the JSON";
        break;
    case json_error_end_of_input_expected:
        what = "something follows the JSON: one object a line";
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        what = "a NUL character";
        break;
    default:
        what = "not JSON";
        break;
    }
    return error_set(error, CATLATCH_E_DATA, "byte %d: %s", problem->position, what);
}

static int key_put(struct reading *reading)
{
    int code = identity_put(reading);

    if (code != 0)
        return code;
    if (reading->values[FIELD_SUSPENDED_AT] != NULL)
        return field_refuse(reading, FIELD_SUSPENDED_AT, "goes with suspended_owner alone");
    if (reading->values[FIELD_NAME] == NULL)
        return error_set(reading->error, CATLATCH_E_DATA, "no name: a key needs one");
    if (json_string_length(reading->values[FIELD_NAME]) == 0 &&
        json_is_string(reading->values[FIELD_NAME]))
        return field_refuse(reading, FIELD_NAME, "is empty");
    if (json_is_string(reading->values[FIELD_OWNER]) &&
        json_string_length(reading->values[FIELD_OWNER]) == 0)
        return field_refuse(reading, FIELD_OWNER, "is empty");
    if ((code = field_put_text(reading, FIELD_NAME, "NAME", FIELD_TEXT_MAX)) != 0 ||
        (code = field_put_text(reading, FIELD_OWNER, "OWNER", FIELD_TEXT_MAX)) != 0 ||
        (code = field_put_time(reading, FIELD_CREATED_AT, "CREATED")) != 0 ||
        (code = usage_put(reading)) != 0 ||
        (code = field_put_time(reading, FIELD_EXPIRES_AT, "EXPIRES")) != 0 ||
        (code = field_put_time(reading, FIELD_NOT_BEFORE, "NOT_BEFORE")) != 0 ||
        (code = state_put(reading)) != 0 ||
        (code = field_put_text(reading, FIELD_COMMENT, "COMMENT", FIELD_COMMENT_MAX)) != 0 ||
        (code = scopes_put(reading)) != 0 || (code = networks_put(reading)) != 0 ||
        (code = rates_put(reading)) != 0 || (code = uses_put(reading)) != 0 ||
        (code = retires_put(reading)) != 0 || (code = metadata_put(reading)) != 0 ||
        (code = field_put_id(reading, FIELD_ROTATED_FROM, "ROTATED_FROM", NULL)) != 0)
        return code;
    return field_put_id(reading, FIELD_ROTATED_TO, "ROTATED_TO", NULL);
}

/* Of a line about an owner nothing is given but these two. */
static int owner_put(struct reading *reading, enum field owner, const char *word, enum field other,
                     const char *what)
{
    reading->line->is_owner = true;
    for (int i = 0; i < FIELDS; i++)
        if (reading->values[i] != NULL && i != (int)owner && i != (int)other)
            return field_refuse(reading, owner, what);
    if (json_string_length(reading->values[owner]) == 0 && json_is_string(reading->values[owner]))
        return field_refuse(reading, owner, "is empty");
    return field_put_text(reading, owner, word, FIELD_TEXT_MAX);
}

static int suspended_put(struct reading *reading)
{
    int code = owner_put(reading, FIELD_SUSPENDED_OWNER, "SUSPENDED", FIELD_SUSPENDED_AT,
                         "goes with suspended_at alone");

    return code != 0 ? code : field_put_time(reading, FIELD_SUSPENDED_AT, "AT");
}

static int limited_put(struct reading *reading)
{
    int code =
        owner_put(reading, FIELD_LIMITED_OWNER, "LIMITED", FIELD_RATES, "goes with rates alone");

    if (code == 0 && json_array_size(reading->values[FIELD_RATES]) == 0)
        code = field_refuse(reading, FIELD_LIMITED_OWNER, "needs rates: what limits him");
    return code != 0 ? code : rates_put(reading);
}

static int object_read(struct reading *reading, json_t *object)
{
    int code;

    if (!json_is_object(object))
        return error_set(reading->error, CATLATCH_E_DATA,
                         "no JSON object: one {\"sha256\": ..., \"name\": ...} a line");
    code = field_find_all(reading, object);
    if (code != 0)
        return code;
    return reading->values[FIELD_SUSPENDED_OWNER] != NULL ? suspended_put(reading)
           : reading->values[FIELD_LIMITED_OWNER] != NULL ? limited_put(reading)
                                                          : key_put(reading);
}

static int json_read(struct reading *reading, const char *text, size_t len)
{
    json_error_t problem;
    json_t *object = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &problem);
    int code;

    if (object == NULL)
        return json_problem(&problem, reading->error);
    code = object_read(reading, object);
    json_decref(object);
    return code;
}

int import_line_read(const struct import_rules *rules, struct json_arena *arena, const char *text,
                     size_t len, struct import_line *io_line, struct error *error)
{
    struct reading reading = {.rules = rules, .line = io_line, .error = error};
    int code;

    io_line->is_owner = io_line->foreign = false;
    io_line->id = 0;
    io_line->word_count = io_line->len = 0;
    json_arena_begin(arena);
    code = json_read(&reading, text, len);
    json_arena_end();
    return code;
}
