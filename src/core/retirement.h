/*
 * retirement.h - when a key that was replaced ends by what is seen of its use: as people read it,
 * and as records carry it.
 *
 * "unseen=24h": once it was not used for so long. "on-use grace=7d": so long after its successor is
 * first used. "on-use unseen=24h" counts from that first use on, and with all three whatever comes
 * first ends it. Pure.
 */
#ifndef CORE_RETIREMENT_H
#define CORE_RETIREMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/text.h"

/* Longer than anybody waits. */
#define RETIREMENT_SPAN_MAX_S (INT64_C(100) * 365 * 86400)

#define RETIREMENT_TEXT_SIZE 64u

struct retirement {
    bool on_use;          /* nothing of it begins before its successor is first used */
    int64_t grace_s;      /* with on_use: how long it is valid from then on; 0: as long as before */
    int64_t unseen_s;     /* 0: however long it is not used */
    int64_t since_unix_s; /* when that began to count; 0 with on_use */
};

/* It ends as its expiry says, and by nothing else. */
bool retirement_is_none(const struct retirement *retirement);

/* For what comes from elsewhere. None is sane. */
bool retirement_is_sane(const struct retirement *retirement);

/* Without since_unix_s, which is no part of the text. Returns 0 or E_DATA, and what is wrong as the
 * end of a sentence. */
int retirement_parse(struct text text, struct retirement *ret_retirement, struct error *error);

/* The one form that it is shown in. Returns its length: 0 of none. */
size_t retirement_format(const struct retirement *retirement, char ret_text[RETIREMENT_TEXT_SIZE]);

#endif
