#include "moment.h"

#include <string.h>
#include <time.h>

int moment_read(const char *what, const char *text, struct moment *ret_moment, struct error *error)
{
    int64_t unix_s;

    if (*text == '\0' || strcmp(text, "never") == 0) {
        ret_moment->text[0] = '\0';
        return 0;
    }
    if (timespan_parse_time(text, strlen(text), (int64_t)time(NULL), &unix_s) != 0)
        return error_set(error, CATLATCH_E_DATA,
                         "%s takes a duration from now, such as 90d, or a time, such as "
                         "2027-01-31T12:00:00Z",
                         what);
    timespan_rfc3339(unix_s, ret_moment->text);
    return 0;
}

int moment_past(const char *what, const char *text, char ret_text[TIMESPAN_RFC3339_SIZE],
                struct error *error)
{
    int64_t now_unix_s = (int64_t)time(NULL), unix_s, ago_ms;

    if (timespan_parse_ms(text, strlen(text), &ago_ms) == 0 && strcmp(text, "0") != 0)
        unix_s = now_unix_s - ago_ms / 1000;
    else if (timespan_parse_time(text, strlen(text), now_unix_s, &unix_s) != 0)
        return error_set(error, CATLATCH_E_DATA,
                         "%s takes a time, such as 2027-01-31T12:00:00Z, or how long ago, such as "
                         "2h",
                         what);
    timespan_rfc3339(unix_s, ret_text);
    return 0;
}
