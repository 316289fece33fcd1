#include "daemon/options.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/timespan.h"

static const struct option *option_find(const struct option *options, size_t count,
                                        struct text word)
{
    for (size_t i = 0; i < count; i++) {
        if (text_is_nocase(word, options[i].word))
            return &options[i];
    }
    return NULL;
}

static bool refuse_word(struct call *call, size_t position, const struct option *options,
                        size_t count)
{
    char list[256] = "";
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        int more = snprintf(list + len, sizeof list - len, "%s%s", i ? ", " : "", options[i].word);
        if (more < 0 || (size_t)more >= sizeof list - len)
            break;
        len += (size_t)more;
    }
    return call_refuse(call, "INVALID", "argument %zu of %s is none of its options: %s", position,
                       call->command->name, count ? list : "it has none");
}

bool options_parse(struct call *call, struct op *op, size_t from, const struct option *options,
                   size_t count)
{
    size_t words = call->request->count, at = from;
    uint64_t seen = 0;

    while (at < words) {
        struct text values[2];
        const struct option *option = option_find(options, count, call_word(call, at));
        if (!option)
            return refuse_word(call, at, options, count);
        uint64_t bit = UINT64_C(1) << (option - options);
        if ((seen & bit) && !option->repeats)
            return call_refuse(call, "INVALID", "%s is given twice", option->word);
        seen |= bit;
        if (words - at - 1 < option->values)
            return call_refuse(call, "INVALID", "%s wants %u value%s behind it", option->word,
                               option->values, option->values == 1 ? "" : "s");
        for (unsigned i = 0; i < option->values; i++)
            values[i] = call_word(call, at + 1 + i);
        if (!option->take(call, op, option->word, values))
            return false;
        at += 1 + option->values;
    }
    return true;
}

bool options_ids(struct call *call, struct op *op, size_t *ret_next)
{
    size_t words = call->request->count, at = 1;
    uint64_t *ids = op_alloc(op, words * sizeof *ids), id;

    if (!ids)
        return call_refuse(call, "UNAVAILABLE", "out of memory; nothing was changed");
    while (at < words) {
        struct text word = call_word(call, at);
        if (key_id_parse(word.bytes, word.len, &id) != 0)
            break;
        ids[at++ - 1] = id;
    }
    if (at == 1)
        return call_refuse(call, "INVALID",
                           "argument 1 of %s is no key id (key_ and 13 of a-z and 2-7)",
                           call->command->name);
    if (at - 1 > OP_IDS_MAX)
        return call_refuse(call, "INVALID", "more than %u ids in one %s; send them in parts",
                           OP_IDS_MAX, call->command->name);
    op->ids = ids;
    op->id_count = at - 1;
    *ret_next = at;
    return true;
}

bool options_text(struct call *call, struct op *op, const char *word, struct text value, size_t min,
                  size_t max, struct text *ret_text)
{
    if (value.len < min)
        return call_refuse(call, "INVALID", "%s is empty", word);
    if (value.len > max)
        return call_refuse(call, "INVALID", "%s is longer than %zu bytes", word, max);
    if (!text_is_printable_utf8(value.bytes, value.len))
        return call_refuse(call, "INVALID", "%s is not UTF-8 without control characters", word);
    if (op_text(op, value.bytes, value.len, ret_text) != 0)
        return call_refuse(call, "UNAVAILABLE", "out of memory; nothing was changed");
    return true;
}

bool options_time(struct call *call, const char *word, struct text value, int64_t *ret_unix_s)
{
    int64_t unix_s = 0;

    if (value.len > 0) {
        if (timespan_parse_time(value.bytes, value.len, time(NULL), &unix_s) != 0)
            return call_refuse(call, "INVALID",
                               "%s is no time: RFC 3339 as 2027-01-31T12:00:00Z, a date, a "
                               "duration from now as 90d, or now",
                               word);
        if (unix_s == 0)
            unix_s = 1;
    }
    *ret_unix_s = unix_s;
    return true;
}

bool options_duration(struct call *call, const char *word, struct text value, int64_t *ret_s)
{
    int64_t ms;

    if (timespan_parse_ms(value.bytes, value.len, &ms) != 0)
        return call_refuse(call, "INVALID", "%s is no duration: 90d, 12h, 1h30m, 45s", word);
    *ret_s = ms / 1000 + (ms % 1000 != 0);
    return true;
}

bool options_limit(struct call *call, struct op *op, const char *word, const struct text *values)
{
    size_t limit = 0;

    for (uint32_t i = 0; i < values[0].len && limit <= OP_PAGE_MAX; i++) {
        char c = values[0].bytes[i];
        if (c < '0' || c > '9') {
            limit = 0;
            break;
        }
        limit = 10 * limit + (size_t)(c - '0');
    }
    if (limit == 0 || limit > OP_PAGE_MAX)
        return call_refuse(call, "INVALID", "%s is no number from 1 to %u", word, OP_PAGE_MAX);
    op->limit = limit;
    return true;
}

