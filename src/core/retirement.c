#include "core/retirement.h"

#include <stdio.h>
#include <string.h>

#include "core/timespan.h"

static bool is_span(int64_t span_s)
{
    return span_s >= 0 && span_s <= RETIREMENT_SPAN_MAX_S;
}

bool retirement_is_none(const struct retirement *retirement)
{
    return !retirement->on_use && retirement->unseen_s == 0;
}

bool retirement_is_sane(const struct retirement *retirement)
{
    if (!is_span(retirement->grace_s) || !is_span(retirement->unseen_s) ||
        retirement->since_unix_s < 0 || retirement->since_unix_s > TIMESPAN_UNIX_MAX)
        return false;
    if (retirement->on_use)
        return retirement->since_unix_s == 0 &&
               (retirement->grace_s != 0 || retirement->unseen_s != 0);
    return retirement->grace_s == 0 && (retirement->unseen_s != 0 || retirement->since_unix_s == 0);
}

/* "NAME=DURATION", once. */
static bool take_span(struct text word, const char *name, int64_t *io_span_s)
{
    size_t len = strlen(name);
    int64_t ms;

    if (*io_span_s != 0 || word.len <= len || memcmp(word.bytes, name, len) != 0 ||
        timespan_parse_ms(word.bytes + len, word.len - len, &ms) != 0 || ms % 1000 != 0)
        return false;
    *io_span_s = ms / 1000;
    return *io_span_s > 0 && is_span(*io_span_s);
}

static bool take_word(struct text word, struct retirement *retirement)
{
    if (!text_is(word, "on-use"))
        return take_span(word, "grace=", &retirement->grace_s) ||
               take_span(word, "unseen=", &retirement->unseen_s);
    bool first = !retirement->on_use;
    retirement->on_use = true;
    return first;
}

int retirement_parse(struct text text, struct retirement *ret_retirement, struct error *error)
{
    struct retirement retirement = {.unseen_s = 0};
    bool good = text.len > 0;

    while (good && text.len > 0) {
        const char *space = memchr(text.bytes, ' ', text.len);
        uint32_t len = space != NULL ? (uint32_t)(space - text.bytes) : text.len;
        good = take_word((struct text){text.bytes, len}, &retirement) && len + 1 != text.len;
        len += space != NULL;
        text = (struct text){text.bytes + len, text.len - len};
    }
    if (!good || retirement_is_none(&retirement) || !retirement_is_sane(&retirement))
        return error_set(error, CATLATCH_E_DATA,
                         "is not as unseen=24h, on-use grace=7d or on-use unseen=24h");
    *ret_retirement = retirement;
    return 0;
}

static void add_span(char text[RETIREMENT_TEXT_SIZE], size_t *io_len, const char *name,
                     int64_t span_s)
{
    char span[TIMESPAN_MS_SIZE];

    if (span_s == 0)
        return;
    timespan_format_ms(span_s * 1000, span);
    *io_len += (size_t)snprintf(text + *io_len, RETIREMENT_TEXT_SIZE - *io_len, "%s%s=%s",
                                *io_len > 0 ? " " : "", name, span);
}

size_t retirement_format(const struct retirement *retirement, char ret_text[RETIREMENT_TEXT_SIZE])
{
    size_t len = 0;

    ret_text[0] = '\0';
    if (retirement->on_use)
        len = (size_t)snprintf(ret_text, RETIREMENT_TEXT_SIZE, "on-use");
    add_span(ret_text, &len, "grace", retirement->grace_s);
    add_span(ret_text, &len, "unseen", retirement->unseen_s);
    return len;
}
