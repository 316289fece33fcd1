/*
 * sized.h - the structs of catlatch.h that lead with their size.
 *
 * A caller that was built against an older header passes a smaller struct, one that was built
 * against a newer header a larger one. Everything of the first release is there in any; of a larger
 * struct that we read, what we do not know must be zero: it could ask for a check that we lack.
 */
#ifndef LIB_SIZED_H
#define LIB_SIZED_H

#include <stdbool.h>
#include <stddef.h>

#include "catlatch.h"

#define SIZED_END(type, member) (offsetof(struct type, member) + sizeof(((struct type *)0)->member))

/* The sizes that the structs had in the first release. */
#define SIZED_OPTIONS SIZED_END(catlatch_options, flags)
#define SIZED_REQUEST SIZED_END(catlatch_request, address)
#define SIZED_OUTCOME SIZED_END(catlatch_outcome, opaque)
#define SIZED_LIMIT SIZED_END(catlatch_limit, retry_after_ms)
#define SIZED_IDENTITY SIZED_END(catlatch_identity, not_before_unix_s)

/* More is not a later release's but a forgotten initialisation. */
#define SIZED_MAX 65536u

static inline bool sized_is_sane(size_t size, size_t first)
{
    return size >= first && size <= SIZED_MAX;
}

/* Of a struct that is read: sane, and nothing is asked in what lies beyond the `known` bytes. */
static inline bool sized_is_understood(const void *base, size_t size, size_t first, size_t known)
{
    if (!sized_is_sane(size, first))
        return false;
    for (size_t i = known; i < size; i++)
        if (((const unsigned char *)base)[i] != 0)
            return false;
    return true;
}

#endif
