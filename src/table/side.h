/*
 * side.h - how the writer puts records into the side area, and finds an older one that is the same.
 */
#ifndef TABLE_SIDE_H
#define TABLE_SIDE_H

#include "table/writer.h"

#define SIDE_LIMITS_RECORD_MAX \
    (sizeof(struct table_side_limit_list) + RATES_MAX * sizeof(struct table_side_limit))

/* What a record takes of the side area. */
uint64_t side_room(size_t len);

/* The bytes of the side area that such a change may use. */
uint64_t side_limit(const struct table_writer *writer, enum table_purpose purpose);

/* Appends a record and returns its reference, or 0 when there is no room. */
uint32_t side_append(struct table_writer *writer, const void *bytes, size_t len,
                     enum table_purpose purpose);

/* The reference of a record with these bytes, an older one if there is one; 0: no room. A record
 * tells its own length, so comparing len bytes compares all of it. */
uint32_t side_intern(struct table_writer *writer, const void *bytes, size_t len,
                     enum table_purpose purpose);

/* The owner's record, with room for the word of his limits in front of it, which is stored before a
 * slot that refers to it is published. */
uint32_t side_intern_owner(struct table_writer *writer, struct text owner,
                           enum table_purpose purpose);

/* That word. `ref` is an owner's. */
_Atomic uint64_t *side_owner_word(const struct table_writer *writer, uint32_t ref);

/* The owner's record that the slot's identity refers to. */
uint32_t side_owner_of(const struct table_writer *writer, const struct table_slot *slot);

/* Puts what a list's record begins with in front of what ends at `end`. Returns its length: 0 of no
 * list. */
size_t side_list(unsigned char *record, size_t count, size_t end);

/* The record of sane rates. Returns its length. */
size_t side_limits(const struct rates *rates, unsigned char ret[SIDE_LIMITS_RECORD_MAX]);

#endif
