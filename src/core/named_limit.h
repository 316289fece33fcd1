/*
 * named_limit.h - a limit that a service names ("limit name=uploads rate=10/1m"): its own count for
 * each key, shared by all services that name it. Pure.
 */
#ifndef CORE_NAMED_LIMIT_H
#define CORE_NAMED_LIMIT_H

#include "core/rate.h"

#define NAMED_LIMIT_NAME_SIZE 24u

/* Rates of all named limits together: each has a word in the memory of every key. */
#define NAMED_RATES_MAX 8u

struct named_limit {
    char name[NAMED_LIMIT_NAME_SIZE]; /* padded with NULs */
    struct rates rates;               /* at least one */
};

/* Names are 1 to 23 of a-z, 0-9, '_' and '-'. Returns 0, or E_DATA and a sentence that says what is
 * wrong. */
int named_limit_parse(const char *name, const char *rates, struct named_limit *ret_limit,
                      struct error *error);

/* All that the services of a configuration name. */
struct named_limits {
    size_t count;
    struct named_limit list[NAMED_RATES_MAX];
};

/* Adds one, unless it is there already. Returns 0, or E_DATA and a sentence: it is there with other
 * rates, or there are too many. */
int named_limits_add(struct named_limits *limits, const struct named_limit *limit,
                     struct error *error);

#endif