bool options_comment(struct call *call, struct op *op, const char *word, const struct text *values)
{
    return options_text(call, op, word, values[0], 0, RECORD_COMMENT_MAX, &op->comment);
}

static size_t scope_bytes(const struct op_fields *fields)
{
    size_t bytes = 0;

    for (size_t i = 0; i < fields->scope_count; i++)
        bytes += fields->scopes[i].len + 1;
    return bytes;
}

bool options_scope(struct call *call, struct op_fields *fields, struct op *op, const char *word,
                   struct text value)
{
    if (!text_is_scope(value.bytes, value.len))
        return call_refuse(call, "INVALID",
                           "%s is no scope: 1 to 64 printable ASCII characters without blank, "
                           "quote or backslash",
                           word);
    for (size_t i = 0; i < fields->scope_count; i++) {
        if (text_equal(fields->scopes[i], value))
            return true;
    }
    if (fields->scope_count == RECORD_SCOPES_MAX ||
        scope_bytes(fields) + value.len > RECORD_SCOPES_BYTES_MAX)
        return call_refuse(call, "INVALID", "%s: a key has at most %u scopes and %u bytes of them",
                           word, RECORD_SCOPES_MAX, RECORD_SCOPES_BYTES_MAX);
    if (op_text(op, value.bytes, value.len, &fields->scopes[fields->scope_count]) != 0)
        return call_refuse(call, "UNAVAILABLE", "out of memory; nothing was changed");
    fields->scope_count++;
    return true;
}

bool options_network(struct call *call, struct op_fields *fields, const char *word,
                     struct text value)
{
    struct network network;
    struct error error;

    /* What it says of the value is the network that was meant, never the value. */
    if (network_parse(value, &network, &error) != 0)
        return call_refuse(call, "INVALID", "%s %s", word, error.text);
    for (size_t i = 0; i < fields->network_count; i++) {
        if (network_equal(&fields->networks[i], &network))
            return true;
    }
    if (fields->network_count == NETWORKS_MAX)
        return call_refuse(call, "INVALID", "%s: a key has at most %u networks", word,
                           NETWORKS_MAX);
    fields->networks[fields->network_count++] = network;
    return true;
}

bool options_rates(struct call *call, struct rates *rates, const char *word, struct text value)
{
    struct rates more;
    struct error error;

    if (rates_parse(value, &more, &error) != 0)
        return call_refuse(call, "INVALID", "%s: %s", word, error.text);
    for (uint32_t i = 0; i < more.count; i++) {
        if (rates_add(rates, &more.list[i], &error) != 0)
            return call_refuse(call, "INVALID", "%s %s", word, error.text);
    }
    return true;
}

bool options_rate(struct call *call, struct op *op, const char *word, const struct text *values)
{
    op->fields.has |= OP_HAS_RATES;
    return options_rates(call, &op->fields.rates, word, values[0]);
}

bool options_all_rates(struct call *call, struct op *op, const char *word,
                       const struct text *values)
{
    op->fields.has |= OP_HAS_RATES;
    return values[0].len == 0 || options_rates(call, &op->fields.rates, word, values[0]);
}

static bool is_metadata_name(struct text name)
{
    for (uint32_t i = 0; i < name.len; i++) {
        char c = name.bytes[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == '.' || c == '-';
        if (!good)
            return false;
    }
    return name.len > 0 && name.len <= RECORD_METADATA_NAME_MAX;
}

bool options_pair(struct call *call, struct op *op, const char *word, struct text name,
                  struct text value, struct record_pair *pairs, size_t *io_count)
{
    struct record_pair pair;

    if (!is_metadata_name(name))
        return call_refuse(call, "INVALID", "%s: a metadata name is 1 to %u of A-Z a-z 0-9 _ . -",
                           word, RECORD_METADATA_NAME_MAX);
    for (size_t i = 0; i < *io_count; i++) {
        if (text_equal(pairs[i].name, name))
            return call_refuse(call, "INVALID", "%s: a metadata name is given twice", word);
    }
    if (*io_count == RECORD_METADATA_MAX)
        return call_refuse(call, "INVALID", "%s: a key has at most %u metadata values", word,
                           RECORD_METADATA_MAX);
    if (!options_text(call, op, word, name, 1, RECORD_METADATA_NAME_MAX, &pair.name) ||
        !options_text(call, op, word, value, 0, RECORD_COMMENT_MAX, &pair.value))
        return false;
    pairs[(*io_count)++] = pair;
    return true;
}
