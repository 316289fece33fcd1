#include "daemon/resp.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Problems never quote what was sent: it may be a key. */
static enum resp_status invalid(struct resp_parser *parser, const char *problem)
{
    parser->progress = RESP_BROKEN;
    parser->problem = problem;
    return RESP_INVALID;
}

void resp_init(struct resp_parser *parser)
{
    memset(parser, 0, sizeof *parser);
    parser->spans = parser->few;
    parser->capacity = RESP_SPANS_FEW;
}

void resp_free(struct resp_parser *parser)
{
    if (parser->spans != parser->few)
        free(parser->spans);
    resp_init(parser);
}

void resp_next(struct resp_parser *parser)
{
    if (parser->spans != parser->few) {
        resp_free(parser);
        return;
    }
    parser->progress = RESP_BEGIN;
    parser->position = 0;
    parser->expected = 0;
    parser->count = 0;
}

static bool spans_grow(struct resp_parser *parser)
{
    uint32_t capacity = 2 * parser->capacity; /* stays below twice RESP_INLINE_BYTES_MAX */
    struct resp_span *spans = malloc(capacity * sizeof *spans);

    if (!spans)
        return false;
    memcpy(spans, parser->spans, parser->count * sizeof *spans);
    if (parser->spans != parser->few)
        free(parser->spans);
    parser->spans = spans;
    parser->capacity = capacity;
    return true;
}

static bool span_add(struct resp_parser *parser, size_t start, size_t len)
{
    if (parser->count == parser->capacity && !spans_grow(parser))
        return false;
    parser->spans[parser->count++] = (struct resp_span){(uint32_t)start, (uint32_t)len};
    return true;
}

/* The digits after a '*' or '$' at parser->position, and their CRLF. */
static enum resp_status parse_length(struct resp_parser *parser, const char *bytes, size_t len,
                                     uint64_t *ret_length)
{
    size_t at = parser->position + 1, first = at;
    uint64_t length = 0;

    while (at < len && bytes[at] >= '0' && bytes[at] <= '9') {
        if (at - first == RESP_LENGTH_DIGITS_MAX)
            return invalid(parser, "Protocol error: a length has more than 10 digits");
        length = 10 * length + (uint64_t)(bytes[at++] - '0');
    }
    if (at == len)
        return RESP_MORE;
    if (at == first || bytes[at] != '\r')
        return invalid(parser, "Protocol error: a length is not a number that ends with CRLF");
    if (at + 1 == len)
        return RESP_MORE;
    if (bytes[at + 1] != '\n')
        return invalid(parser, "Protocol error: a length is not a number that ends with CRLF");
    parser->position = (uint32_t)(at + 2);
    *ret_length = length;
    return RESP_REQUEST;
}

/* One "$len CRLF bytes CRLF"; what is not whole is looked at again from its '$'. */
static enum resp_status parse_bulk(struct resp_parser *parser, char *bytes, size_t len)
{
    uint32_t before = parser->position;
    uint64_t length;
    enum resp_status status;

    if (before == len)
        return RESP_MORE;
    if (bytes[before] != '$')
        return invalid(parser, "Protocol error: expected '$' and the length of an argument");
    status = parse_length(parser, bytes, len, &length);
    if (status != RESP_REQUEST)
        return status;
    if (length > RESP_ARGUMENT_BYTES_MAX)
        return invalid(parser, "Protocol error: an argument is longer than 65536 bytes");

    size_t start = parser->position, end = start + (size_t)length;
    if (end + 2 > RESP_REQUEST_BYTES_MAX)
        return invalid(parser, "Protocol error: the request is longer than 1048576 bytes");
    if (end + 2 > len) {
        parser->position = before;
        return RESP_MORE;
    }
    if (bytes[end] != '\r' || bytes[end + 1] != '\n')
        return invalid(parser, "Protocol error: an argument does not end with CRLF");
    if (!span_add(parser, start, (size_t)length))
        return invalid(parser, "Protocol error: out of memory for the arguments");
    bytes[end] = '\0';
    parser->position = (uint32_t)(end + 2);
    return RESP_REQUEST;
}

static enum resp_status parse_array(struct resp_parser *parser, char *bytes, size_t len)
{
    while (parser->count < parser->expected) {
        enum resp_status status = parse_bulk(parser, bytes, len);
        if (status != RESP_REQUEST)
            return status;
    }
    parser->progress = RESP_COMPLETE;
    return RESP_REQUEST;
}

static enum resp_status begin_array(struct resp_parser *parser, char *bytes, size_t len)
{
    uint64_t count;
    enum resp_status status = parse_length(parser, bytes, len, &count);

