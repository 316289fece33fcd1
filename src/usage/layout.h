/*
 * src/usage: what all workers of the host know of each key together: when it was last used and from
 * where, how often, and who still tries it once it is dead. PURE, as src/table: no system call, no
 * allocation, no clock; it runs as well on heap buffers. Knows src/core only.
 *
 * layout.h - the area. Every process that may verify has it mapped for writing, so nothing in it is
 * believed: it is advisory, and whoever reads it bounds what it says. Which record is a key's
 * stands where workers cannot write, in its slot of the table (a reference, 0: none). Where records
 * lie follows from the number alone, so there is no header to scribble on.
 *
 * The area is cut into segments, each a memfd that is sealed against growing and shrinking. The
 * first has USAGE_FIRST_RECORDS records, each further one as many as all before it; so ten million
 * keys take eleven. A segment is records, then a word of marks for each 64 of them:
 *
 *     0                               records: usage_segment_records(k) of 64 bytes
 *     usage_segment_records(k) * 64   marks: one bit a record, set when it was written since the
 *                                     last sweep
 *     usage_segment_size(k)           whole huge pages but for the smallest segments
 *
 * Records are never moved, reset or given to another key while the area lives. Two in a row, of
 * which the first has an even reference, are a block of limits: struct usage_limits. Which pairs
 * are stands in the table too. Segments begin and end at even references, so that no block lies
 * in two.
 *
 * A writer changes the record, then looks at the mark and sets it if it is not; a sweep takes a
 * word of marks away, then reads the records: all of it sequentially consistent, so either the
 * writer sees the mark gone and sets it again, or the sweep sees what was written.
 */
#ifndef USAGE_LAYOUT_H
#define USAGE_LAYOUT_H

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core/named_limit.h"

#define USAGE_FIRST_BITS 14u
#define USAGE_FIRST_RECORDS (1u << USAGE_FIRST_BITS)
#define USAGE_SEGMENTS_MAX 18u /* references have 31 bits */

struct usage_record {
    _Atomic uint64_t used_unix_s; /* the last time that it was granted; at most once a second */
    _Atomic uint64_t used_count;
    _Atomic uint64_t used_from[2]; /* struct address, as it lies in memory; 0: it was not told */
    _Atomic uint64_t refused_unix_s;
    _Atomic uint64_t refused_count;
    _Atomic uint64_t refused_from[2];
};
static_assert(sizeof(struct usage_record) == 64, "a record is one cache line");

/*
 * The limits of one key, or of a pair of keys of which one was rotated to the other: what they have
 * left is theirs together. Or those of an owner, which all his keys have together: `rates` alone. A
 * word of a limit is what limit.h says, and 0 is one that nobody charged yet. Of the two lines most
 * requests touch the first alone.
 */
struct usage_limits {
    _Atomic uint64_t rates[4]; /* of the key's own rates, in their order */
    _Atomic uint64_t uses[4];  /* nobody's yet: uses that were paid for */
    _Atomic uint64_t named[8]; /* of limits that are named in a service's stack */
};
static_assert(NAMED_RATES_MAX == 8, "a word for each");
static_assert(sizeof(struct usage_limits) == 2 * sizeof(struct usage_record),
              "a block of limits is two records");
static_assert(_Alignof(struct usage_limits) == _Alignof(struct usage_record),
              "a block of limits can lie where records do");

#endif
