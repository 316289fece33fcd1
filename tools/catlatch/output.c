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
    {"ID", "id", 17, OUTPUT_FIXED},
    {"NAME", "name", 12, OUTPUT_WRAPS},
    {"PREFIX", "prefix", 15, OUTPUT_SPARE_NEXT},
    {"OWNER", "owner", 8, OUTPUT_WRAPS},
    {"ENV", "environment", 4, OUTPUT_FIXED},
    {"STATE", "state", 8, OUTPUT_FIXED},
    {"CREATED", "created_at", 16, OUTPUT_SPARE},
    {"LAST USED", "last_used_at", 16, OUTPUT_FIXED},
    {"EXPIRES", "expires_at", 16, OUTPUT_FIXED},
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

static int stdout_errnum; /* errno of stdout's first failure: stdio forgets it */

bool output_flush(void)
{
    errno = 0;
    if (fflush(stdout) != 0 && stdout_errnum == 0)
        stdout_errnum = errno != 0 ? errno : EIO;
    else if (ferror(stdout) && stdout_errnum == 0)
        stdout_errnum = EIO;
    errno = stdout_errnum;
    return stdout_errnum == 0;
}

void output_drop(void)
{
    if (freopen("/dev/null", "w", stdout) != NULL)
        stdout_errnum = 0;
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

void output_quoted(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

void output_word(const char *text)
{
    if (text[strcspn(text, " \"\\")] == '\0')
        fputs(text, stdout);
    else
        output_quoted(text);
}

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

bool output_has_colour(FILE *stream)
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

/* How much is said of a time. */
enum precision { WHOLE, MINUTE, DAY };

/* Makes "2026-01-31 02:14" or "2026-01-31" of "2026-01-31T02:14:07Z"; leaves other texts alone. */
static void time_shorten(char *text, enum precision precision)
{
    size_t len = strlen(text);

    if (precision == WHOLE || len < 20 || text[10] != 'T' || text[len - 1] != 'Z')
        return;
    text[10] = ' ';
    text[precision == DAY ? 10 : 16] = '\0';
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

/* What stands where there is no value. With blanks it is as long as the title: a column of
 * what is shorter than that gets no room for more, and the pages of a long list would not line up.
 */
static const char *none_text(const char *field)
{
    return strcmp(field, "last_used_at") == 0 ? "never    " : "-";
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
                    const json_t *value, enum precision precision)
{
    char *text = json_is_null(value) || value == NULL ? strdup(none_text(field)) : cell_text(value);
    int failed;

    if (text == NULL)
        return -1;
    if (strcmp(field, "state") == 0)
        (void)scols_cell_set_color(scols_line_get_cell(line, column), state_colour(text));
    if (is_time(field))
        time_shorten(text, precision);
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
    scols_table_enable_colors(table, output_has_colour(stream));
    return table;
}

/* What of a table's shape the stream's terminal has room for. */
struct layout {
    const struct output_table *shape;
    bool terminal;
    bool short_times;
    unsigned spared; /* kinds of columns that are left out: 0 to SPARES */
    bool cramped;    /* and that is not enough: what is longer than most wraps, too */
};

#define SPARES 2u

/* As a day takes. */
#define DAY_WIDTH 10u

static unsigned column_width(const struct layout *layout, const struct output_column *column)
{
    return layout->short_times && is_time(column->field) ? DAY_WIDTH : column->min_width;
}

static bool is_shown(const struct layout *layout, size_t column)
{
    switch (layout->shape->columns[column].kind) {
    case OUTPUT_FIXED:
    case OUTPUT_WRAPS:
        break;
    case OUTPUT_SPARE:
        return layout->spared < 1;
    case OUTPUT_SPARE_NEXT:
        return layout->spared < 2;
    }
    return true;
}

/* What a column takes that does not wrap: an address can be longer than most are. */
static size_t needed_width(const struct layout *layout, const struct output_column *column,
                           const json_t *rows)
{
    size_t width = column_width(layout, column);

    for (size_t i = 0; column->kind == OUTPUT_FIXED && i < json_array_size(rows); i++) {
        const json_t *value = json_object_get(json_array_get(rows, i), column->field);
        if (!is_time(column->field) && json_string_length(value) > width)
            width = json_string_length(value);
    }
    return width;
}

static bool is_too_wide(const struct layout *layout, const json_t *rows, size_t terminal_width)
{
    size_t width = 0;

    for (size_t i = 0; i < layout->shape->column_count; i++)
        if (is_shown(layout, i))
            width += needed_width(layout, &layout->shape->columns[i], rows) + (width > 0);
    return width > terminal_width;
}

/* Times lose their hours first, then columns go that others can make up for. Further rows are laid
 * out as the first ones were. */
static struct layout layout_of(struct output_table *shape, const json_t *rows,
                               const struct libscols_table *lines)
{
    struct layout layout = {.shape = shape,
                            .terminal = isatty(fileno(shape->stream)) == 1,
                            .short_times = shape->short_times,
                            .spared = shape->spared,
                            .cramped = shape->cramped};

    if (!layout.terminal || lines == NULL || shape->printed > 0)
        return layout;
    size_t room = scols_table_get_termwidth(lines);
    layout.short_times = is_too_wide(&layout, rows, room);
    while (layout.spared < SPARES && is_too_wide(&layout, rows, room))
        layout.spared++;
    layout.cramped = is_too_wide(&layout, rows, room);
    shape->cramped = layout.cramped;
    shape->short_times = layout.short_times;
    shape->spared = layout.spared;
    return layout;
}

static int columns_add(struct libscols_table *lines, const struct layout *layout,
                       const json_t *rows)
{
    for (size_t i = 0; i < layout->shape->column_count; i++) {
        const struct output_column *column = &layout->shape->columns[i];
        bool is_long = needed_width(layout, column, rows) > column->min_width;
        bool wraps =
            layout->terminal && (column->kind == OUTPUT_WRAPS || (layout->cramped && is_long));
        if (is_shown(layout, i) &&
            scols_table_new_column(lines, column->title, column_width(layout, column),
                                   wraps ? SCOLS_FL_WRAP : 0) == NULL)
            return -1;
    }
    return 0;
}

static int row_add(struct libscols_table *lines, const struct layout *layout, const json_t *row)
{
    struct libscols_line *line = scols_table_new_line(lines, NULL);
    size_t at = 0;

    if (line == NULL)
        return -1;
    for (size_t i = 0; i < layout->shape->column_count; i++) {
        const char *field = layout->shape->columns[i].field;
        if (is_shown(layout, i) && cell_set(line, at++, field, json_object_get(row, field),
                                            layout->short_times ? DAY : MINUTE) != 0)
            return -1;
    }
    return 0;
}

int output_table(struct output_table *table, const json_t *rows, struct error *error)
{
    struct libscols_table *lines = table_new(table->stream);
    const struct layout layout = layout_of(table, rows, lines);
    int failed = lines == NULL || columns_add(lines, &layout, rows) != 0;

    if (!failed) {
        scols_table_enable_noheadings(lines, table->printed > 0);
        for (size_t i = 0; !failed && i < json_array_size(rows); i++)
            failed = row_add(lines, &layout, json_array_get(rows, i)) != 0;
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
    return cell_set(line, 1, name, value, WHOLE);
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
