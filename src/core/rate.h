/*
 * rate.h - how much in how long: rate limits as people write them and as records carry them, and
 * what one request costs.
 *
 * COUNT/PERIOD, with a burst where it is not the count: COUNT/PERIOD:BURST ("100/1m", "10/1s:20").
 * A period is a duration of timespan.h. Over time COUNT units pass in each PERIOD, evenly; BURST of
 * them can come at once, after which a further one passes each PERIOD / COUNT. Pure: no allocation,
 * no system call, no locale.
 */
#ifndef CORE_RATE_H
#define CORE_RATE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/text.h"

/* Ten digits, as far as people can read them; a count and a burst are 32 bits each. */
#define RATE_COUNT_MAX 1000000000u

/* Shorter than a second is less than a few ticks of the coarse clock that limits go by; longer than
 * a year is nobody's period of billing. No burst may take longer than that to come back, either. It
 * keeps all that a limit adds up far from the end of 64 bits of nanoseconds. */
#define RATE_PERIOD_MIN_S 1u
#define RATE_PERIOD_MAX_S (366u * 86400u)

/* Units in a second, and so a unit is 1000 ns at least. What one unit costs is rounded up to a
 * whole nanosecond: at worst, then, a limit lets through a thousandth less than it says (and of
 * costs that are thousandths of a unit, which are rounded up as well, half as many). A host
 * verifies a few millions of keys in a second, with all its processors; whoever needs more than
 * this needs no limit. */
#define RATE_PER_SECOND_MAX 1000000u

/* Of one key, or of one line: burst, hour, day and month are four. Each costs every request. */
#define RATES_MAX 4u

#define RATE_TEXT_SIZE 36u /* 1000000000/31536001s:1000000000; any other three numbers fit, too */
#define RATES_TEXT_SIZE (RATES_MAX * RATE_TEXT_SIZE)

struct rate {
    uint32_t count;    /* 1 to RATE_COUNT_MAX */
    uint32_t period_s; /* RATE_PERIOD_MIN_S to RATE_PERIOD_MAX_S */
    uint32_t burst;    /* 1 to rate_burst_max() */
};
static_assert(sizeof(struct rate) == 12, "records and tables carry it as it is");

/* By period, the shortest first, and no period twice: equal sets have one form. */
struct rates {
    uint32_t count; /* 0 to RATES_MAX */
    struct rate list[RATES_MAX];
};

/* Whether all bounds above are kept: for what comes from elsewhere than from here. */
bool rate_is_sane(const struct rate *rate);
bool rates_are_sane(const struct rates *rates);

/* The largest burst of so many in such a period, both within their bounds: what comes back within
 * RATE_PERIOD_MAX_S, and RATE_COUNT_MAX at most. */
uint32_t rate_burst_max(uint32_t count, uint32_t period_s);

/* Returns 0 or E_DATA, and what is wrong as the end of a sentence, without what was written ("lets
 * nothing through; ..."). */
int rate_parse(struct text text, struct rate *ret_rate, struct error *error);

/* The one form that a rate is shown in; it reads back as the same. Returns its length. */
size_t rate_format(const struct rate *rate, char ret_text[RATE_TEXT_SIZE]);

bool rate_equal(const struct rate *a, const struct rate *b);

/* Puts a sane rate in its place. Returns 0 or E_DATA, and what is wrong with it, as rate_parse
 * does: there is one of its period, or there are RATES_MAX. */
int rates_add(struct rates *rates, const struct rate *rate, struct error *error);

/* Rates with commas between them, at least one ("10/1s,1000/1h"). Returns 0 or E_DATA, and a whole
 * sentence that says which of them is wrong, and repeats what was written only if it looks like a
 * rate. */
int rates_parse(struct text text, struct rates *ret_rates, struct error *error);

/* Returns the length: 0 of none. */
size_t rates_format(const struct rates *rates, char ret_text[RATES_TEXT_SIZE]);

bool rates_equal(const struct rates *a, const struct rates *b);

/* What a limit is counted with. All zeros: a limit that refuses everything. */
struct limit_rule {
    uint64_t unit_ns;      /* period / count, rounded up: at least 1000 */
    uint64_t tolerance_ns; /* unit_ns * burst: below 2^55 */
    uint64_t burst_milli;  /* thousandths of a unit: no request may cost more */
};

/* One division. A rate that is not sane gives zeros. */
struct limit_rule limit_rule_of(const struct rate *rate);

/*
 * What a request costs, in thousandths of a unit: "1", "0.5", "2.25" are 1000, 500, 2250. From a
 * thousandth, which is one nanosecond of the fastest rate, so that less could not be counted, to a
 * thousand units: what costs more than a thousand ordinary requests has a limit of its own. Returns
 * 0 or E_DATA, as rate_parse does.
 */
#define RATE_COST_MILLI_MAX 1000000u
#define RATE_COST_TEXT_SIZE 12u /* 999.999; any other number fits, too */

int rate_cost_parse(struct text text, uint32_t *ret_milli, struct error *error);

/* Of 1 to RATE_COST_MILLI_MAX. Returns its length. */
size_t rate_cost_format(uint32_t milli, char ret_text[RATE_COST_TEXT_SIZE]);

#endif
