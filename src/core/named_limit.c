#include "core/named_limit.h"

#include <string.h>

static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return len > 0 && len < NAMED_LIMIT_NAME_SIZE && name[len] == '\0';
}

int named_limit_parse(const char *name, const char *rates, struct named_limit *ret_limit,
                      struct error *error)
{
    struct named_limit limit = {.rates = {.count = 0}};

    if (!is_name(name))
        return error_set(error, CATLATCH_E_DATA, "name= is 1 to %u of a-z, 0-9, _ and -",
                         NAMED_LIMIT_NAME_SIZE - 1);
    memcpy(limit.name, name, strlen(name));
    int r = rates_parse(text_of(rates), &limit.rates, error);
    if (r == 0)
        *ret_limit = limit;
    return r;
}

int named_limits_add(struct named_limits *limits, const struct named_limit *limit,
                     struct error *error)
{
    char text[RATES_TEXT_SIZE], other[RATES_TEXT_SIZE];
    size_t i = 0, rates = limit->rates.count;

    for (; i < limits->count && strcmp(limits->list[i].name, limit->name) != 0; i++)
        rates += limits->list[i].rates.count;
    if (i < limits->count && rates_equal(&limits->list[i].rates, &limit->rates))
        return 0;
    rates_format(&limit->rates, text);
    if (i < limits->count) {
        rates_format(&limits->list[i].rates, other);
        return error_set(error, CATLATCH_E_DATA,
                         "the limit %s has rate=%s here and rate=%s elsewhere; one name is one "
                         "limit",
                         limit->name, text, other);
    }
    if (rates > NAMED_RATES_MAX)
        return error_set(error, CATLATCH_E_DATA,
                         "the limit %s is one too many: all that services name may have %u rates "
                         "together",
                         limit->name, NAMED_RATES_MAX);
    limits->list[limits->count++] = *limit;
    return 0;
}
