#include "receipt.h"

#include <string.h>

#include "output.h"
#include "value.h"

static const struct output_column columns[] = {
    {"ID", "id", 17, OUTPUT_FIXED},
    {"NAME", "name", 12, OUTPUT_WRAPS},
    {"PREFIX", "prefix", 15, OUTPUT_SPARE},
    {"OWNER", "owner", 8, OUTPUT_WRAPS},
    {"STATE", "state", 8, OUTPUT_FIXED},
    {"CHANGED", "changed", 7, OUTPUT_SPARE_NEXT},
    {"LAST USED", "last_used_at", 16, OUTPUT_FIXED},
    {"FROM", "last_used_from", 15, OUTPUT_FIXED},
};

int receipt_join(json_t **io_receipt, json_t *next, struct error *error)
{
    json_t *count, *keys;
    int failed;

    if (*io_receipt == NULL) {
        *io_receipt = next;
        return 0;
    }
    count = json_integer(json_integer_value(json_object_get(*io_receipt, "count")) +
                         json_integer_value(json_object_get(next, "count")));
    keys = json_incref(json_object_get(*io_receipt, "keys"));
    failed = json_array_extend(keys, json_object_get(next, "keys")) != 0 ||
             json_object_update(*io_receipt, next) != 0 ||
             json_object_set_new(*io_receipt, "count", count) != 0 ||
             json_object_set(*io_receipt, "keys", keys) != 0;
    json_decref(keys);
    json_decref(next);
    return failed ? error_set(error, CATLATCH_E_MEMORY, "out of memory") : 0;
}

int receipt_table(FILE *stream, const json_t *receipt, struct error *error)
{
    struct output_table table = {
        .stream = stream, .columns = columns, .column_count = sizeof columns / sizeof *columns};

    return output_table(&table, json_object_get(receipt, "keys"), error);
}

void receipt_line(FILE *stream, const json_t *receipt, size_t total, const char *what,
                  const char *when)
{
    size_t count = (size_t)json_integer_value(json_object_get(receipt, "count"));

    fprintf(stream, "%zu %s %s on %s %s %s (sequence %s, generation %" JSON_INTEGER_FORMAT ")",
            total, total == 1 ? "key" : "keys", what, value_text(receipt, "host"), when,
            value_text(receipt, "time"), value_text(receipt, "sequence"),
            json_integer_value(json_object_get(receipt, "generation")));
    if (count < total)
        fprintf(stream, "; %zu %s so already", total - count, total - count == 1 ? "was" : "were");
    fputc('\n', stream);
}

/* The one that was accepted last; NULL: none ever was. */
static const json_t *last_used(const json_t *keys)
{
    const json_t *last = NULL;

    for (size_t i = 0; i < json_array_size(keys); i++) {
        const json_t *key = json_array_get(keys, i);
        const char *at = value_text(key, "last_used_at");
        if (*at != '\0' && (last == NULL || strcmp(at, value_text(last, "last_used_at")) > 0))
            last = key;
    }
    return last;
}

void receipt_last_used(FILE *stream, const json_t *keys)
{
    const json_t *last = last_used(keys);
    size_t count = json_array_size(keys);

    if (last == NULL) {
        fprintf(stream, "%s\n", count == 1 ? "never accepted so far" : "none was accepted so far");
        return;
    }
    const char *from = value_text(last, "last_used_from");
    fprintf(stream, "last accepted at %s%s%s", value_text(last, "last_used_at"),
            *from != '\0' ? " from " : "", from);
    if (count > 1)
        fprintf(stream, ": %s", value_text(last, "id"));
    fputc('\n', stream);
}
