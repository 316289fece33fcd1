#include "page.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "value.h"

/* What a column is made of. */
struct cell {
    const char *title, *field;
    unsigned columns;
    bool right;
    bool grows; /* takes a part of what the page is wider than it must be */
};

static const struct cell result_cells[] = {
    {"RESULT", "result", 19, false, false},
    {"A SECOND", "rate", 11, true, false},
    {"IN ALL", "total", 16, true, false},
};
static const struct cell key_cells[] = {
    {"KEY", "id", 17, false, false},           {"NAME", "name", 18, false, true},
    {"OWNER", "owner", 18, false, true},       {"GRANTED/S", "granted", 11, true, false},
    {"REFUSED/S", "refused", 11, true, false},
};
static const struct cell owner_cells[] = {
    {"OWNER", "owner", 54, false, true},
    {"GRANTED/S", "granted", 11, true, false},
    {"REFUSED/S", "refused", 11, true, false},
};
static const struct cell worker_cells[] = {
    {"PID", "pid", 9, false, false},           {"UID", "uid", 10, false, false},
    {"HANDLES", "handles", 8, true, false},    {"GENERATION", "generation", 22, false, true},
    {"GRANTED/S", "granted", 11, true, false}, {"REFUSED/S", "refused", 11, true, false},
};

static const struct part {
    const struct cell *cells;
    size_t cell_count;
    unsigned share; /* of the lines, in tenths, if all have more than fits */
} parts[] = {
    {result_cells, sizeof result_cells / sizeof *result_cells, 3},
    {key_cells, sizeof key_cells / sizeof *key_cells, 3},
    {owner_cells, sizeof owner_cells / sizeof *owner_cells, 2},
    {worker_cells, sizeof worker_cells / sizeof *worker_cells, 2},
};
#define PARTS (sizeof parts / sizeof *parts)

/* One character of the text; returns its bytes, and its columns and what is shown for it. */
static size_t take_character(const char *text, mbstate_t *state, unsigned *ret_columns,
                             char ret_shown[MB_LEN_MAX + 1])
{
    wchar_t wide;
    size_t len = mbrtowc(&wide, text, strlen(text), state);
    int columns = len != (size_t)-1 && len != (size_t)-2 ? wcwidth(wide) : -1;

    if (columns < 0) {
        memset(state, 0, sizeof *state);
        if (len == (size_t)-1 || len == (size_t)-2 || len == 0)
            len = 1;
        strcpy(ret_shown, "?");
        *ret_columns = 1;
        return len;
    }
    memcpy(ret_shown, text, len);
    ret_shown[len] = '\0';
    *ret_columns = (unsigned)columns;
    return len;
}

static void blanks(char *line, size_t size, unsigned count)
{
    size_t len = strlen(line);

    for (; count > 0 && len + 1 < size; count--)
        line[len++] = ' ';
    line[len] = '\0';
}

void page_fit(char *line, size_t size, const char *text, unsigned columns, bool right)
{
    char fitted[4 * PAGE_WIDTH_MAX + 1] = "", shown[MB_LEN_MAX + 1];
    mbstate_t state = {0};
    unsigned used = 0, more = 0;

    while (*text != '\0') {
        text += take_character(text, &state, &more, shown);
        if (used + more > columns || strlen(fitted) + strlen(shown) >= sizeof fitted)
            break;
        strcat(fitted, shown);
        used += more;
    }
    if (right)
        blanks(line, size, columns - used);
    if (strlen(line) + strlen(fitted) < size)
        strcat(line, fitted);
    if (!right)
        blanks(line, size, columns - used);
}

static struct page_line *add_line(struct page *page)
{
    struct page_line *line;

    if (page->count >= page->height)
        return NULL;
    line = &page->lines[page->count++];
    line->is_title = false;
    line->text[0] = '\0';
    return line;
}

