/*
 * allowance.h - prepaid uses as people write them and as records carry them: how many, and whether
 * and when there are as many again.
 *
 * COUNT, COUNT/daily, COUNT/monthly, or COUNT/INTERVAL with a duration of timespan.h ("1000",
 * "1000/monthly", "50/7d"). Days and months are those of UTC; intervals begin when the key was
 * made. What is left of one period does not go over into the next. Pure, but for no locale.
 */
#ifndef CORE_ALLOWANCE_H
#define CORE_ALLOWANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/text.h"

/* In thousandths of a use, of which a request may cost some, far below 2^63; and more than anybody
 * sells. */
#define ALLOWANCE_USES_MAX UINT64_C(1000000000000)

/* A shorter one is a rate; a longer one nobody waits for. */
#define ALLOWANCE_INTERVAL_MIN_S 3600u
#define ALLOWANCE_INTERVAL_MAX_S (366u * 86400u)

#define ALLOWANCE_TEXT_SIZE 32u

enum allowance_refill {
    ALLOWANCE_ONCE = 0,
    ALLOWANCE_DAILY,
    ALLOWANCE_MONTHLY,
    ALLOWANCE_INTERVAL,
};

struct allowance {
    uint64_t uses;       /* 0: there is none, and the key may be used without end */
    uint32_t refill;     /* enum allowance_refill */
    uint32_t interval_s; /* ALLOWANCE_INTERVAL; otherwise 0 */
};

/* For what comes from elsewhere. None is sane. */
bool allowance_is_sane(const struct allowance *allowance);

/* Returns 0 or E_DATA, and what is wrong as the end of a sentence, without what was written. */
int allowance_parse(struct text text, struct allowance *ret_allowance, struct error *error);

/* The one form that it is shown in. Returns its length: 0 of none. */
size_t allowance_format(const struct allowance *allowance, char ret_text[ALLOWANCE_TEXT_SIZE]);

bool allowance_equal(const struct allowance *a, const struct allowance *b);

/* When the period that now lies in began, and when the next one begins: 0 and 0 of what does not
 * come back. anchor_unix_s: when the key was made. */
struct allowance_period {
    int64_t begun_unix_s, next_unix_s;
};
struct allowance_period allowance_period(const struct allowance *allowance, int64_t anchor_unix_s,
                                         int64_t now_unix_s);

#endif
