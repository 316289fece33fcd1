/* What a line tells of its key's use: uses, and refusals. */
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "import_field.h"

/* One kind of event: its fields, and the words for them. */
struct event {
    enum field at, from, count;
    const char *at_word, *from_word, *count_word;
};

static int from_put(struct reading *reading, const struct event *event)
{
    struct text text;
    struct address address;
    char shown[NETWORK_TEXT_SIZE];
    int code = field_get_text(reading, event->from, FIELD_TEXT_MAX, &text);

    if (code != 0 || reading->values[event->from] == NULL)
        return code;
    if (address_parse(text, &address) != 0)
        return field_refuse(reading, event->from, "is no address of IPv4 or IPv6");
    if (reading->values[event->at] == NULL)
        return field_refuse(reading, event->from, "is given without the time");
    return field_put_pair(reading, event->from_word, shown, address_format(&address, shown));
}

static int count_put(struct reading *reading, const struct event *event)
{
    const json_t *value = reading->values[event->count];
    char digits[24];

    if (value == NULL)
        return 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return field_refuse(reading, event->count, "is no integer from 0");
    int len = snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return field_put_pair(reading, event->count_word, digits, (size_t)len);
}

static int event_put(struct reading *reading, const struct event *event)
{
    int code = field_put_time(reading, event->at, event->at_word);

    if (code == 0)
        code = from_put(reading, event);
    return code == 0 ? count_put(reading, event) : code;
}

int usage_put(struct reading *reading)
{
    static const struct event used = {FIELD_LAST_USED_AT, FIELD_LAST_USED_FROM, FIELD_USE_COUNT,
                                      "LAST_USED",        "LAST_USED_FROM",     "USE_COUNT"};
    static const struct event refused = {FIELD_LAST_REFUSED_AT, FIELD_LAST_REFUSED_FROM,
                                         FIELD_REFUSED_COUNT,   "LAST_REFUSED",
                                         "LAST_REFUSED_FROM",   "REFUSED_COUNT"};
    int code = event_put(reading, &used);

    return code == 0 ? event_put(reading, &refused) : code;
}
