#include "output.h"

#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Two texts of 255 bytes and a sentence around them. */
#define NOTE_SIZE 1024

const struct output_column output_key_columns[] = {
    {"ID", "id", 17},
    {"NAME", "name", 12},
    {"PREFIX", "prefix", 15},
    {"OWNER", "owner", 8},
    {"ENV", "environment", 4},
    {"STATE", "state", 8},
    {"CREATED", "created_at", 16},
    {"EXPIRES", "expires_at", 7},
};
const size_t output_key_column_count = sizeof output_key_columns / sizeof *output_key_columns;

void output_note(const char *format, ...)
{
    char text[NOTE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "catlatch: %s\n", text);
}

int output_error(const struct error *error)
{
    output_note("%s", error->text);
    return error_exit_status(error->code);
}

int output_usage(const char *format, ...)
{
    char text[NOTE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    output_note("%s", text);
    return EX_USAGE;
}

bool output_flush(void)
{
    static int failed; /* errno of the first failure: stdio forgets it */

    errno = 0;
    if (fflush(stdout) != 0 && failed == 0)
        failed = errno != 0 ? errno : EIO;
    else if (ferror(stdout) && failed == 0)
        failed = EIO;
    errno = failed;
    return failed == 0;
}

bool output_was_lost(void)
{
    if (output_flush())
        return false;
    fprintf(stderr, "catlatch: standard output failed (%s), but it was done: ", output_why(errno));
    return true;
}

const char *output_why(int errnum)
{
    return strerror(errnum); /* one thread */
}

static int write_all(const char *bytes, size_t len, void *stream)
{
    return fwrite(bytes, 1, len, stream) == len ? 0 : -1;
}

#define JSON_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)

void output_json(const json_t *value)
{
    (void)json_dump_callback(value, write_all, stdout, JSON_FLAGS);
    putchar('\n');
}

void output_array_add(struct output_array *array, const json_t *value)
{
    fputs(array->count++ > 0 ? ",\n" : "[\n", stdout);
    (void)json_dump_callback(value, write_all, stdout, JSON_FLAGS);
}

void output_array_end(const struct output_array *array)
{
    fputs(array->count > 0 ? "\n]\n" : "[]\n", stdout);
}

static bool colour_is_wanted(FILE *stream)
{
    const char *no_color = getenv("NO_COLOR"); /* https://no-color.org: set and not empty */
    const char *term = getenv("TERM");

    return (no_color == NULL || *no_color == '\0') && (term == NULL || strcmp(term, "dumb") != 0) &&
           isatty(fileno(stream));
}

static const char *state_colour(const char *state)
{
    if (strcmp(state, "active") == 0)
        return "green";
    return strcmp(state, "revoked") == 0 ? "red" : "yellow";
}

/* Only times: a name can look like one. */
static bool is_time(const char *field)
{
    size_t len = strlen(field);

    return len > 3 && strcmp(field + len - 3, "_at") == 0;
}

/* Makes "2026-01-31 02:14" of "2026-01-31T02:14:07Z"; leaves other texts alone. */
static void time_shorten(char *text)
{
    size_t len = strlen(text);

    if (len < 20 || text[10] != 'T' || text[len - 1] != 'Z')
        return;
    text[10] = ' ';
    text[16] = '\0';
}

static char *list_text(const json_t *list)
{
    size_t size = 1;
    char *text, *end;

    for (size_t i = 0; i < json_array_size(list); i++)
        size += json_string_length(json_array_get(list, i)) + 1;
    text = malloc(size);
    if (text == NULL)
        return NULL;
    end = text;
    for (size_t i = 0; i < json_array_size(list); i++)
        end += sprintf(end, "%s%s", i > 0 ? " " : "", json_string_value(json_array_get(list, i)));
    *end = '\0';
    return text;
}

/* A value as people read it; the caller frees it. */
static char *cell_text(const json_t *value)
{
    char *text = NULL;

    switch (json_typeof(value)) {
    case JSON_STRING:
        return strdup(json_string_value(value));
    case JSON_INTEGER:
        return asprintf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) < 0 ? NULL
                                                                                       : text;
    case JSON_TRUE:
        return strdup("yes");
    case JSON_FALSE:
        return strdup("no");
    case JSON_NULL:
        return strdup("-");
    case JSON_ARRAY:
        return list_text(value);
    case JSON_OBJECT:
    case JSON_REAL:
        return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    }
    return NULL;
}

static int cell_set(struct libscols_line *line, size_t column, const char *field,
                    const json_t *value, bool shorten)
{
    char *text = value != NULL ? cell_text(value) : strdup("-");
    int failed;

    if (text == NULL)
        return -1;
    if (strcmp(field, "state") == 0)
        (void)scols_cell_set_color(scols_line_get_cell(line, column), state_colour(text));
    if (shorten && is_time(field))
        time_shorten(text);
    failed = scols_line_set_data(line, column, text);
    free(text);
    return failed;
}

static struct libscols_table *table_new(FILE *stream)
{
    struct libscols_table *table = scols_new_table();

    if (table == NULL)
        return NULL;
    scols_table_set_stream(table, stream);
    scols_table_enable_colors(table, colour_is_wanted(stream));
    return table;
}

static int row_add(struct libscols_table *table, const struct output_table *shape,
                   const json_t *row)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);

    if (line == NULL)
        return -1;
    for (size_t i = 0; i < shape->column_count; i++) {
        const char *field = shape->columns[i].field;
        if (cell_set(line, i, field, json_object_get(row, field), true) != 0)
            return -1;
    }
    return 0;
}

int output_table(struct output_table *table, const json_t *rows, struct error *error)
{
    struct libscols_table *lines = table_new(table->stream);
    int failed = lines == NULL;

    for (size_t i = 0; !failed && i < table->column_count; i++) {
        const struct output_column *column = &table->columns[i];
        failed = scols_table_new_column(lines, column->title, column->min_width, 0) == NULL;
    }
    if (!failed) {
        scols_table_enable_noheadings(lines, table->printed > 0);
        for (size_t i = 0; !failed && i < json_array_size(rows); i++)
            failed = row_add(lines, table, json_array_get(rows, i)) != 0;
    }
    if (!failed && json_array_size(rows) > 0) {
        failed = scols_print_table(lines) != 0;
        table->printed += json_array_size(rows);
    }
    scols_unref_table(lines);
    return failed ? error_set(error, CATLATCH_E_MEMORY, "laying out a table: out of memory") : 0;
}

static int field_add(struct libscols_table *table, const char *name, const json_t *value)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);

    if (line == NULL || scols_line_set_data(line, 0, name) != 0)
        return -1;
    return cell_set(line, 1, name, value, false);
}

int output_record(FILE *stream, json_t *object, struct error *error)
{
    struct libscols_table *lines = table_new(stream);
    int failed = lines == NULL || scols_table_new_column(lines, "name", 0, 0) == NULL ||
                 scols_table_new_column(lines, "value", 0, 0) == NULL;

    for (void *at = json_object_iter(object); !failed && at != NULL;
         at = json_object_iter_next(object, at))
        failed = field_add(lines, json_object_iter_key(at), json_object_iter_value(at)) != 0;
    if (!failed) {
        scols_table_enable_noheadings(lines, 1);
        failed = scols_print_table(lines) != 0;
    }
    scols_unref_table(lines);
    return failed ? error_set(error, CATLATCH_E_MEMORY, "laying out a table: out of memory") : 0;
}
