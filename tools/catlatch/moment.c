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
