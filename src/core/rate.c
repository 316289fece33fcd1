#include "core/rate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/timespan.h"

#define NS_PER_S UINT64_C(1000000000)
#define MILLI 1000u

/* The three texts of COUNT/PERIOD:BURST. Without a burst its bytes are NULL. */
struct parts {
    struct text count, period, burst;
};

/* Cuts `text` at the first such byte; what is behind it, or {NULL, 0}. */
static struct text cut(struct text *text, char separator)
{
    const char *at = text->len > 0 ? memchr(text->bytes, separator, text->len) : NULL;
    if (at == NULL)
        return (struct text){NULL, 0};
    struct text behind = {at + 1, text->len - (uint32_t)(at - text->bytes) - 1};
    text->len = (uint32_t)(at - text->bytes);
    return behind;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits alone, at least one; a number beyond 32 bits is the largest of them. No zero in front of
 * others: it is some language's octal, and no rate has two texts for want of it. */
static bool parse_number(struct text text, uint32_t *ret_number)
{
    uint64_t number = 0;

    if (text.len == 0 || (text.len > 1 && text.bytes[0] == '0'))
        return false;
    for (uint32_t i = 0; i < text.len; i++) {
        if (!is_digit(text.bytes[i]))
            return false;
        number = 10 * number + (uint64_t)(text.bytes[i] - '0');
        number = number < UINT32_MAX ? number : UINT32_MAX;
    }
    *ret_number = (uint32_t)number;
    return true;
}

static bool split(struct text text, struct parts *ret_parts)
{
    struct text period = cut(&text, '/'), burst = cut(&period, ':');
    if (text.len == 0 || period.len == 0)
        return false;
    *ret_parts = (struct parts){text, period, burst};
    return true;
}

static int parse_count(struct text text, uint32_t *ret_count, struct error *error)
{
    if (!parse_number(text, ret_count))
        return error_set(error, CATLATCH_E_DATA,
                         "has no number of 1 to %u before its slash, as in 100/1m", RATE_COUNT_MAX);
    if (*ret_count == 0)
        return error_set(error, CATLATCH_E_DATA,
                         "lets nothing through; the count is 1 to %u, and what stops a key is "
                         "disabling it",
                         RATE_COUNT_MAX);
    if (*ret_count > RATE_COUNT_MAX)
        return error_set(error, CATLATCH_E_DATA, "has a count of more than %u", RATE_COUNT_MAX);
    return 0;
}

static int parse_period(struct text text, uint32_t *ret_period_s, struct error *error)
{
    int64_t ms;

    if (timespan_parse_ms(text.bytes, text.len, &ms) != 0)
        return error_set(
            error, CATLATCH_E_DATA,
            "has no period behind its slash: a number and a unit, as 1s, 1m, 12h, 30d");
    if (ms < MILLI * RATE_PERIOD_MIN_S || ms > MILLI * (int64_t)RATE_PERIOD_MAX_S)
        return error_set(error, CATLATCH_E_DATA, "has a period that is not %us to %ud",
                         RATE_PERIOD_MIN_S, RATE_PERIOD_MAX_S / 86400);
    if (ms % MILLI != 0)
        return error_set(error, CATLATCH_E_DATA,
                         "has a period of no whole seconds; count more in a longer one");
    *ret_period_s = (uint32_t)(ms / MILLI);
    return 0;
}

static bool is_too_fast(uint32_t count, uint32_t period_s)
{
    return count > (uint64_t)period_s * RATE_PER_SECOND_MAX;
}

uint32_t rate_burst_max(uint32_t count, uint32_t period_s)
{
    uint64_t most = (uint64_t)count * RATE_PERIOD_MAX_S / period_s;
    return most < RATE_COUNT_MAX ? (uint32_t)most : RATE_COUNT_MAX;
}

static int parse_burst(struct text text, struct rate *io_rate, struct error *error)
{
    uint32_t most = rate_burst_max(io_rate->count, io_rate->period_s);

    if (text.bytes == NULL)
        io_rate->burst = io_rate->count;
    else if (!parse_number(text, &io_rate->burst))
        return error_set(error, CATLATCH_E_DATA,
                         "has no number of 1 to %u behind its colon, as in 10/1s:20", most);
    if (io_rate->burst == 0)
        return error_set(
            error, CATLATCH_E_DATA,
            "lets nothing through; a burst is 1 to %u, and the count if it is left out", most);
    if (io_rate->burst > most)
        return error_set(error, CATLATCH_E_DATA, "has a burst of more than %u, which is %s", most,
                         most < RATE_COUNT_MAX ? "all that comes back in 366d" : "the largest");
    return 0;
}

int rate_parse(struct text text, struct rate *ret_rate, struct error *error)
{
    struct parts parts;
    struct rate rate = {0};
    int r;

    if (!split(text, &parts))
        return error_set(error, CATLATCH_E_DATA,
                         "is no rate: COUNT/PERIOD as 100/1m, or COUNT/PERIOD:BURST as 10/1s:20");
    if ((r = parse_count(parts.count, &rate.count, error)) != 0 ||
        (r = parse_period(parts.period, &rate.period_s, error)) != 0)
        return r;
    if (is_too_fast(rate.count, rate.period_s))
        return error_set(error, CATLATCH_E_DATA,
                         "is more than %u in a second, the fastest that is counted; leave the "
                         "limit out",
                         RATE_PER_SECOND_MAX);
    if ((r = parse_burst(parts.burst, &rate, error)) != 0)
        return r;
    *ret_rate = rate;
    return 0;
}

bool rate_is_sane(const struct rate *rate)
{
    return rate->count >= 1 && rate->count <= RATE_COUNT_MAX &&
           rate->period_s >= RATE_PERIOD_MIN_S && rate->period_s <= RATE_PERIOD_MAX_S &&
           !is_too_fast(rate->count, rate->period_s) && rate->burst >= 1 &&
           rate->burst <= rate_burst_max(rate->count, rate->period_s);
}

bool rates_are_sane(const struct rates *rates)
{
    if (rates->count > RATES_MAX)
        return false;
    for (uint32_t i = 0; i < rates->count; i++)
        if (!rate_is_sane(&rates->list[i]) ||
            (i > 0 && rates->list[i].period_s <= rates->list[i - 1].period_s))
            return false;
    return true;
}

size_t rate_format(const struct rate *rate, char ret_text[RATE_TEXT_SIZE])
{
    char period[TIMESPAN_MS_SIZE], burst[12] = "";

    timespan_format_ms(rate->period_s * (int64_t)MILLI, period);
    if (rate->burst != rate->count)
        snprintf(burst, sizeof burst, ":%" PRIu32, rate->burst);
    snprintf(ret_text, RATE_TEXT_SIZE, "%" PRIu32 "/%s%s", rate->count, period, burst);
    return strlen(ret_text);
}

bool rate_equal(const struct rate *a, const struct rate *b)
{
    return a->count == b->count && a->period_s == b->period_s && a->burst == b->burst;
}

int rates_add(struct rates *rates, const struct rate *rate, struct error *error)
{
    uint32_t place = 0;

    while (place < rates->count && rates->list[place].period_s < rate->period_s)
        place++;
    if (place < rates->count && rates->list[place].period_s == rate->period_s) {
        char other[RATE_TEXT_SIZE];
        rate_format(&rates->list[place], other);
        return error_set(error, CATLATCH_E_DATA, "has the period of %s; keep the one that is meant",
                         other);
    }
    if (rates->count >= RATES_MAX)
        return error_set(error, CATLATCH_E_DATA, "is one too many: there can be %u rates",
                         RATES_MAX);
    memmove(&rates->list[place + 1], &rates->list[place],
            (rates->count - place) * sizeof rates->list[0]);
    rates->list[place] = *rate;
    rates->count++;
    return 0;
}

/* Whether it can be shown: what has other characters than a rate can be a key that was pasted. */
static bool is_like_a_rate(struct text text)
{
    if (text.len > RATE_TEXT_SIZE)
        return false;
    for (uint32_t i = 0; i < text.len; i++)
        if (text.bytes[i] == '\0' || strchr("0123456789/:.smhdw ", text.bytes[i]) == NULL)
            return false;
    return true;
}

/* What rate_parse or rates_add said of one of several. */
static int say_which(unsigned number, struct text text, struct error *error)
{
    if (error == NULL)
        return CATLATCH_E_DATA;
    if (!is_like_a_rate(text))
        return error_set(error, CATLATCH_E_DATA, "rate %u %s", number, error->text);
    return error_set(error, CATLATCH_E_DATA, "rate %u, \"%.*s\", %s", number, (int)text.len,
                     text.len > 0 ? text.bytes : "", error->text);
}

int rates_parse(struct text text, struct rates *ret_rates, struct error *error)
{
    struct rates rates = {0};
    struct text rest = text;
    unsigned number = 0;

    do {
        struct rate rate = {0};
        text = rest;
        rest = cut(&text, ',');
        number++;
        if (rate_parse(text, &rate, error) != 0 || rates_add(&rates, &rate, error) != 0)
            return say_which(number, text, error);
    } while (rest.bytes != NULL);
    *ret_rates = rates;
    return 0;
}

size_t rates_format(const struct rates *rates, char ret_text[RATES_TEXT_SIZE])
{
    size_t len = 0;

    for (uint32_t i = 0; i < rates->count; i++) {
        if (i > 0)
            ret_text[len++] = ',';
        len += rate_format(&rates->list[i], ret_text + len);
    }
    ret_text[len] = '\0';
    return len;
}

bool rates_equal(const struct rates *a, const struct rates *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!rate_equal(&a->list[i], &b->list[i]))
            return false;
    return true;
}