/* Of a rate what can be read at a glance. */
static void value_read(const json_t *value, char ret_text[32])
{
    if (json_is_real(value))
        snprintf(ret_text, 32,
                 json_real_value(value) < 9.95 && json_real_value(value) > 0 ? "%.1f" : "%.0f",
                 json_real_value(value));
    else
        snprintf(ret_text, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

static unsigned width_of(const struct part *part)
{
    unsigned width = 0;

    for (size_t i = 0; i < part->cell_count; i++)
        width += part->cells[i].columns + (i > 0);
    return width;
}

/* A narrow page lacks the columns at the end but for what is left of them. */
static unsigned cell_width(const struct page *page, const struct part *part, size_t cell)
{
    unsigned least = width_of(part), growing = 0;

    for (size_t i = 0; i < part->cell_count; i++)
        growing += part->cells[i].grows;
    unsigned width = part->cells[cell].columns;
    if (!part->cells[cell].grows || growing == 0)
        return width;
    if (page->width >= least)
        return width + (page->width - least) / growing;
    unsigned lack = (least - page->width + growing - 1) / growing;
    return width > lack + 4 ? width - lack : 4;
}

static void write_row(struct page *page, const struct part *part, const json_t *row)
{
    struct page_line *line = add_line(page);
    char whole[4 * PAGE_WIDTH_MAX + 1] = "", text[32];

    if (line == NULL)
        return;
    line->is_title = row == NULL;
    for (size_t i = 0; i < part->cell_count; i++) {
        const struct cell *cell = &part->cells[i];
        const json_t *value = json_object_get(row, cell->field);
        const char *shown = row == NULL ? cell->title : json_string_value(value);
        if (row != NULL && shown == NULL) {
            value_read(value, text);
            if (strcmp(cell->field, "generation") == 0 && value_true(row, "stale"))
                strncat(text, " (stale)", sizeof text - strlen(text) - 1);
            shown = text;
        }
        if (i > 0)
            blanks(whole, sizeof whole, 1);
        page_fit(whole, sizeof whole, shown, cell_width(page, part, i), cell->right);
    }
    page_fit(line->text, sizeof line->text, whole, page->width, false);
}

/* Lines for the rows of each part: all that it has, or a share of what there is. */
static void divide(const size_t wanted[PARTS], unsigned lines, unsigned ret_lines[PARTS])
{
    unsigned left = lines;

    for (size_t i = 0; i < PARTS; i++) {
        unsigned share = lines * parts[i].share / 10;
        ret_lines[i] = wanted[i] < share ? (unsigned)wanted[i] : share;
        left -= ret_lines[i];
    }
    for (size_t i = 0; i < PARTS; i++) {
        size_t more = wanted[i] - ret_lines[i];
        unsigned given = more < left ? (unsigned)more : left;
        ret_lines[i] += given;
        left -= given;
    }
}

static json_int_t number(const json_t *map, const char *name)
{
    return json_integer_value(json_object_get(map, name));
}

static double sum_of_rates(const json_t *rows)
{
    double sum = 0;

    for (size_t i = 0; i < json_array_size(rows); i++)
        sum += json_real_value(json_object_get(json_array_get(rows, i), "rate"));
    return sum;
}

static unsigned stale_of(const json_t *workers)
{
    unsigned count = 0;

    for (size_t i = 0; i < json_array_size(workers); i++)
        count += value_true(json_array_get(workers, i), "stale");
    return count;
}

static void add_text(struct page *page, const char *text)
{
    struct page_line *line = add_line(page);

    if (line != NULL)
        page_fit(line->text, sizeof line->text, text, page->width, false);
}

static void write_head(struct page *page, const struct picture *picture)
{
    const json_t *stats = picture->stats;
    time_t now = time(NULL);
    char text[512], clock[16] = "";

    strftime(clock, sizeof clock, "%H:%M:%S", gmtime(&now));
    snprintf(text, sizeof text, "%s  %.0f verifications a second  beat %.1f s ago  %s UTC",
             value_text(stats, "host"), sum_of_rates(picture->results),
             (double)number(stats, "heartbeat_age_ms") / 1000, clock);
    add_text(page, text);
    snprintf(text, sizeof text,
             "table: generation %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
             " keys, %.1f %% full%s; ",
             number(stats, "generation"), number(stats, "keys"),
             (double)number(stats, "fill_permille") / 10,
             value_true(stats, "growing") ? ", growing" : "");
    size_t len = strlen(text);
    if (picture->processes == NULL)
        snprintf(text + len, sizeof text - len, "attached: not known, no keeper answers");
    else
        snprintf(text + len, sizeof text - len, "attached: %zu processes, %u stale",
                 json_array_size(picture->workers), stale_of(picture->workers));
    add_text(page, text);
}

void page_write(struct page *page, unsigned width, unsigned height, const struct picture *picture)
{
    const json_t *rows[PARTS] = {picture->results, picture->keys, picture->owners,
                                 picture->workers};
    size_t wanted[PARTS];
    unsigned lines[PARTS], titles = 2 * PARTS; /* a blank line and the titles */

    page->width = width < PAGE_WIDTH_MIN   ? PAGE_WIDTH_MIN
                  : width > PAGE_WIDTH_MAX ? PAGE_WIDTH_MAX
                                           : width;
    page->height = height > PAGE_HEIGHT_MAX ? PAGE_HEIGHT_MAX : height;
    page->count = 0;
    write_head(page, picture);
    for (size_t i = 0; i < PARTS; i++)
        wanted[i] = json_array_size(rows[i]);
    divide(wanted, page->height > 2 + titles ? page->height - 2 - titles : 0, lines);
    for (size_t i = 0; i < PARTS; i++) {
        add_text(page, "");
        write_row(page, &parts[i], NULL);
        for (unsigned row = 0; row < lines[i]; row++)
            write_row(page, &parts[i], json_array_get(rows[i], row));
    }
}
