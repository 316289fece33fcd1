#include "core/ini.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "core/text.h"

enum line_kind { LINE_BLANK, LINE_SECTION, LINE_KEY };

struct reader {
    FILE *stream;
    const char *file;
    ini_visitor *visitor;
    void *context;
    struct error *error;
    int status; /* negative: the reading has ended */
    unsigned line;
    char section[INI_NAME_MAX + 1];
    char text[INI_LINE_MAX + 1];
    size_t text_len;
    const char *name; /* with value in text; NULL once inih has handed the line back */
    const char *value;
};

CATLATCH_PRINTF(2, 3)
static int refuse(struct reader *reader, const char *format, ...)
{
    char reason[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    reader->status = error_set(reader->error, CATLATCH_E_CONFIG, "%s:%u: %s", reader->file,
                               reader->line, reason);
    return reader->status;
}

static int visit(struct reader *reader, const char *name, const char *value)
{
    struct ini_event event = {.file = reader->file,
                              .line = reader->line,
                              .section = reader->section,
                              .name = name,
                              .value = value};

    reader->status = reader->visitor(reader->context, &event, reader->error);
    if (reader->status != 0)
        error_prefix(reader->error, "%s:%u", reader->file, reader->line);
    return reader->status;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The text without the blanks around it; cuts the end off in place. */
static char *trim(char *text)
{
    size_t len;

    while (is_blank(*text))
        text++;
    len = strlen(text);
    while (len > 0 && is_blank(text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

/* Fills reader->text with one line. Returns 1, 0 at the end of the stream, or negative. */
static int line_fetch(struct reader *reader)
{
    size_t len = 0;
    int c;

    reader->line++;
    while ((c = getc(reader->stream)) != EOF && c != '\n') {
        if (c == '\0')
            return refuse(reader, "a NUL byte; this is not a text file");
        if (len == INI_LINE_MAX)
            return refuse(reader, "the line is longer than %u bytes; shorten it", INI_LINE_MAX);
        reader->text[len++] = (char)c;
    }
    if (c == EOF && ferror(reader->stream)) {
        reader->status = error_errno(reader->error, errno, "%s: cannot read it", reader->file);
        if (reader->status != CATLATCH_E_MEMORY)
            reader->status = CATLATCH_E_IO;
        return reader->status;
    }
    reader->text[len] = '\0';
    reader->text_len = len;
    return c != EOF || len > 0;
}

static int line_check_text(struct reader *reader)
{
    const char *part = reader->text;
    const char *end = reader->text + reader->text_len;

    if (reader->line == 1 && strncmp(reader->text, "\xEF\xBB\xBF", 3) == 0)
        return refuse(reader, "the file begins with a byte order mark; save it without one");
    if (reader->text_len > 0 && end[-1] == '\r')
        return refuse(reader, "the line ends in CR LF; save the file with Unix line ends");
    while (part < end) {
        size_t len = strcspn(part, "\t");
        if (!text_is_printable_utf8(part, len))
            return refuse(reader, "a control character, or text that is not UTF-8");
        part += len + (part[len] == '\t');
    }
    return 0;
}

/* Cuts off a comment within the line; one at its start has been seen to. */
static void line_cut_comment(struct reader *reader)
{
    char *text = reader->text;

    for (size_t i = 1; text[i] != '\0'; i++) {
        if (text[i] == ';' && is_blank(text[i - 1])) {
            text[i] = '\0';
            return;
        }
    }
}

static int section_parse(struct reader *reader)
{
    char *name = reader->text + 1;
    char *close = strchr(name, ']');
    size_t len;

    if (close == NULL)
        return refuse(reader, "the section's ']' is missing");
    if (*trim(close + 1) != '\0')
        return refuse(reader, "text after the section's ']'; a setting begins a line of its own");
    *close = '\0';
    len = strlen(name);
    if (len == 0)
        return refuse(reader, "the section has no name");
    if (len > INI_NAME_MAX)
        return refuse(reader, "the section's name is longer than %u bytes", INI_NAME_MAX);
    if (strchr(name, '\t') != NULL)
        return refuse(reader, "a tab in the section's name; use a blank");
    memcpy(reader->section, name, len + 1);
    return 0;
}

static int key_parse(struct reader *reader)
{
    char *equals = strchr(reader->text, '=');
    const char *colon = strchr(reader->text, ':');
    char *name;
    char *value;

    if (colon != NULL && (equals == NULL || colon < equals))
        return refuse(reader, "':' does not separate a name from its value; write name = value");
    if (equals == NULL)
        return refuse(reader, "text without '='; write name = value");
    *equals = '\0';
    name = trim(reader->text);
    value = trim(equals + 1);
    if (*name == '\0')
        return refuse(reader, "a value without a name; write name = value");
    if (strlen(name) > INI_NAME_MAX)
        return refuse(reader, "the name is longer than %u bytes", INI_NAME_MAX);
    if (strchr(name, '\t') != NULL || strchr(value, '\t') != NULL)
        return refuse(reader, "a tab inside a name or value; use blanks");
    if (reader->section[0] == '\0')
        return refuse(reader, "a setting before the first [section]");
    reader->name = name;
    reader->value = value;
    return 0;
}

static int line_parse(struct reader *reader, enum line_kind *ret_kind)
{
    char first = reader->text[0];

    *ret_kind = LINE_BLANK;
    if (first == ';' || first == '#' || reader->text[strspn(reader->text, " \t")] == '\0')
        return 0;
    if (is_blank(first))
        return refuse(reader, "the line is indented, which would continue the one above; "
                              "begin it at the margin");
    line_cut_comment(reader);
    *ret_kind = first == '[' ? LINE_SECTION : LINE_KEY;
    return first == '[' ? section_parse(reader) : key_parse(reader);
}

/* The next line that is not blank or a comment. Returns 1, 0 at the end, or negative. */
static int line_next(struct reader *reader, enum line_kind *ret_kind)
{
    enum line_kind kind;
    int r;

    do {
        r = line_fetch(reader);
        if (r <= 0)
            return r;
        r = line_check_text(reader);
        if (r == 0)
            r = line_parse(reader, &kind);
        if (r != 0)
            return r;
    } while (kind == LINE_BLANK);
    *ret_kind = kind;
    return 1;
}

/* A key's line that inih was given and did not hand back would be a rule that silently is not
 * there. */
static int check_returned(struct reader *reader)
{
    if (reader->status == 0 && reader->name != NULL)
        return refuse(reader, "inih, set up by this process, does not see this line");
    return reader->status;
}

/* inih's line reader: gives it each line in its plainest form. */
static char *give_line(char *line, int size, void *stream)
{
    struct reader *reader = stream;
    enum line_kind kind = LINE_BLANK;
    int len;

    if (check_returned(reader) != 0 || line_next(reader, &kind) <= 0)
        return NULL;
    if (kind == LINE_SECTION) {
        if (visit(reader, NULL, NULL) != 0)
            return NULL;
        len = snprintf(line, (size_t)size, "[%s]\n", reader->section);
    } else {
        len = snprintf(line, (size_t)size, "%s=%s\n", reader->name, reader->value);
    }
    if (len < 0 || len >= size) {
        refuse(reader, "inih, set up by this process, takes no line of this length");
        return NULL;
    }
    return line;
}

/* inih's handler. Nonzero means go on; after a failure give_line ends the reading. */
static int take_key(void *user, const char *section, const char *name, const char *value)
{
    struct reader *reader = user;
    const char *expected = reader->name;

    if (reader->status != 0)
        return 0;
    reader->name = NULL;
    if (expected == NULL || strcmp(section, reader->section) != 0 || strcmp(name, expected) != 0 ||
        strcmp(value, reader->value) != 0) {
        refuse(reader, "inih, set up by this process, reads this line as something else");
        return 0;
    }
    return visit(reader, name, value) == 0;
}

int ini_read(FILE *stream, const char *file, ini_visitor *visitor, void *context,
             struct error *error)
{
    struct reader reader = {
        .stream = stream, .file = file, .visitor = visitor, .context = context, .error = error};
    int r = ini_parse_stream(give_line, &reader, take_key, &reader);

    if (check_returned(&reader) != 0)
        return reader.status;
    if (r < 0)
        return error_set(error, CATLATCH_E_MEMORY, "%s: out of memory", file);
    if (r > 0)
        return refuse(&reader, "inih, set up by this process, refuses a line");
    return 0;
}
