/*
 * timespan.h - durations and points in time as people write them.
 *
 * A duration is a number and one unit: s, m, h, d, w, and y for 365 days ("90d", "15m"); several
 * can follow each other, larger units first ("1h30m"), and "ms" where a setting is in milliseconds.
 * A nought alone needs no unit. A time is RFC 3339 ("2027-01-31T12:00:00Z", with an offset, or a
 * date alone meaning its midnight UTC; fractions of a second are dropped, leap seconds refused),
 * "now", or a duration of whole seconds from now, with its unit: a bare "0" might mean "never".
 */
#ifndef CORE_TIMESPAN_H
#define CORE_TIMESPAN_H

#include <stddef.h>
#include <stdint.h>

/* Times that we accept end with the year 9999 (RFC 3339) and begin with 1970. */
#define TIMESPAN_UNIX_MAX INT64_C(253402300799)

#define TIMESPAN_RFC3339_SIZE 21 /* "2027-01-31T12:00:00Z" */
#define TIMESPAN_MS_SIZE 22      /* the digits of INT64_MAX, and "ms" */

/* Return 0 or E_DATA: not such a text, or a value that does not fit (a time: outside of 1970 to
 * 9999). No time zone data, no locale. */
int timespan_parse_ms(const char *text, size_t len, int64_t *ret_ms);
int timespan_parse_time(const char *text, size_t len, int64_t now_unix_s, int64_t *ret_unix_s);

/* A number and the largest unit that it is whole in: "90m", "1d". A nought and what is less are
 * "0s". Returns its length. */
size_t timespan_format_ms(int64_t ms, char ret_text[TIMESPAN_MS_SIZE]);

/* UTC. unix_s outside of 0 to TIMESPAN_UNIX_MAX is clamped. */
void timespan_rfc3339(int64_t unix_s, char ret_text[TIMESPAN_RFC3339_SIZE]);

#endif