    if (status != RESP_REQUEST)
        return status;
    if (count > RESP_ARGUMENTS_MAX)
        return invalid(parser, "Protocol error: the request has more than 16384 arguments");
    parser->expected = (uint32_t)count;
    parser->progress = RESP_IN_ARRAY;
    return parse_array(parser, bytes, len);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* One escape of a "..." at `at`, the byte behind the backslash; *ret_c is what it means. Returns
 * how many bytes it takes. */
static size_t unescape(const char *bytes, size_t at, size_t end, char *ret_c)
{
    if (bytes[at] == 'x' && end - at >= 3 && text_hex_value(bytes[at + 1]) >= 0 &&
        text_hex_value(bytes[at + 2]) >= 0) {
        *ret_c = (char)(text_hex_value(bytes[at + 1]) * 16 + text_hex_value(bytes[at + 2]));
        return 3;
    }
    switch (bytes[at]) {
    case 'n':
        *ret_c = '\n';
        break;
    case 'r':
        *ret_c = '\r';
        break;
    case 't':
        *ret_c = '\t';
        break;
    case 'b':
        *ret_c = '\b';
        break;
    case 'a':
        *ret_c = '\a';
        break;
    default:
        *ret_c = bytes[at];
        break;
    }
    return 1;
}

/* The inside of quotes that open at *io_at, written at *io_out, which is never ahead of it. False:
 * they don't close, or something is glued to their end. */
static bool parse_quoted(char *bytes, size_t *io_at, size_t end, size_t *io_out)
{
    char quote = bytes[(*io_at)++];

    while (*io_at < end && bytes[*io_at] != quote) {
        char c = bytes[(*io_at)++];
        if (c == '\\' && *io_at < end && quote == '"')
            *io_at += unescape(bytes, *io_at, end, &c);
        else if (c == '\\' && *io_at < end && bytes[*io_at] == '\'')
            c = bytes[(*io_at)++];
        bytes[(*io_out)++] = c;
    }
    if (*io_at == end)
        return false;
    (*io_at)++;
    return *io_at == end || is_blank(bytes[*io_at]);
}

/* One word that begins at *io_at and is not blank. */
static enum resp_status parse_word(struct resp_parser *parser, char *bytes, size_t *io_at,
                                   size_t end)
{
    size_t start = *io_at, out = start;

    while (*io_at < end && !is_blank(bytes[*io_at])) {
        if (bytes[*io_at] != '"' && bytes[*io_at] != '\'')
            bytes[out++] = bytes[(*io_at)++];
        else if (!parse_quoted(bytes, io_at, end, &out))
            return invalid(parser, "Protocol error: unbalanced quotes in the request");
    }
    if (parser->count == RESP_ARGUMENTS_MAX)
        return invalid(parser, "Protocol error: the request has more than 16384 arguments");
    if (!span_add(parser, start, out - start))
        return invalid(parser, "Protocol error: out of memory for the arguments");
    if (*io_at < end)
        (*io_at)++; /* the blank, where the NUL of a word without quotes goes */
    bytes[out] = '\0';
    return RESP_REQUEST;
}

static enum resp_status parse_line(struct resp_parser *parser, char *bytes, size_t len)
{
    char *newline = memchr(bytes + parser->position, '\n', len - parser->position);
    size_t end = newline ? (size_t)(newline - bytes) : len, at = 0;

    parser->progress = RESP_IN_LINE;
    if (end > RESP_INLINE_BYTES_MAX)
        return invalid(parser, "Protocol error: the line is longer than 65536 bytes");
    parser->position = (uint32_t)end;
    if (!newline)
        return RESP_MORE;
    for (;;) {
        while (at < end && is_blank(bytes[at]))
            at++;
        if (at == end)
            break;
        enum resp_status status = parse_word(parser, bytes, &at, end);
        if (status != RESP_REQUEST)
            return status;
    }
    parser->position = (uint32_t)(end + 1);
    parser->progress = RESP_COMPLETE;
    return RESP_REQUEST;
}

static enum resp_status parse_on(struct resp_parser *parser, char *bytes, size_t len)
{
    switch (parser->progress) {
    case RESP_BEGIN:
        if (len == 0)
            return RESP_MORE;
        return bytes[0] == '*' ? begin_array(parser, bytes, len) : parse_line(parser, bytes, len);
    case RESP_IN_LINE:
        return parse_line(parser, bytes, len);
    case RESP_IN_ARRAY:
        return parse_array(parser, bytes, len);
    case RESP_COMPLETE:
        return RESP_REQUEST;
    case RESP_BROKEN:
        break;
    }
    return RESP_INVALID;
}

enum resp_status resp_parse(struct resp_parser *parser, char *bytes, size_t len,
                            struct resp_request *ret_request)
{
    enum resp_status status = parse_on(parser, bytes, len);

    if (status == RESP_REQUEST)
        *ret_request = (struct resp_request){.bytes = bytes,
                                             .spans = parser->spans,
                                             .count = parser->count,
                                             .size = parser->position};
    return status;
}
