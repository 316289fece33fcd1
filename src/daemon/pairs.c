#include "daemon/pairs.h"

#include <stdio.h>
#include <string.h>

#include "core/key.h"
#include "core/timespan.h"

void pair_text(struct reply *reply, const char *name, struct text value)
{
    reply_word(reply, name);
    if (value.len > 0)
        reply_text(reply, value);
    else
        reply_null(reply);
}

void pair_word(struct reply *reply, const char *name, const char *value)
{
    reply_word(reply, name);
    reply_word(reply, value);
}

void pair_bool(struct reply *reply, const char *name, bool value)
{
    reply_word(reply, name);
    reply_bool(reply, value);
}

void pair_count(struct reply *reply, const char *name, uint64_t value)
{
    reply_word(reply, name);
    reply_count(reply, value);
}

void pair_time(struct reply *reply, const char *name, int64_t unix_s)
{
    char time[TIMESPAN_RFC3339_SIZE];

    timespan_rfc3339(unix_s, time);
    pair_word(reply, name, unix_s != 0 ? time : NULL);
}

void pair_id(struct reply *reply, const char *name, uint64_t id)
{
    char text[CATLATCH_ID_SIZE];

    key_id_format(id, text);
    pair_word(reply, name, id != 0 ? text : NULL);
}

void pairs_moment(int64_t unix_ms, char ret_text[PAIRS_MOMENT_SIZE])
{
    char seconds[TIMESPAN_RFC3339_SIZE];

    timespan_rfc3339(unix_ms / 1000, seconds);
    snprintf(ret_text, PAIRS_MOMENT_SIZE, "%.*s.%03dZ", (int)strlen(seconds) - 1, seconds,
             (int)(unix_ms % 1000));
}

void pair_moment(struct reply *reply, const char *name, int64_t unix_ms)
{
    char moment[PAIRS_MOMENT_SIZE];

    pairs_moment(unix_ms, moment);
    pair_word(reply, name, moment);
}

void pair_position(struct reply *reply, const char *name, uint64_t epoch, uint64_t sequence)
{
    char text[2 * REPLY_DIGITS_MAX + 1];
    size_t len = reply_digits(epoch, text);

    text[len++] = ':';
    len += reply_digits(sequence, text + len);
    reply_word(reply, name);
    reply_bulk(reply, text, len);
}