/* One to three digits behind the point, as thousandths. */
static bool parse_fraction(struct text text, uint32_t *ret_milli)
{
    uint32_t milli = 0;

    if (text.len < 1 || text.len > 3)
        return false;
    for (uint32_t i = 0; i < 3; i++) {
        if (i < text.len && !is_digit(text.bytes[i]))
            return false;
        milli = 10 * milli + (i < text.len ? (uint32_t)(text.bytes[i] - '0') : 0);
    }
    *ret_milli = milli;
    return true;
}

int rate_cost_parse(struct text text, uint32_t *ret_milli, struct error *error)
{
    struct text behind = cut(&text, '.');
    uint32_t units, milli = 0;

    if (!parse_number(text, &units) || (behind.bytes != NULL && !parse_fraction(behind, &milli)))
        return error_set(error, CATLATCH_E_DATA,
                         "is no cost: a number with three digits at most behind a point, as 1, "
                         "0.5 or 2.25");
    if (units > RATE_COST_MILLI_MAX / MILLI || (milli += units * MILLI) > RATE_COST_MILLI_MAX ||
        milli == 0)
        return error_set(error, CATLATCH_E_DATA, "is a cost that is not 0.001 to %u",
                         RATE_COST_MILLI_MAX / MILLI);
    *ret_milli = milli;
    return 0;
}

size_t rate_cost_format(uint32_t milli, char ret_text[RATE_COST_TEXT_SIZE])
{
    int len = snprintf(ret_text, RATE_COST_TEXT_SIZE, "%" PRIu32 ".%03" PRIu32, milli / MILLI,
                       milli % MILLI);

    while (ret_text[len - 1] == '0')
        len--;
    if (ret_text[len - 1] == '.')
        len--;
    ret_text[len] = '\0';
    return (size_t)len;
}

struct limit_rule limit_rule_of(const struct rate *rate)
{
    if (!rate_is_sane(rate))
        return (struct limit_rule){0};
    uint64_t unit_ns = (rate->period_s * NS_PER_S + rate->count - 1) / rate->count;
    return (struct limit_rule){.unit_ns = unit_ns,
                               .tolerance_ns = unit_ns * rate->burst,
                               .burst_milli = (uint64_t)rate->burst * MILLI};
}
