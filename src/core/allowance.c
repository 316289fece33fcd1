#include "core/allowance.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/timespan.h"

#define DAY_S 86400

bool allowance_is_sane(const struct allowance *allowance)
{
    bool interval = allowance->refill == ALLOWANCE_INTERVAL;

    if (allowance->uses == 0)
        return allowance->refill == ALLOWANCE_ONCE && allowance->interval_s == 0;
    return allowance->uses <= ALLOWANCE_USES_MAX && allowance->refill <= ALLOWANCE_INTERVAL &&
           (interval ? allowance->interval_s >= ALLOWANCE_INTERVAL_MIN_S &&
                           allowance->interval_s <= ALLOWANCE_INTERVAL_MAX_S
                     : allowance->interval_s == 0);
}

static int parse_uses(struct text text, uint64_t *ret_uses, struct error *error)
{
    uint64_t uses = 0;

    for (uint32_t i = 0; i < text.len && uses <= ALLOWANCE_USES_MAX; i++) {
        char c = text.bytes[i];
        if (c < '0' || c > '9')
            return error_set(error, CATLATCH_E_DATA,
                             "is no number of uses, as 1000, 1000/daily, 1000/monthly or 50/7d");
        uses = 10 * uses + (uint64_t)(c - '0');
    }
    if (uses == 0 || uses > ALLOWANCE_USES_MAX)
        return error_set(error, CATLATCH_E_DATA,
                         "is not 1 to %" PRIu64 " uses; what stops a key is disabling it",
                         ALLOWANCE_USES_MAX);
    *ret_uses = uses;
    return 0;
}

static int parse_interval(struct text text, struct allowance *allowance, struct error *error)
{
    int64_t ms;

    if (timespan_parse_ms(text.bytes, text.len, &ms) != 0 || ms % 1000 != 0 ||
        ms / 1000 < ALLOWANCE_INTERVAL_MIN_S || ms / 1000 > ALLOWANCE_INTERVAL_MAX_S)
        return error_set(error, CATLATCH_E_DATA,
                         "comes back neither daily, nor monthly, nor each 1h to 366d");
    allowance->refill = ALLOWANCE_INTERVAL;
    allowance->interval_s = (uint32_t)(ms / 1000);
    return 0;
}

static int parse_refill(struct text text, struct allowance *allowance, struct error *error)
{
    if (text_is_nocase(text, "daily"))
        allowance->refill = ALLOWANCE_DAILY;
    else if (text_is_nocase(text, "monthly"))
        allowance->refill = ALLOWANCE_MONTHLY;
    else
        return parse_interval(text, allowance, error);
    return 0;
}

int allowance_parse(struct text text, struct allowance *ret_allowance, struct error *error)
{
    struct allowance allowance = {.uses = 0};
    const char *slash = text.len > 0 ? memchr(text.bytes, '/', text.len) : NULL;
    struct text uses = text, refill = {NULL, 0};

    if (slash != NULL) {
        uses.len = (uint32_t)(slash - text.bytes);
        refill = (struct text){slash + 1, text.len - uses.len - 1};
    }
    int r = parse_uses(uses, &allowance.uses, error);
    if (r == 0 && slash != NULL)
        r = parse_refill(refill, &allowance, error);
    if (r == 0)
        *ret_allowance = allowance;
    return r;
}

size_t allowance_format(const struct allowance *allowance, char ret_text[ALLOWANCE_TEXT_SIZE])
{
    char interval[TIMESPAN_MS_SIZE] = "";
    const char *refill = interval;

    if (allowance->uses == 0) {
        ret_text[0] = '\0';
        return 0;
    }
    if (allowance->refill == ALLOWANCE_DAILY)
        refill = "daily";
    else if (allowance->refill == ALLOWANCE_MONTHLY)
        refill = "monthly";
    else if (allowance->refill == ALLOWANCE_INTERVAL)
        timespan_format_ms((int64_t)allowance->interval_s * 1000, interval);
    int len = snprintf(ret_text, ALLOWANCE_TEXT_SIZE, "%" PRIu64 "%s%s", allowance->uses,
                       refill[0] != '\0' ? "/" : "", refill);
    return len > 0 ? (size_t)len : 0;
}

bool allowance_equal(const struct allowance *a, const struct allowance *b)
{
    return a->uses == b->uses && a->refill == b->refill && a->interval_s == b->interval_s;
}

static struct allowance_period month_of(int64_t now_unix_s)
{
    struct tm begun = {0};
    time_t now = now_unix_s;

    if (gmtime_r(&now, &begun) == NULL)
        return (struct allowance_period){0, 0};
    begun.tm_mday = 1;
    begun.tm_hour = begun.tm_min = begun.tm_sec = 0;
    struct tm next = begun;
    next.tm_mon++;
    return (struct allowance_period){timegm(&begun), timegm(&next)};
}

/* Rounded down, also before the anchor. */
static struct allowance_period span_of(int64_t anchor_unix_s, int64_t span_s, int64_t now_unix_s)
{
    int64_t since = now_unix_s - anchor_unix_s;
    int64_t into = (since % span_s + span_s) % span_s;

    return (struct allowance_period){now_unix_s - into, now_unix_s - into + span_s};
}

struct allowance_period allowance_period(const struct allowance *allowance, int64_t anchor_unix_s,
                                         int64_t now_unix_s)
{
    switch ((enum allowance_refill)allowance->refill) {
    case ALLOWANCE_DAILY:
        return span_of(0, DAY_S, now_unix_s);
    case ALLOWANCE_MONTHLY:
        return month_of(now_unix_s);
    case ALLOWANCE_INTERVAL:
        return span_of(anchor_unix_s, allowance->interval_s, now_unix_s);
    case ALLOWANCE_ONCE:
        break;
    }
    return (struct allowance_period){0, 0};
}
